'use strict';
// The native module by itself: what docs/internals/binding.md promises.
const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream');
const { Worker } = require('node:worker_threads');
const t = require('tap');
const { which } = require('../scripts/util/proc.js');
const { startChild } = require('./lib/child.js');
const { WraithStream } = require('../lib/stream.js');
const {
  EVENT,
  Raw,
  RawStream,
  closePair,
  native,
  newServer,
  rawChannel,
  rawPair,
} = require('./lib/raw.js');

const E = {
  INVAL: -20002,
  NOENT: -20003,
  CANCELED: -20004,
  CLOSED: -20006,
  BUSY: -20009,
  MALFORMED: -20010,
  KEY_FORMAT: -20020,
  KEY_TYPE: -20021,
  KEY_PASSPHRASE: -20022,
  KEY_OPTIONS: -20023,
  RULE: -20025,
  TUNNEL_DOWN: -20040,
};
const MB = 1024 * 1024;
const noKeygen = which('ssh-keygen') ? false : 'ssh-keygen is not installed';

native.hold(); // the tests wait for events of C
t.teardown(() => native.release());

function keygen(...args) {
  const stdio = ['ignore', 'pipe', 'ignore'];
  return execFileSync('ssh-keygen', args, { encoding: 'utf8', stdio });
}

async function parse(text, passphrase = null) {
  const request = new Raw(native.keyParse(text, passphrase));
  const { a } = await request.next(EVENT.KEY);
  request.forget();
  return a;
}

function turns(n) {
  return new Promise((resolve) => {
    const step = (left) =>
      left === 0 ? resolve() : setImmediate(step, left - 1);
    step(n);
  });
}

t.test('what it is made of', async (t) => {
  const info = native.buildInfo();
  t.match(info, {
    libssh: /^0\.\d+\.\d+$/,
    openssl: /^3\.\d+\.\d+$/,
    libuv: process.versions.uv,
    napi: 9,
  });
  t.ok(Array.isArray(info.sources));
  t.match(native.memory(), { blocks: Number, bytes: Number });
});

t.test('init and slabs: the first ones count', async (t) => {
  const ring = new Uint32Array(4 + 4 * 4096);
  const onEvents = () => t.fail('must not be called');
  t.equal(native.init({ ring, onEvents }), E.BUSY);
  t.equal(native.init({ ring: new Uint32Array(4), onEvents }), E.INVAL);
  t.equal(native.init({ ring: new Float64Array(9), onEvents }), E.INVAL);
  t.equal(native.init({ ring }), E.INVAL);
  t.equal(native.init(), E.INVAL);
  t.equal(native.setSlab(Buffer.alloc(256 * 1024)), E.BUSY);
  t.equal(native.setSlab(Buffer.alloc(10)), E.INVAL);
  t.equal(native.setSlab('slab'), E.INVAL);
});

t.test('arguments of the wrong kind', async (t) => {
  const tunnel = new Raw(native.tunnelNew());
  const id = tunnel.id;
  const calls = {
    'no arguments': native.tunnelOpen(),
    'no target': native.tunnelOpen(id),
    'a target without a host': native.tunnelOpen(id, {}),
    'a host with a zero': native.tunnelOpen(id, { host: 'a\0b', port: 1 }),
    'a host that is too long': native.tunnelOpen(id, {
      host: 'x'.repeat(256),
      port: 1,
    }),
    'a port that is too large': native.tunnelOpen(id, {
      host: 'x',
      port: 65536,
    }),
    'a port that is no integer': native.tunnelOpen(id, {
      host: 'x',
      port: 1.5,
    }),
    'a port that is text': native.tunnelOpen(id, { host: 'x', port: '1' }),
    'an id that is text': native.tunnelOpen(`${id}`, { host: 'x', port: 1 }),
    'an instance of the wrong length': native.tunnelConnect(id, {
      host: 'x',
      port: 1,
      user: 'u',
      identities: [],
      instance: Buffer.alloc(15),
    }),
    'nobody who signs': native.tunnelConnect(id, {
      host: 'x',
      port: 1,
      user: 'u',
      identities: [{ blob: Buffer.from('\0\0\0\x01k') }],
    }),
    'nothing to offer': native.tunnelConnect(id, {
      host: 'x',
      port: 1,
      user: 'u',
      identities: [{}],
      agent: '/dev/null',
    }),
    'a blob that is none': native.tunnelConnect(id, {
      host: 'x',
      port: 1,
      user: 'u',
      identities: [{ blob: Buffer.from('junk') }],
      agent: '/dev/null',
    }),
    'half of the credentials': native.tunnelListen(id, {
      bindHost: '127.0.0.1',
      bindPort: 0,
      inbound: true,
      user: 'u',
    }),
    'a verdict above zero': native.tunnelVerdict(id, 1),
    'a key that is a number': native.keyParse(7),
  };
  for (const [what, result] of Object.entries(calls)) {
    t.equal(result, E.INVAL, what);
  }
  t.equal(native.tunnelOpen(id, { host: 'x', port: 1 }), E.TUNNEL_DOWN);
  const options = { host: 'x', port: 1, user: 'u', identities: [{ key: id }] };
  t.equal(native.tunnelConnect(id, options), E.NOENT, 'a tunnel is no key');
  t.equal(native.keyInfo(id), E.NOENT);
  t.throws(
    () =>
      native.tunnelOpen(id, {
        get host() {
          throw new Error('mine');
        },
      }),
    { message: 'mine' },
    'the exception of a getter goes to the caller',
  );
  native.tunnelClose(id, false);
  t.equal(native.tunnelOpen(id, { host: 'x', port: 1 }), E.CLOSED);
  await tunnel.next(EVENT.TUNNEL_CLOSED);
  t.equal(native.tunnelClose(id, false), E.NOENT, 'a stale id');
});

t.test('random junk crashes nothing', async (t) => {
  const { SEED } = process.env;
  const first = SEED ? Number(SEED) : Date.now() % 100000;
  for (let seed = first; seed < first + 4; seed++) {
    t.comment(`seed ${seed}`);
    const workerData = { seed, calls: 8000 };
    const file = path.join(__dirname, 'lib', 'junk-worker.js');
    const worker = new Worker(file, { workerData, stdout: true });
    const result = await new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
      worker.once('exit', () => reject(new Error('it has ended')));
    });
    t.equal(result.calls, 8000);
    // With everything open that the junk has opened.
    t.equal(await worker.terminate(), 1);
  }
});

t.test('keys: made here, read by ssh-keygen', { skip: noKeygen }, async (t) => {
  const dir = t.testdir();
  const file = path.join(dir, 'key');
  const key = native.keyGenerate();
  const info = native.keyInfo(key);
  for (const passphrase of [null, 'a passphrase']) {
    const pair = native.keyExport(key, 'a comment', passphrase);
    fs.writeFileSync(file, pair.privateKey, { mode: 0o600 });
    fs.writeFileSync(`${file}.pub`, pair.publicKey);
    const shown = keygen('-l', '-f', `${file}.pub`);
    t.equal(shown, `256 ${info.fingerprint} a comment (ED25519)\n`);
    const derived = keygen('-y', '-P', passphrase ?? '', '-f', file);
    t.equal(derived.trim(), pair.publicKey.trim());
    t.equal(native.keyIsEncrypted(pair.privateKey), passphrase ? 1 : 0);
  }
  t.equal(info.type, 'ssh-ed25519');
  t.match(native.publicKey(info.publicKey), {
    type: info.type,
    fingerprint: info.fingerprint,
    blob: Buffer,
  });
  t.equal(native.keyFree(key), 0);
  t.equal(native.keyInfo(key), E.NOENT);
});

t.test('keys: made by ssh-keygen, read here', { skip: noKeygen }, async (t) => {
  const dir = t.testdir();
  const make = (type, pass) => {
    const file = path.join(dir, `${type}${pass}`);
    keygen('-q', '-t', type, '-N', pass, '-C', 'c', '-f', file);
    const line = fs.readFileSync(`${file}.pub`, 'utf8');
    return { text: fs.readFileSync(file), line: line.trim() };
  };
  const plain = make('ed25519', '');
  const read = await parse(plain.text);
  t.equal(read.status, 0);
  t.equal(read.publicKey, plain.line.replace(/ c$/, ''));
  t.equal(native.keyInfo(read.key).fingerprint, read.fingerprint);
  t.equal(native.keyFree(read.key), 0);
  t.equal((await parse(plain.text.toString())).status, 0, 'as a string');

  const secret = make('ed25519', 'secret');
  t.equal(native.keyIsEncrypted(secret.text), 1);
  t.equal((await parse(secret.text)).status, E.KEY_PASSPHRASE);
  t.equal((await parse(secret.text, 'wrong')).status, E.KEY_PASSPHRASE);
  t.equal((await parse(secret.text, 'secret')).status, 0);

  const ecdsa = make('ecdsa', '');
  t.equal((await parse(ecdsa.text)).status, E.KEY_TYPE);
  t.equal((await parse('nonsense')).status, E.KEY_FORMAT);
  t.equal(native.keyParse(''), E.KEY_FORMAT);
  t.equal(native.keyIsEncrypted('nonsense'), E.KEY_FORMAT);
});

t.test('more events than the ring holds', async (t) => {
  const before = native.memory().blocks;
  const N = 10000;
  const made = native.keyGenerate();
  const good = native.keyExport(made, '', null).privateKey;
  const { fingerprint } = native.keyInfo(made);
  // Answers of different lengths lie between each other.
  const isGood = (i) => i % 97 === 0;
  const requests = Array.from(
    { length: N },
    (_, i) => new Raw(native.keyParse(isGood(i) ? good : 'nonsense', null)),
  );
  // While nobody looks the pool answers them all: they come in one turn.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  const answers = await Promise.all(requests.map((r) => r.next(EVENT.KEY)));
  const wrong = answers.filter(({ a }, i) =>
    isGood(i) ? a.fingerprint !== fingerprint : a.status !== E.KEY_FORMAT,
  );
  t.strictSame(wrong, []);
  for (const { a } of answers) if (a.key) native.keyFree(a.key);
  native.keyFree(made);
  for (const request of requests) request.forget();
  t.equal(native.memory().blocks, before);
});

t.test('known_hosts', { skip: noKeygen }, async (t) => {
  const [one, two] = [native.keyGenerate(), native.keyGenerate()].map((key) => {
    const { publicKey } = native.keyInfo(key);
    native.keyFree(key);
    return publicKey;
  });
  const dir = t.testdir();
  const file = path.join(dir, 'known_hosts');
  const line = native.knownHostsLine('host.example', 2222, one);
  t.equal(line, `[host.example]:2222 ${one}\n`);
  fs.writeFileSync(file, line);
  const found = keygen('-F', '[host.example]:2222', '-f', file);
  t.match(found, 'found: line 1');
  keygen('-q', '-H', '-f', file);
  const hashed = fs.readFileSync(file);
  const check = (host, port, key) => native.knownHosts(hashed, host, port, key);
  t.strictSame(check('host.example', 2222, one).verdict, 0);
  t.strictSame(check('host.example', 22, one).verdict, 1);
  t.strictSame(check('host.example', 2222, two), { verdict: 2, line: 1 });
  const revoked = `@revoked * ${one}\n`;
  t.equal(native.knownHosts(revoked, 'h', 22, one).verdict, 3);
  t.equal(native.knownHosts(revoked, 'h', 22, 'no key'), E.KEY_FORMAT);
  t.match(
    native.knownHostsTypes(hashed, 'host.example', 2222),
    /^ssh-ed25519-cert-v01@openssh\.com,ssh-ed25519,ecdsa-/,
  );
  t.equal(native.knownHostsTypes(hashed, 'other', 2222), '');
});

t.test('authorized_keys, specifications, rules', async (t) => {
  const key = native.keyGenerate();
  const { publicKey } = native.keyInfo(key);
  native.keyFree(key);
  const keysFile = (text) => ({ kind: 'keys', name: 'file', text });
  t.strictSame(native.trustCheck([keysFile(`# c\n\n${publicKey} me\n`)]), {
    status: 0,
    line: 0,
    source: 0,
  });
  t.match(
    native.trustCheck([
      { kind: 'authorities', name: '', text: publicKey },
      keysFile(`\ncommand="x" ${publicKey}\n`),
    ]),
    { status: E.KEY_OPTIONS, line: 2, source: 1, why: /command/ },
  );
  t.equal(
    native.trustCheck([{ kind: 'else', name: '', text: '' }]).status,
    E.INVAL,
  );
  t.strictSame(native.forwardSpec('[::1]:8080:db:5432', false), {
    bind: { host: '::1', port: 8080 },
    bindGiven: true,
    target: { host: 'db', port: 5432 },
  });
  t.strictSame(native.forwardSpec('/a.sock:/b.sock', false), {
    bind: { path: '/a.sock' },
    bindGiven: true,
    target: { path: '/b.sock' },
  });
  t.type(native.forwardSpec('65536:db:5432', false), 'string');
  t.type(native.forwardSpec('0:db:5432', true), 'object');
  t.strictSame(native.destination('host:80'), {
    host: 'host',
    port: 80,
    reserved: false,
  });
  t.match(native.destination('Wraith-Control'), { reserved: true });
  t.strictSame(native.destination('unix:/x'), { path: '/x' });
  t.type(native.destination('host'), 'string');
  t.equal(native.ruleCheck('10.0.0.0/8:443'), null);
  t.type(native.ruleCheck('10.0.0.0/99'), 'string');
  t.equal(native.networkCheck('10.0.0.0/8'), 0);
  t.equal(native.networkCheck('10.0.0.1/8'), E.MALFORMED);
});

t.test('50 MB both ways', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  native.streamRead(near.id);
  native.streamRead(far.id);
  const sent = await Promise.all([near.pour(50 * MB), far.pour(50 * MB)]);
  t.equal(native.streamEnd(near.id), 0);
  await far.next(EVENT.EOF);
  t.equal(far.digest(), sent[0]);
  t.equal(native.streamWrite(near.id, Buffer.from('x')), E.CLOSED);
  // The other direction is not touched by that.
  await far.write(Buffer.from('after'));
  t.equal(native.streamEnd(far.id), 0);
  await near.next(EVENT.EOF);
  t.equal(near.received, 50 * MB + 5);
  native.streamClose(near.id, false);
  native.streamClose(far.id, false);
  t.equal((await near.next(EVENT.CLOSED)).a, 0);
  t.equal((await far.next(EVENT.CLOSED)).a, 0);
  t.equal(native.streamRead(near.id), E.NOENT, 'a stale id');
  t.equal(native.streamClose(near.id, true), E.NOENT);
  await closePair(pair);
  t.equal(native.memory().blocks, before.blocks);
});

t.test('a reader that stops', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  far.onData = () => {
    if (far.received > MB) native.streamStop(far.id);
  };
  native.streamRead(far.id);
  const poured = near.pour(50 * MB);
  // Until nothing moves any more.
  for (let last = -1; near.sent !== last;) {
    last = near.sent;
    await turns(200);
  }
  t.ok(near.sent < 25 * MB, `the writer has stopped at ${near.sent}`);
  t.ok(far.received < 3 * MB, `the reader has stopped at ${far.received}`);
  t.ok(native.memory().bytes < before.bytes + 40 * MB);
  const { received } = far;
  await turns(200);
  t.equal(far.received, received, 'nothing comes while it is stopped');
  far.onData = () => {};
  native.streamRead(far.id);
  const hash = await poured;
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  t.equal(far.digest(), hash);
  await closePair(pair);
  t.equal((await near.next(EVENT.CLOSED)).type, EVENT.CLOSED);
  t.equal((await far.next(EVENT.CLOSED)).type, EVENT.CLOSED);
  t.equal(native.memory().blocks, before.blocks);
});

t.test('small writes of many streams in one turn', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const streams = [];
  for (let i = 0; i < 50; i++) streams.push(await rawChannel(pair));
  const N = 200;
  const texts = new Map(streams.map(({ far }) => [far, '']));
  for (const { far } of streams) {
    far.onData = (chunk) => texts.set(far, texts.get(far) + chunk);
    native.streamRead(far.id);
  }
  // Taken in turns, so that the chunks of one stream never lie side by side.
  for (let i = 0; i < N; i++) {
    for (const { near } of streams) {
      const result = native.streamWrite(near.id, Buffer.from(`<${i}>`));
      if (result < 0) t.fail(`streamWrite: ${result}`);
    }
  }
  const expected = Array.from({ length: N }, (_, i) => `<${i}>`).join('');
  for (const { near, far } of streams) {
    native.streamEnd(near.id);
    await far.next(EVENT.EOF);
    t.equal(texts.get(far), expected);
  }
  await closePair(pair);
  for (const { near, far } of streams) {
    await Promise.all([near.next(EVENT.CLOSED), far.next(EVENT.CLOSED)]);
    t.equal(near.count(EVENT.CLOSED) + far.count(EVENT.CLOSED), 0, 'once');
  }
  t.equal(native.memory().blocks, before.blocks);
});

t.test('writev', async (t) => {
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  const parts = Array.from({ length: 300 }, (_, i) => Buffer.from(`${i},`));
  const expected = parts.map(String);
  parts[7] = Buffer.alloc(0);
  parts[9] = new Uint16Array([0x4141, 0x4242]);
  expected[7] = '';
  expected[9] = 'AABB';
  let text = '';
  far.onData = (chunk) => {
    text += chunk;
  };
  native.streamRead(far.id);
  t.equal(native.streamWritev(near.id, parts), 0);
  t.equal(native.streamWritev(near.id, []), 0);
  t.equal(native.streamWritev(near.id, [Buffer.from('.'), 'text']), E.INVAL);
  t.equal(native.streamWritev(near.id, 'text'), E.INVAL);
  t.equal(native.streamWrite(near.id, 'text'), E.INVAL);
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  t.equal(text, expected.join(''));
  await closePair(pair);
});

t.test('what is kept goes out before the end', async (t) => {
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  const big = Buffer.alloc(8 * MB, 'abc');
  t.equal(native.streamWrite(near.id, big), 1, 'more than the link takes');
  t.equal(native.streamEnd(near.id), 1);
  t.equal(native.streamClose(near.id, false), 0);
  native.streamRead(far.id);
  await far.next(EVENT.EOF);
  t.equal(far.received, big.length);
  t.equal((await near.next(EVENT.CLOSED)).a, 0);
  await closePair(pair);
});

t.test('opens: cancelled, refused, cut off by the end', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const open = (host) => {
    const id = native.tunnelOpen(pair.tunnel.id, { host, port: 1 });
    return new RawStream(id);
  };
  const canceled = open('wraith-control');
  t.equal(native.streamWrite(canceled.id, Buffer.from('x')), E.CLOSED);
  t.equal(native.streamClose(canceled.id, true), 0);
  t.equal((await canceled.next(EVENT.CLOSED)).a, E.CANCELED);
  const refused = open('wraith-control');
  t.ok((await refused.next(EVENT.OPENED)).a < 0, 'nobody listens');
  t.equal(native.streamClose(refused.id, true), E.NOENT);
  const { near, far } = await rawChannel(pair);
  const late = open('wraith-control');
  const listen = { bindHost: '127.0.0.1', bindPort: 0, inbound: true };
  const listener = new Raw(native.tunnelListen(pair.tunnel.id, listen).id);
  t.equal(native.listenerConnections(listener.id), 0);
  native.tunnelClose(pair.tunnel.id, false);
  t.ok((await late.next(EVENT.OPENED)).a < 0);
  t.ok((await near.next(EVENT.CLOSED)).a < 0);
  await far.next(EVENT.CLOSED);
  await listener.next(EVENT.LISTENER_CLOSED);
  await pair.tunnel.next(EVENT.TUNNEL_CLOSED);
  native.serverClose(pair.server.id, 0);
  await pair.server.next(EVENT.SERVER_CLOSED);
  t.equal(native.memory().blocks, before.blocks);
});

t.test('over streams of the caller', async (t) => {
  const before = native.memory();
  const keys = [native.keyGenerate(), native.keyGenerate()];
  const server = new Raw(newServer(...keys));
  const tunnel = new Raw(native.tunnelNew());
  const inner = native.tunnelConnect(tunnel.id, {
    pipe: true,
    user: 'u',
    identities: [{ key: keys[1] }],
  });
  const outer = native.serverAccept(server.id, '192.0.2.7');
  const a = new WraithStream(inner, null);
  const b = new WraithStream(outer, null);
  pipeline(a, b, a, () => {});
  await tunnel.next(EVENT.HOST_KEY);
  native.tunnelVerdict(tunnel.id, 0);
  await tunnel.next(EVENT.UP);
  const [session] = native.serverSessions(server.id);
  t.match(session, { remoteAddress: '192.0.2.7', authenticated: true });
  t.equal(native.tunnelPeer(tunnel.id), null);
  const { near, far } = await rawChannel({ server, tunnel });
  native.streamRead(far.id);
  const hash = await near.pour(5 * MB);
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  t.equal(far.digest(), hash);
  const ends = [a, b].map((s) => new Promise((r) => s.once('close', r)));
  await closePair({ server, tunnel });
  await Promise.all(ends);
  for (const key of keys) native.keyFree(key);
  t.equal(native.memory().blocks, before.blocks);
});

t.test('remote forwards, streams from the server', async (t) => {
  const before = native.memory();
  const pair = await rawPair();
  const bind = { host: 'wraith-inbox', port: 0 };
  const remote = new Raw(native.tunnelRemoteAdd(pair.tunnel.id, bind, null));
  t.equal((await remote.next(EVENT.REMOTE)).a, 0);
  const [{ sessionId }] = native.serverSessions(pair.server.id);
  const id = native.serverOpen(pair.server.id, sessionId, 'wraith-inbox');
  const near = new RawStream(id);
  const { a } = await pair.tunnel.next(EVENT.STREAM);
  t.match(a, { remote: remote.id, host: 'wraith-inbox' });
  const far = new RawStream(a.stream);
  t.equal((await near.next(EVENT.OPENED)).a, 0);
  native.streamRead(far.id);
  await near.write(Buffer.from('to the client'));
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  t.equal(far.received, 13);
  t.equal(native.remoteRemove(remote.id), 0);
  t.equal(native.remoteRemove(remote.id), E.NOENT);
  await closePair(pair);
  t.equal(native.memory().blocks, before.blocks);
});

t.test('authorize, sessions, log', async (t) => {
  const keys = [native.keyGenerate(), native.keyGenerate()];
  const options = { authorize: true, logLevel: 4 };
  const server = new Raw(newServer(...keys, options));
  const { port } = native.serverListen(server.id, 0, '127.0.0.1', 0);
  const tunnel = new Raw(native.tunnelNew());
  const user = 'na"me\\\n\u00e9';
  const login = {
    host: '127.0.0.1',
    port,
    user,
    identities: [{ key: keys[1] }],
  };
  native.tunnelConnect(tunnel.id, login);
  await tunnel.next(EVENT.HOST_KEY);
  native.tunnelVerdict(tunnel.id, 0);
  const { a: who } = await server.next(EVENT.AUTHORIZE);
  t.match(who, { user, remoteAddress: '127.0.0.1', transport: 'tcp' });
  t.equal(who.fingerprint, native.keyInfo(keys[1]).fingerprint);
  native.serverAuthorize(server.id, who.session, true);
  await tunnel.next(EVENT.UP);
  const up = await server.next(EVENT.SESSION);
  t.strictSame([up.a, up.b], [who.session, 1]);
  const about = (message) =>
    server.next(EVENT.LOG, ({ a }) => a.record.message === message);
  const { a: log } = await about('auth attempt');
  t.equal(Object.keys(log.record)[0], 'time');
  t.match(log.record, { level: String, user, session: who.session });
  t.match(log.line, /^\S+Z [A-Z]+ auth attempt remote_addr=127\.0\.0\.1 /);
  t.notMatch(log.line, /\n/);
  native.serverEndSession(server.id, who.session);
  const down = await tunnel.next(EVENT.DOWN);
  t.match(down.a, { wasUp: true, orderly: true });
  t.equal((await server.next(EVENT.SESSION)).b, 0);
  await closePair({ server, tunnel });
  for (const key of keys) native.keyFree(key);
});

t.test('a server without a log writes none', async (t) => {
  const pair = await rawPair();
  await closePair(pair);
  t.equal(pair.server.count(EVENT.LOG), 0);
});

t.test('reload says what is wrong, and where', async (t) => {
  const pair = await rawPair();
  const { id } = pair.server;
  const keysFile = (text) => [{ kind: 'keys', name: '', text }];
  t.match(native.serverReload(id, { trust: keysFile('#\nnonsense\n') }), {
    status: E.KEY_FORMAT,
    line: 2,
  });
  t.match(native.serverReload(id, { rules: [[true, '10.0.0.0/99']] }), {
    status: E.RULE,
  });
  t.equal(native.serverReload(id, { rules: [[false, '*']] }), 0);
  t.equal(native.serverReload(id, {}), 0);
  // Whose key stands there no longer is sent away.
  t.equal(native.serverReload(id, { trust: [] }), 0);
  t.match((await pair.tunnel.next(EVENT.DOWN)).a, { wasUp: true });
  await closePair(pair);
});

t.test('received memory cannot be given away', async (t) => {
  const pair = await rawPair();
  const { near, far } = await rawChannel(pair);
  const half = Buffer.alloc(20000, 1);
  native.streamRead(far.id);
  const first = new Promise((resolve) => {
    far.onData = (chunk) => far.received === half.length && resolve(chunk);
  });
  await near.write(half);
  const { buffer } = await first;
  try {
    structuredClone(buffer, { transfer: [buffer] });
  } catch (error) {
    t.equal(error.name, 'DataCloneError');
  }
  t.equal(buffer.byteLength, 256 * 1024, 'it is still there');
  // Newer versions of Node have a way that nothing can forbid.
  buffer.transfer?.();
  far.onData = () => {};
  await near.write(half);
  native.streamEnd(near.id);
  await far.next(EVENT.EOF);
  const hash = createHash('sha256').update(half).update(half);
  t.equal(far.digest(), hash.digest('hex'));
  await closePair(pair);
});

t.test('a listener that throws loses nothing but its own', async (t) => {
  const child = await startChild(t, 'throwing-child.js');
  const { received, chunks, caught } = child.ready;
  t.equal(received, MB);
  t.ok(chunks > 1);
  const data = caught.filter((message) => message === 'event 1');
  t.equal(data.length, chunks);
  t.ok(caught.includes('event 2'));
});
