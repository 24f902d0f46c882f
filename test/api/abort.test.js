'use strict';
// An AbortSignal ends what it was given to, at every stage, and nothing else.
const { once } = require('node:events');
const t = require('tap');
const {
  clientOptions,
  keys,
  lines,
  pairUp,
  startServer,
  startTunnel,
  when,
  wraith,
} = require('../lib/pair.js');
const { closed, echo, listen } = require('../lib/net.js');

const { connect, createTunnel, serve } = wraith;
const aborted = { code: 'ERR_WRAITH_ABORTED' };

/** A signal that aborts when told to, with a reason to be found again. */
function abortable() {
  const controller = new AbortController();
  const reason = new Error('the reason');
  return {
    signal: controller.signal,
    reason,
    abort: () => controller.abort(reason),
  };
}

function single(server, more) {
  const { minDelay, maxDelay, ...options } = clientOptions(server, more);
  return options;
}

t.test('aborted before', async (t) => {
  const server = await startServer(t);
  const { signal, reason, abort } = abortable();
  abort();
  await t.rejects(connect(single(server, { signal })), {
    ...aborted,
    cause: reason,
  });
  const tunnel = createTunnel(clientOptions(server, { signal }));
  const ended = new Promise((resolve) => tunnel.once('close', resolve));
  t.match(await ended, { ...aborted, cause: reason });
  t.equal(tunnel.state, 'closed');
  await t.rejects(tunnel.ready(), aborted);
  const options = {
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: '127.0.0.1:0',
  };
  await t.rejects(serve({ ...options, signal }), aborted);
  t.equal(server.stats().connections, 0, 'nothing was dialled');
});

t.test('while the server is silent', async (t) => {
  const { signal, abort } = abortable();
  let socket;
  const silent = await listen(t, (one) => {
    socket = one;
    socket.resume();
    socket.once('data', abort);
  });
  const server = { addresses: [{ port: silent.port }] };
  await t.rejects(connect(single(server, { signal })), aborted);
  if (!socket.closed) await closed(socket);
});

t.test('while the host key is judged', async (t) => {
  const server = await startServer(t);
  const { signal, abort } = abortable();
  const hostKey = () => {
    abort();
    return new Promise(() => {});
  };
  await t.rejects(connect(single(server, { signal, hostKey })), aborted);
});

t.test('while the key is being authorized', async (t) => {
  const { signal, abort } = abortable();
  const server = await startServer(t, {
    authorize() {
      abort();
      return new Promise(() => {});
    },
  });
  await t.rejects(connect(single(server, { signal })), aborted);
  await when(server, 'x', () => true);
});

t.test('while the channel is opened', async (t) => {
  const { signal, abort } = abortable();
  const server = await startServer(t);
  server.on('session', abort);
  server.on('connection', (stream) => stream.destroy());
  await t.rejects(connect(single(server, { signal })), aborted);
});

t.test('once it is up: the stream ends with it', async (t) => {
  const { signal, abort } = abortable();
  const server = await startServer(t);
  const came = once(server, 'connection');
  const stream = await connect(single(server, { signal }));
  const [far] = await came;
  const gone = Promise.all([closed(stream), closed(far)]);
  abort();
  await gone;
  t.ok(stream.destroyed);
});

t.test('a tunnel between two tries', async (t) => {
  const { signal, abort, reason } = abortable();
  const server = await startServer(t);
  const tunnel = startTunnel(t, server, {
    signal,
    minDelay: 60000,
    maxDelay: 60000,
  });
  await tunnel.ready();
  const down = once(tunnel, 'state');
  await server.close({ drain: 0 });
  t.equal((await down)[0].state, 'reconnecting');
  const waiting = t.rejects(tunnel.ready(), { ...aborted, cause: reason });
  const over = new Promise((resolve) => tunnel.once('close', resolve));
  abort();
  t.match(await over, aborted);
  await waiting;
});

t.test('ready: its signal ends the waiting alone', async (t) => {
  const silent = await listen(t, () => {});
  const tunnel = startTunnel(t, { addresses: [{ port: silent.port }] });
  const { signal, abort } = abortable();
  const waiting = t.rejects(tunnel.ready({ signal }), aborted);
  setImmediate(abort);
  await waiting;
  t.equal(tunnel.state, 'connecting');
  await t.rejects(tunnel.ready({ signal }), aborted, 'also one that is spent');
});

t.test('open: its signal ends the opening alone', async (t) => {
  // The channel is confirmed only when the server's application is there, so
  // one whose target never answers stays in between.
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const { signal, abort } = abortable();
  const opening = t.rejects(
    tunnel.open(`127.0.0.1:${target.port}`, { signal }),
    aborted,
  );
  abort();
  await opening;
  await t.rejects(tunnel.open(`127.0.0.1:${target.port}`, { signal }), aborted);
  t.equal(tunnel.state, 'up');
  const stream = await tunnel.open(`127.0.0.1:${target.port}`, {
    signal: AbortSignal.timeout(60000),
  });
  stream.end('still works');
  t.equal((await stream.toArray()).join(''), 'still works');
});

t.test('open: a signal that comes late does nothing', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const { signal, abort } = abortable();
  const stream = await tunnel.open(`127.0.0.1:${target.port}`, { signal });
  abort();
  stream.end('whole');
  t.equal((await stream.toArray()).join(''), 'whole');
});

t.test('open while connecting', async (t) => {
  const silent = await listen(t, () => {});
  const tunnel = startTunnel(t, { addresses: [{ port: silent.port }] });
  const { signal, abort } = abortable();
  const opening = t.rejects(tunnel.open('h:1', { signal }), aborted);
  setImmediate(abort);
  await opening;
});

t.test('serve: while it starts, and later', async (t) => {
  const options = {
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: '127.0.0.1:0',
  };
  const early = abortable();
  const starting = serve({ ...options, signal: early.signal });
  early.abort();
  await t.rejects(starting, aborted);
  const late = abortable();
  const server = await serve({ ...options, signal: late.signal });
  const over = closed(server);
  late.abort();
  await over;
  t.strictSame(server.sessions(), []);
});

t.test('no listener of a signal is left behind', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const { signal } = abortable();
  process.on('warning', (warning) => t.fail(warning.message));
  for (let i = 0; i < 20; i++) {
    await tunnel.ready({ signal });
    const stream = await tunnel.open(`127.0.0.1:${target.port}`, { signal });
    stream.end();
    await stream.toArray();
  }
  const { getEventListeners } = require('node:events');
  t.equal(getEventListeners(signal, 'abort').length, 0);
});
