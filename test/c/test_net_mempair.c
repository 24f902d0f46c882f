/* Memory pairs: capacity, faults, closing. */
#include "mem_duo.h"

static void duo_open(duo *d, size_t capacity) {
  wr_link *a;
  wr_link *b;
  duo_wire(d, capacity, &a, &b);
  peers_own(&d->a, a, &d->b, b);
}

/* The sanitizers see what becomes of the NULL. */
TEST(nothing_may_be_written) {
  duo d;
  duo_open(&d, 100);
  uv_buf_t bufs[2] = {{.base = NULL, .len = 0}, {.base = NULL, .len = 0}};
  size_t taken = 1;
  EQ_INT(wr_link_write(d.a.link, bufs, 2, &taken), 0);
  EQ_UINT(taken, 0);
  wr_link_read_start(d.b.link);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.b.got, 0);
  CHECK(!d.b.eof);
  duo_close(&d);
}

TEST(capacity_is_back_pressure) {
  duo d;
  wr_link_info info;
  duo_open(&d, 100);
  d.a.to_send = 1000;
  d.a.end_after = true;
  peer_write(&d.a);
  EQ_UINT(d.a.sent, 100);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.sent, 100); /* nobody reads */
  EQ_UINT(d.b.got, 0);
  wr_link_read_start(d.b.link);
  EQ_UINT(d.b.got, 0); /* never inside the call */
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.b.got, 1000);
  CHECK(d.b.eof);
  wr_link_query(d.a.link, &info);
  EQ_STR(info.transport, "memory");
  CHECK(!info.has_peer);
  duo_close(&d);
}

TEST(both_ways_with_short_writes_and_reads) {
  duo d;
  wr_mempair_faults faults = {.max_write = 7, .max_read = 3};
  duo_open(&d, 64);
  wr_mempair_set_faults(d.a.link, &faults);
  wr_mempair_set_faults(d.b.link, &faults);
  d.a.to_send = d.b.to_send = 5000;
  d.a.end_after = d.b.end_after = true;
  d.b.max_take = 2;
  d.b.resume = true;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.got, 5000);
  EQ_UINT(d.b.got, 5000);
  CHECK(d.a.eof && d.b.eof);
  duo_close(&d);
}

TEST(stall_ends_when_it_is_cleared) {
  duo d;
  wr_mempair_faults faults = {.stalled = true};
  duo_open(&d, 64);
  wr_mempair_set_faults(d.a.link, &faults);
  d.a.to_send = 10;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.a.sent, 0);
  faults.stalled = false;
  wr_mempair_set_faults(d.a.link, &faults);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.b.got, 10);
  duo_close(&d);
}

TEST(delay_keeps_the_order) {
  duo d;
  wr_mempair_faults slow = {.delay_ms = 50};
  wr_mempair_faults fast = {.delay_ms = 0};
  duo_open(&d, 64);
  wr_mempair_set_faults(d.a.link, &slow);
  peer_go(&d.b);
  d.a.to_send = 10;
  peer_go(&d.a);
  wr_mempair_set_faults(d.a.link, &fast);
  d.a.to_send = 20;
  d.a.end_after = true;
  peer_write(&d.a);
  wr_ctx_advance(&d.e.ctx, 49);
  EQ_UINT(d.b.got, 0);
  CHECK(!d.b.eof);
  wr_ctx_advance(&d.e.ctx, 1);
  EQ_UINT(d.b.got, 20);
  CHECK(d.b.eof);
  duo_close(&d);
}

TEST(orderly_close_leaves_the_bytes_to_the_peer) {
  duo d;
  duo_open(&d, 64);
  d.a.to_send = 60;
  peer_go(&d.a);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&d.e.ctx);
  CHECK(d.a.closed);
  peer_go(&d.b);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.b.got, 60);
  CHECK(d.b.eof && !d.b.closed);
  d.b.to_send = 1;
  peer_write(&d.b);
  EQ_INT(d.b.write_error, UV_EPIPE);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.b.status, UV_EPIPE);
  duo_close(&d);
}

TEST(blocked_writer_learns_that_its_peer_closed) {
  duo d;
  duo_open(&d, 64);
  d.a.to_send = 100;
  peer_go(&d.a);
  wr_link_close(d.b.link, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.a.write_error, UV_EPIPE);
  CHECK(d.a.closed);
  duo_close(&d);
}

TEST(reset_and_cut) {
  duo d;
  duo_open(&d, 64);
  d.a.to_send = 10;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_link_close(d.a.link, WR_CLOSE_RESET);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.a.status, 0);
  EQ_INT(d.b.status, UV_ECONNRESET);
  EQ_INT(d.b.n_eof, 0);
  duo_close(&d);
  duo_open(&d, 64);
  wr_mempair_cut(d.b.link, UV_ETIMEDOUT);
  EQ_INT(d.a.n_close, 0);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.a.status, UV_ETIMEDOUT);
  EQ_INT(d.b.status, UV_ETIMEDOUT);
  duo_close(&d);
}

TEST(close_inside_each_callback) {
  static const int where[] = {'r', 'e', 'w'};
  for (int i = 0; i < 6; i++) {
    duo d;
    duo_open(&d, 64);
    d.b.close_in = where[i / 2];
    d.b.mode = i % 2 == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET;
    d.a.to_send = d.b.close_in == 'w' ? 0 : 50;
    d.b.to_send = d.b.close_in == 'w' ? 500 : 0;
    d.a.end_after = true;
    peer_go(&d.a);
    peer_go(&d.b);
    wr_ctx_run_tasks(&d.e.ctx);
    CHECK(d.b.closed);
    EQ_INT(d.b.status, 0);
    duo_close(&d);
  }
}

TEST(allocations_may_fail) {
  duo d;
  wr_link *x;
  wr_link *y;
  duo_open(&d, 64);
  EQ_INT(wr_mempair_new(&d.e.ctx, 0, &x, &y), WR_EINVAL);
  for (uint64_t i = 1; i <= 4; i++) {
    d.e.ctx.mem.fail_at = d.e.ctx.mem.total + i;
    EQ_INT(wr_mempair_new(&d.e.ctx, 64, &x, &y), WR_ENOMEM);
  }
  wr_mempair_faults slow = {.delay_ms = 50};
  wr_mempair_set_faults(d.a.link, &slow);
  d.e.ctx.mem.fail_at = d.e.ctx.mem.total + 1;
  d.a.to_send = 10;
  peer_go(&d.a);
  EQ_INT(d.a.write_error, WR_ENOMEM);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(d.a.status, WR_ENOMEM);
  EQ_INT(d.b.status, UV_ECONNRESET);
  duo_close(&d);
}

TAP_MAIN()
