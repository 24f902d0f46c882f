/* authorized_keys: plain Ed25519 lines, and a clear refusal of all others. */
#include "base/errors.h"
#include "base/wire.h"
#include "ssh/authkeys.h"
#include "ssh_keygen.h"

#define A "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define B "AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp01bfryczJgs9sSWjM0MxfVUEvRm"
#define KEY_A "ssh-ed25519 " A
#define KEY_B "ssh-ed25519 " B
#define RSA "AAAAB3NzaC1yc2EAAAADAQABAAAAAQE="

static wr_mem mem;

static void set_up(void) {
  wr_mem_init(&mem);
  kg_set_up();
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

static int parse(const char *text, size_t len, wr_authkeys **keys,
                 size_t *line) {
  char *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, text, len);
  int err = wr_authkeys_parse(&mem, 42, copy, len, keys, line);
  free(copy);
  return err;
}

static int has(const wr_authkeys *keys, const char *line) {
  wr_buf blob;
  wr_buf_init(&blob, &mem, 4096);
  MUST(wr_blob_parse_line(line, strlen(line), &blob) == 0);
  int found = wr_authkeys_has(keys, (wr_slice){blob.data, blob.len});
  /* Only the whole blob counts. */
  CHECK(!wr_authkeys_has(keys, (wr_slice){blob.data, blob.len - 1}));
  CHECK(!wr_authkeys_has(keys, (wr_slice){blob.data + 1, blob.len - 1}));
  CHECK(!wr_authkeys_has(keys, (wr_slice){NULL, 0}));
  wr_buf_reset(&blob);
  return found;
}

static void check_good(const char *text, size_t count, int a, int b) {
  wr_authkeys *keys = NULL;
  size_t line = 99;
  if (!EQ_INT(parse(text, strlen(text), &keys, &line), 0)) {
    DIAG("line %zu of: %s", line, text);
    return;
  }
  EQ_UINT(wr_authkeys_count(keys), count);
  EQ_INT(has(keys, KEY_A), a);
  EQ_INT(has(keys, KEY_B), b);
  wr_authkeys_free(keys);
}

static void check_bad(const char *text, size_t len, int want, size_t at) {
  wr_authkeys *keys = NULL;
  size_t line = 99;
  int err = parse(text, len, &keys, &line);
  int fine = EQ_INT(err, want);
  fine &= EQ_UINT(line, at);
  CHECK(keys == NULL);
  if (!fine) {
    DIAG("in: %s", text);
    wr_authkeys_free(keys);
  }
}

TEST(plain_lines_are_read) {
  check_good("", 0, 0, 0);
  check_good("\n\r\n \t \n", 0, 0, 0);
  check_good("# " KEY_A "\n  # x\n#", 0, 0, 0);
  check_good(KEY_A, 1, 1, 0);
  check_good(KEY_A "\n", 1, 1, 0);
  check_good(KEY_A "\r\n" KEY_B " me\r\n", 2, 1, 1);
  check_good("  \tssh-ed25519\t" B "\tme \"and\\ you, ssh-rsa #\n", 1, 0, 1);
  check_good("ssh-ed25519  \t " A "  \n", 1, 1, 0);
  check_good("\xef\xbb\xbf" KEY_A "\n", 1, 1, 0);
  check_good(KEY_A "\n" KEY_A " again\n\n" KEY_B "\n", 2, 1, 1);
  check_good(KEY_A " \x1b[31m\xff\x01\n", 1, 1, 0);
  wr_authkeys_free(NULL);
}

#define BAD(text, err, line) check_bad(text, sizeof(text) - 1, err, line)

TEST(options_are_refused_with_their_line) {
  BAD(KEY_A "\n#\n\nrestrict " KEY_B "\n", WR_EKEY_OPTIONS, 4);
  BAD("no-pty,from=\"10.0.0.0/8\" " KEY_A "\n", WR_EKEY_OPTIONS, 1);
  BAD("command=\"echo \\\"a b\\\" c\" " KEY_A, WR_EKEY_OPTIONS, 1);
  BAD("\n permitopen=\"a:1\"\t" KEY_A "\r\n", WR_EKEY_OPTIONS, 2);
  BAD("restrict ssh-rsa " RSA "\n", WR_EKEY_OPTIONS, 1);
  BAD("cert-authority " KEY_A, WR_EKEY_OPTIONS, 1);
  BAD("anything " KEY_A, WR_EKEY_OPTIONS, 1);
}

TEST(other_types_are_refused_with_their_line) {
  BAD("ssh-rsa " RSA " x", WR_EKEY_TYPE, 1);
  BAD("ssh-dss AAAA", WR_EKEY_TYPE, 1);
  BAD(KEY_A "\necdsa-sha2-nistp256 AAAA\n", WR_EKEY_TYPE, 2);
  BAD("ecdsa-sha2-nistp384 AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ecdsa-sha2-nistp521 AAAA\n", WR_EKEY_TYPE, 1);
  BAD("sk-ssh-ed25519@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("sk-ecdsa-sha2-nistp256@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ssh-ed25519-cert-v01@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ssh-rsa-cert-v01@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
}

TEST(garbage_is_refused_with_its_line) {
  BAD("x", WR_EKEY_FORMAT, 1);
  BAD(A, WR_EKEY_FORMAT, 1);
  BAD(KEY_A "\n" B "\n", WR_EKEY_FORMAT, 2);
  BAD("ssh-ed25519", WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 ", WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519x " A, WR_EKEY_FORMAT, 1);
  BAD("SSH-ED25519 " A, WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 ssh-ed25519 " A, WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 " RSA, WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA==", WR_EKEY_FORMAT, 1);
  BAD(KEY_A "AAAA", WR_EKEY_FORMAT, 1);
  BAD("command=\"open " KEY_A, WR_EKEY_FORMAT, 1);
  BAD("restrict", WR_EKEY_FORMAT, 1);
  BAD("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", WR_EKEY_FORMAT, 1);
  /* An old Mac's line ends would hide keys in a comment. */
  BAD("ssh-ed25519\r" A, WR_EKEY_FORMAT, 1);
}

TEST(nul_bytes_are_refused_wherever_they_are) {
  BAD("\0", WR_EKEY_FORMAT, 1);
  BAD("# a\n#\0\n" KEY_A, WR_EKEY_FORMAT, 2);
  BAD(KEY_A " com\0ment\n", WR_EKEY_FORMAT, 1);
  BAD(KEY_A "\0", WR_EKEY_FORMAT, 1);
  BAD("s\0s\0h\0", WR_EKEY_FORMAT, 1);
}

TEST(every_truncation_of_a_line_is_refused) {
  static const char line[] = KEY_A;
  for (size_t i = 1; i < sizeof(line) - 1; i++) {
    wr_authkeys *keys = NULL;
    size_t at = 0;
    if (!CHECK(parse(line, i, &keys, &at) == WR_EKEY_FORMAT)) {
      DIAG("cut at %zu", i);
      wr_authkeys_free(keys);
    }
  }
}

TEST(a_file_that_is_too_large_is_refused) {
  size_t n = WR_AUTHKEYS_FILE_MAX + 1;
  char *big = malloc(n);
  wr_authkeys *keys = NULL;
  size_t line = 99;
  MUST(big != NULL);
  memset(big, '\n', n);
  EQ_INT(wr_authkeys_parse(&mem, 1, big, n, &keys, &line), WR_EKEY_FORMAT);
  EQ_UINT(line, 0);
  EQ_INT(wr_authkeys_parse(&mem, 1, big, n - 1, &keys, &line), 0);
  wr_authkeys_free(keys);
  free(big);
}

static size_t put_line(char *dst, const uint8_t blob[51]) {
  memcpy(dst, "ssh-ed25519 ", 12);
  size_t n = 12 + wr_base64_encode(dst + 12, blob, 51, true);
  dst[n] = '\n';
  return n + 1;
}

TEST(many_keys) {
  enum { COUNT = 5000 };
  char *all = malloc(COUNT * 100);
  size_t n = 0;
  wr_authkeys *keys = NULL;
  size_t line = 0;
  uint8_t blob[51];
  MUST(all != NULL);
  memcpy(blob, "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);
  memset(blob + 19, 0, 32);
  for (unsigned i = 0; i < COUNT; i++) {
    memcpy(blob + 19, &i, sizeof(i));
    n += put_line(all + n, blob);
  }
  EQ_INT(parse(all, n, &keys, &line), 0);
  EQ_UINT(wr_authkeys_count(keys), COUNT);
  for (unsigned i = 0; i < COUNT + 1; i++) {
    memcpy(blob + 19, &i, sizeof(i));
    CHECK(wr_authkeys_has(keys, (wr_slice){blob, 51}) == (i < COUNT));
  }
  wr_authkeys_free(keys);
  free(all);
}

TEST(lines_of_ssh_keygen_are_read) {
  char text[4096];
  wr_authkeys *keys = NULL;
  size_t line = 0;
  KG_NEEDED();
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me, myself",
              "-f", kg_path("k")) == 0);
  size_t n = kg_read("k.pub", text, sizeof(text));
  EQ_INT(parse(text, n, &keys, &line), 0);
  EQ_UINT(wr_authkeys_count(keys), 1);
  EQ_INT(has(keys, text), 1);
  EQ_INT(has(keys, KEY_A), 0);
  wr_authkeys_free(keys);
  MUST(KG_RUN("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f",
              kg_path("e")) == 0);
  n = kg_read("e.pub", text, sizeof(text));
  EQ_INT(parse(text, n, &keys, &line), WR_EKEY_TYPE);
}

TEST(running_out_of_memory_is_reported) {
  static const char text[] = KEY_A "\n" KEY_B "\n";
  for (uint64_t at = 1; at < 50; at++) {
    wr_authkeys *keys = NULL;
    size_t line = 99;
    mem.fail_at = mem.total + at;
    int err = parse(text, sizeof(text) - 1, &keys, &line);
    mem.fail_at = 0;
    if (err == 0) {
      CHECK(at > 4);
      wr_authkeys_free(keys);
      return;
    }
    EQ_INT(err, WR_ENOMEM);
    EQ_UINT(line, 0);
    EQ_UINT(mem.live_blocks, 0);
  }
  FAIL("it never worked");
}

TAP_MAIN_WITH(set_up, tear_down)
