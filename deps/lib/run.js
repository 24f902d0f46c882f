'use strict';

const fs = require('node:fs');
const { spawn } = require('node:child_process');
const { DepsError } = require('./errors');

// Variables that would change what is built behind the cache key's back.
const SCRUBBED =
  /^(CC|CXX|AR|AS|LD|NM|RANLIB|RC|PERL|(C|CXX|CPP|LD|MAKE|M|GNUMAKE)FLAGS|LIBS|MAKELEVEL|CPATH|C_INCLUDE_PATH|LIBRARY_PATH|DESTDIR|CROSS_COMPILE|MACHINE|SYSTEM|CMAKE_.*|PKG_CONFIG_.*|OPENSSL_.*|APT_CONFIG)$/;

const running = new Set();

/** The environment for tools: predictable flags, English messages. */
function toolEnv(extra = {}) {
  const env = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!SCRUBBED.test(name)) env[name] = value;
  }
  // A leak report in a configure probe would read as "feature missing".
  return { ...env, LC_ALL: 'C', ASAN_OPTIONS: 'detect_leaks=0', ...extra };
}

/** The last lines of a log, indented. */
function tail(file, lines = 15) {
  const text = fs.readFileSync(file, 'utf8').trimEnd();
  return text
    .split('\n')
    .slice(-lines)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join('\n');
}

function spawnLogged(command, args, options, fd) {
  return new Promise((resolve) => {
    // A process group of its own, so that an interrupt ends the whole tree.
    const child = spawn(command, args, {
      ...options,
      detached: true,
      stdio: ['ignore', fd, fd],
    });
    running.add(child);
    child.on('error', (err) => {
      running.delete(child);
      fs.writeSync(fd, `${err.message}\n`);
      resolve(127);
    });
    child.on('close', (code) => {
      running.delete(child);
      resolve(code === null ? 128 : code);
    });
  });
}

/** Runs a command with its output appended to `log`; resolves to its status. */
async function runStatus(command, args, { cwd, env, log }) {
  const fd = fs.openSync(log, 'a');
  try {
    fs.writeSync(fd, `\n$ cd ${cwd} && ${[command, ...args].join(' ')}\n`);
    return await spawnLogged(command, args, { cwd, env: env || toolEnv() }, fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** As runStatus, but a failure becomes a message with the end of the log. */
async function run(what, command, args, options) {
  const status = await runStatus(command, args, options);
  if (status === 0) return;
  const end = tail(options.log);
  if (/No space left on device/.test(end)) {
    throw new DepsError(
      `${what}: no space left on the device; free some or set WRAITH_CACHE to a directory elsewhere`,
    );
  }
  throw new DepsError(
    `${what} failed (${command}, status ${status}). The last lines of ${options.log}:\n${end}`,
  );
}

/** Ends whatever is running, with everything it started. */
function killRunning() {
  for (const child of running) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  }
}

module.exports = { run, runStatus, toolEnv, tail, killRunning };
