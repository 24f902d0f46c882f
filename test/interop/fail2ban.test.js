'use strict';
// docs/fail2ban on logs that a real server wrote while clients did their worst:
// every failed login is found, nothing else is, and the address is always the
// one that the client really had.
const fs = require('node:fs');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const { connect } = require('./lib/net.js');
const { makeKey, runSsh } = require('./lib/openssh.js');
const { SshClient } = require('../lib/ssh-client.js');
const { blobOfLine, identity, signerOf } = require('../lib/ssh-identity.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['ssh', 'ssh-keygen', 'fail2ban-regex'] };
const DOCS = path.join(__dirname, '../../docs/fail2ban');
const FILTER = path.join(DOCS, 'filter.d/wraith.conf');
// Nobody ever connects from there.
const VICTIM = '203.0.113.66';

const logfmt = `WARN auth failed remote_addr=${VICTIM} attempts=1 session=1`;
const stamped = `2026-06-02T10:00:00.000Z ${logfmt}`;
const json =
  `{"time":"2026-06-02T10:00:00.000Z","level":"WARN",` +
  `"message":"auth failed","remote_addr":"${VICTIM}","attempts":1,"session":1}`;
const syslog = `Jun 02 10:00:00 host wraith[1]: ${stamped}`;

// What a client may call its user.
const names = [
  'plain',
  '',
  ' ',
  '-',
  '"',
  'a"b',
  "a'b",
  'a\\',
  'a\\" remote_addr=1',
  '\r\n',
  `x\n${stamped}\nx`,
  `x\r\n${stamped}\r\n`,
  `x\n${json}`,
  `x"}\n${json}\n{"x":"`,
  stamped,
  logfmt,
  json,
  syslog,
  `x\n${syslog}`,
  `" ${logfmt}`,
  `x" attempts=1 session=1\n${stamped}`,
  `x","remote_addr":"${VICTIM}`,
  `remote_addr=${VICTIM}`,
  VICTIM,
  `root@${VICTIM}`,
  '\u001b[2J\u001b]0;title\u0007',
  '\u001b[1A\u001b[2K',
  'gr\u00fc\u00df dich \u4f60\u597d \ud83d\ude00',
  '\u2028\u2029\u0085\u009b2J\u202e',
  'x'.repeat(255),
  `${'x'.repeat(255 - logfmt.length)}${logfmt}`,
  '%s%n%d',
  '<ADDR><HOST>',
  Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x80, 0x0a, 0x0d]),
  Buffer.from(Array.from({ length: 31 }, (_, i) => i + 1)),
];

const versions = [`SSH-2.0-${logfmt}`, `SSH-2.0-${json}`, 'SSH-2.0-"\\'];

// These are not for a conversation.
const scans = [
  ...versions.flatMap((version) => [version, `${version}\r\n`]),
  `SSH-2.0-x\r${stamped}\r\n`,
  'SSH-2.0-\u001b[2J\r\n',
  `${stamped}\r\n${json}\r\n`,
];

/** A new address of the loopback net for each connection. */
function addresses() {
  let n = 0;
  return () => `127.10.${n >> 8}.${n++ & 255}`;
}

async function makeIdentity(lab, name, args) {
  const key = await makeKey(lab, name, args);
  const blob = blobOfLine(key.line);
  return { ...key, identity: identity(blob, signerOf(key.file)) };
}

class Visitors {
  constructor(lab, server, keys) {
    Object.assign(this, { lab, server, keys });
    this.next = addresses();
    this.failed = []; // addresses that the filter has to find
    this.connections = 0;
  }

  async session(body, { localAddress = this.next(), ...more } = {}) {
    this.connections++;
    const { port } = this.server;
    const client = await SshClient.connect({ port, localAddress, ...more });
    await body(client);
    client.close();
    return localAddress;
  }

  /** Shows a key that is not known, with this name. */
  async refused(user, more) {
    const { wrong } = this.keys;
    const show = (client) => client.offer(user, wrong.identity);
    this.failed.push(await this.session(show, more));
  }

  /** Comes in after a few wrong keys. */
  async welcome(user) {
    const { wrong, right } = this.keys;
    await this.session(async (client) => {
      await client.offer(user, wrong.identity);
      await client.offer(user, wrong.identity);
      if (await client.login(user, right.identity)) return;
      throw new Error('there was no login');
    });
  }

  /** Never gets as far as a key. */
  async scan(text) {
    this.connections++;
    const { host, port } = this.server;
    const socket = await connect({ host, port, localAddress: this.next() });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {}); // the server may go as it likes
    socket.end(text);
    socket.resume();
    await closed;
  }

  async ssh(key, user) {
    this.connections++;
    const { lab, server } = this;
    const address = this.next();
    const options = [`BindAddress=${address}`];
    const place = { host: server.host, port: server.port, user };
    const { stderr } = await runSsh(lab, place, ['-N', '-T'], { key, options });
    if (!/Permission denied/.test(stderr)) throw new Error(stderr);
    this.failed.push(address);
  }

  /** Once the server has said goodbye to all of them. */
  async log() {
    const closed = /connection closed/;
    const times = this.connections;
    await this.server.line(closed, { from: 'stderr', times });
    return Buffer.concat(this.server.err).toString('latin1');
  }
}

/** All that the filter finds: addresses in the order of the log. */
async function found(lab, text) {
  const file = lab.file('wraith.log');
  fs.writeFileSync(file, text, 'latin1');
  const tool = peers.path('fail2ban-regex');
  const args = ['--usedns=no', '-e', 'ascii', '-o', 'ip', file, FILTER];
  const { code, stdout, stderr } = await lab.run(tool, args);
  if (code !== 0) throw new Error(stderr);
  return stdout.split('\n').filter(Boolean);
}

const prefixed = (text) =>
  text.replace(/^(?=.)/gm, 'Jun 02 10:00:00 host wraith[42]: ');

for (const format of ['logfmt', 'json']) {
  lab(`a hostile log, ${format}`, needs, async (t, lab) => {
    const wrong = await makeIdentity(lab, 'wrong');
    const odd = await makeIdentity(lab, 'odd', ['-C', stamped, '-N', '']);
    const right = await makeKey(lab, 'right');
    right.line = right.line.replace(/right$/, stamped);
    const blob = blobOfLine(right.line);
    right.identity = identity(blob, signerOf(right.file));
    const args = ['--listen', '[::]:0'];
    const server = await lab.serve({ keys: [right], args, format });
    const visitors = new Visitors(lab, server, { wrong, right });
    for (const name of names) await visitors.refused(name);
    for (const name of names) await visitors.welcome(name);
    for (const version of versions) await visitors.refused('x', { version });
    for (const text of scans) await visitors.scan(text);
    await visitors.ssh(odd, logfmt); // ssh itself sends no quotes or controls
    await visitors.ssh(wrong, VICTIM);
    const both = server.summary.addresses.find(({ host }) => host === '::');
    const { port } = both;
    await visitors.refused('six', { host: '::1', localAddress: '::1', port });
    await visitors.refused('four', { port });
    const log = await visitors.log();
    const want = [...visitors.failed].sort();
    t.ok(want.length > 40);
    t.strictSame((await found(lab, log)).sort(), want, 'as a file');
    const more = prefixed(log);
    t.strictSame((await found(lab, more)).sort(), want, 'as rsyslog writes it');
    t.ok(log.includes(VICTIM), 'there was something to be led astray by');
    t.notOk(/[^\n -~]/.test(log), 'nothing but printable ASCII');
  });
}

lab('fail2ban takes the jails', needs, async (t, lab) => {
  const config = lab.subdir('fail2ban');
  fs.cpSync('/etc/fail2ban', config, { recursive: true });
  fs.copyFileSync(FILTER, path.join(config, 'filter.d/wraith.conf'));
  const log = lab.file('wraith.log', '');
  const jails = fs.readFileSync(path.join(DOCS, 'jail.local'), 'utf8');
  fs.writeFileSync(
    path.join(config, 'jail.local'),
    jails
      .replace('/var/log/wraith.log', log)
      .replace('enabled = false', 'enabled = true'),
  );
  // Debian enables a jail for sshd that reads a file which may not be there.
  fs.rmSync(path.join(config, 'jail.d'), { recursive: true, force: true });
  const client = path.join(
    path.dirname(peers.path('fail2ban-regex')),
    'fail2ban-client',
  );
  const { code, stdout, stderr } = await lab.run(client, ['-c', config, '-d']);
  t.equal(code, 0, stderr);
  t.ok(stdout.includes(`['set', 'wraith', 'addlogpath', '${log}'`), stdout);
  t.match(stdout, /'wraith-journal', 'addjournalmatch', '_SYSTEMD_UNIT=wraith/);
});
