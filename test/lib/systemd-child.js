'use strict';
// A server on the sockets that it inherits: tells its addresses, what is left of
// the variables, and what a second one gets to hear; ends with its input.
const { serve } = require('../../lib/index.js');

const [hostKey, authorizedKeys] = JSON.parse(process.argv[2]);

async function main() {
  const options = {
    hostKey: Buffer.from(hostKey),
    authorizedKeys: Buffer.from(authorizedKeys),
  };
  const say = (value) => console.log(JSON.stringify(value));
  const listen = ['systemd', '127.0.0.1:0'];
  let server;
  try {
    server = await serve({ ...options, listen });
  } catch ({ code, syscall, message }) {
    say({ code, syscall, message });
    return;
  }
  const left = Object.keys(process.env).filter((name) => /^LISTEN_/.test(name));
  const again = await serve({ ...options, listen: 'systemd' }).catch(
    ({ code }) => code,
  );
  say({ addresses: server.addresses, left, again });
  process.stdin.resume().on('end', () => server.close());
}

main();
