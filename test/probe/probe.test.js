'use strict';
// Every probe gets from a stealth listener what it gets from nginx, but for what
// docs/stealth-differences.md lists.
const t = require('tap');
const peers = require('../../scripts/peers.js');
const { Ledger, compare } = require('./compare.js');
const { startBoth } = require('./lab.js');
const probes = require('./probes.js');

const skip = peers.skip('nginx', 'openssl');

t.setTimeout(280_000);
const ledger = new Ledger('Requests');

for (const [kind, list] of Object.entries(probes)) {
  t.test(kind, { skip, timeout: 240_000 }, async (t) => {
    const { servers, origin } = await startBoth(t, { kind });
    ledger.enter(t, await compare(list, servers, origin));
    t.pass(`${list.length} probes`);
  });
}

t.test('what is listed is still there', { skip }, async (t) => {
  t.strictSame(ledger.gone, []);
});
