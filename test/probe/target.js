'use strict';
// The two servers that are compared: nginx of Debian, and the decoy behind a
// plain TLS server of Node. Each is a function that starts one and resolves
// to { port, log(), stop() }; another one can be put in place of the decoy.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const peers = require('../../scripts/peers.js');
const { freePort, untilListening } = require('../interop/lib/net.js');
const { createDecoy } = require('../../lib/decoy.js');

// Far apart, so that it can be told which of them ended a connection.
const times = { linger: 1500, header: 3000, keepAlive: 6000 };

const contents = {
  folder: ({ root }) => `
    root ${root};
    index index.html index.htm index.nginx-debian.html;
    location / { try_files $uri $uri/ =404; }
    location ~ /\\.(?!well-known/) { return 404; }`,
  origin: ({ origin }) => `
    location / {
      proxy_pass ${origin};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }`,
  nothing: () => '\n    location / { return 404; }',
};

// What Debian's nginx.conf and its default site say, with other times and
// paths, and with nothing outside of `dir`.
function configuration({ dir, port, site }) {
  return `
daemon off;
master_process off;
pid ${dir}/pid;
error_log ${dir}/error.log info;
events { worker_connections 768; }
http {
  sendfile on;
  tcp_nopush on;
  types_hash_max_size 2048;
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_prefer_server_ciphers on;
  access_log off;
  gzip on;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  client_header_timeout ${times.header}ms;
  client_body_timeout ${times.header}ms;
  keepalive_timeout ${times.keepAlive}ms;
  lingering_timeout ${times.linger}ms;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port} ssl http2 default_server;
    server_name _;
    ssl_certificate ${dir}/cert.pem;
    ssl_certificate_key ${dir}/key.pem;
    ${contents[site.kind](site)}
  }
}
`;
}

async function startNginx({ dir, site }) {
  const port = await freePort('127.0.0.1');
  const file = path.join(dir, 'nginx.conf');
  fs.writeFileSync(file, configuration({ dir, port, site }));
  const child = spawn(peers.path('nginx'), ['-c', file, '-p', dir], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: peers.env(),
  });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const place = { host: '127.0.0.1', port };
  await untilListening(place, () => child.exitCode === null);
  return {
    port,
    log: () => stderr + fs.readFileSync(path.join(dir, 'error.log'), 'utf8'),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function startDecoy({ dir, site }) {
  const decoy = createDecoy({
    decoy: { folder: site.root, origin: site.origin }[site.kind],
    headerTimeout: times.header,
    bodyTimeout: times.header,
    keepAlive: times.keepAlive,
    lingerTimeout: times.linger,
  });
  const secureContext = tls.createSecureContext({
    cert: fs.readFileSync(path.join(dir, 'cert.pem')),
    key: fs.readFileSync(path.join(dir, 'key.pem')),
    minVersion: 'TLSv1.2',
  });
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const timer = setTimeout(() => socket.destroy(), times.header);
    socket.once('close', () => {
      sockets.delete(socket);
      clearTimeout(timer);
    });
    accept(socket, secureContext, (stream, info) => {
      clearTimeout(timer);
      const localPort = server.address().port;
      decoy.handle(stream, { localAddress: '127.0.0.1', localPort, ...info });
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    log: () => '',
    stop: async () => {
      decoy.close();
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

// The first byte decides between TLS and plain text, as in nginx.
function accept(socket, secureContext, onStream) {
  socket.once('readable', () => {
    const first = socket.read();
    if (first === null) {
      socket.destroy();
      return;
    }
    socket.unshift(first);
    const isTls = first[0] === 0x16 || (first[0] & 0x80) !== 0;
    if (isTls) handshake(socket, secureContext, onStream);
    else onStream(socket, { secure: false });
  });
}

function handshake(socket, secureContext, onStream) {
  const { remoteAddress } = socket;
  const stream = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext,
    ALPNProtocols: ['h2', 'http/1.1'],
    allowHalfOpen: true,
  });
  const giveUp = () => socket.destroy();
  stream.on('error', giveUp);
  stream.once('end', giveUp);
  stream.on('close', giveUp);
  stream.once('secure', () => {
    stream.removeListener('end', giveUp);
    const { alpnProtocol: alpn, servername } = stream;
    onStream(stream, { alpn, servername, remoteAddress });
  });
}

module.exports = { startNginx, startDecoy, times };
