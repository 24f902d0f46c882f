#include "proxy/policy.h"

#include <string.h>

#include "base/errors.h"
#include "proxy/policy_rule.h"
#include "proxy/spec.h"

#define MAX_RULES 4096

struct wr_policy {
  wr_mem *mem;
  wr_rule *rules;
  size_t n_rules;
  size_t cap;
  bool any_allow; /* one allow rule makes denying the default */
};

/* A target or a listening address, made ready for comparing. */
typedef struct subject {
  const char *name; /* lower case, no trailing dot; NULL: known by address */
  const wr_ip *ip;  /* as it came, NULL: not known */
  wr_ip plain;      /* with 0.0.0.0 and :: as loopback */
  uint16_t port;
} subject;

wr_policy *wr_policy_new(wr_mem *mem) {
  wr_policy *p = wr_calloc(mem, 1, sizeof(*p));
  if (p != NULL) {
    p->mem = mem;
  }
  return p;
}

void wr_policy_free(wr_policy *p) {
  if (p == NULL) {
    return;
  }
  for (size_t i = 0; i < p->n_rules; i++) {
    wr__rule_reset(p->mem, &p->rules[i]);
  }
  wr_free(p->mem, p->rules);
  wr_free(p->mem, p);
}

static int grow(wr_policy *p) {
  if (p->n_rules < p->cap) {
    return 0;
  }
  size_t cap = p->cap == 0 ? 8 : p->cap * 2;
  wr_rule *rules = wr_realloc(p->mem, p->rules, cap * sizeof(*rules));
  if (rules == NULL) {
    return WR_ENOMEM;
  }
  p->rules = rules;
  p->cap = cap;
  return 0;
}

int wr_policy_add(wr_policy *p, bool allow, const char *rule,
                  const char **why) {
  if (p->n_rules == MAX_RULES) {
    *why = "more than 4096 rules";
    return WR_ERULE;
  }
  int err = grow(p);
  if (err == 0) {
    err = wr__rule_parse(p->mem, allow, rule, &p->rules[p->n_rules], why);
  }
  if (err == 0) {
    p->n_rules++;
    p->any_allow = p->any_allow || allow;
  }
  return err;
}

/* To connect to 0.0.0.0 or :: is to connect to the machine itself. */
static wr_ip plain_ip(const wr_ip *ip) {
  wr_ip out = *ip;
  uint8_t sum = 0;
  size_t len = ip->family == 4 ? 4 : 16;
  for (size_t i = 0; i < len; i++) {
    sum |= ip->bytes[i];
  }
  if (sum == 0 && ip->family == 4) {
    out.bytes[0] = 127;
  }
  if (sum == 0) {
    out.bytes[len - 1] = 1;
  }
  return out;
}

static bool is_address_rule(const wr_rule *r) {
  return r->kind == WR_RULE_CIDR || r->kind == WR_RULE_GROUP;
}

static bool port_matches(const wr_rule *r, uint16_t port) {
  return port >= r->lo && port <= r->hi;
}

static bool address_matches(const wr_rule *r, const subject *s) {
  if (s->ip == NULL) {
    return false;
  }
  if (r->kind == WR_RULE_GROUP) {
    return r->group(&s->plain);
  }
  /* A rule may be written with 0.0.0.0 as well. */
  return wr_cidr_contains(&r->cidr, &s->plain) ||
         wr_cidr_contains(&r->cidr, s->ip);
}

static bool ends_with(const char *name, const char *tail) {
  size_t n = strlen(name), t = strlen(tail);
  return n > t && strcmp(name + n - t, tail) == 0;
}

static bool tcp_matches(const wr_rule *r, const subject *s) {
  if (!port_matches(r, s->port)) {
    return false;
  }
  switch (r->kind) {
  case WR_RULE_ANY:
    return true;
  case WR_RULE_NAME:
    return s->name != NULL && strcmp(r->text, s->name) == 0;
  case WR_RULE_DOMAIN:
    return s->name != NULL && ends_with(s->name, r->text);
  case WR_RULE_CIDR:
  case WR_RULE_GROUP:
    return address_matches(r, s);
  case WR_RULE_RESERVED:
  case WR_RULE_UNIX:
    break;
  }
  return false;
}

/* Resolvers turn other text into names that look different here: libuv takes
   U+3002 for a dot and makes xn-- of UTF-8, the C library reads "\\100" as "d".
   No rule could hold for those. ':', '%' and brackets are of addresses. */
static bool host_is_literal(const char *host) {
  for (; *host != '\0'; host++) {
    char c = *host;
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9');
    if (!alnum && strchr("-._:%[]", c) == NULL) {
      return false;
    }
  }
  return true;
}

/* Reads the host into a name or an address. false: neither can be meant. */
static bool read_subject(const wr_policy *p, const char *host, uint16_t port,
                         char name[WR_HOST_MAX + 1], wr_ip *ip, subject *s) {
  char reserved[WR_HOST_MAX + 1];
  *s = (subject){.port = port};
  if (p->n_rules > 0 && !host_is_literal(host)) {
    return false;
  }
  if (!wr__rule_host(host, name) || wr_reserved_name(host, reserved)) {
    return false;
  }
  if (wr_ip_parse(name, ip) == 0) {
    s->ip = ip;
    s->plain = plain_ip(ip);
  } else {
    s->name = name;
  }
  return true;
}

static wr_ruling by_rule(const wr_policy *p, size_t i) {
  return (wr_ruling){p->rules[i].allow ? WR_ALLOW : WR_DENY, i};
}

static wr_ruling by_default(bool allow) {
  return (wr_ruling){allow ? WR_ALLOW : WR_DENY, WR_NO_RULE};
}

static wr_ruling decide(const wr_policy *p, const subject *s) {
  for (size_t i = 0; i < p->n_rules; i++) {
    if (tcp_matches(&p->rules[i], s)) {
      return by_rule(p, i);
    }
  }
  return by_default(!p->any_allow);
}

wr_ruling wr_policy_rule_host(const wr_policy *p, const char *host,
                              uint16_t port) {
  char name[WR_HOST_MAX + 1];
  wr_ip ip;
  subject s;
  if (!read_subject(p, host, port, name, &ip, &s)) {
    return by_default(false);
  }
  for (size_t i = 0; s.name != NULL && i < p->n_rules; i++) {
    const wr_rule *r = &p->rules[i];
    if (is_address_rule(r) && port_matches(r, port)) {
      return (wr_ruling){WR_CHECK_ADDRESSES, i};
    }
    if (tcp_matches(r, &s)) {
      return by_rule(p, i);
    }
  }
  return decide(p, &s);
}

/* The verdict on a name that nobody resolves. barrier: a rule that denies
   addresses, and which may be those of the name. */
static wr_ruling decide_name(const wr_policy *p, const subject *s) {
  size_t barrier = WR_NO_RULE;
  for (size_t i = 0; i < p->n_rules; i++) {
    const wr_rule *r = &p->rules[i];
    if (is_address_rule(r)) {
      bool denies = !r->allow && port_matches(r, s->port);
      barrier = denies && barrier == WR_NO_RULE ? i : barrier;
    } else if (tcp_matches(r, s)) {
      bool any = r->kind == WR_RULE_ANY && r->allow;
      return by_rule(p, any && barrier != WR_NO_RULE ? barrier : i);
    }
  }
  return barrier != WR_NO_RULE ? by_rule(p, barrier)
                               : by_default(!p->any_allow);
}

wr_ruling wr_policy_rule_proxied(const wr_policy *p, const char *host,
                                 uint16_t port) {
  char name[WR_HOST_MAX + 1];
  wr_ip ip;
  subject s;
  if (!read_subject(p, host, port, name, &ip, &s)) {
    return by_default(false);
  }
  return s.name != NULL ? decide_name(p, &s) : decide(p, &s);
}

wr_ruling wr_policy_rule_address(const wr_policy *p, const char *host,
                                 uint16_t port, const wr_ip *ip) {
  char name[WR_HOST_MAX + 1];
  wr_ip literal;
  subject s;
  if (!read_subject(p, host, port, name, &literal, &s)) {
    return by_default(false);
  }
  s.ip = ip;
  s.plain = plain_ip(ip);
  return decide(p, &s);
}

static wr_ruling glob_rule(const wr_policy *p, wr_rule_kind kind,
                           const char *text, bool otherwise) {
  for (size_t i = 0; i < p->n_rules; i++) {
    const wr_rule *r = &p->rules[i];
    /* "*" stands for every target but sockets, which must be named. */
    bool any =
        kind == WR_RULE_RESERVED && r->kind == WR_RULE_ANY && !r->has_port;
    if (any || (r->kind == kind && wr__rule_glob(r->text, text))) {
      return by_rule(p, i);
    }
  }
  return by_default(otherwise);
}

wr_ruling wr_policy_rule_unix(const wr_policy *p, const char *path) {
  return wr__rule_path_is_plain(path) ? glob_rule(p, WR_RULE_UNIX, path, false)
                                      : by_default(false);
}

wr_ruling wr_policy_rule_reserved(const wr_policy *p, const char *name) {
  return glob_rule(p, WR_RULE_RESERVED, name, !p->any_allow);
}

/* Where a listener would be reached. */
typedef enum listen_scope {
  LISTEN_ONE = 1,  /* at one address */
  LISTEN_LOOPBACK, /* at 127.0.0.1 and ::1 */
  LISTEN_ALL
} listen_scope;

static const wr_ip loopback4 = {.family = 4, .bytes = {127, 0, 0, 1}};
static const wr_ip loopback6 = {.family = 6, .bytes = {[15] = 1}};

static bool at_ip(const wr_rule *r, const wr_ip *ip) {
  if (r->kind == WR_RULE_GROUP) {
    return r->group(ip);
  }
  return r->kind == WR_RULE_CIDR && wr_cidr_contains(&r->cidr, ip);
}

/* Whether an address rule covers a listener. An allow rule has to cover all of
   it, to deny it one common address is enough. */
static bool listen_address_matches(const wr_rule *r, listen_scope scope,
                                   const wr_ip *ip) {
  if (!is_address_rule(r)) {
    return false;
  }
  if (scope == LISTEN_ALL) {
    return !r->allow || (r->kind == WR_RULE_CIDR && r->cidr.bits == 0);
  }
  if (scope == LISTEN_LOOPBACK) {
    return at_ip(r, &loopback4) || at_ip(r, &loopback6);
  }
  return at_ip(r, ip);
}

static listen_scope listen_scope_of(const char *host, wr_ip *ip) {
  char name[WR_HOST_MAX + 1];
  if (strcmp(host, "*") == 0) {
    return LISTEN_ALL;
  }
  if (!wr__rule_host(host, name) || strcmp(name, "localhost") == 0) {
    return LISTEN_LOOPBACK;
  }
  if (wr_ip_parse(name, ip) != 0) {
    return LISTEN_LOOPBACK;
  }
  wr_ip plain = plain_ip(ip);
  return memcmp(&plain, ip, sizeof(plain)) == 0 ? LISTEN_ONE : LISTEN_ALL;
}

/* docs/decisions/policy-listen.md says why. */
static bool listen_rule_counts(const wr_rule *r, uint16_t port) {
  if (!port_matches(r, port)) {
    return false;
  }
  return r->has_port || (r->kind == WR_RULE_ANY && !r->allow);
}

/* "localhost" means both loopback addresses here, so a rule for that name covers
   each of them, and one that denies it a listener on all addresses. */
static bool is_localhost(const wr_rule *r, listen_scope scope,
                         const wr_ip *ip) {
  if (r->kind != WR_RULE_NAME || strcmp(r->text, "localhost") != 0) {
    return false;
  }
  if (scope == LISTEN_ONE) {
    return memcmp(ip, &loopback4, sizeof(*ip)) == 0 ||
           memcmp(ip, &loopback6, sizeof(*ip)) == 0;
  }
  return scope == LISTEN_LOOPBACK || !r->allow;
}

wr_ruling wr_policy_rule_listen(const wr_policy *p, const char *host,
                                uint16_t port) {
  wr_ip ip = {0};
  listen_scope scope = listen_scope_of(host, &ip);
  for (size_t i = 0; i < p->n_rules; i++) {
    const wr_rule *r = &p->rules[i];
    if (listen_rule_counts(r, port) &&
        (r->kind == WR_RULE_ANY || is_localhost(r, scope, &ip) ||
         listen_address_matches(r, scope, &ip))) {
      return by_rule(p, i);
    }
  }
  return by_default(port == 0 || port >= 1024);
}
