#ifndef WR_PROXY_LOCAL_H
#define WR_PROXY_LOCAL_H

#include "net/listener.h"
#include "proxy/inbound.h"
#include "ssh/session.h"

/* The client's own listeners: the SOCKS5/HTTP port and local forwards. Each
   connection becomes a channel of whatever session is up. */
typedef struct wr_local wr_local;

/* Where channels come from: the tunnel, which outlives single sessions. */
typedef struct wr_opener {
  /* As wr_ssh_open(); WR_ETUNNEL_DOWN while no session is up. */
  int (*open)(struct wr_opener *o, const wr_target *target, wr_opening_cb cb,
              void *user, wr_opening **out);
} wr_opener;

typedef struct wr_local_opts {
  const char *bind_host; /* "" for 127.0.0.1 (forwards: localhost) */
  uint16_t bind_port;
  const char *bind_path; /* a Unix socket instead */
  bool inbound;          /* SOCKS/HTTP; else every connection goes to target */
  wr_endpoint target;
  const char *user; /* for inbound; copied */
  const char *password;
  uint64_t handshake_ms;    /* 0: 10 s */
  uint32_t max_connections; /* 0: 10000; more wait in the backlog */
} wr_local_opts;

/* Listens at once. 0 or the system's error. opener is borrowed and must outlive
   the listener. */
WR_NODISCARD int wr_local_start(wr_ctx *ctx, wr_opener *opener,
                                const wr_local_opts *opts, wr_local **out);
/* Stops listening and ends its connections; on_closed (may be NULL) comes later,
   once all is gone. Its owner closes it before the context is. */
void wr_local_close(wr_local *l, void (*on_closed)(void *user), void *user);
void wr_local_addr(const wr_local *l, struct sockaddr_storage *ss);
uint32_t wr_local_connections(const wr_local *l);

#endif /* !defined(WR_PROXY_LOCAL_H) */
