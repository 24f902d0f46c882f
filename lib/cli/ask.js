'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { Writable } = require('node:stream');
const tty = require('node:tty');

const { usage } = require('./args.js');

/** What is typed is not shown. */
function mute() {
  return new Writable({ write: (chunk, encoding, callback) => callback() });
}

function openTerminal() {
  try {
    return new tty.ReadStream(fs.openSync('/dev/tty', 'r+'));
  } catch {
    throw usage(
      'identity',
      'the key is encrypted and there is no terminal to ask on; ' +
        'set WRAITH_PASSPHRASE',
    );
  }
}

/** Asks on the terminal, also when standard input is something else. */
function askPassphrase(question) {
  const input = openTerminal();
  process.stderr.write(question);
  const reader = readline.createInterface({
    input,
    output: mute(),
    terminal: true,
  });
  return new Promise((resolve, reject) => {
    reader.question('', (answer) => {
      resolve(answer);
      reader.close();
    });
    reader.once('close', () => {
      process.stderr.write('\n');
      input.destroy();
      reject(usage('identity', 'no passphrase was given'));
    });
  });
}

module.exports = { askPassphrase };
