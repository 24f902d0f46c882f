/* Which keys and certificates are revoked: the same as the real ssh-keygen
   says, for lists of every kind that it can make, and lists as text. */
#include "revoked_help.h"

#include "base/buf.h"

/* Every type of key, and authorities a (ed25519), b (ecdsa) and c (rsa). */
static const struct {
  const char *file, *type, *bits;
} pairs[] = {
    {"a", "ed25519", "256"},   {"b", "ecdsa", "384"},
    {"c", "rsa", "1024"},      {"ed1", "ed25519", "256"},
    {"ed2", "ed25519", "256"}, {"ec2", "ecdsa", "256"},
    {"ec3", "ecdsa", "384"},   {"ec5", "ecdsa", "521"},
    {"rsa", "rsa", "1024"},    {"dsa", "dsa", "1024"},
};

/* All files with keys that a certificate was not made for. */
static size_t plain_files;

/* A key of a hardware type, from the strings of another key. */
static void make_sk(const char *file, const char *type, const char *from) {
  wr_buf have = rv_blob(from);
  wr_buf blob;
  wr_rd r;
  wr_buf_init(&blob, &rv.mem, 4096);
  wr_rd_init(&r, have.data, have.len);
  wr_rd_string(&r);
  MUST(wr_buf_put_cstring(&blob, type) == 0);
  MUST(wr_buf_append(&blob, r.p, r.left) == 0);
  MUST(wr_buf_put_cstring(&blob, "ssh:") == 0);
  rv_write_blob(file, (wr_slice){blob.data, blob.len});
  rv_name(file);
  wr_buf_reset(&blob);
  wr_buf_reset(&have);
}

static void make_keys(void) {
  for (size_t i = 0; i < WR_COUNTOF(pairs); i++) {
    int made = rv_keygen(pairs[i].file, pairs[i].type, pairs[i].bits);
    MUST(made || strcmp(pairs[i].type, "dsa") == 0);
  }
  make_sk("sked.pub", "sk-ssh-ed25519@openssh.com", "ed1.pub");
  make_sk("skec.pub", "sk-ecdsa-sha2-nistp256@openssh.com", "ec2.pub");
  plain_files = rv.count;
}

/* One of every key but the authorities, which sign in turn. */
static void make_certs(void) {
  static const char *const authorities[] = {"a", "b", "c"};
  for (size_t i = 3; i < plain_files; i++) {
    char file[64];
    char cert[80];
    char id[80];
    snprintf(file, sizeof(file), "%.*s", (int)strlen(rv.names[i]) - 4,
             rv.names[i]);
    snprintf(cert, sizeof(cert), "%s.crt", file);
    snprintf(id, sizeof(id), "id of %s", file);
    rv_certify(cert, file, authorities[i % 3], i % 2 ? "0" : "12", id);
  }
}

TEST(keys_of_every_type_by_every_means) {
  static const char *const words[] = {"", "key: ", "sha1: ", "sha256: "};
  KG_NEEDED();
  make_keys();
  make_certs();
  for (size_t w = 0; w < WR_COUNTOF(words); w++) {
    for (size_t half = 0; half < 2; half++) {
      wr_buf spec;
      wr_buf_init(&spec, &rv.mem, RV_FILE_MAX);
      for (size_t i = 3 + half; i < plain_files; i += 2) {
        rv_spec(&spec, words[w], rv.names[i]);
      }
      MUST(wr_buf_put_u8(&spec, 0) == 0);
      rv_krl("list", false, NULL, (const char *)spec.data);
      wr_buf_reset(&spec);
      /* The keys and their certificates. */
      size_t listed = (plain_files - 3 + 1 - half) / 2;
      EQ_INT(rv_compare("list"), (int)listed * 2);
    }
  }
}

TEST(fingerprints) {
  char print[WR_FINGERPRINT_MAX];
  char spec[256];
  KG_NEEDED();
  MUST(rv_keygen("k1", "ed25519", "256") && rv_keygen("k2", "ecdsa", "256"));
  rv_certify("k2.crt", "k2", "k1", "1", "x");
  wr_buf blob = rv_blob("k2.pub");
  wr_blob_fingerprint((wr_slice){blob.data, blob.len}, print);
  wr_buf_reset(&blob);
  snprintf(spec, sizeof(spec), "# %s\n\nhash: %s\n", print, print);
  rv_krl("list", false, NULL, spec);
  EQ_INT(rv_compare("list"), 2);
}

TEST(certificates_by_listing_them) {
  wr_buf spec;
  KG_NEEDED();
  make_keys();
  make_certs();
  wr_buf_init(&spec, &rv.mem, RV_FILE_MAX);
  for (size_t i = plain_files; i < rv.count; i += 2) {
    rv_spec(&spec, "", rv.names[i]);
  }
  MUST(wr_buf_put_u8(&spec, 0) == 0);
  rv_krl("list", false, NULL, (const char *)spec.data);
  CHECK(rv_compare("list") >= (int)(rv.count - plain_files) / 2);
  wr_buf_reset(&spec);
  rv_krl("empty", false, NULL, "");
  EQ_INT(rv_compare("empty"), 0);
}

TEST(an_authority_takes_its_certificates_with_it) {
  wr_buf spec;
  KG_NEEDED();
  make_keys();
  make_certs();
  for (size_t i = 0; i < 3; i++) {
    wr_buf_init(&spec, &rv.mem, RV_FILE_MAX);
    rv_spec(&spec, i == 1 ? "sha1: " : "", rv.names[i]);
    MUST(wr_buf_put_u8(&spec, 0) == 0);
    rv_krl("list", i > 0, NULL, (const char *)spec.data);
    wr_buf_reset(&spec);
    /* With each update more. */
    CHECK(rv_compare("list") > 3 * (int)(i + 1));
  }
  EQ_INT(rv_compare("list"), (int)(3 + rv.count - plain_files));
}

/* Certificates of one key under two authorities with these serials. */
static void certify_serials(const char *const serials[], size_t n) {
  MUST(rv_keygen("k", "ed25519", "256") && rv_keygen("a", "ed25519", "256") &&
       rv_keygen("b", "ecdsa", "256"));
  for (size_t i = 0; i < n; i++) {
    char cert[64];
    snprintf(cert, sizeof(cert), "a%s.crt", serials[i]);
    rv_certify(cert, "k", "a", serials[i], serials[i]);
  }
  for (size_t i = 0; i < n; i += 3) {
    char cert[64];
    snprintf(cert, sizeof(cert), "b%s.crt", serials[i]);
    rv_certify(cert, "k", "b", serials[i], serials[i]);
  }
}

/* Bit n: a list has a section 0x20 + n about certificates. */
static unsigned sections_of(const char *krl) {
  unsigned seen = 0;
  wr_rd r;
  size_t len = rv_read(krl);
  wr_rd_init(&r, rv.bytes, len);
  wr_rd_bytes(&r, 8 + 4 + 24);
  wr_rd_string(&r);
  wr_rd_string(&r);
  while (r.left > 0 && !r.bad) {
    uint8_t type = wr_rd_u8(&r);
    wr_slice section = wr_rd_string(&r);
    wr_rd s;
    wr_rd_init(&s, section.data, section.len);
    wr_rd_string(&s);
    wr_rd_string(&s);
    while (type == 1 && s.left > 0 && !s.bad) {
      seen |= 1U << (wr_rd_u8(&s) & 0x1f);
      wr_rd_string(&s);
    }
  }
  return seen;
}

#define LISTS 1U
#define RANGES 2U
#define BITMAPS 4U
#define IDS 8U

TEST(serials_at_the_edges) {
  static const char *const serials[] = {"0",
                                        "1",
                                        "2",
                                        "3",
                                        "4",
                                        "5",
                                        "62",
                                        "63",
                                        "64",
                                        "65",
                                        "99",
                                        "100",
                                        "101",
                                        "127",
                                        "128",
                                        "9998",
                                        "99999",
                                        "65535",
                                        "65536",
                                        "1000",
                                        "1001",
                                        "18446744073709551615",
                                        "18446744073709551614",
                                        "18446744073709551613",
                                        "9223372036854775808",
                                        "9223372036854775807"};
  KG_NEEDED();
  certify_serials(serials, WR_COUNTOF(serials));
  rv_krl("list", false, "a.pub", "serial: 2\nserial: 100\nserial: 65536\n");
  EQ_INT(rv_compare("list"), 3);
  EQ_UINT(sections_of("list"), LISTS);
  rv_krl("range", false, "a.pub", "serial: 100-65535\nserial: 1-3\n");
  EQ_INT(rv_compare("range"), 3 + 8);
  CHECK(sections_of("range") & RANGES);
  rv_krl("bits", false, "a.pub",
         "serial: 61\nserial: 63\nserial: 65\nserial: 67\nserial: 69\n"
         "serial: 71\nserial: 101\nserial: 127\n");
  EQ_INT(rv_compare("bits"), 4);
  EQ_UINT(sections_of("bits"), BITMAPS);
  rv_krl("top", false, "a.pub",
         "serial: 18446744073709551614-18446744073709551615\n"
         "serial: 9223372036854775808\nserial: 0x1\n");
  EQ_INT(rv_compare("top"), 4);
  rv_krl("all", false, "a.pub", "serial: 1-18446744073709551615\n");
  EQ_INT(rv_compare("all"), (int)WR_COUNTOF(serials) - 1);
  /* The other authority's too, then everybody's. */
  rv_krl("range", true, "b.pub", "serial: 1-10\nserial: 62\nserial: 64\n");
  CHECK(rv_compare("range") > 3 + 8);
  rv_krl("range", true, "none", "serial: 63-66\nserial: 9998\nserial: 1\n");
  CHECK(rv_compare("range") > 3 + 8 + 2);
  rv_krl("none", false, "none", "serial: 1-18446744073709551615\n");
  EQ_INT(rv_compare("none"), (int)rv.count - 3 - 2);
}

TEST(key_ids) {
  static const char *const ids[] = {"me", "Me",  "me too",
                                    "m",  "mee", "\xc3\xa4"};
  KG_NEEDED();
  MUST(rv_keygen("k", "ed25519", "256") && rv_keygen("a", "ed25519", "256") &&
       rv_keygen("b", "ecdsa", "256"));
  for (size_t i = 0; i < WR_COUNTOF(ids); i++) {
    char cert[64];
    snprintf(cert, sizeof(cert), "a%zu.crt", i);
    rv_certify(cert, "k", "a", i % 2 ? "7" : "0", ids[i]);
    snprintf(cert, sizeof(cert), "b%zu.crt", i);
    rv_certify(cert, "k", "b", "0", ids[i]);
  }
  rv_krl("one", false, "a.pub", "id: me\nid: me too\nid: \xc3\xa4\nid: a\n");
  EQ_INT(rv_compare("one"), 3);
  EQ_UINT(sections_of("one"), IDS);
  rv_krl("one", true, "b.pub", "id: Me\nserial: 9\nid:\n");
  EQ_INT(rv_compare("one"), 4);
  EQ_UINT(sections_of("one"), IDS | LISTS);
  rv_krl("one", true, "none", "id: mee\n");
  EQ_INT(rv_compare("one"), 6);
  rv_krl("all", false, "none", "id: me\nid: m\n");
  EQ_INT(rv_compare("all"), 4);
}

/* ssh-keygen makes bitmaps that it does not read itself. */
TEST(bitmaps_of_any_size) {
  wr_buf spec;
  KG_NEEDED();
  MUST(rv_keygen("k", "ed25519", "256") && rv_keygen("a", "ed25519", "256"));
  rv_certify("even.crt", "k", "a", "59998", "x");
  rv_certify("odd.crt", "k", "a", "59999", "x");
  rv_certify("high.crt", "k", "a", "60001", "x");
  wr_buf_init(&spec, &rv.mem, RV_FILE_MAX * 8);
  for (unsigned i = 1; i < 60000; i += 2) {
    MUST(wr_buf_printf(&spec, "serial: %u\n", i) == 0);
  }
  MUST(wr_buf_put_u8(&spec, 0) == 0);
  rv_krl("list", false, "a.pub", (const char *)spec.data);
  wr_buf_reset(&spec);
  EQ_UINT(sections_of("list"), BITMAPS);
  wr_revoked *r = rv_load("list");
  MUST(r != NULL);
  EQ_INT(rv_has(r, "odd.crt"), 1);
  EQ_INT(rv_has(r, "even.crt"), 0);
  EQ_INT(rv_has(r, "high.crt"), 0);
  EQ_INT(rv_has(r, "k.pub"), 0);
  wr_revoked_free(r);
}

#define A "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define B "AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp01bfryczJgs9sSWjM0MxfVUEvRm"
#define KEY_A "ssh-ed25519 " A
#define KEY_B "ssh-ed25519 " B

static void check_text(const char *text, size_t len, int err, size_t at, int a,
                       int b) {
  wr_revoked *r = wr_revoked_new(&rv.mem, 42);
  size_t line = 99;
  MUST(r != NULL);
  kg_write("a.pub", KEY_A, strlen(KEY_A));
  kg_write("b.pub", KEY_B, strlen(KEY_B));
  int fine = EQ_INT(rv_add(r, text, len, &line), err);
  fine &= EQ_UINT(line, at);
  fine &= EQ_INT(rv_has(r, "a.pub"), a);
  fine &= EQ_INT(rv_has(r, "b.pub"), b);
  if (!fine) {
    DIAG("in: %s", text);
  }
  wr_revoked_free(r);
}

#define GOOD(text, a, b) check_text(text, sizeof(text) - 1, 0, 0, a, b)
#define BAD(text, line)                                                        \
  check_text(text, sizeof(text) - 1, WR_EKEY_FORMAT, line, 0, 0)

TEST(a_text_is_read_or_refused_with_its_line) {
  GOOD("", 0, 0);
  GOOD("# " KEY_A "\n\n \t\n\r\n", 0, 0);
  GOOD(KEY_A, 1, 0);
  GOOD("\xef\xbb\xbf" KEY_A "\r\n  " KEY_B " me and you\r\n", 1, 1);
  GOOD("\t" KEY_B "\t#\n#", 0, 1);
  BAD("x", 1);
  BAD(A, 1);
  BAD(KEY_A "\n\nssh-ed25519\n", 3);
  BAD(KEY_A "\n" KEY_B "A\n", 2);
  BAD("restrict " KEY_A, 1);
  BAD("ssh-rsa " A, 1);
  BAD("ssh-new AAAAB3NzaC1uZXc=", 1);
  BAD("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE=\n"
      "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAgAB\n",
      2);
  BAD(KEY_A "\nserial: 1\n", 2);
  BAD(KEY_A "\n#\0\n", 2);
  BAD("\0", 1);
  BAD("SSHKRL", 1);
  BAD("SSHKRL\n", 1);
  BAD("SSHKRL\n\0", 0);
  BAD("-----BEGIN OPENSSH PRIVATE KEY-----\n", 1);
  wr_revoked_free(NULL);
}

TEST(a_text_with_keys_of_every_type) {
  wr_buf text;
  KG_NEEDED();
  make_keys();
  make_certs();
  wr_buf_init(&text, &rv.mem, RV_FILE_MAX);
  /* The first authority, half of the other keys; of a hardware key with its
     certificate. */
  rv_spec(&text, "# all\n  ", "a.pub");
  rv_spec(&text, "\n", "ec2.pub");
  rv_spec(&text, "", "rsa.pub");
  rv_spec(&text, "", "skec.pub");
  rv_spec(&text, "", "sked.crt");
  wr_revoked *r = rv_make(text.data, text.len);
  MUST(r != NULL);
  EQ_INT(rv_has(r, "a.pub"), 1);
  EQ_INT(rv_has(r, "b.pub"), 0);
  EQ_INT(rv_has(r, "rsa.pub"), 1);
  EQ_INT(rv_has(r, "rsa.crt"), 1);
  EQ_INT(rv_has(r, "ec2.crt"), 1);
  EQ_INT(rv_has(r, "ec3.pub"), 0);
  EQ_INT(rv_has(r, "sked.pub"), 1);
  EQ_INT(rv_has(r, "sked.crt"), 1);
  EQ_INT(rv_has(r, "skec.pub"), 1);
  EQ_INT(rv_has(r, "ed1.pub"), 0);
  EQ_INT(rv_has(r, "ed1.crt"), 1); /* by its authority */
  EQ_INT(rv_has(r, "ed2.crt"), 0);
  wr_revoked_free(r);
  wr_buf_reset(&text);
}

TEST(files_add_up_and_a_refused_one_adds_nothing) {
  static const char broken[] = KEY_A "\nx\n";
  size_t line = 0;
  wr_revoked *r = wr_revoked_new(&rv.mem, 1);
  MUST(r != NULL);
  kg_write("a.pub", KEY_A, strlen(KEY_A));
  kg_write("b.pub", KEY_B, strlen(KEY_B));
  EQ_INT(rv_add(r, KEY_B, strlen(KEY_B), &line), 0);
  EQ_INT(rv_add(r, broken, strlen(broken), &line), WR_EKEY_FORMAT);
  EQ_INT(rv_has(r, "a.pub"), 0);
  EQ_INT(rv_has(r, "b.pub"), 1);
  EQ_INT(rv_add(r, KEY_A, strlen(KEY_A), &line), 0);
  EQ_INT(rv_has(r, "a.pub"), 1);
  EQ_INT(rv_has(r, "b.pub"), 1);
  wr_revoked_free(r);
}

TEST(a_file_that_is_too_large_is_refused) {
  size_t n = WR_REVOKED_FILE_MAX + 1;
  char *big = malloc(n);
  size_t line = 99;
  wr_revoked *r = wr_revoked_new(&rv.mem, 1);
  MUST(big != NULL && r != NULL);
  memset(big, '\n', n);
  EQ_INT(wr_revoked_add(r, big, n, &line), WR_EKEY_FORMAT);
  EQ_UINT(line, 0);
  EQ_INT(wr_revoked_add(r, big, n - 1, &line), 0);
  wr_revoked_free(r);
  free(big);
}

TEST(what_cannot_be_taken_apart_is_revoked) {
  KG_NEEDED();
  make_keys();
  make_certs();
  wr_revoked *r = wr_revoked_new(&rv.mem, 1);
  MUST(r != NULL);
  for (size_t i = 0; i < rv.count; i++) {
    wr_buf blob = rv_blob(rv.names[i]);
    MUST(wr_buf_put_u8(&blob, 0) == 0);
    for (size_t n = 0; n <= blob.len; n++) {
      uint8_t *copy = malloc(n + 1);
      MUST(copy != NULL);
      memcpy(copy, blob.data, n);
      /* Whole only without the byte behind it. */
      bool whole = n + 1 == blob.len;
      if (!CHECK(wr_revoked_has(r, (wr_slice){copy, n}) == !whole)) {
        DIAG("%zu bytes of %s", n, rv.names[i]);
      }
      free(copy);
    }
    wr_buf_reset(&blob);
  }
  CHECK(wr_revoked_has(r, (wr_slice){NULL, 0}));
  wr_revoked_free(r);
}

#define BYTES(s) ((wr_slice){(const uint8_t *)(s), sizeof(s) - 1})
#define RSA "\0\0\0\7ssh-rsa"

/* Else a revoked key might be offered in another form. */
TEST(a_key_in_another_form_is_revoked) {
  static const char p256[] = "\0\0\0\x13"
                             "ecdsa-sha2-nistp256\0\0\0\x08nistp";
  wr_revoked *r = wr_revoked_new(&rv.mem, 1);
  uint8_t ec[104];
  MUST(r != NULL);
  CHECK(!wr_revoked_has(r, BYTES(RSA "\0\0\0\1\3\0\0\0\2\0\xff")));
  CHECK(wr_revoked_has(r, BYTES(RSA "\0\0\0\2\0\3\0\0\0\2\0\xff")));
  CHECK(wr_revoked_has(r, BYTES(RSA "\0\0\0\1\3\0\0\0\3\0\0\xff")));
  CHECK(wr_revoked_has(r, BYTES(RSA "\0\0\0\1\3\0\0\0\1\xff")));
  CHECK(wr_revoked_has(r, BYTES(RSA "\0\0\0\1\3\0\0\0\0")));
  CHECK(wr_revoked_has(r, BYTES(RSA "\0\0\0\1\0\0\0\0\1\1")));
  memset(ec, 0x55, sizeof(ec));
  memcpy(ec, p256, sizeof(p256) - 1);
  memcpy(ec + 32, "256\0\0\0\x41\4", 8);
  CHECK(!wr_revoked_has(r, (wr_slice){ec, sizeof(ec)}));
  ec[39] = 2;
  CHECK(wr_revoked_has(r, (wr_slice){ec, sizeof(ec)}));
  ec[39] = 4;
  ec[32] = '3';
  CHECK(wr_revoked_has(r, (wr_slice){ec, sizeof(ec)}));
  wr_revoked_free(r);
}

TEST(running_out_of_memory_is_reported) {
  static const char text[] = KEY_A "\n" KEY_B "\n";
  for (uint64_t at = 1; at < 50; at++) {
    size_t line = 99;
    rv.mem.fail_at = rv.mem.total + at;
    wr_revoked *r = wr_revoked_new(&rv.mem, 1);
    int err = r == NULL ? WR_ENOMEM
                        : wr_revoked_add(r, text, sizeof(text) - 1, &line);
    rv.mem.fail_at = 0;
    wr_revoked_free(r);
    EQ_UINT(rv.mem.live_blocks, 0);
    if (err == 0) {
      CHECK(at > 5);
      return;
    }
    EQ_INT(err, WR_ENOMEM);
    EQ_UINT(line, r == NULL ? 99 : 0);
  }
  FAIL("it never worked");
}

TAP_MAIN_WITH(rv_set_up, rv_tear_down)
