'use strict';

const net = require('node:net');
const os = require('node:os');

const { native } = require('../binding.js');
const { WraithError, errorFromStatus } = require('../errors.js');
const { defaultPaths, readFile, readSource } = require('../files.js');
const { readRules } = require('../server.js');
const { readArgs, usage } = require('./args.js');
const { EXIT, print } = require('./output.js');

const flags = {
  'authorized-keys': { type: 'text' },
  'cert-authority': { type: 'text', many: true },
  'revoked-keys': { type: 'text' },
  allow: { type: 'text', many: true },
  deny: { type: 'text', many: true },
  'gateway-ports': { type: 'flag' },
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

/** The key or certificate of a line 'type base64 comment', else undefined. */
function blobOf(line) {
  const [type, base64 = ''] = line.trim().split(/\s+/);
  const blob = Buffer.from(base64, 'base64');
  const head = Buffer.alloc(4 + type.length);
  head.writeUInt32BE(type.length);
  head.write(type, 4, 'latin1');
  const own = blob.subarray(0, head.length);
  return own.equals(head) ? blob : undefined;
}

/** Of a private key the public half is read, from the file beside it. */
async function readKey({ key: file }) {
  if (file === undefined) throw usage('key', 'is needed: whose login?');
  const text = (await readFile('key', file)).toString('latin1');
  if (/^-----BEGIN /.test(text)) return readKey({ key: `${file}.pub` });
  const line = text.split('\n').find((one) => /^\s*[^#\s]/.test(one)) ?? '';
  const blob = blobOf(line);
  if (blob === undefined) {
    throw usage('key', `${file}: not a public key or certificate`);
  }
  return blob;
}

/* WHO DECIDES */

const readSources = (option, files) =>
  Promise.all(files.map((file) => readSource(option, file)));

async function readTrust({ authorizedKeys, certAuthority = [], revokedKeys }) {
  const needed = certAuthority.length === 0;
  const keys =
    authorizedKeys ?? (needed ? defaultPaths.authorizedKeys() : undefined);
  const list = (file) => (file === undefined ? [] : [file]);
  return {
    authorizedKeys: await readSources('authorizedKeys', list(keys)),
    certAuthority: await readSources('certAuthority', certAuthority),
    revokedKeys: await readSources('revokedKeys', list(revokedKeys)),
  };
}

/** Asks the core, which judges as a server with these files would. */
function explain(options) {
  const answer = native.policyExplain(options);
  if (typeof answer === 'number') throw errorFromStatus(answer);
  if (answer.status === undefined) return answer;
  const error = errorFromStatus(answer.status, { phase: 'options' });
  const line = answer.line ? `:${answer.line}` : '';
  error.message = `${answer.file}${line}: ${error.message}`;
  throw error;
}

/* THE ANSWER */

const verdict = ({ allowed }) => (allowed ? 'allowed' : 'denied');

/** A name that a stranger chose must not reach the terminal as it is. */
const quoted = (text) =>
  JSON.stringify(text).replace(
    /[\x7f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

function loginLine(login) {
  const { allowed, reason, file, line, expires, certificate } = login;
  const parts = [
    ...(allowed ? [] : [reason]),
    ...(file ? [`${file}:${line}`] : []),
    ...(certificate
      ? [`certificate ${quoted(certificate.keyId)} (${certificate.serial})`]
      : []),
    ...(expires ? [`until ${new Date(expires * 1000).toISOString()}`] : []),
  ];
  return ['login', verdict(login), parts.join(', ')].join(': ');
}

function forwardLine({ text, what }, forward) {
  const { rule, ruleKind, why } = forward;
  const by = rule === undefined ? why : `${ruleKind} ${rule}`;
  return [`${what} ${text}`, verdict(forward), by].join(': ');
}

function report({ login, answers }) {
  print(loginLine(login));
  for (const { question, forward } of answers) {
    print(forwardLine(question, forward));
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

async function policy(args) {
  const { values, rules, positionals } = readArgs(args, flags, {
    positionals: true,
  });
  const questions = readQuestions(positionals, values);
  const common = {
    address: readAddress(values),
    user: values.user ?? os.userInfo().username,
    key: await readKey(values),
    rules: readRules({ policy: rules }),
    gatewayPorts: values.gatewayPorts ?? false,
    ...(await readTrust(values)),
  };
  const answers = questions.map((question) => ({
    question,
    ...explain({
      ...common,
      target: question.target,
      listen: question.what === 'listen',
    }),
  }));
  const [{ login }] = answers;
  const allowed =
    login.allowed && answers.every(({ forward }) => forward.allowed);
  (values.json ? reportJson : report)({ allowed, login, answers });
  return allowed ? EXIT.OK : EXIT.FAILURE;
}

module.exports = { policy };
