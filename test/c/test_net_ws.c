/* WebSocket links over memory pairs: both roles against each other under every
   fault of the wire, and each role against a raw end that says what it likes. */
#include "net_help.h"

#include "net/mempair.h"
#include "net/ws.h"

/* Two links of ours, the client at a. */
typedef struct duo {
  env e;
  wr_link *wire_a;
  wr_link *wire_b;
  peer a;
  peer b;
} duo;

static const wr_slice nothing = {NULL, 0};

static void duo_open_with(duo *d, size_t capacity, const wr_ws_opts *opts) {
  wr_ws_opts own = *opts;
  wr_link *a;
  wr_link *b;
  memset(d, 0, sizeof(*d));
  env_open(&d->e);
  wr_ctx_fake_clock(&d->e.ctx);
  MUST(wr_mempair_new(&d->e.ctx, capacity, &d->wire_a, &d->wire_b) == 0);
  own.role = WR_WS_CLIENT;
  MUST(wr_ws_new(d->wire_a, &own, nothing, &a) == 0);
  own.role = WR_WS_SERVER;
  MUST(wr_ws_new(d->wire_b, &own, nothing, &b) == 0);
  peers_own(&d->a, a, &d->b, b);
}

static void duo_open(duo *d, size_t capacity) {
  const wr_ws_opts opts = {.ping_ms = 0};
  duo_open_with(d, capacity, &opts);
}

static void run(duo *d) {
  wr_ctx_run_tasks(&d->e.ctx);
}

static void duo_close(duo *d) {
  peers_close(&d->a, &d->b);
  wr_ctx_advance(&d->e.ctx, WR_WS_LINGER_MS + WR_WS_ANSWER_MS);
  peers_check(&d->a, &d->b);
  env_close(&d->e);
}

static void exchange(duo *d, uint64_t bytes) {
  d->a.to_send = d->b.to_send = bytes;
  d->a.end_after = d->b.end_after = true;
  d->a.resume = d->b.resume = true;
  peer_go(&d->a);
  peer_go(&d->b);
  run(d);
  EQ_UINT(d->a.got, bytes);
  EQ_UINT(d->b.got, bytes);
  CHECK(d->a.eof && d->b.eof);
  EQ_INT(d->a.n_close + d->b.n_close, 0);
}

TEST(ten_megabytes_each_way) {
  duo d;
  duo_open(&d, 256 * 1024);
  exchange(&d, 10 * 1000 * 1000);
  duo_close(&d);
}

TEST(through_narrow_wires_and_small_takes) {
  static const size_t caps[] = {1, 2, 7, 13, 64, 1000};
  static const size_t takes[] = {0, 1, 3, 100};
  for (size_t i = 0; i < WR_COUNTOF(caps); i++) {
    for (size_t k = 0; k < WR_COUNTOF(takes); k++) {
      duo d;
      wr_mempair_faults faults = {.max_write = 1 + caps[i] / 2,
                                  .max_read = 1 + caps[i] / 3};
      duo_open(&d, caps[i]);
      wr_mempair_set_faults(d.wire_a, &faults);
      wr_mempair_set_faults(d.wire_b, &faults);
      d.a.max_take = d.b.max_take = takes[k];
      exchange(&d, 3000);
      duo_close(&d);
      EQ_INT(d.a.status, 0);
      EQ_INT(d.b.status, 0);
    }
  }
}

TEST(stalls_are_back_pressure) {
  duo d;
  wr_mempair_faults stall = {.stalled = true};
  const wr_mempair_faults none = {0};
  duo_open(&d, 4096);
  wr_mempair_set_faults(d.wire_a, &stall);
  wr_mempair_set_faults(d.wire_b, &stall);
  d.a.to_send = d.b.to_send = 1000000;
  peer_go(&d.a);
  peer_go(&d.b);
  run(&d);
  CHECK(d.a.sent <= WR_WS_FRAME_MAX && d.b.sent <= WR_WS_FRAME_MAX);
  EQ_UINT(d.a.got + d.b.got, 0);
  wr_mempair_set_faults(d.wire_a, &none);
  run(&d);
  EQ_UINT(d.b.got, 1000000);
  wr_mempair_set_faults(d.wire_b, &none);
  run(&d);
  EQ_UINT(d.a.got, 1000000);
  duo_close(&d);
}

TEST(a_reader_that_stops_is_back_pressure) {
  duo d;
  duo_open(&d, 1000);
  d.a.to_send = 1000000;
  peer_write(&d.a);
  run(&d);
  CHECK(d.a.sent <= WR_WS_FRAME_MAX);
  EQ_UINT(d.b.got, 0);
  d.b.max_take = 10;
  wr_link_read_start(d.b.link);
  run(&d);
  EQ_UINT(d.b.got, 10); /* and it has stopped by itself */
  d.b.max_take = 0;
  wr_link_read_start(d.b.link);
  run(&d);
  EQ_UINT(d.b.got, 1000000);
  duo_close(&d);
}

TEST(directions_end_one_by_one) {
  duo d;
  duo_open(&d, 4096);
  d.a.to_send = 100;
  d.a.end_after = true;
  peer_go(&d.a);
  peer_go(&d.b);
  run(&d);
  CHECK(d.b.eof && !d.a.eof);
  EQ_INT(wr_link_read_start(d.b.link), 0);
  size_t taken;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "x", 1);
  EQ_INT(wr_link_write(d.a.link, &buf, 1, &taken), WR_ECLOSED);
  d.b.to_send = 50000;
  d.b.end_after = true;
  peer_write(&d.b);
  run(&d);
  EQ_UINT(d.a.got, 50000);
  CHECK(d.a.eof);
  EQ_INT(d.a.n_close + d.b.n_close, 0);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  wr_link_close(d.b.link, WR_CLOSE_ORDERLY);
  run(&d); /* nobody waits for anything */
  CHECK(d.a.closed && d.b.closed);
  duo_close(&d);
}

TEST(orderly_close_sends_what_was_taken) {
  duo d;
  duo_open(&d, 100);
  d.a.to_send = 5000;
  peer_go(&d.a);
  EQ_UINT(d.a.sent, 5000);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  run(&d);
  CHECK(!d.a.closed);
  peer_go(&d.b);
  run(&d);
  EQ_UINT(d.b.got, 5000);
  CHECK(d.b.eof && !d.a.closed);
  wr_link_close(d.b.link, WR_CLOSE_ORDERLY);
  run(&d);
  CHECK(d.a.closed && d.b.closed);
  EQ_INT(d.a.status, 0);
  EQ_INT(d.b.status, 0);
  duo_close(&d);
}

TEST(a_peer_that_does_not_answer_a_close_is_not_waited_for) {
  duo d;
  duo_open(&d, 100);
  peer_go(&d.b);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  run(&d);
  CHECK(d.b.eof && !d.a.closed);
  wr_ctx_advance(&d.e.ctx, WR_WS_ANSWER_MS - 1);
  CHECK(!d.a.closed);
  wr_ctx_advance(&d.e.ctx, 1);
  CHECK(d.a.closed);
  EQ_INT(d.a.status, 0);
  duo_close(&d);
}

TEST(a_peer_that_does_not_read_is_not_waited_for) {
  duo d;
  duo_open(&d, 10);
  d.a.to_send = 1000;
  peer_go(&d.a);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  wr_ctx_advance(&d.e.ctx, WR_WS_LINGER_MS - 1);
  CHECK(!d.a.closed);
  wr_ctx_advance(&d.e.ctx, 1);
  CHECK(d.a.closed);
  EQ_INT(d.a.status, 0);
  EQ_INT(d.b.status, UV_ECONNRESET); /* bytes are missing */
  duo_close(&d);
}

TEST(reset_and_cut) {
  duo d;
  duo_open(&d, 1000);
  d.a.to_send = 10;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_link_close(d.a.link, WR_CLOSE_RESET);
  run(&d);
  EQ_INT(d.a.status, 0);
  EQ_INT(d.b.status, UV_ECONNRESET);
  duo_close(&d);
  duo_open(&d, 10);
  d.a.to_send = 1000;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_mempair_cut(d.wire_a, UV_ETIMEDOUT);
  run(&d);
  EQ_INT(d.a.status, UV_ETIMEDOUT);
  EQ_INT(d.b.status, UV_ETIMEDOUT);
  duo_close(&d);
  /* A reset may follow an orderly close that takes too long. */
  duo_open(&d, 10);
  d.a.to_send = 1000;
  peer_go(&d.a);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  run(&d);
  CHECK(!d.a.closed);
  wr_link_close(d.a.link, WR_CLOSE_RESET);
  run(&d);
  CHECK(d.a.closed);
  duo_close(&d);
}

TEST(close_inside_each_callback) {
  static const int where[] = {'r', 'e', 'w'};
  for (int i = 0; i < 12; i++) {
    duo d;
    duo_open(&d, 64);
    peer *x = i % 2 == 0 ? &d.a : &d.b;
    peer *y = i % 2 == 0 ? &d.b : &d.a;
    x->close_in = where[i / 4];
    x->mode = i / 2 % 2 == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET;
    y->to_send = x->close_in == 'w' ? 0 : 500;
    x->to_send = x->close_in == 'w' ? 20000 : 0;
    y->end_after = true;
    y->close_on_eof = true;
    peer_go(&d.a);
    peer_go(&d.b);
    wr_ctx_advance(&d.e.ctx, WR_WS_ANSWER_MS);
    CHECK(x->closed);
    EQ_INT(x->status, 0);
    duo_close(&d);
  }
}

TEST(what_is_under_way_ends_with_the_context) {
  duo d;
  duo_open(&d, 10);
  d.a.to_send = 1000;
  peer_go(&d.a);
  wr_link_close(d.a.link, WR_CLOSE_ORDERLY);
  run(&d);
  CHECK(!d.a.closed);
  wr_ctx_close(&d.e.ctx, env_on_closed);
  run(&d);
  CHECK(d.a.closed && !d.b.closed);
  wr_link_close(d.b.link, WR_CLOSE_ORDERLY); /* waits for nobody now */
  run(&d);
  CHECK(d.b.closed);
  uv_run(&d.e.loop, UV_RUN_DEFAULT);
  CHECK(d.e.closed);
  EQ_UINT(d.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&d.e.loop), 0);
}

TEST(pings_in_the_middle) {
  duo d;
  const wr_ws_opts opts = {.ping_ms = 10};
  wr_mempair_faults slow = {.max_write = 50, .delay_ms = 3};
  duo_open_with(&d, 300, &opts);
  wr_mempair_set_faults(d.wire_a, &slow);
  wr_mempair_set_faults(d.wire_b, &slow);
  d.a.to_send = d.b.to_send = 20000;
  d.a.end_after = d.b.end_after = true;
  d.a.max_take = 17;
  d.a.resume = true;
  peer_go(&d.a);
  peer_go(&d.b);
  wr_ctx_advance(&d.e.ctx, 5000);
  EQ_UINT(d.a.got, 20000);
  EQ_UINT(d.b.got, 20000);
  CHECK(d.a.eof && d.b.eof);
  duo_close(&d);
  EQ_INT(d.a.status, 0);
  EQ_INT(d.b.status, 0);
}

TEST(query) {
  duo d;
  wr_link_info info;
  duo_open(&d, 10);
  wr_link_query(d.a.link, &info);
  EQ_STR(info.transport, "ws");
  CHECK(!info.encrypted && !info.has_peer);
  duo_close(&d);
}

/* Every allocation of a session fails once: no byte is wrong, nothing leaks, and
   both sides end. */
TEST(allocations_may_fail) {
  for (uint64_t i = 1; i <= 60; i++) {
    duo d;
    const wr_ws_opts opts = {.ping_ms = 10};
    wr_mempair_faults slow = {.max_write = 90, .delay_ms = 3};
    duo_open_with(&d, 200, &opts);
    wr_mempair_set_faults(d.wire_a, &slow);
    wr_mempair_set_faults(d.wire_b, &slow);
    d.a.to_send = d.b.to_send = 2000;
    d.a.end_after = d.b.end_after = true;
    d.a.close_on_eof = d.b.close_on_eof = true;
    d.e.ctx.mem.fail_at = d.e.ctx.mem.total + i;
    (void)wr_link_read_start(d.a.link);
    (void)wr_link_read_start(d.b.link);
    peer_write(&d.a);
    peer_write(&d.b);
    wr_ctx_advance(&d.e.ctx, 5000);
    d.e.ctx.mem.fail_at = 0;
    duo_close(&d);
  }
  env e;
  wr_link *a;
  wr_link *b;
  wr_link *link;
  const wr_ws_opts opts = {.role = WR_WS_SERVER};
  const wr_slice first = {(const uint8_t *)"x", 1};
  env_open(&e);
  MUST(wr_mempair_new(&e.ctx, 10, &a, &b) == 0);
  for (uint64_t i = 1; i <= 2; i++) {
    e.ctx.mem.fail_at = e.ctx.mem.total + i;
    EQ_INT(wr_ws_new(a, &opts, first, &link), WR_ENOMEM);
  }
  wr_link_close(a, WR_CLOSE_RESET);
  wr_link_close(b, WR_CLOSE_RESET);
  wr_ctx_run_tasks(&e.ctx);
  env_close(&e);
}

static int no_rand(void *data, uint8_t *dst, size_t len) {
  WR_UNUSED(data);
  WR_UNUSED(dst);
  WR_UNUSED(len);
  return UV_EIO;
}

TEST(without_randomness_nothing_is_sent) {
  duo d;
  duo_open(&d, 100);
  d.e.ctx.rand = no_rand;
  d.a.to_send = 10;
  peer_go(&d.a);
  EQ_INT(d.a.write_error, UV_EIO);
  run(&d);
  EQ_INT(d.a.status, UV_EIO);
  duo_close(&d);
}

/* One link of ours and a raw end. */
typedef struct lone {
  env e;
  wr_link *raw;
  uint8_t in[4096]; /* what ours sent */
  size_t in_len;
  bool raw_eof;
  char text[4096]; /* what ours read */
  size_t text_len;
  wr_link *link; /* NULL once closed */
  bool eof;
  int status;
  int n_writable;
} lone;

static size_t lone_raw_read(wr_link *link, uint8_t *data, size_t len) {
  lone *l = link->user;
  size_t n = WR_MIN(len, sizeof(l->in) - l->in_len);
  memcpy(l->in + l->in_len, data, n);
  l->in_len += n;
  return len;
}

static void lone_raw_eof(wr_link *link) {
  ((lone *)link->user)->raw_eof = true;
}

static void lone_raw_close(wr_link *link, int status) {
  WR_UNUSED(status);
  ((lone *)link->user)->raw = NULL;
}

static const wr_link_handler raw_handler = {.on_read = lone_raw_read,
                                            .on_eof = lone_raw_eof,
                                            .on_close = lone_raw_close};

static size_t lone_read(wr_link *link, uint8_t *data, size_t len) {
  lone *l = link->user;
  size_t n = WR_MIN(len, sizeof(l->text) - l->text_len);
  memcpy(l->text + l->text_len, data, n);
  l->text_len += n;
  return len;
}

static void lone_eof(wr_link *link) {
  ((lone *)link->user)->eof = true;
}

static void lone_writable(wr_link *link) {
  ((lone *)link->user)->n_writable++;
}

static void lone_close(wr_link *link, int status) {
  lone *l = link->user;
  l->link = NULL;
  l->status = status;
}

static const wr_link_handler lone_handler = {.on_read = lone_read,
                                             .on_eof = lone_eof,
                                             .on_writable = lone_writable,
                                             .on_close = lone_close};

static void lone_open(lone *l, size_t capacity, const wr_ws_opts *opts,
                      const char *first) {
  wr_link *ours;
  const wr_slice bytes = {(const uint8_t *)first, strlen(first)};
  memset(l, 0, sizeof(*l));
  env_open(&l->e);
  wr_ctx_fake_clock(&l->e.ctx);
  MUST(wr_mempair_new(&l->e.ctx, capacity, &ours, &l->raw) == 0);
  l->raw->handler = &raw_handler;
  l->raw->user = l;
  MUST(wr_link_read_start(l->raw) == 0);
  MUST(wr_ws_new(ours, opts, bytes, &l->link) == 0);
  l->link->handler = &lone_handler;
  l->link->user = l;
  MUST(wr_link_read_start(l->link) == 0);
}

static void lone_server(lone *l) {
  const wr_ws_opts opts = {.role = WR_WS_SERVER, .max_frame = 1000};
  lone_open(l, 4096, &opts, "");
}

static void say(lone *l, const char *bytes, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  MUST(wr_link_write(l->raw, &buf, 1, &taken) == 0);
  MUST(taken == len);
  wr_ctx_run_tasks(&l->e.ctx);
}
#define SAY(l, text) say(l, text, sizeof(text) - 1)
#define HEARD(l, text) EQ_MEM((l)->in, (l)->in_len, text, sizeof(text) - 1)

static void lone_end(lone *l) {
  if (l->raw != NULL) {
    wr_link_close(l->raw, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&l->e.ctx);
  if (l->link != NULL) {
    wr_link_close(l->link, WR_CLOSE_RESET);
  }
  wr_ctx_run_tasks(&l->e.ctx);
  CHECK(l->link == NULL);
  env_close(&l->e);
}

TEST(answers_pings) {
  lone l;
  lone_server(&l);
  SAY(&l, "\x89\x83\0\0\0\0one");
  HEARD(&l, "\x8a\x03one");
  SAY(&l, "\x8a\x80\0\0\0\0"); /* nobody asked */
  SAY(&l, "\x02\x81\0\0\0\0a\x89\x80\0\0\0\0\x80\x81\0\0\0\0b");
  HEARD(&l, "\x8a\x03one\x8a\x00");
  EQ_MEM(l.text, l.text_len, "ab", 2);
  lone_end(&l);
  EQ_INT(l.status, WR_EEOF);
}

/* Pings that come faster than answers go out cost one answer. */
TEST(a_flood_of_pings_is_bounded) {
  lone l;
  const wr_ws_opts opts = {.role = WR_WS_SERVER};
  char ping[] = "\x89\x81\0\0\0\0x";
  char many[100 * (sizeof(ping) - 1)];
  lone_open(&l, 4096, &opts, "");
  for (size_t i = 0; i < 100; i++) {
    ping[sizeof(ping) - 2] = (char)i;
    memcpy(many + i * (sizeof(ping) - 1), ping, sizeof(ping) - 1);
  }
  size_t blocks = l.e.ctx.mem.live_blocks;
  say(&l, many, sizeof(many));
  HEARD(&l, "\x8a\x01\x63");
  EQ_UINT(l.e.ctx.mem.live_blocks, blocks);
  lone_end(&l);
}

static void broken(const char *bytes, size_t len, const char *close) {
  lone l;
  lone_server(&l);
  say(&l, bytes, len);
  EQ_MEM(l.in, l.in_len, close, 4);
  CHECK(l.link != NULL && l.raw_eof);
  EQ_INT(wr_link_read_start(l.link), WR_EWS_PROTOCOL);
  SAY(&l, "\x82\x81\0\0\0\0x\x88\x80\0\0\0\0\x81"); /* nobody listens */
  CHECK(l.link != NULL);
  if (close[3] == '\xeb') {
    wr_ctx_advance(&l.e.ctx, WR_WS_ANSWER_MS);
  } else {
    wr_link_close(l.raw, WR_CLOSE_ORDERLY);
    wr_ctx_run_tasks(&l.e.ctx);
  }
  CHECK(l.link == NULL);
  EQ_INT(l.status, WR_EWS_PROTOCOL);
  EQ_UINT(l.text_len, bytes[len - 1] == '\x83' ? 1 : 0);
  lone_end(&l);
}
#define BROKEN(text, close) broken(text, sizeof(text) - 1, close)

TEST(what_breaks_the_protocol_is_told_why) {
  BROKEN("\x81\x80\0\0\0\0", "\x88\x02\x03\xeb");
  BROKEN("\xc2\x80\0\0\0\0", "\x88\x02\x03\xea");
  BROKEN("\x82\x01x", "\x88\x02\x03\xea");
  BROKEN("\x82\xfe\x03\xe9\0\0\0\0", "\x88\x02\x03\xf1");
  BROKEN("\x88\x81\0\0\0\0x", "\x88\x02\x03\xea");
  BROKEN("\x82\x81\0\0\0\0x\x83", "\x88\x02\x03\xea");
}

TEST(what_cannot_be_told_is_cut_off) {
  lone l;
  const wr_ws_opts opts = {.role = WR_WS_SERVER};
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "0123456789", 10);
  size_t taken;
  lone_open(&l, 5, &opts, "");
  wr_link_read_stop(l.raw);
  EQ_INT(wr_link_write(l.link, &buf, 1, &taken), 0);
  EQ_UINT(taken, 10);
  SAY(&l, "\x81");
  CHECK(l.link == NULL && l.raw == NULL);
  EQ_INT(l.status, WR_EWS_PROTOCOL);
  lone_end(&l);
}

TEST(the_end_of_the_wire_is_no_end_of_the_stream) {
  static const char *const parts[] = {"", "\x82", "\x82\x82\1\1\1\1x",
                                      "\x02\x81\1\1\1\1x"};
  for (size_t i = 0; i < WR_COUNTOF(parts); i++) {
    lone l;
    lone_server(&l);
    say(&l, parts[i], strlen(parts[i]));
    wr_link_close(l.raw, WR_CLOSE_ORDERLY);
    wr_ctx_run_tasks(&l.e.ctx);
    CHECK(l.link == NULL && !l.eof);
    EQ_INT(l.status, WR_EEOF);
    lone_end(&l);
  }
}

TEST(a_close_is_the_end_and_is_answered) {
  lone l;
  lone_server(&l);
  SAY(&l, "\x82\x81\0\0\0\0x\x88\x82\0\0\0\0\x03\xe9garbage");
  CHECK(l.eof && l.link != NULL);
  EQ_MEM(l.text, l.text_len, "x", 1);
  EQ_UINT(l.in_len, 0); /* we may still finish what we are saying */
  wr_link_shutdown(l.link);
  wr_ctx_run_tasks(&l.e.ctx);
  HEARD(&l, "\x88\x02\x03\xe9");
  CHECK(l.raw_eof && l.link != NULL);
  wr_link_close(l.raw, WR_CLOSE_RESET);
  wr_ctx_run_tasks(&l.e.ctx);
  EQ_INT(l.status, 0); /* both had said their last */
  lone_end(&l);
}

/* Whoever closes a connection before its peer has does so with a reset. */
TEST(a_server_lets_the_client_end_the_connection) {
  for (int by_time = 0; by_time < 2; by_time++) {
    lone l;
    lone_server(&l);
    wr_link_close(l.link, WR_CLOSE_ORDERLY);
    wr_ctx_run_tasks(&l.e.ctx);
    SAY(&l, "\x88\x82\0\0\0\0\x03\xe8");
    CHECK(l.raw_eof && l.link != NULL);
    SAY(&l, "still here");
    CHECK(l.link != NULL);
    if (by_time == 1) {
      wr_ctx_advance(&l.e.ctx, WR_WS_ANSWER_MS);
    } else {
      MUST(wr_link_shutdown(l.raw) == 0);
      wr_ctx_run_tasks(&l.e.ctx);
    }
    CHECK(l.link == NULL);
    EQ_INT(l.status, 0);
    lone_end(&l);
  }
}

TEST(a_client_waits_for_the_server_to_end_it) {
  const wr_ws_opts opts = {.role = WR_WS_CLIENT};
  lone l;
  lone_open(&l, 4096, &opts, "");
  wr_link_close(l.link, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&l.e.ctx);
  SAY(&l, "\x88\x02\x03\xe8");
  CHECK(!l.raw_eof && l.link != NULL);
  MUST(wr_link_shutdown(l.raw) == 0);
  wr_ctx_run_tasks(&l.e.ctx);
  CHECK(l.raw_eof && l.link == NULL);
  EQ_INT(l.status, 0);
  lone_end(&l);
}

TEST(a_close_with_an_error_is_a_failure) {
  lone l;
  lone_server(&l);
  SAY(&l, "\x88\x82\0\0\0\0\x03\xf3"); /* 1011 */
  HEARD(&l, "\x88\x02\x03\xf3");
  CHECK(l.link == NULL && !l.eof);
  EQ_INT(l.status, WR_EPEER_CLOSED);
  lone_end(&l);
}

TEST(what_comes_after_a_close_of_ours) {
  lone l;
  lone_server(&l);
  wr_link_close(l.link, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&l.e.ctx);
  HEARD(&l, "\x88\x02\x03\xe8");
  CHECK(l.link != NULL);
  SAY(&l, "\x82\x81\0\0\0\0x\x89\x80\0\0\0\0");
  for (int i = 0; i < 10 && l.link != NULL; i++) {
    SAY(&l, "\x89\x80\0\0\0\0"); /* buys no time */
    wr_ctx_advance(&l.e.ctx, WR_WS_ANSWER_MS / 4);
  }
  CHECK(l.link == NULL);
  EQ_UINT(l.text_len, 0);
  HEARD(&l, "\x88\x02\x03\xe8");
  EQ_INT(l.status, 0);
  lone_end(&l);
}

TEST(what_is_broken_after_a_close_of_ours) {
  lone l;
  lone_server(&l);
  wr_link_close(l.link, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&l.e.ctx);
  SAY(&l, "\x81");
  CHECK(l.link == NULL);
  EQ_INT(l.status, 0);
  HEARD(&l, "\x88\x02\x03\xe8");
  lone_end(&l);
}

TEST(first_goes_out_first_and_wakes_a_writer) {
  lone l;
  const wr_ws_opts opts = {.role = WR_WS_SERVER};
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "data", 4);
  size_t taken = 9;
  lone_open(&l, 100, &opts, "first");
  EQ_INT(wr_link_write(l.link, &buf, 1, &taken), 0);
  EQ_UINT(taken, 0);
  wr_ctx_run_tasks(&l.e.ctx);
  EQ_INT(l.n_writable, 1);
  EQ_INT(wr_link_write(l.link, &buf, 1, &taken), 0);
  EQ_UINT(taken, 4);
  EQ_INT(wr_link_write(l.link, &buf, 0, &taken), 0);
  EQ_UINT(taken, 0);
  wr_ctx_run_tasks(&l.e.ctx);
  HEARD(&l, "first\x82\x04"
            "data");
  EQ_INT(l.n_writable, 1);
  lone_end(&l);
}

TEST(many_small_buffers) {
  lone l;
  const wr_ws_opts opts = {.role = WR_WS_SERVER};
  uv_buf_t bufs[40];
  size_t taken = 0;
  lone_open(&l, 4096, &opts, "");
  for (size_t i = 0; i < 40; i++) {
    bufs[i] = uv_buf_init((char *)(uintptr_t) "xyz", i % 4);
  }
  EQ_INT(wr_link_write(l.link, bufs, 40, &taken), 0);
  EQ_UINT(taken, 60);
  wr_ctx_run_tasks(&l.e.ctx);
  EQ_UINT(l.in_len, 60 + 2 * 2); /* in two frames */
  EQ_INT(l.n_writable, 0);
  lone_end(&l);
}

TEST(our_pings) {
  lone l;
  const wr_ws_opts opts = {.role = WR_WS_SERVER, .ping_ms = 1000};
  lone_open(&l, 100, &opts, "");
  wr_ctx_advance(&l.e.ctx, 999);
  EQ_UINT(l.in_len, 0);
  wr_ctx_advance(&l.e.ctx, 1);
  HEARD(&l, "\x89\x00");
  wr_ctx_advance(&l.e.ctx, 1000);
  HEARD(&l, "\x89\x00\x89\x00");
  wr_link_shutdown(l.link);
  wr_ctx_advance(&l.e.ctx, 5000);
  HEARD(&l, "\x89\x00\x89\x00\x88\x02\x03\xe8");
  lone_end(&l);
}

static int count_rand(void *data, uint8_t *dst, size_t len) {
  int *n = data;
  (*n)++;
  memset(dst, *n, len);
  return 0;
}

TEST(a_client_masks_each_frame_anew) {
  lone l;
  int n = 0;
  const wr_ws_opts opts = {.role = WR_WS_CLIENT};
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "ab", 2);
  size_t taken;
  lone_open(&l, 100, &opts, "");
  l.e.ctx.rand = count_rand;
  l.e.ctx.rand_data = &n;
  EQ_INT(wr_link_write(l.link, &buf, 1, &taken), 0);
  EQ_INT(wr_link_write(l.link, &buf, 1, &taken), 0);
  SAY(&l, "\x89\x00\x82\x02hi");
  HEARD(&l, "\x82\x82\1\1\1\1`c\x82\x82\2\2\2\2c`\x8a\x80\3\3\3\3");
  EQ_MEM(l.text, l.text_len, "hi", 2);
  lone_end(&l);
}

TAP_MAIN()
