#include "ssh/keyopts.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/keyopts_internal.h"
#include "ssh/match.h"

#define UNKNOWN "unknown option"

/* Reading the options of a line. */
typedef struct reader {
  wr_mem *mem;
  wr_slice rest;
  wr_keyopts o;
  char *value; /* of the option at hand; owned */
  const char *why;
} reader;

/* Some texts about permits of one kind. */
typedef struct permit_texts {
  const char *too_many;
  const char *host;
  const char *port;
} permit_texts;

static int fail(reader *r, const char *why) {
  r->why = why;
  return WR_EKEY_OPTIONS;
}

static void drop(wr_slice *s, size_t n) {
  s->data += n;
  s->len -= n;
}

/* FLAGS */

static void set_restrict(wr_keyopts *o, bool on) {
  o->port_forwarding = !on;
}

static void set_cert_authority(wr_keyopts *o, bool on) {
  o->cert_authority = on;
}

static void set_port_forwarding(wr_keyopts *o, bool on) {
  o->port_forwarding = on;
}

static void set_verify_required(wr_keyopts *o, bool on) {
  o->verify_required = on;
}

/* What the option is about is not there, or is always so. */
static void set_nothing(wr_keyopts *o, bool on) {
  WR_UNUSED(o);
  WR_UNUSED(on);
}

static const struct {
  const char *name;
  bool negatable; /* with no- in front */
  void (*set)(wr_keyopts *o, bool on);
} flags[] = {
    {"restrict", false, set_restrict},
    {"cert-authority", false, set_cert_authority},
    {"port-forwarding", true, set_port_forwarding},
    {"verify-required", true, set_verify_required},
    {"touch-required", false, set_nothing},
    {"pty", true, set_nothing},
    {"agent-forwarding", true, set_nothing},
    {"X11-forwarding", true, set_nothing},
    {"user-rc", true, set_nothing},
};

/* Whatever is in force when the option comes is overridden, as by sshd. */
static int read_flag(reader *r, wr_slice name) {
  static const char no[] = "no-";
  size_t n = sizeof(no) - 1;
  bool negated =
      name.len > n && wr_slice_eq_nocase((wr_slice){name.data, n}, no);
  if (negated) {
    drop(&name, n);
  }
  for (size_t i = 0; i < WR_COUNTOF(flags); i++) {
    if (wr_slice_eq_nocase(name, flags[i].name) &&
        (flags[i].negatable || !negated)) {
      flags[i].set(&r->o, !negated);
      return 0;
    }
  }
  return fail(r, UNKNOWN);
}

/* VALUES */

/* Takes the value over. */
static int keep_value(reader *r, char **dst, const char *twice) {
  if (*dst != NULL) {
    return fail(r, twice);
  }
  *dst = r->value;
  r->value = NULL;
  return 0;
}

static int read_from(reader *r) {
  if (!wr_match_from_valid(wr_slice_of(r->value))) {
    return fail(r, "from: an entry is empty or a network has host bits");
  }
  return keep_value(r, &r->o.from, "from: given twice");
}

static int read_principals(reader *r) {
  return keep_value(r, &r->o.principals, "principals: given twice");
}

static int read_expiry(reader *r) {
  uint64_t seconds = wr__expiry_read(wr_slice_of(r->value));
  if (seconds == 0) {
    return fail(r, "expiry-time: not a time as YYYYMMDD[HHMM[SS]][Z]");
  }
  if (r->o.expires_s == 0 || seconds < r->o.expires_s) {
    r->o.expires_s = seconds;
  }
  return 0;
}

static int add_permit(reader *r, wr_permit **list, size_t *n, wr_slice host,
                      uint16_t port) {
  if ((*n & (*n - 1)) == 0) { /* the room is a power of two */
    size_t room = *n == 0 ? 1 : 2 * *n;
    wr_permit *more = wr_realloc(r->mem, *list, room * sizeof(*more));
    if (more == NULL) {
      return WR_ENOMEM;
    }
    *list = more;
  }
  char *copy = wr_strndup(r->mem, (const char *)host.data, host.len);
  if (copy == NULL) {
    return WR_ENOMEM;
  }
  (*list)[(*n)++] = (wr_permit){copy, port};
  return 0;
}

static int read_permit(reader *r, bool listen, wr_permit **list, size_t *n,
                       const permit_texts *texts) {
  wr_slice host;
  wr_slice port_text;
  uint16_t port;
  if (*n >= WR_PERMITS_MAX) {
    return fail(r, texts->too_many);
  }
  if (!wr__permit_split(wr_slice_of(r->value), listen, &host, &port_text)) {
    return fail(r, texts->host);
  }
  if (!wr__permit_port(port_text, &port)) {
    return fail(r, texts->port);
  }
  return add_permit(r, list, n, host, port);
}

#define PERMIT_TEXTS(name)                                                     \
  {                                                                            \
    name ": there are too many", name ": the host is malformed",               \
        name ": the port is neither a number nor '*'"                          \
  }

static int read_permitopen(reader *r) {
  static const permit_texts texts = PERMIT_TEXTS("permitopen");
  return read_permit(r, false, &r->o.opens, &r->o.n_opens, &texts);
}

static int read_permitlisten(reader *r) {
  static const permit_texts texts = PERMIT_TEXTS("permitlisten");
  return read_permit(r, true, &r->o.listens, &r->o.n_listens, &texts);
}

/* OPTIONS */

#define UNQUOTED(name) name ": the value is not in quotes"

static const struct {
  const char *name;
  int (*read)(reader *r); /* r->value */
  const char *unquoted;
} values[] = {
    {"from", read_from, UNQUOTED("from")},
    {"principals", read_principals, UNQUOTED("principals")},
    {"expiry-time", read_expiry, UNQUOTED("expiry-time")},
    {"permitopen", read_permitopen, UNQUOTED("permitopen")},
    {"permitlisten", read_permitlisten, UNQUOTED("permitlisten")},
};

/* Options of sshd that would have to be enforced. */
static const struct {
  const char *name;
  const char *why;
} refused[] = {
    {"command", "command: not supported"},
    {"environment", "environment: not supported"},
    {"tunnel", "tunnel: not supported"},
    {"no-touch-required", "no-touch-required: not supported"},
};

/* The length of the value in quotes at the front, both included; 0 if there is
   none. \" is a quote within it. */
static size_t quoted_length(wr_slice s) {
  size_t i = 1;
  if (s.len == 0 || s.data[0] != '"') {
    return 0;
  }
  while (i < s.len && s.data[i] != '"') {
    i += s.data[i] == '\\' && i + 1 < s.len && s.data[i + 1] == '"' ? 2 : 1;
  }
  return i < s.len ? i + 1 : 0;
}

/* Takes the value from the front. */
static int take_value(reader *r, const char *unquoted) {
  size_t len = quoted_length(r->rest);
  if (len == 0) {
    return fail(r, unquoted);
  }
  char *value = wr_alloc(r->mem, len);
  if (value == NULL) {
    return WR_ENOMEM;
  }
  const uint8_t *src = r->rest.data;
  size_t n = 0;
  for (size_t i = 1; i < len - 1; i++) {
    if (src[i] == '\\' && src[i + 1] == '"') {
      i++;
    }
    value[n++] = (char)src[i];
  }
  value[n] = '\0';
  drop(&r->rest, len);
  r->value = value;
  return 0;
}

static int read_value(reader *r, wr_slice name) {
  for (size_t i = 0; i < WR_COUNTOF(values); i++) {
    if (wr_slice_eq_nocase(name, values[i].name)) {
      int err = take_value(r, values[i].unquoted);
      err = err == 0 ? values[i].read(r) : err;
      wr_free(r->mem, r->value);
      r->value = NULL;
      return err;
    }
  }
  return fail(r, UNKNOWN);
}

static wr_slice take_name(reader *r) {
  wr_slice name = {r->rest.data, 0};
  while (name.len < r->rest.len && name.data[name.len] != ',' &&
         name.data[name.len] != '=') {
    name.len++;
  }
  drop(&r->rest, name.len);
  return name;
}

/* One option and the comma behind it. sshd skips what is empty. */
static int read_option(reader *r) {
  int err = 0;
  wr_slice name = take_name(r);
  for (size_t i = 0; i < WR_COUNTOF(refused); i++) {
    if (wr_slice_eq_nocase(name, refused[i].name)) {
      return fail(r, refused[i].why);
    }
  }
  if (r->rest.len > 0 && r->rest.data[0] == '=') {
    drop(&r->rest, 1);
    err = read_value(r, name);
  } else if (name.len > 0) {
    err = read_flag(r, name);
  }
  if (err != 0 || r->rest.len == 0) {
    return err;
  }
  if (r->rest.data[0] != ',') {
    return fail(r, UNKNOWN);
  }
  drop(&r->rest, 1);
  return 0;
}

static int read_options(reader *r) {
  int err = 0;
  while (err == 0 && r->rest.len > 0) {
    err = read_option(r);
  }
  if (err == 0 && r->o.principals != NULL && !r->o.cert_authority) {
    return fail(r, "principals: without cert-authority");
  }
  return err;
}

void wr_keyopts_init(wr_keyopts *o) {
  *o = (wr_keyopts){.port_forwarding = true};
}

static void free_permits(wr_mem *mem, wr_permit *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    wr_free(mem, list[i].host);
  }
  wr_free(mem, list);
}

void wr_keyopts_reset(wr_mem *mem, wr_keyopts *o) {
  wr_free(mem, o->from);
  wr_free(mem, o->principals);
  free_permits(mem, o->opens, o->n_opens);
  free_permits(mem, o->listens, o->n_listens);
  wr_keyopts_init(o);
}

int wr_keyopts_parse(wr_mem *mem, const char *text, size_t len, wr_keyopts *out,
                     const char **why) {
  reader r = {.mem = mem, .rest = {(const uint8_t *)text, len}};
  wr_keyopts_init(&r.o);
  int err = wr_slice_has_nul(r.rest) ? fail(&r, UNKNOWN) : read_options(&r);
  if (err == 0) {
    *out = r.o;
    return 0;
  }
  wr_keyopts_reset(mem, &r.o);
  if (err == WR_EKEY_OPTIONS) {
    *why = r.why;
  }
  return err;
}
