'use strict';
// Child processes of Node that talk by messages. Each is stopped by its own
// process, as soon as its test is over.
const { fork } = require('node:child_process');
const path = require('node:path');

class Child {
  constructor(file, options) {
    this.process = fork(path.join(__dirname, file), [JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    this.stderr = '';
    this.process.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.exited = new Promise((resolve) => {
      this.process.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** The next message of this kind; rejects if the process ends before. */
  message(kind) {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error(`child ended: ${this.stderr}`));
      const onMessage = (message) => {
        if (message.kind !== kind) return;
        this.process.off('message', onMessage).off('exit', onExit);
        resolve(message);
      };
      this.process.on('message', onMessage).once('exit', onExit);
    });
  }

  /** Sends a command and resolves with its answer. */
  ask(command, more = {}) {
    const answer = this.message(`${command}-done`);
    this.process.send({ command, ...more });
    return answer;
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
    }
    await this.exited;
  }
}

/** Starts test/lib/<file> and resolves when it says that it is ready. */
async function startChild(t, file, options = {}) {
  const child = new Child(file, options);
  t.teardown(() => child.stop());
  child.ready = await child.message('ready');
  return child;
}

module.exports = { startChild };
