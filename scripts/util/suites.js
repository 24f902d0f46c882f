'use strict';
// The suites that scripts/test.js can run. Each resolves to a total.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const paths = require('./paths.js');
const tools = require('./tools.js');
const tap = require('./tap.js');
const {
  Failure,
  run,
  mustLocked,
  say,
  output,
  tail,
  isCI,
} = require('./proc.js');
const { build, buildDeps } = require('../build.js');

const jobs = Math.max(1, Math.min(4, os.availableParallelism()));

const sanitizerEnv = {
  ASAN_OPTIONS: 'detect_stack_use_after_return=1:abort_on_error=0',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
};

const depsOf = { 'asan-ubsan': 'sanitize', torture: 'sanitize', fuzz: 'fuzz' };

// Builds a preset, or only these programs of it, and resolves to its folder.
async function cmake(preset, names = [], { quietly = false } = {}) {
  await tools.ensure('addon', 'c', ...(preset === 'fuzz' ? ['fuzz'] : []));
  await buildDeps(depsOf[preset] ?? 'release');
  const werror = isCI() || process.env.WRAITH_WERROR === '1' ? 'ON' : 'OFF';
  const configure = ['--preset', preset, `-DWRAITH_WERROR=${werror}`];
  const make = ['--build', '--preset', preset, '--parallel', String(jobs)];
  if (names.length > 0) make.push('--target', ...names);
  const quiet = { quiet: true };
  if (!quietly) say(`building the C tests (${preset})`);
  await mustLocked(
    preset,
    'configuring the C tests',
    'cmake',
    configure,
    quiet,
  );
  await mustLocked(preset, 'building the C tests', 'cmake', make, quiet);
  return path.join(paths.build, 'cmake', preset);
}

// The programs that a folder has sources of, by name.
function programs(sourceDir, filter) {
  if (!fs.existsSync(paths.at(sourceDir))) return [];
  return fs
    .readdirSync(paths.at(sourceDir))
    .filter((file) => /^(test|fuzz)_.*\.c$/.test(file))
    .map((file) => path.basename(file, '.c'))
    .filter(
      (name) => filter.length === 0 || filter.some((f) => name.includes(f)),
    )
    .sort();
}

async function runProgram(file, env) {
  const counter = new tap.Counter();
  const began = Date.now();
  const result = await run(file, [], {
    env: { ...process.env, ...env },
    quiet: true,
  });
  result.out.split('\n').forEach((line) => counter.line(line));
  counter.end(result);
  const name = path.basename(file);
  const ms = Date.now() - began;
  say(`  ${name}: ${tap.summary(counter)} (${ms} ms)`);
  if (counter.failed > 0) say(tail(result.out, 80));
  return [name, counter];
}

// Runs `work` over the items, `jobs` at a time, results in order.
async function pool(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

async function c({ preset = 'debug', filter = [] } = {}) {
  const names = programs('test/c', filter);
  const total = tap.emptyTotal();
  if (names.length === 0) return total;
  const dir = await cmake(preset, filter.length > 0 ? names : []);
  const env = preset === 'debug' ? {} : sanitizerEnv;
  const one = (name) => runProgram(path.join(dir, 'tests', name), env);
  for (const [name, part] of await pool(names, one)) {
    tap.add(total, part, name);
  }
  return total;
}

// A C program that interop tests start: test/c/<name>.c, built if need be.
async function tool(name) {
  const dir = await cmake('debug', [name], { quietly: true });
  return path.join(dir, 'tests', name);
}

function testFiles(folder, filter) {
  const dir = paths.at(folder);
  if (!fs.existsSync(dir)) return [];
  const nested = folder === 'test';
  return fs
    .readdirSync(dir, { recursive: nested })
    .map(String)
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => !(nested && /^(interop|probe|fuzz|c|types)\//.test(file)))
    .filter((f) => filter.length === 0 || filter.some((x) => f.includes(x)))
    .map((file) => `${folder}/${file}`)
    .sort();
}

async function tapFiles(files, { env = {}, timeout } = {}) {
  const total = tap.emptyTotal();
  if (files.length === 0) return total;
  const log = path.join(paths.build, `tap-${process.pid}.log`);
  fs.mkdirSync(paths.build, { recursive: true });
  const dir = path.dirname(require.resolve('tap/package.json'));
  const cli = path.join(dir, require('tap/package.json').bin.tap);
  const args = [cli, '--no-color', '-R', 'tap', ...files];
  if (timeout) args.push('--timeout', String(timeout));
  const counter = new tap.Counter({ depth: 1 });
  const out = fs.createWriteStream(log);
  const result = await run(process.execPath, args, {
    env: { ...process.env, ...env },
    onLine: (line) => {
      out.write(`${line}\n`);
      counter.line(line);
      progress(line, counter);
    },
  });
  out.end();
  counter.end(result);
  tap.add(total, counter);
  if (counter.failed > 0) showFailures(log);
  fs.rmSync(log, { force: true });
  return total;
}

// One line per file as it ends.
function progress(line, counter) {
  const m = /^(not )?ok \d+ - (\S+\.js)/.exec(line);
  if (m)
    say(
      `  ${m[2]}: ${m[1] ? 'FAILED' : 'ok'} (${tap.summary(counter)} so far)`,
    );
}

// The TAP of the files that failed, passing points left out.
function showFailures(log) {
  const text = fs.readFileSync(log, 'utf8');
  for (const part of text.split(/^(?=# Subtest: )/m)) {
    if (!/^not ok /m.test(part)) continue;
    const lines = part.split('\n').filter((l) => !/^ +ok \d+/.test(l));
    say(tail(lines.join('\n'), 120));
  }
}

async function js({ filter = [] } = {}) {
  await build();
  return tapFiles(testFiles('test', filter));
}

async function interop({ filter = [] } = {}) {
  await build();
  return tapFiles(testFiles('test/interop', filter), { timeout: 300 });
}

// A stealth listener and a real nginx, asked the same things.
async function probe({ filter = [] } = {}) {
  await build();
  return tapFiles(testFiles('test/probe', filter), { timeout: 300 });
}

// The interop run once more, with the addon under ASan and UBSan.
async function interopSanitized({ filter = [] } = {}) {
  const addon = await build({ variant: 'sanitize' });
  const libasan = output('gcc', ['-print-file-name=libasan.so']);
  if (!libasan || !path.isAbsolute(libasan)) {
    throw new Failure('libasan is missing; install libasan8 (part of gcc)');
  }
  const env = {
    WRAITH_ADDON: addon,
    LD_PRELOAD: fs.realpathSync(libasan),
    ...sanitizerEnv,
    // Node itself leaks by design at exit; leaks are the C tests' business.
    ASAN_OPTIONS: `${sanitizerEnv.ASAN_OPTIONS}:detect_leaks=0`,
  };
  return tapFiles(testFiles('test/interop', filter), { env, timeout: 900 });
}

async function sanitize(options) {
  const total = tap.emptyTotal();
  tap.add(total, await c({ ...options, preset: 'asan-ubsan' }), 'c');
  tap.add(total, await interopSanitized(options), 'interop');
  return total;
}

async function fuzzOne(file, seconds) {
  const name = path.basename(file);
  const corpus = paths.at('test', 'fuzz', 'corpus', name.replace(/^fuzz_/, ''));
  const work = path.join(paths.build, 'fuzz', name);
  fs.mkdirSync(work, { recursive: true });
  const args = [
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${work}/`,
    '-timeout=10',
    '-rss_limit_mb=2048',
    '-print_final_stats=1',
    path.join(work, 'corpus'),
  ];
  fs.mkdirSync(path.join(work, 'corpus'), { recursive: true });
  if (fs.existsSync(corpus)) args.push(corpus);
  const result = await run(file, args, {
    env: { ...process.env, ...sanitizerEnv },
    quiet: true,
  });
  const runs = /number_of_executed_units: (\d+)/.exec(result.out)?.[1] ?? '?';
  const ok = result.code === 0;
  say(`  ${name}: ${ok ? 'ok' : 'FAILED'}, ${runs} runs in ${seconds} s`);
  if (!ok) say(tail(result.out, 60));
  return {
    passed: ok ? 1 : 0,
    failed: ok ? 0 : 1,
    skipped: 0,
    failures: ok ? [] : [name],
  };
}

// WRAITH_FUZZ_SECONDS is the time for each target; all together stay below
// five minutes of wall time whatever their number.
async function fuzz({ filter = [] } = {}) {
  const names = programs('test/fuzz', filter);
  const total = tap.emptyTotal();
  if (names.length === 0) return total;
  const dir = await cmake('fuzz', filter.length > 0 ? names : []);
  const files = names.map((name) => path.join(dir, 'fuzzers', name));
  const most = Math.floor((300 * jobs) / Math.max(1, files.length));
  const asked = Number(process.env.WRAITH_FUZZ_SECONDS ?? 20);
  const seconds = Math.max(1, Math.min(asked, most));
  const parts = await pool(files, (file) => fuzzOne(file, seconds));
  parts.forEach((part) => tap.add(total, part, 'fuzz'));
  return total;
}

module.exports = {
  c,
  js,
  interop,
  probe,
  sanitize,
  fuzz,
  interopSanitized,
  testFiles,
  tool,
};
