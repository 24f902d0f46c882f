'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { RECIPE } = require('../packages');
const { buildKey, findPatches, settingsFor } = require('./key');
const { compilerFor, compilerId } = require('./tools');

const PATCHES = path.join(__dirname, '..', 'patches');

/**
 * What has to exist for a variant: a list of { pkg, settings, cc, patches,
 * key, prefix }, in build order. Needs neither network nor lock. `local` are
 * the sources of WRAITH_DEPS_SRC; their content is then part of the key.
 */
function makePlan({ paths, pkgs, variant, local }) {
  const plan = [];
  for (const pkg of pkgs) {
    const settings = settingsFor(pkg, variant);
    const cc = compilerFor(settings);
    const patches = findPatches(PATCHES, pkg.name);
    const needed = plan.filter((other) => pkg.needs.includes(other.pkg.name));
    const key = buildKey({
      recipe: RECIPE,
      pkg,
      settings,
      patches,
      compiler: compilerId(cc),
      needs: needed.map((other) => other.key),
      origin: local ? local.get(pkg.name).sha256 : 'apt',
    });
    const prefix = path.join(paths.deps, `${pkg.name}-${key}`);
    const needs = Object.fromEntries(
      needed.map((other) => [other.pkg.name, other.prefix]),
    );
    plan.push({ pkg, settings, cc, patches, key, prefix, needs });
  }
  return plan;
}

function manifestFile(prefix) {
  return path.join(prefix, 'manifest.json');
}

/** The entries of a plan that are not in the cache yet. */
function missingFrom(plan) {
  return plan.filter(({ prefix }) => !fs.existsSync(manifestFile(prefix)));
}

/** A finished plan in the form that outputs.js takes. */
function readBuilt(plan) {
  return plan.map(({ pkg, prefix }) => ({
    name: pkg.name,
    prefix,
    include: path.join(prefix, 'include'),
    libs: pkg.libs.map((lib) => path.join(prefix, 'lib', lib)),
    manifest: JSON.parse(fs.readFileSync(manifestFile(prefix), 'utf8')),
  }));
}

module.exports = { makePlan, missingFrom, readBuilt, manifestFile };
