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
const PRIORITY = 2;
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
  probe(
    'body after the head',
    start + headers(1, fields('POST', '/a.txt'), 4) + frame(DATA, 1, 1, 'abcd'),
  ),
  probe(
    'POST without its body',
    start + headers(1, fields('POST', '/a.txt', { 'content-length': '4' }), 4),
  ),
  probe(
    'length that does not fit',
    start +
      headers(1, fields('POST', '/a.txt', { 'content-length': '9' }), 4) +
      frame(DATA, 1, 1, 'abcd'),
  ),
  probe(
    'padded head',
    start +
      frame(HEADERS, 0x0d, 1, `\x03${block(fields('GET', '/a.txt'))}\0\0\0`),
  ),
  probe(
    'head with priority',
    start +
      frame(HEADERS, 0x25, 1, `\0\0\0\0\x10${block(fields('GET', '/a.txt'))}`),
  ),
  probe(
    'stream that depends on itself',
    start +
      frame(
        HEADERS,
        0x25,
        1,
        `\0\0\0\x01\x10${block(fields('GET', '/a.txt'))}`,
      ),
  ),
  probe(
    'head in two frames',
    start +
      frame(HEADERS, 1, 1, block(fields('GET', '/a.txt')).slice(0, 20)) +
      frame(CONTINUATION, 4, 1, block(fields('GET', '/a.txt')).slice(20)),
  ),
  probe(
    'PRIORITY',
    start +
      frame(PRIORITY, 0, 1, '\0\0\0\0\x10') +
      headers(1, fields('GET', '/a.txt')),
  ),
  probe('PING of a wrong size', start + frame(PING, 0, 0, '1234')),
  probe('PING on a stream', start + frame(PING, 0, 1, '12345678')),
  probe('SETTINGS on a stream', start + frame(SETTINGS, 0, 1)),
  probe('SETTINGS of a wrong size', start + frame(SETTINGS, 0, 0, '1234')),
  probe(
    'SETTINGS with a bad window',
    start + frame(SETTINGS, 0, 0, '\0\x04\xff\xff\xff\xff'),
  ),
  probe(
    'SETTINGS with a bad frame size',
    start + frame(SETTINGS, 0, 0, '\0\x05\0\0\0\x01'),
  ),
  probe('unknown SETTINGS', start + frame(SETTINGS, 0, 0, '\0\x99\0\0\0\x01')),
  probe(
    'window overflow',
    start + frame(WINDOW_UPDATE, 0, 0, '\x7f\xff\xff\xff'),
  ),
  probe('PUSH_PROMISE', start + frame(5, 4, 1, '\0\0\0\x02')),
  probe(
    'two streams',
    start +
      headers(1, fields('GET', '/a.txt')) +
      headers(3, fields('GET', '/nothing')),
  ),
  probe(
    'stream numbers backwards',
    start +
      headers(3, fields('GET', '/a.txt')) +
      headers(1, fields('GET', '/a.txt')),
  ),
  probe(
    'the same stream twice',
    start +
      headers(1, fields('GET', '/a.txt')) +
      headers(1, fields('GET', '/a.txt')),
  ),
  probe('no SETTINGS', preface + headers(1, fields('GET', '/a.txt'))),
  probe('half a preface', preface.slice(0, 10)),
  probe('unknown method', ask('FOO', '/a.txt')),
  probe('lower case method', ask('get', '/a.txt')),
  probe(
    'CONNECT',
    start + headers(1, { ':method': 'CONNECT', ':authority': 'a:1' }),
  ),
  probe('OPTIONS *', ask('OPTIONS', '*')),
  probe('empty path', ask('GET', '')),
  probe('path without slash', ask('GET', 'a.txt')),
  probe('scheme http', ask('GET', '/a.txt', { ':scheme': 'http' })),
  probe('unknown pseudo field', ask('GET', '/a.txt', { ':foo': 'x' })),
  probe(
    'pseudo field behind others',
    start +
      headers(1, {
        ':method': 'GET',
        ':scheme': 'https',
        foo: 'x',
        ':path': '/a.txt',
        ':authority': 'a',
      }),
  ),
  probe('bad authority', ask('GET', '/a.txt', { ':authority': 'a b' })),
  probe(
    'Host only',
    start +
      headers(1, {
        ':method': 'GET',
        ':scheme': 'https',
        ':path': '/a.txt',
        host: 'a',
      }),
  ),
  probe('Host and authority', ask('GET', '/sub', { host: 'other.test' })),
  probe('TE', ask('GET', '/a.txt', { te: 'gzip' })),
  probe(
    'transfer-encoding',
    ask('GET', '/a.txt', { 'transfer-encoding': 'chunked' }),
  ),
  probe('zero byte in a field', ask('GET', '/a.txt', { foo: 'a\0b' })),
  probe('Expect', ask('POST', '/a.txt', { expect: '100-continue' })),
  probe(
    'body too large',
    start +
      headers(1, fields('POST', '/a.txt', { 'content-length': '1048577' }), 4),
  ),
  probe(
    'field of 8 KiB',
    start +
      frame(
        HEADERS,
        5,
        1,
        block(fields('GET', '/a.txt')) +
          '\0\x01a\x7f\xe1\x3e' +
          'a'.repeat(8160),
      ),
  ),
  probe(
    'field of 12 KiB',
    start +
      frame(
        HEADERS,
        5,
        1,
        block(fields('GET', '/a.txt')) +
          '\0\x01a\x7f\xe1\x5d' +
          'a'.repeat(12128),
      ),
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

const dateless = (_, length, rest) =>
  `61…${rest.slice(2 * (parseInt(length, 16) - 0x80))}`;

// `date` has index 33, `location` 46: the time and our port differ always.
function describePayload(name, payload) {
  if (name === 'DATA') return `${payload.length} ${payload.toString('latin1')}`;
  const text = payload.toString('hex').replace(/61(9[0-9a-f])(.*)/, dateless);
  return text.replace(/6e(9[0-9a-f]).*/, '6e…');
}

module.exports = { describeFrames, preface, probes };
