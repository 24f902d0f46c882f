'use strict';

// What outlives the process, in the folder of acmeDir:
//
//   tls-key.pem                 the key of the certificates; it stays the same
//                               over renewals, so that pins of it last
//   <directory>/account.json    the account at one directory, with its key
//   <directory>/<names>.pem     the certificate for one set of names, with chain

const {
  X509Certificate,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
} = require('node:crypto');
const path = require('node:path');

const { WraithError } = require('../errors.js');
const { modeError, readSource, replaceSecretFile } = require('../files.js');
const { isOf } = require('./names.js');

const OPTION = 'acmeDir';

function damaged(file, cause) {
  return Object.assign(
    new WraithError(
      'ERR_WRAITH_ACME_STATE',
      `${OPTION}: ${file}: damaged; if it cannot be restored, remove it`,
      { phase: 'options', cause },
    ),
    { option: OPTION, file },
  );
}

const digest = (text) =>
  createHash('sha256').update(text).digest('hex').slice(0, 12);

/** A name for a file that tells what it is for, and is of that alone. */
function fileName(readable, whole) {
  return `${readable.replace(/[^a-z0-9.-]/gi, '_')}-${digest(whole)}`;
}

/** The text of a file of ours, a key or not; null if there is none. */
async function readOwn(file, { secret }) {
  let source;
  try {
    source = await readSource(OPTION, file);
  } catch (error) {
    if (error.cause?.code === 'ENOENT') return null;
    throw error;
  }
  if (secret && source.loose) throw modeError(OPTION, file, source.loose);
  return source.text.toString();
}

function newKey() {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey;
}

function isP256(pem) {
  try {
    const { asymmetricKeyDetails } = createPrivateKey(pem);
    return asymmetricKeyDetails.namedCurve === 'prime256v1';
  } catch {
    return false;
  }
}

/**
 * A certificate with its chain.
 *
 * @returns {{ cert: string, leaf: X509Certificate, from: number,
 *   until: number }}
 */
function parseCertificate(cert) {
  const leaf = new X509Certificate(cert);
  const [from, until] = [leaf.validFrom, leaf.validTo].map(Date.parse);
  return { cert, leaf, from, until };
}

/** Whether the certificate is for the key and for every one of the names. */
function isCertificateFor({ leaf }, key, names) {
  return (
    leaf.checkPrivateKey(createPrivateKey(key)) &&
    names.every((name) => isOf(leaf, name))
  );
}

class State {
  constructor({ dir, directory, domains }) {
    const names = [...domains].sort();
    const folder = fileName(new URL(directory).hostname, directory);
    this.names = names;
    this.keyFile = path.join(dir, 'tls-key.pem');
    this.accountFile = path.join(dir, folder, 'account.json');
    this.certificateFile = path.join(
      dir,
      folder,
      `${fileName(names[0], names.join(' '))}.pem`,
    );
  }

  /** The key of the certificates; made when it is not there. */
  async key() {
    const text = await readOwn(this.keyFile, { secret: true });
    if (text === null) {
      const key = newKey();
      await replaceSecretFile(this.keyFile, key);
      return key;
    }
    if (!isP256(text)) throw damaged(this.keyFile);
    return text;
  }

  /** The certificate for these names and this key, if there is one. */
  async certificate(key) {
    const text = await readOwn(this.certificateFile, { secret: false });
    if (text === null) return null;
    let certificate;
    try {
      certificate = parseCertificate(text);
    } catch (cause) {
      throw damaged(this.certificateFile, cause);
    }
    // Of another key it is once the owner has removed the old one.
    return isCertificateFor(certificate, key, this.names) ? certificate : null;
  }

  saveCertificate(cert) {
    return replaceSecretFile(this.certificateFile, cert);
  }

  /** { key, url, email }; url is null before the directory knows the key. */
  async account() {
    const text = await readOwn(this.accountFile, { secret: true });
    if (text === null) return null;
    try {
      const { key, url = null, email = null } = JSON.parse(text);
      if (isP256(key)) return { key, url, email };
    } catch {
      // The error of JSON.parse() may quote the key.
    }
    throw damaged(this.accountFile);
  }

  /** A new account; its key is on the disk before a directory has seen it. */
  async newAccount() {
    const account = { key: newKey(), url: null, email: null };
    await this.saveAccount(account);
    return account;
  }

  saveAccount(account) {
    const text = JSON.stringify(account, null, 2);
    return replaceSecretFile(this.accountFile, `${text}\n`);
  }
}

module.exports = { State, isCertificateFor, newKey, parseCertificate };
