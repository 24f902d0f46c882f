'use strict';
// clang-format over the C code, checked or (--write) applied. Only the pinned
// version decides; without it the check is skipped, and says so.
const paths = require('./util/paths.js');
const { output, run, say, start, walk, which } = require('./util/proc.js');

const pinned = '14';

function formatter() {
  for (const name of [`clang-format-${pinned}`, 'clang-format']) {
    const version = which(name) && output(name, ['--version']);
    if (version && version.includes(`version ${pinned}.`)) return name;
  }
  return null;
}

async function main(args) {
  const tool = formatter();
  if (!tool) {
    say(`C format: skipped, clang-format ${pinned} is not installed`);
    return 0;
  }
  const keep = (file) => /\.[ch]$/.test(file);
  const files = ['csrc', 'test/c', 'test/fuzz'].flatMap((dir) =>
    walk(paths.at(dir), keep).map((file) => `${dir}/${file}`),
  );
  if (files.length === 0) return 0;
  const mode = args.includes('--write') ? ['-i'] : ['--dry-run', '-Werror'];
  const result = await run(tool, [...mode, ...files]);
  if (result.code === 0) say(`C format: ${files.length} files`);
  return result.code;
}

if (require.main === module) start('format-c', main);
