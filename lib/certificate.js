'use strict';

const { native } = require('./binding.js');
const { readSource } = require('./files.js');
const { keyError } = require('./keys.js');

const FOREVER = '18446744073709551615';

const nowSeconds = () => Math.floor(Date.now() / 1000);

/** Numbers of 64 bits come as texts; times become milliseconds. */
function readCertificate({ validAfter, validBefore, ...rest }) {
  return {
    ...rest,
    validAfter: Number(validAfter) * 1000,
    validBefore:
      validBefore === FOREVER ? Infinity : Number(validBefore) * 1000,
  };
}

/**
 * The certificate of a host key that is loaded: its blob, what it says, and
 * `fault` if clients will not accept it now.
 */
async function loadHostCertificate(source, key) {
  const { text, file } = await readSource('hostCertificate', source);
  const read = native.hostCertificate(key.id, text, nowSeconds());
  const status = typeof read === 'number' ? read : read.status;
  if (status < 0) {
    const error = keyError(status, 'hostCertificate', file);
    if (read.why) error.message += `: ${read.why}`;
    throw error;
  }
  const info = readCertificate(JSON.parse(read.info));
  if (read.fault !== undefined) info.fault = read.fault;
  return { blob: read.blob, info };
}

module.exports = { loadHostCertificate, nowSeconds, readCertificate };
