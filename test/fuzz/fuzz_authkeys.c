/* authorized_keys and files of authorities: a file is taken as a whole or
   refused with its line, a key is found again as what its line says, and an
   option that cannot be enforced is never taken. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/authkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(const uint8_t *data, size_t size) {
  size_t n = 1;
  for (size_t i = 0; i < size; i++) {
    n += data[i] == '\n' ? 1 : 0;
  }
  return n;
}

/* The lines for one key come in the order of the file. */
static void check_lines(const wr_authkeys *keys, wr_slice blob, bool authority,
                        size_t lines) {
  size_t number = 0;
  const wr_keyline *line = wr_authkeys_find(keys, blob, authority, NULL);
  while (line != NULL) {
    WR_ASSERT(line->number > number && line->number <= lines);
    WR_ASSERT(wr_slice_same(line->blob, blob));
    WR_ASSERT(authority || !line->opts.cert_authority);
    WR_ASSERT(authority || line->opts.principals == NULL);
    number = line->number;
    line = wr_authkeys_find(keys, blob, authority, line);
  }
}

/* Looks for the key that the input's first line has behind its options, if it
   has one. */
static void check_keys(const wr_authkeys *keys, const uint8_t *data,
                       size_t size) {
  size_t lines = count_lines(data, size);
  WR_ASSERT(wr_authkeys_count(keys) <= lines);
  WR_ASSERT(wr_authkeys_find(keys, (wr_slice){data, size}, false, NULL) ==
            NULL);
  const uint8_t *lf = size == 0 ? NULL : memchr(data, '\n', size);
  size_t len = lf == NULL ? size : (size_t)(lf - data);
  wr_mem mem;
  wr_buf blob;
  wr_mem_init(&mem);
  wr_buf_init(&blob, &mem, 65536);
  for (size_t i = 0; i < len; i++) {
    if ((i == 0 || data[i - 1] == ' ') &&
        wr_blob_parse_line((const char *)data + i, len - i, &blob) == 0) {
      break;
    }
  }
  check_lines(keys, (wr_slice){blob.data, blob.len}, false, lines);
  check_lines(keys, (wr_slice){blob.data, blob.len}, true, lines);
  wr_buf_reset(&blob);
}

static void check_kind(wr_mem *mem, wr_authkeys_kind kind, const uint8_t *data,
                       size_t size) {
  wr_authkeys *keys = NULL;
  wr_authkeys_error error;
  int err = wr_authkeys_parse(mem, 7, kind, "", (const char *)data, size, &keys,
                              &error);
  WR_ASSERT((error.why != NULL) == (err == WR_EKEY_OPTIONS));
  if (err == 0) {
    check_keys(keys, data, size);
    wr_authkeys_free(keys);
    return;
  }
  WR_ASSERT(err == WR_EKEY_OPTIONS || err == WR_EKEY_TYPE ||
            err == WR_EKEY_FORMAT);
  WR_ASSERT(error.line >= 1 && error.line <= count_lines(data, size));
}

static void check_options(wr_mem *mem, const uint8_t *data, size_t size) {
  static const char option[] = "command=\"x\" ";
  size_t head = sizeof(option) - 1;
  wr_authkeys *keys = NULL;
  wr_authkeys_error error;
  char *text = wr_alloc(mem, size + head);
  WR_ASSERT(text != NULL);
  memcpy(text, option, head);
  if (size > 0) {
    memcpy(text + head, data, size);
  }
  int err = wr_authkeys_parse(mem, 7, WR_AUTHKEYS_USERS, "", text, size + head,
                              &keys, &error);
  WR_ASSERT(err == WR_EKEY_OPTIONS || err == WR_EKEY_FORMAT);
  WR_ASSERT(error.line == 1);
  wr_free(mem, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_mem_init(&mem);
  check_kind(&mem, WR_AUTHKEYS_USERS, data, size);
  check_kind(&mem, WR_AUTHKEYS_AUTHORITIES, data, size);
  check_options(&mem, data, size);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
