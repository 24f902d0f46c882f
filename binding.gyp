# The addon. scripts/build.js calls node-gyp with the variables below; the
# static libraries and their headers come from deps/build.js.
{
  'includes': ['build/deps/config.gypi'],
  'variables': {
    'wraith_variant%': 'release',
    'wraith_werror%': 0,
  },
  'targets': [
    {
      'target_name': 'wraith',
      'sources': ['<!@(node scripts/sources.js all)'],
      # Prepended: node-gyp puts Node's own headers first, and these contain
      # another OpenSSL than the one linked here.
      'include_dirs+': ['csrc', 'build/deps', '<@(wraith_deps_include_dirs)'],
      'libraries': ['<@(wraith_deps_libraries)'],
      'defines': [
        '_GNU_SOURCE',
        'NAPI_VERSION=9',
        'NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED',
        '<@(wraith_deps_defines)',
      ],
      'cflags!': ['-Wno-unused-parameter'],
      'cflags': [
        '-fvisibility=hidden',
        '-ffunction-sections',
        '-fdata-sections',
        '-fstack-protector-strong',
        '-fno-strict-aliasing',
        # Third-party headers are named again as system headers: gcc then
        # ignores the -I of the same folder and gives no warnings for them. The
        # order stays: ours, the libraries', Node's.
        '<!@(node scripts/gyp-system-dirs.js <(node_root_dir) <@(wraith_deps_include_dirs))',
      ],
      'cflags_c': [
        '-std=c11',
        '<!@(node scripts/warnings.js)',
      ],
      'ldflags!': ['-rdynamic'],
      'ldflags': [
        '-Wl,--version-script=<(module_root_dir)/csrc/napi/exports.map',
        '-Wl,--exclude-libs,ALL',
        '-Wl,-Bsymbolic',
        '-Wl,--gc-sections',
        '-Wl,-z,nodelete',
        '-Wl,-z,relro',
        '-Wl,-z,now',
        '-Wl,--as-needed',
      ],
      'configurations': {
        'Release': {
          'cflags!': ['-O3'],
          'cflags': ['-O2', '-g1'],
        },
      },
      'conditions': [
        ['wraith_werror==1', { 'cflags': ['-Werror'] }],
        [
          'wraith_variant=="sanitize"',
          {
            'defines': ['WR_NO_POOL=1'],
            'cflags': [
              '-fsanitize=address,undefined',
              '-fno-sanitize-recover=undefined',
              '-fno-omit-frame-pointer',
            ],
            'ldflags': ['-fsanitize=address,undefined'],
          },
          # _FORTIFY_SOURCE hides from AddressSanitizer what it should see.
          { 'cflags': ['-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'] },
        ],
      ],
    },
  ],
}
