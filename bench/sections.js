'use strict';
// Wraith against OpenSSH, section by section. Each takes the bench and yields
// rows.
const { SshTunnel, sshW } = require('./openssh.js');
const {
  FIRST_CIPHER,
  blast,
  perPeer,
  pick,
  sessionRate,
  transferRows,
  whileUp,
} = require('./measure.js');
const { pssOfAll } = require('./proc.js');
const { alternate, row } = require('./stats.js');
const { Program, wait } = require('./tools.js');
const { WraithClient, WraithTunnel } = require('./wraith.js');

const CIPHERS = {
  'aes256-gcm': { name: FIRST_CIPHER, target: 1.1 },
  'aes128-gcm': { name: 'aes128-gcm@openssh.com', target: 1.1 },
  chacha20: { name: 'chacha20-poly1305@openssh.com', target: 1.3 },
};

/** Both tunnels with one cipher; through(port) gives each server's port. */
async function withTunnels(bench, cipher, work, through = (port) => port) {
  const starter = (name, Tunnel) => async () => {
    const server = bench.servers[name];
    const port = await through(server.port);
    const { access, target } = bench;
    return Tunnel.start({ ...access, server, port, cipher, target });
  };
  const starts = {
    wraith: starter('wraith', WraithTunnel),
    openssh: starter('openssh', SshTunnel),
  };
  return whileUp(starts, work);
}

/** (a) One stream, each cipher, through a forward and through SOCKS5. */
async function stream(bench) {
  for (const [name, cipher] of Object.entries(CIPHERS)) {
    await withTunnels(bench, cipher.name, async (tunnels) => {
      for (const kind of ['forward', 'socks']) {
        for (const direction of ['up', 'down']) {
          const label = `${name} ${kind} ${direction}`;
          const spec = { kind, direction, target: cipher.target };
          await transferRows(bench, tunnels, label, spec);
        }
      }
    });
  }
}

/** (b) */
async function streams8(bench) {
  await withTunnels(bench, FIRST_CIPHER, async (tunnels) => {
    for (const direction of ['up', 'down']) {
      const spec = { direction, streams: 8, target: 1.1 };
      await transferRows(bench, tunnels, `8 streams ${direction}`, spec);
    }
  });
}

/** (c) One stream over a long way. */
async function delay(bench) {
  for (const rtt of [50, 100]) {
    const relays = [];
    const through = async (port) => {
      const relay = new Program(bench.helpers.delay, [`${rtt}`, `${port}`]);
      relays.push(relay);
      return Number(await relay.line());
    };
    const work = async (tunnels) => {
      for (const direction of ['up', 'down']) {
        const target = rtt === 100 ? 10 : undefined;
        const spec = { direction, ms: bench.longMs, target, cpu: false };
        await transferRows(bench, tunnels, `${rtt} ms ${direction}`, spec);
      }
    };
    try {
      await withTunnels(bench, FIRST_CIPHER, work, through);
    } finally {
      for (const relay of relays) await relay.stop();
    }
  }
}

/** Round trips of one byte, while something else may be under way. */
async function pingUnder(bench, tunnel, load) {
  const via = tunnel.via('forward');
  const args = ['ping', via, bench.ms];
  if (load === 'idle') return blast(bench, args);
  const bulk = new Program(bench.helpers.blast, [
    'rate',
    via,
    load,
    '1',
    '60000',
  ]);
  try {
    await bulk.line();
    bulk.write('\n');
    await wait(300); // until it is at full speed
    return await blast(bench, args);
  } finally {
    await bulk.stop();
  }
}

/** (d) */
async function ping(bench) {
  await withTunnels(bench, FIRST_CIPHER, async (tunnels) => {
    for (const load of ['idle', 'up', 'down', 'both']) {
      const results = await alternate(
        bench.runs,
        perPeer(tunnels, (tunnel) => pingUnder(bench, tunnel, load)),
      );
      const label = load === 'idle' ? 'ping, idle' : `ping, bulk ${load}`;
      const target = load === 'idle' ? undefined : 1;
      bench.add(
        row(`${label}, p50`, 'us', pick(results, 'p50'), 'less'),
        row(`${label}, p99`, 'us', pick(results, 'p99'), 'less', target),
      );
    }
  });
}

/** (e) Connections through one session. */
async function connections(bench) {
  await withTunnels(bench, FIRST_CIPHER, async (tunnels) => {
    for (const parallel of [1, 8]) {
      const results = await alternate(
        bench.runs,
        perPeer(tunnels, async (tunnel) => {
          const args = ['conns', tunnel.via('forward'), parallel, bench.ms];
          const { count, seconds } = await blast(bench, args);
          return { rate: count / seconds };
        }),
      );
      const label = `connections, ${parallel} at once`;
      bench.add(row(label, '/s', pick(results, 'rate'), 'more'));
    }
  });
}

async function sshRate(bench) {
  const options = {
    ...bench.access,
    server: bench.servers.openssh,
    target: bench.target,
  };
  const start = process.hrtime.bigint();
  const count = bench.quick ? 3 : 10;
  for (let i = 0; i < count; i++) await sshW(options);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return count / seconds;
}

/** (f) The same client against both servers; then ssh -W for comparison. */
async function sessions(bench) {
  const client = new WraithClient();
  try {
    for (const parallel of [1, 8]) {
      const results = await alternate(
        bench.runs,
        perPeer(bench.servers, (server) =>
          sessionRate(bench, client, { server, parallel }),
        ),
      );
      const label = `sessions, ${parallel} at once`;
      bench.add(
        row(label, '/s', pick(results, 'rate'), 'more', 10),
        row(`${label}, CPU of server`, 'ms', pick(results, 'cpu'), 'less'),
      );
    }
    const ssh = [];
    for (let i = 0; i < bench.runs; i++) ssh.push(await sshRate(bench));
    const own = bench.lastOf('sessions, 1 at once').wraith.runs;
    const samples = { wraith: own, openssh: ssh };
    bench.add(row('sessions, ssh -W against sshd', '/s', samples, 'more'));
  } finally {
    await client.stop();
  }
}

/** Bytes of memory of the server for each of n idle sessions. */
async function idleMemory(bench, server, n) {
  const client = new WraithClient();
  const fixed = server === bench.servers.wraith;
  const memory = () => pssOfAll(server.pids());
  try {
    const before = fixed ? memory() : 0;
    await client.hold({ ...bench.access, server }, n);
    await wait(3000); // buffers of the handshakes are given back after two
    return (memory() - before) / n / 1024;
  } finally {
    await client.release();
    await client.stop();
  }
}

async function channelMemory(bench, tunnel, n) {
  const { client, server } = tunnel.pids();
  const before = [pssOfAll(client), pssOfAll(server)];
  const args = ['hold', tunnel.via('forward'), String(n)];
  const program = new Program(bench.helpers.blast, args);
  await program.line();
  await wait(500);
  const after = [pssOfAll(client), pssOfAll(server)];
  program.write('\n');
  await program.ended;
  return {
    client: (after[0] - before[0]) / 1e6,
    server: (after[1] - before[1]) / 1e6,
  };
}

/** (g) Memory grows once: these are first times, in processes of their own. */
async function memory(bench) {
  const many = bench.quick ? 200 : 1000;
  const few = bench.quick ? 10 : 50;
  const idle = { wraith: [], openssh: [] };
  const runs = Math.min(bench.runs, 3);
  for (let i = 0; i < runs; i++) {
    await bench.restart('wraith');
    const { wraith, openssh } = bench.servers;
    idle.wraith.push(await idleMemory(bench, wraith, many));
    idle.openssh.push(await idleMemory(bench, openssh, few));
  }
  bench.add(row('idle session', 'KB', idle, 'less', { absolute: 80 }));
  const results = { wraith: [], openssh: [] };
  for (let i = 0; i < runs; i++) {
    await bench.restart('wraith');
    await withTunnels(bench, FIRST_CIPHER, async (tunnels) => {
      for (const name of Object.keys(tunnels)) {
        results[name].push(await channelMemory(bench, tunnels[name], 500));
      }
    });
  }
  bench.add(
    row('500 channels, client', 'MB', pick(results, 'client'), 'less'),
    row('500 channels, server', 'MB', pick(results, 'server'), 'less'),
  );
}

module.exports = {
  stream,
  streams8,
  delay,
  ping,
  connections,
  sessions,
  memory,
};
