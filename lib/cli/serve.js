'use strict';

const fs = require('node:fs');

const { defaultPaths } = require('../files.js');
const { isLoopback } = require('../metrics.js');
const { serve: startServer } = require('../server.js');
const { readArgs, usage } = require('./args.js');
const { EXIT, errorText, print, readOutput } = require('./output.js');
const { onStopSignals } = require('./signals.js');

const later = { type: 'later' };

const flags = {
  key: { type: 'text', option: 'hostKey' },
  'host-certificate': { type: 'text' },
  'authorized-keys': { type: 'text' },
  'cert-authority': { type: 'text', many: true },
  'revoked-keys': { type: 'text', many: true },
  transport: { type: 'text', many: true },
  listen: { type: 'text', many: true },
  'tls-cert': { type: 'text' },
  'tls-key': { type: 'text' },
  'acme-domain': { type: 'text', many: true },
  'acme-directory': { type: 'text' },
  'acme-email': { type: 'text' },
  'acme-ca': { type: 'text' },
  'acme-dir': { type: 'text' },
  'acme-challenge': { type: 'text' },
  'acme-http-listen': { type: 'text' },
  'acme-eab-kid': { type: 'text' },
  'acme-eab-hmac-key': { type: 'secret', env: 'WRAITH_ACME_EAB_HMAC_KEY' },
  stealth: { type: 'flag' },
  decoy: { type: 'text' },
  'stealth-secret': { type: 'secret', env: 'WRAITH_STEALTH_SECRET' },
  'ws-path': { type: 'text' },
  'trust-proxy': { type: 'text', many: true },
  proxy: { type: 'secret', env: 'WRAITH_PROXY' },
  'iroh-relay': later,
  'iroh-key': later,
  'publish-addresses': later,
  'no-publish': later,
  'allow-peer': later,
  'max-connections-per-ip': { type: 'count' },
  'max-auth-attempts': { type: 'count' },
  'login-grace-time': { type: 'seconds' },
  'max-startups': { type: 'startups' },
  'penalty-time': { type: 'secondsOrNone' },
  'penalty-max': { type: 'seconds' },
  'penalty-exempt': { type: 'text', many: true },
  'max-sessions': { type: 'count' },
  'max-channels': { type: 'count' },
  allow: { type: 'text', many: true },
  deny: { type: 'text', many: true },
  'gateway-ports': { type: 'flag' },
  metrics: { type: 'text' },
  workers: later,
};

/** The host that a client on another machine would be told. */
function dialHost(host) {
  if (host === '::' || host === '0.0.0.0') return '<this host>';
  return host.includes(':') ? `[${host}]` : host;
}

/** How a client gets to what listens for it; ws is there for what is in front. */
function dialOf({ transport, host, port }) {
  if (transport === 'tcp') return `--server ${dialHost(host)}:${port}`;
  if (transport === 'ws') return '--transport wss --server <the front>';
  return `--transport ${transport} --server ${dialHost(host)}:${port}`;
}

/** Clients check the name in the certificate, so they are told one of those. */
function named(address, { acmeDomain }) {
  const isAny = address.host === '::' || address.host === '0.0.0.0';
  if (address.transport !== 'tls' || !isAny || !acmeDomain) return address;
  return { ...address, host: acmeDomain[0] };
}

function connectLine(server, options, address) {
  const { stealthSecret, wsPath } = options;
  const words = ['wraith connect', dialOf(named(address, options))];
  words.push(`--host-key ${server.hostKeyFingerprint}`);
  if (address.transport === 'tcp') return words.join(' ');
  if (stealthSecret !== undefined) words.push('--stealth-secret @<file>');
  const needsPath = stealthSecret !== undefined || address.transport === 'ws';
  if (wsPath && needsPath) words.push(`--ws-path ${wsPath}`);
  return words.join(' ');
}

function hostPort({ host, port }) {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Undefined without --metrics. */
function metricsUrl({ metricsAddress }) {
  return metricsAddress && `http://${hostPort(metricsAddress)}/metrics`;
}

function announce(server, options, json) {
  const connect = server.addresses.map((a) => connectLine(server, options, a));
  const metrics = metricsUrl(server);
  if (json) {
    const { addresses, hostKeyFingerprint } = server;
    print(JSON.stringify({ addresses, hostKeyFingerprint, connect, metrics }));
    return;
  }
  if (server.hostKeyCreated) print(`new host key: ${server.hostKeyFile}`);
  for (const address of server.addresses) {
    print(`listening: ${address.transport} ${hostPort(address)}`);
  }
  print(`host key: ${server.hostKeyFingerprint}`);
  if (metrics) print(`metrics: ${metrics}`);
  for (const line of connect) print(`connect: ${line}`);
}

function warnOfOpenMetrics({ metricsAddress }, reporter) {
  if (!metricsAddress || isLoopback(metricsAddress.host)) return;
  reporter.say('warn', 'metrics are open to other hosts', {
    listen_addr: hostPort(metricsAddress),
  });
}

/** sshd serves with it as well: clients may know the key in it. */
function warnOfCertificate({ hostCertificate }, reporter) {
  if (hostCertificate?.fault === undefined) return;
  reporter.say('warn', 'host certificate not usable', {
    reason: hostCertificate.fault,
  });
}

/** Then anybody who guesses can tell what is there. */
function warnOfBanner({ stealth, stealthSecret }, reporter) {
  if (!stealth || stealthSecret !== undefined) return;
  reporter.say('warn', 'an SSH banner inside TLS is answered', {
    remedy: '--stealth-secret',
  });
}

async function reload(server, options, reporter) {
  try {
    await server.reload(reloadOptions(options));
  } catch (error) {
    reporter.say('error', 'reload failed', { reason: errorText(error) });
  }
}

/** Resolves with the exit code when the server has ended. */
function runUntilStopped(server, options, reporter) {
  const onHangup = () => reload(server, options, reporter);
  process.on('SIGHUP', onHangup);
  const off = onStopSignals(
    () => server.close(),
    () => server.close({ drain: 0 }),
  );
  return new Promise((resolve) => {
    server.once('close', () => {
      process.off('SIGHUP', onHangup);
      off();
      resolve(EXIT.OK);
    });
  });
}

/** What SIGHUP reads again. */
function reloadOptions({ authorizedKeys, certAuthority, ...options }) {
  const { revokedKeys, policy, tlsCert, tlsKey } = options;
  const keys = authorizedKeys ?? defaultKeys(certAuthority);
  return {
    authorizedKeys: keys,
    certAuthority,
    revokedKeys,
    policy,
    tlsCert,
    tlsKey,
  };
}

/** With an authority there need not be any keys. */
function defaultKeys(certAuthority) {
  const file = defaultPaths.authorizedKeys();
  return certAuthority && !fs.existsSync(file) ? [] : file;
}

/** With the line to type. */
const missing = {
  ERR_WRAITH_NO_KEYS: () => [
    'authorized-keys',
    'nobody could log in; write the public keys of those who may into ' +
      `${defaultPaths.authorizedKeys()}, or name a file: ` +
      'wraith serve --authorized-keys id_ed25519.pub',
  ],
  ERR_WRAITH_NO_CERTIFICATE: () => [
    'tls-cert',
    'transport tls needs a certificate; name one, or have one made: ' +
      'wraith serve --transport tls --tls-cert chain.pem --tls-key key.pem, ' +
      'or --acme-domain www.example.org in place of the two',
  ],
};

function remedy(error) {
  const told = missing[error.code];
  if (told) return usage(...told());
  if (
    error.code === 'EACCES' &&
    error.syscall === 'listen' &&
    error.port < 1024
  ) {
    error.message +=
      '; ports below 1024 are not open to every user: have the service ' +
      'manager listen (--listen systemd), or allow them with ' +
      `sysctl net.ipv4.ip_unprivileged_port_start=${error.port}`;
  }
  return error;
}

/** The one option whose flag has another name. */
function byFlag(error) {
  if (error.option !== 'hostKey') return remedy(error);
  error.message = error.message.replace(/^hostKey/, 'key');
  error.option = 'key';
  return error;
}

async function serve(args) {
  const { values, rules } = readArgs(args, flags);
  const { json, logLevel, logFormat, allow, deny, ...options } = values;
  const reporter = readOutput({ logLevel, logFormat });
  if (rules.length > 0) options.policy = rules;
  const server = await startServer({
    ...options,
    logLevel: logLevel ?? 'info',
    log: (record, line) => reporter.record(record, line),
  }).catch((error) => {
    throw byFlag(error);
  });
  const running = runUntilStopped(server, options, reporter);
  warnOfOpenMetrics(server, reporter);
  warnOfCertificate(server, reporter);
  warnOfBanner(options, reporter);
  announce(server, options, json);
  return running;
}

module.exports = { serve, flags };
