'use strict';

// gzip, byte for byte as nginx of Debian 12 packs it with zlib 1.2.13. The zlib
// in Node is Chromium's, which finds other repetitions.

const { setImmediate } = require('node:timers/promises');

const { Deflate } = require('pako');

// gzip_comp_level, and what nginx gives zlib for a body of unknown length.
const LEVEL = 1;
const WINDOW_BITS = 15;
const MEM_LEVEL = 9;
/** What zlib may look ahead: MIN_LOOKAHEAD. */
const LOOK_AHEAD = 262;
/** Bytes that are packed before others get their turn, in half a millisecond. */
const SLICE = 16384;

// A small body needs a small window: this is what nginx gives zlib.
function sizesFor(length) {
  let windowBits = WINDOW_BITS;
  let memLevel = MEM_LEVEL;
  while (length > 0 && length < (1 << (windowBits - 1)) - LOOK_AHEAD) {
    windowBits -= 1;
    memLevel -= 1;
  }
  return {
    windowBits: Math.max(9, windowBits),
    memLevel: Math.max(1, memLevel),
  };
}

/**
 * @param {Iterable<Buffer> | AsyncIterable<Buffer>} parts
 * @param {number} length of all of them, or -1
 */
async function* pack(parts, length) {
  const deflate = new Deflate({
    gzip: true,
    level: LEVEL,
    ...sizesFor(length),
  });
  const ready = [];
  deflate.onData = (chunk) => ready.push(Buffer.from(chunk));
  for await (const part of parts) {
    for (let at = 0; at < part.length; at += SLICE) {
      deflate.push(part.subarray(at, at + SLICE), false);
      yield* ready.splice(0);
      await setImmediate();
    }
  }
  deflate.push(new Uint8Array(0), true);
  yield* ready;
}

module.exports = { pack };
