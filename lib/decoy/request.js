'use strict';

// One request, whatever version of HTTP it came in: what is common to the
// reading of HTTP/1 and HTTP/2. Text is bytes (latin1) throughout.

const { readHost, readTarget } = require('./target.js');

// Fields that nginx answers with 400 when they come twice. Of the others the
// first counts.
const unique = new Set([
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'if-match',
  'if-none-match',
  'content-length',
  'if-range',
  'transfer-encoding',
  'expect',
  'authorization',
]);

const VERSION_09 = 9;
const VERSION_10 = 1000;
const VERSION_11 = 1001;
const VERSION_20 = 2000;

class Request {
  constructor() {
    this.method = '';
    /** As on the wire. */
    this.target = '/';
    /** Decoded, without dot segments. */
    this.path = '/';
    this.args = '';
    /** 1000 times the major number, plus the minor one; 9 for HTTP/0.9. */
    this.version = VERSION_10;
    /** The name it is for; empty if it gave none. */
    this.host = '';
    /** First value of each field by its name in lower case. */
    this.headers = new Map();
    /** All fields in order, as [name, value]. */
    this.fields = [];
    /** -1 without a Content-Length. */
    this.contentLength = -1;
    this.chunked = false;
    this.keepAlive = false;
    this.connectionType = '';
    /** Somebody reads its body. */
    this.wanted = false;
    /** It came on a TLS connection. */
    this.secure = true;
    /** Not on one where that was to be spoken. */
    this.astray = false;
  }

  /** Takes the target; false if it is none that nginx takes. */
  setTarget(target) {
    const read = readTarget(target);
    if (read === null) return false;
    this.target = target;
    this.path = read.path;
    this.args = read.args;
    return true;
  }

  /** Takes the name of an absolute target; false for a bad one. */
  setHost(name) {
    const host = readHost(name);
    if (host === null) return false;
    this.host = host;
    return true;
  }

  /** Takes a field; false if the request is bad because of it. */
  addField(name, value) {
    const key = name.toLowerCase();
    const seen = this.headers.has(key);
    if (seen && unique.has(key)) return false;
    this.fields.push([name, value]);
    if (!seen) this.headers.set(key, value);
    if (key === 'host') return this.#hostField(value);
    if (key === 'connection') this.#connectionField(value);
    return true;
  }

  // The name of an absolute target goes before, but both have to be right.
  #hostField(value) {
    const known = this.host;
    if (!this.setHost(value)) return false;
    if (known !== '') this.host = known;
    return true;
  }

  #connectionField(value) {
    const text = value.toLowerCase();
    if (text.includes('close')) this.connectionType = 'close';
    else if (text.includes('keep-alive')) this.connectionType = 'keep-alive';
  }

  /**
   * Checks what can be checked once all fields are there.
   *
   * @returns {number} 0, or the status to answer with
   */
  finish() {
    if (!this.headers.has('host') && this.version > VERSION_10) return 400;
    const length = this.headers.get('content-length');
    if (length !== undefined) {
      if (!/^[0-9]{1,18}$/.test(length)) return 400;
      this.contentLength = Number(length);
    }
    const coding = this.headers.get('transfer-encoding');
    if (coding !== undefined && this.version < VERSION_20) {
      if (this.version < VERSION_11) return 400;
      if (coding.toLowerCase() !== 'chunked') return 501;
      if (length !== undefined) return 400;
      this.chunked = true;
    }
    if (this.method === 'CONNECT' || this.method === 'TRACE') return 405;
    return 0;
  }

  /** Whether the client wants the connection to go on; after finish(). */
  wantsKeepAlive() {
    if (this.connectionType !== '') return this.connectionType !== 'close';
    return this.version > VERSION_10;
  }

  get hasBody() {
    return this.chunked || this.contentLength > 0;
  }
}

module.exports = {
  Request,
  VERSION_09,
  VERSION_10,
  VERSION_11,
  VERSION_20,
};
