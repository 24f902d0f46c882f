'use strict';
// A server, a tunnel and a stream that is busy both ways, until somebody ends
// it. workerData.end: 'exit' ends it from inside, in the middle of the data;
// 'unref' lets go of everything.
const { parentPort, workerData } = require('node:worker_threads');
const { Raw, native, rawChannel, rawPair } = require('./raw.js');

const ENOUGH = 2 * 1024 * 1024;

async function main() {
  native.hold();
  const pair = await rawPair({ server: { logLevel: 4 } });
  const { near, far } = await rawChannel(pair);
  // What else may be under way when the end comes.
  native.tunnelListen(pair.tunnel.id, { inbound: true, bindPort: 0 });
  native.tunnelRemoteAdd(pair.tunnel.id, { host: '', port: 0 }, null);
  native.tunnelOpen(pair.tunnel.id, { host: 'wraith-control', port: 1 });
  native.tunnelOpen(pair.tunnel.id, { host: 'localhost', port: 1 });
  native.keyParse('x', null);
  native.serverAccept(pair.server.id, '');
  const other = new Raw(native.tunnelNew());
  const pipe = { pipe: true, user: 'u', identities: [] };
  native.tunnelConnect(other.id, pipe);

  if (workerData.end === 'unref') {
    parentPort.postMessage('busy');
    native.release();
    return;
  }
  far.onData = () => {
    if (far.received < ENOUGH || near.received < ENOUGH) return;
    far.onData = () => {};
    if (workerData.end === 'exit') process.exit(7);
    parentPort.postMessage('busy');
  };
  native.streamRead(near.id);
  native.streamRead(far.id);
  near.pour(Infinity);
  far.pour(Infinity);
}

main();
