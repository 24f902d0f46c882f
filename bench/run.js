'use strict';
// Compares Wraith with OpenSSH on this machine, in one run:
//   npm run bench -- [--quick] [--runs n] [--only section]... [--json]
// The sections are those of bench/sections.js and of the files beside it that
// `sections` below names. Progress goes to stderr.
// Two more peers take part where they are: chisel and wstunnel, in PATH or where
// WRAITH_BENCH_CHISEL and WRAITH_BENCH_WSTUNNEL say. nginx and openssl are
// Debian's, for the section `handshakes`.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { selfSigned } = require('../lib/acme.js');
const { Failure, say, start } = require('../scripts/util/proc.js');
const peers = require('../scripts/peers.js');
const nginx = require('./nginx.js');
const openssh = require('./openssh.js');
const others = require('./others.js');
const report = require('./report.js');
const { Program, buildHelpers } = require('./tools.js');
const { WraithServer } = require('./wraith.js');

const sections = {
  ...require('./sections.js'),
  ...require('./carriers.js'),
  ...require('./handshakes.js'),
};

const STARTERS = { wraith: WraithServer, openssh: openssh.Sshd };

/** One for whoever is measured over TLS: { cert, key } as files in dir. */
function certificate(dir) {
  const { cert, key } = selfSigned(['127.0.0.1']);
  const files = {
    cert: path.join(dir, 'tls-cert.pem'),
    key: path.join(dir, 'tls-key.pem'),
  };
  fs.writeFileSync(files.cert, cert);
  fs.writeFileSync(files.key, key, { mode: 0o600 });
  return files;
}

class Bench {
  rows = [];
  servers = {};

  constructor(options) {
    Object.assign(this, options);
  }

  async open() {
    const { generateKeyPair } = require('..');
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wraith-bench-'));
    this.helpers = await buildHelpers(this.dir);
    const hostKey = generateKeyPair({ comment: 'host' });
    const userKey = generateKeyPair({ comment: 'user' });
    const userKeyFile = openssh.setUp(this.dir, hostKey, userKey);
    const tls = certificate(this.dir);
    this.access = { dir: this.dir, hostKey, userKey, userKeyFile, tls };
    this.sink = new Program(this.helpers.blast, ['serve']);
    this.target = Number(await this.sink.line());
    for (const name of Object.keys(STARTERS)) await this.restart(name);
  }

  /** A fresh server. */
  async restart(name) {
    await this.servers[name]?.stop();
    delete this.servers[name];
    const options = { ...this.access, user: openssh.user };
    this.servers[name] = await STARTERS[name].start(options);
  }

  add(...rows) {
    this.rows.push(...rows);
    for (const row of rows) this.note(report.progress(row));
  }

  note(text) {
    process.stderr.write(`${text}\n`);
  }

  lastOf(what) {
    return this.rows.findLast((row) => row.what === what);
  }

  async close() {
    for (const server of Object.values(this.servers)) await server.stop();
    await this.sink?.stop();
    if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

function readCommandLine(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      runs: { type: 'string' },
      only: { type: 'string', multiple: true },
    },
  });
  const runs = Number(values.runs ?? (values.quick ? 2 : 5));
  if (!Number.isInteger(runs) || runs < 1) {
    throw new Failure('--runs must be a whole number from 1');
  }
  const names = values.only ?? Object.keys(sections);
  for (const name of names) {
    if (sections[name]) continue;
    const known = Object.keys(sections).join(', ');
    throw new Failure(`no section ${name}; there are ${known}`);
  }
  const { quick, json } = values;
  return { names, json, quick, runs };
}

function machine() {
  const cpus = os.cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpus[0].model,
    cores: cpus.length,
    kernel: os.release(),
    node: process.version,
    openssh: openssh.version(),
    others: [nginx.version(), ...others.versions()].filter(Boolean),
    wraith: {
      version: require('../package.json').version,
      ...require('..').buildInfo(),
    },
  };
}

function describe(about) {
  const { cpu, cores, kernel, node, openssh: ssh, wraith } = about;
  const own = `Wraith ${wraith.version} (libssh ${wraith.libssh}, OpenSSL ${wraith.openssl})`;
  return `${cores} cores of ${cpu}, Linux ${kernel}, Node ${node}\n${own}\n${[ssh, ...about.others].join('\n')}`;
}

async function main(args) {
  const { names, json, quick, runs } = readCommandLine(args);
  if (process.platform !== 'linux') throw new Failure('needs Linux (/proc)');
  for (const name of ['ssh', 'sshd']) peers.path(name);
  const [ms, longMs] = quick ? [300, 2000] : [1500, 6000];
  const bench = new Bench({ runs, quick, ms, longMs });
  try {
    await bench.open();
    for (const name of names) {
      bench.note(`# ${name}`);
      await sections[name](bench);
    }
  } finally {
    await bench.close();
  }
  const about = machine();
  const result = { machine: about, runs, quick, rows: bench.rows };
  if (json) say(JSON.stringify(result, null, 2));
  else say(`${describe(about)}\n\n${report.table(bench.rows)}`);
  return 0;
}

if (require.main === module) start('bench', main);
