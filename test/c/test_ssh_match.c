/* Patterns, lists of names and lists of addresses, as OpenSSH reads them. */
#include "tap.h"

#include "base/wire.h"
#include "ssh/match.h"

/* Exactly as large as the text, so that reading behind it is seen. */
static wr_slice copy_of(const char *text, size_t len) {
  uint8_t *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, text, len);
  return (wr_slice){copy, len};
}

static void drop(wr_slice s) {
  free((void *)(uintptr_t)s.data);
}

static wr_slice text_of(const char *s) {
  return (wr_slice){(const uint8_t *)s, strlen(s)};
}

static void check_pattern(const char *pattern, const char *text, bool want) {
  wr_slice p = copy_of(pattern, strlen(pattern));
  wr_slice t = copy_of(text, strlen(text));
  OK(wr_match_pattern(p, t) == want, "%s %s %s", pattern,
     want ? "matches" : "does not match", text);
  drop(p);
  drop(t);
}

TEST(patterns) {
  check_pattern("", "", true);
  check_pattern("", "a", false);
  check_pattern("a", "", false);
  check_pattern("*", "", true);
  check_pattern("**", "", true);
  check_pattern("*", "anything, at all", true);
  check_pattern("?", "", false);
  check_pattern("?", "a", true);
  check_pattern("?", "ab", false);
  check_pattern("*?", "", false);
  check_pattern("?*", "a", true);
  check_pattern("a*c", "abc", true);
  check_pattern("a*c", "ac", true);
  check_pattern("a*c", "abcd", false);
  check_pattern("*.example.com", "www.example.com", true);
  check_pattern("*.example.com", "example.com", false);
  check_pattern("*aab", "aaaab", true);
  check_pattern("a*b*c", "a1b2b3c", true);
  check_pattern("a*b*c", "a1c2b", false);
  check_pattern("A", "a", false);
  check_pattern("a", "A", false);
  check_pattern("[a]", "a", false);
  check_pattern("\\*", "*", false);
  check_pattern("!a", "a", false);
  check_pattern("a,b", "a", false);
}

TEST(a_pattern_with_many_stars_takes_no_time) {
  enum { LEN = 20000 };
  char *text = malloc(LEN);
  char *pattern = malloc(LEN);
  MUST(text != NULL && pattern != NULL);
  memset(text, 'a', LEN);
  for (size_t i = 0; i < LEN; i++) {
    pattern[i] = i % 2 == 0 ? '*' : 'a';
  }
  pattern[LEN - 1] = 'b';
  CHECK(!wr_match_pattern((wr_slice){(uint8_t *)pattern, LEN},
                          (wr_slice){(uint8_t *)text, LEN}));
  free(text);
  free(pattern);
}

static void check_list(const char *list, const char *text, wr_match want) {
  wr_slice l = copy_of(list, strlen(list));
  OK(wr_match_list(l, text_of(text)) == want, "\"%s\" for %s: %d", list, text,
     (int)want);
  drop(l);
}

TEST(lists_of_patterns) {
  check_list("", "a", WR_MATCH_NO);
  check_list("a", "a", WR_MATCH_YES);
  check_list("b,a", "a", WR_MATCH_YES);
  check_list("a,b", "a", WR_MATCH_YES);
  check_list("b,c", "a", WR_MATCH_NO);
  check_list("A,b", "a", WR_MATCH_YES);
  check_list("*.Example.COM", "x.example.com", WR_MATCH_YES);
  check_list("!a", "a", WR_MATCH_NEGATED);
  check_list("!a", "b", WR_MATCH_NO);
  check_list("!a,*", "a", WR_MATCH_NEGATED);
  check_list("*,!a", "a", WR_MATCH_NEGATED);
  check_list("*,!a", "b", WR_MATCH_YES);
  check_list("!A,*", "a", WR_MATCH_NEGATED);
  check_list("!!a,*", "a", WR_MATCH_YES);
  check_list("!", "a", WR_MATCH_NO);
  check_list(",,a,", "a", WR_MATCH_YES);
  check_list(" a", "a", WR_MATCH_NO);
}

TEST(a_pattern_that_is_too_long_matches_nothing) {
  char list[2048];
  memset(list, '*', sizeof(list));
  CHECK(wr_match_list((wr_slice){(uint8_t *)list, 1023}, text_of("a")) ==
        WR_MATCH_YES);
  CHECK(wr_match_list((wr_slice){(uint8_t *)list, 1024}, text_of("a")) ==
        WR_MATCH_NO);
  memcpy(list, "a,", 2);
  CHECK(wr_match_list((wr_slice){(uint8_t *)list, 1026}, text_of("a")) ==
        WR_MATCH_NO);
}

TEST(names_are_compared_as_they_are) {
  CHECK(wr_match_name(text_of("a"), text_of("a")));
  CHECK(wr_match_name(text_of("a,bc,d"), text_of("bc")));
  CHECK(wr_match_name(text_of("a,bc,d"), text_of("d")));
  CHECK(wr_match_name(text_of("a,,d"), text_of("d")));
  CHECK(!wr_match_name(text_of("a,bc,d"), text_of("b")));
  CHECK(!wr_match_name(text_of("a,bc,d"), text_of("bc,d")));
  CHECK(!wr_match_name(text_of("a"), text_of("A")));
  CHECK(!wr_match_name(text_of("A"), text_of("a")));
  CHECK(!wr_match_name(text_of("*,?"), text_of("a")));
  CHECK(wr_match_name(text_of("*,?"), text_of("?")));
  CHECK(!wr_match_name(text_of(""), text_of("")));
  CHECK(!wr_match_name(text_of("a,,b"), text_of("")));
  CHECK(!wr_match_name(text_of(" a"), text_of("a")));
  CHECK(wr_match_name(text_of("!a"), text_of("!a")));
}

typedef struct from_case {
  const char *list;
  const char *address;
  wr_match want;
} from_case;

static void check_from(const from_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    wr_slice list = copy_of(cases[i].list, strlen(cases[i].list));
    OK(wr_match_from_valid(list), "%s is valid", cases[i].list);
    OK(wr_match_from(list, cases[i].address) == cases[i].want,
       "from=\"%s\" at %s: %d", cases[i].list, cases[i].address,
       (int)cases[i].want);
    drop(list);
  }
}

TEST(from_addresses_and_networks) {
  static const from_case cases[] = {
      {"10.1.2.3", "10.1.2.3", WR_MATCH_YES},
      {"10.1.2.3", "10.1.2.4", WR_MATCH_NO},
      {"10.1.2.3", "::1", WR_MATCH_NO},
      {"10.0.0.0/8", "10.255.255.255", WR_MATCH_YES},
      {"10.0.0.0/8", "11.0.0.0", WR_MATCH_NO},
      {"192.168.1.128/25", "192.168.1.128", WR_MATCH_YES},
      {"192.168.1.128/25", "192.168.1.127", WR_MATCH_NO},
      {"0.0.0.0/0", "203.0.113.9", WR_MATCH_YES},
      {"0.0.0.0/0", "2001:db8::1", WR_MATCH_NO},
      {"::/0", "2001:db8::1", WR_MATCH_YES},
      {"::/0", "203.0.113.9", WR_MATCH_NO},
      {"2001:db8::/33", "2001:db8:7fff::1", WR_MATCH_YES},
      {"2001:db8::/33", "2001:db8:8000::1", WR_MATCH_NO},
      {"2001:DB8:0:0::1", "2001:db8::1", WR_MATCH_YES},
      {"1.1.1.1,10.0.0.0/8,2.2.2.2", "10.9.9.9", WR_MATCH_YES},
      {"1.1.1.1,10.0.0.0/8,2.2.2.2", "2.2.2.2", WR_MATCH_YES},
      {"1.1.1.1,10.0.0.0/8,2.2.2.2", "3.3.3.3", WR_MATCH_NO},
      /* Leading zeros of the mask do not matter to sshd. */
      {"10.0.0.0/08", "10.1.1.1", WR_MATCH_YES},
      {"10.1.2.3/032", "10.1.2.3", WR_MATCH_YES},
      /* What the system's resolver takes for a number is one. */
      {"127.1", "127.0.0.1", WR_MATCH_YES},
      {"0x7f000001", "127.0.0.1", WR_MATCH_YES},
      {"0/0", "127.0.0.1", WR_MATCH_YES},
      {"127.0/16", "127.0.9.9", WR_MATCH_YES},
      {"::127.0.0.1", "127.0.0.1", WR_MATCH_NO},
  };
  check_from(cases, WR_COUNTOF(cases));
}

TEST(from_patterns) {
  static const from_case cases[] = {
      {"*", "10.1.2.3", WR_MATCH_YES},
      {"*", "::1", WR_MATCH_YES},
      {"10.1.*", "10.1.2.3", WR_MATCH_YES},
      {"10.1.*", "10.12.2.3", WR_MATCH_NO},
      {"10.1.2.?", "10.1.2.3", WR_MATCH_YES},
      {"10.1.2.?", "10.1.2.33", WR_MATCH_NO},
      {"2001:DB8:*", "2001:db8::1", WR_MATCH_YES},
      {"*:*", "2001:db8::1", WR_MATCH_YES},
      {"*:*", "10.1.2.3", WR_MATCH_NO},
      /* Names never are addresses. */
      {"*.example.com", "10.1.2.3", WR_MATCH_NO},
      {"localhost", "127.0.0.1", WR_MATCH_NO},
      {"*.1", "127.0.0.1", WR_MATCH_YES},
      /* Not networks: brackets, blanks, masks that are none. */
      {"[::1]", "::1", WR_MATCH_NO},
      {" 10.1.2.3", "10.1.2.3", WR_MATCH_NO},
      {"10.1.2.3 ", "10.1.2.3", WR_MATCH_NO},
      {"10.0.0.0/", "10.0.0.0", WR_MATCH_NO},
      {"10.0.0.0/129", "10.0.0.0", WR_MATCH_NO},
      {"10.0.0.0/+8", "10.0.0.0", WR_MATCH_NO},
      {"10.0.0.0/8x", "10.0.0.0", WR_MATCH_NO},
      {"10.0.0.0/8/8", "10.0.0.0", WR_MATCH_NO},
      {"10.0.0.0/255.0.0.0", "10.0.0.0", WR_MATCH_NO},
  };
  check_from(cases, WR_COUNTOF(cases));
}

TEST(from_negations) {
  static const from_case cases[] = {
      {"!10.1.2.3,*", "10.1.2.3", WR_MATCH_NEGATED},
      {"*,!10.1.2.3", "10.1.2.3", WR_MATCH_NEGATED},
      {"*,!10.1.2.3", "10.1.2.4", WR_MATCH_YES},
      {"!10.1.2.3", "10.1.2.4", WR_MATCH_NO},
      {"10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", WR_MATCH_NEGATED},
      {"10.0.0.0/8,!10.1.0.0/16", "10.2.2.3", WR_MATCH_YES},
      {"!10.1.*,10.0.0.0/8", "10.1.2.3", WR_MATCH_NEGATED},
      {"!FE80:*,*", "fe80::1", WR_MATCH_NEGATED},
      {"!!10.1.2.3,*", "10.1.2.3", WR_MATCH_YES},
      {"!0x7f.1,*", "127.0.0.1", WR_MATCH_NEGATED},
  };
  check_from(cases, WR_COUNTOF(cases));
}

TEST(from_ipv4_inside_of_ipv6) {
  static const from_case cases[] = {
      /* Such a peer is an IPv4 one, */
      {"10.0.0.0/8", "::ffff:10.1.2.3", WR_MATCH_YES},
      {"10.1.2.?", "::ffff:10.1.2.3", WR_MATCH_YES},
      {"::/0", "::ffff:10.1.2.3", WR_MATCH_NO},
      {"!10.0.0.0/8,*", "::FFFF:10.1.2.3", WR_MATCH_NEGATED},
      /* such a network stays IPv6: it holds nobody. */
      {"::ffff:0:0/96", "10.1.2.3", WR_MATCH_NO},
      {"::ffff:10.1.2.3", "10.1.2.3", WR_MATCH_NO},
      {"::ffff:10.1.2.3", "::ffff:10.1.2.3", WR_MATCH_NO},
      /* Addresses of NAT64 are IPv6. */
      {"64:ff9b::/96", "10.1.2.3", WR_MATCH_NO},
      {"64:ff9b::/96", "64:ff9b::a01:203", WR_MATCH_YES},
      {"10.0.0.0/8", "64:ff9b::a01:203", WR_MATCH_NO},
      {"::/0", "64:ff9b::a01:203", WR_MATCH_YES},
  };
  check_from(cases, WR_COUNTOF(cases));
}

TEST(from_scopes) {
  static const from_case cases[] = {
      {"fe80::/10", "fe80::1", WR_MATCH_YES},
      /* sshd compares scopes. */
      {"fe80::/10", "fe80::1%2", WR_MATCH_NO},
      {"fe80::1", "fe80::1%2", WR_MATCH_NO},
      {"fe80::1%2", "fe80::1", WR_MATCH_NO},
      {"fe80::1%2", "fe80::1%2", WR_MATCH_YES},
      {"fe80::1%3", "fe80::1%2", WR_MATCH_NO},
      {"fe80::*", "fe80::1%2", WR_MATCH_YES},
      {"fe80::*%2", "fe80::1%2", WR_MATCH_YES},
      {"*%Eth0", "FE80::1%ETH0", WR_MATCH_YES},
      /* Keeping out errs on the safe side. */
      {"*,!fe80::/10", "fe80::1%2", WR_MATCH_NEGATED},
      {"*,!fe80::%3/10", "fe80::1%2", WR_MATCH_NEGATED},
      {"*,!fe80::1%2", "fe80::1", WR_MATCH_NEGATED},
      {"10.1.2.3", "10.1.2.3%2", WR_MATCH_NO},
      {"10.1.2.3%2,*", "10.1.2.3", WR_MATCH_YES},
  };
  check_from(cases, WR_COUNTOF(cases));
}

TEST(from_texts_that_are_no_addresses) {
  static const from_case cases[] = {
      /* Nobody knows whose address this is. */
      {"*", "", WR_MATCH_NO},
      {"!10.0.0.0/8,*", "", WR_MATCH_NO},
      /* Texts of an application's. */
      {"*", "Peer 7", WR_MATCH_YES},
      {"peer ?", "Peer 7", WR_MATCH_YES},
      {"0.0.0.0/0,::/0", "peer 7", WR_MATCH_NO},
      {"!Peer*,*", "peer 7", WR_MATCH_NEGATED},
      {"*", "a.text.of.sixty.three.characters.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       WR_MATCH_YES},
      {"*", "a.text.of.sixty.four.characters.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       WR_MATCH_NO},
      {"*", "fe80::1%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       WR_MATCH_YES},
      {"*", "0:0:0:0:0:0:0:1", WR_MATCH_YES},
      {"::?", "0:0:0:0:0:0:0:1", WR_MATCH_YES},
  };
  check_from(cases, WR_COUNTOF(cases));
}

static void check_from_invalid(const char *list, size_t len) {
  wr_slice l = copy_of(list, len);
  OK(!wr_match_from_valid(l), "\"%s\" is no list", list);
  OK(wr_match_from(l, "10.0.0.1") == WR_MATCH_NO, "\"%s\" matches nothing",
     list);
  drop(l);
}

#define FROM_INVALID(list) check_from_invalid(list, sizeof(list) - 1)

TEST(from_that_is_invalid_matches_nothing) {
  FROM_INVALID("");
  FROM_INVALID(",");
  FROM_INVALID("10.0.0.1,");
  FROM_INVALID(",10.0.0.1");
  FROM_INVALID("10.0.0.1,,*");
  FROM_INVALID("10.0.0.1,!");
  FROM_INVALID("!,10.0.0.1");
  FROM_INVALID("10.0.0.1,10.0.0.1/8");
  FROM_INVALID("10.0.0.1,!10.0.0.1/8");
  FROM_INVALID("10.0.0.1,::1/127");
  FROM_INVALID("10.0.0.1,10.0.0.0/33");
  FROM_INVALID("10.0.0.1,10/8");
  FROM_INVALID("10.0.0.1,fe80::1%2/64");
  FROM_INVALID("*,10.0.0.1/0");
  FROM_INVALID("10.0.0.1\0");
  FROM_INVALID("*,10.0.0.1\0,!10.0.0.1");
}

static void check_source(const char *list, const char *address, bool want) {
  wr_slice l = copy_of(list, strlen(list));
  OK(wr_match_source_valid(l), "%s is valid", list);
  OK(wr_match_source(l, address) == want, "source-address %s, %s: %d", list,
     address, want);
  drop(l);
}

TEST(source_addresses) {
  check_source("10.1.2.3", "10.1.2.3", true);
  check_source("10.1.2.3", "10.1.2.4", false);
  check_source("10.0.0.0/8,2001:DB8::/32", "10.1.2.3", true);
  check_source("10.0.0.0/8,2001:DB8::/32", "2001:db8::9", true);
  check_source("10.0.0.0/8,2001:DB8::/32", "::ffff:10.1.2.3", true);
  check_source("10.0.0.0/8,2001:DB8::/32", "11.1.2.3", false);
  check_source("10.0.0.0/8", "", false);
  check_source("10.0.0.0/8", "peer 7", false);
  check_source("0.0.0.0/0,::/0", "fe80::1", true);
  check_source("0.0.0.0/0,::/0", "fe80::1%2", false);
  check_source("127.1", "127.0.0.1", true);
  check_source("::ffff:0:0/96", "10.1.2.3", false);
  check_source("0000:0000:0000:0000:0000:0000:255.255.255.255/128", "::1",
               false);
}

static void check_source_invalid(const char *list, size_t len) {
  wr_slice l = copy_of(list, len);
  OK(!wr_match_source_valid(l), "\"%s\" is no list of sources", list);
  OK(!wr_match_source(l, "10.0.0.1"), "\"%s\" matches nothing", list);
  drop(l);
}

#define SOURCE_INVALID(list) check_source_invalid(list, sizeof(list) - 1)

TEST(source_addresses_that_are_invalid_match_nothing) {
  SOURCE_INVALID("");
  SOURCE_INVALID("10.0.0.1,");
  SOURCE_INVALID(",10.0.0.1");
  SOURCE_INVALID("10.0.0.1,,::1");
  SOURCE_INVALID("!10.0.0.2,10.0.0.1");
  SOURCE_INVALID("*");
  SOURCE_INVALID("10.0.0.1,10.0.0.*");
  SOURCE_INVALID("10.0.0.1,10.0.0.1/8");
  SOURCE_INVALID("10.0.0.1,10.0.0.0/33");
  SOURCE_INVALID("10.0.0.1,10.0.0.0/");
  SOURCE_INVALID("10.0.0.1, ::1");
  SOURCE_INVALID("10.0.0.1,fe80::1%2");
  SOURCE_INVALID("0x0a000001");
  SOURCE_INVALID("10.0.0.1,a.b");
  SOURCE_INVALID("10.0.0.1,example.com");
  SOURCE_INVALID("0000:0000:0000:0000:0000:0000:255.255.255.255/0128");
  SOURCE_INVALID("10.0.0.1\0");
}

TAP_MAIN()
