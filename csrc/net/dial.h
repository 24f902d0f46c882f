#ifndef WR_NET_DIAL_H
#define WR_NET_DIAL_H

#include "loop/resolve.h"
#include "net/stream.h"
#include "net/upstream_ask.h"

/* Connects to a name, an address or a Unix path. Names are resolved once; both
   families are tried side by side, a new address every 250 ms or as soon as one
   fails (RFC 8305). A failure is reported as the error of the first address, in
   the codes of libuv, or as WR_EUNRESOLVED, WR_ETIMEOUT, or WR_ECHANNEL_DENIED
   when the filter left none.

   Through a proxy the host goes to it as it is, and is not looked up here. Its
   own failures are WR_EPROXY_*; what it says of the target comes in the codes of
   a dial. */
#define WR_DIAL_STAGGER_MS 250
#define WR_DIAL_TIMEOUT_MS 15000

typedef struct wr_dial wr_dial;
/* status 0: link is open and the callee's. Exactly one call, later. */
typedef void (*wr_dial_cb)(wr_dial *d, int status, wr_link *link);

typedef struct wr_dial_opts {
  const char *host; /* copied; NULL with a path */
  uint16_t port;
  const char *path; /* a Unix socket */
  /* Reaches a host through it; copied, may be NULL. The filter is not asked:
     it would see the addresses of the proxy. */
  const wr_upstream *proxy;
  const void *owner;   /* whose turn in the resolver's round robin */
  uint64_t timeout_ms; /* in all; 0: WR_DIAL_TIMEOUT_MS */
  /* Which of the resolved addresses may be dialled; NULL: all. Exactly a
     checked address is dialled. Called before the dial starts and once more
     for the address that answered, before the callback. */
  bool (*allow)(void *data, const struct sockaddr *sa);
  void *allow_data;
} wr_dial_opts;

struct wr_dial {
  void *user;
  /* read-only: why a proxy cannot be reached (WR_EPROXY_UNREACHABLE); else 0 */
  int proxy_error;
  /* private */
  wr_ctx *ctx;
  wr_dial_cb cb;
  wr_upstream_ask *ask; /* of the proxy; NULL: the dial is direct */
  bool asking;          /* it is connected and has been asked */
  wr_resolve resolve;
  wr_timer timeout;
  wr_timer stagger; /* until the next address is tried as well */
  bool (*allow)(void *data, const struct sockaddr *sa);
  void *allow_data;
  struct sockaddr_storage addrs[WR_RESOLVE_MAX_ADDRS]; /* to be tried */
  size_t n_addrs;
  size_t next;                            /* first address not tried yet */
  wr_stream *tries[WR_RESOLVE_MAX_ADDRS]; /* by address; NULL: not under way */
  size_t n_pending;                       /* tries under way */
  uint16_t port;
  int first_error; /* of the first address that failed */
  bool active;     /* the callback is owed */
};

/* 0, or an error and no callback. The wr_dial must stay until the callback or
   wr_dial_cancel(). */
WR_NODISCARD int wr_dial_start(wr_ctx *ctx, wr_dial *d,
                               const wr_dial_opts *opts, wr_dial_cb cb);
/* The callback will not come; what was under way is closed. */
void wr_dial_cancel(wr_dial *d);

#endif /* !defined(WR_NET_DIAL_H) */
