'use strict';
// Two SSH clients in Python, each with its own implementation.
const { lab } = require('./lib/lab.js');
const canary = require('./lib/canary.js');
const { closedPort, exchange, refused, sha256 } = require('./lib/net.js');
const { startPython } = require('./lib/python.js');

const paramiko = { peers: ['python3', 'paramiko'] };
const asyncssh = { peers: ['python3', 'asyncssh'] };
const text = 'twelve bytes'.repeat(100_000);

// What both can do. asyncssh makes new keys several times on the way and, as its
// 2.10 does, goes on with data after its KEXINIT. Paramiko has texts of its own.
async function openings(t, lab, client, { texts = true } = {}) {
  const digest = await lab.target('digest');
  const nobody = await closedPort();
  const open = (host, port, data = '') =>
    client.ask({ do: 'direct', host, port, data });
  t.strictSame(await open(digest.host, digest.port, text), {
    answer: `${sha256(text)}\n`,
  });
  const failed = (text) => ({ code: 2, ...(texts ? { text } : {}) });
  t.match(await open(canary.HOST, nobody), failed('refused'));
  t.match(await open(canary.NAME, 80), failed('unresolved'));
  t.match(await open('wraith-control', 1), { code: Number });
  const session = await client.ask({ do: 'session' });
  t.ok(session.code > 0, 'no session channel');
  t.match(await open(digest.host, digest.port), { answer: `${sha256('')}\n` });
}

lab('paramiko', paramiko, async (t, lab) => {
  const server = await lab.serve();
  const client = await startPython(lab, 'paramiko_client.py', server);
  t.match(client.hello, { cipher: String });
  await openings(t, lab, client, { texts: false });
  const { port } = await client.ask({ do: 'listen' });
  const [back, seen] = await Promise.all([
    exchange({ port }, text),
    client.ask({ do: 'echo_one' }),
  ]);
  t.equal(`${back}`, text, 'forwarded-tcpip');
  t.equal(seen.bytes, text.length);
  t.strictSame(await client.ask({ do: 'cancel', port }), {});
  t.equal(await refused({ host: '127.0.0.1', port }), 'ECONNREFUSED');
});

lab('paramiko tries a password', paramiko, async (t, lab) => {
  const server = await lab.serve({ format: 'logfmt' });
  const client = await startPython(
    lab,
    'paramiko_client.py',
    server,
    'password',
  );
  t.strictSame(client.hello, { refused: ['publickey'] });
});

lab('paramiko against a rule', paramiko, async (t, lab) => {
  const digest = await lab.target('digest');
  const server = await lab.serve({ args: ['--allow', '192.0.2.0/24'] });
  const client = await startPython(lab, 'paramiko_client.py', server);
  const { host, port } = digest;
  const answer = await client.ask({ do: 'direct', host, port, data: '' });
  t.match(answer, { code: 1 });
  t.equal(digest.connections, 0);
});

lab('asyncssh', asyncssh, async (t, lab) => {
  const server = await lab.serve();
  const client = await startPython(lab, 'asyncssh_client.py', server);
  t.match(client.hello, { cipher: String });
  await openings(t, lab, client);
  const digest = await lab.target('digest');
  const { port } = await client.ask({
    do: 'listen',
    to_host: digest.host,
    to_port: digest.port,
  });
  for (const part of [text, '', text]) {
    t.equal(`${await exchange({ port }, part)}`, `${sha256(part)}\n`);
  }
  t.strictSame(await client.ask({ do: 'cancel', port }), {});
  t.equal(await refused({ host: '127.0.0.1', port }), 'ECONNREFUSED');
});

lab('asyncssh and Unix sockets', asyncssh, async (t, lab) => {
  const path = lab.file('canary.sock');
  await lab.target('digest', { path });
  const open = async (args) => {
    const server = await lab.serve({ args });
    const client = await startPython(lab, 'asyncssh_client.py', server);
    return client.ask({ do: 'local_path', path, data: text });
  };
  t.match(await open([]), { code: 1, text: 'denied' });
  const allowed = await open(['--allow', `unix:${path}`]);
  t.strictSame(allowed, { answer: `${sha256(text)}\n` });
});
