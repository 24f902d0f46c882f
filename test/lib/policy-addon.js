'use strict';
// The addon, but for policyExplain: it answers what the test says, in turn, and
// writes down what it was asked. Loaded through WRAITH_ADDON.
const fs = require('node:fs');

const { FAKE_BELOW, FAKE_ANSWERS, FAKE_ASKED } = process.env;

if (FAKE_BELOW) process.env.WRAITH_ADDON = FAKE_BELOW;
else delete process.env.WRAITH_ADDON;
const real = require('../../lib/load.js').loadAddon();

const answers = JSON.parse(FAKE_ANSWERS);

function asText(key, value) {
  return value?.type === 'Buffer' ? `${Buffer.from(value.data)}` : value;
}

function policyExplain({ key, ...options }) {
  const asked = { key: key.toString('base64'), ...options };
  const plain = JSON.parse(JSON.stringify(asked), asText);
  fs.appendFileSync(FAKE_ASKED, `${JSON.stringify(plain)}\n`);
  return answers.shift();
}

module.exports = { ...real, policyExplain };
