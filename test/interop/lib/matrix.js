'use strict';
// The same login tried at the real sshd and at `wraith serve`, with the same
// key, user name and address: what does each decide?
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const peers = require('../../../scripts/peers.js');
const identities = require('../../lib/ssh-identity.js');
const { SshClient } = require('../../lib/ssh-client.js');
const { startSshd } = require('./openssh.js');

const USER = os.userInfo().username; // sshd wants an account
const RELOADED = / (INFO reload|ERROR reload failed) /;

// Logs of thousands of lines, limits for strangers and the like would only be
// in the way.
const SSHD = [
  'LogLevel INFO',
  'MaxStartups 100',
  'LoginGraceTime 120',
  'MaxAuthTries 100',
  'ListenAddress ::1',
  'UseDNS no',
];

/** Runs `work` over the items, a few at a time. */
async function pool(items, work, jobs = 4) {
  const rest = [...items];
  const worker = async () => {
    while (rest.length > 0) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

class Matrix {
  constructor(lab) {
    this.lab = lab;
    this.count = 0;
    this.addresses = 0;
    this.target = null;
  }

  /** A name for a file that no other has. */
  name(kind = 'file') {
    return `${kind}-${this.count++}`;
  }

  /** An address of the loopback net that no other probe comes from: failures
      from one address may slow it down, which is not the question here. */
  address() {
    const n = this.addresses++;
    return `127.9.${n >> 8}.${n & 255}`;
  }

  async tool(...args) {
    const result = await this.lab.run(peers.path('ssh-keygen'), args);
    if (result.code === 0) return result;
    throw new Error(`ssh-keygen ${args.join(' ')}: ${result.stderr}`);
  }

  keygen(...args) {
    return this.tool('-q', ...args);
  }

  /** A key pair of ssh-keygen: { file, pub, line, blob, sign }. */
  async key(type = 'ed25519', ...args) {
    const file = this.lab.file(this.name('key'));
    await this.keygen('-t', type, '-N', '', '-C', type, '-f', file, ...args);
    const pub = `${file}.pub`;
    const line = fs.readFileSync(pub, 'utf8').trim();
    const blob = identities.blobOfLine(line);
    return { file, pub, line, blob, sign: identities.signerOf(file) };
  }

  /** A certificate of the key as ssh-keygen -s makes it: the blob and file. */
  async certify(authority, key, args = ['-n', USER]) {
    const file = this.lab.file(this.name('cert'));
    fs.writeFileSync(`${file}.pub`, `${key.line}\n`);
    const id = args.includes('-I') ? [] : ['-I', 'id'];
    await this.keygen('-s', authority.file, ...id, ...args, `${file}.pub`);
    const certificate = `${file}-cert.pub`;
    const line = fs.readFileSync(certificate, 'utf8').trim();
    return { file: certificate, line, blob: identities.blobOfLine(line) };
  }

  /** Both servers: { keys, authorities, revoked }, the first lines, the others
      files. sshdKeys: lines for sshd, which skips those that it cannot read;
      args: more for wraith. */
  async start({ keys, sshdKeys = keys, authorities, revoked, args = [] }) {
    this.target = await this.lab.target('echo');
    this.sshd = await this.startSshd(authorities, revoked);
    fs.writeFileSync(this.sshd.keysFile, `${sshdKeys.join('\n')}\n`);
    const files = [
      ...(authorities ? ['--cert-authority', authorities] : []),
      ...(revoked ? ['--revoked-keys', revoked] : []),
    ];
    this.wraith = await this.startWraith(keys, [...files, ...args]);
  }

  async startSshd(authorities, revoked) {
    const files = [
      ...(authorities ? [`TrustedUserCAKeys ${authorities}`] : []),
      ...(revoked ? [`RevokedKeys ${revoked}`] : []),
    ];
    const sshd = await startSshd(this.lab, [...SSHD, ...files]);
    return Object.assign(sshd, { keysFile: this.lab.file('sshd_keys') });
  }

  async startWraith(keys, args) {
    const server = await this.lab.serve({
      keys: keys.map((line) => ({ line })),
      args: [...args, '--listen', '[::1]:0', '--max-auth-attempts', '100'],
      format: 'logfmt',
    });
    const six = server.summary.addresses.find(({ host }) => host === '::1');
    const keysFile = path.join(server.dir, 'authorized_keys');
    return Object.assign(server, { port6: six.port, keysFile });
  }

  /** Has wraith read its files anew: the record that says how that went. */
  async reload() {
    const { wraith } = this;
    const before = wraith.lines.filter(({ text }) => RELOADED.test(text));
    wraith.child.kill('SIGHUP');
    const times = before.length + 1;
    return (await wraith.line(RELOADED, { from: 'stderr', times })).input;
  }

  /** Other lines for wraith, which it will read with the next reload. */
  writeKeys(lines) {
    fs.writeFileSync(this.wraith.keysFile, `${lines.join('\n')}\n`);
  }

  placeOf(server, address) {
    if (address !== '::1') {
      return { port: server.port, localAddress: address };
    }
    return { host: '::1', port: server.port6 ?? server.port };
  }

  /** Runs `ask` on a session, or returns undefined if there is no login. */
  async session(server, { identity, user = USER, address }, ask) {
    const place = this.placeOf(server, address ?? this.address());
    const client = await SshClient.connect(place);
    try {
      return (await client.login(user, identity))
        ? await ask(client)
        : undefined;
    } finally {
      client.close();
    }
  }

  /** 'none', 'login', 'open' or 'listen' (only), 'forward' (both). */
  async decide(server, probe) {
    const { host, port } = this.target;
    const both = await this.session(server, probe, async (client) => [
      (await client.open(host, port)) === true,
      (await client.listen('localhost', 0)) !== false,
    ]);
    if (!both) return 'none';
    const [open, listen] = both;
    if (open === listen) return open ? 'forward' : 'login';
    return open ? 'open' : 'listen';
  }
}

module.exports = { Matrix, USER, pool };
