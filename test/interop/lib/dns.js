'use strict';
// A name server for programs that insist on one: every name is 127.0.0.1.
const dgram = require('node:dgram');
const { once } = require('node:events');

const HEADER_BYTES = 12;
const TYPE_A = 1;
const ADDRESS = [127, 0, 0, 1];

// The question ends after the zero label, type and class.
function endOfQuestion(query) {
  let at = HEADER_BYTES;
  while (query[at] > 0) at += 1 + query[at];
  return at + 5;
}

function answer(query) {
  const end = endOfQuestion(query);
  const isA = query.readUInt16BE(end - 4) === TYPE_A;
  const header = Buffer.from(query.subarray(0, HEADER_BYTES));
  header.writeUInt16BE(0x8580, 2); // an answer with authority
  header.writeUInt16BE(isA ? 1 : 0, 6);
  header.fill(0, 8);
  const record = [0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4];
  return Buffer.concat([
    header,
    query.subarray(HEADER_BYTES, end),
    Buffer.from(isA ? [...record, ...ADDRESS] : []),
  ]);
}

// With `until` no answer goes out before that promise has resolved.
async function nameServer() {
  const socket = dgram.createSocket('udp4');
  const names = { until: null, close: () => socket.close() };
  socket.on('message', async (query, { address, port }) => {
    await names.until;
    socket.send(answer(query), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  names.address = `127.0.0.1:${socket.address().port}`;
  return names;
}

module.exports = { nameServer };
