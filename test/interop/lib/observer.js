'use strict';
// What programs that look at networks say of a capture (lib/capture.js).
const peers = require('../../../scripts/peers.js');

// A program without the settings of whoever runs the tests.
async function say(lab, name, args) {
  const env = { HOME: lab.dir, XDG_CONFIG_HOME: lab.dir };
  const result = await lab.run(peers.path(name), args, { env });
  if (result.code !== 0) throw new Error(`${name}: ${result.stderr}`);
  return result.stdout;
}

const first = (pattern, text) => pattern.exec(text)?.[1];

// One line of ndpiReader for a flow.
function flowOf(line) {
  const risks = first(/\[Risk: (.*?)\]\[/, line) ?? '';
  return {
    protocol: first(/\[proto: [\d.]+\/([^\]]+)\]/, line),
    confidence: first(/\[Confidence: ([^\]]+)\]/, line),
    risks: [...risks.matchAll(/\*\* (.+?) \*\*/g)].map(([, risk]) => risk),
    ja3: first(/\[JA3C: (\w+)\]/, line),
    ja3s: first(/\[JA3S: (\w+)\]/, line),
  };
}

async function flows(lab, { file }) {
  const out = await say(lab, 'ndpiReader', ['-i', file, '-v', '2']);
  const lines = out.split('\n').filter((line) => /^\t\d+\tTCP /.test(line));
  return lines.map(flowOf);
}

// Fields of the packets that a display filter takes, with the port read as
// `protocol`; [[field, …], …].
async function fields(lab, { file, port }, protocol, filter, names) {
  const out = await say(lab, 'tshark', [
    ...['-r', file, '-d', `tcp.port==${port},${protocol}`],
    // Packets of both directions may be captured in another order.
    ...['-o', 'tcp.reassemble_out_of_order:TRUE', '-Y', filter],
    ...['-T', 'fields', ...names.flatMap((name) => ['-e', name])],
  ]);
  const lines = out.split('\n').slice(0, -1);
  return lines.map((line) => line.split('\t'));
}

const unique = (list) => [...new Set(list)].sort();

async function protocols(lab, seen, as = 'tls', filter = 'tcp') {
  const rows = await fields(lab, seen, as, filter, ['_ws.col.Protocol']);
  return unique(rows.flat());
}

// Both hellos of every connection.
async function hellos(lab, seen) {
  const of = (type, names) =>
    fields(lab, seen, 'tls', `tls.handshake.type == ${type}`, names);
  return {
    client: await of(1, [
      ...['tls.handshake.ja3', 'tls.handshake.extensions_server_name'],
      'tls.handshake.extensions_alpn_str',
    ]),
    server: await of(2, [
      ...['tls.handshake.ja3s', 'tls.handshake.ciphersuite'],
      'tls.handshake.extensions_alpn_str',
    ]),
  };
}

// The records of the client's packet that ends its handshake.
async function secondFlight(lab, seen) {
  const filter = `tcp.dstport == ${seen.port} && tls.record`;
  const type = 'tls.record.content_type';
  const rows = await fields(lab, seen, 'tls', filter, [
    type,
    'tls.record.opaque_type',
  ]);
  return rows[1]?.join(' ');
}

async function resets(lab, seen) {
  const filter = 'tcp.flags.reset == 1';
  return (await fields(lab, seen, 'tls', filter, ['frame.number'])).length;
}

// What an SSH dissector reads, told to look there.
const banners = async (lab, seen) =>
  (await fields(lab, seen, 'ssh', 'ssh.protocol', ['ssh.protocol'])).flat();

// Those of some words that are there to be read, in capitals or not.
function clear({ bytes }, words) {
  const text = bytes.toString('latin1').toLowerCase();
  return words.filter((word) => text.includes(word.toLowerCase()));
}

async function observe(lab, seen) {
  const ndpi = await flows(lab, seen);
  return {
    ndpi,
    names: unique(ndpi.map(({ protocol }) => protocol)),
    risks: unique(ndpi.flatMap(({ risks }) => risks)),
    protocols: await protocols(lab, seen),
    banners: await banners(lab, seen),
    hellos: await hellos(lab, seen),
    flight: await secondFlight(lab, seen),
    resets: await resets(lab, seen),
  };
}

module.exports = { clear, fields, observe, protocols };
