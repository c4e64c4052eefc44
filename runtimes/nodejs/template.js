'use strict';
// Template mode: this process boots, runs the function's init code (kind "function") or none
// (kind "generic"), and parks. An execution environment is a fork of it; in each, park() returns.
//
// Quiet is a process in which nothing is under way that a fork would double: no timer, no request,
// no socket, no child process. Then PARKED goes out with an empty reason. Otherwise PARKED says
// why not and the process ends. What the system side of a fork needs is in fork/.

const kind = process.env.MAYFLY_TEMPLATE;
delete process.env.MAYFLY_TEMPLATE;

// All taken before the function's code can replace them.
const crypto = require('crypto');
const fs = require('fs');
const { randomUUID, randomInt } = crypto;
const { setImmediate } = globalThis;
const { chdir, reallyExit } = process;
const pidProperty = Object.getOwnPropertyDescriptor(process, 'pid');

// Numbers of one filling of the caches behind randomUUID() and randomInt().
const UUIDS = 128;
const INTS = 1024;
const SETTLE_ROUNDS = 100;
const SETTLE_MS = 5;

let native = null;
let nativeProblem = '';
try {
  native = require('./fork.node');
  native.mark();
  native.tellStacks();
} catch (error) {
  nativeProblem = `fork.node cannot be loaded: ${error.message}`;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const pause = new Int32Array(new SharedArrayBuffer(4));

function refuse(channel, reason) {
  channel.send(channel.PARKED, reason);
  reallyExit.call(process, 0);
}

// ---- warming ------------------------------------------------------------------------------------

function event(number) {
  const parts = [`00000000-0000-0000-0000-${number}`, 'arn:aws:lambda:::function:f'];
  const payload = '{"name":"value","list":[1,2.5,"x",null,true],"nested":{"a":{"b":"c"}}}';
  const text = Buffer.from(parts.join('') + payload);
  const frame = Buffer.alloc(12 + 24 + text.length);
  frame.writeUInt32LE(24 + text.length, 0);
  frame[4] = 3; // INVOKE
  frame.writeUInt32LE(number, 8);
  frame.writeBigInt64LE(BigInt(Date.now() + 60000), 12);
  parts.forEach((part, index) => frame.writeUInt16LE(part.length, 20 + 2 * index));
  text.copy(frame, 36);
  return frame;
}

let bootstrap = null;

// Sends events to the bootstrap's own serving code and takes its answers.
async function warm(channel, rounds) {
  const [ours, theirs] = native.pair().split(' ').map(Number);
  const sink = Buffer.alloc(65536);
  channel.divert(theirs);
  try {
    channel.send(channel.READY);
    let number = 0;
    await bootstrap.rehearse(async (serve) => {
      for (let round = 0; round < rounds; round++) {
        fs.writeSync(ours, event(++number));
        await new Promise(serve);
        fs.readSync(ours, sink, 0, sink.length, null);
      }
    });
  } finally {
    channel.divert(3);
    fs.closeSync(ours);
    fs.closeSync(theirs);
  }
}

// A generic template's children also configure themselves and load a function: here one of our
// own, forgotten at once.
async function warmStart(rounds) {
  for (let round = 0; round < rounds; round++) {
    bootstrap.configure();
    delete globalThis.awslambda;
    await bootstrap.loader.load(__dirname, 'sample.handler');
    delete require.cache[require.resolve('./sample.js')];
  }
}

// Before any code of the function. `theBootstrap`: its rehearse, configure and loader.
async function begin(channel, theBootstrap) {
  bootstrap = theBootstrap;
  if (!native) return;
  await warm(channel, 20);
  if (kind === 'generic') await warmStart(20);
}

// Did the function's code replace what rehearsing would call?
const builtIn = [
  [globalThis, 'Promise', 'JSON', 'Buffer', 'setImmediate', 'process'],
  [JSON, 'parse', 'stringify'],
  [Promise.prototype, 'then', 'catch'],
  [Object, 'assign'],
  [fs, 'readSync', 'writeSync'],
].flatMap(([owner, ...names]) => names.map((name) => [owner, name, owner[name]]));
const isUntouched = () => builtIn.every(([owner, name, value]) => owner[name] === value);

// ---- parking ------------------------------------------------------------------------------------

// Draws until the cache behind `draw` is used up, so that each child fills it anew.
function spend(draw, size) {
  const before = native.randomCalls();
  for (let tries = 0; native.randomCalls() === before && tries <= size; tries++) draw();
  for (let left = size - 1; left > 0; left--) draw();
}

function spendRandomCaches() {
  if (!native.countRandom(true)) return 'caches of random numbers cannot be emptied';
  try {
    spend(() => randomUUID(), UUIDS);
    spend(() => randomInt(10), INTS);
  } finally {
    native.countRandom(false);
  }
  return '';
}

function unquiet() {
  const requests = process._getActiveRequests?.() ?? [];
  if (requests.length > 0) return `a request is under way: ${requests[0].constructor?.name}`;
  return native.busy();
}

// Gives what is under way some turns of the event loop to end.
async function settle() {
  let reason = '';
  for (let round = 0; round < SETTLE_ROUNDS; round++) {
    await turn();
    reason = unquiet();
    if (reason === '') break;
    Atomics.wait(pause, 0, 0, SETTLE_MS);
  }
  return reason;
}

// Returns in a child.
async function park(channel) {
  if (!native) refuse(channel, nativeProblem);
  const timeZone = process.env.TZ;
  const root = process.cwd();
  let reason = spendRandomCaches();
  native.collect();
  reason ||= await settle();
  if (reason === '') {
    native.forget();
    native.reseed();
    become(timeZone, root);
    if (isUntouched()) await warm(channel, 10);
    if (kind === 'generic') await warmStart(10);
    reason = (await settle()) || native.park(kind === 'generic');
  }
  if (reason !== '') refuse(channel, reason);
  // Where nobody waits for this process yet, the pages that serving writes to become its own now,
  // and not under its first event.
  if (!native.ordered() && isUntouched()) {
    await warm(channel, 1);
    if (kind === 'generic') await warmStart(1);
  }
  native.order();
  // The host is told at once: what is still to do then goes on while it prepares the event.
  if (kind === 'function') channel.send(channel.READY);
  native.complete();
  become(timeZone, process.env.LAMBDA_TASK_ROOT || '/');
}

// What JavaScript remembers of the process, brought up to date.
function become(timeZone, root) {
  Object.defineProperty(process, 'pid', { ...pidProperty, value: native.pid() });
  const { TZ } = process.env;
  // Setting it tells V8, too, which takes a millisecond.
  if (TZ === undefined && timeZone !== undefined) delete process.env.TZ;
  else if (TZ !== timeZone) process.env.TZ = TZ;
  chdir.call(process, root);
}

module.exports = { kind, begin, park };
