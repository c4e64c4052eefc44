'use strict';
// The response stream of awslambda.streamifyResponse: what the function writes leaves at once, as
// far as its client keeps up (channel.js). Loaded by the first streaming invocation.

const { Writable } = require('stream');
const errors = require('./errors.js');

const isBytes = (chunk) => typeof chunk === 'string' || chunk instanceof Uint8Array;

class ResponseStream extends Writable {
  #call; // parts go out as long as it is not answered
  #parts; // where they go: channel.parts, or those of one of several calls
  #started = false; // the function has written
  #opened = false; // the host knows the content type
  #contentType = 'application/octet-stream';
  #settle;
  // Put here by HttpResponseStream.from.
  _onBeforeFirstWrite = undefined;

  constructor(call, highWaterMark, parts) {
    super({ decodeStrings: true, highWaterMark });
    this.#call = call;
    this.#parts = parts;
    // Settles when all is written, or the stream is given up: with the error, or undefined.
    this.done = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.on('error', (error) => this.#settle(error));
    this.once('close', () => this.#settle());
    this.once('finish', () => this.#settle());
  }

  setContentType(type) {
    if (this.#started) {
      throw new errors.InvalidStreamingOperation('Cannot set content-type, too late.');
    }
    this.#contentType = type;
  }

  #begin() {
    if (this.#started) return;
    this.#started = true;
    this._onBeforeFirstWrite?.((chunk) => super.write(chunk));
  }

  // Anything but text and bytes is sent as JSON.
  write(chunk, encoding, callback) {
    this.#begin();
    return super.write(isBytes(chunk) ? chunk : JSON.stringify(chunk), encoding, callback);
  }

  end(chunk, encoding, callback) {
    this.#begin(); // a head without a body is sent, too
    if (chunk === undefined || chunk === null || typeof chunk === 'function' || isBytes(chunk)) {
      return super.end(chunk, encoding, callback);
    }
    return super.end(JSON.stringify(chunk), encoding, callback);
  }

  #open() {
    if (this.#opened) return;
    this.#opened = true;
    this.#parts.open(this.#contentType);
  }

  _write(chunk, _encoding, callback) {
    this.#send(chunk, callback);
  }

  #send(chunk, callback) {
    let rest = chunk;
    // What is written after the call has been answered is nobody's.
    while (!this.#call.answered && rest.length > 0) {
      this.#open();
      rest = rest.subarray(this.#parts.send(rest));
      if (rest.length > 0) {
        this.#parts.wait(() => this.#send(rest, callback));
        return;
      }
    }
    callback();
  }

  _final(callback) {
    if (!this.#call.answered) {
      this.#open();
      this.#parts.end();
    }
    callback();
  }
}

module.exports = { ResponseStream };
