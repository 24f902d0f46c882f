'use strict';

// Header blocks written as nginx writes them: without references to earlier
// blocks, which is why they can stand in for those of another encoder as long
// as they stand in for all of them.

// The code of RFC 7541 is canonical: symbols in order of their length, and of
// their value within one.
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
  [19, '\\\xc3\xd0'],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178,
      181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233,
    ],
  ],
  [
    23,
    [
      1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157,
      158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [
    26,
    [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
  ],
  [
    27,
    [
      203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250,
      251, 252, 253, 254,
    ],
  ],
  [
    28,
    [
      2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25,
      26, 27, 28, 29, 30, 31, 127, 220, 249,
    ],
  ],
  [30, [10, 13, 22]],
];

const codes = new Map();
let code = 0;
let width = symbols[0][0];
for (const [length, text] of symbols) {
  code *= 2 ** (length - width);
  width = length;
  for (const symbol of text) {
    const key =
      typeof symbol === 'number' ? String.fromCharCode(symbol) : symbol;
    codes.set(key, [code++, length]);
  }
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
    if (entry === undefined) return null;
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

module.exports = { codes, encodeHead };
