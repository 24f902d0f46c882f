'use strict';
// Prometheus' text format (0.0.4), read strictly: whatever a scraper could
// stumble over throws.

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP = new RegExp(`^# HELP (${NAME}) (.+)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,(?=.)|$)/y;
const SUFFIXES = { histogram: ['_bucket', '_sum', '_count'] };

function must(condition, what) {
  if (!condition) throw new Error(`not well-formed: ${what}`);
}

function readLabels(text = '') {
  const labels = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    must(match, text);
    must(!Object.hasOwn(labels, match[1]), `twice the label ${match[1]}`);
    labels[match[1]] = match[2];
  }
  return labels;
}

function readValue(text) {
  must(/^(\d+(\.\d+)?(e[+-]?\d+)?)$/.test(text), `the value ${text}`);
  return Number(text);
}

function readSample(line, family) {
  const [, name, labels, value] = SAMPLE.exec(line) ?? [];
  must(name, line);
  const suffixes = SUFFIXES[family.type] ?? [''];
  const suffix = suffixes.find((s) => name === family.name + s);
  must(suffix !== undefined, `${name} within ${family.name}`);
  return { suffix, labels: readLabels(labels), value: readValue(value) };
}

function checkHistogram({ name, samples }) {
  const buckets = samples.filter(({ suffix }) => suffix === '_bucket');
  const rest = samples.slice(buckets.length).map(({ suffix }) => suffix);
  must(`${rest}` === '_sum,_count', `${name}: buckets, sum, count`);
  must(buckets.at(-1)?.labels.le === '+Inf', `${name} has no +Inf`);
  must(buckets.at(-1).value === samples.at(-1).value, `${name}: +Inf is count`);
  let last = { le: -Infinity, value: 0 };
  for (const { labels, value } of buckets) {
    must(`${Object.keys(labels)}` === 'le', `labels of ${name}`);
    const le = labels.le === '+Inf' ? Infinity : Number(labels.le);
    must(le > last.le && value >= last.value, `${name}: buckets ascend`);
    last = { le, value };
  }
}

function checkFamily(family) {
  const { name, type, samples } = family;
  const keys = samples.map(({ suffix, labels }) =>
    JSON.stringify([suffix, Object.entries(labels).sort()]),
  );
  must(new Set(keys).size === keys.length, `twice the same sample: ${name}`);
  const total = name.endsWith('_total');
  must(total === (type === 'counter'), `${name} is a ${type}`);
  if (type === 'histogram') checkHistogram(family);
}

/** name → { name, help, type, samples: [{ suffix, labels, value }] } */
function parseExposition(text) {
  must(text.endsWith('\n') && !text.includes('\r'), 'lines end with \\n');
  const families = new Map();
  const lines = text.slice(0, -1).split('\n');
  while (lines.length > 0) {
    const [, name, help] = HELP.exec(lines.shift()) ?? [];
    const [, typed, type] = TYPE.exec(lines.shift() ?? '') ?? [];
    must(name && name === typed, `help and type of ${name ?? typed}`);
    must(!families.has(name), `${name} twice`);
    const family = { name, help, type, samples: [] };
    families.set(name, family);
    while (lines.length > 0 && !lines[0].startsWith('#')) {
      family.samples.push(readSample(lines.shift(), family));
    }
    checkFamily(family);
  }
  return families;
}

/** The one value of that name with these labels; undefined if there is none. */
function valueOf(families, name, labels = {}, suffix = '') {
  const wanted = JSON.stringify(labels);
  return families
    .get(name)
    ?.samples.find(
      (sample) =>
        sample.suffix === suffix && JSON.stringify(sample.labels) === wanted,
    )?.value;
}

module.exports = { parseExposition, valueOf };
