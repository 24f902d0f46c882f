'use strict';
// TLS alone: handshakes of our listener and of nginx, with one certificate and
// one client, `openssl s_time`.
const peers = require('../scripts/peers.js');
const { run } = require('../test/interop/lib/program.js');
const { Failure } = require('../scripts/util/proc.js');
const { pick } = require('./measure.js');
const { Nginx } = require('./nginx.js');
const { cpuOfAll } = require('./proc.js');
const { alternate, row } = require('./stats.js');

/** Each makes one connection after the other. */
const CLIENTS = 4;

const KINDS = {
  'TLS 1.3, full': ['-new', '-tls1_3'],
  'TLS 1.2, full': ['-new', '-tls1_2'],
  'TLS 1.2, resumed': ['-reuse', '-tls1_2'],
  // Tickets of TLS 1.3 follow the handshake: only who reads has one.
  'TLS 1.3, resumed, and a request': ['-reuse', '-tls1_3', '-www', '/'],
};

/**
 * The number of connections. s_time prints an `r` for each that was resumed,
 * and another letter or a star for each that was not; the first of all with
 * -reuse is not counted.
 */
function countOf(text, resumed) {
  const found = /^(\d+) connections in \d+ real seconds/m.exec(text);
  if (!found) throw new Failure(`openssl s_time said: ${text}`);
  const marks = /^[*rt]+$/m.exec(text)?.[0] ?? '';
  const others = marks.replaceAll(resumed ? 'r' : /[*t]/g, '').length;
  if (others > 0) {
    const what = resumed ? 'not resumed' : 'resumed';
    throw new Failure(`${others} handshakes of ${marks.length} were ${what}`);
  }
  return Number(found[1]);
}

async function oneClient(port, kind, seconds) {
  const args = ['s_time', '-connect', `127.0.0.1:${port}`, ...kind];
  const trust = ['-no-CAfile', '-no-CApath', '-no-CAstore'];
  const all = [...args, ...trust, '-time', String(seconds)];
  const { stdout, stderr } = await run(peers.path('openssl'), all, {
    env: peers.env(),
  });
  return countOf(stdout + stderr, kind.includes('-reuse'));
}

/**
 * Per second, and milliseconds of the server's CPU for each. s_time knows
 * whole seconds only, so the time is that of the processes.
 */
async function handshakeRate(server, kind, seconds) {
  const before = cpuOfAll(server.pids());
  const start = process.hrtime.bigint();
  const clients = Array.from({ length: CLIENTS }, () =>
    oneClient(server.tlsPort, kind, seconds),
  );
  const counts = await Promise.all(clients);
  const took = Number(process.hrtime.bigint() - start) / 1e9;
  const cpu = cpuOfAll(server.pids()) - before;
  const count = counts.reduce((sum, n) => sum + n, 0);
  return { rate: count / took, cpu: (cpu / count) * 1e3 };
}

/** (k) */
async function handshakes(bench) {
  for (const name of ['nginx', 'openssl']) {
    if (peers.find(name)) continue;
    bench.note(`handshakes are not measured: no ${name} here`);
    return;
  }
  const seconds = Math.ceil(bench.ms / 1000);
  const nginx = await Nginx.start(bench.access);
  try {
    const servers = { wraith: bench.servers.wraith, nginx };
    for (const [name, kind] of Object.entries(KINDS)) {
      const each = Object.entries(servers).map(([who, server]) => [
        who,
        () => handshakeRate(server, kind, seconds),
      ]);
      const results = await alternate(bench.runs, Object.fromEntries(each));
      const label = `handshakes, ${name}`;
      bench.add(
        row(label, '/s', pick(results, 'rate'), 'more'),
        row(`${label}, CPU of server`, 'ms', pick(results, 'cpu'), 'less'),
      );
    }
  } finally {
    await nginx.stop();
  }
}

module.exports = { handshakes };
