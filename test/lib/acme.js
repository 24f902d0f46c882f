'use strict';
// An Acme object with a directory, a listener and a clock around it.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { createAcme } = require('../../lib/acme.js');
const { AcmeDirectory } = require('./acme-directory.js');
const { ChallengeListener } = require('./challenge-listener.js');
const { Clock } = require('./clock.js');

const names = ['one.example', 'two.example'];

function tempDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wr-acme-'));
  t.teardown(() => fs.rmSync(dir, { recursive: true, force: true }));
  return path.join(dir, 'state');
}

// Starts one; `directory` and `clock` may be those of another test object.
// `tlsPort`: where the listener has to be.
async function startAcme(t, { directory, clock, tlsPort, ...options }) {
  const listener = await new ChallengeListener().start(tlsPort);
  const records = [];
  const acme = createAcme({
    domains: names,
    challenge: 'tls-alpn-01',
    directory: directory.url,
    ca: directory.ca,
    now: clock.now,
    timers: clock.timers,
    onCertificate: listener.onCertificate,
    onChallenge: listener.onChallenge,
    log: (level, message, fields) => records.push({ level, message, fields }),
    ...options,
  });
  const stop = async () => {
    await acme.stop();
    await listener.close();
  };
  t.teardown(stop);
  await acme.start();
  const named = (message) => records.filter((one) => one.message === message);
  return { acme, listener, records, named, stop };
}

// A directory and a clock, and what starts objects that use them.
async function withDirectory(t, options = {}) {
  const clock = new Clock();
  const directory = new AcmeDirectory({ now: clock.now, ...options });
  await directory.start();
  t.teardown(() => directory.close());
  const dir = tempDir(t);
  const start = (more) => startAcme(t, { directory, clock, dir, ...more });
  return { clock, directory, dir, start };
}

module.exports = { names, startAcme, tempDir, withDirectory };
