/* Who may come in: keys, authorities and revocations as one. The certificates
   are made by the real ssh-keygen. */
#include "base/errors.h"
#include "ssh/trust.h"
#include "ssh/verify.h"
#include "ssh_keygen.h"

#define NOW UINT64_C(1780394400) /* 2026-06-02 10:00:00 UTC */
#define TEXT_MAX 4096

static wr_mem mem;
static wr_trust *trust;
static wr_buf key; /* the blob that logs in */

static void set_up(void) {
  wr_mem_init(&mem);
  wr_buf_init(&key, &mem, WR_CERT_BLOB_MAX);
  trust = wr_trust_new(&mem, 7);
  MUST(trust != NULL);
  kg_set_up();
}

static void tear_down(void) {
  wr_trust_unref(trust);
  wr_buf_reset(&key);
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

static void make_key(const char *file) {
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f",
              kg_path(file)) == 0);
}

/* ssh-keygen -s CA … ID.pub → ID-cert.pub, valid on that day. */
static void sign(const char *ca, const char *names, const char *option) {
  MUST(KG_RUN("ssh-keygen", "-q", "-s", kg_path(ca), "-I", "somebody", "-z",
              "7", "-V", "20260602Z:20260603Z", "-O", option, "-n", names,
              kg_path("id.pub")) == 0);
}

static const char *read_text(const char *file) {
  static char text[TEXT_MAX];
  MUST(kg_read(file, text, sizeof(text)) > 0);
  return text;
}

/* What logs in from here on. */
static void use(const char *file) {
  const char *text = read_text(file);
  wr_buf_consume(&key, key.len);
  MUST(wr_blob_parse_line(text, strlen(text), &key) == 0);
}

/* One line: options in front of the key in a file. */
static void add(wr_authkeys_kind kind, const char *options, const char *file) {
  char line[2 * TEXT_MAX];
  wr_authkeys_error error;
  snprintf(line, sizeof(line), "%s%s%s", options, options[0] == '\0' ? "" : " ",
           read_text(file));
  int err = wr_trust_add_keys(trust, kind, file, line, strlen(line), &error);
  if (!EQ_INT(err, 0)) {
    DIAG("%s", error.why == NULL ? "" : error.why);
  }
}

static wr_login login(const char *user) {
  return (wr_login){.user = user,
                    .blob = {key.data, key.len},
                    .address = "203.0.113.50",
                    .now_s = NOW,
                    .proved = true};
}

static void check_at(const char *user, const char *address, uint64_t now_s,
                     wr_trust_reason want) {
  wr_decision d;
  wr_login l = login(user);
  l.address = address;
  l.now_s = now_s;
  wr_trust_judge(trust, &l, &d);
  EQ_STR(wr_trust_reason_token(d.reason), wr_trust_reason_token(want));
}

static void check(const char *user, wr_trust_reason want) {
  check_at(user, "203.0.113.50", NOW, want);
}

TEST(nobody_is_trusted_at_first) {
  KG_NEEDED();
  make_key("id");
  make_key("ca");
  sign("ca", "root", "permit-pty");
  use("id.pub");
  check("root", WR_TRUST_UNKNOWN_KEY);
  use("id-cert.pub");
  check("root", WR_TRUST_UNKNOWN_AUTHORITY);
}

TEST(a_plain_key_and_its_limits) {
  KG_NEEDED();
  wr_decision d;
  make_key("id");
  use("id.pub");
  add(WR_AUTHKEYS_USERS, "from=\"192.0.2.1\"", "id.pub");
  check("anybody", WR_TRUST_FROM);
  check_at("anybody", "192.0.2.1", NOW, WR_TRUST_ACCEPT);
  check_at("anybody", "", NOW, WR_TRUST_FROM);
  add(WR_AUTHKEYS_USERS, "expiry-time=\"20260602110000Z\",restrict", "id.pub");
  wr_login l = login("anybody");
  wr_trust_judge(trust, &l, &d);
  EQ_INT(d.reason, WR_TRUST_ACCEPT);
  CHECK(!d.port_forwarding && !d.is_cert);
  EQ_UINT(d.expires_s, NOW + 3600 + 1);
  EQ_STR(d.line->file, "id.pub");
  EQ_UINT(d.line->number, 1);
  /* The first line that fits decides. */
  check_at("anybody", "192.0.2.1", NOW + 3601, WR_TRUST_ACCEPT);
  check_at("anybody", "203.0.113.50", NOW + 3600, WR_TRUST_ACCEPT);
  /* Refused by both: the first says why. */
  check_at("anybody", "203.0.113.50", NOW + 3601, WR_TRUST_FROM);
}

TEST(an_authority_for_every_user) {
  KG_NEEDED();
  wr_decision d;
  make_key("id");
  make_key("ca");
  sign("ca", "root,deploy", "permit-pty");
  add(WR_AUTHKEYS_AUTHORITIES, "", "ca.pub");
  use("id-cert.pub");
  check("root", WR_TRUST_ACCEPT);
  check("deploy", WR_TRUST_ACCEPT);
  check("Root", WR_TRUST_CERT_PRINCIPAL);
  check("", WR_TRUST_CERT_PRINCIPAL);
  check_at("root", "", 1780358400 - 1, WR_TRUST_CERT_NOT_YET_VALID);
  check_at("root", "", 1780358400, WR_TRUST_ACCEPT);
  check_at("root", "", 1780444800 - 1, WR_TRUST_ACCEPT);
  check_at("root", "", 1780444800, WR_TRUST_CERT_EXPIRED);
  wr_login l = login("root");
  wr_trust_judge(trust, &l, &d);
  CHECK(d.is_cert && d.port_forwarding);
  EQ_UINT(d.expires_s, 1780444800);
  EQ_UINT(d.cert.serial, 7);
  use("id.pub");
  check("root", WR_TRUST_UNKNOWN_KEY); /* without its certificate */
  use("ca.pub");
  check("root", WR_TRUST_UNKNOWN_KEY); /* who signs does not log in */
}

TEST(options_of_a_certificate) {
  static const struct {
    const char *option;
    wr_trust_reason want;
  } cases[] = {
      {"permit-pty", WR_TRUST_ACCEPT},
      {"source-address=203.0.113.0/24,::1", WR_TRUST_ACCEPT},
      {"source-address=192.0.2.0/24", WR_TRUST_CERT_SOURCE_ADDRESS},
      {"force-command=true", WR_TRUST_CERT_FORCE_COMMAND},
      {"critical:nobody@example.com=x", WR_TRUST_CERT_OPTION},
      {"extension:nobody@example.com=x", WR_TRUST_ACCEPT},
  };
  KG_NEEDED();
  make_key("id");
  make_key("ca");
  add(WR_AUTHKEYS_AUTHORITIES, "", "ca.pub");
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    sign("ca", "root", cases[i].option);
    use("id-cert.pub");
    DIAG("%s", cases[i].option);
    check("root", cases[i].want);
  }
}

TEST(a_certificate_without_permit_port_forwarding) {
  KG_NEEDED();
  wr_decision d;
  make_key("id");
  make_key("ca");
  add(WR_AUTHKEYS_AUTHORITIES, "", "ca.pub");
  sign("ca", "root", "no-port-forwarding");
  use("id-cert.pub");
  wr_login l = login("root");
  wr_trust_judge(trust, &l, &d);
  EQ_INT(d.reason, WR_TRUST_ACCEPT);
  CHECK(!d.port_forwarding);
}

TEST(authority_lines_and_their_principals) {
  KG_NEEDED();
  wr_decision d;
  make_key("id");
  make_key("ca");
  make_key("other");
  sign("ca", "ops,dev", "permit-pty");
  add(WR_AUTHKEYS_USERS, "cert-authority,from=\"192.0.2.1\"", "ca.pub");
  use("id-cert.pub");
  check("ops", WR_TRUST_FROM);
  check_at("ops", "192.0.2.1", NOW, WR_TRUST_ACCEPT);
  check_at("root", "192.0.2.1", NOW, WR_TRUST_CERT_PRINCIPAL);
  add(WR_AUTHKEYS_USERS, "cert-authority,restrict,principals=\"x,dev\"",
      "ca.pub");
  wr_login l = login("anybody");
  wr_trust_judge(trust, &l, &d);
  EQ_INT(d.reason, WR_TRUST_ACCEPT);
  CHECK(!d.port_forwarding);
  /* The lines of authorized_keys come first, as in sshd. */
  add(WR_AUTHKEYS_AUTHORITIES, "", "ca.pub");
  l.user = "ops";
  wr_trust_judge(trust, &l, &d);
  CHECK(d.reason == WR_TRUST_ACCEPT && !d.port_forwarding);
  sign("other", "ops", "permit-pty");
  use("id-cert.pub");
  check("ops", WR_TRUST_UNKNOWN_AUTHORITY);
  sign("ca", "ops", "permit-pty");
  use("id-cert.pub");
  check("ops", WR_TRUST_ACCEPT);
  use("ca.pub");
  check("ops", WR_TRUST_UNKNOWN_KEY);
}

TEST(certificates_without_principals_and_of_hosts) {
  KG_NEEDED();
  make_key("id");
  make_key("ca");
  add(WR_AUTHKEYS_USERS, "cert-authority", "ca.pub");
  MUST(KG_RUN("ssh-keygen", "-q", "-s", kg_path("ca"), "-I", "x",
              kg_path("id.pub")) == 0);
  use("id-cert.pub");
  check("root", WR_TRUST_CERT_NO_PRINCIPALS);
  MUST(KG_RUN("ssh-keygen", "-q", "-s", kg_path("ca"), "-h", "-I", "x", "-n",
              "root", kg_path("id.pub")) == 0);
  use("id-cert.pub");
  check("root", WR_TRUST_CERT_TYPE);
  key.data[key.len - 1] ^= 1;
  check("root", WR_TRUST_CERT_SIGNATURE);
  key.len--;
  check("root", WR_TRUST_REVOKED); /* cannot be taken apart */
}

TEST(revoked_keys_authorities_and_certificates) {
  KG_NEEDED();
  size_t line;
  make_key("id");
  make_key("ca");
  sign("ca", "root", "permit-pty");
  add(WR_AUTHKEYS_AUTHORITIES, "", "ca.pub");
  add(WR_AUTHKEYS_USERS, "", "id.pub");
  use("id-cert.pub");
  check("root", WR_TRUST_ACCEPT);
  kg_write("spec", "serial: 7\n", 10);
  MUST(KG_RUN("ssh-keygen", "-q", "-k", "-f", kg_path("krl"), "-s",
              kg_path("ca.pub"), kg_path("spec")) == 0);
  char krl[TEXT_MAX];
  size_t len = kg_read("krl", krl, sizeof(krl));
  EQ_INT(wr_trust_add_revoked(trust, krl, len, &line), 0);
  check("root", WR_TRUST_REVOKED);
  use("id.pub");
  check("root", WR_TRUST_ACCEPT);
  const char *text = read_text("id.pub");
  EQ_INT(wr_trust_add_revoked(trust, text, strlen(text), &line), 0);
  check("root", WR_TRUST_REVOKED);
}

TEST(references_are_counted) {
  wr_trust *other = wr_trust_ref(trust);
  wr_trust_unref(trust);
  EQ_UINT(wr_trust_count(other), 0);
  trust = other;
}

TEST(memory_runs_out) {
  static const char text[] =
      "ssh-ed25519 "
      "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n";
  wr_authkeys_error error;
  int err = WR_ENOMEM;
  size_t before = mem.live_blocks;
  uint64_t n;
  for (n = 1; err != 0; n++) {
    mem.fail_at = mem.total + n;
    err = wr_trust_add_keys(trust, WR_AUTHKEYS_USERS, "f", text,
                            sizeof(text) - 1, &error);
    mem.fail_at = 0;
    if (err != 0) {
      EQ_INT(err, WR_ENOMEM);
      EQ_UINT(mem.live_blocks, before);
    }
  }
  CHECK(n > 3);
  EQ_UINT(wr_trust_count(trust), 1);
  mem.fail_at = mem.total + 1;
  CHECK(wr_trust_new(&mem, 1) == NULL);
  mem.fail_at = mem.total + 2;
  CHECK(wr_trust_new(&mem, 1) == NULL);
  mem.fail_at = 0;
}

TAP_MAIN_WITH(set_up, tear_down)
