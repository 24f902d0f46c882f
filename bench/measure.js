'use strict';
// What the sections measure with: tunnels, blast clients, and rows of them.
const { cpuOfAll, cpuWithChildren } = require('./proc.js');
const { alternate, row } = require('./stats.js');
const { Program } = require('./tools.js');

const GB = 1e9;
/** Of the sections that do not compare ciphers. */
const FIRST_CIPHER = 'aes256-gcm@openssh.com';

/** Runs work({ name: tunnel }), each begun by its function of `starts`. */
async function whileUp(starts, work) {
  const tunnels = {};
  try {
    for (const [name, begin] of Object.entries(starts)) {
      tunnels[name] = await begin();
    }
    return await work(tunnels);
  } finally {
    for (const tunnel of Object.values(tunnels)) await tunnel.stop();
  }
}

/** A blast client from "ready" to its result. */
async function blast(bench, args, around = (go) => go()) {
  const program = new Program(bench.helpers.blast, args.map(String));
  await program.line();
  const result = await around(async () => {
    program.write('\n');
    return JSON.parse(await program.line());
  });
  await program.ended;
  return result;
}

/** Throughput and CPU seconds per GB of the tunnel's own processes. */
function transfer(bench, tunnel, kind, direction, streams, ms) {
  const { client, server } = tunnel.pids();
  const args = ['rate', tunnel.via(kind), direction, streams, ms];
  return blast(bench, args, async (go) => {
    const before = [cpuOfAll(client), cpuOfAll(server)];
    const { bytes, seconds } = await go();
    const after = [cpuOfAll(client), cpuOfAll(server)];
    const perGB = after.map((v, i) => ((v - before[i]) * GB) / bytes);
    return {
      rate: bytes / seconds / 1e6,
      client: perGB[0],
      server: perGB[1],
      cpu: perGB[0] + perGB[1],
    };
  });
}

const pick = (results, key) =>
  Object.fromEntries(
    Object.entries(results).map(([name, list]) => [
      name,
      list.map((one) => one[key]),
    ]),
  );

const perPeer = (tunnels, run) =>
  Object.fromEntries(
    Object.entries(tunnels).map(([name, tunnel]) => [name, () => run(tunnel)]),
  );

/** { name: [what transfer() gives, …] } of tunnels that take turns. */
function transfers(bench, tunnels, spec) {
  const { kind = 'forward', direction, streams = 1, ms = bench.ms } = spec;
  const each = perPeer(tunnels, (tunnel) =>
    transfer(bench, tunnel, kind, direction, streams, ms),
  );
  return alternate(bench.runs, each);
}

function addTransfers(bench, label, results, spec) {
  const rates = pick(results, 'rate');
  bench.add(row(label, 'MB/s', rates, 'more', spec.target));
  if (spec.cpu === false) return;
  const { cpuTarget = 0.9 } = spec;
  const cpu = row(
    `${label}, CPU`,
    's/GB',
    pick(results, 'cpu'),
    'less',
    cpuTarget ?? undefined,
  );
  cpu.parts = {
    client: row('client', 's/GB', pick(results, 'client'), 'less'),
    server: row('server', 's/GB', pick(results, 'server'), 'less'),
  };
  bench.add(cpu);
}

async function transferRows(bench, tunnels, label, spec) {
  const results = await transfers(bench, tunnels, spec);
  addTransfers(bench, label, results, spec);
}

/** The 50th and the 99th percentile. */
function addTimes(bench, label, results) {
  for (const key of ['p50', 'p99']) {
    bench.add(row(`${label}, ${key}`, 'us', pick(results, key), 'less'));
  }
}

/** Two of many results, the first as Wraith's column: of one carrier. */
const pair = (results, own, peer) => ({
  wraith: results[own],
  [peer]: results[peer],
});

async function sessionRate(bench, client, { server, parallel }) {
  const before = cpuWithChildren(server.pid);
  const options = { ...bench.access, server, target: bench.target };
  const spec = { ms: bench.ms, parallel };
  const { count, seconds, ...times } = await client.sessions(options, spec);
  const cpu = cpuWithChildren(server.pid) - before;
  return { rate: count / seconds, cpu: (cpu / count) * 1e3, ...times };
}

module.exports = {
  FIRST_CIPHER,
  addTimes,
  addTransfers,
  blast,
  pair,
  perPeer,
  pick,
  sessionRate,
  transferRows,
  transfers,
  whileUp,
};
