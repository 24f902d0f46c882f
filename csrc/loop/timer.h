#ifndef WR_LOOP_TIMER_H
#define WR_LOOP_TIMER_H

#include "loop/ctx.h"

/* One-shot timers, embedded, without allocation: an intrusive pairing heap
   under one uv_timer. They never keep the loop alive. */
typedef struct wr_timer {
  /* private */
  uint64_t due_ms;
  uint64_t seq; /* of the start, so that equal times fire in that order */
  void (*cb)(struct wr_timer *timer);
  wr_ctx *ctx;
  struct wr_timer *child;
  struct wr_timer *sibling;
  struct wr_timer *prev; /* parent or left sibling; self when in no heap */
} wr_timer;

void wr_timer_init(wr_timer *timer, wr_ctx *ctx, void (*cb)(wr_timer *timer));
/* (Re)starts it. It fires once, not before delay_ms milliseconds. */
void wr_timer_start(wr_timer *timer, uint64_t delay_ms);
void wr_timer_stop(wr_timer *timer);
bool wr_timer_active(const wr_timer *timer);

#endif /* !defined(WR_LOOP_TIMER_H) */
