'use strict';
// A small SSH client of our own, for what real ones would not send: any user
// name, any version string, any key blob, one request after the other on one
// connection. It speaks curve25519-sha256 and aes128-gcm@openssh.com, believes
// every host key and never asks for new keys.
const crypto = require('node:crypto');
const net = require('node:net');
const { once } = require('node:events');

const MSG = {
  DISCONNECT: 1,
  IGNORE: 2,
  DEBUG: 4,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  KEXINIT: 20,
  NEWKEYS: 21,
  ECDH_INIT: 30,
  ECDH_REPLY: 31,
  USERAUTH_REQUEST: 50,
  USERAUTH_FAILURE: 51,
  USERAUTH_SUCCESS: 52,
  USERAUTH_PK_OK: 60,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  OPEN: 90,
  OPEN_CONFIRMATION: 91,
  OPEN_FAILURE: 92,
};
// What may come at any time and is nothing to anybody here.
const IDLE = new Set([MSG.IGNORE, MSG.DEBUG, MSG.GLOBAL_REQUEST]);

const u8 = (n) => Buffer.from([n]);
const u32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(n);
  return b;
};
const string = (value) => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u32(bytes.length), bytes]);
};
const mpint = (bytes) => {
  let from = 0;
  while (from < bytes.length && bytes[from] === 0) from++;
  const rest = bytes.subarray(from);
  return string(rest[0] & 0x80 ? Buffer.concat([u8(0), rest]) : rest);
};

const sha256 = (...parts) => {
  const hash = crypto.createHash('sha256');
  parts.forEach((part) => hash.update(part));
  return hash.digest();
};

/** Reads the fields of a message or blob one by one. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(n) {
    if (this.at + n > this.bytes.length) throw new Error('cut short');
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  u32() {
    return this.take(4).readUInt32BE();
  }

  string() {
    return this.take(this.u32());
  }
}

function kexInit() {
  const lists = [
    'curve25519-sha256',
    'ssh-ed25519',
    'aes128-gcm@openssh.com',
    'aes128-gcm@openssh.com',
    'hmac-sha2-256',
    'hmac-sha2-256',
    'none',
    'none',
    '',
    '',
  ].map(string);
  const cookie = crypto.randomBytes(16);
  return Buffer.concat([u8(MSG.KEXINIT), cookie, ...lists, u8(0), u32(0)]);
}

/** The message that offers a key. */
function offerOf(user, { algorithm, blob }) {
  const head = [user, 'ssh-connection', 'publickey'].map(string);
  const key = [algorithm, blob].map(string);
  return Buffer.concat([u8(MSG.USERAUTH_REQUEST), ...head, u8(0), ...key]);
}

/** One direction of AES-GCM (RFC 5647): the counter is in the last 8 bytes. */
class Gcm {
  constructor(key, iv) {
    this.key = key;
    this.iv = Buffer.from(iv);
  }

  next() {
    const iv = Buffer.from(this.iv);
    this.iv.writeBigUInt64BE(this.iv.readBigUInt64BE(4) + 1n, 4);
    return iv;
  }

  seal(length, body) {
    const c = crypto.createCipheriv('aes-128-gcm', this.key, this.next());
    c.setAAD(length);
    const sealed = Buffer.concat([c.update(body), c.final()]);
    return Buffer.concat([length, sealed, c.getAuthTag()]);
  }

  open(length, sealed, tag) {
    const d = crypto.createDecipheriv('aes-128-gcm', this.key, this.next());
    d.setAAD(length);
    d.setAuthTag(tag);
    return Buffer.concat([d.update(sealed), d.final()]);
  }
}

const rawX25519 = (key) =>
  Buffer.from(key.export({ format: 'jwk' }).x, 'base64url');
const importX25519 = (x) =>
  crypto.createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: x.toString('base64url') },
    format: 'jwk',
  });

class SshClient {
  /** Resolves once the server has agreed to talk about logins. */
  static async connect({ host = '127.0.0.1', port, localAddress, version }) {
    const socket = net.connect({ host, port, localAddress, noDelay: true });
    const client = new SshClient(socket, version);
    try {
      await once(socket, 'connect');
      await client.exchangeKeys();
      await client.ask([MSG.SERVICE_REQUEST, 'ssh-userauth']);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return client;
  }

  constructor(socket, version = 'SSH-2.0-probe') {
    this.socket = socket;
    this.version = version;
    this.buffered = Buffer.alloc(0);
    this.waiting = null;
    this.ended = false;
    socket.on('data', (chunk) => {
      this.buffered = Buffer.concat([this.buffered, chunk]);
      this.wake();
    });
    socket.on('close', () => {
      this.ended = true;
      this.wake();
    });
    socket.on('error', () => {}); // 'close' follows
  }

  wake() {
    const { waiting } = this;
    this.waiting = null;
    waiting?.();
  }

  /** Resolves with what `cut` takes off the front, once there is enough. */
  async read(cut) {
    for (;;) {
      const found = cut(this.buffered);
      if (found) {
        this.buffered = this.buffered.subarray(found.used);
        return found;
      }
      if (this.ended) throw new Error('the server closed the connection');
      await new Promise((resolve) => {
        this.waiting = resolve;
      });
    }
  }

  async readVersion() {
    const { line } = await this.read((b) => {
      const end = b.indexOf('\n');
      return end < 0 ? null : { line: `${b.subarray(0, end)}`, used: end + 1 };
    });
    return line.startsWith('SSH-') ? line.trimEnd() : this.readVersion();
  }

  frame(payload, block, counted) {
    let pad = block - ((counted + 1 + payload.length) % block);
    if (pad < 4) pad += block;
    const body = Buffer.concat([u8(pad), payload, Buffer.alloc(pad)]);
    return { length: u32(body.length), body };
  }

  /** A payload as it goes over the wire; to be sent in this order. */
  seal(payload) {
    if (!this.out) {
      const { length, body } = this.frame(payload, 8, 4);
      return Buffer.concat([length, body]);
    }
    const { length, body } = this.frame(payload, 16, 0);
    return this.out.seal(length, body);
  }

  sendPayload(payload) {
    this.socket.write(this.seal(payload));
  }

  /** A message of parts: the number, then strings, numbers (u32), buffers. */
  send([number, ...parts]) {
    const bytes = parts.map((part) => {
      if (typeof part === 'number') return u32(part);
      return typeof part === 'string' ? string(part) : part;
    });
    this.sendPayload(Buffer.concat([u8(number), ...bytes]));
  }

  async receivePayload() {
    const tag = this.in ? 16 : 0;
    const { packet } = await this.read((b) => {
      if (b.length < 4) return null;
      const used = 4 + b.readUInt32BE() + tag;
      return b.length < used ? null : { packet: b.subarray(0, used), used };
    });
    const length = packet.subarray(0, 4);
    const end = packet.length - tag;
    const body = this.in
      ? this.in.open(length, packet.subarray(4, end), packet.subarray(end))
      : packet.subarray(4);
    return body.subarray(1, body.length - body[0]);
  }

  async receive() {
    const payload = await this.receivePayload();
    if (IDLE.has(payload[0])) return this.receive();
    if (payload[0] === MSG.DISCONNECT) {
      throw new Error(`the server said goodbye: ${payload.subarray(9)}`);
    }
    return payload;
  }

  ask(message) {
    this.send(message);
    return this.receive();
  }

  async exchangeKeys() {
    this.socket.write(`${this.version}\r\n`);
    const theirVersion = await this.readVersion();
    const mine = kexInit();
    this.sendPayload(mine);
    const theirs = Buffer.from(await this.receive());
    const pair = crypto.generateKeyPairSync('x25519');
    const point = rawX25519(pair.publicKey);
    const reply = new Reader(await this.ask([MSG.ECDH_INIT, string(point)]));
    reply.take(1);
    this.hostKey = Buffer.from(reply.string());
    const theirPoint = Buffer.from(reply.string());
    const secret = mpint(
      crypto.diffieHellman({
        privateKey: pair.privateKey,
        publicKey: importX25519(theirPoint),
      }),
    );
    const hashed = [this.version, theirVersion, mine, theirs, this.hostKey];
    const all = [...hashed, point, theirPoint].map(string);
    await this.takeKeys(secret, sha256(...all, secret));
  }

  async takeKeys(secret, hash) {
    this.sessionId = hash;
    const derive = (letter) => sha256(secret, hash, Buffer.from(letter), hash);
    const gcm = (iv, key) =>
      new Gcm(derive(key).subarray(0, 16), derive(iv).subarray(0, 12));
    this.send([MSG.NEWKEYS]);
    this.out = gcm('A', 'C');
    await this.receive(); // NEWKEYS of the server
    this.in = gcm('B', 'D');
  }

  /** Offers a key without proof: 'ok', 'refused', or 'success' (never). */
  async offer(user, identity) {
    this.sendPayload(offerOf(user, identity));
    return answer(await this.receive());
  }

  /** Proves a key without having offered it. */
  async prove(user, { algorithm, blob, sign }) {
    const request = Buffer.concat([
      u8(MSG.USERAUTH_REQUEST),
      ...[user, 'ssh-connection', 'publickey'].map(string),
      u8(1),
      ...[algorithm, blob].map(string),
    ]);
    const signed = Buffer.concat([string(this.sessionId), request]);
    this.sendPayload(Buffer.concat([request, string(sign(signed))]));
    return answer(await this.receive());
  }

  /** As ssh does: an offer first, the proof if that was well taken. */
  async login(user, identity) {
    if ((await this.offer(user, identity)) !== 'ok') return false;
    return (await this.prove(user, identity)) === 'success';
  }

  /** Whether a channel to there opens; else the reason code of the refusal. */
  async open(host, port) {
    const numbers = [this.channels ?? 0, 1 << 20, 1 << 15];
    this.channels = (this.channels ?? 0) + 1;
    const to = [host, port, '127.0.0.1', 4000];
    this.send([MSG.OPEN, 'direct-tcpip', ...numbers, ...to]);
    for (;;) {
      const payload = await this.receive();
      if (payload[0] === MSG.OPEN_CONFIRMATION) return true;
      if (payload[0] === MSG.OPEN_FAILURE) return payload.readUInt32BE(5);
      // Data and the end of an earlier channel.
    }
  }

  /** The port where the server listens now; false if it does not want to. */
  async listen(host, port) {
    const answer = await this.request('tcpip-forward', host, port);
    if (!answer) return false;
    return port === 0 ? answer.u32() : port;
  }

  async unlisten(host, port) {
    return Boolean(await this.request('cancel-tcpip-forward', host, port));
  }

  /** A global request: what comes with success, or null. */
  async request(name, ...parts) {
    this.send([MSG.GLOBAL_REQUEST, name, u8(1), ...parts]);
    for (;;) {
      const payload = await this.receive();
      if (payload[0] === MSG.REQUEST_SUCCESS) {
        return new Reader(payload.subarray(1));
      }
      if (payload[0] === MSG.REQUEST_FAILURE) return null;
    }
  }

  close() {
    this.socket.destroy();
  }
}

function answer(payload) {
  if (payload[0] === MSG.USERAUTH_PK_OK) return 'ok';
  if (payload[0] === MSG.USERAUTH_SUCCESS) return 'success';
  if (payload[0] === MSG.USERAUTH_FAILURE) return 'refused';
  throw new Error(`not an answer to a login: message ${payload[0]}`);
}

module.exports = {
  Reader,
  SshClient,
  mpint,
  offerOf,
  sha256,
  string,
  u32,
  u8,
};
