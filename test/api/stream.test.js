'use strict';
// A channel as a Duplex, over a real tunnel: back-pressure, halves, ends.
const { once } = require('node:events');
const { pipeline } = require('node:stream/promises');
const { randomBytes } = require('node:crypto');
const { Readable } = require('node:stream');
const t = require('tap');
const { controlPair, pairUp, until, when } = require('../lib/pair.js');
const { closed, echo, readAll, readN } = require('../lib/net.js');

const MiB = 1 << 20;

function watch(stream) {
  const seen = [];
  for (const name of ['end', 'finish', 'error', 'close']) {
    stream.on(name, () => seen.push(name));
  }
  return seen;
}

t.test('both ways, in order and whole', async (t) => {
  const { near, far, info, tunnel } = await controlPair(t);
  const there = randomBytes(3 * MiB);
  const back = randomBytes(2 * MiB);
  const [gotFar, gotNear] = await Promise.all([
    readAll(far),
    readAll(near),
    pipeline(Readable.from([there]), near, { end: true }).catch(() => {}),
    pipeline(Readable.from([back]), far, { end: true }).catch(() => {}),
  ]);
  t.ok(gotFar.equals(there));
  t.ok(gotNear.equals(back));
  t.match(info, {
    destination: 'wraith-control',
    user: 'tester',
    transport: 'tcp',
    remoteAddress: '127.0.0.1',
  });
  t.strictSame(near.info, { destination: 'wraith-control' });
  t.equal(far.info, info);
  t.ok(tunnel.stats().bytesOut > there.length);
});

t.test('half-open: an end is not the end of the other direction', async (t) => {
  const { near, far } = await controlPair(t);
  const seen = watch(near);
  near.end('question');
  t.equal((await readAll(far)).toString(), 'question');
  t.notOk(far.destroyed);
  far.write('first ');
  await new Promise(setImmediate);
  far.end('last');
  t.equal((await readAll(near)).toString(), 'first last');
  if (!near.closed) await closed(near);
  t.strictSame(seen, ['finish', 'end', 'close']);
});

t.test('allowHalfOpen: false ends with the other side', async (t) => {
  const { near, far } = await controlPair(t, {
    open: { allowHalfOpen: false },
  });
  far.end();
  near.resume();
  await Promise.all([once(near, 'finish'), readAll(far)]);
});

t.test('a paused reader stops the writer, and no byte is lost', async (t) => {
  const { near, far } = await controlPair(t);
  const total = 40 * MiB;
  const chunk = randomBytes(64 * 1024);
  let written = 0;
  let taken = 0;
  const writeAll = async () => {
    while (written < total) {
      written += chunk.length;
      if (!near.write(chunk, () => (taken += chunk.length))) {
        await once(near, 'drain');
      }
    }
    near.end();
  };
  const writing = writeAll();
  // Until nothing moves any more: each side has kept what it may.
  await stalled(() => written);
  const kept = written;
  t.ok(kept < 24 * MiB, `stopped after ${kept} bytes`);
  t.ok(far.readableLength < MiB, 'the reader buffers little');
  let got = 0;
  for await (const piece of far) {
    const at = got % chunk.length;
    const expected = chunk.subarray(at, at + piece.length);
    if (expected.length === piece.length && !expected.equals(piece))
      t.fail('bytes differ');
    got += piece.length;
  }
  await writing;
  t.equal(got, total);
  t.equal(taken, total, 'every write has called back');
});

/** Resolves once the number has been the same for 50 turns and 100 ms. */
async function stalled(read) {
  let last = -1;
  let same = 0;
  let since = Date.now();
  while (same < 50 || Date.now() - since < 100) {
    await new Promise(setImmediate);
    if (read() === last) same += 1;
    else {
      last = read();
      same = 0;
      since = Date.now();
    }
  }
}

t.test('highWaterMark is honoured', async (t) => {
  const { near, far } = await controlPair(t, { open: { highWaterMark: 100 } });
  t.equal(near.readableHighWaterMark, 100);
  t.equal(near.writableHighWaterMark, 100);
  near.write(Buffer.alloc(100));
  t.equal((await readN(far, 100)).length, 100);
  far.write(Buffer.alloc(300000));
  await once(near, 'readable');
  await stalled(() => near.readableLength);
  t.ok(near.readableLength < 200000, `buffers ${near.readableLength}`);
  t.equal((await readN(near, 1)).length, 1);
});

t.test('many small writes arrive whole', async (t) => {
  const { near, far } = await controlPair(t);
  let expected = '';
  let calls = 0;
  for (let i = 0; i < 5000; i++) {
    const text = `${i},`;
    expected += text;
    near.write(text, () => calls++);
  }
  near.end();
  t.equal((await readAll(far)).toString(), expected);
  t.equal(calls, 5000);
});

t.test('every write calls back, also those after destroy', async (t) => {
  const { near } = await controlPair(t);
  const outcomes = [];
  const total = 200;
  for (let i = 0; i < total; i++) {
    near.write(Buffer.alloc(256 * 1024), (error) => outcomes.push(error));
  }
  near.destroy();
  near.write('after', (error) => outcomes.push(error));
  await closed(near);
  await new Promise(setImmediate);
  t.equal(outcomes.length, total + 1);
  t.ok(outcomes.at(-1), 'the last one with an error');
});

t.test('every write calls back when the tunnel goes', async (t) => {
  const { near, far, server, tunnel } = await controlPair(t, {
    tunnel: { reconnect: false },
  });
  far.on('error', () => {});
  const outcomes = [];
  for (let i = 0; i < 200; i++) {
    near.write(Buffer.alloc(256 * 1024), (error) => outcomes.push(error));
  }
  const seen = watch(near);
  server.close({ drain: 0 });
  await Promise.all([closed(near), closed(tunnel)]);
  await new Promise(setImmediate);
  t.equal(outcomes.length, 200);
  t.strictSame(seen, ['error', 'close']);
  t.match(near.errored, { code: /^ERR_WRAITH_/, phase: 'channel' });
});

t.test('destroy resets: the other side sees no clean end', async (t) => {
  const { near, far } = await controlPair(t);
  const seen = watch(far);
  far.resume();
  near.write('half a messa');
  await new Promise((resolve) => far.once('data', resolve));
  near.destroy(new Error('gave up'));
  await Promise.all([closed(far), closed(near)]);
  t.strictSame(seen, ['error', 'close']);
  t.equal(far.errored.code, 'ERR_WRAITH_CHANNEL_RESET');
  t.equal(near.errored.message, 'gave up');
});

t.test("'close' is last and once, whoever ends it", async (t) => {
  const ends = {
    'near end, far end': async (near, far) => {
      near.end();
      far.end();
      near.resume();
      far.resume();
    },
    'near destroy': async (near, far) => {
      near.destroy();
      far.resume();
    },
    'both destroy': async (near, far) => {
      near.destroy();
      far.destroy();
    },
    'far error': async (near, far) => {
      far.destroy(new Error('x'));
      near.resume();
    },
  };
  for (const [name, act] of Object.entries(ends)) {
    const { near, far, tunnel } = await controlPair(t);
    const seenNear = watch(near);
    const seenFar = watch(far);
    const gone = Promise.all([closed(near), closed(far)]);
    await act(near, far);
    await gone;
    await new Promise(setImmediate);
    for (const seen of [seenNear, seenFar]) {
      t.equal(seen.filter((x) => x === 'close').length, 1, `${name}: once`);
      t.equal(seen.at(-1), 'close', `${name}: last`);
    }
    await until(
      () => tunnel.stats().channels === 0,
      `${name}: nothing is left`,
    );
  }
});

t.test('nobody listens to errors, and nothing crashes', async (t) => {
  const { near, far, server } = await controlPair(t, {
    tunnel: { reconnect: false },
  });
  const gone = Promise.all([closed(near), closed(far)]);
  server.close({ drain: 0 });
  await gone;
  t.ok(near.destroyed && far.destroyed);
});

t.test('end() before the peer reads, then close: all arrives', async (t) => {
  const { near, far } = await controlPair(t);
  const data = randomBytes(60000);
  near.end(data);
  far.end();
  near.resume();
  await when(near, 'finish', () => near.writableFinished);
  const got = await readAll(far);
  t.ok(got.equals(data));
});

t.test('a stream of the server ends at once: it reads as empty', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) => stream.resume().end());
  for (let i = 0; i < 50; i++) {
    const stream = await tunnel.open('wraith-control');
    if (i % 2) await new Promise(setImmediate);
    t.equal((await readAll(stream)).length, 0);
    stream.end();
  }
});

t.test('an unread answer survives the end of the channel', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) =>
    stream.resume().end(Buffer.alloc(200000, 'z')),
  );
  const stream = await tunnel.open('wraith-control', {
    highWaterMark: 1 << 20,
  });
  stream.end('bye');
  await when(stream, 'readable', () => stream.readableLength === 200000);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  t.equal((await readAll(stream)).length, 200000);
});

t.test('pipes with plain sockets of Node', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const data = randomBytes(5 * MiB);
  const stream = await tunnel.open(`127.0.0.1:${target.port}`);
  const got = readAll(stream);
  await pipeline(Readable.from([data]), stream, { end: false }).catch(() => {});
  stream.end();
  t.ok((await got).equals(data));
});

t.test('objects of strings, encodings and cork', async (t) => {
  const { near, far } = await controlPair(t);
  near.setDefaultEncoding('latin1');
  near.cork();
  near.write('\xe4');
  near.write('e4', 'hex');
  near.uncork();
  near.end(new Uint8Array([0xe4]));
  t.strictSame([...(await readAll(far))], [0xe4, 0xe4, 0xe4]);
});
