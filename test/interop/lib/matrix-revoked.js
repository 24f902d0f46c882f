'use strict';
// What a list of revocations takes away: keys and certificates under one that
// ssh-keygen -k makes, and under one of plain text.
const fs = require('node:fs');
const { USER } = require('./matrix.js');
const { identity } = require('../../lib/ssh-identity.js');

const LAST = '18446744073709551615';
const evens = Array.from({ length: 40 }, (_, i) => `serial: ${100 + 2 * i}`);

// Of the authority `one`; the other has the same serials and key ids.
const SPEC = [
  'serial: 5',
  'serial: 10-20',
  `serial: ${LAST}`,
  ...evens,
  'id: gone',
  'id: gone, too',
];

// [what, authority, arguments of ssh-keygen -s, decision under the KRL]
const certificates = [
  ['a serial that is listed', 'one', ['-z', '5'], 'none'],
  ['one less', 'one', ['-z', '4'], 'forward'],
  ['one more', 'one', ['-z', '6'], 'forward'],
  ['serial 0', 'one', ['-z', '0'], 'forward'],
  ['in front of a range', 'one', ['-z', '9'], 'forward'],
  ['the first of a range', 'one', ['-z', '10'], 'none'],
  ['within a range', 'one', ['-z', '15'], 'none'],
  ['the last of a range', 'one', ['-z', '20'], 'none'],
  ['behind a range', 'one', ['-z', '21'], 'forward'],
  ['one of many', 'one', ['-z', '102'], 'none'],
  ['between many', 'one', ['-z', '103'], 'forward'],
  ['the last of many', 'one', ['-z', '178'], 'none'],
  ['behind many', 'one', ['-z', '180'], 'forward'],
  ['the last serial', 'one', ['-z', LAST], 'none'],
  ['a serial of another authority', 'two', ['-z', '5'], 'forward'],
  ['a key id that is listed', 'one', ['-I', 'gone'], 'none'],
  ['a key id with a comma', 'one', ['-I', 'gone, too'], 'none'],
  ['a key id in another case', 'one', ['-I', 'GONE'], 'forward'],
  ['a longer key id', 'one', ['-I', 'gone2'], 'forward'],
  ['a key id of another authority', 'two', ['-I', 'gone'], 'forward'],
  ['a key id under any authority', 'two', ['-I', 'nowhere'], 'none'],
  ['the same with the first', 'one', ['-I', 'nowhere'], 'none'],
  ['of a revoked authority', 'revoked', [], 'none'],
  ['of an authority revoked by hash', 'hashed', [], 'none'],
  ['of a revoked authority in a line', 'lined', [], 'none'],
];

// How each plain key comes into the list.
const plain = [
  ['a key', 'key', 'none'],
  ['a key by SHA-1', 'sha1', 'none'],
  ['a key by SHA-256', 'sha256', 'none'],
  ['a key by its fingerprint', 'hash', 'none'],
  ['another key', null, 'forward'],
];

/** Keys and authorities, by name. */
async function makeKeys(matrix) {
  const names = ['one', 'two', 'revoked', 'hashed', 'lined', 'text', 'user'];
  const made = {};
  for (const name of names) made[name] = await matrix.key();
  for (const [, how] of plain) made[`plain ${how}`] = await matrix.key();
  return made;
}

async function fingerprint(matrix, key) {
  const { stdout } = await matrix.tool('-lf', key.pub);
  return stdout.split(' ')[1];
}

/** The KRL, made in three steps: for an authority, for any, for keys. */
async function makeKrl(matrix, made) {
  const { lab } = matrix;
  const krl = lab.file('krl');
  const spec = (lines) =>
    lab.file(matrix.name('spec'), `${lines.join('\n')}\n`);
  await matrix.keygen('-k', '-f', krl, '-s', made.one.pub, spec(SPEC));
  const add = ['-k', '-u', '-f', krl];
  await matrix.keygen(...add, '-s', 'none', spec(['id: nowhere']));
  const keys = [
    `key: ${made.revoked.line}`,
    `key: ${made.lined.line}`,
    `sha256: ${made.hashed.line}`,
    `key: ${made['plain key'].line}`,
    `sha1: ${made['plain sha1'].line}`,
    `sha256: ${made['plain sha256'].line}`,
    `hash: ${await fingerprint(matrix, made['plain hash'])}`,
  ];
  await matrix.keygen(...add, spec(keys));
  return krl;
}

async function certificate(matrix, { name, authority, key, args, want }) {
  const options = ['-n', USER, ...args];
  const { blob } = await matrix.certify(authority, key, options);
  const probe = identity(blob, key.sign);
  return { name, want, identity: probe, address: matrix.address() };
}

async function certificateProbes(matrix, made) {
  const probes = [];
  for (const [what, ca, args, want] of certificates) {
    const more = { authority: made[ca], key: made.user, args, want };
    probes.push(await certificate(matrix, { name: `KRL: ${what}`, ...more }));
  }
  const key = made['plain sha1'];
  const more = { authority: made.two, key, args: [], want: 'none' };
  const name = 'KRL: a certificate of a revoked key';
  return [...probes, await certificate(matrix, { name, ...more })];
}

const keyProbes = (matrix, made, group, wants) =>
  plain.map(([what, how, want]) => {
    const { blob, sign } = made[`plain ${how}`];
    return {
      name: `${group}: ${what}`,
      want: wants?.(how) ?? want,
      identity: identity(blob, sign),
      address: matrix.address(),
    };
  });

const krlProbes = async (matrix, made) => [
  ...(await certificateProbes(matrix, made)),
  ...keyProbes(matrix, made, 'KRL'),
];

/** Now a text: one of the plain keys, and the authority `two`. */
async function textProbes(matrix, made, file) {
  const lines = ['# gone', '', made['plain hash'].line, made.two.line];
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  const of = (what, ca, want) => {
    const more = { authority: made[ca], key: made.user, args: [], want };
    return certificate(matrix, { name: `text: ${what}`, ...more });
  };
  const how = (kind) => (kind === 'hash' ? 'none' : 'forward');
  return [
    ...keyProbes(matrix, made, 'text', how),
    await of('an authority', 'two', 'none'),
    await of('another authority', 'one', 'forward'),
    await of('one that is listed no more', 'revoked', 'forward'),
  ];
}

/** Everybody may come in, but for what is revoked. */
function trustOf(made) {
  const { one, two, revoked, hashed, lined } = made;
  const keys = plain.map(([, how]) => made[`plain ${how}`].line);
  return {
    authorities: [one, two, revoked, hashed].map(({ line }) => line),
    keys: [...keys, `cert-authority ${lined.line}`],
  };
}

module.exports = { krlProbes, makeKeys, makeKrl, textProbes, trustOf };
