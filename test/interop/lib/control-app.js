'use strict';
// A server with an application behind it: every channel to a reserved name gets
// one line about itself, then its own bytes back in upper case.
//   node control-app.js <authorized keys file>
const { Transform, pipeline } = require('node:stream');
const { serve } = require('../../../lib/index.js');

function shout() {
  return new Transform({
    transform(chunk, encoding, callback) {
      callback(null, chunk.toString('latin1').toUpperCase());
    },
  });
}

async function main([authorizedKeys]) {
  const server = await serve({
    authorizedKeys,
    listen: '127.0.0.1:0',
    logLevel: 'debug',
    log: (record, line) => process.stderr.write(`${line}\n`),
  });
  server.on('connection', (stream, info) => {
    const { destination, user, keyFingerprint, transport } = info;
    stream.write(
      `${JSON.stringify({ destination, user, keyFingerprint, transport })}\n`,
    );
    pipeline(stream, shout(), stream, () => {});
  });
  process.once('SIGTERM', () => server.close({ drain: 0 }));
  const { addresses, hostKeyFingerprint } = server;
  console.log(JSON.stringify({ addresses, hostKeyFingerprint }));
}

main(process.argv.slice(2));
