'use strict';
// What an auditor says of the server's algorithms.
const { lab } = require('./lib/lab.js');
const peers = require('../../scripts/peers.js');

lab('ssh-audit', { peers: ['ssh-audit'] }, async (t, lab) => {
  const server = await lab.serve();
  const { stdout, stderr } = await lab.run(peers.path('ssh-audit'), [
    ...['-n', '-4', '-t', '20', '-p', String(server.port), server.host],
  ]);
  t.match(stdout, /^\(kex\) /m, `it saw the server; ${stderr}`);
  const red = stdout.split('\n').filter((line) => /\[fail\]/.test(line));
  t.strictSame(red, [], 'nothing red');
  t.match(stdout, /^\(gen\) compression: disabled/m);
  t.match(stdout, /^\(key\) ssh-ed25519 /m);
  t.notMatch(stdout, /^\(key\) (ssh-rsa|ecdsa|ssh-dss)/m);
  t.match(stdout, /kex-strict-s-v00@openssh\.com|^\(enc\) aes256-gcm/m);
  t.equal(t.counts.fail, 0, stdout);
});
