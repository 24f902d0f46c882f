'use strict';
// Wraith over TLS and WebSocket against Wraith over TCP.
const {
  FIRST_CIPHER,
  pick,
  sessionRate,
  transferRows,
  whileUp,
} = require('./measure.js');
const { alternate, row } = require('./stats.js');
const { WraithClient, WraithTunnel } = require('./wraith.js');

/** Ours over another carrier than TCP: { wraith: that one, tcp }. */
function carrierStarts(bench, transport) {
  const server = bench.servers.wraith;
  const { access, target } = bench;
  const options = { ...access, server, target, cipher: FIRST_CIPHER };
  return {
    wraith: () => WraithTunnel.start({ ...options, transport }),
    tcp: () => WraithTunnel.start(options),
  };
}

async function carrierSessions(bench, transport) {
  const client = new WraithClient();
  const server = bench.servers.wraith;
  const run = (options) => () =>
    sessionRate({ ...bench, access: { ...bench.access, ...options } }, client, {
      server,
      parallel: 8,
    });
  try {
    const results = await alternate(bench.runs, {
      wraith: run({ transport }),
      tcp: run({}),
    });
    const label = `sessions over ${transport}, 8 at once`;
    bench.add(
      row(label, '/s', pick(results, 'rate'), 'more'),
      row(`${label}, CPU of server`, 'ms', pick(results, 'cpu'), 'less'),
    );
  } finally {
    await client.stop();
  }
}

/** (h) TLS and WebSocket against TCP. */
async function carriers(bench) {
  for (const [transport, target] of [
    ['tls', 0.7],
    ['wss', 0.5],
  ]) {
    await whileUp(carrierStarts(bench, transport), async (tunnels) => {
      for (const direction of ['up', 'down']) {
        const spec = { direction, target, cpuTarget: null };
        await transferRows(bench, tunnels, `${transport} ${direction}`, spec);
      }
    });
    await carrierSessions(bench, transport);
  }
}

module.exports = { carriers };
