#include <string.h>

#include "base/errors.h"
#include "proxy/inbound.h"

/* SOCKS and HTTP requests. The first byte says whether a password is asked for
   and what the answer will be. In one piece and byte by byte the result must be
   the same. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t feed(wr_inbound *in, const uint8_t *data, size_t len,
                   size_t step) {
  size_t at = 0;
  while (at < len && in->state == WR_INBOUND_MORE) {
    size_t n = WR_MIN(step, len - at);
    size_t taken;
    WR_ASSERT(wr_inbound_feed(in, data + at, n, &taken) == 0);
    WR_ASSERT(taken <= n);
    WR_ASSERT(taken == n || in->state != WR_INBOUND_MORE);
    at += taken;
  }
  return at;
}

static void same_buf(const wr_buf *a, const wr_buf *b) {
  WR_ASSERT(a->len == b->len);
  WR_ASSERT(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void feed_body(wr_http_body *b, const uint8_t *data, size_t len,
                      size_t step, size_t *end) {
  size_t at = 0;
  int err = 0;
  while (err == 0 && at < len && !b->done) {
    size_t n = WR_MIN(step, len - at);
    size_t taken;
    err = wr_http_body_feed(b, data + at, n, &taken);
    WR_ASSERT(taken <= n);
    WR_ASSERT(err != 0 || taken == n || b->done);
    at += taken;
  }
  *end = err != 0 ? SIZE_MAX : at;
}

static void check_connect(wr_inbound *in, int status) {
  wr_endpoint *t = &in->target;
  WR_ASSERT(t->host[0] != '\0' && !t->is_unix);
  WR_ASSERT(memchr(t->host, '\0', sizeof(t->host)) != NULL);
  for (const char *p = t->host; *p != '\0'; p++) {
    WR_ASSERT((unsigned char)*p > ' ');
  }
  if (in->protocol == WR_INBOUND_HTTP_FORWARD) {
    const wr_buf *f = &in->forward;
    WR_ASSERT(f->len > 4);
    WR_ASSERT(memcmp(f->data + f->len - 4, "\r\n\r\n", 4) == 0);
  } else {
    WR_ASSERT(in->forward.len == 0);
  }
  WR_ASSERT(wr_inbound_reply(in, status) == 0);
  WR_ASSERT(in->state ==
            (status == 0 ? WR_INBOUND_CONNECT : WR_INBOUND_FAILED));
}

static void run(wr_mem *mem, const uint8_t *data, size_t len, bool auth,
                int status) {
  wr_inbound a, b;
  wr_inbound_init(&a, mem, auth ? "u" : NULL, auth ? "p" : NULL);
  wr_inbound_init(&b, mem, auth ? "u" : NULL, auth ? "p" : NULL);
  size_t end = feed(&a, data, len, len);
  WR_ASSERT(feed(&b, data, len, 1) == end);
  WR_ASSERT(a.state == b.state && a.protocol == b.protocol);
  same_buf(&a.out, &b.out);
  same_buf(&a.forward, &b.forward);
  if (a.state == WR_INBOUND_CONNECT) {
    WR_ASSERT(strcmp(a.target.host, b.target.host) == 0);
    WR_ASSERT(a.target.port == b.target.port);
    check_connect(&a, status);
    if (a.protocol == WR_INBOUND_HTTP_FORWARD) {
      size_t x, y;
      feed_body(&a.body, data + end, len - end, len, &x);
      feed_body(&b.body, data + end, len - end, 1, &y);
      WR_ASSERT(x == y);
    }
  }
  wr_inbound_reset(&a);
  wr_inbound_reset(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static const int statuses[] = {0, WR_ECHANNEL_DENIED, WR_ECHANNEL_TIMEOUT,
                                 WR_ETUNNEL_DOWN};
  wr_mem mem;
  if (len == 0) {
    return 0;
  }
  wr_mem_init(&mem);
  run(&mem, data + 1, len - 1, (data[0] & 1) != 0, statuses[data[0] >> 1 & 3]);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
