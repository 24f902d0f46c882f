'use strict';

// Header blocks of a peer (RFC 7541). Sans-IO; a block that is wrong throws, and
// one throws that would unpack to more than it may.

const { codes } = require('./hpack.js');

const TABLE_SIZE = 4096;
const ENTRY_OVERHEAD = 32;

// What HTTP/2 calls these errors.
const WRONG = 9;
const TOO_LARGE = 11;

// The static table: names, with a value behind a colon where there is one.
const staticTable = (
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|' +
  ':scheme=http|:scheme=https|:status=200|:status=204|:status=206|' +
  ':status=304|:status=400|:status=404|:status=500|accept-charset|' +
  'accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|' +
  'access-control-allow-origin|age|allow|authorization|cache-control|' +
  'content-disposition|content-encoding|content-language|content-length|' +
  'content-location|content-range|content-type|cookie|date|etag|expect|' +
  'expires|from|host|if-match|if-modified-since|if-none-match|if-range|' +
  'if-unmodified-since|last-modified|link|location|max-forwards|' +
  'proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|' +
  'vary|via|www-authenticate'
)
  .split('|')
  .map((entry) => {
    const [name, value = ''] = entry.split('=');
    return [name, value];
  });

// Symbols by length and code.
const symbols = new Map();
for (const [symbol, [code, length]] of codes) {
  symbols.set(length * 2 ** 32 + code, symbol.charCodeAt(0));
}

class HpackDecoder {
  #entries = [];
  #size = 0;
  #limit = TABLE_SIZE;
  #bytes;
  #at;

  /**
   * @param {Buffer} block
   * @param {{ field: number, all: number }} limits bytes of one name or value,
   *   and of all of them
   * @returns {[string, string][]}
   */
  decode(block, limits) {
    this.#bytes = block;
    this.#at = 0;
    const fields = [];
    let left = limits.all;
    while (this.#at < block.length) {
      const first = block[this.#at];
      if ((first & 0xe0) === 0x20) {
        this.#resize(this.#integer(5), fields.length);
        continue;
      }
      const field = this.#field(first);
      const [name, value] = field;
      // At least one, or fields of nothing would be without a limit.
      left -= Math.max(1, name.length + value.length);
      const longest = Math.max(name.length, value.length);
      if (left < 0 || longest > limits.field) this.#fail(TOO_LARGE);
      fields.push(field);
    }
    return fields;
  }

  #field(first) {
    if (first & 0x80) return this.#entry(this.#integer(7));
    if (first & 0x40) return this.#add(this.#literal(6));
    return this.#literal(4);
  }

  #fail(code = WRONG) {
    throw Object.assign(new Error('the header block is wrong'), { code });
  }

  #byte() {
    if (this.#at >= this.#bytes.length) this.#fail();
    return this.#bytes[this.#at++];
  }

  #integer(bits) {
    const most = 2 ** bits - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const next = this.#byte();
      value += (next & 0x7f) * 2 ** shift;
      if ((next & 0x80) === 0) return value;
    }
    return this.#fail();
  }

  #entry(index) {
    const own = index - 1 - staticTable.length;
    const entry = own < 0 ? staticTable[index - 1] : this.#entries[own];
    return entry ?? this.#fail();
  }

  #literal(bits) {
    const index = this.#integer(bits);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    return [name, this.#string()];
  }

  #string() {
    const packed = (this.#bytes[this.#at] & 0x80) !== 0;
    const length = this.#integer(7);
    const end = this.#at + length;
    if (end > this.#bytes.length) this.#fail();
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return packed ? this.#unpack(bytes) : bytes.toString('latin1');
  }

  #unpack(bytes) {
    const out = [];
    let code = 0;
    let length = 0;
    for (const byte of bytes) {
      for (let bit = 7; bit >= 0; bit -= 1) {
        code = code * 2 + ((byte >> bit) & 1);
        length += 1;
        const symbol = symbols.get(length * 2 ** 32 + code);
        if (symbol === undefined) {
          if (length >= 30) this.#fail();
          continue;
        }
        out.push(symbol);
        code = 0;
        length = 0;
      }
    }
    if (length > 7 || code !== 2 ** length - 1) this.#fail();
    return Buffer.from(out).toString('latin1');
  }

  #resize(size, fieldsBefore) {
    if (size > TABLE_SIZE || fieldsBefore > 0) this.#fail();
    this.#limit = size;
    this.#evict(0);
  }

  #add(field) {
    const size = field[0].length + field[1].length + ENTRY_OVERHEAD;
    this.#evict(size);
    if (size <= this.#limit) {
      this.#entries.unshift(field);
      this.#size += size;
    }
    return field;
  }

  #evict(needed) {
    while (this.#entries.length > 0 && this.#size + needed > this.#limit) {
      const [name, value] = this.#entries.pop();
      this.#size -= name.length + value.length + ENTRY_OVERHEAD;
    }
  }
}

module.exports = { HpackDecoder };
