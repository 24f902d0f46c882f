#include "net/addr.h"

#include <string.h>

#include "base/errors.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0,    0,
                                          0, 0, 0, 0, 0xff, 0xff};
static const uint8_t nat64_prefix[12] = {0, 0x64, 0xff, 0x9b, 0, 0,
                                         0, 0,    0,    0,    0, 0};

static void set_v4(wr_ip *ip, const uint8_t bytes[4]) {
  uint8_t copy[4];
  memcpy(copy, bytes, sizeof(copy));
  memset(ip, 0, sizeof(*ip));
  ip->family = 4;
  memcpy(ip->bytes, copy, sizeof(copy));
}

static void set_v6(wr_ip *ip, const uint8_t bytes[16]) {
  ip->family = 6;
  memcpy(ip->bytes, bytes, 16);
}

/* An IPv6 address that stands for an IPv4 one becomes that. */
static void canonicalise(wr_ip *ip) {
  if (ip->family == 6 && (memcmp(ip->bytes, mapped_prefix, 12) == 0 ||
                          memcmp(ip->bytes, nat64_prefix, 12) == 0)) {
    set_v4(ip, ip->bytes + 12);
  }
}

static int digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return 16;
}

/* One number of inet_aton's: decimal, 0octal or 0xhex, at most 32 bits. */
static bool aton_part(const char **text, uint32_t *value) {
  const char *p = *text;
  uint64_t n = 0;
  int base = 10;
  if (*p == '0') {
    base = 8; /* the zero itself is a digit already */
    if (p[1] == 'x' || p[1] == 'X') {
      base = 16;
      p += 2;
    }
  }
  const char *first = p;
  while (digit_of(*p) < base) {
    n = n * (unsigned)base + (unsigned)digit_of(*p);
    if (n > UINT32_MAX) {
      return false;
    }
    p++;
  }
  if (p == first) {
    return false;
  }
  *text = p;
  *value = (uint32_t)n;
  return true;
}

/* Up to four parts; the last one fills all bytes that are left. */
static bool aton(const char *text, uint8_t dst[4]) {
  uint32_t parts[4];
  size_t n = 0;
  for (;;) {
    if (n == 4 || !aton_part(&text, &parts[n])) {
      return false;
    }
    n++;
    if (*text == '\0') {
      break;
    }
    if (*text++ != '.') {
      return false;
    }
  }
  uint32_t value = parts[n - 1];
  if (n > 1 && value >> (8 * (5 - n)) != 0) {
    return false;
  }
  for (size_t i = 0; i < n - 1; i++) {
    if (parts[i] > 255) {
      return false;
    }
    value |= parts[i] << (24 - 8 * i);
  }
  for (size_t i = 0; i < 4; i++) {
    dst[i] = (uint8_t)(value >> (24 - 8 * i));
  }
  return true;
}

/* Takes the brackets off "[...]". false if it is too long or half-bracketed. */
static bool unbracket(const char *text, char dst[WR_ADDR_TEXT_MAX]) {
  size_t len = strnlen(text, WR_ADDR_TEXT_MAX);
  if (len < 2 || len >= WR_ADDR_TEXT_MAX || text[0] != '[' ||
      text[len - 1] != ']') {
    return false;
  }
  memcpy(dst, text + 1, len - 2);
  dst[len - 2] = '\0';
  return true;
}

static bool parse_v6(const char *text, wr_ip *ip) {
  uint8_t bytes[16];
  /* libuv's would take a scope ("fe80::1%eth0") and drop it. */
  if (strchr(text, '%') != NULL || uv_inet_pton(AF_INET6, text, bytes) != 0) {
    return false;
  }
  set_v6(ip, bytes);
  return true;
}

int wr_ip_parse_as_is(const char *text, wr_ip *ip) {
  uint8_t v4[4];
  if (aton(text, v4)) {
    set_v4(ip, v4);
    return 0;
  }
  return parse_v6(text, ip) ? 0 : WR_EMALFORMED;
}

int wr_ip_parse(const char *text, wr_ip *ip) {
  char inner[WR_ADDR_TEXT_MAX];
  wr_ip found;
  bool fine = text[0] == '[' ? unbracket(text, inner) && parse_v6(inner, &found)
                             : wr_ip_parse_as_is(text, &found) == 0;
  if (!fine) {
    return WR_EMALFORMED;
  }
  canonicalise(&found);
  *ip = found;
  return 0;
}

/* A decimal number without sign, blanks or leading zeros. */
static bool parse_bits(const char *text, unsigned max, uint8_t *bits) {
  unsigned n = 0;
  size_t len = strlen(text);
  if (len == 0 || len > 3 || (text[0] == '0' && len > 1)) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') {
      return false;
    }
    n = n * 10 + (unsigned)(text[i] - '0');
  }
  if (n > max) {
    return false;
  }
  *bits = (uint8_t)n;
  return true;
}

/* The mask of byte i of a prefix. */
static uint8_t mask_at(unsigned bits, size_t i) {
  size_t done = 8 * i;
  if (bits >= done + 8) {
    return 0xff;
  }
  if (bits <= done) {
    return 0;
  }
  return (uint8_t)(0xff00U >> (bits - done));
}

bool wr_cidr_is_network(const wr_cidr *cidr) {
  size_t len = cidr->ip.family == 4 ? 4 : 16;
  for (size_t i = 0; i < len; i++) {
    if ((cidr->ip.bytes[i] & ~mask_at(cidr->bits, i)) != 0) {
      return false;
    }
  }
  return true;
}

int wr_cidr_parse(const char *text, wr_cidr *cidr) {
  char addr[WR_ADDR_TEXT_MAX];
  wr_cidr found = {.bits = 0};
  const char *slash = strchr(text, '/');
  size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
  if (len >= sizeof(addr)) {
    return WR_EMALFORMED;
  }
  memcpy(addr, text, len);
  addr[len] = '\0';
  uint8_t v4[4];
  if (uv_inet_pton(AF_INET, addr, v4) == 0) {
    set_v4(&found.ip, v4);
  } else if (!parse_v6(addr, &found.ip)) {
    return WR_EMALFORMED;
  }
  unsigned width = found.ip.family == 4 ? 32 : 128;
  found.bits = (uint8_t)width;
  if (slash != NULL && !parse_bits(slash + 1, width, &found.bits)) {
    return WR_EMALFORMED;
  }
  if (!wr_cidr_is_network(&found)) {
    return WR_EMALFORMED;
  }
  /* A prefix inside of ::ffff:0:0/96 is one of IPv4. A shorter one stays IPv6:
     addresses compare in canonical form, so it holds IPv6 ones only. */
  if (found.bits >= 96 && width == 128) {
    canonicalise(&found.ip);
    if (found.ip.family == 4) {
      found.bits = (uint8_t)(found.bits - 96);
    }
  }
  *cidr = found;
  return 0;
}

bool wr_cidr_contains(const wr_cidr *cidr, const wr_ip *ip) {
  if (cidr->ip.family != ip->family) {
    return false;
  }
  for (size_t i = 0; i * 8 < cidr->bits; i++) {
    if (((cidr->ip.bytes[i] ^ ip->bytes[i]) & mask_at(cidr->bits, i)) != 0) {
      return false;
    }
  }
  return true;
}

bool wr_cidrs_contain(const wr_cidr *cidrs, size_t n, const wr_ip *ip) {
  for (size_t i = 0; i < n; i++) {
    if (wr_cidr_contains(&cidrs[i], ip)) {
      return true;
    }
  }
  return false;
}

bool wr_ip_from_sockaddr(const struct sockaddr *sa, wr_ip *ip) {
  if (sa->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)sa;
    uint8_t bytes[4];
    memcpy(bytes, &in->sin_addr, sizeof(bytes));
    set_v4(ip, bytes);
    return true;
  }
  if (sa->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const void *)sa;
    set_v6(ip, in6->sin6_addr.s6_addr);
    canonicalise(ip);
    return true;
  }
  return false;
}

void wr_ip_to_sockaddr(const wr_ip *ip, uint16_t port,
                       struct sockaddr_storage *ss) {
  memset(ss, 0, sizeof(*ss));
  if (ip->family == 4) {
    struct sockaddr_in *in = (void *)ss;
    in->sin_family = AF_INET;
    memcpy(&in->sin_addr, ip->bytes, 4);
  } else {
    struct sockaddr_in6 *in6 = (void *)ss;
    in6->sin6_family = AF_INET6;
    memcpy(&in6->sin6_addr, ip->bytes, 16);
  }
  wr_sockaddr_set_port(ss, port);
}

uint16_t wr_sockaddr_port(const struct sockaddr *sa) {
  if (sa->sa_family == AF_INET) {
    return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
  }
  if (sa->sa_family == AF_INET6) {
    return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
  }
  return 0;
}

void wr_sockaddr_set_port(struct sockaddr_storage *ss, uint16_t port) {
  if (ss->ss_family == AF_INET) {
    ((struct sockaddr_in *)(void *)ss)->sin_port = htons(port);
  } else if (ss->ss_family == AF_INET6) {
    ((struct sockaddr_in6 *)(void *)ss)->sin6_port = htons(port);
  }
}

void wr_sockaddr_host(const struct sockaddr *sa, char dst[WR_ADDR_TEXT_MAX]) {
  dst[0] = '\0';
  if (sa->sa_family == AF_INET) {
    uv_ip4_name((const void *)sa, dst, WR_ADDR_TEXT_MAX);
    return;
  }
  if (sa->sa_family != AF_INET6) {
    return;
  }
  const struct sockaddr_in6 *in6 = (const void *)sa;
  if (memcmp(in6->sin6_addr.s6_addr, mapped_prefix, 12) == 0) {
    uv_inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, dst, WR_ADDR_TEXT_MAX);
    return;
  }
  uv_ip6_name(in6, dst, WR_ADDR_TEXT_MAX);
  if (in6->sin6_scope_id != 0) {
    size_t len = strlen(dst);
    snprintf(dst + len, WR_ADDR_TEXT_MAX - len, "%%%u",
             (unsigned)in6->sin6_scope_id);
  }
}

void wr_sockaddr_text(const struct sockaddr *sa, char dst[WR_ADDR_TEXT_MAX]) {
  char host[WR_ADDR_TEXT_MAX];
  wr_sockaddr_host(sa, host);
  if (host[0] == '\0') {
    dst[0] = '\0';
    return;
  }
  bool v6 = strchr(host, ':') != NULL;
  /* 39 characters and a scope of ten digits are the most there can be. */
  snprintf(dst, WR_ADDR_TEXT_MAX, "%s%.54s%s:%u", v6 ? "[" : "", host,
           v6 ? "]" : "", (unsigned)wr_sockaddr_port(sa));
}

size_t wr_ip_peer_key(const wr_ip *ip, uint8_t dst[9]) {
  size_t len = ip->family == 4 ? 4 : 8;
  dst[0] = ip->family;
  memcpy(dst + 1, ip->bytes, len);
  return len + 1;
}

/* The first `bits` bits are those of `prefix`. */
static bool starts(const wr_ip *ip, uint8_t family, const uint8_t *prefix,
                   unsigned bits) {
  if (ip->family != family) {
    return false;
  }
  for (size_t i = 0; i * 8 < bits; i++) {
    if (((ip->bytes[i] ^ prefix[i]) & mask_at(bits, i)) != 0) {
      return false;
    }
  }
  return true;
}

bool wr_ip_is_loopback(const wr_ip *ip) {
  static const uint8_t v4[4] = {127};
  static const uint8_t v6[16] = {[15] = 1};
  static const uint8_t any[16] = {0};
  return starts(ip, 4, v4, 8) || starts(ip, 6, v6, 128) ||
         starts(ip, 4, any, 32) || starts(ip, 6, any, 128);
}

bool wr_ip_is_private(const wr_ip *ip) {
  static const uint8_t a[4] = {10};
  static const uint8_t b[4] = {172, 16};
  static const uint8_t c[4] = {192, 168};
  static const uint8_t carrier[4] = {100, 64};
  static const uint8_t unique[16] = {0xfc};
  return starts(ip, 4, a, 8) || starts(ip, 4, b, 12) || starts(ip, 4, c, 16) ||
         starts(ip, 4, carrier, 10) || starts(ip, 6, unique, 7);
}

bool wr_ip_is_link_local(const wr_ip *ip) {
  static const uint8_t v4[4] = {169, 254};
  static const uint8_t v6[16] = {0xfe, 0x80};
  return starts(ip, 4, v4, 16) || starts(ip, 6, v6, 10);
}

bool wr_ip_is_metadata(const wr_ip *ip) {
  static const uint8_t common[4] = {169, 254, 169, 254};
  static const uint8_t azure[4] = {168, 63, 129, 16};
  static const uint8_t alibaba[4] = {100, 100, 100, 200};
  static const uint8_t aws6[16] = {0xfd, 0x00,     0x0e,
                                   0xc2, [14] = 2, [15] = 0x54};
  return starts(ip, 4, common, 32) || starts(ip, 4, azure, 32) ||
         starts(ip, 4, alibaba, 32) || starts(ip, 6, aws6, 128);
}
