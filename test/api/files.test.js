'use strict';

const fs = require('node:fs');
const path = require('node:path');

const t = require('tap');

const { createSecretFile } = require('../../lib/files.js');

t.test('a secret file appears whole', async (t) => {
  const dir = t.testdir();
  const file = path.join(dir, 'deep', 'key');
  const { open } = fs.promises;
  const seen = [];
  t.teardown(() => {
    fs.promises.open = open;
  });
  fs.promises.open = async (...args) => {
    const handle = await open(...args);
    const write = handle.writeFile.bind(handle);
    handle.writeFile = (data) => {
      seen.push(fs.existsSync(file));
      return write(data);
    };
    return handle;
  };
  await createSecretFile(file, 'secret');
  t.strictSame(seen, [false], 'not there while it is written');
  t.equal(fs.readFileSync(file, 'utf8'), 'secret');
  t.equal(fs.statSync(file).mode & 0o777, 0o600);
  t.strictSame(fs.readdirSync(path.dirname(file)), ['key'], 'no draft is left');
});

t.test('a secret file that is there already stays as it is', async (t) => {
  const dir = t.testdir({ key: 'old' });
  const file = path.join(dir, 'key');
  await t.rejects(createSecretFile(file, 'new'), { code: 'EEXIST' });
  t.equal(fs.readFileSync(file, 'utf8'), 'old');
  t.strictSame(fs.readdirSync(dir), ['key']);
});
