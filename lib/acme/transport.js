'use strict';

// HTTPS to the directory, in place of the library's own: with an authority of
// the owner's choice, bounds on time and size, and errors that keep the type of
// the problem.

const https = require('node:https');

const { acmeFailure, problemName } = require('./failure.js');
const { WAIT_MAX_MS } = require('./times.js');

const RESPONSE_MAX_BYTES = 1024 * 1024;
const REQUEST_MS = 30_000;

/** Retry-After, seconds or a date, in milliseconds from now; 0 for none. */
function parseRetryAfter(value, now) {
  if (value === undefined) return 0;
  const wait = /^\d+$/.test(value)
    ? Number(value) * 1000
    : Date.parse(value) - now;
  return wait > 0 ? Math.min(wait, WAIT_MAX_MS) : 0;
}

function readBody(response, maxBytes) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    response.on('data', (chunk) => {
      size += chunk.length;
      if (size > maxBytes) response.destroy(new Error('too long'));
      else chunks.push(chunk);
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    response.on('error', reject);
    response.on('aborted', () => reject(new Error('ended early')));
  });
}

function decode(headers, text) {
  // An answer to HEAD has a type, but no contents.
  const isJson = /json/.test(headers['content-type'] ?? '');
  if (!isJson || text === '') return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw acmeFailure('protocol', { detail: 'broken JSON', cause });
  }
}

class Transport {
  /**
   * @param {{ ca?: Buffer, agentOf?: (how: object) => https.Agent,
   *   signal?: AbortSignal, now: () => number, requestMs?: number,
   *   maxBytes?: number }} options how long a request may take as a whole, and
   *   how long an answer may be
   */
  constructor({
    ca,
    agentOf = (how) => new https.Agent(how),
    signal,
    now,
    requestMs = REQUEST_MS,
    maxBytes = RESPONSE_MAX_BYTES,
  }) {
    this.now = now;
    this.signal = signal;
    this.requestMs = requestMs;
    this.maxBytes = maxBytes;
    this.agent = agentOf({ ca, keepAlive: true, maxSockets: 2 });
    /** What the last response said of when to ask again, in milliseconds. */
    this.retryAfter = 0;
  }

  close() {
    this.agent.destroy();
  }

  /** @returns {Promise<{ status: number, headers: object, data: any }>} */
  async request(url, method, { data } = {}) {
    const { response, text } = await this.#exchange(url, method, data);
    this.retryAfter = parseRetryAfter(
      response.headers['retry-after'],
      this.now(),
    );
    const { statusCode: status } = response;
    const answer = {
      status,
      headers: response.headers,
      data: decode(response.headers, text),
    };
    const problem = problemName(answer.data?.type);
    // The library tries those again by itself.
    if (status < 400 || problem === 'badNonce') return answer;
    throw acmeFailure(problem, {
      detail: String(answer.data?.detail ?? `HTTP status ${status}`),
      retryAfter: this.retryAfter,
      transient: status >= 500 || status === 429,
      problem: true,
    });
  }

  async #exchange(url, method, data) {
    if (!String(url).startsWith('https://')) {
      throw acmeFailure('protocol', { detail: 'an address without https' });
    }
    const body = data === undefined ? undefined : JSON.stringify(data);
    const request = https.request(url, {
      method: method.toUpperCase(),
      agent: this.agent,
      signal: this.signal,
      headers: {
        'User-Agent': 'wraith',
        ...(body && {
          'Content-Type': 'application/jose+json',
          'Content-Length': Buffer.byteLength(body),
        }),
      },
    });
    const late = setTimeout(
      () => request.destroy(new Error('no answer in time')),
      this.requestMs,
    );
    try {
      const response = await new Promise((resolve, reject) => {
        request.on('response', resolve);
        request.on('error', reject);
        request.end(body);
      });
      return { response, text: await readBody(response, this.maxBytes) };
    } catch (cause) {
      const detail = cause.code ?? cause.message;
      throw acmeFailure('unreachable', { detail, cause, transient: true });
    } finally {
      clearTimeout(late);
    }
  }
}

module.exports = { Transport };
