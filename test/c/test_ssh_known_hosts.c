/* known_hosts as OpenSSH reads it, compared with ssh-keygen -F and -H. */
#include "base/errors.h"
#include "ssh/key.h"
#include "ssh/known_hosts.h"
#include "ssh_keygen.h"

#define A "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define B "AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp01bfryczJgs9sSWjM0MxfVUEvRm"
#define KEY_A "ssh-ed25519 " A
#define KEY_B "ssh-ed25519 " B
/* Well formed, but of no use to anybody. */
#define KEY_RSA "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE="

static wr_mem mem;
static wr_buf key_a;

static void set_up(void) {
  wr_mem_init(&mem);
  wr_buf_init(&key_a, &mem, 64);
  MUST(wr_blob_parse_line(KEY_A, strlen(KEY_A), &key_a) == 0);
  kg_set_up();
}

static void tear_down(void) {
  wr_buf_reset(&key_a);
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

static wr_slice blob_a(void) {
  return (wr_slice){key_a.data, key_a.len};
}

static wr_known_answer ask(const char *text, size_t len, const char *host,
                           uint16_t port, wr_slice blob) {
  wr_known_answer a;
  char *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, text, len);
  MUST(wr_known_hosts_check(copy, len, host, port, blob, 0, &a) == 0);
  free(copy);
  return a;
}

static int check_text(const char *text, size_t len, const char *host,
                      uint16_t port, size_t *line) {
  wr_known_answer a = ask(text, len, host, port, blob_a());
  *line = a.line;
  CHECK(a.why == NULL);
  return (int)a.verdict;
}

/* The verdict about key A in one file. */
static void verdict(const char *text, const char *host, uint16_t port,
                    wr_known_verdict want, size_t at, const char *file,
                    int from) {
  size_t line = 0;
  int have = check_text(text, strlen(text), host, port, &line);
  tap_check(have == (int)want && line == at, file, from,
            "%s:%u: verdict %d, line %zu; not %d, %zu, in:\n%s", host, port,
            have, line, (int)want, at, text);
}

#define MATCH(text, host, port)                                                \
  verdict(text, host, port, WR_KNOWN_MATCH, 0, __FILE__, __LINE__)
#define UNKNOWN(text, host, port)                                              \
  verdict(text, host, port, WR_KNOWN_UNKNOWN, 0, __FILE__, __LINE__)
#define MISMATCH(text, host, port, line)                                       \
  verdict(text, host, port, WR_KNOWN_MISMATCH, line, __FILE__, __LINE__)
#define REVOKED(text, host, port, line)                                        \
  verdict(text, host, port, WR_KNOWN_REVOKED, line, __FILE__, __LINE__)

TEST(plain_names) {
  MATCH("host " KEY_A, "host", 22);
  MATCH("host " KEY_A "\n", "host", 22);
  MATCH("host " KEY_A "\r\n", "host", 22);
  MATCH(" \thost \t" KEY_A " a comment\n", "host", 22);
  MATCH("HOST " KEY_A, "hOsT", 22);
  MATCH("a,host,b " KEY_A, "host", 22);
  MATCH("host,10.0.0.1 " KEY_A, "10.0.0.1", 22);
  MATCH("fe80::1 " KEY_A, "FE80::1", 22);
  UNKNOWN("host " KEY_A, "host2", 22);
  UNKNOWN("host " KEY_A, "hos", 22);
  UNKNOWN("host " KEY_A, "", 22);
  UNKNOWN("", "host", 22);
  UNKNOWN("a,b " KEY_A, "a,b", 22);
  MISMATCH("host " KEY_B, "host", 22, 1);
  MISMATCH("# c\n\nhost " KEY_RSA, "host", 22, 3);
}

TEST(ports) {
  MATCH("[host]:2222 " KEY_A, "host", 2222);
  MATCH("[HOST]:2222,x " KEY_A, "Host", 2222);
  MATCH("[::1]:2222 " KEY_A, "::1", 2222);
  UNKNOWN("[host]:2222 " KEY_A, "host", 22);
  UNKNOWN("[host]:2222 " KEY_A, "host", 2223);
  UNKNOWN("[host]:22 " KEY_A, "host", 22);
  UNKNOWN("[host]:2222 " KEY_A, "host", 222);
  MISMATCH("[host]:2222 " KEY_B, "host", 2222, 1);
  MATCH("[*]:2222 " KEY_A, "host", 2222);
}

TEST(a_port_of_which_nothing_is_known_falls_back_to_the_host) {
  MATCH("host " KEY_A, "host", 2222);
  UNKNOWN("host " KEY_B, "host", 2222);
  MISMATCH("host " KEY_A "\n[host]:2222 " KEY_B, "host", 2222, 2);
  REVOKED("@revoked host " KEY_A, "host", 2222, 1);
}

TEST(patterns) {
  MATCH("*.example.com " KEY_A, "a.example.com", 22);
  MATCH("*.Example.Com " KEY_A, "a.b.example.com", 22);
  UNKNOWN("*.example.com " KEY_A, "example.com", 22);
  MATCH("h?st " KEY_A, "host", 22);
  UNKNOWN("h?st " KEY_A, "hst", 22);
  MATCH("* " KEY_A, "anything", 22);
  MATCH("**?* " KEY_A, "x", 22);
  MATCH("a*b*c " KEY_A, "a-b-bb-c", 22);
  UNKNOWN("a*b*c " KEY_A, "a-b-bb-cd", 22);
  MATCH("10.0.0.? " KEY_A, "10.0.0.7", 22);
  UNKNOWN("*,!host " KEY_A, "host", 22);
  UNKNOWN("!host,* " KEY_A, "host", 22);
  MATCH("!host,* " KEY_A, "other", 22);
  UNKNOWN("!host " KEY_A, "other", 22);
  UNKNOWN("*.a.com,!x.a.com " KEY_A, "x.a.com", 22);
  MATCH("*.a.com,!x.a.com\n*.a.com " KEY_A, "x.a.com", 22);
  /* A negated host of one line may be in another. */
  MISMATCH("*,!host " KEY_A "\nhost " KEY_B, "host", 22, 2);
}

TEST(a_pattern_made_to_cost_time_does_not) {
  char text[2048];
  char host[1000];
  memset(host, 'a', sizeof(host) - 1);
  host[sizeof(host) - 1] = '\0';
  size_t n = 0;
  for (int i = 0; i < 400; i++) {
    memcpy(text + n, "*a", 2);
    n += 2;
  }
  snprintf(text + n, sizeof(text) - n, "b " KEY_A);
  UNKNOWN(text, host, 22);
  snprintf(text + n, sizeof(text) - n, "* " KEY_A);
  MATCH(text, host, 22);
}

TEST(names_that_are_too_long_match_nothing) {
  char host[2000];
  memset(host, 'a', sizeof(host) - 1);
  host[sizeof(host) - 1] = '\0';
  UNKNOWN("* " KEY_A, host, 22);
  host[1024] = '\0';
  MATCH("* " KEY_A, host, 22);
  host[1023] = '\0';
  char text[4096];
  snprintf(text, sizeof(text), "%s " KEY_A, host);
  MATCH(text, host, 22);
  snprintf(text, sizeof(text), "*,%sa " KEY_A, host);
  UNKNOWN(text, "x", 22);
}

TEST(several_lines_for_a_host) {
  MATCH("host " KEY_B "\nhost " KEY_A "\nhost " KEY_RSA "\n", "host", 22);
  MATCH("host " KEY_A "\nhost " KEY_B "\n", "host", 22);
  MISMATCH("x " KEY_A "\n\nhost " KEY_B "\nhost " KEY_RSA, "host", 22, 3);
  REVOKED("host " KEY_A "\n@revoked host " KEY_A "\n", "host", 22, 2);
  REVOKED("host " KEY_B "\n@revoked * " KEY_A "\nhost " KEY_A, "host", 22, 2);
}

TEST(markers) {
  REVOKED("@revoked host " KEY_A, "host", 22, 1);
  REVOKED("  @revoked\t host\t" KEY_A " c\r\n", "host", 22, 1);
  UNKNOWN("@revoked host " KEY_B, "host", 22);
  UNKNOWN("@revoked other " KEY_A, "host", 22);
  MATCH("host " KEY_A "\n@revoked host " KEY_B, "host", 22);
  UNKNOWN("@cert-authority host " KEY_A, "host", 22);
  UNKNOWN("@cert-authority * " KEY_B, "host", 22);
  UNKNOWN("@other host " KEY_A, "host", 22);
  UNKNOWN("@revoked @revoked host " KEY_A, "host", 22);
  UNKNOWN("@revokedhost " KEY_A, "host", 22);
}

TEST(broken_lines_are_skipped) {
  static const char *const broken[] = {
      "host",
      "host ",
      "host ssh-ed25519",
      "host ssh-ed25519 ",
      "host " B,
      "host ssh-ed25519 !" B,
      "host ssh-ed25519 " B "A",
      "host ssh-ed25519 " B "AAAA",
      "host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
      "host ssh-rsa " B,
      "host ssh-foo AAAAB3NzaC1mb28=",
      "host ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB",
      "host 1024 35 1234567",
      "host # " KEY_B,
      "#host " KEY_B,
      " # host " KEY_B,
      "|1|host " KEY_B,
      "|1|AAAA|AAAA " KEY_B,
      "|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " KEY_B,
      "|",
      "@",
      "@revoked",
      "@revoked ",
      "@revoked host",
      ",,, " KEY_B,
  };
  char text[1024];
  for (size_t i = 0; i < WR_COUNTOF(broken); i++) {
    snprintf(text, sizeof(text), "%s\n", broken[i]);
    UNKNOWN(text, "host", 22);
    snprintf(text, sizeof(text), "%s\nhost " KEY_A, broken[i]);
    MATCH(text, "host", 22);
  }
}

TEST(every_truncation_is_no_match) {
  static const char line[] = "host " KEY_A;
  for (size_t i = 0; i < sizeof(line) - 1; i++) {
    size_t at = 0;
    CHECK(check_text(line, i, "host", 22, &at) == WR_KNOWN_UNKNOWN);
  }
}

TEST(a_line_ends_at_a_nul_byte_as_in_ssh) {
  static const char text[] = "host " KEY_A "\0junk\nother " KEY_A;
  size_t at = 0;
  EQ_INT(check_text(text, sizeof(text) - 1, "host", 22, &at), WR_KNOWN_MATCH);
  EQ_INT(check_text(text, sizeof(text) - 1, "other", 22, &at), WR_KNOWN_MATCH);
  static const char cut[] = "ho\0st " KEY_A;
  EQ_INT(check_text(cut, sizeof(cut) - 1, "host", 22, &at), WR_KNOWN_UNKNOWN);
}

/* Whether ssh-keygen -F finds the name in the file "kh". */
static int keygen_finds(const char *name) {
  return KG_RUN("ssh-keygen", "-F", name, "-f", kg_path("kh")) == 0;
}

/* Compares with ssh-keygen -F, which knows no fall-back to the host, and does
   not look whether the key is a whole one. */
static void agree(const char *text, size_t len, const char *host,
                  uint16_t port) {
  char name[128];
  size_t line = 0;
  snprintf(name, sizeof(name), port == 22 ? "%s" : "[%s]:%u", host, port);
  int have = check_text(text, len, host, port, &line) != WR_KNOWN_UNKNOWN;
  if (!EQ_INT(have, keygen_finds(name))) {
    DIAG("%s", name);
  }
}

TEST(ssh_keygen_agrees) {
  static const char text[] = "plain,10.0.0.1,FE80::2 " KEY_A " c\n"
                             "[ported]:2222 " KEY_B "\n"
                             "[v6::1]:2200,other " KEY_A "\n"
                             "UPPER " KEY_A "\n"
                             "tab\t" KEY_A "\n"
                             "crlf " KEY_A "\r\n"
                             "# comment " KEY_A "\n"
                             "short " KEY_RSA "\n"
                             "*.wild.net,!no.wild.net " KEY_A "\n"
                             "q?est " KEY_A "\n";
  static const struct {
    const char *host;
    uint16_t port;
  } names[] = {
      {"plain", 22},      {"10.0.0.1", 22},    {"10.0.0.10", 22},
      {"ported", 2222},   {"ported", 22},      {"ported", 2223},
      {"v6::1", 2200},    {"other", 22},       {"upper", 22},
      {"tab", 22},        {"crlf", 22},        {"comment", 22},
      {"a.wild.net", 22}, {"no.wild.net", 22}, {"wild.net", 22},
      {"quest", 22},      {"qest", 22},        {"fe80::2", 22},
      {"nowhere", 22},
  };
  char hashed[8192];
  KG_NEEDED();
  kg_write("kh", text, strlen(text));
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    agree(text, strlen(text), names[i].host, names[i].port);
  }
  /* -H leaves patterns, ports and broken lines as it finds right. */
  KG_RUN("ssh-keygen", "-H", "-f", kg_path("kh"));
  size_t n = kg_read("kh", hashed, sizeof(hashed));
  CHECK(strstr(hashed, "|1|") != NULL);
  CHECK(strstr(hashed, "plain") == NULL);
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    agree(hashed, n, names[i].host, names[i].port);
  }
  MATCH(hashed, "plain", 22);
  MATCH(hashed, "PLAIN", 22);
  MATCH(hashed, "v6::1", 2200);
}

static void put_line(const char *host, uint16_t port, const char *want) {
  wr_buf out;
  wr_buf_init(&out, &mem, 1024);
  EQ_INT(wr_known_hosts_line(host, port, blob_a(), &out), 0);
  EQ_MEM(out.data, out.len, want, strlen(want));
  MUST(wr_buf_put_u8(&out, 0) == 0);
  MATCH((const char *)out.data, host, port);
  wr_buf_reset(&out);
}

TEST(lines_are_written_as_ssh_does) {
  put_line("Host.Example", 22, "host.example " KEY_A "\n");
  put_line("host", 2222, "[host]:2222 " KEY_A "\n");
  put_line("::1", 2222, "[::1]:2222 " KEY_A "\n");
  put_line("fe80::1%eth0", 22, "fe80::1%eth0 " KEY_A "\n");
}

TEST(names_that_would_mean_more_are_not_written) {
  static const char *const bad[] = {"",    "*",   "a,b", "a b",   "a\nb",
                                    "a?",  "!a",  "|1",  "#a",    "@a",
                                    "[a]", "a\t", "a\"", "a\x7f", "a\x01"};
  wr_buf out;
  wr_buf_init(&out, &mem, 1024);
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    EQ_INT(wr_known_hosts_line(bad[i], 22, blob_a(), &out), WR_EINVAL);
  }
  EQ_INT(wr_known_hosts_line("a", 22, (wr_slice){NULL, 0}, &out),
         WR_EKEY_FORMAT);
  EQ_UINT(out.len, 0);
  wr_buf_reset(&out);
  wr_buf_init(&out, &mem, 20);
  EQ_INT(wr_known_hosts_line("a", 22, blob_a(), &out), WR_ELIMIT);
  EQ_UINT(out.len, 0);
  wr_buf_reset(&out);
}

#define CERT "ssh-ed25519-cert-v01@openssh.com"
#define RSA "rsa-sha2-512,rsa-sha2-256"
#define ECDSA "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"

static void types(const char *text, const char *host, uint16_t port,
                  const char *want) {
  wr_buf out;
  wr_buf_init(&out, &mem, 256);
  EQ_INT(wr_known_hosts_types(text, strlen(text), host, port, &out), 0);
  EQ_MEM(out.data, out.len, want, strlen(want));
  wr_buf_reset(&out);
}

TEST(types_for_a_host) {
  static const char text[] = "host " KEY_RSA "\n"
                             "x " KEY_A "\n"
                             "h* " KEY_A "\n"
                             "host " KEY_B "\n"
                             "@revoked rev " KEY_A "\n"
                             "@cert-authority ca,both " KEY_A "\n"
                             "both " KEY_RSA "\n"
                             "[port]:99 " KEY_RSA "\n"
                             "port " KEY_A "\n";
  types(text, "host", 22, CERT ",ssh-ed25519," RSA "," ECDSA);
  types(text, "x", 22, CERT ",ssh-ed25519," ECDSA "," RSA);
  types(text, "none", 22, "");
  types(text, "rev", 22, "");
  types(text, "ca", 22, CERT ",ssh-ed25519," ECDSA "," RSA);
  types(text, "both", 22, CERT "," RSA ",ssh-ed25519," ECDSA);
  types(text, "port", 99, RSA "," CERT ",ssh-ed25519," ECDSA);
  types(text, "port", 98, CERT ",ssh-ed25519," ECDSA "," RSA);
  wr_buf out;
  wr_buf_init(&out, &mem, 10);
  EQ_INT(wr_known_hosts_types(text, strlen(text), "x", 22, &out), WR_ELIMIT);
  EQ_UINT(out.len, 0);
  wr_buf_reset(&out);
}

TAP_MAIN_WITH(set_up, tear_down)
