'use strict';
// Pages are packed as zlib 1.2.13 packs them for nginx; test/probe compares with
// nginx itself.
const { createHash } = require('node:crypto');
const zlib = require('node:zlib');
const t = require('tap');
const { pack } = require('../../lib/decoy/gzip.js');

const lines = (n) => Buffer.from('<p>one line of a page</p>\n'.repeat(n));

// Numbers as text, which packs badly and not the same in all libraries.
const numbers = Buffer.from(
  Array.from({ length: 40_000 }, (_, i) => (i * i) % 99_991).join(' '),
);

// SHA-256 of what Python's zlib makes of it: level 1, wbits + 16, and the sizes
// that nginx takes for that length.
const cases = [
  ['a short page', lines(3), 78, '27a253a1b6843294491c4f73640a571b'],
  ['a long page', lines(4000), 104_000, '757ed1883269011f4b9d26774371a977'],
  ['numbers', numbers, numbers.length, 'e8740095152105c5695892bfe641b6fa'],
  ['of unknown length', lines(3), -1, '27a253a1b6843294491c4f73640a571b'],
  ['nothing', Buffer.alloc(0), 0, 'd1111b245f685176180e6f1631e6dc49'],
];

async function packed(parts, length) {
  const chunks = [];
  for await (const chunk of pack(parts, length)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function* cut(bytes, by) {
  for (let at = 0; at < bytes.length; at += by) {
    yield bytes.subarray(at, at + by);
  }
}

for (const [name, bytes, length, wanted] of cases) {
  t.test(name, async (t) => {
    for (const parts of [[bytes], cut(bytes, 1000), cut(bytes, 70_000)]) {
      const all = await packed(parts, length);
      t.ok(zlib.gunzipSync(all).equals(bytes));
      const hash = createHash('sha256').update(all).digest('hex');
      t.equal(hash.slice(0, 32), wanted);
    }
  });
}
