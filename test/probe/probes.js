'use strict';
// What is tried. A probe is { name, steps, tls?, site? }; `tls: false` sends
// plain bytes to the TLS port, `site` names the kind of content it needs.
const http2 = require('./http2-frames.js');

const H = 'Host: example.test\r\n';
const END = 'Connection: close\r\n\r\n';
const get = (path, more = '') => `GET ${path} HTTP/1.1\r\n${H}${more}${END}`;
const request = (line, more = '') => `${line} HTTP/1.1\r\n${H}${more}${END}`;

const one = (name, send, more = {}) => ({ name, steps: [{ send }], ...more });

// ---- before TLS, and TLS itself
const beforeTls = [
  one('plain: GET to the TLS port', get('/'), { tls: false }),
  one('plain: garbage', 'hello there\r\n\r\n', { tls: false }),
  one('plain: SSH banner', 'SSH-2.0-OpenSSH_9.2p1\r\n', { tls: false }),
  one('plain: HTTP/2 preface', http2.preface, { tls: false }),
  one('plain: SOCKS5 hello', Buffer.from([5, 1, 0]), { tls: false }),
  { name: 'plain: nothing, then FIN', tls: false, steps: [{ end: true }] },
  { name: 'plain: nothing at all', tls: false, steps: [] },
  one('tls: garbage record', Buffer.from('16030100050100000101', 'hex'), {
    tls: false,
  }),
  one('tls: half a hello', Buffer.from('1603010200010001fc0303', 'hex'), {
    tls: false,
  }),
  {
    name: 'tls: half a hello, then FIN',
    tls: false,
    steps: [{ send: Buffer.from('16030102000100', 'hex') }, { end: true }],
  },
  one('tls: no common ALPN', get('/'), { tls: { ALPNProtocols: ['ssh'] } }),
  one('tls: ALPN http/1.1', get('/'), { tls: { ALPNProtocols: ['http/1.1'] } }),
  one('tls: no SNI', get('/'), { tls: { servername: '' } }),
  one('tls: another SNI', get('/'), { tls: { servername: 'other.test' } }),
  one('tls: 1.3', get('/'), { tls: { maxVersion: 'TLSv1.3' } }),
  one('tls: 1.1 only', get('/'), {
    tls: {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    },
  }),
];

// ---- request lines and fields
const raw = (name, text) => one(name, text);
const lines = [
  raw('garbage', 'hello there\r\n\r\n'),
  raw('binary garbage', Buffer.from('00ff80017f0a0d0a', 'hex')),
  raw('SSH banner', 'SSH-2.0-OpenSSH_9.2p1\r\n'),
  raw('HTTP/2 preface without ALPN', http2.preface),
  raw('half a request line', 'GET / HT'),
  raw('lower case method', request('get /')),
  raw('unknown method', request('FOO /')),
  raw('method with a dash', request('M-SEARCH *')),
  raw('target without slash', request('GET index.html')),
  raw('control byte in target', request('GET /a\x01b')),
  raw('high bytes in target', request('GET /\xe4\xff')),
  raw('space in target', request('GET /a b')),
  raw(
    'absolute target',
    'GET http://Other.test:81/a.txt HTTP/1.1\r\n' + H + END,
  ),
  raw(
    'absolute target without path',
    'GET http://o.test HTTP/1.1\r\n' + H + END,
  ),
  raw('absolute target, no Host', `GET http://o.test/ HTTP/1.1\r\n${END}`),
  raw('HTTP/1.2', `GET / HTTP/1.2\r\n${H}${END}`),
  raw('HTTP/2.0', `GET / HTTP/2.0\r\n${H}${END}`),
  raw('HTTP/0.8', `GET / HTTP/0.8\r\n${H}${END}`),
  raw('HTTP/1.x', `GET / HTTP/1.x\r\n${H}${END}`),
  raw('HTTP/0.9', 'GET /\r\n'),
  raw('HTTP/0.9, missing file', 'GET /nothing\r\n'),
  raw('HTTP/0.9 with POST', 'POST /\r\n'),
  raw('HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'),
  raw(
    'HTTP/1.0 keep-alive',
    'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  ),
  raw('bare line feeds', 'GET / HTTP/1.1\nHost: a\nConnection: close\n\n'),
  raw('empty lines in front', '\r\n\r\n' + get('/')),
  raw('no Host', `GET / HTTP/1.1\r\n${END}`),
  raw('two Hosts', get('/', 'Host: other.test\r\n')),
  raw('bad Host', `GET / HTTP/1.1\r\nHost: a/b\r\n${END}`),
  raw('Host with two dots', `GET / HTTP/1.1\r\nHost: a..b\r\n${END}`),
  raw('empty Host', `GET / HTTP/1.1\r\nHost:\r\n${END}`),
  raw('Host is an address', `GET /sub HTTP/1.1\r\nHost: [::1]:9\r\n${END}`),
  raw('space before colon', get('/', 'Foo : bar\r\n')),
  raw('field without colon', get('/', 'Foo\r\n')),
  raw('folded field', get('/', 'Foo: a\r\n b\r\n')),
  raw('zero byte in field', get('/', 'Foo: a\0b\r\n')),
  raw('underscore in field', get('/', 'Content_Length: 5\r\n')),
  raw('carriage return in field', get('/', 'Foo: a\rb\r\n')),
  raw(
    'two Content-Lengths',
    request('GET /', 'Content-Length: 0\r\n'.repeat(2)),
  ),
  raw('bad Content-Length', request('GET /', 'Content-Length: x\r\n')),
  raw('negative Content-Length', request('GET /', 'Content-Length: -1\r\n')),
  raw('request line of 8 KiB', request(`GET /${'a'.repeat(8170)}`)),
  raw('request line too long', request(`GET /${'a'.repeat(9000)}`)),
  raw('field of 8 KiB', get('/', `Foo: ${'a'.repeat(8180)}\r\n`)),
  raw('field too long', get('/', `Foo: ${'a'.repeat(9000)}\r\n`)),
  raw('fields of 24 KiB', get('/', `Foo: ${'a'.repeat(7000)}\r\n`.repeat(4))),
  raw('fields too long', get('/', `Foo: ${'a'.repeat(7000)}\r\n`.repeat(6))),
  raw('200 fields', get('/', 'Foo: a\r\n'.repeat(200))),
];

// ---- methods
const methods = (
  'GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT PATCH ' +
  'PROPFIND MKCOL COPY MOVE LOCK'
).split(' ');
const methodProbes = methods.flatMap((method) => [
  raw(`${method} of a file`, request(`${method} /a.txt`)),
  raw(`${method} of a folder`, request(`${method} /sub/`)),
  raw(`${method} of nothing`, request(`${method} /nothing`)),
]);

// ---- files
const files = [
  raw('index', get('/')),
  raw('index of a folder', get('/sub/')),
  raw('folder without slash', get('/sub')),
  raw('folder without slash, arguments', get('/sub?a=b#c')),
  raw('folder with a space, without slash', get('/a%20folder')),
  raw('folder without index', get('/empty/')),
  raw('folder without index, without slash', get('/empty')),
  raw('missing folder', get('/nothing/')),
  raw('file with a slash behind', get('/a.txt/')),
  raw('empty file', get('/zero.bin')),
  raw('file without extension', get('/README')),
  raw('extension in capitals', get('/PIC.PNG')),
  raw('name with two dots', get('/app.tar.gz')),
  raw('escaped name', get('/%61.txt')),
  raw('escaped slash', get('/sub%2findex.html')),
  raw('double slash', get('//sub///index.html')),
  raw('dot segments', get('/sub/./../a.txt')),
  raw('escaped dot segments', get('/sub/%2e%2e/a.txt')),
  raw('above the root', get('/../a.txt')),
  raw('above the root, escaped', get('/%2e%2e/%2e%2e/etc/passwd')),
  raw('above the root, escaped slash', get('/..%2f..%2fetc/passwd')),
  raw('above the root, twice escaped', get('/%252e%252e%252fetc/passwd')),
  raw('backslashes', get('/..\\..\\etc\\passwd')),
  raw('escaped zero', get('/a.txt%00.html')),
  raw('bad escape', get('/%zz')),
  raw('escape at the end', get('/a%')),
  raw('dot file', get('/.env')),
  raw('escaped dot file', get('/%2eenv')),
  raw('file in a dot folder', get('/.git/config')),
  raw('POST to a dot file', request('POST /.env')),
  raw('large file', get('/large.bin')),
  raw('unreadable name', get(`/${'a'.repeat(300)}`)),
  raw('Chrome sees padding', get('/x', 'User-Agent: A Chrome/9 Safari/5\r\n')),
  raw('Chrome, 400', get('/%zz', 'User-Agent: A Chrome/9\r\n')),
];

const gzip = 'Accept-Encoding: gzip, deflate\r\n';
const encodings = [
  raw('gzip of a page', get('/', gzip)),
  raw('gzip of a page, HEAD', request('HEAD /', gzip)),
  raw('gzip of a text', get('/a.txt', gzip)),
  raw('gzip of an error', get('/nothing', gzip)),
  raw('gzip of a large page', get('/large.html', gzip)),
  raw('gzip with q=0', get('/', 'Accept-Encoding: gzip;q=0\r\n')),
  raw('gzip with q=0.5', get('/', 'Accept-Encoding: br, gzip;q=0.5\r\n')),
  raw('gzip of a range', get('/', `${gzip}Range: bytes=0-3\r\n`)),
  raw('gzip through a proxy', get('/', `${gzip}Via: 1.1 x\r\n`)),
  raw('gzip and HTTP/1.0', `GET / HTTP/1.0\r\n${gzip}\r\n`),
];

const range = (name, value, more = '') =>
  raw(`range: ${name}`, get('/a.txt', `Range: ${value}\r\n${more}`));
const ranges = [
  range('first bytes', 'bytes=0-3'),
  range('from the middle', 'bytes=4-'),
  range('the last', 'bytes=-3'),
  range('beyond the end', 'bytes=5-100'),
  range('unsatisfiable', 'bytes=100-'),
  range('two', 'bytes=0-1,4-5'),
  range('two with spaces', 'bytes= 0 - 1 , 4-5'),
  range('more than the file', 'bytes=0-,0-'),
  range('suffix of zero', 'bytes=-0'),
  range('backwards', 'bytes=5-2'),
  range('nonsense', 'bytes=a-b'),
  range('one of two bad', 'bytes=0-1,x'),
  range('other unit', 'lines=0-1'),
  range('huge', 'bytes=99999999999999999999-'),
  range(
    'If-Range of another date',
    'bytes=0-1',
    'If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n',
  ),
  range(
    'If-Range of the date',
    'bytes=0-1',
    'If-Range: Mon, 01 Jan 2024 00:00:00 GMT\r\n',
  ),
  range('If-Range of the tag', 'bytes=0-1', 'If-Range: "65920080-a"\r\n'),
  raw('range: HEAD', request('HEAD /a.txt', 'Range: bytes=0-1\r\n')),
];

const condition = (name, more) =>
  raw(`condition: ${name}`, get('/a.txt', more));
const conditions = [
  condition(
    'same date',
    'If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n',
  ),
  condition(
    'later date',
    'If-Modified-Since: Tue, 02 Jan 2024 00:00:00 GMT\r\n',
  ),
  condition(
    'date of RFC 850',
    'If-Modified-Since: Monday, 01-Jan-24 00:00:00 GMT\r\n',
  ),
  condition(
    'date of asctime',
    'If-Modified-Since: Mon Jan  1 00:00:00 2024\r\n',
  ),
  condition('bad date', 'If-Modified-Since: yesterday\r\n'),
  condition('same tag', 'If-None-Match: "65920080-a"\r\n'),
  condition('weak tag', 'If-None-Match: W/"65920080-a"\r\n'),
  condition('list of tags', 'If-None-Match: "x", "65920080-a"\r\n'),
  condition('any tag', 'If-None-Match: *\r\n'),
  condition('other tag', 'If-None-Match: "x"\r\n'),
  condition('If-Match', 'If-Match: "65920080-a"\r\n'),
  condition('If-Match of another', 'If-Match: "x"\r\n'),
  condition(
    'If-Unmodified-Since before',
    'If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n',
  ),
  condition('twice', 'If-None-Match: "a"\r\nIf-None-Match: "b"\r\n'),
];

// ---- bodies
const post = (more, body) => `POST /a.txt HTTP/1.1\r\n${H}${more}\r\n${body}`;
const chunked = 'Transfer-Encoding: chunked\r\n';
const bodies = [
  raw(
    'body, close',
    post('Content-Length: 4\r\nConnection: close\r\n', 'abcd'),
  ),
  raw('body, then a request', post('Content-Length: 4\r\n', `abcd${get('/')}`)),
  raw('part of a body', post('Content-Length: 400\r\n', 'abcd')),
  raw(
    'GET with a body',
    request('GET /a.txt', 'Content-Length: 4\r\n') + 'abcd',
  ),
  raw('chunks', post(chunked, `4\r\nabcd\r\n0\r\n\r\n${get('/')}`)),
  raw(
    'chunks with trailers',
    post(chunked, `4;x=y\r\nabcd\r\n0\r\nA: b\r\n\r\n${get('/')}`),
  ),
  raw('bad chunk', post(chunked, 'x\r\nabcd\r\n0\r\n\r\n')),
  raw('bad chunk with GET', `GET /a.txt HTTP/1.1\r\n${H}${chunked}\r\nzz\r\n`),
  raw(
    'chunks and a length',
    post(`${chunked}Content-Length: 4\r\n`, '0\r\n\r\n'),
  ),
  raw('two codings', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')),
  raw('chunks with HTTP/1.0', `POST / HTTP/1.0\r\n${chunked}\r\n0\r\n\r\n`),
  raw('body too large', post('Content-Length: 1048577\r\n', 'abcd')),
  raw(
    'body of a gigabyte, close',
    post('Content-Length: 1073741824\r\nConnection: close\r\n', ''),
  ),
  raw('Expect with a file', get('/a.txt', 'Expect: 100-continue\r\n')),
  raw(
    'Expect with POST',
    post('Expect: 100-continue\r\nContent-Length: 4\r\n', ''),
  ),
  raw(
    'Expect too large',
    post('Expect: 100-continue\r\nContent-Length: 9999999\r\n', ''),
  ),
  raw('Expect something else', get('/a.txt', 'Expect: nothing\r\n')),
];

// ---- connections
const keep = `GET /a.txt HTTP/1.1\r\n${H}\r\n`;
const connections = [
  { name: 'nothing sent', steps: [] },
  { name: 'nothing sent, closed', steps: [{ end: true }] },
  { name: 'nothing sent, FIN without notice', steps: [{ fin: true }] },
  { name: 'request, then idle', steps: [{ send: keep }] },
  {
    name: 'request, then closed',
    steps: [{ send: keep }, { until: '0123456789' }, { end: true }],
  },
  { name: 'request and close at once', steps: [{ send: keep }, { end: true }] },
  { name: 'half a head, then idle', steps: [{ send: 'GET / HTTP/1.1\r\nHo' }] },
  {
    name: 'half a head, then closed',
    steps: [{ send: 'GET / HTTP/1.1\r\nHo' }, { end: true }],
  },
  {
    name: 'half a second request',
    steps: [{ send: keep }, { until: '0123456789' }, { send: 'GET' }],
  },
  { name: 'byte by byte', steps: [{ slowly: get('/a.txt'), every: 2 }] },
  {
    name: 'slower than the time limit',
    steps: [{ slowly: 'GET /aaaaaa', every: 400 }],
  },
  {
    name: 'after Connection: close',
    steps: [{ send: get('/') }, { until: '</h1>' }, { send: keep }],
  },
  one('two at once', keep + get('/')),
  one('five at once', keep.repeat(4) + get('/')),
  one('bad after good', `${keep}junk\r\n`),
  one('after an error', `GET /nothing HTTP/1.1\r\n${H}\r\n${get('/')}`),
  one('a thousand at once', keep.repeat(1001), { fromLast: true }),
  one(
    'after a failed condition',
    `GET /a.txt HTTP/1.1\r\n${H}If-Match: "x"\r\n\r\n${get('/')}`,
  ),
  one(
    'keep-alive in capitals',
    `GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n`,
  ),
];

// ---- other kinds of content
const nothing = [
  raw('nothing: GET', get('/')),
  raw('nothing: HEAD', request('HEAD /a')),
  raw('nothing: POST', post('Content-Length: 4\r\n', `abcd${get('/')}`)),
  raw('nothing: OPTIONS', request('OPTIONS *')),
  raw('nothing: DELETE', request('DELETE /a')),
  raw('nothing: body too large', post('Content-Length: 1048577\r\n', '')),
  raw('nothing: gzip', get('/', gzip)),
  raw('nothing: above the root', get('/%2e%2e/a')),
];

const upgrade =
  'Connection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
const origin = [
  raw('origin: GET', get('/echo?a=b')),
  raw(
    'origin: fields',
    get('/echo', 'X-A: 1\r\nCookie: a=b\r\nX-A: 2\r\nTE: x\r\n'),
  ),
  raw(
    'origin: forwarded before',
    get('/echo', 'X-Forwarded-For: 192.0.2.1\r\n'),
  ),
  raw('origin: HEAD', request('HEAD /echo')),
  raw('origin: PUT', request('PUT /echo', 'Content-Length: 4\r\n') + 'abcd'),
  raw('origin: empty POST', request('POST /echo', 'Content-Length: 0\r\n')),
  raw('origin: POST without length', request('POST /echo')),
  raw(
    'origin: chunked body',
    request('POST /echo', chunked) + '4\r\nabcd\r\n0\r\n\r\n',
  ),
  raw('origin: bad chunk', request('POST /echo', chunked) + 'zz\r\n'),
  raw('origin: body too large', post('Content-Length: 1048577\r\n', '')),
  raw(
    'origin: Expect',
    request('POST /echo', 'Expect: 100-continue\r\nContent-Length: 4\r\n') +
      'abcd',
  ),
  raw('origin: TRACE', request('TRACE /echo')),
  raw('origin: DELETE', request('DELETE /echo')),
  raw('origin: dot segments', get('/x/%2e%2e/echo')),
  raw(
    'origin: absolute target',
    `GET http://o.test/echo HTTP/1.1\r\n${H}${END}`,
  ),
  raw('origin: chunked answer', get('/chunked')),
  raw('origin: chunked answer, HTTP/1.0', 'GET /chunked HTTP/1.0\r\n\r\n'),
  raw('origin: answer without length', get('/close')),
  raw('origin: redirect to itself', get('/redirect')),
  raw('origin: redirect elsewhere', get('/elsewhere')),
  raw('origin: 404 of its own', get('/missing')),
  raw('origin: 204', get('/204')),
  raw('origin: 304', get('/304')),
  raw('origin: page, gzip', get('/chunked', 'Accept-Encoding: br\r\n')),
  raw('origin: no answer', get('/drop')),
  raw('origin: no HTTP', get('/garbage')),
  raw('origin: keep-alive', `GET /echo HTTP/1.1\r\n${H}\r\n${get('/echo')}`),
  {
    name: 'origin: WebSocket',
    steps: [
      { send: `GET /ws HTTP/1.1\r\n${H}${upgrade}\r\n` },
      { until: '\r\n\r\n' },
      { send: 'ping' },
      { until: 'ping' },
      { end: true },
    ],
  },
  raw('origin: WebSocket refused', `GET /echo HTTP/1.1\r\n${H}${upgrade}\r\n`),
];

module.exports = {
  folder: [
    ...beforeTls,
    ...lines,
    ...methodProbes,
    ...files,
    ...encodings,
    ...ranges,
    ...conditions,
    ...bodies,
    ...connections,
    ...http2.probes,
  ],
  nothing,
  origin,
};
