/* The knock: the vectors of docs/reference/knock.md, each way to be wrong, and the
   memory of nonces. */
#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"
#include "net/knock.h"
#include "net/tls_crypto.h"

#define NOW UINT64_C(1780394400)

static wr_mem mem;
static wr_knock_cache cache;

static void set_up(void) {
  wr_mem_init(&mem);
  wr_knock_cache_init(&cache, &mem, 7, 0);
}

static void tear_down(void) {
  wr_knock_cache_reset(&cache);
  EQ_UINT(mem.live_blocks, 0);
}

static wr_knock usual(void) {
  return (wr_knock){.method = wr_slice_of("GET"),
                    .host = wr_slice_of("www.example.com"),
                    .path = wr_slice_of("/chat")};
}

static const char *made_by(const char *secret, const wr_knock *what,
                           uint8_t first, uint64_t now_s) {
  static char token[WR_KNOCK_TEXT + 1];
  uint8_t nonce[WR_KNOCK_NONCE];
  for (size_t i = 0; i < sizeof(nonce); i++) {
    nonce[i] = (uint8_t)(first + i);
  }
  MUST(wr_knock_make(wr_slice_of(secret), what, nonce, now_s, token) == 0);
  return token;
}

static const char *made(uint8_t first, uint64_t now_s) {
  const wr_knock what = usual();
  return made_by("correct horse", &what, first, now_s);
}

static int check_as(const wr_knock *what, const char *token, uint64_t now_s) {
  wr_knock_verdict v = wr_knock_check(&cache, wr_slice_of("correct horse"),
                                      what, wr_slice_of(token), now_s);
  return (int)v;
}

static int check(const char *token, uint64_t now_s) {
  const wr_knock what = usual();
  return check_as(&what, token, now_s);
}

TEST(hashes) {
  static const uint8_t abc[] = {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81,
                                0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50,
                                0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
  static const uint8_t rfc4231_2[] = {
      0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
      0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
      0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
  static const uint8_t nothing[] = {
      0xb6, 0x13, 0x67, 0x9a, 0x08, 0x14, 0xd9, 0xec, 0x77, 0x2f, 0x95,
      0xd7, 0x78, 0xc3, 0x5f, 0xc5, 0xff, 0x16, 0x97, 0xc4, 0x93, 0x71,
      0x56, 0x53, 0xc6, 0xc7, 0x12, 0x14, 0x42, 0x92, 0xc5, 0xad};
  const wr_slice parts[] = {
      wr_slice_of("what do ya want "), {NULL, 0}, wr_slice_of("for nothing?")};
  uint8_t out[WR_HMAC_SHA256_SIZE];
  EQ_INT(wr_sha1(wr_slice_of("abc"), out), 0);
  EQ_MEM(out, WR_SHA1_SIZE, abc, sizeof(abc));
  EQ_INT(wr_hmac_sha256(wr_slice_of("Jefe"), parts, 3, out), 0);
  EQ_MEM(out, sizeof(out), rfc4231_2, sizeof(rfc4231_2));
  EQ_INT(wr_hmac_sha256((wr_slice){NULL, 0}, NULL, 0, out), 0);
  EQ_MEM(out, sizeof(out), nothing, sizeof(nothing));
}

/* As they stand in docs/reference/knock.md, which test/knock.test.js computes
   anew. */
TEST(vectors) {
  wr_knock what = usual();
  uint8_t exporter[32];
  memset(exporter, 0x5a, sizeof(exporter));
  EQ_STR(made_by("correct horse", &what, 0, NOW),
         "AAECAwQFBgcICQoLDA0ODwAAAABqHqmgKNBWkB3y"
         "BRiRTSExlx6kcPugWEECwri20RKzvymfgnE");
  what.exporter = (wr_slice){exporter, sizeof(exporter)};
  EQ_STR(made_by("correct horse", &what, 0xf0, NOW),
         "8PHy8_T19vf4-fr7_P3-_wAAAABqHqmgunon39W9"
         "if--jk2b1FJbVpJJm1lOV6bSDE8nCD5DIhY");
}

TEST(right_once) {
  const char *token = made(1, NOW);
  EQ_UINT(strlen(token), WR_KNOCK_TEXT);
  EQ_INT(check(token, NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(token, NOW), WR_KNOCK_REPLAYED);
  EQ_INT(check(token, NOW + 60), WR_KNOCK_REPLAYED);
  EQ_INT(check(token, NOW + 61), WR_KNOCK_STALE);
  EQ_INT(check(made(2, NOW + 61), NOW + 61), WR_KNOCK_RIGHT);
}

TEST(in_time_either_way) {
  EQ_INT(check(made(1, NOW), NOW + 61), WR_KNOCK_STALE);
  EQ_INT(check(made(2, NOW + 121), NOW + 60), WR_KNOCK_STALE);
  EQ_INT(check(made(3, NOW + 120), NOW + 60), WR_KNOCK_RIGHT);
  EQ_INT(check(made(4, NOW + 1), NOW + 61), WR_KNOCK_RIGHT);
  EQ_INT(check(made(5, UINT64_MAX), NOW), WR_KNOCK_STALE);
  EQ_INT(check(made(6, 0), NOW), WR_KNOCK_STALE);
}

TEST(wrong_in_each_part) {
  const char *token = made(1, NOW);
  wr_knock what = usual();
  what.method = wr_slice_of("POST");
  EQ_INT(check_as(&what, token, NOW), WR_KNOCK_WRONG);
  what = usual();
  what.host = wr_slice_of("example.com");
  EQ_INT(check_as(&what, token, NOW), WR_KNOCK_WRONG);
  what = usual();
  what.path = wr_slice_of("/chat/");
  EQ_INT(check_as(&what, token, NOW), WR_KNOCK_WRONG);
  what = usual();
  what.exporter = wr_slice_of("0123456789abcdef0123456789abcdef");
  EQ_INT(check_as(&what, token, NOW), WR_KNOCK_WRONG);
  what = usual();
  EQ_INT(check(made_by("correct horsf", &what, 1, NOW), NOW), WR_KNOCK_WRONG);
  EQ_INT(check(made_by("", &what, 1, NOW), NOW), WR_KNOCK_WRONG);
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_RIGHT);
}

TEST(case_and_port_of_the_host_do_not_count) {
  wr_knock what = usual();
  what.host = wr_slice_of("WWW.Example.com:8443");
  EQ_INT(check_as(&what, made(1, NOW), NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(made_by("correct horse", &what, 2, NOW), NOW), WR_KNOCK_RIGHT);
  what.host = wr_slice_of("www.example.comm:8443");
  EQ_INT(check_as(&what, made(3, NOW), NOW), WR_KNOCK_WRONG);
}

TEST(a_host_has_a_longest) {
  char host[WR_KNOCK_HOST_MAX + 2];
  wr_knock what = usual();
  uint8_t nonce[WR_KNOCK_NONCE] = {0};
  char token[WR_KNOCK_TEXT + 1];
  memset(host, 'a', sizeof(host));
  what.host = (wr_slice){(uint8_t *)host, WR_KNOCK_HOST_MAX + 1};
  EQ_INT(wr_knock_make(wr_slice_of("s"), &what, nonce, NOW, token), WR_EINVAL);
  EQ_INT(check_as(&what, made(1, NOW), NOW), WR_KNOCK_WRONG);
  what.host.len--;
  EQ_INT(wr_knock_make(wr_slice_of("s"), &what, nonce, NOW, token), 0);
}

TEST(each_character_counts) {
  for (size_t i = 0; i < WR_KNOCK_TEXT; i++) {
    char token[WR_KNOCK_TEXT + 1];
    memcpy(token, made(1, NOW), sizeof(token));
    token[i] = token[i] == 'A' ? 'B' : 'A';
    int v = check(token, NOW);
    CHECK(v == WR_KNOCK_WRONG || v == WR_KNOCK_MALFORMED);
  }
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_RIGHT);
}

TEST(malformed) {
  char token[WR_KNOCK_TEXT + 3] = "";
  EQ_INT(check(token, NOW), WR_KNOCK_MALFORMED);
  memcpy(token, made(1, NOW), WR_KNOCK_TEXT + 1);
  token[WR_KNOCK_TEXT] = '=';
  EQ_INT(check(token, NOW), WR_KNOCK_MALFORMED);
  token[WR_KNOCK_TEXT - 1] = '\0';
  EQ_INT(check(token, NOW), WR_KNOCK_MALFORMED);
  static const char others[] = "+/ =\r%";
  for (size_t i = 0; i < sizeof(others) - 1; i++) {
    memcpy(token, made(1, NOW), WR_KNOCK_TEXT + 1);
    token[5] = others[i];
    EQ_INT(check(token, NOW), WR_KNOCK_MALFORMED);
  }
}

TEST(both_alphabets_differ_where_they_should) {
  bool seen = false;
  for (unsigned i = 0; i < 20 && !seen; i++) {
    const char *token = made((uint8_t)i, NOW);
    CHECK(strpbrk(token, "+/=") == NULL);
    seen = strpbrk(token, "-_") != NULL;
    EQ_INT(check(token, NOW), WR_KNOCK_RIGHT);
  }
  CHECK(seen);
}

TEST(full_refuses_and_time_makes_room) {
  wr_knock_cache_init(&cache, &mem, 7, 3);
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(made(2, NOW + 31), NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(made(3, NOW + 31), NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(made(4, NOW), NOW), WR_KNOCK_FULL);
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_REPLAYED);
  EQ_INT(check(made(5, NOW + 91), NOW + 91), WR_KNOCK_RIGHT);
  EQ_INT(check(made(6, NOW + 91), NOW + 91), WR_KNOCK_FULL);
  EQ_INT(check(made(2, NOW + 31), NOW + 91), WR_KNOCK_REPLAYED);
}

/* Whatever the clock does, no nonce counts twice. */
TEST(clock_that_jumps) {
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_RIGHT);
  EQ_INT(check(made(2, NOW + 5000), NOW + 5000), WR_KNOCK_RIGHT);
  EQ_INT(check(made(1, NOW), NOW), WR_KNOCK_STALE);
  EQ_INT(check(made(3, NOW + 4950), NOW + 4941), WR_KNOCK_RIGHT);
  EQ_INT(check(made(2, NOW + 5000), NOW + 4941), WR_KNOCK_REPLAYED);
}

/* For each second of a few minutes, and then all of them again. */
TEST(no_nonce_counts_twice) {
  for (unsigned s = 0; s < 250; s++) {
    EQ_INT(check(made((uint8_t)s, NOW + s), NOW + s), WR_KNOCK_RIGHT);
    for (unsigned back = s > 60 ? s - 60 : 0; back <= s; back++) {
      EQ_INT(check(made((uint8_t)back, NOW + back), NOW + s),
             WR_KNOCK_REPLAYED);
    }
  }
  CHECK(cache.count <= 130);
}

TEST(allocations_may_fail) {
  for (uint64_t i = 1; i < 10; i++) {
    const char *token = made((uint8_t)i, NOW);
    mem.fail_at = mem.total + i;
    int v = check(token, NOW);
    CHECK(v == WR_KNOCK_FULL || v == WR_KNOCK_RIGHT);
    mem.fail_at = 0;
    EQ_INT(check(token, NOW),
           v == WR_KNOCK_FULL ? WR_KNOCK_RIGHT : WR_KNOCK_REPLAYED);
  }
}

TAP_MAIN_WITH(set_up, tear_down)
