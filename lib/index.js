'use strict';

const { native } = require('./binding.js');
const { WraithError } = require('./errors.js');
const { generateKeyPair } = require('./keys.js');
const { serve } = require('./server.js');
const { connect, createTunnel } = require('./tunnel.js');

module.exports = {
  WraithError,
  buildInfo: () => native.buildInfo(),
  connect,
  createTunnel,
  generateKeyPair,
  serve,
};
