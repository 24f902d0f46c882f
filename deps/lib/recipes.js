'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DepsError } = require('./errors');
const { run, toolEnv } = require('./run');
const { addedHeaders } = require('./unpack');

// How each kind of source tree is compiled and what of it is kept. A job has
// pkg, settings, source, cc, tree, work, stage, log, paths, patches, needs
// (prefixes by name) and jobs.

function buildEnv(job) {
  // Archives and OpenSSL's build date depend on the source, not on the hour.
  const stat = fs.statSync(path.join(job.tree, job.pkg.versionFile));
  const epoch = Math.floor(stat.mtimeMs / 1000);
  return toolEnv({ SOURCE_DATE_EPOCH: String(epoch) });
}

function stepOptions(job, cwd) {
  return { cwd, log: job.log, env: buildEnv(job) };
}

// OpenSSL compiles inside its tree with relative names and copies its flags
// into the library: no path may be among them, and DESTDIR keeps the real
// prefix out. /etc/ssl is only the default place of certificates.
async function buildOpenssl(job) {
  const { pkg, settings, tree } = job;
  const label = `${pkg.name} ${job.source.version}`;
  const options = stepOptions(job, tree);
  const configure = [
    'Configure',
    ...settings.configure,
    '--prefix=/usr',
    '--libdir=lib',
    '--openssldir=/etc/ssl',
    `CC=${job.cc}`,
    `CFLAGS=${[...settings.cflags, ...settings.buildFlags].join(' ')}`,
  ];
  await run(`${label}: configuring`, 'perl', configure, options);
  const jobs = `-j${job.jobs}`;
  await run(`${label}: compiling`, 'make', [jobs, 'build_libs'], options);
  const dest = path.join(job.work, 'dest');
  const install = [jobs, 'install_dev', `DESTDIR=${dest}`];
  await run(`${label}: installing`, 'make', install, options);
  fs.renameSync(path.join(dest, 'usr'), job.stage);
}

function cmakeFlags(job) {
  const { settings, paths } = job;
  return [
    ...settings.cflags,
    ...settings.buildFlags,
    // gcc takes the last one that matches.
    `-ffile-prefix-map=${paths.base}=deps`,
    `-ffile-prefix-map=${job.work}=${job.pkg.name}`,
    `-ffile-prefix-map=${job.tree}=${job.pkg.name}`,
  ].join(' ');
}

// Named one by one, because find_package would prefer the system's headers.
function opensslOptions(prefix) {
  if (!prefix) return [];
  return [
    '-DOPENSSL_USE_STATIC_LIBS=TRUE',
    `-DOPENSSL_ROOT_DIR=${prefix}`,
    `-DOPENSSL_INCLUDE_DIR=${prefix}/include`,
    `-DOPENSSL_CRYPTO_LIBRARY=${prefix}/lib/libcrypto.a`,
    `-DOPENSSL_SSL_LIBRARY=${prefix}/lib/libssl.a`,
  ];
}

function cmakeConfigure(job, build) {
  // The flags are ours alone: the build types' own would add -DNDEBUG, and
  // assertions stay in releases. libssh hardens itself in this build type.
  const type = job.settings.variant === 'release' ? 'RelWithDebInfo' : 'None';
  return [
    '-S',
    job.tree,
    '-B',
    build,
    '-G',
    'Unix Makefiles',
    `-DCMAKE_BUILD_TYPE=${type}`,
    '-DCMAKE_C_FLAGS_RELWITHDEBINFO=',
    '-DCMAKE_C_FLAGS_NONE=',
    `-DCMAKE_C_COMPILER=${job.cc}`,
    `-DCMAKE_C_FLAGS=${cmakeFlags(job)}`,
    '-DCMAKE_POSITION_INDEPENDENT_CODE=ON',
    '-DCMAKE_INSTALL_PREFIX=/usr',
    '-DCMAKE_INSTALL_LIBDIR=lib',
    '-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF',
    ...opensslOptions(job.needs.openssl),
    ...job.settings.configure,
  ];
}

async function buildCmake(job) {
  const label = `${job.pkg.name} ${job.source.version}`;
  const build = path.join(job.work, 'build');
  const options = stepOptions(job, job.work);
  const configure = cmakeConfigure(job, build);
  await run(`${label}: configuring`, 'cmake', configure, options);
  const compile = ['--build', build, '-j', String(job.jobs)];
  await run(`${label}: compiling`, 'cmake', compile, options);
  const install = ['--install', build, '--prefix', job.stage];
  await run(`${label}: installing`, 'cmake', install, options);
  installAddedHeaders(job);
}

// A patch adds a header but leaves upstream's install lists alone.
function installAddedHeaders(job) {
  for (const header of addedHeaders(job.patches)) {
    const target = path.join(job.stage, 'include', header);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.copyFileSync(path.join(job.tree, 'include', header), target);
  }
}

// pkg-config and CMake files name a prefix that does not exist; outputs.js
// says where things are.
function trim(job) {
  for (const sub of ['bin', 'share', 'lib/pkgconfig', 'lib/cmake']) {
    fs.rmSync(path.join(job.stage, sub), { recursive: true, force: true });
  }
}

/** The libraries must be there and must not name this machine's paths. */
function checkResult(job) {
  for (const lib of job.pkg.libs) {
    const file = path.join(job.stage, 'lib', lib);
    if (!fs.existsSync(file)) {
      throw new DepsError(
        `${job.pkg.name}: the build made no ${lib}; see ${job.log}`,
      );
    }
    // UBSan keeps file names as they are; such a build never leaves here.
    if (job.settings.variant !== 'release') continue;
    if (fs.readFileSync(file).includes(job.paths.base)) {
      throw new DepsError(
        `${job.pkg.name}: ${lib} contains the name of the cache directory`,
      );
    }
  }
}

/** Builds `job` into job.stage. */
async function build(job) {
  if (job.pkg.recipe === 'openssl') await buildOpenssl(job);
  else await buildCmake(job);
  trim(job);
  checkResult(job);
}

/** How many compilations run at once. */
function jobCount(env = process.env) {
  const asked = Number(env.WRAITH_JOBS);
  if (Number.isInteger(asked) && asked > 0) return asked;
  return os.availableParallelism();
}

module.exports = { build, jobCount };
