'use strict';

const fs = require('node:fs');

const { native } = require('./binding.js');
const { nowSeconds, readCertificate } = require('./certificate.js');
const {
  WraithError,
  errorFromStatus,
  optionError,
  statusOf,
} = require('./errors.js');
const { appendFile, fileError, readFile } = require('./files.js');

const VERDICT = { MATCH: 0, UNKNOWN: 1, MISMATCH: 2, REVOKED: 3 };
const LINE_START = /^(ssh|ecdsa|sk)-\S+\s+\S/;

function hostKeyError(code, message, more) {
  return Object.assign(
    new WraithError(`ERR_WRAITH_${code}`, message, { phase: 'hostkey' }),
    more,
  );
}

function pinError(where, status) {
  const error = errorFromStatus(status, { phase: 'options' });
  error.message = `${where}: ${error.message}`;
  error.option = 'hostKey';
  return error;
}

function pinFromLine(where, line) {
  const key = native.publicKey(line);
  if (typeof key === 'number') throw pinError(where, key);
  // Pins are of keys, so that they outlive certificates.
  if (key.type.includes('-cert-')) {
    const error = pinError(where, statusOf('KEY_TYPE'));
    error.message += ': a certificate; pin the key itself';
    throw error;
  }
  return key.fingerprint;
}

/**
 * What the core tells of a host key: what others may see of it, and `presented`,
 * the key or certificate as one line.
 */
function readHostKey({ presented, certificate, ...key }) {
  if (certificate) key.certificate = readCertificate(certificate);
  return { key, presented: presented ?? key.publicKey };
}

/** Pins as fingerprints: of fingerprints, key lines, and files of key lines. */
async function readPins(list) {
  const pins = [];
  for (const item of list) {
    if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(item)) pins.push(item);
    else if (item.startsWith('SHA256:')) {
      throw optionError('hostKey', "'SHA256:' and 43 characters are needed");
    } else if (LINE_START.test(item)) pins.push(pinFromLine('hostKey', item));
    else pins.push(...(await readPinFile(item)));
  }
  return pins;
}

async function readPinFile(file) {
  const text = (await readFile('hostKey', file)).toString('utf8');
  const lines = text.split(/\r?\n/).filter((l) => l.trim() && l[0] !== '#');
  const pins = lines.map((line) => pinFromLine(`hostKey ${file}`, line));
  if (pins.length > 0) return pins;
  throw optionError('hostKey', `${file}: no key`, 'ERR_WRAITH_KEY_FORMAT');
}

/** An absent known_hosts is an empty one. */
async function readKnownHosts(file) {
  try {
    return await fs.promises.readFile(file);
  } catch (error) {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw fileError('knownHosts', file, error);
  }
}

/** Of a certificate whose authority is known. */
const butFor = (why) => (why === undefined ? '' : `; its certificate ${why}`);

/** Judges the keys of one server by what the options say. */
class HostKeyJudge {
  #options;
  #host;
  #port;

  constructor(options, server) {
    this.#options = options;
    this.#host = server ? server.host : '';
    this.#port = server ? server.port : 22;
  }

  /** Throws if there is nothing to check a key with. */
  static require(options) {
    const { hostKey, knownHosts, server } = options;
    const some = Array.isArray(hostKey) ? hostKey.length > 0 : hostKey;
    if (some) return;
    if (knownHosts && server) return;
    if (knownHosts) {
      const why = 'keeps keys under a name: give server beside the stream';
      throw optionError('knownHosts', why);
    }
    throw errorFromStatus(statusOf('HOST_KEY_REQUIRED'));
  }

  /** Key types to offer first: a server has several, we may know only one. */
  async preferredTypes() {
    if (this.#options.hostKey || !this.#options.knownHosts) return undefined;
    const text = await readKnownHosts(this.#options.knownHosts);
    return native.knownHostsTypes(text, this.#host, this.#port) || undefined;
  }

  /**
   * Resolves if the key is accepted; throws a coded error if not.
   *
   * @param {object} event as the core posts it
   * @returns {Promise<{ added: boolean }>}
   */
  async check(event) {
    const { key, presented } = readHostKey(event);
    const { hostKey } = this.#options;
    if (typeof hostKey === 'function') await this.#ask(hostKey, key);
    else if (hostKey) await this.#checkPins(hostKey, key);
    else return { ...key, ...(await this.#checkKnownHosts(key, presented)) };
    return { ...key, added: false };
  }

  async #ask(decide, key) {
    const info = { ...key, host: this.#host, port: this.#port };
    let cause;
    try {
      if ((await decide(info)) === true) return;
    } catch (error) {
      cause = error; // a throw refuses
    }
    const why = 'was refused by the application';
    throw this.#mismatch(key, why, cause === undefined ? {} : { cause });
  }

  async #checkPins(list, key) {
    const pins = await readPins(list);
    if (!pins.includes(key.fingerprint)) {
      throw this.#mismatch(key, 'is not the pinned one');
    }
  }

  #mismatch(key, why, more) {
    const message = `the server's host key ${key.fingerprint} ${why}`;
    return hostKeyError('HOST_KEY_MISMATCH', message, {
      fingerprint: key.fingerprint,
      ...more,
    });
  }

  async #checkKnownHosts(key, presented) {
    const file = this.#options.knownHosts;
    const text = await readKnownHosts(file);
    const answer = native.knownHosts(
      text,
      this.#host,
      this.#port,
      presented,
      nowSeconds(),
    );
    if (typeof answer === 'number') throw errorFromStatus(answer);
    const { verdict, line, why } = answer;
    if (verdict === VERDICT.MATCH) return { added: false };
    if (verdict === VERDICT.UNKNOWN) {
      return this.#firstContact(file, text, key, why);
    }
    const what = verdict === VERDICT.REVOKED ? 'is revoked' : 'has changed';
    throw this.#mismatch(key, `${what} (${file}:${line})${butFor(why)}`, {
      file,
      line,
    });
  }

  async #firstContact(file, text, key, why) {
    if (!this.#options.acceptNew) {
      const message = `the server's host key ${key.fingerprint} is not known`;
      throw hostKeyError(
        'HOST_KEY_UNKNOWN',
        `${message} (${file})${butFor(why)}`,
        {
          fingerprint: key.fingerprint,
          file,
        },
      );
    }
    const line = native.knownHostsLine(this.#host, this.#port, key.publicKey);
    const glue = text.length > 0 && text[text.length - 1] !== 10 ? '\n' : '';
    try {
      await appendFile(file, glue + line);
    } catch (error) {
      throw fileError('knownHosts', file, error);
    }
    return { added: true, file };
  }
}

module.exports = { HostKeyJudge, readPins };
