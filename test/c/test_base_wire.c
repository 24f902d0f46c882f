#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"

static wr_slice text(const char *s) {
  return (wr_slice){(const uint8_t *)s, strlen(s)};
}

TEST(numbers_are_big_endian) {
  static const uint8_t in[] = {0x81, 1, 2, 0xFF, 2, 3, 4, 0x80, 0, 0,
                               0,    0, 0, 0,    9, 0, 1, 0x80, 7};
  wr_rd r;
  wr_rd_init(&r, in, sizeof(in));
  EQ_UINT(wr_rd_u8(&r), 0x81);
  EQ_UINT(wr_rd_u16(&r), 0x0102);
  EQ_UINT(wr_rd_u32(&r), 0xFF020304);
  EQ_UINT(wr_rd_u64(&r), UINT64_C(0x8000000000000009));
  CHECK(!wr_rd_bool(&r));
  CHECK(wr_rd_bool(&r));
  CHECK(wr_rd_bool(&r));
  CHECK(!wr_rd_done(&r));
  EQ_UINT(r.left, 1);
  EQ_UINT(wr_rd_u8(&r), 7);
  CHECK(wr_rd_done(&r));
}

TEST(bytes_and_strings_are_borrowed) {
  static const uint8_t in[] = {0, 0, 0, 2, 'h', 'i', 0, 0, 0, 0, 'x', 'y'};
  wr_rd r;
  wr_rd_init(&r, in, sizeof(in));
  wr_slice s = wr_rd_string(&r);
  CHECK(s.data == in + 4 && s.len == 2);
  s = wr_rd_string(&r);
  EQ_UINT(s.len, 0);
  s = wr_rd_bytes(&r, 2);
  CHECK(s.data == in + 10 && s.len == 2);
  CHECK(wr_rd_done(&r));
  s = wr_rd_bytes(&r, 0);
  CHECK(s.data == in + sizeof(in) && s.len == 0);
  CHECK(wr_rd_done(&r));
}

TEST(a_read_past_the_end_fails_and_all_that_follow) {
  static const uint8_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (size_t have = 0; have < 8; have++) {
    /* A block of just that size, so that a sanitizer sees any byte too many. */
    uint8_t *p = malloc(have + 1);
    MUST(p != NULL);
    memcpy(p + 1, in, have);
    wr_rd r;
    wr_rd_init(&r, p + 1, have);
    EQ_UINT(wr_rd_u64(&r), 0);
    CHECK(r.bad);
    EQ_UINT(r.left, 0);
    EQ_UINT(wr_rd_u8(&r), 0);
    EQ_UINT(wr_rd_u16(&r), 0);
    EQ_UINT(wr_rd_u32(&r), 0);
    CHECK(!wr_rd_bool(&r));
    CHECK(wr_rd_bytes(&r, 0).data == NULL);
    CHECK(wr_rd_string(&r).data == NULL);
    CHECK(r.bad && !wr_rd_done(&r));
    free(p);
  }
}

TEST(a_string_longer_than_the_rest_fails) {
  static const uint8_t lengths[][6] = {{0, 0, 0, 3, 'a', 'b'},
                                       {0x7F, 0xFF, 0xFF, 0xFF, 'a', 'b'},
                                       {0xFF, 0xFF, 0xFF, 0xFF, 'a', 'b'}};
  for (size_t i = 0; i < WR_COUNTOF(lengths); i++) {
    wr_rd r;
    wr_rd_init(&r, lengths[i], 6);
    wr_slice s = wr_rd_string(&r);
    CHECK(s.data == NULL && s.len == 0 && r.bad);
  }
  wr_rd r;
  wr_rd_init(&r, lengths[0], 3);
  CHECK(wr_rd_string(&r).data == NULL && r.bad);
  wr_rd_init(&r, lengths[0], 6);
  CHECK(wr_rd_bytes(&r, SIZE_MAX).data == NULL && r.bad);
}

TEST(an_empty_input_is_done_at_once) {
  wr_rd r;
  wr_rd_init(&r, NULL, 0);
  CHECK(wr_rd_done(&r));
  EQ_UINT(wr_rd_bytes(&r, 0).len, 0);
  CHECK(wr_rd_done(&r));
  EQ_UINT(wr_rd_u8(&r), 0);
  CHECK(!wr_rd_done(&r));
}

TEST(slices_compare_by_length_and_bytes) {
  wr_slice none = {NULL, 0};
  CHECK(wr_slice_eq(text("abc"), "abc"));
  CHECK(!wr_slice_eq(text("abc"), "ab"));
  CHECK(!wr_slice_eq(text("ab"), "abc"));
  CHECK(!wr_slice_eq(text("abc"), "abd"));
  CHECK(wr_slice_eq(none, ""));
  CHECK(!wr_slice_eq(none, "a"));
  CHECK(!wr_slice_eq((wr_slice){(const uint8_t *)"a\0b", 3}, "a"));
  CHECK(wr_slice_same(none, text("")));
  CHECK(wr_slice_same(text("ab"), text("ab")));
  CHECK(!wr_slice_same(text("ab"), text("ac")));
  CHECK(!wr_slice_has_nul(none));
  CHECK(!wr_slice_has_nul(text("abc")));
  CHECK(wr_slice_has_nul((wr_slice){(const uint8_t *)"a\0b", 3}));
  CHECK(wr_slice_has_nul((wr_slice){(const uint8_t *)"a", 2}));
}

TEST(letters_compare_without_case) {
  wr_slice s = {(const uint8_t *)"aZ[@`{9\xc4", 8};
  CHECK(wr_slice_eq_nocase(s, "Az[@`{9\xc4"));
  CHECK(!wr_slice_eq_nocase(s, "Az{@`{9\xc4"));
  CHECK(!wr_slice_eq_nocase(s, "Az[@@{9\xc4"));
  CHECK(!wr_slice_eq_nocase(s, "Az[@`{9\xe4"));
  CHECK(!wr_slice_eq_nocase(s, "Az[@`{9"));
  CHECK(!wr_slice_eq_nocase(s, "Az[@`{9\xc4 "));
  CHECK(wr_slice_eq_nocase((wr_slice){NULL, 0}, ""));
  EQ_UINT(wr_lower('A'), 'a');
  EQ_UINT(wr_lower('Z'), 'z');
  EQ_UINT(wr_lower('@'), '@');
  EQ_UINT(wr_lower('['), '[');
  EQ_UINT(wr_lower(0xc4), 0xc4);
}

TEST(numbers_are_stored_big_endian) {
  uint8_t p[8];
  wr_put_u16(p, 0x8102);
  EQ_MEM(p, 2, "\x81\x02", 2);
  wr_put_u32(p, 0x81020304);
  EQ_MEM(p, 4, "\x81\2\3\4", 4);
  EQ_UINT(wr_get_u32(p), 0x81020304);
  wr_put_u64(p, UINT64_C(0x8102030405060708));
  EQ_MEM(p, 8, "\x81\2\3\4\5\6\7\x08", 8);
}

/* RFC 4648, section 10. */
static const char *const vectors[][3] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
};

static long decode(const char *s, uint8_t *out) {
  return wr_base64_decode(out, s, strlen(s));
}

TEST(base64_vectors) {
  for (size_t i = 0; i < WR_COUNTOF(vectors); i++) {
    const char *plain = vectors[i][0];
    size_t n = strlen(plain);
    char coded[16];
    uint8_t back[16];
    EQ_UINT(wr_base64_len(n), strlen(vectors[i][1]));
    EQ_UINT(wr_base64_encode(coded, (const uint8_t *)plain, n, true),
            strlen(vectors[i][1]));
    EQ_STR(coded, vectors[i][1]);
    EQ_UINT(wr_base64_encode(coded, (const uint8_t *)plain, n, false),
            strlen(vectors[i][2]));
    EQ_STR(coded, vectors[i][2]);
    EQ_INT(decode(vectors[i][1], back), n);
    EQ_MEM(back, n, plain, n);
    EQ_INT(decode(vectors[i][2], back), n);
  }
}

TEST(base64_of_all_digits) {
  uint8_t all[48];
  char coded[65];
  uint8_t back[51];
  for (uint8_t i = 0; i < 48; i++) {
    all[i] = (uint8_t)(i * 5 + 1);
  }
  EQ_INT(decode("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                "abcdefghijklmnopqrstuvwxyz0123456789+/",
                back),
         48);
  wr_base64_encode(coded, back, 48, true);
  EQ_STR(coded, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                "abcdefghijklmnopqrstuvwxyz0123456789+/");
  for (size_t n = 0; n <= 48; n++) {
    for (int padded = 0; padded < 2; padded++) {
      size_t len = wr_base64_encode(coded, all, n, padded == 1);
      EQ_UINT(coded[len], 0);
      EQ_INT(wr_base64_decode(back, coded, len), n);
      EQ_MEM(back, n, all, n);
    }
  }
}

TEST(base64_decoding_is_strict) {
  static const char *const bad[] = {
      "Z",     "Zg=",     "Zg===",    "=",     "==",     "====",   "Z===",
      "Zm9vY", "Zm9v=",   "Zm9v==",   "Zm8==", "Zm8=\n", "Zm9v\n", " Zm9v",
      "Zm 9v", "Zm9vZg=", "Zg==Zg==", "Zm=v",  "Z=9v",   "=m9v",   "Zm9-",
      "Zm9_",  "Zm9\x80", "Zh==",     "Zh",    "Zm9=",   "Zm9",    "Zp==",
      "Zm9v*", "A@AA",    "A[AA",     "A`AA",  "A{AA",   "A:AA",   "A.AA",
      "A,AA",  "A",       "AAAAA",    "A===",  "AA=A",   "AA=",    "AAA==",
  };
  uint8_t out[64];
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    OK(decode(bad[i], out) == WR_EMALFORMED, "'%s' is refused", bad[i]);
  }
  EQ_INT(wr_base64_decode(out, "Zm\0v", 4), WR_EMALFORMED);
}

/* Every text of four characters over a few digits: what decodes must be what
   encoding gives, in one of its two forms. */
TEST(base64_has_one_text_per_value) {
  static const char some[] = "AQgw/+=\n";
  size_t n = sizeof(some) - 1;
  for (size_t i = 0; i < n * n * n * n; i++) {
    char in[5] = {some[i % n], some[i / n % n], some[i / n / n % n],
                  some[i / n / n / n], 0};
    uint8_t out[6];
    char coded[5];
    long len = decode(in, out);
    if (len >= 0) {
      wr_base64_encode(coded, out, (size_t)len, true);
      EQ_STR(coded, in);
    }
  }
}

static int parse(const char *s, uint64_t max, uint64_t *out) {
  return wr_parse_uint(s, strlen(s), max, out);
}

TEST(parse_uint) {
  uint64_t v = 7;
  EQ_INT(parse("0", 0, &v), 0);
  EQ_UINT(v, 0);
  EQ_INT(parse("65535", 65535, &v), 0);
  EQ_UINT(v, 65535);
  EQ_INT(parse("000080", 65535, &v), 0);
  EQ_UINT(v, 80);
  EQ_INT(parse("18446744073709551615", UINT64_MAX, &v), 0);
  EQ_UINT(v, UINT64_MAX);
  EQ_INT(wr_parse_uint("123", 2, 99, &v), 0);
  EQ_UINT(v, 12);
}

TEST(parse_uint_refuses_all_else) {
  static const char *const bad[] = {
      "",    "-1",   "+1", " 1",  "1 ",    "0x1",
      "1.0", "1e3",  "a",  "1/",  "1:",    "18446744073709551616",
      "\n",  "1\n2", "١",  "--1", "1,000", "184467440737095516150",
  };
  uint64_t v = 7;
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    OK(parse(bad[i], UINT64_MAX, &v) == WR_EMALFORMED, "'%s' is refused",
       bad[i]);
  }
  EQ_INT(parse("65536", 65535, &v), WR_EMALFORMED);
  EQ_INT(parse("65540", 65535, &v), WR_EMALFORMED);
  EQ_INT(parse("1", 0, &v), WR_EMALFORMED);
  EQ_INT(parse("9", 8, &v), WR_EMALFORMED);
  EQ_INT(wr_parse_uint("1\0", 2, 99, &v), WR_EMALFORMED);
  EQ_UINT(v, 7);
}

TAP_MAIN()
