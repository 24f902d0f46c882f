/* Addresses: parsing, printing, classes. */
#include "tap.h"

#include "base/errors.h"
#include "net/addr.h"

static const char *show(const wr_ip *ip, char dst[WR_ADDR_TEXT_MAX]) {
  struct sockaddr_storage ss;
  wr_ip_to_sockaddr(ip, 0, &ss);
  wr_sockaddr_host((struct sockaddr *)&ss, dst);
  return dst;
}

TEST(addresses_that_parse) {
  static const char *const cases[][2] = {
      {"127.0.0.1", "127.0.0.1"},
      {"127.1", "127.0.0.1"},
      {"0x7f000001", "127.0.0.1"},
      {"017700000001", "127.0.0.1"},
      {"2130706433", "127.0.0.1"},
      {"0X7f.0.01", "127.0.0.1"},
      {"10.0x10203", "10.1.2.3"},
      {"1.2.772", "1.2.3.4"},
      {"0", "0.0.0.0"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"0377.1", "255.0.0.1"},
      {"::1", "::1"},
      {"[::1]", "::1"},
      {"::", "::"},
      {"2001:DB8::A", "2001:db8::a"},
      {"::ffff:10.1.2.3", "10.1.2.3"},
      {"[::ffff:a01:203]", "10.1.2.3"},
      {"64:ff9b::10.1.2.3", "10.1.2.3"},
      {"64:ff9b:0:0:0:0:a01:203", "10.1.2.3"},
      {"64:ff9b:1::10.1.2.3", "64:ff9b:1::a01:203"},
      {"fe80::1", "fe80::1"},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_ip ip;
    char text[WR_ADDR_TEXT_MAX];
    if (OK(wr_ip_parse(cases[i][0], &ip) == 0, "%s parses", cases[i][0])) {
      EQ_STR(show(&ip, text), cases[i][1]);
    }
  }
}

TEST(addresses_that_do_not_parse) {
  static const char *const cases[] = {
      "",           " ",         "127.0.0.1 ",
      " 127.0.0.1", "1.2.3.4.5", "1.2.3.",
      ".1.2.3",     "1..2.3",    "256.1.1.1",
      "1.2.3.256",  "1.2.65536", "1.16777216",
      "4294967296", "08",        "0x",
      "0xg",        "1.2.3.4:5", "+1",
      "-1",         "1e3",       "99999999999999999999999",
      "localhost",  "::1%lo",    "fe80::1%1",
      ":::",        "1::2::3",   "[::1",
      "::1]",       "[]",        "[127.0.0.1]",
      "[[::1]]",    "12345::",   "::1/128",
      "[::1]:22",   "::1.2.3",   "1:2:3:4:5:6:7:8:9"};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_ip ip = {.family = 9};
    OK(wr_ip_parse(cases[i], &ip) == WR_EMALFORMED, "\"%s\" does not parse",
       cases[i]);
    EQ_INT(ip.family, 9); /* written on success only */
  }
}

TEST(addresses_as_they_are_written) {
  static const struct {
    const char *text;
    int family; /* 0: does not parse */
    uint8_t last;
  } cases[] = {
      {"10.1.2.3", 4, 0},
      {"127.1", 4, 0},
      {"0x7f000001", 4, 0},
      {"::1", 6, 1},
      {"::ffff:10.1.2.3", 6, 3},
      {"64:ff9b::10.1.2.3", 6, 3},
      {"[::1]", 0, 0},
      {"fe80::1%1", 0, 0},
      {"", 0, 0},
      {"10.0.0.0/8", 0, 0},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_ip ip = {.family = 0};
    int err = wr_ip_parse_as_is(cases[i].text, &ip);
    OK((err == 0) == (cases[i].family != 0) && ip.family == cases[i].family &&
           ip.bytes[15] == cases[i].last,
       "%s is of family %d", cases[i].text, cases[i].family);
  }
}

TEST(networks_have_no_host_bits) {
  wr_cidr cidr = {.bits = 24};
  MUST(wr_ip_parse_as_is("10.1.2.0", &cidr.ip) == 0);
  CHECK(wr_cidr_is_network(&cidr));
  cidr.bits = 23;
  CHECK(wr_cidr_is_network(&cidr));
  cidr.bits = 22;
  CHECK(!wr_cidr_is_network(&cidr));
  MUST(wr_ip_parse_as_is("64:ff9b::1", &cidr.ip) == 0);
  cidr.bits = 128;
  CHECK(wr_cidr_is_network(&cidr));
  cidr.bits = 127;
  CHECK(!wr_cidr_is_network(&cidr));
}

static bool holds(const char *prefix, const char *text) {
  wr_cidr cidr;
  wr_ip ip;
  MUST(wr_cidr_parse(prefix, &cidr) == 0);
  MUST(wr_ip_parse(text, &ip) == 0);
  return wr_cidr_contains(&cidr, &ip);
}

TEST(prefixes_contain) {
  CHECK(holds("10.0.0.0/8", "10.255.255.255"));
  CHECK(!holds("10.0.0.0/8", "11.0.0.0"));
  CHECK(holds("0.0.0.0/0", "1.2.3.4"));
  CHECK(!holds("0.0.0.0/0", "::1"));
  CHECK(holds("::/0", "::1"));
  CHECK(!holds("::/0", "::ffff:1.2.3.4")); /* that is IPv4 */
  CHECK(holds("0.0.0.0/0", "::ffff:1.2.3.4"));
  CHECK(holds("192.168.1.128/25", "192.168.1.200"));
  CHECK(!holds("192.168.1.128/25", "192.168.1.127"));
  CHECK(holds("1.2.3.4", "1.2.3.4"));
  CHECK(!holds("1.2.3.4", "1.2.3.5"));
  CHECK(holds("fe80::/10", "febf::1"));
  CHECK(!holds("fe80::/10", "fec0::1"));
  CHECK(holds("::1", "::1"));
  CHECK(holds("::ffff:10.0.0.0/104", "10.9.9.9"));
  CHECK(holds("2001:db8::/33", "2001:db8:7fff::"));
  CHECK(!holds("2001:db8::/33", "2001:db8:8000::"));
}

TEST(prefixes_that_do_not_parse) {
  static const char *const cases[] = {"",
                                      "/",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.1/8",
                                      "10.0.0.0/08",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0/8/8",
                                      "10/8",
                                      "127.1",
                                      "::1/127",
                                      "::/129",
                                      "[::1]",
                                      "[::]/0",
                                      "fe80::%1/64",
                                      "::ffff:0.0.0.0/95",
                                      "10.0.0.0/00",
                                      "10.0.0.0/256",
                                      "10.0.0.0/4294967304",
                                      "a/8"};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_cidr cidr;
    OK(wr_cidr_parse(cases[i], &cidr) == WR_EMALFORMED, "\"%s\" does not parse",
       cases[i]);
  }
}

TEST(text_of_socket_addresses) {
  char text[WR_ADDR_TEXT_MAX];
  struct sockaddr_storage ss;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
  wr_ip ip;
  MUST(wr_ip_parse("1.2.3.4", &ip) == 0);
  wr_ip_to_sockaddr(&ip, 65535, &ss);
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  EQ_STR(text, "1.2.3.4:65535");
  MUST(uv_ip6_addr("fe80::aaaa:bbbb:cccc:dddd", 1, in6) == 0);
  in6->sin6_scope_id = UINT32_MAX;
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  EQ_STR(text, "[fe80::aaaa:bbbb:cccc:dddd%4294967295]:1");
  MUST(uv_ip6_addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, in6) == 0);
  in6->sin6_scope_id = UINT32_MAX;
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  EQ_STR(text, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
  MUST(uv_ip6_addr("::ffff:1.2.3.4", 80, in6) == 0);
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  EQ_STR(text, "1.2.3.4:80");
  EQ_INT(wr_sockaddr_port((struct sockaddr *)&ss), 80);
  CHECK(wr_ip_from_sockaddr((struct sockaddr *)&ss, &ip));
  EQ_INT(ip.family, 4);
  ss.ss_family = AF_UNIX;
  wr_sockaddr_text((struct sockaddr *)&ss, text);
  EQ_STR(text, "");
  EQ_INT(wr_sockaddr_port((struct sockaddr *)&ss), 0);
  CHECK(!wr_ip_from_sockaddr((struct sockaddr *)&ss, &ip));
}

TEST(one_peer_is_an_ipv4_address_or_an_ipv6_64) {
  wr_ip ip;
  uint8_t a[9];
  uint8_t b[9];
  MUST(wr_ip_parse("2001:db8:1:2:3::4", &ip) == 0);
  EQ_UINT(wr_ip_peer_key(&ip, a), 9);
  MUST(wr_ip_parse("2001:db8:1:2::", &ip) == 0);
  EQ_UINT(wr_ip_peer_key(&ip, b), 9);
  EQ_MEM(a, 9, b, 9);
  MUST(wr_ip_parse("::ffff:1.2.3.4", &ip) == 0);
  EQ_UINT(wr_ip_peer_key(&ip, a), 5);
  MUST(wr_ip_parse("1.2.3.4", &ip) == 0);
  EQ_UINT(wr_ip_peer_key(&ip, b), 5);
  EQ_MEM(a, 5, b, 5);
}

TEST(classes_of_addresses) {
  /* l: loopback, p: private, k: link-local, m: metadata */
  static const char *const cases[][2] = {
      {"127.0.0.1", "l"},
      {"127.255.0.1", "l"},
      {"128.0.0.1", ""},
      {"0.0.0.0", "l"},
      {"0.0.0.1", ""},
      {"::1", "l"},
      {"::", "l"},
      {"::2", ""},
      {"::ffff:127.0.0.1", "l"},
      {"64:ff9b::7f00:1", "l"},
      {"10.1.1.1", "p"},
      {"172.16.0.1", "p"},
      {"172.31.255.255", "p"},
      {"172.32.0.0", ""},
      {"192.168.0.1", "p"},
      {"192.169.0.1", ""},
      {"100.64.0.1", "p"},
      {"100.127.0.1", "p"},
      {"100.128.0.1", ""},
      {"fd00::1", "p"},
      {"fc00::1", "p"},
      {"fe00::1", ""},
      {"169.254.1.1", "k"},
      {"fe80::1", "k"},
      {"febf::1", "k"},
      {"fec0::1", ""},
      {"169.254.169.254", "km"},
      {"::ffff:169.254.169.254", "km"},
      {"fd00:ec2::254", "pm"},
      {"168.63.129.16", "m"},
      {"100.100.100.200", "pm"},
      {"8.8.8.8", ""},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_ip ip;
    char got[5] = "";
    MUST(wr_ip_parse(cases[i][0], &ip) == 0);
    snprintf(got, sizeof(got), "%s%s%s%s", wr_ip_is_loopback(&ip) ? "l" : "",
             wr_ip_is_private(&ip) ? "p" : "",
             wr_ip_is_link_local(&ip) ? "k" : "",
             wr_ip_is_metadata(&ip) ? "m" : "");
    OK(strcmp(got, cases[i][1]) == 0, "%s is \"%s\", got \"%s\"", cases[i][0],
       cases[i][1], got);
  }
}

TAP_MAIN()
