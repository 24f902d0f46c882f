'use strict';
// `wraith connect` against OpenSSH's sshd.
const crypto = require('node:crypto');
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { closedPort, connect, exchange, readAll } = require('./lib/net.js');
const { freePort, refused, sha256 } = require('./lib/net.js');
const { runSsh, startSshd } = require('./lib/openssh.js');
const { socks5 } = require('./lib/socks.js');
const { connected, wraith, wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['sshd', 'ssh-keygen'] };
const data = crypto.randomBytes(4 * 1024 * 1024);

const reach = (lab, sshd, args = [], more = {}) =>
  lab.connect(sshd, {
    key: sshd.key,
    pin: sshd.hostKey.fingerprint,
    args: ['--user', sshd.user, ...args],
    ...more,
  });

const remotePort = async (client, number = 1) =>
  Number(
    (
      await client.line(
        new RegExp(`^\\{"remoteForward":${number},"port":(\\d+)\\}$`),
      )
    )[1],
  );

lab('SOCKS5 and forwards through sshd', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const echo = await lab.target('echo');
  const digest = await lab.target('digest');
  const file = lab.file('canary.sock');
  await lab.target('digest', { path: file });
  const own = lab.file('own.sock');
  const client = await reach(lab, sshd, [
    ...['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`],
    ...['--forward', `${own}:${digest.spec}`],
    ...['--forward', `127.0.0.1:${await freePort()}:${file}`],
  ]);
  const [tcp, unix, toUnix] = client.summary.forwards;
  const want = `${sha256(data)}\n`;
  t.equal(sha256(await exchange(tcp, data)), sha256(data), '--forward');
  t.equal(unix.path, own);
  t.equal(`${await exchange({ path: own }, data)}`, want, 'from a socket');
  t.equal(`${await exchange(toUnix, data)}`, want, 'to a socket');
  const { reply, socket } = await socks5(client.socks5, echo.host, echo.port);
  t.equal(reply, 0);
  t.equal(sha256(await exchange(socket, data)), sha256(data), 'SOCKS5');
});

lab('why sshd could not connect', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const client = await reach(lab, sshd);
  const nobody = await closedPort();
  const at = (host, port) => socks5(client.socks5, host, port);
  t.equal((await at(canary.HOST, nobody)).reply, 5, 'refused');
  t.equal((await at(canary.NAME, 80)).reply, 4, 'unresolvable');
});

lab('AllowTcpForwarding no', needs, async (t, lab) => {
  const sshd = await startSshd(lab, ['AllowTcpForwarding no']);
  const echo = await lab.target('echo');
  const client = await reach(lab, sshd, [
    ...['--remote-forward', `127.0.0.1:0:${echo.spec}`],
  ]);
  const { reply } = await socks5(client.socks5, echo.host, echo.port);
  t.equal(reply, 2, 'not allowed');
  t.equal(echo.connections, 0);
  await client.line(/remote forward failed/, { from: 'stderr' });
});

lab('PermitOpen', needs, async (t, lab) => {
  const echo = await lab.target('echo');
  const other = await lab.target('echo');
  const sshd = await startSshd(lab, [`PermitOpen ${echo.spec}`]);
  const client = await reach(lab, sshd);
  const yes = await socks5(client.socks5, echo.host, echo.port);
  t.equal(yes.reply, 0);
  t.equal(`${await exchange(yes.socket, 'in')}`, 'in');
  const no = await socks5(client.socks5, other.host, other.port);
  t.equal(no.reply, 2);
});

lab('remote forwards of sshd', needs, async (t, lab) => {
  const sshd = await startSshd(lab, ['GatewayPorts clientspecified']);
  const echo = await lab.target('echo');
  const digest = await lab.target('digest');
  const nobody = await closedPort();
  const bound = lab.file('bound-canary.sock');
  const client = await reach(lab, sshd, [
    ...['--remote-forward', `127.0.0.1:0:${echo.spec}`],
    ...['--remote-forward', `[::1]:0:${digest.spec}`],
    ...['--remote-forward', `${lab.dir}/bound.sock:${digest.spec}`],
    ...['--remote-forward', `127.0.0.1:0:${canary.HOST}:${nobody}`],
  ]);
  t.notOk(fs.existsSync(bound));
  const [four, six] = [
    await remotePort(client, 1),
    await remotePort(client, 2),
  ];
  await client.line(/^\{"remoteForward":3,"path":".*\/bound\.sock"\}$/);
  const want = `${sha256(data)}\n`;
  t.equal(sha256(await exchange({ port: four }, data)), sha256(data), 'port 0');
  t.equal(`${await exchange({ host: '::1', port: six }, data)}`, want, 'IPv6');
  const path = lab.file('bound.sock');
  t.equal(`${await exchange({ path }, data)}`, want, 'a Unix socket');
  const fourth = await remotePort(client, 4);
  t.equal(
    (await exchange({ port: fourth }).catch(() => '')).length,
    0,
    'a target that refuses',
  );
  await client.stop();
  t.equal(await refused({ host: '127.0.0.1', port: four }), 'ECONNREFUSED');
});

lab('sshd wants new keys under load', needs, async (t, lab) => {
  const sshd = await startSshd(lab, ['RekeyLimit 1M']);
  const echo = await lab.target('echo');
  const source = await lab.target('source', { data });
  const digest = await lab.target('digest');
  const client = await reach(lab, sshd, [
    ...['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`],
    ...['--forward', `127.0.0.1:${await freePort()}:${source.spec}`],
    ...['--forward', `127.0.0.1:${await freePort()}:${digest.spec}`],
    ...['--remote-forward', `127.0.0.1:0:${echo.spec}`],
  ]);
  const [a, b, c] = client.summary.forwards;
  const back = await remotePort(client);
  const all = await Promise.all([
    exchange(a, data),
    exchange(b),
    exchange(c, data),
    exchange({ port: back }, data),
  ]);
  const want = sha256(data);
  t.strictSame(
    [sha256(all[0]), sha256(all[1]), `${all[2]}`, sha256(all[3])],
    [want, want, `${want}\n`, want],
  );
  const times = sshd.text('stderr').match(/SSH2_MSG_NEWKEYS received/g).length;
  t.ok(times >= 5, `new keys ${times} times`);
});

for (const cipher of [
  'aes256-gcm@openssh.com',
  'aes128-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes256-ctr',
]) {
  lab(`sshd speaks ${cipher} only`, needs, async (t, lab) => {
    const sshd = await startSshd(lab, [`Ciphers ${cipher}`]);
    const echo = await lab.target('echo');
    const args = ['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`];
    const client = await reach(lab, sshd, args);
    const back = await exchange(client.summary.forwards[0], data);
    t.equal(sha256(back), sha256(data));
    const [, used] = await sshd.line(/kex: server->client cipher: (\S+)/);
    t.equal(used, cipher);
  });
}

lab('ClientAliveInterval is answered', needs, async (t, lab) => {
  const sshd = await startSshd(lab, [
    'ClientAliveInterval 1',
    'ClientAliveCountMax 1',
  ]);
  const client = await reach(lab, sshd);
  await sshd.line(/receive packet: type 8[12]/, { times: 2 });
  t.ok(client.running);
  t.notMatch(client.text('stderr'), /not connected/);
});

lab('our keepalive is answered by sshd', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const echo = await lab.target('echo');
  const client = await reach(lab, sshd, [
    ...[
      '--keepalive',
      '0.3',
      '--forward',
      `127.0.0.1:${await freePort()}:${echo.spec}`,
    ],
  ]);
  const open = await connect(client.summary.forwards[0]);
  await sshd.line(/keepalive@openssh\.com/, { times: 3 });
  open.end('awake');
  t.equal(`${await readAll(open)}`, 'awake', 'the same session');
});

lab('known_hosts is the same file', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const file = lab.file('known_hosts');
  const args = ['--known-hosts', file];
  const first = await reach(lab, sshd, args, { pin: null });
  const print = sshd.hostKey.fingerprint;
  await first.line(/first contact: host key remembered/, { from: 'stderr' });
  t.ok(first.text('stderr').includes(print), 'and announced');
  await first.stop();

  const place = `[127.0.0.1]:${sshd.port}`;
  const found = await lab.run(peers.path('ssh-keygen'), [
    ...['-l', '-F', place, '-f', file],
  ]);
  t.equal(found.code, 0, 'ssh-keygen -F finds it');
  t.ok(found.stdout.includes(print));
  const ssh = await runSsh(lab, sshd, ['-T'], {
    options: [`UserKnownHostsFile=${file}`, 'StrictHostKeyChecking=yes'],
    command: ['true'],
  });
  t.notMatch(ssh.stderr, /Host key verification failed/);
  t.match(ssh.stderr, /Authenticated to/);

  const second = await reach(lab, sshd, [...args, '--strict'], { pin: null });
  t.notMatch(second.text('stderr'), /first contact/, 'known by now');
  await second.stop();
  const hashed = await lab.run(peers.path('ssh-keygen'), ['-H', '-f', file]);
  t.equal(hashed.code, 0);
  t.notMatch(fs.readFileSync(file, 'utf8'), /127\.0\.0\.1/);
  await reach(lab, sshd, [...args, '--strict'], { pin: null });
});

lab('sshd refuses the key', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const other = await lab.key('other');
  const { code, stderr } = await wraithRun(lab.dir, [
    ...['connect', '--server', `127.0.0.1:${sshd.port}`],
    ...['--user', sshd.user, '--identity', other.file],
    ...['--host-key', sshd.hostKey.fingerprint, '--socks5', '0'],
  ]);
  t.equal(code, 3, stderr);
  t.match(stderr, /^wraith: .+\n$/m);
});

lab('sshd goes and comes back', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const echo = await lab.target('echo');
  const client = await reach(lab, sshd, [
    ...['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`],
    ...['--remote-forward', `127.0.0.1:0:${echo.spec}`],
  ]);
  await remotePort(client);
  const [, pid] = await sshd.line(/Forked child (\d+)/);
  process.kill(Number(pid), 'SIGKILL');
  await client.line(/not connected/, { from: 'stderr' });
  await client.line(/ connected$|"message":"connected"/, {
    from: 'stderr',
    times: 2,
  });
  const [forward] = client.summary.forwards;
  t.equal(`${await exchange(forward, 'again')}`, 'again');
});

lab('--once ends with the session', needs, async (t, lab) => {
  const sshd = await startSshd(lab);
  const client = wraith(lab.subdir('once'), [
    ...['connect', '--server', `127.0.0.1:${sshd.port}`, '--once'],
    ...['--user', sshd.user, '--identity', sshd.key.file],
    ...['--host-key', sshd.hostKey.fingerprint, '--socks5', '0'],
  ]);
  lab.programs.push(client);
  await connected(client);
  const [, pid] = await sshd.line(/Forked child (\d+)/);
  process.kill(Number(pid), 'SIGKILL');
  const { code } = await client.done();
  t.ok(code === 0 || code === 1, `it ended with ${code}`);
});
