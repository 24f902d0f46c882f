#ifndef WR_NET_STREAM_H
#define WR_NET_STREAM_H

#include "net/link.h"

/* Links over the operating system's stream sockets: TCP and Unix sockets. */

typedef struct wr_stream wr_stream;

/* A new, unconnected socket of a family (AF_INET, AF_INET6, AF_UNIX). 0 or an
   error. It is closed and freed with wr_link_close() in any state. */
WR_NODISCARD int wr_stream_new(wr_ctx *ctx, int family, wr_stream **out);
/* Exactly one callback with 0 or the system's error, unless closed first. */
typedef void (*wr_stream_connect_cb)(wr_stream *s, int status);
WR_NODISCARD int wr_stream_connect(wr_stream *s, const struct sockaddr *sa,
                                   wr_stream_connect_cb cb);
WR_NODISCARD int wr_stream_connect_path(wr_stream *s, const char *path,
                                        wr_stream_connect_cb cb);
/* Takes the pending connection of a listening handle. */
WR_NODISCARD int wr_stream_accept(wr_ctx *ctx, uv_stream_t *listener,
                                  int family, wr_stream **out);
/* Takes over a connected socket. On an error fd is still the caller's. */
WR_NODISCARD int wr_stream_from_fd(wr_ctx *ctx, int fd, int family,
                                   wr_stream **out);
wr_link *wr_stream_link(wr_stream *s);
/* NULL if the link is none of ours. */
wr_stream *wr_stream_from_link(wr_link *link);
/* Nagle off, keep-alive of the system on; for TCP. Called by accept and connect. */
void wr_stream_tune(wr_stream *s);
/* Counts of bytes that passed the socket. */
void wr_stream_counts(const wr_stream *s, uint64_t *in, uint64_t *out);

#endif /* !defined(WR_NET_STREAM_H) */
