/* Tunnel or visitor: each verdict, at each split, and at which byte it falls. */
#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"
#include "net/firstbytes.h"

#define NOW UINT64_C(1780394400)
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define SECRET "correct horse"
#define LINE "GET /chat HTTP/1.1\r\n"
#define FIELDS                                                                 \
  "Host: www.example.com\r\n"                                                  \
  "Connection: keep-alive, Upgrade\r\n"                                        \
  "Upgrade: WebSocket\r\n"                                                     \
  "Sec-WebSocket-Version: 13\r\n"                                              \
  "Sec-WebSocket-Key: " KEY "\r\n"

static wr_mem mem;
static wr_knock_cache cache;
static wr_firstbytes_opts opts;

static void set_up(void) {
  wr_mem_init(&mem);
  wr_knock_cache_init(&cache, &mem, 7, 0);
  opts = (wr_firstbytes_opts){.path = "/chat", .cache = &cache};
}

static void tear_down(void) {
  wr_knock_cache_reset(&cache);
  EQ_UINT(mem.live_blocks, 0);
}

static const uint8_t *bytes(const char *text) {
  return (const uint8_t *)text;
}

static int feed(wr_firstbytes *f, const char *text, size_t len) {
  wr_first verdict = wr_firstbytes_feed(f, bytes(text), len, NOW);
  return (int)verdict;
}

/* The verdict on all of it, which must be that of every split. */
static int decide(wr_firstbytes *f, const char *text, size_t len) {
  wr_knock_cache_reset(&cache);
  wr_firstbytes_init(f, &opts);
  int verdict = feed(f, text, len);
  wr_knock_verdict knock = f->knock;
  for (size_t cut = 0; cut <= len; cut++) {
    wr_firstbytes two;
    wr_knock_cache_reset(&cache);
    wr_firstbytes_init(&two, &opts);
    (void)feed(&two, text, cut);
    EQ_INT(feed(&two, text, len), verdict);
    EQ_INT(two.knock, knock);
    EQ_UINT(two.head.done, f->head.done);
  }
  return verdict;
}

static int verdict_of(const char *text) {
  wr_firstbytes f;
  return decide(&f, text, strlen(text));
}

/* How many bytes it takes when they come one by one; 0: it stays open. */
static size_t falls_at(const char *text, wr_first want) {
  wr_firstbytes f;
  wr_firstbytes_init(&f, &opts);
  for (size_t n = 1; n <= strlen(text); n++) {
    int verdict = feed(&f, text, n);
    if (verdict != WR_FIRST_MORE) {
      EQ_INT(verdict, want);
      return n;
    }
  }
  return 0;
}

TEST(ssh) {
  static const char banner[] = "SSH-2.0-x\r\n";
  EQ_UINT(falls_at(banner, WR_FIRST_DECOY), 1);
  EQ_INT(verdict_of(banner), WR_FIRST_DECOY);
  opts.ssh = true;
  EQ_UINT(falls_at(banner, WR_FIRST_SSH), 4);
  EQ_INT(verdict_of(banner), WR_FIRST_SSH);
  EQ_UINT(falls_at("SSX", WR_FIRST_DECOY), 3);
  EQ_UINT(falls_at("ssh-2.0", WR_FIRST_DECOY), 1);
  opts.path = NULL;
  EQ_INT(verdict_of(banner), WR_FIRST_SSH);
  EQ_UINT(falls_at(LINE, WR_FIRST_DECOY), 1);
  EQ_INT(verdict_of(""), WR_FIRST_MORE);
}

TEST(upgrade) {
  static const char text[] = LINE FIELDS "\r\nearly frames";
  wr_firstbytes f;
  EQ_INT(decide(&f, text, strlen(text)), WR_FIRST_UPGRADE);
  EQ_UINT(f.head.len, strlen(text) - strlen("early frames"));
  CHECK(wr_slice_eq(f.key, KEY));
  CHECK(!f.knocked);
  EQ_UINT(falls_at(text, WR_FIRST_UPGRADE), f.head.len);
}

/* nginx answers these at once, so the site must get them at once. */
TEST(what_no_tunnel_sends_is_not_waited_with) {
  EQ_UINT(falls_at("POST /chat HTTP/1.1\r\n", WR_FIRST_DECOY), 1);
  EQ_UINT(falls_at("HEAD / HTTP/1.1\r\n", WR_FIRST_DECOY), 1);
  EQ_UINT(falls_at("PRI * HTTP/2.0\r\n", WR_FIRST_DECOY), 1);
  EQ_UINT(falls_at("\r\nGET /", WR_FIRST_DECOY), 1);
  EQ_UINT(falls_at("\x16\x03\x01", WR_FIRST_DECOY), 1);
  EQ_UINT(falls_at("GEX", WR_FIRST_DECOY), 3);
  EQ_UINT(falls_at("GET\t", WR_FIRST_DECOY), 4);
  EQ_UINT(falls_at("GET /\x01 more", WR_FIRST_DECOY), 6);
  EQ_UINT(falls_at("GET / HTTX", WR_FIRST_DECOY), 10);
  EQ_UINT(falls_at("GET / HTTP/2", WR_FIRST_DECOY), 12);
  EQ_UINT(falls_at("GET / HTTP/1.1\nHost", WR_FIRST_DECOY), 15);
  EQ_UINT(falls_at("GET / HTTP/1.0\r\n", WR_FIRST_DECOY), 15);
  EQ_UINT(falls_at("GET /%zz HTTP/1.1\r\n", WR_FIRST_DECOY), 18);
  EQ_UINT(falls_at("GET /../a HTTP/1.1\r\n", WR_FIRST_DECOY), 19);
  EQ_UINT(falls_at("GET http://a/ HTTP/1.1\r\n", WR_FIRST_DECOY), 23);
  EQ_UINT(falls_at(LINE "Ho st", WR_FIRST_DECOY), strlen(LINE) + 3);
  EQ_UINT(falls_at(LINE "Host: a/b\r\nX", WR_FIRST_DECOY), strlen(LINE) + 10);
  EQ_UINT(falls_at(LINE "Host:\r\nX", WR_FIRST_DECOY), strlen(LINE) + 6);
  EQ_UINT(falls_at(LINE "Host: a\r\nHost: a\r\nX", WR_FIRST_DECOY),
          strlen(LINE) + 17);
  EQ_UINT(falls_at(LINE "Content-Length: 1\r\nX", WR_FIRST_DECOY),
          strlen(LINE) + 18);
  EQ_UINT(falls_at(LINE "Transfer-Encoding: x\r\nX", WR_FIRST_DECOY),
          strlen(LINE) + 21);
}

/* Neither the path nor the proof shows in when the site gets a request. */
TEST(secrets_decide_at_the_end_of_the_head) {
  static const char *const lines[] = {
      "GET /chat HTTP/1.1\r\n", "GET /chat/ HTTP/1.1\r\n",
      "GET /cha HTTP/1.1\r\n", "GET /Chat HTTP/1.1\r\n", "GET / HTTP/1.1\r\n"};
  opts.secret = wr_slice_of(SECRET);
  for (size_t i = 0; i < WR_COUNTOF(lines); i++) {
    char text[1024];
    snprintf(text, sizeof(text), "%s%s\r\n", lines[i], FIELDS);
    EQ_UINT(falls_at(text, WR_FIRST_DECOY), strlen(text));
    EQ_INT(verdict_of(text), WR_FIRST_DECOY);
    text[strlen(text) - 1] = '\0';
    EQ_INT(verdict_of(text), WR_FIRST_MORE);
  }
}

TEST(half_an_upgrade_is_none) {
  static const char *const heads[] = {
      "Host: a\r\n\r\n",
      /* each field left out */
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
      "13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "Host: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
      "13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
      "13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
      /* each of them wrong */
      "Host: a\r\nConnection: close\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
      "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " KEY
      "\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
      "dGhlIHNhbXBsZSBub25jZR==\r\n\r\n",
      "Host: a\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
      "dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
      FIELDS "Sec-WebSocket-Key: " KEY "\r\n\r\n",
      FIELDS "Sec-WebSocket-Version: 13\r\n\r\n"};
  for (size_t i = 0; i < WR_COUNTOF(heads); i++) {
    char text[1024];
    snprintf(text, sizeof(text), LINE "%s", heads[i]);
    DIAG("%s", text);
    EQ_INT(verdict_of(text), WR_FIRST_DECOY);
  }
}

static const char *with_proof(const char *fmt, const char *secret,
                              uint64_t now_s) {
  static char text[2048];
  static const uint8_t nonce[WR_KNOCK_NONCE] = {1, 2, 3};
  char token[WR_KNOCK_TEXT + 1];
  char field[200];
  const wr_knock what = {.method = wr_slice_of("GET"),
                         .host = wr_slice_of("www.example.com"),
                         .path = wr_slice_of("/chat"),
                         .exporter = opts.exporter};
  MUST(wr_knock_make(wr_slice_of(secret), &what, nonce, now_s, token) == 0);
  snprintf(field, sizeof(field), fmt, token);
  snprintf(text, sizeof(text), LINE FIELDS "%s\r\n", field);
  return text;
}

static void knocks(const char *text, wr_first want, wr_knock_verdict knock) {
  wr_firstbytes f;
  EQ_INT(decide(&f, text, strlen(text)), want);
  CHECK(f.knocked);
  EQ_INT(f.knock, knock);
}

TEST(knock) {
  static const char fmt[] = "Authorization: Bearer %s\r\n";
  opts.secret = wr_slice_of(SECRET);
  opts.exporter = wr_slice_of("0123456789abcdef0123456789abcdef");
  knocks(with_proof(fmt, SECRET, NOW), WR_FIRST_UPGRADE, WR_KNOCK_RIGHT);
  knocks(with_proof("authorization: BEARER %s \r\n", SECRET, NOW),
         WR_FIRST_UPGRADE, WR_KNOCK_RIGHT);
  knocks(with_proof(fmt, "another", NOW), WR_FIRST_DECOY, WR_KNOCK_WRONG);
  knocks(with_proof(fmt, SECRET, NOW - 61), WR_FIRST_DECOY, WR_KNOCK_STALE);
  knocks(LINE FIELDS "\r\n", WR_FIRST_DECOY, WR_KNOCK_MALFORMED);
  knocks(with_proof("Authorization: Basic %s\r\n", SECRET, NOW), WR_FIRST_DECOY,
         WR_KNOCK_MALFORMED);
  knocks(with_proof("Authorization: Bearer%s\r\n", SECRET, NOW), WR_FIRST_DECOY,
         WR_KNOCK_MALFORMED);
  knocks(with_proof("Authorization: Bearer %s\r\nAuthorization: Bearer x\r\n",
                    SECRET, NOW),
         WR_FIRST_DECOY, WR_KNOCK_MALFORMED);
}

/* As by a client whose TLS ends in a proxy; one for another connection is not. */
TEST(a_knock_without_the_connection) {
  static const char fmt[] = "Authorization: Bearer %s\r\n";
  opts.secret = wr_slice_of(SECRET);
  const char *text = with_proof(fmt, SECRET, NOW);
  opts.exporter = wr_slice_of("0123456789abcdef0123456789abcdef");
  knocks(text, WR_FIRST_UPGRADE, WR_KNOCK_RIGHT);
  text = with_proof(fmt, SECRET, NOW);
  opts.exporter = wr_slice_of("fedcba9876543210fedcba9876543210");
  knocks(text, WR_FIRST_DECOY, WR_KNOCK_WRONG);
}

TEST(a_replayed_knock_is_a_visitor) {
  wr_firstbytes f;
  opts.secret = wr_slice_of(SECRET);
  const char *text = with_proof("Authorization: Bearer %s\r\n", SECRET, NOW);
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, strlen(text)), WR_FIRST_UPGRADE);
  EQ_INT(feed(&f, text, strlen(text)), WR_FIRST_UPGRADE); /* not once more */
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, strlen(text)), WR_FIRST_DECOY);
  EQ_INT(f.knock, WR_KNOCK_REPLAYED);
  CHECK(f.key.data == NULL);
}

/* A proof with a wrong path or half an upgrade is not used up. */
TEST(a_proof_is_looked_at_last) {
  char text[2048];
  wr_firstbytes f;
  opts.secret = wr_slice_of(SECRET);
  snprintf(text, sizeof(text), "%s",
           with_proof("Authorization: Bearer %s\r\n", SECRET, NOW));
  opts.path = "/other";
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, strlen(text)), WR_FIRST_DECOY);
  CHECK(!f.knocked);
  opts.path = "/chat";
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, strlen(text)), WR_FIRST_UPGRADE);
}

TEST(endless_heads) {
  size_t len = WR_FIRSTBYTES_MAX + 100;
  char *text = malloc(len);
  wr_firstbytes f;
  MUST(text != NULL);
  memset(text, 'a', len);
  memcpy(text, LINE, strlen(LINE));
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, strlen(LINE) + WR_HTTP_LINE_MAX - 1), WR_FIRST_MORE);
  EQ_INT(feed(&f, text, strlen(LINE) + WR_HTTP_LINE_MAX), WR_FIRST_DECOY);
  for (size_t at = strlen(LINE); at + 1000 < len; at += 1000) {
    memcpy(text + at, "A:", 2);
    memcpy(text + at + 998, "\r\n", 2);
  }
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, WR_FIRSTBYTES_MAX), WR_FIRST_MORE);
  EQ_INT(feed(&f, text, WR_FIRSTBYTES_MAX + 1), WR_FIRST_DECOY);
  opts.line_max = 30;
  wr_firstbytes_init(&f, &opts);
  EQ_INT(feed(&f, text, WR_FIRSTBYTES_MAX), WR_FIRST_DECOY);
  free(text);
}

TAP_MAIN_WITH(set_up, tear_down)
