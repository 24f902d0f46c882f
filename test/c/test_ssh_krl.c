/* Key revocation lists made by hand: what is refused, also as compared with the
   real ssh-keygen, and what it costs. */
#include "revoked_help.h"

#include "base/buf.h"
#include "ssh/cert.h"

#define BYTES(s) ((wr_slice){(const uint8_t *)(s), sizeof(s) - 1})
#define NOTHING ((wr_slice){NULL, 0})
#define KRL_MAX ((size_t)16 * 1024 * 1024)

/* The keys of some authority, of another, and of a user. */
static uint8_t keys[3][51];
#define AUTHORITY ((wr_slice){keys[0], sizeof(keys[0])})
#define OTHER ((wr_slice){keys[1], sizeof(keys[1])})
#define USER ((wr_slice){keys[2], sizeof(keys[2])})

static void set_up(void) {
  rv_set_up();
  for (size_t i = 0; i < 3; i++) {
    memcpy(keys[i], "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);
    memset(keys[i] + 19, 'a' + (int)i, 32);
  }
}

static void put(wr_buf *b, wr_slice s) {
  MUST(wr_buf_append(b, s.data, s.len) == 0);
}

static void put_string(wr_buf *b, wr_slice s) {
  MUST(wr_buf_put_string(b, s.data, s.len) == 0);
}

static void put_u64(wr_buf *b, uint64_t v) {
  MUST(wr_buf_put_u64(b, v) == 0);
}

static void put_section(wr_buf *b, uint8_t type, wr_slice content) {
  MUST(wr_buf_put_u8(b, type) == 0);
  put_string(b, content);
}

/* A list of this format version with these bytes behind its head. */
static wr_buf make_version(uint32_t version, wr_slice sections) {
  wr_buf b;
  wr_buf_init(&b, &rv.mem, KRL_MAX);
  put(&b, BYTES("SSHKRL\n\0"));
  MUST(wr_buf_put_u32(&b, version) == 0);
  put_u64(&b, 7);
  put_u64(&b, 1);
  put_u64(&b, 0);
  put_string(&b, NOTHING);
  put_string(&b, BYTES("comment"));
  put(&b, sections);
  return b;
}

/* A list with one section. */
static wr_buf make(uint8_t type, wr_slice content) {
  wr_buf section;
  wr_buf_init(&section, &rv.mem, KRL_MAX);
  put_section(&section, type, content);
  wr_buf b = make_version(1, (wr_slice){section.data, section.len});
  wr_buf_reset(&section);
  return b;
}

/* A list about certificates of an authority, with these sections. */
static wr_buf make_certs(wr_slice authority, wr_slice sections) {
  wr_buf content;
  wr_buf_init(&content, &rv.mem, KRL_MAX);
  put_string(&content, authority);
  put_string(&content, BYTES("reserved"));
  put(&content, sections);
  wr_buf b = make(1, (wr_slice){content.data, content.len});
  wr_buf_reset(&content);
  return b;
}

/* And with one such section. */
static wr_buf make_cert(uint8_t type, wr_slice content) {
  wr_buf section;
  wr_buf_init(&section, &rv.mem, KRL_MAX);
  put_section(&section, type, content);
  wr_buf b = make_certs(AUTHORITY, (wr_slice){section.data, section.len});
  wr_buf_reset(&section);
  return b;
}

/* A certificate of the user's key; nobody here looks at its signature. */
static int has_cert(const wr_revoked *r, wr_slice authority, uint64_t serial,
                    wr_slice id) {
  wr_buf b;
  wr_buf_init(&b, &rv.mem, WR_CERT_BLOB_MAX + 1024);
  put_string(&b, BYTES(WR_CERT_ED25519));
  put_string(&b, BYTES("nonce"));
  put(&b, (wr_slice){USER.data + 15, USER.len - 15});
  put_u64(&b, serial);
  MUST(wr_buf_put_u32(&b, WR_CERT_USER) == 0);
  put_string(&b, id);
  put_string(&b, NOTHING);
  put_u64(&b, 0);
  put_u64(&b, UINT64_MAX);
  for (int i = 0; i < 3; i++) {
    put_string(&b, NOTHING);
  }
  put_string(&b, authority);
  put_string(&b, BYTES("signature"));
  uint64_t total = rv.mem.total;
  int has = wr_revoked_has(r, (wr_slice){b.data, b.len});
  EQ_UINT(rv.mem.total, total);
  wr_buf_reset(&b);
  return has;
}

static int has_serial(const wr_revoked *r, uint64_t serial) {
  return has_cert(r, AUTHORITY, serial, BYTES("id"));
}

/* Whether ssh-keygen takes the list. */
static int openssh_takes(const uint8_t *data, size_t len) {
  kg_write("krl", data, len);
  int code = KG_RUN("ssh-keygen", "-Q", "-f", kg_path("krl"));
  MUST(code == 0 || code == 255);
  return code == 0;
}

/* Resets the list. Whether it is taken; `alike`: ssh-keygen does the same. */
static void check(wr_buf krl, bool taken, bool alike) {
  wr_revoked *r = rv_make(krl.data, krl.len);
  EQ_INT(r != NULL, taken);
  wr_revoked_free(r);
  if (alike && rv.present) {
    EQ_INT(openssh_takes(krl.data, krl.len), taken);
  }
  wr_buf_reset(&krl);
}

#define U64(s) "\0\0\0\0\0\0\0" s
#define TOP "\xff\xff\xff\xff\xff\xff\xff"

TEST(serials_that_cannot_be_revoked_are_refused) {
  check(make_cert(0x20, BYTES(U64("\1") U64("\2"))), true, true);
  check(make_cert(0x20, BYTES(U64("\1") U64("\0"))), false, true);
  check(make_cert(0x20, BYTES(U64("\1") "\0")), false, true);
  check(make_cert(0x20, NOTHING), true, true);
  check(make_cert(0x21, BYTES(U64("\1") U64("\1"))), true, true);
  check(make_cert(0x21, BYTES(U64("\0") U64("\1"))), false, true);
  check(make_cert(0x21, BYTES(U64("\2") U64("\1"))), false, true);
  check(make_cert(0x21, BYTES(U64("\1") U64("\2") "x")), false, true);
  check(make_cert(0x21, BYTES(U64("\1") U64(""))), false, true);
  check(make_cert(0x21, NOTHING), false, true);
}

TEST(bitmaps_are_numbers_that_end_at_the_largest_serial) {
  check(make_cert(0x22, BYTES(U64("\0") "\0\0\0\1\2")), true, true);
  check(make_cert(0x22, BYTES(U64("\0") "\0\0\0\1\3")), false, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\0")), true, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\2\0\0")), true, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\1\x80")), false, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\3\0\0\x80")), true, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\1\1x")), false, true);
  check(make_cert(0x22, BYTES(U64("\1") "\0\0\0\2\1")), false, true);
  check(make_cert(0x22, BYTES(TOP "\xff"
                                  "\0\0\0\1\1")),
        true, true);
  check(make_cert(0x22, BYTES(TOP "\xff"
                                  "\0\0\0\1\2")),
        false, true);
  check(make_cert(0x22, BYTES(TOP "\xf0"
                                  "\0\0\0\2\x7f\0")),
        true, true);
  check(make_cert(0x22, BYTES(TOP "\xf1"
                                  "\0\0\0\2\x7f\0")),
        true, true);
  check(make_cert(0x22, BYTES(TOP "\xf2"
                                  "\0\0\0\2\x7f\0")),
        false, true);
  check(make_cert(0x22, BYTES(TOP "\xf8"
                                  "\0\0\0\2\0\xff")),
        true, true);
  check(make_cert(0x22, BYTES(TOP "\xf9"
                                  "\0\0\0\2\0\xff")),
        false, true);
}

TEST(serials_of_a_bitmap) {
  wr_buf b = make_cert(0x22, BYTES(TOP "\xf1"
                                       "\0\0\0\2\x40\x05"));
  wr_revoked *r = rv_make(b.data, b.len);
  MUST(r != NULL);
  for (unsigned i = 0; i < 15; i++) {
    EQ_INT(has_serial(r, UINT64_MAX - i), i == 14 || i == 12 || i == 0);
  }
  CHECK(!has_serial(r, UINT64_MAX - 15));
  CHECK(!has_serial(r, 0));
  CHECK(!has_cert(r, OTHER, UINT64_MAX, BYTES("id")));
  wr_revoked_free(r);
  wr_buf_reset(&b);
}

TEST(key_ids_are_texts) {
  check(make_cert(0x23, BYTES("\0\0\0\2id\0\0\0\0")), true, true);
  check(make_cert(0x23, NOTHING), true, true);
  check(make_cert(0x23, BYTES("\0\0\0\3i\0d")), false, true);
  check(make_cert(0x23, BYTES("\0\0\0\4id\0\0")), false, true);
  check(make_cert(0x23, BYTES("\0\0\0\3id")), false, true);
  wr_buf b = make_cert(0x23, BYTES("\0\0\0\3id\0\0\0\0\5other"));
  wr_revoked *r = rv_make(b.data, b.len);
  MUST(r != NULL);
  /* A zero byte at the end does not count, on either side. */
  CHECK(has_cert(r, AUTHORITY, 0, BYTES("id")));
  CHECK(has_cert(r, AUTHORITY, 5, BYTES("id\0")));
  CHECK(has_cert(r, AUTHORITY, 5, BYTES("other\0")));
  CHECK(!has_cert(r, AUTHORITY, 5, BYTES("ID")));
  CHECK(!has_cert(r, AUTHORITY, 5, BYTES("")));
  CHECK(!has_cert(r, OTHER, 5, BYTES("id")));
  /* No certificate of ssh-keygen's. */
  CHECK(has_cert(r, OTHER, 5, BYTES("i\0d")));
  wr_revoked_free(r);
  wr_buf_reset(&b);
}

TEST(long_key_ids) {
  static const size_t sizes[] = {65000, 65535, 65536, 70000};
  wr_buf id;
  wr_buf_init(&id, &rv.mem, 70000);
  while (id.len < 65000) {
    MUST(wr_buf_put_u8(&id, 'x') == 0);
  }
  for (size_t i = 0; i < WR_COUNTOF(sizes); i++) {
    wr_buf ids;
    while (id.len < sizes[i]) {
      MUST(wr_buf_put_u8(&id, 'x') == 0);
    }
    wr_buf_init(&ids, &rv.mem, 80000);
    put_string(&ids, (wr_slice){id.data, id.len});
    wr_buf b = make_cert(0x23, (wr_slice){ids.data, ids.len});
    wr_revoked *r = rv_make(b.data, b.len);
    MUST(r != NULL);
    CHECK(has_cert(r, AUTHORITY, 1, (wr_slice){id.data, 65000}) == (i == 0));
    CHECK(!has_cert(r, AUTHORITY, 1, (wr_slice){id.data, 64999}));
    wr_revoked_free(r);
    wr_buf_reset(&b);
    wr_buf_reset(&ids);
  }
  wr_buf_reset(&id);
}

TEST(keys_and_hashes) {
  static const uint8_t hash[40] = {1};
  for (uint32_t n = 0; n < 40; n++) {
    wr_buf b;
    bool alike = n % 12 >= 7 && n % 12 <= 9;
    wr_buf_init(&b, &rv.mem, 64);
    put_string(&b, (wr_slice){hash, n});
    wr_slice content = {b.data, b.len};
    check(make(3, content), n == 20, alike);
    check(make(5, content), n == 32, alike);
    wr_buf_reset(&b);
  }
  check(make(2, BYTES("\0\0\0\0")), false, false);
  check(make(2, BYTES("\0\0\0\5\0\0\0\1x")), true, true);
  check(make(2, BYTES("\0\0\0\4\0\0\0\1")), false, false);
  check(make(2, BYTES("\0\0\0\x10\0\0\0\x0bssh-ed25519x")), false, false);
  check(make(2, BYTES("\0\0\0\x24\0\0\0\x20"
                      "ssh-ed25519-cert-v01@openssh.com")),
        false, false);
  check(make(2, BYTES("\0\0\0\x10\0\0\0\x0bssh")), false, true);
}

TEST(sections_that_are_not_known) {
  for (unsigned type = 0; type < 256; type++) {
    bool known = type == 1 || type == 2 || type == 3 || type == 5;
    bool certs = type >= 0x20 && type <= 0x23 && type != 0x21 && type != 0x22;
    if (type != 1) {
      check(make((uint8_t)type, NOTHING), known, type % 16 == 0);
    }
    check(make_cert((uint8_t)type, NOTHING), certs, type % 16 == 0);
  }
  /* What was a signature once: nobody here would verify it. */
  wr_buf b;
  wr_buf_init(&b, &rv.mem, 4096);
  put_section(&b, 4, USER);
  put_string(&b, BYTES("signature"));
  check(make_version(1, (wr_slice){b.data, b.len}), false, true);
  wr_buf_reset(&b);
}

/* Newer than the OpenSSH that tests have at hand. */
TEST(extensions_are_ignored_unless_critical) {
#define EXTENSION(critical) "\0\0\0\3a@b" critical "\0\0\0\4data"
  const struct {
    wr_slice content;
    bool fine;
  } cases[] = {
      {BYTES(EXTENSION("\0")), true},
      {BYTES(EXTENSION("\1")), false},
      {BYTES(EXTENSION("\x80")), false},
      {BYTES(EXTENSION("\0") "x"), false},
      {BYTES("\0\0\0\3a\0b\0\0\0\0\0"), false},
      {BYTES("\0\0\0\0\0\0\0\0\0"), true},
      {BYTES("\0\0\0\3a@b\0"), false},
      {BYTES(""), false},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    check(make(0xff, cases[i].content), cases[i].fine, false);
    check(make_cert(0x39, cases[i].content), cases[i].fine, false);
  }
}

TEST(heads_of_lists_and_authorities) {
  check(make_version(0, NOTHING), false, true);
  check(make_version(1, NOTHING), true, true);
  check(make_version(2, NOTHING), false, true);
  check(make_version(1, BYTES("\2")), false, true);
  check(make_certs(NOTHING, NOTHING), true, true);
  check(make_certs(AUTHORITY, NOTHING), true, true);
  check(make_certs(BYTES("x"), NOTHING), false, true);
  check(make_certs((wr_slice){AUTHORITY.data, 50}, NOTHING), false, true);
  check(make_certs(BYTES("\0\0\0\5ssh-x"), NOTHING), false, true);
  check(make_certs(AUTHORITY, BYTES("\x20")), false, true);
  wr_buf b = make_version(1, NOTHING);
  b.data[b.len - 3] = 0;
  check(b, false, true);
}

/* Everything at once, small. */
static wr_buf make_all(void) {
  wr_buf certs;
  wr_buf all;
  wr_buf_init(&certs, &rv.mem, 4096);
  wr_buf_init(&all, &rv.mem, 4096);
  put_string(&certs, AUTHORITY);
  put_string(&certs, NOTHING);
  put_section(&certs, 0x20, BYTES(U64("\5") U64("\x09")));
  put_section(&certs, 0x21, BYTES(U64("\x10") U64("\x20")));
  put_section(&certs, 0x22, BYTES(U64("\x40") "\0\0\0\2\x55\x55"));
  put_section(&certs, 0x23, BYTES("\0\0\0\1x\0\0\0\3who"));
  put_section(&all, 1, (wr_slice){certs.data, certs.len});
  put_section(&all, 1, BYTES("\0\0\0\0\0\0\0\0\x23\0\0\0\6\0\0\0\2me"));
  put_section(&all, 2, BYTES("\0\0\0\5\0\0\0\1k"));
  put_section(&all, 3, BYTES("\0\0\0\x14shashashashashashash"));
  put_section(&all, 5, BYTES("\0\0\0\x20shashashashashashashashashashash"));
  wr_buf b = make_version(1, (wr_slice){all.data, all.len});
  wr_buf_reset(&all);
  wr_buf_reset(&certs);
  return b;
}

TEST(no_part_of_a_list_is_taken) {
  wr_buf b = make_all();
  KG_NEEDED();
  size_t ends[8];
  size_t n = 0;
  for (size_t len = 1; len <= b.len; len++) {
    wr_revoked *r = rv_make(b.data, len);
    if (r != NULL) {
      MUST(n < WR_COUNTOF(ends));
      ends[n++] = len;
    }
    if (r == NULL ? len % 11 == 0 : true) {
      EQ_INT(openssh_takes(b.data, len), r != NULL);
    }
    wr_revoked_free(r);
  }
  /* The head, and one more section each time. */
  EQ_UINT(n, 6);
  EQ_UINT(ends[n - 1], b.len);
  wr_buf_reset(&b);
}

/* What ssh-keygen refuses is never taken. */
TEST(no_changed_byte_makes_a_list_pass) {
  static const uint8_t changes[] = {0x01, 0x80, 0xff};
  wr_buf b = make_all();
  KG_NEEDED();
  unsigned taken = 0;
  for (size_t i = 0; i < b.len; i++) {
    for (size_t c = 0; c < WR_COUNTOF(changes); c++) {
      b.data[i] ^= changes[c];
      wr_revoked *r = rv_make(b.data, b.len);
      if (r != NULL && (i + c) % 5 == 0) {
        taken++;
        if (!CHECK(openssh_takes(b.data, b.len))) {
          DIAG("byte %zu", i);
        }
      }
      wr_revoked_free(r);
      b.data[i] ^= changes[c];
    }
  }
  CHECK(taken > 20);
  wr_buf_reset(&b);
}

/* The bytes of one list, and how many times of them the result takes. */
static void check_memory(wr_buf b, size_t times) {
  size_t before = rv.mem.live_bytes;
  wr_revoked *r = rv_make(b.data, b.len);
  MUST(r != NULL);
  size_t used = rv.mem.live_bytes - before;
  if (!CHECK(used <= b.len * times + 1024)) {
    DIAG("%zu bytes of %zu", used, b.len);
  }
  wr_revoked_free(r);
  wr_buf_reset(&b);
}

TEST(a_bitmap_takes_no_more_memory_than_its_bytes) {
  wr_buf bits;
  size_t len = (size_t)1024 * 1024;
  wr_buf_init(&bits, &rv.mem, KRL_MAX);
  put_u64(&bits, 3);
  MUST(wr_buf_put_u32(&bits, (uint32_t)len) == 0);
  MUST(wr_buf_reserve(&bits, len) == 0);
  memset(bits.data + bits.len, 0x55, len);
  wr_buf_commit(&bits, len);
  check_memory(make_cert(0x22, (wr_slice){bits.data, bits.len}), 3);
  wr_buf_reset(&bits);
}

/* Each with one bit, far from all others. */
TEST(many_small_bitmaps) {
  wr_buf sections;
  wr_buf_init(&sections, &rv.mem, KRL_MAX);
  for (uint64_t i = 1; i < 20000; i++) {
    wr_buf bits;
    wr_buf_init(&bits, &rv.mem, 64);
    put_u64(&bits, i * 77003 % 32768 << 20);
    put_string(&bits, BYTES("\2"));
    put_section(&sections, 0x22, (wr_slice){bits.data, bits.len});
    wr_buf_reset(&bits);
  }
  check_memory(make_certs(AUTHORITY, (wr_slice){sections.data, sections.len}),
               3);
  wr_buf_reset(&sections);
}

TEST(many_serials_and_key_ids) {
  wr_buf b;
  wr_buf_init(&b, &rv.mem, KRL_MAX);
  for (uint64_t i = 1; i < 100000; i++) {
    put_u64(&b, i << 20);
  }
  check_memory(make_cert(0x20, (wr_slice){b.data, b.len}), 3);
  wr_buf_consume(&b, b.len);
  for (uint32_t i = 0; i < 100000; i++) {
    uint8_t id[3] = {(uint8_t)(i % 199 + 1), (uint8_t)(i / 199 % 199 + 1),
                     (uint8_t)(i / 199 / 199 + 1)};
    put_string(&b, (wr_slice){id, sizeof(id)});
  }
  check_memory(make_cert(0x23, (wr_slice){b.data, b.len}), 12);
  wr_buf_reset(&b);
}

TEST(running_out_of_memory_is_reported) {
  wr_buf b = make_all();
  for (uint64_t at = 1; at < 100; at++) {
    size_t line = 99;
    size_t before = rv.mem.live_blocks;
    wr_revoked *r = wr_revoked_new(&rv.mem, 1);
    MUST(r != NULL);
    rv.mem.fail_at = rv.mem.total + at;
    int err = wr_revoked_add(r, b.data, b.len, &line);
    rv.mem.fail_at = 0;
    EQ_UINT(line, 0);
    EQ_INT(has_serial(r, 5), err == 0);
    EQ_INT(has_cert(r, OTHER, 1, BYTES("me")), err == 0);
    wr_revoked_free(r);
    EQ_UINT(rv.mem.live_blocks, before);
    if (err == 0 && at > 30) {
      wr_buf_reset(&b);
      return;
    }
    CHECK(err == 0 || err == WR_ENOMEM);
  }
  FAIL("it never worked");
}

TAP_MAIN_WITH(set_up, rv_tear_down)
