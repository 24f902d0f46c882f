'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { WraithError } = require('../errors.js');

const WANTED = 'acme-client@^5.4.0';

/** To be typed for a package at `root`: among the global ones, or in a project. */
function installLine(root = path.join(__dirname, '../..')) {
  const modules = path.dirname(root);
  const above = path.dirname(modules);
  const isGlobal =
    path.basename(modules) === 'node_modules' &&
    path.basename(above) === 'lib' &&
    !fs.existsSync(path.join(above, 'package.json'));
  if (!isGlobal) return `npm install ${WANTED}`;
  return `npm install --global --prefix ${path.dirname(above)} ${WANTED}`;
}

function libraryError(message, cause) {
  return new WraithError(
    'ERR_WRAITH_ACME_LIBRARY',
    `${message}; type: ${installLine()}`,
    { phase: 'options', cause },
  );
}

// What is used of it beyond its documented interface is asked for here, so that
// a version that lacks it is told at the start and not in the middle.
function isUsable({ Client, crypto }) {
  if (typeof crypto?.createAlpnCertificate !== 'function') return false;
  const key = '';
  const { http } = new Client({
    directoryUrl: 'https://[::]/',
    accountKey: key,
  });
  return ['request', 'getDirectory'].every(
    (name) => typeof http?.[name] === 'function',
  );
}

/** The npm package acme-client, which the owner installs beside this one. */
function loadLibrary() {
  let library;
  try {
    library = require('acme-client');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') {
      throw libraryError('ACME: acme-client does not load', error);
    }
    throw libraryError('ACME needs the package acme-client', error);
  }
  if (isUsable(library)) return library;
  throw libraryError('ACME: this version of acme-client cannot be used');
}

module.exports = { loadLibrary };
