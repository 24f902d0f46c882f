'use strict';
// `wraith serve` without its log, told what to do by messages.
const { serve } = require('..');
const { answer } = require('./tools.js');

let server = null;

answer({
  async start({ hostKey, authorizedKeys, tls }) {
    server = await serve({
      hostKey: Buffer.from(hostKey),
      authorizedKeys: Buffer.from(authorizedKeys),
      listen: ['tcp=127.0.0.1:0', 'tls=127.0.0.1:0'],
      tlsCert: tls.cert,
      tlsKey: tls.key,
      stealth: true,
      wsPath: '/ws',
      maxStartups: 4000,
    });
    const [tcp, overTls] = server.addresses;
    return { port: tcp.port, tlsPort: overTls.port };
  },
  sessions: () => server.stats().sessions,
});
