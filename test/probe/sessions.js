'use strict';
// Connections of an ordinary client, record by record: handshake, tickets, answer.
// And the same once more, with the session that the server has given it.
const { constants } = require('node:crypto');
const { play } = require('./client.js');
const http2 = require('./http2-frames.js');

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

const get = (path) => ({
  name: `GET ${path}`,
  steps: [
    { send: `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n` },
  ],
});

const answers = [
  ...['/', '/a.txt', '/sub', '/nothing', '/large.bin', '/large.html'].map(get),
  ...http2.probes.filter(({ name }) =>
    /^h2: (settings only|HEAD|GET of a file|large file|missing file)$/.test(
      name,
    ),
  ),
];

/** How both cut what they say into records, by their lengths. */
async function compareAnswers(servers) {
  const differences = [];
  const one = async (probe) => {
    const [nginx, ours] = await Promise.all(
      servers.map(async ({ port }) => {
        const { records } = await play(port, { ...probe, watched: true });
        return (records.match(/^23 .*$/gm) ?? []).join('\n');
      }),
    );
    const name = `records: ${probe.name}`;
    if (nginx !== ours) differences.push({ name, what: 'data', nginx, ours });
  };
  await Promise.all(answers.map(one));
  return differences;
}

module.exports = { compareAnswers, compareSessions };
