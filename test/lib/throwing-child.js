'use strict';
// Every event of a stream throws. Says how many data events there were and how
// many exceptions came out.
const { EVENT, RawStream, native, rawChannel, rawPair } = require('./raw.js');

const caught = [];
process.on('uncaughtException', (error) => caught.push(error.message));

class Throwing extends RawStream {
  onEvent(type, a, b) {
    super.onEvent(type, a, b);
    throw new Error(`event ${type}`);
  }
}

async function main() {
  native.hold();
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  Object.setPrototypeOf(far, Throwing.prototype);
  native.streamRead(far.id);
  await near.pour(1024 * 1024, 10000);
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  process.send({
    kind: 'ready',
    received: far.received,
    chunks: far.chunks,
    caught,
  });
}

main();
