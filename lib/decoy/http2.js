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
// How long one answer may hold up others.
const TURN_TIME = 20;
const CONNECTION_WINDOW = 2147483647;

const hopFields = new Set(['connection', 'keep-alive', 'transfer-encoding']);

// A request with such a field is no request at all.
const BAD_NAME = /^$|^.+:|[\0-\x20\x7fA-Z]/;
const BAD_VALUE = /[\0\r\n]/;
// Fields with other names are not looked at.
const GOOD_NAME = /^[a-z0-9-]+$/;
const MALFORMED = -1;

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
    this.#server.on('stream', (stream) => this.#onStream(stream));
    this.#server.on('sessionError', () => {});
  }

  serve(stream, info) {
    // The session is made, and its event comes, before emit() returns.
    const shape = new Http2Shape(stream, {
      closeTime: this.#site.limits.sendTimeout,
      // Nothing is at hand where another server is asked.
      holdTime: this.#site.inOrder ? TURN_TIME : 0,
    });
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
    state.turn = Promise.resolve();
    const { keepAlive, headerTimeout } = this.#site.limits;
    this.#sessions.set(session, state);
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', () => {});
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.setTimeout(headerTimeout, () => {
      if (state.shape.idle) state.shape.leave();
    });
    state.shape.once('request', () => session.setTimeout(keepAlive));
  }

  async #onStream(stream) {
    const { session } = stream;
    const state = this.#sessions.get(session);
    const { limits } = this.#site;
    stream.on('error', () => {});
    stream.setTimeout(limits.sendTimeout, () => {
      stream.close(constants.NGHTTP2_CANCEL);
    });
    if (!state) return;
    state.requests += 1;
    if (state.requests >= limits.maxRequests) state.shape.leave();
    const request = new Request();
    const status = readRequest(request, state.shape.takeRequest(stream.id));
    if (status === MALFORMED) {
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const body = new StreamBody(stream, request, limits);
    const turn = this.#turn(stream, state);
    await this.#answer(stream, request, status, body, state, turn);
  }

  // What nginx has at hand it answers in the order of the requests; one that
  // its client does not take holds up the others only for a moment.
  #turn(stream, state) {
    const begin = this.#site.inOrder ? state.turn : Promise.resolve();
    let end;
    state.turn = new Promise((resolve) => {
      end = resolve;
    });
    stream.once('finish', end);
    stream.once('close', end);
    begin.then(() => setTimeout(end, TURN_TIME).unref());
    return begin;
  }

  async #answer(stream, request, status, body, state, turn) {
    const reply =
      status === 0
        ? await this.#site.respond(request, { ...state.info, body, stream })
        : this.#site.page(status, request);
    if (reply.gone) return;
    request.wanted = body.wanted;
    if (!body.wanted) stream.resume();
    await turn;
    await this.#send(stream, reply, request, state.shape);
  }

  async #send(stream, reply, request, shape) {
    try {
      const endStream = isHeadOnly(reply, request) || reply.body === null;
      if (stream.destroyed || stream.closed) return;
      const reset = !stream.endAfterHeaders && !request.wanted;
      shape.setHead(stream.id, this.#block(reply), reset);
      if (reset) closeAfter(stream);
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

// nginx does not wait for a body that it does not want.
function closeAfter(stream) {
  stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
}

async function writeBody(stream, body) {
  if (Buffer.isBuffer(body)) {
    stream.end(body);
    return;
  }
  // The last part has to carry the end.
  let held = null;
  for await (const part of body) {
    if (stream.destroyed) throw new Error('the stream is gone');
    if (held) await writePart(stream, held);
    held = part;
  }
  if (held) stream.end(held);
  else stream.end();
}

function writePart(stream, part) {
  return new Promise((resolve) => stream.write(part, resolve));
}

// As nginx does, field by field; the first that is wrong decides.
function readRequest(request, fields) {
  const cookies = [];
  request.version = VERSION_20;
  request.target = '';
  request.scheme = '';
  for (const [name, value] of fields) {
    if (BAD_NAME.test(name) || BAD_VALUE.test(value)) return MALFORMED;
    if (name.startsWith(':')) {
      if (!pseudoField(request, name, value)) return 400;
    } else if (name === 'cookie') {
      cookies.push(value);
    } else if (GOOD_NAME.test(name) && !request.addField(name, value)) {
      return 400;
    }
  }
  if (cookies.length > 0) request.addField('cookie', cookies.join('; '));
  const whole = request.method && request.scheme && request.target;
  return whole ? request.finish() : 400;
}

function pseudoField(request, name, value) {
  switch (name) {
    case ':method':
      if (request.method || !/^[A-Z_-]+$/.test(value)) return false;
      request.method = value;
      return true;
    case ':scheme':
      if (request.scheme || !/^[a-zA-Z][a-zA-Z0-9+.-]*$/.test(value)) {
        return false;
      }
      request.scheme = value;
      return true;
    case ':path':
      if (request.target || !/^\/[^\0-\x20\x7f]*$/.test(value)) return false;
      return request.setTarget(value);
    case ':authority':
      return request.addField('host', value);
    default:
      return false;
  }
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
