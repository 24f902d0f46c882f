'use strict';

const util = require('node:util');

const BRAND = Symbol.for('wraith.error');

/** number → [code, phase, text]; filled by the binding when it loads. */
const table = new Map();

class WraithError extends Error {
  /**
   * @param {string} code 'ERR_WRAITH_…', or a system code for carrier dials
   * @param {string} message
   * @param {{ phase?: string, cause?: unknown }} [more]
   */
  constructor(code, message, more = {}) {
    super(
      message,
      more.cause === undefined ? undefined : { cause: more.cause },
    );
    this.code = code;
    if (more.phase) this.phase = more.phase;
  }

  get name() {
    return 'WraithError';
  }

  get [BRAND]() {
    return true;
  }

  // Two copies of the package in one process still know each other's errors.
  static [Symbol.hasInstance](value) {
    return Boolean(value && value[BRAND]);
  }
}

function setErrorTable(rows) {
  for (const [number, row] of Object.entries(rows)) {
    table.set(Number(number), row);
  }
}

/** The number of an error of the core, by its code without prefix. */
function statusOf(code) {
  for (const [number, row] of table) {
    if (row[0] === code) return number;
  }
  throw new TypeError(`no such error: ${code}`);
}

/**
 * An error from a number of the core or of libuv.
 *
 * @param {number} status
 * @param {{ phase?: string, cause?: unknown, text?: string,
 *   syscall?: string, address?: string, port?: number }} [more] address and
 *   port only for what the user named himself: a server or a bind address
 */
function errorFromStatus(status, more = {}) {
  const row = table.get(status);
  if (row) {
    const [code, phase, text] = row;
    const message = more.text ? `${text}: ${more.text}` : text;
    return new WraithError(`ERR_WRAITH_${code}`, message, {
      phase: more.phase || phase || undefined,
      cause: more.cause,
    });
  }
  return systemError(status, more);
}

/** As it is typed: with a space before, or nothing. */
function placeText({ address, port }) {
  if (address === undefined) return '';
  if (port === undefined) return ` ${address}`;
  return address.includes(':')
    ? ` [${address}]:${port}`
    : ` ${address}:${port}`;
}

function systemError(status, more) {
  const [code, text] = util.getSystemErrorMap().get(status) || [
    'UNKNOWN',
    'unknown error',
  ];
  const where = placeText(more);
  const what = more.syscall ? `${more.syscall} ` : '';
  const error = new WraithError(code, `${what}${code}${where}: ${text}`, more);
  error.errno = status;
  if (more.syscall) error.syscall = more.syscall;
  if (more.address !== undefined) error.address = more.address;
  if (more.port !== undefined) error.port = more.port;
  return error;
}

function optionError(option, message, code = 'ERR_WRAITH_INVALID_ARGUMENT') {
  const error = new WraithError(code, `${option}: ${message}`, {
    phase: 'options',
  });
  error.option = option;
  return error;
}

/** What the core found wrong in the text of an option, or of its file. */
function sourceError(status, { option, file, line, why }) {
  const error = errorFromStatus(status, { phase: 'options' });
  const where = `${file || option}${line ? `:${line}` : ''}`;
  error.message = `${option}: ${where}: ${why ?? error.message}`;
  error.option = option;
  if (file) error.file = file;
  if (line) error.line = line;
  return error;
}

function abortError(signal) {
  const error = new WraithError(
    'ERR_WRAITH_ABORTED',
    'the operation was aborted',
    { cause: signal.reason },
  );
  return error;
}

module.exports = {
  WraithError,
  abortError,
  errorFromStatus,
  optionError,
  setErrorTable,
  sourceError,
  statusOf,
};
