'use strict';
// A tunnel to a server elsewhere, over the raw binding; then the end that
// `how` names. Options: { port, how, identity }.
const { EVENT, Raw, native } = require('./raw.js');

const { port, how, identity } = JSON.parse(process.argv[2]);

async function main() {
  if (how !== 'unref') native.hold();
  const request = new Raw(native.keyParse(identity, null));
  // Nothing of ours keeps the loop alive here: somebody has to.
  const alive = setInterval(() => {}, 1000);
  const { a: key } = await request.next(EVENT.KEY);
  const tunnel = new Raw(native.tunnelNew());
  const to = { host: '127.0.0.1', port };
  const login = { user: how, identities: [{ key: key.key }] };
  native.tunnelConnect(tunnel.id, { ...to, ...login });
  await tunnel.next(EVENT.HOST_KEY);
  native.tunnelVerdict(tunnel.id, 0);
  await tunnel.next(EVENT.UP);
  clearInterval(alive);
  process.send({ kind: 'ready' });
  if (how === 'exit') {
    process.once('message', () => process.exit(3));
  } else if (how === 'throw') {
    process.once('message', () => {
      throw new Error('on purpose');
    });
  } else if (how === 'close') {
    process.once('message', () => native.tunnelClose(tunnel.id, true));
    await tunnel.next(EVENT.TUNNEL_CLOSED);
    process.disconnect();
    native.release();
  } else {
    process.disconnect();
  }
}

process.on('exit', () => native.shutdownNow());
main();
