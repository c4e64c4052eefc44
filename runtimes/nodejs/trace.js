'use strict';
// The variable _X_AMZN_TRACE_ID, which names the trace of the event under way.
//
// The C library never gives back a value that setenv(3) has set, so a function that is called
// often would grow by each of its trace headers, and looking for a known value takes longer with
// each. A header that nobody samples is therefore set when the function next asks for process.env;
// a sampled one at once, so that a reference to process.env kept from earlier sees it too.

const NAME = '_X_AMZN_TRACE_ID';
let variables = process.env;
let pending; // not yet set
let sampled = false; // what is set

function flush() {
  const value = pending;
  pending = undefined;
  if (value === '') delete variables[NAME];
  else variables[NAME] = value;
}

function set(header) {
  const before = sampled;
  sampled = header.includes('Sampled=1');
  pending = header;
  if (sampled || before) flush();
}

let followed = null; // of several events at one time: answers the header of the one that asks
let shown = ''; // what is set of theirs

// Each call finds its own header, as long as it asks before the next await.
function showFollowed() {
  const header = followed();
  if (header === undefined || header === shown) return;
  shown = header;
  pending = header;
}

function watch() {
  Object.defineProperty(process, 'env', {
    get() {
      if (followed !== null) showFollowed();
      if (pending !== undefined) flush();
      return variables;
    },
    set(value) {
      variables = value;
    },
    enumerable: true,
    configurable: true,
  });
}

function follow(headerOfCall) {
  followed = headerOfCall;
}

module.exports = { set, watch, follow };
