'use strict';
// The Python clients beside this file: one command in, one answer out.
const fs = require('node:fs');
const path = require('node:path');
const peers = require('../../../scripts/peers.js');

// Debian's modules belong to Debian's interpreter, not to any other on the path.
function interpreter() {
  const own = '/usr/bin/python3';
  return fs.existsSync(own) ? own : peers.path('python3');
}

// { ask(command), hello }: hello is the answer to the login.
async function startPython(lab, script, server, key = server.key.file) {
  const program = lab.spawn(
    interpreter(),
    [
      path.join(__dirname, script),
      server.host,
      String(server.port),
      'tester',
      key,
    ],
    { input: 'open', env: { HOME: lab.dir } },
  );
  let answers = 0;
  const answer = async () => {
    const options = { from: 'stdout', times: ++answers };
    return JSON.parse((await program.line(/^\{.*\}$/, options))[0]);
  };
  const ask = (command) => {
    program.child.stdin.write(`${JSON.stringify(command)}\n`);
    return answer();
  };
  return Object.assign(program, { ask, hello: await answer() });
}

module.exports = { startPython };
