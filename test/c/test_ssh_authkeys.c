/* authorized_keys and files of authorities: lines with keys and their limits, in
   the order of the file, and a clear refusal of all others. */
#include "base/errors.h"
#include "base/wire.h"
#include "ssh/authkeys.h"
#include "ssh_keygen.h"

#define A "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define B "AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp01bfryczJgs9sSWjM0MxfVUEvRm"
#define KEY_A "ssh-ed25519 " A
#define KEY_B "ssh-ed25519 " B

#define KEY_SK                                                                 \
  "sk-ssh-ed25519@openssh.com "                                                \
  "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkK"               \
  "CwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
#define KEY_RSA                                                                \
  "ssh-rsa "                                                                   \
  "AAAAB3NzaC1yc2EAAAADAQABAAAAgQDBAQgPFh0kKzI5QEdOVVxjanF4f4aN"               \
  "lJuiqbC3vsXM09rh6O/2/QQLEhkgJy41PENKUVhfZm10e4KJkJeepayzusHI"               \
  "z9bd5Ovy+QAHDhUcIyoxOD9GTVRbYmlwd36FjJOaoaivtr3Ey9LZ4Ofu9fwD"               \
  "ChEYHyYtNDtCSVBXXmVscw=="

static wr_mem mem;

static void set_up(void) {
  wr_mem_init(&mem);
  kg_set_up();
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

static int parse_as(wr_authkeys_kind kind, const char *text, size_t len,
                    wr_authkeys **keys, wr_authkeys_error *error) {
  char *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, text, len);
  int err = wr_authkeys_parse(&mem, 42, kind, "a file", copy, len, keys, error);
  free(copy);
  return err;
}

/* NULL: it was refused, which has failed the test. */
static wr_authkeys *good(wr_authkeys_kind kind, const char *text) {
  wr_authkeys *keys = NULL;
  wr_authkeys_error error = {99, "?"};
  if (!EQ_INT(parse_as(kind, text, strlen(text), &keys, &error), 0)) {
    DIAG("line %zu of: %s\n%s", error.line, text,
         error.why == NULL ? "" : error.why);
    return NULL;
  }
  EQ_UINT(error.line, 0);
  CHECK(error.why == NULL);
  return keys;
}

static wr_buf blob_of(const char *line) {
  wr_buf blob;
  wr_buf_init(&blob, &mem, 4096);
  MUST(wr_blob_parse_line(line, strlen(line), &blob) == 0);
  return blob;
}

/* How many lines there are for the key of a line; each is checked to be for
   it. Their numbers go to `numbers`. */
static size_t find_all(const wr_authkeys *keys, const char *key, bool authority,
                       size_t numbers[8]) {
  wr_buf b = blob_of(key);
  wr_slice blob = {b.data, b.len};
  size_t n = 0;
  const wr_keyline *line = wr_authkeys_find(keys, blob, authority, NULL);
  for (; line != NULL && n < 8; n++) {
    numbers[n] = line->number;
    EQ_STR(line->file, "a file");
    EQ_MEM(line->blob.data, line->blob.len, blob.data, blob.len);
    line = wr_authkeys_find(keys, blob, authority, line);
  }
  /* Only the whole blob counts. */
  const wr_slice others[] = {
      {blob.data, blob.len - 1}, {blob.data + 1, blob.len - 1}, {NULL, 0}};
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    CHECK(wr_authkeys_find(keys, others[i], authority, NULL) == NULL);
  }
  wr_buf_reset(&b);
  return n;
}

static size_t count(const wr_authkeys *keys, const char *key, bool authority) {
  size_t numbers[8];
  return find_all(keys, key, authority, numbers);
}

/* The first line of a key; it has to be there. */
static const wr_keyline *first(const wr_authkeys *keys, const char *key,
                               bool authority) {
  wr_buf b = blob_of(key);
  const wr_keyline *line =
      wr_authkeys_find(keys, (wr_slice){b.data, b.len}, authority, NULL);
  wr_buf_reset(&b);
  MUST(line != NULL);
  return line;
}

static void check_good(const char *text, size_t lines, size_t a, size_t b) {
  wr_authkeys *keys = good(WR_AUTHKEYS_USERS, text);
  if (keys == NULL) {
    return;
  }
  EQ_UINT(wr_authkeys_count(keys), lines);
  EQ_UINT(count(keys, KEY_A, false), a);
  EQ_UINT(count(keys, KEY_B, false), b);
  EQ_UINT(count(keys, KEY_A, true), 0);
  wr_authkeys_free(keys);
}

static void check_bad(wr_authkeys_kind kind, const char *text, size_t len,
                      int want, size_t at, const char *why) {
  wr_authkeys *keys = NULL;
  wr_authkeys_error error = {99, "?"};
  int err = parse_as(kind, text, len, &keys, &error);
  int fine = EQ_INT(err, want);
  fine &= EQ_UINT(error.line, at);
  fine &= EQ_STR(error.why, why);
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
  check_good(KEY_A "\n" KEY_A " again\n\n" KEY_B "\n", 3, 2, 1);
  check_good(KEY_A " \x1b[31m\xff\x01\n", 1, 1, 0);
  wr_authkeys_free(NULL);
}

#define BAD(text, err, line)                                                   \
  check_bad(WR_AUTHKEYS_USERS, text, sizeof(text) - 1, err, line, NULL)
#define BAD_OPTIONS(text, line, why)                                           \
  check_bad(WR_AUTHKEYS_USERS, text, sizeof(text) - 1, WR_EKEY_OPTIONS, line,  \
            why)
#define BAD_AUTHORITY(text, err, line)                                         \
  check_bad(WR_AUTHKEYS_AUTHORITIES, text, sizeof(text) - 1, err, line, NULL)

TEST(options_belong_to_their_line) {
  wr_authkeys *keys =
      good(WR_AUTHKEYS_USERS,
           "# keys\nrestrict,from=\"10.0.0.0/8, *\",permitopen=\"a:1\"\t" KEY_A
           " me\n" KEY_B "\n");
  MUST(keys != NULL);
  const wr_keyline *a = first(keys, KEY_A, false);
  EQ_UINT(a->number, 2);
  EQ_STR(a->opts.from, "10.0.0.0/8, *");
  EQ_UINT(a->opts.n_opens, 1);
  CHECK(!a->opts.port_forwarding);
  const wr_keyline *b = first(keys, KEY_B, false);
  EQ_UINT(b->number, 3);
  CHECK(b->opts.port_forwarding && b->opts.from == NULL);
  wr_authkeys_free(keys);
}

TEST(quoted_blanks_do_not_end_the_options) {
  wr_authkeys *keys =
      good(WR_AUTHKEYS_USERS,
           " cert-authority,principals=\"a \\\" ssh-ed25519 \" " KEY_A);
  MUST(keys != NULL);
  EQ_STR(first(keys, KEY_A, true)->opts.principals, "a \" ssh-ed25519 ");
  wr_authkeys_free(keys);
}

TEST(lines_for_one_key_come_in_the_order_of_the_file) {
  size_t numbers[8] = {0};
  wr_authkeys *keys = good(
      WR_AUTHKEYS_USERS, "restrict " KEY_A "\n" KEY_B "\ncert-authority " KEY_A
                         "\n\nfrom=\"10.0.0.1\" " KEY_A
                         "\ncert-authority,restrict " KEY_A "\n" KEY_A "\n");
  MUST(keys != NULL);
  EQ_UINT(wr_authkeys_count(keys), 6);
  EQ_UINT(find_all(keys, KEY_A, false, numbers), 3);
  EQ_UINT(numbers[0], 1);
  EQ_UINT(numbers[1], 5);
  EQ_UINT(numbers[2], 7);
  EQ_UINT(find_all(keys, KEY_A, true, numbers), 2);
  EQ_UINT(numbers[0], 3);
  EQ_UINT(numbers[1], 6);
  EQ_UINT(find_all(keys, KEY_B, false, numbers), 1);
  EQ_UINT(find_all(keys, KEY_B, true, numbers), 0);
  wr_authkeys_free(keys);
}

TEST(an_authority_does_not_log_in) {
  wr_authkeys *keys =
      good(WR_AUTHKEYS_USERS, "cert-authority " KEY_A "\n" KEY_B "\n"
                              "CERT-authority,restrict " KEY_RSA "\n"
                              "cert-authority " KEY_SK "\n");
  MUST(keys != NULL);
  EQ_UINT(wr_authkeys_count(keys), 4);
  EQ_UINT(count(keys, KEY_A, false), 0);
  EQ_UINT(count(keys, KEY_A, true), 1);
  EQ_UINT(count(keys, KEY_B, false), 1);
  EQ_UINT(count(keys, KEY_B, true), 0);
  EQ_UINT(count(keys, KEY_RSA, false), 0);
  EQ_UINT(count(keys, KEY_RSA, true), 1);
  EQ_UINT(count(keys, KEY_SK, false), 0);
  EQ_UINT(count(keys, KEY_SK, true), 1);
  wr_authkeys_free(keys);
}

TEST(security_keys_log_in) {
  wr_authkeys *keys =
      good(WR_AUTHKEYS_USERS, KEY_SK "\nverify-required " KEY_SK "\n");
  MUST(keys != NULL);
  EQ_UINT(count(keys, KEY_SK, false), 2);
  EQ_UINT(count(keys, KEY_SK, true), 0);
  CHECK(!first(keys, KEY_SK, false)->opts.verify_required);
  wr_authkeys_free(keys);
}

TEST(files_of_authorities) {
  wr_authkeys *keys = good(WR_AUTHKEYS_AUTHORITIES,
                           "# ours\n" KEY_A " ca\n\n" KEY_RSA "\n" KEY_SK);
  MUST(keys != NULL);
  EQ_UINT(wr_authkeys_count(keys), 3);
  EQ_UINT(count(keys, KEY_A, true), 1);
  EQ_UINT(count(keys, KEY_A, false), 0);
  EQ_UINT(count(keys, KEY_RSA, true), 1);
  EQ_UINT(count(keys, KEY_SK, true), 1);
  EQ_UINT(first(keys, KEY_RSA, true)->number, 4);
  CHECK(first(keys, KEY_RSA, true)->opts.port_forwarding);
  wr_authkeys_free(keys);
  static const char with_option[] = KEY_A "\ncert-authority " KEY_B;
  check_bad(WR_AUTHKEYS_AUTHORITIES, with_option, sizeof(with_option) - 1,
            WR_EKEY_OPTIONS, 2, "a file of authorities has no options");
  BAD_AUTHORITY("x", WR_EKEY_FORMAT, 1);
  BAD_AUTHORITY(KEY_A "\nssh-dss AAAA", WR_EKEY_TYPE, 2);
  BAD_AUTHORITY("sk-ecdsa-sha2-nistp256@openssh.com AAAA", WR_EKEY_TYPE, 1);
  BAD_AUTHORITY("ssh-ed25519-cert-v01@openssh.com AAAA", WR_EKEY_TYPE, 1);
  BAD_AUTHORITY("ssh-rsa AAAA", WR_EKEY_FORMAT, 1);
  BAD_AUTHORITY("ecdsa-sha2-nistp256 " A, WR_EKEY_FORMAT, 1);
}

TEST(bad_options_are_refused_with_their_line) {
  BAD_OPTIONS(KEY_A "\n#\n\nrestrict,command=\"a b\" " KEY_B "\n", 4,
              "command: not supported");
  BAD_OPTIONS("no-pty,from=\"10.0.0.1/8\" " KEY_A "\n", 1,
              "from: an entry is empty or a network has host bits");
  BAD_OPTIONS("command=\"echo \\\"a b\\\" c\" " KEY_A, 1,
              "command: not supported");
  BAD_OPTIONS("\n permitopen=\"a\"\t" KEY_A "\r\n", 2,
              "permitopen: the port is neither a number nor '*'");
  BAD_OPTIONS("principals=\"a\" " KEY_A, 1,
              "principals: without cert-authority");
  BAD_OPTIONS("anything " KEY_A, 1, "unknown option");
  BAD_OPTIONS("anything ssh-rsa AAAA", 1, "unknown option");
  BAD_OPTIONS("\" \" " KEY_A, 1, "unknown option");
}

TEST(other_types_are_refused_with_their_line) {
  BAD(KEY_RSA " x", WR_EKEY_TYPE, 1);
  BAD("restrict " KEY_RSA "\n", WR_EKEY_TYPE, 1);
  BAD("ssh-dss AAAA", WR_EKEY_TYPE, 1);
  BAD(KEY_A "\necdsa-sha2-nistp256 AAAA\n", WR_EKEY_TYPE, 2);
  BAD("ecdsa-sha2-nistp384 AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ecdsa-sha2-nistp521 AAAA\n", WR_EKEY_TYPE, 1);
  BAD("sk-ecdsa-sha2-nistp256@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ssh-ed25519-cert-v01@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("ssh-rsa-cert-v01@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
  BAD("cert-authority ssh-dss AAAA\n", WR_EKEY_TYPE, 1);
  BAD("cert-authority ssh-rsa-cert-v01@openssh.com AAAA\n", WR_EKEY_TYPE, 1);
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
  BAD("ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAAQE=", WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", WR_EKEY_FORMAT, 1);
  BAD("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA==", WR_EKEY_FORMAT, 1);
  BAD(KEY_A "AAAA", WR_EKEY_FORMAT, 1);
  BAD("sk-ssh-ed25519@openssh.com AAAA\n", WR_EKEY_FORMAT, 1);
  BAD("sk-ssh-ed25519@openssh.com " A "\n", WR_EKEY_FORMAT, 1);
  BAD("sk-ssh-ed25519@openssh.com "
      "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAHwABAgMEBQYHCAkK"
      "CwwNDg8QERITFBUWFxgZGhscHR4AAAAEc3NoOg==",
      WR_EKEY_FORMAT, 1);
  BAD("sk-ssh-ed25519@openssh.com "
      "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkK"
      "CwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDp4",
      WR_EKEY_FORMAT, 1);
  BAD("cert-authority ssh-rsa AAAA", WR_EKEY_FORMAT, 1);
  BAD("restrict ssh-ed25519", WR_EKEY_FORMAT, 1);
  BAD("restrict ssh-ed25519 AAAA", WR_EKEY_FORMAT, 1);
  BAD("restrict, no-pty " KEY_A, WR_EKEY_FORMAT, 1);
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
  BAD("from=\"*\0\" " KEY_A, WR_EKEY_FORMAT, 1);
  BAD("s\0s\0h\0", WR_EKEY_FORMAT, 1);
}

TEST(every_truncation_of_a_line_is_refused) {
  static const char *const lines[] = {
      KEY_A, KEY_SK, "restrict,from=\"*\" " KEY_A, "cert-authority " KEY_RSA};
  for (size_t l = 0; l < WR_COUNTOF(lines); l++) {
    size_t len = strlen(lines[l]);
    while (lines[l][len - 1] == '=') { /* may be left out */
      len--;
    }
    for (size_t i = 1; i < len; i++) {
      wr_authkeys *keys = NULL;
      wr_authkeys_error error;
      if (!CHECK(parse_as(WR_AUTHKEYS_USERS, lines[l], i, &keys, &error) ==
                 WR_EKEY_FORMAT)) {
        DIAG("cut at %zu", i);
        wr_authkeys_free(keys);
      }
    }
  }
}

TEST(a_file_that_is_too_large_is_refused) {
  size_t n = WR_AUTHKEYS_FILE_MAX + 1;
  char *big = malloc(n);
  wr_authkeys *keys = NULL;
  wr_authkeys_error error = {99, "?"};
  MUST(big != NULL);
  memset(big, '\n', n);
  EQ_INT(
      wr_authkeys_parse(&mem, 1, WR_AUTHKEYS_USERS, "", big, n, &keys, &error),
      WR_EKEY_FORMAT);
  EQ_UINT(error.line, 0);
  CHECK(error.why == NULL);
  EQ_INT(wr_authkeys_parse(&mem, 1, WR_AUTHKEYS_USERS, "", big, n - 1, &keys,
                           &error),
         0);
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
  wr_authkeys_error error;
  uint8_t blob[51];
  MUST(all != NULL);
  memcpy(blob, "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);
  memset(blob + 19, 0, 32);
  for (unsigned i = 0; i < COUNT; i++) {
    memcpy(blob + 19, &i, sizeof(i));
    n += put_line(all + n, blob);
  }
  EQ_INT(parse_as(WR_AUTHKEYS_USERS, all, n, &keys, &error), 0);
  EQ_UINT(wr_authkeys_count(keys), COUNT);
  for (unsigned i = 0; i < COUNT + 1; i++) {
    memcpy(blob + 19, &i, sizeof(i));
    const wr_keyline *line =
        wr_authkeys_find(keys, (wr_slice){blob, 51}, false, NULL);
    CHECK((line != NULL) == (i < COUNT));
    CHECK(line == NULL || line->number == i + 1);
  }
  wr_authkeys_free(keys);
  free(all);
}

TEST(lines_of_ssh_keygen_are_read) {
  static const char *const types[] = {"rsa", "ecdsa", "ed25519"};
  static const char *const bits[] = {"2048", "521", "256"};
  char text[4096];
  wr_authkeys_error error;
  KG_NEEDED();
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    wr_authkeys *keys = NULL;
    MUST(KG_RUN("ssh-keygen", "-q", "-t", types[i], "-b", bits[i], "-N", "",
                "-C", "me, myself", "-f", kg_path(types[i])) == 0);
    snprintf(text, sizeof(text), "%s.pub", types[i]);
    size_t n = kg_read(text, text, sizeof(text));
    EQ_INT(parse_as(WR_AUTHKEYS_AUTHORITIES, text, n, &keys, &error), 0);
    EQ_UINT(count(keys, text, true), 1);
    EQ_UINT(count(keys, KEY_A, true), 0);
    wr_authkeys_free(keys);
    keys = NULL;
    EQ_INT(parse_as(WR_AUTHKEYS_USERS, text, n, &keys, &error),
           strcmp(types[i], "ed25519") == 0 ? 0 : WR_EKEY_TYPE);
    wr_authkeys_free(keys);
  }
}

TEST(running_out_of_memory_is_reported) {
  static const char text[] =
      KEY_A "\nrestrict,from=\"*\",permitopen=\"a:1\" " KEY_A "\n" KEY_B
            "\ncert-authority,principals=\"a\" " KEY_RSA "\n";
  for (uint64_t at = 1; at < 100; at++) {
    wr_authkeys *keys = NULL;
    wr_authkeys_error error = {99, "?"};
    mem.fail_at = mem.total + at;
    int err =
        parse_as(WR_AUTHKEYS_USERS, text, sizeof(text) - 1, &keys, &error);
    mem.fail_at = 0;
    if (err == 0) {
      /* The object, its name and maps, four lines, values and permits. */
      CHECK(at > 4 + 4 + 5);
      EQ_UINT(wr_authkeys_count(keys), 4);
      wr_authkeys_free(keys);
      return;
    }
    EQ_INT(err, WR_ENOMEM);
    EQ_UINT(error.line, 0);
    CHECK(error.why == NULL);
    EQ_UINT(mem.live_blocks, 0);
  }
  FAIL("it never worked");
}

TAP_MAIN_WITH(set_up, tear_down)
