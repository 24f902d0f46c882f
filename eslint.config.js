'use strict';
// The rules are listed here one by one, so that an update of eslint changes
// nothing by itself.
const globals = Object.fromEntries(
  (
    'AbortController AbortSignal Buffer CustomEvent DOMException Event ' +
    'EventTarget ' +
    'FinalizationRegistry MessageChannel SharedArrayBuffer TextDecoder ' +
    'TextEncoder URL URLSearchParams WeakRef __dirname __filename ' +
    'clearImmediate clearInterval clearTimeout console exports fetch global ' +
    'globalThis module performance process queueMicrotask require ' +
    'setImmediate setInterval setTimeout structuredClone'
  )
    .split(' ')
    .map((name) => [name, 'readonly']),
);

const correctness = {
  'array-callback-return': 'error',
  'consistent-return': 'off',
  'constructor-super': 'error',
  'for-direction': 'error',
  'getter-return': 'error',
  'no-async-promise-executor': 'error',
  'no-class-assign': 'error',
  'no-compare-neg-zero': 'error',
  'no-cond-assign': 'error',
  'no-const-assign': 'error',
  'no-constant-binary-expression': 'error',
  'no-constant-condition': ['error', { checkLoops: false }],
  'no-debugger': 'error',
  'no-dupe-args': 'error',
  'no-dupe-class-members': 'error',
  'no-dupe-else-if': 'error',
  'no-dupe-keys': 'error',
  'no-duplicate-case': 'error',
  'no-empty': 'error',
  'no-ex-assign': 'error',
  'no-fallthrough': 'error',
  'no-func-assign': 'error',
  'no-invalid-regexp': 'error',
  'no-loss-of-precision': 'error',
  'no-misleading-character-class': 'error',
  'no-promise-executor-return': 'off',
  'no-prototype-builtins': 'error',
  'no-redeclare': 'error',
  'no-self-assign': 'error',
  'no-self-compare': 'error',
  'no-setter-return': 'error',
  'no-sparse-arrays': 'error',
  'no-this-before-super': 'error',
  'no-undef': 'error',
  'no-unreachable': 'error',
  'no-unsafe-finally': 'error',
  'no-unsafe-negation': 'error',
  'no-unsafe-optional-chaining': 'error',
  'no-unused-labels': 'error',
  'no-unused-private-class-members': 'error',
  'no-unused-vars': [
    'error',
    { args: 'after-used', argsIgnorePattern: '^_', ignoreRestSiblings: true },
  ],
  'no-use-before-define': ['error', { functions: false, classes: false }],
  'no-useless-backreference': 'error',
  'no-useless-catch': 'error',
  'require-yield': 'error',
  'use-isnan': 'error',
  'valid-typeof': 'error',
};

const manner = {
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'no-throw-literal': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  strict: ['error', 'global'],
  complexity: ['error', 25],
  'max-lines': ['error', { max: 800 }],
  'max-lines-per-function': ['error', { max: 100 }],
  'no-restricted-syntax': [
    'error',
    {
      selector:
        'CallExpression[callee.name="require"] > Literal[value=/^(assert|buffer|child_process|crypto|dns|events|fs|http|https|net|os|path|perf_hooks|process|stream|timers|tls|url|util|worker_threads|zlib)(\\u002F.*)?$/]',
      message: 'Name built-in modules with node:',
    },
  ],
};

// A library does not end the process of its caller.
const library = {
  'no-restricted-properties': [
    'error',
    { object: 'process', property: 'exit', message: 'Set process.exitCode.' },
  ],
  'no-console': 'error',
};

module.exports = [
  { ignores: ['build/', 'node_modules/', 'prebuilds/', '.tap/'] },
  {
    files: ['**/*.js'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'commonjs', globals },
    rules: { ...correctness, ...manner },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'module', globals },
    rules: { ...correctness, ...manner, strict: 'off' },
  },
  { files: ['lib/**/*.js'], rules: library },
  {
    // A scenario reads best from top to bottom.
    files: ['test/**/*.js', 'bench/**/*.js'],
    rules: { 'max-lines-per-function': 'off', complexity: 'off' },
  },
];
