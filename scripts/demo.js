'use strict';
// `npm run demo`: an addon that belongs to this tree (built or prebuilt), or
// one built now; then `wraith demo` with the arguments given.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const paths = require('./util/paths.js');
const { build } = require('./build.js');
const { sourceHash, fileHash } = require('./source-hash.js');
const { Failure, start } = require('./util/proc.js');

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}

// The prebuilt addon, if it is whole: { sources }.
function prebuilt(files = paths) {
  const text = readText(files.manifest);
  if (text === null || !fs.existsSync(files.prebuilt)) return null;
  const manifest = JSON.parse(text);
  return fileHash(files.prebuilt) === manifest.sha256 ? manifest : null;
}

// Which addon to run: the path, after building it if that is needed.
async function choose(files = paths, make = build) {
  const hash = sourceHash(files.root);
  const built = files.addon();
  if (fs.existsSync(built) && readText(files.stamp) === hash) return built;
  const ready = prebuilt(files);
  if (ready?.sources === hash) return files.prebuilt;
  try {
    return await make();
  } catch (err) {
    if (!ready || !(err instanceof Failure)) throw err;
    process.stderr.write(
      `warning: ${err.message}; running the prebuilt addon, ` +
        'which was made from other sources than these\n',
    );
    return files.prebuilt;
  }
}

async function main(args) {
  const addon = await choose();
  const argv = [paths.at('bin', 'wraith.js'), 'demo', ...args];
  const child = spawn(process.execPath, argv, {
    stdio: 'inherit',
    env: { ...process.env, WRAITH_ADDON: addon },
  });
  // The demo handles these itself; this process only waits for its end.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

module.exports = { choose };
if (require.main === module) start('demo', main);
