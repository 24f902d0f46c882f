'use strict';
// What a server said in TLS, one record a line: all that can be told without
// its keys, but for what is random.
const names = { 20: 'change', 21: 'alert', 22: 'handshake', 23: 'data' };
const messages = {
  2: 'ServerHello',
  4: 'NewSessionTicket',
  11: 'Certificate',
  12: 'ServerKeyExchange',
  14: 'ServerHelloDone',
};
const KEY_SHARE = 51;

// Of each extension the name and the length, and what is not random in it.
function describeExtensions(bytes) {
  const found = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const type = bytes.readUInt16BE(at);
    const end = at + 4 + bytes.readUInt16BE(at + 2);
    const fixed = type === KEY_SHARE ? at + 6 : end;
    found.push(
      `${type}:${end - at - 4}:${bytes.toString('hex', at + 4, fixed)}`,
    );
    at = end;
  }
  return found.join(' ');
}

// The SHA-256 of "HelloRetryRequest" (RFC 8446, section 4.1.3).
const isRetry = (random) =>
  random.toString('hex').startsWith('cf21ad74e59a6111');

function describeServerHello(body) {
  const retry = isRetry(body.subarray(2, 34)) ? 'retry ' : '';
  const session = body[34];
  const at = 35 + session;
  const cipher = body.toString('hex', at, at + 2);
  const compression = body[at + 2];
  const rest = describeExtensions(body.subarray(at + 5));
  return `${retry}session ${session} ${cipher} ${compression} ${rest}`;
}

// Of a key exchange the curve, of a ticket its lifetime.
function describeMessage(type, body) {
  if (type === 2) return describeServerHello(body);
  if (type === 12) return body.toString('hex', 0, 4);
  if (type === 4) return body.toString('hex', 0, 4);
  return '';
}

function describeHandshake(body) {
  const found = [];
  for (let at = 0; at + 4 <= body.length;) {
    const type = body[at];
    const end = at + 4 + body.readUIntBE(at + 1, 3);
    if (!(type in messages) || end > body.length) return ' sealed';
    const more = describeMessage(type, body.subarray(at + 4, end));
    found.push(` ${messages[type]} ${end - at} ${more}`.trimEnd());
    at = end;
  }
  return found.join('');
}

function describeRecord(type, body) {
  if (type === 22) return describeHandshake(body);
  if (type === 21 && body.length === 2) return ` ${body[0]} ${body[1]}`;
  return '';
}

/** @param {string} text latin1, all that came */
function describeRecords(text) {
  const lines = [];
  let rest = Buffer.from(text, 'latin1');
  while (rest.length >= 5 && rest[0] in names && rest[1] === 3) {
    const end = 5 + rest.readUInt16BE(3);
    const version = `${rest[1]}.${rest[2]}`;
    const more = describeRecord(rest[0], rest.subarray(5, end));
    lines.push(`${names[rest[0]]} ${version} ${end - 5}${more}`);
    rest = rest.subarray(end);
  }
  if (rest.length > 0) lines.push(`rest ${rest.toString('latin1')}`);
  return lines.join('\n');
}

module.exports = { describeRecords };
