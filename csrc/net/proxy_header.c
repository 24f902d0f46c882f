#include "net/proxy_header.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

#define V1_PREFIX "PROXY "
#define V1_PREFIX_LEN (sizeof(V1_PREFIX) - 1)
#define V1_UNKNOWN "UNKNOWN"
#define V1_UNKNOWN_LEN (sizeof(V1_UNKNOWN) - 1)

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_SIGNATURE_LEN ((size_t)12)
#define V2_FIXED_LEN ((size_t)16) /* signature, command, family, length */
/* What a block of addresses holds at least: two addresses and two ports, or two
   paths. */
#define V2_INET_LEN ((size_t)12)
#define V2_INET6_LEN ((size_t)36)
#define V2_UNIX_LEN ((size_t)216)

typedef enum v2_family {
  V2_UNSPEC = 0,
  V2_INET = 1,
  V2_INET6 = 2,
  V2_UNIX = 3
} v2_family;

void wr_proxy_header_init(wr_proxy_header *h) {
  *h = (wr_proxy_header){.state = WR_PROXY_MORE};
}

static void set_source(wr_proxy_header *h, int family, const uint8_t *bytes) {
  struct sockaddr_storage ss;
  memset(&ss, 0, sizeof(ss));
  ss.ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    memcpy(&((struct sockaddr_in *)(void *)&ss)->sin_addr, bytes, 4);
  } else {
    memcpy(&((struct sockaddr_in6 *)(void *)&ss)->sin6_addr, bytes, 16);
  }
  bool known = wr_ip_from_sockaddr((const struct sockaddr *)&ss, &h->source);
  WR_ASSERT(known);
  h->state = WR_PROXY_SOURCE;
}

/* VERSION 1 */

/* The text up to the next blank, which must be there, or to the end. */
static bool next_field(wr_slice *line, bool last, wr_slice *field) {
  const uint8_t *blank = memchr(line->data, ' ', line->len);
  if ((blank == NULL) != last) {
    return false;
  }
  size_t len = last ? line->len : (size_t)(blank - line->data);
  *field = (wr_slice){line->data, len};
  size_t used = last ? len : len + 1;
  *line = (wr_slice){line->data + used, line->len - used};
  return true;
}

/* A scope is no part of an address here, though libuv would take one. */
static bool read_address(wr_slice text, int family, uint8_t dst[16]) {
  char copy[WR_ADDR_TEXT_MAX];
  if (text.len >= sizeof(copy) || wr_slice_has_nul(text) ||
      memchr(text.data, '%', text.len) != NULL) {
    return false;
  }
  memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  return uv_inet_pton(family, copy, dst) == 0;
}

/* Without leading zeros, which others may read as octal. */
static bool is_port(wr_slice text) {
  uint64_t port;
  return text.len > 0 && (text.len == 1 || text.data[0] != '0') &&
         wr_parse_uint((const char *)text.data, text.len, 65535, &port) == 0;
}

static int read_addresses(wr_proxy_header *h, wr_slice line, int family) {
  wr_slice source;
  wr_slice target;
  wr_slice source_port;
  wr_slice target_port;
  uint8_t from[16];
  uint8_t to[16];
  if (!next_field(&line, false, &source) ||
      !next_field(&line, false, &target) ||
      !next_field(&line, false, &source_port) ||
      !next_field(&line, true, &target_port) ||
      !read_address(source, family, from) ||
      !read_address(target, family, to) || !is_port(source_port) ||
      !is_port(target_port)) {
    return WR_EMALFORMED;
  }
  set_source(h, family, from);
  return 0;
}

/* line: what stands between the prefix and CR LF. What follows UNKNOWN is not
   to be looked at. */
static int read_line(wr_proxy_header *h, wr_slice line) {
  wr_slice protocol;
  if (line.len >= V1_UNKNOWN_LEN &&
      memcmp(line.data, V1_UNKNOWN, V1_UNKNOWN_LEN) == 0 &&
      (line.len == V1_UNKNOWN_LEN || line.data[V1_UNKNOWN_LEN] == ' ')) {
    h->state = WR_PROXY_PEER;
    return 0;
  }
  if (!next_field(&line, false, &protocol)) {
    return WR_EMALFORMED;
  }
  if (wr_slice_eq(protocol, "TCP4")) {
    return read_addresses(h, line, AF_INET);
  }
  return wr_slice_eq(protocol, "TCP6") ? read_addresses(h, line, AF_INET6)
                                       : WR_EMALFORMED;
}

static int v1_byte(wr_proxy_header *h) {
  size_t at = h->len - 1;
  if (at < V1_PREFIX_LEN) {
    return 0;
  }
  if (h->head[at] != '\n') {
    return h->len < WR_PROXY_LINE_MAX ? 0 : WR_EMALFORMED;
  }
  if (at == V1_PREFIX_LEN || h->head[at - 1] != '\r') {
    return WR_EMALFORMED;
  }
  return read_line(h,
                   (wr_slice){h->head + V1_PREFIX_LEN, at - 1 - V1_PREFIX_LEN});
}

/* VERSION 2 */

/* The addresses, if any, are there. */
static void v2_finish(wr_proxy_header *h) {
  const uint8_t *addresses = h->head + V2_FIXED_LEN;
  bool local = (h->head[V2_SIGNATURE_LEN] & 0xf) == 0;
  switch (local ? V2_UNSPEC : h->head[V2_SIGNATURE_LEN + 1] >> 4) {
  case V2_INET:
    set_source(h, AF_INET, addresses);
    break;
  case V2_INET6:
    set_source(h, AF_INET6, addresses);
    break;
  case V2_UNIX:
    h->state = WR_PROXY_UNIX;
    break;
  default:
    h->state = WR_PROXY_PEER;
  }
}

/* The fixed part is there. Of a local connection (the balancer's own, to see
   whether we are well) nothing else counts. */
static int v2_begin(wr_proxy_header *h) {
  static const size_t least[] = {0, V2_INET_LEN, V2_INET6_LEN, V2_UNIX_LEN};
  const uint8_t *p = h->head + V2_SIGNATURE_LEN;
  size_t block = (size_t)p[2] << 8 | p[3];
  unsigned family = p[1] >> 4;
  bool local = p[0] == 0x20;
  if (!local && (p[0] != 0x21 || family > V2_UNIX || (p[1] & 0xf) > 2 ||
                 block < least[family])) {
    return WR_EMALFORMED;
  }
  bool kept = !local && (family == V2_INET || family == V2_INET6);
  size_t addresses = kept ? least[family] : 0;
  h->need = V2_FIXED_LEN + addresses;
  h->skip = block - addresses;
  return 0;
}

static int v2_byte(wr_proxy_header *h) {
  size_t at = h->len - 1;
  if (at < V2_SIGNATURE_LEN) {
    return h->head[at] == (uint8_t)V2_SIGNATURE[at] ? 0 : WR_EMALFORMED;
  }
  int err = h->len == V2_FIXED_LEN ? v2_begin(h) : 0;
  if (err == 0 && h->len == h->need && h->skip == 0) {
    v2_finish(h);
  }
  return err;
}

/* Paths, and the fields that may follow the addresses. */
static size_t v2_skip(wr_proxy_header *h, size_t len) {
  size_t n = WR_MIN(h->skip, len);
  h->skip -= n;
  if (h->skip == 0) {
    v2_finish(h);
  }
  return n;
}

/* Whether the next byte tells that there is no header. */
static bool is_none(const wr_proxy_header *h, uint8_t byte) {
  if (h->len == 0) {
    return byte != (uint8_t)V1_PREFIX[0] && byte != (uint8_t)V2_SIGNATURE[0];
  }
  return h->head[0] == (uint8_t)V1_PREFIX[0] && h->len < V1_PREFIX_LEN &&
         byte != (uint8_t)V1_PREFIX[h->len];
}

int wr_proxy_header_feed(wr_proxy_header *h, const uint8_t *data, size_t len,
                         size_t *taken) {
  int err = 0;
  *taken = 0;
  while (err == 0 && h->state == WR_PROXY_MORE && *taken < len) {
    if (is_none(h, data[*taken])) {
      h->state = WR_PROXY_NONE;
    } else if (h->need != 0 && h->len == h->need) {
      *taken += v2_skip(h, len - *taken);
    } else {
      h->head[h->len++] = data[(*taken)++];
      err = h->head[0] == (uint8_t)V1_PREFIX[0] ? v1_byte(h) : v2_byte(h);
    }
  }
  return err;
}
