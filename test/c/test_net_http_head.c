/* Heads of requests and responses: each part, each limit, each fault. */
#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"
#include "net/http_head.h"

static const uint8_t *bytes(const char *text) {
  return (const uint8_t *)text;
}

/* Whole, and cut at each byte: the same comes of it. */
static int parse(wr_http_head *h, wr_http_kind kind, const char *text) {
  size_t len = strlen(text);
  wr_http_head_init(h, kind, 0, 0);
  int err = wr_http_head_feed(h, bytes(text), len);
  for (size_t cut = 0; cut <= len; cut++) {
    wr_http_head two;
    wr_http_head_init(&two, kind, 0, 0);
    int got = wr_http_head_feed(&two, bytes(text), cut);
    if (got == 0) {
      got = wr_http_head_feed(&two, bytes(text), len);
    }
    EQ_INT(got, err);
    EQ_MEM(&two, sizeof(two), h, sizeof(*h));
  }
  return err;
}

static bool is(const char *text, wr_http_span span, const char *want) {
  return wr_slice_eq(wr_http_text(bytes(text), span), want);
}

TEST(request) {
  static const char text[] = "GET /a?b HTTP/1.1\r\n"
                             "Host: example.com\r\n"
                             "Empty:\r\n"
                             "X-List:\t a, Bc ,d \t\r\n"
                             "x-list: e\r\n"
                             "\r\nmore";
  wr_http_head h;
  size_t n;
  EQ_INT(parse(&h, WR_HTTP_REQUEST, text), 0);
  CHECK(h.done);
  EQ_UINT(h.len, strlen(text) - 4);
  CHECK(is(text, h.method, "GET"));
  CHECK(is(text, h.target, "/a?b"));
  CHECK(is(text, h.version, "HTTP/1.1"));
  EQ_INT(h.minor, 1);
  EQ_UINT(h.n, 4);
  CHECK(wr_slice_eq(wr_http_find(&h, bytes(text), "HOST", &n), "example.com"));
  EQ_UINT(n, 1);
  EQ_UINT(wr_http_find(&h, bytes(text), "empty", &n).len, 0);
  EQ_UINT(n, 1);
  CHECK(wr_slice_eq(wr_http_find(&h, bytes(text), "x-list", &n), "a, Bc ,d"));
  EQ_UINT(n, 2);
  CHECK(wr_http_find(&h, bytes(text), "hos", &n).data == NULL);
  EQ_UINT(n, 0);
  CHECK(wr_http_lists(&h, bytes(text), "x-list", wr_slice_of("bC")));
  CHECK(wr_http_lists(&h, bytes(text), "x-list", wr_slice_of("e")));
  CHECK(!wr_http_lists(&h, bytes(text), "x-list", wr_slice_of("a, Bc")));
  CHECK(!wr_http_lists(&h, bytes(text), "x-list", wr_slice_of("b")));
}

TEST(response) {
  static const char text[] = "HTTP/1.0 101 Switching Protocols\r\nA: b\r\n\r\n";
  wr_http_head h;
  EQ_INT(parse(&h, WR_HTTP_RESPONSE, text), 0);
  CHECK(h.done);
  EQ_INT(h.status, 101);
  EQ_INT(h.minor, 0);
  EQ_UINT(h.n, 1);
  EQ_INT(parse(&h, WR_HTTP_RESPONSE, "HTTP/1.1 200\r\n\r\n"), 0);
  CHECK(h.done && h.status == 200);
  EQ_INT(parse(&h, WR_HTTP_RESPONSE, "HTTP/1.1 404 \r\n\r\n"), 0);
  CHECK(h.done && h.status == 404);
}

typedef struct fault_case {
  wr_http_kind kind;
  const char *text;
  wr_http_fault fault;
} fault_case;

TEST(faults) {
  static const fault_case cases[] = {
      {WR_HTTP_REQUEST, " GET / HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "\r\nGET / HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "G(T / HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET  / HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET /\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET /\x7f HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET /\t HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / HTTP/1.1 \r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / http/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / HTTP/11\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / HTTP/1.10\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / HTTP/1.1\rA: b\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_REQUEST, "GET / HTTP/2.0\r\n", WR_HTTP_BAD_VERSION},
      {WR_HTTP_REQUEST, "PRI * HTTP/2.0\r\n", WR_HTTP_BAD_VERSION},
      {WR_HTTP_REQUEST, "GET / HTTP/1.1\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "GET\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "GET /\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "GET / HT\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA: b\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\n\n", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\n\rA", WR_HTTP_BAD_END},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\n: b\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA : b\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\n A: b\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA: b\r\n c\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA\xc3\xa4: b\r\n", WR_HTTP_BAD_FIELD},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA: b\x01\r\n", WR_HTTP_BAD_VALUE},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA: b\x7f\r\n", WR_HTTP_BAD_VALUE},
      {WR_HTTP_REQUEST, "A / HTTP/1.1\r\nA: b\rc\r\n", WR_HTTP_BAD_VALUE},
      {WR_HTTP_RESPONSE, "HTTP/1.1 20 OK\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/1.1 000 OK\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/1.1 2000 OK\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/1.1  200 OK\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/1.1\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/1.1\n", WR_HTTP_BAD_END},
      {WR_HTTP_RESPONSE, "HTTP/1.1 200 O\x01\r\n", WR_HTTP_BAD_START},
      {WR_HTTP_RESPONSE, "HTTP/2 200 OK\r\n", WR_HTTP_BAD_VERSION},
      {WR_HTTP_RESPONSE, "ICY 200 OK\r\n", WR_HTTP_BAD_START},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_http_head h;
    DIAG("%s", cases[i].text);
    EQ_INT(parse(&h, cases[i].kind, cases[i].text), WR_EMALFORMED);
    EQ_INT(h.fault, cases[i].fault);
    CHECK(!h.done);
  }
}

TEST(a_zero_byte_is_a_fault_in_each_place) {
  static const char text[] = "GET /a HTTP/1.1\r\nHost: b\r\n\r\n";
  for (size_t i = 0; i < sizeof(text) - 1; i++) {
    char copy[sizeof(text)];
    wr_http_head h;
    memcpy(copy, text, sizeof(text));
    copy[i] = '\0';
    wr_http_head_init(&h, WR_HTTP_REQUEST, 0, 0);
    EQ_INT(wr_http_head_feed(&h, bytes(copy), sizeof(text) - 1), WR_EMALFORMED);
  }
}

/* A head of `len` bytes with fields of `line` bytes. */
static size_t fill(char *text, size_t len, size_t line) {
  size_t at = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");
  while (at + 2 < len) {
    size_t n = WR_MIN(line, len - 2 - at);
    memset(text + at, 'x', n);
    memcpy(text + at, "A:", 2);
    memcpy(text + at + n - 2, "\r\n", 2);
    at += n;
  }
  memcpy(text + at, "\r\n", 2);
  return at + 2;
}

static int parse_sized(wr_http_head *h, size_t len, size_t line) {
  char *text = malloc(len);
  MUST(text != NULL);
  MUST(fill(text, len, line) == len);
  wr_http_head_init(h, WR_HTTP_REQUEST, 0, 0);
  int err = wr_http_head_feed(h, bytes(text), len);
  free(text);
  return err;
}

TEST(limits) {
  wr_http_head h;
  EQ_INT(parse_sized(&h, WR_HTTP_HEAD_MAX, 1022), 0);
  CHECK(h.done);
  EQ_INT(parse_sized(&h, WR_HTTP_HEAD_MAX + 1, 1022), WR_ELIMIT);
  EQ_INT(h.fault, WR_HTTP_LONG_HEAD);
  EQ_UINT(h.len, WR_HTTP_HEAD_MAX);
  EQ_INT(parse_sized(&h, 16 + WR_HTTP_LINE_MAX + 2, WR_HTTP_LINE_MAX), 0);
  CHECK(h.done);
  EQ_INT(parse_sized(&h, 16 + WR_HTTP_LINE_MAX + 3, WR_HTTP_LINE_MAX + 1),
         WR_ELIMIT);
  EQ_INT(h.fault, WR_HTTP_LONG_LINE);
  EQ_INT(parse_sized(&h, 16 + 6 * WR_HTTP_FIELDS_MAX + 2, 6), 0);
  CHECK(h.done);
  EQ_UINT(h.n, WR_HTTP_FIELDS_MAX);
  EQ_INT(parse_sized(&h, 16 + 6 * WR_HTTP_FIELDS_MAX + 2 + 6, 6), WR_ELIMIT);
  EQ_INT(h.fault, WR_HTTP_MANY_FIELDS);
}

TEST(limits_of_the_caller) {
  wr_http_head h;
  static const char text[] = "GET /2345678 HTTP/1.1\r\nA: b\r\n\r\n";
  wr_http_head_init(&h, WR_HTTP_REQUEST, 22, 0);
  EQ_INT(wr_http_head_feed(&h, bytes(text), strlen(text)), WR_ELIMIT);
  EQ_INT(h.fault, WR_HTTP_LONG_LINE);
  EQ_UINT(h.len, 21);
  wr_http_head_init(&h, WR_HTTP_REQUEST, 23, strlen(text));
  EQ_INT(wr_http_head_feed(&h, bytes(text), strlen(text)), 0);
  wr_http_head_init(&h, WR_HTTP_REQUEST, 23, strlen(text) - 1);
  EQ_INT(wr_http_head_feed(&h, bytes(text), strlen(text)), WR_ELIMIT);
  wr_http_head_init(&h, WR_HTTP_REQUEST, 0, (size_t)1 << 20);
  EQ_UINT(h.head_max, WR_HTTP_HEAD_MAX);
}

TAP_MAIN()
