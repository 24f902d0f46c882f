'use strict';
// Connections of an ordinary client, record by record: handshake, tickets, answer.
// And the same once more, with the session that the server has given it.
const { constants } = require('node:crypto');
const { play } = require('./client.js');

const only = (version) => ({ minVersion: version, maxVersion: version });

const kinds = {
  'TLS 1.3': only('TLSv1.3'),
  'TLS 1.3, ALPN': { ...only('TLSv1.3'), ALPNProtocols: ['http/1.1'] },
  'TLS 1.2': only('TLSv1.2'),
  'TLS 1.2, ALPN': { ...only('TLSv1.2'), ALPNProtocols: ['http/1.1'] },
  'TLS 1.2, no tickets': {
    ...only('TLSv1.2'),
    secureOptions: constants.SSL_OP_NO_TICKET,
  },
};

const request =
  'HEAD / HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n';

/** What a client sees, first and again. */
async function twice(port, tls) {
  let session;
  const probe = {
    watched: true,
    steps: [{ send: request }],
    onSession: (given) => (session = given),
  };
  const seen = [await play(port, { ...probe, tls })];
  seen.push(await play(port, { ...probe, tls: { ...tls, session } }));
  const [first, again] = seen.map(({ records, resumed, close }) =>
    [resumed ? 'resumed' : 'new', records, close].join('\n'),
  );
  return { first, again };
}

/** Resolves to one { name, what, nginx, ours } per difference. */
async function compareSessions(servers) {
  const differences = [];
  for (const [kind, tls] of Object.entries(kinds)) {
    const [nginx, ours] = await Promise.all(
      servers.map(({ port }) => twice(port, tls)),
    );
    for (const what of Object.keys(nginx)) {
      if (nginx[what] === ours[what]) continue;
      const pair = { nginx: nginx[what], ours: ours[what] };
      differences.push({ name: `session: ${kind}`, what, ...pair });
    }
  }
  return differences;
}

module.exports = { compareSessions };
