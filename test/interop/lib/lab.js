'use strict';
// One test with real programs: starts them, and at the end stops them, looks
// that ours end cleanly, and reads all they have logged.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const t = require('tap');
const peers = require('../../../scripts/peers.js');
const canary = require('./canary.js');
const { Program } = require('./program.js');
const { Target, webServer } = require('./net.js');
const wraith = require('./wraith.js');

const LOGFMT =
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (ERROR|WARN|INFO|DEBUG) [A-Za-z0-9:' -]+( [a-z0-9_]+=("([^"\\]|\\.)*"|[^\s"]+))*$/;

function wellFormed(format, line) {
  if (format === 'logfmt') return LOGFMT.test(line);
  try {
    const { time, level, message } = JSON.parse(line);
    return Boolean(time && level && message);
  } catch {
    return false;
  }
}

// Both forms of the log take turns, unless a test reads it.
let turn = 0;
const nextFormat = () => (turn++ % 2 === 0 ? 'logfmt' : 'json');

// A file run by itself has 30 seconds by default; the runner says its own.
t.setTimeout(300_000);

class Lab {
  constructor(t) {
    this.t = t;
    // Short: the path of a Unix socket has 107 bytes at most.
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wr-'));
    this.ours = new Set(); // looked at when they end
    this.programs = []; // all, in the order of their start
    this.closers = [];
  }

  file(name, contents) {
    const file = path.join(this.dir, name);
    if (contents !== undefined) fs.writeFileSync(file, contents);
    return file;
  }

  subdir(name) {
    const dir = path.join(this.dir, name);
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  key(name = 'id') {
    return wraith.keygen(this.dir, name);
  }

  // A server with one key that may log in: server.key.
  async serve({ keys, args, format = nextFormat() } = {}) {
    const key = keys ? keys[0] : await this.key(`id-${this.ours.size}`);
    const dir = this.subdir(`serve-${this.ours.size}`);
    const all = keys ?? [key];
    const server = await this._start(() =>
      wraith.startServe(dir, { keys: all, args, format }),
    );
    server.key = key;
    server.dir = dir;
    return server;
  }

  // A client of one of our servers, or of `server` with `key` and `pin`.
  async connect(server, { args, format = nextFormat(), key, pin, env } = {}) {
    const dir = this.subdir(`connect-${this.ours.size}`);
    const client = await this._start(() =>
      wraith.startConnect(dir, {
        server,
        key: key === undefined ? server.key : key,
        pin: pin === undefined ? server.summary.hostKeyFingerprint : pin,
        args,
        format,
        env,
      }),
    );
    client.dir = dir;
    await wraith.connected(client);
    return client;
  }

  async _start(begin) {
    return this.watch(await begin());
  }

  // One of ours that must end cleanly and tell no destination.
  watch(program) {
    this.ours.add(program);
    this.programs.push(program);
    return program;
  }

  // A program of others, without the sanitizer of ours.
  spawn(file, args, options = {}) {
    const env = peers.env(options.env);
    const program = new Program(file, args, { ...options, env });
    this.programs.push(program);
    return program;
  }

  async run(file, args, options) {
    const program = this.spawn(file, args, options);
    const result = await program.done();
    return { ...result, stdout: result.stdout.toString() };
  }

  async target(kind, options = {}) {
    const target = await new Target(kind, options).start(options);
    this.closers.push(() => target.close());
    return target;
  }

  async web(answer, options) {
    const server = await webServer(answer, options);
    this.closers.push(() => server.close());
    return server;
  }

  defer(close) {
    this.closers.push(close);
  }

  async end() {
    for (const program of this.programs.reverse()) {
      if (this.ours.has(program)) await this._endOurs(program);
      else await this._endOther(program);
    }
    for (const close of this.closers.reverse()) await close();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  async _endOther(program) {
    const { stuck } = await program.stop();
    if (stuck) this.t.fail(`${program.name} does not end when told to`);
  }

  async _endOurs(program) {
    const { t } = this;
    const expected = program.expectedCode ?? 0;
    const { code, signal, stuck } = await program.stop();
    t.notOk(stuck, `${program.name} ends when told to`);
    t.equal(code ?? signal, expected, `${program.name} ends cleanly`);
    const lines = program.lines.map((line) => line.text);
    t.strictSame(canary.leaks(lines), [], `${program.name}: no destination`);
    const odd = program.lines
      .filter(
        ({ from, text }) => from === 'stderr' && !this._known(program, text),
      )
      .map(({ text }) => text);
    t.strictSame(
      odd,
      [],
      `${program.name}: every line of the log has its form`,
    );
  }

  _known(program, text) {
    return (
      wellFormed(program.format, text) ||
      (program.expectedCode > 0 && text.startsWith('wraith: '))
    );
  }
}

// As t.test(); the function gets (t, lab).
function lab(name, { peers: needed = [], skip, ...options }, body) {
  const reason = skip || peers.skip(...needed);
  return t.test(name, { ...options, skip: reason }, async (t) => {
    const place = new Lab(t);
    try {
      await body(t, place);
    } finally {
      await place.end();
    }
  });
}

module.exports = { lab };
