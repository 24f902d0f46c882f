'use strict';
// Self-signed certificates for local servers.
const fs = require('node:fs');
const { spawnSync } = require('node:child_process');
const peers = require('../../../scripts/peers.js');

// False, or why there can be none.
const noCertificate = peers.skip('openssl');

// For `alt`, as openssl writes subject alternative names; each is its own
// authority. { key, cert } and the files they are in.
function makeCertificate(lab, { name = 'tls', alt } = {}) {
  const keyFile = lab.file(`${name}.key`);
  const certFile = lab.file(`${name}.crt`);
  const args = ['req', '-x509', '-newkey', 'ec', '-nodes', '-days', '2'];
  args.push('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-subj', '/CN=test');
  if (alt) args.push('-addext', `subjectAltName=${alt}`);
  args.push('-keyout', keyFile, '-out', certFile);
  const { status, stderr } = spawnSync(peers.path('openssl'), args, {
    env: peers.env(),
  });
  if (status !== 0) throw new Error(`openssl: ${stderr}`);
  const [key, cert] = [fs.readFileSync(keyFile), fs.readFileSync(certFile)];
  return { key, cert, keyFile, certFile };
}

module.exports = { makeCertificate, noCertificate };
