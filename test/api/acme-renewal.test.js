'use strict';
// Renewals, against a small directory and with a clock of our own.
const t = require('tap');
const { withDirectory } = require('../lib/acme.js');
const { Problem } = require('../lib/acme-directory.js');

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;

t.test('renewed after two thirds of its lifetime', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const { listener, named } = await start({ random: () => 0 });
  await listener.issued();
  await clock.pass(60 * DAY_MS - HOUR_MS);
  t.equal(directory.orders.length, 1);
  const renewed = listener.issued(2);
  await clock.pass(2 * HOUR_MS);
  const { cert } = await renewed;
  t.equal(directory.orders.length, 2);
  t.not(cert, listener.certificates[1].cert);
  t.match(named('acme renewing'), [
    { level: 'INFO', fields: { reason: 'lifetime' } },
  ]);
});

t.test('short-lived ones after half of it', async (t) => {
  const lifetime = 6 * DAY_MS;
  const { clock, directory, start } = await withDirectory(t, { lifetime });
  const { listener } = await start({ random: () => 0 });
  await listener.issued();
  await clock.pass(3 * DAY_MS - HOUR_MS);
  t.equal(directory.orders.length, 1);
  await clock.pass(2 * HOUR_MS);
  await listener.issued(2);
  t.equal(directory.orders.length, 2);
});

t.test('an expired one is replaced at once, and used until then', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const before = await start();
  const { cert } = await before.listener.issued();
  await before.acme.stop();
  clock.time += 100 * DAY_MS;
  const { listener } = await start();
  t.equal(listener.certificates[0].cert, cert);
  await listener.issued(2);
  t.equal(directory.orders.length, 2);
});

t.test('renewal information of the directory', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const begin = clock.now();
  directory.window = [begin + 2 * DAY_MS, begin + 4 * DAY_MS];
  const { listener, named } = await start({ random: () => 0.5 });
  await listener.issued();
  await clock.pass(3 * DAY_MS - 7 * HOUR_MS);
  t.equal(directory.orders.length, 1);
  directory.window = [begin + 8 * DAY_MS, begin + 10 * DAY_MS];
  await clock.pass(4 * DAY_MS);
  t.equal(directory.orders.length, 1, 'a window that moves is followed');
  // As when the authority has revoked the certificate.
  directory.window = [begin, begin + 1];
  await clock.pass(6 * HOUR_MS);
  await listener.issued(2);
  t.match(named('acme renewing'), [{ fields: { reason: 'renewal-info' } }]);
  t.equal(directory.orders[1].replaces, directory.orders[0].id);
});

t.test('a window after the end of the certificate', async (t) => {
  const lifetime = 6 * DAY_MS;
  const { clock, directory, start } = await withDirectory(t, { lifetime });
  directory.window = [clock.now() + 7 * DAY_MS, clock.now() + 8 * DAY_MS];
  const { listener } = await start({ random: () => 0 });
  await listener.issued();
  await clock.pass(3 * DAY_MS + HOUR_MS);
  t.equal(directory.orders.length, 2);
});

t.test('a directory that calls every certificate old', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  directory.window = [clock.now() - 2, clock.now() - 1];
  const { listener } = await start({ random: () => 0 });
  await listener.issued();
  await clock.pass(6 * HOUR_MS);
  // After 0, 2, 6, 14, 30, 62, 126 and 254 minutes.
  t.equal(directory.orders.length, 8);
});

t.test('renewal information that fails changes nothing', async (t) => {
  const lifetime = 6 * DAY_MS;
  const { clock, directory, start } = await withDirectory(t, { lifetime });
  directory.window = [clock.now() + DAY_MS, clock.now() + 2 * DAY_MS];
  directory.fault = (path) =>
    path.startsWith('/info') && new Problem(500, 'serverInternal');
  const { listener, named } = await start({ random: () => 0 });
  await listener.issued();
  await clock.pass(3 * DAY_MS - HOUR_MS);
  t.equal(directory.orders.length, 1);
  t.match(named('acme renewal info')[0], { level: 'DEBUG' });
  await clock.pass(2 * HOUR_MS);
  await listener.issued(2);
});

t.test('the certificate before may have been replaced already', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const begin = clock.now();
  directory.window = [begin + DAY_MS, begin + DAY_MS + 1];
  const { listener } = await start();
  await listener.issued();
  directory.orders.push({ replaces: directory.orders[0].id });
  await clock.pass(2 * DAY_MS);
  await listener.issued(2);
  t.equal(directory.orders[2].replaces, undefined);
});
