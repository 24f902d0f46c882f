'use strict';

// Another web server behind this one, as `proxy_pass` reaches it.

const http = require('node:http');
const https = require('node:https');
const { isIP } = require('node:net');

const { Reply } = require('./reply.js');
const { VERSION_20 } = require('./request.js');

// Not passed on: they belong to one connection, or are set anew.
const hopFields = new Set([
  'host',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'expect',
  'upgrade',
  'content-length',
  'x-real-ip',
  'x-forwarded-for',
  'x-forwarded-proto',
]);

// nginx answers with its own.
const hidden = new Set([
  'date',
  'server',
  'x-pad',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'content-type',
]);

class Origin {
  #url;
  #server;
  #limits;
  #ca;
  #held = 0;

  constructor(url, { server, limits, ca }) {
    this.#url = url;
    this.#server = server;
    this.#limits = limits;
    this.#ca = ca;
  }

  /** @returns {Promise<Reply>} */
  async answer(request, context) {
    const reserved = context.body.bound;
    if (this.#held + reserved > this.#limits.maxBodies) {
      return this.#page(500, request);
    }
    this.#held += reserved;
    try {
      const body = await context.body.read();
      if (Buffer.isBuffer(body)) return await this.#ask(request, context, body);
      const reply = this.#page(
        body === 400 || body === 413 ? body : 400,
        request,
      );
      reply.gone = body === 0 || body === 408;
      return reply;
    } catch (error) {
      return this.#page(error.code === 'ETIMEDOUT' ? 504 : 502, request);
    } finally {
      this.#held -= reserved;
    }
  }

  cut(reply) {
    return reply;
  }

  #page(code, request) {
    return Reply.page(code, request, this.#server);
  }

  #ask(request, context, body) {
    const url = this.#url;
    const client = url.protocol === 'https:' ? https : http;
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const outgoing = client.request({
      host: name,
      port: url.port || undefined,
      path: request.target,
      method: request.method,
      headers: requestFields(request, context, body).flat(),
      setHost: false,
      agent: false,
      ca: this.#ca,
      servername: isIP(name) ? undefined : name,
      maxHeaderSize: 8192,
    });
    return new Promise((resolve, reject) => {
      outgoing.setTimeout(this.#limits.proxyTimeout, () => {
        outgoing.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' }));
      });
      outgoing.on('error', reject);
      const giveUp = () => outgoing.destroy();
      context.stream.once('close', giveUp);
      outgoing.once('close', () => {
        context.stream.removeListener('close', giveUp);
      });
      outgoing.on('response', (incoming) => {
        incoming.on('error', () => {});
        resolve(this.#take(incoming, request));
      });
      outgoing.on('upgrade', (incoming, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        const reply = this.#take(incoming, request);
        reply.upgrade = socket;
        reply.length = -1;
        reply.release = () => socket.destroy();
        resolve(reply);
      });
      outgoing.end(body);
    });
  }

  #take(incoming, request) {
    const reply = new Reply(incoming.statusCode);
    reply.reason = `${incoming.statusCode} ${incoming.statusMessage}`;
    reply.type = incoming.headers['content-type'] ?? '';
    const length = incoming.headers['content-length'];
    if (length !== undefined) reply.length = Number(length);
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      const [name, value] = incoming.rawHeaders.slice(i, i + 2);
      const key = name.toLowerCase();
      if (hidden.has(key) || key.startsWith('x-accel-')) continue;
      if (key === 'location' && this.#isOwn(value)) {
        reply.location = value.slice(this.#url.origin.length);
      } else {
        reply.fields.push([name, value]);
      }
    }
    reply.body = request.method === 'HEAD' ? null : incoming;
    reply.release = () => incoming.destroy();
    return reply;
  }

  // A redirect to the origin itself becomes one to us.
  #isOwn(location) {
    return location.startsWith(`${this.#url.origin}/`);
  }
}

// Without a length Node would send an empty body in chunks.
const bodyless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);
const usesBody = (request) => !bodyless.has(request.method);

/** Of what the visitor speaks; where TLS ends in front, that knows. */
function scheme({ secure, headers }) {
  return secure ? 'https' : (headers.get('x-forwarded-proto') ?? 'http');
}

function requestFields(request, { remoteAddress }, body) {
  const upgrade = request.headers.get('upgrade');
  const wantsUpgrade = upgrade !== undefined && request.version < VERSION_20;
  const before = request.headers.get('x-forwarded-for');
  const address = remoteAddress ?? '';
  const fields = [
    ['Host', request.host],
    ['X-Real-IP', address],
    ['X-Forwarded-For', before ? `${before}, ${address}` : address],
    ['X-Forwarded-Proto', scheme(request)],
  ];
  if (wantsUpgrade) fields.push(['Upgrade', upgrade]);
  fields.push(['Connection', wantsUpgrade ? 'upgrade' : 'close']);
  if (request.hasBody || request.contentLength === 0 || usesBody(request)) {
    fields.push(['Content-Length', String(body.length)]);
  }
  for (const [name, value] of request.fields) {
    if (!hopFields.has(name.toLowerCase())) fields.push([name, value]);
  }
  return fields;
}

module.exports = { Origin };
