#include "ssh/known_hosts.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"
#include "ssh/match.h"

#define DEFAULT_PORT 22
/* Longer than any name of the DNS. */
#define NAME_MAX_CHARS 1024
#define SHA1_SIZE 20

typedef enum marker { MARKER_NONE, MARKER_CA, MARKER_REVOKED } marker;

/* What a line that could be read says. */
typedef struct entry {
  marker marker;
  wr_slice hosts;
  wr_slice type;               /* borrowed from the text */
  uint8_t bytes[WR__BLOB_MAX]; /* the key */
  size_t len;
} entry;

/* A name to look for: lower case, with port if it is not 22. */
typedef struct name {
  uint8_t text[NAME_MAX_CHARS];
  size_t len; /* 0: no line can match */
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
  if (len == 0 || len > sizeof(n->text) - head_len - tail_len) {
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
  e->len = (size_t)n;
  wr_slice blob = {e->bytes, e->len};
  return wr_slice_same(wr_blob_type(blob), e->type) &&
         wr__blob_well_formed(blob);
}

/* False for blank lines, comments and what is broken: ssh skips those. */
static bool read_line(wr_slice line, entry *e) {
  const uint8_t *nul = line.len == 0 ? NULL : memchr(line.data, '\0', line.len);
  if (nul != NULL) {
    line.len = (size_t)(nul - line.data);
  }
  while (line.len > 0 && line.data[line.len - 1] == '\r') {
    line.len--;
  }
  e->marker = MARKER_NONE;
  e->hosts = wr__next_word(&line);
  if (e->hosts.len == 0 || e->hosts.data[0] == '#') {
    return false;
  }
  if (e->hosts.data[0] == '@') {
    if (!read_marker(e->hosts, &e->marker)) {
      return false;
    }
    e->hosts = wr__next_word(&line);
    if (e->hosts.len == 0 || e->hosts.data[0] == '@') {
      return false;
    }
  }
  return read_key(line, e);
}

/* The next entry for the name; false at the end. */
static bool next_entry(cursor *c, const name *n, entry *e) {
  while (c->rest.len > 0) {
    const uint8_t *lf = memchr(c->rest.data, '\n', c->rest.len);
    size_t len = lf == NULL ? c->rest.len : (size_t)(lf - c->rest.data);
    size_t skip = lf == NULL ? len : len + 1;
    wr_slice line = {c->rest.data, len};
    c->rest.data += skip;
    c->rest.len -= skip;
    c->line++;
    if (read_line(line, e) && e->marker != MARKER_CA &&
        match_hosts(e->hosts, n)) {
      return true;
    }
  }
  return false;
}

static wr_known_verdict check_name(wr_slice text, const name *n, wr_slice blob,
                                   size_t *line) {
  wr_known_verdict verdict = WR_KNOWN_UNKNOWN;
  cursor c = {.rest = text};
  entry e;
  while (next_entry(&c, n, &e)) {
    bool same = wr_slice_same((wr_slice){e.bytes, e.len}, blob);
    if (e.marker == MARKER_REVOKED) {
      if (same) {
        *line = c.line;
        return WR_KNOWN_REVOKED;
      }
    } else if (same) {
      verdict = WR_KNOWN_MATCH;
    } else if (verdict == WR_KNOWN_UNKNOWN) {
      *line = c.line;
      verdict = WR_KNOWN_MISMATCH;
    }
  }
  return verdict;
}

/* As ssh does where nothing is known about a port of the host's: the key of the
   host itself will do, but another key there says nothing. */
static wr_known_verdict check_plain(wr_slice text, const char *host,
                                    wr_slice blob, size_t *line) {
  name n;
  make_name(&n, host, DEFAULT_PORT);
  wr_known_verdict verdict = check_name(text, &n, blob, line);
  return verdict == WR_KNOWN_MISMATCH ? WR_KNOWN_UNKNOWN : verdict;
}

wr_known_verdict wr_known_hosts_check(const char *text, size_t len,
                                      const char *host, uint16_t port,
                                      wr_slice blob, size_t *line) {
  wr_slice all = {(const uint8_t *)text, len};
  size_t at = 0;
  name n;
  make_name(&n, host, port);
  wr_known_verdict verdict = check_name(all, &n, blob, &at);
  if (verdict == WR_KNOWN_UNKNOWN && port != 0 && port != DEFAULT_PORT) {
    verdict = check_plain(all, host, blob, &at);
  }
  if (line != NULL &&
      (verdict == WR_KNOWN_MISMATCH || verdict == WR_KNOWN_REVOKED)) {
    *line = at;
  }
  return verdict;
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

static int add_type(wr_buf *out, size_t from, wr_slice type) {
  if (out->len > from &&
      wr_match_name((wr_slice){out->data + from, out->len - from}, type)) {
    return 0;
  }
  int err = wr_buf_reserve(out, type.len + 1);
  if (err == 0 && out->len > from) {
    err = wr_buf_put_u8(out, ',');
  }
  return err == 0 ? wr_buf_append(out, type.data, type.len) : err;
}

static int add_types(wr_slice text, const name *n, size_t from, wr_buf *out) {
  cursor c = {.rest = text};
  entry e;
  int err = 0;
  while (err == 0 && next_entry(&c, n, &e)) {
    if (e.marker == MARKER_NONE) {
      err = add_type(out, from, e.type);
    }
  }
  return err;
}

int wr_known_hosts_types(const char *text, size_t len, const char *host,
                         uint16_t port, wr_buf *out) {
  wr_slice all = {(const uint8_t *)text, len};
  size_t from = out->len;
  name n;
  make_name(&n, host, port);
  int err = add_types(all, &n, from, out);
  if (err == 0 && out->len == from && port != 0 && port != DEFAULT_PORT) {
    make_name(&n, host, DEFAULT_PORT);
    err = add_types(all, &n, from, out);
  }
  return err;
}
