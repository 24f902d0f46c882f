#ifndef WR_NET_WS_FRAME_H
#define WR_NET_WS_FRAME_H

#include "base/common.h"

/* Frames of WebSocket (RFC 6455, section 5). Sans-IO: payload is handed out in
   the memory in which it came, unmasked there; only control frames, at most 125
   bytes, are collected. */
#define WR_WS_CONTROL_MAX 125
#define WR_WS_HEAD_MAX 14 /* of one frame */

/* Close codes (section 7.4.1). */
#define WR_WS_CODE_NORMAL 1000
#define WR_WS_CODE_PROTOCOL 1002
#define WR_WS_CODE_UNSUPPORTED 1003
#define WR_WS_CODE_TOO_BIG 1009

typedef enum wr_ws_opcode {
  WR_WS_OP_CONTINUATION = 0,
  WR_WS_OP_TEXT = 1,
  WR_WS_OP_BINARY = 2,
  WR_WS_OP_CLOSE = 8,
  WR_WS_OP_PING = 9,
  WR_WS_OP_PONG = 10
} wr_ws_opcode;

typedef enum wr_ws_event {
  WR_WS_NONE = 0, /* all bytes are taken, nothing to say */
  WR_WS_DATA,     /* payload, len > 0: part of a binary message */
  WR_WS_PING,     /* payload of it */
  WR_WS_PONG,
  WR_WS_CLOSE, /* the peer's last frame */
  WR_WS_BAD    /* close_code says why; nothing is fed any more */
} wr_ws_event;

typedef struct wr_ws_decoder {
  /* read-only */
  uint16_t
      close_code; /* of WR_WS_BAD: ours; of WR_WS_CLOSE: the peer's, or 0 */
  /* private */
  bool masked;        /* the peer has to mask: it is the client */
  bool in_message;    /* a message has begun and not ended */
  bool in_payload;    /* the current frame's head is complete */
  uint8_t opcode;     /* of the current frame */
  bool fin;           /* it ends its message */
  uint8_t mask[4];    /* of it */
  uint64_t max_frame; /* most payload of one frame */
  uint64_t left;      /* payload of it to come */
  size_t at;          /* where in the mask the next byte is */
  size_t head_len;
  size_t control_len;
  uint8_t head[WR_WS_HEAD_MAX];
  uint8_t control[WR_WS_CONTROL_MAX];
} wr_ws_decoder;

void wr_ws_decoder_init(wr_ws_decoder *d, bool masked, uint64_t max_frame);
/* Takes bytes up to the next event; *taken says how many. Payload of WR_WS_DATA
   lies in data, at the end of what was taken; that of control frames is the
   decoder's until the next call. */
wr_ws_event wr_ws_decode(wr_ws_decoder *d, uint8_t *data, size_t len,
                         size_t *taken, wr_slice *payload);
/* The last n bytes of the payload of the WR_WS_DATA just returned shall come once
   more: they are masked again where they are, and were not taken. */
void wr_ws_undo(wr_ws_decoder *d, uint8_t *bytes, size_t n);
/* True between frames, where the stream may end. */
bool wr_ws_at_frame(const wr_ws_decoder *d);

/* The head of a final frame; mask NULL for none. Returns its length. */
size_t wr_ws_put_head(uint8_t dst[WR_WS_HEAD_MAX], wr_ws_opcode opcode,
                      size_t len, const uint8_t *mask);
/* Masks or unmasks: dst may be src. `at` is the number of the first byte within
   the frame's payload. */
void wr_ws_mask(uint8_t *dst, const uint8_t *src, size_t len,
                const uint8_t mask[4], size_t at);

#endif /* !defined(WR_NET_WS_FRAME_H) */
