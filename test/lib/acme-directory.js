'use strict';
// A small ACME directory (RFC 8555) that believes every challenge, with what
// pebble lacks: profiles, renewal information (RFC 9773), and failures on
// demand. It checks signatures, nonces, addresses and the kind of each request.
const {
  createHash,
  createHmac,
  createPublicKey,
  randomBytes,
  verify,
  webcrypto,
} = require('node:crypto');
const { once } = require('node:events');
const https = require('node:https');
const x509 = require('@peculiar/x509');
const { selfSigned } = require('../../lib/acme.js');

x509.cryptoProvider.set(webcrypto);

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const PROBLEM = 'urn:ietf:params:acme:error:';
const DAY_MS = 24 * 3600_000;

class Problem extends Error {
  constructor(status, type, detail = type, headers = {}) {
    super(detail);
    Object.assign(this, { status, type, headers });
  }
}

const decode = (text) => JSON.parse(Buffer.from(text, 'base64url'));
const token = () => randomBytes(12).toString('base64url');

// Order of the members is that of RFC 7638.
function thumbprint({ crv, kty, x, y }) {
  const text = JSON.stringify({ crv, kty, x, y });
  return createHash('sha256').update(text).digest('base64url');
}

class AcmeDirectory {
  constructor({ now, lifetime = 90 * DAY_MS, meta, eab } = {}) {
    this.now = now ?? Date.now;
    this.lifetime = lifetime;
    this.meta = meta;
    this.eab = eab; // { kid, hmacKey }, if it is required
    this.window = null; // for renewal information; null: it has none
    this.fault = null; // (path) → a Problem to answer with, or undefined
    this.challengeError = null; // a problem document: challenges fail
    this.onChallenge = null; // called when one is said to be up
    this.onIssue = null; // called when a certificate has been signed
    this.requests = []; // paths
    this.orders = [];
    this.accounts = new Map(); // url → { key, contact, status }
    this.things = new Map(); // path → what a POST-as-GET reads
    this.nonces = new Set();
  }

  async start() {
    const tls = selfSigned(['127.0.0.1']);
    this.ca = Buffer.from(tls.cert);
    this.keys = await webcrypto.subtle.generateKey(EC, true, [
      'sign',
      'verify',
    ]);
    this.issuer = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=Test authority',
      keys: this.keys,
      signingAlgorithm: EC,
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2049-01-01'),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        await x509.SubjectKeyIdentifierExtension.create(this.keys.publicKey),
      ],
    });
    this.server = https.createServer(tls, (request, response) =>
      this.#serve(request, response),
    );
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.base = `https://127.0.0.1:${this.server.address().port}`;
    this.url = `${this.base}/dir`;
    return this;
  }

  async close() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  count(path) {
    return this.requests.filter((one) => one === path).length;
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const path = request.url;
    this.requests.push(path);
    const nonce = token();
    this.nonces.add(nonce);
    response.setHeader('Replay-Nonce', nonce);
    try {
      const fault = this.fault?.(path);
      if (fault) throw fault;
      const body = Buffer.concat(chunks).toString();
      const { method, headers } = request;
      const isSigned = headers['content-type'] === 'application/jose+json';
      if ((method === 'POST') !== isSigned) throw new Problem(415, 'malformed');
      const answer = await this.#route(method, path, body);
      this.#reply(response, answer);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { status, type, message, headers } = error;
      const data = { type: PROBLEM + type, detail: message };
      this.#reply(response, { status, headers, data });
    }
  }

  #reply(response, { status = 200, headers = {}, data, location }) {
    const isText = typeof data === 'string';
    const type = isText
      ? 'application/pem-certificate-chain'
      : 'application/json';
    const all = { 'Content-Type': type, ...headers };
    if (location) all.Location = location;
    response.writeHead(status, all);
    response.end(isText ? data : JSON.stringify(data));
  }

  async #route(method, path, body) {
    if (path === '/dir') return { data: this.#directory() };
    if (path === '/nonce') return { data: {} };
    if (path.startsWith('/info/')) return this.#info(path);
    if (method !== 'POST') throw new Problem(405, 'malformed');
    const { account, payload, jwk } = this.#verified(path, body);
    if (path === '/account') return this.#newAccount(jwk, payload);
    if (path === '/order') return this.#newOrder(payload);
    if (this.accounts.has(this.base + path)) {
      Object.assign(account, payload);
      return { data: account };
    }
    const thing = this.things.get(path);
    if (!thing) throw new Problem(404, 'malformed', `nothing at ${path}`);
    if (payload !== null) await thing.post(payload, account);
    return { data: thing.read(), headers: thing.headers };
  }

  #directory() {
    return {
      newNonce: `${this.base}/nonce`,
      newAccount: `${this.base}/account`,
      newOrder: `${this.base}/order`,
      ...(this.window && { renewalInfo: `${this.base}/info` }),
      meta: {
        ...this.meta,
        ...(this.eab && { externalAccountRequired: true }),
      },
    };
  }

  #info(path) {
    const known = this.orders.some((order) => path === `/info/${order.id}`);
    if (!known) throw new Problem(404, 'malformed', 'no such certificate');
    const [start, end] = this.window.map((ms) => new Date(ms).toISOString());
    return {
      data: { suggestedWindow: { start, end } },
      headers: { 'Retry-After': '21600' },
    };
  }

  // The account that signed, or the key of one that is to be.
  #verified(path, body) {
    const { protected: head, payload, signature } = JSON.parse(body);
    const { alg, url, nonce, kid, jwk } = decode(head);
    if (!this.nonces.delete(nonce)) throw new Problem(400, 'badNonce');
    if (url !== this.base + path) throw new Problem(401, 'unauthorized', 'url');
    if ((path === '/account') !== (jwk !== undefined)) {
      throw new Problem(400, 'malformed', 'jwk and kid are mixed up');
    }
    const account = jwk ? undefined : this.accounts.get(kid);
    if (!jwk && !account) throw new Problem(400, 'accountDoesNotExist');
    const key = createPublicKey({ key: jwk ?? account.key, format: 'jwk' });
    const isRight = verify(
      'sha256',
      Buffer.from(`${head}.${payload}`),
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    if (alg !== 'ES256' || !isRight) {
      throw new Problem(400, 'malformed', 'signature');
    }
    if (account && account.status !== 'valid') {
      throw new Problem(403, 'unauthorized', `account is ${account.status}`);
    }
    return { account, jwk, payload: payload === '' ? null : decode(payload) };
  }

  #newAccount(key, { contact, termsOfServiceAgreed, externalAccountBinding }) {
    if (!termsOfServiceAgreed) throw new Problem(403, 'userActionRequired');
    if (this.eab) this.#checkBinding(key, externalAccountBinding);
    const location = `${this.base}/account/${thumbprint(key)}`;
    const status = this.accounts.has(location) ? 200 : 201;
    const account = this.accounts.get(location) ?? { key, status: 'valid' };
    if (account.status !== 'valid') throw new Problem(403, 'unauthorized');
    account.contact = contact;
    this.accounts.set(location, account);
    return { status, location, data: account };
  }

  // RFC 8555 7.3.4
  #checkBinding(key, binding) {
    if (!binding) throw new Problem(403, 'externalAccountRequired');
    const { alg, kid, url } = decode(binding.protected);
    const mac = createHmac('sha256', Buffer.from(this.eab.hmacKey, 'base64url'))
      .update(`${binding.protected}.${binding.payload}`)
      .digest('base64url');
    const isRight =
      alg === 'HS256' &&
      kid === this.eab.kid &&
      url === `${this.base}/account` &&
      thumbprint(decode(binding.payload)) === thumbprint(key) &&
      mac === binding.signature;
    if (!isRight) throw new Problem(403, 'unauthorized', 'binding');
  }

  #newOrder({ identifiers, profile, replaces }) {
    const path = `/order/${this.orders.length}`;
    const isTaken = this.orders.some((one) => one.replaces === replaces);
    if (replaces && isTaken) throw new Problem(409, 'alreadyReplaced');
    const order = { identifiers, profile, replaces, status: 'pending' };
    this.orders.push(order);
    order.proofs = identifiers.map((one, i) =>
      this.#proof(one, `${path}-${i}`),
    );
    this.things.set(path, { read: () => this.#orderState(order, path) });
    this.things.set(`${path}/finalize`, {
      post: async ({ csr }) => {
        await this.#issue(order, csr, path);
        await this.onIssue?.();
      },
      read: () => this.#orderState(order, path),
    });
    const location = this.base + path;
    return { status: 201, location, data: this.#orderState(order, path) };
  }

  #orderState(order, path) {
    const { identifiers, proofs, cert } = order;
    const isProved = proofs.every(({ status }) => status === 'valid');
    return {
      status: cert ? 'valid' : isProved ? 'ready' : 'pending',
      identifiers,
      authorizations: proofs.map(({ url }) => url),
      finalize: `${this.base}${path}/finalize`,
      ...(cert && { certificate: `${this.base}${path}/cert` }),
    };
  }

  #proof(identifier, path) {
    const proof = { status: 'pending', url: this.base + path };
    const challenge = (type) => ({
      type,
      status: proof.status,
      url: `${this.base}${path}/challenge`,
      token: 'a-token',
      ...(proof.status === 'invalid' && { error: this.challengeError }),
    });
    const challenges = () => ['tls-alpn-01', 'http-01'].map(challenge);
    this.things.set(path, {
      read: () => ({
        status: proof.status,
        identifier,
        challenges: challenges(),
      }),
    });
    this.things.set(`${path}/challenge`, {
      post: async () => {
        await this.onChallenge?.();
        proof.status = this.challengeError ? 'invalid' : 'valid';
      },
      read: () => challenge('tls-alpn-01'),
    });
    return proof;
  }

  async #issue(order, csr, path) {
    const request = new x509.Pkcs10CertificateRequest(
      Buffer.from(csr, 'base64url'),
    );
    if (!(await request.verify())) throw new Problem(400, 'badCSR');
    const names = request.getExtension('2.5.29.17');
    const wanted = names.names.items.map(({ value }) => value).sort();
    const ordered = order.identifiers.map(({ value }) => value).sort();
    if (String(wanted) !== String(ordered)) throw new Problem(400, 'badCSR');
    const from = this.now();
    const cert = await x509.X509CertificateGenerator.create({
      subject: 'CN=',
      issuer: this.issuer.subject,
      publicKey: request.publicKey,
      signingKey: this.keys.privateKey,
      signingAlgorithm: EC,
      notBefore: new Date(from),
      notAfter: new Date(from + this.lifetime),
      extensions: [
        names,
        await x509.AuthorityKeyIdentifierExtension.create(this.keys.publicKey),
      ],
    });
    order.cert = cert;
    order.id = renewalId(cert);
    const chain = `${cert.toString('pem')}\n${this.issuer.toString('pem')}\n`;
    this.things.set(`${path}/cert`, { read: () => chain });
  }
}

// RFC 9773 4.1: the serial number as in the certificate, where a first bit that
// is set gets a zero byte before it.
function renewalId(cert) {
  const { keyId } = cert.getExtension(x509.AuthorityKeyIdentifierExtension);
  const sign = /^[89a-f]/.test(cert.serialNumber) ? '00' : '';
  return [keyId, sign + cert.serialNumber]
    .map((hex) => Buffer.from(hex, 'hex').toString('base64url'))
    .join('.');
}

module.exports = { AcmeDirectory, Problem };
