/* X-Forwarded-For: who of those that are named is believed. */
#include "tap.h"

#include <stdio.h>

#include "net/forwarded.h"

/* What a request with these fields says, "" if nothing; 192.0.2.0/24, ::1 and
   10.0.0.7 are trusted. */
static const char *source_of(const char *fields) {
  static const char *const networks[] = {"192.0.2.0/24", "::1", "10.0.0.7"};
  static char text[WR_ADDR_TEXT_MAX];
  static wr_http_head head;
  char request[2000];
  wr_cidr trusted[WR_COUNTOF(networks)];
  struct sockaddr_storage ss;
  wr_ip ip;
  for (size_t i = 0; i < WR_COUNTOF(networks); i++) {
    MUST(wr_cidr_parse(networks[i], &trusted[i]) == 0);
  }
  int n =
      snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n%s\r\n", fields);
  wr_http_head_init(&head, WR_HTTP_REQUEST, 0, 0);
  MUST(wr_http_head_feed(&head, (uint8_t *)request, (size_t)n) == 0);
  MUST(head.done);
  text[0] = '\0';
  if (wr_forwarded_for(&head, (uint8_t *)request, trusted, WR_COUNTOF(trusted),
                       &ip)) {
    wr_ip_to_sockaddr(&ip, 0, &ss);
    wr_sockaddr_host((const struct sockaddr *)&ss, text);
  }
  return text;
}

#define FF "X-Forwarded-For: "

TEST(the_one_that_the_trusted_proxy_names) {
  EQ_STR(source_of(FF "203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of("x-forwarded-FOR:203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "2001:db8::7\r\n"), "2001:db8::7");
  EQ_STR(source_of(FF "::ffff:203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of("Host: a.test\r\n"), "");
  EQ_STR(source_of("Forwarded: for=203.0.113.7\r\n"), "");
}

TEST(what_the_client_wrote_itself_is_not_believed) {
  EQ_STR(source_of(FF "198.51.100.1, 203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "127.0.0.1,203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "198.51.100.1\r\n" FF "203.0.113.7\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "192.0.2.5, 203.0.113.7\r\n"), "203.0.113.7");
}

TEST(proxies_that_are_trusted_are_passed_over) {
  EQ_STR(source_of(FF "203.0.113.7, 192.0.2.5\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "198.51.100.1, 203.0.113.7, ::1 ,192.0.2.5\r\n"),
         "203.0.113.7");
  EQ_STR(source_of(FF "203.0.113.7\r\nA: b\r\n" FF "10.0.0.7\r\n"),
         "203.0.113.7");
  EQ_STR(source_of(FF "192.0.2.6, 192.0.2.5\r\n"), "192.0.2.6");
}

TEST(ports_and_brackets) {
  EQ_STR(source_of(FF "203.0.113.7:4711\r\n"), "203.0.113.7");
  EQ_STR(source_of(FF "[2001:db8::7]:4711\r\n"), "2001:db8::7");
  EQ_STR(source_of(FF "[2001:db8::7]\r\n"), "2001:db8::7");
}

/* The reading ends there, with what was known before. */
TEST(what_is_no_address) {
  static const char *const texts[] = {
      "unknown",
      "",
      " ",
      "a.test",
      "203.0.113",
      "203.0.113.07",
      "[::1",
      "[]",
      "fe80::1%1",
      "1.2.3.4.5",
      "0x7f000001",
      ":",
      "[:]:1",
      "_hidden",
      "256.1.1.1",
      "::1]",
      "%",
      "12345678901234567890123456789012345678901234"
      "567890123456789012345678901234567890"};
  for (size_t i = 0; i < WR_COUNTOF(texts); i++) {
    char fields[300];
    snprintf(fields, sizeof(fields), FF "203.0.113.7, %s\r\n", texts[i]);
    EQ_STR(source_of(fields), "");
    snprintf(fields, sizeof(fields), FF "203.0.113.7, %s, 192.0.2.5\r\n",
             texts[i]);
    EQ_STR(source_of(fields), "192.0.2.5");
  }
}

TAP_MAIN()
