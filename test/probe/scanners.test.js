'use strict';
// What scanners report on a stealth listener is what they report on nginx, but for
// what docs/stealth-differences.md lists.
const t = require('tap');
const peers = require('../../scripts/peers.js');
const { Ledger } = require('./compare.js');
const { startBoth } = require('./lab.js');
const scanners = require('./scanners.js');
const { defaultTimes } = require('./target.js');

const servers = ['nginx', 'openssl'];
const skip = peers.skip('nmap', 'sslscan', 'testssl', ...servers);

t.setTimeout(290_000);
const ledger = new Ledger('Scanners');

function test(name, peer, scanner, key = 'ec') {
  const options = { skip: peers.skip(peer, ...servers), timeout: 200_000 };
  t.test(name, options, async (t) => {
    // Scanners say nothing for seconds, to hear whether the server does.
    const lab = await startBoth(t, { key, times: defaultTimes });
    const found = await scanners.scan(scanner, lab.servers, { cwd: lab.dir });
    ledger.enter(t, found.differences);
    t.ok(found.count > 1, `${found.count} things reported`);
  });
}

test('nmap', 'nmap', scanners.briefly);
test('nmap, all it has', 'nmap', scanners.thoroughly);
test('sslscan', 'sslscan', scanners.sslscan);
test('sslscan, RSA', 'sslscan', scanners.sslscan, 'rsa');
test('testssl', 'testssl', scanners.testssl);
test('testssl, RSA', 'testssl', scanners.testsslRsa, 'rsa');

t.test('what is listed is still there', { skip }, async (t) => {
  t.strictSame(ledger.gone, []);
});
