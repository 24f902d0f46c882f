'use strict';
// nginx as a peer: one process that answers TLS, without limits.
const fs = require('node:fs');
const path = require('node:path');
const peers = require('../scripts/peers.js');
const { Failure, output } = require('../scripts/util/proc.js');
const { freePort, untilListening } = require('../test/interop/lib/net.js');
const { Program } = require('../test/interop/lib/program.js');

/** What nginx would write is written below dir, and errors alone. */
const configuration = ({ dir, port, tls }) => `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${dir}/nginx-body;
  proxy_temp_path ${dir}/nginx-proxy;
  fastcgi_temp_path ${dir}/nginx-fastcgi;
  uwsgi_temp_path ${dir}/nginx-uwsgi;
  scgi_temp_path ${dir}/nginx-scgi;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate ${tls.cert};
  ssl_certificate_key ${tls.key};
  server {
    listen 127.0.0.1:${port} ssl;
    location / { return 404; }
  }
}
`;

class Nginx {
  static async start({ dir, tls }) {
    const self = new Nginx();
    self.tlsPort = await freePort();
    const file = path.join(dir, 'nginx.conf');
    const text = configuration({ dir, port: self.tlsPort, tls });
    fs.writeFileSync(file, text);
    // Its default log exists before the configuration names another.
    const args = ['-c', file, '-p', dir, '-e', `${dir}/nginx.log`];
    const options = { env: peers.env() };
    self.program = new Program(peers.path('nginx'), args, options);
    const place = { host: '127.0.0.1', port: self.tlsPort };
    try {
      await untilListening(place, () => self.program.running);
    } catch (error) {
      await self.stop();
      throw new Failure(`nginx: ${error.message}; ${self.program}`);
    }
    return self;
  }

  pids() {
    return [this.program.pid];
  }

  stop() {
    return this.program.stop();
  }
}

/** Null where it is not here. */
function version() {
  const file = peers.find('nginx');
  const said = file && output('sh', ['-c', `${file} -v 2>&1`]);
  return said && said.replace(/^.*: /, '');
}

module.exports = { Nginx, version };
