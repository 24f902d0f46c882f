'use strict';

const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { WraithError, errorFromStatus, optionError } = require('./errors.js');
const {
  createSecretFile,
  fileError,
  modeError,
  readSource,
} = require('./files.js');
const { check, readOptions } = require('./options.js');

/** An error of a key file names the option and the file, never contents. */
function keyError(status, option, file) {
  const where = file ? `${option} ${file}` : option;
  const error = errorFromStatus(status, { phase: 'options' });
  error.message = `${where}: ${error.message}`;
  error.option = option;
  if (file) error.file = file;
  return error;
}

/** Parses a private key away from the loop: { id, fingerprint, publicKey }. */
function parseKey(text, passphrase, option, file) {
  return new Promise((resolve, reject) => {
    const request = native.keyParse(text, passphrase ?? null);
    if (request < 0) {
      reject(keyError(request, option, file));
      return;
    }
    const ref = new Ref();
    ref.open();
    register(request, {
      onEvent(type, event) {
        if (type !== EVENT.KEY) return;
        unregister(request);
        ref.close();
        if (event.status < 0) reject(keyError(event.status, option, file));
        else resolve({ id: event.key, ...event });
      },
    });
  });
}

/** The text of a key source; a private key must not be for others to read. */
async function readKey(option, source) {
  const { text, file, loose } = await readSource(option, source);
  if (loose && native.keyIsEncrypted(text) >= 0) {
    throw modeError(option, file, loose);
  }
  return { text, file };
}

/** Loads a private key from a key source. */
async function loadKey(option, source, passphrase) {
  const { text, file } = await readKey(option, source);
  return parseKey(text, passphrase, option, file);
}

function generateKey() {
  const id = native.keyGenerate();
  if (id < 0) throw errorFromStatus(id);
  return { id, ...native.keyInfo(id) };
}

function oneLine(name, value) {
  if (/[\r\n]/.test(check.string(name, value))) {
    throw optionError(name, 'must be one line');
  }
  return value;
}

/** A new Ed25519 pair as texts; no passphrase and an empty one are the same. */
function generateKeyPair(options) {
  const { comment = '', passphrase } = readOptions(options, {
    comment: oneLine,
    passphrase: check.string,
  });
  const key = generateKey();
  try {
    const pair = native.keyExport(key.id, comment, passphrase || null);
    if (typeof pair === 'number') throw errorFromStatus(pair);
    return { ...pair, fingerprint: key.fingerprint };
  } finally {
    native.keyFree(key.id);
  }
}

/** The key in `file`, made first if there is no such file. */
async function loadOrCreateHostKey(file) {
  try {
    return { ...(await loadKey('hostKey', file)), file, created: false };
  } catch (error) {
    if (!(error instanceof WraithError) || error.cause?.code !== 'ENOENT') {
      throw error;
    }
  }
  const pair = generateKeyPair({ comment: 'wraith host key' });
  try {
    await createSecretFile(file, pair.privateKey);
  } catch (error) {
    // Another process made it in the meantime: that one counts.
    if (error.code !== 'EEXIST') throw fileError('hostKey', file, error);
    return { ...(await loadKey('hostKey', file)), file, created: false };
  }
  const key = await parseKey(pair.privateKey, undefined, 'hostKey', file);
  return { ...key, file, created: true };
}

module.exports = {
  generateKeyPair,
  keyError,
  loadKey,
  loadOrCreateHostKey,
  parseKey,
  readKey,
};
