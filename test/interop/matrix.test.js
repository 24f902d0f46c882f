'use strict';
// Keys and certificates made by ssh-keygen, tried at the real sshd and at
// `wraith serve`: both decide the same. Where Wraith means to decide otherwise,
// the case says so (`differs`), and docs/sshd-differences.md says why.
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const { Matrix, pool } = require('./lib/matrix.js');
const build = require('./lib/matrix-build.js');
const keys = require('./lib/matrix-keys.js');
const certificates = require('./lib/matrix-certs.js');

process.env.TZ = keys.ZONE;
const needs = { peers: ['sshd', 'ssh-keygen'] };

const totals = { cases: 0, same: 0, differences: 0 };

/** Compares what both decided with each other and with the table. */
function judge(t, { name, want, differs }, sshd, wraith) {
  totals.cases++;
  t.equal(sshd, want, `sshd, ${name}`);
  if (differs === undefined) {
    totals.same += wraith === sshd ? 1 : 0;
    t.equal(wraith, sshd, `wraith, ${name}`);
    return;
  }
  totals.differences++;
  t.not(differs, want, `${name}: is a difference`);
  t.equal(wraith, differs, `wraith differs, ${name}`);
}

/** Decisions of a server, by probe. */
async function decideAll(matrix, server, probes) {
  const decisions = new Map();
  await pool(probes, async (probe) => {
    decisions.set(probe, await matrix.decide(server, probe));
  });
  return decisions;
}

const linesOf = (probes) => probes.flatMap(({ lines }) => lines);

/** With its line the whole file is refused, and nothing of it is in force. */
async function decideBad(t, matrix, good, probe) {
  const { wraith } = matrix;
  const lines = [...linesOf(good), ...probe.lines];
  fs.writeFileSync(wraith.keysFile, `${lines.join('\n')}\n`);
  const record = await matrix.reload();
  const at = new RegExp(`reload failed .*:${linesOf(good).length + 1}\\b`);
  t.match(record, at, `names the line, ${probe.name}`);
  return matrix.decide(wraith, probe);
}

lab('lines of authorized_keys', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const make = (one) => build.buildKey(matrix, one);
  const probes = await build.buildAll(keys.cases, make);
  const good = probes.filter(({ bad }) => !bad);
  const bad = probes.filter((probe) => probe.bad);
  await matrix.start({ keys: linesOf(good), sshdKeys: linesOf(probes) });
  const sshd = await decideAll(matrix, matrix.sshd, probes);
  const wraith = await decideAll(matrix, matrix.wraith, good);
  for (const probe of bad) {
    wraith.set(probe, await decideBad(t, matrix, good, probe));
  }
  for (const probe of probes) {
    judge(t, probe, sshd.get(probe), wraith.get(probe));
  }
});

lab('certificates', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const tools = await build.makeTools(matrix);
  const make = (one) => build.buildCertificate(matrix, tools, one);
  const probes = await build.buildAll(certificates.cases, make);
  const trust = build.trustOf(tools);
  const authorities = lab.file('authorities', `${trust.trusted.join('\n')}\n`);
  await matrix.start({
    keys: [...trust.lines, ...linesOf(probes)],
    authorities,
  });
  const sshd = await decideAll(matrix, matrix.sshd, probes);
  const wraith = await decideAll(matrix, matrix.wraith, probes);
  for (const probe of probes) {
    judge(t, probe, sshd.get(probe), wraith.get(probe));
  }
});
