'use strict';

// An answer, before it is known how it goes out: the fields in the order in
// which nginx writes them, and a body that can be read once.

const { httpDate } = require('./dates.js');
const { pack } = require('./gzip.js');
const pages = require('./pages.js');
const { VERSION_11 } = require('./request.js');

// gzip_min_length; the types are nginx's default too.
const GZIP_MIN = 20;
const GZIP_PORTION = 32768;
const GZIP_TYPE = 'text/html';
const GZIP_STATUSES = new Set([200, 403, 404]);

class Reply {
  constructor(status) {
    this.status = status;
    /** The words after the status where they are not nginx's own. */
    this.reason = '';
    this.type = '';
    /** -1: not known beforehand. */
    this.length = -1;
    /** Seconds, or -1. */
    this.mtime = -1;
    /** An absolute path or address, or ''. */
    this.location = '';
    /** Further fields as [name, value]. */
    this.fields = [];
    /** @type {null | Buffer | AsyncIterable<Buffer>} */
    this.body = null;
    /** nginx gives up the connection after this answer. */
    this.abandon = false;
    /** It is known before the body of the request has been looked at. */
    this.readsBody = false;
    /** Of a file: `{ size, mtime, etag }`, and where its bytes come from. */
    this.file = null;
    this.handle = null;
    /** For an upgrade: the stream to go on with. */
    this.upgrade = null;
    /** There is nobody to answer any more. */
    this.gone = false;
    /** For dispose(): gives back what the body is read from. */
    this.release = null;
  }

  static page(code, request, server) {
    const reply = new Reply(pages.statusOf(code));
    reply.type = 'text/html';
    reply.body = pages.page(code, request, server);
    reply.length = reply.body.length;
    return reply;
  }

  /** The body is not needed any more. */
  dispose() {
    const { release } = this;
    this.release = null;
    if (release) release();
  }
}

/** Compresses as nginx of Debian does: pages only, at the lowest level. */
function compress(reply, request) {
  if (!GZIP_STATUSES.has(reply.status)) return;
  const [type] = reply.type.split(';');
  if (type.trimEnd().toLowerCase() !== GZIP_TYPE) return;
  if (reply.length !== -1 && reply.length < GZIP_MIN) return;
  if (hasField(reply, 'content-encoding') || !takesGzip(request)) return;
  const { length } = reply;
  reply.length = -1;
  reply.fields = reply.fields
    .filter(([name]) => name.toLowerCase() !== 'accept-ranges')
    .map(weakTag);
  reply.fields.push(['Content-Encoding', 'gzip']);
  if (request.method !== 'HEAD') reply.body = gzip(reply.body, length);
}

function weakTag([name, value]) {
  const strong = name.toLowerCase() === 'etag' && value.startsWith('"');
  return [name, strong ? `W/${value}` : value];
}

function hasField(reply, wanted) {
  return reply.fields.some(([name]) => name.toLowerCase() === wanted);
}

function takesGzip(request) {
  const accepted = request.headers.get('accept-encoding');
  if (accepted === undefined || request.headers.has('via')) return false;
  if (request.version < VERSION_11) return false;
  if (accepted.startsWith('gzip,')) return true;
  const m = /(?:^|[, ])gzip *(?:$|,|; *q=([0-9.]*) *(?:$|,)|;)/i.exec(accepted);
  if (!m) return false;
  return m[1] === undefined || Number(m[1]) > 0;
}

function gzip(body, length) {
  return inPortions(pack(Buffer.isBuffer(body) ? [body] : body, length));
}

// nginx passes packed bytes on by the buffer, not as they come.
async function* inPortions(source) {
  let held = [];
  let size = 0;
  for await (const part of source) {
    held.push(part);
    size += part.length;
    if (size < GZIP_PORTION) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(held);
}

/**
 * The fields that nginx writes first, in its order. Those that belong to the
 * connection follow, and then those of the reply itself.
 *
 * @returns {[string, string][]}
 */
function leadingFields(reply, { server, now }) {
  const first = [
    ['Server', server],
    ['Date', httpDate(Math.floor(now / 1000))],
  ];
  if (reply.type !== '') first.push(['Content-Type', reply.type]);
  if (reply.length !== -1) {
    first.push(['Content-Length', String(reply.length)]);
  }
  if (reply.mtime !== -1) first.push(['Last-Modified', httpDate(reply.mtime)]);
  if (reply.location !== '') first.push(['Location', reply.location]);
  return first;
}

/** Whether there is no body, whatever the reply holds. */
function isHeadOnly(reply, request) {
  return (
    request.method === 'HEAD' || reply.status === 304 || reply.status === 204
  );
}

module.exports = { Reply, compress, isHeadOnly, leadingFields };
