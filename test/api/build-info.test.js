'use strict';

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const t = require('tap');

const { version } = require('../../package.json');
const { buildInfo } = require('../../lib/index.js');

const cli = path.join(__dirname, '../../bin/wraith.js');

t.test('buildInfo names every part and its version', async (t) => {
  const info = buildInfo();
  t.equal(info.version, version);
  for (const part of ['libssh', 'openssl', 'ngtcp2', 'nghttp3', 'libuv']) {
    t.match(info[part], /^\d+\.\d+\.\d+/, part);
  }
  for (const source of info.sources) t.match(source.sha256, /^[0-9a-f]{64}$/);
});

t.test('wraith --version says the same in one line', async (t) => {
  const { libssh, openssl, ngtcp2, nghttp3 } = buildInfo();
  const { status, stdout } = spawnSync(process.execPath, [cli, '--version'], {
    encoding: 'utf8',
  });
  t.equal(status, 0);
  t.equal(
    stdout,
    `wraith ${version} (libssh ${libssh}, OpenSSL ${openssl}, ` +
      `ngtcp2 ${ngtcp2}, nghttp3 ${nghttp3})\n`,
  );
});
