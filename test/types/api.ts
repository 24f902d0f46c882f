// Compiled by the lint step, never run: every exported type in use, and what
// the compiler has to refuse.
import { EventEmitter } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import {
  BuildInfo,
  ConnectOptions,
  ConnectionInfo,
  Durations,
  ForwardSpec,
  CertificateInfo,
  HostKeyInfo,
  Identity,
  KeySource,
  Listener,
  LogRecord,
  OpenOptions,
  Phase,
  ReconnectOptions,
  RemoteListener,
  Rule,
  ServeOptions,
  ServerStats,
  SessionInfo,
  ServerTransport,
  Transport,
  Tunnel,
  TunnelState,
  TunnelStateEvent,
  TunnelStats,
  TunnelStreamInfo,
  WraithError,
  WraithServer,
  WraithStream,
  buildInfo,
  connect,
  createTunnel,
  generateKeyPair,
  serve,
} from '../../lib/index.js';
import {
  Decoder,
  Message,
  PubSubEvent,
  createEventTarget,
  encode,
} from '../../lib/pubsub.js';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
    ? true
    : false;
function same<_A extends true>(): void {}

// Sources and options.

const sources: KeySource[] = ['a path', Buffer.from(''), new Uint8Array(1)];
const transport: Transport = 'tcp';
const controller = new AbortController();

const full: ConnectOptions & ReconnectOptions = {
  transport,
  server: 'host:2222',
  stream: async () => new PassThrough(),
  identity: sources[0]!,
  passphrase: '',
  certificate: sources[1]!,
  agent: true,
  user: 'me',
  hostKey: async (key: HostKeyInfo) => {
    same<Equal<typeof key.port, number>>();
    return `${key.type}${key.fingerprint}${key.publicKey}${key.host}` !== '';
  },
  knownHosts: 'file',
  acceptNew: true,
  keepalive: 1,
  connectTimeout: 1,
  signal: controller.signal,
  reconnect: true,
  minDelay: 1,
  maxDelay: 1,
};
createTunnel({ server: 'h', hostKey: 'SHA256:x' });
createTunnel({ stream: new PassThrough(), hostKey: ['a', 'b'] });
createTunnel({ stream: () => new PassThrough(), hostKey: () => true });

// @ts-expect-error there are no options to go by
createTunnel();
// @ts-expect-error an unknown name
createTunnel({ server: 'h', hostkey: 'SHA256:x' });
// @ts-expect-error a later version's carrier
createTunnel({ server: 'h', transport: 'iroh' });
// @ts-expect-error seconds are not text
createTunnel({ server: 'h', keepalive: '15' });
createTunnel({ server: 'h', agent: '/run/agent', certificate: 'file' });
// @ts-expect-error neither yes or no nor a path
createTunnel({ server: 'h', agent: 1 });
// @ts-expect-error not a stream
createTunnel({ stream: {} });
// @ts-expect-error connect() has one session: there is no reconnecting
void connect({ server: 'h', reconnect: true });
// @ts-expect-error not given is not the same as undefined
createTunnel({ server: undefined });

// The tunnel.

async function tunnels(): Promise<void> {
  const tunnel: Tunnel = createTunnel(full);
  const emitter: EventEmitter = tunnel;
  emitter.emit('x');
  same<Equal<typeof tunnel.state, TunnelState>>();
  same<Equal<typeof tunnel.peer, { host: string; port: number } | null>>();
  await tunnel.ready();
  await tunnel.ready({ signal: controller.signal });
  const options: OpenOptions = {
    signal: controller.signal,
    highWaterMark: 1,
    allowHalfOpen: false,
  };
  const stream: WraithStream = await tunnel.open('host:1', options);
  const duplex: Duplex = stream;
  duplex.end();
  same<Equal<typeof stream.info, unknown>>();
  stream.ref().unref().pipe(stream);

  const socks: Listener = await tunnel.socks5({ host: '::1', port: 0 });
  await tunnel.socks5();
  await tunnel.socks5({ auth: 'user:password' });
  same<Equal<typeof socks.port, number | undefined>>();
  same<Equal<typeof socks.connections, number>>();
  socks
    .ref()
    .unref()
    .on('close', () => {});
  await socks.close();

  const spec: ForwardSpec = { bindPort: 0, host: 'h', port: 1 };
  const forwards: Listener[] = [
    await tunnel.forward(spec),
    await tunnel.forward({ bindPath: '/a', path: '/b' }),
    await tunnel.forward('1:h:1'),
  ];
  forwards.length = 0;
  const remote: RemoteListener = await tunnel.remoteForward('0:h:1');
  remote.on('listening', () => {});
  remote.on('refused', (error) => {
    same<Equal<typeof error, WraithError>>();
  });
  await tunnel.remoteForward({ bindPort: 0 }, (channel, info) => {
    same<Equal<typeof channel, WraithStream>>();
    same<Equal<typeof info, TunnelStreamInfo>>();
  });
  await tunnel.accept('wraith-app', (channel, info) => {
    channel.end(`${info.destination}${info.port}`);
    same<Equal<typeof info.remoteAddress, string>>();
  });
  const stats: TunnelStats | null = tunnel.stats();
  same<Equal<NonNullable<typeof stats>['rtt'], number>>();

  tunnel.on('state', (event) => {
    same<Equal<typeof event, TunnelStateEvent>>();
    same<Equal<typeof event.retryIn, number | undefined>>();
  });
  tunnel.on('down', ({ error, wasUp, orderly }) => {
    same<Equal<typeof error, WraithError>>();
    same<Equal<typeof wasUp, boolean>>();
    same<Equal<typeof orderly, boolean>>();
  });
  tunnel.on('hostkey', ({ added, certificate, file, fingerprint }) => {
    same<Equal<typeof certificate, CertificateInfo | undefined>>();
    same<Equal<typeof added, boolean>>();
    same<Equal<typeof file, string | undefined>>();
    same<Equal<typeof fingerprint, string>>();
  });
  tunnel.on('close', (error) => {
    same<Equal<typeof error, WraithError | null>>();
  });
  tunnel.ref().unref().destroy();
  tunnel.destroy(new Error('enough'));
  await tunnel.close();
  await using disposed = createTunnel(full);
  same<Equal<typeof disposed, Tunnel>>();

  // @ts-expect-error read-only
  tunnel.state = 'up';
  // @ts-expect-error a destination is needed
  void tunnel.open();
  // @ts-expect-error a callback is needed
  void tunnel.accept('wraith-app');
  // @ts-expect-error an unknown name
  void tunnel.open('h:1', { timeout: 1 });
  // @ts-expect-error not a port
  void tunnel.socks5({ port: '1080' });
  // @ts-expect-error an unknown name
  void tunnel.forward({ bind: 1, host: 'h', port: 1 });
  // @ts-expect-error stats may be null
  tunnel.stats().rtt;
}

// One channel.

async function single(): Promise<void> {
  const stream = await connect({
    server: 'h',
    hostKey: 'SHA256:x',
    destination: 'host:1',
  });
  same<Equal<typeof stream, WraithStream>>();
  for await (const chunk of stream) Buffer.from(chunk);
  // @ts-expect-error options are needed
  void connect();
}

// The server.

async function servers(): Promise<void> {
  const rules: Rule[] = [{ allow: 'h:1' }, { deny: 'private' }];
  const options: ServeOptions = {
    hostKey: Buffer.from(''),
    passphrase: '',
    authorizedKeys: 'file',
    transport: ['tcp'],
    listen: ['[::1]:0'],
    maxConnectionsPerIp: 0,
    maxAuthAttempts: 1,
    loginGraceTime: 1,
    maxStartups: 1,
    maxSessions: 1,
    proxy: 'socks5://127.0.0.1:9050',
    maxChannels: 1,
    keepalive: 1,
    policy: rules,
    gatewayPorts: false,
    forwarding: true,
    metrics: '9090',
    authorize(identity) {
      same<Equal<typeof identity, Identity>>();
      return identity.user === 'me';
    },
    log(record, line) {
      same<Equal<typeof record, LogRecord>>();
      same<Equal<typeof line, string>>();
      same<Equal<typeof record.level, 'ERROR' | 'WARN' | 'INFO' | 'DEBUG'>>();
    },
    logLevel: 'debug',
    signal: controller.signal,
  };
  const server: WraithServer = await serve(options);
  await serve({ allow: 'h:1', deny: ['a', 'b'], authorize: async () => true });
  await serve({
    listen: 'systemd',
    maxStartups: { start: 1, rate: 30, full: 10 },
    penaltyTime: 0,
    penaltyMax: 1,
    penaltyExempt: '::1',
    trustProxy: ['10.0.0.0/8'],
  });
  // @ts-expect-error all three are needed
  await serve({ maxStartups: { start: 1, full: 10 } });
  const address = server.addresses[0]!;
  same<
    Equal<
      typeof address,
      { transport: ServerTransport; host: string; port: number }
    >
  >();
  const texts: string[] = [server.hostKeyFingerprint, server.hostKey];
  same<Equal<typeof server.hostKeyFile, string | undefined>>();
  same<Equal<typeof server.hostKeyCreated, boolean>>();
  const { fault, principals, validBefore } = server.hostCertificate!;
  same<Equal<typeof fault, string | undefined>>();
  same<Equal<typeof principals, string[]>>();
  same<Equal<typeof validBefore, number>>();
  const onConnection = (stream: WraithStream, info: ConnectionInfo): void => {
    stream.end(info.destination + info.user + info.keyFingerprint);
    const who: Identity = info;
    texts.push(who.transport);
  };
  server.on('connection', onConnection);
  server.onConnection(onConnection);
  server.on('session', (id) => same<Equal<typeof id, number>>());
  server.on('sessionClose', (id) => same<Equal<typeof id, number>>());
  server.on('close', () => {});
  for await (const { stream, info } of server) onConnection(stream, info);
  server.accept(new PassThrough());
  server.accept(new PassThrough(), { remoteAddress: '::1' });
  const [session] = server.sessions();
  if (session) {
    same<Equal<typeof session, SessionInfo>>();
    await server.open(session.sessionId, 'wraith-app');
  }
  const stats: ServerStats | null = server.stats();
  same<Equal<NonNullable<typeof stats>['rejected'], number>>();
  if (stats) {
    const durations: Durations[] = [stats.handshake, stats.login];
    same<Equal<(typeof durations)[0]['buckets'], [number, number][]>>();
    const { accepted, rejected } = stats.authentications;
    same<Equal<typeof accepted, number>>();
    const counts: Record<string, number>[] = [rejected];
    counts.push(stats.connectionsRejected, stats.sessionsEnded);
  }
  same<
    Equal<
      typeof server.metricsAddress,
      { host: string; port: number } | undefined
    >
  >();
  await server.reload({ authorizedKeys: 'file', policy: rules });
  await server.ref().unref().close();
  await server.close({ drain: 0 });
  await using disposed = await serve(options);
  same<Equal<typeof disposed, WraithServer>>();

  // @ts-expect-error a rule is one of both
  rules.push({ permit: 'h' });
  // @ts-expect-error an unknown name
  await serve({ key: 'file' });
  // @ts-expect-error a later version's option
  await serve({ irohKey: 'file' });
  // @ts-expect-error a number
  await server.open('1', 'wraith-app');
  // @ts-expect-error a boolean is asked for
  await serve({ authorize: () => 'yes' });
  // @ts-expect-error a stream
  server.accept('stream');
}

// Keys, errors, versions.

function others(): void {
  const pair = generateKeyPair({ comment: 'c', passphrase: 'p' });
  generateKeyPair();
  same<
    Equal<
      typeof pair,
      { privateKey: Buffer; publicKey: string; fingerprint: string }
    >
  >();
  // @ts-expect-error an unknown name
  generateKeyPair({ type: 'rsa' });
  const info: BuildInfo = buildInfo();
  same<Equal<typeof info.libssh, string>>();
  same<Equal<typeof info.napi, number>>();
  try {
    throw new Error();
  } catch (error) {
    if (!(error instanceof WraithError)) return;
    const base: Error = error;
    same<Equal<typeof error.code, string>>();
    same<Equal<typeof error.phase, Phase | undefined>>();
    same<Equal<typeof error.option, string | undefined>>();
    same<Equal<typeof error.file, string | undefined>>();
    same<Equal<typeof error.line, number | undefined>>();
    same<Equal<typeof error.fingerprint, string | undefined>>();
    same<Equal<typeof error.errno, number | undefined>>();
    same<Equal<typeof error.syscall, string | undefined>>();
    same<Equal<typeof error.address, string | undefined>>();
    same<Equal<typeof error.port, number | undefined>>();
    // @ts-expect-error read-only
    error.code = base.message;
    // @ts-expect-error no phase of this name
    if (error.phase === 'connect') return;
  }
}

// wraith/pubsub.

function pubsub(): void {
  const message: Message = { type: 'a', id: '1', payload: null };
  const frame: Buffer = encode(message, 100);
  const got: Message[] = new Decoder(100).push(frame);
  same<Equal<Decoder['pending'], number>>();
  const stream: Duplex = new PassThrough();
  const target = createEventTarget({ stream, maxFrame: got.length });
  target.addEventListener('a', (event) => {
    if (!(event instanceof PubSubEvent)) return;
    same<Equal<typeof event.id, string>>();
    same<Equal<typeof event.payload, unknown>>();
    same<Equal<typeof event.remote, true>>();
  });
  target.dispatchEvent(new CustomEvent('a', { detail: 1 }));
  target.close();
  // @ts-expect-error a message has an id and a payload
  encode({ type: 'a' });
  // @ts-expect-error a stream is needed
  createEventTarget({});
}

export { others, pubsub, servers, single, tunnels };
