'use strict';
// Child processes: their lines as they come, their end as a promise.
const { spawn } = require('node:child_process');
const readline = require('node:readline');

// A deadline, not a pace: nothing waits this long when all is well.
const PATIENCE = 60_000;

function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Program {
  constructor(file, args, options = {}) {
    const { input, ...rest } = options;
    this.name = rest.name ?? file.split('/').pop();
    this.lines = []; // { from: 'stdout' | 'stderr', text }
    this.waiters = new Set();
    this.closed = false;
    this.child = spawn(file, args, { stdio: 'pipe', ...rest });
    this.out = this._collect('stdout');
    this.err = this._collect('stderr');
    this.child.stdin.on('error', () => {}); // it may have ended already
    if (input !== 'open') this.child.stdin.end(input);
    this.ended = this._end();
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  text(from) {
    return this.lines
      .filter((line) => !from || line.from === from)
      .map((line) => `${line.text}\n`)
      .join('');
  }

  // What the text says, for messages of failed assertions.
  toString() {
    return `${this.name}:\n${this.text()}`;
  }

  _collect(from) {
    const chunks = [];
    const stream = this.child[from];
    stream.on('data', (chunk) => chunks.push(chunk));
    readline
      .createInterface({ input: stream, crlfDelay: Infinity })
      .on('line', (text) => {
        const line = { from, text };
        this.lines.push(line);
        for (const waiter of [...this.waiters]) waiter.see(line);
      });
    return chunks;
  }

  async _end() {
    this.child.on('error', (error) => {
      this.lines.push({ from: 'stderr', text: String(error) });
    });
    const [code, signal] = await new Promise((resolve) => {
      this.child.once('close', (...both) => resolve(both));
    });
    this.closed = true;
    for (const waiter of [...this.waiters]) waiter.end();
    const stdout = Buffer.concat(this.out);
    return { code, signal, stdout, stderr: Buffer.concat(this.err).toString() };
  }

  // The first match, also in what came before; `times`: the nth one.
  line(pattern, { from, times = 1 } = {}) {
    let left = times;
    const matches = (line) => {
      if (from && line.from !== from) return null;
      const match = pattern.exec(line.text);
      if (!match || --left > 0) return null;
      return match;
    };
    for (const line of this.lines) {
      const match = matches(line);
      if (match) return Promise.resolve(match);
    }
    return within(this._wait(matches, pattern), `${pattern}`).catch((error) => {
      throw new Error(`${error.message}; ${this}`);
    });
  }

  _wait(matches, pattern) {
    return new Promise((resolve, reject) => {
      const waiter = {
        see: (line) => {
          const match = matches(line);
          if (!match) return;
          this.waiters.delete(waiter);
          resolve(match);
        },
        end: () => {
          this.waiters.delete(waiter);
          reject(new Error(`ended without ${pattern}`));
        },
      };
      if (this.closed) return waiter.end();
      this.waiters.add(waiter);
    });
  }

  // The outcome, however long it takes within reason.
  done() {
    return within(this.ended, `the end of ${this.name}`).catch((error) => {
      throw new Error(`${error.message}; ${this}`);
    });
  }

  async stop(signal = this.stopSignal ?? 'SIGTERM') {
    if (this.running && this.pid !== undefined) this.child.kill(signal);
    try {
      return await within(this.ended, `the end of ${this.name}`, 15_000);
    } catch {
      this.child.kill('SIGKILL');
      // What it has started may hold on to them.
      this.child.stdout.destroy();
      this.child.stderr.destroy();
      return { ...(await this.ended), stuck: true };
    }
  }
}

// Runs to the end: { code, signal, stdout, stderr }, stdout as text.
async function run(file, args, options = {}) {
  const program = new Program(file, args, options);
  const result = await program.done();
  return { ...result, stdout: result.stdout.toString() };
}

module.exports = { Program, run, within };
