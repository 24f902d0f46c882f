'use strict';

function figure(value) {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const spread = ({ median, min, max }) =>
  `${figure(median)} (${figure(min)}-${figure(max)})`;

function verdict(row) {
  if (!row.target) return '';
  const sign = row.better === 'more' ? '>=' : '<=';
  const unit = row.target.absolute ? ` ${row.unit}` : '';
  const met = row.met ? 'met' : 'MISSED';
  return `${sign} ${row.target.limit}${unit} ${met}`;
}

/** "1.2 (1.1-1.3)", and what it consists of where that is known. */
function peer(row, name) {
  if (!row[name]) return '';
  const own = ['wraith', 'openssh'].includes(name);
  const text = `${own ? '' : `${name}: `}${spread(row[name])}`;
  if (!row.parts) return text;
  const parts = Object.values(row.parts).map((one) => figure(one[name].median));
  return `${text} = ${parts.join('+')}`;
}

function cells(row) {
  const { ratio } = row;
  return [
    `${row.what} [${row.unit}]`,
    peer(row, 'wraith'),
    peer(row, row.peer),
    ratio ? spread({ ...ratio, median: ratio.ofMedians }) : '',
    verdict(row),
  ];
}

const HEAD = [
  'median (min-max)',
  'Wraith',
  'OpenSSH or as named',
  'ratio',
  'target',
];

/** A Markdown table with aligned columns. */
function table(rows) {
  const lines = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, i) =>
    Math.max(...lines.map((line) => line[i].length)),
  );
  const text = (line) =>
    `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  const rule = `|${widths.map((n) => '-'.repeat(n + 2)).join('|')}|`;
  return [text(lines[0]), rule, ...lines.slice(1).map(text)].join('\n');
}

/** One row as it is measured, for whoever waits. */
const progress = (row) => cells(row).filter(Boolean).join('   ');

module.exports = { table, progress };
