'use strict';
// A server in a process of its own. Control channels are echoed. Keys and so on
// come as JSON in the first argument.
const { serve } = require('../../lib/index.js');
const { native } = require('../../lib/binding.js');

const { internal, ...options } = JSON.parse(process.argv[2]);

let server;

const send = (kind, more = {}) => process.send({ kind, ...more });

const commands = {
  memory() {
    globalThis.gc?.();
    return { ...native.memory(), rss: process.memoryUsage.rss() };
  },
  stats: () => ({ stats: server.stats() }),
  exit: () => process.exit(0),
  reload: ({ options }) => server.reload(options).then(() => ({})),
};

async function main() {
  if (internal) options[Symbol.for('wraith.internal')] = internal;
  server = await serve(options);
  server.on('connection', (stream) => stream.pipe(stream));
  server.on('session', (id) => send('session', { id }));
  server.on('sessionClose', (id) => send('sessionClose', { id }));
  process.on('message', async ({ command, ...more }) => {
    send(`${command}-done`, await commands[command](more));
  });
  process.once('disconnect', () => server.close({ drain: 0 }));
  send('ready', { port: server.addresses[0]?.port });
}

main();
