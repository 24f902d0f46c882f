'use strict';
// permitopen and permitlisten at the real sshd and at `wraith serve`: every
// question gets the same answer. In the tables P and Q are ports where somebody
// listens at 127.0.0.1, S is one at ::1, L and M are free ones.
const { lab } = require('./lib/lab.js');
const { exchange, freePort } = require('./lib/net.js');
const { Matrix, USER, pool } = require('./lib/matrix.js');
const { runSsh, startMaster, startSsh } = require('./lib/openssh.js');
const { identity } = require('../lib/ssh-identity.js');
const canary = require('./lib/canary.js');

const needs = { peers: ['sshd', 'ssh', 'ssh-keygen'] };
const OPEN = 'open';
const NO = 'denied';

// [options of the key, { 'host port': answer }]
const opens = [
  [
    'permitopen="127.0.0.1:P"',
    {
      '127.0.0.1 P': OPEN,
      '127.0.0.1 Q': NO,
      'localhost P': NO,
      '127.1 P': NO,
      '::1 S': NO,
    },
  ],
  [
    'permitopen="localhost:P"',
    { 'localhost P': OPEN, 'LOCALHOST P': NO, '127.0.0.1 P': NO },
  ],
  [
    'permitopen="LOCALHOST:P"',
    { 'LOCALHOST P': OPEN, 'localhost P': NO, 'LocalHost P': NO },
  ],
  [
    'permitopen="127.0.0.1:*"',
    { '127.0.0.1 P': OPEN, '127.0.0.1 Q': OPEN, '::1 S': NO },
  ],
  [
    'permitopen="*:P"',
    { '127.0.0.1 P': OPEN, 'localhost P': OPEN, '127.0.0.1 Q': NO },
  ],
  ['permitopen="*:*"', { '127.0.0.1 P': OPEN, '::1 S': OPEN }],
  [
    'permitopen="127.0.0.1:P",permitopen="[::1]:S"',
    { '127.0.0.1 P': OPEN, '::1 S': OPEN, '127.0.0.1 Q': NO, '::1 P': NO },
  ],
  [
    'permitopen="[::1]:S"',
    { '::1 S': OPEN, '[::1] S': NO, '0:0:0:0:0:0:0:1 S': NO, '::1 P': NO },
  ],
  ['permitopen="[127.0.0.1]:P"', { '127.0.0.1 P': OPEN }],
  ['permitopen="127.0.*:P"', { '127.0.0.1 P': NO }],
  ['permitopen="127.0.0.?:P"', { '127.0.0.1 P': NO }],
  ['PERMITOPEN="127.0.0.1:P"', { '127.0.0.1 P': OPEN, '127.0.0.1 Q': NO }],
  ['restrict,permitopen="127.0.0.1:P"', { '127.0.0.1 P': NO }],
  [
    'restrict,port-forwarding,permitopen="127.0.0.1:P"',
    { '127.0.0.1 P': OPEN, '127.0.0.1 Q': NO },
  ],
  ['permitlisten="L"', { '127.0.0.1 P': OPEN, '::1 S': OPEN }],
];

const YES = 'yes';
const listens = [
  [
    'permitlisten="L"',
    {
      'localhost L': YES,
      '127.0.0.1 L': YES,
      ' L': YES,
      '* L': YES,
      '192.0.2.1 L': YES,
      'localhost M': NO,
      'localhost 0': NO,
    },
  ],
  [
    'permitlisten="localhost:L"',
    {
      'localhost L': YES,
      'LOCALHOST L': YES,
      '127.0.0.1 L': NO,
      ' L': NO,
      '* L': NO,
      '::1 L': NO,
      'localhost M': NO,
    },
  ],
  [
    'permitlisten="127.0.0.1:L"',
    { '127.0.0.1 L': YES, 'localhost L': NO, '127.0.0.1 M': NO, '* L': NO },
  ],
  ['permitlisten="LOCALHOST:L"', { 'localhost L': NO, 'LOCALHOST L': NO }],
  ['permitlisten="*:L"', { 'localhost L': YES, ' L': YES, 'localhost M': NO }],
  ['permitlisten="local*:L"', { 'localhost L': YES, '127.0.0.1 L': NO }],
  ['permitlisten="127.0.0.?:L"', { '127.0.0.1 L': YES, 'localhost L': NO }],
  ['permitlisten="[::1]:L"', { '::1 L': YES, 'localhost L': NO }],
  [
    'permitlisten="*:*"',
    { 'localhost 0': YES, ' 0': YES, '127.0.0.1 L': YES, 'localhost M': YES },
  ],
  [
    'permitlisten="localhost:*"',
    { 'localhost 0': YES, 'localhost L': YES, '127.0.0.1 0': NO, ' 0': NO },
  ],
  [
    'permitlisten="localhost:L",permitlisten="127.0.0.1:M"',
    {
      'localhost L': YES,
      '127.0.0.1 M': YES,
      'localhost M': NO,
      '127.0.0.1 L': NO,
      '127.0.0.1 0': NO,
    },
  ],
  ['restrict,permitlisten="L"', { 'localhost L': NO }],
  ['restrict,permitlisten="L",port-forwarding', { 'localhost L': YES }],
  ['permitopen="127.0.0.1:P"', { 'localhost L': YES, 'localhost 0': YES }],
  [
    'permitopen="127.0.0.1:P",permitlisten="L"',
    { 'localhost L': YES, 'localhost M': NO },
  ],
];

// With these nobody gets in, at sshd or here.
const broken = [
  'permitopen="127.0.0.1"',
  'permitopen="127.0.0.1:"',
  'permitopen="127.0.0.1:0"',
  'permitopen="127.0.0.1:65536"',
  'permitopen="127.0.0.1:-1"',
  'permitopen="127.0.0.1:1-2"',
  'permitopen="::1:80"',
  'permitopen="[::1:80"',
  'permitopen="[::1]80"',
  'permitopen=""',
  'permitopen="none"',
  'permitopen=127.0.0.1:80',
  'permitopen',
  'permitopen="80"',
  'permitopen="127.0.0.0/8:80"',
  'permitlisten="0"',
  'permitlisten="localhost:0"',
  'permitlisten="65536"',
  'permitlisten="localhost"',
  'permitlisten=""',
  'permitlisten="localhost:"',
];

const answers = new Map([
  [true, OPEN],
  [1, NO], // administratively prohibited
]);

async function askOpen(client, host, port) {
  const answer = await client.open(host, port);
  return answers.get(answer) ?? `code ${answer}`;
}

async function askListen(client, host, port) {
  const bound = await client.listen(host, port);
  if (bound === false) return NO;
  return (await client.unlisten(host, bound)) ? YES : 'not cancelled';
}

/** Replaces the letters that stand for ports. */
const withPorts = (ports, text) =>
  text.replace(/\b[PQSLM]\b/g, (letter) => ports[letter]);

async function makePorts(lab) {
  const at = (host) => lab.target('echo', { host });
  const [p, q] = [await at('127.0.0.1'), await at('127.0.0.1')];
  const s = await at('::1');
  const free = [await freePort(), await freePort()];
  free.forEach((port) => canary.addPort(port));
  return { P: p.port, Q: q.port, S: s.port, L: free[0], M: free[1] };
}

async function makeProbes(matrix, ports, tables) {
  const probes = [];
  for (const [options, questions] of tables) {
    const key = await matrix.key();
    const line = `${withPorts(ports, options)} ${key.line}`;
    probes.push({
      options,
      questions: Object.entries(questions),
      line,
      identity: identity(key.blob, key.sign),
    });
  }
  return probes;
}

/** What the server answers to all the questions of one key. */
async function interview(matrix, server, ports, probe, ask) {
  const found = await matrix.session(server, probe, async (client) => {
    const results = [];
    for (const [question] of probe.questions) {
      const [host, port] = question.split(' ');
      const number = Number(withPorts(ports, port));
      results.push([question, await ask(client, host, number)]);
    }
    return Object.fromEntries(results);
  });
  return found ?? 'no login';
}

/** One after the other where they listen: the ports are the same. */
async function compare(t, matrix, ports, probes, ask, jobs) {
  const compareOne = async (probe) => {
    const want = Object.fromEntries(probe.questions);
    const at = (server) => interview(matrix, server, ports, probe, ask);
    t.strictSame(await at(matrix.sshd), want, `sshd: ${probe.options}`);
    t.strictSame(await at(matrix.wraith), want, `wraith: ${probe.options}`);
  };
  await pool(probes, compareOne, jobs);
}

lab('permitopen and permitlisten', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const ports = await makePorts(lab);
  const opening = await makeProbes(matrix, ports, opens);
  const listening = await makeProbes(matrix, ports, listens);
  await matrix.start({
    keys: [...opening, ...listening].map(({ line }) => line),
  });
  await compare(t, matrix, ports, opening, askOpen, 4);
  await compare(t, matrix, ports, listening, askListen, 1);
});

lab('what is no permit', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const tables = broken.map((options) => [options, {}]);
  const probes = await makeProbes(matrix, {}, tables);
  const good = await matrix.key();
  const lines = probes.map(({ line }) => line);
  await matrix.start({ keys: [good.line], sshdKeys: lines });
  await pool(probes, async (probe) => {
    t.equal(await matrix.decide(matrix.sshd, probe), 'none', probe.options);
  });
  for (const { line, options } of probes) {
    matrix.writeKeys([good.line, line]);
    t.match(await matrix.reload(), /reload failed .*:2\b/, options);
  }
});

/** The same by ssh: -W, -L, -R and forwards that are added later. */
async function bySsh(lab, server, key, ports) {
  const to = (port) => `127.0.0.1:${port}`;
  const place = { host: server.host, port: server.port, user: USER };
  const { ctl } = await startMaster(lab, place, [], { key });
  const direct = async (where) => {
    const more = { key, input: 'in' };
    const { stdout, stderr } = await runSsh(lab, place, ['-W', where], more);
    return stdout || /administratively prohibited/.test(stderr);
  };
  const local = async (port) => {
    const own = await freePort();
    const spec = `127.0.0.1:${own}:${to(port)}`;
    const { code } = await ctl('forward', '-L', spec);
    const back = await exchange({ port: own }, 'in').catch(() => '');
    return [code, `${back}`];
  };
  const remote = async (bind) => {
    const { code } = await ctl('forward', '-R', `${bind}:${to(ports.P)}`);
    if (code !== 0) return 'refused';
    await ctl('cancel', '-R', `${bind}:${to(ports.P)}`);
    return 'bound';
  };
  return {
    allowed: await direct(to(ports.P)),
    denied: await direct(to(ports.Q)),
    byName: await direct(`localhost:${ports.P}`),
    local: await local(ports.P),
    localDenied: await local(ports.Q),
    remote: await remote(ports.L),
    remoteByName: await remote(`localhost:${ports.L}`),
    remoteAddress: await remote(`127.0.0.1:${ports.L}`),
    remoteDenied: await remote(ports.M),
    remoteChosen: await remote(0),
  };
}

lab('ssh with permits', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const ports = await makePorts(lab);
  const key = await matrix.key();
  const options = `permitopen="127.0.0.1:P",permitlisten="localhost:L"`;
  await matrix.start({ keys: [`${withPorts(ports, options)} ${key.line}`] });
  const want = {
    allowed: 'in',
    denied: true,
    byName: true,
    local: [0, 'in'],
    localDenied: [0, ''],
    remote: 'bound',
    remoteByName: 'bound',
    remoteAddress: 'refused',
    remoteDenied: 'refused',
    remoteChosen: 'refused',
  };
  t.strictSame(await bySsh(lab, matrix.sshd, key, ports), want, 'sshd');
  t.strictSame(await bySsh(lab, matrix.wraith, key, ports), want, 'wraith');
});

// permitopen cannot name a Unix socket. sshd takes that for no limit.
lab('permitopen and a Unix socket', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const [free, limited] = [await matrix.key(), await matrix.key()];
  const path = lab.file('canary.sock');
  await lab.target('echo', { path });
  await matrix.start({
    keys: [free.line, `permitopen="*:*" ${limited.line}`],
    args: ['--allow', `unix:${path}`, '--allow', '*'],
  });
  const through = async ({ host, port }, key) => {
    const place = { host, port, user: USER };
    const own = await freePort();
    const spec = `127.0.0.1:${own}:${path}`;
    const ssh = await startSsh(lab, place, ['-L', spec], { key });
    const back = await exchange({ port: own }, 'in').catch(() => '');
    await ssh.stop();
    return `${back}`;
  };
  t.equal(await through(matrix.sshd, free), 'in', 'sshd, no limit');
  t.equal(await through(matrix.wraith, free), 'in', 'wraith, no limit');
  t.equal(await through(matrix.sshd, limited), 'in', 'sshd, permitopen');
  t.equal(await through(matrix.wraith, limited), '', 'wraith, permitopen');
});
