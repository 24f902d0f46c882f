'use strict';

const fs = require('node:fs');
const os = require('node:os');

const {
  createSecretFile,
  defaultPaths,
  fileError,
  readFile,
} = require('../files.js');
const { generateKeyPair } = require('../keys.js');
const { readArgs, usage } = require('./args.js');
const { print } = require('./output.js');

const flags = {
  out: { type: 'text' },
  comment: { type: 'text' },
  'passphrase-file': { type: 'text' },
};

async function readPassphrase(file) {
  if (file === undefined) return undefined;
  const text = (await readFile('passphraseFile', file)).toString('utf8');
  const passphrase = text.replace(/\r?\n[^]*$/, '');
  if (passphrase === '') throw usage('passphrase-file', `${file} is empty`);
  return passphrase;
}

async function writePair(out, pair) {
  try {
    await createSecretFile(out, pair.privateKey);
    await fs.promises.writeFile(`${out}.pub`, pair.publicKey, {
      flag: 'wx',
      mode: 0o644,
    });
  } catch (error) {
    if (error.code !== 'EEXIST') throw fileError('out', out, error);
    throw usage(
      'out',
      `${error.dest ?? error.path} exists already and is left alone`,
    );
  }
}

/** Neither of the two files may exist: half a pair helps nobody. */
function refuseExisting(out) {
  for (const file of [out, `${out}.pub`]) {
    if (!fs.existsSync(file)) continue;
    throw usage('out', `${file} exists already and is left alone`);
  }
}

async function keygen(args) {
  const { values } = readArgs(args, flags);
  const out = values.out ?? defaultPaths.identity();
  refuseExisting(out);
  const comment =
    values.comment ?? `${os.userInfo().username}@${os.hostname()}`;
  const passphrase = await readPassphrase(values.passphraseFile);
  const pair = generateKeyPair({ comment, passphrase });
  await writePair(out, pair);
  if (values.json) {
    const { publicKey, fingerprint } = pair;
    print(
      JSON.stringify({ file: out, publicKey: publicKey.trim(), fingerprint }),
    );
    return;
  }
  print(`private key: ${out}`);
  print(`public key: ${out}.pub`);
  print(`fingerprint: ${pair.fingerprint}`);
}

module.exports = { keygen, flags };
