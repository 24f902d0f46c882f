/* Bytes that were read before come first, and nothing else changes. */
#include "mem_duo.h"

#include "net/unread.h"

/* a is a link over one half, whose reader gets `before` bytes of the pattern
   first; b is the other half. */
static void duo_open(duo *d, size_t before) {
  wr_link *a;
  wr_link *b;
  wr_link *over;
  uint8_t bytes[100];
  duo_wire(d, 64, &a, &b);
  for (size_t i = 0; i < before; i++) {
    bytes[i] = pattern(2, i);
  }
  MUST(wr_unread_new(a, (wr_slice){bytes, before}, &over) == 0);
  memset(bytes, 0, sizeof(bytes));
  peers_own(&d->a, over, &d->b, b);
  d->b.sent = before;
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
