'use strict';

// How this server shows a directory that a name is its own. Each kind has
// open(), close(), and put(), which resolves to what takes the proof down.

const { once } = require('node:events');
const http = require('node:http');

const { errorFromStatus } = require('../errors.js');
const { serverNameOf } = require('./names.js');

/** A certificate for the name, which the listener shows to acme-tls/1. */
class TlsAlpn {
  constructor({ library, onChallenge }) {
    this.type = 'tls-alpn-01';
    this.library = library;
    this.onChallenge = onChallenge;
  }

  async open() {}

  async close() {}

  async put(authorization, _token, keyAuthorization) {
    const { crypto } = this.library;
    const [key, cert] = await crypto.createAlpnCertificate(
      authorization,
      keyAuthorization,
      await crypto.createPrivateEcdsaKey(),
    );
    const name = serverNameOf(authorization.identifier.value);
    await this.onChallenge(name, { cert: String(cert), key: String(key) });
    return () => this.onChallenge(name, null);
  }
}

const PREFIX = '/.well-known/acme-challenge/';

/** A small web server that knows the tokens that are pending. */
class Http01 {
  constructor({ httpListen, httpFallback }) {
    this.type = 'http-01';
    this.place = httpListen;
    this.fallback = httpFallback;
    this.tokens = new Map();
    this.server = null;
  }

  async open() {
    const options = {
      maxHeaderSize: 8192,
      headersTimeout: 10_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 1000,
      connectionsCheckingInterval: 2000,
    };
    const server = http.createServer(options, (request, response) =>
      this.#answer(request, response),
    );
    server.maxConnections = 64;
    server.listen({ host: this.place.host, port: this.place.port });
    try {
      await once(server, 'listening');
    } catch (cause) {
      throw listenError(cause);
    }
    this.server = server;
  }

  address() {
    return this.server?.address() ?? null;
  }

  async close() {
    const { server } = this;
    this.server = null;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async put(_authorization, token, keyAuthorization) {
    this.tokens.set(token, keyAuthorization);
    return () => this.tokens.delete(token);
  }

  #answer(request, response) {
    const { method, url } = request;
    const token = url.startsWith(PREFIX) ? url.slice(PREFIX.length) : '';
    const body = this.tokens.get(token);
    if (body !== undefined && (method === 'GET' || method === 'HEAD')) {
      response.setHeader('Content-Type', 'application/octet-stream');
      response.end(body);
    } else if (this.fallback) {
      this.fallback(request, response);
    } else {
      response.statusCode = 404;
      response.end();
    }
  }
}

function listenError(cause) {
  const { errno, syscall, address, port } = cause;
  const error = errorFromStatus(errno, { syscall, address, port, cause });
  error.message = `acmeHttpListen: ${error.message}`;
  error.option = 'acmeHttpListen';
  return error;
}

module.exports = { Http01, TlsAlpn };
