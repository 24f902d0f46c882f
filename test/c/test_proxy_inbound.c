#include "tap.h"

#include "base/errors.h"
#include "proxy/inbound.h"

static wr_mem mem;

/* What became of a request. */
typedef struct result {
  wr_inbound in;
  size_t taken;
  char out[4096];
  size_t out_len;
} result;

static const char *the_user;
static const char *the_password;

/* Feeds data in pieces of `step` bytes; what is to be sent is collected after
   each. */
static void run(result *r, const void *data, size_t len, size_t step) {
  const uint8_t *p = data;
  r->taken = r->out_len = 0;
  wr_inbound_init(&r->in, &mem, the_user, the_password);
  while (r->taken < len && r->in.state == WR_INBOUND_MORE) {
    size_t n = len - r->taken < step ? len - r->taken : step;
    size_t taken = 99999;
    MUST(wr_inbound_feed(&r->in, p + r->taken, n, &taken) == 0);
    OK(taken == n || (taken < n && r->in.state != WR_INBOUND_MORE),
       "takes all while it wants more");
    r->taken += taken;
    MUST(r->out_len + r->in.out.len < sizeof(r->out));
    if (r->in.out.len > 0) {
      memcpy(r->out + r->out_len, r->in.out.data, r->in.out.len);
    }
    r->out_len += r->in.out.len;
    wr_buf_consume(&r->in.out, r->in.out.len);
  }
  r->out[r->out_len] = '\0';
}

static void same_result(const result *a, const result *b) {
  EQ_INT(a->in.state, b->in.state);
  EQ_INT(a->in.protocol, b->in.protocol);
  EQ_INT(a->taken, b->taken);
  EQ_MEM(a->out, a->out_len, b->out, b->out_len);
  EQ_STR(a->in.target.host, b->in.target.host);
  EQ_INT(a->in.target.port, b->in.target.port);
  EQ_MEM(a->in.forward.data, a->in.forward.len, b->in.forward.data,
         b->in.forward.len);
}

/* The same in one piece, byte by byte and in other sizes; r keeps the first
   result and is reset by the caller. */
static void run_all(result *r, const void *data, size_t len) {
  run(r, data, len, len);
  for (size_t step = 1; step < 8; step += 2) {
    result other;
    run(&other, data, len, step);
    same_result(r, &other);
    wr_inbound_reset(&other.in);
  }
  /* No part of a request is a request: but a failure may show early. */
  for (size_t cut = 0; cut + 1 < r->taken; cut++) {
    result part;
    run(&part, data, cut, cut ? cut : 1);
    OK(part.in.state != WR_INBOUND_CONNECT, "cut at %zu", cut);
    wr_inbound_reset(&part.in);
  }
}

static void finish(result *r) {
  wr_inbound_reset(&r->in);
  EQ_UINT(mem.live_blocks, 0);
}

/* A request that is understood; `tail` bytes at the end are none of it. */
static void asks_for(const void *data, size_t len, size_t tail,
                     wr_inbound_protocol protocol, const char *host,
                     uint16_t port, const char *out, size_t out_len) {
  result r;
  run_all(&r, data, len);
  EQ_INT(r.in.state, WR_INBOUND_CONNECT);
  EQ_INT(r.in.protocol, protocol);
  EQ_STR(r.in.target.host, host);
  EQ_INT(r.in.target.port, port);
  EQ_INT(r.in.target.is_unix, false);
  EQ_INT(r.taken, len - tail);
  EQ_MEM(r.out, r.out_len, out, out_len);
  finish(&r);
}

static void fails_with(const void *data, size_t len, const char *out,
                       size_t out_len) {
  result r;
  run_all(&r, data, len);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  EQ_MEM(r.out, r.out_len, out, out_len);
  finish(&r);
}

/* A literal and its length, zeros in it included. */
#define LIT(s) (s), sizeof(s) - 1

#define S5(request) "\x05\x01\x00\x05\x01\x00" request
#define S5_IN(request, tail, host, port)                                       \
  asks_for(LIT(S5(request)), tail, WR_INBOUND_SOCKS5, host, port,              \
           LIT("\x05\x00"))
#define S5_BAD(code, greeting_and_request)                                     \
  fails_with(LIT(greeting_and_request),                                        \
             LIT("\x05\x00\x05" code "\x00\x01\0\0\0\0\0\0"))

TEST(socks5_addresses_of_all_types) {
  S5_IN("\x01\x7f\0\0\x01\x00\x50", 0, "127.0.0.1", 80);
  S5_IN("\x03\x0b"
        "example.com\x01\xbb",
        0, "example.com", 443);
  S5_IN("\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05\x00\x16", 0,
        "2001:db8::5", 22);
  S5_IN("\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01\x00\x16", 0, "10.0.0.1",
        22);
  S5_IN("\x03\x05[::1]\x00\x50", 0, "::1", 80);
  S5_IN("\x03\x01"
        "a\xff\xff",
        0, "a", 65535);
  S5_IN("\x03\x0ewraith-control\0\0", 0, "wraith-control", 0);
}

TEST(socks5_takes_nothing_beyond_the_request) {
  S5_IN("\x01\x7f\0\0\x01\x00\x50"
        "GET / HTTP",
        10, "127.0.0.1", 80);
  S5_IN("\x03\x01"
        "a\x00\x50\x05\x01\x00",
        3, "a", 80);
}

TEST(socks5_failures_have_their_codes) {
  S5_BAD("\x07", "\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\x01\x00\x50");
  S5_BAD("\x07", "\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0");
  S5_BAD("\x07", "\x05\x01\x00\x05\xf0\x00\x03\x01"
                 "a\0\x50");
  S5_BAD("\x08", "\x05\x01\x00\x05\x01\x00\x02\x7f");
  S5_BAD("\x01", "\x05\x01\x00\x04\x01\x00\x01\x7f\0\0\x01\x00\x50");
  S5_BAD("\x01", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50");
  S5_BAD("\x01", "\x05\x01\x00\x05\x01\x00\x03\x03"
                 "a\0b\x00\x50");
  S5_BAD("\x01", "\x05\x01\x00\x05\x01\x00\x03\x03"
                 "a b\x00\x50");
  S5_BAD("\x01", "\x05\x01\x00\x05\x01\x00\x03\x03"
                 "a/b\x00\x50");
  S5_BAD("\x01", "\x05\x01\x00\x05\x01\x00\x03\x03"
                 "a\nb\x00\x50");
}

TEST(socks5_methods) {
  fails_with(LIT("\x05\x00"), LIT("\x05\xff"));
  fails_with(LIT("\x05\x01\x01"), LIT("\x05\xff"));
  fails_with(LIT("\x05\x03\x01\x03\x80"), LIT("\x05\xff"));
  asks_for(LIT("\x05\x03\x02\x01\x00\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"),
           0, WR_INBOUND_SOCKS5, "1.2.3.4", 80, LIT("\x05\x00"));
  /* Nobody asks for a password, yet this client has nothing else. */
  asks_for(LIT("\x05\x01\x02\x01\x01u\x01p\x05\x01\x00\x01\x01\x02\x03\x04"
               "\x00\x50"),
           0, WR_INBOUND_SOCKS5, "1.2.3.4", 80, LIT("\x05\x02\x01\x00"));
}

TEST(socks5_longest_name) {
  uint8_t data[7 + 255 + 3] = {5, 1, 0, 5, 1, 0, 3, 255};
  char want[256];
  memset(data + 8, 'n', 255);
  data[263] = 0;
  data[264] = 80;
  memset(want, 'n', 255);
  want[255] = '\0';
  asks_for(data, 265, 0, WR_INBOUND_SOCKS5, want, 80, LIT("\x05\x00"));
}

static void with_password(void) {
  the_user = "user";
  the_password = "secret";
}

TEST(socks5_password) {
  with_password();
  asks_for(LIT("\x05\x02\x00\x02\x01\x04user\x06secret"
               "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"),
           0, WR_INBOUND_SOCKS5, "1.2.3.4", 80, LIT("\x05\x02\x01\x00"));
  fails_with(LIT("\x05\x01\x00"), LIT("\x05\xff"));
  fails_with(LIT("\x05\x01\x02\x01\x04user\x06secreT"),
             LIT("\x05\x02\x01\x01"));
  fails_with(LIT("\x05\x01\x02\x01\x04usex\x06secret"),
             LIT("\x05\x02\x01\x01"));
  fails_with(LIT("\x05\x01\x02\x01\x04user\x05secre"), LIT("\x05\x02\x01\x01"));
  fails_with(LIT("\x05\x01\x02\x01\x04user\x07secret\0"),
             LIT("\x05\x02\x01\x01"));
  fails_with(LIT("\x05\x01\x02\x01\x00\x00"), LIT("\x05\x02\x01\x01"));
  fails_with(LIT("\x05\x01\x02\x02\x04user\x06secret"),
             LIT("\x05\x02\x01\x01"));
}

TEST(an_empty_password_matches_an_empty_one_alone) {
  the_user = "user";
  the_password = "";
  asks_for(LIT("\x05\x01\x02\x01\x04user\x00"
               "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50"),
           0, WR_INBOUND_SOCKS5, "1.2.3.4", 80, LIT("\x05\x02\x01\x00"));
  fails_with(LIT("\x05\x01\x02\x01\x04user\x01x"), LIT("\x05\x02\x01\x01"));
}

#define S4_OK(request, tail, host, port)                                       \
  asks_for(LIT(request), tail, WR_INBOUND_SOCKS4, host, port, LIT(""))
#define S4_BAD(request) fails_with(LIT(request), LIT("\x00\x5b\0\0\0\0\0\0"))

TEST(socks4_and_4a) {
  S4_OK("\x04\x01\x00\x50\x0a\x01\x02\x03\x00", 0, "10.1.2.3", 80);
  S4_OK("\x04\x01\x00\x50\x0a\x01\x02\x03me\x00more", 4, "10.1.2.3", 80);
  S4_OK("\x04\x01\x01\xbb\0\0\0\x01\x00"
        "example.com\x00",
        0, "example.com", 443);
  S4_OK("\x04\x01\x01\xbb\0\0\0\xffid\x00h\x00xyz", 3, "h", 443);
  S4_OK("\x04\x01\x01\xbb\0\0\0\x00\x00h\x00", 2, "0.0.0.0", 443);
  S4_BAD("\x04\x02\x00\x50\x0a\x01\x02\x03\x00");
  S4_BAD("\x04\x01\x00\x50\0\0\0\x01\x00\x00");
  S4_BAD("\x04\x01\x00\x50\0\0\0\x01\x00"
         "a b\x00");
}

TEST(socks4_is_no_way_around_a_password) {
  with_password();
  S4_BAD("\x04\x01\x00\x50\x0a\x01\x02\x03user\x00");
  S4_BAD("\x04\x01\x00\x50\0\0\0\x01user\x00"
         "a\x00");
}

TEST(socks4_texts_are_bounded) {
  uint8_t data[2000];
  result r;
  memset(data, 'x', sizeof(data));
  memcpy(data, "\x04\x01\x00\x50\0\0\0\x01", 8);
  run(&r, data, sizeof(data), 10);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  OK(r.taken < 600, "gives up after %zu bytes", r.taken);
  finish(&r);
  data[8] = 0;
  data[8 + 1 + 256] = 0; /* a name of 256 bytes */
  run(&r, data, 8 + 1 + 257, 1000);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  finish(&r);
}

TEST(other_protocols_get_no_answer) {
  static const uint8_t first[] = {0, 1, 3, 6, 0x16, ' ', '\r', '\n', 0x80, 255};
  for (size_t i = 0; i < WR_COUNTOF(first); i++) {
    fails_with(&first[i], 1, LIT(""));
  }
}

#define CONNECT_OK(request, tail, host, port)                                  \
  asks_for(LIT(request), tail, WR_INBOUND_HTTP_CONNECT, host, port, LIT(""))

TEST(http_connect) {
  CONNECT_OK("CONNECT server.example.com:80 HTTP/1.1\r\n"
             "Host: server.example.com\r\n\r\n",
             0, "server.example.com", 80);
  CONNECT_OK("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", 0, "2001:db8::1",
             443);
  CONNECT_OK("CONNECT a:1 HTTP/1.0\r\nX: y\r\n\r\n\x16\x03\x01", 3, "a", 1);
  CONNECT_OK("CONNECT wraith-control:1 HTTP/1.1\r\n\r\n", 0, "wraith-control",
             1);
  CONNECT_OK("CONNECT a:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0, "a", 1);
}

/* Status and a text that must be in the answer; the length must be right. */
static void http_fails(const void *data, size_t len, const char *status,
                       const char *text) {
  result r;
  char want[64];
  run_all(&r, data, len);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  snprintf(want, sizeof(want), "HTTP/1.1 %s ", status);
  if (!OK(strncmp(r.out, want, strlen(want)) == 0, "status %s", status) ||
      !OK(strstr(r.out, text) != NULL, "says \"%s\"", text)) {
    DIAG("%.*s\n->\n%s", (int)len, (const char *)data, r.out);
  }
  const char *body = strstr(r.out, "\r\n\r\n");
  const char *length = strstr(r.out, "Content-Length: ");
  MUST(body != NULL && length != NULL);
  EQ_INT(strtoul(length + 16, NULL, 10), strlen(body + 4));
  OK(strstr(r.out, "\r\nConnection: close\r\n") != NULL, "closes");
  finish(&r);
}

TEST(http_connect_that_is_malformed) {
  http_fails(LIT("CONNECT example.com HTTP/1.1\r\n\r\n"), "400",
             "host or port");
  http_fails(LIT("CONNECT example.com: HTTP/1.1\r\n\r\n"), "400",
             "host or port");
  http_fails(LIT("CONNECT example.com:0 HTTP/1.1\r\n\r\n"), "400",
             "host or port");
  http_fails(LIT("CONNECT :80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT a:65536 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT a:80x HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT a:b:80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT u@a:80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT [::1:80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT [::1]80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT [a]:80 HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("CONNECT [127.0.0.1]:80 HTTP/1.1\r\n\r\n"), "400",
             "host or port");
  http_fails(LIT("CONNECT http://a:80/ HTTP/1.1\r\n\r\n"), "400",
             "host or port");
  http_fails(LIT("CONNECT a:80 HTTP/2.0\r\n\r\n"), "505", "HTTP/1.1");
  http_fails(LIT("PRI * HTTP/2.0\r\n\r\n"), "505", "HTTP/1.1");
  http_fails(LIT("CONNECT a:80\r\n\r\n"), "400", "request line");
  http_fails(LIT("CONNECT  a:80 HTTP/1.1\r\n\r\n"), "400", "request line");
  http_fails(LIT("CONNECT a:80 HTTP/1.1 \r\n\r\n"), "400", "request line");
  http_fails(LIT("CONNECT a:80 http/1.1\r\n\r\n"), "400", "request line");
  http_fails(LIT("C@NNECT a:80 HTTP/1.1\r\n\r\n"), "400", "request line");
  http_fails(LIT("CONNECT a:80 HTTP/1.1\n\n"), "400", "CR LF");
  http_fails(LIT("CONNECT a:80 HTTP/1.1\r\nA: b\n\r\n"), "400", "CR LF");
  http_fails(LIT("CONNECT a\0b:80 HTTP/1.1\r\n\r\n"), "400", "request line");
  http_fails(LIT("CONNECT a:80 HTTP/1.1\rX: y\r\n\r\n"), "400", "request line");
}

static void forwards(const char *request, const char *host, uint16_t port,
                     const char *head) {
  result r;
  run_all(&r, request, strlen(request));
  if (!EQ_INT(r.in.state, WR_INBOUND_CONNECT)) {
    DIAG("%s\n%s", request, r.out);
  }
  EQ_INT(r.in.protocol, WR_INBOUND_HTTP_FORWARD);
  EQ_STR(r.in.target.host, host);
  EQ_INT(r.in.target.port, port);
  EQ_MEM(r.in.forward.data, r.in.forward.len, head, strlen(head));
  EQ_INT(r.out_len, 0);
  finish(&r);
}

TEST(http_absolute_form_becomes_origin_form) {
  forwards("GET http://www.example.org/pub/WWW/a.html HTTP/1.1\r\n\r\n",
           "www.example.org", 80,
           "GET /pub/WWW/a.html HTTP/1.1\r\nHost: www.example.org\r\n"
           "Connection: close\r\n\r\n");
  forwards("GET HTTP://a:8080?q=1 HTTP/1.0\r\nHost: a:8080\r\n\r\n", "a", 8080,
           "GET /?q=1 HTTP/1.0\r\nHost: a:8080\r\nConnection: close\r\n\r\n");
  forwards("GET http://a: HTTP/1.1\r\nHost: a\r\n\r\n", "a", 80,
           "GET / HTTP/1.1\r\nHost: a:\r\nConnection: close\r\n\r\n");
  forwards("OPTIONS http://a:8001 HTTP/1.1\r\n\r\n", "a", 8001,
           "OPTIONS * HTTP/1.1\r\nHost: a:8001\r\nConnection: close\r\n\r\n");
  forwards("OPTIONS http://a:8001/ HTTP/1.1\r\n\r\n", "a", 8001,
           "OPTIONS / HTTP/1.1\r\nHost: a:8001\r\nConnection: close\r\n\r\n");
  forwards("GET http://[::1]:81/x HTTP/1.1\r\nHost: wrong\r\n\r\n", "::1", 81,
           "GET /x HTTP/1.1\r\nHost: [::1]:81\r\nConnection: close\r\n\r\n");
  forwards("GET http://a/http://b/ HTTP/1.1\r\n\r\n", "a", 80,
           "GET /http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
}

TEST(hop_by_hop_fields_stay_behind) {
  forwards("POST http://a/ HTTP/1.1\r\n"
           "Host: a\r\n"
           "Proxy-Connection: keep-alive\r\n"
           "Proxy-Authorization: Basic eDp5\r\n"
           "Connection: keep-alive, X-One\r\n"
           "Keep-Alive: 300\r\n"
           "TE: trailers\r\n"
           "Upgrade: websocket\r\n"
           "x-one: gone\r\n"
           "X-Two:\t  kept as is \t\r\n"
           "Content-Length: 5\r\n"
           "Connection: X-Three\r\n"
           "X-THREE: gone\r\n"
           "Empty:\r\n\r\n",
           "a", 80,
           "POST / HTTP/1.1\r\nHost: a\r\nX-Two: kept as is\r\n"
           "Content-Length: 5\r\nEmpty: \r\nConnection: close\r\n\r\n");
}

TEST(http_requests_that_are_refused) {
  http_fails(LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "400",
             "this is a proxy");
  http_fails(LIT("OPTIONS * HTTP/1.1\r\n\r\n"), "400", "this is a proxy");
  http_fails(LIT("GET https://a/ HTTP/1.1\r\n\r\n"), "400", "use CONNECT");
  http_fails(LIT("GET ftp://a/ HTTP/1.1\r\n\r\n"), "400", "use CONNECT");
  http_fails(LIT("GET a HTTP/1.1\r\n\r\n"), "400", "use CONNECT");
  http_fails(LIT("GET http:// HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("GET http:///x HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("GET http://u:p@a/ HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("GET http://a\\b/ HTTP/1.1\r\n\r\n"), "400", "host or port");
  http_fails(LIT("GET http://a/#x HTTP/1.1\r\n\r\n"), "400", "fragment");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400",
             "more than one Host");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nA : b\r\n\r\n"), "400",
             "malformed header");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nno colon\r\n\r\n"), "400",
             "malformed header");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\n: b\r\n\r\n"), "400",
             "malformed header");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"), "400",
             "malformed header");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\n A: b\r\n\r\n"), "400",
             "malformed header");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nA: b\0c\r\n\r\n"), "400",
             "control characters");
  http_fails(LIT("GET http://a/ HTTP/1.1\r\nA: b\rc\r\n\r\n"), "400",
             "control characters");
}

TEST(smuggled_requests_are_refused) {
#define POST "POST http://a/ HTTP/1.1\r\n"
  http_fails(
      LIT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
      "400", "ambiguous");
  http_fails(LIT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), "400",
             "ambiguous");
  http_fails(LIT(POST "Transfer-Encoding: chunked\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"),
             "400", "ambiguous");
  http_fails(LIT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), "400",
             "transfer coding");
  http_fails(LIT(POST "Transfer-Encoding: xchunked\r\n\r\n"), "400",
             "transfer coding");
  http_fails(LIT("POST http://a/ HTTP/1.0\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n"),
             "400", "transfer coding");
  http_fails(LIT(POST "Content-Length: 5, 5\r\n\r\n"), "400", "Content-Length");
  http_fails(LIT(POST "Content-Length: +5\r\n\r\n"), "400", "Content-Length");
  http_fails(LIT(POST "Content-Length: -5\r\n\r\n"), "400", "Content-Length");
  http_fails(LIT(POST "Content-Length: 0x5\r\n\r\n"), "400", "Content-Length");
  http_fails(LIT(POST "Content-Length:\r\n\r\n"), "400", "Content-Length");
  http_fails(LIT(POST "Content-Length: 99999999999999999999\r\n\r\n"), "400",
             "Content-Length");
  http_fails(LIT(POST "Connection: Transfer-Encoding\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"),
             "400", "Connection lists");
  http_fails(LIT(POST "Connection: close, content-length\r\n\r\n"), "400",
             "Connection lists");
}

TEST(an_answer_to_head_has_no_body) {
  result r;
  run(&r, LIT("HEAD http://a/ HTTP/1.1\r\n\r\n"), 1000);
  EQ_INT(r.in.state, WR_INBOUND_CONNECT);
  MUST(wr_inbound_reply(&r.in, WR_ECHANNEL_REFUSED) == 0);
  const char *end = (const char *)r.in.out.data + r.in.out.len - 4;
  OK(memcmp(end, "\r\n\r\n", 4) == 0, "ends with the head");
  finish(&r);
}

TEST(http_passwords) {
  with_password();
  /* user:secret */
  CONNECT_OK("CONNECT a:1 HTTP/1.1\r\n"
             "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n",
             0, "a", 1);
  CONNECT_OK("CONNECT a:1 HTTP/1.1\r\n"
             "proxy-authorization: bASIC   dXNlcjpzZWNyZXQ=  \r\n\r\n",
             0, "a", 1);
  static const char *const bad[] = {
      "",
      "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ\x01\r\n",
      "Proxy-Authorization: Basic dXNlcjpzZWNyZVQ=\r\n",
      "Proxy-Authorization: Basic dXNlcg==\r\n",
      "Proxy-Authorization: Basic \r\n",
      "Proxy-Authorization: Basic\r\n",
      "Proxy-Authorization: Basicd XNlcjpzZWNyZXQ=\r\n",
      "Proxy-Authorization: Bearer dXNlcjpzZWNyZXQ=\r\n",
      "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n",
      ("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"
       "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n")};
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    char text[300];
    snprintf(text, sizeof(text), "GET http://a/ HTTP/1.1\r\n%s\r\n", bad[i]);
    if (i == 1) {
      http_fails(text, strlen(text), "400", "control characters");
    } else {
      http_fails(text, strlen(text), "407",
                 "Proxy-Authenticate: Basic realm=\"wraith\"\r\n");
    }
  }
}

TEST(http_heads_are_bounded) {
  static char data[WR_INBOUND_MAX + 100];
  result r;
  size_t len = 0;
  memset(data, 'x', sizeof(data));
  memcpy(data, LIT("GET http://a/ HTTP/1.1\r\nA: "));
  run(&r, data, sizeof(data), 1000);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  OK(strstr(r.out, "HTTP/1.1 431 ") == r.out, "one long field");
  finish(&r);
  len = (size_t)snprintf(data, 100, "GET http://a/ HTTP/1.1\r\n");
  for (int i = 0; i < 101; i++) {
    len += (size_t)snprintf(data + len, 100, "A: b\r\n");
  }
  memcpy(data + len, "\r\n", 2);
  run(&r, data, len + 2, len);
  EQ_INT(r.in.state, WR_INBOUND_FAILED);
  OK(strstr(r.out, "HTTP/1.1 431 ") == r.out, "101 fields");
  finish(&r);
  run(&r, data + 6, len - 6, len);
  wr_inbound_reset(&r.in);
  /* Exactly as many bytes as there may be. */
  memset(data, 'x', sizeof(data));
  memcpy(data, LIT("GET http://a/ HTTP/1.1\r\nA: "));
  memcpy(data + WR_INBOUND_MAX - 4, "\r\n\r\n", 4);
  run(&r, data, WR_INBOUND_MAX, 100000);
  EQ_INT(r.in.state, WR_INBOUND_CONNECT);
  finish(&r);
}

static void replies(const char *request, size_t len, int status,
                    const void *want, size_t want_len) {
  result r;
  run(&r, request, len, len);
  wr_buf_consume(&r.in.out, r.in.out.len);
  MUST(wr_inbound_reply(&r.in, status) == 0);
  EQ_INT(r.in.state, status == 0 ? WR_INBOUND_CONNECT : WR_INBOUND_FAILED);
  EQ_MEM(r.in.out.data, WR_MIN(r.in.out.len, want_len), want, want_len);
  finish(&r);
}

TEST(every_failure_has_its_reply) {
  static const struct {
    int status, http;
    uint8_t socks5;
  } t[] = {{0, 200, 0},
           {WR_ECHANNEL_DENIED, 403, 2},
           {WR_ECHANNEL_REFUSED, 502, 5},
           {WR_ECHANNEL_UNRESOLVED, 502, 4},
           {WR_ECHANNEL_UNREACHABLE, 502, 3},
           {WR_ECHANNEL_TIMEOUT, 504, 6},
           {WR_ECHANNEL_LIMIT, 503, 1},
           {WR_ETUNNEL_DOWN, 503, 1},
           {WR_ECHANNEL_FAILED, 502, 1},
           {WR_ECHANNEL_UNKNOWN, 502, 1},
           {WR_ECLOSED, 502, 1},
           {WR_ENOMEM, 502, 1}};
  for (size_t i = 0; i < WR_COUNTOF(t); i++) {
    char http[32];
    char socks5[11] = "\x05\x00\x00\x01\0\0\0\0\0";
    socks5[1] = (char)t[i].socks5;
    snprintf(http, sizeof(http), "HTTP/1.1 %d ", t[i].http);
    replies(LIT(S5("\x03\x01"
                   "a\x00\x50")),
            t[i].status, socks5, 10);
    replies(LIT("\x04\x01\x00\x50\x0a\x01\x02\x03\x00"), t[i].status,
            t[i].status ? "\0\x5b\0\0\0\0\0" : "\0\x5a\0\0\0\0\0", 8);
    replies(LIT("CONNECT a:1 HTTP/1.1\r\n\r\n"), t[i].status, http,
            strlen(http));
    replies(LIT("GET http://a/ HTTP/1.1\r\n\r\n"), t[i].status, http,
            t[i].status ? strlen(http) : 0);
  }
  replies(LIT("CONNECT a:1 HTTP/1.1\r\n\r\n"), 0,
          LIT("HTTP/1.1 200 Connection established\r\n\r\n"));
}

TEST(answers_name_no_destination) {
  result r;
  run(&r, LIT("GET http://canary.test/ HTTP/1.1\r\n\r\n"), 1000);
  MUST(wr_inbound_reply(&r.in, WR_ECHANNEL_UNRESOLVED) == 0);
  MUST(wr_buf_append(&r.in.out, "", 1) == 0);
  OK(strstr((const char *)r.in.out.data, "canary") == NULL, "no canary");
  finish(&r);
}

TEST(failing_memory_is_reported) {
  for (uint64_t n = 1; n < 12; n++) {
    static const char text[] = "GET http://a/ HTTP/1.1\r\nA: b\r\n\r\n";
    wr_mem torn;
    wr_inbound in;
    size_t taken;
    wr_mem_init(&torn);
    torn.fail_at = n;
    wr_inbound_init(&in, &torn, NULL, NULL);
    int err = wr_inbound_feed(&in, (const uint8_t *)text, strlen(text), &taken);
    OK(err == 0 || err == WR_ENOMEM, "allocation %d", (int)n);
    OK(err != 0 || in.state == WR_INBOUND_CONNECT, "all or an error");
    wr_inbound_reset(&in);
    EQ_UINT(torn.live_blocks, 0);
  }
}

/* The bytes of the body among all; whole and byte by byte. -1: malformed. */
static long body_end(bool chunked, uint64_t length, const char *data,
                     size_t len, size_t step) {
  wr_http_body b;
  size_t at = 0;
  if (chunked) {
    wr_http_body_init_chunked(&b);
  } else {
    wr_http_body_init_length(&b, length);
  }
  while (at < len && !b.done) {
    size_t taken;
    size_t n = WR_MIN(step, len - at);
    if (wr_http_body_feed(&b, (const uint8_t *)data + at, n, &taken) != 0) {
      return -1;
    }
    at += taken;
  }
  return b.done ? (long)at : -2;
}

static void chunked_is(const char *data, long want) {
  size_t len = strlen(data);
  for (size_t step = 1; step <= len; step++) {
    if (!EQ_INT(body_end(true, 0, data, len, step), want)) {
      DIAG("%s in steps of %zu", data, step);
    }
  }
}

TEST(the_end_of_a_body_is_found) {
  EQ_INT(body_end(false, 0, "GET", 3, 3), 0);
  EQ_INT(body_end(false, 2, "GET", 3, 1), 2);
  EQ_INT(body_end(false, 3, "GET", 3, 3), 3);
  EQ_INT(body_end(false, 4, "GET", 3, 3), -2);
  chunked_is("0\r\n\r\nGET", 5);
  chunked_is("5\r\nhello\r\n0\r\n\r\nGET", 15);
  chunked_is("a;x=y\r\n0123456789\r\n000\r\nT: v\r\nU: w\r\n\r\nGET", 38);
  chunked_is("5\r\nhel", -2);
  chunked_is("\r\n", -1);
  chunked_is("g\r\n", -1);
  chunked_is("5\nhello", -1);
  chunked_is("5\r\nhelloX", -1);
  chunked_is("0\r\nT: v\n\r\n", -1);
  chunked_is("0\r\n\rX", -1);
  chunked_is("fffffffffffffffff\r\n", -1);
  chunked_is("-1\r\n", -1);
  chunked_is("0x5\r\n", -1);
}

TEST(chunk_extensions_are_bounded) {
  static char data[WR_HTTP_BODY_OVERHEAD_MAX + 10];
  memset(data, ' ', sizeof(data));
  data[0] = '1';
  EQ_INT(body_end(true, 0, data, sizeof(data), 999), -1);
}

static void set_up(void) {
  wr_mem_init(&mem);
  the_user = the_password = NULL;
}

TAP_MAIN_WITH(set_up, NULL)
