'use strict';
// Every probe gets from a stealth listener what it gets from nginx, but for what
// docs/stealth-differences.md lists.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const t = require('tap');
const peers = require('../../scripts/peers.js');
const { compare, key, readAccepted, report } = require('./compare.js');
const { startOrigin } = require('./origin.js');
const probes = require('./probes.js');
const { makeCertificate, makeSite } = require('./site.js');
const { startNginx, startStealth } = require('./target.js');

async function lab(t, kind) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wraith-probe-'));
  t.teardown(() => fs.rmSync(dir, { recursive: true, force: true }));
  const root = path.join(dir, 'site');
  makeSite(root);
  makeCertificate(dir);
  const site = { kind, root };
  if (kind === 'origin') {
    const origin = await startOrigin();
    t.teardown(() => origin.stop());
    site.origin = `http://127.0.0.1:${origin.port}`;
  }
  const servers = [];
  for (const start of [startNginx, startStealth]) {
    const server = await start({ dir, site });
    t.teardown(() => server.stop());
    servers.push(server);
  }
  return { servers, origin: site.origin };
}

const skip = peers.skip('nginx', 'openssl');

t.setTimeout(280_000);
const accepted = readAccepted();
const seen = new Set();

for (const [kind, list] of Object.entries(probes)) {
  t.test(kind, { skip, timeout: 240_000 }, async (t) => {
    const { servers, origin } = await lab(t, kind);
    for (const difference of await compare(list, servers, origin)) {
      seen.add(key(difference));
      if (accepted.has(key(difference))) t.comment(report(difference));
      else t.fail(report(difference));
    }
    t.pass(`${list.length} probes`);
  });
}

t.test('what is listed is still there', { skip }, async (t) => {
  const gone = [...accepted].filter((name) => !seen.has(name));
  t.strictSame(gone, []);
});
