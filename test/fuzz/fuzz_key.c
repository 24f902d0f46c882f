/* Private key files: whatever is taken for a key signs, verifies with its own
   blob, and is the same key again after it was written and read. Encrypted
   containers are only looked at, as bcrypt would eat all the time. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/key.h"
#include "ssh/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_signature(const wr_key *key, wr_buf *out) {
  WR_ASSERT(wr_key_sign(key, "text", 4, out) == 0);
  wr_slice sig = {out->data, out->len};
  WR_ASSERT(wr_sig_verify(wr_key_blob(key), sig, "text", 4, NULL) == 0);
  WR_ASSERT(wr_sig_verify(wr_key_blob(key), sig, "Text", 4, NULL) != 0);
  wr_buf_consume(out, out->len);
}

static void check_writing(wr_mem *mem, const wr_key *key, wr_buf *out) {
  wr_key *again = NULL;
  WR_ASSERT(wr_key_write_private(key, "c", NULL, out) == 0);
  WR_ASSERT(wr_key_parse(mem, out->data, out->len, NULL, &again) == 0);
  WR_ASSERT(wr_slice_same(wr_key_blob(key), wr_key_blob(again)));
  wr_key_unref(again);
}

static void check_key(wr_mem *mem, const uint8_t *data, size_t size,
                      const char *passphrase) {
  wr_key *key = NULL;
  wr_buf out;
  int err = wr_key_parse(mem, data, size, passphrase, &key);
  if (err != 0) {
    WR_ASSERT(key == NULL);
    WR_ASSERT(err == WR_EKEY_FORMAT || err == WR_EKEY_TYPE ||
              err == WR_EKEY_PASSPHRASE);
    return;
  }
  wr_buf_init(&out, mem, WR_KEY_FILE_MAX);
  check_signature(key, &out);
  check_writing(mem, key, &out);
  wr_buf_wipe(&out);
  wr_key_unref(key);
}

static void check_blob(wr_mem *mem, const uint8_t *data, size_t size) {
  char print[WR_FINGERPRINT_MAX];
  wr_buf out;
  wr_slice all = {data, size};
  wr_buf_init(&out, mem, WR_KEY_FILE_MAX);
  wr_slice type = wr_blob_type(all);
  WR_ASSERT(type.len <= 64);
  wr_blob_fingerprint(all, print);
  WR_ASSERT(strlen(print) == 50);
  WR_ASSERT(wr_sig_verify(all, all, data, size, NULL) != 0);
  if (wr_blob_parse_line((const char *)data, size, &out) == 0) {
    WR_ASSERT(wr_blob_type((wr_slice){out.data, out.len}).len > 0);
  } else {
    WR_ASSERT(out.len == 0);
  }
  wr_buf_reset(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_mem_init(&mem);
  int encrypted = wr_key_is_encrypted(data, size);
  WR_ASSERT(encrypted == 0 || encrypted == 1 || encrypted == WR_EKEY_FORMAT);
  check_key(&mem, data, size, encrypted == 0 ? "not needed" : NULL);
  check_blob(&mem, data, size);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
