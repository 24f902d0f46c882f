/* Certificates: what ssh-keygen signs is read and verified, what it would not
   take is refused, and of a changed certificate nothing is believed. */
#include "base/errors.h"
#include "ssh/cert.h"
#include "ssh/key.h"
#include "ssh/verify.h"
#include "ssh_keygen.h"
#include "ssh_signer.h"

#define ED25519 "ssh-ed25519"
#define P256 "ecdsa-sha2-nistp256"
#define MAX_BLOB ((size_t)256 * 1024)

static wr_mem mem;
static wr_buf blob; /* the certificate at hand */
static wr_cert cert;

/* What a certificate made by hand says; set_up() fills it with good values. */
static struct {
  const char *type;
  wr_buf key; /* the strings of the certified key */
  uint32_t kind;
  wr_buf key_id, principals, critical, extensions, reserved;
  wr_buf authority;      /* the blob of ca */
  const char *algorithm; /* what ca signs with */
} made;
static signer ca;

static wr_buf *const made_parts[] = {
    &made.key,        &made.key_id,   &made.principals, &made.critical,
    &made.extensions, &made.reserved, &made.authority};

static void append(wr_buf *b, const void *data, size_t len) {
  MUST(wr_buf_append(b, data, len) == 0);
}

static void put(wr_buf *b, const void *data, size_t len) {
  MUST(wr_buf_put_string(b, data, len) == 0);
}

static void put_text(wr_buf *b, const char *text) {
  put(b, text, strlen(text));
}

static void put_slice(wr_buf *b, wr_slice s) {
  put(b, s.data, s.len);
}

static void clear(wr_buf *b) {
  wr_buf_consume(b, b->len);
}

static void use_authority(const char *algorithm) {
  signer_fini(&ca);
  signer_init(&ca, &mem, algorithm);
  made.algorithm = algorithm;
  clear(&made.authority);
  append(&made.authority, ca.blob.data, ca.blob.len);
}

static void use_key(const char *type) {
  static const uint8_t pub[32] = {1, 2, 3};
  made.type = type;
  clear(&made.key);
  put(&made.key, pub, sizeof(pub));
}

static void set_up(void) {
  wr_mem_init(&mem);
  kg_set_up();
  wr_buf_init(&blob, &mem, MAX_BLOB);
  for (size_t i = 0; i < WR_COUNTOF(made_parts); i++) {
    wr_buf_init(made_parts[i], &mem, MAX_BLOB);
  }
  wr_buf_init(&ca.blob, &mem, MAX_BLOB);
  made.kind = WR_CERT_USER;
  append(&made.key_id, "id", 2);
  put_text(&made.principals, "a");
  use_key(WR_CERT_ED25519);
  use_authority(ED25519);
}

static void tear_down(void) {
  signer_fini(&ca);
  wr_buf_reset(&blob);
  for (size_t i = 0; i < WR_COUNTOF(made_parts); i++) {
    wr_buf_reset(made_parts[i]);
  }
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

/* Of a copy of exactly that size, so that reading past it is seen. */
static int parse_bytes(const uint8_t *data, size_t len, bool *verified) {
  wr_cert c;
  uint8_t *copy = malloc(len > 0 ? len : 1);
  MUST(copy != NULL);
  memcpy(copy, data, len);
  int err = wr_cert_parse((wr_slice){copy, len}, &c);
  *verified = err == 0 && wr_cert_verify(&c) == 0;
  free(copy);
  return err;
}

static int parse(void) {
  return wr_cert_parse(signer_slice(&blob), &cert);
}

static bool is_good(const uint8_t *data, size_t len) {
  bool verified = false;
  int err = parse_bytes(data, len, &verified);
  CHECK(err == 0 || err == WR_EKEY_FORMAT || err == WR_EKEY_TYPE);
  return verified;
}

/* Writes `made` and signs it. */
static void make(void) {
  wr_buf sig;
  clear(&blob);
  put_text(&blob, made.type);
  put_text(&blob, "a nonce");
  append(&blob, made.key.data, made.key.len);
  MUST(wr_buf_put_u64(&blob, 7) == 0);
  MUST(wr_buf_put_u32(&blob, made.kind) == 0);
  put_slice(&blob, signer_slice(&made.key_id));
  put_slice(&blob, signer_slice(&made.principals));
  MUST(wr_buf_put_u64(&blob, 0) == 0);
  MUST(wr_buf_put_u64(&blob, 4102444800) == 0);
  put_slice(&blob, signer_slice(&made.critical));
  put_slice(&blob, signer_slice(&made.extensions));
  put_slice(&blob, signer_slice(&made.reserved));
  put_slice(&blob, signer_slice(&made.authority));
  wr_buf_init(&sig, &mem, MAX_BLOB);
  signer_sign(&ca, made.algorithm, blob.data, blob.len, &sig);
  put_slice(&blob, signer_slice(&sig));
  wr_buf_reset(&sig);
}

/* Whether ssh-keygen prints the certificate at hand, which it does only with a
   good signature. True without it. */
static bool openssh_takes(void) {
  static char line[2 * MAX_BLOB];
  static int present = -1;
  if (present < 0) {
    present = kg_present();
  }
  if (!present) {
    return true;
  }
  size_t n = (size_t)snprintf(line, sizeof(line), "%s ", made.type);
  n += wr_base64_encode(line + n, blob.data, blob.len, true);
  line[n++] = '\n';
  kg_write("made-cert.pub", line, n);
  return KG_RUN("ssh-keygen", "-L", "-f", kg_path("made-cert.pub")) == 0;
}

/* Good in every respect, for OpenSSH as well. */
static void expect_good(void) {
  make();
  EQ_INT(parse(), 0);
  CHECK(is_good(blob.data, blob.len));
  if (!CHECK(openssh_takes())) {
    DIAG("%s", kg.out);
  }
}

static void expect_malformed(void) {
  bool verified;
  make();
  EQ_INT(parse_bytes(blob.data, blob.len, &verified), WR_EKEY_FORMAT);
}

/* Malformed, for OpenSSH as well. */
static void expect_bad(void) {
  expect_malformed();
  CHECK(!kg_present() || !openssh_takes());
}

static void expect_unverified(void) {
  make();
  MUST(parse() == 0);
  EQ_INT(wr_cert_verify(&cert), WR_EAUTH_REFUSED);
}

/* The blob in the public line of a file. */
static void read_public(const char *file, wr_buf *out) {
  static char line[KG_TEXT_MAX];
  size_t n = kg_read(file, line, sizeof(line));
  clear(out);
  MUST(wr_blob_parse_line(line, n, out) == 0);
}

static void keygen(const char *file, const char *type, const char *bits) {
  MUST(KG_RUN("ssh-keygen", "-q", "-t", type, "-b", bits, "-N", "", "-f",
              kg_path(file)) == 0);
}

static void need_pair(void) {
  keygen("ca", "ed25519", "256");
  keygen("user", "ed25519", "256");
}

/* Has ssh-keygen sign user.pub by a key and reads the certificate. */
#define CERTIFY(file, ...)                                                     \
  do {                                                                         \
    MUST(KG_RUN("ssh-keygen", "-q", "-s", kg_path(file), __VA_ARGS__,          \
                kg_path("user.pub")) == 0);                                    \
    read_public("user-cert.pub", &blob);                                       \
    MUST(parse() == 0);                                                        \
  } while (0)

static void eq_slice(wr_slice s, const char *want) {
  EQ_MEM(s.data, s.len, want, strlen(want));
}

/* As one text with a comma behind each. */
static void eq_principals(const char *want) {
  char have[256] = "";
  size_t n = 0;
  wr_slice rest = cert.principals;
  wr_slice name;
  while (wr_cert_next_principal(&rest, &name)) {
    MUST(n + name.len + 2 < sizeof(have));
    n += (size_t)snprintf(have + n, sizeof(have) - n, "%.*s,", (int)name.len,
                          (const char *)name.data);
  }
  EQ_STR(have, want);
}

TEST(authorities_of_every_kind_are_verified) {
  static const struct {
    const char *type, *bits, *algorithm, *signed_with;
  } cas[] = {
      {"ed25519", "256", NULL, "ssh-ed25519"},
      {"ecdsa", "256", NULL, "ecdsa-sha2-nistp256"},
      {"ecdsa", "384", NULL, "ecdsa-sha2-nistp384"},
      {"ecdsa", "521", NULL, "ecdsa-sha2-nistp521"},
      {"rsa", "2048", NULL, "rsa-sha2-512"},
      {"rsa", "2048", "rsa-sha2-256", "rsa-sha2-256"},
  };
  KG_NEEDED();
  keygen("user", "ed25519", "256");
  for (size_t i = 0; i < WR_COUNTOF(cas); i++) {
    char file[16], pub[24];
    wr_sig_info info;
    snprintf(file, sizeof(file), "ca%zu", i);
    snprintf(pub, sizeof(pub), "%s.pub", file);
    keygen(file, cas[i].type, cas[i].bits);
    if (cas[i].algorithm == NULL) {
      CERTIFY(file, "-I", "id");
    } else {
      CERTIFY(file, "-I", "id", "-t", cas[i].algorithm);
    }
    if (!EQ_INT(wr_cert_verify(&cert), 0)) {
      DIAG("%s %s", cas[i].type, cas[i].bits);
    }
    EQ_INT(wr_sig_verify(cert.authority, cert.signature, cert.blob.data,
                         cert.signed_len, &info),
           0);
    eq_slice(info.algorithm, cas[i].signed_with);
    read_public(pub, &made.authority);
    EQ_MEM(cert.authority.data, cert.authority.len, made.authority.data,
           made.authority.len);
    CHECK(is_good(blob.data, blob.len));
  }
}

TEST(fields_are_those_that_were_signed) {
  KG_NEEDED();
  need_pair();
  CERTIFY("ca", "-I", "somebody's \"laptop\"", "-n", "alice,root,*.example",
          "-z", "18446744073709551615", "-V", "0x10:0x123456789");
  eq_slice(cert.type, WR_CERT_ED25519);
  eq_slice(cert.key_id, "somebody's \"laptop\"");
  eq_principals("alice,root,*.example,");
  EQ_UINT(cert.serial, UINT64_MAX);
  EQ_INT(cert.kind, WR_CERT_USER);
  EQ_UINT(cert.valid_after_s, 0x10);
  EQ_UINT(cert.valid_before_s, 0x123456789);
  CHECK(cert.blob.data == blob.data && cert.blob.len == blob.len);
  EQ_UINT(cert.signed_len + 4 + cert.signature.len, blob.len);
  read_public("user.pub", &made.key);
  EQ_MEM(cert.key, cert.key_len, made.key.data, made.key.len);
  CERTIFY("ca", "-h", "-I", "", "-V", "always:forever");
  EQ_INT(cert.kind, WR_CERT_HOST);
  eq_slice(cert.key_id, "");
  eq_principals("");
  EQ_UINT(cert.serial, 0);
  EQ_UINT(cert.valid_after_s, 0);
  EQ_UINT(cert.valid_before_s, UINT64_MAX);
  EQ_UINT(cert.critical.len + cert.extensions.len, 0);
}

/* ssh-keygen needs no device to sign what one has made. */
TEST(security_keys_signed_by_ssh_keygen_are_read) {
  static char line[512];
  signer sk;
  KG_NEEDED();
  need_pair();
  signer_init(&sk, &mem, SIGNER_SK);
  size_t n = (size_t)snprintf(line, sizeof(line), "%s ", SIGNER_SK);
  n += wr_base64_encode(line + n, sk.blob.data, sk.blob.len, true);
  kg_write("user.pub", line, n);
  CERTIFY("ca", "-I", "id", "-n", "alice");
  eq_slice(cert.type, WR_CERT_SK_ED25519);
  EQ_MEM(cert.key, cert.key_len, sk.blob.data, sk.blob.len);
  eq_principals("alice,");
  EQ_INT(wr_cert_verify(&cert), 0);
  signer_fini(&sk);
}

TEST(principals_are_compared_as_they_are) {
  KG_NEEDED();
  need_pair();
  CERTIFY("ca", "-I", "id", "-n", "alice,*.example");
  CHECK(wr_cert_has_principal(&cert, (wr_slice){(const uint8_t *)"alice", 5}));
  CHECK(!wr_cert_has_principal(&cert, (wr_slice){(const uint8_t *)"alic", 4}));
  CHECK(!wr_cert_has_principal(&cert, (wr_slice){(const uint8_t *)"Alice", 5}));
  CHECK(!wr_cert_has_principal(&cert,
                               (wr_slice){(const uint8_t *)"a.example", 9}));
  CHECK(!wr_cert_has_principal(&cert, (wr_slice){(const uint8_t *)"", 0}));
}

static wr_cert_opts read_opts(void) {
  wr_cert_opts o = {.force_command = true};
  EQ_INT(wr_cert_read_opts(&cert, &o), 0);
  return o;
}

TEST(options_of_ssh_keygen_are_read) {
  KG_NEEDED();
  need_pair();
  CERTIFY("ca", "-I", "id");
  wr_cert_opts o = read_opts();
  CHECK(o.source_address.data == NULL);
  CHECK(o.port_forwarding && !o.force_command);
  CHECK(!o.verify_required && !o.no_touch_required);
  CERTIFY("ca", "-I", "id", "-O", "clear");
  CHECK(!read_opts().port_forwarding);
  CERTIFY("ca", "-I", "id", "-O", "no-port-forwarding");
  CHECK(!read_opts().port_forwarding);
  CERTIFY("ca", "-I", "id", "-O", "clear", "-O", "permit-port-forwarding", "-O",
          "force-command=run this", "-O", "source-address=10.0.0.0/8,::1", "-O",
          "verify-required", "-O", "no-touch-required", "-O",
          "extension:other@example.com=text", "-O", "extension:flag");
  o = read_opts();
  eq_slice(o.source_address, "10.0.0.0/8,::1");
  CHECK(o.port_forwarding && o.force_command);
  CHECK(o.verify_required && o.no_touch_required);
  EQ_INT(wr_cert_verify(&cert), 0);
}

TEST(critical_options_that_are_not_known_refuse) {
  static const char *const options[] = {
      "critical:other@example.com", "critical:other@example.com=x",
      "critical:permit-port-forwarding", "critical:Force-Command=x",
      "critical:verify-required=x"};
  wr_cert_opts o;
  KG_NEEDED();
  need_pair();
  for (size_t i = 0; i < WR_COUNTOF(options); i++) {
    CERTIFY("ca", "-I", "id", "-O", options[i]);
    EQ_INT(wr_cert_read_opts(&cert, &o), WR_EKEY_OPTIONS);
    EQ_INT(wr_cert_verify(&cert), 0);
  }
}

TEST(hosts_have_no_options) {
  wr_cert_opts o;
  made.kind = WR_CERT_HOST;
  expect_good();
  EQ_INT(wr_cert_read_opts(&cert, &o), WR_EKEY_OPTIONS);
}

/* Every byte with one of its bits, every length, and a byte too many. */
static void spoil(void) {
  CHECK(is_good(blob.data, blob.len));
  for (size_t i = 0; i < blob.len; i++) {
    uint8_t mask = (uint8_t)(1U << i % 8);
    blob.data[i] ^= mask;
    if (!CHECK(!is_good(blob.data, blob.len))) {
      DIAG("byte %zu", i);
    }
    blob.data[i] ^= mask;
  }
  for (size_t n = 0; n < blob.len; n++) {
    bool verified;
    CHECK(parse_bytes(blob.data, n, &verified) == WR_EKEY_FORMAT);
  }
  append(&blob, "", 1);
  EQ_INT(parse(), WR_EKEY_FORMAT);
}

TEST(every_changed_byte_and_every_other_length_is_refused) {
  KG_NEEDED();
  need_pair();
  CERTIFY("ca", "-I", "id", "-n", "a,b", "-O", "force-command=x", "-O",
          "extension:other@example.com=text");
  spoil();
  keygen("ca2", "ecdsa", "521");
  CERTIFY("ca2", "-h", "-I", "id", "-n", "host");
  spoil();
}

/* Among them every length there is. */
TEST(lengths_beyond_the_end_are_refused) {
  static const uint32_t lengths[] = {UINT32_MAX, UINT32_MAX - 3, 0x80000000,
                                     0x7fffffff, 0x10000};
  make();
  for (size_t i = 0; i + 4 <= blob.len; i++) {
    for (size_t k = 0; k < WR_COUNTOF(lengths); k++) {
      uint32_t was = wr_get_u32(blob.data + i);
      wr_put_u32(blob.data + i, lengths[k]);
      CHECK(was == lengths[k] || !is_good(blob.data, blob.len));
      wr_put_u32(blob.data + i, was);
    }
  }
  CHECK(is_good(blob.data, blob.len));
}

TEST(other_types_are_told_apart) {
  static const char *const others[] = {
      ED25519,
      SIGNER_SK,
      "ssh-rsa-cert-v01@openssh.com",
      "ecdsa-sha2-nistp256-cert-v01@openssh.com",
      "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
      "ssh-ed25519-cert-v00@openssh.com",
      "",
  };
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    made.type = others[i];
    make();
    EQ_INT(parse(), WR_EKEY_TYPE);
    CHECK(wr_cert_type((wr_slice){(const uint8_t *)others[i],
                                  strlen(others[i])}) == (i >= 2 && i <= 4));
  }
  EQ_INT(wr_cert_parse(signer_slice(&ca.blob), &cert), WR_EKEY_TYPE);
  EQ_INT(wr_cert_parse((wr_slice){NULL, 0}, &cert), WR_EKEY_FORMAT);
  CHECK(!wr_cert_type((wr_slice){NULL, 0}));
  CHECK(
      !wr_cert_type((wr_slice){(const uint8_t *)"-cert-v01@openssh.com", 21}));
}

TEST(certificates_are_of_users_or_hosts) {
  static const uint32_t others[] = {0, 3, 0x101, 0x80000001, UINT32_MAX};
  for (made.kind = 1; made.kind <= 2; made.kind++) {
    expect_good();
    EQ_INT(cert.kind, made.kind);
  }
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    made.kind = others[i];
    expect_bad();
  }
}

TEST(certified_keys_have_one_size) {
  static const uint8_t pub[33] = {9};
  for (size_t n = 31; n <= 33; n += 2) {
    clear(&made.key);
    put(&made.key, pub, n);
    expect_bad();
  }
}

TEST(security_keys_are_certified_with_their_application) {
  static const char application[WR_CERT_KEY_MAX] = "ssh:";
  wr_buf plain;
  wr_buf_init(&plain, &mem, MAX_BLOB);
  put_text(&plain, SIGNER_SK);
  use_key(WR_CERT_SK_ED25519);
  append(&plain, made.key.data, made.key.len);
  expect_bad();
  put_text(&made.key, application);
  put_text(&plain, application);
  expect_good();
  eq_slice(cert.type, WR_CERT_SK_ED25519);
  EQ_MEM(cert.key, cert.key_len, plain.data, plain.len);
  wr_buf_reset(&plain);
  use_key(WR_CERT_SK_ED25519);
  put(&made.key, application, 5);
  expect_malformed();
  /* Not without one, and no plain key with one. */
  use_key(WR_CERT_ED25519);
  put_text(&made.key, application);
  expect_bad();
}

TEST(the_certified_key_is_bounded) {
  static char application[WR_CERT_KEY_MAX];
  size_t most = WR_CERT_KEY_MAX - 3 * 4 - strlen(SIGNER_SK) - 32;
  memset(application, 'x', sizeof(application));
  use_key(WR_CERT_SK_ED25519);
  put(&made.key, application, most);
  expect_good();
  EQ_UINT(cert.key_len, WR_CERT_KEY_MAX);
  use_key(WR_CERT_SK_ED25519);
  put(&made.key, application, most + 1);
  expect_malformed();
}

TEST(the_reserved_field_may_hold_anything) {
  append(&made.reserved, "\0anything", 9);
  expect_good();
}

TEST(certificates_are_bounded) {
  static uint8_t filler[WR_CERT_BLOB_MAX];
  make();
  append(&made.reserved, filler, WR_CERT_BLOB_MAX - blob.len);
  make();
  EQ_UINT(blob.len, WR_CERT_BLOB_MAX);
  CHECK(is_good(blob.data, blob.len));
  append(&made.reserved, filler, 1);
  expect_malformed();
}

TEST(there_are_at_most_256_principals) {
  clear(&made.principals);
  for (int i = 0; i < WR_CERT_PRINCIPALS_MAX; i++) {
    char name[16];
    snprintf(name, sizeof(name), "p%d", i);
    put_text(&made.principals, name);
  }
  expect_good();
  CHECK(wr_cert_has_principal(&cert, (wr_slice){(const uint8_t *)"p255", 4}));
  put_text(&made.principals, "p256");
  expect_bad();
}

/* A list that ends within a string, or whose last length is far too large. */
static void spoil_list(wr_buf *list) {
  static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'x'};
  size_t len = list->len;
  append(list, huge, sizeof(huge));
  expect_bad();
  list->len = len;
  append(list, "", 1);
  expect_bad();
  list->len = len;
}

TEST(lists_end_where_their_strings_do) {
  spoil_list(&made.principals);
  spoil_list(&made.critical);
  spoil_list(&made.extensions);
  expect_good();
}

TEST(options_are_pairs) {
  put_text(&made.critical, "a");
  expect_bad();
  put_text(&made.critical, "b");
  expect_good();
  put_text(&made.extensions, "a");
  put_text(&made.extensions, "b");
  put_text(&made.extensions, "c");
  expect_bad();
}

/* OpenSSH lets a zero byte pass at the very end of a text. */
TEST(names_have_no_zero_bytes) {
  for (size_t len = 1; len <= 3; len++) {
    clear(&made.key_id);
    append(&made.key_id, "a\0b", len);
    clear(&made.principals);
    put(&made.principals, "a", 1);
    len == 1 ? expect_good() : expect_malformed();
    clear(&made.key_id);
    clear(&made.principals);
    put(&made.principals, "a\0b", len);
    len == 1 ? expect_good() : expect_malformed();
    clear(&made.principals);
    put(&made.extensions, "a\0b", len);
    put_text(&made.extensions, "x");
    len == 1 ? expect_good() : expect_malformed();
    clear(&made.extensions);
    put(&made.critical, "a\0b", len);
    put_text(&made.critical, "x");
    len == 1 ? expect_good() : expect_malformed();
    clear(&made.critical);
  }
}

TEST(a_certificate_is_no_authority) {
  expect_good();
  clear(&made.authority);
  append(&made.authority, blob.data, blob.len);
  expect_bad();
}

TEST(authorities_are_whole_keys) {
  clear(&made.authority);
  expect_bad();
  append(&made.authority, ca.blob.data, ca.blob.len - 1);
  expect_bad();
  clear(&made.authority);
  append(&made.authority, ca.blob.data, ca.blob.len);
  append(&made.authority, "", 1);
  expect_bad();
  use_authority(P256);
  expect_good();
  made.authority.data[made.authority.len - 1] ^= 1;
  expect_bad();
  made.authority.data[made.authority.len - 1] ^= 1;
  made.authority.data[4] ^= 1;
  expect_bad();
}

TEST(signatures_are_by_the_authority_that_is_named) {
  signer other;
  signer_init(&other, &mem, ED25519);
  clear(&made.authority);
  append(&made.authority, other.blob.data, other.blob.len);
  expect_unverified();
  CHECK(!kg_present() || !openssh_takes());
  signer_fini(&other);
}

TEST(signatures_are_of_an_algorithm_of_the_authority) {
  static const char *const algorithms[] = {"rsa-sha2-256", "rsa-sha2-512"};
  use_authority("rsa-sha2-256");
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    made.algorithm = algorithms[i];
    expect_good();
  }
  made.algorithm = "ssh-rsa";
  expect_unverified();
  made.algorithm = "rsa-sha2-512-cert-v01@openssh.com";
  expect_unverified();
  use_authority(P256);
  made.algorithm = "ecdsa-sha2-nistp384";
  expect_unverified();
  use_authority(ED25519);
  made.algorithm = SIGNER_SK;
  expect_unverified();
}

TEST(security_keys_may_be_authorities) {
  use_authority(SIGNER_SK);
  expect_good();
}

/* How the options are read if these are all there are. */
static int opts_of(wr_buf *section, wr_cert_opts *o) {
  make();
  MUST(parse() == 0);
  EQ_INT(wr_cert_verify(&cert), 0);
  int err = wr_cert_read_opts(&cert, o);
  if (err == 0) {
    CHECK(openssh_takes());
  }
  clear(section);
  return err;
}

static void put_option(wr_buf *section, const char *name, const void *value,
                       size_t len) {
  put_text(section, name);
  put(section, value, len);
}

TEST(values_are_one_string_or_nothing) {
  static const struct {
    const char *name, *value;
    size_t len;
    bool fine;
  } criticals[] = {
      {"force-command", "\0\0\0\2ls", 6, true},
      {"force-command", "\0\0\0\0", 4, true},
      {"force-command", "\0\0\0\2ls.", 7, false},
      {"force-command", "\0\0\0\3ls", 6, false},
      {"force-command", "\0\0\0\3l\0s", 7, false},
      {"force-command", "ls", 2, false},
      {"force-command", "", 0, false},
      {"source-address", "\0\0\0\3::1", 7, true},
      {"source-address", "\0\0\0\3::1.", 8, false},
      {"source-address", "\0\0\0\4::1\0", 8, false},
      {"source-address", "\xff\xff\xff\xff::1", 7, false},
      {"source-address", "", 0, false},
      {"verify-required", "", 0, true},
      {"verify-required", "\0\0\0\0", 4, false},
      {"verify-required ", "", 0, false},
      {"", "", 0, false},
      {"no-touch-required", "", 0, false},
      {"permit-pty", "", 0, false},
  };
  for (size_t i = 0; i < WR_COUNTOF(criticals); i++) {
    wr_cert_opts o;
    put_option(&made.critical, criticals[i].name, criticals[i].value,
               criticals[i].len);
    if (!EQ_INT(opts_of(&made.critical, &o),
                criticals[i].fine ? 0 : WR_EKEY_OPTIONS)) {
      DIAG("line %zu: %s", i, criticals[i].name);
    }
  }
}

TEST(known_extensions_are_empty_and_others_are_ignored) {
  static const char *const known[] = {"no-touch-required",
                                      "permit-X11-forwarding",
                                      "permit-agent-forwarding",
                                      "permit-port-forwarding",
                                      "permit-pty",
                                      "permit-user-rc"};
  static const char *const others[] = {"permit-x11-forwarding",
                                       "verify-required",
                                       "force-command",
                                       "source-address",
                                       "",
                                       "login@example.com"};
  wr_cert_opts o;
  for (size_t i = 0; i < WR_COUNTOF(known); i++) {
    put_option(&made.extensions, known[i], "", 0);
    put_option(&made.extensions, known[i], "", 0);
    EQ_INT(opts_of(&made.extensions, &o), 0);
    EQ_INT(o.port_forwarding, i == 3);
    EQ_INT(o.no_touch_required, i == 0);
    put_option(&made.extensions, known[i], "x", 1);
    EQ_INT(opts_of(&made.extensions, &o), WR_EKEY_OPTIONS);
  }
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    put_option(&made.extensions, others[i], "x", 1);
    EQ_INT(opts_of(&made.extensions, &o), 0);
    CHECK(!o.force_command && !o.verify_required && !o.port_forwarding &&
          o.source_address.data == NULL);
  }
}

TEST(restrictions_with_a_value_come_once) {
  static const struct {
    const char *first, *second;
    bool fine;
  } pairs[] = {
      {"force-command", "force-command", false},
      {"source-address", "source-address", false},
      {"force-command", "source-address", true},
      {"source-address", "force-command", true},
  };
  wr_cert_opts o;
  for (size_t i = 0; i < WR_COUNTOF(pairs); i++) {
    put_option(&made.critical, pairs[i].first, "\0\0\0\0", 4);
    put_option(&made.critical, pairs[i].second, "\0\0\0\0", 4);
    EQ_INT(opts_of(&made.critical, &o), pairs[i].fine ? 0 : WR_EKEY_OPTIONS);
  }
  CHECK(o.force_command);
  CHECK(o.source_address.data != NULL && o.source_address.len == 0);
  put_option(&made.critical, "verify-required", "", 0);
  put_option(&made.critical, "verify-required", "", 0);
  EQ_INT(opts_of(&made.critical, &o), 0);
  CHECK(o.verify_required);
}

/* A refusal after a good option must leave nothing behind. */
TEST(options_are_written_on_success_only) {
  wr_cert_opts o = {0};
  put_option(&made.critical, "verify-required", "", 0);
  put_option(&made.critical, "other", "", 0);
  EQ_INT(opts_of(&made.critical, &o), WR_EKEY_OPTIONS);
  CHECK(!o.verify_required);
}

TAP_MAIN_WITH(set_up, tear_down)
