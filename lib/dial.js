'use strict';

// Connections of our own that go through a proxy, as those to targets do.

const https = require('node:https');
const tls = require('node:tls');

const { EVENT, native, register, unregister } = require('./binding.js');
const { errorFromStatus } = require('./errors.js');
const { WraithStream } = require('./stream.js');

/**
 * A TCP connection through a proxy; a name is looked up there.
 *
 * @returns {Promise<WraithStream>} rejects with the error of the proxy, or what
 *   it said of the target
 */
function dialThrough(proxy, { host, port }) {
  return new Promise((resolve, reject) => {
    const id = native.dial(host, port, proxy);
    if (id < 0) {
      reject(errorFromStatus(id, { phase: 'proxy' }));
      return;
    }
    register(id, {
      onEvent: (type, { status, stream }) => {
        if (type !== EVENT.DIALLED) return;
        unregister(id);
        if (status === 0) resolve(new WraithStream(stream, {}));
        else reject(errorFromStatus(status, { phase: 'proxy' }));
      },
    });
  });
}

/** For https.request(): every connection goes through the proxy. */
class ProxyAgent extends https.Agent {
  #proxy;

  constructor(proxy, options) {
    super(options);
    this.#proxy = proxy;
  }

  createConnection(options, done) {
    const { host, port } = options;
    dialThrough(this.#proxy, { host, port: Number(port) }).then(
      (socket) => done(null, tls.connect({ ...options, socket })),
      done,
    );
  }
}

module.exports = { ProxyAgent };
