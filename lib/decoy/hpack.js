'use strict';

// Header blocks written as nginx writes them: without references to earlier
// blocks, which is why they can stand in for those of another encoder as long
// as they stand in for all of them.

// The code of RFC 7541 is canonical: symbols in order of their length, and of
// their value within one. These are the printable ones (and the zero byte,
// which takes up a code among them).
const symbols = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
  [19, '\\'],
];

const codes = new Map();
let code = 0;
let width = symbols[0][0];
for (const [length, text] of symbols) {
  code *= 2 ** (length - width);
  width = length;
  for (const symbol of text) codes.set(symbol, [code++, length]);
}

const INDEXED_STATUS = new Map([
  [200, 0x88],
  [204, 0x89],
  [206, 0x8a],
  [304, 0x8b],
  [400, 0x8c],
  [404, 0x8d],
  [500, 0x8e],
]);
const STATUS = 0x48;

// Names that have a number of their own in nginx's answers.
const INDEXED_NAMES = new Map([
  ['server', 0x76],
  ['date', 0x61],
  ['content-type', 0x5f],
  ['content-length', 0x5c],
  ['last-modified', 0x6c],
  ['location', 0x6e],
]);

/**
 * @param {number} status
 * @param {[string, string][]} leading fields that nginx knows by number
 * @param {[string, string][]} fields the others
 * @returns {Buffer}
 */
function encodeHead(status, leading, fields) {
  const indexed = INDEXED_STATUS.get(status);
  const parts = [
    indexed ? [indexed] : [STATUS, ...plain(String(status))],
    ...leading.flatMap(([name, value]) => {
      const key = name.toLowerCase();
      const text = key === 'content-length' ? plain(value) : string(value);
      return [[INDEXED_NAMES.get(key)], text];
    }),
    ...fields.flatMap(([name, value]) => [
      [0],
      string(name.toLowerCase()),
      string(value),
    ]),
  ];
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

function integer(flags, value) {
  if (value < 127) return [flags | value];
  const bytes = [flags | 127];
  let left = value - 127;
  for (; left >= 128; left = Math.floor(left / 128)) {
    bytes.push((left % 128) + 128);
  }
  bytes.push(left);
  return bytes;
}

function plain(text) {
  return [...integer(0, text.length), ...Buffer.from(text, 'latin1')];
}

// In Huffman's code where that makes it shorter.
function string(text) {
  const packed = huffman(text);
  if (packed === null || packed.length >= text.length) return plain(text);
  return [...integer(0x80, packed.length), ...packed];
}

function huffman(text) {
  const bytes = [];
  let bits = 0;
  let count = 0;
  for (const symbol of text) {
    const entry = codes.get(symbol);
    if (entry === undefined || symbol === '\0') return null;
    bits = bits * 2 ** entry[1] + entry[0];
    count += entry[1];
    for (; count >= 8; count -= 8) {
      const unit = 2 ** (count - 8);
      bytes.push(Math.floor(bits / unit));
      bits %= unit;
    }
  }
  // What is left is filled up with ones.
  if (count > 0) bytes.push(bits * 2 ** (8 - count) + 2 ** (8 - count) - 1);
  return bytes;
}

module.exports = { encodeHead };
