'use strict';
// WraithStream against a native module that obeys the test: orders of events
// that a network brings only now and then.
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { pipeline, finished } = require('node:stream/promises');
const { Writable } = require('node:stream');
const t = require('tap');

process.env.WRAITH_ADDON = path.join(__dirname, '../lib/fake-addon.js');
const { fake } = require('../lib/fake-addon.js');
const { WraithStream } = require('../../lib/stream.js');
const { closed, readAll } = require('../lib/net.js');

const { EVENT, calls, errors, push, pushData, results, turn } = fake;
const CHANNEL_RESET = -20049;
const PEER_DEAD = -20034;

let lastId = 0;

function newStream(options) {
  calls.length = 0;
  results.clear();
  const stream = new WraithStream(++lastId, null, options);
  stream.seen = [];
  for (const name of ['end', 'finish', 'error', 'close']) {
    stream.on(name, () => stream.seen.push(name));
  }
  return [stream, lastId];
}

const named = (name) => calls.filter((call) => call[0] === name);

t.test('data, end and close of one turn are all read', async (t) => {
  const [stream, id] = newStream();
  pushData(id, Buffer.from('hello '));
  pushData(id, Buffer.alloc(5000, 'x'));
  push(EVENT.EOF, id);
  push(EVENT.CLOSED, id);
  turn();
  const all = await readAll(stream);
  t.equal(all.toString(), `hello ${'x'.repeat(5000)}`);
  t.strictSame(stream.seen, ['end', 'close']);
});

t.test('a slow reader loses nothing when the peer has gone', async (t) => {
  const [stream, id] = newStream({ highWaterMark: 10 });
  pushData(id, Buffer.alloc(3000, 'y'));
  push(EVENT.EOF, id);
  push(EVENT.CLOSED, id, 0);
  turn();
  const got = [];
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, callback) {
      got.push(chunk);
      setImmediate(callback);
    },
  });
  await pipeline(stream, slow);
  t.equal(Buffer.concat(got).length, 3000);
});

t.test('end and close come without a reader if nothing is left', async (t) => {
  const [stream, id] = newStream();
  push(EVENT.EOF, id);
  push(EVENT.CLOSED, id);
  turn();
  await closed(stream);
  t.strictSame(stream.seen, ['end', 'close']);
  t.equal(stream.errored, null);
  const [late, lateId] = newStream();
  push(EVENT.EOF, lateId);
  turn();
  await once(late, 'end');
  t.equal((await readAll(late)).length, 0, 'also for one that comes late');
});

t.test('an end that is none: reset', async (t) => {
  const [stream, id] = newStream();
  push(EVENT.CLOSED, id, CHANNEL_RESET);
  turn();
  const error = await finished(stream).catch((e) => e);
  t.equal(error.code, 'ERR_WRAITH_CHANNEL_RESET');
  t.equal(error.phase, 'channel');
  t.strictSame(stream.seen, ['error', 'close']);
});

t.test('an error of the system is the cause of one of ours', async (t) => {
  const [stream, id] = newStream();
  push(EVENT.CLOSED, id, os.constants.errno.EPIPE * -1);
  turn();
  const error = await finished(stream).catch((e) => e);
  t.match(error, { code: 'ERR_WRAITH_CHANNEL_RESET', phase: 'channel' });
  t.match(error.cause, { code: 'EPIPE' });
});

t.test('closed in order before an end is still not an end', async (t) => {
  const [stream, id] = newStream();
  push(EVENT.CLOSED, id, 0);
  turn();
  await closed(stream);
  t.strictSame(stream.seen, ['close']);
});

t.test('a write that is held goes on with WRITABLE', async (t) => {
  const [stream, id] = newStream({ highWaterMark: 4 });
  results.set('streamWrite', 1);
  let called = 0;
  const room = stream.write('first', () => called++);
  stream.write('second', () => called++);
  t.equal(room, false);
  t.equal(called, 0);
  t.equal(named('streamWrite').length, 1, 'the second waits');
  results.set('streamWrite', 0);
  push(EVENT.WRITABLE, id);
  const drained = once(stream, 'drain');
  turn();
  await drained;
  await new Promise((resolve) => stream.write('third', resolve));
  t.equal(called, 2);
  stream.destroy();
  push(EVENT.CLOSED, id);
  turn();
});

t.test('every write calls back: destroyed while held', async (t) => {
  const [stream, id] = newStream();
  results.set('streamWrite', 1);
  const outcomes = [];
  for (const name of ['held', 'waiting']) {
    stream.write(name, (error) => outcomes.push([name, error?.code]));
  }
  stream.destroy();
  stream.write('late', (error) => outcomes.push(['late', error?.code]));
  push(EVENT.CLOSED, id);
  turn();
  await closed(stream);
  t.strictSame(outcomes.map(([name]) => name).sort(), [
    'held',
    'late',
    'waiting',
  ]);
  t.ok(
    outcomes.every(([, code]) => typeof code === 'string'),
    'each with a coded error',
  );
  t.strictSame(stream.seen, ['close']);
});

t.test('every write calls back: the peer died', async (t) => {
  const [stream, id] = newStream();
  results.set('streamWrite', 1);
  const outcomes = [];
  stream.write('held', (error) => outcomes.push(error?.code));
  stream.write('waiting', (error) => outcomes.push(error?.code));
  stream.end((error) => outcomes.push(error?.code));
  push(EVENT.CLOSED, id, PEER_DEAD);
  turn();
  await closed(stream);
  t.equal(outcomes.length, 3);
  t.equal(outcomes[0], 'ERR_WRAITH_PEER_DEAD');
  t.strictSame(stream.seen, ['error', 'close']);
});

t.test('a write that fails at once', async (t) => {
  const [stream, id] = newStream();
  results.set('streamWrite', -20001);
  const error = await new Promise((resolve) => stream.write('x', resolve));
  t.equal(error.code, 'ERR_WRAITH_OUT_OF_MEMORY');
  t.equal(error.phase, 'channel');
  push(EVENT.CLOSED, id);
  turn();
  await closed(stream);
});

t.test('writing to what is closed is an error, not a success', async (t) => {
  const [stream, id] = newStream();
  pushData(id, Buffer.from('rest'));
  push(EVENT.EOF, id);
  push(EVENT.CLOSED, id);
  turn();
  const error = await new Promise((resolve) => stream.write('x', resolve));
  t.equal(error.code, 'ERR_WRAITH_CLOSED');
  t.equal(named('streamWrite').length, 0);
});

t.test('end() waits until what was kept is out', async (t) => {
  const [stream, id] = newStream();
  results.set('streamEnd', 1);
  stream.end('bye');
  await new Promise(setImmediate);
  t.strictSame(stream.seen, []);
  push(EVENT.WRITABLE, id);
  turn();
  await once(stream, 'finish');
  push(EVENT.EOF, id);
  turn();
  await once(stream, 'end');
  await new Promise(setImmediate);
  t.strictSame(named('streamClose'), [['streamClose', id, false]], 'in order');
  push(EVENT.CLOSED, id);
  turn();
  await closed(stream);
  t.strictSame(stream.seen, ['finish', 'end', 'close']);
});

t.test('destroy resets what was not finished, once', async (t) => {
  const [stream, id] = newStream();
  stream.destroy(new Error('enough'));
  stream.destroy();
  t.strictSame(named('streamClose'), [['streamClose', id, true]]);
  t.strictSame(stream.seen, [], 'close waits for the core');
  pushData(id, Buffer.from('late'));
  push(EVENT.EOF, id);
  push(EVENT.CLOSED, id, CHANNEL_RESET);
  turn();
  await closed(stream);
  t.equal(stream.errored.message, 'enough', 'its own reason stays');
});

t.test('reading stops when the buffer is full, and goes on', async (t) => {
  const [stream, id] = newStream({ highWaterMark: 100 });
  stream.read(0);
  t.equal(named('streamRead').length, 1);
  pushData(id, Buffer.alloc(100));
  turn();
  t.equal(named('streamStop').length, 1);
  stream.read();
  t.equal(named('streamRead').length, 2);
  stream.destroy();
  push(EVENT.CLOSED, id);
  turn();
});

t.test(
  'small chunks do not pin a slab, large ones are not copied',
  async (t) => {
    const [stream, id] = newStream();
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    await new Promise(setImmediate);
    pushData(id, Buffer.alloc(1023));
    pushData(id, Buffer.alloc(1024));
    turn();
    t.ok(chunks[0].buffer.byteLength < 256 * 1024);
    t.equal(chunks[1].buffer.byteLength, 256 * 1024);
    stream.destroy();
    push(EVENT.CLOSED, id);
    turn();
  },
);

t.test('the next slab is taken in its turn', async (t) => {
  const [stream, id] = newStream({ highWaterMark: 1 << 20 });
  for (let i = 0; i < 20; i++) {
    pushData(id, Buffer.alloc(60000, i));
    turn();
  }
  push(EVENT.EOF, id);
  turn();
  const all = await readAll(stream);
  t.equal(all.length, 20 * 60000);
  t.ok(
    all.every((byte, i) => byte === Math.floor(i / 60000)),
    'in order and whole',
  );
  stream.destroy();
  push(EVENT.CLOSED, id);
  turn();
});

t.test('many small writes cross in few calls', async (t) => {
  const [stream, id] = newStream();
  results.set('streamWrite', 1);
  stream.write('first');
  for (let i = 0; i < 100; i++) stream.write('0123456789');
  stream.write(Buffer.alloc(2000));
  stream.write('tail');
  push(EVENT.WRITABLE, id);
  turn();
  const [[, , buffers]] = named('streamWritev');
  t.strictSame(
    buffers.map((b) => b.length),
    [1000, 2000, 4],
  );
  stream.destroy();
  push(EVENT.CLOSED, id);
  turn();
});

t.test('a listener that throws loses nothing of its turn', async (t) => {
  const [one, oneId] = newStream();
  const [two, twoId] = newStream();
  one.on('data', () => {
    throw new Error('of the listener');
  });
  one.resume();
  await new Promise(setImmediate);
  pushData(oneId, Buffer.from('a'));
  pushData(twoId, Buffer.from('b'));
  t.throws(() => turn(), { message: 'of the listener' });
  turn(); // as C calls again
  t.equal(two.read().toString(), 'b');
  for (const [stream, id] of [
    [one, oneId],
    [two, twoId],
  ]) {
    stream.destroy();
    push(EVENT.CLOSED, id);
  }
  turn();
});

t.test('events of ids that are gone are ignored', async (t) => {
  push(EVENT.CLOSED, 4000000);
  push(EVENT.EOF, 4000000);
  pushData(4000000, Buffer.from('x'));
  t.doesNotThrow(() => turn());
});

t.test('the loop is held while a stream is open and wanted', async (t) => {
  const [stream, id] = newStream();
  t.equal(named('hold').length, 1);
  stream.unref().unref();
  t.equal(named('release').length, 1);
  stream.ref();
  t.equal(named('hold').length, 2);
  stream.destroy();
  push(EVENT.CLOSED, id);
  turn();
  t.equal(named('release').length, 2);
  stream.ref();
  t.equal(named('hold').length, 2, 'not once it is closed');
});

t.ok(errors[CHANNEL_RESET]);
