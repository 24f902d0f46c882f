/* authorized_keys: a file is taken as a whole or refused with its line, and a
   line more that is no plain key is never taken. */

#include <string.h>

#include "base/errors.h"
#include "ssh/authkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(const uint8_t *data, size_t size) {
  size_t n = 1;
  for (size_t i = 0; i < size; i++) {
    n += data[i] == '\n' ? 1 : 0;
  }
  return n;
}

/* What was taken is still refused with options in front of it. */
static void check_options(wr_mem *mem, const uint8_t *data, size_t size) {
  static const char option[] = "restrict ";
  size_t head = sizeof(option) - 1;
  wr_authkeys *keys = NULL;
  size_t line = 0;
  char *text = wr_alloc(mem, size + head);
  WR_ASSERT(text != NULL);
  memcpy(text, option, head);
  memcpy(text + head, data, size);
  int err = wr_authkeys_parse(mem, 7, text, size + head, &keys, &line);
  WR_ASSERT(err == WR_EKEY_OPTIONS || err == WR_EKEY_FORMAT);
  WR_ASSERT(line == 1);
  wr_free(mem, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_authkeys *keys = NULL;
  size_t line = 0;
  wr_mem_init(&mem);
  int err = wr_authkeys_parse(&mem, 7, (const char *)data, size, &keys, &line);
  if (err == 0) {
    WR_ASSERT(wr_authkeys_count(keys) <= count_lines(data, size));
    WR_ASSERT(!wr_authkeys_has(keys, (wr_slice){data, size}));
    wr_authkeys_free(keys);
  } else {
    WR_ASSERT(err == WR_EKEY_OPTIONS || err == WR_EKEY_TYPE ||
              err == WR_EKEY_FORMAT);
    WR_ASSERT(line >= 1 && line <= count_lines(data, size));
  }
  check_options(&mem, data, size);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
