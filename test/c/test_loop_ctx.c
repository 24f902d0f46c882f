/* Turns, holds, teardown. */
#include "net_help.h"

typedef struct job {
  wr_task task;
  wr_ctx *ctx;
  char name;
  char *log;
  struct job *next; /* posted from inside */
  struct job *drop; /* canceled from inside */
  int repeat;
  int n;
} job;

static void job_run(wr_task *task) {
  job *j = wr_container_of(task, job, task);
  size_t len = strlen(j->log);
  j->n++;
  if (len < 30) {
    j->log[len] = j->name;
  }
  if (j->next != NULL) {
    wr_task_post(j->ctx, &j->next->task);
  }
  if (j->drop != NULL) {
    wr_task_cancel(&j->drop->task);
  }
  if (j->repeat > 0) {
    j->repeat--;
    wr_task_post(j->ctx, task);
    wr_task_post(j->ctx, task); /* counts once */
  }
}

static void job_init(job *j, env *e, char *log, char name) {
  *j = (job){.ctx = &e->ctx, .log = log, .name = name};
  wr_task_init(&j->task, job_run);
}

TEST(tasks_run_in_order_and_flushes_after_them) {
  env e;
  char log[32] = "";
  job a;
  job b;
  job c;
  job f;
  env_open(&e);
  job_init(&a, &e, log, 'a');
  job_init(&b, &e, log, 'b');
  job_init(&c, &e, log, 'c');
  job_init(&f, &e, log, 'F');
  a.next = &c;
  wr_task_post_flush(&e.ctx, &f.task);
  wr_task_post(&e.ctx, &a.task);
  wr_task_post(&e.ctx, &b.task);
  wr_task_post(&e.ctx, &a.task);
  CHECK(wr_task_pending(&a.task));
  EQ_STR(log, ""); /* nothing runs inside the call */
  wr_ctx_run_tasks(&e.ctx);
  EQ_STR(log, "abcF");
  CHECK(!wr_task_pending(&a.task));
  env_close(&e);
}

TEST(task_may_cancel_another_and_post_itself) {
  env e;
  char log[32] = "";
  job a;
  job b;
  env_open(&e);
  job_init(&a, &e, log, 'a');
  job_init(&b, &e, log, 'b');
  a.drop = &b;
  a.repeat = 2;
  wr_task_post(&e.ctx, &a.task);
  wr_task_post(&e.ctx, &b.task);
  wr_ctx_run_tasks(&e.ctx);
  EQ_STR(log, "aaa");
  env_close(&e);
}

static int turns;
static void on_turn(wr_ctx *ctx) {
  turns++;
  WR_UNUSED(ctx);
}

TEST(turn_ends_with_on_turn_also_without_events) {
  env e;
  char log[32] = "";
  job a;
  env_open(&e);
  turns = 0;
  e.ctx.on_turn = on_turn;
  job_init(&a, &e, log, 'a');
  wr_task_post(&e.ctx, &a.task);
  wr_ctx_hold(&e.ctx);
  uv_run(&e.loop, UV_RUN_NOWAIT);
  wr_ctx_release(&e.ctx);
  EQ_INT(a.n, 1);
  CHECK(turns >= 1);
  env_close(&e);
}

static void on_due(wr_timer *timer) {
  WR_UNUSED(timer);
}

static bool timer_done;
static void on_flag(wr_timer *timer) {
  WR_UNUSED(timer);
  timer_done = true;
}

/* A chain of tasks without end must neither hang the loop nor starve it. */
TEST(endless_tasks_do_not_starve_the_loop) {
  env e;
  char log[32] = "";
  job a;
  wr_timer timer;
  env_open(&e);
  timer_done = false;
  job_init(&a, &e, log, 'a');
  a.repeat = 100000000;
  wr_timer_init(&timer, &e.ctx, on_flag);
  wr_timer_start(&timer, 5);
  wr_task_post(&e.ctx, &a.task);
  env_until(&e, &timer_done);
  CHECK(a.n > 0);
  wr_task_cancel(&a.task);
  env_close(&e);
}

/* Left-over tasks must not wait for an event. */
TEST(left_over_tasks_run_without_an_event) {
  env e;
  char log[32] = "";
  job a;
  env_open(&e);
  job_init(&a, &e, log, 'a');
  a.repeat = 5000;
  wr_task_post(&e.ctx, &a.task);
  wr_ctx_hold(&e.ctx);
  for (int i = 0; i < 20; i++) {
    uv_run(&e.loop, a.n < 5001 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  }
  wr_ctx_release(&e.ctx);
  EQ_INT(a.n, 5001);
  env_close(&e);
}

TEST(holds_keep_the_loop_alive) {
  env e;
  env_open(&e);
  EQ_INT(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
  wr_ctx_hold(&e.ctx);
  wr_ctx_hold(&e.ctx);
  CHECK(uv_run(&e.loop, UV_RUN_NOWAIT) != 0);
  wr_ctx_release(&e.ctx);
  CHECK(uv_loop_alive(&e.loop));
  wr_ctx_release(&e.ctx);
  EQ_INT(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
  env_close(&e);
}

typedef struct thing {
  wr_obj obj;
  uv_timer_t handle;
  wr_task task;
  wr_ctx *ctx;
  int n_shutdown;
  int n_goodbye;
  bool gone;
} thing;

static void on_thing_closed(uv_handle_t *handle) {
  thing *x = handle->data;
  wr_ctx_handle_closed(x->ctx);
  x->gone = true;
}

static void on_thing_task(wr_task *task) {
  thing *x = wr_container_of(task, thing, task);
  uv_close((uv_handle_t *)&x->handle, on_thing_closed);
}

static void thing_shutdown(wr_obj *obj) {
  thing *x = wr_container_of(obj, thing, obj);
  x->n_shutdown++;
  wr_task_post(x->ctx, &x->task); /* closes its handle only later */
}

static void thing_goodbye(wr_obj *obj) {
  wr_container_of(obj, thing, obj)->n_goodbye++;
}

static void thing_init(thing *x, env *e) {
  *x = (thing){.ctx = &e->ctx};
  x->obj.shutdown = thing_shutdown;
  x->obj.goodbye = thing_goodbye;
  wr_task_init(&x->task, on_thing_task);
  wr_ctx_add_object(&e->ctx, &x->obj);
  uv_timer_init(&e->loop, &x->handle);
  x->handle.data = x;
  wr_ctx_handle_opened(&e->ctx, (uv_handle_t *)&x->handle);
}

TEST(teardown_shuts_objects_down_and_waits_for_their_handles) {
  env e;
  thing x;
  thing y;
  env_open(&e);
  thing_init(&x, &e);
  thing_init(&y, &e);
  wr_ctx_say_goodbye(&e.ctx);
  EQ_INT(x.n_goodbye, 1);
  EQ_INT(x.n_shutdown, 0);
  env_close(&e);
  EQ_INT(x.n_shutdown, 1);
  EQ_INT(y.n_shutdown, 1);
  CHECK(x.gone && y.gone);
}

static void close_ctx(wr_task *task) {
  job *j = wr_container_of(task, job, task);
  wr_ctx_close(j->ctx, env_on_closed);
  j->n++;
}

TEST(teardown_may_begin_inside_a_task) {
  env e;
  thing x;
  job j = {.n = 0};
  env_open(&e);
  thing_init(&x, &e);
  e.ctx.on_turn = on_turn;
  j.ctx = &e.ctx;
  wr_task_init(&j.task, close_ctx);
  wr_task_post(&e.ctx, &j.task);
  wr_ctx_hold(&e.ctx);
  turns = 0;
  uv_run(&e.loop, UV_RUN_DEFAULT);
  EQ_INT(j.n, 1);
  EQ_INT(turns, 0); /* nobody is called once it has begun */
  CHECK(e.closed && x.gone);
  EQ_UINT(e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&e.loop), 0);
}

static int bad_rand(void *data, uint8_t *dst, size_t len) {
  WR_UNUSED(data);
  WR_UNUSED(dst);
  WR_UNUSED(len);
  return UV_ENOSYS;
}

TEST(clock_and_randomness) {
  env e;
  wr_timer timer;
  uint8_t x[16] = {0};
  uint8_t y[16] = {0};
  env_open(&e);
  EQ_INT(wr_ctx_rand(&e.ctx, x, sizeof(x)), 0);
  EQ_INT(wr_ctx_rand(&e.ctx, y, sizeof(y)), 0);
  CHECK(memcmp(x, y, sizeof(x)) != 0);
  CHECK(wr_ctx_rand64(&e.ctx) != wr_ctx_rand64(&e.ctx));
  CHECK(wr_ctx_wall(&e.ctx) > INT64_C(1600000000000));
  CHECK(wr_ctx_hrtime(&e.ctx) > 0);
  e.ctx.rand = bad_rand;
  EQ_INT(wr_ctx_rand(&e.ctx, x, sizeof(x)), UV_ENOSYS);
  EQ_INT(wr_ctx_rand(&e.ctx, x, 0), 0);
  wr_ctx_fake_clock(&e.ctx);
  EQ_UINT(wr_ctx_now(&e.ctx), 1000);
  wr_timer_init(&timer, &e.ctx, on_due);
  wr_timer_start(&timer, 10);
  wr_ctx_advance(&e.ctx, 500);
  EQ_UINT(wr_ctx_now(&e.ctx), 1500);
  EQ_UINT(wr_ctx_hrtime(&e.ctx), 1500000000);
  CHECK(!wr_timer_active(&timer));
  env_close(&e);
}

TAP_MAIN()
