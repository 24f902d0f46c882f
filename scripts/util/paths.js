'use strict';
// Where things lie in the tree, so that no other script spells it out.
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const at = (...parts) => path.join(root, ...parts);
const platform = `${process.platform}-${process.arch}`;

module.exports = {
  root,
  at,
  platform,
  build: at('build'),
  csrc: at('csrc'),
  addon: (variant = 'release') =>
    variant === 'release'
      ? at('build', 'Release', 'wraith.node')
      : at('build', variant, 'build', 'Release', 'wraith.node'),
  stamp: at('build', 'Release', 'wraith.sources'),
  prebuildDir: at('prebuilds', platform),
  prebuilt: at('prebuilds', platform, 'wraith.node'),
  manifest: at('prebuilds', platform, 'manifest.json'),
};
