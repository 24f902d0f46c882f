'use strict';
// The tunnel handle against a native module that obeys the test.
const path = require('node:path');
const { duplexPair } = require('node:stream');
const t = require('tap');

process.env.WRAITH_ADDON = path.join(__dirname, '../lib/fake-addon.js');
const { fake, newId } = require('../lib/fake-addon.js');
const { createTunnel } = require('../../lib/index.js');
const { closed } = require('../lib/net.js');

const { EVENT, calls, push, results, turn } = fake;
const MISMATCH = -20036;
const PEER_DEAD = -20034;
const turnOver = () => new Promise(setImmediate);
const named = (name) => calls.filter((call) => call[0] === name);

/** Resolves when the call has been made `count` times. */
async function called(name, count = 1) {
  while (named(name).length < count) await turnOver();
  return named(name)[count - 1];
}

/** A tunnel whose key is loaded and whose first connect is under way. */
async function begin(t, options = {}) {
  calls.length = 0;
  results.clear();
  const id = newId();
  results.set('tunnelNew', id);
  const request = newId();
  results.set('keyParse', request);
  results.set('tunnelListen', () => ({ id: newId(), host: '::1', port: 1 }));
  const tunnel = createTunnel({
    server: '127.0.0.1:1',
    identity: Buffer.from('key'),
    hostKey: 'SHA256:' + 'A'.repeat(43),
    minDelay: 1,
    maxDelay: 1,
    ...options,
  });
  await called('keyParse');
  push(EVENT.KEY, request);
  turn({ status: 0, key: 7, publicKey: 'ssh-ed25519 x' });
  await called('tunnelConnect');
  t.teardown(() => {
    tunnel.destroy();
    push(EVENT.TUNNEL_CLOSED, id);
    turn();
  });
  return { tunnel, id };
}

function showKey(id, fingerprint) {
  push(EVENT.HOST_KEY, id);
  turn({ type: 'ssh-ed25519', fingerprint, publicKey: 'ssh-ed25519 x' });
}

function goDown(id, more = {}) {
  push(EVENT.DOWN, id);
  turn({ status: PEER_DEAD, phase: '', wasUp: false, orderly: false, ...more });
}

t.test(
  'a late verdict does not count for the key of a later try',
  async (t) => {
    const asked = [];
    const { id } = await begin(t, {
      hostKey: (key) =>
        new Promise((resolve) => asked.push({ key, answer: resolve })),
    });
    showKey(id, 'SHA256:good');
    await turnOver();
    goDown(id);
    await called('tunnelConnect', 2);
    showKey(id, 'SHA256:evil');
    await turnOver();
    t.equal(asked.length, 2);
    asked[0].answer(true);
    await turnOver();
    t.strictSame(
      named('tunnelVerdict'),
      [],
      'the approval was for another key',
    );
    asked[1].answer(false);
    await called('tunnelVerdict');
    t.strictSame(named('tunnelVerdict'), [['tunnelVerdict', id, MISMATCH]]);
  },
);

t.test('no verdict and no event after the end', async (t) => {
  let answer;
  const { tunnel, id } = await begin(t, {
    hostKey: () => new Promise((resolve) => (answer = resolve)),
  });
  tunnel.on('hostkey', () => t.fail('after the end'));
  showKey(id, 'SHA256:good');
  await turnOver();
  tunnel.destroy();
  answer(true);
  await turnOver();
  t.strictSame(named('tunnelVerdict'), []);
});

t.test('a host key function that throws refuses', async (t) => {
  const broken = new Error('of the function');
  const { tunnel, id } = await begin(t, {
    hostKey: () => {
      throw broken;
    },
  });
  showKey(id, 'SHA256:any');
  t.strictSame(await called('tunnelVerdict'), ['tunnelVerdict', id, MISMATCH]);
  const over = new Promise((resolve) => tunnel.once('state', resolve));
  goDown(id, { status: MISMATCH, phase: 'hostkey' });
  const { state, reason } = await over;
  t.equal(state, 'closed');
  t.equal(reason.code, 'ERR_WRAITH_HOST_KEY_MISMATCH');
  t.equal(reason.phase, 'hostkey');
  t.equal(reason.fingerprint, 'SHA256:any');
  t.equal(reason.cause, broken);
});

t.test(
  "a listener's 'close' comes once, and before the tunnel's",
  async (t) => {
    const { tunnel, id } = await begin(t);
    const order = [];
    tunnel.on('close', () => order.push('tunnel'));
    const one = await tunnel.forward({ bindPort: 0, host: 'a', port: 1 });
    const two = await tunnel.forward({ bindPort: 0, host: 'b', port: 1 });
    one.on('close', () => order.push('one'));
    two.on('close', () => order.push('two'));
    const closing = one.close();
    t.equal(one.close(), closing, 'the same promise');
    push(EVENT.LISTENER_CLOSED, named('listenerClose')[0][1]);
    turn();
    await closing;
    const ended = tunnel.close();
    push(EVENT.TUNNEL_CLOSED, id);
    turn();
    await ended;
    t.strictSame(order, ['one', 'two', 'tunnel']);
    await two.close();
  },
);

t.test('many forwards make no warning and leave nothing', async (t) => {
  const { tunnel } = await begin(t);
  process.on('warning', (warning) => t.fail(warning.message));
  const before = tunnel.listenerCount('close');
  for (let i = 0; i < 30; i++) {
    const listener = await tunnel.forward({ bindPort: 0, host: 'a', port: 1 });
    push(EVENT.LISTENER_CLOSED, results.get('tunnelListen')().id - 1);
    turn();
    await listener.close();
  }
  await turnOver();
  t.equal(tunnel.listenerCount('close'), before);
});

t.test('destroy() cuts a close() short', async (t) => {
  const { tunnel, id } = await begin(t);
  const closing = tunnel.close();
  tunnel.destroy();
  t.strictSame(named('tunnelClose'), [
    ['tunnelClose', id, true],
    ['tunnelClose', id, false],
  ]);
  push(EVENT.TUNNEL_CLOSED, id);
  turn();
  await closing;
  tunnel.destroy();
  t.equal(named('tunnelClose').length, 2, 'and does nothing once it is gone');
});

t.test('remote forwards end with the reason of their tunnel', async (t) => {
  const { tunnel, id } = await begin(t);
  results.set('tunnelRemoteAdd', newId());
  const asked = tunnel.remoteForward({ host: 'a', port: 1 });
  const over = closed(tunnel);
  goDown(id, { status: MISMATCH, phase: 'hostkey' });
  push(EVENT.TUNNEL_CLOSED, id);
  turn();
  await over;
  await t.rejects(asked, { code: 'ERR_WRAITH_HOST_KEY_MISMATCH' });
});

t.test('a carrier that the core did not take is destroyed', async (t) => {
  const made = [];
  await begin(t, {
    server: undefined,
    stream() {
      const [outer] = duplexPair();
      made.push(outer);
      results.set('tunnelConnect', -20001);
      return outer;
    },
  });
  await turnOver();
  t.ok(made[0].destroyed);
});

t.test('a try that fails leads to another, with its number', async (t) => {
  const { tunnel, id } = await begin(t);
  const events = [];
  tunnel.on('state', (event) => events.push(event));
  goDown(id);
  await called('tunnelConnect', 2);
  goDown(id);
  await called('tunnelConnect', 3);
  push(EVENT.UP, id);
  turn();
  goDown(id, { wasUp: true });
  t.match(events, [
    { state: 'reconnecting', attempt: 1 },
    { state: 'reconnecting', attempt: 2 },
    { state: 'up' },
    { state: 'reconnecting', attempt: 1 },
  ]);
  t.equal(events[0].reason.code, 'ERR_WRAITH_PEER_DEAD');
});
