'use strict';

// What a visitor of a stealth listener sees: a web server that answers as
// nginx 1.22 of Debian 12 does, for a folder, for another web server behind
// it, or with 404 for everything. It is given decrypted streams and knows
// nothing of TLS.

const fs = require('node:fs');
const { Duplex } = require('node:stream');

const { Folder } = require('./decoy/folder.js');
const { Http1 } = require('./decoy/http1.js');
const { Http2 } = require('./decoy/http2.js');
const { Origin } = require('./decoy/origin.js');
const pages = require('./decoy/pages.js');
const { Reply, compress } = require('./decoy/reply.js');
const { optionError } = require('./errors.js');

// nginx's defaults, which Debian does not change. Times are milliseconds,
// sizes bytes.
const defaults = {
  /** worker_connections: more than these are closed at once. */
  maxConnections: 768,
  /** keepalive_requests, on one connection. */
  maxRequests: 1000,
  /** keepalive_time */
  maxTime: 3600000,
  /** client_max_body_size */
  maxBody: 1048576,
  /** Bodies held for the origin, all together. */
  maxBodies: 67108864,
  /** Files open at the same time. */
  maxOpenFiles: 512,
  /** http2_max_concurrent_streams */
  maxStreams: 128,
  /** client_header_timeout */
  headerTimeout: 60000,
  /** client_body_timeout */
  bodyTimeout: 60000,
  /** send_timeout */
  sendTimeout: 60000,
  /** keepalive_timeout */
  keepAlive: 75000,
  /** lingering_timeout */
  lingerTimeout: 5000,
  /** lingering_time */
  lingerTime: 30000,
  /** proxy_connect_timeout, proxy_read_timeout */
  proxyTimeout: 60000,
};

function checkOptions(options) {
  if (options === null || typeof options !== 'object') {
    throw optionError('options', 'must be an object');
  }
  const { decoy, server = pages.DEFAULT_SERVER, originCa, ...rest } = options;
  if (typeof server !== 'string' || !/^[\x21-\x7e]+$/.test(server)) {
    throw optionError('server', 'must be printable and without spaces');
  }
  const limits = { ...defaults };
  for (const [name, value] of Object.entries(rest)) {
    if (!(name in defaults)) throw optionError(name, 'is not an option');
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      throw optionError(name, 'must be a whole number from 1');
    }
    limits[name] = value;
  }
  return { decoy, server, originCa, limits };
}

function makeContent({ decoy, server, originCa, limits }) {
  if (decoy === undefined) return new Nothing(server);
  if (typeof decoy !== 'string' || decoy === '' || decoy.includes('\0')) {
    throw optionError('decoy', 'must be a folder or an http(s) address');
  }
  if (!/^https?:/i.test(decoy)) return makeFolder(decoy, server, limits);
  let url;
  try {
    url = new URL(decoy);
  } catch {
    throw optionError('decoy', 'is not a valid address');
  }
  const bare = url.pathname === '/' && !url.search && !url.hash;
  if (!bare || url.username || url.password) {
    throw optionError('decoy', 'must be an origin: http(s)://host[:port]');
  }
  return new Origin(url, { server, limits, ca: originCa });
}

function makeFolder(decoy, server, limits) {
  if (!fs.statSync(decoy, { throwIfNoEntry: false })?.isDirectory()) {
    throw optionError('decoy', 'is not a folder');
  }
  return new Folder(decoy, { server, maxOpenFiles: limits.maxOpenFiles });
}

// `location / { return 404; }`
class Nothing {
  #server;

  constructor(server) {
    this.#server = server;
  }

  async answer(request) {
    return Reply.page(404, request, this.#server);
  }

  cut(reply) {
    return reply;
  }
}

class Decoy {
  #content;
  #http2;
  #streams = new Set();
  #closed = false;

  constructor(options) {
    const checked = checkOptions(options);
    this.limits = checked.limits;
    this.server = checked.server;
    this.#content = makeContent(checked);
    this.#http2 = new Http2(this);
  }

  /** For the Date field. */
  get now() {
    return Date.now();
  }

  get connections() {
    return this.#streams.size;
  }

  /**
   * Serves one connection. The stream is ours from now on: `end()` is taken
   * to send close_notify and FIN, `destroy()` to close without close_notify.
   * It has to stay readable after `end()` and writable after its own end
   * (`allowHalfOpen`).
   *
   * @param {Duplex} stream decrypted
   * @param {{ alpn?: string | false, servername?: string | false,
   *   remoteAddress?: string, localAddress?: string, localPort?: number,
   *   secure?: boolean, astray?: boolean }} [info] `secure: false`: no TLS is
   *   spoken here, at most in front; `astray`: where it should be: the visitor
   *   is told so, as nginx does
   */
  handle(stream, info = {}) {
    if (!(stream instanceof Duplex)) {
      throw optionError('stream', 'must be a Duplex');
    }
    stream.on('error', () => {});
    if (this.#closed || this.#streams.size >= this.limits.maxConnections) {
      stream.destroy();
      return;
    }
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    const known = { secure: true, localPort: 443, localAddress: '', ...info };
    if (known.alpn === 'h2') this.#http2.serve(stream, known);
    else new Http1(stream, known, this).run().catch(() => stream.destroy());
  }

  /** Ends every connection at once. */
  close() {
    this.#closed = true;
    this.#http2.close();
    for (const stream of this.#streams) stream.destroy();
  }

  // ---- what the connections ask

  /** Answers are there at once, and go out in the order of the requests. */
  get inOrder() {
    return !(this.#content instanceof Origin);
  }

  page(code, request) {
    return Reply.page(code, request, this.server);
  }

  /** @returns {Promise<Reply>} never rejects */
  async respond(request, context) {
    try {
      return this.#finish(
        await this.#choose(request, context),
        request,
        context,
      );
    } catch {
      return this.page(500, request);
    }
  }

  #choose(request, context) {
    if (request.astray) return this.page(pages.PLAIN_TO_TLS, request);
    if (request.contentLength > this.limits.maxBody) {
      return this.page(413, request);
    }
    return this.#content.answer(request, context);
  }

  #finish(reply, request, context) {
    // Where TLS ends in front, the place to come to is not known here.
    if (reply.location.startsWith('/') && request.secure) {
      const port = context.localPort === 443 ? '' : `:${context.localPort}`;
      const host = request.host || context.localAddress;
      reply.location = `https://${host}${port}${reply.location}`;
    }
    if (reply.upgrade) return reply;
    compress(reply, request);
    return this.#content.cut(reply, request);
  }
}

/**
 * @param {{ decoy?: string, server?: string, originCa?: string | Buffer }}
 *   options the rest are limits, see `defaults`
 */
function createDecoy(options = {}) {
  return new Decoy(options);
}

module.exports = { createDecoy, defaults };
