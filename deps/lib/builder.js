'use strict';

const fs = require('node:fs');
const path = require('node:path');
const cache = require('./cache');
const { step } = require('./progress');
const { killRunning } = require('./run');
const { checkTools } = require('./tools');
const { manifestFile, missingFrom } = require('./plan');
const { obtainSources } = require('./sources');
const { applyPatches, unpack } = require('./unpack');
const { build, jobCount } = require('./recipes');

function writeManifest(job) {
  const { pkg, source } = job;
  const manifest = {
    name: pkg.name,
    version: source.version,
    origin: source.origin,
    file: source.file,
    sha256: source.sha256,
    suite: source.suite,
    patches: job.patches.map(({ name, sha256 }) => ({ name, sha256 })),
    variant: job.settings.variant,
    compiler: job.cc,
    cflags: [...job.settings.cflags, ...job.settings.buildFlags],
    configure: job.settings.configure,
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  fs.writeFileSync(manifestFile(job.stage), text);
}

// What is applied is what the key was made of, even if somebody edits a patch
// in the meantime.
function savePatches(work, patches) {
  const dir = path.join(work, 'patches');
  fs.mkdirSync(dir);
  return patches.map((patch) => {
    const file = path.join(dir, patch.name);
    fs.writeFileSync(file, patch.content);
    return { ...patch, path: file };
  });
}

function makeJob(paths, entry, source) {
  const { pkg, settings, key } = entry;
  const work = cache.tempDir(paths, pkg.name);
  const log = path.join(paths.logs, `${pkg.name}-${key}.log`);
  fs.rmSync(log, { force: true });
  return {
    ...entry,
    source,
    work,
    patches: savePatches(work, entry.patches),
    log,
    paths,
    label:
      settings.variant === 'release'
        ? `${pkg.name} ${source.version}`
        : `${pkg.name} ${source.version} (${settings.variant})`,
    tree: path.join(work, 'src'),
    stage: path.join(work, 'stage'),
    jobs: jobCount(),
  };
}

async function buildOne(paths, entry, source) {
  const job = makeJob(paths, entry, source);
  step(`${job.label}: building, log in ${job.log}`);
  await unpack(job.pkg, source, job.tree, job.log);
  await applyPatches(job.pkg, source, job.patches, job.tree, job.log);
  await build(job);
  writeManifest(job);
  cache.publish(job.stage, entry.prefix);
  fs.rmSync(job.work, { recursive: true, force: true });
  step(`${job.label}: done`);
}

// Nothing half-made stays behind: not the temporary directory, and not the
// compilers, which would go on in it.
function onInterrupt(paths) {
  const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
  for (const [signal, code] of Object.entries(codes)) {
    process.once(signal, () => {
      killRunning();
      cache.clearTemp(paths);
      process.stderr.write(`deps: stopped by ${signal}\n`);
      process.exit(code);
    });
  }
}

async function buildAll(paths, todo, local) {
  const pkgs = todo.map(({ pkg }) => pkg);
  cache.checkSpace(
    paths,
    pkgs.reduce((sum, pkg) => sum + pkg.diskMiB, 0),
  );
  // All sources first: a failed download should show before the long part.
  const sources = local || (await obtainSources(paths, pkgs));
  for (const entry of todo) {
    await buildOne(paths, entry, sources.get(entry.pkg.name));
  }
}

/** Makes what is missing of a plan; `local` are sources at hand, or null. */
async function complete(paths, plan, local) {
  const missing = missingFrom(plan);
  if (missing.length === 0) return;
  checkTools(missing.map(({ settings }) => settings));
  cache.makeDirs(paths);
  const unlock = await cache.takeLock(paths, () =>
    step('waiting for another build of the dependencies to end'),
  );
  try {
    cache.clearTemp(paths);
    onInterrupt(paths);
    // Whoever held the lock may have built it.
    const todo = missingFrom(plan);
    if (todo.length > 0) await buildAll(paths, todo, local);
  } finally {
    cache.clearTemp(paths);
    unlock();
  }
}

module.exports = { complete };
