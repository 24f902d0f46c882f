'use strict';
// Plays one probe against one server and writes down all that a client can
// see: bytes, how the connection ended, and after how long.
const net = require('node:net');
const tls = require('node:tls');
const { Duplex } = require('node:stream');
const { times } = require('./target.js');

const ALERT = 21;

// Between TLS and the socket: looks at the records that come in.
class Wire extends Duplex {
  #socket;
  #partial = Buffer.alloc(0);

  constructor(socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.alerts = 0;
    this.lastType = 0;
    this.records = []; // a type and a length each
    socket.on('data', (chunk) => {
      this.#records(chunk);
      this.push(chunk);
    });
    socket.on('end', () => this.push(null));
    socket.on('close', () => this.destroy());
  }

  // Alerts are told by their type (TLS 1.2) or their length (TLS 1.3).
  #records(chunk) {
    let rest = Buffer.concat([this.#partial, chunk]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
      const length = rest.readUInt16BE(3);
      const isAlert = rest[0] === ALERT || (rest[0] === 23 && length === 19);
      this.lastType = isAlert ? ALERT : rest[0];
      this.records.push(`${rest[0]} ${length}`);
      rest = rest.subarray(5 + length);
    }
    this.#partial = rest;
  }

  _read() {}

  _write(chunk, _encoding, done) {
    this.#socket.write(chunk, () => done());
  }

  _final(done) {
    this.#socket.end(() => done());
  }
}

const bytes = (data) =>
  Buffer.isBuffer(data) ? data : Buffer.from(data, 'latin1');

class Session {
  constructor(port) {
    this.received = [];
    this.wake = () => {};
    this.closed = '';
    this.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.on('error', (error) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
        this.note('reset');
      }
    });
    this.socket.on('end', () => this.note('fin'));
    this.socket.on('close', () => this.note('closed'));
  }

  note(how) {
    if (this.closed === '') {
      this.closed = how;
      this.closedAt = performance.now();
    }
    this.wake();
  }

  get text() {
    return Buffer.concat(this.received).toString('latin1');
  }

  take(chunk) {
    this.received.push(chunk);
    this.lastAt = performance.now();
    this.wake();
  }

  /** Waits until `test` holds, the connection is over, or time is up. */
  async until(test, ms) {
    const deadline = performance.now() + ms;
    while (!test() && this.closed === '') {
      const left = deadline - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

async function openTls(session, { tls: options = {}, onSession }) {
  const { socket } = session;
  await new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', resolve);
  });
  if (options === false) {
    socket.on('data', (chunk) => session.take(chunk));
    return socket;
  }
  const wire = new Wire(socket);
  session.wire = wire;
  const secure = tls.connect({
    socket: wire,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    servername: 'example.test',
    ...options,
    allowHalfOpen: true,
  });
  secure.on('data', (chunk) => session.take(chunk));
  if (onSession) secure.on('session', onSession);
  await new Promise((resolve) => {
    secure.once('secureConnect', resolve);
    secure.once('close', resolve);
    secure.on('error', (error) => {
      session.failure = error.code;
      resolve();
    });
  });
  session.alpn = secure.alpnProtocol;
  session.resumed = secure.isSessionReused();
  return secure;
}

// The pace is what is probed here.
async function sendSlowly(session, stream, { slowly, by = 1, every }) {
  const data = bytes(slowly);
  for (let at = 0; at < data.length && session.closed === ''; at += by) {
    stream.write(data.subarray(at, at + by));
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

async function step(session, stream, action) {
  if (action.send !== undefined) {
    await new Promise((resolve) => stream.write(bytes(action.send), resolve));
  } else if (action.raw !== undefined) {
    session.socket.write(bytes(action.raw));
  } else if (action.slowly !== undefined) {
    await sendSlowly(session, stream, action);
  } else if (action.until !== undefined) {
    await session.until(() => session.text.includes(action.until), 5000);
  } else if (action.end) {
    stream.end();
  } else if (action.fin) {
    session.socket.end();
  }
}

// Which of the servers' timers ended the connection.
function timeClass(ms) {
  const names = Object.entries(times);
  const [name, value] = names.reduce((a, b) =>
    Math.abs(b[1] - ms) < Math.abs(a[1] - ms) ? b : a,
  );
  if (ms < value / 2) return 'at once';
  return `after ${name}`;
}

/**
 * @param {number} port
 * @param {{ tls?: object | false, steps: object[], watched?: boolean,
 *   onSession?: (session: Buffer) => void }} probe watched: the records count, too
 */
async function play(port, probe) {
  const session = new Session(port);
  const stream = await openTls(session, probe);
  stream.on('error', () => {});
  for (const action of probe.steps) {
    if (session.closed !== '' || session.failure) break;
    await step(session, stream, action);
  }
  const sent = performance.now();
  await session.until(() => false, times.keepAlive + 3000);
  // Of many answers the last one counts.
  const from = probe.fromLast ? session.lastAt : sent;
  const result = {
    alpn: session.alpn === undefined ? '' : String(session.alpn),
    resumed: session.resumed ? 'yes' : '',
    failure: session.failure ?? '',
    bytes: session.text,
    records: probe.watched ? session.wire.records.join('\n') : '',
    close: describeClose(session),
    time: session.closedAt ? timeClass(session.closedAt - from) : 'never',
  };
  session.socket.destroy();
  return result;
}

function describeClose(session) {
  if (session.closed === '') return 'open';
  const notified = session.wire?.lastType === ALERT ? 'close_notify, ' : '';
  return notified + session.closed;
}

module.exports = { play };
