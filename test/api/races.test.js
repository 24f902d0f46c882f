'use strict';
// Two things at once: what ends early, and what overtakes.
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const t = require('tap');
const {
  clientOptions,
  keys,
  lines,
  rejection,
  startServer,
  startTunnel,
  wraith,
} = require('../lib/pair.js');

t.test('connect(): a channel that ends as it opens', async (t) => {
  const server = await startServer(t, { forwarding: false });
  server.on('connection', (stream) => stream.destroy());
  for (let i = 0; i < 5; i++) {
    const gone = once(server, 'sessionClose');
    const { minDelay, maxDelay, ...options } = clientOptions(server);
    const stream = await wraith.connect(options);
    stream.resume();
    await gone;
  }
  t.equal(server.sessions().length, 0, 'no session outlives its channel');
});

t.test('reload: the last one asked for is what counts', async (t) => {
  const server = await startServer(t);
  const slow = path.join(t.testdir(), 'slow');
  execFileSync('mkfifo', [slow]);
  const first = server.reload({ authorizedKeys: slow });
  const second = server.reload({ authorizedKeys: lines(keys().other) });
  // The first can be read only now, when the second has long been there.
  await fs.promises.writeFile(slow, lines(keys().user));
  await Promise.all([first, second]);
  const tunnel = startTunnel(t, server, { reconnect: false });
  t.match(await rejection(t, tunnel.ready()), {
    code: 'ERR_WRAITH_AUTH_REFUSED',
  });
});

t.test('open(): aborted while the tunnel comes up', async (t) => {
  const server = await startServer(t);
  server.on('connection', (stream) => stream.resume());
  const tunnel = startTunnel(t, server);
  const abort = new AbortController();
  // Between the tunnel being up and what waits for it being told.
  tunnel.on('state', () => process.nextTick(() => abort.abort()));
  const opening = tunnel.open('wraith-control', { signal: abort.signal });
  t.match(await rejection(t, opening), { code: 'ERR_WRAITH_ABORTED' });
});

t.test('a default host key that cannot be made', async (t) => {
  const before = process.env.XDG_STATE_HOME;
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
  });
  process.env.XDG_STATE_HOME = path.join(t.testdir({ file: '' }), 'file');
  const error = await rejection(
    t,
    wraith.serve({ authorizedKeys: lines(keys().user), listen: [] }),
  );
  t.match(error, { code: 'ERR_WRAITH_FILE', phase: 'options' });
  t.equal(error.option, 'hostKey');
});

t.test('an address to listen on that is none', async (t) => {
  const records = [];
  const options = {
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    log: (record) => records.push(record),
  };
  const error = await rejection(
    t,
    wraith.serve({ ...options, listen: 'name:0' }),
  );
  t.match(error, { code: 'ERR_WRAITH_INVALID_ARGUMENT', option: 'listen' });
  const taken = (await startServer(t)).addresses[0];
  const listen = `${taken.host}:${taken.port}`;
  t.equal(
    (await rejection(t, wraith.serve({ ...options, listen }))).code,
    'EADDRINUSE',
  );
  t.same(records, [], 'a server that never was writes no log');
});
