'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { WraithError } = require('./errors.js');

const root = path.join(__dirname, '..');

/** Where the addon may lie, best first. */
function candidates() {
  if (process.env.WRAITH_ADDON) return [path.resolve(process.env.WRAITH_ADDON)];
  const platform = `${process.platform}-${process.arch}`;
  return [
    path.join(root, 'build', 'Release', 'wraith.node'),
    path.join(root, 'prebuilds', platform, 'wraith.node'),
  ];
}

function loadAddon() {
  const tried = candidates();
  const file = tried.find((name) => fs.existsSync(name));
  if (!file) {
    throw new WraithError(
      'ERR_WRAITH_NO_ADDON',
      `there is no addon for ${process.platform}-${process.arch} ` +
        'here; "npm run build" in a checkout makes one',
    );
  }
  return require(file);
}

module.exports = { loadAddon };
