'use strict';
// Programs that look at servers: each runs against one port, and what it reports
// comes back by name, without what differs from run to run.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const peers = require('../../scripts/peers.js');

const HOST = '127.0.0.1';
const NAME = 'example.test';
const TIME = 150_000;

/**
 * What a program prints. It leads a group of its own, as testssl has children
 * that it does not wait for: who is late goes with all of them.
 */
async function run(name, args, { cwd }) {
  const child = spawn(peers.path(name), args, {
    cwd,
    env: peers.env(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [out, rest] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (rest += chunk));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill(-child.pid, 'SIGKILL');
  }, TIME);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  if (late) throw new Error(`${name} is not done after ${TIME} ms: ${rest}`);
  return { code, out, rest };
}

async function mustRun(name, args, options) {
  const { code, out, rest } = await run(name, args, options);
  if (code !== 0) throw new Error(`${name} ends with ${code}: ${rest}${out}`);
  return out;
}

const attributes = (text) =>
  Object.fromEntries(
    Array.from(text.matchAll(/([\w-]+)="([^"]*)"/g), ([, name, value]) => [
      name,
      value,
    ]),
  );

/** The elements of that name, as their attributes. No element nests in itself. */
const elements = (xml, name) =>
  Array.from(xml.matchAll(new RegExp(`<${name}\\b([^>]*)>`, 'g')), (found) =>
    attributes(found[1]),
  );

const without = (object, ...names) =>
  JSON.stringify(
    Object.fromEntries(
      Object.entries(object).filter(([name]) => !names.includes(name)),
    ),
  );

// ---- nmap

const SCRIPTS = [
  ...['http-headers', 'http-methods', 'http-server-header', 'http-title'],
  ...['ssl-ccs-injection', 'ssl-cert', 'ssl-dh-params', 'ssl-enum-ciphers'],
  ...['ssl-heartbleed', 'ssl-poodle', 'sslv2', 'tls-alpn'],
  ...['tls-nextprotoneg', 'tls-ticketbleed'],
];

async function nmap(port, prefix, more, options) {
  const args = ['-n', '-Pn', '-sT', '-sV', '-p', String(port), HOST];
  args.push('--host-timeout', '120s', '-oX', '-', ...more);
  const xml = await mustRun('nmap', args, options);
  const found = new Map();
  const [state] = elements(xml, 'state');
  found.set(`${prefix}: state`, without(state ?? {}));
  const [service] = elements(xml, 'service');
  found.set(`${prefix}: service`, without(service ?? {}));
  for (const { id, output } of elements(xml, 'script')) {
    const text = output.replace(/Date: [^&]*/, 'Date: …');
    found.set(`${prefix}: ${id}`, text);
  }
  return found;
}

const briefly = (port, options) => nmap(port, 'nmap', [], options);

function thoroughly(port, options) {
  const scripts = ['--script', SCRIPTS.join()];
  scripts.push('--script-args', `tls.servername=${NAME}`);
  return nmap(port, 'nmap all', ['--version-all', ...scripts], options);
}

// ---- sslscan

// What it asks about one after another: order counts.
const RANKED = { cipher: 'cipher', group: 'name' };
const SINGLE = ['protocol', 'renegotiation', 'fallback', 'compression'];
SINGLE.push('heartbleed', 'connection-signature-algorithm');

async function sslscan(port, options) {
  const args = ['--no-colour', '--show-sigs', '--ocsp', '--xml=-'];
  args.push(`--sni-name=${NAME}`, `${HOST}:${port}`);
  const xml = await mustRun('sslscan', args, options);
  const found = new Map();
  for (const kind of SINGLE) {
    for (const one of elements(xml, kind)) {
      const { type = '', version = '', sslversion = '', name = '' } = one;
      const which = [kind, type, version, sslversion, name];
      found.set(`sslscan: ${which.filter(Boolean).join(' ')}`, without(one));
    }
  }
  for (const [kind, name] of Object.entries(RANKED)) {
    for (const one of elements(xml, kind)) {
      const which = `${one.sslversion} ${one[name].split(' ')[0]}`;
      // Who is preferred is a matter of their order.
      found.set(`sslscan: ${which}`, without(one, 'status'));
    }
  }
  const [, certificate] = /<certificates>(.*)<\/certificates>/s.exec(xml) ?? [];
  found.set('sslscan: certificate', certificate ?? '');
  return found;
}

/** The ciphers that both take, as each orders them. */
function orders(reports) {
  const ranked = /^sslscan: (TLSv1\.\d) (?=[A-Z])/;
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const lists = reports.map((report) =>
      [...report.keys()].filter((key) => ranked.exec(key)?.[1] === version),
    );
    reports.forEach((report, i) => {
      const other = lists[1 - i];
      const both = lists[i].filter((key) => other.includes(key));
      const text = both.map((key) => key.replace(ranked, '')).join(' ');
      report.set(`sslscan: order of ${version}`, text);
    });
  }
}

// ---- testssl

const CHECKS = [
  ...['--protocols', '--std', '--pfs', '--grease', '--server-preference'],
  ...['--server-defaults', '--headers', '--vulnerable'],
  '--client-simulation',
];
// A client that ends at once may or may not have had a session by then:
// sessions.js looks at them.
const VARYING = /^(scanTime|sessionresumption_.*)$/;

async function testssl(port, options, checks = CHECKS) {
  const file = path.join(options.cwd, `testssl-${port}.json`);
  const args = ['--quiet', '--color', '0', '--warnings', 'batch'];
  args.push('--connect-timeout', '20', '--openssl-timeout', '20');
  args.push('--ip', HOST, '--jsonfile', file, ...checks, `${NAME}:${port}`);
  // Its exit code counts what it finds bad.
  const { rest } = await run('testssl', args, options);
  if (!fs.existsSync(file)) throw new Error(`testssl says nothing: ${rest}`);
  const found = new Map();
  for (const { id, severity, finding } of JSON.parse(fs.readFileSync(file))) {
    if (VARYING.test(id)) continue;
    const text = `${severity}: ${finding}`
      .replaceAll(String(port), 'PORT')
      .replace(/^(.*: )-?\d+ (seconds from localtime)/, '$1… $2');
    const name = `testssl: ${id}`;
    found.set(name, [found.get(name), text].filter(Boolean).join('\n'));
  }
  return found;
}

/** What else there is to find with an RSA key. */
const testsslRsa = (port, options) =>
  testssl(port, options, ['--server-preference', '--vulnerable']);

// ---- both servers

/** Resolves to one { name, what, nginx, ours } per difference. */
function differences([nginx, ours]) {
  const names = new Set([...nginx.keys(), ...ours.keys()]);
  return [...names]
    .filter((name) => nginx.get(name) !== ours.get(name))
    .map((name) => ({
      name,
      what: 'report',
      nginx: nginx.get(name) ?? 'nothing',
      ours: ours.get(name) ?? 'nothing',
    }));
}

/** Runs one against both at a time, and says how many things it reports on. */
async function scan(scanner, servers, options) {
  const reports = await Promise.all(
    servers.map(({ port }) => scanner(port, options)),
  );
  if (scanner === sslscan) orders(reports);
  return { count: reports[0].size, differences: differences(reports) };
}

module.exports = { briefly, scan, sslscan, testssl, testsslRsa, thoroughly };
