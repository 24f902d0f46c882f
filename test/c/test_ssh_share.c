/* How the channels of a session, and the sessions of a process, share the memory
   that windows stand for. */
#include "ssh_pair.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define IDLE 1000

static peer theirs[IDLE + 1];
static peer ours[IDLE + 1];
static int n_theirs;

static void accept_one(pair *p, wr_link *link) {
  WR_UNUSED(p);
  MUST(n_theirs < IDLE + 1);
  peer *x = &theirs[n_theirs++];
  *x = (peer){.in_seed = 1};
  peer_own(x, link);
  peer_go(x);
}

static void setup(pair *p, wr_window_budget *budget, uint64_t window_max) {
  pair_init(p);
  n_theirs = 0;
  p->on_accepted = accept_one;
  p->copts.max_channels = p->sopts.max_channels = IDLE + 1;
  p->sopts.budget = budget;
  p->sopts.window_max_bytes = window_max;
  pair_widen(p, 128 * MIB);
  pair_delay(p, 50);
  pair_start(p);
  wr_ctx_advance(&p->e.ctx, 3000);
  MUST(p->c_ready == 1 && p->s_ready == 1);
}

static void open_many(pair *p, int from, int to) {
  static opened o[IDLE + 1];
  for (int i = from; i < to; i++) {
    pair_ask(p, &o[i]);
  }
  wr_ctx_advance(&p->e.ctx, 1000);
  for (int i = from; i < to; i++) {
    MUST(o[i].calls == 1 && o[i].status == 0);
    ours[i] = (peer){.out_seed = 1};
    peer_own(&ours[i], o[i].link);
  }
}

static uint32_t target_of(int i) {
  wr_channel_info info;
  wr_channel_query(wr_channel_from_link(theirs[i].link), &info);
  return info.window_target;
}

/* The last channel sends without end for so long. */
static void send_for(pair *p, int i, uint64_t ms) {
  ours[i].to_send = UINT64_MAX / 2;
  peer_write(&ours[i]);
  wr_ctx_advance(&p->e.ctx, ms);
}

TEST(a_busy_channel_grows_beside_1000_idle_ones) {
  pair p;
  wr_window_budget budget = {0};
  setup(&p, &budget, 0);
  open_many(&p, 0, IDLE);
  OK(target_of(0) == 2 * MIB, "the first has all it may begin with");
  OK(p.s->window_sum <= WR_WINDOW_SESSION_MAX * 3 / 4, "something is left: %d",
     (int)(p.s->window_sum / MIB));
  open_many(&p, IDLE, IDLE + 1);
  send_for(&p, IDLE, 1200);
  OK(target_of(IDLE) >= 16 * MIB, "it has grown to %d KiB",
     (int)(target_of(IDLE) / 1024));
  EQ_UINT(theirs[IDLE].bad, 0);
  CHECK(p.s->window_sum <= WR_WINDOW_SESSION_MAX);
  CHECK(budget.granted_bytes <= p.s->window_sum);
  pair_fini(&p);
}

TEST(one_channel_does_not_take_all) {
  pair p;
  setup(&p, NULL, 32 * MIB);
  open_many(&p, 0, 2);
  send_for(&p, 0, 1000);
  OK(target_of(0) >= 12 * MIB && target_of(0) <= 24 * MIB, "%d KiB",
     (int)(target_of(0) / 1024));
  wr_link_read_stop(theirs[0].link); /* it keeps its window, and is idle */
  ours[0].to_send = ours[0].sent;
  send_for(&p, 1, 1000);
  OK(target_of(1) >= 4 * MIB, "%d KiB", (int)(target_of(1) / 1024));
  CHECK(p.s->window_sum <= 32 * MIB);
  pair_fini(&p);
}

/* The process has so little left that nobody gets more than the least. */
TEST(the_process_bounds_first_windows_too) {
  pair p;
  wr_window_budget budget = {.limit_bytes = 64 * MIB};
  setup(&p, &budget, 0);
  open_many(&p, 0, 500);
  CHECK(target_of(0) > target_of(100) && target_of(100) > target_of(499));
  EQ_UINT(target_of(499), 64 * KIB);
  CHECK(budget.granted_bytes <= 32 * MIB);
  send_for(&p, 499, 1200);
  OK(target_of(499) >= 4 * MIB, "it has grown to %d KiB",
     (int)(target_of(499) / 1024));
  CHECK(budget.granted_bytes <= 64 * MIB);
  pair_fini(&p);
}

TAP_MAIN()
