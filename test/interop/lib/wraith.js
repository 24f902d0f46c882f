'use strict';
// The command line of the project as child processes.
const fs = require('node:fs');
const path = require('node:path');
const { Program, run } = require('./program.js');

const BIN = path.join(__dirname, '..', '..', '..', 'bin', 'wraith.js');

// Nothing of the user's own configuration is read.
function ownEnv(dir, extra = {}) {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^WRAITH_(?!ADDON$)/.test(name)) delete env[name];
  }
  return {
    ...env,
    HOME: dir,
    XDG_STATE_HOME: path.join(dir, 'state'),
    XDG_CONFIG_HOME: path.join(dir, 'config'),
    ...extra,
  };
}

function wraith(dir, args, { env = {}, ...options } = {}) {
  return new Program(process.execPath, [BIN, ...args], {
    name: `wraith ${args[0]}`,
    cwd: dir,
    env: ownEnv(dir, env),
    ...options,
  });
}

// A command that ends by itself.
function wraithRun(dir, args, { env = {}, ...options } = {}) {
  return run(process.execPath, [BIN, ...args], {
    name: `wraith ${args[0]}`,
    cwd: dir,
    env: ownEnv(dir, env),
    ...options,
  });
}

// A key pair: { file, pub, line, fingerprint }.
async function keygen(dir, name) {
  const file = path.join(dir, name);
  const args = ['keygen', '--json', '--out', file, '--comment', name];
  const { code, stdout, stderr } = await wraithRun(dir, args);
  if (code !== 0) throw new Error(`keygen: ${stderr}`);
  const { publicKey, fingerprint } = JSON.parse(stdout);
  return { file, pub: `${file}.pub`, line: publicKey, fingerprint };
}

async function summaryOf(program) {
  try {
    const [text] = await program.line(/^\{.*\}$/, { from: 'stdout' });
    return JSON.parse(text);
  } catch (error) {
    await program.stop();
    throw error;
  }
}

function writeKeys(dir, keys) {
  const file = path.join(dir, 'authorized_keys');
  fs.writeFileSync(file, keys.map((key) => `${key.line}\n`).join(''));
  return file;
}

async function startServe(dir, { keys, args = [], format = 'logfmt' }) {
  const program = wraith(dir, [
    'serve',
    '--json',
    '--log-level',
    'debug',
    '--log-format',
    format,
    '--listen',
    '127.0.0.1:0',
    '--authorized-keys',
    writeKeys(dir, keys),
    ...args,
  ]);
  program.format = format;
  const summary = await summaryOf(program);
  const [{ host, port }] = summary.addresses;
  return Object.assign(program, { summary, host, port });
}

// server: { host, port }; key: null for none; pin: an argument of --host-key,
// or null.
async function startConnect(dir, { server, key, pin, args = [], format, env }) {
  const program = wraith(
    dir,
    [
      'connect',
      '--json',
      '--log-level',
      'debug',
      '--log-format',
      format ?? 'logfmt',
      '--server',
      `${server.host}:${server.port}`,
      ...(key ? ['--identity', key.file] : []),
      ...(pin ? ['--host-key', pin] : []),
      ...(args.includes('--socks5') ? [] : ['--socks5', '0']),
      ...args,
    ],
    { env },
  );
  program.format = format ?? 'logfmt';
  const summary = await summaryOf(program);
  const [socks5] = summary.addresses;
  return Object.assign(program, { summary, socks5 });
}

const connected = (program) =>
  program.line(/ connected$|"message":"connected"/, { from: 'stderr' });

module.exports = {
  BIN,
  connected,
  keygen,
  ownEnv,
  startConnect,
  startServe,
  wraith,
  wraithRun,
};
