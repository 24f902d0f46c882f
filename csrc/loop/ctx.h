#ifndef WR_LOOP_CTX_H
#define WR_LOOP_CTX_H

#include <uv.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

/* One context per Node environment (or per C test): everything of a session
   runs on its loop, and only the loop's thread touches it.

   Turns. Work that must not happen inside the call that asked for it (every
   callback of ours, every free) is a task. Tasks run at the end of the turn:
   in a uv_prepare before the loop polls and in a uv_check after it has polled,
   both always started. So no callback of ours ever runs inside the call that
   started it, and an object may be closed from inside any callback.

   A turn ends in this order: tasks until none is left (bounded: what is left
   then makes the loop spin once more), flushes (one per session: what was
   written during the turn goes out in one system call), at last on_turn, which
   hands the turn's events to JavaScript in one call. */
typedef struct wr_ctx wr_ctx;

typedef struct wr_task {
  wr_list node;                      /* private */
  void (*run)(struct wr_task *task); /* set by wr_task_init */
} wr_task;

/* What teardown walks: whatever holds handles, sessions or memory and is not
   owned by another such object. */
typedef struct wr_obj {
  wr_list node;                      /* private */
  void (*shutdown)(struct wr_obj *); /* close now, no waiting for peers */
  void (*goodbye)(struct wr_obj *);  /* wr_ctx_say_goodbye(); may be NULL */
} wr_obj;

#define WR_SCRATCH_SIZE ((size_t)256 * 1024)

struct wr_ctx {
  /* public */
  wr_log log;
  void (*on_turn)(wr_ctx *ctx); /* may be NULL */
  void *user;

  /* read-only */
  uv_loop_t *loop;
  wr_mem mem;
  bool exiting;      /* teardown has begun: start nothing, call nobody */
  size_t uv_handles; /* handles of ours that libuv still knows */
  size_t uv_reqs;    /* requests of ours that have not called back */
  /* Memory for one read; whoever gets it in a callback has it to the end of
     that callback. */
  uint8_t *scratch;

  /* private */
  uint64_t fake_now_ms; /* 0: the loop's clock counts */
  /* Tests: instead of the system's clock (gets ctx->user) and randomness. */
  int64_t (*wall_ms)(void *data);
  int (*rand)(void *data, uint8_t *dst, size_t len);
  void *rand_data;
  wr_list tasks;
  wr_list flushes;
  wr_list objects;
  struct wr_timer *timers; /* root of a pairing heap */
  uint64_t timer_seq;      /* start order, for timers due at the same time */
  uint64_t armed_ms;       /* when the uv_timer fires; 0: it is stopped */
  struct wr_resolver *resolver;
  size_t holds;
  bool in_turn; /* the end of a turn is running */
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;   /* started while tasks are left over */
  uv_timer_t timer; /* for the root of the heap */
  uv_async_t hold;  /* keeps the loop alive while holds > 0 */
  void (*on_closed)(wr_ctx *ctx);
};

/* Sets the context up on a loop. 0 or an error (nothing is left behind). The
   loop does not stay alive because of it. */
WR_NODISCARD int wr_ctx_init(wr_ctx *ctx, uv_loop_t *loop);
/* Begins teardown: shuts every object down, cancels what can be cancelled, and
   calls on_closed when libuv holds nothing of ours any more; then the ctx may
   be freed. Call once. */
void wr_ctx_close(wr_ctx *ctx, void (*on_closed)(wr_ctx *ctx));
/* Sends what sessions can say in one try (process exit): every object's
   goodbye, then the flushes. Nothing is closed, nobody is called. */
void wr_ctx_say_goodbye(wr_ctx *ctx);

/* Milliseconds of a monotonic clock; the same during one callback. */
uint64_t wr_ctx_now(const wr_ctx *ctx);
/* Nanoseconds, read anew at each call (round-trip times). */
uint64_t wr_ctx_hrtime(const wr_ctx *ctx);
/* Milliseconds since 1970. */
int64_t wr_ctx_wall(const wr_ctx *ctx);
/* 0 or an error; never short. */
WR_NODISCARD int wr_ctx_rand(wr_ctx *ctx, void *dst, size_t len);
/* For seeds and jitter, not for secrets: it cannot report a failure. */
uint64_t wr_ctx_rand64(wr_ctx *ctx);

void wr_task_init(wr_task *task, void (*run)(wr_task *task));
/* Runs the task once at the end of the turn; asked again before that, still
   once. */
void wr_task_post(wr_ctx *ctx, wr_task *task);
/* After all tasks of the turn. */
void wr_task_post_flush(wr_ctx *ctx, wr_task *task);
void wr_task_cancel(wr_task *task);
bool wr_task_pending(const wr_task *task);

void wr_ctx_add_object(wr_ctx *ctx, wr_obj *obj);
void wr_ctx_remove_object(wr_obj *obj);

/* Counted; while any hold is left the loop stays alive. */
void wr_ctx_hold(wr_ctx *ctx);
void wr_ctx_release(wr_ctx *ctx);

/* For every uv handle of ours: after a successful uv_*_init, and in its close
   callback. The first also takes the loop reference off it. */
void wr_ctx_handle_opened(wr_ctx *ctx, uv_handle_t *handle);
void wr_ctx_handle_closed(wr_ctx *ctx);
/* For every uv request: when it was started, and in its callback. */
void wr_ctx_req_started(wr_ctx *ctx);
void wr_ctx_req_done(wr_ctx *ctx);

/* Tests: a clock that moves only here (timers that are due run), and tasks
   without a loop turn. The fake clock starts at 1 s. */
void wr_ctx_fake_clock(wr_ctx *ctx);
void wr_ctx_advance(wr_ctx *ctx, uint64_t ms);
void wr_ctx_run_tasks(wr_ctx *ctx);

#endif /* !defined(WR_LOOP_CTX_H) */
