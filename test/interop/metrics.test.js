'use strict';
// --metrics: as curl sees it, and that nothing in it tells where tunnels lead.
const net = require('node:net');
const { once } = require('node:events');
const { parseExposition, valueOf } = require('../lib/exposition.js');
const canary = require('./lib/canary.js');
const { lab } = require('./lib/lab.js');
const { closedPort, exchange } = require('./lib/net.js');
const { socks5 } = require('./lib/socks.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['curl'] };

async function curl(lab, ...args) {
  const all = ['-sS', '--max-time', '60', '-w', '\n%{http_code}', ...args];
  const { code, stdout, stderr } = await lab.run(peers.path('curl'), all);
  const [, text, status] = /^(.*)\n(\d+)$/s.exec(stdout);
  return { code, stderr, text, status: Number(status) };
}

// Names and labels alone: a count may happen to be the number of a port.
const withoutValues = (text) =>
  text.split('\n').map((line) => line.replace(/(?<=^[^#].*) \S+$/, ''));

lab('no destination and nobody', needs, async (t, lab) => {
  const echo = await lab.target('echo');
  const denied = await lab.target('echo');
  const server = await lab.serve({
    args: ['--metrics', '0', '--deny', denied.spec],
  });
  const { metrics } = server.summary;
  t.match(metrics, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  const client = await lab.connect(server, {
    args: ['--user', 'zaphod', '--remote-forward', `0:${echo.spec}`],
  });
  const targets = [
    [echo.host, echo.port],
    [denied.host, denied.port],
    [canary.HOST, await closedPort()],
    [canary.NAME, 80],
    ['wraith-canary', 1],
  ];
  for (const [host, port] of targets) {
    const { reply, socket } = await socks5(client.socks5, host, port);
    if (reply === 0) await exchange(socket, 'canary');
  }
  const { code, stderr, status, text } = await curl(lab, metrics);
  t.equal(code, 0, stderr);
  t.equal(status, 200);
  const families = parseExposition(text);
  t.equal(valueOf(families, 'wraith_sessions'), 1);
  t.equal(valueOf(families, 'wraith_channels_opened_total'), 4);
  t.equal(valueOf(families, 'wraith_channels_refused_total'), 1);
  const lines = withoutValues(text);
  t.strictSame(canary.leaks(lines), []);
  t.notMatch(text, /zaphod|127\.|SHA256/, 'no user, address or key');
});

lab('other requests', needs, async (t, lab) => {
  const server = await lab.serve({ args: ['--metrics', '[::1]:0'] });
  const { metrics } = server.summary;
  t.match(metrics, /^http:\/\/\[::1\]:\d+\/metrics$/);
  t.equal((await curl(lab, metrics.replace(/metrics$/, ''))).status, 404);
  t.equal((await curl(lab, '-d', 'x=y', metrics)).status, 405);
  t.equal((await curl(lab, '--head', metrics)).status, 405);
  t.equal((await curl(lab, metrics)).status, 200);
  t.notMatch(server.text(), /metrics are open/);
});

lab('an address of the network is announced', needs, async (t, lab) => {
  const server = await lab.serve({
    args: ['--metrics', '0.0.0.0:0'],
    format: 'logfmt',
  });
  await server.line(
    /WARN metrics are open to other hosts listen_addr=0\.0\.0\.0:\d+$/,
    { from: 'stderr' },
  );
  const { port } = new URL(server.summary.metrics);
  const url = `http://127.0.0.1:${port}/metrics`;
  t.equal((await curl(lab, url)).status, 200);
});

lab('a port that is taken', {}, async (t, lab) => {
  const key = await lab.key();
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  lab.defer(() => new Promise((resolve) => taken.close(resolve)));
  const serve = (place) =>
    wraithRun(lab.dir, [
      ...['serve', '--authorized-keys', key.pub, '--listen', '127.0.0.1:0'],
      ...['--metrics', place],
    ]);
  const { port } = taken.address();
  const bound = await serve(String(port));
  t.equal(bound.code, 5);
  t.match(
    bound.stderr.split('\n').find((line) => line.startsWith('wraith: ')),
    `wraith: --metrics: listen EADDRINUSE 127.0.0.1:${port}: address already`,
  );
  const wrong = await serve('example.org:1');
  t.equal(wrong.code, 2);
  t.match(wrong.stderr, /^wraith: --metrics: example\.org is not an address/);
});
