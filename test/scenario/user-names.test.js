'use strict';
// Who there is on a server cannot be found out by trying names: the same key
// with a name that the policy knows and with one that it does not gets the same
// reply, byte for byte, after the same time.
//
// The names have the same length. A session asks for one name only (a change of
// it ends the session), so sessions come in pairs, one per name, that are asked
// by turns: whatever slows down the machine meets both. Of each session the mean
// of the quicker half of its replies is one sample, since replies of one session
// are not independent of each other. Two statistics stay below 4.5: Welch's t of
// the samples, and t of the differences within pairs, which does not see how the
// machine gets slower and faster from pair to pair and so sees much smaller
// differences. If the names made no difference, one of the two would be above
// that in one of 25,000 comparisons (99 degrees of freedom at the least).
const crypto = require('node:crypto');
const t = require('tap');
const wraith = require('../../lib/index.js');
const { keys } = require('../lib/pair.js');
const { certify } = require('../lib/certs.js');
const { SshClient, offerOf } = require('../lib/ssh-client.js');
const ids = require('../lib/ssh-identity.js');

const PAIRS = 100;
const ROUNDS = 25; // 5,000 probes of each kind of key
const LIMIT = 4.5;
const KNOWN = 'deploy'; // stands in the policy
const UNKNOWN = 'nobody';

/** From a new address each time: refusals may slow down an address. */
let used = 0;
const address = () => `127.11.${used >> 8}.${used++ & 255}`;

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function quickerHalf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.slice(0, Math.ceil(sorted.length / 2));
}

/** Squared standard error of the mean. */
function error2(values) {
  const middle = mean(values);
  const sum = values.reduce((total, v) => total + (v - middle) ** 2, 0);
  return sum / (values.length - 1) / values.length;
}

const welch = (a, b) => (mean(a) - mean(b)) / Math.sqrt(error2(a) + error2(b));
const paired = (differences) =>
  mean(differences) / Math.sqrt(error2(differences));

async function ask(client, payload) {
  const sealed = client.seal(payload);
  const began = process.hrtime.bigint();
  client.socket.write(sealed);
  const reply = await client.receive();
  return { ns: Number(process.hrtime.bigint() - began), reply };
}

/** One session per name, asked by turns in an order that nobody knows. */
async function askPair(port, key, replies) {
  const names = [KNOWN, UNKNOWN];
  const localAddress = address();
  const sessions = [];
  for (const user of crypto.randomInt(2) ? names : names.toReversed()) {
    const client = await SshClient.connect({ port, localAddress });
    const payload = offerOf(user, key);
    sessions.push({ user, client, payload, times: [] });
  }
  for (let i = 0; i < ROUNDS; i++) {
    const turn = crypto.randomInt(2) ? sessions : [...sessions].reverse();
    for (const { client, payload, times } of turn) {
      const { ns, reply } = await ask(client, payload);
      times.push(ns);
      replies.add(reply.toString('hex'));
    }
  }
  sessions.forEach(({ client }) => client.close());
  return Object.fromEntries(
    sessions.map(({ user, times }) => [user, mean(quickerHalf(times))]),
  );
}

async function compare(t, port, key, what) {
  const samples = [];
  const replies = new Set();
  await askPair(port, key, replies); // so that the code is warm
  for (let i = 0; i < PAIRS; i++) {
    samples.push(await askPair(port, key, replies));
  }
  const of = (name) => samples.map((sample) => sample[name]);
  const differences = samples.map((s) => s[KNOWN] - s[UNKNOWN]);
  const scores = [welch(of(KNOWN), of(UNKNOWN)), paired(differences)];
  t.equal(replies.size, 1, `${what}: one reply for all`);
  for (const score of scores)
    t.ok(Math.abs(score) < LIMIT, `${what}: ${score}`);
  const us = (ns) => (ns / 1000).toFixed(1);
  const seen = LIMIT * Math.sqrt(error2(differences));
  const means = `${us(mean(of(KNOWN)))} and ${us(mean(of(UNKNOWN)))} us`;
  t.comment(`${what}: ${means}; ${us(seen)} us more would be seen`);
}

function makeKey() {
  const pair = wraith.generateKeyPair({ comment: 'user' });
  const sign = ids.signerOfText(String(pair.privateKey));
  return ids.identity(ids.blobOfLine(pair.publicKey), sign);
}

const lineOf = (options, { blob }) =>
  `${options} ssh-ed25519 ${blob.toString('base64')}\n`;

t.test('a difference would be seen', (t) => {
  // Spread evenly over 20, in an order of its own: what this test says of the
  // statistics does not hang on chance.
  const noise = (i, order) => 100 + ((i * order) % PAIRS) * (20 / PAIRS);
  const sample = (order, add) =>
    Array.from({ length: PAIRS }, (_, i) => noise(i, order) + add);
  const [one, same, more] = [sample(37, 0), sample(59, 0), sample(83, 5)];
  const against = (other) => other.map((value, i) => value - one[i]);
  t.ok(Math.abs(welch(one, same)) < LIMIT);
  t.ok(Math.abs(paired(against(same))) < LIMIT);
  t.ok(Math.abs(welch(one, more)) > LIMIT, 'of one in twenty');
  t.ok(Math.abs(paired(against(more))) > LIMIT, 'of one in twenty');
  t.end();
});

t.test('known and unknown names', async (t) => {
  const [known, lined, trusted, unknown, user] = Array.from(
    { length: 5 },
    makeKey,
  );
  const names = `principals="${KNOWN},another"`;
  const server = await wraith.serve({
    hostKey: keys().host.privateKey,
    authorizedKeys: Buffer.from(
      lineOf('restrict', known) + lineOf(`cert-authority,${names}`, lined),
    ),
    certAuthority: [Buffer.from(lineOf('', trusted).trimStart())],
    listen: '127.0.0.1:0',
    maxAuthAttempts: 10 * ROUNDS,
  });
  t.teardown(() => server.close({ drain: 0 }));
  const { port } = server.addresses[0];
  const cert = (authority, ...principals) =>
    ids.identity(certify(user, authority, principals), user.sign);
  await compare(t, port, known, 'a key that may log in');
  await compare(t, port, unknown, 'a key that may not');
  await compare(t, port, cert(lined, KNOWN), 'a certificate for a line');
  await compare(t, port, cert(lined, 'x'), 'one with another principal');
  await compare(t, port, cert(trusted, 'x'), 'one of a trusted authority');
  await compare(t, port, cert(unknown, KNOWN), 'one of an unknown authority');
});
