'use strict';
// Sends every probe to both servers and finds what differs.
const fs = require('node:fs');
const path = require('node:path');
const { play } = require('./client.js');
const { describeFrames } = require('./http2-frames.js');

const AT_ONCE = 12;

// What may differ between two answers of one server.
function normalise(text, port) {
  return text
    .replace(/^Date: .*\r$/gm, 'Date: …\r')
    .replace(/boundary=\d{20}/g, 'boundary=…')
    .replace(/^--\d{20}/gm, '--…')
    .replaceAll(`:${port}`, ':PORT');
}

async function playBoth(probe, servers) {
  const results = await Promise.all(
    servers.map((server) => play(server.port, probe)),
  );
  return results.map((result, i) => ({
    ...result,
    bytes: probe.frames
      ? describeFrames(result.bytes)
      : normalise(result.bytes, servers[i].port),
  }));
}

/** Resolves to one { name, what, nginx, ours } per difference. */
async function compare(probes, servers) {
  const differences = [];
  let next = 0;
  const worker = async () => {
    while (next < probes.length) {
      const probe = probes[next++];
      const [nginx, ours] = await playBoth(probe, servers);
      for (const what of Object.keys(nginx)) {
        if (nginx[what] === ours[what]) continue;
        const pair = { nginx: nginx[what], ours: ours[what] };
        differences.push({ name: probe.name, what, ...pair });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return differences;
}

/** The table of docs/stealth-differences.md: "probe: what" → reason. */
function readAccepted() {
  const file = path.join(__dirname, '../../docs/stealth-differences.md');
  const rows = fs.readFileSync(file, 'utf8').matchAll(/^\| `(.*?)` *\| (\w+) +\|/gm);
  return new Set(Array.from(rows, (row) => `${row[1]} | ${row[2]}`));
}

const key = (difference) => `${difference.name} | ${difference.what}`;

// The first place where two texts part, with a little around it.
function excerpt(a, b) {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  const from = Math.max(0, i - 20);
  return [a, b].map((s) => JSON.stringify(s.slice(from, from + 90)));
}

function report(difference) {
  const [nginx, ours] = excerpt(difference.nginx, difference.ours);
  return `${key(difference)}\n    nginx ${nginx}\n    ours  ${ours}`;
}

module.exports = { compare, key, readAccepted, report };
