#ifndef WR_NET_LINK_H
#define WR_NET_LINK_H

#include "loop/ctx.h"
#include "net/addr.h"

/* THE carrier contract: a duplex byte stream. TCP and Unix sockets, TLS, a QUIC
   stream, one half of an in-memory pair and an SSH channel are all links, and
   whatever moves bytes (an SSH session, a splice, a SOCKS handshake, a
   JavaScript stream) is the owner of one.

   Ownership. A link is handed over open. Its owner sets the handler before the
   turn ends and calls wr_link_close() exactly once or more; on_close comes
   exactly once, later, also when the link fails by itself, and is the last
   callback. After it the link's memory is gone.

   Callbacks come from the loop or from a task, never from inside a call into
   the same link. From inside a callback every call is allowed, close too.

   Reading starts stopped. on_read returns how many bytes were taken. If fewer
   than offered, the link keeps the rest (it is bounded by what one read or the
   channel's window brings), stops by itself, and offers the rest first after
   the next wr_link_read_start().

   Writing is by readiness: wr_link_write() takes what can go on now and says
   how much that was; what it took it owns. After a short write (or one that
   took nothing) on_writable comes once as soon as a new write may take more.
   A link buffers no more than a few tens of kilobytes itself.

   Half-close: wr_link_shutdown() after the last write; the bytes taken before
   go out first. The peer's end arrives as on_eof, after the last on_read. The
   two directions are independent. A link whose both directions have ended is
   still there until closed. */
typedef struct wr_link wr_link;
struct wr_channel; /* only so that debuggers can name it */

typedef struct wr_link_handler {
  /* Where the next read shall go; optional. The memory must stay usable to the
     end of the on_read that follows at once. Setting *len to 0 postpones the
     read as wr_link_read_stop() does. Without it, or for links that have the
     bytes already (channels), data points to the link's own memory. */
  void (*alloc)(wr_link *link, uint8_t **base, size_t *len);
  /* len > 0. The bytes may be modified during the call. */
  size_t (*on_read)(wr_link *link, uint8_t *data, size_t len);
  void (*on_eof)(wr_link *link);
  void (*on_writable)(wr_link *link); /* optional for owners that never write */
  /* 0: closed by its owner, or by a peer that had ended its direction in order;
     else what went wrong. */
  void (*on_close)(wr_link *link, int status);
} wr_link_handler;

typedef enum wr_close_mode {
  WR_CLOSE_ORDERLY = 0, /* what was taken is sent first */
  WR_CLOSE_RESET        /* the peer shall see a reset where there is such */
} wr_close_mode;

typedef struct wr_link_info {
  const char *transport; /* "tcp", "unix", "tls", "memory", "channel", … */
  bool has_peer;         /* peer is set */
  struct sockaddr_storage peer;
  bool has_local; /* local is set: where the peer came to */
  struct sockaddr_storage local;
  bool encrypted;         /* by the link itself */
  wr_slice peer_identity; /* proven by the link (an endpoint id); else empty */
} wr_link_info;

typedef struct wr_link_ops {
  const char *name;
  int (*read_start)(wr_link *link);
  void (*read_stop)(wr_link *link);
  int (*write)(wr_link *link, const uv_buf_t *bufs, unsigned n, size_t *taken);
  int (*shutdown)(wr_link *link);
  void (*close)(wr_link *link, wr_close_mode mode);
  void (*query)(const wr_link *link, wr_link_info *info);
  /* Optional, for writers that can read straight into the outgoing packet:
     memory of at least 1 and at most *len bytes that the next write() may start
     at (n = 1, base = the memory): it then copies nothing. NULL if there is
     none now; on_writable then comes as after a short write. Any other use of
     the link drops the reservation. */
  uint8_t *(*reserve)(wr_link *link, size_t *len);
} wr_link_ops;

struct wr_link {
  const wr_link_ops *ops;
  wr_ctx *ctx;
  /* set by the owner */
  const wr_link_handler *handler;
  void *user;
};

static inline int wr_link_read_start(wr_link *link) {
  return link->ops->read_start(link);
}
static inline void wr_link_read_stop(wr_link *link) {
  link->ops->read_stop(link);
}
/* 0 and *taken <= the sum of the lengths; WR_ECLOSED after shutdown or close; or
   the error that ended the link (on_close follows; an owner that reads gets what
   the peer had said before, first). */
WR_NODISCARD static inline int
wr_link_write(wr_link *link, const uv_buf_t *bufs, unsigned n, size_t *taken) {
  return link->ops->write(link, bufs, n, taken);
}
static inline int wr_link_shutdown(wr_link *link) {
  return link->ops->shutdown(link);
}
static inline void wr_link_close(wr_link *link, wr_close_mode mode) {
  link->ops->close(link, mode);
}
static inline void wr_link_query(const wr_link *link, wr_link_info *info) {
  link->ops->query(link, info);
}

#endif /* !defined(WR_NET_LINK_H) */
