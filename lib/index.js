'use strict';

const { version } = require('../package.json');
const { native } = require('./binding.js');
const { WraithError } = require('./errors.js');
const { generateKeyPair } = require('./keys.js');
const { serve } = require('./server.js');
const { connect, createTunnel } = require('./tunnel.js');

module.exports = {
  WraithError,
  buildInfo: () => ({ version, ...native.buildInfo() }),
  connect,
  createTunnel,
  generateKeyPair,
  serve,
};
