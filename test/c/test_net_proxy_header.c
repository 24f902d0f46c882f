/* The header of the PROXY protocol: what is taken, what is not, and that it does
   not matter how the bytes are cut. */
#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"
#include "net/proxy_header.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define REST "SSH-2.0-x\r\n"

/* A header with something behind it, fed `step` bytes at a time (0: at once).
   *taken: how much of it in all. */
static int feed(wr_proxy_header *h, const void *data, size_t len, size_t step,
                size_t *taken) {
  const uint8_t *p = data;
  int err = 0;
  *taken = 0;
  wr_proxy_header_init(h);
  while (err == 0 && h->state == WR_PROXY_MORE && *taken < len) {
    size_t n = len - *taken;
    size_t used = 0;
    if (step != 0 && step < n) {
      n = step;
    }
    err = wr_proxy_header_feed(h, p + *taken, n, &used);
    MUST(used <= n);
    MUST(err != 0 || h->state != WR_PROXY_MORE || used == n);
    *taken += used;
  }
  return err;
}

/* The source as text; "" if there is none. */
static const char *source(const wr_proxy_header *h) {
  static char text[WR_ADDR_TEXT_MAX];
  struct sockaddr_storage ss;
  text[0] = '\0';
  if (h->state == WR_PROXY_SOURCE) {
    wr_ip_to_sockaddr(&h->source, 0, &ss);
    wr_sockaddr_host((const struct sockaddr *)&ss, text);
  }
  return text;
}

/* However it is cut, the header is taken, the rest is not, and this is read. */
static void good_at(const void *head, size_t len, wr_proxy_state state,
                    const char *from, const char *file, int line) {
  uint8_t *all = malloc(len + sizeof(REST));
  MUST(all != NULL);
  memcpy(all, head, len);
  memcpy(all + len, REST, sizeof(REST));
  for (size_t step = 0; step <= len && step < 300; step++) {
    wr_proxy_header h;
    size_t taken;
    int err = feed(&h, all, len + sizeof(REST) - 1, step, &taken);
    if (!tap_check(err == 0 && taken == len && h.state == state, file, line,
                   "step %zu: %d, state %d, %zu of %zu", step, err,
                   (int)h.state, taken, len) ||
        !tap_check_str(source(&h), from, file, line, "the source")) {
      break;
    }
  }
  /* Every part of it is not enough. */
  for (size_t n = 0; n < len; n++) {
    wr_proxy_header h;
    size_t taken;
    tap_check(feed(&h, all, n, 0, &taken) == 0 && taken == n &&
                  h.state == WR_PROXY_MORE,
              file, line, "%zu bytes are not enough", n);
  }
  free(all);
}
#define GOOD(text, state, from)                                                \
  good_at(text, sizeof(text) - 1, state, from, __FILE__, __LINE__)
#define GOOD_N(data, len, state, from)                                         \
  good_at(data, len, state, from, __FILE__, __LINE__)

static void bad_at(const void *head, size_t len, const char *file, int line) {
  for (size_t step = 0; step <= len && step < 300; step++) {
    wr_proxy_header h;
    size_t taken;
    if (!tap_check_int(feed(&h, head, len, step, &taken), WR_EMALFORMED, file,
                       line, "malformed")) {
      tap_diag("  step %zu", step);
      break;
    }
    tap_check_int(h.state, WR_PROXY_MORE, file, line, "no outcome");
  }
}
#define BAD(text) bad_at(text, sizeof(text) - 1, __FILE__, __LINE__)
#define BAD_N(data, len) bad_at(data, len, __FILE__, __LINE__)

TEST(no_header_is_left_alone) {
  static const char *const texts[] = {"SSH-2.0-x\r\n", "GET / HTTP/1.1\r\n",
                                      "proxy TCP4",    "\n",
                                      " PROXY",        "\x16\x03"};
  for (size_t i = 0; i < WR_COUNTOF(texts); i++) {
    for (size_t step = 0; step < 3; step++) {
      wr_proxy_header h;
      size_t taken;
      EQ_INT(feed(&h, texts[i], strlen(texts[i]), step, &taken), 0);
      EQ_INT(h.state, WR_PROXY_NONE);
      EQ_UINT(taken, 0);
    }
  }
}

/* What was taken until that was clear is there for whoever reads on. */
TEST(http_may_begin_like_a_header) {
  static const struct {
    const char *text;
    size_t alike;
  } cases[] = {{"POST / HTTP/1.1\r\n", 1},
               {"PUT / HTTP/1.1\r\n", 1},
               {"PROPFIND / HTTP/1.1", 3},
               {"PROXX", 4},
               {"PROXY\t", 5},
               {"PROXYTCP4 ", 5}};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    for (size_t step = 0; step < 7; step++) {
      wr_proxy_header h;
      size_t taken;
      const char *text = cases[i].text;
      EQ_INT(feed(&h, text, strlen(text), step, &taken), 0);
      EQ_INT(h.state, WR_PROXY_NONE);
      EQ_UINT(taken, cases[i].alike);
      EQ_UINT(h.len, taken);
      CHECK(memcmp(h.head, text, taken) == 0);
    }
  }
}

TEST(text) {
  GOOD("PROXY TCP4 203.0.113.7 192.0.2.1 56324 22\r\n", WR_PROXY_SOURCE,
       "203.0.113.7");
  GOOD("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
       WR_PROXY_SOURCE, "255.255.255.255");
  GOOD("PROXY TCP4 1.2.3.4 5.6.7.8 0 1\r\n", WR_PROXY_SOURCE, "1.2.3.4");
  GOOD("PROXY TCP6 2001:db8::7 2001:db8::1 4124 443\r\n", WR_PROXY_SOURCE,
       "2001:db8::7");
  GOOD("PROXY TCP6 2001:DB8:0:0:0:0:0:A ::1 4124 443\r\n", WR_PROXY_SOURCE,
       "2001:db8::a");
  GOOD("PROXY TCP6 ::ffff:203.0.113.7 ::1 4124 443\r\n", WR_PROXY_SOURCE,
       "203.0.113.7");
  GOOD("PROXY UNKNOWN\r\n", WR_PROXY_PEER, "");
  GOOD("PROXY UNKNOWN \r\n", WR_PROXY_PEER, "");
  GOOD("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
       WR_PROXY_PEER, "");
  /* The longest line. */
  GOOD("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       WR_PROXY_PEER, "");
}

TEST(text_that_is_malformed) {
  BAD("PROXY \n");
  BAD("PROXY \r\n");
  BAD("PROXY  \r\n");
  BAD("PROXY TCP4\r\n");
  BAD("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY unknown\r\n");
  BAD("PROXY UNKNOWNX\r\n");
  BAD("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 4294967298\r\n");
  BAD("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 0x7f000001 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 1.2.3.4 5.6.7.8.9 1 2\r\n");
  BAD("PROXY TCP4 ::1 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n");
  BAD("PROXY TCP6 1.2.3.4 ::1 1 2\r\n");
  BAD("PROXY TCP6 fe80::1%1 ::1 1 2\r\n");
  BAD("PROXY TCP6 [::1] ::1 1 2\r\n");
  BAD("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n");
  BAD("PROXY TCP6 ::1 example.org 1 2\r\n");
}

TEST(text_is_bounded) {
  uint8_t line[200];
  memset(line, 'x', sizeof(line));
  memcpy(line, "PROXY UNKNOWN ", 14);
  memcpy(line + 105, "\r\n", 2);
  GOOD_N(line, 107, WR_PROXY_PEER, "");
  memset(line + 105, 'x', 2);
  memcpy(line + 106, "\r\n", 2);
  BAD_N(line, 108);
  memset(line + 106, 'x', 2);
  BAD_N(line, sizeof(line));
}

/* Version 2: command, family, the block, and `more` bytes behind it that count
   for its length. Returns the length of all. */
static size_t binary(uint8_t *dst, uint8_t command, uint8_t family,
                     const void *block, size_t len, size_t more) {
  memcpy(dst, SIG, 12);
  dst[12] = command;
  dst[13] = family;
  wr_put_u16(dst + 14, (uint16_t)(len + more));
  if (len > 0) {
    memcpy(dst + 16, block, len);
  }
  memset(dst + 16 + len, 0xee, more);
  return 16 + len + more;
}

static const uint8_t inet[12] = {203, 0, 113, 7, 192, 0, 2, 1, 1, 2, 3, 4};
static const uint8_t inet6[36] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7, [31] = 1};
static const uint8_t paths[216] = "/client";
static uint8_t out[70000];

TEST(binary_addresses) {
  size_t n = binary(out, 0x21, 0x11, inet, sizeof(inet), 0);
  GOOD_N(out, n, WR_PROXY_SOURCE, "203.0.113.7");
  n = binary(out, 0x21, 0x12, inet, sizeof(inet), 0);
  GOOD_N(out, n, WR_PROXY_SOURCE, "203.0.113.7");
  n = binary(out, 0x21, 0x10, inet, sizeof(inet), 0);
  GOOD_N(out, n, WR_PROXY_SOURCE, "203.0.113.7");
  n = binary(out, 0x21, 0x21, inet6, sizeof(inet6), 0);
  GOOD_N(out, n, WR_PROXY_SOURCE, "2001:db8::7");
  n = binary(out, 0x21, 0x31, paths, sizeof(paths), 0);
  GOOD_N(out, n, WR_PROXY_UNIX, "");
}

TEST(binary_without_an_address) {
  size_t n = binary(out, 0x21, 0, NULL, 0, 0);
  GOOD_N(out, n, WR_PROXY_PEER, "");
  n = binary(out, 0x21, 0, NULL, 0, 20);
  GOOD_N(out, n, WR_PROXY_PEER, "");
  /* Of a local connection the rest is ignored, whatever it is. */
  n = binary(out, 0x20, 0, NULL, 0, 0);
  GOOD_N(out, n, WR_PROXY_PEER, "");
  n = binary(out, 0x20, 0x11, inet, sizeof(inet), 0);
  GOOD_N(out, n, WR_PROXY_PEER, "");
  n = binary(out, 0x20, 0xff, inet, 3, 0);
  GOOD_N(out, n, WR_PROXY_PEER, "");
}

TEST(binary_fields_are_skipped) {
  size_t n = binary(out, 0x21, 0x11, inet, sizeof(inet), 100);
  GOOD_N(out, n, WR_PROXY_SOURCE, "203.0.113.7");
  n = binary(out, 0x21, 0x21, inet6, sizeof(inet6), 1);
  GOOD_N(out, n, WR_PROXY_SOURCE, "2001:db8::7");
  n = binary(out, 0x21, 0x31, paths, sizeof(paths), 30);
  GOOD_N(out, n, WR_PROXY_UNIX, "");
}

TEST(the_longest_binary_header) {
  wr_proxy_header h;
  size_t taken;
  size_t n = binary(out, 0x21, 0x11, inet, sizeof(inet), 65535 - sizeof(inet));
  memcpy(out + n, REST, sizeof(REST));
  EQ_UINT(n, 65551);
  for (size_t step = 0; step < 70000; step += 997) {
    EQ_INT(feed(&h, out, n + sizeof(REST), step, &taken), 0);
    EQ_UINT(taken, n);
    EQ_STR(source(&h), "203.0.113.7");
  }
}

TEST(binary_that_is_malformed) {
  BAD("\r\nX");
  BAD("\r\n\r\n\0\r\nQUIT\r");
  for (size_t i = 1; i < 12; i++) { /* the first byte would be no header */
    size_t n = binary(out, 0x21, 0x11, inet, sizeof(inet), 0);
    out[i] ^= 0x20;
    BAD_N(out, n);
  }
  for (unsigned command = 0; command < 256; command++) {
    if (command != 0x20 && command != 0x21) {
      BAD_N(out, binary(out, (uint8_t)command, 0x11, inet, sizeof(inet), 0));
    }
  }
  for (unsigned family = 0; family < 256; family++) {
    if (family >> 4 > 3 || (family & 0xf) > 2) {
      BAD_N(out, binary(out, 0x21, (uint8_t)family, paths, sizeof(paths), 0));
    }
  }
  BAD_N(out, binary(out, 0x21, 0x11, inet, 11, 0));
  BAD_N(out, binary(out, 0x21, 0x11, inet, 0, 0));
  BAD_N(out, binary(out, 0x21, 0x21, inet6, 35, 0));
  BAD_N(out, binary(out, 0x21, 0x31, paths, 215, 0));
}

TAP_MAIN()
