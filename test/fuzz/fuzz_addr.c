/* Addresses and prefixes: what parses prints as a text that parses to the same,
   and a prefix contains its own address. */

#include <string.h>

#include "base/errors.h"
#include "net/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_ip(const wr_ip *ip, char text[WR_ADDR_TEXT_MAX]) {
  struct sockaddr_storage ss;
  wr_ip back;
  wr_ip_to_sockaddr(ip, 1234, &ss);
  WR_ASSERT(wr_sockaddr_port((struct sockaddr *)&ss) == 1234);
  WR_ASSERT(wr_ip_from_sockaddr((struct sockaddr *)&ss, &back));
  WR_ASSERT(memcmp(ip, &back, sizeof(back)) == 0);
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  WR_ASSERT(strlen(text) < WR_ADDR_TEXT_MAX);
  wr_sockaddr_host((struct sockaddr *)&ss, text);
}

static void check_ip(const char *text) {
  char printed[WR_ADDR_TEXT_MAX];
  uint8_t key[9];
  wr_ip ip;
  wr_ip again;
  if (wr_ip_parse(text, &ip) != 0) {
    return;
  }
  WR_ASSERT(ip.family == 4 || ip.family == 6);
  WR_ASSERT(wr_ip_peer_key(&ip, key) == (ip.family == 4 ? 5 : 9));
  print_ip(&ip, printed);
  WR_ASSERT(wr_ip_parse(printed, &again) == 0);
  WR_ASSERT(memcmp(&ip, &again, sizeof(ip)) == 0);
}

static void check_cidr(const char *text) {
  char printed[WR_ADDR_TEXT_MAX];
  char whole[WR_ADDR_TEXT_MAX + 8];
  wr_cidr cidr;
  wr_cidr again;
  if (wr_cidr_parse(text, &cidr) != 0) {
    return;
  }
  WR_ASSERT(cidr.bits <= (cidr.ip.family == 4 ? 32 : 128));
  WR_ASSERT(wr_cidr_contains(&cidr, &cidr.ip));
  print_ip(&cidr.ip, printed);
  snprintf(whole, sizeof(whole), "%s/%u", printed, (unsigned)cidr.bits);
  /* A prefix shorter than that of the IPv4 addresses inside of IPv6 prints as
     one of them, which no longer has its bits. */
  if (cidr.ip.family == 6 && strchr(printed, ':') == NULL) {
    return;
  }
  WR_ASSERT(wr_cidr_parse(whole, &again) == 0);
  WR_ASSERT(memcmp(&cidr, &again, sizeof(cidr)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[256];
  if (size >= sizeof(text)) {
    return 0;
  }
  memcpy(text, data, size);
  text[size] = '\0';
  check_ip(text);
  check_cidr(text);
  return 0;
}
