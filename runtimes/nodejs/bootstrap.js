'use strict';
// Entry point of the Node.js runtime inside the jail. Speaks the lean protocol (the byte table is
// in src/guest/lambda/lean.h) on descriptor 3 and writes framed log records to the descriptor that
// _LAMBDA_TELEMETRY_LOG_FD names.
//
// Between two events the process waits inside a blocking read, so nothing of the function runs
// then: what the cloud reaches by freezing. Timers and sockets of the function go on with the next
// event. Semantics follow the public Node.js runtime interface client.

// A template (fork/, template.js) parks in start(), and each fork of it goes on from there.
const template = process.env.MAYFLY_TEMPLATE ? require('./template.js') : null;

const channel = require('./channel.js');
const errors = require('./errors.js');
const log = require('./log.js');
const loader = require('./loader.js');
const trace = require('./trace.js');

const nothing = () => {};
const { then } = Promise.prototype; // before the function's code can replace it
let beforeExit = nothing; // called when the event loop is empty

let generation = 0; // of the function's identifier: nodejs20.x is 20
// Identifiers from nodejs24.x on have no callbacks and no context.done any more.
let promisesOnly = false;

let current = null; // the invocation under way: { answered }
let handler = null;
let handlerIsAsync = false;
let handlerStreams = false;
let concurrent = null; // once it serves several events at one time

let functionVersion;
let functionName;
let memoryLimitInMB;
let logGroupName;
let logStreamName;

function readContext(env) {
  functionVersion = env.AWS_LAMBDA_FUNCTION_VERSION;
  functionName = env.AWS_LAMBDA_FUNCTION_NAME;
  memoryLimitInMB = env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  logGroupName = env.AWS_LAMBDA_LOG_GROUP_NAME;
  logStreamName = env.AWS_LAMBDA_LOG_STREAM_NAME;
}

function parseLabel(text, name) {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
  }
}

// ---- answering ----------------------------------------------------------------------------------

function sendError(error) {
  const shape = errors.toShape(error);
  const type = current ? channel.ERROR : channel.INIT_ERROR;
  channel.send(type, shape.errorType ?? '', errors.stringify(shape));
  if (current) current.answered = true;
}

function sendResult(value) {
  const text = errors.stringify(value);
  channel.send(channel.RESPONSE, '', text);
  current.answered = true;
}

// The next event is read from the start of a turn of the event loop, so that the function's timers
// and sockets get one turn between any two events, however fast these come.
function scheduleNext() {
  channel.schedule(goOn);
}

function goOn() {
  channel.whenIdle(afterAnswer);
}

function failInvocation(error) {
  log.error('Invoke Error', error);
  sendError(error);
  scheduleNext();
}

function reply(value) {
  try {
    sendResult(value);
  } catch (error) {
    failInvocation(error);
    return;
  }
  scheduleNext();
}

// callback and context.succeed/fail/done: the first call of any of them counts.
class Callbacks {
  constructor(call) {
    this.call = call;
    this.finished = false;
    this.context = null;
  }

  begin() {
    if (this.finished || this.call.answered) return false;
    this.finished = true;
    beforeExit = nothing;
    return true;
  }

  done(error, value) {
    if (!this.begin()) return;
    if (error !== undefined && error !== null) failInvocation(error);
    else reply(value);
  }

  // Of a promise, which nobody hears of what is thrown here.
  settle(error, value) {
    try {
      this.done(error, value);
    } catch {
      // as behind a catch() of the promise
    }
  }

  callback(error, value) {
    const failed = error !== undefined && error !== null;
    if (failed || !this.context?.callbackWaitsForEmptyEventLoop) {
      this.done(error, value);
    } else if (this.begin()) {
      // The answer waits until the event loop is empty.
      beforeExit = () => {
        beforeExit = nothing;
        setImmediate(() => reply(value));
      };
    }
  }
}

// ---- one invocation -----------------------------------------------------------------------------

function remaining(deadline) {
  return () => deadline - Date.now();
}

// One literal each, so that every context has the same layout from the start.
function promiseContext(event) {
  return {
    functionVersion,
    functionName,
    memoryLimitInMB,
    logGroupName,
    logStreamName,
    clientContext: parseLabel(event.clientContext, 'ClientContext'),
    identity: parseLabel(event.identity, 'CognitoIdentity'),
    invokedFunctionArn: event.arn,
    awsRequestId: event.requestId,
    tenantId: event.tenant,
    getRemainingTimeInMillis: remaining(event.deadline),
  };
}

function streamContext(event) {
  return { callbackWaitsForEmptyEventLoop: true, ...promiseContext(event) };
}

function callbackContext(callbacks, event) {
  callbacks.context = {
    callbackWaitsForEmptyEventLoop: true,
    succeed: (value) => callbacks.done(null, value),
    fail: (error) => callbacks.done(error ?? 'handled', null),
    done: (error, value) => callbacks.done(error, value),
    functionVersion,
    functionName,
    memoryLimitInMB,
    logGroupName,
    logStreamName,
    clientContext: parseLabel(event.clientContext, 'ClientContext'),
    identity: parseLabel(event.identity, 'CognitoIdentity'),
    invokedFunctionArn: event.arn,
    awsRequestId: event.requestId,
    tenantId: event.tenant,
    getRemainingTimeInMillis: remaining(event.deadline),
  };
  return callbacks.context;
}

function onLoopEmpty() {
  beforeExit = nothing;
  if (handlerIsAsync || promisesOnly) failInvocation(new errors.NodeJsExit());
  else reply(null); // a plain function that never called back answers null
}

function runBuffered(event) {
  const callbacks = new Callbacks(current);
  const succeed = (value) => callbacks.settle(null, value);
  const fail = (error) => callbacks.settle(error ?? 'handled', null);
  try {
    beforeExit = onLoopEmpty;
    const payload = JSON.parse(event.payload);
    const value = promisesOnly
      ? handler(payload, promiseContext(event))
      : handler(payload, callbackContext(callbacks, event), (error, result) =>
          callbacks.callback(error, result),
        );
    if (typeof value?.then === 'function') {
      const settled = value.then(succeed, fail);
      // A promise of the language is settled once, and then these have caught everything.
      if (!(settled instanceof Promise) || value.then !== then) settled.catch?.(fail);
    } else if (promisesOnly) {
      succeed(value);
    }
  } catch (error) {
    // What a plain handler throws is an answer at once, whatever the event loop still holds.
    callbacks.done(error ?? 'handled');
  }
}

// After a streamed answer the next event waits until the function has nothing more to do, unless
// it says otherwise; so does the end of the call.
function finishStreaming(call, context) {
  const end = () => {
    beforeExit = nothing;
    if (call.answered) return;
    channel.send(channel.RESPONSE);
    call.answered = true;
    scheduleNext();
  };
  if (context.callbackWaitsForEmptyEventLoop) beforeExit = () => setImmediate(end);
  else end();
}

async function runStreaming(event) {
  const { ResponseStream } = require('./stream.js');
  const call = current;
  const stream = new ResponseStream(call, loader.highWaterMark(handler), channel.parts);
  const unfinished = () => new Error('Response stream is not finished.');
  const fail = (error) => {
    if (call.answered) return;
    beforeExit = nothing;
    failInvocation(error);
  };
  beforeExit = () => fail(unfinished());
  try {
    const context = streamContext(event);
    const value = handler(JSON.parse(event.payload), stream, context);
    if (typeof value?.then !== 'function') {
      throw new Error('Streaming does not support non-async handlers.');
    }
    if ((await value) !== undefined) console.warn('Streaming handlers ignore return values.');
    const error = await stream.done;
    if (!stream.writableFinished) throw error ?? unfinished();
    if (!call.answered) finishStreaming(call, context);
  } catch (error) {
    fail(error);
  }
}

function next() {
  const event = channel.receive(); // blocks; the process ends with the channel
  current = { answered: false };
  log.setRequest(event.requestId, event.tenant);
  trace.set(event.trace);
  if (handlerStreams) runStreaming(event);
  else runBuffered(event);
}

let afterAnswer = next;

// ---- start --------------------------------------------------------------------------------------

function fatal(title, error, code) {
  if (concurrent !== null) {
    concurrent.fatal(title, error, code);
    return;
  }
  log.error(title, error);
  if (!current?.answered) sendError(error);
  process.exit(code);
}

process.on('uncaughtException', (error) => fatal('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason, promise) =>
  fatal('Unhandled Promise Rejection', new errors.UnhandledPromiseRejection(reason, promise), 128),
);
process.on('beforeExit', () => beforeExit());

function configure() {
  const { env } = process;
  generation = Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || '')?.[1] ?? 0);
  promisesOnly = generation >= 24;
  readContext(env);
  log.configure(env);
  log.patchConsole();
  for (const name of ['_LAMBDA_TELEMETRY_LOG_FD', 'MAYFLY_CHANNEL_FD']) delete env[name];
  loader.defineGlobals();
  trace.watch();
}

async function loadHandler() {
  // A top-level await that never settles leaves an empty event loop: the code Node.js itself
  // ends with then.
  beforeExit = () => process.exit(13);
  const root = process.env.LAMBDA_TASK_ROOT || process.cwd();
  handler = await loader.load(root, process.env._HANDLER || '');
  beforeExit = nothing;
  handlerIsAsync = handler.constructor?.name === 'AsyncFunction';
  handlerStreams = loader.streams(handler);
  const several = process.env.AWS_LAMBDA_MAX_CONCURRENCY !== undefined;
  if ((promisesOnly || several) && !handlerStreams && handler.length >= 3) {
    const who = several ? 'a function with several calls at one time' : `nodejs${generation}.x`;
    throw new errors.CallbackHandlerDeprecated(
      `The handler takes ${handler.length} parameters, but ${who} has no callbacks: return a ` +
        'promise instead.',
    );
  }
}

// The path that serves, run on a diverted channel, so that all children share the code made for
// it. `exchange` sends events and calls its argument to have one served.
async function rehearse(exchange) {
  const before = [handler, handlerIsAsync, promisesOnly, handlerStreams];
  const serve = () =>
    exchange((answered) => {
      afterAnswer = answered;
      next();
    });
  readContext({});
  handlerStreams = false;
  for (promisesOnly of [false, true]) {
    for (handler of [async (event) => event, (_event, context) => context.succeed?.()]) {
      handlerIsAsync = handler.constructor.name === 'AsyncFunction';
      await serve();
    }
  }
  if (before[3]) {
    handlerStreams = true;
    handler = async (_event, stream, context) => {
      context.callbackWaitsForEmptyEventLoop = false;
      stream.end('x');
    };
    await serve();
  }
  afterAnswer = next;
  current = null;
  [handler, handlerIsAsync, promisesOnly, handlerStreams] = before;
  readContext(process.env);
  log.forgetRequest();
}

// Not before the host has been told: it prepares the first event meanwhile.
function tellStacks() {
  try {
    require('./fork.node').tellStacks();
  } catch {
    // Without the addon what is seen from outside must do.
  }
}

// Several events at one time: concurrent.js reads the channel from here on.
function serveConcurrently() {
  concurrent = require('./concurrent.js');
  concurrent.serve(handler, handlerStreams, promiseContext);
}

async function start() {
  await template?.begin(channel, { rehearse, configure, loader });
  if (template?.kind === 'generic') await template.park(channel);
  configure();
  await loadHandler();
  const serve = process.env.AWS_LAMBDA_MAX_CONCURRENCY ? serveConcurrently : next;
  if (template?.kind !== 'function') {
    setImmediate(() => {
      channel.send(channel.READY);
      tellStacks();
      serve();
    });
    return;
  }
  await template.park(channel); // sends READY
  readContext(process.env);
  serve();
}

start().catch((error) => fatal('Uncaught Exception', error, 129));
