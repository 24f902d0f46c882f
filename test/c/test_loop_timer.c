/* Timers: the heap against a naive model, and the real clock. */
#include "net_help.h"

#define N 64

typedef struct model {
  wr_timer timer;
  uint64_t due;
  uint64_t seq;
  bool active;
} model;

static struct {
  env e;
  model m[N];
  uint64_t seq;
  uint32_t rnd;
  int fired;
  int wrong;
} t;

static void model_start(model *m, uint64_t delay) {
  m->due = wr_ctx_now(&t.e.ctx) + delay;
  m->seq = ++t.seq;
  m->active = true;
  wr_timer_start(&m->timer, delay);
}

static model *model_next(void) {
  model *best = NULL;
  for (size_t i = 0; i < N; i++) {
    model *m = &t.m[i];
    if (m->active && (best == NULL || m->due < best->due ||
                      (m->due == best->due && m->seq < best->seq))) {
      best = m;
    }
  }
  return best;
}

static void random_step(void) {
  uint32_t r = help_rand(&t.rnd);
  model *m = &t.m[r % N];
  if ((r >> 8) % 3 == 0) {
    m->active = false;
    wr_timer_stop(&m->timer);
    return;
  }
  model_start(m, 1 + (r >> 16) % 50);
}

static void on_model(wr_timer *timer) {
  model *m = wr_container_of(timer, model, timer);
  t.fired++;
  t.wrong += m != model_next() || m->due > wr_ctx_now(&t.e.ctx);
  m->active = false;
  if (t.fired % 3 == 0) {
    random_step(); /* from inside a callback as well */
  }
}

TEST(heap_agrees_with_a_naive_model) {
  t.rnd = 0x1234567;
  env_open(&t.e);
  wr_ctx_fake_clock(&t.e.ctx);
  for (size_t i = 0; i < N; i++) {
    wr_timer_init(&t.m[i].timer, &t.e.ctx, on_model);
  }
  for (int i = 0; i < 20000; i++) {
    random_step();
    if (i % 4 == 0) {
      wr_ctx_advance(&t.e.ctx, help_rand(&t.rnd) % 20);
      const model *m = model_next();
      t.wrong += m != NULL && m->due <= wr_ctx_now(&t.e.ctx);
    }
    for (size_t k = 0; k < N; k++) {
      t.wrong += wr_timer_active(&t.m[k].timer) != t.m[k].active;
    }
  }
  CHECK(t.fired > 1000);
  EQ_INT(t.wrong, 0);
  for (size_t i = 0; i < N; i++) {
    wr_timer_stop(&t.m[i].timer);
  }
  env_close(&t.e);
}

typedef struct shot {
  wr_timer timer;
  int n;
  char *log;
  char name;
  bool again;
  bool done;
  uint64_t started_ns;
  uint64_t took_ns;
} shot;

static void on_shot(wr_timer *timer) {
  shot *s = wr_container_of(timer, shot, timer);
  size_t len = s->log != NULL ? strlen(s->log) : 0;
  s->n++;
  s->done = true;
  s->took_ns = uv_hrtime() - s->started_ns;
  if (s->log != NULL) {
    s->log[len] = s->name;
  }
  if (s->again) {
    s->again = false;
    wr_timer_start(timer, 0);
  }
}

TEST(equal_times_fire_in_the_order_of_their_start) {
  env e;
  char log[16] = "";
  shot s[4];
  env_open(&e);
  wr_ctx_fake_clock(&e.ctx);
  for (int i = 0; i < 4; i++) {
    s[i] = (shot){.log = log, .name = (char)('a' + i)};
    wr_timer_init(&s[i].timer, &e.ctx, on_shot);
    wr_timer_start(&s[i].timer, 5);
  }
  wr_timer_start(&s[1].timer, 5); /* goes to the end */
  s[0].again = true;
  wr_ctx_advance(&e.ctx, 4);
  EQ_STR(log, "");
  wr_ctx_advance(&e.ctx, 1);
  EQ_STR(log, "acdba");
  env_close(&e);
}

TEST(real_clock_never_fires_early) {
  env e;
  shot s = {.n = 0};
  uint64_t busy_until;
  env_open(&e);
  wr_timer_init(&s.timer, &e.ctx, on_shot);
  /* The loop's own time is now 20 ms old. */
  busy_until = uv_hrtime() + 20000000;
  while (uv_hrtime() < busy_until) {
  }
  s.started_ns = uv_hrtime();
  wr_timer_start(&s.timer, 10);
  env_until(&e, &s.done);
  CHECK(s.took_ns >= 10000000);
  EQ_INT(s.n, 1);
  env_close(&e);
}

TEST(put_off_timer_fires_at_the_later_time) {
  env e;
  shot early = {.n = 0};
  shot late = {.n = 0};
  env_open(&e);
  wr_timer_init(&early.timer, &e.ctx, on_shot);
  wr_timer_init(&late.timer, &e.ctx, on_shot);
  wr_timer_start(&early.timer, 5);
  early.started_ns = uv_hrtime();
  wr_timer_start(&early.timer, 30);
  wr_timer_start(&late.timer, 60);
  env_until(&e, &early.done);
  CHECK(early.took_ns >= 30000000);
  CHECK(!late.done);
  wr_timer_stop(&late.timer);
  CHECK(!wr_timer_active(&late.timer));
  env_close(&e);
}

TEST(timers_do_not_keep_the_loop_alive) {
  env e;
  shot s = {.n = 0};
  env_open(&e);
  wr_timer_init(&s.timer, &e.ctx, on_shot);
  wr_timer_start(&s.timer, 3600000);
  EQ_INT(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
  EQ_INT(s.n, 0);
  wr_timer_stop(&s.timer);
  env_close(&e);
}

TEST(teardown_fires_no_timer) {
  env e;
  shot s = {.n = 0};
  env_open(&e);
  wr_timer_init(&s.timer, &e.ctx, on_shot);
  wr_timer_start(&s.timer, 1);
  env_close(&e);
  EQ_INT(s.n, 0);
}

TAP_MAIN()
