/* Private and public keys: what ssh-keygen and openssl write is read, what is
   written here they read, and nothing broken is taken for a key. */
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/key.h"
#include "ssh/verify.h"
#include "ssh_keygen.h"

#define PASS "correct horse"

static wr_mem mem;
static char text[KG_TEXT_MAX];

static void set_up(void) {
  wr_mem_init(&mem);
  kg_set_up();
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
  EQ_UINT(mem.live_bytes, 0);
  kg_tear_down();
}

static size_t from_hex(uint8_t *dst, const char *hex) {
  size_t n = 0;
  unsigned v = 0;
  for (; sscanf(hex, "%2x", &v) == 1; hex += 2) {
    dst[n++] = (uint8_t)v;
  }
  return n;
}

static int parse(const char *s, size_t n, const char *passphrase,
                 wr_key **key) {
  /* A copy of exactly that size, so that reading past it is seen. */
  char *copy = malloc(n == 0 ? 1 : n);
  MUST(copy != NULL);
  memcpy(copy, s, n);
  int err = wr_key_parse(&mem, copy, n, passphrase, key);
  free(copy);
  return err;
}

/* The error, or 0; the key is dropped. */
static int try_parse(const char *s, size_t n, const char *passphrase) {
  wr_key *key = NULL;
  int err = parse(s, n, passphrase, &key);
  CHECK((err == 0) == (key != NULL));
  wr_key_unref(key);
  return err;
}

/* Checks that the file has the key whose public line is in <file>.pub. */
static void check_pair(const char *file, const char *passphrase) {
  char line[4096];
  wr_key *key = NULL;
  wr_buf blob;
  size_t n = kg_read(file, text, sizeof(text));
  wr_buf_init(&blob, &mem, 4096);
  if (!EQ_INT(parse(text, n, passphrase, &key), 0)) {
    return;
  }
  char pub[64];
  snprintf(pub, sizeof(pub), "%s.pub", file);
  size_t line_len = kg_read(pub, line, sizeof(line));
  EQ_INT(wr_blob_parse_line(line, line_len, &blob), 0);
  wr_slice have = wr_key_blob(key);
  EQ_MEM(have.data, have.len, blob.data, blob.len);
  wr_buf_reset(&blob);
  wr_key_unref(key);
}

static void blob_of(const uint8_t pub[32], wr_buf *out) {
  MUST(wr_buf_put_cstring(out, "ssh-ed25519") == 0);
  MUST(wr_buf_put_string(out, pub, 32) == 0);
}

/* RFC 8032, section 7.1. */
static const struct {
  const char *seed;
  const char *pub;
  const char *message;
  const char *sig;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

/* The PKCS #8 text of a seed (RFC 8410, section 10.3). */
static size_t pkcs8_text(const char *seed, char *dst, size_t cap) {
  uint8_t der[48];
  char b64[80];
  size_t n = from_hex(der, "302e020100300506032b657004220420");
  n += from_hex(der + n, seed);
  wr_base64_encode(b64, der, n, true);
  return (size_t)snprintf(
      dst, cap, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
      b64);
}

TEST(signatures_are_those_of_rfc_8032) {
  for (size_t i = 0; i < WR_COUNTOF(vectors); i++) {
    uint8_t pub[32], message[8], sig[64], seed[32], have_seed[32];
    wr_buf blob, want, have;
    wr_key *key = NULL;
    wr_buf_init(&blob, &mem, 256);
    wr_buf_init(&want, &mem, 256);
    wr_buf_init(&have, &mem, 256);
    from_hex(seed, vectors[i].seed);
    from_hex(pub, vectors[i].pub);
    from_hex(sig, vectors[i].sig);
    size_t n = from_hex(message, vectors[i].message);
    blob_of(pub, &blob);
    MUST(wr_buf_put_cstring(&want, "ssh-ed25519") == 0);
    MUST(wr_buf_put_string(&want, sig, 64) == 0);
    wr_slice b = {blob.data, blob.len};
    wr_slice s = {want.data, want.len};
    EQ_INT(wr_sig_verify(b, s, message, n, NULL), 0);
    n = pkcs8_text(vectors[i].seed, text, sizeof(text));
    MUST(parse(text, n, NULL, &key) == 0);
    EQ_MEM(wr_key_blob(key).data, wr_key_blob(key).len, b.data, b.len);
    EQ_INT(wr_key_seed(key, have_seed), 0);
    EQ_MEM(have_seed, 32, seed, 32);
    n = from_hex(message, vectors[i].message);
    EQ_INT(wr_key_sign(key, message, n, &have), 0);
    EQ_MEM(have.data, have.len, want.data, want.len);
    wr_key_unref(key);
    wr_buf_reset(&blob);
    wr_buf_reset(&want);
    wr_buf_reset(&have);
  }
}

TEST(a_full_buffer_gets_no_half_signature) {
  wr_key *key = NULL;
  wr_buf out;
  MUST(wr_key_generate(&mem, &key) == 0);
  wr_buf_init(&out, &mem, 82);
  EQ_INT(wr_key_sign(key, "x", 1, &out), WR_ELIMIT);
  EQ_UINT(out.len, 0);
  wr_buf_reset(&out);
  wr_buf_init(&out, &mem, 83);
  EQ_INT(wr_key_sign(key, "x", 1, &out), 0);
  EQ_UINT(out.len, 83);
  wr_buf_reset(&out);
  wr_key_unref(key);
}

TEST(references_are_counted) {
  wr_key *key = NULL;
  MUST(wr_key_generate(&mem, &key) == 0);
  CHECK(wr_key_ref(key) == key);
  wr_key_unref(key);
  EQ_UINT(wr_key_blob(key).len, 51);
  wr_key_unref(key);
  wr_key_unref(NULL);
  EQ_UINT(mem.live_blocks, 0);
}

TEST(keys_of_ssh_keygen_are_read) {
  KG_NEEDED();
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment",
              "-f", kg_path("plain")) == 0);
  check_pair("plain", NULL);
  check_pair("plain", "not needed");
  EQ_INT(wr_key_is_encrypted(text, strlen(text)), 0);
  /* The comment's length moves the padding through all its lengths. */
  for (int i = 0; i < 9; i++) {
    char comment[16] = "";
    memset(comment, 'x', (size_t)i);
    MUST(KG_RUN("ssh-keygen", "-q", "-c", "-P", "", "-C", comment, "-f",
                kg_path("plain")) == 0);
    check_pair("plain", NULL);
  }
}

TEST(encrypted_keys_of_ssh_keygen_are_read) {
  static const char *const names[] = {
      "aes256-ctr",
      "aes192-ctr",
      "aes128-ctr",
      "aes256-cbc",
      "aes192-cbc",
      "aes128-cbc",
      "3des-cbc",
      "aes256-gcm@openssh.com",
      "aes128-gcm@openssh.com",
      "chacha20-poly1305@openssh.com",
  };
  KG_NEEDED();
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    char file[16];
    snprintf(file, sizeof(file), "enc%zu", i);
    if (KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-a", "2", "-Z", names[i],
               "-N", PASS, "-f", kg_path(file)) != 0) {
      DIAG("ssh-keygen does not know %s", names[i]);
      continue;
    }
    check_pair(file, PASS);
    size_t n = strlen(text);
    EQ_INT(wr_key_is_encrypted(text, n), 1);
    if (!EQ_INT(try_parse(text, n, "wrong"), WR_EKEY_PASSPHRASE)) {
      DIAG("cipher %s", names[i]);
    }
    EQ_INT(try_parse(text, n, NULL), WR_EKEY_PASSPHRASE);
    EQ_INT(try_parse(text, n, ""), WR_EKEY_PASSPHRASE);
  }
}

TEST(pem_keys_are_read) {
  /* ssh-keygen 9 writes its own form for Ed25519 whatever -m says. */
  KG_NEEDED();
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-m", "PEM", "-f",
              kg_path("pem")) == 0);
  check_pair("pem", NULL);
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-m", "PKCS8",
              "-f", kg_path("pkcs8")) == 0);
  check_pair("pkcs8", NULL);
  if (KG_RUN("openssl", "version") != 0) {
    SKIP("openssl is not installed");
  }
  MUST(KG_RUN("openssl", "genpkey", "-algorithm", "ed25519", "-out",
              kg_path("p8")) == 0);
  EQ_INT(try_parse(text, kg_read("p8", text, sizeof(text)), NULL), 0);
  EQ_INT(wr_key_is_encrypted(text, strlen(text)), 0);
  MUST(KG_RUN("openssl", "pkcs8", "-topk8", "-in", kg_path("p8"), "-out",
              kg_path("p8e"), "-passout", "pass:" PASS) == 0);
  size_t n = kg_read("p8e", text, sizeof(text));
  EQ_INT(try_parse(text, n, PASS), 0);
  EQ_INT(try_parse(text, n, "wrong"), WR_EKEY_PASSPHRASE);
  EQ_INT(try_parse(text, n, NULL), WR_EKEY_PASSPHRASE);
  EQ_INT(wr_key_is_encrypted(text, n), 1);
  MUST(KG_RUN("openssl", "pkcs8", "-topk8", "-in", kg_path("p8"), "-out",
              kg_path("p8s"), "-scrypt", "-passout", "pass:" PASS) == 0);
  n = kg_read("p8s", text, sizeof(text));
  EQ_INT(try_parse(text, n, PASS), WR_EKEY_FORMAT);
}

TEST(other_types_of_keys_are_refused_as_such) {
  static const char *const makers[][5] = {
      {"rsa", "2048", "RFC4716", "", "rsa0"},
      {"rsa", "2048", "PEM", "", "rsa1"},
      {"rsa", "2048", "PKCS8", "", "rsa2"},
      {"rsa", "2048", "RFC4716", PASS, "rsa3"},
      {"rsa", "2048", "PEM", PASS, "rsa4"},
      {"ecdsa", "256", "RFC4716", "", "ec0"},
      {"ecdsa", "384", "PEM", "", "ec1"},
      {"ecdsa", "521", "PKCS8", "", "ec2"},
      {"ecdsa", "256", "RFC4716", PASS, "ec3"},
  };
  KG_NEEDED();
  for (size_t i = 0; i < WR_COUNTOF(makers); i++) {
    const char *const *m = makers[i];
    MUST(KG_RUN("ssh-keygen", "-q", "-t", m[0], "-b", m[1], "-m", m[2], "-N",
                m[3], "-a", "1", "-f", kg_path(m[4])) == 0);
    size_t n = kg_read(m[4], text, sizeof(text));
    EQ_INT(try_parse(text, n, NULL), WR_EKEY_TYPE);
    EQ_INT(try_parse(text, n, PASS), WR_EKEY_TYPE);
    EQ_INT(wr_key_is_encrypted(text, n), m[3][0] == '\0' ? 0 : 1);
  }
}

static const char fixed_key[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                "@BODY@"
                                "-----END OPENSSH PRIVATE KEY-----\n";

/* A key made here, as text in `text`. */
static size_t make_text(const char *passphrase) {
  wr_key *key = NULL;
  wr_buf out;
  wr_buf_init(&out, &mem, WR_KEY_FILE_MAX);
  MUST(wr_key_generate(&mem, &key) == 0);
  MUST(wr_key_write_private(key, "c", passphrase, &out) == 0);
  size_t n = out.len;
  memcpy(text, out.data, n);
  text[n] = '\0';
  wr_buf_wipe(&out);
  wr_key_unref(key);
  return n;
}

TEST(every_truncation_is_refused) {
  size_t n = make_text(NULL);
  MUST(text[n - 1] == '\n');
  for (size_t i = 0; i < n - 1; i++) {
    if (!CHECK(try_parse(text, i, NULL) == WR_EKEY_FORMAT) ||
        !CHECK(wr_key_is_encrypted(text, i) == WR_EKEY_FORMAT)) {
      DIAG("cut at %zu of %zu", i, n);
    }
  }
  EQ_INT(try_parse(text, n - 1, NULL), 0);
  EQ_INT(try_parse(text, n, NULL), 0);
  n = pkcs8_text(vectors[0].seed, text, sizeof(text));
  for (size_t i = 0; i < n - 1; i++) {
    CHECK(try_parse(text, i, NULL) == WR_EKEY_FORMAT);
  }
}

/* The container of the key in `text`. */
static size_t unwrap(uint8_t *dst) {
  char chars[8192];
  size_t n = 0;
  const char *p = strchr(text, '\n') + 1;
  for (; *p != '-'; p++) {
    if (*p != '\n') {
      chars[n++] = *p;
    }
  }
  long len = wr_base64_decode(dst, chars, n);
  MUST(len > 0);
  return (size_t)len;
}

static size_t wrap(char *dst, size_t cap, const uint8_t *bytes, size_t len) {
  char chars[8192];
  wr_base64_encode(chars, bytes, len, true);
  return (size_t)snprintf(dst, cap, "%.36s%s\n%s", fixed_key, chars,
                          strstr(fixed_key, "-----END"));
}

static int try_bytes(const uint8_t *bytes, size_t len, const char *pass) {
  char again[8192];
  return try_parse(again, wrap(again, sizeof(again), bytes, len), pass);
}

TEST(truncated_and_extended_containers_are_refused) {
  uint8_t bytes[4096];
  make_text(NULL);
  size_t n = unwrap(bytes);
  EQ_INT(try_bytes(bytes, n, NULL), 0);
  for (size_t i = 0; i < n; i++) {
    CHECK(try_bytes(bytes, i, NULL) == WR_EKEY_FORMAT);
  }
  bytes[n] = 0;
  EQ_INT(try_bytes(bytes, n + 1, NULL), WR_EKEY_FORMAT);
}

TEST(every_changed_byte_is_noticed) {
  uint8_t bytes[4096];
  uint8_t blob[51];
  uint8_t other[51];
  wr_key *key = NULL;
  size_t n = make_text(NULL);
  MUST(parse(text, n, NULL, &key) == 0);
  memcpy(blob, wr_key_blob(key).data, 51);
  wr_key_unref(key);
  n = unwrap(bytes);
  /* All but the comment: "c" in front of its padding. */
  size_t comment = 0;
  for (size_t i = n - 9; i < n; i++) {
    comment = bytes[i] == 'c' && bytes[i - 1] == 1 ? i : comment;
  }
  MUST(comment != 0);
  for (size_t i = 0; i < n; i++) {
    bytes[i] ^= 0x40;
    char again[8192];
    size_t again_n = wrap(again, sizeof(again), bytes, n);
    int err = parse(again, again_n, NULL, &key);
    bytes[i] ^= 0x40;
    if (i == comment) {
      EQ_INT(err, 0);
      memcpy(other, wr_key_blob(key).data, 51);
      EQ_MEM(other, 51, blob, 51);
      wr_key_unref(key);
    } else if (!CHECK(err == WR_EKEY_FORMAT)) {
      DIAG("byte %zu: %d", i, err);
      wr_key_unref(err == 0 ? key : NULL);
    }
  }
}

TEST(line_ends_and_text_around_the_key_do_not_matter) {
  char other[16384];
  size_t n = make_text(NULL);
  char *d = other;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\n') {
      *d++ = '\r';
    }
    *d++ = text[i];
  }
  EQ_INT(try_parse(other, (size_t)(d - other), NULL), 0);
  EQ_INT(try_parse(other, (size_t)(d - other) - 2, NULL), 0);
  n = (size_t)snprintf(other, sizeof(other), "\n\r\n \t\n%s\n\n", text);
  EQ_INT(try_parse(other, n, NULL), 0);
  n = (size_t)snprintf(other, sizeof(other), "\xef\xbb\xbf%s", text);
  EQ_INT(try_parse(other, n, NULL), 0);
  n = (size_t)snprintf(other, sizeof(other), "Bag Attributes\n%s", text);
  EQ_INT(try_parse(other, n, NULL), 0);
  n = (size_t)snprintf(other, sizeof(other), "x%s", text);
  EQ_INT(try_parse(other, n, NULL), WR_EKEY_FORMAT);
}

TEST(what_is_no_key_is_refused) {
  static const char *const no_keys[] = {
      "",
      "\n",
      "-----BEGIN ",
      "-----BEGIN -----\n-----END -----\n",
      "-----BEGIN OPENSSH PRIVATE KEY-----",
      "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE "
      "KEY-----\n",
      "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
      "-----BEGIN OPENSSH PRIVATE KEY-----\n====\n-----END OPENSSH PRIVATE "
      "KEY-----\n",
      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE "
      "KEY-----\n",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAAAAA x\n",
  };
  for (size_t i = 0; i < WR_COUNTOF(no_keys); i++) {
    if (!EQ_INT(try_parse(no_keys[i], strlen(no_keys[i]), "x"),
                WR_EKEY_FORMAT)) {
      DIAG("%s", no_keys[i]);
    }
  }
  size_t n = make_text(NULL);
  memset(text + n, '\n', WR_KEY_FILE_MAX - n);
  EQ_INT(try_parse(text, WR_KEY_FILE_MAX, NULL), 0);
  static char big[WR_KEY_FILE_MAX + 1];
  memset(big, '\n', sizeof(big));
  memcpy(big, text, n);
  EQ_INT(try_parse(big, sizeof(big), NULL), WR_EKEY_FORMAT);
}

TEST(a_public_key_that_is_not_of_the_seed_is_refused) {
  /* All stored copies agree with one another, but not with the seed. */
  uint8_t bytes[4096];
  uint8_t pub[32];
  wr_key *key = NULL;
  size_t n = make_text(NULL);
  MUST(parse(text, n, NULL, &key) == 0);
  memcpy(pub, wr_key_blob(key).data + 19, 32);
  wr_key_unref(key);
  n = unwrap(bytes);
  int copies = 0;
  for (size_t i = 0; i + 32 <= n; i++) {
    if (memcmp(bytes + i, pub, 32) == 0) {
      bytes[i] ^= 1;
      copies++;
    }
  }
  EQ_INT(copies, 3);
  EQ_INT(try_bytes(bytes, n, NULL), WR_EKEY_FORMAT);
}

TEST(authenticated_ciphers_notice_every_change) {
  static const char *const names[] = {"aes256-gcm@openssh.com",
                                      "chacha20-poly1305@openssh.com"};
  KG_NEEDED();
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    uint8_t bytes[4096];
    char file[16];
    snprintf(file, sizeof(file), "aead%zu", i);
    if (KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-Z", names[i],
               "-C", "a longer comment, of which the end may change", "-N",
               PASS, "-f", kg_path(file)) != 0) {
      continue;
    }
    kg_read(file, text, sizeof(text));
    size_t n = unwrap(bytes);
    EQ_INT(try_bytes(bytes, n, PASS), 0);
    EQ_INT(try_bytes(bytes, n - 1, PASS), WR_EKEY_FORMAT);
    /* In the tag and, in front of it, the padding and the comment. */
    for (size_t back = 1; back < 40; back += 5) {
      bytes[n - back] ^= 1;
      EQ_INT(try_bytes(bytes, n, PASS), WR_EKEY_PASSPHRASE);
      bytes[n - back] ^= 1;
    }
  }
}

TEST(a_file_cannot_ask_for_days_of_bcrypt) {
  uint8_t bytes[4096];
  make_text(PASS);
  size_t n = unwrap(bytes);
  /* magic, "aes256-ctr", "bcrypt", length, salt: then the rounds. */
  size_t at = 15 + 4 + 10 + 4 + 6 + 4 + 4 + 16;
  EQ_UINT(wr_get_u32(bytes + at), 24);
  EQ_INT(try_bytes(bytes, n, PASS), 0);
  static const uint32_t bad[] = {0, 4097, 0x80000000, 0xffffffff};
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    wr_put_u32(bytes + at, bad[i]);
    EQ_INT(try_bytes(bytes, n, PASS), WR_EKEY_FORMAT);
  }
  /* With other rounds it is another key. */
  wr_put_u32(bytes + at, 1);
  EQ_INT(try_bytes(bytes, n, PASS), WR_EKEY_PASSPHRASE);
}

TEST(a_file_cannot_ask_for_days_of_pbkdf2) {
  if (KG_RUN("openssl", "version") != 0) {
    SKIP("openssl is not installed");
  }
  MUST(KG_RUN("openssl", "genpkey", "-algorithm", "ed25519", "-out",
              kg_path("p8")) == 0);
  MUST(KG_RUN("openssl", "pkcs8", "-topk8", "-in", kg_path("p8"), "-iter",
              "1000000", "-outform", "DER", "-out", kg_path("der"), "-passout",
              "pass:" PASS) == 0);
  uint8_t der[512];
  char b64[1024];
  char pem[1200];
  size_t n = kg_read("der", (char *)der, sizeof(der));
  size_t at = 0;
  for (size_t i = 0; i + 5 < n; i++) {
    at = memcmp(der + i, "\x02\x03\x0f\x42\x40", 5) == 0 ? i + 2 : at;
  }
  MUST(at != 0);
  for (int i = 0; i < 2; i++) {
    /* A million rounds, then eight. */
    wr_base64_encode(b64, der, n, true);
    int len = snprintf(pem, sizeof(pem),
                       "-----BEGIN ENCRYPTED PRIVATE KEY-----\n%s\n"
                       "-----END ENCRYPTED PRIVATE KEY-----\n",
                       b64);
    der[at] = 0x7f;
    memset(der + at + 1, 0xff, 2);
    EQ_INT(try_parse(pem, (size_t)len, PASS), i == 0 ? 0 : WR_EKEY_FORMAT);
  }
}

TEST(ssh_keygen_reads_what_is_written) {
  char print[WR_FINGERPRINT_MAX];
  KG_NEEDED();
  for (int i = 0; i < 2; i++) {
    const char *pass = i == 0 ? NULL : PASS;
    wr_key *key = NULL;
    wr_buf out, pub;
    wr_buf_init(&out, &mem, WR_KEY_FILE_MAX);
    wr_buf_init(&pub, &mem, 4096);
    MUST(wr_key_generate(&mem, &key) == 0);
    EQ_INT(wr_key_write_private(key, "me@here", pass, &out), 0);
    EQ_INT(wr_key_write_public(wr_key_blob(key), "me@here", &pub), 0);
    MUST(wr_buf_put_u8(&pub, 0) == 0);
    kg_write("k", out.data, out.len);
    EQ_INT(KG_RUN("ssh-keygen", "-y", "-P", i == 0 ? "" : PASS, "-f",
                  kg_path("k")),
           0);
    EQ_STR(kg.out, (const char *)pub.data);
    if (i == 1) {
      CHECK(KG_RUN("ssh-keygen", "-y", "-P", "wrong", "-f", kg_path("k")) > 0);
    }
    kg_write("k.pub", pub.data, pub.len - 1);
    EQ_INT(KG_RUN("ssh-keygen", "-l", "-f", kg_path("k.pub")), 0);
    wr_blob_fingerprint(wr_key_blob(key), print);
    char want[128];
    snprintf(want, sizeof(want), "256 %s me@here (ED25519)\n", print);
    EQ_STR(kg.out, want);
    EQ_INT(try_parse((const char *)out.data, out.len, pass), 0);
    wr_buf_wipe(&out);
    wr_buf_reset(&pub);
    wr_key_unref(key);
  }
}

TEST(bad_arguments_of_writing) {
  wr_key *key = NULL;
  wr_buf out;
  wr_buf_init(&out, &mem, WR_KEY_FILE_MAX);
  MUST(wr_key_generate(&mem, &key) == 0);
  EQ_INT(wr_key_write_private(key, "a\nb", NULL, &out), WR_EINVAL);
  EQ_INT(wr_key_write_private(key, "", "", &out), WR_EINVAL);
  EQ_INT(wr_key_write_public(wr_key_blob(key), "a\x1b[0m", &out), WR_EINVAL);
  EQ_INT(wr_key_write_public((wr_slice){NULL, 0}, "", &out), WR_EKEY_FORMAT);
  EQ_UINT(out.len, 0);
  EQ_INT(wr_key_write_private(key, NULL, NULL, &out), 0);
  wr_buf_wipe(&out);
  wr_buf_init(&out, &mem, 100);
  EQ_INT(wr_key_write_private(key, NULL, NULL, &out), WR_ELIMIT);
  EQ_UINT(out.len, 0);
  wr_buf_wipe(&out);
  wr_key_unref(key);
}

static int parse_line(const char *line, size_t len) {
  wr_buf out;
  wr_buf_init(&out, &mem, 51);
  int err = wr_blob_parse_line(line, len, &out);
  CHECK(err == 0 ? out.len == 51 : out.len == 0);
  wr_buf_reset(&out);
  return err;
}

TEST(public_lines_are_read) {
#define B64                                                                    \
  "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
  static const char *const good[] = {
      "ssh-ed25519 " B64,
      "ssh-ed25519 " B64 "\n",
      "ssh-ed25519 " B64 "\r\n",
      "  ssh-ed25519\t \t" B64 " a comment ssh-rsa \"x\n",
  };
  static const char *const bad[] = {
      "",
      "\n",
      "ssh-ed25519",
      "ssh-ed25519 ",
      B64,
      "ssh-rsa " B64,
      "ssh-ed25519 " B64 "A",
      "ssh-ed25519 " B64 "=",
      "ssh-ed25519 !" B64,
      "ssh-ed25519 AAAA",
      "ssh-ed25519 " B64 "\nssh-ed25519 " B64,
  };
  for (size_t i = 0; i < WR_COUNTOF(good); i++) {
    EQ_INT(parse_line(good[i], strlen(good[i])), 0);
  }
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    if (!EQ_INT(parse_line(bad[i], strlen(bad[i])), WR_EKEY_FORMAT)) {
      DIAG("%s", bad[i]);
    }
  }
  static const char nul[] = "ssh-ed25519 " B64 "\0x";
  EQ_INT(parse_line(nul, sizeof(nul) - 1), WR_EKEY_FORMAT);
}

TEST(blob_types_are_bounded) {
  static const uint8_t odd[] = {0, 0, 0, 2, 'a', ' ', 0};
  static const uint8_t cut[] = {0, 0, 0, 2, 'a'};
  static const uint8_t none[] = {0, 0, 0, 0, 'a'};
  CHECK(wr_blob_type((wr_slice){odd, sizeof(odd)}).data == NULL);
  CHECK(wr_blob_type((wr_slice){cut, sizeof(cut)}).data == NULL);
  CHECK(wr_blob_type((wr_slice){none, sizeof(none)}).data == NULL);
  CHECK(wr_blob_type((wr_slice){NULL, 0}).data == NULL);
}

TEST(running_out_of_memory_is_reported) {
  size_t n = make_text(NULL);
  size_t enc_at = n + 1;
  static char both[KG_TEXT_MAX];
  memcpy(both, text, n);
  size_t enc_n = make_text(PASS);
  memcpy(both + enc_at, text, enc_n);
  for (int enc = 0; enc < 2; enc++) {
    const char *s = enc ? both + enc_at : both;
    size_t len = enc ? enc_n : n;
    for (uint64_t at = 1; at < 50; at++) {
      mem.fail_at = mem.total + at;
      int err = try_parse(s, len, enc ? PASS : NULL);
      if (err == 0) {
        break;
      }
      EQ_INT(err, WR_ENOMEM);
      EQ_UINT(mem.live_blocks, 0);
    }
    mem.fail_at = 0;
  }
  wr_key *key = NULL;
  MUST(wr_key_generate(&mem, &key) == 0);
  for (uint64_t at = 1; at < 50; at++) {
    wr_buf out;
    wr_buf_init(&out, &mem, WR_KEY_FILE_MAX);
    mem.fail_at = mem.total + at;
    int err = wr_key_write_private(key, "c", NULL, &out);
    mem.fail_at = 0;
    wr_buf_wipe(&out);
    EQ_UINT(mem.live_blocks, 1);
    if (err == 0) {
      CHECK(at > 3);
      break;
    }
    EQ_INT(err, WR_ENOMEM);
  }
  wr_key_unref(key);
}

TAP_MAIN_WITH(set_up, tear_down)
