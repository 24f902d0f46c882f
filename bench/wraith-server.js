'use strict';
// `wraith serve` without its log, told what to do by messages.
const { serve } = require('..');
const { answer } = require('./tools.js');

let server = null;

answer({
  async start({ hostKey, authorizedKeys }) {
    server = await serve({
      hostKey: Buffer.from(hostKey),
      authorizedKeys: Buffer.from(authorizedKeys),
      listen: '127.0.0.1:0',
      maxStartups: 4000,
    });
    return { port: server.addresses[0].port };
  },
  sessions: () => server.stats().sessions,
});
