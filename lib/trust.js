'use strict';

// Who may log in: the files of keys, authorities and revocations as one list
// of texts, which the core takes or refuses as a whole.

const { native } = require('./binding.js');
const { WraithError, sourceError } = require('./errors.js');
const { defaultPaths, readSource } = require('./files.js');

const KINDS = {
  authorizedKeys: 'keys',
  certAuthority: 'authorities',
  revokedKeys: 'revoked',
};

/** What is wrong with one of the texts: names option, file, line and why. */
function trustError({ status, source, line, why }, list) {
  const { option, name } = list[source];
  return sourceError(status, { option, file: name, line, why });
}

async function readOne(option, source) {
  const { text, file } = await readSource(option, source);
  return { kind: KINDS[option], option, name: file ?? '', text };
}

/**
 * Reads what is given of authorizedKeys, certAuthority and revokedKeys, each a
 * key source or a list of them: { [option]: texts }.
 */
async function readTrust(options) {
  const out = {};
  for (const option of Object.keys(KINDS)) {
    const given = options[option];
    if (given === undefined) continue;
    const sources = Array.isArray(given) ? given : [given];
    out[option] = await Promise.all(sources.map((s) => readOne(option, s)));
  }
  return out;
}

/** In the order in which the core looks: keys, authorities, revocations. */
function trustList(texts) {
  return Object.keys(KINDS).flatMap((option) => texts[option] ?? []);
}

function checkTrust(texts) {
  const list = trustList(texts);
  const result = native.trustCheck(list);
  if (result.status < 0) throw trustError(result, list);
  return texts;
}

/**
 * For a server: without authorizedKeys those of the default path, which must be
 * there unless there is an authority.
 */
async function loadTrust(options) {
  const texts = await readTrust(options);
  if (texts.authorizedKeys === undefined) {
    const source = defaultPaths.authorizedKeys();
    try {
      Object.assign(texts, await readTrust({ authorizedKeys: source }));
    } catch (error) {
      if (error.cause?.code !== 'ENOENT') throw error;
      if (!texts.certAuthority?.length) throw nobody(source);
    }
  }
  return checkTrust(texts);
}

function nobody(source) {
  return new WraithError(
    'ERR_WRAITH_NO_KEYS',
    'nobody could log in: no authorizedKeys or certAuthority given, and no ' +
      source,
    { phase: 'options' },
  );
}

module.exports = { loadTrust, readTrust, trustError, trustList };
