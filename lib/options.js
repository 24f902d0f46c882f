'use strict';

// Options are read once, here: unknown names throw, every value is checked, and
// what goes on is a plain object of known shape.

const net = require('node:net');
const { Duplex } = require('node:stream');

const { optionError } = require('./errors.js');

const UINT32_MAX = 0xffffffff;

/**
 * Tests and benchmarks: what the core takes beyond the documented options
 * (ciphers, rekeyBytes, dialTimeout, visitorTime, limits of the decoy). Not an interface.
 */
const kInternal = Symbol.for('wraith.internal');

function isPlainObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

const check = {
  string(name, value) {
    if (typeof value !== 'string') throw optionError(name, 'must be a string');
    if (value.includes('\0')) throw optionError(name, 'holds a zero byte');
    return value;
  },
  text(name, value) {
    if (check.string(name, value) === '') {
      throw optionError(name, 'must not be empty');
    }
    return value;
  },
  boolean(name, value) {
    if (typeof value !== 'boolean') {
      throw optionError(name, 'must be true or false');
    }
    return value;
  },
  integer(min, max) {
    return (name, value) => {
      if (!Number.isInteger(value) || value < min || value > max) {
        throw optionError(name, `must be a whole number from ${min} to ${max}`);
      }
      return value;
    };
  },
  functionValue(name, value) {
    if (typeof value !== 'function')
      throw optionError(name, 'must be a function');
    return value;
  },
  oneOf(...values) {
    return (name, value) => {
      if (!values.includes(value)) {
        throw optionError(name, `must be one of ${values.join(', ')}`);
      }
      return value;
    };
  },
  /** A path, contents (a string with a line feed) or a Buffer of contents. */
  keySource(name, value) {
    if (typeof value === 'string') return check.text(name, value);
    if (value instanceof Uint8Array) return value;
    throw optionError(name, 'must be a path, contents or a Buffer');
  },
  signal(name, value) {
    if (!(value instanceof AbortSignal)) {
      throw optionError(name, 'must be an AbortSignal');
    }
    return value;
  },
  duplex(name, value) {
    if (typeof value === 'function' || value instanceof Duplex) return value;
    throw optionError(name, 'must be a Duplex or a function that returns one');
  },
  listOf(one) {
    return (name, value) => {
      const list = Array.isArray(value) ? value : [value];
      return list.map((item, i) => one(`${name}[${i}]`, item));
    };
  },
};

const port = check.integer(0, 65535);
const milliseconds = check.integer(1, 2 ** 31 - 1);
const count = check.integer(1, UINT32_MAX);
const countOrNone = check.integer(0, UINT32_MAX);

/** Options of later versions: named, so that the message can be clear. */
function later(name) {
  throw optionError(
    name,
    'is not part of this version yet',
    'ERR_WRAITH_UNSUPPORTED',
  );
}

/** One of `known`; those of later versions are told apart from mistakes. */
function transportOf(known, coming) {
  const one = check.oneOf(...known, ...coming);
  return (name, value) => {
    if (coming.includes(one(name, value))) later(`${name} ${value}`);
    return value;
  };
}

/** From the root, without empty segments or '.' and '..'. */
function webPath(name, value) {
  const segments = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/;
  const isPath = check.text(name, value)[0] === '/' && value.length <= 255;
  if (isPath && segments.test(value)) return value;
  throw optionError(name, 'must be a path of letters, digits and -._~');
}

const connectShape = {
  transport: transportOf(['tcp', 'tls', 'wss', 'ws'], ['iroh', 'h3', 'auto']),
  server: check.text,
  peer: later,
  stream: check.duplex,
  identity: check.keySource,
  passphrase: check.string,
  certificate: check.keySource,
  /** true: SSH_AUTH_SOCK; a string: the path of the agent's socket. */
  agent(name, value) {
    if (typeof value === 'boolean') return value;
    if (typeof value === 'string') return check.text(name, value);
    throw optionError(name, 'must be true, false or the path of a socket');
  },
  user: check.text,
  hostKey(name, value) {
    if (typeof value === 'function') return value;
    return check.listOf(check.text)(name, value);
  },
  knownHosts: check.text,
  acceptNew: check.boolean,
  tlsServerName: check.text,
  tlsCa: check.keySource,
  tlsPin: check.listOf(check.text),
  insecure: check.boolean,
  stealthSecret: check.text,
  wsPath: webPath,
  irohRelay: later,
  irohKey: later,
  proxy: check.text,
  keepalive: milliseconds,
  connectTimeout: milliseconds,
  signal: check.signal,
};

const reconnectShape = {
  reconnect: check.boolean,
  minDelay: milliseconds,
  maxDelay: milliseconds,
};

function rule(name, value) {
  if (!isPlainObject(value)) {
    throw optionError(name, 'must be { allow } or { deny }');
  }
  const keys = Object.keys(value);
  if (keys.length !== 1 || !['allow', 'deny'].includes(keys[0])) {
    throw optionError(name, 'must be { allow } or { deny }');
  }
  check.text(`${name}.${keys[0]}`, value[keys[0]]);
  return value;
}

/** A number, or { start, rate, full } as in sshd's MaxStartups. */
function startups(name, value) {
  if (!isPlainObject(value)) return { full: count(name, value) };
  const { start, rate, full, ...others } = value;
  if (Object.keys(others).length > 0) {
    throw optionError(name, 'must be a number or { start, rate, full }');
  }
  count(`${name}.full`, full);
  check.integer(1, full)(`${name}.start`, start);
  check.integer(1, 100)(`${name}.rate`, rate);
  return { start, rate, full };
}

const serveShape = {
  hostKey: check.keySource,
  passphrase: check.string,
  hostCertificate: check.keySource,
  authorizedKeys: check.listOf(check.keySource),
  certAuthority: check.listOf(check.keySource),
  revokedKeys: check.listOf(check.keySource),
  transport: check.listOf(transportOf(['tcp', 'tls', 'ws'], ['iroh', 'h3'])),
  listen: check.listOf(check.string),
  tlsCert: check.keySource,
  tlsKey: check.keySource,
  stealth: check.boolean,
  decoy: check.text,
  stealthSecret: check.text,
  wsPath: webPath,
  trustProxy: check.listOf(check.text),
  proxy: check.text,
  irohRelay: later,
  irohKey: later,
  publishAddresses: later,
  publish: later,
  allowPeer: later,
  maxConnectionsPerIp: countOrNone,
  maxAuthAttempts: count,
  loginGraceTime: milliseconds,
  maxStartups: startups,
  penaltyTime: check.integer(0, 2 ** 31 - 1),
  penaltyMax: milliseconds,
  penaltyExempt: check.listOf(check.text),
  maxSessions: count,
  maxChannels: count,
  keepalive: milliseconds,
  allow: check.listOf(check.text),
  deny: check.listOf(check.text),
  policy: check.listOf(rule),
  gatewayPorts: check.boolean,
  forwarding: check.boolean,
  metrics: check.text,
  workers: later,
  authorize: check.functionValue,
  log: check.functionValue,
  logLevel: check.oneOf('error', 'warn', 'info', 'debug'),
  signal: check.signal,
};

/**
 * Checks `options` against shapes of { name: check }. Undefined counts as not
 * given.
 */
function readOptions(options, ...shapes) {
  if (options === undefined) return {};
  if (!isPlainObject(options)) {
    throw optionError('options', 'must be an object');
  }
  const shape = Object.assign({}, ...shapes);
  const out = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(shape, name)) {
      throw optionError(
        name,
        'is not a known option',
        'ERR_WRAITH_UNKNOWN_OPTION',
      );
    }
    if (value !== undefined) out[name] = shape[name](name, value);
  }
  return out;
}

/** 'host', 'host:port', '[v6]:port', 'v6' → { host, port }. */
function parseHostPort(name, text, defaultPort) {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^:[\]\s]+)(?::(\d{1,5}))?$/.exec(text);
  const match = net.isIPv6(text) ? [text, text] : bracketed || plain;
  if (!match || (match === bracketed && !net.isIPv6(match[1]))) {
    throw optionError(name, 'must be host, host:port or [v6]:port');
  }
  const number = match[2] === undefined ? defaultPort : Number(match[2]);
  if (number === undefined) throw optionError(name, 'needs a port');
  return { host: match[1], port: port(name, number) };
}

/** 'user:password', as SOCKS5 can carry it. */
function parseAuth(name, text) {
  const [, user, password] =
    /^([^:]+):(.+)$/s.exec(check.string(name, text)) ?? [];
  if (user === undefined) throw optionError(name, 'must be user:password');
  if (Buffer.byteLength(user) > 255 || Buffer.byteLength(password) > 255) {
    throw optionError(name, 'takes at most 255 bytes each');
  }
  return { user, password };
}

module.exports = {
  check,
  connectShape,
  isPlainObject,
  kInternal,
  parseAuth,
  parseHostPort,
  port,
  readOptions,
  reconnectShape,
  serveShape,
};
