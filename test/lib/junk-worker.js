'use strict';
// Calls every method with random junk, among it live ids and objects that run
// code when they are read. The process must survive it. workerData: { seed,
// calls }.
const { parentPort, workerData } = require('node:worker_threads');
const { native, newServer, rawPair } = require('./raw.js');

let state = workerData.seed;

function random(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

const pick = (list) => list[random(list.length)];

/** Live ids by the first word of the methods that take them. */
const pools = { key: [], tunnel: [], listener: [], remote: [], server: [] };
pools.stream = [];
const makes = {
  keyGenerate: 'key',
  tunnelNew: 'tunnel',
  tunnelConnect: 'stream',
  tunnelOpen: 'stream',
  tunnelListen: 'listener',
  tunnelRemoteAdd: 'remote',
  serverNew: 'server',
  serverAccept: 'stream',
  serverOpen: 'stream',
};

function remember(kind, id) {
  pools[kind].push(id);
  if (pools[kind].length > 40) pools[kind].shift();
}

for (let i = 0; i < 3; i++) remember('key', native.keyGenerate());
for (let i = 0; i < 2; i++) remember('tunnel', native.tunnelNew());
const [hostKey, userKey] = pools.key;
const { publicKey } = native.keyInfo(userKey);
remember('server', newServer(hostKey, userKey));
const { port } = native.serverListen(pools.server[0], 0, '127.0.0.1', 0);
native.serverSetControl(pools.server[0], true);

const anyId = () => pick(pools[pick(Object.keys(pools))]);

function detached() {
  const view = new Uint8Array(64);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error('from a trap');
    },
  },
);

const simple = [
  undefined,
  null,
  true,
  false,
  NaN,
  Infinity,
  -1,
  -0,
  0,
  1,
  1.5,
  22,
  65536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  1e300,
  10n,
  Symbol('junk'),
  '',
  'abc',
  'a\0b',
  '\ud800',
  '127.0.0.1',
  '::1',
  'wraith-control',
  '1:127.0.0.1:1',
  'ssh-ed25519 AAAA',
  publicKey,
  'x'.repeat(300),
  'x'.repeat(100000),
  () => {},
  class {},
  Promise.resolve(),
  new Date(),
  new Map(),
  throwing,
];

const views = [
  () => Buffer.alloc(0),
  () => Buffer.from('junk'),
  () => Buffer.alloc(100000, 7),
  () => Buffer.alloc(16),
  () => new Uint8Array(0),
  () => new Float64Array(3),
  () => new Uint32Array(4 + 4 * 4096),
  () => new DataView(new ArrayBuffer(8)),
  () => new Uint8Array(new SharedArrayBuffer(8)),
  () => new ArrayBuffer(8),
  detached,
];

const names = (
  'host port path pipe user identities agent hostKeyTypes keepalive instance ' +
  'connectTimeout ciphers rekeyBytes bindHost bindPort bindPath inbound ' +
  'target password hostKey trust kind name text rules forwarding gatewayPorts ' +
  'authorize maxSessions maxStartups logLevel ring onEvents'
).split(' ');

/** What makes a call go further than its first check. */
const likely = {
  host: () => '127.0.0.1',
  port: () => port,
  pipe: () => true,
  user: () => 'junk',
  identities: () => [{ key: userKey }, { blob: publicKey, signer: publicKey }],
  agent: () => '/dev/null',
  hostKey: () => hostKey,
  trust: () => [{ kind: 'keys', name: '', text: publicKey }],
  rules: () => [[true, '*']],
  bindHost: () => '127.0.0.1',
  target: () => ({ host: '127.0.0.1', port }),
  logLevel: () => 4,
};

/** Runs in the middle of somebody else's call. */
function meddle() {
  native.tunnelClose(anyId(), false);
  native.keyFree(anyId());
  native.streamClose(anyId(), true);
  return value(0);
}

function object(depth, care) {
  const out = {};
  for (const name of names) {
    const kind = random(8);
    if (kind < care && likely[name]) out[name] = likely[name]();
    else if (kind === 7 && random(care) === 0) out[name] = value(depth - 1);
    else if (kind === 6 && random(20) === 0) {
      Object.defineProperty(out, name, { get: meddle, enumerable: true });
    }
  }
  return out;
}

function value(depth) {
  const kind = random(10);
  if (kind < 2) return anyId();
  if (kind < 4) return pick(views)();
  if (depth <= 0 || kind < 7) return pick(simple);
  if (kind === 7) return Array.from({ length: random(5) }, () => value(0));
  return object(depth, 1 + random(6));
}

// Nobody may take the loop's holds away from the others, and what ends things
// must not come as often as what begins them.
const ends = /Close|Free|Remove|EndSession|Disconnect|shutdownNow/;
const methods = Object.keys(native).filter((name) => name !== 'release');

function pickMethod() {
  const name = pick(methods);
  return ends.test(name) && random(12) > 0 ? pickMethod() : name;
}

/** Some of the arguments are of the kind that the method wants. */
function makeArgs(name) {
  const args = Array.from({ length: random(6) }, () => value(2));
  const kind = Object.keys(pools).find((word) => name.startsWith(word));
  if (kind && random(5) > 0) args[0] = pick(pools[kind]);
  if (/Connect|Open|Listen/.test(name) && random(3) > 0) {
    args[1] = object(1, 6);
  }
  if (name === 'serverNew' && random(3) > 0) args[0] = object(1, 6);
  if (name === 'tunnelVerdict' && random(2) > 0) args[1] = 0;
  if (/Open$/.test(name) && random(2) > 0) {
    args.splice(1, 2, { host: 'wraith-control', port: 1 });
  }
  if (/Write$|key[PI]/.test(name) && random(2) > 0) args[1] = pick(views)();
  if (/Listen$/.test(name)) args.splice(2, 1, pick([0, 0, port, -1]));
  return args;
}

const worked = {};

function call() {
  const name = pickMethod();
  let result;
  try {
    result = native[name](...makeArgs(name));
  } catch {
    return; // an exception of a getter of ours
  }
  if (typeof result === 'number' && result < 0) return;
  worked[name] = (worked[name] ?? 0) + 1;
  const id = result?.id ?? result;
  if (makes[name] && id > 0) remember(makes[name], id);
}

async function main() {
  native.hold();
  // One pair that is up, for the junk to find.
  const pair = await rawPair();
  native.serverSetControl(pair.server.id, true);
  remember('tunnel', pair.tunnel.id);
  remember('server', pair.server.id);
  for (let i = 0; i < workerData.calls; i++) {
    call();
    // So that what the junk has begun goes on.
    if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
  }
  const idle = methods.filter((name) => !worked[name]);
  parentPort.postMessage({ calls: workerData.calls, worked, idle });
}

main();
