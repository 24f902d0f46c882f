/* What the line of a key allows, how long, and from where; and what a reload
   makes of it. Sessions run over memory with a clock of their own. */
#include "app_raw.h"

static int64_t wall_ms;

static int64_t on_wall(void *data) {
  WR_UNUSED(data);
  return wall_ms;
}

/* A server whose one key stands behind these options. */
static void serve_with(const char *options) {
  wall_ms = APP_WALL_MS;
  app_open(&a, true);
  a.e.ctx.wall_ms = on_wall;
  a.take_control = true;
  app_serve(&a, 1, NULL);
  app_reload(&a, 1, options);
  app_forget_log(&a);
}

static void log_in(raw *r) {
  memset(r, 0, sizeof(*r));
  raw_start(r, ADDR, "root", a.keys, 1);
}

static void end_channel(asked *o) {
  peer_close(a.control);
  peer_close(&o->p);
  run();
}

/* Sockets that listened are closed by the loop. */
static void close_all(raw *r) {
  raw_end(r);
  app_stop(&a);
  uv_run(&a.e.loop, UV_RUN_NOWAIT);
  run();
  app_close(&a);
}

/* Both clocks go on. */
static void pass(uint64_t ms) {
  wall_ms += (int64_t)ms;
  wr_ctx_advance(&a.e.ctx, ms);
}

TEST(permitopen_limits_channels) {
  raw r;
  asked o;
  serve_with("permitopen=\"wraith-control:*\",permitopen=\"127.0.0.1:9\"");
  log_in(&r);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 7), 0);
  end_channel(&o);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-other", 7), WR_ECHANNEL_DENIED);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "127.0.0.1", 8), WR_ECHANNEL_DENIED);
  EQ_INT(ask(&r, &o, WR_TARGET_TCP, "127.0.0.2", 9), WR_ECHANNEL_DENIED);
  EQ_INT(ask(&r, &o, WR_TARGET_UNIX, "/run/x", 0), WR_ECHANNEL_DENIED);
  raw_end(&r);
  app_close(&a);
}

TEST(a_key_without_forwarding_logs_in_and_no_more) {
  static const char *const options[] = {"restrict", "no-port-forwarding"};
  for (size_t i = 0; i < WR_COUNTOF(options); i++) {
    raw r;
    asked o;
    serve_with(options[i]);
    log_in(&r);
    CHECK(r.ready);
    EQ_INT(ask(&r, &o, WR_TARGET_TCP, "127.0.0.1", 9), WR_ECHANNEL_DENIED);
    EQ_INT(ask(&r, &o, WR_TARGET_TCP, "wraith-control", 1), WR_ECHANNEL_DENIED);
    EQ_INT(ask_listen(&r, "localhost", 0), WR_EFORWARD_REFUSED);
    EQ_INT(ask_listen(&r, "wraith-events", 0), WR_EFORWARD_REFUSED);
    raw_end(&r);
    app_close(&a);
  }
}

TEST(permitlisten_limits_remote_forwards) {
  raw r;
  serve_with("permitlisten=\"localhost:*\",permitlisten=\"wraith-events:*\"");
  log_in(&r);
  EQ_INT(ask_listen(&r, "localhost", 0), 0);
  EQ_INT(ask_listen(&r, "127.0.0.1", 0), WR_EFORWARD_REFUSED);
  EQ_INT(ask_listen(&r, "wraith-events", 0), 0);
  EQ_INT(ask_listen(&r, "wraith-other", 0), WR_EFORWARD_REFUSED);
  close_all(&r);
}

TEST(a_reload_takes_channels_away) {
  raw r;
  asked o[2];
  serve_with("");
  log_in(&r);
  EQ_INT(ask(&r, &o[0], WR_TARGET_TCP, "wraith-control", 5), 0);
  EQ_INT(ask(&r, &o[1], WR_TARGET_TCP, "wraith-control", 6), 0);
  EQ_INT(ask_listen(&r, "localhost", 0), 0);
  wr_link_read_start(o[0].p.link);
  wr_link_read_start(o[1].p.link);
  app_reload(&a, 1, "permitopen=\"wraith-control:6\",permitlisten=\"9999\"");
  run();
  CHECK(o[0].p.closed && !o[1].p.closed && !r.closed);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 0);
  EQ_INT(ask(&r, &o[0], WR_TARGET_TCP, "wraith-control", 5),
         WR_ECHANNEL_DENIED);
  app_reload(&a, 1, "restrict");
  run();
  CHECK(o[1].p.closed && !r.closed);
  close_all(&r);
}

TEST(a_reload_takes_names_away_from_the_server) {
  raw r;
  asked o;
  wr_opening *opening;
  serve_with("");
  log_in(&r);
  EQ_INT(ask_listen(&r, "wraith-events", 0), 0);
  memset(&o, 0, sizeof(o));
  MUST(wr_server_open(a.server, 1, "wraith-events", on_asked, &o, &opening) ==
       0);
  app_reload(&a, 1, "permitlisten=\"9999\"");
  run();
  EQ_INT(o.calls, 1);
  CHECK(o.status != 0);
  EQ_INT(wr_server_open(a.server, 1, "wraith-events", on_asked, &o, &opening),
         WR_ECHANNEL_UNKNOWN);
  raw_end(&r);
  app_close(&a);
}

TEST(a_login_is_refused_from_elsewhere) {
  raw r;
  serve_with("from=\"203.0.113.0/24,!203.0.113.50\"");
  log_in(&r);
  EQ_INT(r.status, WR_EAUTH_REFUSED);
  EQ_INT(app_log_holds(&a, "result=reject reason=from"), 1);
  app_reload(&a, 1, "from=\"203.0.113.*\"");
  log_in(&r);
  CHECK(r.ready);
  app_reload(&a, 1, "from=\"192.0.2.1\"");
  run();
  CHECK(r.closed);
  EQ_INT(app_log_holds(&a, "session ended remote_addr=" ADDR " reason=from"),
         1);
  app_close(&a);
}

/* 2026-06-02 10:00:00 UTC is APP_WALL_MS. */
TEST(a_login_ends_when_its_key_expires) {
  raw r;
  serve_with("expiry-time=\"20260602100100Z\"");
  log_in(&r);
  CHECK(r.ready);
  pass(60000);
  CHECK(!r.closed); /* the last second is good */
  pass(999);
  CHECK(!r.closed);
  pass(1);
  CHECK(r.closed);
  EQ_INT(app_log_holds(&a, "reason=key-expired session=1"), 1);
  log_in(&r);
  EQ_INT(r.status, WR_EAUTH_REFUSED);
  EQ_INT(app_log_holds(&a, "result=reject reason=key-expired"), 1);
  app_close(&a);
}

TEST(an_expiry_follows_the_clock_on_the_wall) {
  raw r;
  serve_with("expiry-time=\"20260602110000Z\"");
  log_in(&r);
  pass(1000);
  wall_ms += 3600 * 1000; /* set forward by an hour */
  wr_ctx_advance(&a.e.ctx, 31000);
  CHECK(r.closed);
  wall_ms = APP_WALL_MS;
  log_in(&r);
  CHECK(r.ready);
  app_reload(&a, 1, ""); /* never, now */
  pass(7200 * 1000);
  CHECK(app_log_holds(&a, "reason=key-expired session=2") == 0);
  app_close(&a);
}

TAP_MAIN()
