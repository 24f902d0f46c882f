/* The server: how many may come, channels, reload, drain. Sessions run over
   memory with a clock of their own. */
#include "app_raw.h"

/* LIMITS */

/* A connection that says nothing; it may end by itself. */
static peer *knock(const char *address, int want) {
  static peer pool[16];
  static unsigned turn;
  peer *p = &pool[turn++ % 16];
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  memset(p, 0, sizeof(*p));
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  peer_own(p, mine);
  EQ_INT(wr_server_accept(a.server, theirs, address, "memory", &id), want);
  if (want != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  run();
  return p;
}

static void leave(peer *p) {
  if (p->link != NULL) {
    wr_link_close(p->link, WR_CLOSE_RESET);
  }
  run();
  CHECK(p->closed);
}

TEST(connections_per_address) {
  app_open(&a, true);
  a.opts.max_connections_per_ip = 2;
  app_serve(&a, 1, NULL);
  peer *l[7];
  l[0] = knock("2001:db8:1:2::1", 0);
  l[1] = knock("2001:db8:1:2::2", 0);
  l[2] = knock("2001:db8:1:2:ffff::3", WR_ELIMIT);
  a.read_log = 2;
  LOGGED(&a, "WARN connection rejected remote_addr=2001:db8:1:2:ffff::3"
             " transport=memory reason=max-connections-per-ip");
  l[3] = knock("2001:db8:1:3::1", 0); /* another network */
  leave(l[0]);
  l[4] = knock("2001:db8:1:2::9", 0);
  l[5] = knock("", 0); /* no address: not counted */
  l[6] = knock("", 0);
  leave(knock("", 0));
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.rejected, 1);
  EQ_UINT(st.connections, 7);
  EQ_UINT(st.startups, 5);
  for (int i = 1; i < 7; i++) {
    leave(l[i]);
  }
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.startups, 0);
  EQ_UINT(st.sessions, 0);
  app_close(&a);
}

TEST(logins_under_way) {
  app_open(&a, true);
  a.opts.max_startups = 2;
  a.opts.startups_start = 2; /* none is dropped by chance */
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1); /* logged in: counts no more */
  peer *one = knock(ADDR, 0);
  peer *two = knock(ADDR, 0);
  app_forget_log(&a);
  leave(knock(ADDR, WR_ELIMIT));
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=memory reason=max-startups");
  leave(one);
  leave(knock(ADDR, 0));
  leave(two);
  raw_end(&r);
  app_close(&a);
}

TEST(sessions_in_all) {
  app_open(&a, true);
  a.opts.max_sessions = 2;
  app_serve(&a, 1, NULL);
  raw r[2] = {{0}, {0}};
  raw_start(&r[0], ADDR, "root", a.keys, 1);
  raw_start(&r[1], ADDR, "root", a.keys, 1);
  app_forget_log(&a);
  leave(knock(ADDR, WR_ELIMIT));
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=memory reason=max-sessions");
  raw_end(&r[0]);
  leave(knock(ADDR, 0));
  raw_end(&r[1]);
  app_close(&a);
}

TEST(silent_connections_end) {
  app_open(&a, true);
  a.opts.login_grace_ms = 5000;
  app_serve(&a, 1, NULL);
  peer *l = knock(ADDR, 0);
  wr_ctx_advance(&a.e.ctx, 4900);
  EQ_INT(app_log_holds(&a, "connection closed"), 0);
  wr_ctx_advance(&a.e.ctx, 200);
  LOGGED(&a, "INFO connection opened remote_addr=" ADDR
             " transport=memory session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=5.0 session=1");
  leave(l);
  app_close(&a);
}

/* CHANNELS */

TEST(control_channels_go_to_the_application) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), WR_ECHANNEL_UNKNOWN);
  a.take_control = true;
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "Wraith-Control.", 9), 0);
  EQ_INT(a.control_asked, 1);
  EQ_STR(a.control_name, "wraith-control");
  MUST(a.control != NULL);
  EQ_UINT(a.control_session, 1);
  echo x = {0};
  echo_own(&x, a.control->link);
  o.p.to_send = 100000;
  o.p.end_after = true;
  o.p.close_on_eof = true;
  peer_go(&o.p);
  run();
  CHECK(o.p.closed);
  EQ_UINT(o.p.got, 100000);
  EQ_UINT(o.p.bad, 0);
  EQ_INT(x.closed, 1);
  raw_end(&r);
  app_close(&a);
}

TEST(rules_hold_for_control_channels) {
  static const char *const rules[] = {"+wraith-other", NULL};
  app_open(&a, true);
  a.take_control = true;
  app_serve(&a, 1, rules);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), WR_ECHANNEL_DENIED);
  EQ_INT(a.control_asked, 0);
  raw_end(&r);
  app_close(&a);
}

TEST(without_forwarding_control_is_all) {
  app_open(&a, true);
  a.opts.forwarding = false;
  a.take_control = true;
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "127.0.0.1", 1), WR_ECHANNEL_DENIED);
  EQ_INT(ask(&r, &o, WR_TARGET_UNIX, "/nowhere", 0), WR_ECHANNEL_DENIED);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), 0);
  peer_close(a.control);
  peer_close(&o.p);
  raw_end(&r);
  app_close(&a);
}

TEST(channels_that_are_none_of_a_client) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_FORWARDED_TCP, "127.0.0.1", 1),
         WR_ECHANNEL_UNKNOWN);
  EQ_INT(ask(&r, &o, WR_TARGET_UNIX, "/nowhere", 0), WR_ECHANNEL_DENIED);
  raw_end(&r);
  app_close(&a);
}

static void on_reply(void *user, int status, wr_slice payload) {
  WR_UNUSED(payload);
  *(int *)user = status;
}

TEST(unknown_requests_are_answered) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  int status = 1;
  raw_start(&r, ADDR, "root", a.keys, 1);
  MUST(wr_ssh_request(r.ssh, "nonsense@example", (wr_slice){NULL, 0}, on_reply,
                      &status) == 0);
  run();
  EQ_INT(status, WR_EFORWARD_REFUSED);
  raw_end(&r);
  app_close(&a);
}

/* RELOAD */

TEST(key_removed_while_connected) {
  app_open(&a, true);
  app_serve(&a, 3, NULL);
  raw r[2] = {{0}, {0}};
  raw_start(&r[0], ADDR, "one", &a.keys[0], 1);
  raw_start(&r[1], ADDR, "two", &a.keys[1], 1);
  app_forget_log(&a);
  app_reload(&a, 2, "");
  run();
  CHECK(r[0].closed);
  EQ_INT(r[0].status, WR_EPEER_CLOSED);
  CHECK(!r[1].closed);
  LOGGED(&a, "INFO reload keys=new policy=kept");
  LOGGED(&a, "INFO session ended remote_addr=" ADDR
             " reason=key-removed session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=0.0 session=1");
  LOG_ENDS(&a);
  raw again = {0};
  raw_start(&again, ADDR, "one", &a.keys[0], 1);
  EQ_INT(again.status, WR_EAUTH_REFUSED);
  raw_end(&r[1]);
  app_close(&a);
}

TEST(key_removed_while_the_application_thinks) {
  app_open(&a, true);
  a.opts.authorize = true;
  a.authorize_answer = -1;
  app_serve(&a, 3, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  app_reload(&a, 2, "");
  run();
  CHECK(!r.closed);
  wr_server_authorize(a.server, a.authorize_session, true);
  run();
  CHECK(r.closed && !r.ready);
  EQ_INT(app_log_holds(&a, "reason=unknown-key"), 1);
  EQ_INT(app_log_holds(&a, "result=accept"), 0);
  app_close(&a);
}

TEST(key_removed_right_after_its_proof) {
  app_open(&a, true);
  a.opts.authorize = true;
  a.authorize_answer = -1;
  app_serve(&a, 3, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  wr_server_authorize(a.server, a.authorize_session, true);
  app_reload(&a, 2, "");
  run();
  CHECK(r.closed);
  EQ_INT(a.ups, 0);
  EQ_INT(app_log_holds(&a, "reason=key-removed"), 1);
  app_close(&a);
}

TEST(a_policy_that_is_reloaded_holds_for_open_control_channels) {
  static const char *const kept[] = {"+wraith-control", NULL};
  static const char *const denied[] = {"-wraith-control", NULL};
  app_open(&a, true);
  a.take_control = true;
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o[2];
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o[0], WR_TARGET_TCP, "Wraith-Control.", 1), 0);
  EQ_INT(ask(&r, &o[1], WR_TARGET_TCP, "wraith-other", 1), 0);
  wr_link_read_start(o[0].p.link);
  wr_link_read_start(o[1].p.link);
  run();
  wr_server_reload(a.server, NULL, app_policy(&a, denied));
  run();
  CHECK(a.controls[0].closed && o[0].p.closed);
  EQ_INT(a.controls[0].status, WR_ECHANNEL_DENIED);
  CHECK(!a.controls[1].closed && !o[1].p.closed && !r.closed);
  wr_server_reload(a.server, NULL, app_policy(&a, kept));
  run();
  CHECK(a.controls[1].closed && o[1].p.closed); /* no rule names it */
  EQ_INT(ask(&r, &o[0], WR_TARGET_TCP, "wraith-control", 1), 0);
  peer_close(a.control);
  peer_close(&o[0].p);
  run();
  raw_end(&r);
  app_close(&a);
}

/* THE END */

TEST(drain_waits_for_channels) {
  app_open(&a, true);
  a.take_control = true;
  app_serve(&a, 1, NULL);
  raw idle = {0};
  raw busy = {0};
  raw slow = {0};
  asked o[3];
  raw_start(&idle, ADDR, "root", a.keys, 1);
  raw_start(&busy, ADDR, "root", a.keys, 1);
  raw_start(&slow, ADDR, "root", a.keys, 1);
  peer *half = knock(ADDR, 0); /* not logged in */
  EQ_INT(ask(&busy, &o[0], WR_TARGET_TCP, "wraith-control", 1), 0);
  peer *busy_control = a.control;
  EQ_INT(ask(&slow, &o[1], WR_TARGET_TCP, "wraith-control", 1), 0);
  peer *slow_control = a.control;
  app_forget_log(&a);
  wr_server_close(a.server, 2000);
  run();
  LOGGED(&a, "INFO server stopping sessions=4");
  CHECK(idle.closed);
  CHECK(!busy.closed && !slow.closed);
  EQ_INT(ask(&busy, &o[2], WR_TARGET_TCP, "wraith-control", 1),
         WR_ECHANNEL_FAILED);
  EQ_INT(wr_server_accept(a.server, NULL, "", "memory", &(uint32_t){0}),
         WR_ECLOSED);

  peer_close(&o[0].p);
  peer_close(busy_control);
  wr_ctx_advance(&a.e.ctx, 1000);
  CHECK(busy.closed);
  CHECK(!slow.closed && !a.closed);
  wr_ctx_advance(&a.e.ctx, 900);
  CHECK(!slow.closed);
  wr_ctx_advance(&a.e.ctx, 200);
  CHECK(slow.closed);
  EQ_INT(slow.status, WR_EPEER_CLOSED);
  CHECK(o[1].p.closed);
  CHECK(slow_control->closed);
  CHECK(a.closed);
  EQ_INT(a.closes, 1);
  leave(half);
  app_close(&a);
}

TEST(second_close_does_not_wait) {
  app_open(&a, true);
  a.take_control = true;
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), 0);
  wr_server_close(a.server, 100000);
  run();
  CHECK(!r.closed && !a.closed);
  wr_server_close(a.server, 100000);
  run();
  CHECK(r.closed && a.control->closed);
  CHECK(a.closed);
  app_close(&a);
}

TEST(peer_that_does_not_read_cannot_hold_the_server) {
  const wr_mempair_faults stalled = {.stalled = true};
  for (int again = 0; again < 2; again++) {
    app_open(&a, true);
    app_serve(&a, 1, NULL);
    raw r = {0};
    raw_start(&r, ADDR, "root", a.keys, 1);
    wr_mempair_set_faults(r.server_link, &stalled);
    wr_server_close(a.server, 0);
    run();
    CHECK(!a.closed); /* the goodbye waits for the peer */
    if (again == 1) {
      wr_server_close(a.server, 0);
      run();
    } else {
      wr_ctx_advance(&a.e.ctx, 2100);
    }
    CHECK(a.closed);
    run();
    CHECK(r.closed);
    app_close(&a);
  }
}

TEST(session_ends_by_call) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  app_forget_log(&a);
  wr_server_end_session(a.server, 99);
  wr_server_end_session(a.server, a.last_session);
  wr_server_end_session(a.server, a.last_session);
  run();
  CHECK(r.closed);
  LOGGED(&a, "INFO session ended remote_addr=" ADDR
             " reason=application session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=0.0 session=1");
  LOG_ENDS(&a);
  app_close(&a);
}

TEST(sessions_can_be_listed) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  wr_server_session_info i;
  raw_start(&r, ADDR, "root", a.keys, 1);
  peer *half = knock("192.0.2.1", 0);
  size_t cursor = 0;
  int n = 0;
  while (wr_server_next_session(a.server, &cursor, &i)) {
    n++;
  }
  EQ_INT(n, 2);
  wr_ctx_advance(&a.e.ctx, 1500);
  CHECK(wr_server_session(a.server, 1, &i));
  EQ_STR(i.user, "root");
  EQ_STR(i.fingerprint, a.fp[0]);
  EQ_STR(i.remote_address, ADDR);
  EQ_STR(i.transport, "memory");
  EQ_UINT(i.since_ms, 1500);
  CHECK(i.authenticated && i.bytes_in > 0 && i.bytes_out > 0);
  CHECK(wr_server_session(a.server, 2, &i));
  CHECK(!i.authenticated);
  EQ_STR(i.user, "");
  CHECK(!wr_server_session(a.server, 3, &i));
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  uint64_t in = st.bytes_in;
  EQ_UINT(st.sessions, 2);
  EQ_UINT(st.startups, 1);
  EQ_UINT(st.auth_accepted, 1);
  raw_end(&r);
  leave(half);
  wr_server_get_stats(a.server, &st);
  CHECK(st.bytes_in >= in); /* kept when the session is gone */
  EQ_UINT(st.sessions, 0);
  app_close(&a);
}

TEST(context_teardown_ends_everything) {
  app_open(&a, true);
  a.take_control = true;
  app_serve(&a, 1, NULL);
  raw r = {0};
  asked o;
  raw_start(&r, ADDR, "root", a.keys, 1);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), 0);
  peer *half = knock(ADDR, 0);
  for (size_t i = 0; i < WR_COUNTOF(a.keys); i++) {
    wr_key_unref(a.keys[i]);
  }
  wr_key_unref(a.host);
  a.e.ctx.fake_now_ms = 0;
  app_stop_waking(&a);
  wr_ctx_close(&a.e.ctx, env_on_closed);
  /* The channels' owners let go, as they must. */
  peer_close(a.control);
  peer_close(&o.p);
  peer_close(half);
  uv_run(&a.e.loop, UV_RUN_DEFAULT);
  CHECK(a.e.closed);
  CHECK(a.closed);
  EQ_UINT(a.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&a.e.loop), 0);
}

TAP_MAIN()
