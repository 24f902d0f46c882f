'use strict';
// Where tunnels lead must not show in any log. Targets stand at an address, on
// ports, under names and paths that occur nowhere else; a line that holds one
// of them gives it away.

// Of the loopback net; nothing but targets uses it.
const HOST = '127.77.66.55';
const NAME = 'canary-name.invalid'; // never resolves (RFC 6761)

const texts = new Set(['canary', HOST]);
const ports = new Set();

const add = (text) => texts.add(text.toLowerCase());
const addPort = (port) => ports.add(port);

function holdsPort(line) {
  for (const [, digits] of line.matchAll(/(?<![\w+/])(\d{4,5})(?![\w+/])/g)) {
    if (ports.has(Number(digits))) return true;
  }
  return false;
}

// Lines that tell a destination. The server's own address is its own to tell.
function leaks(lines) {
  return lines.filter((line) => {
    const low = line.toLowerCase();
    if ([...texts].some((text) => low.includes(text))) return true;
    return !/server listening|"addresses"/.test(line) && holdsPort(line);
  });
}

module.exports = { HOST, NAME, add, addPort, leaks };
