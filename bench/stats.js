'use strict';

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[half];
  return (sorted[half - 1] + sorted[half]) / 2;
}

/** As bench/blast.c does: what `share` of them does not exceed. */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * share)];
}

function summary(values) {
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    runs: values,
  };
}

/**
 * Runs each peer's function `runs` times, one after the other, the order
 * changing from run to run; one more run before that warms up and is dropped.
 * Resolves to { peer: [result, …] }.
 */
async function alternate(runs, peers, { warm = true } = {}) {
  const names = Object.keys(peers);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let i = warm ? -1 : 0; i < runs; i++) {
    const order = i % 2 === 0 ? names : [...names].reverse();
    for (const name of order) {
      const result = await peers[name]();
      if (i >= 0) results[name].push(result);
    }
  }
  return results;
}

/**
 * One line of the report. samples: { wraith: [number, …], peer: […] }, the peer
 * by its name; it may be absent.
 * better: 'more' or 'less'; target: the ratio Wraith / peer to reach, or
 * (target.absolute) Wraith's own figure.
 */
function row(what, unit, samples, better, target) {
  const wraith = summary(samples.wraith);
  const result = { what, unit, better, wraith };
  const name = Object.keys(samples).find((key) => key !== 'wraith');
  if (name) {
    const peer = summary(samples[name]);
    const each = samples.wraith.map((v, i) => v / samples[name][i]);
    result.peer = name;
    result[name] = peer;
    result.ratio = {
      ofMedians: wraith.median / peer.median,
      min: Math.min(...each),
      max: Math.max(...each),
    };
  }
  if (target !== undefined) {
    const figure = target.absolute ? wraith.median : result.ratio.ofMedians;
    const limit = target.absolute ?? target;
    result.target = { limit, absolute: target.absolute !== undefined };
    result.met = better === 'more' ? figure >= limit : figure <= limit;
  }
  return result;
}

module.exports = { median, quantile, summary, alternate, row };
