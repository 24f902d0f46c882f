/* Host certificates: what of them is believed, alone and by known_hosts, and
   which a server takes for its own. */
#include "ssh/hostcert.h"

#include "base/errors.h"
#include "host_cert.h"
#include "ssh/known_hosts.h"
#include "ssh/transport.h"
#include "ssh_keygen.h"

#define NOW 1000

static wr_mem mem;
static wr_key *host;
static wr_key *other;
static wr_key *authority;
static wr_key *stranger;
static char host_line[256], other_line[256], authority_line[256],
    stranger_line[256];
static host_cert spec;
static wr_buf blob; /* the certificate at hand */

static void new_key(wr_key **key, char *line) {
  wr_buf text;
  wr_buf_init(&text, &mem, 256);
  MUST(wr_key_generate(&mem, key) == 0);
  MUST(wr_key_write_public(wr_key_blob(*key), NULL, &text) == 0);
  memcpy(line, text.data, text.len - 1);
  line[text.len - 1] = '\0';
  wr_buf_reset(&text);
}

static void set_up(void) {
  wr_mem_init(&mem);
  kg_set_up();
  new_key(&host, host_line);
  new_key(&other, other_line);
  new_key(&authority, authority_line);
  new_key(&stranger, stranger_line);
  wr_buf_init(&blob, &mem, HOST_CERT_MAX);
  spec = host_cert_of(host, authority);
  spec.names[1] = "second";
}

static void tear_down(void) {
  wr_buf_reset(&blob);
  wr_key_unref(host);
  wr_key_unref(other);
  wr_key_unref(authority);
  wr_key_unref(stranger);
  EQ_UINT(mem.live_blocks, 0);
  kg_tear_down();
}

static wr_slice make(void) {
  wr_buf_consume(&blob, blob.len);
  host_cert_write(&spec, &blob);
  return (wr_slice){blob.data, blob.len};
}

/* ALONE */

static const char *fault_at(const char *name, uint64_t now_s) {
  wr_cert cert;
  MUST(wr_cert_parse(make(), &cert) == 0);
  const char *why = wr_hostcert_fault(&cert, name, now_s);
  return why == NULL ? "" : why;
}

#define FAULT(name, want) EQ_STR(fault_at(name, NOW), want)

TEST(a_good_certificate_has_no_fault) {
  FAULT("host", "");
  FAULT("second", "");
  FAULT(NULL, "");
}

TEST(names_are_compared_as_they_are) {
  FAULT("hos", "does not name this host");
  FAULT("hostt", "does not name this host");
  FAULT("third", "does not name this host");
  spec.names[0] = "*";
  FAULT("host", "does not name this host");
  spec.names[0] = "HOST";
  FAULT("host", "does not name this host");
  spec.names[0] = NULL;
  FAULT("host", "names no host");
  FAULT(NULL, "names no host");
}

TEST(times_are_from_and_before) {
  spec.after = NOW;
  spec.before = NOW + 1;
  FAULT("host", "");
  EQ_STR(fault_at("host", NOW - 1), "is not valid yet");
  EQ_STR(fault_at("host", NOW + 1), "has expired");
  EQ_STR(fault_at(NULL, NOW + 1), "has expired");
}

TEST(what_else_is_no_good) {
  spec.kind = WR_CERT_USER;
  FAULT("host", "is not one of a host");
  spec.kind = WR_CERT_HOST;
  spec.critical = "force-command";
  FAULT("host", "has critical options");
  spec.critical = NULL;
  spec.forged = true;
  FAULT("host", "is not signed by its authority");
}

/* BY KNOWN_HOSTS */

/* Asks for host:port with the certificate at hand. */
static wr_known_answer ask(const char *text, const char *name, uint16_t port) {
  wr_known_answer a;
  MUST(wr_known_hosts_check(text, strlen(text), name, port, make(), NOW, &a) ==
       0);
  return a;
}

static void verdict(const char *format, const char *name, uint16_t port,
                    wr_known_verdict want, size_t line, const char *why,
                    int from) {
  /* C, S, H, O: lines of authority, stranger, host, other. */
  char text[4096];
  size_t n = 0;
  for (const char *p = format; *p != '\0'; p++) {
    const char *key = *p == 'C'   ? authority_line
                      : *p == 'S' ? stranger_line
                      : *p == 'H' ? host_line
                      : *p == 'O' ? other_line
                                  : NULL;
    n += (size_t)(key != NULL ? snprintf(text + n, sizeof(text) - n, "%s", key)
                              : snprintf(text + n, sizeof(text) - n, "%c", *p));
  }
  wr_known_answer a = ask(text, name, port);
  tap_check(a.verdict == want && a.line == line &&
                strcmp(a.why == NULL ? "" : a.why, why) == 0,
            __FILE__, from, "%s:%u: verdict %d, line %zu, %s, in:\n%s", name,
            port, (int)a.verdict, a.line, a.why == NULL ? "" : a.why, format);
}

#define MATCH(text, name, port)                                                \
  verdict(text, name, port, WR_KNOWN_MATCH, 0, "", __LINE__)
#define UNKNOWN(text, name, port)                                              \
  verdict(text, name, port, WR_KNOWN_UNKNOWN, 0, "", __LINE__)
#define UNKNOWN_AS(text, name, port, why)                                      \
  verdict(text, name, port, WR_KNOWN_UNKNOWN, 0, why, __LINE__)
#define MISMATCH(text, name, port, line)                                       \
  verdict(text, name, port, WR_KNOWN_MISMATCH, line, "", __LINE__)
#define REVOKED(text, name, port, line)                                        \
  verdict(text, name, port, WR_KNOWN_REVOKED, line, "", __LINE__)

TEST(an_authority_vouches_for_its_hosts) {
  MATCH("@cert-authority host C", "host", 22);
  MATCH("@cert-authority * C", "host", 22);
  MATCH("@cert-authority *,!x C", "HOST", 22);
  MATCH("\n@cert-authority\thost,x C c\r\n", "host", 22);
  MATCH("@cert-authority host S\n@cert-authority host C", "host", 22);
  MATCH("@cert-authority host C\n@cert-authority host S", "host", 22);
  UNKNOWN("@cert-authority *,!host C", "host", 22);
  UNKNOWN("@cert-authority other C", "host", 22);
  UNKNOWN("@cert-authority host S", "host", 22);
  UNKNOWN("@cert-authority host H", "host", 22);
  UNKNOWN("host C", "x", 22);
  MISMATCH("host C", "host", 22, 1);
}

TEST(hashed_names_have_authorities_too) {
  char text[2048];
  KG_NEEDED();
  snprintf(text, sizeof(text), "host %s\n[host]:2222 %s\n", authority_line,
           stranger_line);
  kg_write("kh", text, strlen(text));
  MUST(KG_RUN("ssh-keygen", "-H", "-f", kg_path("kh")) == 0);
  size_t n = (size_t)snprintf(text, sizeof(text), "@cert-authority ");
  kg_read("kh", text + n, sizeof(text) - n);
  CHECK(strstr(text, "|1|") != NULL);
  EQ_INT(ask(text, "host", 22).verdict, WR_KNOWN_MATCH);
  EQ_INT(ask(text, "second", 22).verdict, WR_KNOWN_UNKNOWN);
}

TEST(the_certificate_has_to_be_good) {
  spec.before = NOW;
  UNKNOWN_AS("@cert-authority host C", "host", 22, "has expired");
  UNKNOWN_AS("@cert-authority host C\n@cert-authority * S", "host", 22,
             "has expired");
  UNKNOWN("@cert-authority host S", "host", 22);
  spec.before = UINT64_MAX;
  UNKNOWN_AS("@cert-authority * C", "x", 22, "does not name this host");
  UNKNOWN_AS("@cert-authority * C", "x", 2222, "does not name this host");
  spec.forged = true;
  UNKNOWN_AS("@cert-authority host C", "host", 22,
             "is not signed by its authority");
}

TEST(the_key_in_it_may_be_known_itself) {
  MATCH("host H", "host", 22);
  MATCH("@cert-authority host S\nhost H", "host", 22);
  MATCH("host O\n@cert-authority host C", "host", 22);
  MISMATCH("@cert-authority host S\nhost O", "host", 22, 2);
  spec.before = NOW;
  MATCH("@cert-authority host C\nhost H", "host", 22);
  verdict("@cert-authority host C\nhost O", "host", 22, WR_KNOWN_MISMATCH, 2,
          "has expired", __LINE__);
}

TEST(revocation_is_of_key_and_authority) {
  REVOKED("@cert-authority host C\n@revoked host C", "host", 22, 2);
  REVOKED("@revoked * C\n@cert-authority host C", "host", 22, 1);
  REVOKED("@cert-authority host C\n@revoked host H", "host", 22, 2);
  REVOKED("host H\n@revoked host C", "host", 22, 2);
  REVOKED("@revoked host C", "host", 22, 1);
  MATCH("@cert-authority host C\n@revoked host S", "host", 22);
  MATCH("@cert-authority host C\n@revoked x C", "host", 22);
}

TEST(ports_as_ssh_looks_at_them) {
  MATCH("@cert-authority [host]:2222 C", "host", 2222);
  MATCH("@cert-authority [*]:2222 C", "host", 2222);
  UNKNOWN("@cert-authority [host]:2222 C", "host", 2223);
  MATCH("@cert-authority host C", "host", 2222);
  MATCH("@cert-authority host C\n[host]:2222 O", "host", 2222);
  MATCH("@cert-authority host C\n@cert-authority [host]:2222 S", "host", 2222);
  MATCH("host H\n@cert-authority [host]:2222 S", "host", 2222);
  REVOKED("@cert-authority host C\n@revoked host C", "host", 2222, 2);
  MISMATCH("[host]:2222 O\nhost H", "host", 2222, 1);
}

/* The certificate at hand as a line of known_hosts. */
static void put_certificate_line(char *dst, size_t cap, const char *head) {
  wr_buf line;
  wr_slice b = make();
  wr_buf_init(&line, &mem, HOST_CERT_MAX);
  MUST(wr_key_write_public(b, NULL, &line) == 0);
  snprintf(dst, cap, "%s %.*s", head, (int)line.len, (const char *)line.data);
  wr_buf_reset(&line);
}

static wr_known_answer ask_plain(const char *text) {
  wr_known_answer a;
  MUST(wr_known_hosts_check(text, strlen(text), "host", 22, wr_key_blob(host),
                            NOW, &a) == 0);
  return a;
}

TEST(a_certificate_in_the_file_stands_for_its_key) {
  char text[2048];
  put_certificate_line(text, sizeof(text), "@revoked host");
  EQ_INT(ask_plain(text).verdict, WR_KNOWN_REVOKED);
  EQ_INT(ask(text, "host", 22).verdict, WR_KNOWN_REVOKED);
  put_certificate_line(text, sizeof(text), "host");
  EQ_INT(ask_plain(text).verdict, WR_KNOWN_MISMATCH);
  EQ_INT(ask(text, "host", 22).verdict, WR_KNOWN_MISMATCH);
}

TEST(plain_keys_have_no_authority) {
  char text[512];
  snprintf(text, sizeof(text), "@cert-authority host %s", authority_line);
  EQ_INT(ask_plain(text).verdict, WR_KNOWN_UNKNOWN);
  snprintf(text, sizeof(text), "@cert-authority host %s", host_line);
  EQ_INT(ask_plain(text).verdict, WR_KNOWN_UNKNOWN);
}

TEST(broken_certificates_get_no_verdict) {
  wr_known_answer a;
  wr_slice b = make();
  for (size_t i = 36; i < b.len; i++) {
    CHECK(wr_known_hosts_check("", 0, "host", 22, (wr_slice){b.data, i}, NOW,
                               &a) == WR_EKEY_FORMAT);
  }
}

TEST(the_key_is_had_whatever_stands_behind_it) {
  wr_slice b = make();
  wr_slice key = wr_key_blob(host);
  wr_buf out;
  wr_buf_init(&out, &mem, 64);
  size_t least = 4 + strlen(WR_CERT_ED25519) + 4 + strlen("a nonce") + 4 + 32;
  for (size_t i = 0; i < b.len; i++) {
    int err = wr_hostcert_key((wr_slice){b.data, i}, &out);
    CHECK(err == (i < least ? WR_EKEY_FORMAT : 0));
    CHECK(i < least || wr_slice_same((wr_slice){out.data, out.len}, key));
    wr_buf_consume(&out, out.len);
  }
  EQ_INT(wr_hostcert_key(key, &out), WR_EKEY_FORMAT);
  wr_buf_reset(&out);
}

/* THE SERVER'S OWN */

static void write_line(const char *file) {
  char line[4096];
  put_certificate_line(line, sizeof(line), "");
  kg_write(file, line + 1, strlen(line + 1));
}

static int read_text(const char *text, size_t len, const char **why) {
  wr_buf out;
  wr_buf_init(&out, &mem, HOST_CERT_MAX);
  int err = wr_hostcert_read(text, len, host, &out, why);
  if (err == 0) {
    EQ_MEM(out.data, out.len, blob.data, blob.len);
  } else {
    EQ_UINT(out.len, 0);
  }
  wr_buf_reset(&out);
  return err;
}

static int read_made(const char **why) {
  char line[4096];
  put_certificate_line(line, sizeof(line), "");
  return read_text(line, strlen(line), why);
}

TEST(a_server_takes_what_certifies_its_key) {
  const char *why;
  EQ_INT(read_made(&why), 0);
  spec.before = NOW; /* whether it is of use yet is another question */
  EQ_INT(read_made(&why), 0);
}

TEST(a_server_refuses_other_certificates) {
  const char *why;
  spec.key = other;
  EQ_INT(read_made(&why), WR_ECERT_MISMATCH);
  EQ_STR(why, "it certifies another key than the host key");
  spec.key = host;
  spec.kind = WR_CERT_USER;
  EQ_INT(read_made(&why), WR_ECERT_MISMATCH);
  EQ_STR(why, "it is a user certificate, not one of a host");
  EQ_INT(read_text(host_line, strlen(host_line), &why), WR_EKEY_TYPE);
  EQ_STR(why, "it is not a certificate of an Ed25519 key");
}

TEST(a_server_refuses_what_is_no_certificate) {
  static const char *const texts[] = {
      "", "x", "ssh-ed25519-cert-v01@openssh.com AAAA",
      "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5"
      "zc2guY29t"};
  const char *why;
  for (size_t i = 0; i < WR_COUNTOF(texts); i++) {
    EQ_INT(read_text(texts[i], strlen(texts[i]), &why), WR_EKEY_FORMAT);
  }
  char line[4096];
  put_certificate_line(line, sizeof(line), "");
  /* Base64 does without the padding and the line without its end. */
  for (size_t i = 0; i < strlen(line) - 3; i++) {
    CHECK(read_text(line, i, &why) != 0);
  }
}

TEST(ssh_keygen_reads_the_certificates_made_here) {
  KG_NEEDED();
  write_line("cert.pub");
  EQ_INT(KG_RUN("ssh-keygen", "-L", "-f", kg_path("cert.pub")), 0);
  CHECK(strstr(kg.out, "host certificate") != NULL);
}

TAP_MAIN_WITH(set_up, tear_down)
