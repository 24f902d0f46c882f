'use strict';

const { VARIANTS } = require('../packages');
const { DepsError } = require('./errors');

const PRINTABLE = ['prefix', 'include', 'libs', 'versions', 'json'];

const HELP = `Usage: node deps/build.js [options]

Builds OpenSSL, libssh, ngtcp2 and nghttp3 as static libraries into a cache
outside the tree and writes build/deps/ for the builds that use them.

  --variant NAME   ${VARIANTS.join(', ')} (default: release)
  --check          build nothing; exit with 0 if everything is there
  --print WHAT     print ${PRINTABLE.join(', ')} when done
  --help           this text

Environment: WRAITH_DEPS_SRC (directory with sources at hand), WRAITH_DEPS
(system: libraries found by pkg-config), WRAITH_CACHE, WRAITH_JOBS, CC.
`;

function oneOf(option, value, allowed) {
  if (allowed.includes(value)) return value;
  const got = value === undefined ? 'nothing' : value;
  throw new DepsError(
    `${option} takes one of ${allowed.join(', ')}, not ${got}`,
    2,
  );
}

/** The command line as options; throws on anything unknown. */
function parseArgs(argv) {
  const options = { variant: 'release' };
  const rest = argv.flatMap((arg) => {
    const match = arg.match(/^(--\w+)=(.*)$/);
    return match ? [match[1], match[2]] : [arg];
  });
  while (rest.length > 0) {
    const arg = rest.shift();
    if (arg === '--variant') {
      options.variant = oneOf(arg, rest.shift(), VARIANTS);
    } else if (arg === '--print') {
      options.print = oneOf(arg, rest.shift(), PRINTABLE);
    } else if (['--check', '--help'].includes(arg)) {
      options[arg.slice(2)] = true;
    } else {
      throw new DepsError(`unknown option ${arg}; see --help`, 2);
    }
  }
  return options;
}

module.exports = { HELP, parseArgs };
