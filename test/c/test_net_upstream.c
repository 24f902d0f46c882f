/* Upstream proxies: their URLs, what is said to them and what they say. */
#include "net_help.h"

#include "net/upstream_talk.h"

/* URLS */

static wr_upstream parsed;

static int parse(const char *url) {
  const char *why = NULL;
  memset(&parsed, 0xa5, sizeof(parsed));
  int err = wr_upstream_parse(url, &parsed, &why);
  CHECK((err == 0) == (why == NULL));
  return err;
}

TEST(urls_of_each_kind) {
  MUST(parse("socks5://127.0.0.1:1080") == 0);
  EQ_INT(parsed.kind, WR_UPSTREAM_SOCKS5);
  EQ_STR(parsed.host, "127.0.0.1");
  EQ_INT(parsed.port, 1080);
  CHECK(!parsed.has_login);
  MUST(parse("SOCKS5H://Proxy.example_1:65535/") == 0);
  EQ_INT(parsed.kind, WR_UPSTREAM_SOCKS5);
  EQ_STR(parsed.host, "Proxy.example_1");
  EQ_INT(parsed.port, 65535);
  MUST(parse("http://[2001:db8::1]:8080") == 0);
  EQ_INT(parsed.kind, WR_UPSTREAM_HTTP);
  EQ_STR(parsed.host, "2001:db8::1");
  EQ_INT(parsed.port, 8080);
}

TEST(urls_with_a_login) {
  MUST(parse("socks5://ann:s3cret@h:1") == 0);
  CHECK(parsed.has_login);
  EQ_STR(parsed.user, "ann");
  EQ_STR(parsed.password, "s3cret");
  MUST(parse("socks5://a%3An%6e:p%40%2f@:%25@h:1") == 0);
  EQ_STR(parsed.user, "a:nn");
  EQ_STR(parsed.password, "p@/@:%");
  MUST(parse("http://ann@h:1") == 0);
  EQ_STR(parsed.user, "ann");
  EQ_STR(parsed.password, "");
  wr_upstream_wipe(&parsed);
  EQ_STR(parsed.user, "");
}

TEST(urls_that_are_none) {
  static const char *const texts[] = {"",
                                      "127.0.0.1:1080",
                                      "socks5:/h:1",
                                      "socks4://h:1",
                                      "https://h:1",
                                      "socks5://",
                                      "socks5://h",
                                      "socks5://h:",
                                      "socks5://h:0",
                                      "socks5://h:65536",
                                      "socks5://h:1x",
                                      "socks5://:1",
                                      "socks5://h:1/x",
                                      "socks5://h:1?x",
                                      "socks5://h:1#x",
                                      "socks5://h h:1",
                                      "socks5://::1:1080",
                                      "socks5://[::1]",
                                      "socks5://[::1]x:1",
                                      "socks5://[127.0.0.1]:1",
                                      "socks5://[]:1",
                                      "socks5://@h:1",
                                      "socks5://:pw@h:1",
                                      "socks5://a:b%@h:1",
                                      "socks5://a:b%4@h:1",
                                      "socks5://a:b%4g@h:1",
                                      "socks5://a:b%00@h:1",
                                      "socks5://h%41:1",
                                      "http://a%3ab:c@h:1"};
  for (size_t i = 0; i < WR_COUNTOF(texts); i++) {
    wr_upstream before;
    memset(&before, 0xa5, sizeof(before));
    OK(parse(texts[i]) == WR_EMALFORMED, "%s", texts[i]);
    OK(memcmp(&parsed, &before, sizeof(before)) == 0, "nothing was written");
  }
}

TEST(urls_of_every_length) {
  char url[700];
  for (int n = 254; n <= 256; n++) {
    snprintf(url, sizeof(url), "socks5://%0*d:%0*d@h:1", n, 1, n, 2);
    EQ_INT(parse(url), n <= 255 ? 0 : WR_EMALFORMED);
    snprintf(url, sizeof(url), "socks5://%0*d:1", n, 1);
    EQ_INT(parse(url), n <= 255 ? 0 : WR_EMALFORMED);
  }
}

/* TALKS */

static wr_mem mem;
static wr_upstream_talk talk;

/* Everything that is to be sent now, as sent. */
static size_t say(uint8_t *dst, size_t room) {
  wr_slice out = wr_upstream_talk_out(&talk);
  MUST(out.len <= room);
  memcpy(dst, out.data, out.len);
  wr_upstream_talk_sent(&talk, out.len);
  return out.len;
}

#define SAYS(bytes)                                                            \
  do {                                                                         \
    uint8_t said_[2048];                                                       \
    size_t said_len_ = say(said_, sizeof(said_));                              \
    EQ_UINT(said_len_, sizeof(bytes) - 1);                                     \
    CHECK(said_len_ == sizeof(bytes) - 1 &&                                    \
          memcmp(said_, bytes, said_len_) == 0);                               \
  } while (0)

static int begin(const char *url, const char *host, uint16_t port) {
  MUST(parse(url) == 0);
  return wr_upstream_talk_init(&talk, &mem, &parsed, host, port);
}

static void finish(void) {
  wr_upstream_talk_free(&talk);
  EQ_UINT(mem.live_blocks, 0);
}

/* 0, the error, or 1 if more is needed; all must have been taken but for `left`
   bytes. */
static int hear(const void *data, size_t len, size_t left) {
  size_t taken = 0;
  int err = wr_upstream_talk_feed(&talk, data, len, &taken);
  if (err != 0) {
    return err;
  }
  EQ_UINT(taken, len - left);
  return talk.done ? 0 : 1;
}
#define HEAR(text) hear(text, sizeof(text) - 1, 0)

TEST(socks5_with_a_name) {
  MUST(begin("socks5://p:1", "db.example", 5432) == 0);
  SAYS("\5\1\0");
  CHECK(!wr_upstream_talk_asked(&talk));
  EQ_INT(HEAR("\5\0"), 1);
  SAYS("\5\1\0\3\12db.example\x15\x38");
  CHECK(wr_upstream_talk_asked(&talk));
  EQ_INT(hear("\5\0\0\1\0\0\0\0\0\0SSH-2.0", 17, 7), 0);
  finish();
}

TEST(socks5_with_addresses) {
  static const struct {
    const char *host;
    const char *request;
    size_t len;
  } cases[] = {
      {"10.1.2.3", "\5\1\0\1\12\1\2\3\0\26", 10},
      {"10.1.2.3.", "\5\1\0\1\12\1\2\3\0\26", 10},
      {"0x0a010203", "\5\1\0\1\12\1\2\3\0\26", 10},
      {"[::1]", "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\26", 22},
      {"::1", "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\26", 22},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    uint8_t said[64];
    MUST(begin("socks5h://p:1", cases[i].host, 22) == 0);
    SAYS("\5\1\0");
    EQ_INT(HEAR("\5\0"), 1);
    EQ_UINT(say(said, sizeof(said)), cases[i].len);
    CHECK(memcmp(said, cases[i].request, cases[i].len) == 0);
    EQ_INT(HEAR("\5\0\0\4\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\1\2"), 0);
    finish();
  }
}

TEST(socks5_with_a_login) {
  MUST(begin("socks5://ann:s3cret@p:1", "a.b", 80) == 0);
  SAYS("\5\2\0\2");
  EQ_INT(HEAR("\5\2"), 1);
  SAYS("\1\3ann\6s3cret");
  EQ_INT(HEAR("\1\0"), 1);
  SAYS("\5\1\0\3\3a.b\0\120");
  EQ_INT(HEAR("\5\0\0\3\3xyz\0\0"), 0);
  finish();
  /* The proxy may choose to do without, and may say 5 for 1. */
  MUST(begin("socks5://ann:s3cret@p:1", "a.b", 80) == 0);
  SAYS("\5\2\0\2");
  EQ_INT(HEAR("\5\0"), 1);
  SAYS("\5\1\0\3\3a.b\0\120");
  finish();
  MUST(begin("socks5://ann@p:1", "a.b", 80) == 0);
  SAYS("\5\2\0\2");
  EQ_INT(HEAR("\5\2"), 1);
  SAYS("\1\3ann\0");
  EQ_INT(HEAR("\5\0"), 1);
  finish();
}

/* To the point where the reply is awaited. */
static void ask_socks5(const char *host) {
  uint8_t said[512];
  MUST(begin("socks5://p:1", host, 80) == 0);
  say(said, sizeof(said));
  MUST(HEAR("\5\0") == 1);
  say(said, sizeof(said));
}

TEST(socks5_failures_are_mapped) {
  static const int of_name[] = {
      WR_EPROXY_FAILED, WR_EPROXY_DENIED, UV_ENETUNREACH,
      WR_EUNRESOLVED,   UV_ECONNREFUSED,  UV_ETIMEDOUT,
      WR_EPROXY_FAILED, WR_EPROXY_FAILED, WR_EPROXY_FAILED};
  for (size_t i = 0; i < WR_COUNTOF(of_name); i++) {
    const uint8_t reply[2] = {5, (uint8_t)(i + 1)};
    ask_socks5("a.b");
    OK(hear(reply, 2, 0) == of_name[i], "reply %d", (int)i + 1);
    finish();
  }
  ask_socks5("10.0.0.1");
  EQ_INT(HEAR("\5\4"), UV_EHOSTUNREACH);
  finish();
}

TEST(socks5_that_is_malformed) {
  uint8_t said[64];
  MUST(begin("socks5://p:1", "a.b", 80) == 0);
  EQ_INT(HEAR("\5"), WR_EPROXY_PROTOCOL); /* before anything was said */
  finish();
  static const struct {
    const char *bytes;
    int err;
  } methods[] = {{"\5\xff", WR_EPROXY_AUTH},
                 {"\5\2", WR_EPROXY_PROTOCOL}, /* it was not offered */
                 {"\5\1", WR_EPROXY_PROTOCOL},
                 {"\4\0", WR_EPROXY_PROTOCOL},
                 {"HT", WR_EPROXY_PROTOCOL}};
  for (size_t i = 0; i < WR_COUNTOF(methods); i++) {
    MUST(begin("socks5://p:1", "a.b", 80) == 0);
    say(said, sizeof(said));
    OK(hear(methods[i].bytes, 2, 0) == methods[i].err, "method %d", (int)i);
    finish();
  }
  static const char *const logins[] = {"\1\1", "\1\xff", "\5\1"};
  for (size_t i = 0; i < WR_COUNTOF(logins); i++) {
    MUST(begin("socks5://ann:x@p:1", "a.b", 80) == 0);
    say(said, sizeof(said));
    MUST(HEAR("\5\2") == 1);
    say(said, sizeof(said));
    EQ_INT(hear(logins[i], 2, 0), WR_EPROXY_AUTH);
    finish();
  }
  ask_socks5("a.b");
  EQ_INT(HEAR("\1"), WR_EPROXY_PROTOCOL);
  finish();
  ask_socks5("a.b");
  EQ_INT(HEAR("\5\0\0\2\0"), WR_EPROXY_PROTOCOL);
  finish();
}

TEST(http_connect) {
  MUST(begin("http://p:1", "db.example", 5432) == 0);
  SAYS("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n");
  EQ_INT(hear("HTTP/1.1 200 OK\r\nA: b\r\n\r\nSSH-2.0", 32, 7), 0);
  finish();
  MUST(begin("http://ann:s3cret@p:1", "::1", 22) == 0);
  SAYS("CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\n"
       "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n\r\n");
  EQ_INT(HEAR("HTTP/1.0 204\n\n"), 0);
  finish();
  MUST(begin("http://p:1", "127.1", 22) == 0);
  SAYS("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n");
  EQ_INT(HEAR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\na:b\r\n\r\n"), 1);
  EQ_INT(HEAR("HTTP/1.1 200 OK\r\n\r\n"), 0);
  finish();
}

TEST(http_failures_are_mapped) {
  static const struct {
    int status, err;
  } cases[] = {
      {403, WR_EPROXY_DENIED}, {407, WR_EPROXY_AUTH},   {401, WR_EPROXY_AUTH},
      {502, UV_EHOSTUNREACH},  {503, UV_EHOSTUNREACH},  {504, UV_ETIMEDOUT},
      {400, WR_EPROXY_FAILED}, {302, WR_EPROXY_FAILED}, {500, WR_EPROXY_FAILED},
      {101, WR_EPROXY_FAILED}, {0, WR_EPROXY_FAILED}};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    uint8_t said[256];
    char head[64];
    MUST(begin("http://p:1", "a.b", 80) == 0);
    say(said, sizeof(said));
    snprintf(head, sizeof(head), "HTTP/1.1 %03d What\r\n\r\n", cases[i].status);
    OK(hear(head, strlen(head), 0) == cases[i].err, "%d", cases[i].status);
    finish();
  }
}

TEST(http_that_is_malformed) {
  static const char *const heads[] = {"SSH-2.0-x\r\n",
                                      "HTTP/2 200\r\n\r\n",
                                      "HTTP/1.1 20\r\n\r\n",
                                      "HTTP/1.1 2000 OK\r\n\r\n",
                                      "HTTP/1.1  200 OK\r\n\r\n",
                                      "\r\n\r\n"};
  uint8_t said[256];
  for (size_t i = 0; i < WR_COUNTOF(heads); i++) {
    MUST(begin("http://p:1", "a.b", 80) == 0);
    say(said, sizeof(said));
    OK(hear(heads[i], strlen(heads[i]), 0) == WR_EPROXY_PROTOCOL, "%d", (int)i);
    finish();
  }
  /* An answer to a request that is not out. */
  MUST(begin("http://p:1", "a.b", 80) == 0);
  EQ_INT(HEAR("HTTP/1.1 200 OK\r\n\r\n"), WR_EPROXY_PROTOCOL);
  finish();
}

TEST(http_heads_are_bounded) {
  uint8_t said[256];
  MUST(begin("http://p:1", "a.b", 80) == 0);
  say(said, sizeof(said));
  EQ_INT(HEAR("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nx: "), 1);
  int err = 1;
  size_t n = 0;
  while (err == 1 && n < 20000) {
    err = HEAR("y");
    n++;
  }
  EQ_INT(err, WR_EPROXY_PROTOCOL);
  EQ_UINT(n, WR_UPSTREAM_HEAD_MAX + 1 - 18 - 20);
  finish();
}

TEST(names_that_cannot_be_asked_for) {
  static const char *const hosts[] = {"",
                                      "a b",
                                      "a\r\nb",
                                      "a\tb",
                                      "a:b",
                                      "a/b",
                                      "a@b",
                                      "a%00b",
                                      "fe80::1%lo",
                                      "[fe80::1%lo]",
                                      "a\x7f"
                                      "b",
                                      "\xc3\xa4",
                                      "[a.b]",
                                      "a?b",
                                      "a#b"};
  static const char *const urls[] = {"socks5://p:1", "http://p:1"};
  char longest[258];
  for (size_t k = 0; k < WR_COUNTOF(urls); k++) {
    for (size_t i = 0; i < WR_COUNTOF(hosts); i++) {
      OK(begin(urls[k], hosts[i], 80) == WR_EUNRESOLVED, "%d", (int)i);
    }
    EQ_INT(begin(urls[k], "a.b", 0), WR_EINVAL);
    memset(longest, 'a', sizeof(longest));
    longest[256] = '\0';
    EQ_INT(begin(urls[k], longest, 80), WR_EUNRESOLVED);
    longest[255] = '\0';
    EQ_INT(begin(urls[k], longest, 80), 0);
    finish();
  }
}

/* The longest of everything has room. */
TEST(the_longest_request) {
  char host[256];
  char url[600];
  uint8_t said[2048];
  memset(host, 'h', sizeof(host));
  host[255] = '\0';
  snprintf(url, sizeof(url), "http://%0255d:%0255d@p:1", 1, 2);
  MUST(begin(url, host, 65535) == 0);
  size_t n = say(said, sizeof(said));
  CHECK(n > 1200 && memcmp(said + n - 4, "\r\n\r\n", 4) == 0);
  finish();
  memcpy(url, "socks5", 6);
  snprintf(url, sizeof(url), "socks5://%0255d:%0255d@p:1", 1, 2);
  MUST(begin(url, host, 65535) == 0);
  say(said, sizeof(said));
  MUST(HEAR("\5\2") == 1);
  EQ_UINT(say(said, sizeof(said)), 3 + 255 + 255);
  MUST(HEAR("\1\0") == 1);
  EQ_UINT(say(said, sizeof(said)), 5 + 255 + 2);
  finish();
}

/* However an answer is cut, the same comes of it. */
TEST(answers_split_at_every_byte) {
  static const char socks5[] = "\5\2\1\0\5\0\0\3\5bound\1\2rest";
  static const char http[] =
      "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\nrest";
  static const struct {
    const char *url;
    const char *answer;
    size_t len;
  } cases[] = {{"socks5://ann:pw@p:1", socks5, sizeof(socks5) - 1},
               {"http://ann:pw@p:1", http, sizeof(http) - 1}};
  for (size_t k = 0; k < WR_COUNTOF(cases); k++) {
    for (size_t step = 1; step <= cases[k].len; step++) {
      uint8_t said[512];
      size_t at = 0;
      MUST(begin(cases[k].url, "a.b", 80) == 0);
      while (!talk.done && at < cases[k].len) {
        size_t taken = 0;
        /* A proxy cannot answer what it was not asked: one step of SOCKS5 at a
           time. */
        size_t most = k == 0 && at < 4 ? 2 - at % 2 : cases[k].len - at;
        say(said, sizeof(said));
        MUST(wr_upstream_talk_feed(&talk, (const uint8_t *)cases[k].answer + at,
                                   WR_MIN(step, most), &taken) == 0);
        at += taken;
      }
      CHECK(talk.done);
      EQ_UINT(at, cases[k].len - 4);
      finish();
    }
  }
}

TEST(nothing_is_kept_without_memory) {
  MUST(parse("socks5://ann:s3cret@p:1") == 0);
  mem.fail_at = mem.total + 1;
  EQ_INT(wr_upstream_talk_init(&talk, &mem, &parsed, "a.b", 80), WR_ENOMEM);
  mem.fail_at = 0;
  EQ_UINT(mem.live_blocks, 0);
}

TAP_MAIN()
