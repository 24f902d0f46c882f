'use strict';
// Wraith over TLS and WebSocket: against Wraith over TCP, against WebSocket
// tunnels of others, and the time until there is a first byte.
const {
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
} = require('./measure.js');
const { SshTunnel } = require('./openssh.js');
const { otherStarts } = require('./others.js');
const { alternate, row } = require('./stats.js');
const { WraithClient, WraithTunnel } = require('./wraith.js');

const CARRIERS = ['tls', 'wss'];

/** Wraith over each carrier: { tcp, tls, wss }, functions that begin them. */
function carrierStarts({ servers, access, target }) {
  const server = servers.wraith;
  const options = { ...access, server, target, cipher: FIRST_CIPHER };
  const begin = (transport) => () =>
    WraithTunnel.start({ ...options, transport });
  return { tcp: begin(), tls: begin('tls'), wss: begin('wss') };
}

/** New sessions of one client over each of the carriers named, in turn. */
async function carrierSessions(bench, names, parallel) {
  const client = new WraithClient();
  const server = bench.servers.wraith;
  const run = (name) => () => {
    const transport = name === 'tcp' ? undefined : name;
    const access = { ...bench.access, transport };
    return sessionRate({ ...bench, access }, client, { server, parallel });
  };
  try {
    const each = names.map((name) => [name, run(name)]);
    return await alternate(bench.runs, Object.fromEntries(each));
  } finally {
    await client.stop();
  }
}

async function sessionRows(bench, transport) {
  const all = await carrierSessions(bench, [transport, 'tcp'], 8);
  const results = pair(all, transport, 'tcp');
  const label = `sessions over ${transport}, 8 at once`;
  bench.add(
    row(label, '/s', pick(results, 'rate'), 'more'),
    row(`${label}, CPU of server`, 'ms', pick(results, 'cpu'), 'less'),
  );
}

/** (h) TLS and WebSocket against TCP. */
async function carriers(bench) {
  const starts = carrierStarts(bench);
  for (const [transport, target] of [
    ['tls', 0.7],
    ['wss', 0.5],
  ]) {
    const both = { wraith: starts[transport], tcp: starts.tcp };
    await whileUp(both, async (tunnels) => {
      for (const direction of ['up', 'down']) {
        const spec = { direction, target, cpuTarget: null };
        await transferRows(bench, tunnels, `${transport} ${direction}`, spec);
      }
    });
    await sessionRows(bench, transport);
  }
}

/** (i) One stream of TLS and of WebSocket against WebSocket of others. */
async function peers443(bench) {
  const others = otherStarts(bench);
  if (Object.keys(others).length === 0) return;
  const { tls, wss } = carrierStarts(bench);
  await whileUp({ tls, wss, ...others }, async (tunnels) => {
    for (const direction of ['up', 'down']) {
      const spec = { direction, cpuTarget: null };
      const results = await transfers(bench, tunnels, spec);
      for (const peer of Object.keys(others)) {
        for (const own of CARRIERS) {
          const label = `${own} ${direction} against ${peer}`;
          addTransfers(bench, label, pair(results, own, peer), spec);
        }
      }
    }
  });
}

/** New connections through sessions that are there. */
async function connectionTimes(bench) {
  const server = bench.servers.openssh;
  const { access, target } = bench;
  const options = { ...access, server, target, cipher: FIRST_CIPHER };
  const others = otherStarts(bench);
  const starts = {
    ...carrierStarts(bench),
    openssh: () => SshTunnel.start(options),
    ...others,
  };
  const results = await whileUp(starts, (tunnels) => {
    const first = (tunnel) =>
      blast(bench, ['first', tunnel.via('forward'), bench.ms]);
    return alternate(bench.runs, perPeer(tunnels, first));
  });
  const add = (own, peer) => {
    const label = `first byte, ${own} against ${peer}`;
    addTimes(bench, label, pair(results, own, peer));
  };
  add('tcp', 'openssh');
  for (const peer of ['tcp', ...Object.keys(others)]) {
    for (const own of CARRIERS) add(own, peer);
  }
}

/** The same from nothing: connection, TLS, SSH, login, channel. */
async function sessionTimes(bench) {
  const results = await carrierSessions(bench, ['tcp', ...CARRIERS], 1);
  for (const own of CARRIERS) {
    const label = `first byte of a new session, ${own} against tcp`;
    addTimes(bench, label, pair(results, own, 'tcp'));
  }
}

/** (j) */
async function firstbyte(bench) {
  await connectionTimes(bench);
  await sessionTimes(bench);
}

module.exports = { carriers, peers443, firstbyte };
