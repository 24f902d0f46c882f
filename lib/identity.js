'use strict';

// What a client logs in with: a private key, certificates, keys in an agent.

const { AgentList, agentError, agentPath } = require('./agent.js');
const { native } = require('./binding.js');
const { errorFromStatus, optionError, statusOf } = require('./errors.js');
const { defaultPaths, readSource } = require('./files.js');
const { keyError, parseKey, readKey } = require('./keys.js');

/** More than any server listens to. */
const IDENTITIES_MAX = 64;

/** What two texts of the same key have in common. */
const base64Of = (publicKey) => publicKey.split(' ')[1];

/** The one line of a file of a public key or certificate. */
function firstLine(text) {
  const lines = text.toString('utf8').split(/\r?\n/);
  return lines.find((line) => line.trim() && line[0] !== '#') ?? '';
}

/** A public key as base64, or null if the text is none. */
function publicOf(text) {
  const key = native.publicKey(firstLine(text).slice(0, 4096));
  return typeof key === 'number' ? null : key.blob.toString('base64');
}

/** As readSource(); null if there is no such file. */
async function readIfThere(option, file) {
  try {
    return await readSource(option, file);
  } catch (error) {
    if (error.cause?.code === 'ENOENT') return null;
    throw error;
  }
}

async function publicBeside(file) {
  const source = file && (await readIfThere('identity', `${file}.pub`));
  return source && publicOf(source.text);
}

/**
 * The identity's file: { text, file } of a private key, { publicKey, file } of
 * one that only the agent has. With an agent the public key beside a private
 * one that is absent says which one is meant, and so it does beside one that is
 * encrypted (then there are both).
 */
async function readIdentity(source, withAgent) {
  let read;
  try {
    read = await readKey('identity', source);
  } catch (error) {
    if (!withAgent || error.cause?.code !== 'ENOENT') throw error;
    const publicKey = await publicBeside(source);
    if (!publicKey) throw error;
    return { publicKey, file: source };
  }
  const encrypted = native.keyIsEncrypted(read.text);
  if (encrypted === 1 && withAgent) {
    return { ...read, publicKey: await publicBeside(read.file) };
  }
  if (encrypted >= 0) return read;
  const publicKey = publicOf(read.text);
  if (!publicKey) return read; // whoever parses it says what is wrong
  if (withAgent) return { publicKey, file: read.file };
  const error = keyError(statusOf('KEY_FORMAT'), 'identity', read.file);
  error.message += ': it is a public key, which only an agent can sign for';
  throw error;
}

/** Whether a passphrase has to be asked for before anything can be done. */
async function needsPassphrase(source, withAgent) {
  const { text, publicKey } = await readIdentity(source, withAgent);
  return !publicKey && native.keyIsEncrypted(text) === 1;
}

function certificateError(file, why) {
  const where = file ? `certificate ${file}` : 'certificate';
  const error = optionError('certificate', why, 'ERR_WRAITH_CERTIFICATE');
  error.message = `${where}: ${why}`;
  if (file) error.file = file;
  return error;
}

function readCertificate({ text, file }) {
  const found = native.certificate(firstLine(text));
  if (typeof found === 'number') throw keyError(found, 'certificate', file);
  if (!found.user) throw certificateError(file, "is a host's, not a user's");
  return { blob: found.blob, signer: base64Of(found.publicKey), file };
}

/** As ssh names it, also for a public key. */
const certificateBeside = (file) => `${file.replace(/\.pub$/, '')}-cert.pub`;

/** Reads what the options name, for one try after the other. */
class Identities {
  #options;
  #key = null; // stays: its file may be gone when it is needed again
  #list = null;
  #closed = false;

  constructor(options) {
    this.#options = options;
  }

  /** What the core takes: { identities, agent }. */
  async load() {
    const agent = agentPath(this.#options.agent);
    const held = agent ? await this.#listAgent(agent) : [];
    const own = await this.#loadOwn(agent !== null, held);
    const certificate = await this.#loadCertificate(own);
    const list = choose(held, own, certificate);
    if (list.length === 0) throw agentError('AGENT_NO_KEY', agent);
    this.#mustBeOpen();
    return { identities: list.slice(0, IDENTITIES_MAX), agent };
  }

  close() {
    this.#closed = true;
    this.#list?.cancel();
    if (this.#key) native.keyFree(this.#key.id);
    this.#key = null;
  }

  #mustBeOpen() {
    if (this.#closed) throw errorFromStatus(statusOf('CLOSED'));
  }

  async #listAgent(path) {
    this.#mustBeOpen();
    this.#list = new AgentList(path, this.#options.connectTimeout);
    try {
      return await this.#list.keys;
    } finally {
      this.#list = null;
    }
  }

  /** { key, publicKey, file }, without a key of ours { publicKey, file }. */
  async #loadOwn(withAgent, held) {
    const { identity, passphrase } = this.#options;
    if (this.#key) return this.#key.own;
    if (identity === undefined && withAgent) return null;
    const source = identity ?? defaultPaths.identity();
    const read = await readIdentity(source, withAgent);
    const { text, publicKey, file } = read;
    const locked = text && publicKey && passphrase === undefined;
    if (!text || (locked && held.includes(publicKey))) {
      return { publicKey, file };
    }
    const key = await parseKey(text, passphrase, 'identity', file);
    const own = { key: key.id, publicKey: base64Of(key.publicKey), file };
    if (this.#closed) native.keyFree(key.id);
    else this.#key = { id: key.id, own };
    this.#mustBeOpen();
    return own;
  }

  /** Each time anew: they are made to live briefly and be replaced. */
  async #loadCertificate(own) {
    const { certificate } = this.#options;
    if (certificate !== undefined) {
      return readCertificate(await readSource('certificate', certificate));
    }
    if (!own?.file) return null;
    const file = certificateBeside(own.file);
    const source = await readIfThere('certificate', file);
    if (!source) return null;
    const found = readCertificate(source);
    if (found.signer === own.publicKey) return found;
    throw certificateError(file, 'does not belong to the key beside it');
  }
}

const byAgent = (key) => ({ blob: Buffer.from(key, 'base64') });

/** The certificate, with whoever signs for its key. */
function certified({ blob, signer, file }, own, held) {
  if (own?.key && signer === own.publicKey) return { blob, key: own.key };
  if (own && signer !== own.publicKey) {
    throw certificateError(file, 'does not belong to the identity');
  }
  if (held.includes(signer)) {
    return { blob, signer: Buffer.from(signer, 'base64') };
  }
  throw agentError('AGENT_NO_KEY', `that of ${file ?? 'the certificate'}`);
}

/**
 * What is offered, in this order: the certificate, the identity, the keys of
 * the agent in its own order. An identity that only the agent can sign for is
 * the only one of its keys.
 */
function choose(held, own, certificate) {
  const first = [];
  const told = new Set();
  if (certificate) {
    first.push(certified(certificate, own, held));
    told.add(certificate.blob.toString('base64'));
  }
  if (own?.key) {
    first.push({ key: own.key });
    told.add(own.publicKey);
  } else if (own && !held.includes(own.publicKey)) {
    throw agentError('AGENT_NO_KEY', own.file ?? 'that of the identity');
  }
  const keys = own && !own.key ? [own.publicKey] : held;
  return [...first, ...keys.filter((key) => !told.has(key)).map(byAgent)];
}

module.exports = { Identities, needsPassphrase };
