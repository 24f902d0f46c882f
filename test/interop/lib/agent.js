'use strict';
// OpenSSH's ssh-agent, and ssh-add for it.
const fs = require('node:fs');
const peers = require('../../../scripts/peers.js');

// What answers the questions of ssh-add and ssh-agent; false: says no.
function askpass(lab, answer) {
  const file = lab.file('askpass');
  const text =
    answer === false ? 'exit 1' : `printf '%s\\n' '${answer ?? 'yes'}'`;
  fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o700 });
  return { SSH_ASKPASS: file, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' };
}

// The program with { path, env, add(args, answer) }.
async function startSshAgent(lab, { confirm } = {}) {
  const path = lab.file('ssh-agent');
  const env = { SSH_AUTH_SOCK: path };
  const agent = lab.spawn(peers.path('ssh-agent'), ['-D', '-a', path], {
    env: confirm === undefined ? {} : askpass(lab, confirm),
  });
  await agent.line(/SSH_AUTH_SOCK=/);
  const add = async (args, answer) => {
    const more = answer === undefined ? {} : askpass(lab, answer);
    const { code, stderr } = await lab.run(peers.path('ssh-add'), args, {
      env: { ...env, ...more },
    });
    if (code !== 0) throw new Error(`ssh-add: ${stderr}`);
  };
  return Object.assign(agent, { path, env, add });
}

module.exports = { startSshAgent };
