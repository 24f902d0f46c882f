'use strict';
// curl through the SOCKS5 port, in each of the protocols it answers.
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const { once } = require('node:events');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { closedPort, sha256 } = require('./lib/net.js');
const { makeCertificate, noCertificate } = require('./lib/tls.js');
const { socks4a, socks5 } = require('./lib/socks.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['curl'] };
const page = crypto.randomBytes(512 * 1024).toString('hex');
// curl's exit codes.
const EXIT = { PROXY: 97, GOT_NOTHING: 52, HTTP: 22, TUNNEL: 56 };

// A web server at the canary address; /name answers 404 but for /canary…
function website(lab, options) {
  return lab.web((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      if (!request.url.startsWith('/canary')) response.statusCode = 404;
      const body = Buffer.concat(chunks);
      response.end(body.length > 0 ? sha256(body) : page);
    });
  }, options);
}

const curl = (lab, args) =>
  lab.run(peers.path('curl'), ['-sS', '--max-time', '60', ...args]);

const proxyOf = ({ socks5 }) => `127.0.0.1:${socks5.port}`;

lab('each protocol', needs, async (t, lab) => {
  const client = await lab.connect(await lab.serve());
  const web = await website(lab);
  const local = await website(lab, { host: '127.0.0.1' });
  const byAddress = `http://${web.host}:${web.port}/canary`;
  const byName = `http://localhost:${local.port}/canary`;
  const ways = [
    ['--socks5', byAddress],
    ['--socks5-hostname', byName],
    ['--socks4', byAddress],
    ['--socks4a', byName],
    ['--proxy', byAddress],
    ['--proxy', byName],
    ['--proxytunnel', '--proxy', byAddress],
    ['--proxytunnel', '--proxy', byName],
  ];
  for (const way of ways) {
    const [url, ...flags] = [way.at(-1), ...way.slice(0, -1)];
    const args = [...flags, proxyOf(client), url];
    const { code, stdout, stderr } = await curl(lab, args);
    t.equal(code, 0, `${flags.join(' ')}: ${stderr}`);
    t.equal(sha256(stdout), sha256(page), flags.join(' '));
  }
  const urls = new Set([...web.requests, ...local.requests].map((r) => r.url));
  t.strictSame([...urls], ['/canary'], 'absolute form does not reach a server');
});

lab('requests in absolute form', needs, async (t, lab) => {
  const client = await lab.connect(await lab.serve());
  const web = await website(lab);
  const other = await website(lab);
  const proxy = ['--proxy', proxyOf(client)];
  const at = ({ host, port }, path) => `http://${host}:${port}${path}`;
  const body = lab.file('body', page);
  const posted = await curl(lab, [
    ...[...proxy, '--data-binary', `@${body}`, at(web, '/canary?q=1')],
  ]);
  t.equal(posted.stdout, sha256(page), 'POST');
  const chunked = await curl(lab, [
    ...[...proxy, '-H', 'Transfer-Encoding: chunked', '-H', 'Expect:'],
    ...['--data-binary', `@${body}`, at(web, '/canary')],
  ]);
  t.equal(chunked.stdout, sha256(page), 'POST in chunks');
  const head = await curl(lab, [...proxy, '-I', at(web, '/canary')]);
  t.match(head.stdout, /^HTTP\/1\.1 200 OK/);
  // Two targets on what curl may take for one connection to a proxy.
  const two = await curl(lab, [
    ...proxy,
    at(web, '/canary/1'),
    at(other, '/canary/2'),
    at(web, '/canary/3'),
  ]);
  t.equal(two.stdout, page + page + page);
  t.strictSame(
    other.requests.map((r) => r.url),
    ['/canary/2'],
  );
  const seen = web.requests.map(({ method, url }) => `${method} ${url}`);
  t.strictSame(seen, [
    'POST /canary?q=1',
    'POST /canary',
    'HEAD /canary',
    'GET /canary/1',
    'GET /canary/3',
  ]);
  for (const { headers } of web.requests) {
    t.equal(headers.host, `${web.host}:${web.port}`);
    t.notOk(headers['proxy-connection'], 'what is for the proxy stays there');
  }
});

const withTls = { ...needs, skip: noCertificate };

lab('https through CONNECT', withTls, async (t, lab) => {
  const { key, cert } = makeCertificate(lab);
  const server = https.createServer({ key, cert }, (request, response) =>
    response.end(page),
  );
  server.listen(0, canary.HOST);
  await once(server, 'listening');
  lab.defer(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address();
  canary.addPort(port);
  const client = await lab.connect(await lab.serve());
  const { code, stdout, stderr } = await curl(lab, [
    ...['-k', '--proxy', `http://${proxyOf(client)}`],
    `https://${canary.HOST}:${port}/canary`,
  ]);
  t.equal(code, 0, stderr);
  t.equal(sha256(stdout), sha256(page));
});

lab('user and password', needs, async (t, lab) => {
  const secret = lab.file('secret', 'tester:open sesame\n');
  const args = ['--socks5', '0', '--socks5-auth', `@${secret}`];
  const client = await lab.connect(await lab.serve(), { args });
  const web = await website(lab);
  const url = `http://${web.host}:${web.port}/canary`;
  const ways = ['--socks5-hostname', '--proxy'];
  for (const way of ways) {
    const proxy = [way, proxyOf(client)];
    const ask = (user) =>
      curl(lab, [...proxy, ...(user ? ['--proxy-user', user] : []), '-f', url]);
    const right = await ask('tester:open sesame');
    t.equal(right.code, 0, `${way}: ${right.stderr}`);
    t.equal(right.stdout, page);
    const failed = way === '--proxy' ? EXIT.HTTP : EXIT.PROXY;
    t.equal((await ask('tester:wrong')).code, failed, `${way}, wrong`);
    t.equal((await ask('other:open sesame')).code, failed, `${way}, other`);
    t.equal((await ask()).code, failed, `${way}, none`);
  }
  const shown = await curl(lab, ['-i', '--proxy', proxyOf(client), url]);
  t.match(shown.stdout, /^HTTP\/1\.1 407 .*\r\n/);
  t.match(shown.stdout, /\r\nProxy-Authenticate: Basic/i);
  t.equal(web.requests.length, ways.length, 'nothing else came through');
  t.ok(
    web.requests.every(({ headers }) => !headers['proxy-authorization']),
    'the password stays here',
  );
  t.notMatch(client.text(), /sesame/);

  const user = { user: 'tester', password: 'open sesame' };
  const yes = await socks5(client.socks5, web.host, web.port, user);
  t.match(yes, { status: 0, reply: 0 });
  yes.socket.destroy();
  const no = await socks5(client.socks5, web.host, web.port, {
    ...user,
    password: 'no',
  });
  t.not(no.status, 0);
  t.equal((await socks5(client.socks5, web.host, web.port)).method, 255);
  t.not((await socks4a(client.socks5, web.host, web.port)).reply, 90);
});

lab('targets that cannot be had', needs, async (t, lab) => {
  const denied = await website(lab);
  const server = await lab.serve({
    args: ['--deny', `${denied.host}:${denied.port}`],
  });
  const client = await lab.connect(server);
  const cases = [
    ['refused', canary.HOST, await closedPort(), 5, 502],
    ['unresolvable', canary.NAME, 80, 4, 502],
    ['denied', denied.host, denied.port, 2, 403],
    ['a reserved name', 'wraith-control', 80, null, null],
  ];
  for (const [what, host, port, reply, status] of cases) {
    const url = `http://${host}:${port}/canary`;
    const raw = await socks5(client.socks5, host, port);
    if (reply) t.equal(raw.reply, reply, `${what}: reply`);
    else t.not(raw.reply, 0, `${what}: reply`);
    const four = await socks4a(client.socks5, host, port);
    t.equal(four.reply, 91, `${what}: SOCKS4a`);
    const at = (...flags) => curl(lab, [...flags, proxyOf(client), url]);
    t.equal((await at('--socks5-hostname')).code, EXIT.PROXY, what);
    const shown = await at('-w', '%{http_code}', '-o', '/dev/null', '--proxy');
    t.equal(shown.code, 0, `${what}: ${shown.stderr}`);
    if (status) t.equal(Number(shown.stdout), status, `${what}: HTTP`);
    const tunnel = await at('-w', '%{http_connect}', '-p', '--proxy');
    t.equal(tunnel.code, EXIT.TUNNEL, `${what}: CONNECT`);
    if (status) t.equal(Number(tunnel.stdout), status, `${what}: CONNECT`);
  }
  t.equal(denied.requests.length, 0);
});

lab('the tunnel is down', needs, async (t, lab) => {
  const server = await lab.serve();
  const client = await lab.connect(server);
  await server.stop();
  await client.line(/not connected/, { from: 'stderr' });
  const raw = await socks5(client.socks5, canary.HOST, 80);
  t.equal(raw.reply, 1, 'general failure');
  const { stdout } = await curl(lab, [
    ...['-w', '%{http_code}', '-o', '/dev/null', '--proxy', proxyOf(client)],
    `http://${canary.NAME}/`,
  ]);
  t.equal(stdout, '503');
});

lab('a large upload and download at once', needs, async (t, lab) => {
  const client = await lab.connect(await lab.serve());
  const web = await lab.web((request, response) => request.pipe(response));
  const data = crypto.randomBytes(16 * 1024 * 1024);
  const [from, to] = [lab.file('from', data), lab.file('to')];
  const { code, stderr } = await curl(lab, [
    ...['-T', from, '-o', to, '--socks5-hostname', proxyOf(client)],
    `http://${web.host}:${web.port}/canary`,
  ]);
  t.equal(code, 0, stderr);
  t.equal(sha256(fs.readFileSync(to)), sha256(data));
});
