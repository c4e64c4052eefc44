'use strict';
// Error values of the runtime and the shape in which errors leave it.

const { types } = require('util');

function define(name) {
  const type = { [name]: class extends Error {} }[name];
  type.prototype.name = `Runtime.${name}`;
  return type;
}

const ImportModuleError = define('ImportModuleError');
const HandlerNotFound = define('HandlerNotFound');
const MalformedHandlerName = define('MalformedHandlerName');
const UserCodeSyntaxError = define('UserCodeSyntaxError');
const MalformedStreamingHandler = define('MalformedStreamingHandler');
const InvalidStreamingOperation = define('InvalidStreamingOperation');
const CallbackHandlerDeprecated = define('CallbackHandlerDeprecated');

class NodeJsExit extends Error {
  constructor() {
    super(
      'Nothing is left to run but the answer is missing: most often a promise that never settles.',
    );
  }
}
NodeJsExit.prototype.name = 'Runtime.NodeJsExit';

class UnhandledPromiseRejection extends Error {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}
UnhandledPromiseRejection.prototype.name = 'Runtime.UnhandledPromiseRejection';

function isErrorLike(value) {
  return (
    typeof value?.name === 'string' &&
    typeof value.message === 'string' &&
    typeof value.stack === 'string' &&
    value.name !== '' &&
    value.message !== '' &&
    value.stack !== ''
  );
}

// DEL would not pass through an HTTP header, where the cloud carries parts of an error.
const printable = (text) => text?.replaceAll?.('\x7F', '%7F');

function toShape(error) {
  try {
    if (types.isNativeError(error) || isErrorLike(error)) {
      return {
        errorType: printable(error.name),
        errorMessage: printable(error.message),
        trace: printable(error.stack)?.split('\n') ?? [],
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or ' +
        'more of its message, name, and stack',
    };
  }
}

const toError = (value) => (value instanceof Error ? value : new Error(value));

// The text form of an error in a log line: a tab, then JSON with the members that JSON.stringify
// would leave out of an Error.
function toLogText(error) {
  const visible = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const out = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === 'string') out.stack = value.stack.split('\n');
    return out;
  };
  try {
    return '\t' + JSON.stringify(error, visible);
  } catch {
    return '\t' + JSON.stringify(toShape(error));
  }
}

function stringify(value) {
  try {
    // A value that JSON cannot express at all (a function, a symbol) answers null.
    return JSON.stringify(value === undefined ? null : value) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

module.exports = {
  ImportModuleError,
  HandlerNotFound,
  MalformedHandlerName,
  UserCodeSyntaxError,
  MalformedStreamingHandler,
  InvalidStreamingOperation,
  CallbackHandlerDeprecated,
  NodeJsExit,
  UnhandledPromiseRejection,
  toShape,
  toError,
  toLogText,
  stringify,
};
