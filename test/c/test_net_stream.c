/* Streams over real sockets. */
#include "net_help.h"

#define MIB (UINT64_C(1) << 20)

typedef struct duo {
  env e;
  peer a; /* connected */
  peer b; /* accepted */
} duo;

static duo *duo_open(void) {
  static duo d;
  wr_link *a;
  wr_link *b;
  memset(&d, 0, sizeof(d));
  env_open(&d.e);
  tcp_pair(&d.e, &a, &b);
  peers_own(&d.a, a, &d.b, b);
  return &d;
}

static void duo_close(duo *d) {
  peers_close(&d->a, &d->b);
  env_settle(&d->e);
  peers_check(&d->a, &d->b);
  env_close(&d->e);
}

TEST(full_duplex_with_half_close_both_ways) {
  duo *d = duo_open();
  uint64_t in;
  uint64_t out;
  wr_link_info info;
  d->a.to_send = 8 * MIB;
  d->b.to_send = 8 * MIB;
  d->a.end_after = d->b.end_after = true;
  peer_go(&d->a);
  peer_go(&d->b);
  env_until(&d->e, &d->a.eof);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->a.got, 8 * MIB);
  EQ_UINT(d->b.got, 8 * MIB);
  wr_stream_counts(wr_stream_from_link(d->a.link), &in, &out);
  EQ_UINT(in, 8 * MIB);
  EQ_UINT(out, 8 * MIB);
  wr_link_query(d->a.link, &info);
  EQ_STR(info.transport, "tcp");
  CHECK(info.has_peer && !info.encrypted && info.peer_identity.len == 0);
  /* Both directions have ended; the links are still there. */
  CHECK(!d->a.closed && !d->b.closed);
  duo_close(d);
  EQ_INT(d->a.status, 0);
  EQ_INT(d->b.status, 0);
}

TEST(a_mebibyte_after_the_peers_end) {
  duo *d = duo_open();
  char byte = 0;
  uv_buf_t buf = uv_buf_init(&byte, 1);
  size_t taken;
  d->a.end_after = true;
  peer_go(&d->a); /* nothing, then the end */
  peer_go(&d->b);
  env_until(&d->e, &d->b.eof);
  EQ_INT(wr_link_write(d->a.link, &buf, 1, &taken), WR_ECLOSED);
  EQ_INT(wr_link_shutdown(d->a.link), 0); /* twice is once */
  d->b.to_send = MIB;
  d->b.end_after = true;
  peer_write(&d->b);
  env_until(&d->e, &d->a.eof);
  EQ_UINT(d->a.got, MIB);
  duo_close(d);
}

TEST(reset_is_seen_as_reset) {
  duo *d = duo_open();
  peer_go(&d->b);
  wr_link_close(d->a.link, WR_CLOSE_RESET);
  wr_link_close(d->a.link, WR_CLOSE_RESET);
  env_until(&d->e, &d->b.closed);
  EQ_INT(d->b.status, UV_ECONNRESET);
  EQ_INT(d->b.n_eof, 0);
  env_settle(&d->e);
  EQ_INT(d->a.status, 0);
  duo_close(d);
}

TEST(writing_to_a_reset_socket_fails_once) {
  duo *d = duo_open();
  d->a.to_send = 64 * MIB;
  peer_write(&d->a); /* congested */
  wr_link_close(d->b.link, WR_CLOSE_RESET);
  env_until(&d->e, &d->a.closed);
  CHECK(d->a.status == UV_ECONNRESET || d->a.status == UV_EPIPE);
  duo_close(d);
}

/* The peer has said something and reset the connection: its words are read
   although a write has failed already. */
TEST(what_came_before_a_failed_write_is_read) {
  duo *d = duo_open();
  d->b.to_send = 30000;
  peer_write(&d->b);
  while (d->b.sent < d->b.to_send) {
    uv_run(&d->e.loop, UV_RUN_ONCE);
  }
  wr_link_close(d->b.link, WR_CLOSE_RESET);
  env_until(&d->e, &d->b.closed);
  wr_link_read_start(d->a.link);
  d->a.to_send = 1;
  peer_write(&d->a);
  EQ_INT(d->a.n_write_errors, 1);
  EQ_UINT(d->a.got, 0);
  env_until(&d->e, &d->a.closed);
  EQ_UINT(d->a.got, 30000);
  EQ_INT(d->a.status, d->a.write_error);
  EQ_INT(d->a.n_eof, 0);
  duo_close(d);
}

/* Bytes and a reset that arrive together are no proper end. */
TEST(a_reset_behind_bytes_is_no_end) {
  duo *d = duo_open();
  d->b.to_send = 1000;
  peer_write(&d->b);
  EQ_UINT(d->b.sent, 1000);
  wr_link_close(d->b.link, WR_CLOSE_RESET);
  env_until(&d->e, &d->b.closed);
  wr_link_read_start(d->a.link);
  env_until(&d->e, &d->a.closed);
  EQ_UINT(d->a.got, 1000);
  EQ_INT(d->a.n_eof, 0);
  EQ_INT(d->a.status, UV_ECONNRESET);
  duo_close(d);
}

TEST(orderly_close_sends_what_was_taken) {
  duo *d = duo_open();
  d->a.to_send = 64 * MIB;
  peer_write(&d->a);
  CHECK(d->a.sent < d->a.to_send);
  uint64_t sent = d->a.sent;
  d->a.to_send = 0;
  wr_link_close(d->a.link, WR_CLOSE_ORDERLY);
  wr_link_close(d->a.link, WR_CLOSE_ORDERLY);
  CHECK(!d->a.closed);
  peer_go(&d->b);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, sent);
  env_until(&d->e, &d->a.closed);
  EQ_INT(d->a.status, 0);
  duo_close(d);
}

/* The kernel would answer an unread byte with a reset. */
TEST(orderly_close_with_unread_input_is_no_reset) {
  duo *d = duo_open();
  d->b.to_send = 100000;
  peer_write(&d->b);
  EQ_UINT(d->b.sent, 100000);
  d->a.to_send = 10;
  peer_write(&d->a);
  wr_link_close(d->a.link, WR_CLOSE_ORDERLY);
  peer_go(&d->b);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, 10);
  duo_close(d);
}

TEST(teardown_does_not_wait_for_a_lingering_stream) {
  duo *d = duo_open();
  d->a.to_send = 64 * MIB;
  peer_write(&d->a);
  wr_link_close(d->a.link, WR_CLOSE_ORDERLY);
  uv_run(&d->e.loop, UV_RUN_NOWAIT);
  CHECK(!d->a.closed);
  wr_ctx_close(&d->e.ctx, env_on_closed);
  wr_link_close(d->b.link, WR_CLOSE_ORDERLY);
  uv_run(&d->e.loop, UV_RUN_DEFAULT);
  CHECK(d->e.closed && d->a.closed && d->b.closed);
  EQ_UINT(d->e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&d->e.loop), 0);
}

TEST(back_pressure_with_a_reader_of_single_bytes) {
  duo *d = duo_open();
  d->a.to_send = 20000;
  d->a.end_after = true;
  d->b.max_take = 1;
  d->b.resume = true;
  peer_go(&d->a);
  peer_go(&d->b);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, 20000);
  duo_close(d);
}

TEST(reader_that_takes_nothing_is_left_alone) {
  duo *d = duo_open();
  d->a.to_send = 1000;
  d->a.end_after = true;
  peer_go(&d->a);
  d->b.max_take = 400;
  peer_go(&d->b);
  while (d->b.got == 0) {
    wr_ctx_hold(&d->e.ctx);
    uv_run(&d->e.loop, UV_RUN_ONCE);
    wr_ctx_release(&d->e.ctx);
  }
  for (int i = 0; i < 10; i++) {
    wr_ctx_hold(&d->e.ctx);
    uv_run(&d->e.loop, UV_RUN_NOWAIT);
    wr_ctx_release(&d->e.ctx);
  }
  EQ_UINT(d->b.got, 400);
  CHECK(!d->b.eof);
  /* Stopped and started: the rest comes first, and not inside the call. */
  wr_link_read_start(d->b.link);
  wr_link_read_stop(d->b.link);
  uv_run(&d->e.loop, UV_RUN_NOWAIT);
  EQ_UINT(d->b.got, 400);
  d->b.max_take = 0;
  wr_link_read_start(d->b.link);
  EQ_UINT(d->b.got, 400);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, 1000);
  duo_close(d);
}

static void close_inside(int where, wr_close_mode mode) {
  duo *d = duo_open();
  d->b.close_in = where;
  d->b.mode = mode;
  d->a.to_send = where == 'w' ? 0 : 100000;
  d->a.end_after = true;
  d->b.to_send = where == 'w' ? 64 * MIB : 0;
  if (where == 'r') {
    d->b.max_take = 10; /* with a rest that nobody will want */
  }
  peer_go(&d->a);
  peer_go(&d->b);
  env_until(&d->e, &d->b.closed);
  EQ_INT(d->b.status, 0);
  duo_close(d);
}

TEST(close_inside_each_callback) {
  static const int where[] = {'r', 'e', 'w'};
  for (size_t i = 0; i < WR_COUNTOF(where); i++) {
    close_inside(where[i], WR_CLOSE_ORDERLY);
    close_inside(where[i], WR_CLOSE_RESET);
  }
}

/* The re-offered rest is memory of the link's: closing must not take it away
   under the reader's hands. */
TEST(close_inside_the_offer_of_a_rest) {
  duo *d = duo_open();
  d->a.to_send = 1000;
  d->b.max_take = 100;
  d->b.to_send = 64 * MIB;
  peer_go(&d->a);
  peer_go(&d->b);
  while (d->b.got == 0) {
    uv_run(&d->e.loop, UV_RUN_ONCE);
  }
  d->b.close_in = 'r';
  d->b.mode = WR_CLOSE_ORDERLY;
  wr_link_read_start(d->b.link);
  while (d->b.got == 100) {
    uv_run(&d->e.loop, UV_RUN_ONCE);
  }
  EQ_UINT(d->b.got, 200);
  wr_link_close(d->a.link, WR_CLOSE_RESET);
  duo_close(d);
}

static uint8_t own_memory[100];
static int allocs;
static void on_alloc(wr_link *link, uint8_t **base, size_t *len) {
  peer *p = link->user;
  allocs++;
  *base = own_memory;
  *len = p->got < 1000 ? sizeof(own_memory) : 0;
}

TEST(owner_may_bring_memory_and_postpone) {
  duo *d = duo_open();
  wr_link_handler handler = peer_handler;
  handler.alloc = on_alloc;
  allocs = 0;
  d->b.link->handler = &handler;
  d->a.to_send = 3000;
  d->a.end_after = true;
  peer_go(&d->a);
  peer_go(&d->b);
  while (d->b.got < 1000) {
    uv_run(&d->e.loop, UV_RUN_ONCE);
  }
  for (int i = 0; i < 5; i++) {
    uv_run(&d->e.loop, UV_RUN_NOWAIT);
  }
  EQ_UINT(d->b.got, 1000);
  EQ_INT(allocs, 11); /* the last one said no, then it was asked no more */
  d->b.link->handler = &peer_handler;
  wr_link_read_start(d->b.link);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, 3000);
  duo_close(d);
}

TEST(no_memory_for_the_rest_fails_the_link) {
  duo *d = duo_open();
  d->a.to_send = 1000;
  d->b.max_take = 1;
  peer_go(&d->a);
  d->e.ctx.mem.fail_at = d->e.ctx.mem.total + 1;
  peer_go(&d->b);
  env_until(&d->e, &d->b.closed);
  EQ_INT(d->b.status, WR_ENOMEM);
  duo_close(d);
}

TEST(no_memory_for_congestion_fails_the_link) {
  duo *d = duo_open();
  d->a.to_send = 64 * MIB;
  d->e.ctx.mem.fail_at = d->e.ctx.mem.total + 1;
  peer_write(&d->a);
  EQ_INT(d->a.write_error, WR_ENOMEM);
  env_until(&d->e, &d->a.closed);
  EQ_INT(d->a.status, WR_ENOMEM);
  duo_close(d);
}

TEST(steady_transfer_allocates_next_to_nothing) {
  duo *d = duo_open();
  d->a.to_send = 64 * MIB;
  d->a.end_after = true;
  uint64_t before = d->e.ctx.mem.total;
  peer_go(&d->a);
  peer_go(&d->b);
  env_until(&d->e, &d->b.eof);
  EQ_UINT(d->b.got, 64 * MIB);
  CHECK(d->e.ctx.mem.total - before < 2000);
  DIAG("%u allocations for 64 MiB", (unsigned)(d->e.ctx.mem.total - before));
  duo_close(d);
}

TEST(closed_without_owner_and_without_connection) {
  env e;
  wr_stream *s;
  env_open(&e);
  MUST(wr_stream_new(&e.ctx, AF_INET6, &s) == 0);
  wr_link_close(wr_stream_link(s), WR_CLOSE_RESET);
  MUST(wr_stream_new(&e.ctx, AF_UNIX, &s) == 0);
  wr_link_close(wr_stream_link(s), WR_CLOSE_ORDERLY);
  e.ctx.mem.fail_at = e.ctx.mem.total + 1;
  EQ_INT(wr_stream_new(&e.ctx, AF_INET, &s), WR_ENOMEM);
  env_settle(&e);
  env_close(&e);
}

static void never(wr_stream *s, int status) {
  WR_UNUSED(s);
  WR_UNUSED(status);
  FAIL("called after close");
}

TEST(close_while_connecting_calls_nobody) {
  env e;
  wr_stream *s;
  struct sockaddr_in in;
  env_open(&e);
  MUST(wr_stream_new(&e.ctx, AF_INET, &s) == 0);
  uv_ip4_addr("127.0.0.1", 1, &in);
  EQ_INT(wr_stream_connect(s, (struct sockaddr *)&in, never), 0);
  EQ_INT(wr_stream_connect(s, (struct sockaddr *)&in, never), WR_EINVAL);
  wr_link_close(wr_stream_link(s), WR_CLOSE_RESET);
  MUST(wr_stream_new(&e.ctx, AF_UNIX, &s) == 0);
  EQ_INT(wr_stream_connect_path(s, "@abstract", never), WR_EUNSUPPORTED);
  EQ_INT(wr_stream_connect_path(s, "", never), WR_EINVAL);
  char longest[200];
  memset(longest, 'x', sizeof(longest) - 1);
  longest[sizeof(longest) - 1] = '\0';
  EQ_INT(wr_stream_connect_path(s, longest, never), UV_ENAMETOOLONG);
  wr_link_close(wr_stream_link(s), WR_CLOSE_RESET);
  env_settle(&e);
  env_close(&e);
}

TAP_MAIN()
