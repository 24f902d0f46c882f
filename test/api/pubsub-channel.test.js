'use strict';
// Events over a real control channel, from either side.
const { once } = require('node:events');
const t = require('tap');
const { controlPair, pairUp } = require('../lib/pair.js');
const { closed } = require('../lib/net.js');
const { createEventTarget, encode } = require('../../lib/pubsub.js');

function next(target, type) {
  return new Promise((resolve) => {
    target.addEventListener(type, resolve, { once: true });
  });
}

const event = (type, detail) => new CustomEvent(type, { detail });

t.test('both ways, in order', async (t) => {
  const { near, far } = await controlPair(t);
  const client = createEventTarget({ stream: near });
  const server = createEventTarget({ stream: far });
  const topic = next(server, '__subscribe');
  const heard = [];
  client.addEventListener('tick', ({ payload }) => heard.push(payload));
  t.strictSame((await topic).payload, { topic: 'tick' });
  const all = next(client, 'last');
  for (let i = 0; i < 1000; i++) server.dispatchEvent(event('tick', i));
  server.dispatchEvent(event('last', null));
  await all;
  t.strictSame(heard, Array.from(heard.keys()));
  t.equal(heard.length, 1000);
  const question = next(server, 'question');
  client.dispatchEvent(event('question', { deep: ['ü', null] }));
  t.strictSame((await question).payload, { deep: ['ü', null] });
});

t.test('large payloads, cut anywhere', async (t) => {
  const { near, far } = await controlPair(t);
  const client = createEventTarget({ stream: near });
  const server = createEventTarget({ stream: far });
  const text = 'x'.repeat(900000);
  const heard = next(server, 'large');
  client.dispatchEvent(event('large', text));
  t.equal((await heard).payload, text);
  t.throws(() => client.dispatchEvent(event('large', text + text)), {
    code: 'ERR_WRAITH_PUBSUB_FRAME',
  });
  const after = next(server, 'after');
  client.dispatchEvent(event('after', 1));
  await after;
});

t.test('close ends the channel in order', async (t) => {
  const { near, far, tunnel } = await controlPair(t);
  const client = createEventTarget({ stream: near });
  const server = createEventTarget({ stream: far });
  const last = next(server, 'last');
  client.dispatchEvent(event('last', 1));
  client.close();
  await last;
  server.close();
  await Promise.all([closed(near), closed(far)]);
  t.equal(near.errored, null);
  t.equal(far.errored, null);
  t.equal(tunnel.state, 'up');
  t.equal(client.dispatchEvent(event('late', 1)), false);
});

t.test('junk ends the channel with a coded error, and it alone', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) => createEventTarget({ stream }));
  for (const junk of [
    encode({ type: 'a', id: '1', payload: 1 }).subarray(0, 9),
    Buffer.from([0, 0, 0, 1, 123]),
    Buffer.from([255, 255, 255, 255]),
  ]) {
    const came = once(server, 'connection');
    const stream = await tunnel.open('wraith-control');
    const [far] = await came;
    const gone = Promise.all([closed(stream), closed(far)]);
    stream.resume().end(junk);
    await gone;
    t.match(far.errored, { code: 'ERR_WRAITH_PUBSUB_FRAME', phase: 'channel' });
  }
  const client = createEventTarget({
    stream: await tunnel.open('wraith-control'),
  });
  t.equal(client.dispatchEvent(event('still', 1)), true);
  t.equal(tunnel.state, 'up');
});
