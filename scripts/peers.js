'use strict';
// Programs of others that the tests talk to, and the Debian package of each.
//   node scripts/peers.js            lists them
//   node scripts/peers.js --install  installs what is missing (root or CI)
// In a test:
//   const peers = require('../../scripts/peers.js');
//   t.test('...', { skip: peers.skip('sshd', 'curl') }, async (t) => {
//     spawn(peers.path('sshd'), args, { env: peers.env() })
const fs = require('node:fs');
const path = require('node:path');
const apt = require('./util/apt.js');
const { say, start, isCI, which } = require('./util/proc.js');

const python = (module) => ({
  file: `/usr/lib/python3/dist-packages/${module}`,
});

const peers = {
  sshd: { package: 'openssh-server' },
  ssh: { package: 'openssh-client' },
  'ssh-keygen': { package: 'openssh-client' },
  'ssh-agent': { package: 'openssh-client' },
  'ssh-add': { package: 'openssh-client' },
  dbclient: { package: 'dropbear-bin' },
  dropbear: { package: 'dropbear-bin' },
  python3: { package: 'python3' },
  asyncssh: { package: 'python3-asyncssh', ...python('asyncssh') },
  paramiko: { package: 'python3-paramiko', ...python('paramiko') },
  curl: { package: 'curl' },
  'fail2ban-regex': { package: 'fail2ban' },
  openssl: { package: 'openssl' },
  postgres: { package: 'postgresql' },
  initdb: { package: 'postgresql' },
  pgbench: { package: 'postgresql' },
  psql: { package: 'postgresql-client' },
  'redis-server': { package: 'redis-server' },
  'redis-cli': { package: 'redis-tools' },
  'redis-benchmark': { package: 'redis-tools' },
  haproxy: { package: 'haproxy' },
  nginx: { package: 'nginx' },
  microsocks: { package: 'microsocks' },
  tinyproxy: { package: 'tinyproxy-bin' },
  squid: { package: 'squid' },
  danted: { package: 'dante-server' },
  sslh: { package: 'sslh' },
  pebble: { package: 'pebble' },
  nmap: { package: 'nmap' },
  sslscan: { package: 'sslscan' },
  testssl: { package: 'testssl.sh' },
  tshark: { package: 'tshark' },
  dumpcap: { package: 'wireshark-common' },
  ndpiReader: { package: 'libndpi-bin' },
  chromium: { package: 'chromium' },
  'ssh-audit': { package: 'ssh-audit' },
  'systemd-analyze': { package: 'systemd' },
};

// PostgreSQL's server programs lie in a folder of their version, newest first.
function postgresDirs() {
  const base = '/usr/lib/postgresql';
  if (!fs.existsSync(base)) return [];
  return fs
    .readdirSync(base)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(base, version, 'bin'));
}

// Where the peer is, or null.
function find(name) {
  const peer = peers[name];
  if (!peer) throw new Error(`no such peer in scripts/peers.js: ${name}`);
  if (peer.file) return fs.existsSync(peer.file) ? peer.file : null;
  return which(name, postgresDirs());
}

// As find(), for a test that cannot go on without it.
function need(name) {
  const file = find(name);
  if (file) return file;
  throw new Error(`${name} is missing (package ${peers[name].package})`);
}

// For tap's `skip` option: false, or the reason. In CI a missing peer is no
// reason to skip: the test runs and fails.
function skip(...names) {
  const absent = names.filter((name) => !find(name));
  if (absent.length === 0 || isCI()) return false;
  return `missing: ${absent.map((n) => `${n} (${peers[n].package})`).join(', ')}`;
}

// The environment for a peer: the sanitizer run preloads AddressSanitizer into
// our own processes, and nothing else should get it.
function env(extra = {}) {
  const { LD_PRELOAD, ASAN_OPTIONS, UBSAN_OPTIONS, NODE_OPTIONS, ...rest } =
    process.env;
  return { ...rest, ...extra };
}

const missing = () => Object.keys(peers).filter((name) => !find(name));

const packagesOf = (names) => [
  ...new Set(names.map((name) => peers[name].package)),
];

// Installs what is missing if that is allowed; resolves to what still is.
async function ensure() {
  const absent = missing();
  if (absent.length > 0 && apt.mayInstall()) {
    await apt.install(packagesOf(absent), 'that the tests talk to');
  }
  return missing();
}

async function main(args) {
  const absent = args.includes('--install') ? await ensure() : missing();
  for (const name of Object.keys(peers)) {
    const where = find(name) ?? `missing (package ${peers[name].package})`;
    say(`${name.padEnd(16)} ${where}`);
  }
  return absent.length === 0 ? 0 : 1;
}

module.exports = {
  peers,
  path: need,
  find,
  skip,
  env,
  missing,
  ensure,
  packagesOf,
};
if (require.main === module) start('peers', main);
