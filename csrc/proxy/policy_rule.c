#include "proxy/policy_rule.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "proxy/spec.h"

/* A rule taken apart: what is before the port, and the port. */
typedef struct parts {
  char host[WR_RULE_TEXT_MAX + 1];
  const char *port; /* NULL: none was given */
  bool bracketed;
} parts;

static int fail(const char **why, const char *text) {
  *why = text;
  return WR_ERULE;
}

bool wr__rule_host(const char *host, char dst[WR_HOST_MAX + 1]) {
  size_t len = strlen(host);
  if (len > 0 && host[len - 1] == '.') {
    len--;
  }
  if (len == 0 || len > WR_HOST_MAX) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    dst[i] = (char)wr_lower((uint8_t)host[i]);
  }
  dst[len] = '\0';
  return true;
}

/* Greedy, with one point to go back to for each kind of star, so that the time
   is bounded by the product of the lengths, whatever the pattern is. The latest
   star of a kind is enough: an earlier one that took more would only leave less
   to the later one. */
bool wr__rule_glob(const char *p, const char *t) {
  const char *star = NULL, *star_t = NULL; /* behind "*" */
  const char *deep = NULL, *deep_t = NULL; /* behind "**" */
  for (;;) {
    if (p[0] == '*' && p[1] == '*') {
      while (*p == '*') {
        p++;
      }
      deep = p;
      deep_t = t;
      star = NULL;
    } else if (*p == '*') {
      star = ++p;
      star_t = t;
    } else if (*t != '\0' && (*p == *t || (*p == '?' && *t != '/'))) {
      p++;
      t++;
    } else if (*p == '\0' && *t == '\0') {
      return true;
    } else if (star != NULL && *star_t != '\0' && *star_t != '/') {
      p = star;
      t = ++star_t;
    } else if (deep != NULL && *deep_t != '\0') {
      p = deep;
      t = ++deep_t;
      star = NULL;
    } else {
      return false;
    }
  }
}

bool wr__rule_path_is_plain(const char *path) {
  if (path[0] != '/') {
    return false;
  }
  while (*path == '/') {
    const char *part = ++path;
    path += strcspn(path, "/");
    size_t len = (size_t)(path - part);
    if (len == 0 || (len == 1 && part[0] == '.') ||
        (len == 2 && part[0] == '.' && part[1] == '.')) {
      return false;
    }
  }
  return true;
}

static int parse_port(const char *text, wr_rule *r, const char **why) {
  uint64_t lo = 0, hi = 65535;
  r->hi = 65535;
  if (text == NULL || strcmp(text, "*") == 0) {
    return 0;
  }
  size_t len = strcspn(text, "-");
  int err = wr_parse_uint(text, len, 65535, &lo);
  hi = lo;
  if (err == 0 && text[len] == '-') {
    err = wr_parse_uint(text + len + 1, strlen(text + len + 1), 65535, &hi);
  }
  if (err != 0) {
    return fail(why, "the port is neither a number, a range nor '*'");
  }
  if (hi < lo) {
    return fail(why, "the port range ends before it begins");
  }
  r->has_port = true;
  r->lo = (uint16_t)lo;
  r->hi = (uint16_t)hi;
  return 0;
}

/* "[v6]", "[v6]:port", "[v6/bits]:port" and "[v6]/bits:port". */
static int split_bracketed(const char *text, parts *p, const char **why) {
  const char *end = strchr(text, ']');
  if (end == NULL) {
    return fail(why, "'[' without ']'");
  }
  size_t len = (size_t)(end - text - 1);
  memcpy(p->host, text + 1, len);
  p->bracketed = true;
  end++;
  if (*end == '/') {
    size_t bits = strcspn(end, ":");
    memcpy(p->host + len, end, bits);
    len += bits;
    end += bits;
  }
  p->host[len] = '\0';
  if (*end != '\0' && *end != ':') {
    return fail(why, "']' is followed by neither ':' nor '/'");
  }
  p->port = *end == ':' ? end + 1 : NULL;
  return 0;
}

static int split(const char *text, parts *p, const char **why) {
  *p = (parts){.port = NULL};
  if (text[0] == '[') {
    return split_bracketed(text, p, why);
  }
  const char *colon = strchr(text, ':');
  /* Several colons: an IPv6 address or network without a port. */
  if (colon != NULL && strchr(colon + 1, ':') != NULL) {
    colon = NULL;
  }
  size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
  memcpy(p->host, text, len);
  p->host[len] = '\0';
  p->port = colon == NULL ? NULL : colon + 1;
  return 0;
}

static bool group_named(const char *name, wr_rule *r) {
  static const struct {
    const char *name;
    bool (*test)(const wr_ip *);
  } groups[] = {{"private", wr_ip_is_private},
                {"loopback", wr_ip_is_loopback},
                {"link-local", wr_ip_is_link_local},
                {"metadata", wr_ip_is_metadata}};
  for (size_t i = 0; i < WR_COUNTOF(groups); i++) {
    if (strcmp(groups[i].name, name) == 0) {
      r->kind = WR_RULE_GROUP;
      r->group = groups[i].test;
      return true;
    }
  }
  return false;
}

/* An address or network; false if the text is neither. */
static bool network_named(const char *text, wr_rule *r) {
  wr_ip ip;
  r->kind = WR_RULE_CIDR;
  if (strchr(text, '/') != NULL) {
    return wr_cidr_parse(text, &r->cidr) == 0;
  }
  if (wr_ip_parse(text, &ip) != 0) {
    return false;
  }
  r->cidr = (wr_cidr){.ip = ip, .bits = ip.family == 4 ? 32 : 128};
  return true;
}

static int keep_text(wr_mem *mem, wr_rule *r, const char *text) {
  r->text = wr_strdup(mem, text);
  return r->text == NULL ? WR_ENOMEM : 0;
}

/* Letters, digits and "-._", in no empty label. Names beyond ASCII are written as
   the resolver gets them (xn--): a rule is compared with that form only. */
static bool name_is_plain(const char *name) {
  for (const char *p = name; *p != '\0'; p++) {
    bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
    if (!alnum && strchr("-._", *p) == NULL) {
      return false;
    }
  }
  size_t len = strlen(name);
  return strstr(name, "..") == NULL && (len == 0 || name[len - 1] != '.');
}

static int parse_name(wr_mem *mem, const char *host, wr_rule *r,
                      const char **why) {
  char name[WR_HOST_MAX + 1];
  if (!wr__rule_host(host, name)) {
    return fail(why, "the host is missing or longer than 255 bytes");
  }
  bool domain = name[0] == '*' && name[1] == '.';
  const char *rest = domain ? name + 1 : name;
  if (!name_is_plain(rest) || (!domain && rest[0] == '.')) {
    return fail(why, "the host is neither a name, *.domain, an address, a "
                     "network, a group nor '*'");
  }
  r->kind = domain ? WR_RULE_DOMAIN : WR_RULE_NAME;
  return keep_text(mem, r, rest);
}

static int parse_reserved(wr_mem *mem, const char *name, wr_rule *r,
                          const char **why) {
  if (r->has_port) {
    return fail(why, "a name that begins with wraith- has no port");
  }
  for (const char *p = name; *p != '\0'; p++) {
    if (*p <= ' ' || *p > '~') {
      return fail(why, "a name that begins with wraith- is printable ASCII");
    }
  }
  r->kind = WR_RULE_RESERVED;
  return keep_text(mem, r, name);
}

static int parse_unix(wr_mem *mem, const char *path, wr_rule *r,
                      const char **why) {
  if (!wr__rule_path_is_plain(path)) {
    return fail(why, "unix: needs an absolute path without empty, '.' and "
                     "'..' parts");
  }
  r->kind = WR_RULE_UNIX;
  return keep_text(mem, r, path);
}

static int parse_host(wr_mem *mem, const parts *p, wr_rule *r,
                      const char **why) {
  char name[WR_HOST_MAX + 1];
  if (p->bracketed || strpbrk(p->host, ":/") != NULL) {
    if (network_named(p->host, r)) {
      return 0;
    }
    return fail(why, "malformed network: ADDRESS/BITS with zero host bits; "
                     "IPv6 with a port in brackets");
  }
  if (strcmp(p->host, "*") == 0) {
    r->kind = WR_RULE_ANY;
    return 0;
  }
  if (wr_reserved_name(p->host, name)) {
    return parse_reserved(mem, name, r, why);
  }
  if (wr__rule_host(p->host, name) &&
      (group_named(name, r) || network_named(name, r))) {
    return 0;
  }
  return parse_name(mem, p->host, r, why);
}

int wr__rule_parse(wr_mem *mem, bool allow, const char *text, wr_rule *out,
                   const char **why) {
  parts p;
  wr_rule r = {.allow = allow};
  if (strlen(text) > WR_RULE_TEXT_MAX) {
    return fail(why, "the rule is longer than 512 bytes");
  }
  int err;
  if (strncmp(text, "unix:", 5) == 0) {
    err = parse_unix(mem, text + 5, &r, why);
  } else {
    err = split(text, &p, why);
    if (err == 0) {
      err = parse_port(p.port, &r, why);
    }
    if (err == 0) {
      err = parse_host(mem, &p, &r, why);
    }
  }
  if (err == 0) {
    *out = r;
  }
  return err;
}

void wr__rule_reset(wr_mem *mem, wr_rule *rule) {
  wr_free(mem, rule->text);
  rule->text = NULL;
}
