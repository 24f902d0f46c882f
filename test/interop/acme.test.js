'use strict';
// Certificates from pebble, which checks each challenge for real.
const { X509Certificate, createHash } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const tls = require('node:tls');
const { Client } = require('acme-client');
const { Transport } = require('../../lib/acme/transport.js');
const { lab } = require('./lib/lab.js');
const { Pebble } = require('./lib/pebble.js');
const { socks5 } = require('./lib/socks.js');

const ALERT = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';

const needed = ['pebble'];

const withPebble = (name, body) =>
  lab(name, { peers: needed }, async (t, place) =>
    body(t, await new Pebble(t, place).prepare()),
  );

// What a TLS client of the listener sees, if it trusts the root.
async function visit(listener, servername, options) {
  const socket = tls.connect({
    port: listener.port,
    host: '127.0.0.1',
    servername,
    ...options,
  });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  return certificate;
}

withPebble('tls-alpn-01, renewal, restart', async (t, pebble) => {
  await pebble.start();
  const domains = ['one.example', 'two.example', '127.0.0.1'];
  const before = await pebble.acme({ domains, random: () => 0 });
  const { cert } = await before.listener.issued();
  const root = await pebble.root();
  for (const name of domains.slice(0, 2)) {
    const seen = await visit(before.listener, name, { ca: root });
    t.equal(seen.fingerprint256, new X509Certificate(cert).fingerprint256);
    t.equal(seen.checkIP('127.0.0.1'), '127.0.0.1');
  }
  t.strictSame(before.listener.seen.sort(), [
    '1.0.0.127.in-addr.arpa',
    'one.example',
    'two.example',
  ]);
  t.equal(before.listener.up.size, 0);

  const second = await pebble.renew(before.listener, cert);
  t.not(second.cert, cert);
  t.equal(second.key, before.listener.certificates[0].key);
  await before.stop();

  const after = await pebble.acme({ domains });
  await pebble.clock.asleep();
  t.equal(after.listener.certificates[0].cert, second.cert);
  t.strictSame(after.records, []);
  t.strictSame(after.listener.seen, []);
});

withPebble('http-01', async (t, pebble) => {
  await pebble.start();
  const { listener, acme, records } = await pebble.acme({
    challenge: 'http-01',
    onChallenge: undefined,
    httpListen: { host: '127.0.0.1', port: pebble.httpPort },
    domains: ['one.example', 'two.example', '127.0.0.1'],
  });
  await listener.issued();
  t.equal(acme.address().port, pebble.httpPort);
  t.match(records, [{ message: 'acme issued' }]);
});

withPebble('most nonces are rejected', async (t, pebble) => {
  await pebble.start({ env: { PEBBLE_WFE_NONCEREJECT: '50' } });
  const { listener } = await pebble.acme();
  await listener.issued();
  t.match(pebble.program.text(), /reject 50% of good nonces/);
});

withPebble('external account binding', async (t, pebble) => {
  const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsU';
  const config = {
    externalAccountBindingRequired: true,
    externalAccountMACKeys: { 'kid-1': hmacKey },
  };
  await pebble.start({ config });
  const without = await pebble.acme();
  await pebble.clock.asleep();
  t.match(without.named('acme failed')[0].fields.reason, /^external/);
  await without.stop();
  const wrong = await pebble.acme({ eab: { kid: 'kid-1', hmacKey: 'AAAA' } });
  await pebble.clock.asleep();
  t.equal(wrong.named('acme failed').length, 1);
  await wrong.stop();
  const right = await pebble.acme({ eab: { kid: 'kid-1', hmacKey } });
  await right.listener.issued();
});

withPebble('down, then back with no memory of us', async (t, pebble) => {
  const { listener, named } = await pebble.acme();
  const { clock } = pebble;
  await clock.asleep();
  t.match(named('acme failed'), [{ fields: { reason: 'unreachable' } }]);
  const first = await pebble.start();
  await clock.pass(150_000);
  const { cert } = await listener.issued();
  await first.stop();

  // It forgets all accounts when it ends.
  await pebble.start();
  await pebble.renew(listener, cert);
  t.match(named('acme account'), [
    { level: 'WARN', fields: { reason: 'accountDoesNotExist' } },
  ]);
});

withPebble('an account that was deactivated', async (t, pebble) => {
  await pebble.start();
  const { listener, named } = await pebble.acme();
  const { cert } = await listener.issued();
  const [folder] = fs
    .readdirSync(pebble.lab.file('acme'))
    .filter((name) => !name.endsWith('.pem'));
  const file = pebble.lab.file(`acme/${folder}/account.json`);
  const { key, url } = JSON.parse(fs.readFileSync(file));
  const client = new Client({
    directoryUrl: pebble.directory.url,
    accountKey: key,
    accountUrl: url,
  });
  const transport = new Transport({ ca: pebble.tls.cert, now: Date.now });
  client.http.request = (...args) => transport.request(...args);
  await client.updateAccount({ status: 'deactivated' });
  transport.close();
  await pebble.renew(listener, cert);
  t.match(named('acme account'), [{ level: 'WARN' }]);
  t.not(JSON.parse(fs.readFileSync(file)).url, url);
});

// Of wraith serve, also while its certificate is not to be trusted.
function look({ summary }, options) {
  const { port } = summary.addresses.find((a) => a.transport === 'tls');
  return visit({ port }, 'one.example', options);
}

function pinOf(certificate) {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `sha256//${createHash('sha256').update(spki).digest('base64')}`;
}

// What a client gets that offers nothing but the protocol of challenges.
async function offersChallenge({ summary }) {
  const { port } = summary.addresses.find((a) => a.transport === 'tls');
  const socket = tls.connect({
    ...{ port, host: '127.0.0.1', servername: 'one.example' },
    ...{ ALPNProtocols: ['acme-tls/1'], rejectUnauthorized: false },
  });
  const [what] = await Promise.race([
    once(socket, 'secureConnect').then(() => [{ code: 'agreed' }]),
    once(socket, 'error'),
  ]);
  socket.destroy();
  return what.code;
}

// What an echo says to one connection through the tunnel.
async function throughSocks(proxy, { host, port }, text) {
  const { reply, socket } = await socks5(proxy, host, port);
  if (reply !== 0) return `reply ${reply}`;
  socket.end(text);
  let got = '';
  for await (const chunk of socket) got += chunk;
  return got;
}

withPebble('wraith serve gets its own', async (t, pebble) => {
  const { lab } = pebble;
  const secret = ['--stealth-secret', 'correct horse'];
  const args = ['--listen', `tls=127.0.0.1:${pebble.tlsPort}`, '--stealth'];
  args.push('--acme-domain', 'one.example', '--acme-domain', '127.0.0.1');
  args.push('--acme-directory', pebble.directory.url, ...secret);
  args.push('--acme-ca', lab.file('ca.pem', pebble.tls.cert));
  args.push('--acme-dir', lab.file('acme'));
  const key = await lab.key();
  const serve = () => lab.serve({ keys: [key], args, format: 'logfmt' });

  // The directory is down: there is a certificate all the same.
  const first = await serve();
  await first.line(/ERROR acme failed .*reason=unreachable/);
  const own = await look(first, { rejectUnauthorized: false });
  t.ok(own.checkIssued(own), 'signed by itself');
  await first.stop();

  // A tunnel comes up before the names are proved, and stays.
  let release;
  pebble.names.until = new Promise((resolve) => (release = resolve));
  await pebble.start();
  const second = await serve();
  const tls = second.summary.addresses.find((a) => a.transport === 'tls');
  const client = await lab.connect(
    { ...tls, key, summary: second.summary },
    { args: ['--transport', 'tls', '--tls-pin', pinOf(own), ...secret] },
  );
  const target = await lab.target('echo');
  release();
  await second.line(/INFO acme issued domains=one\.example,127\.0\.0\.1 /);
  const root = await pebble.root();
  const issued = await look(second, { ca: root });
  t.equal(issued.checkIP('127.0.0.1'), '127.0.0.1');
  t.equal(pinOf(issued), pinOf(own), 'the key stays');
  t.equal(await offersChallenge(second), ALERT);
  t.equal(await throughSocks(client.socks5, target, 'still up'), 'still up');
  await client.stop();
  await second.stop();

  // What is on the disk is good for the next start.
  await pebble.program.stop();
  const third = await serve();
  const kept = await look(third, { ca: root });
  t.equal(kept.fingerprint256, issued.fingerprint256);
  await third.stop();
  t.notMatch(third.text('stderr'), /acme (failed|issued|renewing)/);
});

withPebble('a challenge that cannot be met', async (t, pebble) => {
  await pebble.start();
  const { named, listener } = await pebble.acme({ onChallenge: () => {} });
  await pebble.clock.asleep();
  const { reason, detail } = named('acme failed')[0].fields;
  t.match(reason, /^(tls|unauthorized|connection|malformed)$/);
  t.match(detail, /^tls-alpn-01 for (one|two)\.example: /);
  t.equal(listener.certificates.length, 1);
});
