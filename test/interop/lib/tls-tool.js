'use strict';
// TLS links as programs (test/c/tls_tool.c), with a certificate of lib/tls.js.
const { tool } = require('../../../scripts/util/suites.js');

/** What the tests ask for. */
const ALT = 'DNS:a.test,IP:127.0.0.1';

async function serve(lab, { keyFile, certFile }, ...more) {
  const file = await tool('tls_tool');
  const args = ['serve', certFile, keyFile, ...more];
  const server = lab.spawn(file, args, { input: 'open' });
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

module.exports = { ALT, connect, serve };
