'use strict';
// The native module without the rest of lib/: objects that keep their events,
// and streams that are driven call by call.
const { createHash, randomBytes } = require('node:crypto');
const { EVENT, native, register, unregister } = require('../../lib/binding.js');

/** Something with an id. Events wait until they are asked for. */
class Raw {
  constructor(id) {
    if (!(id > 0)) throw new Error(`no id: ${JSON.stringify(id)}`);
    this.id = id;
    this.events = [];
    this.waiting = [];
    register(id, this);
  }

  onEvent(type, a, b) {
    this.events.push({ type, a, b });
    this.look();
  }

  look() {
    for (const waiter of [...this.waiting]) {
      const at = this.events.findIndex(waiter.match);
      if (at < 0) continue;
      this.waiting.splice(this.waiting.indexOf(waiter), 1);
      waiter.resolve(this.events.splice(at, 1)[0]);
    }
  }

  /** The first event of this type, now or later. */
  next(type, check = () => true) {
    return new Promise((resolve) => {
      const match = (event) => event.type === type && check(event);
      this.waiting.push({ match, resolve });
      this.look();
    });
  }

  count(type) {
    return this.events.filter((event) => event.type === type).length;
  }

  forget() {
    unregister(this.id);
  }
}

/** A stream that counts and hashes what it gets. */
class RawStream extends Raw {
  received = 0;
  chunks = 0;
  hash = createHash('sha256');
  onData = () => {};

  onEvent(type, a, b) {
    if (type !== EVENT.DATA) {
      super.onEvent(type, a, b);
      return;
    }
    this.received += a.length;
    this.chunks += 1;
    this.hash.update(a);
    this.onData(a);
  }

  digest() {
    return this.hash.digest('hex');
  }

  /** Writes one buffer; resolves once more may be written. */
  async write(buffer) {
    const result = native.streamWrite(this.id, buffer);
    if (result < 0) throw new Error(`streamWrite: ${result}`);
    if (result === 1) await this.next(EVENT.WRITABLE);
    return result;
  }

  /** Writes `total` random bytes; resolves with their hash. */
  async pour(total, size = 256 * 1024) {
    const hash = createHash('sha256');
    const source = randomBytes(size);
    this.sent = 0;
    while (this.sent < total) {
      source.writeUInt32LE(this.sent, 0); // no two chunks are the same
      const chunk = source.subarray(0, Math.min(size, total - this.sent));
      hash.update(chunk);
      const done = this.write(chunk);
      this.sent += chunk.length;
      await done;
    }
    return hash.digest('hex');
  }
}

const noLimits = { rules: [], forwarding: true };

function newServer(hostKey, userKey, options = {}) {
  const line = native.keyInfo(userKey).publicKey;
  const trust = [{ kind: 'keys', name: '', text: Buffer.from(`${line}\n`) }];
  return native.serverNew({ hostKey, trust, ...noLimits, ...options });
}

/** A server and a tunnel that is up, both in this process. */
async function rawPair(options = {}) {
  const hostKey = native.keyGenerate();
  const userKey = native.keyGenerate();
  const server = new Raw(newServer(hostKey, userKey, options.server));
  const { port } = native.serverListen(server.id, 0, '127.0.0.1', 0);
  const tunnel = new Raw(native.tunnelNew());
  const login = {
    user: 'raw',
    identities: [{ key: userKey }],
    ...options.tunnel,
  };
  native.tunnelConnect(tunnel.id, { host: '127.0.0.1', port, ...login });
  await tunnel.next(EVENT.HOST_KEY);
  native.tunnelVerdict(tunnel.id, 0);
  await tunnel.next(EVENT.UP);
  for (const key of [hostKey, userKey]) native.keyFree(key);
  return { server, tunnel, port };
}

/** Both ends of a control channel. */
async function rawChannel({ server, tunnel }) {
  native.serverSetControl(server.id, true);
  const to = { host: 'wraith-control', port: 1 };
  const near = new RawStream(native.tunnelOpen(tunnel.id, to));
  const { a } = await server.next(EVENT.CONTROL);
  const far = new RawStream(a.stream);
  await near.next(EVENT.OPENED);
  return { near, far };
}

/** Closes both and waits until the core has nothing of them any more. */
async function closePair({ server, tunnel }) {
  native.tunnelClose(tunnel.id, true);
  await tunnel.next(EVENT.TUNNEL_CLOSED);
  native.serverClose(server.id, 0);
  await server.next(EVENT.SERVER_CLOSED);
  tunnel.forget();
  server.forget();
}

module.exports = {
  EVENT,
  Raw,
  RawStream,
  closePair,
  native,
  newServer,
  rawChannel,
  rawPair,
};
