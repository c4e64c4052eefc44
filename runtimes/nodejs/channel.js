'use strict';
// The lean protocol, guest side: one blocking read and one write per small event, on descriptor 3
// or, once the host has asked, through memory that both map and a pair of pipes.
// The functions of fs are taken before the function's code can replace them.

const { read, readSync, writeSync } = require('fs');
const { written } = require('./log.js');

let socket = 3;
let from = socket; // events
let to = socket; // answers
const HEAD = 12;
const INVOKE_HEAD = 24;

const READY = 1;
const INIT_ERROR = 2;
const INVOKE = 3;
const RESPONSE = 4;
const ERROR = 5;
const PARKED = 6; // a template may be forked, or must not: the label says why
const STREAM = 7;
const PART = 8;
const STREAM_END = 9;
const CREDIT = 10;
const WINDOW = 64 * 1024; // limits::stream_window_bytes
const PIPES = 11;
const RETURNED = 12; // an event ahead that must wait
const ELSEWHERE = 13; // the event comes over the socket
const AHEAD = 1; // in the flags, above which the length of the tenant's id stands
const KNOWS_OUTPUT = 0x40;
const OUTPUT_UNREAD = 0x80;

const MICROS_MAX = 0xffffff;
const LONG_MICROS = 100;
const WATCHED_CALLS = 64;

const input = Buffer.allocUnsafeSlow(64 * 1024);
const output = Buffer.allocUnsafeSlow(64 * 1024);
// Numbers are read and written through views, which check no argument.
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const inputView = viewOf(input);
const outputView = viewOf(output);
let lastFrame = input; // that was read, with the view of it
let lastView = inputView;
const now = performance.now.bind(performance);
const wallClock = Date.now;
let begin = 0; // [begin, end) of input is received and not yet used
let end = 0;
let sequence = 0;
let streams = false; // the event under way: its last frame must not overtake those before
let native = null; // with pipes: fork.node, whose read() waits for events in memory
const state = new Int32Array(new ArrayBuffer(8)); // of native.serve: at work; to be called again
let held = false; // what the last call wrote may lie unread: no event ahead is taken
let watched = 0; // so many of the next calls are looked at closely: see busyMicros()
let received = 0; // when the event under way was there, in milliseconds
let credit = 2 * WINDOW; // bytes that may still be sent of streamed answers
const creditFrame = Buffer.allocUnsafeSlow(HEAD + 4);
let creditHave = 0; // received of it
let onCredit = null; // set while a read waits for more
let onIdle = null; // what waits for the end of that read

function readSome(into, offset) {
  if (native !== null && into === input) {
    const got = native.read(from, offset);
    if (got === 0) process.exit(0); // the host has gone
    return got;
  }
  while (true) {
    try {
      const got = readSync(from, into, offset, into.length - offset, null);
      if (got === 0) process.exit(0); // the host has gone
      return got;
    } catch (error) {
      if (error.code === 'ECONNRESET') process.exit(0);
      if (error.code !== 'EINTR' && error.code !== 'EAGAIN') throw error;
    }
  }
}

function writeAll(bytes, length) {
  let done = 0;
  while (done < length) {
    try {
      done += writeSync(to, bytes, done, length - done);
    } catch (error) {
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') process.exit(0);
      if (error.code !== 'EINTR' && error.code !== 'EAGAIN') throw error;
    }
  }
}

// The next frame: [at, at + length) of the buffer that is answered, head included.
function nextFrame() {
  if (begin === end) begin = end = 0;
  while (end - begin < HEAD) {
    if (begin > 0) {
      input.copy(input, 0, begin, end);
      end -= begin;
      begin = 0;
    }
    end += readSome(input, end);
  }
  const at = begin;
  const size = HEAD + inputView.getUint32(at, true);
  if (size <= end - at) {
    begin += size;
    return { frame: input, at, size };
  }
  const whole = size <= input.length ? input : Buffer.allocUnsafeSlow(size);
  let have = input.copy(whole, 0, at, end);
  begin = end = 0;
  // A frame that is not whole is the last of what came: nothing behind it is read here.
  while (have < size) {
    have += readSome(whole === input ? input.subarray(0, size) : whole, have);
  }
  return { frame: whole, at: 0, size };
}

// A frame of nothing but its head, or with a label.
function tell(type, number, label = '') {
  const name = Buffer.from(label);
  const frame = Buffer.alloc(HEAD + (type === PIPES ? 2 + name.length : 0));
  frame.writeUInt32LE(frame.length - HEAD, 0);
  frame[4] = type;
  frame.writeUInt32LE(number, 8);
  if (type === PIPES) frame.writeUInt16LE(name.length, HEAD);
  name.copy(frame, HEAD + 2);
  writeAll(frame, frame.length);
}

function openPipes() {
  let problem = '';
  try {
    native = require('./fork.node');
  } catch (error) {
    problem = `fork.node cannot be loaded: ${error.message}`;
  }
  tell(PIPES, 0, problem);
  if (problem !== '') return;
  const ends = native.receive(socket);
  if (ends === '') process.exit(0); // the host has gone
  [from, to] = ends.split(' ').map(Number);
  native.serve(serveNext, state, written, input, output);
}

let takeNext = null;

function serveNext() {
  takeNext();
}

// Runs `take` in a turn of the event loop of its own. With pipes, in the turn under way where that
// is all there is to run: a turn in which nothing is alive cannot be told from none.
function schedule(take) {
  if (native === null) {
    setImmediate(take);
    return;
  }
  takeNext = take;
  if (state[0] !== 0) state[1] = 1;
  else native.again();
}

// The next frame but for credits, which lie there when no answer needed them.
function nextOrder() {
  while (true) {
    const found = nextFrame();
    if (found.frame[found.at + 4] !== CREDIT) return found;
    credit += found.frame.readUInt32LE(found.at + HEAD);
  }
}

function nextEvent() {
  while (true) {
    let found = nextOrder();
    let type = found.frame[found.at + 4];
    if (type === PIPES) {
      openPipes();
      continue;
    }
    if (type === ELSEWHERE) {
      const pipe = from;
      from = socket;
      found = nextOrder();
      from = pipe;
      type = found.frame[found.at + 4];
    }
    if (type !== INVOKE) throw new Error(`unexpected frame of type ${type} from the host`);
    if (!held || (found.frame[found.at + HEAD + 14] & AHEAD) === 0) return found;
    tell(RETURNED, found.frame.readUInt32LE(found.at + 8));
  }
}

// What an INVOKE says, which lies at [head, head + size) of the buffer.
function readEvent(frame, head, size) {
  if (frame !== lastFrame) {
    lastFrame = frame;
    lastView = viewOf(frame);
  }
  const view = lastView;
  const fixed = head + HEAD;
  const ends = head + size;
  let deadline = view.getInt32(fixed + 4, true) * 0x100000000 + view.getUint32(fixed, true);
  const flags = view.getUint16(fixed + 14, true);
  if ((flags & AHEAD) !== 0) deadline += wallClock();
  let at = fixed + INVOKE_HEAD;
  const take = (length) => (length === 0 ? '' : frame.utf8Slice(at, (at += length)));
  const idBytes = view.getUint16(fixed + 8, true);
  const arnBytes = view.getUint16(fixed + 10, true);
  // In one piece. Characters are bytes, but perhaps in the header, which is the last of them.
  const labels = take(idBytes + arnBytes + view.getUint16(fixed + 12, true));
  return {
    deadline,
    requestId: labels.substring(0, idBytes),
    arn: labels.substring(idBytes, idBytes + arnBytes),
    trace: labels.substring(idBytes + arnBytes),
    clientContext: take(view.getUint32(fixed + 16, true)),
    identity: take(view.getUint32(fixed + 20, true)),
    tenant: flags > AHEAD ? take(flags >>> 1) : undefined,
    payload: take(ends - at),
  };
}

// Waits for the next event.
function receive() {
  const { frame, at, size } = nextEvent();
  if (watched > 0) native.began();
  received = now();
  held = false;
  sequence = frame.readUInt32LE(at + 8);
  streams = false;
  return readEvent(frame, at, size);
}

// How long the call under way kept this process busy. One that was long by the clock may have
// waited for a processor that others had: after the first of them it is looked at.
function busyMicros() {
  const micros = Math.ceil((now() - received) * 1000);
  const looked = watched > 0;
  if (looked) --watched;
  if (micros <= LONG_MICROS || native === null) return Math.min(micros, MICROS_MAX);
  const own = looked ? native.spent() : -1;
  watched = WATCHED_CALLS;
  return Math.min(own < 0 ? micros : own, MICROS_MAX);
}

// `label` is the content type of a response or the type of an error; `body` a string or a Buffer.
function send(type, label = '', body = '') {
  const answers = type === RESPONSE || type === ERROR;
  const labelBytes = label === '' ? 0 : Buffer.byteLength(label);
  const bare = type === READY || type === STREAM_END;
  const start = HEAD + (bare ? 0 : 2 + labelBytes);
  const isText = typeof body === 'string';
  // A UTF-16 unit becomes three bytes of UTF-8 at the most.
  let size = start + (isText ? body.length * 3 : body.length);
  if (isText && size > output.length) size = start + Buffer.byteLength(body);
  const fits = size <= output.length;
  const out = fits ? output : Buffer.allocUnsafeSlow(size);
  const view = fits ? outputView : viewOf(out);
  if (!bare) {
    view.setUint16(HEAD, labelBytes, true);
    if (labelBytes > 0) out.utf8Write(label, HEAD + 2);
  }
  const bodyBytes = isText ? (body === '' ? 0 : out.utf8Write(body, start)) : body.copy(out, start);
  view.setUint32(0, start - HEAD + bodyBytes, true);
  const micros = answers ? busyMicros() : 0;
  const named = answers || type === STREAM || type === STREAM_END;
  // READY: it can open pipes and map memory.
  view.setUint32(8, named ? sequence : type === READY ? 2 : 0, true);
  if (type === STREAM) streams = true;
  if (native !== null && answers && fits && !streams) {
    view.setUint32(4, type + micros * 256, true);
    const unread = native.answer(to, start + bodyBytes);
    if (unread < 0) process.exit(0); // the host has gone
    held = unread !== 0;
    return;
  }
  let flags = 0;
  if (native !== null && answers) {
    held = native.unread();
    flags = held ? KNOWS_OUTPUT | OUTPUT_UNREAD : KNOWS_OUTPUT;
  }
  view.setUint32(4, type + flags + micros * 256, true);
  writeAll(out, start + bodyBytes);
}

// ---- a streamed answer --------------------------------------------------------------------------

function openStream(contentType) {
  send(STREAM, contentType);
}

// Sends the bytes as far as the credit reaches, and answers how many.
function sendPart(bytes) {
  const size = Math.min(bytes.length, credit);
  credit -= size;
  output.writeUInt32LE(size, 0);
  output.writeUInt32LE(PART, 4);
  output.writeUInt32LE(sequence, 8);
  let head = HEAD;
  let rest = bytes;
  if (size <= output.length - HEAD) {
    head += bytes.copy(output, HEAD, 0, size);
    rest = null;
  }
  writeAll(output, head);
  if (rest !== null) writeAll(rest, size);
  return size;
}

// Calls back when there is credit again. The event loop goes on meanwhile: the one place where the
// channel is read without blocking the process. A read that has begun cannot be taken back; the
// host lets none hang (src/guest/lambda/lean.h). It takes one frame, never what lies behind.
function waitForCredit(callback) {
  if (credit > 0) return callback();
  onCredit = callback;
  read(socket, creditFrame, creditHave, creditFrame.length - creditHave, null, (error, got) => {
    if (error && error.code !== 'EINTR' && error.code !== 'EAGAIN') process.exit(0);
    if (!error && got === 0) process.exit(0); // the host has gone
    creditHave += got ?? 0;
    if (creditHave === creditFrame.length) {
      creditHave = 0;
      credit += creditFrame.readUInt32LE(HEAD);
    }
    const then = onCredit;
    onCredit = null;
    waitForCredit(then);
    if (onCredit === null && onIdle !== null) {
      const idle = onIdle;
      onIdle = null;
      idle();
    }
  });
}

// Runs `next` when no read is under way: now, or soon.
function whenIdle(next) {
  if (onCredit === null) next();
  else onIdle = next;
}

// Everything goes through another descriptor from here on.
function divert(descriptor) {
  socket = from = to = descriptor;
  sequence = 0;
  credit = 2 * WINDOW;
}

// What an answer's stream (stream.js) needs.
const parts = {
  open: openStream,
  send: sendPart,
  wait: waitForCredit,
  end: () => send(STREAM_END),
};

module.exports = {
  viewOf,
  HEAD,
  WINDOW,
  INVOKE,
  PART,
  CREDIT,
  READY,
  INIT_ERROR,
  RESPONSE,
  ERROR,
  PARKED,
  STREAM,
  STREAM_END,
  receive,
  readEvent,
  send,
  parts,
  whenIdle,
  schedule,
  divert,
};
