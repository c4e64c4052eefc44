'use strict';
// A function that templates load to warm the loader (template.js).
exports.handler = async (event) => event;
