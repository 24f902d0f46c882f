#ifndef WR_TEST_FUZZ_LINK_ENDS_H
#define WR_TEST_FUZZ_LINK_ENDS_H

/* The owners of two links with something between them: what one has written is
   what the other must read. The bytes of the input are operations, and callbacks
   take some as well, which aims at re-entrancy. Whoever includes this says what
   an operation does and what the end of a link means. */

#include <string.h>

#include "net/mempair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct actor {
  wr_link *link; /* NULL before it is there, and once closed */
  uint64_t sent;
  uint64_t got;
  size_t max_take; /* 0: all */
  bool eof;
} actor;

static actor ends[2];

/* What is left of the input. */
static struct {
  const uint8_t *data;
  size_t size;
  unsigned plan; /* operations that callbacks shall take */
  bool in_callback;
} input;

static void operate(uint8_t op);
static void on_close(wr_link *link, int status);

static void ends_start(const uint8_t *data, size_t size) {
  memset(ends, 0, sizeof(ends));
  memset(&input, 0, sizeof(input));
  input.data = data;
  input.size = size;
}

static void input_next(void) {
  input.size--;
  operate(*input.data++);
}

/* An operation from the input inside a callback. */
static void interfere(void) {
  if (input.plan == 0 || input.size == 0) {
    return;
  }
  input.plan--;
  bool nested = input.in_callback;
  input.in_callback = true;
  input_next();
  input.in_callback = nested;
}

static size_t who_of(const actor *x) {
  return x == &ends[0] ? 0 : 1;
}

/* Byte number `at` of what `who` writes. */
static uint8_t wave(size_t who, uint64_t at) {
  return (uint8_t)((at * 131 + (at >> 8) * 7) ^ (who == 0 ? 0x5a : 0));
}

/* One end looks at the bytes before it interferes and the other one after it:
   they stay good for the whole call, and may be modified. */
static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  actor *x = link->user;
  WR_ASSERT(len > 0 && !x->eof && x->link != NULL);
  size_t take = x->max_take != 0 ? WR_MIN(len, x->max_take) : len;
  if (who_of(x) == 1) {
    interfere();
  }
  for (size_t i = 0; i < take; i++) {
    WR_ASSERT(data[i] == wave(1 - who_of(x), x->got + i));
    data[i] = 0;
  }
  x->got += take;
  if (who_of(x) == 0) {
    interfere();
  }
  return take;
}

static void on_eof(wr_link *link) {
  actor *x = link->user;
  WR_ASSERT(!x->eof && x->link != NULL);
  x->eof = true;
  interfere();
}

static void on_writable(wr_link *link) {
  actor *x = link->user;
  WR_ASSERT(x->link != NULL);
  interfere();
}

static const wr_link_handler handler = {.on_read = on_read,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_close = on_close};

static void act_own(actor *x, wr_link *link) {
  x->link = link;
  link->user = x;
  link->handler = &handler;
}

static void act_write(actor *x, size_t len) {
  static char bytes[70000];
  size_t taken = 0;
  WR_ASSERT(len <= sizeof(bytes));
  if (x->link == NULL) {
    return;
  }
  for (size_t i = 0; i < len; i++) {
    bytes[i] = (char)wave(who_of(x), x->sent + i);
  }
  uv_buf_t bufs[2] = {uv_buf_init(bytes, (unsigned)(len / 3)),
                      uv_buf_init(bytes + len / 3, (unsigned)(len - len / 3))};
  int err = wr_link_write(x->link, bufs, 2, &taken);
  WR_ASSERT(taken <= len && (err == 0 || taken == 0));
  x->sent += taken;
}

static void act_read(actor *x, bool on) {
  if (x->link == NULL) {
    return;
  }
  if (on) {
    (void)wr_link_read_start(x->link);
  } else {
    wr_link_read_stop(x->link);
  }
}

static void act_shutdown(actor *x) {
  if (x->link != NULL) {
    (void)wr_link_shutdown(x->link);
  }
}

static void act_close(actor *x, wr_close_mode mode) {
  if (x->link != NULL) {
    wr_link_close(x->link, mode);
  }
}

#endif /* !defined(WR_TEST_FUZZ_LINK_ENDS_H) */
