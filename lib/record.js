'use strict';

// Records of a log as the core writes them (docs/log.md): an object, and one
// line of logfmt.

/** One line of ASCII: what is beyond could turn or hide text in a terminal. */
function asciiJson(value) {
  const escape = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, escape);
}

function quote(value) {
  return /^[!#-<>-[\]-~]+$/.test(value) ? value : asciiJson(value);
}

function formatFields(fields) {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${quote(String(value))}`)
    .join('');
}

/** Of now; fields in order. */
function makeRecord(level, message, fields) {
  const time = new Date().toISOString();
  return {
    record: { time, level, message, ...fields },
    line: `${time} ${level} ${message}${formatFields(fields)}`,
  };
}

module.exports = { asciiJson, makeRecord };
