/* Headers of load balancers: however they are cut, the same comes of them, and
   nothing behind the header is taken. The first byte says where to cut. */

#include <string.h>

#include "base/errors.h"
#include "net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns how much was taken; the outcome is in h and *err. */
static size_t feed(wr_proxy_header *h, const uint8_t *data, size_t size,
                   size_t step, int *err) {
  size_t taken = 0;
  *err = 0;
  wr_proxy_header_init(h);
  while (*err == 0 && h->state == WR_PROXY_MORE && taken < size) {
    size_t n = WR_MIN(step, size - taken);
    size_t used = 0;
    *err = wr_proxy_header_feed(h, data + taken, n, &used);
    WR_ASSERT(used <= n);
    WR_ASSERT(*err != 0 || h->state != WR_PROXY_MORE || used == n);
    taken += used;
  }
  WR_ASSERT(*err == 0 || *err == WR_EMALFORMED);
  return taken;
}

static void check_outcome(const wr_proxy_header *h, size_t taken) {
  WR_ASSERT(h->len <= WR_PROXY_LINE_MAX);
  WR_ASSERT(h->state != WR_PROXY_NONE || taken == h->len);
  WR_ASSERT(h->state != WR_PROXY_SOURCE || h->source.family == 4 ||
            h->source.family == 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_proxy_header whole;
  wr_proxy_header cut;
  int err;
  int cut_err;
  if (size < 2) {
    return 0;
  }
  size_t step = 1 + data[0] % 32;
  data++;
  size--;
  size_t taken = feed(&whole, data, size, size, &err);
  check_outcome(&whole, taken);
  size_t cut_taken = feed(&cut, data, size, step, &cut_err);
  WR_ASSERT(cut_err == err && cut_taken == taken && cut.state == whole.state);
  WR_ASSERT(memcmp(&cut.source, &whole.source, sizeof(cut.source)) == 0);
  if (err == 0 && whole.state > WR_PROXY_NONE) {
    /* Not one byte less would do. */
    feed(&cut, data, taken - 1, step, &cut_err);
    WR_ASSERT(cut_err == 0 && cut.state == WR_PROXY_MORE);
  }
  return 0;
}
