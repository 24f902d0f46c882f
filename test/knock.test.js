'use strict';
// The vectors of docs/reference/knock.md, computed from its words alone, and that
// the C tests have the same.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const t = require('tap');

const read = (...parts) =>
  fs.readFileSync(path.join(__dirname, '..', ...parts), 'utf8');
const page = read('docs', 'reference', 'knock.md');

function proof({ secret, host, target, nonce, time, exporter }) {
  const seconds = Buffer.alloc(8);
  seconds.writeBigUInt64BE(BigInt(time));
  const mac = crypto
    .createHmac('sha256', secret)
    .update('wraith knock v1')
    .update('GET')
    .update(host)
    .update(target)
    .update(nonce)
    .update(seconds)
    .update(exporter)
    .digest();
  return Buffer.concat([nonce, seconds, mac]).toString('base64url');
}

const rows = [
  ...page.matchAll(/^\| `([0-9a-f]{32})` \| (.*) \| `([\w-]{75})` \|$/gm),
];

t.test('vectors', async (t) => {
  const [, secret, host, target, time] =
    /^Secret `(.*)`, method `GET`, host `(.*)`, path `(.*)`, time (\d+)\.$/m.exec(
      page,
    );
  t.equal(rows.length, 2);
  for (const [, nonce, how, expected] of rows) {
    const exporter = how === 'none' ? '' : Buffer.alloc(32, 0x5a);
    const got = proof({
      ...{ secret, host, target, time, exporter },
      nonce: Buffer.from(nonce, 'hex'),
    });
    t.equal(got, expected);
  }
});

t.test('the C tests have them', async (t) => {
  const source = read('test', 'c', 'test_net_knock.c');
  const joined = source.replace(/"\s*\n\s*"/g, '');
  for (const [, , , expected] of rows) t.ok(joined.includes(expected));
});
