'use strict';

// One connection that speaks HTTP/0.9, 1.0 or 1.1, from its first byte to the
// way in which it is closed.

const { BodyReader } = require('./body-reader.js');
const { HeadParser } = require('./head-parser.js');
const { Input } = require('./input.js');
const { statusLine } = require('./pages.js');
const { isHeadOnly, leadingFields } = require('./reply.js');
const { VERSION_10, VERSION_11 } = require('./request.js');
const { splice } = require('./splice.js');

// Where a connection stands when the last request on it is over.
const NEXT = 'next';
/** close_notify, FIN, and then what still comes is read for a while. */
const LINGER = 'linger';
/** close_notify and FIN. */
const CLOSE = 'close';
/** FIN alone: no close_notify after a failure, nor in answer to another. */
const DROP = 'drop';

// Errors after which nginx reads no further request.
const FINAL = new Set([400, 413, 414, 500, 501]);

// ssl_buffer_size
const RECORD = 16384;

class Http1 {
  #stream;
  #info;
  #site;
  #limits;
  #input;
  #parser = new HeadParser();
  #requests = 0;
  #began = performance.now();

  /**
   * @param {import('node:stream').Duplex} stream
   * @param {object} info what is known about the peer
   * @param {object} site answers requests (see ../decoy.js)
   */
  constructor(stream, info, site) {
    this.#stream = stream;
    this.#info = info;
    this.#site = site;
    this.#limits = site.limits;
    this.#input = new Input(stream);
  }

  /** Serves the connection to its end. */
  async run() {
    let fate = NEXT;
    try {
      while (fate === NEXT) fate = await this.#one();
      await this.#end(fate);
    } finally {
      this.#stream.destroy();
    }
  }

  async #one() {
    const fate = await this.#readHead();
    if (fate !== NEXT) return fate;
    const request = this.#parser.request;
    request.secure = this.#info.secure;
    request.astray = this.#info.astray ?? false;
    this.#requests += 1;
    const { status } = this.#parser;
    if (status !== 0) {
      const reply = this.#site.page(status, request);
      if (!(await this.#send(reply, request))) return DROP;
      return this.#parser.linger || this.#input.poll() ? LINGER : CLOSE;
    }
    return this.#answer(request);
  }

  // Waits for a head. Time runs from its first byte, for the first one from
  // the start of the connection.
  async #readHead() {
    const input = this.#input;
    const first = this.#requests === 0;
    let until = first ? this.#began + this.#limits.headerTimeout : 0;
    this.#parser.next(input.pending.length > 0);
    const idle = first ? until - performance.now() : this.#limits.keepAlive;
    const got = await input.more(idle);
    if (got !== 'data') return got === 'timeout' ? CLOSE : DROP;
    if (!first) until = performance.now() + this.#limits.headerTimeout;
    for (;;) {
      input.use(this.#parser.feed(input.pending));
      if (this.#parser.done) return NEXT;
      const more = await input.more(until - performance.now());
      if (more !== 'data') return DROP;
    }
  }

  async #answer(request) {
    request.keepAlive = this.#mayGoOn(request);
    const body = new RequestBody(this.#input, request, this.#limits, () =>
      this.#continue(request),
    );
    const context = { ...this.#info, body, stream: this.#stream };
    let reply = await this.#site.respond(request, context);
    if (reply.gone) return DROP;
    if (!body.wanted) reply = await this.#discard(reply, request, body);
    if (FINAL.has(reply.status) && !reply.reason) request.keepAlive = false;
    if (reply.upgrade) return this.#upgrade(reply, request);
    const sent = await this.#send(reply, request);
    if (!sent) return DROP;
    if (reply.abandon) return CLOSE;
    return body.failed ? LINGER : this.#afterReply(request, reply, body);
  }

  // The part of an unwanted body that is there already is looked at before
  // the answer goes out.
  async #discard(reply, request, body) {
    if (reply.readsBody) await this.#continue(request);
    body.discard();
    if (!body.failed) return reply;
    request.keepAlive = false;
    if (!reply.readsBody) return reply;
    reply.dispose();
    return this.#site.page(400, request);
  }

  #mayGoOn(request) {
    const { maxRequests, maxTime } = this.#limits;
    if (request.version < VERSION_10 || !request.wantsKeepAlive()) return false;
    if (this.#requests >= maxRequests) return false;
    return performance.now() - this.#began < maxTime;
  }

  // The body that nobody wants is read to its end, for a while.
  async #afterReply(request, reply, body) {
    const linger = request.hasBody && !body.done && reply.status !== 400;
    const until = performance.now() + this.#limits.lingerTime;
    while (!body.done) {
      const left = until - performance.now();
      const got = await this.#input.more(
        Math.min(left, this.#limits.lingerTimeout),
      );
      if (got !== 'data') return DROP;
      body.discard();
      if (body.failed) return DROP;
    }
    if (request.keepAlive && !this.#input.closed) return NEXT;
    return linger || this.#input.poll() ? LINGER : CLOSE;
  }

  async #continue(request) {
    if (request.continued || request.version < VERSION_11) return;
    request.continued = true;
    const expect = request.headers.get('expect');
    if (expect === undefined || expect.toLowerCase() !== '100-continue') return;
    await this.#write(Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'));
  }

  // ---- writing

  /** Resolves to whether all of it went out. */
  async #send(reply, request) {
    try {
      const head = this.#head(reply, request);
      const none = isHeadOnly(reply, request) && request.version >= VERSION_10;
      if (none || reply.body === null) return await this.#write(head);
      if (Buffer.isBuffer(reply.body)) {
        return await this.#write(Buffer.concat([head, reply.body]));
      }
      return await this.#sendParts(head, reply, request);
    } catch {
      return false;
    } finally {
      reply.dispose();
    }
  }

  async #sendParts(head, reply, request) {
    const chunked = this.#isChunked(reply, request);
    // nginx fills its records with what it has at hand.
    const record = this.#site.inOrder ? RECORD : 1;
    let held = head;
    for await (const part of reply.body) {
      if (part.length === 0) continue;
      const pieces = chunked
        ? [held, chunkHead(part.length), part, Buffer.from('\r\n')]
        : [held, part];
      const all = Buffer.concat(pieces);
      const whole = all.length - (all.length % record);
      held = all.subarray(whole);
      if (whole === 0) continue;
      if (!(await this.#write(all.subarray(0, whole)))) return false;
      this.#input.poll();
    }
    if (chunked) held = Buffer.concat([held, Buffer.from('0\r\n\r\n')]);
    return held.length === 0 || this.#write(held);
  }

  #isChunked(reply, request) {
    return (
      reply.length === -1 &&
      reply.status !== 101 &&
      request.version >= VERSION_11 &&
      !isHeadOnly(reply, request)
    );
  }

  #head(reply, request) {
    if (request.version < VERSION_10) return Buffer.alloc(0);
    const lines = [`HTTP/1.1 ${reply.reason || statusLine(reply.status)}`];
    const add = ([name, value]) => lines.push(`${name}: ${value}`);
    leadingFields(reply, this.#site).forEach(add);
    if (this.#isChunked(reply, request)) {
      add(['Transfer-Encoding', 'chunked']);
    } else if (reply.length === -1 && !isHeadOnly(reply, request)) {
      request.keepAlive = false;
    }
    add(['Connection', connectionOf(reply, request)]);
    reply.fields.forEach(add);
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  }

  /** Resolves when the bytes are on their way: true, or false if it failed. */
  #write(bytes) {
    const stream = this.#stream;
    if (this.#input.closed || stream.destroyed || !stream.writable) {
      return Promise.resolve(false);
    }
    return new Promise((resolve) => {
      const timer = setTimeout(done, this.#limits.sendTimeout, false);
      const onClose = () => done(false);
      function done(ok) {
        clearTimeout(timer);
        stream.removeListener('close', onClose);
        resolve(ok);
      }
      stream.once('close', onClose);
      stream.write(bytes, (error) => done(!error));
    });
  }

  async #upgrade(reply, request) {
    const other = reply.upgrade;
    if (!(await this.#write(this.#head(reply, request)))) {
      other.destroy();
      return DROP;
    }
    const { pending } = this.#input;
    this.#input.use(pending.length);
    const idle = this.#limits.proxyTimeout;
    return (await splice(this.#stream, pending, other, idle)) ? CLOSE : DROP;
  }

  // ---- the end

  async #end(fate) {
    if (fate === DROP || this.#input.closed) return;
    await this.#finish();
    if (fate !== LINGER) return;
    const until = performance.now() + this.#limits.lingerTime;
    for (;;) {
      const left = until - performance.now();
      const wait = Math.min(left, this.#limits.lingerTimeout);
      if ((await this.#input.more(wait)) !== 'data') return;
      this.#input.use(this.#input.pending.length);
    }
  }

  #finish() {
    const stream = this.#stream;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#limits.sendTimeout);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      stream.once('close', done);
      stream.end(done);
    });
  }
}

function chunkHead(length) {
  return Buffer.from(`${length.toString(16)}\r\n`);
}

function connectionOf(reply, request) {
  if (reply.status === 101) return 'upgrade';
  return request.keepAlive ? 'keep-alive' : 'close';
}

// The body of a request: kept for whoever wants it, otherwise read and
// dropped.
class RequestBody {
  #input;
  #request;
  #limits;
  #reader;
  #parts = [];
  #size = 0;
  #onWanted;

  constructor(input, request, limits, onWanted) {
    this.#input = input;
    this.#request = request;
    this.#limits = limits;
    this.#onWanted = onWanted;
    this.wanted = false;
    this.#reader = new BodyReader(request, (part) => {
      if (!this.wanted || this.#size > limits.maxBody) return;
      this.#size += part.length;
      this.#parts.push(Buffer.from(part));
    });
  }

  get done() {
    return this.#reader.done;
  }

  get failed() {
    return this.#reader.failed;
  }

  discard() {
    this.#parts = [];
    if (this.#reader.done) return;
    this.#input.poll();
    this.#input.use(this.#reader.feed(this.#input.pending));
  }

  /** At most so many bytes are kept. */
  get bound() {
    const { chunked, contentLength } = this.#request;
    return chunked ? this.#limits.maxBody : Math.max(0, contentLength);
  }

  /**
   * Reads all of it.
   *
   * @returns {Promise<Buffer | number>} a number is a status to answer with;
   *   0 means that the client is gone
   */
  async read() {
    this.wanted = true;
    await this.#onWanted();
    while (!this.#reader.done) {
      const got = await this.#input.more(this.#limits.bodyTimeout);
      if (got !== 'data') return got === 'timeout' ? 408 : 0;
      this.#input.use(this.#reader.feed(this.#input.pending));
      if (this.#reader.failed) return 400;
      if (this.#size > this.#limits.maxBody) return this.#tooLarge();
    }
    const body = Buffer.concat(this.#parts);
    this.#parts = [];
    return body;
  }

  #tooLarge() {
    this.#parts = [];
    this.wanted = false;
    return 413;
  }
}

module.exports = { Http1 };
