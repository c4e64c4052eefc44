'use strict';
// From a handler string ("dir/file.name.inner") to the function, in the order in which the
// cloud's runtime tries: the bare file and .js by require (.js by import where the nearest
// package.json says "type": "module"), .mjs by import, .cjs by require, then Node's own resolution.

const { existsSync, readFileSync } = require('fs');
const path = require('path');
const errors = require('./errors.js');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const HTTP_RESPONSE = 'application/vnd.awslambda.http-integration-response';

function defineGlobals() {
  const off = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (off === '1' || off === 'true') return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') {
        handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      }
      return handler;
    },
    HttpResponseStream: class HttpResponseStream {
      // Status, headers and cookies go ahead of the body: JSON, then eight zero bytes.
      static from(stream, prelude) {
        stream.setContentType(HTTP_RESPONSE);
        const head = JSON.stringify(prelude);
        stream._onBeforeFirstWrite = (write) => {
          write(head);
          write(new Uint8Array(8));
        };
        return stream;
      }
    },
  };
}

function streams(handler) {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) return false;
  if (mark === 'response') return true;
  throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
}

// What streamifyResponse was told about it, or undefined.
const highWaterMark = (handler) => handler[HIGH_WATER_MARK];

// Is a .js file in `folder` an ES module? The nearest package.json decides; node_modules ends the
// search.
function isModuleFolder(folder) {
  for (let at = folder; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (existsSync(file)) {
      try {
        return JSON.parse(readFileSync(file, 'utf8'))?.type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it is ignored when looking for ES modules.`, error);
        return false;
      }
    }
    if (at === '/') return false;
  }
  return false;
}

async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  if (existsSync(base)) {
    const loaded = require(base);
    if (loaded) return loaded;
  }
  if (existsSync(base + '.js')) {
    const loaded = isModuleFolder(path.dirname(base + '.js'))
      ? await import(base + '.js')
      : require(base + '.js');
    if (loaded) return loaded;
  }
  if (existsSync(base + '.mjs')) return import(base + '.mjs');
  if (existsSync(base + '.cjs')) return require(base + '.cjs');
  return require(require.resolve(name, { paths: [root, folder] }));
}

async function loadApplication(root, folder, name) {
  try {
    return await loadModule(root, folder, name);
  } catch (error) {
    if (error instanceof SyntaxError) throw new errors.UserCodeSyntaxError(error);
    if (error?.code === 'MODULE_NOT_FOUND') throw new errors.ImportModuleError(error);
    throw error;
  }
}

function follow(object, dotted) {
  return dotted.split('.').reduce((value, key) => value && value[key], object);
}

async function load(root, handler) {
  if (handler.includes('..')) {
    throw new errors.MalformedHandlerName(
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root ` +
        'directories in handler names.',
    );
  }
  const last = path.basename(handler);
  const folder = handler.substring(0, handler.indexOf(last));
  const dot = last.indexOf('.');
  if (dot < 0) throw new errors.MalformedHandlerName('Bad handler');
  const application = await loadApplication(root, folder, last.substring(0, dot));
  const exported = last.substring(dot + 1);
  // Bundlers leave the exports of a CommonJS file under `default`.
  const found = follow(application, exported) ?? follow(application?.default, exported);
  if (!found) throw new errors.HandlerNotFound(`${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw new errors.HandlerNotFound(`${handler} is not a function`);
  return found;
}

module.exports = { defineGlobals, streams, highWaterMark, load };
