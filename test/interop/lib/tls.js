'use strict';
// A self-signed certificate for a local web server.
const fs = require('node:fs');
const { spawnSync } = require('node:child_process');
const peers = require('../../../scripts/peers.js');

// False, or why there can be none.
const noCertificate = peers.skip('openssl');

function makeCertificate(lab) {
  const [key, cert] = [lab.file('tls.key'), lab.file('tls.crt')];
  const args = ['req', '-x509', '-newkey', 'ec', '-nodes', '-days', '2'];
  args.push('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-subj', '/CN=test');
  args.push('-keyout', key, '-out', cert);
  const { status, stderr } = spawnSync('openssl', args, { env: peers.env() });
  if (status !== 0) throw new Error(`openssl: ${stderr}`);
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}

module.exports = { makeCertificate, noCertificate };
