'use strict';

// A folder of files, as `root` and `try_files $uri $uri/ =404` serve it.

const fs = require('node:fs');
const path = require('node:path');

const { evaluate, readRanges } = require('./conditions.js');
const { typeOf } = require('./mime.js');
const { Reply } = require('./reply.js');
const { escapePath } = require('./target.js');

const CHUNK = 32 * 1024;
const INDEX = ['index.html', 'index.htm', 'index.nginx-debian.html'];
const METHODS = new Set(['GET', 'HEAD', 'POST']);
const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);

// Never shown: names with a dot in front, but for what RFC 8615 puts there.
function isHidden(names) {
  return names.some(
    (name, i) => name.startsWith('.') && !(i === 0 && name === '.well-known'),
  );
}

class Folder {
  #root;
  #server;
  #open = 0;
  #maxOpen;
  #boundary = 0n;

  constructor(root, { server, maxOpenFiles }) {
    this.#root = fs.realpathSync(root);
    this.#server = server;
    this.#maxOpen = maxOpenFiles;
  }

  /** How many files are open for answers. */
  get openFiles() {
    return this.#open;
  }

  /** @returns {Promise<Reply>} */
  async answer(request) {
    if (isHidden(request.path.slice(1).split('/'))) {
      return this.#page(404, request);
    }
    const found = await this.#find(request.path);
    if (found === null) return this.#page(404, request);
    if (!METHODS.has(request.method)) return this.#page(405, request);
    if (!found.stats.isDirectory()) return this.#file(found, request);
    if (!request.path.endsWith('/')) return this.#redirect(request);
    for (const name of INDEX) {
      const index = await this.#find(request.path + name);
      if (index && !index.stats.isDirectory()) {
        return this.#file(index, request);
      }
    }
    return this.#page(403, request);
  }

  #page(code, request) {
    return Reply.page(code, request, this.#server);
  }

  // What a path of a request stands for, if it is inside the folder and stays
  // there when links are followed.
  async #find(urlPath) {
    const bytes = Buffer.from(urlPath, 'latin1');
    const file = Buffer.concat([Buffer.from(this.#root), bytes]);
    try {
      const [real, stats] = await Promise.all([
        fs.promises.realpath(file),
        fs.promises.stat(file),
      ]);
      const within = path.relative(this.#root, real);
      // What is outside begins with two dots, or is on another drive.
      if (path.isAbsolute(within)) return null;
      if (isHidden(within.split(path.sep))) return null;
      return { real, stats, name: urlPath };
    } catch {
      return null;
    }
  }

  #redirect(request) {
    const reply = this.#page(301, request);
    const args = request.args === '' ? '' : `?${request.args}`;
    reply.location = `${escapePath(request.path)}/${args}`;
    return reply;
  }

  async #file(found, request) {
    if (!found.stats.isFile()) return this.#page(404, request);
    let handle;
    try {
      handle = await this.#openFile(found.real);
    } catch (error) {
      return this.#page(openFailure(error), request);
    }
    const release = () => {
      this.#open -= 1;
      handle.close().catch(() => {});
    };
    try {
      const reply = await this.#fileReply(handle, found, request);
      if (reply.release === null) release();
      else reply.release = release;
      return reply;
    } catch {
      release();
      return this.#page(500, request);
    }
  }

  async #openFile(file) {
    const { O_RDONLY, O_NONBLOCK = 0, O_NOFOLLOW = 0 } = fs.constants;
    if (this.#open >= this.#maxOpen) {
      throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    }
    this.#open += 1;
    try {
      const flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW;
      return await fs.promises.open(file, flags);
    } catch (error) {
      this.#open -= 1;
      throw error;
    }
  }

  async #fileReply(handle, found, request) {
    // It may be another one by now.
    const stats = fs.fstatSync(handle.fd);
    if (!stats.isFile()) return this.#page(404, request);
    if (request.method === 'POST') return this.#page(405, request);
    const mtime = Math.floor(stats.mtimeMs / 1000);
    const hex = `${mtime.toString(16)}-${stats.size.toString(16)}`;
    const file = { size: stats.size, mtime, etag: `"${hex}"` };
    const reply = new Reply(evaluate(request.headers, file));
    reply.readsBody = true;
    if (reply.status === 412) {
      const page = this.#page(412, request);
      page.abandon = true;
      return page;
    }
    reply.mtime = mtime;
    reply.fields.push(['ETag', file.etag]);
    if (reply.status === 304) return reply;
    reply.type = typeOf(found.name);
    reply.file = file;
    reply.handle = handle;
    reply.length = stats.size;
    reply.body = readParts(handle, [{ start: 0, end: stats.size }]);
    // Whoever gets it gives the file back; see #file().
    reply.release = () => {};
    return reply;
  }

  /** Cuts a whole file to the part that is asked for; after compression. */
  cut(reply, request) {
    if (!reply.file || reply.length === -1) return reply;
    const ranges = readRanges(request.headers, reply.file);
    if (ranges === null) {
      reply.fields.push(['Accept-Ranges', 'bytes']);
      return reply;
    }
    if (ranges === 'unsatisfiable') return this.#unsatisfiable(reply, request);
    reply.status = 206;
    if (ranges.length > 1) return this.#multipart(reply, ranges);
    const [{ start, end }] = ranges;
    const { size } = reply.file;
    reply.fields.push(['Content-Range', `bytes ${start}-${end - 1}/${size}`]);
    reply.length = end - start;
    reply.body = readParts(reply.handle, ranges);
    return reply;
  }

  #unsatisfiable(reply, request) {
    reply.dispose();
    const page = this.#page(416, request);
    page.readsBody = true;
    page.fields.push(['Content-Range', `bytes */${reply.file.size}`]);
    return page;
  }

  #multipart(reply, ranges) {
    this.#boundary += 1n;
    const boundary = String(this.#boundary).padStart(20, '0');
    const head = `\r\n--${boundary}\r\nContent-Type: ${reply.type}\r\n`;
    const end = Buffer.from(`\r\n--${boundary}--\r\n`);
    const parts = ranges.flatMap((range) => {
      const where = `${range.start}-${range.end - 1}/${reply.file.size}`;
      const text = `${head}Content-Range: bytes ${where}\r\n\r\n`;
      return [Buffer.from(text), range];
    });
    parts.push(end);
    reply.type = `multipart/byteranges; boundary=${boundary}`;
    reply.length = parts.reduce((sum, part) => sum + sizeOf(part), 0);
    reply.body = readParts(reply.handle, parts);
    return reply;
  }
}

function sizeOf(part) {
  return Buffer.isBuffer(part) ? part.length : part.end - part.start;
}

function openFailure(error) {
  if (MISSING.has(error.code)) return 404;
  return error.code === 'EACCES' ? 403 : 500;
}

// A file that gets shorter meanwhile ends the answer with an error.
async function* readParts(handle, parts) {
  for (const part of parts) {
    if (Buffer.isBuffer(part)) {
      yield part;
      continue;
    }
    let at = part.start;
    while (at < part.end) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, part.end - at));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new Error('the file got shorter');
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}

module.exports = { Folder };
