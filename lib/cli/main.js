'use strict';

const { WraithError } = require('../errors.js');
const help = require('./help.js');
const { EXIT, errorText, exitCode, print } = require('./output.js');

/** Loaded when called: --help needs no addon. */
const commands = {
  serve: () => require('./serve.js').serve,
  connect: () => require('./connect.js').connect,
  keygen: () => require('./keygen.js').keygen,
  demo: () => require('./demo.js').demo,
  policy: () => require('./policy.js').policy,
};

const later = ['relay'];

function fail(error) {
  process.stderr.write(`wraith: ${errorText(error)}\n`);
  process.exitCode = exitCode(error);
}

function usageError(message) {
  return new WraithError('ERR_WRAITH_USAGE', `${message} (wraith --help)`, {
    phase: 'options',
  });
}

function printVersion() {
  const info = require('../index.js').buildInfo();
  print(
    `wraith ${info.version} (libssh ${info.libssh}, OpenSSL ${info.openssl}, ` +
      `ngtcp2 ${info.ngtcp2}, nghttp3 ${info.nghttp3})`,
  );
}

function pick(args) {
  const [name] = args;
  if (name === undefined) throw usageError('which command?');
  if (later.includes(name)) {
    throw usageError(`${name} is not part of this version yet`);
  }
  if (!Object.hasOwn(commands, name)) {
    throw usageError(`${JSON.stringify(name)} is not a command`);
  }
  return commands[name]();
}

async function run(args) {
  const [first] = args;
  if (first === '--version') return printVersion();
  if (first === '--help' || first === '-h' || first === 'help') {
    return print(help.general);
  }
  const command = pick(args);
  if (args.includes('--help')) return print(help[first]);
  if (args.includes('--version')) return printVersion();
  // A core of this process would hold private keys and sessions' secrets.
  require('../binding.js').native.noCores();
  return command(args.slice(1));
}

/** Sets process.exitCode; the process ends when nothing is left to do. */
async function main(args) {
  // A reader that goes away (head, a closed pipe) is no reason for a stack.
  process.stdout.on('error', () => {
    process.exitCode = EXIT.FAILURE;
  });
  // Nor is it a reason to end for a server whose log nobody reads any more.
  process.stderr.on('error', () => {});
  try {
    const code = await run(args);
    if (code !== undefined) process.exitCode = code;
  } catch (error) {
    fail(error);
  }
}

module.exports = { main };
