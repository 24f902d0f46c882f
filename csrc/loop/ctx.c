#include "loop/ctx.h"

#include <string.h>

#include "base/errors.h"
#include "loop/internal.h"
#include "loop/timer.h"

/* prepare, check, idle, timer, hold */
#define OWN_HANDLES 5
/* Tasks at the end of one turn; what is left then waits for one poll, so that a
   chain of tasks cannot keep the host's own events out. */
#define TURN_TASKS 1000
/* JavaScript that answers an event starts new work; a few rounds of that go out
   before the loop polls. */
#define TURN_ROUNDS 4

static int64_t wall_clock(void *data) {
  uv_timeval64_t tv;
  WR_UNUSED(data);
  if (uv_gettimeofday(&tv) != 0) {
    return 0;
  }
  return tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

static bool work_left(const wr_ctx *ctx) {
  return !wr_list_empty(&ctx->tasks) || !wr_list_empty(&ctx->flushes);
}

static wr_task *task_of(wr_list *node) {
  return wr_container_of(node, wr_task, node);
}

static void run_list(wr_list *list, size_t *budget) {
  while (*budget > 0) {
    wr_list *node = wr_list_shift(list);
    if (node == NULL) {
      return;
    }
    (*budget)--;
    wr_task *task = task_of(node);
    task->run(task);
  }
}

/* The flushes that are there now, each once: one that posts itself again waits
   for the next round. */
static void run_flushes(wr_ctx *ctx) {
  wr_list now;
  size_t all = SIZE_MAX;
  wr_list_move(&now, &ctx->flushes);
  run_list(&now, &all);
}

static void end_turn(wr_ctx *ctx) {
  if (ctx->in_turn) {
    return;
  }
  ctx->in_turn = true;
  size_t budget = TURN_TASKS;
  for (int round = 0; round < TURN_ROUNDS; round++) {
    run_list(&ctx->tasks, &budget);
    run_flushes(ctx);
    run_list(&ctx->tasks, &budget); /* a flush that failed has posted some */
    if (ctx->on_turn != NULL && !ctx->exiting) {
      ctx->on_turn(ctx);
    }
    if (budget == 0 || !work_left(ctx)) {
      break;
    }
  }
  ctx->in_turn = false;
}

static void on_idle(uv_idle_t *handle) {
  /* It only makes the loop poll without waiting. */
  WR_UNUSED(handle);
}

static void shut_objects_down(wr_ctx *ctx) {
  wr_list *node;
  for (;;) {
    node = wr_list_shift(&ctx->objects);
    if (node == NULL) {
      return;
    }
    wr_obj *obj = wr_container_of(node, wr_obj, node);
    obj->shutdown(obj);
  }
}

static void on_own_closed(uv_handle_t *handle) {
  wr_ctx *ctx = handle->data;
  wr_ctx_handle_closed(ctx);
  if (ctx->uv_handles > 0) {
    return;
  }
  wr_free(&ctx->mem, ctx->resolver);
  wr_free(&ctx->mem, ctx->scratch);
  ctx->resolver = NULL;
  ctx->scratch = NULL;
  if (ctx->on_closed != NULL) {
    ctx->on_closed(ctx);
  }
}

/* The last step of teardown: nothing but the context's own handles is left. */
static void close_own(wr_ctx *ctx) {
  uv_close((uv_handle_t *)&ctx->prepare, on_own_closed);
  uv_close((uv_handle_t *)&ctx->check, on_own_closed);
  uv_close((uv_handle_t *)&ctx->idle, on_own_closed);
  uv_close((uv_handle_t *)&ctx->timer, on_own_closed);
  uv_close((uv_handle_t *)&ctx->hold, on_own_closed);
}

static void after_turn(wr_ctx *ctx) {
  if (work_left(ctx)) {
    uv_idle_start(&ctx->idle, on_idle);
    return;
  }
  uv_idle_stop(&ctx->idle);
  if (!ctx->exiting || uv_is_closing((uv_handle_t *)&ctx->prepare)) {
    return;
  }
  if (!wr_list_empty(&ctx->objects)) { /* somebody started something late */
    shut_objects_down(ctx);
    uv_idle_start(&ctx->idle, on_idle);
    return;
  }
  if (ctx->uv_handles == OWN_HANDLES && ctx->uv_reqs == 0) {
    close_own(ctx);
  }
}

static void on_prepare(uv_prepare_t *handle) {
  wr_ctx *ctx = handle->data;
  end_turn(ctx);
  after_turn(ctx);
}

static void on_check(uv_check_t *handle) {
  wr_ctx *ctx = handle->data;
  end_turn(ctx);
  after_turn(ctx);
}

static void on_hold(uv_async_t *handle) {
  WR_UNUSED(handle); /* never sent */
}

static void open_own(wr_ctx *ctx) {
  uv_prepare_init(ctx->loop, &ctx->prepare);
  uv_check_init(ctx->loop, &ctx->check);
  uv_idle_init(ctx->loop, &ctx->idle);
  uv_timer_init(ctx->loop, &ctx->timer);
  uv_handle_t *own[OWN_HANDLES] = {
      (uv_handle_t *)&ctx->prepare, (uv_handle_t *)&ctx->check,
      (uv_handle_t *)&ctx->idle, (uv_handle_t *)&ctx->timer,
      (uv_handle_t *)&ctx->hold};
  for (size_t i = 0; i < OWN_HANDLES; i++) {
    own[i]->data = ctx;
    wr_ctx_handle_opened(ctx, own[i]);
  }
  uv_prepare_start(&ctx->prepare, on_prepare);
  uv_check_start(&ctx->check, on_check);
}

int wr_ctx_init(wr_ctx *ctx, uv_loop_t *loop) {
  memset(ctx, 0, sizeof(*ctx));
  ctx->loop = loop;
  ctx->log.wall_ms = wall_clock;
  wr_mem_init(&ctx->mem);
  wr_list_init(&ctx->tasks);
  wr_list_init(&ctx->flushes);
  wr_list_init(&ctx->objects);
  int err = WR_ENOMEM;
  ctx->scratch = wr_alloc(&ctx->mem, WR_SCRATCH_SIZE);
  ctx->resolver = wr__resolver_new(&ctx->mem);
  if (ctx->scratch == NULL || ctx->resolver == NULL) {
    goto fail;
  }
  /* The only one of our handles whose start can fail. */
  err = uv_async_init(loop, &ctx->hold, on_hold);
  if (err != 0) {
    goto fail;
  }
  open_own(ctx);
  return 0;

fail:
  wr_free(&ctx->mem, ctx->resolver);
  wr_free(&ctx->mem, ctx->scratch);
  return err;
}

void wr_ctx_close(wr_ctx *ctx, void (*on_closed)(wr_ctx *ctx)) {
  WR_ASSERT(!ctx->exiting);
  ctx->exiting = true;
  ctx->on_closed = on_closed;
  /* From now on the loop has to turn until all is closed. */
  uv_ref((uv_handle_t *)&ctx->prepare);
  shut_objects_down(ctx);
  wr__resolver_shutdown(ctx);
  uv_timer_stop(&ctx->timer);
  ctx->armed_ms = 0;
  /* At least one turn without waiting: maybe nothing else is under way. */
  uv_idle_start(&ctx->idle, on_idle);
}

void wr_ctx_say_goodbye(wr_ctx *ctx) {
  wr_list_each_safe(it, &ctx->objects) {
    wr_obj *obj = wr_container_of(it, wr_obj, node);
    if (obj->goodbye != NULL) {
      obj->goodbye(obj);
    }
  }
  run_flushes(ctx);
}

uint64_t wr_ctx_now(const wr_ctx *ctx) {
  return ctx->fake_now_ms != 0 ? ctx->fake_now_ms : uv_now(ctx->loop);
}

uint64_t wr_ctx_hrtime(const wr_ctx *ctx) {
  return ctx->fake_now_ms != 0 ? ctx->fake_now_ms * 1000000 : uv_hrtime();
}

int64_t wr_ctx_wall(const wr_ctx *ctx) {
  return ctx->wall_ms != NULL ? ctx->wall_ms(ctx->user) : wall_clock(NULL);
}

int wr_ctx_rand(wr_ctx *ctx, void *dst, size_t len) {
  if (len == 0) {
    return 0;
  }
  if (ctx->rand != NULL) {
    return ctx->rand(ctx->rand_data, dst, len);
  }
  return uv_random(NULL, NULL, dst, len, 0, NULL);
}

uint64_t wr_ctx_rand64(wr_ctx *ctx) {
  uint64_t value = 0;
  if (wr_ctx_rand(ctx, &value, sizeof(value)) != 0) {
    /* A kernel without randomness: better a weak seed than none at all. */
    value =
        uv_hrtime() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)ctx;
  }
  return value;
}

void wr_task_init(wr_task *task, void (*run)(wr_task *task)) {
  wr_list_init(&task->node);
  task->run = run;
}

void wr_task_post(wr_ctx *ctx, wr_task *task) {
  if (!wr_task_pending(task)) {
    wr_list_push(&ctx->tasks, &task->node);
  }
}

void wr_task_post_flush(wr_ctx *ctx, wr_task *task) {
  if (!wr_task_pending(task)) {
    wr_list_push(&ctx->flushes, &task->node);
  }
}

void wr_task_cancel(wr_task *task) {
  wr_list_remove(&task->node);
}

bool wr_task_pending(const wr_task *task) {
  return !wr_list_empty(&task->node);
}

void wr_ctx_add_object(wr_ctx *ctx, wr_obj *obj) {
  wr_list_push(&ctx->objects, &obj->node);
}

void wr_ctx_remove_object(wr_obj *obj) {
  wr_list_remove(&obj->node);
}

void wr_ctx_hold(wr_ctx *ctx) {
  if (ctx->holds++ == 0) {
    uv_ref((uv_handle_t *)&ctx->hold);
  }
}

void wr_ctx_release(wr_ctx *ctx) {
  WR_ASSERT(ctx->holds > 0);
  if (--ctx->holds == 0 && !uv_is_closing((uv_handle_t *)&ctx->hold)) {
    uv_unref((uv_handle_t *)&ctx->hold);
  }
}

void wr_ctx_handle_opened(wr_ctx *ctx, uv_handle_t *handle) {
  ctx->uv_handles++;
  uv_unref(handle);
}

void wr_ctx_handle_closed(wr_ctx *ctx) {
  WR_ASSERT(ctx->uv_handles > 0);
  ctx->uv_handles--;
}

void wr_ctx_req_started(wr_ctx *ctx) {
  ctx->uv_reqs++;
}

void wr_ctx_req_done(wr_ctx *ctx) {
  WR_ASSERT(ctx->uv_reqs > 0);
  ctx->uv_reqs--;
}

void wr_ctx_fake_clock(wr_ctx *ctx) {
  ctx->fake_now_ms = 1000;
  ctx->armed_ms = 0;
  uv_timer_stop(&ctx->timer);
}

/* Tasks run between two times at which timers are due, as on a real loop. */
void wr_ctx_advance(wr_ctx *ctx, uint64_t ms) {
  WR_ASSERT(ctx->fake_now_ms != 0);
  uint64_t target = ctx->fake_now_ms + ms;
  wr_ctx_run_tasks(ctx);
  while (ctx->timers != NULL && ctx->timers->due_ms <= target &&
         !ctx->exiting) {
    ctx->fake_now_ms = WR_MAX(ctx->fake_now_ms, ctx->timers->due_ms);
    wr__timers_run(ctx, ctx->fake_now_ms);
    wr_ctx_run_tasks(ctx);
  }
  ctx->fake_now_ms = target;
}

void wr_ctx_run_tasks(wr_ctx *ctx) {
  /* Bounded as a test wants it: an endless chain must fail, not hang. */
  for (int turn = 0; turn < 100000; turn++) {
    end_turn(ctx);
    if (ctx->in_turn || !work_left(ctx)) {
      return;
    }
  }
  WR_ASSERT(!work_left(ctx));
}
