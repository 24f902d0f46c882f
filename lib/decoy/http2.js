'use strict';

// HTTP/2 by Node's own implementation; the answers are those of HTTP/1.

const { constants, createServer } = require('node:http2');

const { encodeHead } = require('./hpack.js');
const { Http2Shape } = require('./http2-shape.js');
const { isHeadOnly, leadingFields } = require('./reply.js');
const { Request, VERSION_20 } = require('./request.js');

// What nginx announces.
const settings = {
  maxConcurrentStreams: 128,
  initialWindowSize: 65536,
  maxFrameSize: 16777215,
};
const CONNECTION_WINDOW = 2147483647;

const hopFields = new Set(['connection', 'keep-alive', 'transfer-encoding']);

class Http2 {
  #site;
  #server;
  #sessions = new Map();
  #next = null;

  constructor(site) {
    this.#site = site;
    this.#server = createServer({
      settings: {
        ...settings,
        maxConcurrentStreams: site.limits.maxStreams,
      },
      maxHeaderListPairs: 512,
      maxSessionMemory: 4,
    });
    this.#server.on('session', (session) => this.#onSession(session));
    this.#server.on('stream', (stream, _headers, _flags, raw) => {
      this.#onStream(stream, raw);
    });
    this.#server.on('sessionError', () => {});
  }

  serve(stream, info) {
    // The session is made, and its event comes, before emit() returns.
    const shape = new Http2Shape(stream, this.#site.limits.sendTimeout);
    shape.on('error', () => {});
    this.#next = { info, shape, requests: 0 };
    this.#server.emit('connection', shape);
    this.#next = null;
  }

  close() {
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #onSession(session) {
    const state = this.#next;
    const { keepAlive, headerTimeout } = this.#site.limits;
    this.#sessions.set(session, state);
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', () => {});
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.setTimeout(headerTimeout, () => session.close());
    state.shape.once('request', () => session.setTimeout(keepAlive));
  }

  async #onStream(stream, raw) {
    const { session } = stream;
    const state = this.#sessions.get(session);
    const { limits } = this.#site;
    stream.on('error', () => {});
    stream.setTimeout(limits.sendTimeout, () => {
      stream.close(constants.NGHTTP2_CANCEL);
    });
    if (!state) return;
    state.requests += 1;
    if (state.requests >= limits.maxRequests) session.close();
    const request = readRequest(raw);
    const status = request === null ? 400 : request.finish();
    const known = request ?? new Request();
    known.version = VERSION_20;
    const body = new StreamBody(stream, known, limits);
    const reply =
      status === 0
        ? await this.#site.respond(known, { ...state.info, body, stream })
        : this.#site.page(status, known);
    if (reply.gone) return;
    if (!body.wanted) stream.resume();
    await this.#send(stream, reply, known, state.shape);
  }

  async #send(stream, reply, request, shape) {
    try {
      const endStream = isHeadOnly(reply, request) || reply.body === null;
      if (stream.destroyed || stream.closed) return;
      shape.setHead(stream.id, this.#block(reply));
      const head = { ':status': reply.status };
      stream.respond(head, { endStream, sendDate: false });
      if (!endStream) await writeBody(stream, reply.body);
    } catch {
      if (!stream.destroyed) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    } finally {
      reply.dispose();
    }
  }

  #block(reply) {
    const fields = reply.fields.filter(
      ([name]) => !hopFields.has(name.toLowerCase()),
    );
    const leading = leadingFields(reply, this.#site);
    return encodeHead(reply.status, leading, fields);
  }
}

async function writeBody(stream, body) {
  if (Buffer.isBuffer(body)) {
    stream.end(body);
    return;
  }
  for await (const part of body) {
    if (stream.destroyed) throw new Error('the stream is gone');
    await new Promise((resolve) => stream.write(part, resolve));
  }
  stream.end();
}

// Null for what nginx answers with 400.
function readRequest(raw) {
  const request = new Request();
  const pseudo = {};
  const cookies = [];
  request.version = VERSION_20;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase();
    const value = raw[i + 1];
    if (name.startsWith(':')) pseudo[name] = value;
    else if (name === 'cookie') cookies.push(value);
    else if (!/^[a-z0-9-]+$/.test(name)) continue;
    else if (!request.addField(name, value)) return null;
  }
  if (cookies.length > 0) request.addField('cookie', cookies.join('; '));
  return usePseudo(request, pseudo) ? request : null;
}

function usePseudo(request, pseudo) {
  request.method = pseudo[':method'] ?? '';
  if (!/^[A-Z_-]+$/.test(request.method)) return false;
  const authority = pseudo[':authority'];
  if (authority !== undefined) {
    if (!request.setHost(authority)) return false;
    if (!request.headers.has('host')) request.headers.set('host', authority);
  }
  const path = pseudo[':path'] ?? '';
  return path.startsWith('/') && request.setTarget(path);
}

class StreamBody {
  #stream;
  #request;
  #limits;

  constructor(stream, request, limits) {
    this.#stream = stream;
    this.#request = request;
    this.#limits = limits;
    this.wanted = false;
  }

  /** At most so many bytes are kept. */
  get bound() {
    const { contentLength } = this.#request;
    if (this.#stream.endAfterHeaders) return 0;
    return contentLength === -1 ? this.#limits.maxBody : contentLength;
  }

  /** @returns {Promise<Buffer | number>} as with HTTP/1 */
  read() {
    this.wanted = true;
    const stream = this.#stream;
    const parts = [];
    let size = 0;
    return new Promise((resolve) => {
      stream.on('data', (part) => {
        size += part.length;
        if (size <= this.#limits.maxBody) parts.push(part);
        else resolve(413);
      });
      stream.once('end', () => resolve(Buffer.concat(parts)));
      stream.once('close', () => resolve(0));
    });
  }
}

module.exports = { Http2 };
