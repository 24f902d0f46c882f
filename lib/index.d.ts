/// <reference types="node" />
import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';

/**
 * A path; or contents: a string with a line feed in it, or a Buffer. Contents
 * are copied and never written anywhere.
 */
export type KeySource = string | Uint8Array;

/**
 * The carriers of this version; others are refused with ERR_WRAITH_UNSUPPORTED.
 * tls: SSH in TLS (RFC 8446); wss: in WebSocket frames (RFC 6455) in TLS; ws: in
 * frames without TLS, for a proxy that adds it.
 */
export type Transport = 'tcp' | 'tls' | 'wss' | 'ws';

/**
 * What a server listens for; a stealth one on tls takes WebSockets too. ws:
 * WebSockets alone, without TLS: for a web server in front, which ends it. Who is
 * no tunnel there sees the decoy.
 */
export type ServerTransport = 'tcp' | 'tls' | 'ws';

export type Phase =
  | 'options'
  | 'dial'
  | 'proxy'
  | 'tls'
  | 'quic'
  | 'kex'
  | 'hostkey'
  | 'auth'
  | 'channel';

/**
 * Every error of this package. Errors of dialling the server keep Node's
 * `code`, `errno`, `syscall`, `address` and `port`; errors of channels never
 * hold a host, a port or a path.
 */
export class WraithError extends Error {
  constructor(
    code: string,
    message: string,
    more?: { phase?: Phase; cause?: unknown },
  );
  readonly code: string;
  readonly phase?: Phase;
  /** The option at fault, with phase 'options'. */
  readonly option?: string;
  /** The user's own file at fault, and its line (from 1). */
  readonly file?: string;
  readonly line?: number;
  /** Of the host key that was judged, with phase 'hostkey'. */
  readonly fingerprint?: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

/** What an OpenSSH certificate says (PROTOCOL.certkeys of OpenSSH). */
export interface CertificateInfo {
  /** Any text of the authority's. */
  keyId: string;
  /** A decimal number of up to 64 bits. */
  serial: string;
  /** Names of hosts or users, exactly. */
  principals: string[];
  /** Of the key that signed it. */
  authorityFingerprint: string;
  /** Milliseconds since 1970; good from the first to before the second. */
  validAfter: number;
  /** Infinity: for ever. */
  validBefore: number;
}

export interface HostKeyInfo {
  /** 'ssh-ed25519' and the like; with a certificate, of the key in it. */
  type: string;
  /** 'SHA256:…' as ssh-keygen -l prints it. */
  fingerprint: string;
  /**
   * If the server presented one. That its authority signed it has been checked;
   * whether that is to be trusted, for which names and how long, has not.
   */
  certificate?: CertificateInfo;
  /** The key as one line of known_hosts form, without a host. */
  publicKey: string;
  /** What was dialled; '' for a stream of the caller's. */
  host: string;
  port: number;
}

export interface ConnectOptions {
  /** Default 'tcp'. */
  transport?: Transport;
  /**
   * 'host', 'host:port' or '[v6]:port'; the default port is 2222, with tls and
   * wss 443, with ws 80. Beside a stream it is the name that knownHosts keeps
   * the key under.
   */
  server?: string;
  /**
   * tls, wss: the name that is asked for and that the certificate must be for.
   * Default: that of the server.
   */
  tlsServerName?: string;
  /** tls, wss: PEM of the authorities to trust. Default: the system's. */
  tlsCa?: KeySource;
  /**
   * tls, wss: base64 SHA-256 of the server's public key, with or without
   * 'sha256//' before it; any of several. Authority and name do not count then.
   */
  tlsPin?: string | string[];
  /**
   * tls, wss: any certificate will do (pins still count). It says nothing of the
   * host key, which is checked all the same. Default false.
   */
  insecure?: boolean;
  /**
   * tls, wss, ws: what the server's stealthSecret is
   * (docs/reference/knock.md). With tls, too, SSH then goes in WebSocket frames.
   */
  stealthSecret?: string;
  /** The server's wsPath. Default '/ws'. */
  wsPath?: string;
  /** SSH over a stream of the caller's; a function is called for each try. */
  stream?: Duplex | (() => Duplex | Promise<Duplex>);
  /**
   * The private key (Ed25519); a file must not be for others to use. Default:
   * ~/.ssh/id_ed25519, with an agent none. With an agent it may be a public
   * key, or a private one that is absent or encrypted with its public key
   * beside it ('<identity>.pub'): then it is the only key of the agent's.
   */
  identity?: KeySource;
  /** Of an encrypted identity. */
  passphrase?: string;
  /**
   * An OpenSSH certificate of the identity or of a key in the agent, offered
   * before all others. Default: the file '<identity>-cert.pub', if there is
   * one. Files are read anew for each try.
   */
  certificate?: KeySource;
  /**
   * Keys in an ssh-agent, tried after the identity: the agent of SSH_AUTH_SOCK,
   * or the path of its socket. Default false.
   */
  agent?: boolean | string;
  /** Default: the login name. */
  user?: string;
  /**
   * What the server must prove: fingerprints ('SHA256:…'), key lines
   * ('ssh-…'), paths of files with key lines, or a decision. A certificate
   * counts as the key in it.
   */
  hostKey?:
    string | string[] | ((key: HostKeyInfo) => boolean | Promise<boolean>);
  /**
   * A known_hosts file in OpenSSH's format, also with authorities of host
   * certificates; used if hostKey is not given.
   */
  knownHosts?: string;
  /** Remember an unknown key in knownHosts. Default false: it is refused. */
  acceptNew?: boolean;
  /**
   * 'socks5://', 'socks5h://' or 'http://[user:password@]host:port': the way to
   * the server, whose name goes over unresolved. Not with `stream`.
   */
  proxy?: string;
  /** Milliseconds; a dead peer is noticed within two of them. Default 15000. */
  keepalive?: number;
  /** Milliseconds from the dial to the login. Default 30000. */
  connectTimeout?: number;
  /** Ends the tunnel (or the attempt) with ERR_WRAITH_ABORTED. */
  signal?: AbortSignal;
}

export interface ReconnectOptions {
  /** Default true. */
  reconnect?: boolean;
  /** Milliseconds before the first retry; doubles from there. Default 1000. */
  minDelay?: number;
  /** Milliseconds. Default 30000. */
  maxDelay?: number;
}

export interface ForwardSpec {
  bindHost?: string;
  /** 0: chosen by the side that listens. */
  bindPort?: number;
  /** A Unix socket in place of host and port. */
  bindPath?: string;
  host?: string;
  port?: number;
  path?: string;
}

export interface Listener extends EventEmitter, AsyncDisposable {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** Connections that are open now. */
  readonly connections: number;
  ref(): this;
  unref(): this;
  /** Ends its connections too; resolves once nothing of it is left. */
  close(): Promise<void>;
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
}

export interface RemoteListener extends Listener {
  /**
   * Here: the server has been told to stop listening, and what was connected
   * to a target is gone. Streams that onStream was given live on.
   */
  close(): Promise<void>;
  /** Granted, in this session (again). */
  on(event: 'listening', listener: () => void): this;
  /** A later session's server said no. */
  on(event: 'refused', listener: (error: WraithError) => void): this;
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
}

/** A channel as a Duplex: half-open by default; 'close' is always last. */
export interface WraithStream extends Duplex {
  readonly info: unknown;
  ref(): this;
  unref(): this;
}

export interface TunnelStreamInfo {
  destination: string;
  port: number;
  remoteAddress: string;
  remotePort: number;
}

export type TunnelState = 'connecting' | 'up' | 'reconnecting' | 'closed';

export interface TunnelStateEvent {
  state: TunnelState;
  /** Why, for 'reconnecting' and 'closed'. */
  reason?: WraithError;
  /** Of the retry that comes, from 1. */
  attempt?: number;
  /** Milliseconds until then. */
  retryIn?: number;
}

export interface TunnelStats {
  bytesIn: number;
  bytesOut: number;
  channels: number;
  channelsOpened: number;
  channelsFailed: number;
  /** Microseconds; 0 while not measured. */
  rtt: number;
}

export interface OpenOptions {
  signal?: AbortSignal;
  highWaterMark?: number;
  allowHalfOpen?: boolean;
}

/** A long-lived handle. It never throws asynchronously. */
export interface Tunnel extends EventEmitter, AsyncDisposable {
  readonly state: TunnelState;
  /** The server's address as dialled; null while there is none, and by proxy. */
  readonly peer: { host: string; port: number } | null;
  /**
   * Resolves when the tunnel is up. Rejects on what would end it: a refused
   * key, a host key that is not the expected one, bad options.
   */
  ready(options?: { signal?: AbortSignal }): Promise<void>;
  /** To 'host:port', '[v6]:port', 'unix:/path' or 'wraith-…'. */
  open(destination: string, options?: OpenOptions): Promise<WraithStream>;
  /**
   * SOCKS5, SOCKS4a, HTTP CONNECT and absolute-form HTTP requests on one port.
   * Default 127.0.0.1:1080. auth: 'user:password'.
   */
  socks5(options?: {
    host?: string;
    port?: number;
    auth?: string;
  }): Promise<Listener>;
  /** As ssh -L: '[bind:]port:host:hostport' and so on. */
  forward(spec: string | ForwardSpec): Promise<Listener>;
  /** As ssh -R. With onStream its connections come as streams instead. */
  remoteForward(
    spec: string | ForwardSpec,
    onStream?: (stream: WraithStream, info: TunnelStreamInfo) => void,
  ): Promise<RemoteListener>;
  /** Channels that the server opens to this client by a name 'wraith-…'. */
  accept(
    name: string,
    onStream: (stream: WraithStream, info: TunnelStreamInfo) => void,
  ): Promise<RemoteListener>;
  /** null once closed. */
  stats(): TunnelStats | null;
  ref(): this;
  unref(): this;
  /** Says goodbye; resolves once nothing of it is left. */
  close(): Promise<void>;
  destroy(error?: Error): void;
  on(event: 'state', listener: (event: TunnelStateEvent) => void): this;
  /** A try failed or a session ended; 'state' says what happens next. */
  on(
    event: 'down',
    listener: (event: {
      error: WraithError;
      wasUp: boolean;
      orderly: boolean;
    }) => void,
  ): this;
  /** A host key was accepted; added: it was unknown and is remembered now. */
  on(
    event: 'hostkey',
    listener: (key: {
      type: string;
      fingerprint: string;
      publicKey: string;
      certificate?: CertificateInfo;
      added: boolean;
      file?: string;
    }) => void,
  ): this;
  on(event: 'close', listener: (error: WraithError | null) => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
}

export interface Identity {
  sessionId: number;
  /** Untrusted text. */
  user: string;
  /** Of a certificate: of the key that it certifies. */
  keyFingerprint: string;
  /** That logged in; absent for a plain key. */
  certificate?: CertificateInfo;
  /** '' where there is none. */
  remoteAddress: string;
  transport: string;
}

export interface ConnectionInfo extends Identity {
  /** The reserved name, lower case. */
  destination: string;
}

export interface SessionInfo extends Identity {
  authenticated: boolean;
  /** Milliseconds since it began. */
  duration: number;
  channels: number;
  bytesIn: number;
  bytesOut: number;
}

/** Durations, counted by size. */
export interface Durations {
  count: number;
  /** Seconds in all. */
  sum: number;
  /** [seconds, how many took at most so long], ascending. */
  buckets: [number, number][];
}

/** Now, and since the start. */
export interface ServerStats {
  sessions: number;
  /** Of these: not logged in. */
  startups: number;
  channels: number;
  remoteForwards: number;
  connections: number;
  /** Of stealth and ws listeners: who turned out to be no tunnel. */
  visitors: number;
  /**
   * Of these: asked for wsPath with no proof of the stealthSecret, or one that
   * was wrong, old or used before.
   */
  knocksFailed: number;
  rejected: number;
  /** Penalties that came into force. */
  penalties: number;
  authAccepted: number;
  authRejected: number;
  /** Dialled for, or given to the application. */
  channelsOpened: number;
  /** At once, without a dial. */
  channelsRefused: number;
  bytesIn: number;
  bytesOut: number;
  /** Keys that were judged; the reasons are those of the log. */
  authentications: { accepted: number; rejected: Record<string, number> };
  connectionsRejected: Record<string, number>;
  /** By the server itself. */
  sessionsEnded: Record<string, number>;
  /** From the connection to the end of the first key exchange. */
  handshake: Durations;
  /** From the connection to the login. */
  login: Durations;
}

/** One record of the log; the other fields depend on the message. */
export interface LogRecord {
  /** RFC 3339, UTC, milliseconds. */
  time: string;
  level: 'ERROR' | 'WARN' | 'INFO' | 'DEBUG';
  message: string;
  [field: string]: string | number;
}

/** One rule: see the rules of `wraith serve --allow`. The first match wins. */
export type Rule = { allow: string } | { deny: string };

export interface ServeOptions {
  /** Ed25519. Default: made once in $XDG_STATE_HOME/wraith/host_ed25519. */
  hostKey?: KeySource;
  /** Of an encrypted host key. */
  passphrase?: string;
  /**
   * A certificate of the host key, as ssh-keygen -s ca -h makes it. Read once,
   * at the start.
   */
  hostCertificate?: KeySource;
  /**
   * OpenSSH format, with options (docs/authorized-keys.md). Default:
   * $XDG_CONFIG_HOME/wraith/authorized_keys, which must be there unless there
   * is an authority.
   */
  authorizedKeys?: KeySource | KeySource[];
  /** Public keys that may sign user certificates, for every user. */
  certAuthority?: KeySource | KeySource[];
  /** Public keys, one per line, or key revocation lists of ssh-keygen. */
  revokedKeys?: KeySource | KeySource[];
  /** Default 'tcp', or those that listen names. */
  transport?: ServerTransport | ServerTransport[];
  /**
   * '[transport=]address:port'; default 'tcp=[::]:2222', 'tls=[::]:443' and
   * 'ws=127.0.0.1:8080'.
   * 'systemd' in place of an address: the sockets that a service manager has
   * handed down (LISTEN_FDS). An empty list: only accept().
   */
  listen?: string | string[];
  /** tls: PEM, the server's certificate and then intermediate ones. */
  tlsCert?: KeySource;
  /** tls: PEM, not encrypted. */
  tlsKey?: KeySource;
  /**
   * tls: names and addresses for a certificate by ACME (RFC 8555), in place of
   * tlsCert and tlsKey; kept renewed. Needs the package acme-client
   * (ERR_WRAITH_ACME_LIBRARY). docs/guides/acme.md says what happens when.
   */
  acmeDomain?: string | string[];
  /** https address of the directory. Default: Let's Encrypt's. */
  acmeDirectory?: string;
  acmeEmail?: string;
  /** PEM: whom to trust for the directory itself, in place of the system's. */
  acmeCa?: KeySource;
  /** Account, key and certificates. Default: $XDG_STATE_HOME/wraith/acme. */
  acmeDir?: string;
  /** Default 'tls-alpn-01' (RFC 8737). */
  acmeChallenge?: 'tls-alpn-01' | 'http-01';
  /** For http-01: 'address:port' or ':port'. Default ':80'. */
  acmeHttpListen?: string;
  /** External account binding (RFC 8555, section 7.3.4): both or neither. */
  acmeEabKid?: string;
  /** base64url. */
  acmeEabHmacKey?: string;
  /**
   * tls: the first bytes decide. SSH (without stealthSecret) or a WebSocket for
   * wsPath is a tunnel; everybody else is a visitor and sees the decoy. Default
   * false.
   */
  stealth?: boolean;
  /**
   * What visitors see, as if nginx answered: a folder, or a web server behind
   * ('http(s)://host[:port]'). Default: 404 for everything.
   */
  decoy?: string;
  /** A tunnel opens only for who proves it (docs/reference/knock.md). */
  stealthSecret?: string;
  /**
   * Where WebSockets are taken, on stealth and ws listeners. Default '/ws' with
   * a stealthSecret or a ws listener, else nowhere.
   */
  wsPath?: string;
  /** 0: no limit, the default. IPv6 is counted by /64. */
  maxConnectionsPerIp?: number;
  /** Default 10. */
  maxAuthAttempts?: number;
  /** Milliseconds. Default 30000. */
  loginGraceTime?: number;
  /**
   * Networks that are believed whom they speak for: by a PROXY header (version 1
   * or 2) at the start of the connection, or by X-Forwarded-For of the request
   * for a WebSocket. Default: none.
   */
  trustProxy?: string | string[];
  /**
   * Sessions that are not logged in. Default 1000. From start on (a number: from
   * half of it) new ones are dropped at random: rate in a hundred, up to all at
   * full.
   */
  maxStartups?: number | { start: number; rate: number; full: number };
  /**
   * Milliseconds that a failed login adds to the time for which its address is
   * kept out; docs/log.md says what else counts. Default 5000; 0: none.
   */
  penaltyTime?: number;
  /** Milliseconds. Default 600000. */
  penaltyMax?: number;
  /** Networks that are never kept out. */
  penaltyExempt?: string | string[];
  /**
   * 'socks5://', 'socks5h://' or 'http://[user:password@]host:port': targets are
   * reached through it. Names go over unresolved, so only rules for names see
   * them (docs/decisions/policy-proxy.md).
   */
  proxy?: string;
  /** Default 10000. */
  maxSessions?: number;
  /** Per session. Default 1000. */
  maxChannels?: number;
  /** Milliseconds. Default 15000. */
  keepalive?: number;
  /** Rules in order. */
  policy?: Rule[];
  /** Without an order of their own: every deny comes before every allow. */
  allow?: string | string[];
  deny?: string | string[];
  /** Remote forwards may bind other than loopback. Default false. */
  gatewayPorts?: boolean;
  /** Default true; false serves control channels only. */
  forwarding?: boolean;
  /**
   * 'port' (of 127.0.0.1) or 'address:port': answers GET /metrics in
   * Prometheus' text format. It does not keep the process alive.
   */
  metrics?: string;
  /** Asked once per session, after proof of the key. A throw refuses. */
  authorize?: (identity: Identity) => boolean | Promise<boolean>;
  /** Default: silent. line is the record as one line of logfmt. */
  log?: (record: LogRecord, line: string) => void;
  /** Default 'info'. */
  logLevel?: 'error' | 'warn' | 'info' | 'debug';
  /** Closes the server. */
  signal?: AbortSignal;
}

export interface WraithServer
  extends
    EventEmitter,
    AsyncDisposable,
    AsyncIterable<{ stream: WraithStream; info: ConnectionInfo }> {
  readonly addresses: {
    transport: ServerTransport;
    host: string;
    port: number;
  }[];
  /** With the option metrics. */
  readonly metricsAddress?: { host: string; port: number };
  readonly hostKeyFingerprint: string;
  /** The public host key as one line. */
  readonly hostKey: string;
  /** Where the default host key lies. */
  readonly hostKeyFile?: string;
  /** It was made just now. */
  readonly hostKeyCreated: boolean;
  /** fault: why clients do not accept it at the start, such as 'has expired'. */
  readonly hostCertificate?: CertificateInfo & { readonly fault?: string };
  /** A channel to a name 'wraith-…'. With no listener such are refused. */
  on(
    event: 'connection',
    listener: (stream: WraithStream, info: ConnectionInfo) => void,
  ): this;
  on(event: 'session', listener: (sessionId: number) => void): this;
  on(event: 'sessionClose', listener: (sessionId: number) => void): this;
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
  onConnection(
    listener: (stream: WraithStream, info: ConnectionInfo) => void,
  ): this;
  /** A channel to a client that accepts the name. */
  open(sessionId: number, name: string): Promise<WraithStream>;
  /** Serves SSH on a stream of the caller's. */
  accept(stream: Duplex, options?: { remoteAddress?: string }): void;
  /**
   * Puts new keys and rules in force, all of them or none; what is not given
   * stays. Before it resolves, sessions that may no longer be there have been
   * told to end, and connections and listeners that are no longer allowed are
   * closed.
   */
  reload(options: {
    authorizedKeys?: KeySource | KeySource[];
    certAuthority?: KeySource | KeySource[];
    revokedKeys?: KeySource | KeySource[];
    policy?: Rule[];
    /** Both or neither; for connections that come. */
    tlsCert?: KeySource;
    tlsKey?: KeySource;
  }): Promise<void>;
  sessions(): SessionInfo[];
  stats(): ServerStats | null;
  /** Milliseconds for channels to end; default 2000. Again: at once. */
  close(options?: { drain?: number }): Promise<void>;
  ref(): this;
  unref(): this;
}

/**
 * One session with one channel (default 'wraith-control'); they end together.
 */
export function connect(
  options: ConnectOptions & { destination?: string },
): Promise<WraithStream>;

/** Throws on bad options; everything else is told by the handle. */
export function createTunnel(
  options: ConnectOptions & ReconnectOptions,
): Tunnel;

export function serve(options?: ServeOptions): Promise<WraithServer>;

/** A new Ed25519 pair in OpenSSH format. */
export function generateKeyPair(options?: {
  comment?: string;
  /** Encrypts the private key. */
  passphrase?: string;
}): { privateKey: Buffer; publicKey: string; fingerprint: string };

export interface BuildInfo {
  version: string;
  libssh: string;
  openssl: string;
  ngtcp2: string;
  nghttp3: string;
  libuv: string;
  napi: number;
  [part: string]: unknown;
}

export function buildInfo(): BuildInfo;
