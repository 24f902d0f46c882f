#ifndef WR_NET_MEMPAIR_H
#define WR_NET_MEMPAIR_H

#include "net/link.h"

/* Two links, each the other's peer, in memory: for tests, and for sessions over
   a stream of the caller's. Each direction holds at most `capacity` bytes. */
WR_NODISCARD int wr_mempair_new(wr_ctx *ctx, size_t capacity, wr_link **a,
                                wr_link **b);

/* Faults for tests, on what `link` writes. */
typedef struct wr_mempair_faults {
  size_t max_write;  /* most bytes taken by one write; 0: no limit */
  size_t max_read;   /* most bytes handed out by one on_read; 0: no limit */
  bool stalled;      /* takes nothing until cleared */
  uint64_t delay_ms; /* bytes arrive that much later (the context's clock) */
} wr_mempair_faults;
void wr_mempair_set_faults(wr_link *link, const wr_mempair_faults *faults);
/* Both ends fail with `status` as if the wire was cut. */
void wr_mempair_cut(wr_link *link, int status);

#endif /* !defined(WR_NET_MEMPAIR_H) */
