'use strict';
// All that passes over the loopback interface to and from one TCP port, as a
// file that programs which look at networks read.
const crypto = require('node:crypto');
const dgram = require('node:dgram');
const fs = require('node:fs');
const { once } = require('node:events');
const { spawnSync } = require('node:child_process');
const { within } = require('./program.js');
const peers = require('../../../scripts/peers.js');

// Of a pcap file: its head, and that of each packet.
const HEAD = 24;
const PACKET_HEAD = 16;

// States of /proc/net/tcp in which a socket has nothing more to send.
const TIME_WAIT = '06';
const LISTEN = '0A';

// False, or why nothing can be captured here.
function noCapture() {
  const dumpcap = peers.find('dumpcap');
  if (!dumpcap) return peers.skip('dumpcap');
  const options = { env: peers.env(), encoding: 'utf8' };
  const { status, stderr } = spawnSync(dumpcap, ['-i', 'lo', '-L'], options);
  if (status === 0) return false;
  const why = stderr.split('\n').find((line) => line.includes('lo')) ?? '';
  return `capturing needs root or CAP_NET_RAW: ${why}`;
}

// A packet that is not written in full yet is left out.
function packetsOf(bytes) {
  const packets = [];
  let at = HEAD;
  while (at + PACKET_HEAD <= bytes.length) {
    const end = at + PACKET_HEAD + bytes.readUInt32LE(at + 8);
    if (end > bytes.length) break;
    packets.push(bytes.subarray(at, end));
    at = end;
  }
  return packets;
}

// Whether a connection to that port of 127.0.0.1 is still at work.
function busy(port) {
  const [, ...lines] = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const place = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return lines.some((line) => {
    const [, local, remote, state] = line.trim().split(/\s+/);
    if (local !== place && remote !== place) return false;
    return state !== TIME_WAIT && state !== LISTEN;
  });
}

// For what nobody tells of.
async function until(check, what) {
  let given = false;
  const waiting = async () => {
    while (!given && !check()) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await within(waiting(), what).finally(() => (given = true));
}

// A datagram that is captured as well. The kernel keeps the order: what came
// before it is in the file when it is.
async function sendMarker({ socket, text }) {
  const { address, port } = socket.address();
  await new Promise((resolve) => socket.send(text, port, address, resolve));
}

class Capture {
  constructor(lab, name, port) {
    this.lab = lab;
    this.name = name;
    this.port = port;
    this.raw = lab.file(`${name}.raw`);
    this.file = lab.file(`${name}.pcap`);
  }

  async start() {
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    this.lab.defer(() => socket.close());
    this.marker = { socket, text: crypto.randomBytes(32) };
    const udp = socket.address().port;
    // A buffer that holds all of it, should the machine be busy.
    this.dumpcap = this.lab.spawn(peers.path('dumpcap'), [
      ...['-i', 'lo', '-f', `tcp port ${this.port} or udp port ${udp}`],
      ...['-B', '64', '-P', '-w', this.raw],
    ]);
    await this.dumpcap.line(/^File: /, { from: 'stderr' });
    return this;
  }

  // When the last connection has ended.
  async stop() {
    await until(() => !busy(this.port), `the end of ${this.name}`);
    await sendMarker(this.marker);
    const isMarker = (packet) => packet.includes(this.marker.text);
    const written = () => packetsOf(fs.readFileSync(this.raw));
    await until(() => written().some(isMarker), `the packets of ${this.name}`);
    const { stderr } = await this.dumpcap.stop('SIGINT');
    this.dropped = Number(
      /received\/dropped on .*: \d+\/(\d+)/.exec(stderr)[1],
    );
    const packets = written().filter((packet) => !isMarker(packet));
    const head = fs.readFileSync(this.raw).subarray(0, HEAD);
    this.bytes = Buffer.concat([head, ...packets]);
    this.packets = packets.length;
    fs.writeFileSync(this.file, this.bytes);
    return this;
  }
}

// What passes at a port while `act` runs and until its connections are closed.
async function capture(lab, name, port, act) {
  const running = await new Capture(lab, name, port).start();
  await act();
  return running.stop();
}

module.exports = { capture, noCapture };
