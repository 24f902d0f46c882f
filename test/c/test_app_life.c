/* Many sessions, dead peers, failing memory, teardown. */
#include "app_tunnel.h"

TEST(thousand_sessions_leave_nothing) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  size_t blocks = 0;
  for (int i = 0; i < 1000; i++) {
    client c;
    client_open(&c, &a, 0);
    EQ_INT(client_pipe(&c, "192.0.2.1"), 0);
    wr_ctx_run_tasks(&a.e.ctx);
    MUST(c.is_up);
    if (i % 2 == 0) {
      wr_tunnel_close(c.t, true);
    } else {
      wr_ssh_abort(wr_tunnel_session(c.t), UV_ECONNRESET);
      wr_ctx_run_tasks(&a.e.ctx);
      MUST(c.down);
      wr_tunnel_close(c.t, false);
    }
    wr_ctx_run_tasks(&a.e.ctx);
    MUST(c.closed);
    if (i == 0) {
      blocks = a.e.ctx.mem.live_blocks;
    }
  }
  EQ_UINT(a.e.ctx.mem.live_blocks, blocks);
  EQ_INT(a.ups, 1000);
  EQ_INT(a.gone, 1000);
  app_close(&a);
}

TEST(hundred_connections_over_tcp) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  for (int i = 0; i < 100; i++) {
    client_open(&c, &a, 0);
    client_connect(&c);
    EQ_INT(chan_open(&ch, &c, "127.0.0.1", x.port), 0);
    chan_echo(&ch, &a.e, 1000);
    client_close(&c);
  }
  UNTIL(a.gone == 100);
  echo_stop(&x);
  app_close(&a);
}

TEST(dead_server_is_noticed) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  client c;
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  const wr_mempair_faults stalled = {.stalled = true};
  client_open(&c, &a, 0);
  c.keepalive_ms = 6000;
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  MUST(wr_server_accept(a.server, theirs, "192.0.2.1", "memory", &id) == 0);
  client_start(&c, mine);
  wr_ctx_run_tasks(&a.e.ctx);
  MUST(c.is_up);
  wr_ctx_advance(&a.e.ctx, 100000);
  CHECK(!c.down); /* idle is not dead */
  wr_mempair_set_faults(theirs, &stalled);
  wr_mempair_set_faults(mine, &stalled);
  wr_ctx_advance(&a.e.ctx, 5000);
  CHECK(!c.down);
  wr_ctx_advance(&a.e.ctx, 7000);
  CHECK(c.down);

  EQ_INT(c.status, WR_EPEER_DEAD);
  CHECK(c.was_up && !c.orderly);
  EQ_INT(a.gone, 1); /* the server has noticed too */
  client_close(&c);
  app_close(&a);
}

/* Without an instance id a listener may be taken over only from a session that
   has missed its keepalive; before that somebody else's connection would be cut
   off, later the dead session ends by itself. */
TEST(stale_session_loses_its_listeners) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  client dead;
  client back;
  wr_link *mine;
  wr_link *theirs;
  wr_remote_forward *f;
  uint32_t id;
  const wr_mempair_faults stalled = {.stalled = true};
  wr_endpoint bind = endpoint("127.0.0.1", 0);
  client_open(&dead, &a, 0);
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  MUST(wr_server_accept(a.server, theirs, "192.0.2.1", "memory", &id) == 0);
  client_start(&dead, mine);
  wr_ctx_run_tasks(&a.e.ctx);
  MUST(wr_tunnel_remote_add(dead.t, &bind, NULL, NULL, &f) == 0);
  wr_ctx_run_tasks(&a.e.ctx);
  EQ_INT(dead.remote_status, 0);
  bind.port = dead.remote_port;
  wr_mempair_set_faults(theirs, &stalled);
  wr_mempair_set_faults(mine, &stalled);

  wr_ctx_advance(&a.e.ctx, 14000);
  client_open(&back, &a, 0);
  EQ_INT(client_pipe(&back, "192.0.2.1"), 0);
  wr_ctx_run_tasks(&a.e.ctx);
  MUST(wr_tunnel_remote_add(back.t, &bind, NULL, NULL, &f) == 0);
  wr_ctx_run_tasks(&a.e.ctx);
  EQ_INT(back.remote_status, WR_EFORWARD_REFUSED);
  wr_tunnel_remote_remove(back.t, f);

  wr_ctx_advance(&a.e.ctx, 13000);
  CHECK(!dead.down && !back.down);
  MUST(wr_tunnel_remote_add(back.t, &bind, NULL, NULL, &f) == 0);
  wr_ctx_run_tasks(&a.e.ctx);
  EQ_INT(back.remote_status, 0);
  EQ_UINT(back.remote_port, bind.port);
  wr_ctx_advance(&a.e.ctx, 4000);
  CHECK(dead.down && !back.down);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 1);
  client_close(&dead);
  client_close(&back);
  app_stop(&a);
  a.e.ctx.fake_now_ms = 0; /* sockets close on the real loop */
  app_close(&a);
}

TEST(hundred_forwards_at_once) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  client c;
  wr_remote_forward *f;
  client_open(&c, &a, 0);
  for (int i = 0; i < 100; i++) {
    char name[32];
    snprintf(name, sizeof(name), "wraith-n%d", i);
    wr_endpoint bind = endpoint(name, 0);
    MUST(wr_tunnel_remote_add(c.t, &bind, NULL, NULL, &f) == 0);
  }
  EQ_INT(client_pipe(&c, ""), 0);
  wr_ctx_run_tasks(&a.e.ctx);
  EQ_INT(c.remotes, 100);
  EQ_INT(c.remote_status, 0);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 100);
  wr_tunnel_close(c.t, false);
  wr_ctx_run_tasks(&a.e.ctx);
  CHECK(c.closed);
  app_close(&a);
}

/* Any single allocation may fail: things end in order, and nothing leaks. */
static void life(void) {
  client c = {.a = &a, .key = a.keys[0]};
  wr_remote_forward *f;
  wr_link *mine = NULL;
  wr_link *theirs = NULL;
  peer left = {0};
  uint32_t id;
  wr_identity identity = {.key = c.key};
  wr_tunnel_connect_opts o = {
      .user = "alice", .identities = &identity, .n_identities = 1};
  wr_endpoint bind = endpoint("wraith-name", 0);
  wr_target t = chan_target(WR_TARGET_TCP, "wraith-control", 1);
  chan ch = {0};
  if (wr_tunnel_new(&a.e.ctx, &client_handler, &c, &c.t) != 0) {
    return;
  }
  if (wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0) {
    if (wr_server_accept(a.server, theirs, "192.0.2.1", "memory", &id) != 0) {
      wr_link_close(theirs, WR_CLOSE_RESET);
    }
    o.link = mine;
    if (wr_tunnel_connect(c.t, &o) != 0) {
      peer_own(&left, mine);
      peer_close(&left);
    }
    wr_ctx_run_tasks(&a.e.ctx);
  }
  if (wr_tunnel_remote_add(c.t, &bind, NULL, NULL, &f) == 0) {
    wr_ctx_run_tasks(&a.e.ctx);
  }
  a.n_controls = 0;
  a.control = NULL;
  if (wr_tunnel_open(c.t, &t, chan_opened, &ch, &ch.opening) == 0) {
    wr_ctx_run_tasks(&a.e.ctx);
  }
  peer_close(&ch.p);
  if (a.control != NULL) {
    peer_close(a.control);
  }
  wr_tunnel_close(c.t, true);
  wr_ctx_advance(&a.e.ctx, 40000); /* what the server was left with ends */
  EQ_INT(c.closes, 1);
}

TEST(any_allocation_may_fail) {
  app_open(&a, true);
  a.take_control = true;
  a.opts.max_connections_per_ip = 5;
  app_serve(&a, 1, NULL);
  wr_mem *mem = &a.e.ctx.mem;
  life(); /* tables have their size now */
  size_t blocks = mem->live_blocks;
  int n = 0;
  for (;;) {
    n++;
    mem->fail_at = mem->total + (uint64_t)n;
    life();
    bool over = mem->total < mem->fail_at;
    mem->fail_at = 0;
    MUST(mem->live_blocks <= blocks);
    if (over) {
      break;
    }
  }
  DIAG("%d allocations", n - 1);
  CHECK(n > 30);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.sessions, 0);
  EQ_UINT(st.startups, 0);
  app_close(&a);
}

TEST(server_without_memory) {
  app_open(&a, true);
  wr_mem *mem = &a.e.ctx.mem;
  int n = 0;
  a.opts.trust = app_trust_with(&a, 1, "");
  a.opts.policy = app_policy(&a, NULL);
  size_t blocks = mem->live_blocks;
  for (int err = WR_ENOMEM; err != 0; n++) {
    mem->fail_at = mem->total + (uint64_t)n + 1;
    err = wr_server_new(&a.e.ctx, &a.opts, &a.server);
    mem->fail_at = 0;
    if (err != 0) {
      EQ_INT(err, WR_ENOMEM);
      EQ_UINT(mem->live_blocks, blocks);
    }
  }
  CHECK(n > 3);
  wr_trust_unref(a.opts.trust);
  app_close(&a);
}

TEST(context_teardown_closes_the_tunnel) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  wr_local *l = listen_for(&c, "127.0.0.1", x.port);
  EQ_INT(dial(&ch, local_port(l)), 0);
  ch.p.to_send = 10000;
  peer_go(&ch.p);
  UNTIL(ch.p.got > 0);
  ask_remote(&c, "127.0.0.1", 0, &x);
  for (size_t i = 0; i < WR_COUNTOF(a.keys); i++) {
    wr_key_unref(a.keys[i]);
  }
  wr_key_unref(a.host);
  wr_listener_close(x.listener);
  app_stop_waking(&a);
  wr_ctx_close(&a.e.ctx, env_on_closed);
  peer_close(&ch.p);
  uv_run(&a.e.loop, UV_RUN_DEFAULT);
  CHECK(a.e.closed);
  CHECK(a.closed && c.closed);
  EQ_INT(c.downs, 0);
  EQ_UINT(a.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&a.e.loop), 0);
}

TAP_MAIN()
