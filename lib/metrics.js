'use strict';

// The numbers of one server in Prometheus' text format, over plain HTTP:
// docs/metrics.md. No destination, user, key or address is among them.

const http = require('node:http');
const net = require('node:net');

const { version } = require('../package.json');
const { native } = require('./binding.js');
const { errorFromStatus, optionError } = require('./errors.js');
const { parseHostPort } = require('./options.js');

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const LOOPBACK = '127.0.0.1';
const MAX_CONNECTIONS = 16;
/** Milliseconds for a request to come, and for its answer to be taken. */
const REQUEST_TIME = 5000;
const MAX_HEADER_SIZE = 8192;
/** Seconds; once, so that it does not move with the clock. */
const STARTED = Date.now() / 1000 - process.uptime();

/** 'port', ':port' (of loopback) or 'address:port'. */
function parseMetricsAddress(text) {
  const [, digits] = /^:?(\d{1,5})$/.exec(text) ?? [];
  const address = digits === undefined ? text : `${LOOPBACK}:${digits}`;
  const { host, port } = parseHostPort('metrics', address);
  if (net.isIP(host) === 0 && host !== 'localhost') {
    throw optionError('metrics', `${host} is not an address of this host`);
  }
  return { host, port };
}

function escape(value) {
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n');
}

function labelText(labels) {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escape(String(value))}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** samples: [labels, value, suffix of the name] */
function family(type, name, help, samples) {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(
      ([labels, value, suffix = '']) =>
        `${name}${suffix}${labelText(labels)} ${value}`,
    ),
  ];
}

const gauge = (name, help, value) => family('gauge', name, help, [[{}, value]]);

const counter = (name, help, value) =>
  family('counter', name, help, [[{}, value]]);

function byReason(name, help, counts) {
  const samples = Object.entries(counts).map(([reason, n]) => [{ reason }, n]);
  return family('counter', name, help, samples);
}

function histogram(name, help, { count, sum, buckets }) {
  return family('histogram', name, help, [
    ...buckets.map(([le, n]) => [{ le }, n, '_bucket']),
    [{ le: '+Inf' }, count, '_bucket'],
    [{}, sum, '_sum'],
    [{}, count, '_count'],
  ]);
}

function present(s) {
  return [
    gauge('wraith_sessions', 'Sessions, logged in or not.', s.sessions),
    gauge(
      'wraith_sessions_unauthenticated',
      'Sessions that have not logged in yet.',
      s.startups,
    ),
    gauge('wraith_channels', 'Channels.', s.channels),
    gauge('wraith_remote_forwards', 'Remote forwards.', s.remoteForwards),
  ];
}

function logins(s) {
  const { accepted, rejected } = s.authentications;
  return [
    family(
      'counter',
      'wraith_authentications_total',
      'Keys that were judged, by result.',
      [
        [{ result: 'accept' }, accepted],
        [{ result: 'reject' }, s.authRejected],
      ],
    ),
    byReason(
      'wraith_authentications_rejected_total',
      'Keys that were refused, by reason.',
      rejected,
    ),
    histogram(
      'wraith_handshake_duration_seconds',
      'Time from the connection to the end of the first key exchange.',
      s.handshake,
    ),
    histogram(
      'wraith_login_duration_seconds',
      'Time from the connection to the login.',
      s.login,
    ),
  ];
}

function past(s) {
  return [
    counter(
      'wraith_connections_total',
      'Connections that were taken.',
      s.connections,
    ),
    counter(
      'wraith_visitors_total',
      'Connections that the web site was shown to.',
      s.visitors,
    ),
    counter(
      'wraith_knocks_failed_total',
      'Of these: with a proof of the secret that was not right.',
      s.knocksFailed,
    ),
    byReason(
      'wraith_connections_rejected_total',
      'Connections that were not taken, by reason.',
      s.connectionsRejected,
    ),
    counter(
      'wraith_penalties_total',
      'How often an address began to be kept out.',
      s.penalties,
    ),
    byReason(
      'wraith_sessions_ended_total',
      'Sessions that the server ended by itself, by reason.',
      s.sessionsEnded,
    ),
    counter(
      'wraith_channels_opened_total',
      'Channels that were dialled for or given to the application.',
      s.channelsOpened,
    ),
    counter(
      'wraith_channels_refused_total',
      'Channels that were refused without a dial.',
      s.channelsRefused,
    ),
    counter(
      'wraith_received_bytes_total',
      'Bytes received from clients, encrypted.',
      s.bytesIn,
    ),
    counter(
      'wraith_sent_bytes_total',
      'Bytes sent to clients, encrypted.',
      s.bytesOut,
    ),
  ];
}

function software() {
  const { libssh, openssl, variant } = native.buildInfo();
  const { blocks, bytes } = native.memory();
  return [
    family('gauge', 'wraith_build_info', 'What runs; the value is 1.', [
      [{ version, libssh, openssl, variant }, 1],
    ]),
    gauge(
      'process_start_time_seconds',
      'Start of the process, in seconds since 1970.',
      STARTED.toFixed(3),
    ),
    gauge(
      'wraith_memory_bytes',
      'Memory that the core holds, libraries not counted.',
      bytes,
    ),
    gauge(
      'wraith_memory_blocks',
      'Blocks of memory that the core holds.',
      blocks,
    ),
  ];
}

/** stats: of a server. */
function exposition(stats) {
  const families = [
    ...software(),
    ...present(stats),
    ...past(stats),
    ...logins(stats),
  ];
  return `${families.flat().join('\n')}\n`;
}

function reply(response, status, text, headers) {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    // Few connections are taken: none is kept for later.
    Connection: 'close',
    ...headers,
  });
  response.end(text);
}

function answer(request, response, stats) {
  const [path] = request.url.split('?');
  if (path !== '/metrics') {
    reply(response, 404, 'not found: see /metrics\n');
  } else if (request.method !== 'GET') {
    reply(response, 405, 'only GET\n', { Allow: 'GET' });
  } else {
    const headers = { 'Content-Type': CONTENT_TYPE };
    reply(response, 200, exposition(stats()), headers);
  }
}

function listen(server, { host, port }) {
  return new Promise((resolve, reject) => {
    server.once('error', ({ errno }) => {
      const where = { syscall: 'listen', address: host, port };
      const error = errorFromStatus(errno, where);
      error.message = `metrics: ${error.message}`;
      error.option = 'metrics';
      reject(error);
    });
    server.listen({ host, port }, resolve);
  });
}

/** Of an address as the system prints it. */
function isLoopback(address) {
  return /^(127\.|::1$|::ffff:127\.)/.test(address);
}

/**
 * Answers GET /metrics with what stats() returns. It holds no process: neither
 * its port nor its connections keep the loop alive.
 */
async function serveMetrics(address, stats) {
  const server = http.createServer(
    {
      maxHeaderSize: MAX_HEADER_SIZE,
      headersTimeout: REQUEST_TIME,
      requestTimeout: REQUEST_TIME,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => answer(request, response, stats),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(REQUEST_TIME);
  server.on('connection', (socket) => socket.unref());
  await listen(server, address);
  server.unref();
  // No descriptor left, for example: the next request may find one.
  server.on('error', () => {});
  const { address: host, port } = server.address();
  return {
    address: { host, port },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

module.exports = { isLoopback, parseMetricsAddress, serveMetrics };
