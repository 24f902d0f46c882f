/* Proxies: URLs, and what a hostile one answers. However the answers are cut,
   the same comes of them, and nothing behind them is taken.

   The first byte says where to cut and what is asked; the rest is tried as a URL
   and as the answers. */

#include <string.h>

#include "base/errors.h"
#include "net/upstream_talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct outcome {
  size_t taken;
  int err;
  bool done;
} outcome;

static void say(wr_upstream_talk *t) {
  wr_slice out = wr_upstream_talk_out(t);
  wr_upstream_talk_sent(t, out.len);
}

static outcome run(wr_mem *mem, const wr_upstream *u, const uint8_t *data,
                   size_t size, size_t step) {
  wr_upstream_talk t;
  outcome o = {0};
  if (wr_upstream_talk_init(&t, mem, u, "db.example", 5432) != 0) {
    WR_ASSERT(false);
  }
  while (o.err == 0 && !t.done && o.taken < size) {
    size_t n = WR_MIN(step, size - o.taken);
    size_t used = 0;
    say(&t);
    o.err = wr_upstream_talk_feed(&t, data + o.taken, n, &used);
    WR_ASSERT(used <= n);
    WR_ASSERT(o.err != 0 || t.done || used == n);
    o.taken += used;
  }
  o.done = t.done && o.err == 0;
  wr_upstream_talk_free(&t);
  return o;
}

/* A proxy that answers before it was asked is refused, so SOCKS5 with several
   steps in one piece ends early: compared are cuts into single bytes and into
   what one step holds at most. */
static void talk(wr_mem *mem, const wr_upstream *u, const uint8_t *data,
                 size_t size, size_t step) {
  outcome bytes = run(mem, u, data, size, 1);
  outcome cut = run(mem, u, data, size, step);
  if (u->kind == WR_UPSTREAM_HTTP) {
    WR_ASSERT(bytes.err == cut.err && bytes.taken == cut.taken);
    WR_ASSERT(bytes.done == cut.done);
  }
  WR_ASSERT(!cut.done || (bytes.done && bytes.taken == cut.taken));
  if (bytes.done) {
    outcome less = run(mem, u, data, bytes.taken - 1, 1);
    WR_ASSERT(less.err == 0 && !less.done);
  }
}

static void urls(const char *text) {
  wr_upstream u;
  const char *why = NULL;
  if (wr_upstream_parse(text, &u, &why) != 0) {
    WR_ASSERT(why != NULL);
    return;
  }
  WR_ASSERT(u.port != 0 && u.host[0] != '\0');
  WR_ASSERT(strlen(u.host) <= WR_HOST_MAX && strchr(u.host, '@') == NULL);
  WR_ASSERT(u.has_login == (u.user[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[1024];
  wr_mem mem;
  wr_mem_init(&mem);
  if (size < 1) {
    return 0;
  }
  size_t step = 1 + data[0] % 16;
  wr_upstream u = {.kind = (data[0] & 16) != 0 ? WR_UPSTREAM_HTTP
                                               : WR_UPSTREAM_SOCKS5,
                   .host = "p",
                   .port = 1,
                   .has_login = (data[0] & 32) != 0,
                   .user = "ann",
                   .password = "pw"};
  size_t len = WR_MIN(size - 1, sizeof(text) - 1);
  memcpy(text, data + 1, len);
  text[len] = '\0';
  urls(text);
  talk(&mem, &u, data + 1, size - 1, step);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
