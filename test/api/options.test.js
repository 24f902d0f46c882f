'use strict';
// Every option is read once and checked: a wrong one is a coded error at once.
const t = require('tap');
const {
  clientOptions,
  keys,
  lines,
  pairUp,
  startServer,
  wraith,
} = require('../lib/pair.js');

const { connect, createTunnel, generateKeyPair, serve } = wraith;
const FINGERPRINT = `SHA256:${'A'.repeat(43)}`;
const good = { server: '127.0.0.1:1', hostKey: FINGERPRINT, reconnect: false };

const laterConnect = 'peer irohRelay irohKey';
const laterServe =
  'irohRelay irohKey publishAddresses publish allowPeer workers';

function optionError(option, code = 'ERR_WRAITH_INVALID_ARGUMENT') {
  return { code, option, phase: 'options', name: 'WraithError' };
}

const wrongConnect = {
  transport: ['udp', 7, ['tcp', 'udp']],
  server: [
    '',
    7,
    'a:b:c',
    'host:',
    'host:99999',
    '[::1',
    '[]:1',
    '[host]:1',
    ':1',
    'host:0',
    'a\0b',
  ],
  stream: [{}, 'stream', 7, true],
  identity: ['', 7, {}, []],
  passphrase: [7, Buffer.from('x')],
  certificate: ['', 7, {}],
  agent: ['', 7, {}, 'a\0b'],
  user: ['', 7, 'a\0b'],
  knownHosts: ['', 7, []],
  acceptNew: ['yes', 1],
  tlsServerName: ['', 7, 'a\0b'],
  tlsCa: ['', 7, {}],
  tlsPin: ['', 7],
  insecure: ['yes', 1],
  stealthSecret: ['', 7],
  wsPath: ['', 7, 'a'],
  proxy: ['', 7, [], 'h:1', 'socks5://h', 'https://h:1', 'a\0b'],
  keepalive: [0, -1, 1.5, '15', 2 ** 31, NaN, Infinity],
  connectTimeout: [0, '1'],
  signal: [{}, true, new EventTarget()],
  reconnect: ['no', 0],
  minDelay: [0, '1'],
  maxDelay: [-1, {}],
};

const wrongServe = {
  hostKey: ['', 7, {}],
  passphrase: [7],
  authorizedKeys: ['', 7],
  transport: ['udp', ['udp']],
  tlsCert: ['', 7, {}],
  tlsKey: ['', 7, {}],
  stealth: ['yes', 1],
  decoy: ['', 7],
  stealthSecret: ['', 7],
  wsPath: ['', 7, 'a'],
  listen: [7, 'host:', '[::1', 'a:b:c', '127.0.0.1:70000'],
  proxy: ['', 7, 'h:1', 'http://h'],
  maxConnectionsPerIp: [-1, '1', 1.5],
  maxAuthAttempts: [0, '1'],
  loginGraceTime: [0, '30'],
  maxStartups: [
    0,
    '10:30:100',
    {},
    { start: 0, rate: 30, full: 10 },
    { start: 11, rate: 30, full: 10 },
    { start: 1, rate: 0, full: 10 },
    { start: 1, rate: 101, full: 10 },
    { start: 1, rate: 30, full: 10, more: 1 },
  ],
  penaltyTime: [-1, '5', 1.5, 2 ** 31],
  penaltyMax: [0, '600'],
  penaltyExempt: ['', 7, 'localhost', '10.0.0.1/8', ['::1', '10.0.0.0/33']],
  trustProxy: ['', 7, '*', '10.0.0.0/', ['::1/128', 'fe80::1%1']],
  maxSessions: [0],
  maxChannels: [0, 2 ** 32],
  keepalive: [0],
  gatewayPorts: ['yes'],
  forwarding: [1],
  metrics: ['', 7, ':', 'x', 'x:1', '::1', '[::1]', '99999', '::1:y', '1-2'],
  authorize: [true, 'no'],
  log: [{}],
  logLevel: ['trace', 3],
  signal: [{}],
};

t.test('createTunnel: wrong values', async (t) => {
  for (const [option, values] of Object.entries(wrongConnect)) {
    for (const value of values) {
      const shown = `${option}: ${JSON.stringify(value) ?? String(value)}`;
      const { code, phase, message } = catchError(() =>
        createTunnel({ ...good, [option]: value }),
      );
      t.match(
        { code, phase, message },
        {
          code: 'ERR_WRAITH_INVALID_ARGUMENT',
          phase: 'options',
          message: option,
        },
        shown,
      );
    }
  }
});

function catchError(act) {
  try {
    act().destroy();
  } catch (error) {
    return error;
  }
  return {};
}

t.test(
  'createTunnel: unknown names, and names of later versions',
  async (t) => {
    t.throws(
      () => createTunnel({ ...good, hostkey: 'x' }),
      optionError('hostkey', 'ERR_WRAITH_UNKNOWN_OPTION'),
    );
    t.throws(
      () => createTunnel({ ...good, constructor: 1 }),
      optionError('constructor', 'ERR_WRAITH_UNKNOWN_OPTION'),
    );
    for (const option of laterConnect.split(' ')) {
      t.throws(
        () => createTunnel({ ...good, [option]: 'x' }),
        optionError(option, 'ERR_WRAITH_UNSUPPORTED'),
        option,
      );
    }
    for (const transport of ['iroh', 'h3', 'auto']) {
      t.throws(
        () => createTunnel({ ...good, transport }),
        { code: 'ERR_WRAITH_UNSUPPORTED' },
        transport,
      );
    }
  },
);

t.test('createTunnel: what is missing', async (t) => {
  t.throws(() => createTunnel(), optionError('server'));
  t.throws(() => createTunnel({ hostKey: FINGERPRINT }), optionError('server'));
  for (const options of [null, 7, 'host', []]) {
    t.throws(() => createTunnel(options), optionError('options'));
  }
  const required = { code: 'ERR_WRAITH_HOST_KEY_REQUIRED', phase: 'hostkey' };
  t.throws(() => createTunnel({ server: 'h' }), required);
  t.throws(() => createTunnel({ server: 'h', hostKey: [] }), required);
  await t.rejects(connect({ server: 'h' }), required, 'no silent trust');
  t.throws(() => createTunnel({ server: 'h', acceptNew: true }), required);
  const undefinedIsNothing = createTunnel({ ...good, keepalive: undefined });
  undefinedIsNothing.destroy();
  await undefinedIsNothing.close();
});

t.test('connect rejects, it never throws', async (t) => {
  await t.rejects(connect(), { code: 'ERR_WRAITH_INVALID_ARGUMENT' });
  await t.rejects(connect(null), optionError('options'));
  await t.rejects(
    connect({ ...good, reconnect: true }),
    optionError('reconnect', 'ERR_WRAITH_UNKNOWN_OPTION'),
  );
  const { reconnect, ...rest } = good;
  t.equal(reconnect, false);
  await t.rejects(
    connect({ ...rest, bogus: 1 }),
    optionError('bogus', 'ERR_WRAITH_UNKNOWN_OPTION'),
  );
  await t.rejects(
    connect({ ...rest, destination: '' }),
    optionError('destination'),
  );
  await t.rejects(
    connect({ ...rest, destination: 'no port' }),
    optionError('destination'),
  );
  await t.rejects(connect({ ...rest, signal: {} }), optionError('signal'));
});

t.test('serve: wrong values, unknown and later names', async (t) => {
  const base = {
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: '127.0.0.1:0',
  };
  for (const [option, values] of Object.entries(wrongServe)) {
    for (const value of values) {
      const expected = {
        code: 'ERR_WRAITH_INVALID_ARGUMENT',
        phase: 'options',
        message: option,
      };
      await t.rejects(
        serve({ ...base, [option]: value }),
        expected,
        `${option}: ${JSON.stringify(value)}`,
      );
    }
  }
  for (const option of laterServe.split(' ')) {
    await t.rejects(
      serve({ ...base, [option]: 'x' }),
      optionError(option, 'ERR_WRAITH_UNSUPPORTED'),
      option,
    );
  }
  await t.rejects(
    serve({ ...base, key: 'x' }),
    optionError('key', 'ERR_WRAITH_UNKNOWN_OPTION'),
  );
  await t.rejects(serve({ ...base, transport: ['tcp', 'iroh'] }), {
    code: 'ERR_WRAITH_UNSUPPORTED',
  });
  await t.rejects(
    serve({ ...base, listen: 'h3=[::1]:0' }),
    optionError('listen', 'ERR_WRAITH_UNSUPPORTED'),
  );
  await t.rejects(serve(null), optionError('options'));
});

t.test('serve: rules', async (t) => {
  const base = {
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: '127.0.0.1:0',
  };
  const rule = { code: 'ERR_WRAITH_RULE', phase: 'options' };
  await t.rejects(serve({ ...base, allow: 'a b' }), {
    ...rule,
    option: 'allow',
  });
  await t.rejects(serve({ ...base, deny: ['private', ':::'] }), {
    ...rule,
    option: 'deny',
  });
  for (const policy of [
    [{}],
    ['x'],
    [{ allow: 'a', deny: 'b' }],
    [{ permit: 'a' }],
    [{ allow: 7 }],
    [{ allow: '' }],
  ]) {
    await t.rejects(
      serve({ ...base, policy }),
      { code: 'ERR_WRAITH_INVALID_ARGUMENT', message: 'policy' },
      JSON.stringify(policy),
    );
  }
  await t.rejects(serve({ ...base, policy: [{ allow: '10.0.0.0/99' }] }), rule);
  await t.rejects(
    serve({ ...base, policy: [], allow: 'a:1' }),
    optionError('policy'),
  );
});

t.test('calls of a tunnel', async (t) => {
  const { tunnel } = await pairUp(t);
  const unknown = { code: 'ERR_WRAITH_UNKNOWN_OPTION', option: 'bogus' };
  await t.rejects(tunnel.ready({ bogus: 1 }), unknown);
  await t.rejects(tunnel.ready({ signal: 1 }), optionError('signal'));
  await t.rejects(tunnel.ready(null), optionError('options'));
  await t.rejects(tunnel.open('h:1', { bogus: 1 }), unknown);
  await t.rejects(
    tunnel.open('h:1', { highWaterMark: -1 }),
    optionError('highWaterMark'),
  );
  await t.rejects(
    tunnel.open('h:1', { allowHalfOpen: 1 }),
    optionError('allowHalfOpen'),
  );
  for (const destination of [
    undefined,
    '',
    7,
    'host',
    'host:0',
    'host:70000',
    ':1',
    '[::1]',
    'unix:',
    'unix:rel',
    'a b:1',
    'a\0:1',
  ]) {
    await t.rejects(
      tunnel.open(destination),
      optionError('destination'),
      String(destination),
    );
  }
  await t.rejects(tunnel.socks5({ bogus: 1 }), unknown);
  await t.rejects(tunnel.socks5({ port: -1 }), optionError('port'));
  await t.rejects(tunnel.socks5({ port: '1080' }), optionError('port'));
  await t.rejects(tunnel.socks5({ host: 7 }), optionError('host'));
  await t.rejects(
    tunnel.socks5({ port: 0, auth: 'nocolon' }),
    optionError('auth'),
  );
  await t.rejects(
    tunnel.socks5({ port: 0, auth: ':pass' }),
    optionError('auth'),
  );
  await t.rejects(
    tunnel.socks5({ port: 0, auth: `${'u'.repeat(256)}:p` }),
    optionError('auth'),
  );
});

t.test('forward specifications', async (t) => {
  const { tunnel } = await pairUp(t);
  const spec = { code: 'ERR_WRAITH_SPEC', option: 'forward', phase: 'options' };
  for (const text of [
    '',
    '1',
    '1:2',
    'x:h:1',
    '1:h:x',
    '1:h:0',
    '1:h:70000',
    '1:[::1:2',
    'a:b:c:d:e',
  ]) {
    await t.rejects(tunnel.forward(text), spec, text);
  }
  await (await tunnel.forward('0:h:1')).close();
  await t.rejects(tunnel.remoteForward('x:h:1'), {
    ...spec,
    option: 'remoteForward',
  });
  await t.rejects(tunnel.forward({ bindPort: 0 }), optionError('forward'));
  await t.rejects(tunnel.forward({ host: 'h', port: 1, bogus: 1 }), {
    code: 'ERR_WRAITH_UNKNOWN_OPTION',
  });
  await t.rejects(
    tunnel.forward({ host: 'h', port: 70000 }),
    optionError('port'),
  );
  await t.rejects(tunnel.forward({ host: 'h', port: 0 }), optionError('port'));
  await t.rejects(
    tunnel.forward({ bindPath: 'relative', host: 'h', port: 1 }),
    optionError('bindPath'),
  );
  await t.rejects(
    tunnel.forward({ host: 'h', port: 1, path: '/x' }),
    optionError('forward'),
    'two targets',
  );
  await t.rejects(
    tunnel.forward({ bindPort: 0, bindPath: '/x', path: '/y' }),
    optionError('forward'),
    'two places',
  );
  await t.rejects(
    tunnel.forward({ bindPort: 0, path: 'relative' }),
    optionError('path'),
  );
  await t.rejects(tunnel.forward(7), optionError('options'));
  await t.rejects(tunnel.forward(undefined), optionError('forward'));
  await t.rejects(
    tunnel.remoteForward({ bindPort: 0 }),
    optionError('remoteForward'),
  );
  await t.rejects(
    tunnel.remoteForward({ bindPort: 0 }, 'x'),
    optionError('onStream'),
  );
  await t.rejects(tunnel.accept('wraith-x'), optionError('onStream'));
  for (const name of ['', 'host:1', 'wraith-a.b', 'unix:/x']) {
    await t.rejects(
      tunnel.accept(name, () => {}),
      { code: 'ERR_WRAITH_INVALID_ARGUMENT' },
      `accept ${name}`,
    );
  }
});

t.test('calls of a server', async (t) => {
  const server = await startServer(t);
  await t.rejects(
    server.reload({ bogus: 1 }),
    optionError('bogus', 'ERR_WRAITH_UNKNOWN_OPTION'),
  );
  await t.rejects(server.reload({ certAuthority: 7 }), {
    ...optionError('certAuthority[0]'),
  });
  await t.rejects(server.reload({ policy: [{ allow: ':::' }] }), {
    code: 'ERR_WRAITH_RULE',
  });
  t.throws(() => server.close({ drain: -1 }), optionError('drain'));
  t.throws(() => server.accept({}), optionError('stream'));
  for (const id of ['1', -1, 1.5, undefined]) {
    await t.rejects(server.open(id, 'wraith-x'), optionError('sessionId'));
  }
  await t.rejects(server.open(1, ''), optionError('name'));
  await t.rejects(server.open(4000, 'wraith-x'), {
    code: 'ERR_WRAITH_CHANNEL_UNKNOWN',
    phase: 'channel',
  });
});

t.test('generateKeyPair', async (t) => {
  t.throws(
    () => generateKeyPair({ type: 'rsa' }),
    optionError('type', 'ERR_WRAITH_UNKNOWN_OPTION'),
  );
  t.throws(() => generateKeyPair({ comment: 7 }), optionError('comment'));
  t.throws(() => generateKeyPair({ comment: 'a\nb' }), optionError('comment'));
  t.throws(() => generateKeyPair({ passphrase: 7 }), optionError('passphrase'));
  const pair = generateKeyPair({ comment: 'me@here' });
  t.match(pair.publicKey, /^ssh-ed25519 [A-Za-z0-9+/=]+ me@here\n?$/);
  t.match(pair.fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
  t.match(pair.privateKey.toString(), /^-----BEGIN OPENSSH PRIVATE KEY-----\n/);
});

t.test('an options object is not changed and is read once', async (t) => {
  const server = await startServer(t);
  const options = Object.freeze(clientOptions(server));
  const tunnel = createTunnel(options);
  await tunnel.ready();
  await tunnel.close();
});
