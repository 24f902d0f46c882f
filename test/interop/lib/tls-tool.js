'use strict';
// TLS links as programs (test/c/tls_tool.c), and a certificate for them.
const peers = require('../../../scripts/peers.js');
const { tool } = require('../../../scripts/util/suites.js');

// A certificate for a.test and 127.0.0.1, which is its own authority.
async function certificate(lab) {
  const [key, cert] = [lab.file('tls.key'), lab.file('tls.crt')];
  const args = ['req', '-x509', '-newkey', 'ec', '-nodes', '-days', '2'];
  args.push('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-subj', '/CN=test');
  args.push('-addext', 'subjectAltName=DNS:a.test,IP:127.0.0.1');
  const made = await lab.run(peers.path('openssl'), [
    ...args,
    ...['-keyout', key, '-out', cert],
  ]);
  if (made.code !== 0) throw new Error(made.stderr);
  return { key, cert };
}

async function serve(lab, { key, cert }, ...more) {
  const file = await tool('tls_tool');
  const server = lab.spawn(file, ['serve', cert, key, ...more], {
    input: 'open',
  });
  const [port] = await server.line(/^\d+$/, { from: 'stdout' });
  server.port = Number(port);
  server.stopSignal = 'SIGKILL';
  return server;
}

// A client; its fourth stream is what goes through TLS.
async function connect(lab, port, name, roots) {
  const args = ['connect', port, name, roots];
  const stdio = ['pipe', 'pipe', 'pipe', 'pipe'];
  return lab.spawn(await tool('tls_tool'), args, { stdio });
}

module.exports = { certificate, connect, serve };
