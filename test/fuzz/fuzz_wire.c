/* Reads of hostile bytes: in any order they stay within the input, agree with
   what is left, and fail for good once they fail. Base64: what decodes encodes
   to the same text. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One read as the byte says. Returns how many bytes it must have taken, if it
   did not fail. */
static size_t read_one(wr_rd *r, uint8_t what) {
  wr_slice s;
  switch (what % 7) {
  case 0:
    wr_rd_u8(r);
    return 1;
  case 1:
    wr_rd_u16(r);
    return 2;
  case 2:
    wr_rd_u32(r);
    return 4;
  case 3:
    wr_rd_u64(r);
    return 8;
  case 4:
    wr_rd_bool(r);
    return 1;
  case 5:
    s = wr_rd_bytes(r, what);
    return s.data == NULL ? 0 : what;
  default:
    s = wr_rd_string(r);
    return s.data == NULL ? 0 : 4 + s.len;
  }
}

static void check_reads(const uint8_t *ops, size_t n_ops, const uint8_t *data,
                        size_t size) {
  wr_rd r;
  wr_rd_init(&r, data, size);
  for (size_t i = 0; i < n_ops; i++) {
    wr_rd before = r;
    size_t taken = read_one(&r, ops[i]);
    if (r.bad) {
      WR_ASSERT(r.left == 0 && !wr_rd_done(&r));
      continue;
    }
    WR_ASSERT(!before.bad);
    WR_ASSERT(taken <= before.left && r.left == before.left - taken);
    WR_ASSERT(r.p == before.p + taken && r.p + r.left == data + size);
  }
}

static void check_base64(const char *text, size_t len) {
  uint8_t *plain = malloc(3 * (len / 4) + 3);
  char *again = malloc(len + 4);
  WR_ASSERT(plain != NULL && again != NULL);
  long n = wr_base64_decode(plain, text, len);
  if (n >= 0) {
    bool padded = len > 0 && len % 4 == 0;
    WR_ASSERT(wr_base64_encode(again, plain, (size_t)n, padded) == len);
    WR_ASSERT(memcmp(again, text, len) == 0);
  } else {
    WR_ASSERT(n == WR_EMALFORMED);
  }
  free(plain);
  free(again);
}

static void check_uint(const char *text, size_t len, uint64_t max) {
  uint64_t v = 0;
  if (wr_parse_uint(text, len, max, &v) != 0) {
    return;
  }
  WR_ASSERT(v <= max && len > 0);
  for (size_t i = len; i-- > 0; v /= 10) {
    WR_ASSERT((uint64_t)(text[i] - '0') == v % 10);
  }
  WR_ASSERT(v == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  size_t n_ops = WR_MIN((size_t)data[0] % 32, size - 1);
  check_reads(data + 1, n_ops, data + 1 + n_ops, size - 1 - n_ops);
  check_base64((const char *)data + 1, size - 1);
  uint64_t max = data[0] < 64 ? UINT64_MAX >> data[0] : data[0];
  check_uint((const char *)data + 1, size - 1, max);
  return 0;
}
