'use strict';
// OpenSSH's client against `wraith serve`: -L, -R, -D, -W.
const crypto = require('node:crypto');
const fs = require('node:fs');
const { once } = require('node:events');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { connect, exchange, freePort, readAll } = require('./lib/net.js');
const { refused, sha256, untilRefused } = require('./lib/net.js');
const { runSsh, spawnSsh, startMaster, startSsh } = require('./lib/openssh.js');
const { socks5 } = require('./lib/socks.js');
const { BIN, ownEnv } = require('./lib/wraith.js');
const { Program } = require('./lib/program.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['ssh'] };
const megabyte = crypto.randomBytes(1024 * 1024);

lab('ssh -L', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const source = await lab.target('source', { data: megabyte });
  const digest = await lab.target('digest');
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const targets = [echo, source, digest];
  const args = targets.flatMap((to, i) => [
    '-L',
    `127.0.0.1:${ports[i]}:${to.spec}`,
  ]);
  await startSsh(lab, server, args);

  const first = await exchange({ port: ports[1] });
  t.equal(sha256(first), sha256(megabyte), 'the target speaks first');
  const back = await exchange({ port: ports[0] }, megabyte);
  t.equal(sha256(back), sha256(megabyte), 'there and back');
  const answer = await exchange({ port: ports[2] }, megabyte);
  t.equal(`${answer}`, `${sha256(megabyte)}\n`, 'an answer after the end');
  const many = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      exchange({ port: ports[0] }, `channel ${i}`),
    ),
  );
  t.strictSame(
    many.map(String),
    many.map((_, i) => `channel ${i}`),
    '50 channels at once',
  );
});

lab('ssh -L to names, IPv6 and nowhere', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo', { host: '127.0.0.1' });
  const six = await lab.target('echo', { host: '::1' });
  const [byName, bySix, noName, closed] = await Promise.all(
    Array.from({ length: 4 }, () => freePort()),
  );
  const nobody = await freePort(canary.HOST);
  const ssh = await startSsh(lab, server, [
    ...['-L', `127.0.0.1:${byName}:localhost:${echo.port}`],
    ...['-L', `127.0.0.1:${bySix}:${six.spec}`],
    ...['-L', `127.0.0.1:${noName}:${canary.NAME}:80`],
    ...['-L', `127.0.0.1:${closed}:${canary.HOST}:${nobody}`],
  ]);
  t.equal(`${await exchange({ port: byName }, 'name')}`, 'name');
  t.equal(`${await exchange({ port: bySix }, 'six')}`, 'six');
  t.equal((await exchange({ port: noName })).length, 0, 'no such name');
  await ssh.line(/open failed: connect failed: unresolved$/);
  t.equal((await exchange({ port: closed })).length, 0, 'nobody there');
  await ssh.line(/open failed: connect failed: refused$/);
  t.equal(`${await exchange({ port: byName }, 'on')}`, 'on', 'still usable');
});

lab('ssh -L denied by a rule', needs, async (t, lab) => {
  const echo = await lab.target('echo');
  const server = await lab.serve({
    args: ['--deny', `${canary.HOST}:${echo.port}`],
  });
  const other = await lab.target('echo');
  const [denied, allowed] = [await freePort(), await freePort()];
  const ssh = await startSsh(lab, server, [
    ...['-L', `127.0.0.1:${denied}:${echo.spec}`],
    ...['-L', `127.0.0.1:${allowed}:${other.spec}`],
  ]);
  t.equal((await exchange({ port: denied })).length, 0);
  await ssh.line(/open failed: administratively prohibited: denied$/);
  t.equal(echo.connections, 0, 'nobody was dialled');
  t.equal(`${await exchange({ port: allowed }, 'yes')}`, 'yes');
});

lab('ssh -R: a given port, port 0, cancel', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const digest = await lab.target('digest');
  const port = await freePort();
  const { ssh, ctl } = await startMaster(lab, server, [
    ...['-R', `127.0.0.1:${port}:${echo.spec}`],
  ]);
  await ssh.line(/remote forward success for: listen/);
  const back = await exchange({ port }, megabyte);
  t.equal(sha256(back), sha256(megabyte), 'there and back');
  const many = await Promise.all(
    Array.from({ length: 20 }, (_, i) => exchange({ port }, `channel ${i}`)),
  );
  t.strictSame(
    many.map(String),
    many.map((_, i) => `channel ${i}`),
    '20 channels at once',
  );

  const asked = await ctl('forward', '-R', `localhost:0:${digest.spec}`);
  t.equal(asked.code, 0, asked.stderr);
  const chosen = Number(asked.stdout);
  t.ok(chosen >= 1024, 'the server chose a port');
  const answer = await exchange({ port: chosen }, megabyte);
  t.equal(`${answer}`, `${sha256(megabyte)}\n`, 'half-close');

  const open = await connect({ port });
  open.write('before');
  const [word] = await once(open, 'data');
  t.equal(`${word}`, 'before');
  const gone = await ctl('cancel', '-R', `127.0.0.1:${port}:${echo.spec}`);
  t.equal(gone.code, 0, gone.stderr);
  await untilRefused({ port, host: '127.0.0.1' });
  open.end('after');
  t.equal(`${await readAll(open)}`, 'after', 'what was open goes on');
  t.equal(`${await exchange({ port: chosen })}`, `${sha256('')}\n`);
});

lab('ssh -R: who may bind what', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const { ctl } = await startMaster(lab, server);
  const ask = (spec) => ctl('forward', '-R', `${spec}:${echo.spec}`);
  const everywhere = await ask('*:0');
  if (everywhere.code === 0) {
    const place = { host: lanAddress(), port: Number(everywhere.stdout) };
    t.equal(await refused(place), 'ECONNREFUSED', 'on loopback only');
  } else t.match(everywhere.stderr, /forwarding request failed|failed/);
  t.not((await ask('127.0.0.1:443')).code, 0, 'a low port needs a rule');
  const six = await ask('[::1]:0');
  t.equal(six.code, 0, six.stderr);
  const back = await exchange({ host: '::1', port: Number(six.stdout) }, 'six');
  t.equal(`${back}`, 'six');
  const taken = await ask(`127.0.0.1:${server.port}`);
  t.not(taken.code, 0, 'a taken port is refused');
});

// An address of this machine that is not loopback, else one that is refused too.
function lanAddress() {
  const all = Object.values(require('node:os').networkInterfaces()).flat();
  const one = all.find((a) => !a.internal && a.family === 'IPv4');
  return one ? one.address : '127.99.99.99';
}

lab('ssh -D', { peers: ['ssh', 'curl'] }, async (t, lab) => {
  const server = await lab.serve();
  const page = `<p>${sha256(megabyte)}</p>`;
  const web = await lab.web((request, response) => response.end(page), {
    host: '127.0.0.1',
  });
  const port = await freePort();
  await startSsh(lab, server, ['-D', `127.0.0.1:${port}`]);
  const { code, stdout } = await lab.run(peers.path('curl'), [
    '-sS',
    '--proxy',
    `socks5h://127.0.0.1:${port}`,
    `http://localhost:${web.port}/canary`,
  ]);
  t.equal(code, 0);
  t.equal(stdout, page);
  // ssh's own SOCKS server says yes before it knows.
  const nowhere = await socks5({ port }, canary.NAME, 80).catch(() => null);
  if (nowhere) t.equal((await exchange(nowhere.socket)).length, 0);
  t.equal((await socks5({ port }, 'localhost', web.port)).reply, 0);
});

lab('ssh -W', needs, async (t, lab) => {
  const server = await lab.serve();
  const digest = await lab.target('digest');
  const through = await runSsh(lab, server, ['-W', digest.spec], {
    input: megabyte,
  });
  t.equal(through.code, 0, through.stderr);
  t.equal(through.stdout, `${sha256(megabyte)}\n`);
  const name = `${canary.NAME}:22`;
  const nowhere = await runSsh(lab, server, ['-W', name]);
  t.not(nowhere.code, 0);
  t.match(nowhere.stderr, /open failed: connect failed: unresolved/);
  const nobody = await runSsh(lab, server, ['-W', 'wraith-control:1']);
  t.not(nobody.code, 0, 'nobody listens for reserved names here');
  t.match(nobody.stderr, /open failed/);
});

lab('ssh -W to an application', needs, async (t, lab) => {
  const key = await lab.key();
  const app = new Program(
    process.execPath,
    [
      path.join(path.dirname(BIN), '../test/interop/lib/control-app.js'),
      key.pub,
    ],
    { env: ownEnv(lab.dir), name: 'control-app' },
  );
  app.format = 'logfmt';
  lab.watch(app);
  const [line] = await app.line(/^\{.*\}$/, { from: 'stdout' });
  const [{ host, port }] = JSON.parse(line).addresses;
  const server = { host, port, key };
  const names = [
    ['wraith-control', 'wraith-control'],
    ['WRAITH-Control.', 'wraith-control'],
    ['wraith-other', 'wraith-other'],
  ];
  for (const [name, destination] of names) {
    const { code, stdout, stderr } = await runSsh(
      lab,
      server,
      ['-W', `${name}:1`],
      { input: 'hello' },
    );
    t.equal(code, 0, stderr);
    const [info, rest] = stdout.split('\n');
    t.strictSame(JSON.parse(info), {
      destination,
      user: 'tester',
      keyFingerprint: key.fingerprint,
      transport: 'tcp',
    });
    t.equal(rest, 'HELLO');
  }
});

lab('Unix sockets need a rule', needs, async (t, lab) => {
  const server = await lab.serve();
  const file = lab.file('canary.sock');
  const echo = await lab.target('echo', { path: file });
  const port = await freePort();
  const bound = lab.file('canary-bound.sock');
  const { ssh, ctl } = await startMaster(lab, server, [
    ...['-L', `127.0.0.1:${port}:${file}`],
  ]);
  t.equal((await exchange({ port })).length, 0);
  await ssh.line(/open failed: administratively prohibited: denied$/);
  t.equal(echo.connections, 0);
  const asked = await ctl('forward', '-R', `${bound}:${file}`);
  t.not(asked.code, 0);
  t.notOk(fs.existsSync(bound), 'nothing was bound');
});

lab('Unix sockets with a rule', needs, async (t, lab) => {
  const server = await lab.serve({
    args: ['--allow', `unix:${lab.dir}/canary*.sock`],
  });
  const file = lab.file('canary-to.sock');
  const hidden = lab.file('hidden-canary.sock');
  await lab.target('digest', { path: file });
  const secret = await lab.target('echo', { path: hidden });
  const local = lab.file('local.sock');
  const port = await freePort();
  const bound = lab.file('canary-bound.sock');
  const { ssh, ctl } = await startMaster(lab, server, [
    ...['-L', `${local}:${file}`],
    ...['-L', `127.0.0.1:${port}:${hidden}`],
    ...['-R', `${bound}:${file}`],
  ]);
  const digest = `${sha256(megabyte)}\n`;
  t.equal(`${await exchange({ path: local }, megabyte)}`, digest, '-L');
  t.equal((await exchange({ port })).length, 0, 'another path');
  await ssh.line(/open failed: administratively prohibited: denied$/);
  t.equal(secret.connections, 0);
  await ssh.line(/remote forward success for: listen/);
  t.equal(`${await exchange({ path: bound }, megabyte)}`, digest, '-R');
  t.equal(fs.statSync(bound).mode & 0o077, 0, 'for its owner only');
  const gone = await ctl('cancel', '-R', `${bound}:${file}`);
  t.equal(gone.code, 0, gone.stderr);
  await untilRefused({ path: bound });
  const other = lab.file('other-canary.sock');
  t.not((await ctl('forward', '-R', `${other}:${file}`)).code, 0);
});

lab('no session channel', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const alone = await runSsh(lab, server, [], { command: ['true'] });
  t.not(alone.code, 0);
  t.match(alone.stderr, /open failed/);
  t.notMatch(alone.stderr, /Connection closed|Connection reset/);

  // The connection that it was asked on goes on.
  const port = await freePort();
  const { socket } = await startMaster(lab, server, [
    ...['-L', `127.0.0.1:${port}:${echo.spec}`],
  ]);
  const open = await connect({ port });
  const shared = spawnSsh(lab, server, ['-S', socket], { command: ['true'] });
  await shared.line(/session open refused|Session open refused/i);
  open.end('still here');
  t.equal(`${await readAll(open)}`, 'still here');
  t.equal(`${await exchange({ port }, 'and new')}`, 'and new');
  await shared.stop();
});

lab('the end of the client ends what it had', needs, async (t, lab) => {
  const server = await lab.serve({ format: 'logfmt' });
  const echo = await lab.target('echo');
  const [port, bound] = [await freePort(), await freePort()];
  const ssh = await startSsh(lab, server, [
    ...['-L', `127.0.0.1:${port}:${echo.spec}`],
    ...['-R', `127.0.0.1:${bound}:${echo.spec}`],
  ]);
  await ssh.line(/remote forward success for: listen/);
  const socket = await connect({ port });
  socket.write('x');
  await once(socket, 'data');
  const [at] = [...echo.sockets];
  const ended = new Promise((resolve) => at.once('close', resolve));
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  socket.resume();
  ssh.child.kill('SIGKILL');
  await ended;
  await server.line(/ INFO connection closed remote_addr=127\.0\.0\.1 /);
  t.equal(await refused({ host: '127.0.0.1', port: bound }), 'ECONNREFUSED');
  socket.destroy();
  await gone;
});
