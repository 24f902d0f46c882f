'use strict';
// Debian packages: installed when we may (root or CI=true), named otherwise.
const fs = require('node:fs');
const { run, say, isRoot, isCI, which } = require('./proc.js');

const env = {
  ...process.env,
  DEBIAN_FRONTEND: 'noninteractive',
  LC_ALL: 'C.UTF-8',
};

function mayInstall() {
  return (isRoot() || (isCI() && which('sudo'))) && Boolean(which('apt-get'));
}

function aptGet(args) {
  const all = ['-o', 'DPkg::Lock::Timeout=300', '-q', ...args];
  const [file, argv] = isRoot()
    ? ['apt-get', all]
    : ['sudo', ['-n', '-E', 'apt-get', ...all]];
  return run(file, argv, { env, quiet: true });
}

// Installing a server must not start it: tests run their own instances.
const policy = '/usr/sbin/policy-rc.d';
async function withoutServices(work) {
  const ours = isRoot() && !fs.existsSync(policy);
  if (ours) fs.writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return await work();
  } finally {
    if (ours) fs.rmSync(policy, { force: true });
  }
}

// Installs what it can and resolves to the packages that could not be had.
async function install(packages, why) {
  if (packages.length === 0) return [];
  say(`installing Debian packages ${why}: ${packages.join(' ')}`);
  await aptGet(['update']);
  const add = ['install', '-y', '--no-install-recommends'];
  return withoutServices(async () => {
    const all = await aptGet([...add, ...packages]);
    if (all.code === 0) return [];
    // One package that this release lacks must not cost us the others.
    const failed = [];
    for (const name of packages) {
      const one = await aptGet([...add, name]);
      if (one.code !== 0) failed.push(name);
    }
    return failed;
  });
}

module.exports = { install, mayInstall };
