'use strict';
// Ten thousand short channels, and not one block of the core is left behind.
const t = require('tap');
const { startChild } = require('../lib/child.js');
const { keys, lines, startTunnel, until } = require('../lib/pair.js');
const { native } = require('../../lib/binding.js');
const { dial, echo, readAll } = require('../lib/net.js');

const COUNT = 10000;
const AT_ONCE = 50;

async function start(t) {
  const child = await startChild(t, 'server-child.js', {
    hostKey: keys().host.privateKey.toString(),
    authorizedKeys: `${lines(keys().user)}\n`,
    listen: '127.0.0.1:0',
  });
  const tunnel = startTunnel(
    t,
    { addresses: [{ port: child.ready.port }] },
    { reconnect: false },
  );
  await tunnel.ready();
  return { child, tunnel };
}

async function inParallel(count, one) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

t.test('10,000 channels to a target', { timeout: 110000 }, async (t) => {
  const { child, tunnel } = await start(t);
  const target = await echo(t);
  let wrong = 0;
  const one = async () => {
    const stream = await tunnel.open(`127.0.0.1:${target.port}`);
    stream.end('ping');
    if ((await readAll(stream)).toString() !== 'ping') wrong += 1;
  };
  const settled = async () => {
    await until(() => tunnel.stats().channels === 0);
    while ((await child.ask('stats')).stats.channels > 0)
      await new Promise(setImmediate);
    return { near: native.memory().blocks, far: await child.ask('memory') };
  };
  await inParallel(COUNT / 2, one);
  const first = await settled();
  await inParallel(COUNT / 2, one);
  const second = await settled();
  t.equal(wrong, 0);
  t.equal(second.near, first.near, 'the client has every block back');
  t.equal(second.far.blocks, first.far.blocks, 'and the server');
  t.ok(
    second.far.rss <= first.far.rss * 1.05,
    `${first.far.rss} then ${second.far.rss}`,
  );
  t.equal(tunnel.stats().channelsOpened, COUNT);
});

t.test('channels that fail, are reset, or are given up', async (t) => {
  const { child, tunnel } = await start(t);
  const round = async () => {
    await t.rejects(tunnel.open('127.0.0.1:1'));
    const stream = await tunnel.open('wraith-control');
    stream.on('error', () => {});
    stream.write(Buffer.alloc(100000));
    stream.destroy();
    const controller = new AbortController();
    const opening = tunnel.open('wraith-control', {
      signal: controller.signal,
    });
    controller.abort();
    await t.rejects(opening);
  };
  const settled = async () => {
    await until(() => tunnel.stats().channels === 0);
    while ((await child.ask('stats')).stats.channels > 0)
      await new Promise(setImmediate);
    return [native.memory().blocks, (await child.ask('memory')).blocks];
  };
  for (let i = 0; i < 20; i++) await round();
  const first = await settled();
  for (let i = 0; i < 50; i++) await round();
  t.strictSame(await settled(), first);
});

t.test('tunnels, listeners and forwards that come and go', async (t) => {
  const { child } = await start(t);
  const round = async () => {
    const tunnel = startTunnel(t, { addresses: [{ port: child.ready.port }] });
    await tunnel.ready();
    const socks = await tunnel.socks5({ port: 0 });
    await tunnel.forward({ bindPort: 0, host: 'h', port: 1 });
    await tunnel.remoteForward('0:localhost:1');
    (await dial(t, socks.port)).write('x');
    await tunnel.close();
  };
  const settled = async () => {
    while ((await child.ask('stats')).stats.sessions > 1)
      await new Promise(setImmediate);
    return [native.memory().blocks, (await child.ask('memory')).blocks];
  };
  for (let i = 0; i < 5; i++) await round();
  const first = await settled();
  for (let i = 0; i < 20; i++) await round();
  t.strictSame(await settled(), first);
});
