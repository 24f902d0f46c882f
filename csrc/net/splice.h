#ifndef WR_NET_SPLICE_H
#define WR_NET_SPLICE_H

#include "net/link.h"

/* Moves bytes between two links until both directions have ended: with
   back-pressure, half-close and reset carried over, without buffers of its
   own. Owns both links from the start. */
typedef struct wr_splice wr_splice;

/* Once, when both links are closed; the splice is gone after it. bytes_ab is
   what went from a to b. */
typedef void (*wr_splice_cb)(void *user, int status, uint64_t bytes_ab,
                             uint64_t bytes_ba);

/* 0, or an error: then the links are still the caller's. `early` are bytes that
   were already read from a (after a SOCKS request), copied; at most 64 KiB.
   cb may be NULL. */
WR_NODISCARD int wr_splice_start(wr_ctx *ctx, wr_link *a, wr_link *b,
                                 wr_slice early, wr_splice_cb cb, void *user,
                                 wr_splice **out);
/* Ends both at once with a reset; cb comes later. */
void wr_splice_abort(wr_splice *s);
/* Changes who hears of the end (an owner that goes first passes NULL). */
void wr_splice_set_cb(wr_splice *s, wr_splice_cb cb, void *user);

#endif /* !defined(WR_NET_SPLICE_H) */
