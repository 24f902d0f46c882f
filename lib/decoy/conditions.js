'use strict';

// What a client knows already (If-…) and which part it wants (Range).

const { parseDate } = require('./dates.js');

const MAX_OFFSET = 9223372036854775807n;

/**
 * @param {Map<string, string>} headers
 * @param {{ mtime: number, etag: string }} file
 * @returns {200 | 304 | 412}
 */
function evaluate(headers, file) {
  const unmodified = headers.get('if-unmodified-since');
  if (unmodified !== undefined) {
    const since = parseDate(unmodified);
    if (since === null || since < file.mtime) return 412;
  }
  const match = headers.get('if-match');
  if (match !== undefined && !matches(match, file.etag, false)) return 412;
  const modified = headers.get('if-modified-since');
  const none = headers.get('if-none-match');
  if (modified === undefined && none === undefined) return 200;
  // Exactly the same date: nginx's default is not "or later".
  if (modified !== undefined && parseDate(modified) !== file.mtime) return 200;
  if (none !== undefined && !matches(none, file.etag, true)) return 200;
  return 304;
}

function matches(list, etag, weak) {
  if (list === '*') return true;
  return list.split(',').some((item) => {
    const tag = item.trim();
    return (weak ? tag.replace(/^W\//, '') : tag) === etag;
  });
}

/**
 * @returns {null | 'unsatisfiable' | { start: number, end: number }[]} null
 *   means the whole file; `end` is one past the last byte
 */
function readRanges(headers, file) {
  const field = headers.get('range');
  if (field === undefined || field.length < 7) return null;
  if (field.slice(0, 6).toLowerCase() !== 'bytes=') return null;
  if (!sameVersion(headers.get('if-range'), file)) return null;
  return parseRanges(field.slice(6), file.size);
}

function sameVersion(ifRange, file) {
  if (ifRange === undefined) return true;
  if (ifRange.length >= 2 && ifRange.endsWith('"'))
    return ifRange === file.etag;
  return parseDate(ifRange) === file.mtime;
}

// One item after the other, as nginx does: one that can be understood is taken
// even when a later one spoils the list.
function parseRanges(text, size) {
  const ranges = [];
  let total = 0;
  const item = / *(?:([0-9]+) *- *([0-9]*)|-([0-9]+)) *(,|$)/y;
  for (;;) {
    const m = item.exec(text);
    if (!m || [m[1], m[2], m[3]].some(tooLarge)) return 'unsatisfiable';
    const [start, end] = bounds(m, size);
    if (start < end) {
      ranges.push({ start, end });
      total += end - start;
    } else if (start === 0) {
      return null;
    }
    if (m[4] !== ',') break;
  }
  if (ranges.length === 0) return 'unsatisfiable';
  return total > size ? null : ranges;
}

function tooLarge(digits) {
  return Boolean(digits) && BigInt(digits) > MAX_OFFSET;
}

function bounds([, first, last, suffix], size) {
  if (suffix !== undefined) return [Math.max(0, size - Number(suffix)), size];
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  return [Number(first), end];
}

module.exports = { evaluate, readRanges };
