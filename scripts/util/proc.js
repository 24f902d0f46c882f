'use strict';
// Running programs, and ending with one clear line when something is missing.
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { root } = require('./paths.js');

// What went wrong is known and said in one line; no stack is printed for it.
class Failure extends Error {}

const say = (text) => process.stdout.write(`${text}\n`);
const isRoot = () => process.getuid?.() === 0;
const isCI = () => process.env.CI === 'true' || process.env.CI === '1';

// Path of a program, also where Debian keeps those outside of a user's PATH.
function which(name, extra = []) {
  if (name.includes('/')) return fs.existsSync(name) ? name : null;
  const dirs = (process.env.PATH ?? '').split(path.delimiter);
  for (const dir of [...dirs, '/usr/sbin', '/sbin', ...extra]) {
    const file = path.join(dir, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (dir && fs.statSync(file).isFile()) return file;
    } catch {
      // not in this directory
    }
  }
  return null;
}

// Resolves { code, signal, out }. Output goes to the terminal unless `quiet`;
// `onLine` sees every line of stdout; with `inherit` nothing comes back.
function run(file, args, options = {}) {
  const { quiet, onLine, inherit, ...spawnOptions } = options;
  const stderr = quiet ? 'pipe' : 'inherit';
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: root,
      ...spawnOptions,
      stdio: inherit ? 'inherit' : ['ignore', 'pipe', stderr],
    });
    let out = '';
    let rest = '';
    const take = (data) => {
      out += data;
      if (!quiet && !onLine) process.stdout.write(data);
      if (!onLine) return;
      const lines = (rest + data).split('\n');
      rest = lines.pop();
      lines.forEach((line) => onLine(line));
    };
    child.stdout?.setEncoding('utf8').on('data', take);
    child.stderr?.setEncoding('utf8').on('data', (data) => (out += data));
    child.on('error', (err) =>
      reject(new Failure(`cannot run ${path.basename(file)}: ${err.message}`)),
    );
    child.on('close', (code, signal) => {
      if (rest && onLine) onLine(rest);
      resolve({ code, signal, out });
    });
  });
}

// Like run(), but anything other than exit code 0 is a Failure.
async function must(what, file, args, options = {}) {
  const result = await run(file, args, options);
  if (result.code === 0) return result;
  if (options.quiet) process.stderr.write(tail(useful(result.out), 60));
  const how = result.signal ?? `exit code ${result.code}`;
  throw new Failure(`${what} failed (${how})`);
}

// As must(), one at a time for each lock: two builds in one folder would
// otherwise trip over each other.
function mustLocked(lock, what, file, args, options = {}) {
  const name = path.join(root, 'build', `.${lock}.lock`);
  fs.mkdirSync(path.dirname(name), { recursive: true });
  if (!which('flock')) return must(what, file, args, options);
  return must(what, 'flock', [name, file, ...args], options);
}

// node-gyp ends with a dozen lines about itself, make counts what went well.
function useful(text) {
  return text.replace(/^(gyp (ERR!|info|verb)|\[ *\d+%\]|gmake).*\n/gm, '');
}

function tail(text, lines) {
  return text.trimEnd().split('\n').slice(-lines).join('\n') + '\n';
}

// The trimmed stdout of a short command, or null if it fails.
function output(file, args, options = {}) {
  const r = spawnSync(file, args, { cwd: root, encoding: 'utf8', ...options });
  return r.status === 0 ? r.stdout.trim() : null;
}

// Runs main() of a script: a Failure is one line on stderr and exit code 1.
function start(name, main) {
  Promise.resolve()
    .then(() => main(process.argv.slice(2)))
    .then(
      (code) => {
        process.exitCode = code ?? 0;
      },
      (err) => {
        const known = err instanceof Failure;
        process.stderr.write(`${name}: ${known ? err.message : err.stack}\n`);
        process.exitCode = 1;
      },
    );
}

// Everything under `dir` as sorted paths relative to it, '/' separated.
function walk(dir, keep = () => true) {
  if (!fs.existsSync(dir)) return [];
  return fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      path.relative(dir, path.join(entry.parentPath ?? entry.path, entry.name)),
    )
    .map((file) => file.split(path.sep).join('/'))
    .filter(keep)
    .sort();
}

module.exports = {
  Failure,
  say,
  isRoot,
  isCI,
  which,
  run,
  must,
  mustLocked,
  output,
  tail,
  start,
  walk,
};
