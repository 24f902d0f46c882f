/// <reference types="node" />
import { Duplex } from 'node:stream';

export interface Message {
  type: string;
  id: string;
  payload: unknown;
}

/** One frame: a 4-byte big-endian length, then UTF-8 JSON. */
export function encode(message: Message, maxFrame?: number): Buffer;

/** Takes bytes in any cut and gives whole messages. */
export class Decoder {
  /** maxFrame in bytes; default 1 MiB. */
  constructor(maxFrame?: number);
  /** Throws ERR_WRAITH_PUBSUB_FRAME on a broken or too large frame. */
  push(chunk: Buffer): Message[];
  /** Bytes of a frame that is not complete. */
  readonly pending: number;
}

/** What listeners get: an event that the other side dispatched. */
export class PubSubEvent extends Event {
  readonly id: string;
  readonly payload: unknown;
  readonly remote: true;
}

/**
 * dispatchEvent() sends; addEventListener() subscribes at the other side. A
 * frame over the limit or broken JSON ends the stream with a coded error.
 */
export function createEventTarget(options: {
  stream: Duplex;
  maxFrame?: number;
}): EventTarget & { close(): void };
