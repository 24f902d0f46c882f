'use strict';
// Who replays what a tunnel's client has said, or says hello in some odd way,
// hears from a stealth listener what nginx says.
const t = require('tap');
const peers = require('../../scripts/peers.js');
const { Ledger, compare } = require('./compare.js');
const { recordTunnel, replays, strangers } = require('./hellos.js');
const { startBoth } = require('./lab.js');
const { compareAnswers, compareSessions } = require('./sessions.js');

const skip = peers.skip('nginx', 'openssl');

t.setTimeout(120_000);
const ledger = new Ledger('Handshakes');

t.test('the client of a tunnel, replayed', { skip }, async (t) => {
  const { servers } = await startBoth(t, { key: 'rsa' });
  const bytes = await recordTunnel(servers[1].guest);
  const list = replays(bytes);
  ledger.enter(t, await compare(list, servers));
  t.pass(`${list.length} probes`);
});

t.test('odd hellos', { skip }, async (t) => {
  const { servers } = await startBoth(t, { key: 'rsa' });
  const list = await strangers();
  ledger.enter(t, await compare(list, servers));
  t.pass(`${list.length} probes`);
});

t.test('sessions of an ordinary client', { skip }, async (t) => {
  const { servers } = await startBoth(t, { key: 'rsa' });
  ledger.enter(t, await compareSessions(servers));
  t.pass('all kinds');
});

t.test('the records of answers', { skip }, async (t) => {
  const { servers } = await startBoth(t);
  ledger.enter(t, await compareAnswers(servers));
  t.pass('all kinds');
});

t.test('what is listed is still there', { skip }, async (t) => {
  t.strictSame(ledger.gone, []);
});
