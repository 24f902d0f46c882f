'use strict';
// The command line: what it says and the codes it ends with.
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const {
  connect,
  exchange,
  freePort,
  readAll,
  refused,
} = require('./lib/net.js');
const { run } = require('./lib/program.js');
const {
  BIN,
  connected,
  ownEnv,
  wraith,
  wraithRun,
} = require('./lib/wraith.js');

const UNPRIVILEGED = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
const ANY_PIN = `SHA256:${'A'.repeat(43)}`;

// One line on stderr that names what was wrong, and the code.
async function ends(t, lab, args, code, pattern, options) {
  const result = await wraithRun(lab.dir, args, options);
  const what = args.join(' ');
  t.equal(result.code, code, `${what}: ${result.stderr}`);
  const lines = result.stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('wraith: '));
  t.equal(errors.length, 1, `${what}: one line`);
  t.match(errors[0] ?? '', pattern, what);
  t.equal(canary.leaks(errors).length, 0, what);
  return result;
}

lab('wrong usage', {}, async (t, lab) => {
  const is = (args, pattern) => ends(t, lab, args, 2, pattern);
  await is([], /which command/);
  await is(['teleport'], /"teleport" is not a command/);
  await is(['serve', '--nonsense'], /--nonsense: is not a known flag/);
  await is(['connect', '--nonsense=1'], /--nonsense: is not a known flag/);
  await is(['connect', 'word'], /^wraith: "word": is not expected here/);
  await is(['connect', '--server'], /--server: has a missing/);
  await is(['connect', '--peer', 'x'], /--peer: is not part of this version/);
  await is(['connect'], /--server: is needed/);
  await is(['serve', '--log-level', 'loud'], /--log-level: must be one of/);
  await is(['serve', '--max-sessions', 'x'], /--max-sessions: "x" is not/);
  const key = await lab.key();
  const dial = ['connect', '--server', 'x', '--identity', key.file];
  await is([...dial, '--transport', 'h3'], /--transport h3: is not part/);
  await is([...dial, '--insecure'], /--insecure: needs transport tls or wss/);
  await is([...dial, '--ws-path', '/a'], /--ws-path: needs transport tls, wss/);
  const serve = ['serve', '--authorized-keys', key.pub, '--listen'];
  await is([...serve, '127.0.0.1:70000'], /--listen: .*65535/);
  await is([...serve, 'name:0'], /--listen: name is not an address/);
  await is([...dial, '--keepalive', '0'], /--keepalive: .* seconds/);
  const limit = (...args) => [...serve, '127.0.0.1:0', ...args];
  await is(limit('--stealth'), /--stealth: needs transport tls/);
  await is(limit('--decoy', 'x'), /--decoy: needs stealth or transport ws/);
  await is(
    limit('--transport', 'tls'),
    /--tls-cert: transport tls needs a certificate; .*--tls-cert chain/,
  );
  await is(limit('--max-startups', '9:30:8'), /--max-startups.start: must be/);
  await is(limit('--max-startups', '9:30'), /--max-startups: "9:30" is not/);
  await is(limit('--penalty-time', '-1'), /--penalty-time/);
  await is(limit('--penalty-max', '0'), /--penalty-max: .* seconds/);
  await is(limit('--trust-proxy', 'lb'), /--trust-proxy: "lb" is no address/);
  await is(limit('--penalty-exempt', '::1/0'), /--penalty-exempt: "::1\/0"/);
});

lab('wrong rules and specifications', {}, async (t, lab) => {
  const key = await lab.key();
  const serve = ['serve', '--authorized-keys', key.pub];
  serve.push('--listen', '127.0.0.1:0');
  const rule = (...args) => ends(t, lab, [...serve, ...args], 2, /host:1-x/);
  await rule('--allow', 'host:1-x');
  await rule('--allow', '10.0.0.0/8', '--deny', 'host:1-x');
  const specs = [
    ['--forward', 'one:two'],
    ['--forward', '1080'],
    ['--forward', '1:[::1:2'],
    ['--remote-forward', '99999:host:1'],
  ];
  for (const [flag, spec] of specs) {
    const args = ['connect', '--server', 'x', '--identity', key.file];
    const escaped = spec.replace(/[[\]]/g, '\\$&');
    const pattern = new RegExp(`^wraith: ${flag}: "${escaped}": .`);
    await ends(t, lab, [...args, flag, spec], 2, pattern);
  }
  const socks = ['connect', '--server', 'x', '--socks5'];
  await ends(t, lab, [...socks, '0.0.0.0:1080'], 2, /not loopback/);
  await ends(t, lab, [...socks, 'x:y'], 2, /--socks5/);
  const auth = [...socks, '0', '--socks5-auth'];
  await ends(t, lab, [...auth, 'nocolon'], 2, /--socks5-auth: must be/);
  await ends(t, lab, [...auth, '@/nonexistent'], 2, /--socks5-auth: \/nonexi/);
});

lab('key files', {}, async (t, lab) => {
  const key = await lab.key();
  const junk = lab.file('junk', 'no key at all\n');
  const options = lab.file(
    'options',
    `# one\n${key.line}\nno-pty,tunnel="0" ${key.line}\n`,
  );
  const serve = (...args) => ['serve', '--listen', '127.0.0.1:0', ...args];
  const is = (args, pattern) => ends(t, lab, args, 2, pattern);
  await is(serve(), /nobody could log in.*: wraith serve --authorized-keys/);
  const absent = ['--authorized-keys', lab.file('absent')];
  await is(serve(...absent), /absent: no such file/);
  await is(serve('--authorized-keys', junk), /junk:1/);
  await is(serve('--authorized-keys', options), /options:3: tunnel: /);
  const good = ['--authorized-keys', key.pub];
  await is(serve(...good, '--key', lab.file('absent')), /--key.*absent/);
  await is(serve(...good, '--key', junk), /--key.*junk/);
  const dial = ['connect', '--server', 'x', '--host-key', ANY_PIN];
  dial.push('--socks5', 'off');
  await is(dial, /--identity: there is no .*id_ed25519/);
  await is([...dial, '--identity', lab.file('absent')], /--identity.*absent/);
  await is([...dial, '--identity', junk], /--identity.*junk/);
  await is([...dial, '--identity', lab.dir], /--identity/);
  const pins = ['connect', '--server', 'x', '--identity', key.file];
  await is(
    [...pins, '--socks5', 'off', '--host-key', junk],
    /--host-key.*junk/,
  );
});

const asRoot = process.getuid() === 0 && 'root may read everything';

lab('a key that may not be read', { skip: asRoot }, async (t, lab) => {
  const key = await lab.key();
  fs.chmodSync(key.file, 0);
  const args = ['connect', '--server', 'x', '--identity', key.file];
  await ends(t, lab, args, 2, /--identity.*permission denied/);
});

lab('an encrypted key without a terminal', {}, async (t, lab) => {
  const [out, pass] = [lab.file('locked'), lab.file('pass', 'secret\n')];
  await wraithRun(lab.dir, ['keygen', '--out', out, '--passphrase-file', pass]);
  const args = ['connect', '--server', 'x', '--identity', out];
  args.push('--host-key', ANY_PIN, '--socks5', 'off');
  // Its own session, so that there is no terminal even where tests have one.
  await ends(t, lab, args, 2, /WRAITH_PASSPHRASE/, { detached: true });
});

lab('ports that are taken', {}, async (t, lab) => {
  const key = await lab.key();
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  lab.defer(() => new Promise((resolve) => taken.close(resolve)));
  const place = `127.0.0.1:${taken.address().port}`;
  const serve = ['serve', '--authorized-keys', key.pub, '--listen', place];
  const pattern = new RegExp(`EADDRINUSE.*${place}`);
  await ends(t, lab, serve, 5, pattern);
  const inherit = [...serve.slice(0, -1), 'systemd'];
  await ends(t, lab, inherit, 5, /listen systemd: no sockets were handed down/);
  const dial = ['connect', '--server', 'x', '--identity', key.file];
  dial.push('--host-key', ANY_PIN);
  await ends(t, lab, [...dial, '--socks5', place], 5, pattern);
  const forward = ['--socks5', 'off', '--forward', `${place}:localhost:1`];
  await ends(t, lab, [...dial, ...forward], 5, pattern);
});

// connect with what the test is about left out.
const dialArgs = (server, key) => [
  ...['connect', '--server', `127.0.0.1:${server.port}`],
  ...['--socks5', '0', '--identity', key.file],
];

// The line that a client writes down on first contact.
async function hostKeyLine(server) {
  const file = `${server.dir}/seen`;
  const args = dialArgs(server, server.key);
  const client = wraith(server.dir, [...args, '--known-hosts', file]);
  await connected(client);
  await client.stop();
  return fs.readFileSync(file, 'utf8').trim().split(' ').slice(1).join(' ');
}

lab('host keys', {}, async (t, lab) => {
  const server = await lab.serve();
  const args = dialArgs(server, server.key);
  const { hostKeyFingerprint } = server.summary;
  const pinned = [...args, '--host-key', ANY_PIN];
  const wrong = await ends(t, lab, pinned, 4, /is not the pinned one/);
  t.ok(wrong.stderr.includes(hostKeyFingerprint), 'and names the one it saw');
  const place = `[127.0.0.1]:${server.port}`;
  const file = lab.file('hosts', `# mine\n${place} ${server.key.line}\n`);
  const known = [...args, '--known-hosts', file];
  await ends(t, lab, known, 4, /has changed \(.*\/hosts:2\)/);
  const banned = lab.file(
    'banned',
    `@revoked * ${await hostKeyLine(server)}\n`,
  );
  const listed = [...args, '--known-hosts', banned];
  await ends(t, lab, listed, 4, /is revoked \(.*\/banned:1\)/);
  const none = [...args, '--strict', '--known-hosts', lab.file('none')];
  await ends(t, lab, none, 4, /is not known/);
  t.notOk(fs.existsSync(lab.file('none')), 'nothing is written down');
});

lab('a key that is refused', {}, async (t, lab) => {
  const server = await lab.serve();
  const other = await lab.key('other');
  const args = dialArgs(server, other);
  args.push('--host-key', server.summary.hostKeyFingerprint);
  await ends(t, lab, args, 3, /./);
});

// A program of ours that the test itself ends.
function start(lab, args, options) {
  const program = wraith(lab.subdir('run'), args, options);
  lab.programs.push(program);
  return program;
}

lab('signals to an idle server and client', {}, async (t, lab) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const server = await lab.serve();
    const client = await lab.connect(server);
    client.child.kill(signal);
    t.match(await client.done(), { code: 0 }, `connect, ${signal}`);
    server.child.kill(signal);
    t.match(await server.done(), { code: 0 }, `serve, ${signal}`);
  }
});

lab('a log that nobody reads any more ends nothing', {}, async (t, lab) => {
  const key = await lab.key();
  const server = await lab.serve({ keys: [key] });
  server.child.stderr.destroy();
  for (let i = 0; i < 2; i++) {
    const args = ['connect', '--server', `127.0.0.1:${server.port}`];
    args.push('--identity', key.file, '--host-key', ANY_PIN);
    await ends(t, lab, [...args, '--socks5', 'off'], 4, /not the pinned/);
  }
  t.ok(server.running, 'it still serves');
});

lab('a signal lets channels end', {}, async (t, lab) => {
  const echo = await lab.target('echo');
  const server = await lab.serve({ format: 'logfmt' });
  const args = ['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`];
  const client = await lab.connect(server, { args });
  const [forward] = client.summary.forwards;
  const socket = await connect(forward);
  socket.write('one');
  await once(socket, 'data');
  server.child.kill('SIGTERM');
  await server.line(/INFO server stopping/);
  t.equal(
    await refused({ host: server.host, port: server.port }),
    'ECONNREFUSED',
    'nothing new',
  );
  socket.end('two');
  t.equal(`${await readAll(socket)}`, 'two', 'what is open may end');
  t.match(await server.done(), { code: 0 });
});

lab('a second signal ends at once', {}, async (t, lab) => {
  const echo = await lab.target('echo');
  const server = await lab.serve({ format: 'logfmt' });
  const args = ['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`];
  const client = await lab.connect(server, { args });
  const socket = await connect(client.summary.forwards[0]);
  socket.on('error', () => {});
  socket.write('one');
  await once(socket, 'data');
  server.child.kill('SIGTERM');
  await server.line(/INFO server stopping/);
  const began = process.hrtime.bigint();
  server.child.kill('SIGTERM');
  t.match(await server.done(), { code: 0 });
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  t.ok(ms < 1500, `${ms} ms: sooner than the drain of 2 s`);
  socket.destroy();
});

lab('a client that has no server yet can be ended', {}, async (t, lab) => {
  const key = await lab.key();
  const port = await freePort();
  const args = dialArgs({ port }, key);
  const client = start(lab, [...args, '--host-key', ANY_PIN]);
  await client.line(/not connected reason=.*ECONNREFUSED/, { from: 'stderr' });
  client.child.kill('SIGINT');
  t.match(await client.done(), { code: 0 });
});

lab('--once', {}, async (t, lab) => {
  const server = await lab.serve();
  const args = dialArgs(server, server.key);
  args.push('--host-key', server.summary.hostKeyFingerprint, '--once');
  const polite = start(lab, args);
  await connected(polite);
  await server.stop();
  t.match(await polite.done(), { code: 0 }, 'the server said goodbye');

  const other = await lab.serve();
  const rest = ['--once', '--host-key', other.summary.hostKeyFingerprint];
  const alive = ['--keepalive', '0.3'];
  const rude = start(lab, [...dialArgs(other, other.key), ...rest, ...alive]);
  await connected(rude);
  other.expectedCode = 'SIGKILL';
  other.child.kill('SIGSTOP');
  t.match(await rude.done(), { code: 1 }, 'the server is dead');
  other.child.kill('SIGKILL');
  const none = [...dialArgs({ port: await freePort() }, server.key), ...rest];
  await ends(t, lab, none, 1, /ECONNREFUSED/);
});

lab('demo', {}, async (t, lab) => {
  const { code, stdout, stderr } = await wraithRun(lab.dir, ['demo']);
  t.equal(code, 0, stderr);
  t.match(stdout, /^server: 127\.0\.0\.1:\d+, host key SHA256:\S{43}$/m);
  t.match(stdout, /^client: logged in; SOCKS5 on 127\.0\.0\.1:\d+$/m);
  t.match(stdout, /^page fetched through SOCKS5 and SSH: 200, [\d.]+ ms$/m);
  t.match(stdout, /^on the wire: \d+ bytes out, \d+ bytes in, encrypted$/m);
  t.match(stdout, /wraith connect --server/);
  t.equal(stderr, '');
  const keep = start(lab, ['demo', '--keep']);
  await keep.line(/^kept running: socks5h:\/\/127\.0\.0\.1:\d+/);
  keep.child.kill('SIGINT');
  t.match(await keep.done(), { code: 0 });
});

lab('with ACME the line for the client has the name', {}, async (t, lab) => {
  const key = await lab.key();
  const server = start(lab, [
    ...['serve', '--authorized-keys', key.pub, '--listen', 'tls=[::]:0'],
    ...['--acme-domain', 'www.example.org', '--acme-domain', 'example.org'],
    ...['--acme-directory', 'https://127.0.0.1:1/dir'],
  ]);
  await server.line(
    /^connect: wraith connect --transport tls --server www\.example\.org:\d+ /,
  );
  t.match(await server.stop(), { code: 0 });
});

lab('a port that is not open to every user', {}, async (t, lab) => {
  const first = fs.readFileSync(UNPRIVILEGED, 'utf8');
  if (Number(first) > 443) {
    const key = await lab.key();
    const args = ['serve', '--authorized-keys', key.pub, '--listen'];
    const argv = [process.execPath, BIN, ...args, '[::1]:443'];
    if (process.getuid() === 0) {
      argv.unshift('setpriv', '--bounding-set=-net_bind_service');
    }
    const [program, ...rest] = argv;
    const result = await run(program, rest, { env: ownEnv(lab.dir) });
    t.equal(result.code, 5, result.stderr);
    t.match(result.stderr, /EACCES \[::1\]:443: .*--listen systemd.*=443$/m);
  } else {
    t.pass('here it is');
  }
});

lab('the start-up lines are ready to use', {}, async (t, lab) => {
  const key = await lab.key();
  const server = start(lab, [
    ...['serve', '--listen', '127.0.0.1:0', '--authorized-keys', key.pub],
  ]);
  await server.line(/^new host key: .*\/state\/wraith\/host_ed25519$/);
  const [, line] = await server.line(/^connect: wraith (connect .*)$/);
  const client = start(lab, [
    ...[...line.split(' '), '--identity', key.file, '--socks5', '0'],
  ]);
  const [, port] = await client.line(/^socks5: 127\.0\.0\.1:(\d+)$/);
  await connected(client);
  const echo = await lab.target('echo');
  const socket = await connect({ port: Number(port) });
  socket.write(`CONNECT ${echo.spec} HTTP/1.1\r\nHost: ${echo.spec}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  t.match(`${answer}`, /^HTTP\/1\.[01] 200 /);
  t.equal(`${await exchange(socket, 'through')}`, 'through');
  t.strictSame(canary.leaks(client.lines.map(({ text }) => text)), []);
  t.strictSame(canary.leaks(server.lines.map(({ text }) => text)), []);
  t.match(await client.stop(), { code: 0 });
  t.match(await server.stop(), { code: 0 });
});
