'use strict';

// Request targets and host names, as strings of bytes (latin1), in the way
// that nginx reads them.

/**
 * Splits and decodes a target: `%` sequences are resolved, doubled slashes
 * and dot segments removed. Returns null for one that nginx answers with 400.
 *
 * @param {string} target what stood in the request line, from its first `/`
 */
function readTarget(target) {
  const end = target.search(/[?#]/);
  const path = decodePath(end === -1 ? target : target.slice(0, end));
  if (path === null) return null;
  let args = '';
  if (end !== -1 && target[end] === '?') {
    args = target.slice(end + 1);
    const hash = args.indexOf('#');
    if (hash !== -1) args = args.slice(0, hash);
  }
  return { path, args };
}

function decodePath(raw) {
  if (!/%|\/[./]/.test(raw)) return raw;
  const text = percentDecode(raw);
  return text === null ? null : removeDots(text);
}

function percentDecode(raw) {
  if (/%(?![0-9a-fA-F]{2})/.test(raw) || raw.includes('%00')) return null;
  return raw.replace(/%(..)/g, (_, hex) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
}

// Above the root there is nothing: that is a bad request, not a file.
function removeDots(path) {
  const parts = path.split('/').slice(1);
  const kept = [];
  for (const part of parts) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.pop() === undefined) return null;
  }
  const folder = ['', '.', '..'].includes(parts[parts.length - 1]);
  return `/${kept.join('/')}${folder && kept.length > 0 ? '/' : ''}`;
}

/**
 * The name in a Host field or an absolute target, in lower case and without
 * its port; null if nginx does not take it.
 */
function readHost(value) {
  if (/[\0-\x20\x7f/]/.test(value) || value.includes('..')) return null;
  const literal = value.startsWith('[');
  const end = literal ? value.indexOf(']') + 1 : value.indexOf(':');
  const name = end > 0 || value[0] === ':' ? value.slice(0, end) : value;
  const host = name.endsWith('.') ? name.slice(0, -1) : name;
  return host === '' ? null : host.toLowerCase();
}

// What nginx escapes in a path that it puts into a Location field.
function escapePath(path) {
  return path.replace(/[\0-\x20"#%<>?\\^`{|}\x7f-\xff]/g, (c) => {
    const hex = c.charCodeAt(0).toString(16).toUpperCase();
    return `%${hex.padStart(2, '0')}`;
  });
}

module.exports = { escapePath, readHost, readTarget };
