'use strict';
// Several events at one time (AWS_LAMBDA_MAX_CONCURRENCY), as on Lambda Managed Instances: the
// handler is called for each event as it comes, and answers leave in the order in which promises
// settle. Each call has an asynchronous context of its own, which tells console lines, the trace
// header and awslambda.InvokeStore whose they are.
//
// The channel (src/guest/lambda/lean.h) is read by the event loop. What is answered in one turn of
// it leaves by one write, at the turn's end.

const { AsyncLocalStorage } = require('async_hooks');
const { writeSync } = require('fs');
const { Socket } = require('net');
const channel = require('./channel.js');
const errors = require('./errors.js');
const loader = require('./loader.js');
const log = require('./log.js');
const trace = require('./trace.js');

const { viewOf, HEAD, WINDOW, INVOKE, CREDIT, RESPONSE, ERROR, STREAM, PART, STREAM_END } = channel;
const DESCRIPTOR = 3;
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const { parse } = JSON;
const setLater = setImmediate; // taken before the function's code can replace it

const calls = new AsyncLocalStorage();
const { run } = calls;
const streaming = new Map(); // sequence → Parts that wait for credit
const pause = new Int32Array(new SharedArrayBuffer(4));

// ---- out ----------------------------------------------------------------------------------------

let output = Buffer.allocUnsafeSlow(256 * 1024);
let outputView = viewOf(output);
let filled = 0;
let scheduled = false;

function writeAll(bytes, length) {
  let done = 0;
  while (done < length) {
    try {
      done += writeSync(DESCRIPTOR, bytes, done, length - done);
    } catch (error) {
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') process.exit(0);
      // The host always reads: there will be room in a moment.
      if (error.code === 'EAGAIN') Atomics.wait(pause, 0, 0, 1);
      else if (error.code !== 'EINTR') throw error;
    }
  }
}

function flush() {
  scheduled = false;
  const length = filled;
  filled = 0;
  writeAll(output, length);
}

// Room for so many bytes in the buffer that leaves at the end of this turn.
function reserve(size) {
  if (output.length - filled < size) {
    if (filled > 0) flush();
    if (output.length < size) {
      output = Buffer.allocUnsafeSlow(size + size / 2);
      outputView = viewOf(output);
    }
  }
  if (!scheduled) {
    scheduled = true;
    setLater(flush);
  }
  return filled;
}

function send(type, sequence, label = '', body = '') {
  const labelBytes = label === '' ? 0 : Buffer.byteLength(label);
  const isText = typeof body === 'string';
  // A UTF-16 unit becomes three bytes of UTF-8 at the most.
  const at = reserve(HEAD + 2 + labelBytes + (isText ? body.length * 3 : body.length));
  let end = at + HEAD;
  if (type !== STREAM_END && type !== PART) {
    outputView.setUint16(end, labelBytes, true);
    end += 2;
    if (labelBytes > 0) end += output.utf8Write(label, end);
  }
  if (body !== '') end += isText ? output.utf8Write(body, end) : body.copy(output, end);
  outputView.setUint32(at, end - at - HEAD, true);
  outputView.setUint32(at + 4, type, true);
  outputView.setUint32(at + 8, sequence, true);
  filled = end;
}

// ---- one call -----------------------------------------------------------------------------------

// Where a streamed answer goes, within a credit of its own.
class Parts {
  constructor(sequence) {
    this.sequence = sequence;
    this.credit = 2 * WINDOW;
    this.waiting = null;
    streaming.set(sequence, this);
  }

  open(contentType) {
    send(STREAM, this.sequence, contentType);
  }

  send(bytes) {
    const size = Math.min(bytes.length, this.credit);
    this.credit -= size;
    send(PART, this.sequence, '', bytes.subarray(0, size));
    return size;
  }

  wait(callback) {
    if (this.credit > 0) callback();
    else this.waiting = callback;
  }

  grant(bytes) {
    this.credit += bytes;
    const then = this.waiting;
    this.waiting = null;
    then?.();
  }

  end() {
    send(STREAM_END, this.sequence);
  }
}

let handler = null;
let streams = false;
let contextOf = null;

function failed(call, error) {
  if (call.answered) return;
  call.answered = true;
  run.call(calls, call, log.error, 'Invoke Error', error);
  const shape = errors.toShape(error);
  send(ERROR, call.sequence, shape.errorType ?? '', errors.stringify(shape));
}

function succeeded(call, value) {
  if (call.answered) return;
  let text;
  try {
    text = errors.stringify(value);
  } catch (error) {
    failed(call, error);
    return;
  }
  call.answered = true;
  send(RESPONSE, call.sequence, '', text);
}

function callHandler(event) {
  return handler(parse(event.payload), contextOf(event));
}

function serveBuffered(call, event) {
  try {
    const value = run.call(calls, call, callHandler, event);
    if (typeof value?.then === 'function') {
      value.then(
        (result) => succeeded(call, result),
        (error) => failed(call, error ?? 'handled'),
      );
    } else {
      succeeded(call, value);
    }
  } catch (error) {
    failed(call, error ?? 'handled');
  }
}

async function serveStreaming(call, event) {
  const { ResponseStream } = require('./stream.js');
  const stream = new ResponseStream(
    call,
    loader.highWaterMark(handler),
    new Parts(call.sequence),
  );
  try {
    const value = handler(parse(event.payload), stream, contextOf(event));
    if (typeof value?.then !== 'function') {
      throw new Error('Streaming does not support non-async handlers.');
    }
    if ((await value) !== undefined) console.warn('Streaming handlers ignore return values.');
    const error = await stream.done;
    if (!stream.writableFinished) throw error ?? new Error('Response stream is not finished.');
    if (!call.answered) {
      call.answered = true;
      send(RESPONSE, call.sequence);
    }
  } catch (error) {
    failed(call, error);
  } finally {
    streaming.delete(call.sequence);
  }
}

// ---- in -----------------------------------------------------------------------------------------

// Four elements cost less than what readUInt32LE checks.
function uint32At(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function take(frame, at, size) {
  const sequence = uint32At(frame, at + 8);
  if (frame[at + 4] === CREDIT) {
    streaming.get(sequence)?.grant(frame.readUInt32LE(at + HEAD));
    return;
  }
  if (frame[at + 4] !== INVOKE) throw new Error(`unexpected frame of type ${frame[at + 4]}`);
  const event = channel.readEvent(frame, at, size);
  const call = { sequence, answered: false, requestId: event.requestId, trace: event.trace };
  if (streams) run.call(calls, call, serveStreaming, call, event);
  else serveBuffered(call, event);
}

let held = null; // the beginning of a frame
let have = 0; // received of it

// Adds to the frame that is not whole; answers how many of the bytes it took.
function addToHeld(bytes, from, end) {
  const missing = (have < HEAD ? HEAD : held.length) - have;
  const size = Math.min(missing, end - from);
  bytes.copy(held, have, from, from + size);
  have += size;
  if (have === HEAD && held.length === HEAD) {
    const whole = Buffer.allocUnsafeSlow(HEAD + held.readUInt32LE(0));
    held.copy(whole, 0, 0, HEAD);
    held = whole;
  }
  if (have === held.length && have >= HEAD) {
    const frame = held;
    held = null;
    take(frame, 0, frame.length);
  }
  return size;
}

function onBytes(count, bytes) {
  let at = 0;
  while (at < count) {
    if (held === null) {
      const size = count - at < HEAD ? Infinity : HEAD + uint32At(bytes, at);
      if (size <= count - at) {
        take(bytes, at, size);
        at += size;
        continue;
      }
      held = Buffer.allocUnsafeSlow(HEAD);
      have = 0;
    }
    at += addToHeld(bytes, at, count);
  }
  return true;
}

// ---- around -------------------------------------------------------------------------------------

// As the package @aws/lambda-invoke-store, which takes it from here.
function defineInvokeStore() {
  const keys = {
    REQUEST_ID: '_AWS_LAMBDA_REQUEST_ID',
    X_RAY_TRACE_ID: '_AWS_LAMBDA_TRACE_ID',
    TENANT_ID: '_AWS_LAMBDA_TENANT_ID',
  };
  const own = new Set(Object.values(keys));
  const values = () => (calls.getStore() ?? {}).store;
  const store = {
    run: (context, body) => run.call(calls, { ...calls.getStore(), store: context }, body),
    getContext: () => values(),
    get: (key) => values()?.[key],
    set(key, value) {
      if (own.has(key)) throw new Error(`Cannot modify protected Lambda context field: ${key}`);
      const call = calls.getStore();
      if (call) call.store = { ...call.store, [key]: value };
    },
    getRequestId: () => calls.getStore()?.requestId ?? '-',
    getXRayTraceId: () => calls.getStore()?.trace,
    getTenantId: () => undefined,
    hasContext: () => calls.getStore() !== undefined,
    PROTECTED_KEYS: keys,
  };
  if (globalThis.awslambda) globalThis.awslambda.InvokeStore = store;
}

// Its own call hears of the error; the others end with the process.
function fatal(title, error, code) {
  const call = calls.getStore();
  log.error(title, error);
  if (call && !call.answered) {
    call.answered = true;
    const shape = errors.toShape(error);
    send(ERROR, call.sequence, shape.errorType ?? '', errors.stringify(shape));
  }
  process.exit(code);
}

function serve(theHandler, itStreams, promiseContext) {
  handler = theHandler;
  streams = itStreams;
  contextOf = promiseContext;
  Object.defineProperty(global, REQUEST_ID, {
    get: () => calls.getStore()?.requestId,
    configurable: true,
  });
  trace.follow(() => calls.getStore()?.trace);
  defineInvokeStore();
  process.on('exit', () => {
    if (filled > 0) flush();
  });
  const socket = new Socket({
    fd: DESCRIPTOR,
    readable: true,
    writable: false,
    allowHalfOpen: true,
    onread: { buffer: Buffer.allocUnsafeSlow(64 * 1024), callback: onBytes },
  });
  const gone = () => process.exit(0); // the host
  socket.on('end', gone);
  socket.on('error', gone);
  socket.resume();
}

module.exports = { serve, fatal };
