#include "tap.h"

#include "base/errors.h"
#include "proxy/policy.h"
#include "proxy/policy_rule.h"

static wr_mem mem;

/* Rules in one string: "+allowed -denied", in order. */
static wr_policy *policy_of(const char *rules) {
  char text[WR_RULE_TEXT_MAX];
  wr_policy *p = wr_policy_new(&mem);
  MUST(p != NULL);
  while (*rules != '\0') {
    size_t len = strcspn(rules, " ");
    const char *why = "";
    snprintf(text, sizeof(text), "%.*s", (int)(len - 1), rules + 1);
    OK(wr_policy_add(p, rules[0] == '+', text, &why) == 0, "rule %s (%s)", text,
       why);
    rules += len;
    rules += strspn(rules, " ");
  }
  return p;
}

static const char *verdict_name(wr_verdict v) {
  static const char *const names[] = {"deny", "allow", "check"};
  return names[v];
}

static void check_host(const char *rules, const char *host, uint16_t port,
                       const char *want) {
  wr_policy *p = policy_of(rules);
  const char *got = verdict_name(wr_policy_host(p, host, port));
  OK(strcmp(got, want) == 0, "[%s] %s %u: got %s, want %s", rules, host, port,
     got, want);
  wr_policy_free(p);
}

static void check_addr(const char *rules, const char *host, uint16_t port,
                       const char *addr, bool want) {
  wr_policy *p = policy_of(rules);
  wr_ip ip;
  MUST(wr_ip_parse(addr, &ip) == 0);
  OK(wr_policy_address(p, host, port, &ip) == want, "[%s] %s -> %s %u: want %d",
     rules, host, addr, port, want);
  wr_policy_free(p);
}

TEST(without_rules_everything_tcp_is_allowed) {
  check_host("", "example.com", 80, "allow");
  check_host("", "127.0.0.1", 80, "allow");
  check_host("", "::1", 0, "allow");
  check_host("", "", 80, "deny");
  check_host("", ".", 80, "deny");
  check_addr("", "example.com", 80, "10.0.0.1", true);
}

TEST(one_allow_rule_makes_denying_the_default) {
  check_host("+db.test:5432", "db.test", 5432, "allow");
  check_host("+db.test:5432", "db.test", 5433, "deny");
  check_host("+db.test:5432", "other.test", 5432, "deny");
  check_host("+db.test:5432", "10.0.0.1", 5432, "deny");
  check_host("-db.test", "db.test", 1, "deny");
  check_host("-db.test", "other.test", 1, "allow");
  check_host("+unix:/run/x", "other.test", 1, "deny");
  check_host("+wraith-control", "other.test", 1, "deny");
}

TEST(the_first_match_wins_across_both_kinds) {
  check_host("+a.test -a.test", "a.test", 1, "allow");
  check_host("-a.test +a.test", "a.test", 1, "deny");
  check_host("-a.test:80 +a.test", "a.test", 80, "deny");
  check_host("-a.test:80 +a.test", "a.test", 81, "allow");
  check_host("+a.test -*", "a.test", 1, "allow");
  check_host("+a.test -*", "b.test", 1, "deny");
  check_host("-b.test +*", "c.test", 1, "allow");
}

static void check_proxied(const char *rules, const char *host, uint16_t port,
                          bool want) {
  wr_policy *p = policy_of(rules);
  OK(wr_policy_proxied(p, host, port) == want, "[%s] %s %u: want %d", rules,
     host, port, want);
  wr_policy_free(p);
}

/* Their addresses are nowhere to be seen: name rules alone count. */
TEST(names_that_a_proxy_resolves) {
  check_proxied("", "a.test", 80, true);
  check_proxied("+a.test", "A.test.", 80, true);
  check_proxied("+a.test", "b.test", 80, false);
  check_proxied("-a.test", "a.test", 80, false);
  check_proxied("-a.test", "b.test", 80, true);
  check_proxied("+10.0.0.0/8", "a.test", 80, false);
  check_proxied("+10.0.0.0/8 -b.test", "b.test", 80, false);
  check_proxied("+*", "a.test", 80, true);
  check_proxied("-*:25", "a.test", 25, false);
  check_proxied("-*:25", "a.test", 80, true);
}

TEST(names_that_could_be_denied_addresses) {
  static const char *const denied[] = {"-private", "-loopback", "-10.0.0.0/8",
                                       "-192.0.2.1", "-private:80"};
  char text[64];
  for (size_t i = 0; i < WR_COUNTOF(denied); i++) {
    check_proxied(denied[i], "a.test", 80, false);
    snprintf(text, sizeof(text), "%s +*", denied[i]);
    check_proxied(text, "a.test", 80, false);
    snprintf(text, sizeof(text), "%s +a.test", denied[i]);
    check_proxied(text, "a.test", 80, true);
    check_proxied(text, "b.test", 80, false);
    snprintf(text, sizeof(text), "%s +*.test", denied[i]);
    check_proxied(text, "a.test", 80, true);
    snprintf(text, sizeof(text), "+a.test %s", denied[i]);
    check_proxied(text, "a.test", 80, true);
    snprintf(text, sizeof(text), "+* %s", denied[i]);
    check_proxied(text, "a.test", 80, true);
  }
  check_proxied("-private:22", "a.test", 80, true);
  check_proxied("-private:22", "a.test", 22, false);
}

TEST(addresses_that_go_to_a_proxy) {
  check_proxied("-private", "10.0.0.1", 80, false);
  check_proxied("-private", "0x0a000001", 80, false);
  check_proxied("-private", "[::ffff:10.0.0.1]", 80, false);
  check_proxied("-private", "192.0.2.1", 80, true);
  check_proxied("-private +*", "192.0.2.1", 80, true);
  check_proxied("+192.0.2.0/24", "192.0.2.1", 80, true);
  check_proxied("+192.0.2.0/24", "192.0.3.1", 80, false);
}

TEST(the_rule_that_decides_for_a_proxy_is_told) {
  wr_policy *p = policy_of("+a.test -private -10.0.0.0/8 +*");
  EQ_UINT(wr_policy_rule_proxied(p, "a.test", 80).rule, 0);
  EQ_UINT(wr_policy_rule_proxied(p, "b.test", 80).rule, 1);
  EQ_UINT(wr_policy_rule_proxied(p, "10.0.0.1", 80).rule, 1);
  EQ_UINT(wr_policy_rule_proxied(p, "192.0.2.1", 80).rule, 3);
  wr_policy_free(p);
}

TEST(ports_and_ranges) {
  check_host("+a.test:8000-9000", "a.test", 7999, "deny");
  check_host("+a.test:8000-9000", "a.test", 8000, "allow");
  check_host("+a.test:8000-9000", "a.test", 9000, "allow");
  check_host("+a.test:8000-9000", "a.test", 9001, "deny");
  check_host("+a.test:0-65535", "a.test", 65535, "allow");
  check_host("+a.test:*", "a.test", 65535, "allow");
  check_host("+*:443", "a.test", 443, "allow");
  check_host("+*:443", "a.test", 444, "deny");
  check_host("+*:*", "a.test", 444, "allow");
  check_host("+10.0.0.0/8:22", "10.1.2.3", 22, "allow");
  check_host("+10.0.0.0/8:22", "10.1.2.3", 23, "deny");
  check_host("+[fd00::]/8:22", "fd00::5", 22, "allow");
  check_host("+[fd00::/8]:22", "fd00::5", 23, "deny");
  check_host("+private:22-23", "192.168.1.1", 23, "allow");
  check_host("+private:22-23", "192.168.1.1", 24, "deny");
}

TEST(names_without_case_and_trailing_dot) {
  check_host("+DB.Test.", "db.test", 1, "allow");
  check_host("+db.test", "DB.TEST.", 1, "allow");
  check_host("+db.test", "db.test..", 1, "deny");
  check_host("+db.test", "xdb.test", 1, "deny");
  check_host("+*.Example.com", "a.b.EXAMPLE.com.", 1, "allow");
  check_host("+*.example.com", "example.com", 1, "deny");
  check_host("+*.example.com", ".example.com", 1, "deny");
  check_host("+*.example.com", "badexample.com", 1, "deny");
  check_host("-*.1 +*", "127.0.0.1", 1, "allow");
}

/* What a resolver turns into a denied name is denied as well. */
TEST(names_that_a_resolver_rewrites) {
  static const char *const forms[] = {
      "db\xe3\x80\x82test", "db\xef\xbc\x8etest", "db\xef\xbd\xa1test",
      "\\100b.test",        "db\\.test",          "b\xc3\xbc.test"};
  for (size_t i = 0; i < WR_COUNTOF(forms); i++) {
    check_host("-db.test", forms[i], 80, "deny");
    check_host("-private -db.test", forms[i], 80, "deny");
    check_host("-db.test +*", forms[i], 80, "deny");
    check_addr("-db.test", forms[i], 80, "192.0.2.1", false);
    check_host("", forms[i], 80, "allow");
  }
  check_host("-db.test", "a_b-c.test", 80, "allow");
  check_host("-db.test", "fe80::1%eth0", 80, "allow");
}

TEST(addresses_in_every_form_are_one) {
  static const char *const forms[] = {"127.0.0.1",
                                      "127.1",
                                      "2130706433",
                                      "0x7f000001",
                                      "0177.0.0.1",
                                      "017700000001",
                                      "127.0.0.1.",
                                      "0.0.0.0",
                                      "0",
                                      "0x0",
                                      "::ffff:127.0.0.1",
                                      "::ffff:7f00:1",
                                      "64:ff9b::7f00:1",
                                      "::FFFF:127.0.0.1",
                                      "::ffff:0.0.0.0",
                                      "[::ffff:127.0.0.1]"};
  for (size_t i = 0; i < WR_COUNTOF(forms); i++) {
    check_host("-127.0.0.0/8", forms[i], 80, "deny");
    check_host("-127.0.0.1", forms[i], 80, "deny");
    check_host("-loopback", forms[i], 80, "deny");
    check_host("+loopback", forms[i], 80, "allow");
    check_host("-0x7f.1 +*", forms[i], 80, "deny");
    check_host("-::ffff:127.0.0.1", forms[i], 80, "deny");
  }
  check_host("-::1", "::", 80, "deny");
  check_host("-::1", "0:0:0:0:0:0:0:1", 80, "deny");
  check_host("-loopback", "::", 80, "deny");
  check_host("-127.0.0.0/8", "::1", 80, "allow");
  check_host("-0.0.0.0 +*", "127.0.0.1", 80, "allow");
  check_host("-0.0.0.0", "0.0.0.0", 80, "deny");
}

TEST(groups) {
  check_host("-private", "10.9.8.7", 80, "deny");
  check_host("-private", "172.31.0.1", 80, "deny");
  check_host("-private", "172.32.0.1", 80, "allow");
  check_host("-private", "192.168.0.1", 80, "deny");
  check_host("-private", "fd12::1", 80, "deny");
  check_host("-private", "64:ff9b::10.0.0.1", 80, "deny");
  check_host("-link-local", "169.254.1.1", 80, "deny");
  check_host("-link-local", "fe80::1", 80, "deny");
  check_host("-metadata", "169.254.169.254", 80, "deny");
  check_host("-metadata", "0xa9fea9fe", 80, "deny");
  check_host("-metadata", "8.8.8.8", 80, "allow");
  check_host("-PRIVATE", "10.9.8.7", 80, "deny");
}

TEST(names_wait_for_their_addresses_where_rules_need_them) {
  check_host("-private", "a.test", 80, "check");
  check_host("-private:22", "a.test", 80, "allow");
  check_host("+a.test -private", "a.test", 80, "allow");
  check_host("-private +a.test", "a.test", 80, "check");
  check_host("-private +a.test", "b.test", 80, "check");
  check_host("-a.test -private", "a.test", 80, "deny");
  check_host("+10.0.0.0/8", "a.test", 80, "check");
  check_host("-[fe80::]/10", "fe80::1%eth0", 80, "check");
}

/* A name may resolve to what it likes, and differently each time. */
TEST(a_name_that_is_allowed_does_not_lead_to_a_denied_address) {
  const char *rules = "-private -loopback -metadata +*.test";
  check_addr(rules, "a.test", 80, "192.0.2.1", true);
  check_addr(rules, "a.test", 80, "10.0.0.1", false);
  check_addr(rules, "a.test", 80, "127.0.0.1", false);
  check_addr(rules, "a.test", 80, "0.0.0.0", false);
  check_addr(rules, "a.test", 80, "::", false);
  check_addr(rules, "a.test", 80, "::ffff:10.0.0.1", false);
  check_addr(rules, "a.test", 80, "64:ff9b::a9fe:a9fe", false);
  check_addr(rules, "b.example", 80, "192.0.2.1", false);
  check_addr("+a.test -private", "a.test", 80, "10.0.0.1", true);
  check_addr("+10.0.0.0/8:80", "a.test", 80, "10.0.0.1", true);
  check_addr("+10.0.0.0/8:80", "a.test", 80, "11.0.0.1", false);
  check_addr("+10.0.0.0/8:80", "a.test", 81, "10.0.0.1", false);
}

TEST(reserved_names_are_never_looked_up) {
  check_host("", "wraith-control", 1, "deny");
  check_host("+*", "WRAITH-x.", 1, "deny");
  check_addr("", "wraith-control", 1, "127.0.0.1", false);
}

static void check_other(const char *rules,
                        bool (*fn)(const wr_policy *, const char *),
                        const char *what, bool want) {
  wr_policy *p = policy_of(rules);
  OK(fn(p, what) == want, "[%s] %s: want %d", rules, what, want);
  wr_policy_free(p);
}

TEST(reserved_names) {
  check_other("", wr_policy_reserved, "wraith-control", true);
  check_other("+wraith-control", wr_policy_reserved, "wraith-control", true);
  check_other("+Wraith-Control.", wr_policy_reserved, "wraith-control", true);
  check_other("+wraith-control", wr_policy_reserved, "wraith-other", false);
  check_other("-wraith-control", wr_policy_reserved, "wraith-control", false);
  check_other("-wraith-control", wr_policy_reserved, "wraith-other", true);
  check_other("+wraith-*", wr_policy_reserved, "wraith-other", true);
  check_other("+a.test", wr_policy_reserved, "wraith-control", false);
  check_other("+*", wr_policy_reserved, "wraith-control", true);
  check_other("+*:443", wr_policy_reserved, "wraith-control", false);
  check_other("-*", wr_policy_reserved, "wraith-control", false);
  check_other("+wraith-a:*", wr_policy_reserved, "wraith-a", true);
}

TEST(unix_sockets_must_be_named) {
  check_other("", wr_policy_unix, "/run/x.sock", false);
  check_other("+*", wr_policy_unix, "/run/x.sock", false);
  check_other("+unix:/run/x.sock", wr_policy_unix, "/run/x.sock", true);
  check_other("+unix:/run/x.sock", wr_policy_unix, "/run/y.sock", false);
  check_other("+unix:/run/*.sock", wr_policy_unix, "/run/y.sock", true);
  check_other("+unix:/run/*.sock", wr_policy_unix, "/run/a/y.sock", false);
  check_other("+unix:/run/**.sock", wr_policy_unix, "/run/a/y.sock", true);
  check_other("-unix:/run/a/* +unix:/**", wr_policy_unix, "/run/a/b", false);
  check_other("-unix:/run/a/* +unix:/**", wr_policy_unix, "/run/b/b", true);
}

TEST(paths_that_only_look_allowed_are_not) {
  static const char *const odd[] = {
      "/run/../etc/x", "/run//x", "/run/./x", "//run/x", "/run/",
      "run/x",         "/run/..", "/run/.",   "/",       "",
      "/run/a/../../x"};
  for (size_t i = 0; i < WR_COUNTOF(odd); i++) {
    check_other("+unix:/**", wr_policy_unix, odd[i], false);
  }
  check_other("+unix:/**", wr_policy_unix, "/run/..x", true);
  check_other("+unix:/**", wr_policy_unix, "/run/...", true);
}

TEST(globs) {
  static const struct {
    const char *pattern, *text;
    bool match;
  } t[] = {{"/a", "/a", true},
           {"/a", "/ab", false},
           {"/a*", "/a", true},
           {"/a*", "/abc", true},
           {"/a*", "/a/c", false},
           {"/a?", "/ab", true},
           {"/a?", "/a", false},
           {"/a?", "/a/", false},
           {"/*/c", "/b/c", true},
           {"/*/c", "/b/d/c", false},
           {"/**/c", "/b/d/c", true},
           {"/**", "/", true},
           {"/**/x*z", "/a/xy/xyz", true},
           {"/**/x*z", "/a/xy/yz", false},
           {"/a**", "/a/b/c", true},
           {"/*a*b*c", "/aabbcc", true},
           {"/*a*b*c", "/aabbc/", false},
           {"/a***b", "/a/q/b", true},
           {"/**a/b*", "/xa/a/bc", true},
           {"*", "", true},
           {"", "", true},
           {"", "a", false},
           {"/*b**d", "/abcb/x/d", true},
           {"/\xff*", "/\xff\xfe", true}};
  for (size_t i = 0; i < WR_COUNTOF(t); i++) {
    OK(wr__rule_glob(t[i].pattern, t[i].text) == t[i].match, "%s on %s",
       t[i].pattern, t[i].text);
  }
}

TEST(a_glob_takes_no_exponential_time) {
  char pattern[WR_RULE_TEXT_MAX] = "/";
  char text[WR_HOST_MAX + 1];
  for (size_t i = 1; i + 2 < 400; i += 2) {
    memcpy(pattern + i, "a*", 3);
  }
  memset(text, 'a', sizeof(text));
  text[0] = '/';
  text[WR_HOST_MAX] = '\0';
  memcpy(pattern + strlen(pattern), "b", 2);
  OK(!wr__rule_glob(pattern, text), "no match, in short time");
}

static void check_listen(const char *rules, const char *host, uint16_t port,
                         bool want) {
  wr_policy *p = policy_of(rules);
  OK(wr_policy_listen(p, host, port) == want, "[%s] listen %s:%u, want %d",
     rules, host, port, want);
  wr_policy_free(p);
}

TEST(listening_needs_no_rule_above_1023) {
  check_listen("", "", 0, true);
  check_listen("", "localhost", 1024, true);
  check_listen("", "*", 65535, true);
  check_listen("+db.test:5432", "127.0.0.1", 8080, true);
  check_listen("-private -loopback -metadata", "localhost", 8080, true);
  check_listen("-private -loopback -metadata", "localhost", 0, true);
}

TEST(low_ports_are_listened_on_by_rule_alone) {
  check_listen("", "localhost", 1023, false);
  check_listen("", "", 1, false);
  check_listen("+*", "localhost", 80, false);
  check_listen("+loopback", "localhost", 80, false);
  check_listen("+localhost:80", "localhost", 80, true);
  check_listen("+localhost:80", "", 80, true);
  check_listen("+localhost:80", "*", 80, false);
  check_listen("+localhost:80", "127.0.0.1", 80, true);
  check_listen("+localhost:80", "::1", 80, true);
  check_listen("+localhost:80", "127.0.0.2", 80, false);
  check_listen("+localhost:81", "localhost", 80, false);
  check_listen("+loopback:80", "127.0.0.1", 80, true);
  check_listen("+loopback:80", "localhost", 80, true);
  check_listen("+127.0.0.1:80", "127.0.0.1", 80, true);
  check_listen("+127.0.0.1:80", "::1", 80, false);
  check_listen("+127.0.0.1:80", "192.0.2.1", 80, false);
  check_listen("+192.0.2.1:80-90", "192.0.2.1", 90, true);
  check_listen("+*:80", "*", 80, true);
  check_listen("+0.0.0.0/0:80", "*", 80, true);
  check_listen("+127.0.0.0/8:80", "*", 80, false);
  check_listen("+127.0.0.0/8:80", "0.0.0.0", 80, false);
  check_listen("+private:80", "10.0.0.1", 80, true);
  check_listen("-*:80 +localhost:80", "localhost", 80, false);
}

TEST(deny_rules_that_name_a_port_hold_for_listening) {
  check_listen("-*", "localhost", 8080, false);
  check_listen("-*", "localhost", 0, false);
  check_listen("-*:8080", "localhost", 8080, false);
  check_listen("-*:8080", "localhost", 8081, true);
  check_listen("-loopback:6379", "localhost", 6379, false);
  check_listen("-loopback:6379", "*", 6379, false);
  check_listen("-loopback:6379", "::", 6379, false);
  check_listen("-loopback:6379", "192.0.2.1", 6379, true);
  check_listen("-::1:6379", "localhost", 6379, true);
  check_listen("-[::1]:6379", "localhost", 6379, false);
  check_listen("-localhost:6379", "", 6379, false);
  check_listen("-localhost:6379", "127.0.0.1", 6379, false);
  check_listen("-localhost:6379", "::ffff:127.0.0.1", 6379, false);
  check_listen("-localhost:6379", "::1", 6379, false);
  check_listen("-localhost:6379", "*", 6379, false);
  check_listen("-localhost:6379", "::", 6379, false);
  check_listen("-localhost:6379", "192.0.2.1", 6379, true);
  check_listen("+localhost:6379 -*:6379", "localhost", 6379, true);
}

static void bad_rule(const char *rule, const char *part) {
  wr_policy *p = wr_policy_new(&mem);
  const char *why = NULL;
  MUST(p != NULL);
  EQ_INT(wr_policy_add(p, true, rule, &why), WR_ERULE);
  OK(why != NULL && strstr(why, part) != NULL, "%s: \"%s\" says \"%s\"", rule,
     why ? why : "NULL", part);
  OK(wr_policy_host(p, "a.test", 1) == WR_ALLOW, "a bad rule leaves no trace");
  wr_policy_free(p);
}

TEST(malformed_rules_say_what_is_wrong) {
  char text[WR_RULE_TEXT_MAX + 2];
  bad_rule("", "missing");
  bad_rule(":80", "missing");
  bad_rule("a.test:", "neither a number");
  bad_rule("a.test:x", "neither a number");
  bad_rule("a.test:65536", "neither a number");
  bad_rule("a.test:1-", "neither a number");
  bad_rule("a.test:-5", "neither a number");
  bad_rule("a.test:9-5", "ends before");
  bad_rule("*.", "neither a name");
  bad_rule("**", "neither a name");
  bad_rule("a*.test", "neither a name");
  bad_rule("*.*.test", "neither a name");
  bad_rule("a b", "neither a name");
  bad_rule("%%", "neither a name");
  bad_rule("a@b", "neither a name");
  bad_rule("a..b", "neither a name");
  bad_rule("a..", "neither a name");
  bad_rule(".a", "neither a name");
  bad_rule("b\xc3\xbc.test", "neither a name");
  bad_rule("wraith-a b", "printable");
  bad_rule("wraith-\x1b[2J", "printable");
  bad_rule("10.0.0.0/33", "malformed network");
  bad_rule("10.0.0.1/8", "malformed network");
  bad_rule("10.0.0.0/", "malformed network");
  bad_rule("a.test/8", "malformed network");
  bad_rule("fd00::/8:443x:", "malformed network");
  bad_rule("[::1", "']'");
  bad_rule("[::1]80", "']'");
  bad_rule("[a.test]:80", "malformed network");
  bad_rule("wraith-a:1", "no port");
  bad_rule("unix:run/x", "absolute path");
  bad_rule("unix:/run/../x", "absolute path");
  bad_rule("unix:", "absolute path");
  memset(text, 'a', sizeof(text));
  text[WR_RULE_TEXT_MAX + 1] = '\0';
  bad_rule(text, "512");
  text[WR_RULE_TEXT_MAX] = '\0';
  bad_rule(text, "255");
}

TEST(rules_are_counted) {
  wr_policy *p = wr_policy_new(&mem);
  const char *why = NULL;
  MUST(p != NULL);
  for (int i = 0; i < 4096; i++) {
    MUST(wr_policy_add(p, false, "a.test", &why) == 0);
  }
  EQ_INT(wr_policy_add(p, false, "a.test", &why), WR_ERULE);
  EQ_STR(why, "more than 4096 rules");
  wr_policy_free(p);
}

TEST(failing_memory_leaves_the_policy_whole) {
  for (uint64_t n = 1; n < 6; n++) {
    wr_mem torn;
    wr_mem_init(&torn);
    torn.fail_at = n;
    wr_policy *p = wr_policy_new(&torn);
    const char *why = NULL;
    if (p != NULL) {
      int err = wr_policy_add(p, false, "a.test", &why);
      OK(err == 0 || err == WR_ENOMEM, "allocation %d", (int)n);
      bool denied = wr_policy_host(p, "a.test", 1) == WR_DENY;
      EQ_INT(denied, err == 0);
    }
    wr_policy_free(p);
    EQ_UINT(torn.live_blocks, 0);
  }
}

static void set_up(void) {
  wr_mem_init(&mem);
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
}

TAP_MAIN_WITH(set_up, tear_down)
