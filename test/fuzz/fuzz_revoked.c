/* Revocation: a file is taken as a whole or refused, in memory that its size
   bounds, and a key or certificate that is not revoked is so once a list names
   it. The input is a list and a blob at once. */

#include <string.h>

#include "base/errors.h"
#include "ssh/key.h"
#include "ssh/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int add(wr_revoked *r, const void *data, size_t len) {
  size_t line = 0;
  int err = wr_revoked_add(r, data, len, &line);
  WR_ASSERT(err == 0 || err == WR_EKEY_FORMAT);
  WR_ASSERT(err == 0 ? line == 0 : line <= len + 1);
  return err;
}

static void check_list(wr_mem *mem, const uint8_t *data, size_t size) {
  static const char key[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
                            "01234567890123456789012345678901";
  wr_slice blob = {(const uint8_t *)key, sizeof(key) - 1};
  wr_revoked *r = wr_revoked_new(mem, 7);
  WR_ASSERT(r != NULL);
  size_t before = mem->live_bytes;
  int err = add(r, data, size);
  if (err != 0) {
    WR_ASSERT(mem->live_bytes == before);
    WR_ASSERT(!wr_revoked_has(r, blob));
  }
  WR_ASSERT(mem->live_bytes - before <= 32 * size + 1024);
  uint64_t total = mem->total;
  (void)wr_revoked_has(r, blob);
  (void)wr_revoked_has(r, (wr_slice){data, size});
  WR_ASSERT(mem->total == total);
  wr_revoked_free(r);
}

static void check_blob(wr_mem *mem, const uint8_t *data, size_t size) {
  wr_slice blob = {data, size};
  wr_revoked *r = wr_revoked_new(mem, 7);
  wr_buf text;
  WR_ASSERT(r != NULL);
  wr_buf_init(&text, mem, 4 * WR_KEY_FILE_MAX);
  /* What is longer cannot stand in a line. */
  if (size <= WR_KEY_FILE_MAX / 2 && !wr_revoked_has(r, blob)) {
    WR_ASSERT(wr_key_write_public(blob, NULL, &text) == 0);
    WR_ASSERT(add(r, text.data, text.len) == 0);
    WR_ASSERT(wr_revoked_has(r, blob));
  }
  wr_buf_reset(&text);
  wr_revoked_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_mem_init(&mem);
  check_list(&mem, data, size);
  check_blob(&mem, data, size);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
