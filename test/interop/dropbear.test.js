'use strict';
// Dropbear, both ways.
const crypto = require('node:crypto');
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { closedPort, exchange, freePort, sha256 } = require('./lib/net.js');
const { untilListening, refused } = require('./lib/net.js');
const dropbear = require('./lib/dropbear.js');
const { socks5 } = require('./lib/socks.js');

const client = { peers: ['dbclient'] };
const server = {
  peers: ['dropbear', 'dbclient'],
  skip: dropbear.cannotServe(),
};
const data = crypto.randomBytes(2 * 1024 * 1024);

lab('dbclient -L and -R', client, async (t, lab) => {
  const key = await dropbear.dropbearKey(lab, 'dbclient_key');
  const server = await lab.serve({ keys: [key], format: 'logfmt' });
  const echo = await lab.target('echo');
  const digest = await lab.target('digest');
  const [port, bound, closed] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const nobody = await closedPort();
  const program = dropbear.dbclient(lab, server, [
    '-N',
    ...['-L', `127.0.0.1:${port}:${echo.spec}`],
    ...['-L', `127.0.0.1:${closed}:${canary.HOST}:${nobody}`],
    ...['-R', `127.0.0.1:${bound}:${digest.spec}`],
  ]);
  await server.line(/auth attempt .* result=accept/);
  const alive = () => program.running;
  await untilListening({ host: '127.0.0.1', port }, alive);
  await untilListening({ host: '127.0.0.1', port: bound }, alive);
  const back = await exchange({ port }, data);
  t.equal(sha256(back), sha256(data), '-L');
  const answer = await exchange({ port: bound }, data);
  t.equal(`${answer}`, `${sha256(data)}\n`, '-R');
  t.equal((await exchange({ port: closed }).catch(() => '')).length, 0);
  t.equal(`${await exchange({ port }, 'on')}`, 'on', 'still usable');
  await program.stop();
  await server.line(/connection closed/);
  t.equal(await refused({ host: '127.0.0.1', port: bound }), 'ECONNREFUSED');
});

lab('dbclient -B', client, async (t, lab) => {
  const key = await dropbear.dropbearKey(lab, 'dbclient_key');
  const server = await lab.serve({ keys: [key] });
  const digest = await lab.target('digest');
  const args = ['-B', digest.spec];
  const program = dropbear.dbclient(lab, server, args, data);
  const { stdout } = await program.done();
  t.equal(`${stdout}`, `${sha256(data)}\n`);
});

lab('dbclient with a key that is not known', client, async (t, lab) => {
  const key = await dropbear.dropbearKey(lab, 'wrong');
  const server = await lab.serve({ format: 'logfmt' });
  server.key = key;
  const program = dropbear.dbclient(lab, server, ['-N']);
  const { code, stderr } = await program.done();
  t.not(code, 0);
  t.match(stderr, /No auth methods could be used|Permission denied/);
  const [line] = await server.line(/.* auth attempt .*/);
  t.ok(line.includes(`key_fingerprint=${key.fingerprint} `), line);
  t.match(line, /result=reject reason=unknown-key/);
});

lab('dbclient asks for a shell', client, async (t, lab) => {
  const key = await dropbear.dropbearKey(lab, 'dbclient_key');
  const server = await lab.serve({ keys: [key] });
  // It says nothing and ends with 0; what counts is that it is told no.
  const program = dropbear.dbclient(lab, server, []);
  const { stdout, stderr } = await program.done();
  t.equal(stdout.length, 0);
  t.match(stderr, /Connection to tester@127\.0\.0\.1:\d+ closed/);
});

lab('connect to dropbear', server, async (t, lab) => {
  const server = await dropbear.startDropbear(lab);
  const echo = await lab.target('echo');
  const digest = await lab.target('digest');
  const nobody = await closedPort();
  const client = await lab.connect(server, {
    key: server.key,
    pin: server.hostKey.line,
    args: [
      ...['--user', server.user],
      ...['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`],
      ...['--remote-forward', `127.0.0.1:${await freePort()}:${digest.spec}`],
    ],
  });
  const [forward] = client.summary.forwards;
  const back = await exchange(forward, data);
  t.equal(sha256(back), sha256(data), '--forward');
  const [, port] = await client.line(/^\{"remoteForward":1,"port":(\d+)\}$/);
  const answer = await exchange({ port: Number(port) }, data);
  t.equal(`${answer}`, `${sha256(data)}\n`, '--remote-forward');
  const { reply, socket } = await socks5(client.socks5, echo.host, echo.port);
  t.equal(reply, 0);
  t.equal(`${await exchange(socket, 'socks')}`, 'socks');
  const none = await socks5(client.socks5, canary.HOST, nobody);
  t.not(none.reply, 0, 'nobody there');
  t.equal(`${await exchange(forward, 'on')}`, 'on', 'still usable');
});
