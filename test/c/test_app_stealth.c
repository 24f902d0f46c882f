/* Connections of TLS listeners before they are somebody: who becomes a tunnel,
   who a visitor, and what counts until then. */
#include "app_stealth.h"

/* WHO IS WHO */

TEST(a_visitor_keeps_every_byte) {
  caller c[2];
  prepare();
  a.opts.ws_path = "/a"; /* so that all of them are looked at */
  begin();
  call(&c[0], ADDR);
  say(&c[0], GET);
  call(&c[1], ADDR);
  for (size_t i = 0; i < sizeof(GET) - 1; i++) {
    send_bytes(&c[1], GET + i, 1);
    run();
  }
  MUST(n_guests == 2);
  for (int i = 0; i < 2; i++) {
    EQ_STR(guests[i].text, GET);
    EQ_STR(guests[i].about, ADDR " sni=a.test alpn=");
    CHECK(guests[i].link != NULL);
  }
  EQ_UINT(stats().visitors, 2);
  EQ_UINT(stats().connections, 0);
  LOG_ENDS(&a);
  leave(&c[0]);
  leave(&c[1]);
  finish();
}

TEST(an_end_in_time_answers_nothing) {
  caller c;
  prepare();
  a.opts.ws_path = "/a";
  begin();
  call(&c, ADDR);
  say(&c, "GET / HT");
  MUST(wr_link_read_start(c.tls.p.link) == 0);
  MUST(wr_link_shutdown(c.tls.p.link) == 0);
  run();
  CHECK(c.tls.p.closed && !c.tls.p.eof); /* as nginx: no close_notify */
  EQ_UINT(c.tls.p.got, 0);
  EQ_INT(n_guests, 0);
  EQ_UINT(stats().visitors, 0);
  EQ_UINT(a.server->n_visitors, 0);
  leave(&c);
  finish();
}

TEST(who_speaks_no_tls_is_a_plain_visitor) {
  caller c;
  prepare();
  begin();
  come(&c, WR_LISTEN_STEALTH, ADDR);
  say(&c, GET);
  MUST(n_guests == 1);
  EQ_STR(guests[0].text, GET);
  EQ_STR(guests[0].about, ADDR " sni= alpn= astray");
  EQ_UINT(stats().visitors, 1);
  leave(&c);
  finish();
}

TEST(tunnels_are_let_in) {
  client c[3];
  prepare();
  a.opts.ws_path = "/a";
  begin();
  tunnel_start(&c[0], WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  tunnel_start(&c[1], WR_LISTEN_STEALTH, ADDR, "/a", NULL);
  tunnel_start(&c[2], WR_LISTEN_TLS, ADDR, NULL, NULL);
  for (int i = 0; i < 3; i++) {
    CHECK(c[i].is_up);
  }
  EQ_INT(app_log_holds(&a, "connection opened remote_addr=" ADDR
                           " transport=tls session="),
         2);
  EQ_INT(app_log_holds(&a, "connection opened remote_addr=" ADDR
                           " transport=wss session="),
         1);
  EQ_UINT(stats().sessions, 3);
  EQ_UINT(stats().startups, 0);
  EQ_UINT(stats().visitors, 0);
  EQ_UINT(a.server->n_visitors, 0);
  for (int i = 0; i < 3; i++) {
    client_close(&c[i]);
  }
  finish();
}

TEST(a_secret_is_asked_for) {
  static const uint8_t secret[] = "the secret";
  client c;
  caller raw;
  prepare();
  a.opts.ws_path = "/a";
  a.opts.knock_secret = (wr_slice){secret, sizeof(secret) - 1};
  begin();
  tunnel_start(&c, WR_LISTEN_STEALTH, ADDR, "/a", "the secret");
  CHECK(c.is_up);
  client_close(&c);
  tunnel_start(&c, WR_LISTEN_STEALTH, ADDR, "/a", "a secret");
  EQ_INT(n_guests, 1);
  CHECK(!c.down);
  client_close(&c);
  call(&raw, ADDR);
  say(&raw, BANNER);
  EQ_INT(n_guests, 2);
  EQ_STR(guests[1].text, BANNER);
  leave(&raw);
  EQ_UINT(stats().connections, 1);
  EQ_UINT(stats().visitors, 2);
  EQ_UINT(stats().knocks_failed, 1);
  finish();
}

/* BEHIND A WEB SERVER */

#define FRONT "192.0.2.1"
#define UPGRADE(path)                                                          \
  "GET " path " HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"            \
  "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"                       \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static wr_cidr front;

static void prepare_front(void) {
  prepare();
  MUST(wr_cidr_parse(FRONT, &front) == 0);
  a.opts.trust_proxy = &front;
  a.opts.n_trust_proxy = 1;
  a.opts.ws_path = "/a";
}

TEST(without_tls_only_websockets_are_tunnels) {
  caller c[2];
  prepare_front();
  wr_tls_ctx *tls = a.opts.tls;
  a.opts.tls = NULL; /* none is needed */
  begin();
  come(&c[0], WR_LISTEN_WS, ADDR);
  EQ_UINT(a.server->n_visitors, 1);
  say(&c[0], BANNER);
  MUST(n_guests == 1);
  EQ_STR(guests[0].text, BANNER);
  EQ_STR(guests[0].about, ADDR " sni= alpn= plain");
  EQ_UINT(a.server->n_visitors, 0);
  LOG_ENDS(&a);
  come(&c[1], WR_LISTEN_WS, ADDR);
  say(&c[1], UPGRADE("/a") "X-Forwarded-For: " OTHER "\r\n\r\n");
  EQ_INT(app_log_holds(&a, "connection opened remote_addr=" ADDR
                           " transport=ws session="),
         1);
  EQ_UINT(a.server->n_visitors, 0);
  EQ_UINT(stats().startups, 1);
  leave(&c[0]);
  leave(&c[1]);
  a.opts.tls = tls;
  finish();
}

TEST(the_front_says_whom_it_speaks_for) {
  caller c[3];
  prepare_front();
  a.opts.max_connections_per_ip = 1;
  begin();
  come(&c[0], WR_LISTEN_WS, FRONT);
  say(&c[0], UPGRADE("/a") "X-Forwarded-For: 10.1.1.1, " OTHER "\r\n\r\n");
  EQ_INT(app_log_holds(&a, "connection opened remote_addr=" OTHER
                           " transport=ws session="),
         1);
  app_forget_log(&a);
  come(&c[1], WR_LISTEN_WS, FRONT);
  say(&c[1], UPGRADE("/a") "X-Forwarded-For: " OTHER "\r\n\r\n");
  LOGGED(&a, "WARN connection rejected remote_addr=" OTHER
             " transport=ws reason=max-connections-per-ip");
  call(&c[2], FRONT); /* one that speaks TLS with us */
  say(&c[2], UPGRADE("/a") "X-Forwarded-For: " ADDR "\r\n\r\n");
  EQ_INT(app_log_holds(&a, "connection opened remote_addr=" ADDR
                           " transport=wss session="),
         1);
  for (int i = 0; i < 3; i++) {
    leave(&c[i]);
  }
  finish();
}

/* A client on its way: nobody answers its upgrade, or its handshake. */
static void stuck(client *c, peer *nobody, bool upgrade) {
  wr_link *mine;
  wr_link *theirs;
  wr_identity identity = {.key = a.keys[0]};
  wr_tunnel_connect_opts o = {.tls = trusting,
                              .tls_name = "a.test",
                              .user = "alice",
                              .identities = &identity,
                              .n_identities = 1};
  memset(nobody, 0, sizeof(*nobody));
  if (upgrade) {
    tunnel_start(c, WR_LISTEN_STEALTH, ADDR, "/other", NULL);
    EQ_INT(n_guests, 1);
    return;
  }
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  peer_own(nobody, theirs);
  o.link = mine;
  client_open(c, &a, 0);
  MUST(wr_tunnel_connect(c->t, &o) == 0);
  run();
}

static void way_is_cut(bool upgrade, bool by_time, const char *phase) {
  client c;
  peer nobody;
  prepare();
  begin();
  stuck(&c, &nobody, upgrade);
  CHECK(!c.is_up && !c.down);
  if (by_time) {
    pass(30000 - 1);
    CHECK(!c.down);
    pass(1);
    CHECK(c.down);
    EQ_STR(c.phase, phase);
    CHECK(c.status != 0);
  }
  client_close(&c);
  CHECK(upgrade ? guests[0].link == NULL : nobody.closed);
  finish();
}

TEST(a_client_gives_up_on_its_way) {
  way_is_cut(false, true, "tls");
  way_is_cut(true, true, "dial");
}

TEST(a_client_is_closed_on_its_way) {
  way_is_cut(false, false, "");
  way_is_cut(true, false, "");
}

TEST(a_link_that_cannot_carry_stays_the_callers) {
  client c;
  peer left = {0};
  wr_link *theirs;
  prepare();
  begin();
  wr_tunnel_connect_opts o = {.tls = trusting, .user = "alice"};
  client_open(&c, &a, 0);
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &o.link, &theirs) == 0);
  EQ_INT(wr_tunnel_connect(c.t, &o), WR_EINVAL); /* no name to look for */
  o.tls_name = "a.test";
  EQ_INT(wr_tunnel_connect(c.t, &o), 0); /* and another try may follow */
  peer_own(&left, theirs);
  client_close(&c);
  CHECK(left.closed);
  finish();
}

/* LIMITS */

TEST(only_a_recognised_tunnel_counts) {
  caller c[6];
  client t;
  prepare();
  a.opts.max_startups = 1;
  a.opts.startups_start = 1;
  begin();
  for (int i = 0; i < 4; i++) {
    call(&c[i], ADDR);
    say(&c[i], "SSH");
  }
  EQ_UINT(stats().startups, 0);
  LOG_ENDS(&a);
  say(&c[0], "-2.0-x\r\n");
  EQ_UINT(stats().startups, 1);
  LOGGED(&a,
         "INFO connection opened remote_addr=" ADDR " transport=tls session=1");
  say(&c[1], "-2.0-x\r\n");
  EQ_UINT(stats().startups, 1);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=max-startups");
  say(&c[2], "h");
  call(&c[4], ADDR);
  say(&c[4], GET);
  EQ_INT(n_guests, 2);
  LOG_ENDS(&a);
  leave(&c[0]);
  EQ_UINT(stats().startups, 0);
  tunnel_start(&t, WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  CHECK(t.is_up);
  client_close(&t);
  EQ_UINT(stats().rejected, 1);
  for (int i = 1; i < 5; i++) {
    leave(&c[i]);
  }
  finish();
}

TEST(on_a_plain_tls_listener_all_count_from_the_beginning) {
  caller c[3];
  client t;
  prepare();
  a.opts.max_startups = 1;
  a.opts.startups_start = 1;
  a.opts.login_grace_ms = 5000;
  begin();
  come(&c[0], WR_LISTEN_TLS, ADDR);
  EQ_INT(c[0].err, 0);
  EQ_UINT(stats().startups, 1);
  come(&c[1], WR_LISTEN_TLS, ADDR);
  EQ_INT(c[1].err, WR_ELIMIT);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=max-startups");
  shake(&c[0]);
  EQ_UINT(stats().startups, 1); /* counted once, as a session now */
  LOGGED(&a,
         "INFO connection opened remote_addr=" ADDR " transport=tls session=1");
  leave(&c[0]);
  EQ_UINT(stats().startups, 0);
  come(&c[2], WR_LISTEN_TLS, ADDR);
  EQ_UINT(stats().startups, 1);
  MUST(wr_link_read_start(c[2].raw) == 0);
  pass(4999);
  EQ_UINT(stats().startups, 1);
  pass(1);
  EQ_UINT(stats().startups, 0);
  CHECK(c[2].tls.p.eof || c[2].tls.p.closed);
  tunnel_start(&t, WR_LISTEN_TLS, ADDR, NULL, NULL);
  CHECK(t.is_up);
  client_close(&t);
  EQ_UINT(stats().startups, 0);
  EQ_INT(n_guests, 0);
  leave(&c[1]);
  leave(&c[2]);
  finish();
}

static int throw_dice(void *data, uint8_t *dst, size_t len) {
  memset(dst, *(const int *)data, len);
  return 0;
}

TEST(the_dice_are_thrown_once) {
  caller c[2];
  int eyes = 3; /* the remainder is large */
  prepare();
  a.opts.max_startups = 10;
  a.opts.startups_start = 1;
  a.e.ctx.rand = throw_dice;
  a.e.ctx.rand_data = &eyes;
  begin();
  for (int i = 0; i < 2; i++) {
    come(&c[i], WR_LISTEN_TLS, ADDR);
    EQ_INT(c[i].err, 0);
  }
  eyes = 0; /* who comes now is dropped */
  shake(&c[1]);
  EQ_UINT(stats().startups, 2);
  EQ_UINT(stats().rejected, 0);
  leave(&c[0]);
  leave(&c[1]);
  a.e.ctx.rand = NULL;
  finish();
}

/* As come(), through a balancer that is trusted. */
static void come_balanced(caller *c, wr_listen_kind kind) {
  wr_link *theirs;
  memset(c, 0, sizeof(*c));
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &c->raw, &theirs) == 0);
  c->err = wr__proxy_wait(a.server, kind, theirs, "192.0.2.1");
  if (c->err != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  peer_own(&c->tls.p, c->raw);
}

TEST(behind_a_balancer_too) {
  caller c[3];
  prepare();
  a.opts.max_startups = 1;
  a.opts.startups_start = 1;
  a.opts.max_visitors = 2;
  begin();
  come_balanced(&c[0], WR_LISTEN_STEALTH);
  come_balanced(&c[1], WR_LISTEN_STEALTH);
  EQ_INT(c[1].err, 0);
  EQ_UINT(stats().startups, 0);
  EQ_UINT(a.server->n_visitors, 2);
  come_balanced(&c[2], WR_LISTEN_STEALTH);
  EQ_INT(c[2].err, WR_ELIMIT);
  LOG_ENDS(&a);
  say(&c[0], "PROXY TCP4 " ADDR " 192.0.2.1 1000 443\r\n");
  shake(&c[0]);
  MUST(c[0].tls.status == 0);
  say(&c[0], GET);
  MUST(n_guests == 1);
  EQ_STR(guests[0].about, ADDR " sni=a.test alpn=");
  EQ_UINT(a.server->n_visitors, 1);
  leave(&c[1]);
  EQ_UINT(a.server->n_visitors, 0);
  leave(&c[2]);
  come_balanced(&c[1], WR_LISTEN_TLS);
  EQ_UINT(stats().startups, 1);
  come_balanced(&c[2], WR_LISTEN_TLS);
  LOGGED(&a, "WARN connection rejected remote_addr=192.0.2.1"
             " transport=tls reason=max-startups");
  for (int i = 0; i < 3; i++) {
    leave(&c[i]);
  }
  EQ_UINT(stats().startups, 0);
  finish();
}

/* It need not begin with a header, and HTTP may look like one at first. */
TEST(a_web_server_in_front_needs_no_header) {
  static const char post[] = "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n";
  caller c[3];
  prepare_front();
  begin();
  come_balanced(&c[0], WR_LISTEN_WS);
  say(&c[0], "P");
  say(&c[0], post + 1);
  come_balanced(&c[1], WR_LISTEN_WS);
  say(&c[1], "PROXY TCP4 " ADDR " 192.0.2.1 1000 443\r\n" GET);
  MUST(n_guests == 2);
  EQ_STR(guests[0].text, post);
  EQ_STR(guests[0].about, FRONT " sni= alpn= plain");
  EQ_STR(guests[1].about, ADDR " sni= alpn= plain");
  LOG_ENDS(&a);
  come_balanced(&c[2], WR_LISTEN_TLS);
  say(&c[2], post);
  LOGGED(&a, "WARN connection rejected remote_addr=" FRONT
             " transport=tls reason=proxy-header");
  for (int i = 0; i < 3; i++) {
    leave(&c[i]);
  }
  finish();
}

TEST(the_dice_are_not_thrown_again_after_the_header) {
  caller c[2];
  int eyes = 3; /* the remainder is large */
  prepare();
  a.opts.max_startups = 10;
  a.opts.startups_start = 1;
  a.e.ctx.rand = throw_dice;
  a.e.ctx.rand_data = &eyes;
  begin();
  come_balanced(&c[0], WR_LISTEN_TLS);
  come_balanced(&c[1], WR_LISTEN_TLS);
  EQ_INT(c[1].err, 0);
  eyes = 0; /* who comes now is dropped */
  say(&c[1], "PROXY TCP4 " ADDR " 192.0.2.1 1000 443\r\n");
  EQ_UINT(stats().startups, 2);
  EQ_UINT(stats().rejected, 0);
  leave(&c[0]);
  leave(&c[1]);
  a.e.ctx.rand = NULL;
  finish();
}

TEST(addresses_that_are_full_may_still_visit) {
  caller c;
  client t[2];
  prepare();
  a.opts.max_connections_per_ip = 1;
  begin();
  tunnel_start(&t[0], WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  CHECK(t[0].is_up);
  app_forget_log(&a);
  call(&c, ADDR);
  say(&c, GET);
  EQ_INT(n_guests, 1);
  LOG_ENDS(&a);
  tunnel_start(&t[1], WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  CHECK(!t[1].is_up && t[1].down);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=max-connections-per-ip");
  client_close(&t[1]);
  tunnel_start(&t[1], WR_LISTEN_STEALTH, OTHER, NULL, NULL);
  CHECK(t[1].is_up);
  client_close(&t[0]);
  client_close(&t[1]);
  leave(&c);
  come(&c, WR_LISTEN_TLS, ADDR);
  EQ_INT(c.err, 0);
  leave(&c);
  finish();
}

TEST(addresses_that_are_kept_out_may_still_visit) {
  caller c;
  prepare();
  a.opts.penalty_ms = 100000;
  begin();
  call(&c, ADDR);
  say(&c, "SSH-2.0-x\r\n\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f");
  pass(1000);
  leave(&c);
  EQ_INT(app_log_holds(&a, "WARN penalty remote_addr=" ADDR), 1);
  app_forget_log(&a);
  call(&c, ADDR);
  say(&c, GET);
  EQ_INT(n_guests, 1);
  leave(&c);
  LOG_ENDS(&a);
  call(&c, ADDR);
  say(&c, BANNER);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=penalty");
  leave(&c);
  come(&c, WR_LISTEN_TLS, ADDR);
  EQ_INT(c.err, WR_ELIMIT);
  leave(&c);
  finish();
}

TEST(visitors_never_earn_a_penalty) {
  caller c;
  prepare();
  a.opts.penalty_ms = 100000;
  begin();
  for (int i = 0; i < 20; i++) {
    come(&c, WR_LISTEN_STEALTH, ADDR);
    say(&c, i % 2 == 0 ? "\x16\x03\x01\x00\x05garbage" : GET);
    leave(&c);
    call(&c, ADDR);
    say(&c, "SSX-2.0");
    leave(&c);
    guests_leave();
  }
  EQ_UINT(stats().penalties, 0);
  EQ_UINT(stats().connections, 0);
  LOG_ENDS(&a);
  EQ_UINT(a.server->n_visitors, 0);
  finish();
}

/* How many of those who have not said who they are may be there. */
TEST(undecided_connections_are_bounded) {
  caller c[4];
  client t;
  prepare();
  a.opts.max_visitors = 2;
  begin();
  come(&c[0], WR_LISTEN_STEALTH, ADDR);
  call(&c[1], OTHER);
  come(&c[2], WR_LISTEN_STEALTH, ADDR);
  EQ_INT(c[2].err, WR_ELIMIT);
  leave(&c[2]);
  LOG_ENDS(&a);
  say(&c[1], GET); /* it is the web site's now */
  EQ_INT(n_guests, 1);
  call(&c[2], ADDR);
  come(&c[3], WR_LISTEN_STEALTH, ADDR);
  EQ_INT(c[3].err, WR_ELIMIT);
  leave(&c[3]);
  say(&c[2], BANNER);
  call(&c[3], ADDR);
  leave(&c[3]); /* who goes makes room */
  tunnel_start(&t, WR_LISTEN_STEALTH, ADDR, NULL, NULL);
  CHECK(t.is_up);
  client_close(&t);
  shake(&c[0]);
  EQ_UINT(a.server->n_visitors, 1);
  pass(FIRST_BYTES_MS); /* so does who says nothing */
  EQ_UINT(a.server->n_visitors, 0);
  for (int i = 0; i < 3; i++) {
    leave(&c[i]);
  }
  finish();
}

TAP_MAIN()
