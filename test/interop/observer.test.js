'use strict';
// What somebody on the way sees of a tunnel: packets are captured and shown to
// ndpiReader and tshark, beside those of Node's https client that visits the
// site of the same server (docs/stealth-fingerprints.md).
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const canary = require('./lib/canary.js');
const { capture, noCapture } = require('./lib/capture.js');
const { node24 } = require('./lib/client-hello.js');
const { nginx, passTo } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const { sha256 } = require('./lib/net.js');
const { clear, fields, observe } = require('./lib/observer.js');
const { NAME, overTls, overWss, serveTls } = require('./lib/port443.js');
const peers = require('../../scripts/peers.js');

const recorded = require('./lib/client-hello-node24.json');

const needs = {
  peers: ['openssl', 'curl', 'dumpcap', 'tshark', 'ndpiReader'],
  skip: noCapture(),
};
const withNginx = { ...needs, peers: [...needs.peers, 'nginx'] };

const SECRET = 'a secret of the owner';
const KNOCK = ['--stealth-secret', SECRET, '--ws-path', '/live'];
const ROUNDS = 3;
const page = crypto.randomBytes(2_000_000);
const upload = crypto.randomBytes(1_000_000); // a decoy takes no more

const words = [
  ...['SSH-2.0', 'ssh-ed25519', 'wraith', 'websocket', 'HTTP/1.1', '/canary'],
  ...[SECRET, canary.HOST],
];

// What is fetched, through a tunnel or from the site: a page for a GET, the
// digest for a POST.
const website = (lab, options) =>
  lab.web((request, response) => {
    const hash = crypto.createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk));
    request.on('end', () =>
      response.end(request.method === 'GET' ? page : hash.digest('hex')),
    );
  }, options);

async function serveStealth(lab) {
  const site = await website(lab, { host: '127.0.0.1' });
  const decoy = `http://127.0.0.1:${site.port}`;
  const args = ['--stealth', '--decoy', decoy, ...KNOCK];
  return serveTls(lab, { args });
}

// A program for node: requests one after the other over one connection.
const visitor = ({ port, tls }, body) => `
  const https = require('node:https');
  const fs = require('node:fs');
  const crypto = require('node:crypto');
  const body = fs.readFileSync(${JSON.stringify(body)});
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (method, data) => new Promise((resolve, reject) => {
    const request = https.request({
      method, agent, host: '127.0.0.1', port: ${port}, servername: '${NAME}',
      ca: fs.readFileSync(${JSON.stringify(tls.certFile)}),
    }, async (response) => {
      const hash = crypto.createHash('sha256');
      for await (const chunk of response) hash.update(chunk);
      resolve(hash.digest('hex'));
    });
    request.on('error', reject).end(data);
  });
  (async () => {
    for (let i = 0; i < ${ROUNDS}; i++) {
      console.log(await ask('GET'), await ask('POST', body));
    }
    agent.destroy();
  })();
`;

const reference = () => node24() ?? process.execPath;

async function visit(t, lab, server) {
  const program = visitor(server, lab.file('upload', upload));
  const { code, stdout, stderr } = await lab.run(reference(), ['-e', program]);
  t.equal(code, 0, `node ${stderr}`);
  const round = `${sha256(page)} ${sha256(sha256(upload))}\n`;
  t.equal(stdout, round.repeat(ROUNDS), 'Node has got all');
}

const curl = (lab, { socks5 }, args) =>
  lab.run(peers.path('curl'), [
    ...['-sS', '--max-time', '60', '--socks5', `127.0.0.1:${socks5.port}`],
    ...args,
  ]);

// The same load through a tunnel; requests at once, as from a browser.
async function load(t, lab, client) {
  const web = await website(lab);
  const url = `http://${web.host}:${web.port}/canary`;
  const body = `@${lab.file('upload', upload)}`;
  const rounds = Array.from({ length: ROUNDS }, async (_, i) => {
    const out = lab.file(`page-${i}`);
    const got = await curl(lab, client, ['-o', out, url]);
    t.equal(got.code, 0, `curl ${got.stderr}`);
    t.equal(sha256(fs.readFileSync(out)), sha256(page), 'GET');
    const put = await curl(lab, client, ['--data-binary', body, url]);
    t.equal(put.stdout, sha256(upload), `POST ${put.stderr}`);
  });
  await Promise.all(rounds);
}

// The capture of a tunnel from its first packet to its last.
const tunnel = (t, lab, name, server, options, { port = server.port } = {}) =>
  capture(lab, name, port, async () => {
    const client = await lab.connect(server, options);
    await load(t, lab, client);
    await client.stop();
  });

const overStealth = {
  tls: (server) => [...overTls(server), ...KNOCK],
  wss: (server) => [...overWss(server), '--stealth-secret', SECRET],
};

// What was seen, as a row of the page. WRAITH_CAPTURES names a folder to keep
// the packets in.
function tell(t, seen, { names, risks, protocols, hellos }) {
  const ja3 = hellos.client.map(([hash]) => hash).join(' ') || 'no ClientHello';
  const dir = process.env.WRAITH_CAPTURES;
  if (dir) fs.copyFileSync(seen.file, path.join(dir, `${seen.name}.pcap`));
  t.comment(
    [
      ...[seen.name, names.join(' '), risks.join('; '), protocols.join(' ')],
      ...[ja3, `${seen.packets} packets`, `${seen.bytes.length} bytes`],
    ].join(' | '),
  );
}

async function look(t, lab, seen) {
  t.equal(seen.dropped, 0, `${seen.name}: every packet was captured`);
  const least = ROUNDS * (page.length + upload.length);
  t.ok(seen.bytes.length > least, `${seen.name}: the load is in it`);
  const found = await observe(lab, seen);
  tell(t, seen, found);
  return found;
}

const extra = (risks, others) => risks.filter((risk) => !others.includes(risk));

const noTls = ({ protocols }) =>
  protocols.filter((name) => !/^(TCP|TLSv1(\.3)?)$/.test(name));

// As of a client of HTTPS.
function looksLikeTls(t, seen, found) {
  const { name } = seen;
  t.strictSame(found.names, ['TLS'], `${name}: nDPI sees TLS`);
  const ways = new Set(found.ndpi.map(({ confidence }) => confidence));
  t.strictSame([...ways], ['DPI'], `${name}: by what is in the packets`);
  // The first record of a client says TLS 1.0, for old servers.
  t.strictSame(noTls(found), [], `${name}: TCP and TLS 1.3 for tshark`);
  t.strictSame(found.banners, [], `${name}: no SSH for who looks for it`);
  t.strictSame(clear(seen, words), [], `${name}: no word in clear`);
}

lab('beside the https client of Node', needs, async (t, lab) => {
  const server = await serveStealth(lab);
  const seen = await capture(lab, 'node', server.port, () =>
    visit(t, lab, server),
  );
  const node = await look(t, lab, seen);
  t.comment(`the client is ${node24() ? 'Node 24' : process.version}`);
  looksLikeTls(t, seen, node);
  if (node24()) t.equal(node.hellos.client[0][0], recorded.ja3);
  for (const [transport, args] of Object.entries(overStealth)) {
    const named = [...args(server), '--tls-server-name', NAME];
    const ours = await tunnel(t, lab, transport, server, { args: named });
    const found = await look(t, lab, ours);
    looksLikeTls(t, ours, found);
    const risks = extra(found.risks, node.risks);
    t.strictSame(risks, [], `${transport}: no risk but those of Node`);
    t.strictSame(
      found.hellos.client,
      [[recorded.ja3, NAME, '']],
      `${transport}: one connection with the hello of Node 24, without ALPN`,
    );
    t.strictSame(
      found.hellos.server,
      node.hellos.server,
      `${transport}: the answer is the one to Node`,
    );
    const { flight, resets } = found;
    t.equal(
      flight,
      node.flight,
      `${transport}: the request ends the handshake`,
    );
    t.equal(resets, 0, `${transport}: nothing is reset`);
  }
  // The comparison above does find something where there is something.
  const args = overStealth.tls(server);
  const bare = await tunnel(t, lab, 'unnamed', server, { args });
  const found = await look(t, lab, bare);
  const risks = extra(found.risks, node.risks);
  t.equal(risks.length, 1, 'a tunnel to an address stands out');
  t.match(risks[0], /SNI/);
  t.equal(found.hellos.client[0][0], recorded.ja3Address);
});

lab('without TLS it is SSH for all', needs, async (t, lab) => {
  const server = await lab.serve();
  const seen = await tunnel(t, lab, 'tcp', server, {});
  const found = await look(t, lab, seen);
  t.strictSame(found.names, ['SSH'], 'for nDPI');
  t.equal(found.banners.length, 2, 'for tshark');
  t.match(found.banners[0], /^SSH-2\.0-/);
  t.not(noTls(found).length, 0, 'it is no TLS');
  const readable = ['SSH-2.0', 'ssh-ed25519', 'wraith'];
  t.strictSame(clear(seen, words), readable, 'words in clear');
});

lab('a WebSocket without TLS is one for all', withNginx, async (t, lab) => {
  const server = await serveStealth(lab);
  const front = await nginx(lab, passTo(`https://127.0.0.1:${server.port}`));
  const args = ['--transport', 'ws', ...KNOCK];
  const at = { ...front, summary: server.summary, key: server.key };
  const seen = await tunnel(t, lab, 'ws', at, { args });
  const found = await look(t, lab, seen);
  t.notOk(found.names.includes('TLS'), 'for nDPI');
  t.not(noTls(found).length, 0, 'it is no TLS');
  const rows = await fields(lab, seen, 'http', 'websocket', ['frame.number']);
  t.ok(rows.length > 0, 'for tshark');
  t.ok(clear(seen, words).includes('websocket'), 'words in clear');
});
