#include "proxy/spec.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

#define MAX_FIELDS 4

/* One field between colons; brackets are taken off, so that text in them may
   hold colons. */
typedef struct field {
  const char *text;
  size_t len;
  bool bracketed;
} field;

static int fail(const char **why, const char *text) {
  *why = text;
  return WR_ESPEC;
}

static bool is_path(const field *f) {
  return f->len > 0 && f->text[0] == '/';
}

/* Reads one field at *p. At the end *p points to the colon or the zero. */
static int take_field(const char **p, field *f, const char **why) {
  const char *s = *p;
  if (*s != '[') {
    f->text = s;
    f->len = strcspn(s, ":");
    f->bracketed = false;
    *p = s + f->len;
    return 0;
  }
  const char *end = strchr(s, ']');
  if (end == NULL || (end[1] != ':' && end[1] != '\0')) {
    return fail(why, "'[' needs its ']' at the end of the same part");
  }
  f->text = s + 1;
  f->len = (size_t)(end - f->text);
  f->bracketed = true;
  *p = end + 1;
  return 0;
}

static int split(const char *text, field *f, size_t *n, const char **why) {
  const char *p = text;
  size_t count = 0;
  for (;;) {
    if (count == MAX_FIELDS) {
      return fail(why, "too many colons: IPv6 addresses go in brackets");
    }
    int err = take_field(&p, &f[count], why);
    if (err != 0) {
      return err;
    }
    count++;
    if (*p == '\0') {
      *n = count;
      return 0;
    }
    p++;
  }
}

static int read_port(const field *f, bool zero, uint16_t *port,
                     const char **why) {
  uint64_t v = 0;
  if (f->bracketed || wr_parse_uint(f->text, f->len, 65535, &v) != 0 ||
      (v == 0 && !zero)) {
    return fail(why, zero ? "the port is not a number from 0 to 65535"
                          : "the port is not a number from 1 to 65535");
  }
  *port = (uint16_t)v;
  return 0;
}

/* Blanks and control characters are in no name that resolves, and would make
   errors and start-up lines lie. */
static bool host_text_ok(const field *f) {
  for (size_t i = 0; i < f->len; i++) {
    unsigned char c = (unsigned char)f->text[i];
    if (c <= ' ' || c == 0x7f || c == '/' || c == '[' || c == ']') {
      return false;
    }
  }
  return true;
}

static void copy_text(wr_endpoint *e, const field *f) {
  memcpy(e->host, f->text, f->len);
  e->host[f->len] = '\0';
}

static int read_host(const field *f, wr_endpoint *e, const char **why) {
  if (f->len == 0) {
    return fail(why, "the host is missing");
  }
  if (f->len > WR_HOST_MAX) {
    return fail(why, "the host is longer than 255 bytes");
  }
  if (!host_text_ok(f)) {
    return fail(why, "the host holds a character that no host has");
  }
  e->is_unix = false;
  copy_text(e, f);
  return 0;
}

static int read_path(const field *f, wr_endpoint *e, const char **why) {
  if (f->len > WR_HOST_MAX) {
    return fail(why, "the path is longer than 255 bytes");
  }
  if (f->len < 2 || f->text[f->len - 1] == '/') {
    return fail(why, "the path names no socket");
  }
  e->is_unix = true;
  e->port = 0;
  copy_text(e, f);
  return 0;
}

/* A listening address. An empty one that was given means all addresses, as it
   does to ssh(1), and is written as "*" so that it differs from none given. */
static int read_bind(const field *host, const field *port, wr_forward_spec *out,
                     const char **why) {
  int err = 0;
  out->bind_given = host != NULL;
  if (host != NULL && host->len == 0) {
    memcpy(out->bind.host, "*", 2);
  } else if (host != NULL) {
    err = read_host(host, &out->bind, why);
  }
  if (err != 0) {
    return err;
  }
  return read_port(port, true, &out->bind.port, why);
}

static int read_target(const field *f, size_t n, wr_endpoint *e,
                       const char **why) {
  if (n == 1 && is_path(&f[0])) {
    return read_path(&f[0], e, why);
  }
  if (n == 1) {
    return fail(why, "the target is neither host:port nor a path");
  }
  int err = read_host(&f[0], e, why);
  if (err != 0) {
    return err;
  }
  return read_port(&f[1], false, &e->port, why);
}

/* How many of the fields tell where to listen. 0: the shape is unknown. */
static size_t bind_fields(const field *f, size_t n) {
  if (is_path(&f[0])) {
    return n == 2 || n == 3 ? 1 : 0;
  }
  if (n == 4) {
    return 2;
  }
  if (n == 3) {
    return is_path(&f[2]) ? 2 : 1;
  }
  return n == 2 && is_path(&f[1]) ? 1 : 0;
}

static int check_reserved(const wr_forward_spec *s, bool remote,
                          const char **why) {
  char name[WR_HOST_MAX + 1];
  if (!s->bind.is_unix && wr_reserved_name(s->bind.host, name)) {
    if (!remote) {
      return fail(why, "a name that begins with wraith- is no local address");
    }
    if (s->bind.port != 0) {
      return fail(why, "a name that begins with wraith- is listened on with "
                       "port 0");
    }
  }
  /* Such names are answered inside the server and looked up nowhere else. */
  if (remote && !s->target.is_unix && wr_reserved_name(s->target.host, name)) {
    return fail(why, "a name that begins with wraith- is no target for a "
                     "remote forward");
  }
  return 0;
}

static const char *unknown_shape(size_t n, bool remote) {
  if (n <= 2 && remote) {
    return "no target: a reverse SOCKS forward is not supported, write "
           "[bind:]port:host:hostport";
  }
  return "expected [bind:]port:host:hostport or a path in place of either side";
}

int wr_forward_spec_parse(const char *text, bool remote, wr_forward_spec *out,
                          const char **why) {
  field f[MAX_FIELDS];
  size_t n = 0;
  int err = split(text, f, &n, why);
  if (err != 0) {
    return err;
  }
  size_t nb = bind_fields(f, n);
  if (nb == 0) {
    return fail(why, unknown_shape(n, remote));
  }
  wr_forward_spec s = {0};
  if (is_path(&f[0])) {
    s.bind_given = true;
    err = read_path(&f[0], &s.bind, why);
  } else {
    err = read_bind(nb == 2 ? &f[0] : NULL, &f[nb - 1], &s, why);
  }
  if (err == 0) {
    err = read_target(f + nb, n - nb, &s.target, why);
  }
  if (err == 0) {
    err = check_reserved(&s, remote, why);
  }
  if (err == 0) {
    *out = s;
  }
  return err;
}

static int unix_destination(const char *path, wr_endpoint *out,
                            const char **why) {
  field f = {path, strlen(path), false};
  if (!is_path(&f)) {
    return fail(why, "unix: is followed by a path that begins with '/'");
  }
  wr_endpoint e = {0};
  int err = read_path(&f, &e, why);
  if (err == 0) {
    *out = e;
  }
  return err;
}

int wr_destination_parse(const char *text, wr_endpoint *out, const char **why) {
  field f[MAX_FIELDS];
  char name[WR_HOST_MAX + 1];
  wr_endpoint e = {0};
  size_t n = 0;
  if (strncmp(text, "unix:", 5) == 0) {
    return unix_destination(text + 5, out, why);
  }
  int err = split(text, f, &n, why);
  if (err != 0) {
    return err;
  }
  if (n > 2) {
    return fail(why, "too many colons: IPv6 addresses go in brackets");
  }
  err = read_host(&f[0], &e, why);
  if (err != 0) {
    return err;
  }
  if (n == 2) {
    err = read_port(&f[1], false, &e.port, why);
  } else if (wr_reserved_name(e.host, name)) {
    e.port = 1;
  } else {
    return fail(why, "the port is missing");
  }
  if (err == 0) {
    *out = e;
  }
  return err;
}
