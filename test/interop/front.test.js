'use strict';
// Real web servers in front that end the TLS, and a server of ours behind them
// without any: `wraith serve --transport ws`.
const fs = require('node:fs');
const { backend, haproxy, nginx, passTo } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const {
  ALT,
  NAME,
  PAGE,
  asClientOf,
  overWss,
  tunnel,
  visit,
} = require('./lib/port443.js');
const { makeCertificate } = require('./lib/tls.js');
const peers = require('../../scripts/peers.js');

const SECRET = 'a secret of the owner';
/** Where the fronts come from, unlike every client. */
const FRONT = '127.0.0.5';

// A server behind, that believes a front at FRONT.
function serveBehind(lab, args = []) {
  lab.subdir('site');
  lab.file('site/index.html', PAGE);
  return lab.serve({
    format: 'logfmt',
    args: [
      ...['--transport', 'ws', '--decoy', lab.file('site')],
      ...['--trust-proxy', FRONT, '--ws-path', '/live'],
      ...['--stealth-secret', SECRET, ...args],
    ],
  });
}

const behind = (server, lines) =>
  passTo(
    `http://127.0.0.1:${server.port}`,
    `proxy_bind ${FRONT};
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      ${lines}`,
  );

const withSecret = (front) => [...overWss(front), '--stealth-secret', SECRET];

const opened = (address) =>
  new RegExp(`connection opened remote_addr=${address} transport=ws `);

const withNginx = { peers: ['openssl', 'nginx', 'curl'] };

lab('nginx in front', withNginx, async (t, lab) => {
  const server = await serveBehind(lab);
  const ssl = makeCertificate(lab, { name: 'front', alt: ALT });
  const front = {
    ...(await nginx(lab, behind(server, ''), { ssl })),
    tls: ssl,
  };
  const client = await tunnel(
    ...[t, lab, front, withSecret(front), asClientOf(server)],
  );
  await client.check('through nginx');
  await server.line(opened('127\\.0\\.0\\.1'));
  t.equal(await visit(t, lab, front, ['--http1.1']), `${PAGE}200 1.1`);
  const missed = await visit(t, lab, front, ['--http1.1'], '/live');
  t.match(missed, /404 Not Found[^]*404 1\.1$/);
  t.match(
    server.summary.connect,
    [/--transport wss --server <the front> .* --ws-path \/live$/],
    'the line for the client',
  );
});

lab('two of them', withNginx, async (t, lab) => {
  const server = await serveBehind(lab);
  const inner = await nginx(lab, behind(server, ''));
  const ssl = makeCertificate(lab, { name: 'front', alt: ALT });
  // It tells the truth of where it comes from, which nobody trusts.
  const pass = passTo(
    `http://127.0.0.1:${inner.port}`,
    `proxy_bind 127.0.0.6;
      proxy_set_header X-Forwarded-For 203.0.113.7;`,
  );
  const front = { ...(await nginx(lab, pass, { ssl })), tls: ssl };
  const client = await tunnel(
    ...[t, lab, front, withSecret(front), asClientOf(server)],
  );
  await client.check('through both');
  await server.line(opened('127\\.0\\.0\\.6'));
});

const withHaproxy = { peers: ['openssl', 'haproxy', 'curl'] };

// haproxy wants both in one file.
function pemFor(lab) {
  const ssl = makeCertificate(lab, { name: 'front', alt: ALT });
  const parts = [ssl.certFile, ssl.keyFile].map((f) => fs.readFileSync(f));
  const both = Buffer.concat(parts);
  return { ssl, pem: lab.file('front.pem', both) };
}

const ways = {
  'X-Forwarded-For': ['option forwardfor', ''],
  'a PROXY header': ['', 'send-proxy-v2'],
};

lab('haproxy in front', withHaproxy, async (t, lab) => {
  for (const [what, [option, how]] of Object.entries(ways)) {
    const server = await serveBehind(lab);
    const { ssl, pem } = pemFor(lab);
    const to = backend(server, `source ${FRONT} ${how}`);
    const front = await haproxy(
      lab,
      `  mode http\n  ${option}\n  default_backend one\n${to}\n  mode http`,
      { pem },
    );
    const at = { ...front, tls: ssl };
    const client = await tunnel(
      ...[t, lab, at, withSecret(at), asClientOf(server)],
    );
    await client.check(what);
    await server.line(opened('127\\.0\\.0\\.1'));
    t.equal(await visit(t, lab, at, ['--http1.1']), `${PAGE}200 1.1`, what);
    await client.stop();
    await server.stop();
  }
});

lab('curl asks in all ways', withNginx, async (t, lab) => {
  const server = await serveBehind(lab);
  const ssl = makeCertificate(lab, { name: 'front', alt: ALT });
  const front = await nginx(lab, behind(server, ''), { ssl });
  const { code, stdout } = await lab.run(peers.path('curl'), [
    ...['-sS', '--max-time', '60', '--noproxy', '*', '-d', 'a=b'],
    ...['--cacert', ssl.certFile, '-o', '/dev/null', '-w', '%{http_code}'],
    ...['--resolve', `${NAME}:${front.port}:127.0.0.1`],
    `https://${NAME}:${front.port}/index.html`,
  ]);
  t.equal(code, 0);
  t.equal(stdout, '405', 'POST begins like a PROXY header');
});
