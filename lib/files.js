'use strict';

const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { WraithError } = require('./errors.js');

const FILE_MAX = 16 * 1024 * 1024;

/** $XDG_STATE_HOME/wraith/name and the like. */
function xdgPath(variable, fallback, name) {
  const base = process.env[variable] || path.join(os.homedir(), fallback);
  return path.join(base, 'wraith', name);
}

const defaultPaths = {
  hostKey: () => xdgPath('XDG_STATE_HOME', '.local/state', 'host_ed25519'),
  authorizedKeys: () =>
    xdgPath('XDG_CONFIG_HOME', '.config', 'authorized_keys'),
  knownHosts: () => xdgPath('XDG_CONFIG_HOME', '.config', 'known_hosts'),
  identity: () => path.join(os.homedir(), '.ssh', 'id_ed25519'),
  acme: () => xdgPath('XDG_STATE_HOME', '.local/state', 'acme'),
};

function fileError(option, file, error) {
  const why = {
    EACCES: 'permission denied',
    EISDIR: 'is a folder',
    ENOENT: 'no such file',
    ENOTDIR: 'a part of the path is not a folder',
  };
  const text = why[error.code] || error.code || 'cannot be used';
  const out = new WraithError(
    'ERR_WRAITH_FILE',
    `${option}: ${file}: ${text}`,
    { phase: 'options', cause: error },
  );
  out.option = option;
  out.file = file;
  return out;
}

async function readWhole(option, file) {
  let handle;
  try {
    handle = await fs.promises.open(file);
    const stat = await handle.stat();
    if (stat.size > FILE_MAX)
      throw Object.assign(new Error(), { code: 'EFBIG' });
    return { text: await handle.readFile(), stat };
  } catch (error) {
    throw fileError(option, file, error);
  } finally {
    await handle?.close();
  }
}

async function readFile(option, file) {
  return (await readWhole(option, file)).text;
}

/** The mode of a file of our own that others may use as well; else 0. */
function looseMode({ uid, mode }) {
  const ours = process.getuid !== undefined && uid === process.getuid();
  return ours && (mode & 0o077) !== 0 ? mode & 0o777 : 0;
}

/** The error for the file of a private key that others may use. */
function modeError(option, file, loose) {
  const mode = loose.toString(8).padStart(4, '0');
  return Object.assign(
    new WraithError(
      'ERR_WRAITH_KEY_MODE',
      `${option} ${file}: others may use this private key (mode ${mode}): ` +
        `chmod 600 ${file}`,
      { phase: 'options' },
    ),
    { option, file },
  );
}

/**
 * A key source: a Buffer or a string with a line feed is contents, any other
 * string a path.
 *
 * @returns {Promise<{ text: Buffer, file?: string, loose?: number }>} loose:
 *   the file's mode if others may use it too
 */
async function readSource(option, source) {
  if (source instanceof Uint8Array) return { text: Buffer.from(source) };
  if (source.includes('\n')) return { text: Buffer.from(source) };
  const { text, stat } = await readWhole(option, source);
  return { text, file: source, loose: looseMode(stat) };
}

// EEXIST of a folder means that something else has its name.
async function makeFolder(folder) {
  try {
    await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (error.code === 'EEXIST') error.code = 'ENOTDIR';
    throw error;
  }
}

const draftOf = (file) => `${file}.${randomBytes(8).toString('hex')}`;

async function writeNew(file, contents) {
  const handle = await fs.promises.open(file, 'wx', 0o600);
  try {
    await handle.writeFile(contents);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates a file that must not exist yet, with its folders, mode 0600. It
 * appears whole or not at all: another process may look for it meanwhile.
 */
async function createSecretFile(file, contents) {
  await makeFolder(path.dirname(file));
  const draft = draftOf(file);
  try {
    await writeNew(draft, contents);
    await fs.promises.link(draft, file);
  } finally {
    await fs.promises.rm(draft, { force: true });
  }
}

// The name itself must be on the disk too. Windows has no such thing.
async function syncFolder(folder) {
  if (process.platform === 'win32') return;
  const handle = await fs.promises.open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file, mode 0600, with its folders, in place of what was there: a
 * crash leaves the old contents or the new.
 */
async function replaceSecretFile(file, contents) {
  const folder = path.dirname(file);
  await makeFolder(folder);
  const draft = draftOf(file);
  try {
    await writeNew(draft, contents);
    await fs.promises.rename(draft, file);
  } catch (error) {
    await fs.promises.rm(draft, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

async function appendFile(file, line) {
  await makeFolder(path.dirname(file));
  await fs.promises.appendFile(file, line, { mode: 0o600 });
}

module.exports = {
  appendFile,
  createSecretFile,
  defaultPaths,
  fileError,
  modeError,
  readFile,
  readSource,
  replaceSecretFile,
};
