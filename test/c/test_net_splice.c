/* Splices: over real sockets, over memory, into packets. */
#include "net_help.h"

#include "net/mempair.h"
#include "net/splice.h"

#define MIB (UINT64_C(1) << 20)

/* a == spliced pair == b, the outer ends ours */
typedef struct line {
  env e;
  peer a;
  peer b;
  wr_link *in; /* the splice's links */
  wr_link *out;
  wr_splice *splice;
  bool done;
  int n_done;
  int status;
  uint64_t ab;
  uint64_t ba;
} line;

static void on_done(void *user, int status, uint64_t ab, uint64_t ba) {
  line *l = user;
  l->done = true;
  l->n_done++;
  l->status = status;
  l->ab = ab;
  l->ba = ba;
}

static void line_tcp(line *l) {
  wr_link *a;
  wr_link *b;
  memset(l, 0, sizeof(*l));
  env_open(&l->e);
  tcp_pair(&l->e, &a, &l->in);
  tcp_pair(&l->e, &l->out, &b);
  peers_own(&l->a, a, &l->b, b);
}

static void line_mem(line *l, size_t capacity) {
  wr_link *a;
  wr_link *b;
  memset(l, 0, sizeof(*l));
  env_open(&l->e);
  wr_ctx_fake_clock(&l->e.ctx);
  MUST(wr_mempair_new(&l->e.ctx, capacity, &a, &l->in) == 0);
  MUST(wr_mempair_new(&l->e.ctx, capacity, &l->out, &b) == 0);
  peers_own(&l->a, a, &l->b, b);
}

static void go(line *l, size_t early) {
  static uint8_t bytes[64 * 1024];
  wr_slice slice = {.data = bytes, .len = early};
  for (size_t i = 0; i < early; i++) {
    bytes[i] = pattern(1, i);
  }
  l->a.sent = early;
  MUST(wr_splice_start(&l->e.ctx, l->in, l->out, slice, on_done, l,
                       &l->splice) == 0);
  memset(bytes, 0, sizeof(bytes)); /* it has its copy */
  peer_go(&l->a);
  if (l->b.link != NULL) {
    peer_go(&l->b);
  }
}

static void turn(line *l) {
  if (l->e.ctx.fake_now_ms != 0) {
    wr_ctx_run_tasks(&l->e.ctx);
    return;
  }
  wr_ctx_hold(&l->e.ctx);
  uv_run(&l->e.loop, UV_RUN_NOWAIT);
  wr_ctx_release(&l->e.ctx);
}

static void line_close(line *l) {
  if (l->a.link != NULL) {
    wr_link_close(l->a.link, WR_CLOSE_ORDERLY);
  }
  if (l->b.link != NULL) {
    wr_link_close(l->b.link, WR_CLOSE_ORDERLY);
  }
  while (!l->done || !l->a.closed || !l->b.closed) {
    turn(l);
  }
  EQ_INT(l->n_done, 1);
  EQ_INT(l->a.n_close, 1);
  EQ_INT(l->b.n_close, 1);
  EQ_UINT(l->a.bad + l->b.bad, 0);
  env_settle(&l->e);
  env_close(&l->e);
}

TEST(sixty_four_mebibytes_both_ways_over_tcp) {
  line l;
  line_tcp(&l);
  l.a.to_send = l.b.to_send = 64 * MIB;
  l.a.end_after = l.b.end_after = true;
  uint64_t before = l.e.ctx.mem.total;
  uint64_t start = uv_hrtime();
  go(&l, 0);
  env_until(&l.e, &l.done);
  env_until(&l.e, &l.a.eof);
  env_until(&l.e, &l.b.eof);
  DIAG("%u allocations, %u ms", (unsigned)(l.e.ctx.mem.total - before),
       (unsigned)((uv_hrtime() - start) / 1000000));
  EQ_INT(l.status, 0);
  EQ_UINT(l.a.got, 64 * MIB);
  EQ_UINT(l.b.got, 64 * MIB);
  EQ_UINT(l.ab, 64 * MIB);
  EQ_UINT(l.ba, 64 * MIB);
  line_close(&l);
}

TEST(half_close_with_a_mebibyte_still_to_come) {
  line l;
  line_tcp(&l);
  l.a.to_send = 10;
  l.a.end_after = true;
  go(&l, 0);
  env_until(&l.e, &l.b.eof);
  EQ_UINT(l.b.got, 10);
  l.b.to_send = MIB;
  l.b.end_after = true;
  peer_write(&l.b);
  env_until(&l.e, &l.a.eof);
  EQ_UINT(l.a.got, MIB);
  env_until(&l.e, &l.done);
  EQ_INT(l.status, 0);
  line_close(&l);
}

/* The last bytes before an end must reach a reader that is slow. */
TEST(nothing_is_lost_to_a_slow_reader) {
  line l;
  line_tcp(&l);
  l.a.to_send = 20 * MIB;
  l.a.end_after = true;
  l.b.end_after = true; /* ends its direction at once */
  go(&l, 0);
  wr_link_read_stop(l.b.link);
  for (int i = 0; i < 200; i++) {
    turn(&l);
  }
  CHECK(!l.done);
  wr_link_read_start(l.b.link);
  env_until(&l.e, &l.b.eof);
  EQ_UINT(l.b.got, 20 * MIB);
  line_close(&l);
  EQ_INT(l.status, 0);
}

TEST(reset_is_carried_over) {
  line l;
  line_tcp(&l);
  go(&l, 0);
  wr_link_close(l.a.link, WR_CLOSE_RESET);
  env_until(&l.e, &l.b.closed);
  EQ_INT(l.b.status, UV_ECONNRESET);
  EQ_INT(l.b.n_eof, 0);
  env_until(&l.e, &l.done);
  EQ_INT(l.status, UV_ECONNRESET);
  line_close(&l);
}

/* As a server does that refuses an upload: it answers, and resets what still
   comes. */
TEST(an_answer_is_heard_although_the_question_failed) {
  line l;
  line_tcp(&l);
  l.b.to_send = 30000;
  peer_write(&l.b);
  wr_link_close(l.b.link, WR_CLOSE_RESET);
  env_until(&l.e, &l.b.closed);
  go(&l, 100);
  EQ_UINT(l.a.got, 0);
  env_until(&l.e, &l.a.closed);
  EQ_UINT(l.a.got, 30000);
  EQ_INT(l.a.status, UV_ECONNRESET);
  EQ_INT(l.a.n_eof, 0);
  env_until(&l.e, &l.done);
  CHECK(l.status == UV_ECONNRESET || l.status == UV_EPIPE);
  line_close(&l);
}

TEST(paused_reader_pushes_back_to_the_sender) {
  line l;
  line_tcp(&l);
  l.a.to_send = 256 * MIB;
  l.b.to_send = 8 * MIB;
  l.b.end_after = true;
  go(&l, 0);
  wr_link_read_stop(l.b.link);
  env_until(&l.e, &l.a.eof); /* the other direction is not held up */
  EQ_UINT(l.a.got, 8 * MIB);
  uint64_t sent = 0;
  do {
    sent = l.a.sent;
    for (int i = 0; i < 20; i++) {
      turn(&l);
    }
  } while (l.a.sent != sent);
  CHECK(l.a.sent < 64 * MIB);
  l.a.to_send = l.a.sent;
  wr_link_read_start(l.b.link);
  env_until_count(&l.e, &l.b.n_eof, 0);
  wr_link_shutdown(l.a.link);
  env_until(&l.e, &l.b.eof);
  EQ_UINT(l.b.got, sent);
  line_close(&l);
}

TEST(early_bytes_come_first_whatever_the_capacity) {
  static const size_t sizes[] = {1, 99, 100, 101, 5000, 65536};
  for (size_t i = 0; i < WR_COUNTOF(sizes); i++) {
    line l;
    line_mem(&l, 100);
    l.a.to_send = sizes[i] + 1000;
    l.a.end_after = l.b.end_after = true;
    go(&l, sizes[i]);
    turn(&l);
    EQ_UINT(l.b.got, sizes[i] + 1000);
    CHECK(l.done && l.b.eof);
    EQ_UINT(l.ab, sizes[i] + 1000);
    line_close(&l);
  }
}

TEST(early_bytes_survive_the_sender) {
  line l;
  wr_mempair_faults stall = {.stalled = true};
  wr_mempair_faults none = {.stalled = false};
  line_mem(&l, 100);
  wr_mempair_set_faults(l.out, &stall);
  go(&l, 1000);
  l.b.to_send = 50; /* for nobody */
  peer_write(&l.b);
  wr_mempair_cut(l.a.link, 0);
  turn(&l);
  CHECK(l.a.closed && !l.done);
  wr_mempair_set_faults(l.out, &none);
  turn(&l);
  EQ_UINT(l.b.got, 1000);
  CHECK(l.b.eof && l.done);
  EQ_INT(l.status, 0);
  l.a.bad = 0;
  line_close(&l);
}

TEST(too_many_early_bytes_and_no_memory) {
  line l;
  wr_slice early = {.data = (const uint8_t *)"x", .len = 65537};
  line_mem(&l, 100);
  EQ_INT(wr_splice_start(&l.e.ctx, l.in, l.out, early, on_done, &l, &l.splice),
         WR_EINVAL);
  early.len = 1;
  for (uint64_t i = 1; i <= 2; i++) {
    l.e.ctx.mem.fail_at = l.e.ctx.mem.total + i;
    EQ_INT(
        wr_splice_start(&l.e.ctx, l.in, l.out, early, on_done, &l, &l.splice),
        WR_ENOMEM);
  }
  go(&l, 0); /* the links were still ours */
  line_close(&l);
}

TEST(orderly_end_of_one_side_ends_the_other_in_order) {
  line l;
  line_mem(&l, 100);
  l.a.to_send = 50;
  go(&l, 0);
  turn(&l);
  wr_mempair_cut(l.a.link, 0);
  turn(&l);
  EQ_UINT(l.b.got, 50);
  CHECK(l.b.eof && !l.b.closed && l.done);
  EQ_INT(l.status, 0);
  line_close(&l);
}

TEST(abort_resets_both) {
  line l;
  line_mem(&l, 100);
  go(&l, 0);
  wr_splice_abort(l.splice);
  wr_splice_abort(l.splice);
  EQ_INT(l.n_done, 0);
  turn(&l);
  EQ_INT(l.a.status, UV_ECONNRESET);
  EQ_INT(l.b.status, UV_ECONNRESET);
  EQ_INT(l.status, WR_ECANCELED);
  line_close(&l);
}

TEST(owner_that_goes_first) {
  line l;
  line_mem(&l, 100);
  go(&l, 0);
  wr_splice_set_cb(l.splice, NULL, NULL);
  wr_splice_abort(l.splice);
  turn(&l);
  EQ_INT(l.n_done, 0);
  l.done = true;
  l.n_done = 1;
  line_close(&l);
}

TEST(stalled_and_idle_splices_do_not_spin) {
  line l;
  wr_mempair_faults stall = {.stalled = true};
  line_mem(&l, 100);
  wr_mempair_set_faults(l.out, &stall);
  l.a.to_send = 1000;
  go(&l, 0);
  turn(&l); /* ends only because nothing is left to do */
  CHECK(wr_list_empty(&l.e.ctx.tasks));
  wr_mempair_cut(l.b.link, UV_ECONNRESET);
  turn(&l);
  CHECK(l.done && l.a.closed);
  line_close(&l);
}

/* A destination that lends memory of its next packet, has a few packets only
   and sends them off at the end of the turn. */
#define PACKET 1000
typedef struct packets {
  wr_link link;
  wr_task task;
  uint8_t packet[PACKET];
  bool lent;
  unsigned room; /* packets left in this turn */
  uint32_t seed;
  uint64_t got;
  uint64_t bad;
  uint64_t in_place; /* bytes that were not copied */
  bool want_writable;
  bool eof;
  bool closed;
} packets;

static uint8_t *packets_reserve(wr_link *link, size_t *len) {
  packets *p = wr_container_of(link, packets, link);
  if (p->room == 0) {
    p->want_writable = true;
    wr_task_post(link->ctx, &p->task);
    return NULL;
  }
  p->lent = true;
  *len = WR_MIN(*len, (size_t)PACKET);
  return p->packet;
}

static void packets_run(wr_task *task) {
  packets *p = wr_container_of(task, packets, task);
  if (p->closed) {
    p->link.handler->on_close(&p->link, 0);
    return;
  }
  p->room = 3;
  if (p->want_writable) {
    p->want_writable = false;
    p->link.handler->on_writable(&p->link);
  }
}

static int packets_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                         size_t *taken) {
  packets *p = wr_container_of(link, packets, link);
  const uint8_t *base = (const uint8_t *)bufs[0].base;
  CHECK(n == 1 && !p->eof && !p->closed);
  *taken = p->room == 0 ? 0 : WR_MIN(bufs[0].len, (size_t)PACKET);
  if (base == p->packet) {
    CHECK(p->lent);
    p->in_place += *taken;
  }
  p->lent = false;
  for (size_t i = 0; i < *taken; i++) {
    p->bad += base[i] != pattern(p->seed, p->got + i);
  }
  p->got += *taken;
  p->room -= *taken > 0 ? 1 : 0;
  p->want_writable = *taken < bufs[0].len;
  wr_task_post(link->ctx, &p->task);
  return 0;
}

static int packets_shutdown(wr_link *link) {
  wr_container_of(link, packets, link)->eof = true;
  return 0;
}

static int packets_read_start(wr_link *link) {
  WR_UNUSED(link);
  return 0;
}

static void packets_read_stop(wr_link *link) {
  WR_UNUSED(link);
}

static void packets_close(wr_link *link, wr_close_mode mode) {
  packets *p = wr_container_of(link, packets, link);
  WR_UNUSED(mode);
  p->closed = true;
  wr_task_post(link->ctx, &p->task);
}

static void packets_query(const wr_link *link, wr_link_info *info) {
  WR_UNUSED(link);
  memset(info, 0, sizeof(*info));
}

TEST(bytes_are_read_straight_into_packets) {
  static const wr_link_ops ops = {.name = "packets",
                                  .read_start = packets_read_start,
                                  .read_stop = packets_read_stop,
                                  .write = packets_write,
                                  .shutdown = packets_shutdown,
                                  .close = packets_close,
                                  .query = packets_query,
                                  .reserve = packets_reserve};
  line l;
  wr_link *a;
  packets p = {.seed = 1, .room = 3};
  memset(&l, 0, sizeof(l));
  env_open(&l.e);
  tcp_pair(&l.e, &a, &l.in);
  peers_own(&l.a, a, &l.b, a);
  wr_task_init(&p.task, packets_run);
  p.link.ops = &ops;
  p.link.ctx = &l.e.ctx;
  a->user = &l.a;
  l.a.to_send = 4 * MIB;
  l.a.end_after = true;
  wr_slice none = {NULL, 0};
  MUST(wr_splice_start(&l.e.ctx, l.in, &p.link, none, on_done, &l, &l.splice) ==
       0);
  peer_go(&l.a);
  env_until(&l.e, &p.eof);
  EQ_UINT(p.got, 4 * MIB);
  EQ_UINT(p.bad, 0);
  EQ_UINT(p.in_place, p.got);
  DIAG("%u of %u KiB in place", (unsigned)(p.in_place >> 10),
       (unsigned)(p.got >> 10));
  wr_splice_abort(l.splice);
  env_until(&l.e, &l.done);
  CHECK(p.closed);
  if (l.a.link != NULL) {
    wr_link_close(l.a.link, WR_CLOSE_RESET);
  }
  EQ_UINT(l.ab, 4 * MIB);
  env_settle(&l.e);
  env_close(&l.e);
}

TAP_MAIN()
