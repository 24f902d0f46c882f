'use strict';
// HTTP/2 by hand: frames out of numbers, so that nothing tidies them up.
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

function frame(type, flags, stream, payload = '') {
  const body = Buffer.from(payload, 'latin1');
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]).toString('latin1');
}

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
const END_STREAM = 1;
const END_HEADERS = 4;

const settings = frame(SETTINGS, 0, 0);

// Literal fields without indexing, names and values in plain bytes.
function block(fields) {
  return Object.entries(fields)
    .map(([name, value]) => {
      const part = (s) => String.fromCharCode(s.length) + s;
      return `\0${part(name)}${part(value)}`;
    })
    .join('');
}

const fields = (method, path, more = {}) => ({
  ':method': method,
  ':scheme': 'https',
  ':path': path,
  ':authority': 'example.test',
  ...more,
});

const headers = (stream, list, flags = END_STREAM | END_HEADERS) =>
  frame(HEADERS, flags, stream, block(list));

const goaway = frame(GOAWAY, 0, 0, '\0\0\0\0\0\0\0\0');
const start = preface + settings;
const h2 = { ALPNProtocols: ['h2'] };

function probe(name, send) {
  return { name: `h2: ${name}`, tls: h2, steps: [{ send }], frames: true };
}

const ask = (method, path, more) =>
  start + headers(1, fields(method, path, more));

const probes = [
  probe('GET of a file', ask('GET', '/a.txt')),
  probe('GET of the index', ask('GET', '/')),
  probe('HEAD', ask('HEAD', '/a.txt')),
  probe('POST', ask('POST', '/a.txt')),
  probe('missing file', ask('GET', '/nothing')),
  probe('folder without slash', ask('GET', '/sub')),
  probe('range', ask('GET', '/a.txt', { range: 'bytes=1-2' })),
  probe('not modified', ask('GET', '/a.txt', { 'if-none-match': '*' })),
  probe('gzip', ask('GET', '/', { 'accept-encoding': 'gzip' })),
  probe('large file', ask('GET', '/large.bin')),
  probe('escaped above the root', ask('GET', '/%2e%2e/x')),
  probe('TRACE', ask('TRACE', '/')),
  probe(
    'no authority',
    start + headers(1, { ':method': 'GET', ':scheme': 'https', ':path': '/' }),
  ),
  probe(
    'no path',
    start +
      headers(1, { ':method': 'GET', ':scheme': 'https', ':authority': 'a' }),
  ),
  probe('upper case name', ask('GET', '/', { Foo: 'bar' })),
  probe('connection field', ask('GET', '/', { connection: 'close' })),
  probe('PING', start + frame(PING, 0, 0, '12345678')),
  probe('GOAWAY', start + goaway),
  probe('settings only', start),
  probe('bad preface', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  probe('even stream', start + headers(2, fields('GET', '/'))),
  probe('DATA on an idle stream', start + frame(DATA, 0, 1, 'abc')),
  probe('window of zero', start + frame(WINDOW_UPDATE, 0, 0, '\0\0\0\0')),
  probe(
    'RST_STREAM of an idle stream',
    start + frame(RST_STREAM, 0, 1, '\0\0\0\0'),
  ),
  probe('CONTINUATION alone', start + frame(CONTINUATION, 4, 1)),
  probe('frame too large', `${start}\xff\xff\xff\0\0\0\0\0\x01`),
  probe(
    'unknown frame',
    `${start}${frame(99, 0, 0, 'x')}${headers(1, fields('GET', '/a.txt'))}`,
  ),
  probe(
    'bad compression',
    start + frame(HEADERS, 5, 1, '\xff\xff\xff\xff\xff\xff'),
  ),
];

const names = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

/** What a server sent, one frame a line. */
function describeFrames(text) {
  const lines = [];
  let rest = Buffer.from(text, 'latin1');
  while (rest.length >= 9) {
    const length = rest.readUIntBE(0, 3);
    const name = names[rest[3]] ?? `type ${rest[3]}`;
    const where = `flags ${rest[4]} stream ${rest.readUInt32BE(5)}`;
    const payload = rest.subarray(9, 9 + length);
    lines.push(`${name} ${where} ${describePayload(name, payload)}`);
    rest = rest.subarray(9 + length);
  }
  if (rest.length > 0) lines.push(`rest ${rest.toString('latin1')}`);
  return lines.join('\n');
}

// `date` has index 33, `location` 46: the time and our port differ always.
function describePayload(name, payload) {
  if (name === 'DATA') return `${payload.length} ${payload.toString('latin1')}`;
  const text = payload
    .toString('hex')
    .replace(/619[0-9a-f][0-9a-f]{44}/, '61…');
  return text.replace(/6e(9[0-9a-f]).*/, '6e…');
}

module.exports = { describeFrames, preface, probes };
