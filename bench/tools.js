'use strict';
// Child processes of the benchmark: the C helpers, and whatever prints lines.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const { Failure, must, which } = require('../scripts/util/proc.js');

const HELPERS = ['blast', 'delay'];

/** Compiles the helpers into dir; returns { blast, delay } as paths. */
async function buildHelpers(dir) {
  const cc = which('cc') ?? which('gcc') ?? which('clang');
  if (!cc) throw new Failure('no C compiler (package gcc)');
  const files = {};
  for (const name of HELPERS) {
    files[name] = path.join(dir, name);
    const source = path.join(__dirname, `${name}.c`);
    const args = ['-O2', '-Wall', '-pthread', '-o', files[name], source];
    await must(`building ${name}`, cc, args);
  }
  return files;
}

/** A program whose stdout is read by lines, and that ends with us. */
class Program {
  constructor(file, args, options = {}) {
    this.name = path.basename(file);
    this.child = spawn(file, args, {
      stdio: ['pipe', 'pipe', options.stderr ?? 'inherit'],
      env: options.env,
    });
    this.lines = readline.createInterface({ input: this.child.stdout });
    this.iterator = this.lines[Symbol.asyncIterator]();
    this.ended = once(this.child, 'close');
    this.child.stdin.on('error', () => {});
  }

  get pid() {
    return this.child.pid;
  }

  /** The next line of its output. */
  async line() {
    const { value, done } = await this.iterator.next();
    if (!done) return value;
    const [code, signal] = await this.ended;
    throw new Failure(`${this.name} ended early (${signal ?? code})`);
  }

  write(text) {
    this.child.stdin.write(text);
  }

  async stop(signal = 'SIGTERM') {
    this.child.stdin.end();
    this.child.kill(signal);
    await this.ended;
  }
}

/** Node modules that answer one message with one. */
class Worker {
  constructor(child) {
    this.child = child;
    this.ended = once(child, 'close');
    this.next = 1;
    this.waiting = new Map();
    child.on('message', ({ id, error, result }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Failure(error));
      else resolve(result);
    });
    child.on('close', (code, signal) => {
      const failure = new Failure(`a worker ended early (${signal ?? code})`);
      for (const { reject } of this.waiting.values()) reject(failure);
    });
  }

  get pid() {
    return this.child.pid;
  }

  ask(what, options = {}) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, what, options });
    });
  }

  async stop() {
    this.child.kill();
    await this.ended;
  }
}

/** The other side of Worker: handlers by name. */
function answer(handlers) {
  process.on('message', async ({ id, what, options }) => {
    try {
      process.send({ id, result: await handlers[what](options) });
    } catch (err) {
      process.send({ id, error: `${what}: ${err.stack}` });
    }
  });
  process.on('disconnect', () => process.exit());
}

/** Milliseconds. */
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

module.exports = { buildHelpers, Program, Worker, answer, wait };
