#include "loop/timer.h"

#include "loop/internal.h"

/* A pairing heap: starting is O(1), stopping and firing O(log n) amortised, and
   all of it lives in the timers themselves. Among the children of a node the
   first one's `prev` is the parent, the others' the left sibling. */

static bool before(const wr_timer *a, const wr_timer *b) {
  if (a->due_ms != b->due_ms) {
    return a->due_ms < b->due_ms;
  }
  return a->seq < b->seq;
}

/* Joins two heaps; either may be NULL. */
static wr_timer *meld(wr_timer *a, wr_timer *b) {
  if (a == NULL) {
    return b;
  }
  if (b == NULL) {
    return a;
  }
  if (before(b, a)) {
    wr_timer *swap = a;
    a = b;
    b = swap;
  }
  b->prev = a;
  b->sibling = a->child;
  if (a->child != NULL) {
    a->child->prev = b;
  }
  a->child = b;
  a->sibling = NULL;
  a->prev = NULL;
  return a;
}

/* Joins a list of siblings: in pairs from the left, then the pairs from the
   right, which is what keeps the heap shallow. */
static wr_timer *merge_siblings(wr_timer *first) {
  wr_timer *pairs = NULL;
  while (first != NULL) {
    wr_timer *a = first;
    wr_timer *b = a->sibling;
    first = b == NULL ? NULL : b->sibling;
    a->sibling = NULL;
    if (b != NULL) {
      b->sibling = NULL;
    }
    wr_timer *pair = meld(a, b);
    pair->sibling = pairs;
    pairs = pair;
  }
  wr_timer *root = NULL;
  while (pairs != NULL) {
    wr_timer *next = pairs->sibling;
    pairs->sibling = NULL;
    root = meld(root, pairs);
    pairs = next;
  }
  if (root != NULL) {
    root->prev = NULL;
  }
  return root;
}

static void unlink_timer(wr_timer *timer) {
  wr_ctx *ctx = timer->ctx;
  wr_timer *rest = merge_siblings(timer->child);
  if (ctx->timers == timer) {
    ctx->timers = rest;
  } else {
    if (timer->prev->child == timer) {
      timer->prev->child = timer->sibling;
    } else {
      timer->prev->sibling = timer->sibling;
    }
    if (timer->sibling != NULL) {
      timer->sibling->prev = timer->prev;
    }
    ctx->timers = meld(ctx->timers, rest);
  }
  timer->child = NULL;
  timer->sibling = NULL;
  timer->prev = timer;
}

static void on_uv_timer(uv_timer_t *handle) {
  wr_ctx *ctx = handle->data;
  ctx->armed_ms = 0;
  wr__timers_run(ctx, wr_ctx_now(ctx));
  wr__timers_arm(ctx);
}

/* The uv_timer is left alone when it would fire too early only: idle timers are
   put off all the time, and one idle wake-up is cheaper than arming it anew
   each time. */
void wr__timers_arm(wr_ctx *ctx) {
  if (ctx->exiting || ctx->fake_now_ms != 0) {
    return;
  }
  if (ctx->timers == NULL) {
    if (ctx->armed_ms != 0) {
      ctx->armed_ms = 0;
      uv_timer_stop(&ctx->timer);
    }
    return;
  }
  uint64_t due = ctx->timers->due_ms;
  if (ctx->armed_ms != 0 && ctx->armed_ms <= due) {
    return;
  }
  uint64_t now = uv_now(ctx->loop);
  /* At least 1 ms: libuv would run a zero timer again in the same pass. */
  uint64_t delay = due > now ? due - now : 1;
  ctx->armed_ms = now + delay;
  uv_timer_start(&ctx->timer, on_uv_timer, delay, 0);
}

void wr__timers_run(wr_ctx *ctx, uint64_t now) {
  uint64_t limit = ctx->timer_seq;
  for (;;) {
    wr_timer *timer = ctx->timers;
    if (timer == NULL || timer->due_ms > now || timer->seq > limit ||
        ctx->exiting) {
      return;
    }
    unlink_timer(timer);
    timer->cb(timer);
  }
}

/* The loop's time is as old as the callback that runs; JavaScript may have kept
   the loop busy for long since then, and a timer must not count that. */
static uint64_t due_time(const wr_ctx *ctx, uint64_t delay_ms) {
  uint64_t now = wr_ctx_now(ctx);
  if (ctx->fake_now_ms == 0 && delay_ms > 0) {
    uint64_t real = uv_hrtime() / 1000000 + 1;
    now = WR_MAX(now, real);
  }
  return delay_ms > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + delay_ms;
}

void wr_timer_init(wr_timer *timer, wr_ctx *ctx, void (*cb)(wr_timer *timer)) {
  *timer = (wr_timer){.cb = cb, .ctx = ctx};
  timer->prev = timer;
}

void wr_timer_start(wr_timer *timer, uint64_t delay_ms) {
  wr_ctx *ctx = timer->ctx;
  if (wr_timer_active(timer)) {
    unlink_timer(timer);
  }
  timer->due_ms = due_time(ctx, delay_ms);
  timer->seq = ++ctx->timer_seq;
  timer->prev = NULL;
  ctx->timers = meld(ctx->timers, timer);
  wr__timers_arm(ctx);
}

void wr_timer_stop(wr_timer *timer) {
  if (wr_timer_active(timer)) {
    unlink_timer(timer);
    wr__timers_arm(timer->ctx);
  }
}

bool wr_timer_active(const wr_timer *timer) {
  return timer->prev != timer;
}
