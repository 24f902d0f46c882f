#include "net/ws_frame.h"

#include <string.h>

#include "base/wire.h"

#define BIT_FIN 0x80
#define BITS_RESERVED 0x70
#define BITS_OPCODE 0x0f
#define BIT_CONTROL 0x08
#define BIT_MASK 0x80
#define LEN_16 126 /* two bytes of length follow */
#define LEN_64 127 /* eight bytes follow */

void wr_ws_decoder_init(wr_ws_decoder *d, bool masked, uint64_t max_frame) {
  memset(d, 0, sizeof(*d));
  d->masked = masked;
  d->max_frame = max_frame;
}

void wr_ws_mask(uint8_t *dst, const uint8_t *src, size_t len,
                const uint8_t mask[4], size_t at) {
  uint8_t turned[8];
  uint64_t key;
  size_t i = 0;
  for (size_t k = 0; k < sizeof(turned); k++) {
    turned[k] = mask[(at + k) & 3];
  }
  memcpy(&key, turned, sizeof(key));
  for (; i + sizeof(key) <= len; i += sizeof(key)) {
    uint64_t word;
    memcpy(&word, src + i, sizeof(word));
    word ^= key;
    memcpy(dst + i, &word, sizeof(word));
  }
  for (; i < len; i++) {
    dst[i] = src[i] ^ turned[i & 7];
  }
}

size_t wr_ws_put_head(uint8_t dst[WR_WS_HEAD_MAX], wr_ws_opcode opcode,
                      size_t len, const uint8_t *mask) {
  uint8_t flag = mask != NULL ? BIT_MASK : 0;
  size_t n = 2;
  dst[0] = (uint8_t)(BIT_FIN | (unsigned)opcode);
  if (len < LEN_16) {
    dst[1] = (uint8_t)(flag | len);
  } else if (len <= UINT16_MAX) {
    dst[1] = flag | LEN_16;
    wr_put_u16(dst + n, (uint16_t)len);
    n += 2;
  } else {
    dst[1] = flag | LEN_64;
    wr_put_u64(dst + n, len);
    n += 8;
  }
  if (mask != NULL) {
    memcpy(dst + n, mask, 4);
    n += 4;
  }
  return n;
}

static wr_ws_event bad(wr_ws_decoder *d, uint16_t code) {
  d->close_code = code;
  return WR_WS_BAD;
}

/* How long the head is, as far as what is there of it tells. */
static size_t head_size(const wr_ws_decoder *d) {
  if (d->head_len < 2) {
    return 2;
  }
  uint8_t len = d->head[1] & 0x7f;
  size_t more = len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0;
  return 2 + more + (d->masked ? 4 : 0);
}

/* After the first byte. */
static wr_ws_event check_opcode(wr_ws_decoder *d) {
  d->fin = (d->head[0] & BIT_FIN) != 0;
  d->opcode = d->head[0] & BITS_OPCODE;
  if ((d->head[0] & BITS_RESERVED) != 0) {
    return bad(d, WR_WS_CODE_PROTOCOL);
  }
  switch (d->opcode) {
  case WR_WS_OP_CONTINUATION:
    return d->in_message ? WR_WS_NONE : bad(d, WR_WS_CODE_PROTOCOL);
  case WR_WS_OP_BINARY:
    return d->in_message ? bad(d, WR_WS_CODE_PROTOCOL) : WR_WS_NONE;
  case WR_WS_OP_TEXT:
    return bad(d, d->in_message ? WR_WS_CODE_PROTOCOL : WR_WS_CODE_UNSUPPORTED);
  case WR_WS_OP_CLOSE:
  case WR_WS_OP_PING:
  case WR_WS_OP_PONG:
    return d->fin ? WR_WS_NONE : bad(d, WR_WS_CODE_PROTOCOL);
  default:
    return bad(d, WR_WS_CODE_PROTOCOL);
  }
}

static bool is_control(const wr_ws_decoder *d) {
  return (d->opcode & BIT_CONTROL) != 0;
}

/* After the second byte. */
static wr_ws_event check_length(wr_ws_decoder *d) {
  bool masked = (d->head[1] & BIT_MASK) != 0;
  if (masked != d->masked ||
      (is_control(d) && (d->head[1] & 0x7f) > WR_WS_CONTROL_MAX)) {
    return bad(d, WR_WS_CODE_PROTOCOL);
  }
  return WR_WS_NONE;
}

/* The length must be in the shortest form (section 5.2). */
static wr_ws_event on_head(wr_ws_decoder *d) {
  wr_rd r;
  wr_rd_init(&r, d->head, d->head_len);
  (void)wr_rd_u8(&r);
  uint64_t len = wr_rd_u8(&r) & 0x7f;
  uint64_t least = 0;
  if (len == LEN_16) {
    least = LEN_16;
    len = wr_rd_u16(&r);
  } else if (len == LEN_64) {
    least = (uint64_t)UINT16_MAX + 1;
    len = wr_rd_u64(&r);
  }
  if (len < least || len > INT64_MAX) {
    return bad(d, WR_WS_CODE_PROTOCOL);
  }
  if (len > d->max_frame && !is_control(d)) {
    return bad(d, WR_WS_CODE_TOO_BIG);
  }
  if (d->masked) {
    memcpy(d->mask, wr_rd_bytes(&r, 4).data, 4);
  }
  d->in_payload = true;
  d->left = len;
  d->at = 0;
  d->control_len = 0;
  if (!is_control(d)) {
    d->in_message = !d->fin;
  }
  return WR_WS_NONE;
}

static wr_ws_event add_head(wr_ws_decoder *d, uint8_t c) {
  wr_ws_event event = WR_WS_NONE;
  d->head[d->head_len++] = c;
  if (d->head_len == 1) {
    event = check_opcode(d);
  } else if (d->head_len == 2) {
    event = check_length(d);
  }
  if (event == WR_WS_NONE && d->head_len == head_size(d) && d->head_len > 1) {
    event = on_head(d);
  }
  return event;
}

static void next_frame(wr_ws_decoder *d) {
  d->in_payload = false;
  d->head_len = 0;
}

/* Which codes may be sent (section 7.4). */
static bool code_ok(unsigned code) {
  if (code >= 3000) {
    return code <= 4999;
  }
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
         code != 1006;
}

static wr_ws_event on_close(wr_ws_decoder *d) {
  unsigned code = 0;
  if (d->control_len > 0) {
    code = (unsigned)d->control[0] << 8;
    code |= d->control_len > 1 ? d->control[1] : 0;
    if (d->control_len == 1 || !code_ok(code)) {
      return bad(d, WR_WS_CODE_PROTOCOL);
    }
  }
  d->close_code = (uint16_t)code;
  return WR_WS_CLOSE;
}

static wr_ws_event on_control(wr_ws_decoder *d, wr_slice *payload) {
  next_frame(d);
  *payload = (wr_slice){d->control, d->control_len};
  if (d->opcode == WR_WS_OP_CLOSE) {
    return on_close(d);
  }
  return d->opcode == WR_WS_OP_PING ? WR_WS_PING : WR_WS_PONG;
}

/* Takes n <= left bytes of the payload. */
static wr_ws_event on_payload(wr_ws_decoder *d, uint8_t *data, size_t n,
                              wr_slice *payload) {
  bool control = is_control(d);
  uint8_t *dst = control ? d->control + d->control_len : data;
  if (d->masked) {
    wr_ws_mask(dst, data, n, d->mask, d->at);
  } else if (control) {
    memcpy(dst, data, n);
  }
  d->at = (d->at + n) & 3;
  d->left -= n;
  if (control) {
    d->control_len += n;
    return d->left == 0 ? on_control(d, payload) : WR_WS_NONE;
  }
  *payload = (wr_slice){data, n};
  if (d->left == 0) {
    next_frame(d);
  }
  return n > 0 ? WR_WS_DATA : WR_WS_NONE;
}

wr_ws_event wr_ws_decode(wr_ws_decoder *d, uint8_t *data, size_t len,
                         size_t *taken, wr_slice *payload) {
  size_t at = 0;
  wr_ws_event event = WR_WS_NONE;
  *payload = (wr_slice){NULL, 0};
  /* A frame without payload is complete with its head. */
  while (event == WR_WS_NONE && at < len) {
    if (!d->in_payload) {
      event = add_head(d, data[at++]);
    }
    if (event == WR_WS_NONE && d->in_payload) {
      size_t n = d->left < len - at ? (size_t)d->left : len - at;
      if (n > 0 || d->left == 0) {
        event = on_payload(d, data + at, n, payload);
        at += n;
      }
    }
  }
  *taken = at;
  return event;
}

void wr_ws_undo(wr_ws_decoder *d, uint8_t *bytes, size_t n) {
  d->in_payload = true;
  d->left += n;
  d->at = (d->at - n) & 3;
  if (d->masked) {
    wr_ws_mask(bytes, bytes, n, d->mask, d->at);
  }
}

bool wr_ws_at_frame(const wr_ws_decoder *d) {
  return !d->in_payload && d->head_len == 0 && !d->in_message;
}
