'use strict';
// Certificates from pebble, which checks each challenge for real.
const { X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const tls = require('node:tls');
const { Client } = require('acme-client');
const { selfSigned } = require('../../lib/acme.js');
const { Transport } = require('../../lib/acme/transport.js');
const peers = require('../../scripts/peers.js');
const { startAcme } = require('../lib/acme.js');
const { Clock } = require('../lib/clock.js');
const { nameServer } = require('./lib/dns.js');
const { lab } = require('./lib/lab.js');
const { freePort } = require('./lib/net.js');

const DAY_MS = 24 * 3600_000;
const needed = ['pebble'];

// A pebble whose every name is 127.0.0.1: { directory, management }.
class Pebble {
  constructor(t, lab) {
    this.t = t;
    this.lab = lab;
    this.tls = selfSigned(['127.0.0.1']);
  }

  async prepare() {
    this.port = await freePort();
    this.managementPort = await freePort();
    this.httpPort = await freePort();
    this.tlsPort = await freePort();
    this.names = await nameServer();
    this.lab.defer(() => this.names.close());
    const ca = Buffer.from(this.tls.cert);
    this.directory = { url: `https://127.0.0.1:${this.port}/dir`, ca };
    return this;
  }

  async start({ env, config } = {}) {
    const { lab } = this;
    const pebble = {
      listenAddress: `127.0.0.1:${this.port}`,
      managementListenAddress: `127.0.0.1:${this.managementPort}`,
      certificate: lab.file('pebble.crt', this.tls.cert),
      privateKey: lab.file('pebble.key', this.tls.key),
      httpPort: this.httpPort,
      tlsPort: this.tlsPort,
      ...config,
    };
    const file = lab.file('pebble.json', JSON.stringify({ pebble }));
    const args = ['-config', file, '-dnsserver', this.names.address];
    const program = lab.spawn(peers.path('pebble'), args, {
      env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0', ...env },
    });
    await program.line(/ACME directory available at/);
    await this.#listening();
    this.program = program;
    return program;
  }

  // It says so a moment before it does.
  async #listening() {
    for (;;) {
      const socket = tls.connect(this.port, '127.0.0.1', {
        ca: this.tls.cert,
      });
      const isUp = await once(socket, 'secureConnect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      if (isUp) return;
      await new Promise(setImmediate);
    }
  }

  /** Its root certificate, which is new in each run. */
  async root() {
    const url = `https://127.0.0.1:${this.managementPort}/roots/0`;
    const [response] = await once(
      https.get(url, { ca: this.tls.cert, agent: false }),
      'response',
    );
    let text = '';
    for await (const chunk of response) text += chunk;
    return text;
  }

  // Lets the end of the certificate come near until there is the next. What
  // pebble issues is new by the real clock, so back to that at once.
  async renew(listener, cert) {
    const { clock } = this;
    const real = clock.now();
    const nap = await clock.asleep();
    clock.time = Date.parse(new X509Certificate(cert).validTo) - DAY_MS;
    const renewed = listener.issued(2);
    const back = renewed.then(() => (clock.time = real));
    nap.wake();
    await back;
    return renewed;
  }

  acme(options) {
    const { t, lab } = this;
    const clock = (this.clock ??= new Clock({ now: Date.now(), pace: 'real' }));
    const dir = lab.file('acme');
    const tlsPort = this.tlsPort;
    const { directory } = this;
    return startAcme(t, { directory, clock, dir, tlsPort, ...options });
  }
}

const withPebble = (name, body) =>
  lab(name, { peers: needed }, async (t, place) =>
    body(t, await new Pebble(t, place).prepare()),
  );

// What a TLS client of the listener sees, if it trusts the root.
async function visit(listener, servername, ca) {
  const socket = tls.connect({
    port: listener.port,
    host: '127.0.0.1',
    servername,
    ca,
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
    const seen = await visit(before.listener, name, root);
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

withPebble('a challenge that cannot be met', async (t, pebble) => {
  await pebble.start();
  const { named, listener } = await pebble.acme({ onChallenge: () => {} });
  await pebble.clock.asleep();
  const { reason, detail } = named('acme failed')[0].fields;
  t.match(reason, /^(tls|unauthorized|connection|malformed)$/);
  t.match(detail, /^tls-alpn-01 for (one|two)\.example: /);
  t.equal(listener.certificates.length, 1);
});
