'use strict';
// The client's side, told what to do by messages.
const { once } = require('node:events');
const { connect, createTunnel } = require('..');
const { quantile } = require('./stats.js');
const { answer } = require('./tools.js');

const kInternal = Symbol.for('wraith.internal');
const BATCH = 32;
const held = [];

function options({ port, identity, hostKey, user, ciphers, transport }) {
  return {
    transport,
    // The key is made for the run; the host key is checked.
    insecure: transport !== undefined,
    server: `127.0.0.1:${port}`,
    identity: Buffer.from(identity),
    hostKey,
    user,
    [kInternal]: ciphers ? { ciphers } : undefined,
  };
}

const seconds = (start) => Number(process.hrtime.bigint() - start) / 1e9;

/**
 * Connect, log in, one byte there and back on one channel, close. Resolves to
 * the seconds until that byte.
 */
async function oneSession(o) {
  const start = process.hrtime.bigint();
  const destination = `127.0.0.1:${o.target}`;
  const stream = await connect({ ...options(o), destination });
  const head = Buffer.alloc(9);
  head.write('e');
  stream.write(head);
  await once(stream, 'data');
  const took = seconds(start);
  stream.destroy();
  await once(stream, 'close');
  return took;
}

answer({
  async tunnel(o) {
    const tunnel = createTunnel({ ...options(o), reconnect: false });
    held.push(tunnel);
    await tunnel.ready();
    const target = { host: '127.0.0.1', port: o.target };
    const forward = await tunnel.forward({
      bindHost: '127.0.0.1',
      bindPort: 0,
      ...target,
    });
    const socks = await tunnel.socks5({ host: '127.0.0.1', port: 0 });
    return { forwardPort: forward.port, socksPort: socks.port };
  },

  /** Sessions for some time, `parallel` at once. */
  async sessions(o) {
    const start = process.hrtime.bigint();
    const end = start + BigInt(o.ms) * 1000000n;
    const times = [];
    const loop = async () => {
      while (process.hrtime.bigint() < end) {
        times.push(await oneSession(o));
      }
    };
    await Promise.all(Array.from({ length: o.parallel }, loop));
    return {
      count: times.length,
      seconds: seconds(start),
      p50: quantile(times, 0.5) * 1e6,
      p99: quantile(times, 0.99) * 1e6,
    };
  },

  /** n sessions that stay. */
  async hold(o) {
    for (let left = o.n; left > 0; left -= BATCH) {
      const some = Array.from({ length: Math.min(BATCH, left) }, () =>
        createTunnel({ ...options(o), reconnect: false }),
      );
      held.push(...some);
      await Promise.all(some.map((tunnel) => tunnel.ready()));
    }
  },

  async release() {
    await Promise.all(held.splice(0).map((tunnel) => tunnel.close()));
  },
});
