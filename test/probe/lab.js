'use strict';
// One place with a site, its certificate, and both servers that show it.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startOrigin } = require('./origin.js');
const { makeCertificate, makeSite } = require('./site.js');
const { startNginx, startStealth, times } = require('./target.js');

/**
 * @param {object} t whose end is theirs
 * @param {{ kind?: string, key?: 'ec' | 'rsa', times?: object }} [options]
 * @returns {Promise<{ dir: string, servers: object[], origin?: string }>} nginx
 *   is the first of them
 */
async function startBoth(t, options = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wraith-probe-'));
  t.teardown(() => fs.rmSync(dir, { recursive: true, force: true }));
  const site = { kind: options.kind ?? 'folder', root: path.join(dir, 'site') };
  makeSite(site.root);
  makeCertificate(dir, options.key);
  if (site.kind === 'origin') {
    const origin = await startOrigin();
    t.teardown(() => origin.stop());
    site.origin = `http://127.0.0.1:${origin.port}`;
  }
  const servers = [];
  for (const start of [startNginx, startStealth]) {
    const server = await start({ dir, site, times: options.times ?? times });
    t.teardown(() => server.stop());
    servers.push(server);
  }
  return { dir, servers, origin: site.origin };
}

module.exports = { startBoth };
