#ifndef WR_PROXY_POLICY_H
#define WR_PROXY_POLICY_H

#include "base/mem.h"
#include "net/addr.h"

/* Where channels may lead: rules in order, the first match wins; what matches
   none is denied as soon as one allow rule exists, else allowed.

     host[:port|range]   *.domain   cidr[:port]   wraith-name   unix:/path (glob)
     private  loopback  link-local  metadata      (groups, with [:port])
     *[:port]

   Names are ASCII (IDN as xn--) and compared without case and trailing dot; a
   host with other characters is denied as soon as there is a rule; addresses after
   normalising (net/addr.h). Address and group rules apply to what a name
   resolves to: each address is judged by itself, and only an allowed one may be
   dialled. A reserved name is no host: it is denied here, and judged by
   wr_policy_reserved(). Unix sockets are refused unless a rule names them, and so
   are listen requests for ports below 1024. IPv6 with a port is bracketed
   ("[::1]:80", "[fd00::/8]:80"); wraith-name and unix:/path may be globs ('*'
   and '?' within one part of a path, "**" over all). */
typedef struct wr_policy wr_policy;

typedef enum wr_verdict {
  WR_DENY = 0,
  WR_ALLOW,
  WR_CHECK_ADDRESSES /* the name alone does not decide: judge each address */
} wr_verdict;

/* An empty policy: everything TCP is allowed. NULL: out of memory. */
wr_policy *wr_policy_new(wr_mem *mem);
void wr_policy_free(wr_policy *p);
/* 0, WR_ENOMEM or WR_ERULE with *why, a fixed text. At most 4096 rules. */
WR_NODISCARD int wr_policy_add(wr_policy *p, bool allow, const char *rule,
                               const char **why);

/* A verdict and the rule that made it. */
#define WR_NO_RULE SIZE_MAX
typedef struct wr_ruling {
  wr_verdict verdict;
  size_t rule; /* counted from 0 in the order added; WR_NO_RULE: none matched */
} wr_ruling;

/* For a host as the peer sent it (name or address in any form). */
wr_ruling wr_policy_rule_host(const wr_policy *p, const char *host,
                              uint16_t port);
/* For a host that goes to a proxy as it is, so that nobody here learns what it
   resolves to: a name is judged by name rules alone. An address or group that is
   denied could be behind any name, so where such a rule comes first "*" and the
   default allow none. Addresses are judged as ever. Never WR_CHECK_ADDRESSES. */
wr_ruling wr_policy_rule_proxied(const wr_policy *p, const char *host,
                                 uint16_t port);
/* For one address that `host` resolved to: the first rule that matches the name
   or the address decides. */
wr_ruling wr_policy_rule_address(const wr_policy *p, const char *host,
                                 uint16_t port, const wr_ip *ip);
/* For a target and for a listener alike. */
wr_ruling wr_policy_rule_unix(const wr_policy *p, const char *path);
/* name: lower case, as wr_reserved_name() writes it. */
wr_ruling wr_policy_rule_reserved(const wr_policy *p, const char *name);
/* Whether a remote forward may listen there. An empty host and "localhost" mean
   both loopback addresses, "*" (0.0.0.0 and :: as well) all addresses. Which
   rules count: docs/decisions/policy-listen.md. */
wr_ruling wr_policy_rule_listen(const wr_policy *p, const char *host,
                                uint16_t port);

/* The verdicts alone. */
static inline wr_verdict wr_policy_host(const wr_policy *p, const char *host,
                                        uint16_t port) {
  return wr_policy_rule_host(p, host, port).verdict;
}
static inline bool wr_policy_proxied(const wr_policy *p, const char *host,
                                     uint16_t port) {
  return wr_policy_rule_proxied(p, host, port).verdict == WR_ALLOW;
}
static inline bool wr_policy_address(const wr_policy *p, const char *host,
                                     uint16_t port, const wr_ip *ip) {
  return wr_policy_rule_address(p, host, port, ip).verdict == WR_ALLOW;
}
static inline bool wr_policy_unix(const wr_policy *p, const char *path) {
  return wr_policy_rule_unix(p, path).verdict == WR_ALLOW;
}
static inline bool wr_policy_reserved(const wr_policy *p, const char *name) {
  return wr_policy_rule_reserved(p, name).verdict == WR_ALLOW;
}
static inline bool wr_policy_listen(const wr_policy *p, const char *host,
                                    uint16_t port) {
  return wr_policy_rule_listen(p, host, port).verdict == WR_ALLOW;
}

#endif /* !defined(WR_PROXY_POLICY_H) */
