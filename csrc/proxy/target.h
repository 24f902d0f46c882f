#ifndef WR_PROXY_TARGET_H
#define WR_PROXY_TARGET_H

#include "net/dial.h"
#include "proxy/access.h"
#include "proxy/spec.h"
#include "ssh/session.h"

/* The far side of a channel: checks the policy, dials, then confirms the
   channel and splices. A failure reaches the peer with its true reason. Used by
   the server for direct-tcpip and direct-streamlocal, and by the client for
   what arrives on its remote forwards. */
typedef struct wr_target_conn wr_target_conn;

/* Who decides, and keeps count. What is in force is asked for anew before the
   channel is confirmed: a reload in between counts. */
typedef struct wr_target_owner {
  /* NULL: no limits. An empty policy is another thing: it refuses Unix sockets
     (proxy/policy.h). */
  wr_access (*access)(struct wr_target_owner *o);
  void (*on_end)(struct wr_target_owner *o, wr_target_conn *c);
  uint64_t dial_timeout_ms; /* 0: WR_DIAL_TIMEOUT_MS */
  /* Hosts are reached through it, and their names judged unresolved (access must
     say the same: `proxied`). Sockets are not. NULL: directly. */
  const wr_upstream *proxy;
  /* A dial failed by the proxy's own doing, whatever the target: WR_EPROXY_AUTH,
     WR_EPROXY_PROTOCOL or WR_EPROXY_UNREACHABLE. May be NULL. */
  void (*on_proxy_failed)(struct wr_target_owner *o, int err);
  wr_list conns; /* initialised by the owner with wr_list_init() */
  uint32_t n_conns;
} wr_target_owner;

/* Takes the open: it will be answered, and its user pointer is ours. on_end comes
   once for each, later, also if it is refused at once. `to` replaces the open's own target (a
   client's remote forward), NULL: dial what the open says. */
void wr_target_connect(wr_ctx *ctx, wr_target_owner *owner, wr_open *open,
                       const wr_endpoint *to);
/* The open was cancelled by its session; its user pointer is the conn. */
void wr_target_canceled(wr_open *open);
/* Ends all connections of the owner. */
void wr_target_abort_all(wr_target_owner *owner);
/* After a change of what is allowed: ends the connections and dials whose target
   is no longer, judged by the name that was asked for and the address that was
   dialled. */
void wr_target_recheck(wr_target_owner *owner);

#endif /* !defined(WR_PROXY_TARGET_H) */
