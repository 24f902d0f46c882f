#ifndef WR_SSH_WINDOW_H
#define WR_SSH_WINDOW_H

#include "base/common.h"

/* How large a channel's receive window shall be: sized from what the owner
   consumes per round trip, both as seen inside SSH. Kernel buffers say nothing
   behind TLS, QUIC or a proxy.

   While a window is the bottleneck, its owner consumes a whole window in each
   round trip; so if that took less than two round trips, the target doubles.
   An owner that consumes slowly lets it fall back. Pure arithmetic: time and
   round trips come in as arguments. */
typedef struct wr_window {
  /* read-only */
  uint32_t target;    /* bytes the window is topped up to */
  uint32_t available; /* bytes the peer may still send */
  uint32_t floor;
  uint32_t ceiling;
  /* private */
  uint64_t consumed; /* since mark */
  uint64_t mark_us;  /* start of the measurement */
} wr_window;

#define WR_WINDOW_FLOOR ((uint32_t)2 * 1024 * 1024)

void wr_window_init(wr_window *w, uint32_t floor, uint32_t ceiling,
                    uint64_t now_us);
/* The peer sent n bytes. false: more than it was allowed to. */
bool wr_window_received(wr_window *w, size_t n);
/* The owner took n bytes; kept are those received and not yet taken. Returns
   the increment to announce now, 0 for none. max_target bounds growth (what the
   session's budget still allows). rtt_us 0: not known, no growth. */
uint32_t wr_window_consumed(wr_window *w, size_t n, size_t kept,
                            uint64_t now_us, uint32_t rtt_us,
                            uint32_t max_target);

#endif /* !defined(WR_SSH_WINDOW_H) */
