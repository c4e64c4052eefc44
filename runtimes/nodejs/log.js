'use strict';
// console → log records. Framed records keep a message of several lines together:
//
//   offset size  (big-endian)
//   0      4     0xA55A0003 text or 0xA55A0002 JSON, with the level's bits set in the last byte
//   4      4     length of the message
//   8      8     microseconds since the epoch
//   16     …     message, UTF-8
//
// Without a descriptor for frames the records go to standard output, one per line, with line feeds
// inside a message turned into carriage returns.

const { format } = require('util');
const { writeSync } = require('fs');
const errors = require('./errors.js');

const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

const levels = {
  TRACE: { name: 'TRACE', rank: 1, bits: 0x04 },
  DEBUG: { name: 'DEBUG', rank: 2, bits: 0x08 },
  INFO: { name: 'INFO', rank: 3, bits: 0x0c },
  WARN: { name: 'WARN', rank: 4, bits: 0x10 },
  ERROR: { name: 'ERROR', rank: 5, bits: 0x14 },
  FATAL: { name: 'FATAL', rank: 6, bits: 0x18 },
};

let requestId; // of the event under way
Object.defineProperty(global, REQUEST_ID, {
  get: () => requestId,
  set: (id) => (requestId = id),
  configurable: true,
});

let json = false;
let threshold = levels.TRACE;
let frameFd = Number.NaN;
let framed = false;
let tenant; // of the event under way
// 1: framed records were written that may lie unread. Nobody else knows of the descriptor.
const written = new Int32Array(new ArrayBuffer(4));

// Takes format, level and descriptor from the environment.
function configure(env) {
  json = env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  threshold = levels[env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? levels.TRACE;
  frameFd = Number.parseInt(env._LAMBDA_TELEMETRY_LOG_FD ?? '', 10);
  framed = Number.isInteger(frameFd);
}

function describe(error) {
  return {
    errorType: error?.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : error.stack,
  };
}

function jsonRecord(level, time, params) {
  const record = { timestamp: time, level: level.name, requestId: global[REQUEST_ID] };
  if (tenant !== undefined) record.tenantId = tenant;
  if (params.length === 1) {
    record.message = params[0];
    try {
      return JSON.stringify(record, (_key, value) =>
        value instanceof Error ? { ...describe(value), ...value } : value,
      );
    } catch {
      record.message = format(params[0]);
      return JSON.stringify(record);
    }
  }
  record.message = format(...params);
  const error = params.find((param) => param instanceof Error);
  if (error) Object.assign(record, describe(error));
  return JSON.stringify(record);
}

function writeAll(bytes) {
  written[0] = 1;
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(frameFd, bytes, done, bytes.length - done);
    } catch (error) {
      if (error.code === 'EPIPE' || error.code === 'EBADF') return; // nobody keeps logs any more
      if (error.code !== 'EINTR' && error.code !== 'EAGAIN') throw error;
    }
  }
}

function emit(level, params) {
  const now = new Date();
  const time = now.toISOString();
  const text = json
    ? jsonRecord(level, time, params)
    : `${time}\t${global[REQUEST_ID]}\t${level.name}\t${format(...params)}`;
  if (!framed) {
    process.stdout.write(text.replaceAll('\n', '\r') + '\n');
    return;
  }
  const size = Buffer.byteLength(text);
  const record = Buffer.allocUnsafe(16 + size + (json ? 0 : 1));
  record.writeUInt32BE(((json ? 0xa55a0002 : 0xa55a0003) | level.bits) >>> 0, 0);
  record.writeUInt32BE(record.length - 16, 4);
  record.writeBigInt64BE(BigInt(now.valueOf()) * 1000n, 8);
  record.utf8Write(text, 16);
  if (!json) record[record.length - 1] = 10;
  writeAll(record);
}

function patchConsole() {
  const at = (level) => {
    if (level.rank < threshold.rank) return () => {};
    return (...params) => emit(level, params.length ? params : [undefined]);
  };
  console.trace = at(levels.TRACE);
  console.debug = at(levels.DEBUG);
  console.info = at(levels.INFO);
  console.log = console.info;
  console.warn = at(levels.WARN);
  console.error = at(levels.ERROR);
  console.fatal = (...params) => emit(levels.FATAL, params);
}

// An error of an invocation or of the start: as the cloud's runtime prints it.
function error(title, value) {
  if (json) console.error(errors.toError(value));
  else console.error(title, errors.toLogText(errors.toError(value)));
}

module.exports = {
  written,
  configure,
  patchConsole,
  error,
  setRequest(id, tenantId) {
    requestId = id;
    tenant = tenantId;
  },
  forgetRequest() {
    requestId = undefined;
    tenant = undefined;
  },
};
