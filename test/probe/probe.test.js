'use strict';
// Every probe gets from the decoy what it gets from nginx, but for what
// docs/stealth-differences.md lists.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const t = require('tap');
const peers = require('../../scripts/peers.js');
const { compare, key, readAccepted, report } = require('./compare.js');
const { probes } = require('./probes.js');
const { makeCertificate, makeSite } = require('./site.js');
const { startDecoy, startNginx } = require('./target.js');

async function lab(t, kind) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wraith-probe-'));
  t.teardown(() => fs.rmSync(dir, { recursive: true, force: true }));
  const root = path.join(dir, 'site');
  makeSite(root);
  makeCertificate(dir);
  const site = { kind, root };
  const servers = [];
  for (const start of [startNginx, startDecoy]) {
    const server = await start({ dir, site });
    t.teardown(() => server.stop());
    servers.push(server);
  }
  return servers;
}

const skip = peers.skip('nginx', 'openssl');

t.test('a folder', { skip, timeout: 240_000 }, async (t) => {
  const servers = await lab(t, 'folder');
  const found = await compare(probes, servers);
  const accepted = readAccepted();
  const names = new Set(found.map(key));
  for (const difference of found) {
    if (!accepted.has(key(difference))) t.fail(report(difference));
    else t.comment(`accepted: ${report(difference)}`);
  }
  for (const name of accepted) {
    if (!names.has(name)) t.fail(`listed, but not found: ${name}`);
  }
  t.pass(`${probes.length} probes`);
});
