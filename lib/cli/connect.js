'use strict';

const fs = require('node:fs');
const net = require('node:net');

const { native } = require('../binding.js');
const { optionError } = require('../errors.js');
const { defaultPaths } = require('../files.js');
const { readPins } = require('../hostkey.js');
const { needsPassphrase } = require('../identity.js');
const { parseHostPort } = require('../options.js');
const { createTunnel } = require('../tunnel.js');
const { readArgs, usage } = require('./args.js');
const { askPassphrase } = require('./ask.js');
const { EXIT, errorText, exitCode, print, readOutput } = require('./output.js');
const { onStopSignals } = require('./signals.js');

const later = { type: 'later' };
const DEFAULT_SOCKS5 = '127.0.0.1:1080';

const flags = {
  server: { type: 'text', env: 'WRAITH_SERVER' },
  peer: later,
  transport: { type: 'text' },
  identity: { type: 'text', env: 'WRAITH_IDENTITY' },
  certificate: { type: 'text' },
  agent: { type: 'flag' },
  user: { type: 'text' },
  'host-key': { type: 'text', many: true },
  'known-hosts': { type: 'text' },
  strict: { type: 'flag' },
  socks5: { type: 'text' },
  'socks5-auth': { type: 'secret', env: 'WRAITH_SOCKS5_AUTH' },
  'socks5-open': { type: 'flag' },
  forward: { type: 'text', many: true },
  'remote-forward': { type: 'text', many: true },
  proxy: { type: 'secret', env: 'WRAITH_PROXY' },
  'iroh-relay': later,
  'iroh-key': later,
  'tls-server-name': { type: 'text' },
  'tls-ca': { type: 'text' },
  'tls-pin': { type: 'text', many: true },
  insecure: { type: 'flag' },
  'stealth-secret': { type: 'secret', env: 'WRAITH_STEALTH_SECRET' },
  'ws-path': { type: 'text' },
  keepalive: { type: 'seconds' },
  once: { type: 'flag' },
};

/** '--socks5 [addr:]port | off' → { host, port } or null. */
function readSocks5({ socks5 = DEFAULT_SOCKS5, socks5Auth, socks5Open }) {
  if (socks5 === 'off') return null;
  const text = /^\d+$/.test(socks5) ? `127.0.0.1:${socks5}` : socks5;
  const { host, port } = parseHostPort('socks5', text);
  if (socks5Auth !== undefined && !/^[^:]+:./s.test(socks5Auth)) {
    throw usage('socks5-auth', 'must be user:password');
  }
  if (!isLoopback(host) && socks5Auth === undefined && !socks5Open) {
    throw usage(
      'socks5',
      `${host} is not loopback: anybody who reaches it could use the tunnel; ` +
        'give --socks5-auth user:password, or --socks5-open if that is meant',
    );
  }
  return { host, port, ...(socks5Auth ? { auth: socks5Auth } : {}) };
}

function isLoopback(host) {
  if (host === 'localhost' || host === '::1') return true;
  return net.isIPv4(host) && host.startsWith('127.');
}

async function readPassphrase(identity, agent) {
  if (process.env.WRAITH_PASSPHRASE !== undefined) {
    return process.env.WRAITH_PASSPHRASE;
  }
  if (!(await needsPassphrase(identity, agent))) return undefined;
  return askPassphrase(`passphrase of ${identity}: `);
}

/** With an agent only what is named: its keys need no file. */
async function readLogin({ identity, certificate, agent = false }) {
  if (identity === undefined && agent) return { certificate, agent };
  const file = identity ?? defaultPaths.identity();
  if (identity === undefined && !fs.existsSync(file)) {
    throw usage(
      'identity',
      `there is no ${file}; "wraith keygen" makes a key, or name a file`,
    );
  }
  const passphrase = await readPassphrase(file, agent);
  return { identity: file, passphrase, certificate, agent };
}

/** How to get there; what the tunnel checks by itself. */
function carrierOptions({
  server,
  transport,
  proxy,
  tlsServerName,
  tlsCa,
  tlsPin,
  insecure,
  stealthSecret,
  wsPath,
}) {
  return {
    server,
    transport,
    proxy,
    tlsServerName,
    tlsCa,
    tlsPin,
    insecure,
    stealthSecret,
    wsPath,
  };
}

async function tunnelOptions(values) {
  const { server, user, hostKey, knownHosts, keepalive } = values;
  if (!server) throw usage('server', 'is needed: --server <host[:port]>');
  // They are read again when a key is judged; a mistake is told before that.
  if (hostKey) await readPins(hostKey);
  const options = {
    ...carrierOptions(values),
    user,
    hostKey,
    keepalive,
    ...(await readLogin(values)),
    reconnect: !values.once,
  };
  if (!hostKey) {
    options.knownHosts = knownHosts ?? defaultPaths.knownHosts();
    options.acceptNew = !values.strict;
  }
  return options;
}

/** Binds everything before anything is dialled: a taken port ends it early. */
async function listen(tunnel, values) {
  const socks5 = readSocks5(values);
  const bound = { forwards: [] };
  if (socks5) bound.socks5 = await tunnel.socks5(socks5);
  for (const spec of values.forward ?? []) {
    bound.forwards.push(await tunnel.forward(spec));
  }
  return bound;
}

function shown({ host, port, path }) {
  if (path !== undefined) return path;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function announce({ socks5, forwards }, json) {
  if (json) {
    const place = (l) =>
      l.path ? { path: l.path } : { host: l.host, port: l.port };
    const summary = {
      addresses: socks5 ? [{ transport: 'socks5', ...place(socks5) }] : [],
      forwards: forwards.map(place),
    };
    print(JSON.stringify(summary));
    return;
  }
  if (socks5) print(`socks5: ${shown(socks5)}`);
  for (const forward of forwards) print(`forward: ${shown(forward)}`);
}

/** Later than the summary, so a line of its own. */
function announceRemote(number, { path, port }, json) {
  const place = path === undefined ? { port } : { path };
  if (json) print(JSON.stringify({ remoteForward: number, ...place }));
  else print(`remote forward ${number}: ${path ?? `port ${port}`}`);
}

/** Remote forwards are asked for once and then kept by the tunnel. */
function startRemotes(tunnel, specs, reporter, json) {
  for (const [i, spec] of specs.entries()) {
    tunnel.remoteForward(spec).then(
      (listener) => {
        announceRemote(i + 1, listener, json);
      },
      (error) => {
        if (tunnel.state === 'closed') return;
        reporter.say('error', 'remote forward failed', {
          number: i + 1,
          reason: errorText(error),
        });
      },
    );
  }
}

function checkSpecs(values) {
  const lists = [
    ['forward', values.forward ?? [], false],
    ['remoteForward', values.remoteForward ?? [], true],
  ];
  for (const [name, specs, remote] of lists) {
    for (const spec of specs) {
      const parsed = native.forwardSpec(spec, remote);
      if (typeof parsed === 'string') {
        throw optionError(name, `${JSON.stringify(spec)}: ${parsed}`);
      }
    }
  }
}

function report(tunnel, reporter, values) {
  tunnel.on('hostkey', ({ added, fingerprint, file }) => {
    if (!added) return;
    reporter.say('warn', 'first contact: host key remembered', {
      fingerprint,
      file,
    });
  });
  tunnel.on('state', ({ state, reason, retryIn }) => {
    if (state === 'up') reporter.say('info', 'connected');
    if (state !== 'reconnecting') return;
    reporter.say('warn', 'not connected', {
      reason: explain(reason, values),
      retry_in: (retryIn / 1000).toFixed(1),
    });
  });
}

/** A server that keeps its secret gives no reason. */
function explain(error, { stealthSecret }) {
  const text = errorText(error);
  if (stealthSecret === undefined) return text;
  if (error.code !== 'ERR_WRAITH_WS_REFUSED') return text;
  return `${text}; a wrong secret or path looks like this, or a wrong clock`;
}

/** The host key is checked all the same; who looks on is another matter. */
function warnOfInsecure(reporter) {
  reporter.say('warn', 'TLS certificates are not checked', {
    option: '--insecure',
  });
}

/** The exit code of a tunnel that has ended by itself. */
function endCode(error, last, values) {
  const { once } = values;
  if (once && last?.wasUp && last.orderly) return EXIT.OK;
  if (!error) return EXIT.OK;
  process.stderr.write(`wraith: ${explain(error, values)}\n`);
  return last?.wasUp && once ? EXIT.FAILURE : exitCode(error);
}

function runUntilClosed(tunnel, values) {
  let last = null;
  tunnel.on('down', (event) => {
    last = event;
  });
  const off = onStopSignals(
    () => tunnel.close(),
    () => tunnel.destroy(),
  );
  return new Promise((resolve) => {
    tunnel.once('close', (error) => {
      off();
      resolve(endCode(error, last, values));
    });
  });
}

async function connect(args) {
  const { values } = readArgs(args, flags);
  const reporter = readOutput(values);
  readSocks5(values); // wrong usage ends it before a passphrase is asked for
  checkSpecs(values);
  const tunnel = createTunnel(await tunnelOptions(values));
  const ended = runUntilClosed(tunnel, values);
  report(tunnel, reporter, values);
  if (values.insecure) warnOfInsecure(reporter);
  try {
    announce(await listen(tunnel, values), values.json);
  } catch (error) {
    await tunnel.close();
    throw error;
  }
  startRemotes(tunnel, values.remoteForward ?? [], reporter, values.json);
  return ended;
}

module.exports = { connect, flags };
