'use strict';
// What neither clang-format nor eslint sees: long files and functions, banned
// C functions, work left without a reason, paths of one machine, addresses in
// the lock file. Usage: check-style.js
const fs = require('node:fs');
const path = require('node:path');
const paths = require('./util/paths.js');
const { output, say, start, walk } = require('./util/proc.js');

const maxFile = 800;
const maxFunction = 100;
// `file-length: why` in the first lines of a file is the reason to be longer.
const longReason = /file-length:\s*\S/;

const banned = new RegExp(
  '(?<![\\w.>])(v?sprintf|strcpy|strcat|strncpy|strncat|strtok|atoi|atol|atof|' +
    'gets|alloca|s?rand|signal|sleep|usleep|system)\\s*\\(',
);
const rawMemory = /(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\s*\(/;

// Blanks comments and the contents of strings; line numbers stay.
function stripC(text) {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g;
  return text.replace(token, (found) =>
    found.startsWith('/') ? found.replace(/[^\n]/g, ' ') : '""',
  );
}

function cFunctions(lines) {
  const problems = [];
  let from = -1;
  lines.forEach((line, i) => {
    if (from < 0 && /^[^\s#}].*\)\s*\{$|^ .*\)\s*\{$/.test(line)) from = i;
    if (line.startsWith('}')) {
      const length = i - from + 1;
      if (from >= 0 && length > maxFunction) {
        problems.push([from, `a function of ${length} lines (${maxFunction})`]);
      }
      from = -1;
    }
  });
  return problems;
}

function checkC(file, text) {
  const lines = stripC(text).split('\n');
  const problems = cFunctions(lines);
  const isMem = file === 'csrc/base/mem.c';
  lines.forEach((line, i) => {
    const m = banned.exec(line) ?? (isMem ? null : rawMemory.exec(line));
    if (m) problems.push([i, `${m[1]}() is banned`]);
  });
  return problems;
}

function checkText(file, text) {
  const lines = text.split('\n');
  const problems = [];
  const head = lines.slice(0, 30).join('\n');
  if (lines.length - 1 > maxFile && !longReason.test(head)) {
    problems.push([0, `${lines.length - 1} lines (${maxFile}); split it`]);
  }
  const home = ['home', 'root', 'work'].join('|');
  const machine = new RegExp(`(^|[^\\w.])/(${home})/[A-Za-z.]`);
  const later = new RegExp(
    `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b(?!\\(#?\\w)`,
  );
  lines.forEach((line, i) => {
    if (later.test(line)) problems.push([i, 'work left without a reason']);
    if (machine.test(line)) problems.push([i, 'a path of one machine']);
    if (/[ \t]+$/.test(line)) problems.push([i, 'space at the end']);
  });
  return problems;
}

const code = /^(csrc|lib|bin|deps|scripts|test|bench)\/.*\.(c|h|js|ts)$/;
const prose = /\.(md|json|gyp|gypi|txt|cmake|ya?ml)$/;

function checkFile(file, text) {
  const problems = code.test(file) ? checkText(file, text) : [];
  if (/^csrc\/.*\.[ch]$/.test(file)) problems.push(...checkC(file, text));
  if (prose.test(file) && file !== 'package-lock.json') {
    const found = checkText(file, text).filter(([, why]) => /path/.test(why));
    problems.push(...found);
  }
  return problems.map(([i, why]) => `${file}:${i + 1}: ${why}`);
}

// Addresses in the lock file would tie the project to one registry.
function checkLock(text) {
  const lines = text.split('\n');
  const bad = lines.findIndex((line) => /"resolved"|:\/\//.test(line));
  if (bad < 0) return [];
  return [
    `package-lock.json:${bad + 1}: names a host; run scripts/clean-lock.js`,
  ];
}

// What git would commit; without git, what lies in the code folders.
function listFiles() {
  const list = output('git', ['ls-files', '-co', '--exclude-standard']);
  if (list) return list.split('\n');
  return walk(paths.root, (f) => !/^(node_modules|build|\.tap)\//.test(f));
}

function check() {
  const problems = [];
  for (const file of listFiles()) {
    const full = path.join(paths.root, file);
    if (!code.test(file) && !prose.test(file)) continue;
    if (!fs.existsSync(full)) continue;
    const text = fs.readFileSync(full, 'utf8');
    if (file === 'package-lock.json') problems.push(...checkLock(text));
    else problems.push(...checkFile(file, text));
  }
  return problems;
}

function main() {
  const problems = check();
  problems.forEach((problem) => process.stderr.write(`${problem}\n`));
  if (problems.length === 0) say('style: nothing to say');
  return problems.length === 0 ? 0 : 1;
}

module.exports = { checkFile, checkLock };
if (require.main === module) start('check-style', main);
