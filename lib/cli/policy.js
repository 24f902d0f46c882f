'use strict';

const dns = require('node:dns');
const net = require('node:net');
const os = require('node:os');

const { native } = require('../binding.js');
const { WraithError, errorFromStatus } = require('../errors.js');
const { readFile } = require('../files.js');
const { shownProxy } = require('../proxy.js');
const { readRules } = require('../server.js');
const { loadTrust, trustError, trustList } = require('../trust.js');
const { readArgs, usage } = require('./args.js');
const { EXIT, print } = require('./output.js');

const flags = {
  'authorized-keys': { type: 'text' },
  'cert-authority': { type: 'text', many: true },
  'revoked-keys': { type: 'text', many: true },
  allow: { type: 'text', many: true },
  deny: { type: 'text', many: true },
  'gateway-ports': { type: 'flag' },
  proxy: { type: 'secret' },
  from: { type: 'text' },
  user: { type: 'text' },
  key: { type: 'text' },
  listen: { type: 'text', many: true },
};

/* WHAT IS ASKED */

/** { text, what, target } of a channel. */
function readTarget(text) {
  const target = native.destination(text);
  if (typeof target === 'string') {
    throw new WraithError('ERR_WRAITH_SPEC', `"${text}": ${target}`, {
      phase: 'options',
    });
  }
  return { text, what: 'channel', target };
}

/** { text, what, target } of a remote forward, in the words of ssh -R. */
function readListen(text) {
  const bind = text.replace(/^unix:/, '');
  const spec = native.forwardSpec(`${bind}:localhost:1`, true);
  if (typeof spec === 'string') throw usage('listen', `"${text}": ${spec}`);
  return { text, what: 'listen', target: spec.bind };
}

function readQuestions(positionals, { listen = [] }) {
  const questions = [...positionals.map(readTarget), ...listen.map(readListen)];
  if (questions.length > 0) return questions;
  throw new WraithError(
    'ERR_WRAITH_USAGE',
    'where to? name host:port, unix:/path, wraith-name or --listen',
    { phase: 'options' },
  );
}

function readAddress({ from = '' }) {
  if (from === '' || net.isIP(from) !== 0) return from;
  throw usage('from', `"${from}" is not an address`);
}

/** Of a private key the public half is read, from the file beside it. */
async function readKey({ key: file }) {
  if (file === undefined) throw usage('key', 'is needed: whose login?');
  const text = (await readFile('key', file)).toString('latin1');
  if (/^-----BEGIN /.test(text)) return readKey({ key: `${file}.pub` });
  const line = text.split('\n').find((one) => /^\s*[^#\s]/.test(one)) ?? '';
  if (typeof native.publicKey(line) === 'number') {
    throw usage('key', `${file}: not a public key or certificate`);
  }
  return line;
}

/* WHO DECIDES */

/** What a server with these files would say. */
function explain(options) {
  const answer = native.policyExplain(options);
  if (typeof answer === 'number') throw errorFromStatus(answer);
  if (answer.status !== undefined) throw trustError(answer, options.trust);
  return answer;
}

async function addressesOf(host) {
  try {
    const all = await dns.promises.lookup(host, { all: true });
    return all.map(({ address }) => address);
  } catch {
    return [];
  }
}

/** For a name that address rules decide about: what each address gets. */
async function explainTarget(common, { target, what }) {
  const options = { ...common, target, listen: what === 'listen' };
  const { login, forward } = explain(options);
  if (forward.why !== 'addresses') return { login, forward };
  const ips = await addressesOf(target.host);
  const addresses = ips.map((ip) => ({
    address: ip,
    ...explain({ ...options, ip }).forward,
  }));
  const allowed = addresses.some((one) => one.allowed);
  const why = ips.length > 0 ? 'addresses' : 'the name does not resolve here';
  return { login, forward: { allowed, why, addresses } };
}

/* THE ANSWER */

const verdict = ({ allowed }) => (allowed ? 'allowed' : 'denied');

/** A name that a stranger chose must not reach the terminal as it is. */
const quoted = (text) =>
  JSON.stringify(text).replace(
    /[\x7f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** A certificate may be good for longer than a Date can say. */
function timeOf(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime())
    ? `second ${seconds}`
    : date.toISOString();
}

function loginLine(login) {
  const { allowed, reason, file, line, expires, certificate } = login;
  const place = line ? [`${file || 'the key'}:${line}`] : [];
  const parts = [
    ...(allowed ? [] : [reason]),
    ...place,
    ...(certificate
      ? [`certificate ${quoted(certificate.keyId)} (${certificate.serial})`]
      : []),
    ...(expires ? [`until ${timeOf(expires)}`] : []),
  ];
  return ['login', verdict(login), parts.join(', ')].join(': ');
}

const REASONS = {
  default: 'no rule matches',
  login: 'nobody is logged in',
  certificate: 'the certificate does not permit port forwarding',
  'no-port-forwarding': 'the line of the key does not permit port forwarding',
  permitopen: 'no permitopen of the line names it',
  permitlisten: 'no permitlisten of the line names it',
};

const because = ({ rule, why }) => rule ?? REASONS[why] ?? why;

function forwardLines({ text, what }, forward) {
  const said = `${what} ${text}: ${verdict(forward)}`;
  if (!forward.addresses?.length) return [`${said}: ${because(forward)}`];
  return forward.addresses.map(
    (one) =>
      `${what} ${text}: ${one.address}: ${verdict(one)}: ${because(one)}`,
  );
}

function report({ login, answers }) {
  print(loginLine(login));
  for (const { question, forward } of answers) {
    for (const line of forwardLines(question, forward)) print(line);
  }
}

function reportJson({ allowed, login, answers }) {
  const targets = answers.map(({ question: { text, what }, forward }) => ({
    target: text,
    what,
    ...forward,
  }));
  print(JSON.stringify({ allowed, login, targets }));
}

const withCertificate = ({ certificate, ...rest }) =>
  certificate ? { ...rest, certificate: JSON.parse(certificate) } : rest;

/** The text of a rule in the place of its number. */
function withRules({ rule, addresses, ...rest }, list) {
  const out = { ...rest };
  if (rule !== undefined) {
    const [allow, text] = list[rule];
    out.rule = `--${allow ? 'allow' : 'deny'} ${text}`;
  }
  if (addresses) out.addresses = addresses.map((one) => withRules(one, list));
  return out;
}

async function policy(args) {
  const { values, rules, positionals } = readArgs(args, flags, {
    positionals: true,
  });
  const questions = readQuestions(positionals, values);
  const list = readRules({ policy: rules });
  if (values.proxy !== undefined) shownProxy(values.proxy);
  const texts = await loadTrust(values);
  const common = {
    address: readAddress(values),
    user: values.user ?? os.userInfo().username,
    key: await readKey(values),
    now: Math.floor(Date.now() / 1000),
    rules: list,
    gatewayPorts: values.gatewayPorts ?? false,
    proxied: values.proxy !== undefined,
    trust: trustList(texts),
  };
  const answers = [];
  for (const question of questions) {
    const { login, forward } = await explainTarget(common, question);
    answers.push({ question, login, forward: withRules(forward, list) });
  }
  const login = withCertificate(answers[0].login);
  const allowed =
    login.allowed && answers.every(({ forward }) => forward.allowed);
  (values.json ? reportJson : report)({ allowed, login, answers });
  return allowed ? EXIT.OK : EXIT.FAILURE;
}

module.exports = { policy, flags };
