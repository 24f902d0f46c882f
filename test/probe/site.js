'use strict';
// The folder that both servers show, and their certificate.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const peers = require('../../scripts/peers.js');

const date = new Date('2024-01-01T00:00:00Z');

const files = {
  'index.html': '<!doctype html>\n<h1>A site</h1>\n',
  'a.txt': '0123456789',
  'sub/index.html': '<!doctype html>\n<h1>A folder</h1>\n',
  'a folder/index.htm': '<h1>Another one</h1>\n',
  'empty/.keep': '',
  'zero.bin': '',
  README: 'no extension\n',
  'PIC.PNG': 'not a picture\n',
  'app.tar.gz': 'no archive\n',
  '.env': 'SECRET=1\n',
  '.git/config': '[core]\n',
  '.well-known/security.txt': 'Contact: mailto:a@example.test\n',
  // The same every time, and not so regular that it packs to nothing.
  'large.bin': Buffer.from(
    Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251),
  ),
  'large.html': '<p>one line of a page</p>\n'.repeat(4000),
};

function makeSite(root) {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
    fs.utimesSync(file, date, date);
  }
}

// Signatures of an ECDSA key differ in length, those of an RSA key do not.
const keys = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
};

function makeCertificate(dir, kind = 'ec') {
  const args = ['req', '-x509', ...keys[kind], '-nodes', '-days', '2'];
  args.push('-subj', '/CN=example.test', '-keyout', 'key.pem');
  args.push('-addext', 'subjectAltName=DNS:example.test,IP:127.0.0.1');
  args.push('-out', 'cert.pem');
  execFileSync(peers.path('openssl'), args, {
    cwd: dir,
    stdio: 'ignore',
    env: peers.env(),
  });
}

module.exports = { makeCertificate, makeSite };
