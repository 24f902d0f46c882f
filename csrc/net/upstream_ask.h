#ifndef WR_NET_UPSTREAM_ASK_H
#define WR_NET_UPSTREAM_ASK_H

#include "net/link.h"
#include "net/upstream.h"

/* Asks a proxy, over an open link to it, for a connection to a target: then the
   link is the target's, with every byte that it has sent still unread. */
typedef struct wr_upstream_ask wr_upstream_ask;

/* status 0: the link is the callee's, open, without a handler. Else it is gone,
   and status an error of net/upstream_talk.h, or WR_EPROXY_PROTOCOL if the proxy
   broke off. Exactly one call, later; the ask is gone by then. */
typedef void (*wr_upstream_cb)(void *user, int status, wr_link *link);

/* Not begun yet: copies what it needs. 0, or an error as
   wr_upstream_talk_init(). */
WR_NODISCARD int wr_upstream_ask_new(wr_ctx *ctx, const wr_upstream *u,
                                     const char *host, uint16_t port,
                                     wr_upstream_cb cb, void *user,
                                     wr_upstream_ask **out);
/* Takes the link. There is no time limit here. */
void wr_upstream_ask_start(wr_upstream_ask *a, wr_link *link);
/* The proxy has been told everything: what takes time is the target. */
bool wr_upstream_ask_sent(const wr_upstream_ask *a);
/* The callback will not come; in any state before it. The link is closed. */
void wr_upstream_ask_cancel(wr_upstream_ask *a);

#endif /* !defined(WR_NET_UPSTREAM_ASK_H) */
