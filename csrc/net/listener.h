#ifndef WR_NET_LISTENER_H
#define WR_NET_LISTENER_H

#include "net/stream.h"

/* A listening TCP or Unix socket. A failing accept (out of descriptors) is
   retried after a pause, so that it neither spins nor dies. */
typedef struct wr_listener wr_listener;

typedef struct wr_listener_handler {
  /* A new connection, already tuned; the callee owns it. */
  void (*on_accept)(wr_listener *l, wr_link *link);
  /* Last callback; the memory is gone after it. */
  void (*on_close)(wr_listener *l);
} wr_listener_handler;

#define WR_LISTEN_BACKLOG 511

/* Binds and listens at once. host: an address in text, or a name that the
   system resolves to local addresses without asking a network ("localhost");
   "" or "*" means all addresses of both families ([::], or 0.0.0.0 where the
   system has no IPv6). port 0 is chosen by the system. dual_stack: an IPv6
   wildcard takes IPv4 as well. 0 or the system's error. */
WR_NODISCARD int wr_listener_tcp(wr_ctx *ctx, const char *host, uint16_t port,
                                 bool dual_stack,
                                 const wr_listener_handler *handler, void *user,
                                 wr_listener **out);
/* A stale socket file (nobody answers on it) is replaced, any other file not.
   The file has mode 0600 and is removed at close if it is still ours. */
WR_NODISCARD int wr_listener_unix(wr_ctx *ctx, const char *path,
                                  const wr_listener_handler *handler,
                                  void *user, wr_listener **out);
/* Takes over a TCP socket that listens already, as a service manager hands it
   down: WR_EINVAL for any other descriptor. On an error fd is still the
   caller's. */
WR_NODISCARD int wr_listener_fd(wr_ctx *ctx, int fd,
                                const wr_listener_handler *handler, void *user,
                                wr_listener **out);
void wr_listener_close(wr_listener *l);
void *wr_listener_user(const wr_listener *l);
/* The bound address; for Unix sockets a family of AF_UNIX and no more. */
void wr_listener_addr(const wr_listener *l, struct sockaddr_storage *ss);
/* Stops and resumes accepting; connections wait in the backlog meanwhile. */
void wr_listener_pause(wr_listener *l, bool paused);

#endif /* !defined(WR_NET_LISTENER_H) */
