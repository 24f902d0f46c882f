/* Bytes that were read before come first, and nothing else changes. */
#include "net_help.h"

#include "net/mempair.h"
#include "net/unread.h"

/* a is a link over one half, whose reader gets `before` bytes of the pattern
   first; b is the other half. */
typedef struct duo {
  env e;
  peer a;
  peer b;
} duo;

static void duo_open(duo *d, size_t before) {
  wr_link *a;
  wr_link *b;
  wr_link *over;
  uint8_t bytes[100];
  memset(d, 0, sizeof(*d));
  env_open(&d->e);
  wr_ctx_fake_clock(&d->e.ctx);
  MUST(wr_mempair_new(&d->e.ctx, 64, &a, &b) == 0);
  for (size_t i = 0; i < before; i++) {
    bytes[i] = pattern(2, i);
  }
  MUST(wr_unread_new(a, (wr_slice){bytes, before}, &over) == 0);
  memset(bytes, 0, sizeof(bytes));
  peer_own(&d->a, over);
  peer_own(&d->b, b);
  d->a.out_seed = d->b.in_seed = 1;
  d->b.out_seed = d->a.in_seed = 2;
  d->b.sent = before;
}

static void duo_close(duo *d) {
  if (d->a.link != NULL) {
    wr_link_close(d->a.link, WR_CLOSE_ORDERLY);
  }
  if (d->b.link != NULL) {
    wr_link_close(d->b.link, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&d->e.ctx);
  EQ_INT(d->a.n_close, 1);
  EQ_INT(d->b.n_close, 1);
  EQ_UINT(d->a.bad + d->b.bad, 0);
  env_close(&d->e);
}

TEST(they_come_first) {
  static const size_t takes[] = {0, 1, 7, 20, 21};
  for (size_t i = 0; i < WR_COUNTOF(takes); i++) {
    duo d;
    wr_link_info info;
    duo_open(&d, 20);
    d.a.max_take = takes[i];
    d.a.resume = true;
    d.a.to_send = d.b.to_send = 1000;
    d.a.end_after = d.b.end_after = true;
    peer_go(&d.b);
    wr_ctx_run_tasks(&d.e.ctx);
    EQ_UINT(d.a.got, 0);
    peer_go(&d.a);
    EQ_UINT(d.a.got, 0); /* never inside the call */
    wr_ctx_run_tasks(&d.e.ctx);
    EQ_UINT(d.a.got, 1000);
    EQ_UINT(d.b.got, 1000);
    CHECK(d.a.eof && d.b.eof);
    wr_link_query(d.a.link, &info);
    EQ_STR(info.transport, "memory");
    duo_close(&d);
  }
}

TEST(a_reader_that_stops) {
  duo d;
  duo_open(&d, 20);
  d.b.to_send = 40;
  peer_go(&d.b);
  wr_link_read_start(d.a.link);
  wr_link_read_stop(d.a.link);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.got, 0);
  d.a.max_take = 5;
  wr_link_read_start(d.a.link);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.got, 5);
  d.a.max_take = 0;
  wr_link_read_start(d.a.link);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.got, 40);
  duo_close(&d);
}

TEST(close_inside_the_first_read) {
  for (int i = 0; i < 2; i++) {
    duo d;
    duo_open(&d, 20);
    d.a.close_in = 'r';
    d.a.mode = i == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET;
    d.a.max_take = i == 0 ? 0 : 3;
    d.b.to_send = 40;
    peer_go(&d.b);
    peer_go(&d.a);
    wr_ctx_run_tasks(&d.e.ctx);
    EQ_UINT(d.a.got, i == 0 ? 20 : 3);
    CHECK(d.a.closed);
    EQ_INT(d.a.status, 0);
    duo_close(&d);
  }
}

TEST(the_wire_may_go_before_they_are_read) {
  duo d;
  duo_open(&d, 20);
  peer_go(&d.a);
  wr_link_close(d.b.link, WR_CLOSE_RESET);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.a.status, UV_ECONNRESET);
  duo_close(&d);
}

TEST(allocations_may_fail) {
  duo d;
  wr_link *over;
  duo_open(&d, 1);
  const wr_slice bytes = {(const uint8_t *)"x", 1};
  for (uint64_t i = 1; i <= 2; i++) {
    d.e.ctx.mem.fail_at = d.e.ctx.mem.total + i;
    EQ_INT(wr_unread_new(d.b.link, bytes, &over), WR_ENOMEM);
  }
  duo_close(&d);
}

TAP_MAIN()
