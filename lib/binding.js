'use strict';

// The only file that touches the native module; docs/internals/binding.md is
// the contract between the two.

const { markAsUntransferable } = require('node:worker_threads');

const { loadAddon } = require('./load.js');
const { setErrorTable } = require('./errors.js');

const RECORDS = 4096;
const HEADER_WORDS = 4;
const SLAB_SIZE = 256 * 1024;
/** Smaller chunks are copied, so that keeping one does not pin a slab. */
const COPY_BELOW = 1024;

const EVENT = Object.freeze({
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
  AUTHORIZE: 15,
  CONTROL: 16,
  SESSION: 17,
  SERVER_CLOSED: 18,
  LOG: 19,
  AGENT: 20,
  VISITOR: 21,
  DIALLED: 22,
});

const WITH_AUX = new Set([
  EVENT.KEY,
  EVENT.HOST_KEY,
  EVENT.DOWN,
  EVENT.STREAM,
  EVENT.AUTHORIZE,
  EVENT.CONTROL,
  EVENT.LOG,
  EVENT.AGENT,
  EVENT.VISITOR,
  EVENT.DIALLED,
]);

const native = loadAddon();
const ring = new Uint32Array(HEADER_WORDS + 4 * RECORDS);

/** id → object with onEvent(type, a, b). */
const objects = new Map();

let slab;
let spare;
let exitHooked = false;

// C writes there: nobody may give the memory away with a chunk of it.
function newSlab() {
  const memory = Buffer.allocUnsafeSlow(SLAB_SIZE);
  markAsUntransferable(memory.buffer);
  return memory;
}

function takeData(offset, length) {
  const chunk = slab.subarray(offset, offset + length);
  return length < COPY_BELOW ? Buffer.from(chunk) : chunk;
}

function nextSlab() {
  slab = spare;
  spare = newSlab();
  native.setSlab(spare);
}

function parseAux(aux, offset, length) {
  return JSON.parse(aux.toString('utf8', offset, offset + length));
}

function dispatch(type, id, a, b, aux) {
  if (type === EVENT.DATA) {
    // The data must be taken off the slab even if nobody listens any more.
    const stream = objects.get(id);
    if (stream) stream.onEvent(type, takeData(a, b));
  } else if (type === EVENT.SLAB) {
    nextSlab();
  } else {
    const object = objects.get(id);
    if (!object) return;
    if (WITH_AUX.has(type)) object.onEvent(type, parseAux(aux, a, b));
    else object.onEvent(type, a | 0, b);
  }
}

/** Called by C once per turn while the ring is not empty. */
function onEvents(aux) {
  while (ring[1] !== ring[0]) {
    const at = HEADER_WORDS + 4 * (ring[1] % RECORDS);
    const type = ring[at];
    const id = ring[at + 1];
    const a = ring[at + 2];
    const b = ring[at + 3];
    // Advanced first: a listener that throws must not lose the rest.
    ring[1] = (ring[1] + 1) >>> 0;
    dispatch(type, id, a, b, aux);
  }
}

function register(id, object) {
  objects.set(id, object);
}

function unregister(id) {
  objects.delete(id);
}

// process.exit() runs no cleanup hook: peers would learn of the end only by
// their own timers.
function sayGoodbye() {
  native.shutdownNow();
}

function hold() {
  native.hold();
  if (!exitHooked) {
    exitHooked = true;
    process.on('exit', sayGoodbye);
  }
}

/** Lets objects be ref'd and unref'd: one hold on the loop each at most. */
class Ref {
  #held = false;
  #wanted = true;
  #open = false;

  #update() {
    const held = this.#open && this.#wanted;
    if (held === this.#held) return;
    this.#held = held;
    if (held) hold();
    else native.release();
  }

  open() {
    this.#open = true;
    this.#update();
  }

  close() {
    this.#open = false;
    this.#update();
  }

  ref() {
    this.#wanted = true;
    this.#update();
  }

  unref() {
    this.#wanted = false;
    this.#update();
  }
}

setErrorTable(native.init({ ring, onEvents }));
slab = newSlab();
native.setSlab(slab);
spare = newSlab();
native.setSlab(spare);

module.exports = { EVENT, Ref, native, register, unregister };
