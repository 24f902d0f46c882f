'use strict';
// Builds the addon: the libraries it links (deps/build.js, cached), then
// binding.gyp. Usage: node scripts/build.js [--variant sanitize] [--verbose]
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const paths = require('./util/paths.js');
const tools = require('./util/tools.js');
const {
  Failure,
  run,
  mustLocked,
  say,
  start,
  isCI,
} = require('./util/proc.js');
const { sourceHash } = require('./source-hash.js');

const variants = ['release', 'sanitize'];

// The prefix of the running Node, so that nothing has to be downloaded.
function nodeDir(execPath = process.execPath) {
  const prefix = path.resolve(fs.realpathSync(execPath), '..', '..');
  const header = path.join(prefix, 'include', 'node', 'node_api.h');
  if (fs.existsSync(header)) return prefix;
  throw new Failure(
    `the headers of Node ${process.version} are not in ${prefix}/include/node; ` +
      "install libnode-dev (Debian's Node), or use the nodejs package or " +
      'archive of the Node project, which brings them',
  );
}

// deps/build.js says itself what went wrong and what to install.
async function buildDeps(variant) {
  const script = paths.at('deps', 'build.js');
  const args = [script, '--variant', variant];
  const { code } = await run(process.execPath, args, { inherit: true });
  if (code !== 0) throw new Failure('the libraries could not be built');
}

// node-gyp always builds into ./build, so every other variant gets a folder
// that looks like the project's root.
function projectDir(variant) {
  if (variant === 'release') return paths.root;
  const dir = path.join(paths.build, variant);
  const deps = path.join(dir, 'build', 'deps');
  fs.mkdirSync(deps, { recursive: true });
  for (const name of ['binding.gyp', 'csrc', 'scripts', 'package.json']) {
    link(paths.at(name), path.join(dir, name));
  }
  const own = paths.at('build', 'deps');
  link(path.join(own, `${variant}.gypi`), path.join(deps, 'config.gypi'));
  link(path.join(own, 'versions.h'), path.join(deps, 'versions.h'));
  return dir;
}

function link(target, file) {
  fs.rmSync(file, { force: true });
  fs.symlinkSync(target, file);
}

// Two calls: what follows `--` would otherwise go to make as well.
function gypCalls(variant, dir) {
  const jobs = String(os.availableParallelism());
  const werror = isCI() || process.env.WRAITH_WERROR === '1' ? 1 : 0;
  const common = ['--directory', dir, '--nodedir', nodeDir()];
  common.push('--loglevel', 'warn');
  const defines = [`-Dwraith_variant=${variant}`, `-Dwraith_werror=${werror}`];
  return [
    ['configure', ...common, '--', ...defines],
    ['build', ...common, '--jobs', jobs],
  ];
}

// Settings of the user's npm must not choose other headers or another mode.
function gypEnv() {
  const env = { ...process.env, LINK: process.env.CC ?? 'gcc' };
  for (const name of Object.keys(env)) {
    if (/^npm_(package_)?config_(?!python)/i.test(name)) delete env[name];
  }
  return env;
}

async function build({ variant = 'release', verbose = false } = {}) {
  const began = Date.now();
  nodeDir();
  await tools.ensure('addon');
  await buildDeps(variant);
  say(`building the addon (${variant})`);
  const hash = sourceHash();
  if (variant === 'release') fs.rmSync(paths.stamp, { force: true });
  const nodeGyp = require.resolve('node-gyp/bin/node-gyp.js');
  for (const args of gypCalls(variant, projectDir(variant))) {
    if (verbose) args.splice(1, 0, '--verbose');
    const argv = [nodeGyp, ...args];
    await mustLocked('addon', 'building the addon', process.execPath, argv, {
      env: gypEnv(),
      quiet: !verbose,
    });
  }
  const addon = paths.addon(variant);
  if (variant === 'release') fs.writeFileSync(paths.stamp, `${hash}\n`);
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  say(`built ${path.relative(paths.root, addon)} in ${seconds} s`);
  return addon;
}

function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      variant: { type: 'string', default: 'release' },
      verbose: { type: 'boolean', default: false },
    },
  });
  if (!variants.includes(values.variant)) {
    throw new Failure(
      `--variant is one of ${variants.join(', ')}, not ${values.variant}`,
    );
  }
  return build(values).then(() => 0);
}

module.exports = { build, buildDeps, nodeDir };
if (require.main === module) start('build', main);
