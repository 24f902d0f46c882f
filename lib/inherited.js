'use strict';

const { WraithError, errorFromStatus } = require('./errors.js');

// Listening sockets that a service manager hands down: descriptors from 3 on,
// counted by two variables (sd_listen_fds(3)).

const SYSTEMD = 'systemd';
const FIRST_FD = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'];

function listenError(message, cause) {
  const error = new WraithError(
    'ERR_WRAITH_LISTEN_FDS',
    `listen ${SYSTEMD}: ${message}`,
    { cause },
  );
  error.syscall = 'listen';
  return error;
}

/**
 * The descriptors. They can be had once: the variables go, so that no child
 * takes the sockets for its own.
 */
function takeInherited() {
  const [pid, fds] = VARIABLES.map((name) => process.env[name]);
  for (const name of VARIABLES) delete process.env[name];
  const count = /^\d{1,4}$/.test(fds ?? '') ? Number(fds) : 0;
  if (pid !== String(process.pid) || count === 0) {
    throw listenError(
      'no sockets were handed down to this process (LISTEN_FDS, LISTEN_PID)',
    );
  }
  return Array.from({ length: count }, (_, i) => FIRST_FD + i);
}

function inheritedError(fd, status) {
  return listenError(
    `descriptor ${fd} is not a listening TCP socket`,
    errorFromStatus(status),
  );
}

module.exports = { SYSTEMD, inheritedError, takeInherited };
