#ifndef WR_PROXY_ACCESS_H
#define WR_PROXY_ACCESS_H

#include "proxy/policy.h"
#include "ssh/keyopts.h"

/* What one session may reach: the policy of the server and the limits of the key
   that logged in have to allow it, both. Whoever decides asks for it anew each
   time, so that nobody keeps what a reload has replaced. All zero: no limits (a
   client, whose user names the targets). */
typedef struct wr_access {
  const wr_policy
      *policy;           /* NULL: none, and Unix sockets are allowed as well */
  const wr_keyopts *key; /* the line of the key; NULL: it has none */
  bool no_forwarding;    /* a certificate without permit-port-forwarding */
  bool proxied; /* targets go to a proxy by name, nothing is resolved here */
} wr_access;

/* A target by its name, and by an address that it resolved to. */
bool wr_access_host(const wr_access *a, const char *host, uint16_t port);
bool wr_access_address(const wr_access *a, const char *host, uint16_t port,
                       const wr_ip *ip);
bool wr_access_unix(const wr_access *a, const char *path);
/* A control channel; name in lower case, port as the client gave it. */
bool wr_access_reserved(const wr_access *a, const char *name, uint16_t port);

/* A remote forward that was asked for as host:port and would listen at
   bind:bind_port; bind_port differs from port where the system chooses. */
bool wr_access_listen(const wr_access *a, const char *host, uint16_t port,
                      const char *bind, uint16_t bind_port);
bool wr_access_listen_unix(const wr_access *a, const char *path);
/* A reserved name that the client wants to be reached by. */
bool wr_access_listen_reserved(const wr_access *a, const char *name);

#endif /* !defined(WR_PROXY_ACCESS_H) */
