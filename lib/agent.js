'use strict';

const { EVENT, native, register, unregister } = require('./binding.js');
const { errorFromStatus, statusOf } = require('./errors.js');

/** The core's own limit for an agent that does not answer. */
const TIMEOUT = 10000;

/** An error of the agent; `where` names the user's own socket or file. */
function agentError(code, where) {
  const status = typeof code === 'number' ? code : statusOf(code);
  return errorFromStatus(status, { text: where });
}

/** The socket that the option means, or null. */
function agentPath(agent) {
  if (!agent) return null;
  if (agent !== true) return agent;
  const path = process.env.SSH_AUTH_SOCK;
  if (path) return path;
  throw agentError('AGENT_UNAVAILABLE', 'SSH_AUTH_SOCK is not set');
}

/**
 * Asks an agent for the keys that can be used here, as base64 of their blobs.
 * The promise alone does not keep the process alive.
 */
class AgentList {
  #id;
  #reject;

  constructor(path, timeout = TIMEOUT) {
    this.keys = new Promise((resolve, reject) => {
      const fail = (status) => reject(agentError(status, path));
      this.#reject = reject;
      this.#id = native.agentList(path, Math.min(timeout, TIMEOUT));
      if (this.#id < 0) {
        fail(this.#id);
        return;
      }
      register(this.#id, {
        onEvent: (type, { status, keys }) => {
          if (type !== EVENT.AGENT) return;
          unregister(this.#id);
          this.#id = 0;
          if (status < 0) fail(status);
          else resolve(keys.split(',').filter(Boolean));
        },
      });
    });
  }

  cancel() {
    if (!(this.#id > 0)) return;
    unregister(this.#id);
    native.agentCancel(this.#id);
    this.#id = 0;
    this.#reject(errorFromStatus(statusOf('CLOSED')));
  }
}

module.exports = { AgentList, agentError, agentPath };
