'use strict';
// Upstream proxies of the client and of the server. The names end in .example:
// no resolver knows them, so whatever works was resolved by the proxy.
const { once } = require('node:events');
const t = require('tap');
const {
  keys,
  pairUp,
  rejection,
  startServer,
  startTunnel,
  state,
  until,
  wraith,
} = require('../lib/pair.js');
const {
  closed,
  deadPort,
  echo,
  listen,
  readN,
  socks5,
} = require('../lib/net.js');
const { startProxy } = require('../lib/upstream.js');

const SCHEMES = ['socks5', 'socks5h', 'http'];

/** A tunnel to `hidden.example` through the proxy. */
function tunnelThrough(t, proxy, options = {}) {
  const address = { addresses: [{ port: 1 }] };
  return startTunnel(t, address, { server: 'hidden.example:22', ...options });
}

t.test('a server asks for its certificate through it', async (t) => {
  const proxy = await startProxy(t);
  await startServer(t, {
    listen: 'tls=127.0.0.1:0',
    proxy: proxy.url('socks5'),
    acmeDomain: 'one.example',
    acmeDirectory: 'https://directory.example/dir',
    acmeDir: t.testdir({}),
  });
  await until(() => proxy.asked.length > 0);
  const wanted = { host: 'directory.example', port: 443, byName: true };
  t.strictSame(proxy.asked[0], wanted);
});

for (const scheme of SCHEMES) {
  t.test(`the client's way to the server: ${scheme}`, async (t) => {
    const server = await startServer(t);
    const names = { 'hidden.example': server.addresses[0].port };
    const proxy = await startProxy(t, { names, login: 'ann:s3:cr@t' });
    const tunnel = tunnelThrough(t, proxy, {
      proxy: proxy.url(scheme, 'ann:s3%3Acr%40t'),
    });
    await tunnel.ready();
    t.strictSame(proxy.asked, [
      { host: 'hidden.example', port: 22, byName: true },
    ]);
    t.equal(tunnel.peer, null, "the proxy's address is not the server's");
    const came = once(server, 'connection');
    const near = await tunnel.open('wraith-control');
    const [far] = await came;
    near.write('hello');
    t.equal((await readN(far, 5)).toString(), 'hello');
  });

  t.test(`a wrong login ends it: ${scheme}`, async (t) => {
    const proxy = await startProxy(t, { login: 'ann:right' });
    for (const login of ['ann:wr0ng', 'bob', undefined]) {
      const tunnel = tunnelThrough(t, proxy, {
        proxy: proxy.url(scheme, login),
      });
      const error = await rejection(t, tunnel.ready());
      t.equal(error.code, 'ERR_WRAITH_PROXY_AUTH');
      t.equal(error.phase, 'proxy');
      const kind = scheme.replace('h', (c, at) => (at > 0 ? '' : c));
      t.match(error.message, `${kind}://127.0.0.1:${proxy.port}`);
      t.notMatch(error.stack, /ann|wr0ng|bob/);
      t.equal(tunnel.state, 'closed');
    }
    t.strictSame(proxy.asked, []);
  });
}

t.test('a proxy that cannot be reached is tried again', async (t) => {
  const port = await deadPort();
  const tunnel = tunnelThrough(t, null, {
    proxy: `socks5://ann:s3cret@127.0.0.1:${port}`,
  });
  const { reason } = await state(tunnel, 'reconnecting');
  t.equal(reason.code, 'ERR_WRAITH_PROXY_UNREACHABLE');
  t.equal(reason.phase, 'proxy');
  t.equal(
    reason.message,
    `the proxy cannot be reached: socks5://127.0.0.1:${port} ` +
      '(connection refused)',
  );
});

t.test('a proxy that breaks off', async (t) => {
  const { port } = await listen(t, (socket) => socket.end());
  const proxy = `http://127.0.0.1:${port}`;
  const { reason } = await state(
    tunnelThrough(t, null, { proxy }),
    'reconnecting',
  );
  t.match(reason, { code: 'ERR_WRAITH_PROXY_PROTOCOL', phase: 'proxy' });
});

t.test('what the proxy says of the server is told as of a dial', async (t) => {
  const codes = [
    ['socks5', { reply: 1 }, 'ERR_WRAITH_PROXY_FAILED', 'proxy'],
    ['socks5', { reply: 2 }, 'ERR_WRAITH_PROXY_DENIED', 'proxy'],
    ['socks5', { reply: 4 }, 'ERR_WRAITH_UNRESOLVED', 'dial'],
    ['socks5', { reply: 5 }, 'ECONNREFUSED', 'dial'],
    ['http', { status: 403 }, 'ERR_WRAITH_PROXY_DENIED', 'proxy'],
    ['http', { status: 502 }, 'EHOSTUNREACH', 'dial'],
    ['http', { status: 504 }, 'ETIMEDOUT', 'dial'],
  ];
  for (const [scheme, options, code, phase] of codes) {
    const proxy = await startProxy(t, options);
    const tunnel = tunnelThrough(t, proxy, {
      proxy: proxy.url(scheme),
      reconnect: false,
    });
    const error = await rejection(t, tunnel.ready());
    t.match(error, { code, phase }, JSON.stringify(options));
  }
});

t.test('connect takes it as well', async (t) => {
  const server = await startServer(t);
  const names = { 'hidden.example': server.addresses[0].port };
  const proxy = await startProxy(t, { names });
  const came = once(server, 'connection');
  const stream = await wraith.connect({
    server: 'hidden.example:22',
    identity: keys().user.privateKey,
    hostKey: keys().host.fingerprint,
    proxy: proxy.url('http'),
  });
  const [far] = await came;
  far.end('bye');
  t.equal((await readN(stream, 3)).toString(), 'bye');
  stream.end();
  await closed(stream);
});

/** A server that reaches targets through the proxy, and a tunnel to it. */
const behind = (t, proxy, options = {}) =>
  pairUp(t, { server: { proxy: proxy.url('socks5'), ...options } });

const failure = (scheme) => (scheme === 'http' ? 'UNREACHABLE' : 'REFUSED');

t.test('targets of the server: names go over as they are', async (t) => {
  const { port } = await echo(t);
  const greeting = await listen(t, (socket) => socket.end('speaks first'));
  const proxy = await startProxy(t, {
    names: { 'secret.example': port, 'first.example': greeting.port },
  });
  for (const scheme of SCHEMES) {
    proxy.asked.length = 0;
    const { tunnel } = await behind(t, proxy, { proxy: proxy.url(scheme) });
    const stream = await tunnel.open('secret.example:80');
    stream.write('ping');
    t.equal((await readN(stream, 4)).toString(), 'ping');
    const first = await tunnel.open('FIRST.example:81').catch((e) => e);
    t.equal(first.code, 'ERR_WRAITH_CHANNEL_' + failure(scheme), 'not folded');
    const { length } = 'speaks first';
    const spoken = await readN(await tunnel.open('first.example:81'), length);
    t.equal(spoken.toString(), 'speaks first');
    t.strictSame(
      proxy.asked.map(({ host, port, byName }) => [host, port, byName]),
      [
        ['secret.example', 80, true],
        ['FIRST.example', 81, true],
        ['first.example', 81, true],
      ],
    );
    stream.destroy();
  }
});

t.test('addresses go over as addresses', async (t) => {
  const { port } = await echo(t);
  const v6 = '2001:0db8:0000:0000:0000:0000:0000:0001';
  const proxy = await startProxy(t, {
    names: { '192.0.2.1': port, [v6]: port, '[2001:db8::1]': port },
  });
  const { tunnel } = await behind(t, proxy);
  (await tunnel.open('192.0.2.1:80')).destroy();
  (await tunnel.open('[2001:db8::1]:80')).destroy();
  const over = await behind(t, proxy, { proxy: proxy.url('http') });
  (await over.tunnel.open('192.0.2.1:80')).destroy();
  (await over.tunnel.open('[2001:db8::1]:80')).destroy();
  t.strictSame(
    proxy.asked.map(({ host, byName }) => [host, byName]),
    [
      ['192.0.2.1', false],
      [v6, false],
      ['192.0.2.1', false],
      ['[2001:db8::1]', false],
    ],
  );
});

t.test("a proxy's answer becomes the SOCKS reply", async (t) => {
  const replies = [
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
    [5, 5],
    [6, 6],
    [7, 1],
    [8, 1],
  ];
  const proxy = await startProxy(t);
  const { tunnel } = await behind(t, proxy);
  const { port } = await tunnel.socks5({ port: 0 });
  for (const [said, heard] of replies) {
    proxy.reply = said;
    const { reply } = await socks5(t, port, 'x.example', 80);
    t.equal(reply, heard, `reply ${said}`);
  }
});

t.test('a proxy that is not there is no refusal of the target', async (t) => {
  const dead = await deadPort();
  const { tunnel } = await pairUp(t, {
    server: { proxy: `socks5://127.0.0.1:${dead}` },
  });
  const error = await rejection(t, tunnel.open('x.example:80'));
  t.equal(error.code, 'ERR_WRAITH_CHANNEL_FAILED');
  const { port } = await tunnel.socks5({ port: 0 });
  t.equal((await socks5(t, port, 'x.example', 80)).reply, 1);
});

t.test('the log tells of the proxy, and of nothing else', async (t) => {
  const login = 'ann:right';
  const proxies = [
    ['unreachable', `socks5://127.0.0.1:${await deadPort()}`],
    ['auth', (await startProxy(t, { login })).url('http', 'ann:wr0ng')],
    ['protocol', `http://127.0.0.1:${(await echo(t)).port}`],
    [null, (await startProxy(t)).url('socks5')],
  ];
  for (const [reason, proxy] of proxies) {
    const records = [];
    const log = (record, line) => records.push({ ...record, line });
    const { tunnel } = await pairUp(t, {
      server: { proxy, log, logLevel: 'debug' },
    });
    await rejection(t, tunnel.open('x.example:80'));
    await rejection(t, tunnel.open('y.example:80'));
    const failed = records.filter(({ message }) => message === 'proxy failed');
    t.match(failed, reason ? [{ level: 'WARN', reason }] : [], reason);
    t.equal(failed.length, reason ? 1 : 0, 'once a minute');
    t.notMatch(records.map(({ line }) => line).join('\n'), /example|wr0ng/);
  }
});

t.test('names are judged by name rules alone', async (t) => {
  const { port } = await echo(t);
  const proxy = await startProxy(t, {
    names: { 'a.example': port, 'b.example': port, '192.0.2.1': port },
  });
  const policy = [
    { deny: 'private' },
    { allow: 'a.example' },
    { allow: '192.0.2.0/24' },
    { allow: '*:443' },
  ];
  const { server, tunnel } = await behind(t, proxy, { policy });
  const stream = await tunnel.open('a.example:80');
  (await tunnel.open('192.0.2.1:80')).destroy();
  for (const target of ['b.example:80', 'b.example:443', '10.0.0.1:80']) {
    const error = await rejection(t, tunnel.open(target));
    t.equal(error.code, 'ERR_WRAITH_CHANNEL_DENIED', target);
  }
  t.strictSame(
    proxy.asked.map(({ host }) => host),
    ['a.example', '192.0.2.1'],
  );
  await server.reload({ policy: [{ deny: '127.0.0.0/8' }, ...policy] });
  stream.write('x');
  t.equal((await readN(stream, 1)).toString(), 'x', 'not the proxy is judged');
  stream.on('error', () => {});
  const gone = closed(stream);
  await server.reload({ policy: [{ deny: 'a.example' }] });
  await gone;
});

t.test('options', async (t) => {
  const secret = 'sup3rs3cret';
  const wrong = [
    `ftp://ann:${secret}@h:1`,
    `socks5://ann:${secret}@h`,
    `http://ann:${secret}@h:1/path`,
    `socks5://ann:${secret}%zz@h:1`,
    `socks5://ann:${secret.repeat(500)}@h:1`,
  ];
  const end = { server: 'h:1', hostKey: keys().host.fingerprint };
  for (const proxy of wrong) {
    const errors = [
      await rejection(t, wraith.serve({ proxy })),
      await rejection(t, wraith.connect({ ...end, proxy })),
    ];
    for (const error of errors) {
      t.match(error, { option: 'proxy', phase: 'options' });
      t.notMatch(error.stack, new RegExp(secret));
    }
  }
  const error = await rejection(
    t,
    wraith.connect({
      hostKey: end.hostKey,
      stream: () => {},
      proxy: 'socks5://h:1',
    }),
  );
  t.match(error, { option: 'proxy', code: 'ERR_WRAITH_INVALID_ARGUMENT' });
});
