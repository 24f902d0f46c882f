'use strict';
// Keys and certificates made by ssh-keygen, tried at the real sshd and at
// `wraith serve`: both decide the same. Where Wraith means to decide otherwise,
// the case says so (`differs`), and docs/sshd-differences.md says why.
const fs = require('node:fs');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const { Matrix, pool } = require('./lib/matrix.js');
const build = require('./lib/matrix-build.js');
const keys = require('./lib/matrix-keys.js');
const certificates = require('./lib/matrix-certs.js');
const edges = require('./lib/matrix-edges.js');
const revoked = require('./lib/matrix-revoked.js');
const { runSsh } = require('./lib/openssh.js');
const { wraithRun } = require('./lib/wraith.js');

process.env.TZ = keys.ZONE;
const needs = { peers: ['sshd', 'ssh-keygen'] };

const totals = { cases: 0, same: 0, differences: [] };

/** Compares what both decided with each other and with the table. */
function judge(t, { name, want, differs }, sshd, wraith) {
  totals.cases++;
  t.equal(sshd, want, `sshd, ${name}`);
  if (differs === undefined) {
    totals.same += wraith === sshd ? 1 : 0;
    t.equal(wraith, sshd, `wraith, ${name}`);
    return;
  }
  totals.differences.push(name);
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
  matrix.writeKeys([...linesOf(good), ...probe.lines]);
  const record = await matrix.reload();
  const at = new RegExp(`reload failed .*:${linesOf(good).length + 1}\\b`);
  t.match(record, at, `names the line, ${probe.name}`);
  return matrix.decide(wraith, probe);
}

async function judgeAll(t, matrix, probes) {
  const sshd = await decideAll(matrix, matrix.sshd, probes);
  const wraith = await decideAll(matrix, matrix.wraith, probes);
  for (const probe of probes) {
    judge(t, probe, sshd.get(probe), wraith.get(probe));
  }
  return [
    { server: matrix.sshd, decisions: sshd },
    { server: matrix.wraith, decisions: wraith },
  ];
}

/** The same logins by ssh itself: our own client has told no tales. */
async function compareWithSsh(t, matrix, probes, results) {
  const { lab, target } = matrix;
  const where = `${target.host}:${target.port}`;
  const usable = probes.filter(({ file, from }) => file && !from);
  const sample = usable.filter((_, i) => i % 10 === 0);
  await pool(sample, async (probe) => {
    const { file, certificate, address, user } = probe;
    const options = [`BindAddress=${address}`];
    if (certificate) options.push(`CertificateFile=${certificate}`);
    for (const { server, decisions } of results) {
      const { host, port } = server;
      const more = { key: { file }, options, input: 'echo' };
      const { stdout, stderr } = await runSsh(
        lab,
        { host, port, user },
        ['-W', where],
        more,
      );
      const came = /Authenticated to/.test(stderr);
      const ours = decisions.get(probe);
      t.equal(came, ours !== 'none', `ssh, login, ${probe.name}`);
      const open = ours === 'forward' || ours === 'open';
      t.equal(stdout === 'echo', open, `ssh -W, ${probe.name}`);
    }
  });
}

lab('lines of authorized_keys', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const make = (one) => build.buildKey(matrix, one);
  const probes = await build.buildAll(keys.cases, make);
  const good = probes.filter(({ bad }) => !bad);
  await matrix.start({ keys: linesOf(good), sshdKeys: linesOf(probes) });
  const results = await judgeAll(t, matrix, good);
  await compareWithSsh(t, matrix, good, results);
  for (const probe of probes.filter(({ bad }) => bad)) {
    const sshd = await matrix.decide(matrix.sshd, probe);
    judge(t, probe, sshd, await decideBad(t, matrix, good, probe));
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
  const results = await judgeAll(t, matrix, probes);
  await compareWithSsh(t, matrix, probes, results);
});

lab('revocations', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const made = await revoked.makeKeys(matrix);
  const trust = revoked.trustOf(made);
  const file = await revoked.makeKrl(matrix, made);
  const authorities = lab.file(
    'authorities',
    `${trust.authorities.join('\n')}\n`,
  );
  await matrix.start({ keys: trust.keys, authorities, revoked: file });
  await judgeAll(t, matrix, await revoked.krlProbes(matrix, made));
  const probes = await revoked.textProbes(matrix, made, file);
  t.match(await matrix.reload(), /INFO reload/);
  await judgeAll(t, matrix, probes);
  fs.writeFileSync(file, 'SSHKRL\n\0cut short');
  t.match(await matrix.reload(), /ERROR reload failed/);
  const [, key] = probes;
  const name = 'revocations: a list that cannot be read';
  judge(
    t,
    { name, want: 'none', differs: key.want },
    await matrix.decide(matrix.sshd, key),
    await matrix.decide(matrix.wraith, key),
  );
});

lab('the second that counts', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const made = { authority: await matrix.key(), key: await matrix.key() };
  const { line, pub } = made.authority;
  await matrix.start({ keys: [`restrict ${line}`], authorities: pub });
  for (const result of [
    ...(await edges.certificateEdges(matrix, made)),
    ...(await edges.lineEdges(matrix, made)),
  ]) {
    judge(t, ...result);
  }
});

lab('a file with a mistake at the start', needs, async (t, lab) => {
  const matrix = new Matrix(lab);
  const { line } = await matrix.key();
  const file = lab.file('keys', `${line}\n\nnonsense ${line}\n`);
  const { code, stderr } = await wraithRun(lab.dir, [
    ...['serve', '--listen', '127.0.0.1:0', '--authorized-keys', file],
  ]);
  t.equal(code, 2);
  t.ok(stderr.includes(`${file}:3`), stderr);
});

lab('what differs is documented', {}, async (t) => {
  const { cases, same, differences } = totals;
  const page = path.join(__dirname, '../../docs/sshd-differences.md');
  const text = fs.readFileSync(page, 'utf8');
  const listed = [...text.matchAll(/^- `(.+: .+)`$/gm)].map(([, name]) => name);
  t.strictSame(listed.sort(), [...differences].sort());
  t.equal(same + differences.length, cases);
  const counts = `${cases} cases, ${same} same`;
  t.comment(`matrix: ${counts}, ${differences.length} listed differences`);
});
