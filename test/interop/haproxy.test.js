'use strict';
// A real load balancer in front of the server: whom it names is whom the server
// sees.
const crypto = require('node:crypto');
const { haproxy, haproxyTo } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const {
  connect,
  exchange,
  freePort,
  readAll,
  sha256,
} = require('./lib/net.js');
const { spawnSsh } = require('./lib/openssh.js');

const needs = { peers: ['haproxy', 'ssh'] };
const data = crypto.randomBytes(1024 * 1024);

const balance = (lab, server, how) => haproxy(lab, haproxyTo(server, how));

const trusting = (lab, ...args) =>
  lab.serve({
    format: 'logfmt',
    args: ['--trust-proxy', '127.0.0.1/32', ...args],
  });

const versions = { 'version 1': 'send-proxy', 'version 2': 'send-proxy-v2' };

for (const [version, how] of Object.entries(versions)) {
  lab(`the client's address, ${version}`, needs, async (t, lab) => {
    const server = await trusting(lab);
    const front = await balance(lab, server, how);
    const echo = await lab.target('echo');
    const pin = server.summary.hostKeyFingerprint;
    const args = ['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`];
    const client = await lab.connect(front, { key: server.key, pin, args });
    const [forward] = client.summary.forwards;
    t.equal(sha256(await exchange(forward, data)), sha256(data));
    // A client of its own address, which the balancer does not have.
    const ssh = spawnSsh(
      lab,
      { ...front, key: server.key },
      ['-b', '127.0.0.9', '-W', echo.spec],
      { input: data },
    );
    const { code, stdout, stderr } = await ssh.done();
    t.equal(code, 0, stderr);
    t.equal(sha256(stdout), sha256(data), 'what follows the header is whole');
    await server.line(/connection opened remote_addr=127\.0\.0\.1 /);
    await server.line(/connection opened remote_addr=127\.0\.0\.9 /);
    await server.line(/auth attempt remote_addr=127\.0\.0\.9 .*result=accept/);
  });

  lab(`a balancer that is not trusted, ${version}`, needs, async (t, lab) => {
    const server = await lab.serve({ format: 'logfmt' });
    const front = await balance(lab, server, how);
    const socket = await connect(front);
    socket.write('SSH-2.0-x\r\n');
    await readAll(socket).catch(() => {}); // a reset is an end as well
    await server.line(/connection closed remote_addr=127\.0\.0\.1 /);
    t.notMatch(server.text('stderr'), /auth/);
  });
}

lab('the checks of a balancer', needs, async (t, lab) => {
  const server = await trusting(lab, '--penalty-time', '100');
  const check = 'send-proxy-v2 check check-send-proxy inter 20ms';
  const front = await balance(lab, server, check);
  // Local connections, as often as would be a penalty for anybody else.
  await server.line(/connection closed remote_addr=127\.0\.0\.1 /, {
    times: 3,
  });
  const pin = server.summary.hostKeyFingerprint;
  await lab.connect(front, { key: server.key, pin });
  t.notMatch(server.text('stderr'), /penalty|rejected/);
});
