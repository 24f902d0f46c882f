'use strict';
// Puts a stripped addon into prebuilds/, with a manifest that tells which
// sources it was made from.
const fs = require('node:fs');
const path = require('node:path');
const paths = require('./util/paths.js');
const { build } = require('./build.js');
const { sourceHash, fileHash } = require('./source-hash.js');
const symbols = require('./check-symbols.js');
const { Failure, must, say, start } = require('./util/proc.js');

async function main() {
  const addon = await build();
  const made = fs.readFileSync(paths.stamp, 'utf8').trim();
  if (made !== sourceHash()) {
    throw new Failure('the sources changed while building; run it again');
  }
  const temporary = path.join(paths.build, 'prebuilt.node');
  const strip = ['--strip-unneeded', '-o', temporary, addon];
  await must('stripping the addon', 'strip', strip);
  const { problems, glibc } = symbols.check(temporary);
  if (problems.length > 0)
    throw new Failure(`the addon ${problems.join('; ')}`);
  fs.mkdirSync(paths.prebuildDir, { recursive: true });
  fs.renameSync(temporary, paths.prebuilt);
  const manifest = {
    file: path.basename(paths.prebuilt),
    sha256: fileHash(paths.prebuilt),
    sources: made,
    napi: 9,
    glibc: glibc.replace('GLIBC_', ''),
  };
  fs.writeFileSync(paths.manifest, JSON.stringify(manifest, null, 2) + '\n');
  const size = (fs.statSync(paths.prebuilt).size / 2 ** 20).toFixed(1);
  say(`${path.relative(paths.root, paths.prebuilt)}: ${size} MiB`);
  return 0;
}

if (require.main === module) start('prebuild', main);
