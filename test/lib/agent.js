'use strict';
// An ssh-agent of our own: it holds what real ones hold only with hardware, and
// misbehaves on demand.
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const FAILURE = Buffer.from([0, 0, 0, 1, 5]);

const u32 = (n) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(n);
  return out;
};
const u64 = (n) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(n));
  return out;
};
const string = (data) => {
  const bytes = Buffer.from(data);
  return Buffer.concat([u32(bytes.length), bytes]);
};
const message = (...parts) => string(Buffer.concat(parts));
const sha256 = (data) => crypto.createHash('sha256').update(data).digest();

function publicBytes(publicKey) {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url');
}

function keyOf(type, blob, more) {
  return {
    type,
    blob,
    line: `${type} ${blob.toString('base64')} of-a-test`,
    fingerprint: `SHA256:${sha256(blob).toString('base64').replace(/=+$/, '')}`,
    ...more,
  };
}

/** An Ed25519 key: { type, blob, line, fingerprint, pub, sign(data) }. */
function softKey() {
  const type = 'ssh-ed25519';
  const pair = crypto.generateKeyPairSync('ed25519');
  const pub = publicBytes(pair.publicKey);
  const blob = Buffer.concat([string(type), string(pub)]);
  const sign = (data) =>
    Buffer.concat([
      string(type),
      string(crypto.sign(null, data, pair.privateKey)),
    ]);
  return keyOf(type, blob, { pub, sign });
}

/** The same as on a security key (PROTOCOL.u2f), with these flags. */
function skKey({ application = 'ssh:', flags = 1 } = {}) {
  const type = 'sk-ssh-ed25519@openssh.com';
  const pair = crypto.generateKeyPairSync('ed25519');
  const pub = publicBytes(pair.publicKey);
  const rest = Buffer.concat([string(pub), string(application)]);
  let counter = 0;
  const sign = (data) => {
    const state = Buffer.concat([Buffer.from([flags]), u32(++counter)]);
    const signed = [sha256(application), state, sha256(data)];
    const sig = crypto.sign(null, Buffer.concat(signed), pair.privateKey);
    return Buffer.concat([string(type), string(sig), state]);
  };
  const blob = Buffer.concat([string(type), rest]);
  return keyOf(type, blob, { pub, application, sign });
}

/** A certificate of the key, by the authority; as the key in its stead. */
function certificate(key, authority, options = {}) {
  const { principals = ['tester'], host = false, keyId = 'a test' } = options;
  const type = key.application
    ? 'sk-ssh-ed25519-cert-v01@openssh.com'
    : 'ssh-ed25519-cert-v01@openssh.com';
  const body = Buffer.concat([
    string(type),
    string(crypto.randomBytes(32)),
    string(key.pub),
    key.application ? string(key.application) : Buffer.alloc(0),
    u64(1),
    u32(host ? 2 : 1),
    string(keyId),
    string(Buffer.concat(principals.map(string))),
    u64(0),
    u64(2n ** 64n - 1n),
    string(''),
    string(
      host ? '' : Buffer.concat([string('permit-port-forwarding'), string('')]),
    ),
    string(''),
    string(authority.blob),
  ]);
  const blob = Buffer.concat([body, string(authority.sign(body))]);
  return keyOf(type, blob, { sign: key.sign });
}

function answerOf(agent, request) {
  if (request[0] === 11) {
    agent.lists += 1;
    const list = agent.keys.map(({ blob }) => [string(blob), string('c')]);
    return message(Buffer.from([12]), u32(agent.keys.length), ...list.flat());
  }
  const length = request.readUInt32BE(1);
  const blob = request.subarray(5, 5 + length);
  const key = agent.keys.find((one) => one.blob.equals(blob));
  const at = 5 + length;
  const data = request.subarray(at + 4, at + 4 + request.readUInt32BE(at));
  agent.asked.push(key);
  return key ? message(Buffer.from([14]), string(key.sign(data))) : FAILURE;
}

function serve(agent, socket) {
  let input = Buffer.alloc(0);
  agent.sockets.add(socket);
  socket.on('close', () => agent.sockets.delete(socket));
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    input = Buffer.concat([input, chunk]);
    if (input.length < 4 || input.length < 4 + input.readUInt32BE(0)) return;
    const request = input.subarray(4, 4 + input.readUInt32BE(0));
    const act = request[0] === 11 ? agent.onList : agent.onSign;
    act(socket, () => socket.write(answerOf(agent, request)));
  });
}

const usual = (socket, answer) => answer();

/**
 * { path, keys, asked, lists, close() }; onList and onSign get the socket and
 * the usual behaviour.
 */
async function startAgent(t, keys, { onList = usual, onSign = usual } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wra-'));
  const agent = {
    path: path.join(dir, 'agent'),
    keys,
    onList,
    onSign,
    asked: [], // the keys that signed
    lists: 0,
    sockets: new Set(),
  };
  const server = net.createServer((socket) => serve(agent, socket));
  agent.close = async () => {
    for (const socket of agent.sockets) socket.destroy();
    if (server.listening) await new Promise((done) => server.close(done));
  };
  agent.listen = () => new Promise((done) => server.listen(agent.path, done));
  await agent.listen();
  t.teardown(async () => {
    await agent.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return agent;
}

module.exports = { FAILURE, certificate, skKey, softKey, startAgent };
