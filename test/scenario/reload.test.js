'use strict';
// A thousand busy channels while policy and keys are swapped a thousand times:
// each decision is that of what is in force, and nothing is left behind.
const t = require('tap');
const { native } = require('../../lib/binding.js');
const { echo, readAll } = require('../lib/net.js');
const {
  keys,
  lines,
  pairUp,
  rejection,
  startTunnel,
  until,
} = require('../lib/pair.js');

const CHANNELS = 1000;
const SWAPS = 1000;
const LOOK_EVERY = 10; // swaps between two questions

const behind = (options, pair) =>
  Buffer.from(`${options} ${pair.publicKey.trim()}\n`);

/** A channel that sends its number for ever and checks what comes back. */
class Busy {
  constructor(stream, number) {
    this.stream = stream;
    this.message = Buffer.alloc(64, `${number} `);
    this.rounds = 0;
    this.wrong = 0;
    this.got = 0;
    this.closed = new Promise((resolve) => stream.once('close', resolve));
    stream.on('error', () => {});
    stream.on('data', (chunk) => this.#check(chunk));
  }

  start() {
    this.stream.write(this.message);
  }

  #check(chunk) {
    const from = this.got;
    const want = this.message.subarray(from, from + chunk.length);
    if (!chunk.equals(want)) this.wrong += 1;
    this.got += chunk.length;
    if (this.got < this.message.length) return;
    this.got = 0;
    this.rounds += 1;
    if (!this.stream.destroyed) this.stream.write(this.message);
  }
}

/** All at once: one after the other they would wait for those that are busy. */
async function openAll(tunnel, port, count) {
  const open = () => tunnel.open(`127.0.0.1:${port}`);
  const streams = await Promise.all(Array.from({ length: count }, open));
  const busy = streams.map((stream, i) => new Busy(stream, i));
  for (const one of busy) one.start();
  return busy;
}

/** What a question says: 'open', or the code of the refusal. */
async function ask(tunnel, port) {
  try {
    const stream = await tunnel.open(`127.0.0.1:${port}`);
    stream.end();
    await readAll(stream);
    return 'open';
  } catch (error) {
    return error.code;
  }
}

const DENIED = 'ERR_WRAITH_CHANNEL_DENIED';

t.test('swapped under load', { timeout: 110000 }, async (t) => {
  // Two sessions, as one of them has a thousand channels at most.
  const { server, tunnel } = await pairUp(t);
  const second = startTunnel(t, server);
  await second.ready();
  const [kept, changing] = [await echo(t), await echo(t)];
  const settled = async () => {
    await until(() => tunnel.stats().channels === 0);
    await until(() => second.stats().channels === 0);
    await until(() => server.stats().channels === 0);
    return native.memory().blocks;
  };
  const both = [
    { allow: `127.0.0.1:${kept.port}` },
    { allow: `127.0.0.1:${changing.port}` },
  ];
  await server.reload({ policy: both });
  const begin = async () => [
    ...(await openAll(tunnel, kept.port, CHANNELS / 2)),
    ...(await openAll(second, kept.port, CHANNELS / 2)),
  ];
  // Tables stay as large as they were: it is done once before.
  for (const one of await begin()) one.stream.destroy();
  const before = await settled();

  const busy = await begin();
  const narrow = `permitopen="127.0.0.1:${kept.port}"`;
  const counts = { open: 0, [DENIED]: 0 };
  let wrong = 0;
  for (let i = 0; i < SWAPS; i++) {
    // Every other time the rules say it, else the line of the key.
    const allowed = i % 4 === 0 || i % 4 === 3;
    const byRules = !allowed && i % 4 === 1;
    await server.reload({
      policy: byRules ? both.slice(0, 1) : both,
      authorizedKeys:
        allowed || byRules ? lines(keys().user) : behind(narrow, keys().user),
    });
    if (i % LOOK_EVERY > 3) continue;
    const answer = await ask(tunnel, changing.port);
    counts[answer] = (counts[answer] ?? 0) + 1;
    if (answer !== (allowed ? 'open' : DENIED)) wrong += 1;
  }
  t.equal(wrong, 0, 'each answer is that of the policy in force');
  t.ok(counts.open > 100 && counts[DENIED] > 100, JSON.stringify(counts));
  t.strictSame(Object.keys(counts).sort(), [DENIED, 'open'].sort());
  t.equal(busy.filter((one) => one.stream.destroyed).length, 0, 'all live on');
  t.equal(busy.filter((one) => one.wrong > 0).length, 0, 'no byte is wrong');
  const rounds = busy.map((one) => one.rounds);
  t.ok(Math.min(...rounds) > 0, 'each of them was busy');

  await server.reload({ policy: both.slice(1) });
  await Promise.all(busy.map((one) => one.closed));
  t.equal(await ask(tunnel, kept.port), DENIED);
  t.equal(await settled(), before, 'no block is left behind');
});

t.test('a broken file changes nothing', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const target = await echo(t);
  const broken = [
    { authorizedKeys: Buffer.from('restrict,nonsense ssh-ed25519 AAAA\n') },
    { certAuthority: Buffer.from('\n\nnonsense\n') },
    { revokedKeys: Buffer.from('nonsense\n') },
  ];
  for (const files of broken) {
    const [option] = Object.keys(files);
    const error = await rejection(
      t,
      server.reload({ ...files, policy: [{ deny: '*' }] }),
    );
    t.match(error.code, /^ERR_WRAITH_KEY_/);
    t.equal(error.option, option);
    t.equal(error.line, option === 'certAuthority' ? 3 : 1);
    t.equal(await ask(tunnel, target.port), 'open', 'the old rules hold');
  }
  await startTunnel(t, server).ready();
});

t.test('revocation ends sessions at once', async (t) => {
  const { server, tunnel } = await pairUp(t, {
    server: { authorizedKeys: lines(keys().user, keys().other) },
    tunnel: { reconnect: false },
  });
  const other = startTunnel(t, server, {
    identity: keys().other.privateKey,
    reconnect: false,
  });
  await other.ready();
  const closed = new Promise((resolve) => tunnel.once('close', resolve));
  await server.reload({ revokedKeys: lines(keys().user) });
  await closed;
  t.equal(other.state, 'up');
  const again = startTunnel(t, server, { reconnect: false });
  const error = await rejection(t, again.ready());
  t.equal(error.code, 'ERR_WRAITH_AUTH_REFUSED');
  // The list stays in force when something else is reloaded.
  await server.reload({ authorizedKeys: lines(keys().user, keys().other) });
  const still = startTunnel(t, server, { reconnect: false });
  t.equal((await rejection(t, still.ready())).code, 'ERR_WRAITH_AUTH_REFUSED');
  await server.reload({ revokedKeys: [] });
  await startTunnel(t, server, { reconnect: false }).ready();
});
