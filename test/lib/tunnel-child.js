'use strict';
// A client in a process of its own, with one remote forward to `target`.
const { createTunnel } = require('../../lib/index.js');

const { remote, ...options } = JSON.parse(process.argv[2]);

async function main() {
  const tunnel = createTunnel(options);
  tunnel.on('state', ({ state }) => process.send({ kind: 'state', state }));
  await tunnel.ready();
  const listener = await tunnel.remoteForward(remote);
  listener.on('listening', () => {
    process.send({ kind: 'listening', port: listener.port });
  });
  process.once('disconnect', () => tunnel.close());
  process.send({ kind: 'ready', port: listener.port });
}

main();
