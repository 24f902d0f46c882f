/* The first bytes of a connection: the verdict is the same however they are split,
   never changes, and without the secret nothing is a tunnel. The first byte has
   the options, the second says where to cut. */

#include <string.h>

#include "base/wire.h"
#include "net/firstbytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW UINT64_C(1780394400)

static wr_first feed(wr_firstbytes *f, const wr_firstbytes_opts *opts,
                     const uint8_t *data, size_t size, size_t step) {
  wr_firstbytes_init(f, opts);
  for (size_t n = step; n < size; n += step) {
    (void)wr_firstbytes_feed(f, data, n, NOW);
  }
  return wr_firstbytes_feed(f, data, size, NOW);
}

static void check_upgrade(const wr_firstbytes *f, const uint8_t *data,
                          size_t size) {
  WR_ASSERT(f->head.done && f->head.len <= size);
  WR_ASSERT(f->key.len == 24 && f->key.data > data &&
            f->key.data + f->key.len <= data + f->head.len);
  WR_ASSERT(wr_slice_eq(wr_http_text(data, f->head.target), "/ws"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_firstbytes whole;
  wr_firstbytes cut;
  wr_knock_cache cache;
  wr_mem mem;
  if (size < 2) {
    return 0;
  }
  wr_mem_init(&mem);
  wr_knock_cache_init(&cache, &mem, 1, 0);
  wr_firstbytes_opts opts = {.ssh = (data[0] & 1) != 0,
                             .path = (data[0] & 2) != 0 ? "/ws" : NULL,
                             .cache = &cache};
  if ((data[0] & 4) != 0) {
    opts.secret = wr_slice_of("not in the corpus");
  }
  size_t step = 1 + data[1] % 32;
  data += 2;
  size -= 2;
  wr_first verdict = feed(&whole, &opts, data, size, size + 1);
  WR_ASSERT(feed(&cut, &opts, data, size, step) == verdict);
  WR_ASSERT(cut.knocked == whole.knocked && cut.knock == whole.knock);
  WR_ASSERT(verdict != WR_FIRST_MORE || size <= WR_FIRSTBYTES_MAX);
  WR_ASSERT(verdict != WR_FIRST_SSH || opts.ssh);
  if (verdict == WR_FIRST_UPGRADE) {
    WR_ASSERT(opts.secret.len == 0 && opts.path != NULL);
    check_upgrade(&whole, data, size);
    WR_ASSERT(feed(&cut, &opts, data, whole.head.len - 1, size) ==
              WR_FIRST_MORE);
  }
  wr_knock_cache_reset(&cache);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
