'use strict';
// The second at which a validity begins or ends. Both servers are asked within
// one and the same second of the clock; if it turns meanwhile, a new key is
// made for the next one.
const fs = require('node:fs');
const { USER } = require('./matrix.js');
const { expiry, local, utc } = require('./matrix-keys.js');
const { identity } = require('../../lib/ssh-identity.js');

const DAY = 86400;
const second = () => Math.floor(Date.now() / 1000);

async function withinOneSecond(work) {
  for (;;) {
    const now = second();
    const result = await work(now);
    if (second() === now) return result;
  }
}

// [what, decision, first good second, first that is not], from now.
const certificates = [
  ['begins now', 'forward', 0, DAY],
  ['begins in a second', 'none', 1, DAY],
  ['began a second ago', 'forward', -1, DAY],
  ['ends now', 'none', -DAY, 0],
  ['ends in a second', 'forward', -DAY, 1],
  ['ended a second ago', 'none', -DAY, -1],
  ['is this second long', 'forward', 0, 1],
];

// An expiry-time is the last good second.
const lines = [
  ['is now', 'forward', (now) => utc(now)],
  ['was a second ago', 'none', (now) => utc(now - 1)],
  ['is in a second', 'forward', (now) => utc(now + 1)],
  ['is now in local time', 'forward', (now) => local(now)],
  ['was a second ago in local time', 'none', (now) => local(now - 1)],
];

async function decideBoth(matrix, probe) {
  const sshd = await matrix.decide(matrix.sshd, probe);
  return [sshd, await matrix.decide(matrix.wraith, probe)];
}

/** [probe, what sshd decides, what wraith decides] of each. */
async function certificateEdges(matrix, { authority, key }) {
  const results = [];
  for (const [what, want, after, before] of certificates) {
    const both = await withinOneSecond(async (now) => {
      const interval = `${utc(now + after)}:${utc(now + before)}`;
      const args = ['-n', USER, '-V', interval];
      const { blob } = await matrix.certify(authority, key, args);
      return decideBoth(matrix, { identity: identity(blob, key.sign) });
    });
    results.push([{ name: `edge: a certificate ${what}`, want }, ...both]);
  }
  return results;
}

function writeLine(matrix, line) {
  for (const { keysFile } of [matrix.sshd, matrix.wraith]) {
    fs.writeFileSync(keysFile, `${line}\n`);
  }
  return matrix.reload();
}

async function lineEdges(matrix, { key }) {
  const results = [];
  for (const [what, want, time] of lines) {
    const both = await withinOneSecond(async (now) => {
      await writeLine(matrix, `${expiry(time(now))} ${key.line}`);
      return decideBoth(matrix, { identity: identity(key.blob, key.sign) });
    });
    results.push([{ name: `edge: expiry-time ${what}`, want }, ...both]);
  }
  return results;
}

module.exports = { certificateEdges, lineEdges };
