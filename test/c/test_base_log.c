#include "tap.h"

#include "base/log.h"
#include "json_check.h"

/* 2026-06-02T10:00:00.000Z */
#define NOW INT64_C(1780394400000)

static char text[WR_LOG_LINE_MAX + 1];

static wr_log_record record(const wr_log_field *fields, size_t n) {
  return (wr_log_record){.level = WR_LOG_INFO,
                         .time_ms = NOW,
                         .message = "msg",
                         .fields = fields,
                         .n_fields = n};
}

static const char *logfmt(const wr_log_record *r) {
  size_t n = wr_log_format_logfmt(r, text, sizeof(text));
  EQ_UINT(n, strlen(text));
  return text;
}

static const char *json(const wr_log_record *r) {
  size_t n = wr_log_format_json(r, text, sizeof(text));
  EQ_UINT(n, strlen(text));
  CHECK(json_members(text) >= 0);
  return text;
}

/* What stands for one value, in each of the formats. */
static const char *logfmt_value(const char *value, size_t len) {
  wr_log_field f = wr_log_bytes("k", (const uint8_t *)value, len);
  wr_log_record r = record(&f, 1);
  const char *line = logfmt(&r);
  return line + strlen("2026-06-02T10:00:00.000Z INFO msg k=");
}

static const char *json_value(const char *value, size_t len) {
  wr_log_field f = wr_log_bytes("k", (const uint8_t *)value, len);
  wr_log_record r = record(&f, 1);
  json(&r);
  text[strlen(text) - 1] = '\0';
  return strstr(text, "\"k\":") + 4;
}

static const char *time_of(int64_t ms) {
  wr_log_record r = record(NULL, 0);
  r.time_ms = ms;
  logfmt(&r);
  text[24] = '\0';
  return text;
}

TEST(lines_as_documented) {
  wr_log_field opened[] = {wr_log_str("remote_addr", "203.0.113.50"),
                           wr_log_str("transport", "tls"),
                           wr_log_int("session", 42)};
  wr_log_record r = {WR_LOG_INFO, NOW, "connection opened", opened, 3};
  EQ_STR(logfmt(&r), "2026-06-02T10:00:00.000Z INFO connection opened "
                     "remote_addr=203.0.113.50 transport=tls session=42");
  EQ_STR(json(&r), "{\"time\":\"2026-06-02T10:00:00.000Z\",\"level\":\"INFO\","
                   "\"message\":\"connection opened\","
                   "\"remote_addr\":\"203.0.113.50\",\"transport\":\"tls\","
                   "\"session\":42}");

  wr_log_field failed[] = {wr_log_str("remote_addr", "2001:db8::1"),
                           wr_log_int("attempts", 3),
                           wr_log_str("key_fingerprint", "SHA256:a+b/c")};
  wr_log_record w = {WR_LOG_WARN, NOW + 900, "auth failed", failed, 3};
  EQ_STR(logfmt(&w),
         "2026-06-02T10:00:00.900Z WARN auth failed "
         "remote_addr=2001:db8::1 attempts=3 key_fingerprint=SHA256:a+b/c");
}

TEST(levels_have_names) {
  static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
  for (int i = 0; i < 4; i++) {
    wr_log_record r = record(NULL, 0);
    char want[64];
    r.level = (wr_log_level)(i + 1);
    snprintf(want, sizeof(want), "2026-06-02T10:00:00.000Z %s msg", names[i]);
    EQ_STR(logfmt(&r), want);
  }
}

TEST(times) {
  EQ_STR(time_of(0), "1970-01-01T00:00:00.000Z");
  EQ_STR(time_of(-1), "1970-01-01T00:00:00.000Z");
  EQ_STR(time_of(INT64_MIN), "1970-01-01T00:00:00.000Z");
  EQ_STR(time_of(INT64_C(951782399999)), "2000-02-28T23:59:59.999Z");
  EQ_STR(time_of(INT64_C(951782400000)), "2000-02-29T00:00:00.000Z");
  EQ_STR(time_of(INT64_C(951868800000)), "2000-03-01T00:00:00.000Z");
  EQ_STR(time_of(INT64_C(1735689599999)), "2024-12-31T23:59:59.999Z");
  EQ_STR(time_of(INT64_C(4107542400000)), "2100-03-01T00:00:00.000Z");
  EQ_STR(time_of(INT64_C(253402300799999)), "9999-12-31T23:59:59.999Z");
  EQ_STR(time_of(INT64_MAX), "9999-12-31T23:59:59.999Z");
}

TEST(each_day_follows_the_one_before) {
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t ms = 0;
  for (int y = 1970; y < 2410; y++) {
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    for (int m = 1; m <= 12; m++) {
      int days = lengths[m - 1] + (m == 2 && leap ? 1 : 0);
      for (int d = 1; d <= days; d++, ms += 86400000) {
        char want[48];
        snprintf(want, sizeof(want), "%04d-%02d-%02dT00:00:00.000Z", y, m, d);
        if (strcmp(time_of(ms), want) != 0) {
          EQ_STR(time_of(ms), want);
          return;
        }
      }
    }
  }
}

TEST(numbers_are_bare) {
  wr_log_field f[] = {wr_log_int("a", 0), wr_log_int("b", INT64_MIN),
                      wr_log_int("c", INT64_MAX)};
  wr_log_record r = record(f, 3);
  EQ_STR(logfmt(&r), "2026-06-02T10:00:00.000Z INFO msg a=0 "
                     "b=-9223372036854775808 c=9223372036854775807");
  CHECK(strstr(json(&r), "\"a\":0,\"b\":-9223372036854775808,"
                         "\"c\":9223372036854775807}") != NULL);
}

TEST(logfmt_values_are_quoted_where_needed) {
  EQ_STR(logfmt_value("abc", 3), "abc");
  EQ_STR(logfmt_value("[::1]:22,a-z_~!#", 16), "[::1]:22,a-z_~!#");
  EQ_STR(logfmt_value("", 0), "\"\"");
  EQ_STR(logfmt_value("a b", 3), "\"a b\"");
  EQ_STR(logfmt_value("a=b", 3), "\"a=b\"");
  EQ_STR(logfmt_value("a\"b", 3), "\"a\\\"b\"");
  EQ_STR(logfmt_value("a\\b", 3), "\"a\\\\b\"");
}

TEST(logfmt_escapes_what_is_hostile) {
  EQ_STR(logfmt_value("a\nb", 3), "\"a\\x0ab\"");
  EQ_STR(logfmt_value("\r\t", 2), "\"\\x0d\\x09\"");
  EQ_STR(logfmt_value("\x1b[2J", 4), "\"\\x1b[2J\"");
  EQ_STR(logfmt_value("a\0b", 3), "\"a\\x00b\"");
  EQ_STR(logfmt_value("\x7f\x80\xff", 3), "\"\\x7f\\x80\\xff\"");
  EQ_STR(logfmt_value("\xc3\xa9", 2), "\"\\xc3\\xa9\"");
  EQ_STR(logfmt_value("x\" remote_addr=1.2.3.4", 22),
         "\"x\\\" remote_addr=1.2.3.4\"");
  EQ_STR(logfmt_value("\\\"", 2), "\"\\\\\\\"\"");
}

TEST(json_escapes_what_is_hostile) {
  EQ_STR(json_value("a b=c", 5), "\"a b=c\"");
  EQ_STR(json_value("", 0), "\"\"");
  EQ_STR(json_value("a\"b\\c/", 6), "\"a\\\"b\\\\c/\"");
  EQ_STR(json_value("a\nb\x1b\x7f", 5), "\"a\\u000ab\\u001b\\u007f\"");
  EQ_STR(json_value("a\0b", 3), "\"a\\u0000b\"");
  EQ_STR(json_value("\",\"level\":\"x", 12), "\"\\\",\\\"level\\\":\\\"x\"");
}

TEST(json_keeps_utf8_and_nothing_that_only_looks_like_it) {
  EQ_STR(json_value("\xc3\xa9", 2), "\"\\u00e9\"");
  EQ_STR(json_value("\xe2\x80\xae", 3), "\"\\u202e\"");
  EQ_STR(json_value("\xf0\x9f\x98\x80", 4), "\"\\ud83d\\ude00\"");
  EQ_STR(json_value("\xf4\x8f\xbf\xbf", 4), "\"\\udbff\\udfff\"");
  EQ_STR(json_value("\xef\xbf\xbf", 3), "\"\\uffff\"");
  EQ_STR(json_value("\xff", 1), "\"\\ufffd\"");
  EQ_STR(json_value("\xc3", 1), "\"\\ufffd\"");
  EQ_STR(json_value("\xc3(", 2), "\"\\ufffd(\"");
  EQ_STR(json_value("\x80", 1), "\"\\ufffd\"");
  EQ_STR(json_value("\xc0\x80", 2), "\"\\ufffd\\ufffd\"");
  EQ_STR(json_value("\xe0\x80\x80", 3), "\"\\ufffd\\ufffd\\ufffd\"");
  EQ_STR(json_value("\xed\xa0\x80", 3), "\"\\ufffd\\ufffd\\ufffd\"");
  EQ_STR(json_value("\xf4\x90\x80\x80", 4), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(values_are_cut_at_256_bytes) {
  static char big[10240];
  char want[300];
  memset(big, 'a', sizeof(big));
  memset(want, 'a', 256);
  want[256] = '\0';
  EQ_STR(logfmt_value(big, 255), want + 1);
  EQ_STR(logfmt_value(big, 256), want);
  EQ_STR(logfmt_value(big, 257), want);
  EQ_STR(logfmt_value(big, sizeof(big)), want);
  EQ_UINT(strlen(json_value(big, sizeof(big))), 258);
  memset(big, '\n', sizeof(big));
  EQ_UINT(strlen(logfmt_value(big, sizeof(big))), 2 + 4 * 256);
  EQ_UINT(strlen(json_value(big, sizeof(big))), 2 + 6 * 256);
}

TEST(a_field_that_does_not_fit_is_left_out_whole) {
  static char big[10240];
  memset(big, '\n', sizeof(big));
  wr_log_field f[] = {wr_log_str("remote_addr", "192.0.2.1"),
                      wr_log_bytes("user", (uint8_t *)big, sizeof(big)),
                      wr_log_bytes("other", (uint8_t *)big, sizeof(big)),
                      wr_log_int("session", 42)};
  wr_log_record r = record(f, 4);
  logfmt(&r);
  CHECK(strlen(text) <= WR_LOG_LINE_MAX);
  CHECK(strstr(text, " remote_addr=192.0.2.1 user=\"") != NULL);
  CHECK(strstr(text, "other") == NULL);
  CHECK(strcmp(text + strlen(text) - 12, "\" session=42") == 0);
  EQ_INT(json_members(json(&r)), 6);
  CHECK(strstr(text, "other") == NULL);
  CHECK(strstr(text, "\",\"session\":42}") != NULL);
}

TEST(a_line_is_never_longer_than_allowed) {
  static char large[3 * WR_LOG_LINE_MAX];
  wr_log_field f[200];
  for (size_t i = 0; i < WR_COUNTOF(f); i++) {
    f[i] = wr_log_str("some_key", "some value");
  }
  wr_log_record r = record(f, WR_COUNTOF(f));
  size_t n = wr_log_format_logfmt(&r, large, sizeof(large));
  CHECK(n <= WR_LOG_LINE_MAX && n > WR_LOG_LINE_MAX - 25);
  CHECK(large[n] == '\0' && large[n - 1] == '"');
  n = wr_log_format_json(&r, large, sizeof(large));
  CHECK(n <= WR_LOG_LINE_MAX && n > WR_LOG_LINE_MAX - 30);
  CHECK(json_members(large) > 50);
}

/* Every capacity, in a block of just that size. */
static void formats_within(const wr_log_record *r, size_t cap) {
  char full[WR_LOG_LINE_MAX + 1];
  char *dst = malloc(cap);
  MUST(dst != NULL);
  size_t n = wr_log_format_json(r, dst, cap);
  CHECK(n < cap && strlen(dst) == n);
  CHECK(n == 0 ? cap < 3 : json_members(dst) >= 0);

  size_t whole = wr_log_format_logfmt(r, full, sizeof(full));
  n = wr_log_format_logfmt(r, dst, cap);
  CHECK(n < cap && strlen(dst) == n);
  if (cap > whole) {
    EQ_STR(dst, full);
  } else {
    /* The head, with the fields that fit; none is cut. */
    char *at = strstr(dst, " a=");
    CHECK(at == NULL || strncmp(at, " a=\"b c\"", 8) == 0);
    CHECK(strchr(dst, '=') == NULL || strstr(dst, "INFO msg") != NULL);
  }
  free(dst);
}

TEST(any_capacity_is_respected) {
  wr_log_field f[] = {wr_log_str("a", "b c"), wr_log_str("d", "\n"),
                      wr_log_int("e", -5)};
  wr_log_record r = record(f, 3);
  for (size_t cap = 1; cap < 150; cap++) {
    formats_within(&r, cap);
  }
  char untouched = 'x';
  EQ_UINT(wr_log_format_logfmt(&r, &untouched, 0), 0);
  EQ_UINT(wr_log_format_json(&r, &untouched, 0), 0);
  EQ_INT(untouched, 'x');
}

TEST(a_missing_text_is_empty) {
  wr_log_field f[] = {wr_log_str("a", NULL), wr_log_bytes("b", NULL, 0)};
  wr_log_record r = record(f, 2);
  EQ_STR(logfmt(&r), "2026-06-02T10:00:00.000Z INFO msg a=\"\" b=\"\"");
}

static wr_log_record seen;
static int n_seen;

static void on_record(const wr_log_record *r, void *data) {
  seen = *r;
  n_seen++;
  CHECK(data == &n_seen);
}

static int64_t wall(void *data) {
  CHECK(data == &n_seen);
  return NOW;
}

TEST(only_records_of_the_level_pass) {
  wr_log log = {WR_LOG_INFO, on_record, &n_seen, wall};
  wr_log_field f = wr_log_int("n", 1);
  n_seen = 0;
  wr_log_write(&log, WR_LOG_DEBUG, "no", &f, 1);
  EQ_INT(n_seen, 0);
  wr_log_write(&log, WR_LOG_INFO, "yes", &f, 1);
  EQ_INT(n_seen, 1);
  EQ_STR(seen.message, "yes");
  EQ_INT(seen.level, WR_LOG_INFO);
  EQ_INT(seen.time_ms, NOW);
  CHECK(seen.fields == &f && seen.n_fields == 1);
  wr_log_write(&log, WR_LOG_ERROR, "yes", NULL, 0);
  EQ_INT(n_seen, 2);
  log.wall_ms = NULL;
  wr_log_write(&log, WR_LOG_ERROR, "yes", NULL, 0);
  EQ_INT(seen.time_ms, 0);
}

TEST(without_a_sink_nothing_happens) {
  wr_log log = {0};
  wr_log_write(&log, WR_LOG_ERROR, "no", NULL, 0);
  log.cb = on_record;
  n_seen = 0;
  wr_log_write(&log, WR_LOG_ERROR, "no", NULL, 0);
  EQ_INT(n_seen, 0);
}

TEST(the_json_checker_is_strict) {
  static const char *const bad[] = {
      "",
      "{",
      "}",
      "[]",
      "{\"a\"}",
      "{\"a\":}",
      "{a:1}",
      "{\"a\":01}",
      "{\"a\":+1}",
      "{\"a\":1,}",
      "{\"a\":1} ",
      "{\"a\":\"\n\"}",
      "{\"a\":\"\\x0a\"}",
      "{\"a\":\"\\u00g0\"}",
      "{\"a\":\"b}",
      "{\"a\":-}",
      "{\"a\":\"\xe9\"}",
  };
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    OK(json_members(bad[i]) == -1, "refused: %s", bad[i]);
  }
  EQ_INT(json_members("{\"a\":-10,\"b\":\"\\u00e9\\\"\"}"), 2);
}

TAP_MAIN()
