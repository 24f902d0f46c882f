/* Connections of TLS listeners before they are somebody: how long they may be
   that, how they end with the server, and what a lack of memory does. */
#include "app_stealth.h"

/* TIME */

TEST(a_handshake_has_its_time) {
  caller c;
  prepare();
  begin();
  come(&c, WR_LISTEN_STEALTH, ADDR);
  MUST(wr_link_read_start(c.raw) == 0);
  pass(WR_TLS_HANDSHAKE_MS - 1);
  EQ_UINT(a.server->n_visitors, 1);
  CHECK(!c.tls.p.eof && !c.tls.p.closed);
  pass(1);
  EQ_UINT(a.server->n_visitors, 0);
  CHECK(c.tls.p.eof || c.tls.p.closed);
  EQ_UINT(c.tls.p.got, 0);
  EQ_INT(n_guests, 0);
  leave(&c);
  finish();
}

TEST(first_bytes_have_theirs_from_the_handshake_on) {
  caller c;
  prepare();
  a.opts.ws_path = "/a";
  begin();
  come(&c, WR_LISTEN_STEALTH, ADDR);
  pass(30000);
  shake(&c);
  MUST(c.tls.p.link != NULL && wr_link_read_start(c.tls.p.link) == 0);
  pass(FIRST_BYTES_MS / 2);
  say(&c, "GET / HT"); /* no byte of it gives more time */
  pass(FIRST_BYTES_MS / 2 - 1);
  CHECK(!c.tls.p.closed);
  EQ_UINT(a.server->n_visitors, 1);
  pass(1);
  CHECK(c.tls.p.closed && !c.tls.p.eof); /* as nginx: no close_notify */
  EQ_UINT(c.tls.p.got, 0);
  EQ_UINT(a.server->n_visitors, 0);
  EQ_INT(n_guests, 0);
  EQ_UINT(stats().visitors, 0);
  LOG_ENDS(&a);
  leave(&c);
  finish();
}

TEST(who_is_recognised_has_no_such_time) {
  caller c;
  prepare();
  a.opts.login_grace_ms = 200000;
  begin();
  call(&c, ADDR);
  say(&c, BANNER);
  pass(2 * FIRST_BYTES_MS);
  CHECK(!c.tls.p.closed);
  EQ_UINT(stats().startups, 1);
  say(&c, "x");
  leave(&c);
  call(&c, ADDR);
  say(&c, GET);
  pass(2 * FIRST_BYTES_MS);
  MUST(n_guests == 1);
  CHECK(guests[0].link != NULL);
  leave(&c);
  finish();
}

/* THE END */

/* Closes while one connection is at each stage. */
static void close_with(uint64_t drain_ms) {
  caller c[6];
  client t;
  prepare();
  a.opts.ws_path = "/a";
  begin();
  come(&c[0], WR_LISTEN_STEALTH, ADDR);
  come(&c[1], WR_LISTEN_STEALTH, ADDR);
  say(&c[1], "\x16\x03\x01\x02");
  call(&c[2], ADDR);
  call(&c[3], ADDR);
  say(&c[3], "GET / HT");
  come(&c[4], WR_LISTEN_TLS, ADDR);
  call(&c[5], ADDR);
  say(&c[5], GET);
  tunnel_start(&t, WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  CHECK(t.is_up);
  EQ_UINT(a.server->n_visitors, 4);
  for (int i = 0; i < 5; i++) {
    MUST(wr_link_read_start(c[i].tls.p.link) == 0);
  }
  wr_server_close(a.server, drain_ms);
  run();
  for (int i = 0; i < 5; i++) {
    CHECK(c[i].tls.p.closed);
  }
  CHECK(t.down);
  CHECK(a.closed);
  EQ_INT(a.closes, 1);
  MUST(n_guests == 1);
  CHECK(guests[0].link != NULL); /* the web site's to end */
  client_close(&t);
  leave(&c[5]);
  finish();
}

TEST(the_end_finds_them_at_every_stage) {
  close_with(0);
}

TEST(nobody_undecided_is_waited_for) {
  close_with(60000);
}

TEST(a_handshake_that_ends_after_the_server_began_to) {
  caller c;
  prepare();
  begin();
  come(&c, WR_LISTEN_STEALTH, ADDR);
  const wr_tls_options o = {.server_name = "a.test"};
  MUST(wr_tls_start(c.raw, trusting, &o, on_side, &c.tls, &c.tls.tls) == 0);
  wr_server_close(a.server, 60000);
  run();
  EQ_INT(c.tls.n_cb, 1);
  CHECK(c.tls.status != 0);
  CHECK(a.closed);
  EQ_INT(n_guests, 0);
  finish();
}

TEST(a_certificate_changes_under_a_handshake) {
  caller c[2];
  pki other;
  const cert_spec host = {.names = "DNS:a.test"};
  prepare();
  begin();
  come(&c[0], WR_LISTEN_STEALTH, ADDR);
  pki_make(&other, &host);
  wr_tls_ctx *next = serve_with(&a.e, &other);
  wr_server_set_tls(a.server, next);
  wr_tls_ctx_unref(next);
  shake(&c[0]);
  EQ_INT(c[0].tls.status, 0); /* it has begun with the first one */
  come(&c[1], WR_LISTEN_STEALTH, ADDR);
  shake(&c[1]);
  EQ_INT(c[1].tls.status, WR_ETLS_CERTIFICATE);
  leave(&c[0]);
  finish();
  pki_free(&other);
}

/* MEMORY */

typedef enum life_kind { LIFE_TLS, LIFE_SSH, LIFE_WS, LIFE_VISITOR } life_kind;

static void life_of_visitor(wr_link *mine) {
  const wr_tls_options o = {.server_name = "a.test"};
  caller c = {.raw = mine};
  size_t taken;
  uv_buf_t get = uv_buf_init((char *)(uintptr_t)GET, sizeof(GET) - 1);
  if (wr_tls_start(mine, trusting, &o, on_side, &c.tls, &c.tls.tls) != 0) {
    wr_link_close(mine, WR_CLOSE_RESET);
  }
  run();
  if (c.tls.p.link != NULL) {
    int err = wr_link_write(c.tls.p.link, &get, 1, &taken);
    WR_UNUSED(err); /* it may fail, as all here */
    run();
  }
  if (c.tls.p.link != NULL) {
    wr_link_close(c.tls.p.link, WR_CLOSE_RESET);
  }
  pass(70000);
  guests_leave();
}

static void life_of_tunnel(wr_link *mine, life_kind kind) {
  client c = {.a = &a, .key = a.keys[0]};
  wr_identity identity = {.key = c.key};
  wr_tunnel_connect_opts o = {.link = mine,
                              .tls = trusting,
                              .tls_name = "a.test",
                              .ws_path = kind == LIFE_WS ? "/a" : NULL,
                              .ws_host = "a.test",
                              .secret = {(const uint8_t *)"s", 1},
                              .user = "alice",
                              .identities = &identity,
                              .n_identities = 1};
  if (wr_tunnel_new(&a.e.ctx, &client_handler, &c, &c.t) != 0) {
    wr_link_close(mine, WR_CLOSE_RESET);
    run();
    return;
  }
  if (wr_tunnel_connect(c.t, &o) != 0) {
    wr_link_close(mine, WR_CLOSE_RESET);
  }
  run();
  wr_tunnel_close(c.t, true);
  pass(70000);
  EQ_INT(c.closes, 1);
  guests_leave();
}

static void life(life_kind kind) {
  wr_link *mine;
  wr_link *theirs;
  if (wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) != 0) {
    return;
  }
  if (wr__arrive(a.server, kind != LIFE_TLS, false, theirs, ADDR) != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  if (kind == LIFE_VISITOR) {
    life_of_visitor(mine);
  } else {
    life_of_tunnel(mine, kind);
  }
  wr_knock_cache_reset(&a.server->knocks); /* it would remember this one */
}

static void fail_all(life_kind kind) {
  wr_mem *mem = &a.e.ctx.mem;
  life(kind); /* tables have their size now */
  size_t blocks = mem->live_blocks;
  int n = 0;
  for (bool over = false; !over; n++) {
    mem->fail_at = mem->total + (uint64_t)n + 1;
    life(kind);
    over = mem->total < mem->fail_at;
    mem->fail_at = 0;
    MUST(mem->live_blocks <= blocks);
    MUST(a.server->n_visitors == 0 && a.server->startups == 0);
  }
  DIAG("%d allocations", n - 1);
  CHECK(n > 8);
}

TEST(any_allocation_may_fail) {
  static const life_kind kinds[] = {LIFE_TLS, LIFE_SSH, LIFE_VISITOR};
  prepare();
  a.opts.max_connections_per_ip = 5;
  begin();
  for (size_t i = 0; i < WR_COUNTOF(kinds); i++) {
    fail_all(kinds[i]);
  }
  EQ_UINT(stats().sessions, 0);
  finish();
}

TEST(any_allocation_of_an_upgrade_may_fail) {
  static const uint8_t secret[] = "s";
  prepare();
  a.opts.ws_path = "/a";
  a.opts.knock_secret = (wr_slice){secret, 1};
  begin();
  fail_all(LIFE_WS);
  EQ_UINT(stats().sessions, 0);
  finish();
}

TAP_MAIN()
