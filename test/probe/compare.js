'use strict';
// Sends every probe to both servers and finds what differs.
const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');
const { play } = require('./client.js');
const { describeFrames } = require('./http2-frames.js');
const { describeRecords } = require('./tls-records.js');

const AT_ONCE = 12;

// What may differ between two answers of one server.
function normalise(text, port, origin) {
  return text
    .replace(/^Date: .*\r$/gm, 'Date: …\r')
    .replace(/boundary=\d{20}/g, 'boundary=…')
    .replace(/^--\d{20}/gm, '--…')
    .replaceAll(origin, 'ORIGIN')
    .replaceAll(`:${port}`, ':PORT');
}

async function playBoth(probe, servers, origin) {
  const results = await Promise.all(
    servers.map((server) => play(server.port, probe)),
  );
  return results.map((result, i) => {
    const { bytes } = result;
    if (probe.frames) return { ...result, bytes: describeFrames(bytes) };
    if (probe.records) return { ...result, bytes: describeRecords(bytes) };
    const [plain, packed] = unpack(bytes);
    const { port } = servers[i];
    return { ...result, bytes: normalise(plain, port, origin), packed };
  });
}

// A body in gzip is compared twice: what it says, and how it is packed.
function unpack(text) {
  const end = text.indexOf('\r\n\r\n') + 4;
  const head = text.slice(0, end);
  if (!/^Content-Encoding: gzip\r$/m.test(head)) return [text, ''];
  const packed = text.slice(end);
  let body = '';
  let rest = packed;
  for (;;) {
    const m = /^([0-9a-f]+)\r\n/.exec(rest);
    if (!m || m[1] === '0') break;
    const size = parseInt(m[1], 16);
    body += rest.slice(m[0].length, m[0].length + size);
    rest = rest.slice(m[0].length + size + 2);
  }
  if (body === '') return [text, ''];
  const plain = zlib.gunzipSync(Buffer.from(body, 'latin1'));
  return [`${head}${plain.toString('latin1')}${rest}`, packed];
}

/** Resolves to one { name, what, nginx, ours } per difference. */
async function compare(probes, servers, origin = 'http://origin.test') {
  const differences = [];
  let next = 0;
  const worker = async () => {
    while (next < probes.length) {
      const probe = probes[next++];
      const [nginx, ours] = await playBoth(probe, servers, origin);
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

/** The tables below a heading of docs/stealth-differences.md, as keys. */
function readAccepted(heading) {
  const file = path.join(__dirname, '../../docs/stealth-differences.md');
  const part = fs
    .readFileSync(file, 'utf8')
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  const rows = part.matchAll(/^\| `(.*?)` *\| (\w+) +\|/gm);
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

/** What is listed under a heading, and what of it has been met. */
class Ledger {
  #accepted;
  #seen = new Set();

  constructor(heading) {
    this.#accepted = readAccepted(heading);
  }

  /** Fails for each difference that is not listed. */
  enter(t, differences) {
    for (const difference of differences) {
      this.#seen.add(key(difference));
      if (this.#accepted.has(key(difference))) t.comment(report(difference));
      else t.fail(report(difference));
    }
  }

  /** What is listed and not true any more. */
  get gone() {
    return [...this.#accepted].filter((name) => !this.#seen.has(name));
  }
}

module.exports = { Ledger, compare };
