'use strict';

// What is built, from where, at which version and with which flags.
// Everything here except `suites` goes into the cache key.

// Raise this when the steps in lib/ change in a way that changes the result.
const RECIPE = 1;

const HARDENING = ['-fstack-protector-strong', '-D_FORTIFY_SOURCE=2'];

// Hidden and position independent, because all of it ends up inside one
// shared object; in sections, so that the linker can drop what is not used.
const CFLAGS = [
  '-fPIC',
  '-fvisibility=hidden',
  '-ffunction-sections',
  '-fdata-sections',
];

const openssl = {
  name: 'openssl',
  // 3.5 is the long-term line and the first with the QUIC TLS callbacks.
  min: '3.5.0',
  below: '3.6',
  suites: ['trixie', 'trixie-security', 'trixie-backports', 'forky', 'sid'],
  deb: 'libssl-dev',
  pkgConfig: ['openssl'],
  recipe: 'openssl',
  needs: [],
  libs: ['libssl.a', 'libcrypto.a'],
  versionFile: 'VERSION.dat',
  diskMiB: 500,
  cflags: ['-O2', ...CFLAGS, ...HARDENING],
  configure: [
    'no-shared',
    'no-module',
    'no-engine',
    'no-dso',
    'no-pinshared',
    'no-autoload-config',
    'no-atexit',
    'no-tests',
    'no-docs',
    'no-apps',
    'no-legacy',
    'no-ssl3',
    'no-dtls',
    'no-comp',
    'no-cmp',
    'no-ts',
    'no-srp',
    'no-srtp',
    'no-rfc3779',
    'no-nextprotoneg',
    'no-ui-console',
    // Ciphers and digests that neither SSH nor TLS 1.2 and 1.3 use here.
    'no-bf',
    'no-cast',
    'no-gost',
    'no-idea',
    'no-md4',
    'no-mdc2',
    'no-rc2',
    'no-rc4',
    'no-rmd160',
    'no-seed',
    'no-sm2',
    'no-sm3',
    'no-sm4',
    'no-whirlpool',
  ],
};

const libssh = {
  name: 'libssh',
  // 0.12.1 and 0.12.2 fix security defects: never go below. The patches
  // touch internals, so a new minor version wants a look before it is allowed.
  min: '0.12.2',
  below: '0.13',
  suites: ['forky', 'trixie-backports', 'sid'],
  deb: 'libssh-dev',
  pkgConfig: ['libssh'],
  recipe: 'cmake',
  needs: ['openssl'],
  libs: ['libssh.a'],
  versionFile: 'CMakeLists.txt',
  diskMiB: 100,
  // libssh reads at most this much at once (4 KiB by default).
  cflags: [...CFLAGS, '-DMAX_BUF_SIZE=65536'],
  buildFlags: ['-O2', '-g', ...HARDENING],
  configure: [
    '-DBUILD_SHARED_LIBS=OFF',
    '-DWITH_SERVER=ON',
    '-DWITH_ZLIB=OFF',
    '-DWITH_GSSAPI=OFF',
    '-DWITH_SFTP=OFF',
    '-DWITH_PCAP=OFF',
    '-DWITH_EXEC=OFF',
    '-DWITH_EXAMPLES=OFF',
    '-DWITH_BENCHMARKS=OFF',
    '-DWITH_DEBUG_CALLTRACE=OFF',
    '-DWITH_FIDO2=OFF',
    '-DWITH_PKCS11_URI=OFF',
    '-DWITH_NACL=OFF',
    '-DWITH_SYMBOL_VERSIONING=OFF',
    '-DWITH_INSECURE_NONE=OFF',
    '-DUNIT_TESTING=OFF',
  ],
  // Variants replace `buildFlags` and append to `configure`.
  variants: {
    sanitize: {
      buildFlags: [
        '-O1',
        '-g',
        '-fno-omit-frame-pointer',
        '-fsanitize=address,undefined',
      ],
    },
    fuzz: {
      cc: 'clang',
      buildFlags: [
        '-O1',
        '-g',
        '-fno-omit-frame-pointer',
        '-fsanitize=address,undefined,fuzzer-no-link',
      ],
      // Without the null cipher a fuzzer never gets past the key exchange.
      configure: ['-DWITH_INSECURE_NONE=ON'],
    },
  },
};

const nghttp3 = {
  name: 'nghttp3',
  min: '1.15.0',
  below: '2',
  suites: ['trixie-backports', 'forky', 'sid'],
  deb: 'libnghttp3-dev',
  pkgConfig: ['libnghttp3'],
  recipe: 'cmake',
  needs: [],
  libs: ['libnghttp3.a'],
  versionFile: 'CMakeLists.txt',
  diskMiB: 60,
  cflags: CFLAGS,
  buildFlags: ['-O2', '-g', ...HARDENING],
  configure: [
    '-DENABLE_LIB_ONLY=ON',
    '-DENABLE_STATIC_LIB=ON',
    '-DENABLE_SHARED_LIB=OFF',
    '-DBUILD_TESTING=OFF',
  ],
};

const ngtcp2 = {
  name: 'ngtcp2',
  min: '1.22.0',
  below: '2',
  suites: ['forky', 'trixie-backports', 'sid'],
  deb: 'libngtcp2-dev libngtcp2-crypto-ossl-dev',
  pkgConfig: ['libngtcp2', 'libngtcp2_crypto_ossl'],
  recipe: 'cmake',
  needs: ['openssl'],
  libs: ['libngtcp2_crypto_ossl.a', 'libngtcp2.a'],
  versionFile: 'CMakeLists.txt',
  diskMiB: 80,
  cflags: CFLAGS,
  buildFlags: ['-O2', '-g', ...HARDENING],
  configure: [
    '-DENABLE_LIB_ONLY=ON',
    '-DENABLE_STATIC_LIB=ON',
    '-DENABLE_SHARED_LIB=OFF',
    '-DENABLE_OPENSSL=ON',
    '-DBUILD_TESTING=OFF',
  ],
};

module.exports = {
  RECIPE,
  VARIANTS: ['release', 'sanitize', 'fuzz'],
  // In the order in which they are built.
  PACKAGES: [openssl, libssh, nghttp3, ngtcp2],
  // In the order in which they are linked.
  LINK_ORDER: ['libssh', 'ngtcp2', 'nghttp3', 'openssl'],
  // What code that includes the headers of static libraries has to define.
  DEFINES: ['LIBSSH_STATIC', 'NGTCP2_STATICLIB', 'NGHTTP3_STATICLIB'],
};
