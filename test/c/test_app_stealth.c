/* Connections of TLS listeners before they are somebody: who becomes a tunnel,
   who a visitor, and what counts until then. All over memory, with a clock of
   its own. */
#include "app_help.h"

#include "app/server_internal.h"
#include "tls_help.h"

#define ADDR "203.0.113.50"
#define OTHER "203.0.113.51"
#define GET "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define BANNER "SSH-2.0-raw\r\n"
#define FIRST_BYTES_MS 60000u

static app a;
static pki site;
static wr_tls_ctx *trusting;

static void run(void) {
  wr_ctx_run_tasks(&a.e.ctx);
}

static void pass(uint64_t ms) {
  wr_ctx_advance(&a.e.ctx, ms);
}

/* VISITORS */

/* Whoever was given to the web site. */
typedef struct guest {
  wr_link *link; /* NULL once closed */
  char text[256];
  size_t len;
  char about[128];
} guest;

static guest guests[8];
static int n_guests;

static size_t guest_read(wr_link *link, uint8_t *data, size_t len) {
  guest *g = link->user;
  size_t part = WR_MIN(len, sizeof(g->text) - 1 - g->len);
  memcpy(g->text + g->len, data, part);
  g->len += part;
  return len;
}

static void guest_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void guest_closed(wr_link *link, int status) {
  WR_UNUSED(status);
  ((guest *)link->user)->link = NULL;
}

static const wr_link_handler guest_handler = {
    .on_read = guest_read, .on_eof = guest_eof, .on_close = guest_closed};

static void on_visitor(wr_server *s, const wr_visitor *v) {
  WR_UNUSED(s);
  MUST(n_guests < (int)WR_COUNTOF(guests));
  guest *g = &guests[n_guests++];
  *g = (guest){.link = v->link, .len = v->head.len};
  MUST(v->head.len < sizeof(g->text));
  if (v->head.len > 0) {
    memcpy(g->text, v->head.data, v->head.len);
  }
  snprintf(g->about, sizeof(g->about), "%s sni=%s alpn=%.*s%s",
           v->remote_address, v->server_name, (int)v->alpn.len,
           v->alpn.len > 0 ? (const char *)v->alpn.data : "",
           v->plain ? " plain" : "");
  v->link->user = g;
  v->link->handler = &guest_handler;
  if (wr_link_read_start(v->link) != 0) {
    wr_link_close(v->link, WR_CLOSE_RESET);
  }
}

static void guests_leave(void) {
  for (int i = 0; i < n_guests; i++) {
    if (guests[i].link != NULL) {
      wr_link_close(guests[i].link, WR_CLOSE_RESET);
    }
  }
  run();
  n_guests = 0;
}

/* SERVER */

static wr_server_handler site_handler;

static void prepare(void) {
  const cert_spec host = {.names = "DNS:a.test"};
  pki_make(&site, &host);
  app_open(&a, true);
  a.e.ctx.wall_ms = wall_of_tests;
  site_handler = app_handler;
  site_handler.on_visitor = on_visitor;
  a.opts.handler = &site_handler;
  a.opts.tls = serve_with(&a.e, &site);
  trusting = trust(&a.e, &site);
  a.take_control = true;
  n_guests = 0;
}

static void begin(void) {
  app_serve(&a, 1, NULL);
  app_forget_log(&a);
}

static void finish(void) {
  guests_leave();
  app_stop(&a);
  wr_tls_ctx_unref(a.opts.tls);
  wr_tls_ctx_unref(trusting);
  app_close(&a);
  pki_free(&site);
}

static wr_server_stats stats(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st;
}

/* CALLERS */

/* A connection to a TLS listener: first its carrier, then its TLS. */
typedef struct caller {
  int err; /* of the server */
  wr_link *raw;
  side tls;
} caller;

/* The carrier alone. */
static void come(caller *c, bool stealth, const char *address) {
  wr_link *theirs;
  memset(c, 0, sizeof(*c));
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &c->raw, &theirs) == 0);
  c->err = wr__arrive(a.server, stealth, theirs, address);
  if (c->err != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  peer_own(&c->tls.p, c->raw);
}

static void shake(caller *c) {
  const wr_tls_options o = {.server_name = "a.test"};
  MUST(wr_tls_start(c->raw, trusting, &o, on_side, &c->tls, &c->tls.tls) == 0);
  run();
}

/* With a handshake behind it. */
static void call(caller *c, const char *address) {
  come(c, true, address);
  EQ_INT(c->err, 0);
  shake(c);
  EQ_INT(c->tls.n_cb, 1);
  MUST(c->tls.status == 0);
}

static void send_bytes(caller *c, const char *text, size_t len) {
  size_t taken;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
  MUST(wr_link_write(c->tls.p.link, &buf, 1, &taken) == 0);
  EQ_UINT(taken, len);
}

static void say(caller *c, const char *text) {
  send_bytes(c, text, strlen(text));
  run();
}

static void leave(caller *c) {
  if (c->tls.p.link != NULL) {
    wr_link_close(c->tls.p.link, WR_CLOSE_RESET);
  }
  run();
  CHECK(c->tls.p.closed);
}

/* TUNNELS */

static void tunnel_start(client *c, bool stealth, const char *address,
                         const char *ws_path, const char *secret) {
  wr_identity identity = {.key = a.keys[0]};
  wr_link *theirs = NULL;
  wr_tunnel_connect_opts o = {
      .tls = trusting,
      .tls_name = "a.test",
      .ws_path = ws_path,
      .ws_host = "a.test",
      .secret = {(const uint8_t *)secret, secret != NULL ? strlen(secret) : 0},
      .user = "alice",
      .identities = &identity,
      .n_identities = 1};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &o.link, &theirs) == 0);
  client_open(c, &a, 0);
  if (wr__arrive(a.server, stealth, theirs, address) != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  MUST(wr_tunnel_connect(c->t, &o) == 0);
  run();
}

/* WHO IS WHO */

TEST(a_visitor_keeps_every_byte) {
  caller c[2];
  prepare();
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
  CHECK(c.tls.p.eof);
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
  come(&c, true, ADDR);
  say(&c, GET);
  MUST(n_guests == 1);
  EQ_STR(guests[0].text, GET);
  EQ_STR(guests[0].about, ADDR " sni= alpn= plain");
  EQ_UINT(stats().visitors, 1);
  leave(&c);
  finish();
}

TEST(tunnels_are_let_in) {
  client c[3];
  prepare();
  a.opts.ws_path = "/a";
  begin();
  tunnel_start(&c[0], true, ADDR, NULL, NULL);
  tunnel_start(&c[1], true, ADDR, "/a", NULL);
  tunnel_start(&c[2], false, ADDR, NULL, NULL);
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
  tunnel_start(&c, true, ADDR, "/a", "the secret");
  CHECK(c.is_up);
  client_close(&c);
  tunnel_start(&c, true, ADDR, "/a", "a secret");
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
    tunnel_start(c, true, ADDR, "/other", NULL);
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
  tunnel_start(&t, true, ADDR, NULL, NULL);
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
  come(&c[0], false, ADDR);
  EQ_INT(c[0].err, 0);
  EQ_UINT(stats().startups, 1);
  come(&c[1], false, ADDR);
  EQ_INT(c[1].err, WR_ELIMIT);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=max-startups");
  shake(&c[0]);
  EQ_UINT(stats().startups, 1); /* counted once, as a session now */
  LOGGED(&a,
         "INFO connection opened remote_addr=" ADDR " transport=tls session=1");
  leave(&c[0]);
  EQ_UINT(stats().startups, 0);
  come(&c[2], false, ADDR);
  EQ_UINT(stats().startups, 1);
  MUST(wr_link_read_start(c[2].raw) == 0);
  pass(4999);
  EQ_UINT(stats().startups, 1);
  pass(1);
  EQ_UINT(stats().startups, 0);
  CHECK(c[2].tls.p.eof || c[2].tls.p.closed);
  tunnel_start(&t, false, ADDR, NULL, NULL);
  CHECK(t.is_up);
  client_close(&t);
  EQ_UINT(stats().startups, 0);
  EQ_INT(n_guests, 0);
  leave(&c[1]);
  leave(&c[2]);
  finish();
}

TEST(addresses_that_are_full_may_still_visit) {
  caller c;
  client t[2];
  prepare();
  a.opts.max_connections_per_ip = 1;
  begin();
  tunnel_start(&t[0], true, ADDR, NULL, NULL);
  CHECK(t[0].is_up);
  app_forget_log(&a);
  call(&c, ADDR);
  say(&c, GET);
  EQ_INT(n_guests, 1);
  LOG_ENDS(&a);
  tunnel_start(&t[1], true, ADDR, NULL, NULL);
  CHECK(!t[1].is_up && t[1].down);
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=tls reason=max-connections-per-ip");
  client_close(&t[1]);
  tunnel_start(&t[1], true, OTHER, NULL, NULL);
  CHECK(t[1].is_up);
  client_close(&t[0]);
  client_close(&t[1]);
  leave(&c);
  come(&c, false, ADDR);
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
  come(&c, false, ADDR);
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
    come(&c, true, ADDR);
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
  come(&c[0], true, ADDR);
  call(&c[1], OTHER);
  come(&c[2], true, ADDR);
  EQ_INT(c[2].err, WR_ELIMIT);
  leave(&c[2]);
  LOG_ENDS(&a);
  say(&c[1], GET); /* it is the web site's now */
  EQ_INT(n_guests, 1);
  call(&c[2], ADDR);
  come(&c[3], true, ADDR);
  EQ_INT(c[3].err, WR_ELIMIT);
  leave(&c[3]);
  say(&c[2], BANNER);
  call(&c[3], ADDR);
  leave(&c[3]); /* who goes makes room */
  tunnel_start(&t, true, ADDR, NULL, NULL);
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

/* TIME */

TEST(a_handshake_has_its_time) {
  caller c;
  prepare();
  begin();
  come(&c, true, ADDR);
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
  come(&c, true, ADDR);
  pass(30000);
  shake(&c);
  MUST(c.tls.p.link != NULL && wr_link_read_start(c.tls.p.link) == 0);
  pass(FIRST_BYTES_MS / 2);
  say(&c, "GET / HT"); /* no byte of it gives more time */
  pass(FIRST_BYTES_MS / 2 - 1);
  CHECK(!c.tls.p.eof);
  EQ_UINT(a.server->n_visitors, 1);
  pass(1);
  CHECK(c.tls.p.eof); /* in order: with a close_notify */
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
  come(&c[0], true, ADDR);
  come(&c[1], true, ADDR);
  say(&c[1], "\x16\x03\x01\x02");
  call(&c[2], ADDR);
  call(&c[3], ADDR);
  say(&c[3], "GET / HT");
  come(&c[4], false, ADDR);
  call(&c[5], ADDR);
  say(&c[5], GET);
  tunnel_start(&t, true, ADDR, NULL, NULL);
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
  come(&c, true, ADDR);
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
  come(&c[0], true, ADDR);
  pki_make(&other, &host);
  wr_tls_ctx *next = serve_with(&a.e, &other);
  wr_server_set_tls(a.server, next);
  wr_tls_ctx_unref(next);
  shake(&c[0]);
  EQ_INT(c[0].tls.status, 0); /* it has begun with the first one */
  come(&c[1], true, ADDR);
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
    (void)wr_link_write(c.tls.p.link, &get, 1, &taken);
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
  if (wr__arrive(a.server, kind != LIFE_TLS, theirs, ADDR) != 0) {
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
