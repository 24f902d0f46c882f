'use strict';

const { WraithError } = require('../errors.js');
const { asciiJson, makeRecord } = require('../record.js');

const EXIT = {
  OK: 0,
  FAILURE: 1,
  USAGE: 2,
  AUTH: 3,
  HOST_KEY: 4,
  BIND: 5,
};

const LEVELS = ['error', 'warn', 'info', 'debug'];

function exitCode(error) {
  if (!(error instanceof WraithError)) return EXIT.FAILURE;
  if (error.syscall === 'listen') return EXIT.BIND;
  if (error.phase === 'hostkey') return EXIT.HOST_KEY;
  if (error.phase === 'auth') return EXIT.AUTH;
  if (error.code === 'ERR_WRAITH_PROXY_AUTH') return EXIT.AUTH;
  if (error.phase === 'options') return EXIT.USAGE;
  return EXIT.FAILURE;
}

/** One line; options by their flags' names. */
function errorText(error) {
  const flag = error.option
    ?.replace(/\[\d+\]/, '')
    .replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  const message = error instanceof WraithError ? error.message : String(error);
  const text =
    flag && !flag.startsWith('-') && message.startsWith(error.option)
      ? `--${flag}${message.slice(error.option.length)}`
      : message;
  return text.replace(/[\r\n]+/g, ' ');
}

/** What goes to stderr while running, in the form that was asked for. */
class Reporter {
  #level;
  #json;

  constructor({ logLevel = 'info', logFormat = 'logfmt' }) {
    this.#level = LEVELS.indexOf(logLevel);
    this.#json = logFormat === 'json';
  }

  /** A record of the server's log. */
  record(record, line) {
    const text = this.#json ? asciiJson(record) : line;
    process.stderr.write(`${text}\n`);
  }

  /** A record of our own; fields in order. */
  say(level, message, fields = {}) {
    if (LEVELS.indexOf(level) > this.#level) return;
    const { record, line } = makeRecord(level.toUpperCase(), message, fields);
    this.record(record, line);
  }
}

function readOutput({ logLevel, logFormat }) {
  if (logLevel !== undefined && !LEVELS.includes(logLevel)) {
    throw badChoice('log-level', LEVELS);
  }
  if (logFormat !== undefined && !['logfmt', 'json'].includes(logFormat)) {
    throw badChoice('log-format', ['logfmt', 'json']);
  }
  return new Reporter({ logLevel, logFormat });
}

function badChoice(flag, choices) {
  return new WraithError(
    'ERR_WRAITH_USAGE',
    `--${flag}: must be one of ${choices.join(', ')}`,
    { phase: 'options' },
  );
}

function print(line) {
  process.stdout.write(`${line}\n`);
}

module.exports = { EXIT, errorText, exitCode, print, readOutput };
