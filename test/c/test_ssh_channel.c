/* Channels: opens, data, windows, fairness, the end. */
#include "ssh_pair.h"

#define MIB ((uint64_t)1024 * 1024)

/* The server's ends of channels, in the order in which they were accepted. */
#define ENDS 128
static peer ends[ENDS];
static int n_ends;
static peer end_template;

static void accept_end(pair *p, wr_link *link) {
  WR_UNUSED(p);
  peer *e = &ends[n_ends % ENDS];
  *e = end_template;
  n_ends++;
  peer_own(e, link);
  peer_go(e);
}

static void setup(pair *p) {
  pair_init(p);
  memset(ends, 0, sizeof(ends));
  n_ends = 0;
  end_template = (peer){.out_seed = 2, .in_seed = 1};
  p->on_accepted = accept_end;
}

/* Opens one channel and owns it. */
static void open_channel(pair *p, peer *x) {
  opened o;
  pair_ask(p, &o);
  pair_run(p);
  MUST(o.calls == 1 && o.status == 0);
  x->out_seed = 1;
  x->in_seed = 2;
  peer_own(x, o.link);
}

static void info_of(wr_link *link, wr_channel_info *info) {
  wr_channel_query(wr_channel_from_link(link), info);
}

TEST(an_open_tells_its_target_and_may_be_answered_later) {
  pair p;
  setup(&p);
  pair_up(&p);
  p.async_open = true;
  opened o;
  pair_ask(&p, &o);
  pair_run(&p);
  EQ_INT(o.calls, 0);
  EQ_INT(p.n_opens, 1);
  EQ_INT(p.target.kind, WR_TARGET_TCP);
  EQ_STR(p.target.host, "db.example");
  EQ_INT(p.target.port, 5432);
  EQ_STR(p.target.origin_host, "127.0.0.1");
  EQ_INT(p.target.origin_port, 40000);
  pair_answer(&p, p.opens[0]);
  pair_run(&p);
  EQ_INT(o.calls, 1);
  EQ_INT(o.status, 0);
  CHECK(wr_channel_from_link(o.link) != NULL);
  peer x = {0};
  peer_own(&x, o.link);
  wr_link_close(o.link, WR_CLOSE_ORDERLY);
  wr_link_close(o.link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  EQ_INT(x.n_close, 1);
  EQ_INT(x.status, 0);
  EQ_INT(ends[0].n_eof, 1);
  EQ_INT(ends[0].n_close, 1);
  EQ_INT(ends[0].status, 0);
  pair_fini(&p);
}

TEST(unix_paths_travel_too) {
  pair p;
  setup(&p);
  pair_up(&p);
  p.refuse_with = WR_ECHANNEL_DENIED;
  wr_target t = {.kind = WR_TARGET_UNIX, .host = "/run/x.sock"};
  opened o = {0};
  MUST(wr_ssh_open(p.c, &t, on_opened, &o, &o.opening) == 0);
  pair_run(&p);
  EQ_INT(p.target.kind, WR_TARGET_UNIX);
  EQ_STR(p.target.host, "/run/x.sock");
  EQ_INT(o.status, WR_ECHANNEL_DENIED);
  pair_fini(&p);
}

TEST(a_server_opens_forwarded_channels) {
  static const wr_target t[] = {
      {.kind = WR_TARGET_FORWARDED_TCP, .host = "", .port = 8080},
      {.kind = WR_TARGET_FORWARDED_UNIX, .host = "/run/y.sock"}};
  pair p;
  setup(&p);
  pair_up(&p);
  for (size_t i = 0; i < WR_COUNTOF(t); i++) {
    opened o = {0};
    MUST(wr_ssh_open(p.s, &t[i], on_opened, &o, &o.opening) == 0);
    pair_run(&p);
    EQ_INT(o.status, 0);
    EQ_INT(p.target.kind, t[i].kind);
    EQ_STR(p.target.host, t[i].host);
    peer x = {0};
    peer_own(&x, o.link);
    wr_link_close(o.link, WR_CLOSE_RESET);
    pair_run(&p);
    EQ_INT(ends[i].status, WR_ECHANNEL_RESET);
  }
  pair_fini(&p);
}

TEST(refusals_keep_their_cause) {
  static const struct {
    int err;
    int want;
  } t[] = {{WR_ECHANNEL_DENIED, WR_ECHANNEL_DENIED},
           {UV_ECONNREFUSED, WR_ECHANNEL_REFUSED},
           {WR_EUNRESOLVED, WR_ECHANNEL_UNRESOLVED},
           {UV_EHOSTUNREACH, WR_ECHANNEL_UNREACHABLE},
           {UV_ENETUNREACH, WR_ECHANNEL_UNREACHABLE},
           {UV_ETIMEDOUT, WR_ECHANNEL_TIMEOUT},
           {WR_ETIMEOUT, WR_ECHANNEL_TIMEOUT},
           {WR_ECHANNEL_LIMIT, WR_ECHANNEL_LIMIT},
           {WR_ECHANNEL_UNKNOWN, WR_ECHANNEL_UNKNOWN},
           {UV_EINVAL, WR_ECHANNEL_FAILED}};
  pair p;
  setup(&p);
  pair_up(&p);
  for (size_t i = 0; i < WR_COUNTOF(t); i++) {
    opened o;
    p.refuse_with = t[i].err;
    pair_ask(&p, &o);
    pair_run(&p);
    EQ_INT(o.calls, 1);
    EQ_INT(o.status, t[i].want);
  }
  EQ_UINT(p.c->table.count, 0);
  EQ_UINT(p.s->table.count, 0);
  pair_fini(&p);
}

TEST(texts_of_other_servers_are_understood) {
  static const struct {
    uint32_t code;
    const char *text;
    int want;
  } t[] = {{2, "Connection refused", WR_ECHANNEL_REFUSED},
           {2, "Name or service not known", WR_ECHANNEL_UNRESOLVED},
           {2, "connect: No route to host", WR_ECHANNEL_UNREACHABLE},
           {2, "Connection timed out", WR_ECHANNEL_TIMEOUT},
           {2, "", WR_ECHANNEL_FAILED},
           {1, "open failed", WR_ECHANNEL_DENIED},
           {1, "refused", WR_ECHANNEL_DENIED},
           {3, "", WR_ECHANNEL_UNKNOWN},
           {4, "", WR_ECHANNEL_LIMIT},
           {77, "timeout", WR_ECHANNEL_FAILED}};
  for (size_t i = 0; i < WR_COUNTOF(t); i++) {
    wr_slice text = {(const uint8_t *)t[i].text, strlen(t[i].text)};
    EQ_INT(wr__reason_to_error(t[i].code, text), t[i].want);
  }
}

TEST(an_opening_may_be_given_up) {
  pair p;
  setup(&p);
  pair_up(&p);
  p.async_open = true;
  opened o[2];
  pair_ask(&p, &o[0]);
  pair_ask(&p, &o[1]);
  pair_run(&p);
  EQ_INT(p.n_opens, 2);
  wr_opening_cancel(o[0].opening);
  wr_opening_cancel(o[1].opening);
  pair_answer(&p, p.opens[0]);
  wr_open_refuse(p.opens[1], UV_ECONNREFUSED);
  pair_run(&p);
  EQ_INT(o[0].calls + o[1].calls, 0);
  EQ_INT(ends[0].n_close, 1);
  EQ_UINT(p.c->table.count, 0);
  EQ_UINT(p.s->table.count, 0);
  pair_fini(&p);
}

TEST(channels_are_limited) {
  pair p;
  setup(&p);
  p.sopts.max_channels = 3;
  p.copts.max_channels = 5;
  pair_up(&p);
  peer x[3] = {0};
  for (int i = 0; i < 3; i++) {
    open_channel(&p, &x[i]);
  }
  opened o;
  pair_ask(&p, &o);
  pair_run(&p);
  EQ_INT(o.status, WR_ECHANNEL_LIMIT);
  p.async_open = true;
  pair_ask(&p, &o);
  pair_ask(&p, &o);
  EQ_INT(wr_ssh_open(p.c, some_target(), on_opened, &o, &o.opening),
         WR_ECHANNEL_LIMIT);
  wr_link_close(x[0].link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  p.async_open = false;
  pair_ask(&p, &o);
  pair_run(&p);
  EQ_INT(o.status, 0);
  x[0].link = NULL;
  peer_own(&x[0], o.link);
  pair_fini(&p);
}

TEST(the_end_of_a_session_cancels_what_is_pending) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {0};
  open_channel(&p, &x);
  p.async_open = true;
  opened o;
  pair_ask(&p, &o);
  pair_run(&p);
  wr_ssh_close(p.c, WR_DISCONNECT_BY_APPLICATION, "bye");
  EQ_INT(o.calls, 0);
  pair_run(&p);
  EQ_INT(o.calls, 1);
  EQ_INT(o.status, WR_ECLOSED);
  EQ_INT(p.opens_canceled, 1);
  EQ_INT(x.n_close, 1);
  EQ_INT(x.status, WR_ECLOSED);
  EQ_INT(ends[0].n_close, 1);
  EQ_INT(ends[0].status, WR_EPEER_CLOSED);
  pair_fini(&p);
}

TEST(an_open_answered_after_the_end_is_refused) {
  pair p;
  setup(&p);
  pair_up(&p);
  p.async_open = true;
  opened o;
  pair_ask(&p, &o);
  pair_run(&p);
  wr_ssh_abort(p.s, WR_ECLOSED);
  CHECK(wr_open_accept(p.opens[0]) == NULL);
  pair_run(&p);
  EQ_INT(p.opens_canceled, 0);
  EQ_INT(o.calls, 1);
  pair_fini(&p);
}

/* DATA */

static void check_transfer(pair *p, uint64_t up, uint64_t down) {
  end_template.to_send = down;
  end_template.end_after = true;
  peer x = {.to_send = up, .end_after = true};
  open_channel(p, &x);
  peer_go(&x);
  pair_run(p);
  for (int i = 0; i < 200000 && (x.n_eof == 0 || ends[0].n_eof == 0); i++) {
    wr_ctx_advance(&p->e.ctx, 1);
  }
  EQ_UINT(x.got, down);
  EQ_UINT(ends[0].got, up);
  EQ_UINT(x.bad + ends[0].bad, 0);
  EQ_INT(x.n_eof, 1);
  EQ_INT(ends[0].n_eof, 1);
  wr_link_close(x.link, WR_CLOSE_ORDERLY);
  pair_run(p);
  EQ_INT(x.n_close, 1);
  EQ_INT(ends[0].status, 0);
  EQ_INT(ends[0].n_close, 1);
}

TEST(bytes_arrive_whole_in_both_directions) {
  pair p;
  setup(&p);
  pair_up(&p);
  check_transfer(&p, 8 * MIB, 9 * MIB + 1);
  pair_fini(&p);
}

TEST(bytes_arrive_whole_over_a_bad_link) {
  pair p;
  setup(&p);
  pair_up(&p);
  wr_mempair_faults f = {.max_write = 1000, .max_read = 777};
  wr_mempair_set_faults(p.clink, &f);
  f = (wr_mempair_faults){.max_read = 1};
  wr_mempair_set_faults(p.slink, &f);
  check_transfer(&p, 300000, 100000);
  pair_fini(&p);
}

TEST(bytes_arrive_whole_with_every_cipher) {
  static const char *const ciphers[] = {"chacha20-poly1305@openssh.com",
                                        "aes256-ctr", "aes128-gcm@openssh.com"};
  for (size_t i = 0; i < WR_COUNTOF(ciphers); i++) {
    pair p;
    setup(&p);
    p.copts.ciphers = ciphers[i];
    pair_up(&p);
    wr_mempair_faults f = {.max_read = 4097};
    wr_mempair_set_faults(p.clink, &f);
    check_transfer(&p, MIB, 2 * MIB);
    pair_fini(&p);
  }
}

TEST(rekeys_under_load_lose_nothing) {
  pair p;
  setup(&p);
  p.copts.rekey_bytes = 200000;
  p.sopts.rekey_bytes = 300000;
  pair_up(&p);
  check_transfer(&p, 4 * MIB, 5 * MIB);
  CHECK(p.c != NULL && p.s != NULL);
  pair_fini(&p);
}

TEST(a_reader_that_takes_little_gets_all) {
  pair p;
  setup(&p);
  end_template.max_take = 1000;
  end_template.resume = true;
  pair_up(&p);
  check_transfer(&p, MIB, MIB);
  pair_fini(&p);
}

TEST(half_close_leaves_the_other_direction) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {.to_send = 10, .end_after = true};
  open_channel(&p, &x);
  peer_go(&x);
  pair_run(&p);
  EQ_INT(ends[0].n_eof, 1);
  ends[0].to_send = MIB;
  ends[0].end_after = true;
  peer_write(&ends[0]);
  pair_run(&p);
  EQ_UINT(x.got, MIB);
  EQ_INT(x.n_eof, 1);
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "x", 1);
  size_t taken = 0;
  EQ_INT(wr_link_write(x.link, &buf, 1, &taken), WR_ECLOSED);
  pair_fini(&p);
}

TEST(an_owner_that_never_reads_can_close) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {0};
  open_channel(&p, &x);
  ends[0].to_send = 8 * MIB;
  peer_write(&ends[0]);
  pair_run(&p);
  wr_channel_info info;
  info_of(x.link, &info);
  EQ_UINT(info.kept, MIB / 2); /* the peers are near each other */
  EQ_UINT(info.window, 0);
  wr_link_close(ends[0].link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  EQ_INT(x.n_close, 0);
  wr_link_close(x.link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  EQ_INT(x.n_close, 1);
  EQ_INT(x.status, 0);
  EQ_UINT(p.c->table.count, 0);
  EQ_UINT(p.s->table.count, 0);
  pair_fini(&p);
}

TEST(kept_bytes_come_before_the_end) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {0};
  open_channel(&p, &x);
  ends[0].to_send = MIB / 2;
  peer_write(&ends[0]);
  pair_run(&p);
  wr_link_close(ends[0].link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  EQ_UINT(x.got, 0);
  EQ_INT(x.n_close, 0);
  wr_link_read_start(x.link);
  pair_run(&p);
  EQ_UINT(x.got, MIB / 2);
  EQ_UINT(x.bad, 0);
  EQ_INT(x.n_eof, 1);
  EQ_INT(x.n_close, 1);
  EQ_INT(x.status, 0);
  pair_fini(&p);
}

TEST(closing_inside_any_callback_is_fine) {
  static const int where[] = {'r', 'e', 'w'};
  for (size_t i = 0; i < WR_COUNTOF(where); i++) {
    pair p;
    setup(&p);
    pair_up(&p);
    end_template.to_send = 4 * MIB;
    end_template.end_after = true;
    peer x = {.to_send = 8 * MIB, .close_in = where[i]};
    open_channel(&p, &x);
    peer_go(&x);
    pair_run(&p);
    EQ_INT(x.n_close, 1);
    EQ_INT(ends[0].n_close, 1);
    EQ_UINT(p.c->table.count, 0);
    EQ_UINT(p.s->table.count, 0);
    pair_fini(&p);
  }
}

TEST(one_stuck_channel_does_not_stop_the_others) {
  pair p;
  setup(&p);
  pair_up(&p);
  static peer x[100];
  memset(x, 0, sizeof(x));
  for (int i = 0; i < 100; i++) {
    open_channel(&p, &x[i]);
  }
  wr_link_read_stop(ends[0].link);
  ends[0].max_take = 1;
  x[0].to_send = 64 * MIB;
  peer_write(&x[0]);
  for (int i = 1; i < 100; i++) {
    x[i].to_send = 200000;
    peer_write(&x[i]);
  }
  pair_run(&p);
  for (int i = 1; i < 100; i++) {
    EQ_UINT(ends[i].got, 200000);
    EQ_UINT(ends[i].bad, 0);
  }
  CHECK(ends[0].got == 0 && x[0].sent <= 2 * MIB);
  wr_ssh_info info;
  wr_ssh_query(p.s, &info);
  OK(info.window_bytes <= 70 * MIB, "windows are within the session's cap");
  pair_fini(&p);
}

TEST(memory_is_back_after_10000_channels) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {.to_send = 100};
  open_channel(&p, &x);
  peer_write(&x);
  wr_link_close(x.link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  size_t blocks = p.e.ctx.mem.live_blocks;
  size_t bytes = p.e.ctx.mem.live_bytes;
  end_template.close_on_eof = true;
  for (int i = 0; i < 10000; i++) {
    x = (peer){.to_send = 100, .end_after = true};
    open_channel(&p, &x);
    peer_go(&x);
    pair_run(&p);
    if (x.n_close != 1 || x.status != 0) {
      FAIL("channel %d has not ended well", i);
      break;
    }
  }
  EQ_UINT(p.e.ctx.mem.live_blocks, blocks);
  EQ_UINT(p.e.ctx.mem.live_bytes, bytes);
  EQ_UINT(p.c->window_sum + p.s->window_sum, 0);
  pair_fini(&p);
}

/* WINDOWS */

TEST(the_window_grows_with_the_round_trip_and_is_capped) {
  pair p;
  setup(&p);
  p.sopts.window_max_bytes = 16 * MIB;
  wr_window_budget budget = {0};
  p.sopts.budget = &budget;
  pair_start(&p);
  pair_run(&p);
  MUST(p.s_ready == 1);
  wr_mempair_faults f = {.delay_ms = 50};
  wr_mempair_set_faults(p.slink, &f);
  wr_mempair_set_faults(p.clink, &f);
  /* The first ping saw no delay; its epochs pass. */
  peer x = {.to_send = 400 * MIB};
  opened o;
  pair_ask(&p, &o);
  wr_ctx_advance(&p.e.ctx, 101);
  MUST(o.calls == 1);
  x.out_seed = 1;
  peer_own(&x, o.link);
  peer_write(&x);
  /* A pair of this capacity carries 256 KiB in 50 ms: too little for growth. */
  wr_ctx_advance(&p.e.ctx, 2000);
  wr_channel_info info;
  info_of(ends[0].link, &info);
  EQ_UINT(info.window_target, MIB / 2);
  CHECK(p.s->window_sum <= 16 * MIB);
  wr_link_close(x.link, WR_CLOSE_RESET);
  wr_ctx_advance(&p.e.ctx, 1000);
  EQ_UINT(budget.granted_bytes, 0);
  pair_fini(&p);
}

TEST(a_long_link_is_filled) {
  pair p;
  setup(&p);
  pair_widen(&p, 128 * MIB);
  wr_window_budget budget = {0};
  p.sopts.budget = &budget;
  pair_delay(&p, 50);
  pair_start(&p);
  wr_ctx_advance(&p.e.ctx, 3000);
  MUST(p.c_ready == 1);
  opened o;
  pair_ask(&p, &o);
  wr_ctx_advance(&p.e.ctx, 100);
  MUST(o.calls == 1);
  peer x = {.out_seed = 1, .to_send = 600 * MIB};
  peer_own(&x, o.link);
  peer_write(&x);
  uint64_t target = 0;
  for (int round = 0; round < 10; round++) {
    wr_ctx_advance(&p.e.ctx, 100);
    wr_channel_info info;
    if (ends[0].link == NULL) {
      FAIL("the session has ended: %d, %d", p.c_status, p.s_status);
      break;
    }
    info_of(ends[0].link, &info);
    target = info.window_target;
    DIAG("%d ms: window %d KiB, %d MiB received", 100 * (round + 1),
         (int)(target / 1024), (int)(ends[0].got / MIB));
  }
  EQ_UINT(target, 64 * MIB);
  CHECK(budget.granted_bytes > 60 * MIB && budget.granted_bytes <= 64 * MIB);
  uint64_t before = ends[0].got;
  wr_ctx_advance(&p.e.ctx, 200);
  OK(ends[0].got - before >= 100 * MIB, "a window per round trip");
  EQ_UINT(ends[0].bad, 0);
  wr_link_close(x.link, WR_CLOSE_RESET);
  wr_ctx_advance(&p.e.ctx, 2000);
  EQ_UINT(budget.granted_bytes, 0);
  EQ_UINT(p.s->window_sum, 0);
  pair_fini(&p);
}

/* FAIRNESS */

TEST(a_bulk_channel_lets_others_through) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer bulk = {.to_send = 64 * MIB};
  open_channel(&p, &bulk);
  peer x = {0};
  open_channel(&p, &x);
  wr_mempair_faults f = {.stalled = true};
  wr_mempair_set_faults(p.clink, &f);
  peer_write(&bulk);
  pair_run(&p);
  OK(bulk.sent <= 400 * 1024, "%d KiB wait at most", (int)bulk.sent / 1024);
  x.to_send = 1;
  peer_write(&x);
  f.stalled = false;
  wr_mempair_set_faults(p.clink, &f);
  uint64_t before = 0;
  wr_ctx_hold(&p.e.ctx);
  for (int i = 0; i < 100000 && ends[1].got == 0; i++) {
    before = ends[0].got;
    uv_run(&p.e.loop, UV_RUN_NOWAIT);
  }
  wr_ctx_release(&p.e.ctx);
  EQ_UINT(ends[1].got, 1);
  OK(before <= MIB, "%d KiB of bulk came first", (int)(before / 1024));
  pair_fini(&p);
}

TEST(a_packet_is_built_in_place) {
  pair p;
  setup(&p);
  pair_up(&p);
  peer x = {0};
  open_channel(&p, &x);
  size_t len = 1000000;
  uint8_t *m = x.link->ops->reserve(x.link, &len);
  MUST(m != NULL);
  EQ_UINT(len, 32768);
  for (size_t i = 0; i < 5000; i++) {
    m[i] = pattern(1, i);
  }
  uv_buf_t buf = uv_buf_init((char *)m, 5000);
  size_t taken = 0;
  EQ_INT(wr_link_write(x.link, &buf, 1, &taken), 0);
  EQ_UINT(taken, 5000);
  /* One that is not used. */
  len = 100;
  CHECK(x.link->ops->reserve(x.link, &len) != NULL);
  EQ_UINT(len, 100);
  wr_ssh_rekey(p.c);
  len = 100;
  CHECK(x.link->ops->reserve(x.link, &len) == NULL);
  pair_run(&p);
  EQ_UINT(ends[0].got, 5000);
  EQ_UINT(ends[0].bad, 0);
  pair_fini(&p);
}

TEST(writes_into_reserved_memory_survive_rekeys) {
  pair p;
  setup(&p);
  p.copts.rekey_bytes = 100000;
  pair_up(&p);
  peer x = {0};
  open_channel(&p, &x);
  uint64_t sent = 0;
  for (int i = 0; i < 10000 && sent < 2 * MIB; i++) {
    size_t len = 32768;
    uint8_t *m = x.link->ops->reserve(x.link, &len);
    if (m == NULL) {
      pair_run(&p);
      continue;
    }
    for (size_t k = 0; k < len; k++) {
      m[k] = pattern(1, sent + k);
    }
    uv_buf_t buf = uv_buf_init((char *)m, (unsigned)len);
    size_t taken = 0;
    EQ_INT(wr_link_write(x.link, &buf, 1, &taken), 0);
    sent += taken;
  }
  pair_run(&p);
  CHECK(sent >= 2 * MIB);
  EQ_UINT(ends[0].got, sent);
  EQ_UINT(ends[0].bad, 0);
  pair_fini(&p);
}

/* GLOBAL REQUESTS */

static wr_request *asked[8];
static int n_asked_requests;

static void keep_request(pair *p, wr_request *r) {
  WR_UNUSED(p);
  asked[n_asked_requests++ % 8] = r;
}

static char replies[64];

static void note_reply(void *user, int status, wr_slice payload) {
  size_t n = strlen(replies);
  snprintf(replies + n, sizeof(replies) - n, "%s%c%d ", (const char *)user,
           status == 0 ? '+' : (status == WR_ECLOSED ? 'x' : '-'),
           (int)payload.len);
}

static wr_slice text_slice(const char *text) {
  return (wr_slice){(const uint8_t *)text, strlen(text)};
}

TEST(requests_are_answered_in_their_order) {
  pair p;
  setup(&p);
  p.on_request = keep_request;
  pair_up(&p);
  n_asked_requests = 0;
  replies[0] = '\0';
  wr_slice none = {NULL, 0};
  MUST(wr_ssh_request(p.c, "tcpip-forward", text_slice("abc"), note_reply,
                      (char *)(uintptr_t) "a") == 0);
  MUST(wr_ssh_request(p.c, "nonsense", none, note_reply,
                      (char *)(uintptr_t) "b") == 0);
  MUST(wr_ssh_request(p.c, "instance@wraith", none, NULL, NULL) == 0);
  MUST(wr_ssh_request(p.c, "cancel-tcpip-forward", none, note_reply,
                      (char *)(uintptr_t) "c") == 0);
  MUST(wr_ssh_request(p.c, "keepalive@openssh.com", none, note_reply,
                      (char *)(uintptr_t) "d") == 0);
  pair_run(&p);
  EQ_INT(n_asked_requests, 3);
  EQ_STR(replies, "");
  EQ_STR(wr_request_name(asked[0]), "tcpip-forward");
  EQ_MEM(wr_request_payload(asked[0]).data, wr_request_payload(asked[0]).len,
         "abc", 3);
  wr_request_reply(asked[2], true, text_slice("1234"));
  pair_run(&p);
  EQ_STR(replies, "");
  wr_request_reply(asked[0], false, none);
  pair_run(&p);
  EQ_STR(replies, "a-0 b-0 ");
  wr_request_reply(asked[1], true, none);
  pair_run(&p);
  EQ_STR(replies, "a-0 b-0 c+4 d+0 ");
  pair_fini(&p);
}

TEST(requests_are_canceled_at_the_end) {
  pair p;
  setup(&p);
  p.on_request = keep_request;
  pair_up(&p);
  n_asked_requests = 0;
  replies[0] = '\0';
  wr_slice none = {NULL, 0};
  MUST(wr_ssh_request(p.c, "tcpip-forward", none, note_reply,
                      (char *)(uintptr_t) "a") == 0);
  MUST(wr_ssh_request(p.c, "tcpip-forward", none, note_reply,
                      (char *)(uintptr_t) "b") == 0);
  wr_ssh_forget(p.c, (char *)(uintptr_t) "b");
  pair_run(&p);
  EQ_INT(n_asked_requests, 2);
  wr_ssh_abort(p.s, WR_ECLOSED);
  pair_run(&p);
  EQ_INT(p.requests_canceled, 2);
  EQ_INT(replies[0], 'a');
  EQ_INT(replies[1], 'x');
  pair_fini(&p);
}

TEST(unanswered_requests_are_bounded) {
  pair p;
  setup(&p);
  p.on_request = keep_request;
  pair_up(&p);
  n_asked_requests = 0;
  for (int i = 0; i < 1000; i++) {
    MUST(wr_ssh_request(p.c, "tcpip-forward", (wr_slice){NULL, 0}, NULL,
                        NULL) == 0);
  }
  pair_run(&p);
  EQ_INT(n_asked_requests, 64);
  pair_fini(&p);
}

TAP_MAIN()
