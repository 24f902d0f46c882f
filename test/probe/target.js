'use strict';
// The two servers that are compared: nginx of Debian, and a stealth listener.
// Each is a function that starts one and resolves to { port, log(), stop() };
// that of the listener has `guest` as well, the options of a tunnel to it.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const peers = require('../../scripts/peers.js');
const { freePort, untilListening } = require('../interop/lib/net.js');
const { generateKeyPair, serve } = require('../../lib/index.js');

const kInternal = Symbol.for('wraith.internal');

// Far apart, so that it can be told which of them ended a connection.
const times = { linger: 1500, header: 3000, keepAlive: 6000 };
// What both do if nobody says anything else.
const defaultTimes = { linger: 5000, header: 60_000, keepAlive: 75_000 };

const stealthSecret = 'no prober knows it';

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
function configuration({ dir, port, site, times }) {
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

async function startNginx({ dir, site, times }) {
  const port = await freePort('127.0.0.1');
  const file = path.join(dir, 'nginx.conf');
  fs.writeFileSync(file, configuration({ dir, port, site, times }));
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

// The stealth listener itself, with a secret: every probe is a visitor.
async function startStealth({ dir, site, times }) {
  const { publicKey, privateKey, fingerprint } = generateKeyPair();
  const server = await serve({
    hostKey: privateKey,
    authorizedKeys: Buffer.from(publicKey),
    tlsCert: path.join(dir, 'cert.pem'),
    tlsKey: path.join(dir, 'key.pem'),
    listen: 'tls=127.0.0.1:0',
    stealth: true,
    stealthSecret,
    decoy: { folder: site.root, origin: site.origin }[site.kind],
    [kInternal]: {
      visitorTime: times.header,
      decoy: {
        headerTimeout: times.header,
        bodyTimeout: times.header,
        keepAlive: times.keepAlive,
        lingerTimeout: times.linger,
      },
    },
  });
  const { port } = server.addresses[0];
  return {
    port,
    guest: {
      server: `127.0.0.1:${port}`,
      transport: 'tls',
      tlsCa: path.join(dir, 'cert.pem'),
      hostKey: fingerprint,
      identity: privateKey,
      stealthSecret,
      reconnect: false,
    },
    log: () => '',
    stop: () => server.close({ drain: 0 }),
  };
}

module.exports = { defaultTimes, startNginx, startStealth, times };
