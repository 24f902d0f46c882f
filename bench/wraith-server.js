'use strict';
// `wraith serve` without its log, told what to do by messages.
const { serve } = require('..');
const { selfSigned } = require('../lib/acme.js');
const { answer } = require('./tools.js');

let server = null;

answer({
  async start({ hostKey, authorizedKeys }) {
    const { cert, key } = selfSigned(['127.0.0.1']);
    server = await serve({
      hostKey: Buffer.from(hostKey),
      authorizedKeys: Buffer.from(authorizedKeys),
      listen: ['tcp=127.0.0.1:0', 'tls=127.0.0.1:0'],
      tlsCert: cert,
      tlsKey: key,
      stealth: true,
      wsPath: '/ws',
      maxStartups: 4000,
    });
    const [tcp, tls] = server.addresses;
    return { port: tcp.port, tlsPort: tls.port };
  },
  sessions: () => server.stats().sessions,
});
