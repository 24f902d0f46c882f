'use strict';
// A native module that does nothing by itself: a test says which events come,
// in which order, and sees which calls were made. For what the real one does
// only by luck of timing. Loaded through WRAITH_ADDON.

const calls = [];
const slabs = [];
const queue = [];
/** name → what the call returns; a function gets the arguments. */
const results = new Map();

let ring;
let onEvents;
let used = 0;
let lastId = 100;

function record(name) {
  return (...args) => {
    calls.push([name, ...args]);
    const result = results.get(name) ?? 0;
    return typeof result === 'function' ? result(...args) : result;
  };
}

const errors = {
  [-20001]: ['OUT_OF_MEMORY', '', 'out of memory'],
  [-20004]: ['CANCELED', '', 'the operation was canceled'],
  [-20006]: ['CLOSED', '', 'the object is closed'],
  [-20033]: ['PEER_CLOSED', '', 'the peer closed the connection'],
  [-20034]: ['PEER_DEAD', '', 'the peer no longer answers'],
  [-20036]: ['HOST_KEY_MISMATCH', 'hostkey', 'not the expected host key'],
  [-20037]: ['HOST_KEY_REQUIRED', 'hostkey', 'no host key'],
  [-20049]: ['CHANNEL_RESET', 'channel', 'closed before its end'],
};

const EVENT = {
  DATA: 1,
  EOF: 2,
  WRITABLE: 3,
  CLOSED: 4,
  OPENED: 5,
  SLAB: 6,
  KEY: 7,
  HOST_KEY: 8,
  UP: 9,
  DOWN: 10,
  REMOTE: 11,
  STREAM: 12,
  TUNNEL_CLOSED: 13,
  LISTENER_CLOSED: 14,
};

function push(type, id, a = 0, b = 0) {
  queue.push([type, id, a, b]);
}

/** Puts bytes where C would put them. */
function pushData(id, bytes) {
  if (used + bytes.length > slabs[0].length) {
    slabs.shift();
    used = 0;
    push(EVENT.SLAB, 0);
  }
  bytes.copy(slabs[0], used);
  push(EVENT.DATA, id, used, bytes.length);
  used += bytes.length;
}

/** One turn: everything pushed goes over in one call, as C makes it. */
function turn(auxObject) {
  const aux = auxObject && Buffer.from(JSON.stringify(auxObject));
  for (const [type, id, a, b] of queue.splice(0)) {
    const words = auxObject && type >= EVENT.KEY ? [0, aux.length] : [a, b];
    ring.set(
      [type, id, words[0] >>> 0, words[1] >>> 0],
      4 + 4 * (ring[0] % 4096),
    );
    ring[0] += 1;
  }
  onEvents(aux);
}

const handwritten = {
  init(options) {
    ({ ring, onEvents } = options);
    return errors;
  },
  setSlab: (slab) => slabs.push(slab),
  newId: () => ++lastId,
  fake: { EVENT, calls, errors, push, pushData, results, slabs, turn },
};

// Whatever else lib/ calls is written down.
module.exports = new Proxy(handwritten, {
  get: (target, name) => target[name] ?? record(name),
});
