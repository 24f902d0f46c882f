'use strict';
// What /proc says of processes: CPU time and memory (Linux only).
const fs = require('node:fs');

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // it has ended
  }
}

/** pid -> parent, of everything that runs. */
function parents() {
  const table = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length > 2) table.set(Number(name), Number(fields[1]));
  }
  return table;
}

/** The processes that descend from pid, without itself. */
function descendants(pid) {
  const table = parents();
  const found = [];
  const isBelow = (one) => {
    for (let up = table.get(one); up; up = table.get(up)) {
      if (up === pid) return true;
    }
    return false;
  };
  for (const one of table.keys()) if (isBelow(one)) found.push(one);
  return found;
}

/** Seconds of CPU of all threads that live, to the nanosecond. */
function cpuOf(pid) {
  let ns = 0;
  let threads = [];
  try {
    threads = fs.readdirSync(`/proc/${pid}/task`);
  } catch {
    return 0;
  }
  for (const tid of threads) {
    ns += Number(read(`/proc/${pid}/task/${tid}/schedstat`).split(' ')[0]);
  }
  return ns / 1e9;
}

const cpuOfAll = (pids) => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);

/** Seconds of CPU of a process and of children that have ended. */
function cpuWithChildren(pid) {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100 + cpuOf(pid);
}

/** Bytes of memory: pages that are shared count by their share. */
function pssOf(pid) {
  const found = /^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`));
  return found ? Number(found[1]) * 1024 : 0;
}

const pssOfAll = (pids) => pids.reduce((sum, pid) => sum + pssOf(pid), 0);

module.exports = { descendants, cpuOfAll, cpuWithChildren, pssOfAll };
