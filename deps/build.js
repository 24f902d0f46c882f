#!/usr/bin/env node
'use strict';

// Builds the C libraries that Wraith links statically. See README.md.

const path = require('node:path');
const { PACKAGES } = require('./packages');
const { HELP, parseArgs } = require('./lib/cli');
const { DepsError, explain } = require('./lib/errors');
const { cachePaths } = require('./lib/cache');
const { localSources } = require('./lib/localsrc');
const { makePlan, missingFrom, readBuilt } = require('./lib/plan');
const { complete } = require('./lib/builder');
const { systemPackages } = require('./lib/system');
const { outputFiles, staleOutputs, writeOutputs } = require('./lib/outputs');

const OUT = path.join(__dirname, '..', 'build', 'deps');

const FORMATS = {
  prefix: (data) =>
    Object.entries(data.packages).map(([name, one]) => `${name} ${one.prefix}`),
  include: (data) => data.include,
  libs: (data) => data.libs,
  versions: (data) =>
    Object.entries(data.packages).map(
      ([name, one]) => `${name} ${one.version}`,
    ),
  json: (data) => [JSON.stringify(data, null, 2)],
};

// Which of the three ways in the environment asks for.
function wayIn(env) {
  const mode = env.WRAITH_DEPS || '';
  if (mode !== '' && mode !== 'system') {
    throw new DepsError(`WRAITH_DEPS can be unset or "system", not "${mode}"`);
  }
  if (mode && env.WRAITH_DEPS_SRC) {
    throw new DepsError('set WRAITH_DEPS=system or WRAITH_DEPS_SRC, not both');
  }
  return mode || (env.WRAITH_DEPS_SRC ? 'local' : 'apt');
}

function planFor(paths, way, variant) {
  const local =
    way === 'local'
      ? localSources(path.resolve(process.env.WRAITH_DEPS_SRC), PACKAGES)
      : null;
  return { local, plan: makePlan({ paths, pkgs: PACKAGES, variant, local }) };
}

/** The built packages, or null if some are missing and may not be built. */
async function provide(way, options) {
  if (way === 'system') return systemPackages(PACKAGES, options.variant);
  const paths = cachePaths();
  const { local, plan } = planFor(paths, way, options.variant);
  if (options.check) {
    return missingFrom(plan).length === 0 ? readBuilt(plan) : null;
  }
  await complete(paths, plan, local);
  return readBuilt(plan);
}

function check(files) {
  if (files && staleOutputs(OUT, files).length === 0) return 0;
  process.stderr.write('deps: not built yet; run node deps/build.js\n');
  return 1;
}

async function main(argv) {
  const options = parseArgs(argv);
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const built = await provide(wayIn(process.env), options);
  const files = built && outputFiles(options.variant, built);
  if (options.check) return check(files);
  writeOutputs(OUT, files);
  if (options.print) {
    const data = JSON.parse(files.get(`${options.variant}.json`));
    process.stdout.write(`${FORMATS[options.print](data).join('\n')}\n`);
  }
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (err) => {
    const message = explain(err);
    if (message === null) throw err;
    process.stderr.write(`deps: ${message}\n`);
    process.exitCode = err.exitCode || 1;
  },
);
