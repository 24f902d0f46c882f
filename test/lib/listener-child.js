'use strict';
// Listens with the shortest queue there is, for those who freeze it.
const net = require('node:net');

const server = net.createServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  process.send({ kind: 'ready', port: server.address().port });
});
process.once('disconnect', () => process.exit());
