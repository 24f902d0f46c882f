/* The options in front of a key: what they say, what is refused, and what they
   allow. */
#include "tap.h"

#include <time.h>

#include "base/errors.h"
#include "ssh/keyopts.h"

static wr_mem mem;
static const char *why;

static void set_up(void) {
  wr_mem_init(&mem);
  why = NULL;
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
}

/* Exactly as large as the text, so that reading behind it is seen. */
static int parse_bytes(const char *text, size_t len, wr_keyopts *o) {
  char *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, text, len);
  int err = wr_keyopts_parse(&mem, copy, len, o, &why);
  free(copy);
  return err;
}

static int parse(const char *text, wr_keyopts *o) {
  return parse_bytes(text, strlen(text), o);
}

/* Options that have to be fine. */
static wr_keyopts good(const char *text) {
  wr_keyopts o;
  wr_keyopts_init(&o);
  int err = parse(text, &o);
  if (!OK(err == 0, "%s is read", text)) {
    DIAG("%d: %s", err, why == NULL ? "" : why);
  }
  return o;
}

static void check_bad(const char *text, size_t len, const char *want) {
  wr_keyopts o = {.expires_s = 77};
  why = NULL;
  int err = parse_bytes(text, len, &o);
  OK(err == WR_EKEY_OPTIONS, "%s is refused", text);
  EQ_STR(why, want);
  EQ_UINT(o.expires_s, 77); /* written on success only */
}

#define BAD(text, want) check_bad(text, sizeof(text) - 1, want)

TEST(a_line_without_options_may_do_all) {
  wr_keyopts o;
  wr_keyopts_init(&o);
  CHECK(o.port_forwarding);
  CHECK(!o.cert_authority && !o.verify_required);
  EQ_UINT(o.expires_s, 0);
  CHECK(o.from == NULL && o.principals == NULL);
  CHECK(wr_keyopts_may_open(&o, "any", 1));
  CHECK(wr_keyopts_may_open_unix(&o));
  CHECK(wr_keyopts_may_listen(&o, "", 0));
  CHECK(wr_keyopts_may_listen_unix(&o));
  wr_keyopts_reset(&mem, &o);
}

static void check_flags(const char *text, bool forwarding, bool authority,
                        bool verify) {
  wr_keyopts o = good(text);
  int fine = EQ_INT(o.port_forwarding, forwarding);
  fine &= EQ_INT(o.cert_authority, authority);
  fine &= EQ_INT(o.verify_required, verify);
  if (!fine) {
    DIAG("in: %s", text);
  }
  CHECK(wr_keyopts_may_open(&o, "a", 1) == forwarding);
  CHECK(wr_keyopts_may_open_unix(&o) == forwarding);
  CHECK(wr_keyopts_may_listen(&o, "a", 1) == forwarding);
  CHECK(wr_keyopts_may_listen_unix(&o) == forwarding);
  wr_keyopts_reset(&mem, &o);
}

TEST(flags) {
  check_flags("restrict", false, false, false);
  check_flags("no-port-forwarding", false, false, false);
  check_flags("port-forwarding", true, false, false);
  check_flags("cert-authority", true, true, false);
  check_flags("verify-required", true, false, true);
  check_flags("touch-required", true, false, false);
  check_flags("pty,agent-forwarding,X11-forwarding,user-rc", true, false,
              false);
  check_flags("no-pty,no-agent-forwarding,no-X11-forwarding,no-user-rc", true,
              false, false);
  check_flags("RESTRICT,Cert-Authority,VERIFY-required", false, true, true);
  check_flags("No-PTY,NO-Port-Forwarding", false, false, false);
}

TEST(the_last_of_several_flags_wins) {
  check_flags("restrict,port-forwarding", true, false, false);
  check_flags("port-forwarding,restrict", false, false, false);
  check_flags("restrict,pty", false, false, false);
  check_flags("no-port-forwarding,port-forwarding", true, false, false);
  check_flags("port-forwarding,no-port-forwarding", false, false, false);
  check_flags("verify-required,no-verify-required", true, false, false);
  check_flags("no-verify-required,verify-required", true, false, true);
  check_flags("verify-required,restrict,port-forwarding", true, false, true);
}

TEST(empty_options_are_skipped_as_by_sshd) {
  check_flags("", true, false, false);
  check_flags(",", true, false, false);
  check_flags(",,restrict,,verify-required,", false, false, true);
}

TEST(what_cannot_be_enforced_is_refused) {
  BAD("command=\"echo\"", "command: not supported");
  BAD("restrict,Command=\"a,b\"", "command: not supported");
  BAD("command", "command: not supported");
  BAD("environment=\"A=b\"", "environment: not supported");
  BAD("tunnel=\"0\"", "tunnel: not supported");
  BAD("no-touch-required", "no-touch-required: not supported");
  BAD("pty,NO-touch-required", "no-touch-required: not supported");
}

TEST(what_is_not_known_is_refused) {
  BAD("anything", "unknown option");
  BAD("anything=\"x\"", "unknown option");
  BAD("restrict,anything", "unknown option");
  BAD("restricted", "unknown option");
  BAD("restrict ", "unknown option");
  BAD(" restrict", "unknown option");
  BAD("restrict, pty", "unknown option");
  BAD("restrict\t", "unknown option");
  BAD("restrict=\"x\"", "unknown option");
  BAD("restrict\"x\"", "unknown option");
  BAD("no-restrict", "unknown option");
  BAD("no-cert-authority", "unknown option");
  BAD("no-from=\"*\"", "unknown option");
  BAD("no-", "unknown option");
  BAD("no-no-pty", "unknown option");
  BAD("nopty", "unknown option");
  BAD("from", "unknown option");
  BAD("=", "unknown option");
  BAD("=\"x\"", "unknown option");
  BAD("from=\"*\"x", "unknown option");
  BAD("from=\"*\" ", "unknown option");
  BAD("from=\"*\"\"\"", "unknown option");
  BAD("restrict\0", "unknown option");
  BAD("restrict,\0pty", "unknown option");
  BAD("\0", "unknown option");
  BAD("from=\"*\0\"", "unknown option");
}

TEST(values_are_in_quotes) {
  BAD("from=*", "from: the value is not in quotes");
  BAD("from=", "from: the value is not in quotes");
  BAD("from=\"", "from: the value is not in quotes");
  BAD("from=\"*", "from: the value is not in quotes");
  BAD("from=\"*\\\"", "from: the value is not in quotes");
  BAD("from='*'", "from: the value is not in quotes");
  BAD("from= \"*\"", "from: the value is not in quotes");
  BAD("principals=a", "principals: the value is not in quotes");
  BAD("expiry-time=20300101Z", "expiry-time: the value is not in quotes");
  BAD("permitopen=a:1", "permitopen: the value is not in quotes");
  BAD("permitlisten=1", "permitlisten: the value is not in quotes");
}

static void check_principals(const char *text, const char *want) {
  wr_keyopts o = good(text);
  EQ_STR(o.principals, want);
  wr_keyopts_reset(&mem, &o);
}

TEST(quotes_in_values) {
  check_principals("cert-authority,principals=\"a b\tc,d\"", "a b\tc,d");
  check_principals("PRINCIPALS=\"a=b\",cert-authority", "a=b");
  check_principals("cert-authority,principals=\"\"", "");
  check_principals("cert-authority,principals=\"a\\\"b\"", "a\"b");
  check_principals("cert-authority,principals=\"\\\"\"", "\"");
  /* The backslash is one only in front of a quote. */
  check_principals("cert-authority,principals=\"a\\b\\\\c\"", "a\\b\\\\c");

  check_principals("cert-authority,principals=\"a\\\\\"b\"", "a\\\"b");
}

TEST(principals) {
  BAD("cert-authority,principals=\"a\",principals=\"b\"",
      "principals: given twice");
  BAD("principals=\"a\",principals=\"a\",cert-authority",
      "principals: given twice");
  BAD("principals=\"a\"", "principals: without cert-authority");
  BAD("restrict,principals=\"a\"", "principals: without cert-authority");
}

TEST(from) {
  wr_keyopts o = good("FROM=\"10.0.0.0/8,!10.1.*,*.example.com\",no-pty");
  EQ_STR(o.from, "10.0.0.0/8,!10.1.*,*.example.com");
  wr_keyopts_reset(&mem, &o);
  CHECK(o.from == NULL);
  BAD("from=\"10.0.0.0/8\",from=\"*\"", "from: given twice");
  BAD("from=\"10.0.0.1/8\"",
      "from: an entry is empty or a network has host bits");
  BAD("from=\"\"", "from: an entry is empty or a network has host bits");
  BAD("from=\"a,\"", "from: an entry is empty or a network has host bits");
}

static void check_time(const char *value, uint64_t want) {
  char text[128];
  snprintf(text, sizeof(text), "expiry-time=\"%s\"", value);
  wr_keyopts o = good(text);
  if (!EQ_UINT(o.expires_s, want)) {
    DIAG("in: %s", text);
  }
  wr_keyopts_reset(&mem, &o);
}

TEST(expiry_times_in_utc) {
  check_time("20300102Z", 1893542400);
  check_time("203001020304Z", 1893553440);
  check_time("20300102030405Z", 1893553445);
  check_time("20300102030405z", 1893553445);
  check_time("20300102UTC", 1893542400);
  check_time("20300102030405utc", 1893553445);
  check_time("19700101000001Z", 1);
  check_time("19700102Z", 86400);
  check_time("20000229Z", 951782400);
  check_time("20240229235959Z", 1709251199);
  check_time("20231231235959Z", 1704067199);
  check_time("20380119031408Z", 2147483648);
  check_time("21000301Z", 4107542400);
  check_time("99991231235959Z", 253402300799);
}

static void in_zone(const char *zone) {
  MUST(zone == NULL ? unsetenv("TZ") == 0 : setenv("TZ", zone, 1) == 0);
  tzset();
}

TEST(expiry_times_in_local_time) {
  in_zone("AAA-1");
  check_time("20300102", 1893542400 - 3600);
  check_time("203001020304", 1893553440 - 3600);
  check_time("20300102030405", 1893553445 - 3600);
  check_time("20300102030405Z", 1893553445);
  in_zone("AAA+5:30");
  check_time("20300102", 1893542400 + 19800);
  /* sshd knows no daylight saving: in summer it is an hour late. */
  in_zone("AAA-1BBB,M3.5.0,M10.5.0/3");
  check_time("20300702", 1909180800 - 3600);
  in_zone(NULL);
}

TEST(the_earliest_of_several_expiry_times_wins) {
  wr_keyopts o = good("expiry-time=\"20300102Z\",restrict,"
                      "Expiry-Time=\"20300101Z\",expiry-time=\"20300103Z\"");
  EQ_UINT(o.expires_s, 1893456000);
  wr_keyopts_reset(&mem, &o);
}

TEST(times_that_are_none) {
  static const char *const cases[] = {
      "",
      "Z",
      "UTC",
      "2030",
      "2030010",
      "203001011",
      "2030010112",
      "203001011Z",
      "2030010112000",
      "203001011200000",
      "20300100Z",
      "20300001Z",
      "20301301Z",
      "20300132Z",
      "20300229Z",
      "20300230Z",
      "21000229Z",
      "20300431Z",
      "203001012400Z",
      "203001010060Z",
      "20300101000060Z",
      "2030-1-1",
      "2030 1 1",
      " 2030010",
      "+2030101",
      "20300101 ",
      "20300101ZZ",
      "20300101+01",
      "20300101GMT",
      "19700101Z",
      "19691231Z",
      "00000101Z",
      "always",
      "0x7f0101",
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    char text[128];
    snprintf(text, sizeof(text), "expiry-time=\"%s\"", cases[i]);
    check_bad(text, strlen(text),
              "expiry-time: not a time as YYYYMMDD[HHMM[SS]][Z]");
  }
}

/* One permit of its kind. */
static void check_permit(const char *name, const char *value, const char *host,
                         uint16_t port) {
  char text[2048];
  snprintf(text, sizeof(text), "%s=\"%s\"", name, value);
  wr_keyopts o = good(text);
  bool open = strcmp(name, "permitopen") == 0;
  EQ_UINT(o.n_opens, open ? 1 : 0);
  EQ_UINT(o.n_listens, open ? 0 : 1);
  const wr_permit *p = open ? o.opens : o.listens;
  if (p != NULL) {
    EQ_STR(p->host, host);
    EQ_UINT(p->port, port);
  }
  wr_keyopts_reset(&mem, &o);
}

static void check_bad_permit(const char *name, const char *value,
                             const char *problem) {
  char text[2048];
  char want[128];
  snprintf(text, sizeof(text), "%s=\"%s\"", name, value);
  snprintf(want, sizeof(want), "%s: the %s", name, problem);
  check_bad(text, strlen(text), want);
}

#define NO_PORT "port is neither a number nor '*'"
#define NO_HOST "host is malformed"

TEST(permits_are_taken_apart) {
  static const char *const names[] = {"permitopen", "permitlisten"};
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    check_permit(names[i], "host:80", "host", 80);
    check_permit(names[i], "Host.Example:65535", "Host.Example", 65535);
    check_permit(names[i], "host:*", "host", 0);
    check_permit(names[i], "*:80", "*", 80);
    check_permit(names[i], "*:*", "*", 0);
    check_permit(names[i], "[::1]:80", "::1", 80);
    check_permit(names[i], "[*]:80", "*", 80);
    check_permit(names[i], "[host]:80", "host", 80);
    check_permit(names[i], "[]:80", "", 80);
    check_permit(names[i], ":80", "", 80);
    check_permit(names[i], "host:0080", "host", 80);
    check_bad_permit(names[i], "", NO_PORT);
    check_bad_permit(names[i], "host", NO_PORT);
    check_bad_permit(names[i], "host:", NO_PORT);
    check_bad_permit(names[i], "host:0", NO_PORT);
    check_bad_permit(names[i], "host:65536", NO_PORT);
    check_bad_permit(names[i], "host:99999999999999999999", NO_PORT);
    check_bad_permit(names[i], "host:http", NO_PORT);
    check_bad_permit(names[i], "host:-1", NO_PORT);
    check_bad_permit(names[i], "host:+80", NO_PORT);
    check_bad_permit(names[i], "host: 80", NO_PORT);
    check_bad_permit(names[i], "host:80 ", NO_PORT);
    check_bad_permit(names[i], "host:**", NO_PORT);
    check_bad_permit(names[i], "host:80:90", NO_PORT);
    check_bad_permit(names[i], "::1:80", NO_PORT);
    check_bad_permit(names[i], "[::1]", NO_PORT);
    check_bad_permit(names[i], "[::1:80", NO_HOST);
    check_bad_permit(names[i], "[::1]80:", NO_HOST);
    check_bad_permit(names[i], "[a]]:80", NO_HOST);
  }
}

TEST(permits_of_one_kind_only) {
  check_permit("permitlisten", "8080", "*", 8080);
  check_permit("permitlisten", "*", "*", 0);
  check_bad_permit("permitopen", "8080", NO_PORT);
  check_bad_permit("permitopen", "*", NO_PORT);
  /* sshd takes a '/' for a colon, but cannot listen by it. */
  check_permit("permitopen", "host/80", "host", 80);
  check_permit("permitopen", "[::1]/80", "::1", 80);
  check_bad_permit("permitlisten", "host/80", NO_PORT);
  check_bad_permit("permitlisten", "[::1]/80", NO_HOST);
  check_bad_permit("permitlisten", "a/b:80", NO_HOST);
}

TEST(hosts_of_permits_are_bounded) {
  char host[1100];
  char value[1200];
  memset(host, 'a', sizeof(host));
  host[1024] = '\0';
  snprintf(value, sizeof(value), "%s:80", host);
  check_permit("permitopen", value, host, 80);
  snprintf(value, sizeof(value), "[%s]:80", host);
  check_bad_permit("permitopen", value, NO_HOST);
  host[1024] = 'a';
  host[1025] = '\0';
  snprintf(value, sizeof(value), "%s:80", host);
  check_bad_permit("permitopen", value, NO_HOST);
}

static void check_permit_count(const char *option, const char *too_many) {
  size_t one = strlen(option) + 1;
  size_t len = one * (WR_PERMITS_MAX + 1);
  char *text = malloc(len + 1);
  wr_keyopts o;
  MUST(text != NULL);
  for (size_t i = 0; i <= WR_PERMITS_MAX; i++) {
    snprintf(text + i * one, one + 1, "%s,", option);
  }
  if (EQ_INT(parse_bytes(text, len - one, &o), 0)) {
    EQ_UINT(o.n_opens + o.n_listens, WR_PERMITS_MAX);
    wr_keyopts_reset(&mem, &o);
  }
  check_bad(text, len, too_many);
  free(text);
}

TEST(permits_are_bounded) {
  check_permit_count("permitopen=\"a:1\"", "permitopen: there are too many");
  check_permit_count("permitlisten=\"1\"", "permitlisten: there are too many");
}

TEST(what_permitopen_allows) {
  wr_keyopts o = good("permitopen=\"db:5432\",permitopen=\"[::1]:*\","
                      "permitopen=\"*:80\",permitopen=\"w?b*:81\"");
  EQ_UINT(o.n_opens, 4);
  CHECK(wr_keyopts_may_open(&o, "db", 5432));
  CHECK(!wr_keyopts_may_open(&o, "db", 5433));
  CHECK(!wr_keyopts_may_open(&o, "DB", 5432));
  CHECK(!wr_keyopts_may_open(&o, "db.", 5432));
  CHECK(!wr_keyopts_may_open(&o, "", 5432));
  CHECK(wr_keyopts_may_open(&o, "::1", 1));
  CHECK(wr_keyopts_may_open(&o, "::1", 65535));
  CHECK(!wr_keyopts_may_open(&o, "0:0:0:0:0:0:0:1", 1));
  CHECK(!wr_keyopts_may_open(&o, "[::1]", 1));
  CHECK(wr_keyopts_may_open(&o, "anything", 80));
  CHECK(wr_keyopts_may_open(&o, "", 80));
  CHECK(!wr_keyopts_may_open(&o, "web", 81)); /* no patterns */
  CHECK(wr_keyopts_may_open(&o, "w?b*", 81));
  CHECK(!wr_keyopts_may_open_unix(&o));
  /* Listening is another matter. */
  CHECK(wr_keyopts_may_listen(&o, "any", 1));
  CHECK(wr_keyopts_may_listen_unix(&o));
  wr_keyopts_reset(&mem, &o);
}

TEST(what_permitlisten_allows) {
  wr_keyopts o = good("permitlisten=\"localhost:8080\",permitlisten=\"9090\","
                      "permitlisten=\"*.example.com:*\",permitlisten=\":1\","
                      "permitlisten=\"Upper:2\",permitlisten=\"10.?.0.1:3\"");
  EQ_UINT(o.n_listens, 6);
  CHECK(wr_keyopts_may_listen(&o, "localhost", 8080));
  CHECK(wr_keyopts_may_listen(&o, "LocalHost", 8080));
  CHECK(!wr_keyopts_may_listen(&o, "localhost", 8081));
  CHECK(!wr_keyopts_may_listen(&o, "localhost", 0));
  CHECK(!wr_keyopts_may_listen(&o, "127.0.0.1", 8080));
  CHECK(wr_keyopts_may_listen(&o, "", 9090));
  CHECK(wr_keyopts_may_listen(&o, "*", 9090));
  CHECK(wr_keyopts_may_listen(&o, "::", 9090));
  CHECK(wr_keyopts_may_listen(&o, "A.Example.Com", 7));
  CHECK(wr_keyopts_may_listen(&o, "a.example.com", 0));
  CHECK(!wr_keyopts_may_listen(&o, "example.com", 7));
  CHECK(wr_keyopts_may_listen(&o, "", 1));
  CHECK(!wr_keyopts_may_listen(&o, "*", 1));
  CHECK(!wr_keyopts_may_listen(&o, "upper", 2)); /* as sshd has it */
  CHECK(!wr_keyopts_may_listen(&o, "Upper", 2));
  CHECK(wr_keyopts_may_listen(&o, "10.2.0.1", 3));
  CHECK(!wr_keyopts_may_listen_unix(&o));
  CHECK(wr_keyopts_may_open(&o, "any", 1));
  CHECK(wr_keyopts_may_open_unix(&o));
  wr_keyopts_reset(&mem, &o);
}

TEST(permits_do_not_allow_what_restrict_forbids) {
  wr_keyopts o = good("permitopen=\"*:*\",permitlisten=\"*:*\",restrict");
  CHECK(!wr_keyopts_may_open(&o, "a", 1));
  CHECK(!wr_keyopts_may_listen(&o, "a", 1));
  CHECK(!wr_keyopts_may_open_unix(&o));
  CHECK(!wr_keyopts_may_listen_unix(&o));
  wr_keyopts_reset(&mem, &o);
  o = good("restrict,port-forwarding,permitopen=\"a:1\"");
  CHECK(wr_keyopts_may_open(&o, "a", 1));
  CHECK(!wr_keyopts_may_open(&o, "b", 1));
  wr_keyopts_reset(&mem, &o);
}

TEST(reserved_names_have_no_case) {
  wr_keyopts o = good("permitopen=\"Wraith-Control:1\","
                      "permitlisten=\"Wraith-Web.:*\","
                      "permitlisten=\"wraith-a*:*\"");
  CHECK(wr_keyopts_may_open(&o, "wraith-control", 1));
  CHECK(wr_keyopts_may_open(&o, "WRAITH-CONTROL.", 1));
  CHECK(!wr_keyopts_may_open(&o, "wraith-control", 2));
  CHECK(!wr_keyopts_may_open(&o, "wraith-control..", 1));
  CHECK(!wr_keyopts_may_open(&o, "wraith-controls", 1));
  CHECK(!wr_keyopts_may_open(&o, "wraith-control.example", 1));
  CHECK(wr_keyopts_may_listen(&o, "wraith-web", 0));
  CHECK(wr_keyopts_may_listen(&o, "wraith-WEB.", 0));
  CHECK(!wr_keyopts_may_listen(&o, "wraith-webs", 0));
  CHECK(wr_keyopts_may_listen(&o, "Wraith-Api", 0));
  wr_keyopts_reset(&mem, &o);
}

TEST(requests_for_very_long_names) {
  char host[4096];
  wr_keyopts o = good("permitopen=\"a:*\",permitlisten=\"*:*\"");
  memset(host, 'a', sizeof(host));
  host[sizeof(host) - 1] = '\0';
  CHECK(!wr_keyopts_may_open(&o, host, 1));
  CHECK(!wr_keyopts_may_listen(&o, host, 1));
  host[255] = '\0';
  CHECK(wr_keyopts_may_listen(&o, host, 1));
  wr_keyopts_reset(&mem, &o);
}

TEST(every_truncation_is_read_or_refused) {
  static const char text[] =
      "restrict,From=\"10.0.0.0/8,*.b\",cert-authority,principals=\"a\\\"b\","
      "expiry-time=\"20300101Z\",permitopen=\"[::1]:80\",permitlisten=\"*:1\"";
  for (size_t i = 0; i < sizeof(text); i++) {
    wr_keyopts o;
    int err = parse_bytes(text, i, &o);
    CHECK(err == 0 || err == WR_EKEY_OPTIONS);
    if (err == 0) {
      wr_keyopts_reset(&mem, &o);
    }
  }
}

TEST(running_out_of_memory_is_reported) {
  static const char text[] =
      "cert-authority,from=\"*\",principals=\"a\",expiry-time=\"20300101Z\","
      "permitopen=\"a:1\",permitopen=\"b:1\",permitopen=\"c:1\","
      "permitlisten=\"1\",permitlisten=\"2\",permitlisten=\"3\"";
  for (uint64_t at = 1; at < 100; at++) {
    wr_keyopts o = {.expires_s = 77};
    why = NULL;
    mem.fail_at = mem.total + at;
    int err = parse(text, &o);
    mem.fail_at = 0;
    if (err == 0) {
      /* A value each, and a list and a host for each permit. */
      CHECK(at > 9 + 6 + 6);
      wr_keyopts_reset(&mem, &o);
      return;
    }
    EQ_INT(err, WR_ENOMEM);
    CHECK(why == NULL);
    EQ_UINT(o.expires_s, 77);
    EQ_UINT(mem.live_blocks, 0);
  }
  FAIL("it never worked");
}

TAP_MAIN_WITH(set_up, tear_down)
