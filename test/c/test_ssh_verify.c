/* Signatures of others: every kind is taken in its one form, and nothing else
   is. */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/errors.h"
#include "ssh/verify.h"
#include "ssh_signer.h"

#define DATA "what was signed"
#define ED25519 "ssh-ed25519"
#define P256 "ecdsa-sha2-nistp256"

static const char *const algorithms[] = {
    ED25519,
    SIGNER_SK,
    P256,
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
};

static wr_mem mem;
static signer key;
static wr_buf sig;

/* OpenSSL's allocation that fails, counted down; 0: none. */
static size_t crypto_fail_in;

static bool crypto_fails(void) {
  return crypto_fail_in > 0 && --crypto_fail_in == 0;
}

static void *crypto_malloc(size_t n, const char *file, int line) {
  WR_UNUSED(file);
  WR_UNUSED(line);
  return crypto_fails() ? NULL : malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line) {
  WR_UNUSED(file);
  WR_UNUSED(line);
  return crypto_fails() ? NULL : realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line) {
  WR_UNUSED(file);
  WR_UNUSED(line);
  free(p);
}

/* OpenSSL takes them before its first allocation only. */
TAP_CONSTRUCTOR static void take_over_allocation(void) {
  MUST(CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) ==
       1);
}

static void set_up(void) {
  wr_mem_init(&mem);
  key = (signer){0};
  wr_buf_init(&key.blob, &mem, SIGNER_MAX);
  wr_buf_init(&sig, &mem, SIGNER_MAX);
}

static void tear_down(void) {
  signer_fini(&key);
  wr_buf_reset(&sig);
  EQ_UINT(mem.live_blocks, 0);
}

/* Nothing may stay in the error queue for the next TLS call. */
static int verify_info(wr_slice blob, wr_slice s, const char *data,
                       wr_sig_info *info) {
  int err = wr_sig_verify(blob, s, data, strlen(data), info);
  EQ_UINT(ERR_peek_error(), 0);
  return err;
}

static int verify(wr_slice blob, wr_slice s) {
  return verify_info(blob, s, DATA, NULL);
}

static bool usable(const wr_buf *blob) {
  bool yes = wr_sig_key_usable(signer_slice(blob));
  EQ_UINT(ERR_peek_error(), 0);
  return yes;
}

/* A new key and its signature of DATA. */
static void renew(const char *algorithm) {
  signer_fini(&key);
  signer_init(&key, &mem, algorithm);
  wr_buf_consume(&sig, sig.len);
  signer_sign(&key, algorithm, DATA, strlen(DATA), &sig);
}

static int verify_now(void) {
  return verify(signer_slice(&key.blob), signer_slice(&sig));
}

TEST(every_kind_is_verified) {
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    wr_sig_info info = {{NULL, 0}, false, 0};
    renew(algorithms[i]);
    wr_slice blob = signer_slice(&key.blob);
    wr_slice s = signer_slice(&sig);
    bool sk = strcmp(algorithms[i], SIGNER_SK) == 0;
    CHECK(usable(&key.blob));
    if (!EQ_INT(verify_info(blob, s, DATA, &info), 0)) {
      DIAG("%s", algorithms[i]);
    }
    CHECK(wr_slice_eq(info.algorithm, algorithms[i]));
    CHECK(info.algorithm.data > s.data && info.algorithm.data < s.data + s.len);
    EQ_INT(info.is_sk, sk);
    EQ_INT(info.sk_flags, sk ? WR_SK_USER_PRESENT : 0);
    EQ_INT(verify_info(blob, s, DATA ".", NULL), WR_EAUTH_REFUSED);
    EQ_INT(verify_info(blob, s, "", NULL), WR_EAUTH_REFUSED);
    wr_buf_consume(&sig, sig.len);
    signer_sign(&key, algorithms[i], "", 0, &sig);
    EQ_INT(verify_info(blob, signer_slice(&sig), "", NULL), 0);
  }
}

TEST(the_answer_is_written_on_success_only) {
  wr_sig_info info = {{NULL, 0}, false, 99};
  renew(SIGNER_SK);
  sig.data[sig.len - 1] ^= 1;
  EQ_INT(verify_info(signer_slice(&key.blob), signer_slice(&sig), DATA, &info),
         WR_EAUTH_REFUSED);
  EQ_INT(info.sk_flags, 99);
}

TEST(another_key_of_the_kind_is_refused) {
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    signer other;
    renew(algorithms[i]);
    signer_init(&other, &mem, algorithms[i]);
    EQ_INT(verify(signer_slice(&other.blob), signer_slice(&sig)),
           WR_EAUTH_REFUSED);
    signer_fini(&other);
  }
}

static bool is_refusal(int err) {
  return err == WR_EAUTH_REFUSED || err == WR_EKEY_TYPE ||
         err == WR_EKEY_FORMAT;
}

/* Every byte with each of its bits, every length, and a byte too many. */
static void spoil(wr_buf *b, const char *name) {
  for (size_t i = 0; i < b->len; i++) {
    uint8_t mask = (uint8_t)(1U << i % 8);
    b->data[i] ^= mask;
    if (!CHECK(is_refusal(verify_now()))) {
      DIAG("%s: byte %zu", name, i);
    }
    b->data[i] ^= mask;
  }
  size_t len = b->len;
  for (b->len = 0; b->len < len; b->len++) {
    CHECK(is_refusal(verify_now()));
  }
  MUST(wr_buf_append(b, "", 1) == 0);
  CHECK(is_refusal(verify_now()));
  b->len = len;
  EQ_INT(verify_now(), 0);
}

TEST(every_changed_byte_and_every_other_length_is_refused) {
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    renew(algorithms[i]);
    spoil(&sig, algorithms[i]);
    spoil(&key.blob, algorithms[i]);
  }
}

/* Signs with the key of one kind and says that it was another. */
TEST(the_algorithm_has_to_be_of_the_key) {
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    for (size_t k = 0; k < WR_COUNTOF(algorithms); k++) {
      wr_buf other;
      wr_rd r;
      renew(algorithms[i]);
      wr_rd_init(&r, sig.data, sig.len);
      wr_rd_string(&r);
      wr_buf_init(&other, &mem, SIGNER_MAX);
      MUST(wr_buf_put_cstring(&other, algorithms[k]) == 0);
      MUST(wr_buf_append(&other, r.p, r.left) == 0);
      if (!EQ_INT(verify(signer_slice(&key.blob), signer_slice(&other)),
                  i == k ? 0 : WR_EAUTH_REFUSED)) {
        DIAG("%s as %s", algorithms[i], algorithms[k]);
      }
      wr_buf_reset(&other);
    }
  }
}

TEST(sha1_and_what_is_not_known_is_refused) {
  static const char *const names[] = {"ssh-rsa", "ssh-dss", "",
                                      "rsa-sha2-256-cert-v01@openssh.com",
                                      "rsa-sha2-25"};
  renew("rsa-sha2-256");
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    wr_buf_consume(&sig, sig.len);
    signer_sign(&key, names[i], DATA, strlen(DATA), &sig);
    EQ_INT(verify_now(), WR_EKEY_TYPE);
  }
}

TEST(keys_of_other_kinds_are_refused) {
  static const char *const types[] = {
      "ssh-dss",
      "rsa-sha2-256",
      "sk-ecdsa-sha2-nistp256@openssh.com",
      "ssh-ed25519-cert-v01@openssh.com",
      "ecdsa-sha2-nistp256-cert-v01@openssh.com",
      "ssh-rsa-cert-v01@openssh.com",
      "",
  };
  renew(ED25519);
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    wr_buf_consume(&key.blob, key.blob.len);
    MUST(wr_buf_put_cstring(&key.blob, types[i]) == 0);
    MUST(wr_buf_put_cstring(&key.blob, "nistp256") == 0);
    MUST(wr_buf_put_cstring(&key.blob, "a point") == 0);
    CHECK(!usable(&key.blob));
    EQ_INT(verify_now(), WR_EKEY_TYPE);
  }
  EQ_INT(verify((wr_slice){NULL, 0}, signer_slice(&sig)), WR_EKEY_FORMAT);
}

static bool usable_two(const char *type, const void *first, size_t first_len,
                       const void *second, size_t second_len) {
  wr_buf b;
  wr_buf_init(&b, &mem, SIGNER_MAX);
  MUST(wr_buf_put_cstring(&b, type) == 0);
  MUST(wr_buf_put_string(&b, first, first_len) == 0);
  if (second != NULL) {
    MUST(wr_buf_put_string(&b, second, second_len) == 0);
  }
  bool yes = usable(&b);
  wr_buf_reset(&b);
  return yes;
}

TEST(ed25519_keys_have_one_size) {
  static const uint8_t pub[33] = {9};
  for (size_t n = 31; n <= 33; n++) {
    CHECK(usable_two(ED25519, pub, n, NULL, 0) == (n == 32));
    CHECK(usable_two(SIGNER_SK, pub, n, "ssh:", 4) == (n == 32));
  }
  CHECK(!usable_two(ED25519, pub, 32, "ssh:", 4));
  CHECK(!usable_two(SIGNER_SK, pub, 32, NULL, 0));
  CHECK(!usable_two(SIGNER_SK, pub, 32, "ssh:\0", 5));
  CHECK(usable_two(SIGNER_SK, pub, 32, "", 0));
}

TEST(points_are_on_the_curve_that_is_named) {
  uint8_t point[65];
  renew(P256);
  memcpy(point, key.blob.data + key.blob.len - 65, 65);
  CHECK(usable_two(P256, "nistp256", 8, point, 65));
  CHECK(!usable_two(P256, "nistp384", 8, point, 65));
  CHECK(!usable_two(P256, "P-256", 5, point, 65));
  CHECK(!usable_two(P256, "", 0, point, 65));
  CHECK(!usable_two("ecdsa-sha2-nistp384", "nistp384", 8, point, 65));
  CHECK(!usable_two(P256, "nistp256", 8, point, 64));
  CHECK(!usable_two(P256, "nistp256", 8, "", 0));
  CHECK(!usable_two(P256, "nistp256", 8, "\0", 1));
  /* The same point in the two other forms of X9.62. */
  point[0] = (uint8_t)(2 + (point[64] & 1));
  CHECK(!usable_two(P256, "nistp256", 8, point, 33));
  point[0] = (uint8_t)(6 + (point[64] & 1));
  CHECK(!usable_two(P256, "nistp256", 8, point, 65));
  point[0] = 4;
  point[64] ^= 1;
  CHECK(!usable_two(P256, "nistp256", 8, point, 65));
}

/* With a modulus of so many bits, all of them ones, and the exponent. */
static bool usable_rsa(size_t bits, size_t zeros, uint8_t last,
                       const void *exponent, size_t exponent_len) {
  uint8_t n[4096] = {0};
  size_t len = (bits + 7) / 8;
  size_t at = zeros + (bits % 8 == 0 ? 1 : 0);
  memset(n + at, 0xff, len);
  n[at] = (uint8_t)(bits % 8 == 0 ? 0xff : (1U << bits % 8) - 1);
  n[at + len - 1] = last;
  return usable_two("ssh-rsa", exponent, exponent_len, n, at + len);
}

TEST(rsa_keys_are_of_1024_to_16384_bits) {
  static const size_t bits[] = {0, 512, 1023, 1024, 2048, 16384, 16385, 20000};
  for (size_t i = 0; i < WR_COUNTOF(bits); i++) {
    bool want = bits[i] >= 1024 && bits[i] <= 16384;
    if (!CHECK(usable_rsa(bits[i], 0, 0xff, "\3", 1) == want)) {
      DIAG("%zu bits", bits[i]);
    }
  }
  /* Zeros in front say nothing, up to the size of the largest modulus. */
  CHECK(usable_rsa(1024, 9, 0xff, "\3", 1));
  CHECK(usable_rsa(1024, 1920, 0xff, "\3", 1));
  CHECK(!usable_rsa(1024, 1921, 0xff, "\3", 1));
  /* Even, and negative. */
  CHECK(!usable_rsa(1024, 0, 0xfe, "\3", 1));
  uint8_t negative[128];
  memset(negative, 0xff, sizeof(negative));
  CHECK(!usable_two("ssh-rsa", "\3", 1, negative, sizeof(negative)));
}

TEST(rsa_exponents_are_odd_and_short) {
  CHECK(usable_rsa(2048, 0, 0xff, "\1\0\1", 3));
  CHECK(usable_rsa(2048, 0, 0xff, "\0\0\3", 3));
  CHECK(usable_rsa(2048, 0, 0xff, "\0\xff\xff\xff\xff\xff\xff\xff\xff", 9));
  CHECK(!usable_rsa(2048, 0, 0xff, "\1\0\0\0\0\0\0\0\1", 9));
  CHECK(!usable_rsa(2048, 0, 0xff, "\1\0\2", 3));
  CHECK(!usable_rsa(2048, 0, 0xff, "\1", 1));
  CHECK(!usable_rsa(2048, 0, 0xff, "\0", 1));
  CHECK(!usable_rsa(2048, 0, 0xff, "", 0));
  CHECK(!usable_rsa(2048, 0, 0xff, "\x83", 1));
}

/* The string in the signature, with `zeros` more or (negative) fewer bytes in
   front. */
static int verify_rsa_with(int zeros) {
  wr_buf other;
  wr_rd r;
  static const uint8_t none[8];
  wr_rd_init(&r, sig.data, sig.len);
  wr_slice name = wr_rd_string(&r);
  wr_slice bytes = wr_rd_string(&r);
  size_t more = zeros > 0 ? (size_t)zeros : 0;
  size_t fewer = zeros < 0 ? (size_t)-zeros : 0;
  wr_buf_init(&other, &mem, SIGNER_MAX);
  MUST(wr_buf_put_string(&other, name.data, name.len) == 0);
  MUST(wr_buf_put_u32(&other, (uint32_t)(bytes.len + more - fewer)) == 0);
  MUST(wr_buf_append(&other, none, more) == 0);
  MUST(wr_buf_append(&other, bytes.data + fewer, bytes.len - fewer) == 0);
  int err = verify(signer_slice(&key.blob), signer_slice(&other));
  wr_buf_reset(&other);
  return err;
}

TEST(rsa_signatures_may_lack_zeros_in_front) {
  static const char name[] = "rsa-sha2-256";
  size_t first = 4 + strlen(name) + 4;
  size_t len = 0;
  char text[16];
  renew(name);
  do {
    snprintf(text, sizeof(text), "%zu", len++);
    wr_buf_consume(&sig, sig.len);
    signer_sign(&key, name, text, strlen(text), &sig);
  } while (sig.data[first] != 0);
  EQ_INT(verify_info(signer_slice(&key.blob), signer_slice(&sig), text, NULL),
         0);
  /* Without the zero. */
  memmove(sig.data + first, sig.data + first + 1, sig.len - first - 1);
  sig.len--;
  wr_put_u32(sig.data + first - 4, 127);
  EQ_INT(verify_info(signer_slice(&key.blob), signer_slice(&sig), text, NULL),
         0);
  renew(name);
  EQ_INT(verify_rsa_with(0), 0);
  EQ_INT(verify_rsa_with(1), WR_EAUTH_REFUSED);
  EQ_INT(verify_rsa_with(-1), WR_EAUTH_REFUSED);
  EQ_INT(verify_rsa_with(-128), WR_EAUTH_REFUSED);
}

/* The numbers of the signature at hand. */
static void ecdsa_numbers(BIGNUM **r, BIGNUM **s) {
  wr_rd rd;
  wr_rd_init(&rd, sig.data, sig.len);
  wr_rd_string(&rd);
  wr_slice both = wr_rd_string(&rd);
  wr_rd_init(&rd, both.data, both.len);
  wr_slice first = wr_rd_string(&rd);
  wr_slice second = wr_rd_string(&rd);
  *r = BN_bin2bn(first.data, (int)first.len, NULL);
  *s = BN_bin2bn(second.data, (int)second.len, NULL);
  MUST(*r != NULL && *s != NULL);
}

static int verify_numbers(const BIGNUM *r, const BIGNUM *s, size_t zeros) {
  wr_buf other;
  wr_buf_init(&other, &mem, SIGNER_MAX);
  signer_put_ecdsa(&other, P256, r, s, zeros);
  int err = verify(signer_slice(&key.blob), signer_slice(&other));
  wr_buf_reset(&other);
  return err;
}

TEST(ecdsa_numbers_are_what_openssh_takes) {
  BIGNUM *r, *s;
  BIGNUM *order = NULL;
  BIGNUM *other = BN_new();
  renew(P256);
  ecdsa_numbers(&r, &s);
  MUST(EVP_PKEY_get_bn_param(key.pkey, OSSL_PKEY_PARAM_EC_ORDER, &order) == 1);
  EQ_INT(verify_numbers(r, s, 0), 0);
  EQ_INT(verify_numbers(r, s, 5), 0);
  EQ_INT(verify_numbers(r, s, 2020), WR_EAUTH_REFUSED);
  EQ_INT(verify_numbers(s, r, 0), WR_EAUTH_REFUSED);
  BN_zero(other);
  EQ_INT(verify_numbers(other, s, 0), WR_EAUTH_REFUSED);
  EQ_INT(verify_numbers(r, other, 0), WR_EAUTH_REFUSED);
  MUST(BN_add(other, s, order) == 1);
  EQ_INT(verify_numbers(r, other, 0), WR_EAUTH_REFUSED);
  MUST(BN_lshift(other, s, 16000) == 1);
  EQ_INT(verify_numbers(r, other, 0), WR_EAUTH_REFUSED);
  BN_free(r);
  BN_free(s);
  BN_free(order);
  BN_free(other);
}

static int verify_ecdsa_string(const void *data, size_t len) {
  wr_buf_consume(&sig, sig.len);
  MUST(wr_buf_put_cstring(&sig, P256) == 0);
  MUST(wr_buf_put_string(&sig, data, len) == 0);
  return verify_now();
}

TEST(ecdsa_signatures_are_two_numbers) {
  uint8_t copy[128];
  wr_rd r;
  /* Without a zero in front of the first number. */
  do {
    renew(P256);
    wr_rd_init(&r, sig.data, sig.len);
    wr_rd_string(&r);
    wr_rd_u32(&r);
  } while (wr_get_u32(r.p) != 33);
  size_t len = r.left;
  MUST(len < sizeof(copy));
  memcpy(copy, r.p, len);
  copy[len] = 0;
  EQ_INT(verify_ecdsa_string(copy, len), 0);
  EQ_INT(verify_ecdsa_string(copy, len + 1), WR_EAUTH_REFUSED);
  EQ_INT(verify_ecdsa_string(copy, len - 1), WR_EAUTH_REFUSED);
  EQ_INT(verify_ecdsa_string(copy, 4 + 33), WR_EAUTH_REFUSED);
  EQ_INT(verify_ecdsa_string(copy, 0), WR_EAUTH_REFUSED);
  /* The same bits as a negative number. */
  memmove(copy + 4, copy + 5, len - 5);
  wr_put_u32(copy, 32);
  EQ_INT(verify_ecdsa_string(copy, len - 1), WR_EAUTH_REFUSED);
}

TEST(ed25519_signatures_have_one_size) {
  uint8_t raw[65] = {0};
  renew(ED25519);
  memcpy(raw, sig.data + sig.len - 64, 64);
  for (size_t n = 63; n <= 65; n++) {
    wr_buf_consume(&sig, sig.len);
    MUST(wr_buf_put_cstring(&sig, ED25519) == 0);
    MUST(wr_buf_put_string(&sig, raw, n) == 0);
    EQ_INT(verify_now(), n == 64 ? 0 : WR_EAUTH_REFUSED);
  }
}

TEST(flags_of_security_keys_are_signed_and_reported) {
  wr_slice blob;
  wr_sig_info info;
  renew(SIGNER_SK);
  blob = signer_slice(&key.blob);
  for (unsigned flags = 0; flags < 256; flags++) {
    wr_buf_consume(&sig, sig.len);
    signer_sign_sk(&key, DATA, strlen(DATA), (uint8_t)flags, &sig);
    EQ_INT(verify_info(blob, signer_slice(&sig), DATA, &info), 0);
    EQ_INT(info.sk_flags, flags);
    CHECK(info.is_sk);
  }
}

TEST(ed25519_signatures_with_s_over_the_group_order_are_refused) {
  /* The first vector of RFC 8032, section 7.1, with L added to S. */
  static const uint8_t pub[] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
  static const uint8_t raw[] = {
      0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2,
      0xcc, 0x80, 0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5,
      0xd9, 0x74, 0xd8, 0x73, 0xe0, 0x65, 0x22, 0x49, 0x01, 0x55, 0x5f,
      0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b, 0xac, 0xc6, 0x1e, 0x39, 0x70,
      0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5, 0xf0, 0x59, 0x5b, 0xbe,
      0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b};
  static const uint8_t high_s[] = {
      0x4c, 0x8c, 0x78, 0x72, 0xaa, 0x06, 0x4e, 0x04, 0x9d, 0xbb, 0x30,
      0x13, 0xfb, 0xf2, 0x93, 0x80, 0xd2, 0x5b, 0xf5, 0xf0, 0x59, 0x5b,
      0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x1b};
  MUST(wr_buf_put_cstring(&key.blob, ED25519) == 0);
  MUST(wr_buf_put_string(&key.blob, pub, sizeof(pub)) == 0);
  MUST(wr_buf_put_cstring(&sig, ED25519) == 0);
  MUST(wr_buf_put_string(&sig, raw, sizeof(raw)) == 0);
  EQ_INT(verify_info(signer_slice(&key.blob), signer_slice(&sig), "", NULL), 0);
  memcpy(sig.data + sig.len - sizeof(high_s), high_s, sizeof(high_s));
  EQ_INT(verify_info(signer_slice(&key.blob), signer_slice(&sig), "", NULL),
         WR_EAUTH_REFUSED);
}

static int verify_failing(size_t at) {
  crypto_fail_in = at;
  int err = verify_now();
  crypto_fail_in = 0;
  return err;
}

/* Which allocation of OpenSSL it may be: a refusal, and never a yes to what is
   wrong. */
TEST(running_out_of_memory_is_a_refusal) {
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    size_t at = 0;
    renew(algorithms[i]);
    while (at++ < 1000 && verify_failing(at) != 0) {
      CHECK(is_refusal(verify_failing(at)));
    }
    CHECK(at > 3 && at < 1000);
    sig.data[sig.len - 1] ^= 1;
    for (; at > 0; at--) {
      CHECK(is_refusal(verify_failing(at)));
    }
  }
}

TAP_MAIN_WITH(set_up, tear_down)
