/* known_hosts: the first line of the input is the host to ask for, the rest the
   file. The verdict goes with the line it names, and a line that is written for
   the host is found again, wherever it can be. */

#include <string.h>

#include "base/errors.h"
#include "ssh/key.h"
#include "ssh/known_hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t blob[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
                              "0123456789abcdef0123456789abcdef";
#define BLOB ((wr_slice){blob, sizeof(blob) - 1})

static void check_file(wr_mem *mem, const char *host, uint16_t port,
                       wr_slice text) {
  const char *s = (const char *)text.data;
  wr_buf types;
  size_t line = 0;
  wr_known_verdict v =
      wr_known_hosts_check(s, text.len, host, port, BLOB, &line);
  WR_ASSERT((line != 0) == (v == WR_KNOWN_MISMATCH || v == WR_KNOWN_REVOKED));
  wr_buf_init(&types, mem, WR_KEY_FILE_MAX);
  WR_ASSERT(wr_known_hosts_types(s, text.len, host, port, &types) == 0);
  /* Whoever has a key of the host has its type. */
  WR_ASSERT(types.len > 0 || v == WR_KNOWN_UNKNOWN || v == WR_KNOWN_REVOKED);
  wr_buf_reset(&types);
}

/* The line of a first contact behind the file: a match, unless the key is
   revoked there. */
static void check_line(wr_mem *mem, const char *host, uint16_t port,
                       wr_slice text) {
  wr_buf all;
  size_t line = 0;
  wr_buf_init(&all, mem, text.len + 65536);
  WR_ASSERT(wr_buf_append(&all, text.data, text.len) == 0);
  WR_ASSERT(wr_buf_put_u8(&all, '\n') == 0);
  if (wr_known_hosts_line(host, port, BLOB, &all) == 0) {
    wr_known_verdict v = wr_known_hosts_check((const char *)all.data, all.len,
                                              host, port, BLOB, &line);
    WR_ASSERT(v == WR_KNOWN_MATCH || v == WR_KNOWN_REVOKED);
  }
  wr_buf_reset(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_mem_init(&mem);
  const uint8_t *lf = size == 0 ? NULL : memchr(data, '\n', size);
  if (lf == NULL) {
    return 0;
  }
  size_t host_len = (size_t)(lf - data);
  wr_slice text = {lf + 1, size - host_len - 1};
  char *host = wr_strndup(&mem, (const char *)data, host_len);
  WR_ASSERT(host != NULL);
  check_file(&mem, host, 22, text);
  check_file(&mem, host, 2222, text);
  check_line(&mem, host, 22, text);
  check_line(&mem, host, 2222, text);
  wr_free(&mem, host);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
