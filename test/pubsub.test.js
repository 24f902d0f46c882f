'use strict';

const { duplexPair } = require('node:stream');

const t = require('tap');

const { Decoder, createEventTarget, encode } = require('../lib/pubsub.js');

/** Two Duplexes, each the other's peer; what fails is looked at by the tests. */
function pair() {
  const sides = duplexPair();
  for (const side of sides) side.on('error', () => {});
  return sides;
}

function nextEvent(target, type) {
  return new Promise((resolve) => {
    target.addEventListener(type, resolve, { once: true });
  });
}

t.test('a frame is a big-endian length and UTF-8 JSON', async (t) => {
  const frame = encode({ type: 'ä', id: '1', payload: [1] });
  const body = Buffer.from('{"type":"ä","id":"1","payload":[1]}');
  t.equal(frame.readUInt32BE(0), body.length);
  t.same(frame.subarray(4), body);
});

t.test('the decoder takes every cut', async (t) => {
  const sent = [
    { type: 'a', id: '1', payload: null },
    { type: 'b', id: '2', payload: { deep: ['x'] } },
  ];
  const bytes = Buffer.concat(sent.map((m) => encode(m)));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const decoder = new Decoder();
    const got = [
      ...decoder.push(bytes.subarray(0, cut)),
      ...decoder.push(bytes.subarray(cut)),
    ];
    t.same(got, sent);
    t.equal(decoder.pending, 0);
  }
  const decoder = new Decoder();
  const got = [...bytes].flatMap((byte) => decoder.push(Buffer.from([byte])));
  t.same(got, sent, 'byte by byte');
});

t.test('the decoder refuses what is broken or too large', async (t) => {
  const coded = { code: 'ERR_WRAITH_PUBSUB_FRAME' };
  const frame = (text) => {
    const body = Buffer.from(text, 'latin1');
    const head = Buffer.alloc(4);
    head.writeUInt32BE(body.length);
    return Buffer.concat([head, body]);
  };
  for (const text of ['', '{', 'null', '[]', '7', '{"type":1}', '"\xff"']) {
    t.throws(() => new Decoder().push(frame(text)), coded, text);
  }
  const huge = Buffer.from([0xff, 0xff, 0xff, 0xff]);
  t.throws(() => new Decoder().push(huge), coded, 'before it has come');
  t.throws(() => new Decoder(8).push(frame('{"type":"a"}')), coded);
  t.throws(() => encode({ type: 'x'.repeat(100) }, 50), coded);
});

t.test('dispatchEvent reaches the other side and it alone', async (t) => {
  const [a, b] = pair();
  const left = createEventTarget({ stream: a });
  const right = createEventTarget({ stream: b });
  const heard = nextEvent(right, 'news');
  left.addEventListener('news', () => t.fail('heard its own event'));
  left.dispatchEvent(new CustomEvent('news', { detail: { n: 7 } }));
  const event = await heard;
  t.same(event.payload, { n: 7 });
  t.equal(event.remote, true);
  t.type(event.id, 'string');
  left.close();
  right.close();
});

t.test(
  'the first listener subscribes, the last one unsubscribes',
  async (t) => {
    const [a, b] = pair();
    const left = createEventTarget({ stream: a });
    const right = createEventTarget({ stream: b });
    const subscribed = nextEvent(right, '__subscribe');
    const one = () => {};
    const two = () => {};
    left.addEventListener('topic', one);
    left.addEventListener('topic', two);
    t.same((await subscribed).payload, { topic: 'topic' });
    const unsubscribed = nextEvent(right, '__unsubscribe');
    right.addEventListener('__subscribe', () => t.fail('subscribed twice'));
    left.removeEventListener('topic', one);
    left.removeEventListener('topic', two);
    t.same((await unsubscribed).payload, { topic: 'topic' });
  },
);

t.test('a listener for once unsubscribes when it has heard', async (t) => {
  const [a, b] = pair();
  const left = createEventTarget({ stream: a });
  const right = createEventTarget({ stream: b });
  const subscribed = nextEvent(right, '__subscribe');
  const unsubscribed = nextEvent(right, '__unsubscribe');
  let heard = 0;
  left.addEventListener('topic', () => (heard += 1), { once: true });
  await subscribed;
  right.dispatchEvent(new CustomEvent('topic'));
  right.dispatchEvent(new CustomEvent('topic'));
  t.same((await unsubscribed).payload, { topic: 'topic' });
  t.equal(heard, 1);
});

t.test('a broken frame ends the stream with a coded error', async (t) => {
  const [a, b] = pair();
  createEventTarget({ stream: a });
  const failed = new Promise((resolve) => a.once('error', resolve));
  b.write(Buffer.from([0, 0, 0, 2, 0x7b, 0x7b]));
  t.equal((await failed).code, 'ERR_WRAITH_PUBSUB_FRAME');
});

t.test('a stream that ends inside a frame is an error', async (t) => {
  const [a, b] = pair();
  createEventTarget({ stream: a });
  const failed = new Promise((resolve) => a.once('error', resolve));
  b.end(Buffer.from([0, 0, 0, 9, 0x7b]));
  t.equal((await failed).code, 'ERR_WRAITH_PUBSUB_FRAME');
});

t.test('options are checked', async (t) => {
  const [stream] = pair();
  for (const maxFrame of [NaN, 0, -1, 1.5, '1', 2 ** 32]) {
    const invalid = { code: 'ERR_WRAITH_INVALID_ARGUMENT', option: 'maxFrame' };
    t.throws(() => new Decoder(maxFrame), invalid);
    t.throws(() => encode({ type: 'a' }, maxFrame), invalid);
    t.throws(() => createEventTarget({ stream, maxFrame }), invalid);
  }
  const noStream = { code: 'ERR_WRAITH_INVALID_ARGUMENT', option: 'stream' };
  t.throws(() => createEventTarget(), noStream);
  t.throws(() => createEventTarget({ stream: {} }), noStream);
  const unknown = { code: 'ERR_WRAITH_UNKNOWN_OPTION' };
  t.throws(() => createEventTarget({ stream, other: 1 }), unknown);
  t.equal(stream.listenerCount('data'), 0);
});

t.test('once does not reach a listener that is there for good', async (t) => {
  const [near, far] = pair();
  const a = createEventTarget({ stream: near });
  const b = createEventTarget({ stream: far });
  const heard = [];
  const both = (event) => heard.push(`both ${event.payload}`);
  const again = (event) => heard.push(`again ${event.payload}`);
  a.addEventListener('x', both);
  a.addEventListener('x', both, { once: true });
  a.addEventListener('x', again, { once: true });
  a.removeEventListener('x', again);
  a.addEventListener('x', again);
  const last = nextEvent(a, 'end');
  for (const payload of [1, 2]) {
    b.dispatchEvent(new CustomEvent('x', { detail: payload }));
  }
  b.dispatchEvent(new CustomEvent('end'));
  await last;
  t.same(heard, ['both 1', 'again 1', 'both 2', 'again 2']);
});
