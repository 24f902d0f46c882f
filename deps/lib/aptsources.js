'use strict';

const fs = require('node:fs');
const path = require('node:path');

// Reads apt's own configuration, because only the machine knows from which
// mirror it may fetch. No archive address is written into this project.

// Options that say how an archive is trusted; they go along into the scratch
// configuration. Architectures, languages and targets do not matter there.
const KEPT_FIELDS = new Map(
  [
    'Signed-By',
    'Trusted',
    'Allow-Insecure',
    'Allow-Weak',
    'Allow-Downgrade-To-Insecure',
    'Check-Valid-Until',
    'Valid-Until-Min',
    'Valid-Until-Max',
    'Check-Date',
    'Date-Max-Future',
  ].map((name) => [name.toLowerCase(), name]),
);

function keptOptions(fields) {
  const options = {};
  for (const [name, value] of fields) {
    const kept = KEPT_FIELDS.get(name);
    if (kept && value !== '') options[kept] = value;
  }
  return options;
}

// `[ arch=amd64 signed-by=/a.gpg,/b.gpg ]`: the comma separates in this
// format what a space separates in the other.
function parseBracket(text) {
  const fields = new Map();
  for (const word of (text || '').split(/\s+/).filter(Boolean)) {
    const match = word.match(/^([^=]+?)[+-]?=(.*)$/);
    if (match) {
      fields.set(match[1].toLowerCase(), match[2].replaceAll(',', ' '));
    }
  }
  return fields;
}

/** Entries of a one-line format file (sources.list, *.list). */
function parseList(text) {
  const entries = [];
  for (const line of text.split('\n')) {
    const match = line
      .replace(/#.*/, '')
      .match(/^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)$/);
    if (!match) continue;
    const [, type, bracket, uri, suite, components] = match;
    entries.push({
      types: [type],
      uris: [uri],
      suites: [suite],
      components: components.split(/\s+/).filter(Boolean),
      options: keptOptions(parseBracket(bracket)),
    });
  }
  return entries;
}

// One stanza of a deb822 file as a map from lower-case field to value;
// continuation lines stay (a Signed-By can be a whole key).
function parseStanza(lines) {
  const fields = new Map();
  let last = null;
  for (const line of lines) {
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line)) {
      if (last) fields.set(last, `${fields.get(last)}\n${line}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    last = line.slice(0, colon).trim().toLowerCase();
    fields.set(last, line.slice(colon + 1).trim());
  }
  return fields;
}

function stanzaEntry(fields) {
  const words = (name) => (fields.get(name) || '').split(/\s+/).filter(Boolean);
  if (/^(no|false|without|off|disable|0)$/i.test(fields.get('enabled') || '')) {
    return null;
  }
  const entry = {
    types: words('types'),
    uris: words('uris'),
    suites: words('suites'),
    components: words('components'),
    options: keptOptions(fields),
  };
  return entry.types.length && entry.uris.length ? entry : null;
}

/** Entries of a deb822 format file (*.sources). */
function parseDeb822(text) {
  return text
    .split(/\n[ \t]*(?:\n|$)/)
    .map((stanza) => stanzaEntry(parseStanza(stanza.split('\n'))))
    .filter(Boolean);
}

/** Entries of all source files below `etc` (normally /etc/apt). */
function readSources(etc) {
  const files = [path.join(etc, 'sources.list')];
  const parts = path.join(etc, 'sources.list.d');
  if (fs.existsSync(parts)) {
    for (const name of fs.readdirSync(parts).sort()) {
      // apt ignores all other names too.
      if (/^[\w.-]+\.(list|sources)$/.test(name)) {
        files.push(path.join(parts, name));
      }
    }
  }
  return files
    .filter((file) => fs.existsSync(file))
    .flatMap((file) => {
      const text = fs.readFileSync(file, 'utf8').replaceAll('\r', '');
      return file.endsWith('.sources') ? parseDeb822(text) : parseList(text);
    });
}

/** The codename in the text of an os-release file, or null. */
function codenameOf(osRelease) {
  const match = osRelease.match(/^VERSION_CODENAME="?([\w.-]+)"?$/m);
  return match ? match[1] : null;
}

const GENERIC_SUITES = ['oldstable', 'stable', 'testing', 'unstable', 'sid'];

function isMainSuite(suite, codename) {
  const base = suite.replace(
    /-(updates|backports|proposed-updates|security)$/,
    '',
  );
  return base === codename || GENERIC_SUITES.includes(base);
}

// Third parties use the same suite names, so the path and the key count too.
// A wrong guess is caught later: apt's Release file names its origin.
function likeness(uri, options) {
  const key = options['Signed-By'] || '';
  let score = 0;
  if (/\/debian\/*$/.test(uri)) score += 2;
  if (/(^|\/)debian-archive-[^/]*$/.test(key)) score += 2;
  else if (key.startsWith('/')) score -= 1;
  return score;
}

/**
 * The places that may be the Debian archive, most likely first, each once:
 * `[{ uri, options, security }]`. Security fixes have an archive of their own.
 */
function findArchives(entries, codename) {
  const found = new Map();
  for (const entry of entries) {
    if (!entry.components.includes('main')) continue;
    if (!entry.suites.some((suite) => isMainSuite(suite, codename))) continue;
    for (const uri of entry.uris) {
      if (/^cdrom:/.test(uri)) continue;
      const id = uri.replace(/\/+$/, '');
      const security = /security/.test(uri);
      if (found.has(id)) continue;
      found.set(id, { uri, options: entry.options, security });
    }
  }
  return [...found.values()].sort(
    (a, b) => likeness(b.uri, b.options) - likeness(a.uri, a.options),
  );
}

module.exports = {
  parseList,
  parseDeb822,
  readSources,
  codenameOf,
  findArchives,
};
