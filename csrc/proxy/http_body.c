#include "proxy/http_body.h"

#include "base/errors.h"

typedef enum body_step {
  BODY_PLAIN = 0,  /* `left` bytes and no framing */
  BODY_SIZE_FIRST, /* the first digit of a chunk's size */
  BODY_SIZE,       /* more digits */
  BODY_EXTENSION,  /* to the end of the size's line */
  BODY_SIZE_LF,    /* the line feed after it */
  BODY_DATA,       /* `left` bytes of a chunk */
  BODY_DATA_CR,    /* the line end after them */
  BODY_DATA_LF,
  BODY_TRAILER_FIRST, /* a trailer line begins, or the empty one that ends all */
  BODY_TRAILER,
  BODY_TRAILER_LF,
  BODY_LAST_LF
} body_step;

void wr_http_body_init_length(wr_http_body *b, uint64_t length) {
  *b = (wr_http_body){.done = length == 0, .left = length, .step = BODY_PLAIN};
}

void wr_http_body_init_chunked(wr_http_body *b) {
  *b = (wr_http_body){.step = BODY_SIZE_FIRST};
}

static int hex_value(uint8_t c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int expect(wr_http_body *b, uint8_t c, uint8_t want, body_step next) {
  if (c != want) {
    return WR_EMALFORMED;
  }
  b->step = (int)next;
  return 0;
}

static int on_size(wr_http_body *b, uint8_t c) {
  int v = hex_value(c);
  if (v >= 0) {
    if (b->left > UINT64_MAX >> 5) {
      return WR_EMALFORMED;
    }
    b->left = b->left << 4 | (unsigned)v;
    b->step = BODY_SIZE;
    return 0;
  }
  if (b->step == BODY_SIZE_FIRST) {
    return WR_EMALFORMED;
  }
  if (c == ';' || c == ' ' || c == '\t') {
    b->step = BODY_EXTENSION;
    return 0;
  }
  return expect(b, c, '\r', BODY_SIZE_LF);
}

/* Text up to a carriage return. A bare line feed would be a line end to some
   servers and none to others. */
static int on_text(wr_http_body *b, uint8_t c, body_step text, body_step end) {
  if (c == '\n' || c == '\0' || ++b->overhead > WR_HTTP_BODY_OVERHEAD_MAX) {
    return WR_EMALFORMED;
  }
  b->step = c == '\r' ? (int)end : (int)text;
  return 0;
}

static int on_framing(wr_http_body *b, uint8_t c) {
  int err = 0;
  switch ((body_step)b->step) {
  case BODY_SIZE_FIRST:
  case BODY_SIZE:
    return on_size(b, c);
  case BODY_EXTENSION:
    return on_text(b, c, BODY_EXTENSION, BODY_SIZE_LF);
  case BODY_SIZE_LF:
    return expect(b, c, '\n', b->left > 0 ? BODY_DATA : BODY_TRAILER_FIRST);
  case BODY_DATA_CR:
    return expect(b, c, '\r', BODY_DATA_LF);
  case BODY_DATA_LF:
    return expect(b, c, '\n', BODY_SIZE_FIRST);
  case BODY_TRAILER_FIRST:
    return on_text(b, c, BODY_TRAILER, BODY_LAST_LF);
  case BODY_TRAILER:
    return on_text(b, c, BODY_TRAILER, BODY_TRAILER_LF);
  case BODY_TRAILER_LF:
    return expect(b, c, '\n', BODY_TRAILER_FIRST);
  case BODY_LAST_LF:
    err = expect(b, c, '\n', BODY_LAST_LF);
    b->done = err == 0;
    return err;
  case BODY_PLAIN:
  case BODY_DATA:
    break;
  }
  return WR_EMALFORMED;
}

static size_t skip_data(wr_http_body *b, size_t len) {
  size_t n = b->left < len ? (size_t)b->left : len;
  b->left -= n;
  if (b->left == 0) {
    b->done = b->step == BODY_PLAIN;
    b->step = b->step == BODY_DATA ? (int)BODY_DATA_CR : b->step;
  }
  return n;
}

int wr_http_body_feed(wr_http_body *b, const uint8_t *data, size_t len,
                      size_t *taken) {
  size_t at = 0;
  int err = 0;
  while (err == 0 && !b->done && at < len) {
    if (b->step == BODY_PLAIN || b->step == BODY_DATA) {
      at += skip_data(b, len - at);
    } else {
      err = on_framing(b, data[at]);
      at += err == 0 ? 1 : 0;
    }
  }
  *taken = at;
  return err;
}
