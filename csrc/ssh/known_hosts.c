#include "ssh/known_hosts.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/hostcert.h"
#include "ssh/key_internal.h"
#include "ssh/match.h"
#include "ssh/transport.h"

#define DEFAULT_PORT 22
/* Longer than any name of the DNS. */
#define NAME_MAX_CHARS 1024
#define SHA1_SIZE 20

typedef enum marker { MARKER_NONE, MARKER_CA, MARKER_REVOKED } marker;

/* What a line that could be read says. */
typedef struct entry {
  marker marker;
  wr_slice hosts;
  wr_slice type;                  /* borrowed from the text */
  bool certificate;               /* a certificate stands there: key is its */
  wr_slice key;                   /* in bytes or in cert */
  uint8_t bytes[WR_HOST_KEY_MAX]; /* what stands there */
  wr_cert cert;
} entry;

/* A host key to look for. */
typedef struct subject {
  wr_slice key;        /* the plain one */
  const wr_cert *cert; /* NULL: it came without */
  const char *host;    /* lower case, without port */
  uint64_t now_s;
} subject;

/* What the lines for one name say about it. */
typedef struct finding {
  bool revoked;
  bool certified; /* a line with @cert-authority vouches for it */
  bool same;
  bool other;
  size_t line; /* revoked: of that line; else of the first other key */
  const char
      *why; /* the certificate of an authority that is known is no good */
} finding;

/* A name to look for: lower case, with port if it is not 22. */
typedef struct name {
  uint8_t text[NAME_MAX_CHARS + 1]; /* room for a zero */
  size_t len;                       /* 0: no line can match */
} name;

/* Over the lines of a file. */
typedef struct cursor {
  wr_slice rest;
  size_t line; /* number of the line returned last, from 1 */
} cursor;

static void make_name(name *n, const char *host, uint16_t port) {
  char tail[16] = "";
  bool plain = port == 0 || port == DEFAULT_PORT;
  size_t len = strlen(host);
  n->len = 0;
  if (!plain) {
    snprintf(tail, sizeof(tail), "]:%u", (unsigned)port);
  }
  size_t tail_len = strlen(tail);
  size_t head_len = plain ? 0 : 1;
  if (len == 0 || len > NAME_MAX_CHARS - head_len - tail_len) {
    return;
  }
  n->text[0] = '[';
  for (size_t i = 0; i < len; i++) {
    n->text[head_len + i] = wr_lower((uint8_t)host[i]);
  }
  memcpy(n->text + head_len + len, tail, tail_len);
  n->len = head_len + len + tail_len;
}

static bool decode_sha1(wr_slice text, uint8_t dst[SHA1_SIZE]) {
  uint8_t bytes[SHA1_SIZE + 3];
  if (text.len != 28 ||
      wr_base64_decode(bytes, (const char *)text.data, text.len) != SHA1_SIZE) {
    return false;
  }
  memcpy(dst, bytes, SHA1_SIZE);
  return true;
}

/* |1|salt|hash: HMAC-SHA1 of the name, the salt being the key. */
static bool match_hashed(wr_slice hosts, const name *n) {
  uint8_t salt[SHA1_SIZE];
  uint8_t want[SHA1_SIZE];
  uint8_t have[SHA1_SIZE];
  unsigned int have_len = sizeof(have);
  if (hosts.len != 3 + 28 + 1 + 28 || memcmp(hosts.data, "|1|", 3) != 0 ||
      hosts.data[3 + 28] != '|' ||
      !decode_sha1((wr_slice){hosts.data + 3, 28}, salt) ||
      !decode_sha1((wr_slice){hosts.data + 3 + 28 + 1, 28}, want)) {
    return false;
  }
  if (HMAC(EVP_sha1(), salt, sizeof(salt), n->text, n->len, have, &have_len) ==
          NULL ||
      have_len != sizeof(have)) {
    ERR_clear_error();
    return false;
  }
  return memcmp(have, want, sizeof(have)) == 0;
}

static bool match_hosts(wr_slice hosts, const name *n) {
  if (n->len == 0) {
    return false;
  }
  if (hosts.data[0] == '|') {
    return match_hashed(hosts, n);
  }
  return wr_match_list(hosts, (wr_slice){n->text, n->len}) == WR_MATCH_YES;
}

static bool read_marker(wr_slice word, marker *out) {
  if (wr_slice_eq(word, "@revoked")) {
    *out = MARKER_REVOKED;
    return true;
  }
  *out = MARKER_CA;
  return wr_slice_eq(word, "@cert-authority");
}

/* A certificate stands for the key in it. */
static bool take_key(wr_slice blob, entry *e) {
  e->certificate = wr_cert_type(e->type);
  if (!e->certificate) {
    e->key = blob;
    return wr__blob_well_formed(blob);
  }
  if (wr_cert_parse(blob, &e->cert) != 0) {
    return false;
  }
  e->key = (wr_slice){e->cert.key, e->cert.key_len};
  return true;
}

/* The key behind the host names. */
static bool read_key(wr_slice rest, entry *e) {
  e->type = wr__next_word(&rest);
  wr_slice text = wr__next_word(&rest);
  if (text.len == 0 || text.len > sizeof(e->bytes) / 3 * 4) {
    return false;
  }
  long n = wr_base64_decode(e->bytes, (const char *)text.data, text.len);
  if (n <= 0) {
    return false;
  }
  wr_slice blob = {e->bytes, (size_t)n};
  return wr_slice_same(wr_blob_type(blob), e->type) && take_key(blob, e);
}

/* Marker and hosts, from the front of the line. False for blank lines, comments
   and what is broken: ssh skips those. */
static bool read_head(wr_slice *line, entry *e) {
  e->marker = MARKER_NONE;
  e->hosts = wr__next_word(line);
  if (e->hosts.len == 0 || e->hosts.data[0] == '#') {
    return false;
  }
  if (e->hosts.data[0] != '@') {
    return true;
  }
  if (!read_marker(e->hosts, &e->marker)) {
    return false;
  }
  e->hosts = wr__next_word(line);
  return e->hosts.len > 0 && e->hosts.data[0] != '@';
}

/* Without its end: a zero byte or carriage returns. */
static wr_slice trim_line(wr_slice line) {
  const uint8_t *nul = line.len == 0 ? NULL : memchr(line.data, '\0', line.len);
  if (nul != NULL) {
    line.len = (size_t)(nul - line.data);
  }
  while (line.len > 0 && line.data[line.len - 1] == '\r') {
    line.len--;
  }
  return line;
}

/* The next entry for the name; false at the end. */
static bool next_entry(cursor *c, const name *n, entry *e) {
  while (c->rest.len > 0) {
    const uint8_t *lf = memchr(c->rest.data, '\n', c->rest.len);
    size_t len = lf == NULL ? c->rest.len : (size_t)(lf - c->rest.data);
    size_t skip = lf == NULL ? len : len + 1;
    wr_slice line = trim_line((wr_slice){c->rest.data, len});
    c->rest.data += skip;
    c->rest.len -= skip;
    c->line++;
    if (read_head(&line, e) && match_hosts(e->hosts, n) && read_key(line, e)) {
      return true;
    }
  }
  return false;
}

/* Revocation is of the key, and of an authority with all that it signed. */
static bool revokes(const entry *e, const subject *s) {
  return wr_slice_same(e->key, s->key) ||
         (s->cert != NULL && wr_slice_same(e->key, s->cert->authority));
}

/* A line with an authority. */
static void look_at_authority(const entry *e, const subject *s, finding *f) {
  if (s->cert == NULL || !wr_slice_same(e->key, s->cert->authority)) {
    return;
  }
  f->why = wr_hostcert_fault(s->cert, s->host, s->now_s);
  f->certified = f->why == NULL;
}

static void look(wr_slice text, const name *n, const subject *s, finding *f) {
  cursor c = {.rest = text};
  entry e;
  *f = (finding){0};
  while (next_entry(&c, n, &e)) {
    if (e.marker == MARKER_REVOKED) {
      if (revokes(&e, s)) {
        f->revoked = true;
        f->line = c.line;
        return;
      }
    } else if (e.marker == MARKER_CA) {
      look_at_authority(&e, s, f);
    } else if (!e.certificate && wr_slice_same(e.key, s->key)) {
      f->same = true;
    } else if (!f->other) {
      f->other = true;
      f->line = c.line;
    }
  }
}

static wr_known_verdict verdict_of(const finding *f) {
  if (f->revoked) {
    return WR_KNOWN_REVOKED;
  }
  if (f->certified || f->same) {
    return WR_KNOWN_MATCH;
  }
  return f->other ? WR_KNOWN_MISMATCH : WR_KNOWN_UNKNOWN;
}

/* Where nothing is known about a port of the host's, what stands for the host
   itself will do, as in ssh, but another key there says nothing. Its authorities
   will do as well where another key stands for the port. */
static wr_known_verdict verdict_of_port(const finding *port, finding *host) {
  if (host->revoked) {
    return WR_KNOWN_REVOKED;
  }
  if (host->certified) {
    return WR_KNOWN_MATCH;
  }
  if (port->other) {
    return WR_KNOWN_MISMATCH;
  }
  return host->same ? WR_KNOWN_MATCH : WR_KNOWN_UNKNOWN;
}

static void judge(wr_slice text, const char *host, uint16_t port, subject *s,
                  wr_known_answer *out) {
  name bare;
  name n;
  finding here;
  finding there = {0};
  make_name(&bare, host, DEFAULT_PORT);
  make_name(&n, host, port);
  bare.text[bare.len] = '\0';
  s->host = (const char *)bare.text;
  look(text, &n, s, &here);
  out->verdict = verdict_of(&here);
  if (port != 0 && port != DEFAULT_PORT && out->verdict != WR_KNOWN_MATCH &&
      out->verdict != WR_KNOWN_REVOKED) {
    look(text, &bare, s, &there);
    out->verdict = verdict_of_port(&here, &there);
  }
  if (out->verdict == WR_KNOWN_REVOKED) {
    out->line = here.revoked ? here.line : there.line;
  } else if (out->verdict == WR_KNOWN_MISMATCH) {
    out->line = here.line;
  }
  if (out->verdict != WR_KNOWN_MATCH) {
    out->why = here.why != NULL ? here.why : there.why;
  }
}

int wr_known_hosts_check(const char *text, size_t len, const char *host,
                         uint16_t port, wr_slice blob, uint64_t now_s,
                         wr_known_answer *out) {
  wr_cert cert;
  subject s = {.key = blob, .now_s = now_s};
  *out = (wr_known_answer){.verdict = WR_KNOWN_UNKNOWN};
  if (wr_cert_type(wr_blob_type(blob))) {
    int err = wr_cert_parse(blob, &cert);
    if (err != 0) {
      return err;
    }
    s.cert = &cert;
    s.key = (wr_slice){cert.key, cert.key_len};
  }
  judge((wr_slice){(const uint8_t *)text, len}, host, port, &s, out);
  return 0;
}

/* Whether the name, written as a line's first word, means itself only. */
static bool host_is_fine(const char *host) {
  for (const char *p = host; *p != '\0'; p++) {
    unsigned char c = (unsigned char)*p;
    if (c <= 0x20 || c == 0x7f || strchr(",*?!|@#[]\"", c) != NULL) {
      return false;
    }
  }
  return host[0] != '\0';
}

int wr_known_hosts_line(const char *host, uint16_t port, wr_slice blob,
                        wr_buf *out) {
  name n;
  make_name(&n, host, port);
  if (n.len == 0 || !host_is_fine(host)) {
    return WR_EINVAL;
  }
  wr_buf line;
  wr_buf_init(&line, out->mem, WR_KEY_FILE_MAX);
  int err = wr_buf_printf(&line, "%.*s ", (int)n.len, (const char *)n.text);
  if (err == 0) {
    err = wr_key_write_public(blob, NULL, &line);
  }
  if (err == 0) {
    err = wr_buf_append(out, line.data, line.len);
  }
  wr_buf_reset(&line);
  return err;
}

/* The type of a key that an algorithm is used with. */
static wr_slice plain_type(wr_slice algorithm) {
  static const char rsa[] = "ssh-rsa";
  static const char ed25519[] = WR__ED25519;
  if (wr_slice_eq(algorithm, WR_CERT_ED25519)) {
    return (wr_slice){(const uint8_t *)ed25519, sizeof(ed25519) - 1};
  }
  if (wr_slice_eq(algorithm, "rsa-sha2-512") ||
      wr_slice_eq(algorithm, "rsa-sha2-256")) {
    return (wr_slice){(const uint8_t *)rsa, sizeof(rsa) - 1};
  }
  return algorithm;
}

/* The next algorithm from the front of the list; false at the end. */
static bool next_algorithm(wr_slice *list, wr_slice *out) {
  if (list->len == 0) {
    return false;
  }
  const uint8_t *comma = memchr(list->data, ',', list->len);
  size_t len = comma == NULL ? list->len : (size_t)(comma - list->data);
  size_t skip = comma == NULL ? len : len + 1;
  *out = (wr_slice){list->data, len};
  list->data += skip;
  list->len -= skip;
  return true;
}

static wr_slice all_algorithms(void) {
  static const char all[] = WR_HOST_KEY_ALGORITHMS;
  return (wr_slice){(const uint8_t *)all, sizeof(all) - 1};
}

/* Whether the line speaks for asking with the algorithm. */
static bool speaks_for(const entry *e, wr_slice algorithm) {
  if (e->marker == MARKER_CA) {
    return wr_cert_type(algorithm);
  }
  return e->marker == MARKER_NONE && !e->certificate &&
         wr_slice_same(e->type, plain_type(algorithm));
}

/* Those that lines for the name speak for, a bit each. */
static unsigned known_algorithms(wr_slice text, const name *n) {
  cursor c = {.rest = text};
  entry e;
  unsigned known = 0;
  while (next_entry(&c, n, &e)) {
    wr_slice list = all_algorithms();
    wr_slice algorithm;
    for (unsigned bit = 1; next_algorithm(&list, &algorithm); bit <<= 1) {
      known |= speaks_for(&e, algorithm) ? bit : 0;
    }
  }
  return known;
}

/* Appends those in the set, each behind a comma. */
static int add_algorithms(unsigned set, wr_buf *out) {
  wr_slice list = all_algorithms();
  wr_slice algorithm;
  int err = 0;
  for (unsigned bit = 1; err == 0 && next_algorithm(&list, &algorithm);
       bit <<= 1) {
    if ((set & bit) != 0) {
      err = wr_buf_put_u8(out, ',');
      err = err != 0 ? err : wr_buf_append(out, algorithm.data, algorithm.len);
    }
  }
  return err;
}

int wr_known_hosts_types(const char *text, size_t len, const char *host,
                         uint16_t port, wr_buf *out) {
  wr_slice all = {(const uint8_t *)text, len};
  wr_buf list;
  name n;
  make_name(&n, host, port);
  unsigned known = known_algorithms(all, &n);
  if (known == 0 && port != 0 && port != DEFAULT_PORT) {
    make_name(&n, host, DEFAULT_PORT);
    known = known_algorithms(all, &n);
  }
  if (known == 0) {
    return 0;
  }
  wr_buf_init(&list, out->mem, sizeof(WR_HOST_KEY_ALGORITHMS) + 1);
  int err = add_algorithms(known, &list);
  err = err != 0 ? err : add_algorithms(~known, &list);
  err = err != 0 ? err : wr_buf_append(out, list.data + 1, list.len - 1);
  wr_buf_reset(&list);
  return err;
}
