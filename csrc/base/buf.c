#include "base/buf.h"

#include <stdarg.h>
#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

#define FIRST_CAP 256

/* Consumed bytes at the start of the block. */
static size_t front(const wr_buf *b) {
  return b->block == NULL ? 0 : (size_t)(b->data - b->block);
}

/* Free bytes behind the unread ones. */
static size_t tail(const wr_buf *b) {
  return b->cap - front(b) - b->len;
}

void wr_buf_init(wr_buf *b, wr_mem *mem, size_t max) {
  WR_ASSERT(max > 0);
  *b = (wr_buf){.max = max, .mem = mem};
}

void wr_buf_reset(wr_buf *b) {
  wr_free(b->mem, b->block);
  wr_buf_init(b, b->mem, b->max);
}

void wr_buf_wipe(wr_buf *b) {
  wr_free_secret(b->mem, b->block, b->cap);
  wr_buf_init(b, b->mem, b->max);
}

static size_t next_cap(const wr_buf *b, size_t need) {
  size_t twice = b->cap > b->max / 2 ? b->max : b->cap * 2;
  size_t cap = WR_MAX(WR_MAX(twice, need), FIRST_CAP);
  return WR_MIN(cap, b->max);
}

/* Not realloc: only the unread bytes are worth a copy, and what is left behind
   may be secret, which only a later wr_buf_wipe() would tell. */
static int grow(wr_buf *b, size_t need) {
  size_t cap = next_cap(b, need);
  if (cap == SIZE_MAX) {
    return WR_ENOMEM;
  }
  /* One spare byte for the zero that vsnprintf insists on. */
  uint8_t *block = wr_alloc(b->mem, cap + 1);
  if (block == NULL) {
    return WR_ENOMEM;
  }
  if (b->len > 0) {
    memcpy(block, b->data, b->len);
  }
  wr_free_secret(b->mem, b->block, b->cap);
  b->block = block;
  b->data = block;
  b->cap = cap;
  return 0;
}

static void compact(wr_buf *b) {
  memmove(b->block, b->data, b->len);
  b->data = b->block;
}

int wr_buf_reserve(wr_buf *b, size_t len) {
  if (len > wr_buf_room(b)) {
    return WR_ELIMIT;
  }
  if (len <= tail(b)) {
    return 0;
  }
  /* A move of at most as many bytes as were consumed since the last one costs
     a constant per byte. Otherwise a larger block is better, while there is
     one. */
  bool fits = len <= b->cap - b->len;
  if (fits && (front(b) >= b->len || b->cap == b->max)) {
    compact(b);
    return 0;
  }
  return grow(b, b->len + len);
}

void wr_buf_commit(wr_buf *b, size_t n) {
  WR_ASSERT(n <= tail(b));
  b->len += n;
}

int wr_buf_append(wr_buf *b, const void *data, size_t len) {
  int err = wr_buf_reserve(b, len);
  if (err != 0 || len == 0) {
    return err;
  }
  memcpy(b->data + b->len, data, len);
  b->len += len;
  return 0;
}

void wr_buf_consume(wr_buf *b, size_t n) {
  WR_ASSERT(n <= b->len);
  b->len -= n;
  if (b->len == 0) {
    b->data = b->block;
    return;
  }
  b->data += n;
}

size_t wr_buf_room(const wr_buf *b) {
  return b->max - b->len;
}

int wr_buf_put_u8(wr_buf *b, uint8_t v) {
  return wr_buf_append(b, &v, 1);
}

int wr_buf_put_u32(wr_buf *b, uint32_t v) {
  uint8_t bytes[4];
  wr_put_u32(bytes, v);
  return wr_buf_append(b, bytes, sizeof(bytes));
}

int wr_buf_put_u64(wr_buf *b, uint64_t v) {
  uint8_t bytes[8];
  wr_put_u64(bytes, v);
  return wr_buf_append(b, bytes, sizeof(bytes));
}

int wr_buf_put_string(wr_buf *b, const void *data, size_t len) {
  if (len > UINT32_MAX || len > SIZE_MAX - 4) {
    return WR_ELIMIT;
  }
  /* Room for both first, so that a failure adds neither. */
  int err = wr_buf_reserve(b, 4 + len);
  if (err != 0) {
    return err;
  }
  wr_put_u32(b->data + b->len, (uint32_t)len);
  b->len += 4;
  return wr_buf_append(b, data, len);
}

int wr_buf_put_cstring(wr_buf *b, const char *s) {
  return wr_buf_put_string(b, s, strlen(s));
}

/* The length of the text; negative if the format cannot be printed. */
static int WR_PRINTF(1, 0) measure(const char *fmt, va_list args) {
  va_list copy;
  va_copy(copy, args);
  int n = vsnprintf(NULL, 0, fmt, copy);
  va_end(copy);
  return n;
}

int wr_buf_printf(wr_buf *b, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int n = measure(fmt, args);
  int err = n < 0 ? WR_EINVAL : wr_buf_reserve(b, (size_t)n);
  if (err == 0 && n > 0) {
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, args);
    b->len += (size_t)n;
  }
  va_end(args);
  return err;
}
