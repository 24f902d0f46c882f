#include <string.h>

#include "proxy/policy.h"

/* Lines: "+rule" and "-rule" add to the policy, anything else is judged by it in
   every way. A denial by name must hold for each address, and an address in any
   writing get one answer. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void judge(const wr_policy *p, const char *host, uint16_t port) {
  wr_ip ip;
  wr_ip other = {.family = 4, .bytes = {192, 0, 2, 1}};
  char plain[1024];
  wr_verdict v = wr_policy_host(p, host, port);
  size_t len = strlen(host);
  memcpy(plain, host, len + 1);
  if (len > 0 && plain[len - 1] == '.') {
    plain[len - 1] = '\0';
  }
  if (wr_ip_parse(plain, &ip) == 0) {
    WR_ASSERT(v != WR_CHECK_ADDRESSES);
    WR_ASSERT((v == WR_ALLOW) == wr_policy_address(p, host, port, &ip));
  } else if (v != WR_CHECK_ADDRESSES) {
    WR_ASSERT((v == WR_ALLOW) == wr_policy_address(p, host, port, &other));
  }
  bool proxied = wr_policy_proxied(p, host, port);
  WR_ASSERT(v == WR_CHECK_ADDRESSES || (v == WR_ALLOW) == proxied);
  (void)wr_policy_listen(p, host, port);
  (void)wr_policy_unix(p, host);
  (void)wr_policy_reserved(p, host);
}

static void one_line(wr_policy *p, const char *line) {
  const char *why = NULL;
  if (line[0] == '+' || line[0] == '-') {
    if (wr_policy_add(p, line[0] == '+', line + 1, &why) != 0) {
      WR_ASSERT(why != NULL);
    }
    return;
  }
  judge(p, line, 0);
  judge(p, line, 80);
  judge(p, line, 8080);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  char line[1024];
  wr_mem mem;
  wr_mem_init(&mem);
  wr_policy *p = wr_policy_new(&mem);
  while (p != NULL && len > 0) {
    const uint8_t *end = memchr(data, '\n', len);
    size_t n = end == NULL ? len : (size_t)(end - data);
    if (n < sizeof(line)) {
      memcpy(line, data, n);
      line[n] = '\0';
      one_line(p, line);
    }
    n = WR_MIN(n + 1, len);
    data += n;
    len -= n;
  }
  wr_policy_free(p);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
