'use strict';
// Our ClientHello is that of Node 24's https client
// (docs/decisions/client-hello.md).
const { lab } = require('./lib/lab.js');
const {
  capture,
  ja3,
  ja4,
  node24,
  nodeArgs,
  parse,
} = require('./lib/client-hello.js');
const { tool } = require('../../scripts/util/suites.js');

const recorded = require('./lib/client-hello-node24.json');

// From either, to a server of that name or, without one, to the address.
const clients = {
  ours: (lab, file, port, name) =>
    lab.spawn(file, ['connect', port, name ?? '127.0.0.1', 'insecure'], {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    }),
  node: (lab, file, port, name) => lab.spawn(file, nodeArgs(port, name)),
};

const hello = async (lab, kind, file, name) =>
  parse(await capture((port) => clients[kind](lab, file, port, name)));

lab('as recorded from Node 24', {}, async (t, lab) => {
  const file = await tool('tls_tool');
  const named = await hello(lab, 'ours', file, 'example.com');
  t.strictSame(named, recorded.hello);
  t.equal(ja3(named), recorded.ja3);
  t.equal(ja4(named), recorded.ja4);
  const bare = await hello(lab, 'ours', file);
  t.notOk(bare.named, 'an address is no name');
  t.equal(ja3(bare), recorded.ja3Address);
  t.equal(ja4(bare), recorded.ja4Address);
});

const skip = node24() ? false : 'no Node 24 (WRAITH_TEST_NODE24)';

lab('as Node 24 sends it now', { skip }, async (t, lab) => {
  const file = await tool('tls_tool');
  for (const name of ['example.com', undefined]) {
    const ours = await hello(lab, 'ours', file, name);
    t.strictSame(ours, await hello(lab, 'node', node24(), name));
  }
});
