'use strict';

const fs = require('node:fs');
const { parseArgs } = require('node:util');

const { WraithError, optionError } = require('../errors.js');

/**
 * A flag: type 'text' | 'flag' | 'seconds' | 'secondsOrNone' | 'count' |
 * 'startups' | 'secret' | 'later';
 * many: repeatable; env: read if the flag is not given; option: the name in the
 * API if it is not the flag's own in camel case.
 */
const common = {
  help: { type: 'flag' },
  version: { type: 'flag' },
  'log-level': { type: 'text' },
  'log-format': { type: 'text' },
  json: { type: 'flag' },
};

function camelCase(name) {
  return name.replace(/-([a-z0-9])/g, (_, c) => c.toUpperCase());
}

function usage(flag, message) {
  return optionError(`--${flag}`, message, 'ERR_WRAITH_USAGE');
}

function number(flag, text, pattern, factor) {
  if (!pattern.test(text)) throw usage(flag, `"${text}" is not a number`);
  return Math.round(Number(text) * factor);
}

/** In milliseconds; the range is told in seconds, as they were given. */
function seconds(flag, text) {
  const value = number(flag, text, /^\d+(\.\d{1,3})?$/, 1000);
  if (value >= 1 && value < 2 ** 31) return value;
  throw usage(flag, 'must be from 0.001 to 2147483 seconds');
}

/** A number, or start:rate:full as in sshd's MaxStartups. */
function startups(flag, text) {
  const [, start, rate, full] = /^(\d+):(\d+):(\d+)$/.exec(text) ?? [];
  if (full === undefined) return number(flag, text, /^\d+$/, 1);
  return { start: Number(start), rate: Number(rate), full: Number(full) };
}

const readers = {
  flag: (flag, value) => value,
  text: (flag, value) => value,
  seconds,
  secondsOrNone: (flag, value) => (value === '0' ? 0 : seconds(flag, value)),
  startups,
  count: (flag, value) => number(flag, value, /^\d+$/, 1),
  secret: (flag, value) => (value[0] === '@' ? readSecret(flag, value) : value),
  later(flag) {
    throw usage(flag, 'is not part of this version yet');
  },
};

function readSecret(flag, value) {
  try {
    return fs.readFileSync(value.slice(1), 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw usage(flag, `${value.slice(1)}: ${error.code}`);
  }
}

function toParseArgs(flags) {
  const out = {};
  for (const [name, { type, many }] of Object.entries(flags)) {
    out[name] = {
      type: type === 'flag' ? 'boolean' : 'string',
      multiple: Boolean(many),
    };
    // Given on the command line they shall say so, with or without a value.
    if (type === 'later') out[name].multiple = true;
  }
  return out;
}

/** Node's own texts are long and give advice that does not fit. */
function parseError(error) {
  const match = /'(--?[^'= ]+)/.exec(error.message);
  const flag = match ? match[1].replace(/^--?/, '') : 'arguments';
  const texts = {
    ERR_PARSE_ARGS_UNKNOWN_OPTION: 'is not a known flag',
    ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: 'is not expected here',
    ERR_PARSE_ARGS_INVALID_OPTION_VALUE: 'has a missing or unexpected value',
  };
  const text = texts[error.code];
  if (!text) return error;
  if (error.code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') {
    const word = /'([^']*)'/.exec(error.message);
    // Not an option: it must not be shown with two dashes.
    return new WraithError(
      'ERR_WRAITH_USAGE',
      `"${word ? word[1] : ''}": ${text}`,
      { phase: 'options' },
    );
  }
  return usage(flag, text);
}

/**
 * Parses the arguments of one command; words without a flag only if it takes
 * `positionals`.
 *
 * @returns {{ values: object, given: Set<string>, rules: object[],
 *   positionals: string[] }} values by option name; rules: --allow and --deny
 *   in the order given
 */
function readArgs(args, ownFlags, { positionals = false } = {}) {
  const flags = { ...common, ...ownFlags };
  let parsed;
  try {
    parsed = parseArgs({
      args,
      options: toParseArgs(flags),
      allowPositionals: positionals,
      strict: true,
      tokens: true,
    });
  } catch (error) {
    throw parseError(error);
  }
  return {
    values: readValues(flags, parsed.values),
    given: new Set(Object.keys(parsed.values)),
    rules: readRules(parsed.tokens),
    positionals: parsed.positionals,
  };
}

function readValues(flags, raw) {
  const values = {};
  for (const [name, { type, many, env, option }] of Object.entries(flags)) {
    const value = raw[name] ?? (env ? process.env[env] : undefined);
    if (value === undefined) continue;
    const read = (item) => readers[type](name, item);
    values[option ?? camelCase(name)] = many ? value.map(read) : read(value);
  }
  return values;
}

function readRules(tokens) {
  return tokens
    .filter(
      ({ kind, name }) => kind === 'option' && /^(allow|deny)$/.test(name),
    )
    .map(({ name, value }) => ({ [name]: value }));
}

module.exports = { camelCase, readArgs, usage };
