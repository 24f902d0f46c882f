'use strict';
// Real proxies between the client and the server, and between the server and
// the targets.
const crypto = require('node:crypto');
const os = require('node:os');
const { listening, tinyproxy } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { closedPort, connect, exchange, sha256 } = require('./lib/net.js');
const { overTls, overWss, serveSite, tunnel } = require('./lib/port443.js');
const { socks5 } = require('./lib/socks.js');
const { wraith, wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const LOGIN = { user: 'ann', password: 's3cret-of-a-proxy' };
const login = `${LOGIN.user}:${LOGIN.password}`;
const data = crypto.randomBytes(1024 * 1024);

// CONNECT to anywhere, without files of its own.
const squidConfig = (port) => `
http_port 127.0.0.1:${port}
http_access allow all
access_log none
cache_log /dev/null
cache_store_log none
netdb_filename none
pid_filename none
pinger_enable off
cache deny all
coredump_dir /
shutdown_lifetime 0
`;

// From an address of its own to everything but one port, where its rules say no.
const FROM = '127.0.0.8';
const BLOCKED = 81;
const dantedConfig = (port, user) => `
errorlog: stderr
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: ${FROM}
user.privileged: ${user}
user.unprivileged: ${user}
clientmethod: none
socksmethod: none
client pass { from: 127.0.0.1/32 to: 0.0.0.0/0 }
socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = ${BLOCKED} }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
`;

const danted = (lab) =>
  listening(
    lab,
    'danted',
    (port) => [
      ...['-p', lab.file(`danted-${port}.pid`), '-f'],
      lab.file(`danted-${port}`, dantedConfig(port, os.userInfo().username)),
    ],
    { stopSignal: 'SIGTERM' },
  );

// scheme: of its URL; start: gives its place.
const proxies = {
  microsocks: {
    scheme: 'socks5',
    login: true,
    start: (lab, auth) =>
      listening(lab, 'microsocks', (port) => [
        ...['-i', '127.0.0.1', '-p', port],
        ...(auth ? ['-u', LOGIN.user, '-P', LOGIN.password] : []),
      ]),
  },
  danted: { scheme: 'socks5', login: false, start: danted },
  tinyproxy: {
    scheme: 'http',
    login: true,
    start: (lab, auth) => tinyproxy(lab, auth ? LOGIN : undefined),
  },
  squid: {
    scheme: 'http',
    login: false,
    start: (lab) =>
      listening(lab, 'squid', (port) => [
        ...['-N', '-f'],
        lab.file(`squid-${port}`, squidConfig(port)),
      ]),
  },
};

const urlOf = (scheme, port, auth) =>
  `${scheme}://${auth ? `${login}@` : ''}127.0.0.1:${port}`;

const curl = (lab, args) =>
  lab.run(peers.path('curl'), ['-sS', '--max-time', '60', ...args]);

async function transfers(t, client) {
  const [forward] = client.summary.forwards;
  t.equal(sha256(await exchange(forward, data)), sha256(data));
}

// All but danted end both directions with the first, so nobody ends before all has
// come.
async function takeAll(socket, length, send = '') {
  const chunks = [];
  let have = 0;
  socket.write(send);
  for await (const chunk of socket) {
    chunks.push(chunk);
    have += chunk.length;
    if (have >= length) break;
  }
  return Buffer.concat(chunks);
}

const forwardTo = (target) => ['--forward', `127.0.0.1:0:${target.spec}`];

for (const [name, { scheme, start, login: hasLogin }] of Object.entries(
  proxies,
)) {
  const needs = { peers: [name] };

  lab(`the client through ${name}`, needs, async (t, lab) => {
    const echo = await lab.target('echo');
    const server = await lab.serve();
    const url = urlOf(scheme, (await start(lab, false)).port, false);
    const args = ['--proxy', url, ...forwardTo(echo)];
    await transfers(t, await lab.connect(server, { args }));
  });

  lab(`the server's targets through ${name}`, needs, async (t, lab) => {
    const echo = await lab.target('echo');
    const source = await lab.target('source', { data });
    const url = urlOf(scheme, (await start(lab, false)).port, false);
    const server = await lab.serve({ args: ['--proxy', url] });
    const client = await lab.connect(server, { args: forwardTo(echo) });
    const socket = await connect(client.summary.forwards[0]);
    const back = await takeAll(socket, data.length, data);
    t.equal(sha256(back), sha256(data));
    const place = { host: '127.0.0.1', port: client.socks5.port };
    const first = await socks5(place, source.host, source.port);
    t.equal(first.reply, 0);
    t.equal(sha256(await takeAll(first.socket, data.length)), sha256(data));
    const refused = await socks5(place, canary.HOST, await closedPort());
    t.ok(
      scheme === 'socks5' ? refused.reply === 5 : refused.reply > 0,
      `refused: reply ${refused.reply}`,
    );
    const unknown = await socks5(place, canary.NAME, 80);
    t.ok(unknown.reply > 0, `unresolved: reply ${unknown.reply}`);
  });

  if (!hasLogin) continue;

  lab(`${name} with a login`, needs, async (t, lab) => {
    const echo = await lab.target('echo');
    const server = await lab.serve();
    const { port } = await start(lab, true);
    const secret = lab.file('secret', `${urlOf(scheme, port, true)}\n`);
    const byFile = await lab.connect(server, {
      args: ['--proxy', `@${secret}`, ...forwardTo(echo)],
    });
    await transfers(t, byFile);
    const byEnv = await lab.connect(server, {
      args: forwardTo(echo),
      env: { WRAITH_PROXY: urlOf(scheme, port, true) },
    });
    await transfers(t, byEnv);
    for (const wrong of ['', 'ann:wr0ng-word@']) {
      const { code, stderr } = await wraithRun(lab.dir, [
        ...['connect', '--server', `127.0.0.1:${server.port}`],
        ...['--identity', server.key.file, '--socks5', 'off'],
        ...['--host-key', server.summary.hostKeyFingerprint],
        ...['--proxy', `${scheme}://${wrong}127.0.0.1:${port}`],
      ]);
      t.equal(code, 3, stderr);
      t.match(stderr, `${scheme}://127.0.0.1:${port}`);
      t.notMatch(stderr, /wr0ng/);
    }
    for (const { lines } of [byFile, byEnv, server]) {
      t.notMatch(lines.map(({ text }) => text).join('\n'), LOGIN.password);
    }
  });
}

const withDanted = { peers: ['danted', 'openssl'] };

lab('TLS through danted', withDanted, async (t, lab) => {
  const site = ['--ws-path', '/live'];
  const server = await serveSite(lab, { format: 'logfmt', args: site });
  const url = urlOf('socks5', (await danted(lab)).port, false);
  for (const [transport, over] of Object.entries({
    tls: overTls,
    wss: overWss,
  })) {
    const args = [...over(server), '--proxy', url];
    const client = await tunnel(t, lab, server, args);
    await client.check(`${transport} through danted`);
    await server.line(
      new RegExp(`opened remote_addr=${FROM} transport=${transport} `),
    );
  }
});

lab('what danted says', { peers: ['danted', 'curl'] }, async (t, lab) => {
  const web = await lab.web((request, response) => response.end('a page'));
  const url = urlOf('socks5', (await danted(lab)).port, false);
  const server = await lab.serve({ args: ['--proxy', url] });
  const client = await lab.connect(server);
  const get = (port) =>
    curl(lab, [
      ...['--socks5-hostname', `127.0.0.1:${client.socks5.port}`],
      `http://${canary.HOST}:${port}/canary`,
    ]);
  const page = await get(web.port);
  t.equal(page.stdout, 'a page', page.stderr);
  const replies = { 5: await closedPort(), 2: BLOCKED };
  for (const [reply, port] of Object.entries(replies)) {
    const { code, stderr } = await get(port);
    t.equal(code, 97, stderr);
    t.match(stderr, new RegExp(`SOCKS5 connection .*\\(${reply}\\)`));
  }
});

lab('half-closed through danted', { peers: ['danted'] }, async (t, lab) => {
  const digest = await lab.target('digest');
  const url = urlOf('socks5', (await danted(lab)).port, false);
  const server = await lab.serve({ args: ['--proxy', url] });
  const client = await lab.connect(server, { args: forwardTo(digest) });
  const answer = await exchange(client.summary.forwards[0], data);
  t.equal(`${answer}`, `${sha256(data)}\n`);
});

lab('one client through another', { peers: ['curl'] }, async (t, lab) => {
  const page = data.toString('hex');
  const web = await lab.web((request, response) => response.end(page));
  const [near, far] = [await lab.serve(), await lab.serve()];
  const inner = await lab.connect(near, {
    args: ['--socks5-auth', login],
  });
  for (const scheme of ['socks5h', 'http']) {
    const proxy = urlOf(scheme, inner.socks5.port, true);
    const outer = await lab.connect(far, { args: ['--proxy', proxy] });
    const { code, stdout, stderr } = await curl(lab, [
      ...['--socks5-hostname', `127.0.0.1:${outer.socks5.port}`],
      `http://${web.host}:${web.port}/canary`,
    ]);
    t.equal(code, 0, stderr);
    t.equal(sha256(stdout), sha256(page), scheme);
  }
});

// A server whose targets are reached through another client: what went wrong at
// the far end is told at the near one.
lab('failures through a chain', {}, async (t, lab) => {
  const far = await lab.serve({ args: ['--deny', `${canary.HOST}:81`] });
  const inner = await lab.connect(far);
  const proxy = urlOf('socks5', inner.socks5.port, false);
  const near = await lab.serve({ args: ['--proxy', proxy] });
  const outer = await lab.connect(near);
  const place = { host: '127.0.0.1', port: outer.socks5.port };
  const replyOf = async (...target) => (await socks5(place, ...target)).reply;
  t.equal(await replyOf(canary.HOST, await closedPort()), 5, 'refused');
  t.equal(await replyOf(canary.NAME, 80), 4, 'does not resolve');
  t.equal(await replyOf(canary.HOST, 81), 2, 'denied there');
});

lab('rules where names go to a proxy', {}, async (t, lab) => {
  const key = await lab.key();
  const keys = ['--key', key.pub, '--authorized-keys', key.pub];
  const rules = ['--deny', 'private', '--allow', 'a.example', '--allow', '*'];
  const { code, stdout } = await wraithRun(lab.dir, [
    ...['policy', ...keys, ...rules, '--proxy', 'socks5://127.0.0.1:9050'],
    ...['a.example:80', 'b.example:80', '192.0.2.1:80', '10.0.0.1:80'],
  ]);
  t.equal(code, 1);
  t.strictSame(stdout.trim().split('\n').slice(1), [
    'channel a.example:80: allowed: --allow a.example',
    'channel b.example:80: denied: --deny private',
    'channel 192.0.2.1:80: allowed: --allow *',
    'channel 10.0.0.1:80: denied: --deny private',
  ]);
});

lab('usage', {}, async (t, lab) => {
  const bad = `socks5://${login}@127.0.0.1`;
  const file = lab.file('bad', bad);
  for (const command of ['serve', 'connect']) {
    for (const value of [bad, `@${file}`, `@${lab.dir}/none`]) {
      const program = wraith(lab.dir, [
        ...[command, '--proxy', value],
        ...(command === 'connect' ? ['--server', 'h:1', '--agent'] : []),
      ]);
      const { code, stderr } = await program.done();
      t.equal(code, 2, `${stderr}`);
      t.match(`${stderr}`, /--proxy/);
      t.notMatch(`${stderr}`, LOGIN.password);
    }
  }
});
