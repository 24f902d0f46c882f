'use strict';

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const t = require('tap');

const { generateKeyPair } = require('../../lib/index.js');

const cli = path.join(__dirname, '../../bin/wraith.js');

// The files under /proc of a process that may not be dumped are root's, and
// the process's own user cannot read its memory (proc(5)).
const dumpable = (pid) => fs.statSync(`/proc/${pid}/environ`).uid !== 0;

/** As a user other than root the owner of the files tells. */
const user = { uid: 65534, gid: 65534 };

function whyNot() {
  if (process.platform !== 'linux' || process.getuid() !== 0) {
    return 'needs Linux and root, to run the server as another user';
  }
  const read = `require('fs').accessSync(${JSON.stringify(cli)})`;
  const { status } = spawnSync(process.execPath, ['-e', read], user);
  return status === 0 ? false : 'another user cannot read this checkout';
}

const skip = whyNot();

t.test(
  'a running wraith leaves no core with keys in it',
  { skip },
  async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wraith-'));
    fs.chmodSync(dir, 0o755);
    t.teardown(() => fs.rmSync(dir, { recursive: true }));
    const file = (name, contents) => {
      const out = path.join(dir, name);
      fs.writeFileSync(out, contents, { mode: 0o600 });
      fs.chownSync(out, user.uid, user.gid);
      return out;
    };
    const host = generateKeyPair();
    const key = file('host', host.privateKey);
    const keys = file('keys', host.publicKey);
    const args = [cli, 'serve', '--key', key, '--authorized-keys', keys];
    args.push('--listen', '127.0.0.1:0', '--json');
    const server = spawn(process.execPath, args, { ...user });
    t.teardown(() => server.kill());
    await once(server.stdout, 'data');
    t.equal(dumpable(server.pid), false);

    const other = spawn(
      process.execPath,
      ['-e', 'console.log(1);setInterval(()=>{},9)'],
      user,
    );
    t.teardown(() => other.kill());
    await once(other.stdout, 'data');
    t.equal(dumpable(other.pid), true, 'as it is without');
  },
);
