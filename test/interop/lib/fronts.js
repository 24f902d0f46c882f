'use strict';
// Programs that stand before a server of ours and speak for its clients.
const { freePort, untilListening } = require('./net.js');
const peers = require('../../../scripts/peers.js');

// Starts a program that listens on a port of its own. Asked to end, some wait for
// connections, so they are killed; those with children of their own are asked.
async function listening(lab, name, argsOf, { stopSignal = 'SIGKILL' } = {}) {
  const place = { host: '127.0.0.1', port: await freePort() };
  const program = lab.spawn(peers.path(name), argsOf(place.port));
  program.stopSignal = stopSignal;
  await untilListening(place, () => program.running);
  return place;
}

// nginx with one server, whose block says what more than where it listens;
// `ssl` is a certificate of lib/tls.js. Upgrades may be passed on with
// $connection_upgrade.
function nginx(lab, block, { ssl } = {}) {
  const dir = lab.subdir('nginx');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${dir}/${name};`)
    .join('\n  ');
  const certificate = ssl
    ? `ssl_certificate ${ssl.certFile}; ssl_certificate_key ${ssl.keyFile};`
    : '';
  const config = (port) => `daemon off;
master_process off;
pid ${dir}/pid;
error_log stderr;
events { }
http {
  access_log off;
  ${temp}
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port}${ssl ? ' ssl' : ''};
    ${certificate}
    ${block}
  }
}
`;
  return listening(lab, 'nginx', (port) => [
    ...['-e', 'stderr', '-c'],
    lab.file(`nginx-${port}.conf`, config(port)),
  ]);
}

// A location that passes everything on, upgrades as well.
const passTo = (url, more = '') => `location / {
      proxy_pass ${url};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      ${more}
    }`;

// haproxy for TCP; `lines` say where to. It ends TLS if `pem` has a certificate
// and its key.
function haproxy(lab, lines, { pem } = {}) {
  const config = (port) => `
global
  maxconn 100
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${port}${pem ? ` ssl crt ${pem}` : ''}
${lines}
`;
  return listening(lab, 'haproxy', (port) => [
    ...['-db', '-f'],
    lab.file(`haproxy-${port}.cfg`, config(port)),
  ]);
}

const backend = (server, how) => `backend one
  server one 127.0.0.1:${server.port} ${how}`;

// Its lines for one server.
const haproxyTo = (server, how) => `  default_backend one
${backend(server, how)}`;

const tinyproxyConfig = (port, login) => `
Port ${port}
Listen 127.0.0.1
Timeout 60
LogLevel Critical
Allow 127.0.0.1
${login ? `BasicAuth ${login.user} ${login.password}` : ''}
`;

const tinyproxy = (lab, login) =>
  listening(lab, 'tinyproxy', (port) => [
    ...['-d', '-c'],
    lab.file(`tinyproxy-${port}`, tinyproxyConfig(port, login)),
  ]);

// One of sslh's protocols, and where it goes; `sni` are names of TLS.
const sslhTo = ({ name, to, sni }) =>
  `{ name: "${name}"; host: "${to.host}"; port: "${to.port}"; ${
    sni ? `sni_hostnames: [ "${sni}" ]; ` : ''
  }}`;

// Nobody waits as long as its timeout: who says nothing gets nowhere.
const sslhConfig = (port, protocols) => `
foreground: true;
numeric: true;
timeout: 600;
listen: ( { host: "127.0.0.1"; port: "${port}"; } );
protocols: (
  ${protocols.map(sslhTo).join(',\n  ')}
);
`;

// sslh, which looks at the first bytes: the first protocol that fits has them.
const sslh = (lab, protocols) =>
  listening(
    lab,
    'sslh',
    (port) => [`-F${lab.file(`sslh-${port}`, sslhConfig(port, protocols))}`],
    { stopSignal: 'SIGTERM' },
  );

module.exports = {
  backend,
  haproxy,
  haproxyTo,
  listening,
  nginx,
  passTo,
  sslh,
  tinyproxy,
};
