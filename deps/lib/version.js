'use strict';

/** The upstream part of a Debian version: no epoch, no Debian revision. */
function upstream(version) {
  const noEpoch = version.replace(/^\d+:/, '');
  const dash = noEpoch.lastIndexOf('-');
  return dash < 0 ? noEpoch : noEpoch.slice(0, dash);
}

// dpkg's order of characters: '~' before the end, the end before letters,
// letters before everything else.
function rank(char) {
  if (char === undefined) return 0;
  if (char === '~') return -1;
  if (/[A-Za-z]/.test(char)) return char.charCodeAt(0);
  return char.charCodeAt(0) + 256;
}

function compareText(a, b) {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const diff = rank(a[i]) - rank(b[i]);
    if (diff !== 0) return diff;
  }
  return 0;
}

/** Compares two upstream versions the way dpkg does: <0, 0 or >0. */
function compareVersions(a, b) {
  // Alternating runs of non-digits and digits; either may be empty.
  const partsA = a.match(/\D*\d*/g);
  const partsB = b.match(/\D*\d*/g);
  for (let i = 0; i < Math.max(partsA.length, partsB.length); i++) {
    const [, textA, numA] = (partsA[i] || '').match(/^(\D*)(\d*)$/);
    const [, textB, numB] = (partsB[i] || '').match(/^(\D*)(\d*)$/);
    const diff = compareText(textA, textB) || Number(numA) - Number(numB);
    if (diff !== 0) return diff;
  }
  return 0;
}

/** Null if `version` is within [min, below), else what is wrong with it. */
function rangeProblem(version, { min, below }) {
  if (compareVersions(version, min) < 0) return 'too old';
  if (below && compareVersions(version, below) >= 0) return 'too new';
  return null;
}

/** The range in words: ">= 3.5.0, < 3.6". */
function rangeText({ min, below }) {
  return below ? `>= ${min}, < ${below}` : `>= ${min}`;
}

module.exports = { upstream, compareVersions, rangeProblem, rangeText };
