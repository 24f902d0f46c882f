'use strict';
// Worker threads: every one has a core of its own, which goes with it, whatever
// it is doing. (A build with sanitizers sees more here.)
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const t = require('tap');
const { native, rawChannel, rawPair, closePair } = require('./lib/raw.js');

const file = path.join(__dirname, 'lib', 'busy-worker.js');

native.hold();
t.teardown(() => native.release());

/** Starts one and resolves when it is busy. */
async function busyWorker() {
  const worker = new Worker(file, { workerData: { end: 'outside' } });
  worker.once('error', (error) => t.fail(error));
  await once(worker, 'message');
  return worker;
}

t.test('terminated in the middle, 20 times', async (t) => {
  for (let i = 0; i < 20; i++) {
    const worker = await busyWorker();
    t.equal(await worker.terminate(), 1);
  }
});

t.test('several at once, and one of the main thread', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  native.streamRead(far.id);
  const poured = near.pour(20 * 1024 * 1024);
  const workers = await Promise.all([busyWorker(), busyWorker(), busyWorker()]);
  const codes = await Promise.all(workers.map((w) => w.terminate()));
  t.strictSame(codes, [1, 1, 1]);
  const hash = await poured;
  await closePair(pair);
  t.equal(far.received, 20 * 1024 * 1024);
  t.equal(far.digest(), hash, 'the main thread was not disturbed');
  t.equal(native.memory().blocks, before.blocks);
});

t.test('process.exit() inside', async (t) => {
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(file, { workerData: { end: 'exit' } });
    const [code] = await once(worker, 'exit');
    t.equal(code, 7);
  }
});

t.test('the end of its own accord, with everything open', async (t) => {
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(file, { workerData: { end: 'unref' } });
    const [code] = await once(worker, 'exit');
    t.equal(code, 0);
  }
});

t.test('terminated at any time', async (t) => {
  // From the very start of the module's loading on.
  for (let i = 0; i < 20; i++) {
    const worker = new Worker(file, { workerData: { end: 'outside' } });
    const started = once(worker, 'online');
    await started;
    for (let turn = 0; turn < i * 4; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.equal(await worker.terminate(), 1);
  }
});
