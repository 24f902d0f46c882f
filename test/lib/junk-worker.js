'use strict';
// Calls every method with random junk, among it live ids and objects that run
// code when they are read. The process must survive it. workerData: { seed,
// calls }.
const { parentPort, workerData } = require('node:worker_threads');
const { native, newServer } = require('./raw.js');

let state = workerData.seed;

function random(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

const pick = (list) => list[random(list.length)];

const live = [];
for (let i = 0; i < 4; i++) live.push(native.keyGenerate());
live.push(native.tunnelNew(), native.tunnelNew());
live.push(newServer(live[0], live[1]), newServer(live[0], live[1]));
const { port } = native.serverListen(live.at(-1), '127.0.0.1', 0);

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
  'host port path pipe user identities hostKeyTypes keepalive instance ' +
  'connectTimeout ciphers rekeyBytes bindHost bindPort bindPath inbound ' +
  'target password hostKey authorizedKeys rules forwarding gatewayPorts ' +
  'authorize maxSessions maxStartups logLevel ring onEvents'
).split(' ');

/** What makes a call go further than its first check. */
const likely = {
  host: () => '127.0.0.1',
  port: () => port,
  pipe: () => true,
  user: () => 'junk',
  identities: () => [pick(live)],
  hostKey: () => live[0],
  authorizedKeys: () => '',
  rules: () => [[true, '*']],
  bindHost: () => '127.0.0.1',
  target: () => ({ host: '127.0.0.1', port }),
  logLevel: () => 4,
};

/** Runs in the middle of somebody else's call. */
function meddle() {
  native.tunnelClose(pick(live), false);
  native.keyFree(pick(live));
  native.streamClose(pick(live), true);
  return value(0);
}

function object(depth) {
  const out = {};
  for (const name of names) {
    const kind = random(8);
    if (kind < 3 && likely[name]) out[name] = likely[name]();
    else if (kind === 3) out[name] = value(depth - 1);
    else if (kind === 4 && random(20) === 0) {
      Object.defineProperty(out, name, { get: meddle, enumerable: true });
    }
  }
  return out;
}

function value(depth) {
  const kind = random(10);
  if (kind < 3) return pick(live);
  if (kind < 4) return pick(views)();
  if (depth <= 0 || kind < 7) return pick(simple);
  if (kind === 7) return Array.from({ length: random(5) }, () => value(0));
  return object(depth);
}

// Nobody may take the loop's holds away from the others, and what the events
// go to has been given already.
const methods = Object.keys(native).filter((name) => name !== 'release');

for (let i = 0; i < workerData.calls; i++) {
  const name = pick(methods);
  const args = Array.from({ length: random(6) }, () => value(2));
  let result;
  try {
    result = native[name](...args);
  } catch {
    continue; // an exception of a getter of ours
  }
  if (typeof result === 'number' && result > 1024 && live.length < 400) {
    live.push(result);
  }
  if (result?.id > 0 && live.length < 400) live.push(result.id);
}

parentPort.postMessage({ calls: workerData.calls });
