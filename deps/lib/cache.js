'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { DepsError } = require('./errors');

/** Where everything lies: all of it outside the source tree. */
function cachePaths(env = process.env) {
  const base = path.resolve(
    env.WRAITH_CACHE ||
      path.join(
        env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
        'wraith',
      ),
  );
  if (/[\s"'$:;\\]/.test(base)) {
    throw new DepsError(
      `the cache directory ${base} has a blank or a special character in its name, which make cannot handle; set WRAITH_CACHE to another one`,
    );
  }
  const deps = path.join(base, 'deps');
  return {
    base,
    deps,
    sources: path.join(base, 'sources'),
    apt: path.join(base, 'apt'),
    logs: path.join(base, 'logs'),
    tmp: path.join(deps, '.tmp'),
    lock: path.join(deps, '.lock'),
  };
}

function makeDirs(paths) {
  for (const name of ['deps', 'sources', 'apt', 'logs', 'tmp']) {
    fs.mkdirSync(paths[name], { recursive: true });
  }
}

function flock(args, fd) {
  return new Promise((resolve) => {
    const child = spawn('flock', [...args, '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd],
    });
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code));
  });
}

/**
 * Takes the cache's lock and resolves to a function that gives it back.
 * flock(1) locks our own open file, so the kernel drops the lock when this
 * process ends, however it ends: there is no stale lock to clean up.
 */
async function takeLock(paths, onWait) {
  const fd = fs.openSync(paths.lock, 'a');
  if ((await flock(['-n'], fd)) !== 0) {
    onWait();
    if ((await flock([], fd)) !== 0) {
      fs.closeSync(fd);
      throw new DepsError(`cannot lock ${paths.lock}`);
    }
  }
  return () => fs.closeSync(fd);
}

/** Removes what interrupted runs left behind. Call it with the lock held. */
function clearTemp(paths) {
  // Compilers that were just killed may still be creating files.
  const retry = { maxRetries: 10, retryDelay: 50 };
  fs.rmSync(paths.tmp, { recursive: true, force: true, ...retry });
  fs.mkdirSync(paths.tmp, { recursive: true });
}

function tempDir(paths, name) {
  return fs.mkdtempSync(path.join(paths.tmp, `${name}-`));
}

/** Moves a finished directory into place in one step. */
function publish(stage, target) {
  try {
    fs.renameSync(stage, target);
  } catch (err) {
    // Somebody else on the same file system, but behind another kernel, was
    // faster; both results come from the same key.
    if (err.code !== 'ENOTEMPTY' && err.code !== 'EEXIST') throw err;
  }
}

/** Fails early instead of in the middle of a compilation. */
function checkSpace(paths, needMiB) {
  const stat = fs.statfsSync(paths.base);
  const freeMiB = Math.floor((stat.bavail * stat.bsize) / (1024 * 1024));
  if (freeMiB >= needMiB) return;
  throw new DepsError(
    `not enough disk space in ${paths.base}: ${freeMiB} MiB free, about ${needMiB} MiB needed; free some or set WRAITH_CACHE to a directory elsewhere`,
  );
}

module.exports = {
  cachePaths,
  makeDirs,
  takeLock,
  clearTemp,
  tempDir,
  publish,
  checkSpace,
};
