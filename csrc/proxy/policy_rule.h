#ifndef WR_PROXY_POLICY_RULE_H
#define WR_PROXY_POLICY_RULE_H

#include "base/mem.h"
#include "net/addr.h"

/* One rule of a policy, as text becomes it. */
#define WR_RULE_TEXT_MAX 512 /* longest rule in bytes */

typedef enum wr_rule_kind {
  WR_RULE_ANY = 1,  /* "*" */
  WR_RULE_NAME,     /* a host name */
  WR_RULE_DOMAIN,   /* "*.example.com": text holds ".example.com" */
  WR_RULE_CIDR,     /* an address or a network */
  WR_RULE_GROUP,    /* private, loopback, link-local, metadata */
  WR_RULE_RESERVED, /* "wraith-…", a glob */
  WR_RULE_UNIX      /* "unix:/path", a glob */
} wr_rule_kind;

typedef struct wr_rule {
  wr_rule_kind kind;
  bool allow;
  bool has_port;                /* a number or range was given, not "*" */
  uint16_t lo, hi;              /* ports, both included */
  wr_cidr cidr;                 /* WR_RULE_CIDR */
  bool (*group)(const wr_ip *); /* WR_RULE_GROUP */
  char *text;                   /* name, domain or glob; owned */
} wr_rule;

/* 0, WR_ENOMEM or WR_ERULE with *why, a fixed text. */
WR_NODISCARD int wr__rule_parse(wr_mem *mem, bool allow, const char *text,
                                wr_rule *out, const char **why);
void wr__rule_reset(wr_mem *mem, wr_rule *rule);

/* Lower case, without one trailing dot. false if it is empty or too long. */
bool wr__rule_host(const char *host, char dst[WR_HOST_MAX + 1]);
/* '?' and '*' match within one part of a path, "**" over all of them. */
bool wr__rule_glob(const char *pattern, const char *text);
/* Two ways to write a path would get past a rule for one of them: only absolute
   paths without empty, "." and ".." parts are judged, all others refused. */
bool wr__rule_path_is_plain(const char *path);

#endif /* !defined(WR_PROXY_POLICY_RULE_H) */
