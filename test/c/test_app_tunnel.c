/* Tunnel and server together: channels, remote forwards, reconnection, policy,
   and that no destination gets into a record. */
#include "app_help.h"

static app a;

static void start(unsigned keys, const char *const *rules) {
  app_open(&a, false);
  app_serve(&a, keys, rules);
  app_listen(&a);
}

/* Turns of the loop until something is as it should be. */
#define UNTIL(cond)                                                            \
  do {                                                                         \
    wr_ctx_hold(&a.e.ctx);                                                     \
    while (!(cond)) {                                                          \
      uv_run(&a.e.loop, UV_RUN_ONCE);                                          \
    }                                                                          \
    wr_ctx_release(&a.e.ctx);                                                  \
  } while (0)

static void on_flag(void *user) {
  *(bool *)user = true;
}

/* A connection of an application's to a port of this machine. */
static void dial_done(wr_dial *d, int status, wr_link *link) {
  chan *ch = d->user;
  chan_opened(ch, status, link);
}

static int dial(chan *ch, uint16_t port) {
  wr_dial d = {.user = ch};
  wr_dial_opts o = {.host = "127.0.0.1", .port = port};
  memset(ch, 0, sizeof(*ch));
  MUST(wr_dial_start(&a.e.ctx, &d, &o, dial_done) == 0);
  env_until(&a.e, &ch->done);
  return ch->status;
}

static uint16_t local_port(const wr_local *l) {
  struct sockaddr_storage ss;
  wr_local_addr(l, &ss);
  return wr_sockaddr_port((const struct sockaddr *)&ss);
}

static wr_local *listen_for(client *c, const char *host, uint16_t port) {
  wr_local *l;
  wr_local_opts o = {.bind_host = "127.0.0.1", .target = {.port = port}};
  snprintf(o.target.host, sizeof(o.target.host), "%s", host);
  MUST(wr_tunnel_listen(c->t, &o, &l) == 0);
  return l;
}

/* CHANNELS */

TEST(channel_to_an_echo_server) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(c.asked, 1);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", x.port), 0);
  chan_echo(&ch, &a.e, 3000000);
  EQ_INT(x.opened, 1);
  UNTIL(x.closed == 1);
  struct sockaddr_storage ss;
  CHECK(wr_tunnel_peer(c.t, &ss));
  EQ_UINT(wr_sockaddr_port((const struct sockaddr *)&ss), a.port);
  wr_tunnel_stats st;
  wr_tunnel_get_stats(c.t, &st);
  EQ_UINT(st.channels_opened, 1);
  CHECK(st.bytes_out > 3000000 && st.bytes_in > 3000000);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(local_forward) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  bool gone = false;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  wr_local *l = listen_for(&c, "localhost", x.port);
  EQ_INT(dial(&ch, local_port(l)), 0);
  chan_echo(&ch, &a.e, 1000000);
  uint16_t port = local_port(l);
  wr_tunnel_unlisten(c.t, l, on_flag, &gone);
  env_until(&a.e, &gone);
  EQ_INT(dial(&ch, port), UV_ECONNREFUSED);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(causes_reach_the_opener) {
  static const char *const rules[] = {"-secret.example", "-10.0.0.0/8", "-*:7",
                                      NULL};
  start(1, rules);
  client c;
  chan ch;
  uint16_t dead = dead_port(&a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", dead), WR_ECHANNEL_REFUSED);
  EQ_INT(chan_open(&ch, &c, "localhost", dead), WR_ECHANNEL_REFUSED);
  EQ_INT(chan_open(&ch, &c, "10.1.2.3", 80), WR_ECHANNEL_DENIED);
  EQ_INT(chan_open(&ch, &c, "Secret.Example.", 80), WR_ECHANNEL_DENIED);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", 7), WR_ECHANNEL_DENIED);
  EQ_INT(chan_open(&ch, &c, "nowhere.invalid", 80), WR_ECHANNEL_UNRESOLVED);
  EQ_INT(chan_open(&ch, &c, "wraith-nobody", 1), WR_ECHANNEL_UNKNOWN);
  chan_ask(&ch, &c, WR_TARGET_UNIX, "/tmp/none.sock", 0);
  env_until(&a.e, &ch.done);
  EQ_INT(ch.status, WR_ECHANNEL_DENIED);
  client_close(&c);
  app_close(&a);
}

TEST(too_many_channels) {
  app_open(&a, false);
  a.opts.max_channels = 2;
  a.take_control = true;
  app_serve(&a, 1, NULL);
  app_listen(&a);
  client c;
  chan ch[3];
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch[0], &c, "wraith-control", 1), 0);
  EQ_INT(chan_open(&ch[1], &c, "wraith-control", 1), 0);
  EQ_INT(chan_open(&ch[2], &c, "wraith-control", 1), WR_ECHANNEL_LIMIT);
  peer_close(&a.controls[0]);
  peer_close(&a.controls[1]);
  chan_close(&ch[0], &a.e);
  chan_close(&ch[1], &a.e);
  UNTIL(a.controls[0].closed && a.controls[1].closed);
  client_close(&c);
  app_close(&a);
}

/* CONNECTING */

TEST(nobody_listens) {
  app_open(&a, false);
  a.port = dead_port(&a.e);
  client c;
  client_open(&c, &a, 0);
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(c.status, UV_ECONNREFUSED);
  EQ_STR(c.phase, "dial");
  CHECK(!c.was_up && !c.orderly);
  client_close(&c);
  EQ_INT(c.downs, 1);
  app_close(&a);
}

TEST(server_says_nothing) {
  app_open(&a, false);
  client c;
  wr_link *mine;
  wr_link *theirs;
  peer silent = {0};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  peer_own(&silent, theirs);
  client_open(&c, &a, 0);
  c.timeout_ms = 50;
  client_start(&c, mine);
  wr_tunnel_connect_opts again = {.host = "127.0.0.1", .user = "x"};
  EQ_INT(wr_tunnel_connect(c.t, &again), WR_EBUSY);
  client_until_down(&c);
  EQ_INT(c.status, WR_ETIMEOUT);
  EQ_STR(c.phase, "kex");
  client_close(&c);
  peer_close(&silent);
  app_close(&a);
}

TEST(host_key_is_not_the_right_one) {
  start(1, NULL);
  client c;
  client_open(&c, &a, 0);
  c.verdict = WR_EHOST_KEY_MISMATCH;
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(c.status, WR_EHOST_KEY_MISMATCH);
  EQ_STR(c.phase, "hostkey");
  EQ_INT(c.ups, 0);
  client_close(&c);
  app_close(&a);
}

TEST(host_key_question_has_a_time_limit) {
  start(1, NULL);
  client c;
  client_open(&c, &a, 0);
  c.verdict_later = true;
  c.timeout_ms = 100;
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(c.asked, 1);
  EQ_INT(c.status, WR_ETIMEOUT);
  EQ_STR(c.phase, "hostkey");
  wr_tunnel_verdict(c.t, 0); /* too late, and harmless */
  client_close(&c);
  app_close(&a);
}

TEST(host_key_answer_may_take_time) {
  start(1, NULL);
  client c;
  client_open(&c, &a, 0);
  c.verdict_later = true;
  client_start(&c, NULL);
  UNTIL(c.asked == 1);
  wr_tunnel_verdict(c.t, 0);
  env_until(&a.e, &c.is_up);
  client_close(&c);
  app_close(&a);
}

TEST(key_is_not_accepted) {
  start(2, NULL);
  client c;
  client_open(&c, &a, 0);
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(c.status, WR_EAUTH_REFUSED);
  EQ_STR(c.phase, "auth");
  CHECK(!c.was_up);
  client_close(&c);
  app_close(&a);
}

TEST(login_has_a_time_limit) {
  app_open(&a, false);
  a.opts.authorize = true;
  a.authorize_answer = -1;
  app_serve(&a, 1, NULL);
  app_listen(&a);
  client c;
  client_open(&c, &a, 0);
  c.timeout_ms = 200;
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(a.authorize_calls, 1);
  EQ_INT(c.status, WR_ETIMEOUT);
  EQ_STR(c.phase, "auth");
  client_close(&c);
  app_close(&a);
}

TEST(disconnect_in_every_state) {
  start(1, NULL);
  client c;
  client_open(&c, &a, 0);
  wr_tunnel_disconnect(c.t); /* nothing to end */

  client_start(&c, NULL); /* dialing */
  wr_tunnel_disconnect(c.t);
  CHECK(!c.down);
  client_until_down(&c);
  EQ_INT(c.status, 0);
  EQ_STR(c.phase, "dial");

  c.verdict_later = true;
  client_start(&c, NULL);
  UNTIL(c.asked == 1);
  wr_tunnel_disconnect(c.t);
  wr_tunnel_verdict(c.t, 0);
  client_until_down(&c);
  EQ_INT(c.status, 0);
  EQ_STR(c.phase, "hostkey");
  CHECK(!c.was_up);

  c.verdict_later = false;
  client_connect(&c);
  wr_tunnel_disconnect(c.t);
  wr_tunnel_disconnect(c.t);
  client_until_down(&c);
  EQ_INT(c.status, 0);
  CHECK(c.was_up && c.orderly);
  EQ_INT(c.downs, 3);
  client_close(&c);
  EQ_INT(c.downs, 3);
  app_close(&a);
}

TEST(close_in_every_state) {
  for (int state = 0; state < 4; state++) {
    for (int orderly = 0; orderly < 2; orderly++) {
      start(1, NULL);
      client c;
      client_open(&c, &a, 0);
      c.verdict_later = state == 2;
      if (state > 0) {
        client_start(&c, NULL);
      }
      if (state == 2) {
        UNTIL(c.asked == 1);
      } else if (state == 3) {
        env_until(&a.e, &c.is_up);
      }
      wr_local *l = listen_for(&c, "127.0.0.1", 1);
      WR_UNUSED(l);
      wr_tunnel_close(c.t, orderly == 1);
      CHECK(!c.closed);
      wr_tunnel_close(c.t, orderly == 1);
      env_until(&a.e, &c.closed);
      EQ_INT(c.closes, 1);
      EQ_INT(c.downs, 0);
      app_close(&a);
    }
  }
}

/* RECONNECTION */

TEST(server_killed_and_back) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  chan waiting;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  wr_local *l = listen_for(&c, "127.0.0.1", x.port);
  uint16_t port = local_port(l);
  client_connect(&c);
  EQ_INT(dial(&ch, port), 0);
  ch.p.to_send = 1;
  peer_go(&ch.p);
  UNTIL(ch.p.got == 1);
  app_stop(&a);
  client_until_down(&c);
  CHECK(c.was_up && c.orderly);
  EQ_INT(c.status, WR_EPEER_CLOSED);
  env_until(&a.e, &ch.p.closed);
  wr_target t = chan_target(WR_TARGET_TCP, "127.0.0.1", x.port);
  EQ_INT(wr_tunnel_open(c.t, &t, chan_opened, &waiting, &waiting.opening),
         WR_ETUNNEL_DOWN);

  app_serve(&a, 1, NULL);
  app_listen_at(&a, a.port);
  client_connect(&c);
  EQ_INT(local_port(l), port);
  EQ_INT(dial(&ch, port), 0);
  chan_echo(&ch, &a.e, 50000);
  EQ_INT(c.ups, 2);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

/* A SOCKS client that keeps what it gets. */
typedef struct talk {
  wr_link *link;
  uint8_t got[64];
  size_t n;
  bool closed;
} talk;

static size_t talk_read(wr_link *link, uint8_t *data, size_t len) {
  talk *k = link->user;
  size_t n = WR_MIN(len, sizeof(k->got) - k->n);
  memcpy(k->got + k->n, data, n);
  k->n += n;
  return len;
}

static void talk_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void talk_close(wr_link *link, int status) {
  talk *k = link->user;
  WR_UNUSED(status);
  k->closed = true;
}

static const wr_link_handler talk_handler = {
    .on_read = talk_read, .on_eof = talk_eof, .on_close = talk_close};

TEST(socks_answers_while_down) {
  static const char request[] = "\5\1\0"
                                "\5\1\0\3\4test\0P";
  static const uint8_t want[] = {5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0};
  app_open(&a, false);
  client c;
  chan ch;
  talk k = {0};
  size_t taken;
  wr_local *l;
  wr_local_opts o = {.bind_host = "127.0.0.1", .inbound = true};
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)request, sizeof(request) - 1);
  client_open(&c, &a, 0);
  MUST(wr_tunnel_listen(c.t, &o, &l) == 0);
  EQ_INT(dial(&ch, local_port(l)), 0);
  ch.p.link->user = &k;
  ch.p.link->handler = &talk_handler;
  MUST(wr_link_read_start(ch.p.link) == 0);
  MUST(wr_link_write(ch.p.link, &buf, 1, &taken) == 0);
  env_until(&a.e, &k.closed);
  EQ_MEM(k.got, k.n, want, sizeof(want));
  client_close(&c);
  app_close(&a);
}

TEST(session_ends_with_a_channel_open) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  chan pending;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", x.port), 0);
  chan_ask(&pending, &c, WR_TARGET_TCP, "127.0.0.1", x.port);
  wr_ssh_abort(wr_tunnel_session(c.t), UV_ECONNRESET);
  wr_opening *late;
  wr_target t = chan_target(WR_TARGET_TCP, "127.0.0.1", x.port);
  EQ_INT(wr_tunnel_open(c.t, &t, chan_opened, NULL, &late), WR_ETUNNEL_DOWN);
  client_until_down(&c);
  EQ_INT(c.status, UV_ECONNRESET);
  CHECK(c.was_up && !c.orderly);
  CHECK(ch.p.closed && pending.done);
  EQ_INT(pending.status, WR_ECLOSED);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

/* The session is gone at once, the target's socket only a turn later. */
TEST(target_closes_after_its_session) {
  app_open(&a, false);
  app_serve(&a, 1, NULL);
  echo x;
  client c;
  chan ch[2];
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  EQ_INT(client_pipe(&c, ""), 0);
  env_until(&a.e, &c.is_up);
  EQ_INT(chan_open(&ch[0], &c, "127.0.0.1", x.port), 0);
  chan_ask(&ch[1], &c, WR_TARGET_TCP, "127.0.0.1", x.port);
  wr_ctx_run_tasks(&a.e.ctx); /* the dial is under way */
  wr_ssh_abort(wr_tunnel_session(c.t), UV_ECONNRESET);
  wr_ctx_run_tasks(&a.e.ctx);
  CHECK(c.down);
  EQ_INT(a.gone, 1);
  UNTIL(x.opened > 0 && x.closed == x.opened);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

/* POLICY AND KEYS */

TEST(policy_reload_ends_what_is_no_longer_allowed) {
  start(1, NULL);
  echo x[2];
  client c;
  chan ch[2];
  char rule[32];
  const char *rules[] = {rule, NULL};
  echo_start(&x[0], &a.e);
  echo_start(&x[1], &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch[0], &c, "localhost", x[0].port), 0);
  EQ_INT(chan_open(&ch[1], &c, "127.0.0.1", x[1].port), 0);
  peer_go(&ch[0].p);
  peer_go(&ch[1].p);
  snprintf(rule, sizeof(rule), "-loopback:%u", (unsigned)x[0].port);
  wr_server_reload(a.server, NULL, app_policy(&a, rules));
  env_until(&a.e, &ch[0].p.closed);
  UNTIL(x[0].closed == 1);
  CHECK(!ch[1].p.closed);
  ch[1].p.to_send = 10000;
  chan_echo(&ch[1], &a.e, 10000);
  EQ_INT(chan_open(&ch[0], &c, "localhost", x[0].port), WR_ECHANNEL_DENIED);
  CHECK(c.is_up);
  client_close(&c);
  echo_stop(&x[0]);
  echo_stop(&x[1]);
  app_close(&a);
}

TEST(key_removed_ends_the_tunnel) {
  start(3, NULL);
  client c;
  client_open(&c, &a, 0);
  client_connect(&c);
  wr_server_reload(a.server, app_authkeys(&a, 2), NULL);
  client_until_down(&c);
  EQ_INT(c.status, WR_EPEER_CLOSED);
  CHECK(c.was_up);
  client_start(&c, NULL);
  client_until_down(&c);
  EQ_INT(c.status, WR_EAUTH_REFUSED);
  client_close(&c);
  app_close(&a);
}

TEST(drain_lets_a_channel_finish) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", x.port), 0);
  wr_server_close(a.server, 20000);
  chan_echo(&ch, &a.e, 1000000);
  client_until_down(&c);
  CHECK(c.orderly);
  env_until(&a.e, &a.closed);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

/* REMOTE FORWARDS */

static wr_endpoint endpoint(const char *host, uint16_t port) {
  wr_endpoint e = {.port = port};
  snprintf(e.host, sizeof(e.host), "%s", host);
  return e;
}

/* Asks for a forward to the echo server and waits for the answer. */
static wr_remote_forward *ask_remote(client *c, const char *host, uint16_t port,
                                     const echo *x) {
  wr_remote_forward *f;
  wr_endpoint bind = endpoint(host, port);
  wr_endpoint target = endpoint("127.0.0.1", x != NULL ? x->port : 0);
  int before = c->remotes;
  MUST(wr_tunnel_remote_add(c->t, &bind, x != NULL ? &target : NULL, c, &f) ==
       0);
  CHECK(wr_remote_forward_user(f) == c);
  UNTIL(c->remotes > before);
  CHECK(c->remote == f);
  return f;
}

TEST(remote_forward) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  wr_remote_forward *f = ask_remote(&c, "", 0, &x);
  EQ_INT(c.remote_status, 0);
  CHECK(c.remote_port != 0);
  EQ_INT(dial(&ch, c.remote_port), 0);
  chan_echo(&ch, &a.e, 1000000);
  EQ_INT(dial(&ch, c.remote_port), 0);
  ch.p.to_send = 1;
  peer_go(&ch.p);
  UNTIL(ch.p.got == 1);
  EQ_UINT(wr_remote_forward_connections(f), 1);
  wr_tunnel_remote_remove(c.t, f);
  env_until(&a.e, &ch.p.closed);
  /* The server may take a moment to hear of it. */
  do {
    dial(&ch, c.remote_port);
    if (ch.p.link != NULL) {
      wr_link_close(ch.p.link, WR_CLOSE_RESET);
      env_until(&a.e, &ch.p.closed);
    }
  } while (ch.status == 0);
  EQ_INT(ch.status, UV_ECONNREFUSED);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(remote_forward_comes_back_at_its_port) {
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  /* Before the first session: asked for as soon as there is one. */
  wr_remote_forward *f;
  wr_endpoint bind = endpoint("127.0.0.1", 0);
  wr_endpoint target = endpoint("127.0.0.1", x.port);
  MUST(wr_tunnel_remote_add(c.t, &bind, &target, NULL, &f) == 0);
  client_connect(&c);
  UNTIL(c.remotes == 1);
  uint16_t port = c.remote_port;
  app_stop(&a);
  client_until_down(&c);
  app_serve(&a, 1, NULL);
  app_listen_at(&a, a.port);
  client_connect(&c);
  UNTIL(c.remotes == 2);
  EQ_INT(c.remote_status, 0);
  EQ_UINT(c.remote_port, port);
  EQ_INT(dial(&ch, port), 0);
  chan_echo(&ch, &a.e, 1000);

  /* Now somebody else has that port. */
  app_stop(&a);
  client_until_down(&c);
  wr_listener *squatter;
  echo other = {.e = &a.e};
  MUST(wr_listener_tcp(&a.e.ctx, "127.0.0.1", port, false, &echo_handler,
                       &other, &squatter) == 0);
  app_serve(&a, 1, NULL);
  app_listen_at(&a, a.port);
  client_connect(&c);
  UNTIL(c.remotes == 3);
  EQ_INT(c.remote_status, 0);
  CHECK(c.remote_port != 0 && c.remote_port != port);
  EQ_INT(dial(&ch, c.remote_port), 0);
  chan_echo(&ch, &a.e, 1000);
  EQ_INT(x.opened, 2);
  wr_listener_close(squatter);
  env_until(&a.e, &other.gone);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(remote_forward_refused) {
  start(1, NULL);
  echo x;
  client c;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  ask_remote(&c, "127.0.0.1", x.port, &x); /* taken */
  EQ_INT(c.remote_status, WR_EFORWARD_REFUSED);
  ask_remote(&c, "127.0.0.1", 80, &x); /* a low port without a rule */
  EQ_INT(c.remote_status, WR_EFORWARD_REFUSED);
  /* As with sshd: without --gateway-ports every address means loopback. */
  chan ch;
  ask_remote(&c, "*", 0, &x);
  EQ_INT(c.remote_status, 0);
  EQ_INT(dial(&ch, c.remote_port), 0);
  chan_echo(&ch, &a.e, 1000);
  CHECK(c.is_up);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(remote_forward_removed_before_the_answer) {
  start(1, NULL);
  echo x;
  client c;
  wr_remote_forward *f;
  wr_endpoint bind = endpoint("127.0.0.1", 0);
  wr_endpoint target = endpoint("127.0.0.1", 1);
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  for (int i = 0; i < 3; i++) {
    MUST(wr_tunnel_remote_add(c.t, &bind, &target, NULL, &f) == 0);
    wr_tunnel_remote_remove(c.t, f);
  }
  ask_remote(&c, "127.0.0.1", 0, &x);
  EQ_INT(c.remotes, 1);
  /* Requests are answered in order: the cancels came before this one's. */
  ask_remote(&c, "127.0.0.1", 0, &x);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 2);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

TEST(names_of_a_client) {
  start(1, NULL);
  client c;
  chan ch;
  client_open(&c, &a, 0);
  client_connect(&c);
  memset(&ch, 0, sizeof(ch));
  EQ_INT(wr_server_open(a.server, a.last_session, "wraith-events", chan_opened,
                        &ch, &ch.opening),
         WR_ECHANNEL_UNKNOWN);
  wr_remote_forward *f = ask_remote(&c, "Wraith-Events", 0, NULL);
  EQ_INT(c.remote_status, 0);
  EQ_INT(c.remote_port, 0);
  EQ_INT(wr_server_open(a.server, a.last_session, "wraith-EVENTS.", chan_opened,
                        &ch, &ch.opening),
         0);
  env_until(&a.e, &ch.done);
  EQ_INT(ch.status, 0);
  EQ_STR(c.stream_host, "wraith-events");
  chan_echo(&ch, &a.e, 300000);
  EQ_INT(wr_server_open(a.server, a.last_session, "wraith-other", chan_opened,
                        &ch, &ch.opening),
         WR_ECHANNEL_UNKNOWN);
  EQ_INT(wr_server_open(a.server, 12345, "wraith-events", chan_opened, &ch,
                        &ch.opening),
         WR_ECHANNEL_UNKNOWN);
  UNTIL(c.streams.closed == 1);
  wr_tunnel_remote_remove(c.t, f);
  client_close(&c);
  app_close(&a);
}

TEST(streams_of_a_forward_without_a_target) {
  start(1, NULL);
  client c;
  chan ch;
  client_open(&c, &a, 0);
  client_connect(&c);
  ask_remote(&c, "127.0.0.1", 0, NULL);
  EQ_INT(c.remote_status, 0);
  EQ_INT(dial(&ch, c.remote_port), 0);
  chan_echo(&ch, &a.e, 100000);
  EQ_STR(c.stream_host, "127.0.0.1");
  UNTIL(c.streams.closed == 1);
  client_close(&c);
  app_close(&a);
}

TEST(returning_client_takes_its_forwards_over) {
  static const uint8_t mine[16] = "0123456789abcde";
  static const uint8_t others[16] = "0123456789abcdf";
  start(1, NULL);
  echo x;
  client dead;
  client back;
  client stranger;
  chan ch;
  echo_start(&x, &a.e);
  client_open(&dead, &a, 0);
  dead.instance = mine;
  client_connect(&dead);
  ask_remote(&dead, "127.0.0.1", 0, &x);
  uint16_t port = dead.remote_port;

  client_open(&stranger, &a, 0);
  stranger.instance = others;
  client_connect(&stranger);
  ask_remote(&stranger, "127.0.0.1", port, &x);
  EQ_INT(stranger.remote_status, WR_EFORWARD_REFUSED);

  client_open(&back, &a, 0);
  back.instance = mine;
  client_connect(&back);
  ask_remote(&back, "127.0.0.1", port, &x);
  EQ_INT(back.remote_status, 0);
  EQ_INT(dial(&ch, port), 0);
  chan_echo(&ch, &a.e, 1000);
  /* Its predecessor may go without harm. */
  client_close(&dead);
  EQ_INT(dial(&ch, port), 0);
  chan_echo(&ch, &a.e, 1000);
  EQ_INT(x.opened, 2);
  client_close(&back);
  client_close(&stranger);
  echo_stop(&x);
  app_close(&a);
}

TEST(policy_reload_closes_listeners) {
  static const char *const rules[] = {"-*", NULL};
  start(1, NULL);
  echo x;
  client c;
  chan ch;
  wr_server_stats st;
  echo_start(&x, &a.e);
  client_open(&c, &a, 0);
  client_connect(&c);
  ask_remote(&c, "127.0.0.1", 0, &x);
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 1);
  wr_server_reload(a.server, NULL, app_policy(&a, NULL));
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 1);
  EQ_INT(dial(&ch, c.remote_port), 0);
  chan_echo(&ch, &a.e, 1000);
  wr_server_reload(a.server, NULL, app_policy(&a, rules));
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.remote_forwards, 0);
  EQ_INT(dial(&ch, c.remote_port), UV_ECONNREFUSED);
  CHECK(c.is_up);
  client_close(&c);
  echo_stop(&x);
  app_close(&a);
}

/* A server of another make, which answers as it is told. */
typedef struct odd {
  wr_ssh *ssh;
  int n;
  char request[8][64];
  char host[8][64];
  uint32_t port[8];
  bool refuse;
  bool no_port; /* answers without the port that was chosen */
  bool silent;  /* answers nothing */
  int waiting;
} odd;

static void odd_auth(wr_ssh *s, const wr_auth_offer *offer) {
  WR_UNUSED(offer);
  wr_ssh_auth_reply(s, true);
}

static void odd_open(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  wr_open_refuse(open, WR_ECHANNEL_DENIED);
}

static void odd_request(wr_ssh *s, wr_request *r) {
  odd *o = wr_ssh_user(s);
  wr_slice payload = wr_request_payload(r);
  static const uint8_t port[4] = {0, 0, 0x30, 0x39};
  wr_rd rd;
  wr_rd_init(&rd, payload.data, payload.len);
  wr_slice host = wr_rd_string(&rd);
  MUST(o->n < 8);
  snprintf(o->request[o->n], sizeof(o->request[0]), "%s", wr_request_name(r));
  snprintf(o->host[o->n], sizeof(o->host[0]), "%.*s", (int)host.len,
           (const char *)host.data);
  o->port[o->n++] = rd.left > 0 ? wr_rd_u32(&rd) : 0;
  CHECK(rd.left == 0 || host.len == 16);
  if (o->silent) {
    o->waiting++;
    return;
  }
  wr_request_reply(r, !o->refuse,
                   o->no_port ? (wr_slice){NULL, 0} : (wr_slice){port, 4});
}

static void odd_request_canceled(wr_ssh *s, wr_request *r) {
  odd *o = wr_ssh_user(s);
  WR_UNUSED(r);
  o->waiting--;
}

static void odd_close(wr_ssh *s, int status) {
  odd *o = wr_ssh_user(s);
  WR_UNUSED(status);
  EQ_INT(o->waiting, 0);
  o->ssh = NULL;
}

static void odd_ready(wr_ssh *s) {
  WR_UNUSED(s);
}

static const wr_ssh_handler odd_handler = {.on_auth = odd_auth,
                                           .on_ready = odd_ready,
                                           .on_open = odd_open,
                                           .on_request = odd_request,
                                           .on_request_canceled =
                                               odd_request_canceled,
                                           .on_close = odd_close};

static void odd_serve(odd *o, client *c) {
  wr_link *mine;
  wr_link *theirs;
  wr_ssh_opts opts = {.role = WR_SSH_SERVER,
                      .handler = &odd_handler,
                      .user = o,
                      .host_key = a.host};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  MUST(wr_ssh_start(&a.e.ctx, theirs, &opts, &o->ssh) == 0);
  client_start(c, mine);
  wr_ctx_run_tasks(&a.e.ctx);
  MUST(c->is_up);
}

static wr_remote_forward *add(client *c, const char *host, uint16_t port) {
  wr_remote_forward *f;
  wr_endpoint bind = endpoint(host, port);
  bind.is_unix = host[0] == '/';
  MUST(wr_tunnel_remote_add(c->t, &bind, NULL, NULL, &f) == 0);
  wr_ctx_run_tasks(&a.e.ctx);
  return f;
}

TEST(requests_are_as_ssh_sends_them) {
  static const struct {
    const char *host;
    uint16_t port;
    const char *name;
    const char *sent;
    uint32_t sent_port;
  } cases[] = {
      {"", 0, "tcpip-forward", "localhost", 0},
      {"*", 8080, "tcpip-forward", "", 8080},
      {"::1", 8081, "tcpip-forward", "::1", 8081},
      {"Example.COM", 8082, "tcpip-forward", "Example.COM", 8082},
      {"WRAITH-Name.", 77, "tcpip-forward", "wraith-name", 0},
      {"/run/x.sock", 0, "streamlocal-forward@openssh.com", "/run/x.sock", 0},
  };
  app_open(&a, true);
  client c;
  odd o = {0};
  client_open(&c, &a, 0);
  odd_serve(&o, &c);
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    o.n = 0;
    wr_remote_forward *f = add(&c, cases[i].host, cases[i].port);
    EQ_INT(o.n, 1);
    EQ_STR(o.request[0], cases[i].name);
    EQ_STR(o.host[0], cases[i].sent);
    EQ_UINT(o.port[0], cases[i].sent_port);
    EQ_INT(c.remote_status, 0);
    EQ_INT(c.remote_port, i == 0 ? 12345 : cases[i].sent_port);
    wr_tunnel_remote_remove(c.t, f);
    wr_ctx_run_tasks(&a.e.ctx);
    EQ_INT(o.n, 2);
    EQ_STR(o.host[1], cases[i].sent);
    EQ_UINT(o.port[1], i == 0 ? 12345 : cases[i].sent_port);
    CHECK(strncmp(o.request[1], "cancel-", 7) == 0);
    EQ_STR(o.request[1] + 7, cases[i].name);
  }
  client_close(&c);
  app_close(&a);
}

TEST(answers_that_say_too_little) {
  app_open(&a, true);
  client c;
  odd o = {.no_port = true};
  client_open(&c, &a, 0);
  odd_serve(&o, &c);
  add(&c, "", 0);
  EQ_INT(c.remote_status, WR_ESSH_PROTOCOL);
  add(&c, "", 1234);
  EQ_INT(c.remote_status, 0);
  o.refuse = true;
  add(&c, "", 1235);
  EQ_INT(c.remote_status, WR_EFORWARD_REFUSED);
  EQ_INT(c.remotes, 3);
  o.silent = true;
  wr_remote_forward *f = add(&c, "", 1236);
  wr_tunnel_remote_remove(c.t, f);
  add(&c, "", 1237);
  EQ_INT(c.remotes, 3);
  client_close(&c);
  app_close(&a);
}

TEST(instance_goes_before_the_forwards) {
  static const uint8_t instance[16] = "0123456789abcde";
  app_open(&a, true);
  client c;
  odd o = {0};
  client_open(&c, &a, 0);
  c.instance = instance;
  add(&c, "", 1234);
  odd_serve(&o, &c);
  EQ_INT(o.n, 2);
  EQ_STR(o.request[0], "instance@wraith");
  EQ_STR(o.host[0], "0123456789abcde");
  EQ_STR(o.request[1], "tcpip-forward");
  client_close(&c);
  app_close(&a);
}

/* What the tunnel answers to a channel of the server's. */
static int offer(odd *o, wr_target_kind kind, const char *host, uint16_t port) {
  chan ch = {0};
  wr_target t = chan_target(kind, host, port);
  MUST(wr_ssh_open(o->ssh, &t, chan_opened, &ch, &ch.opening) == 0);
  wr_ctx_run_tasks(&a.e.ctx);
  MUST(ch.done);
  peer_close(&ch.p);
  wr_ctx_run_tasks(&a.e.ctx);
  return ch.status;
}

TEST(only_what_was_asked_for_is_taken) {
  app_open(&a, true);
  client c;
  odd o = {0};
  client_open(&c, &a, 0);
  odd_serve(&o, &c);
  EQ_INT(offer(&o, WR_TARGET_FORWARDED_TCP, "localhost", 1234),
         WR_ECHANNEL_UNKNOWN);
  add(&c, "", 1234);
  add(&c, "wraith-name", 0);
  add(&c, "/run/x.sock", 0);
  EQ_INT(offer(&o, WR_TARGET_FORWARDED_TCP, "localhost", 1234), 0);
  EQ_INT(offer(&o, WR_TARGET_FORWARDED_TCP, "wraith-NAME", 99), 0);
  EQ_INT(offer(&o, WR_TARGET_FORWARDED_UNIX, "/run/x.sock", 0), 0);
  static const wr_target wrong[] = {
      {.kind = WR_TARGET_FORWARDED_TCP, .host = "localhost", .port = 1235},
      {.kind = WR_TARGET_FORWARDED_TCP, .host = "127.0.0.1", .port = 1234},
      {.kind = WR_TARGET_FORWARDED_TCP, .host = "wraith-other", .port = 0},
      {.kind = WR_TARGET_FORWARDED_TCP, .host = "/run/x.sock", .port = 0},
      {.kind = WR_TARGET_FORWARDED_UNIX, .host = "/run/y.sock"},
      {.kind = WR_TARGET_FORWARDED_UNIX, .host = "localhost"},
      {.kind = WR_TARGET_TCP, .host = "localhost", .port = 1234},
      {.kind = WR_TARGET_UNIX, .host = "/run/x.sock"},
  };
  for (size_t i = 0; i < WR_COUNTOF(wrong); i++) {
    EQ_INT(offer(&o, wrong[i].kind, wrong[i].host, wrong[i].port),
           WR_ECHANNEL_UNKNOWN);
  }
  o.silent = true; /* asked for, and not granted */
  add(&c, "", 1300);
  EQ_INT(offer(&o, WR_TARGET_FORWARDED_TCP, "localhost", 1300),
         WR_ECHANNEL_UNKNOWN);
  EQ_INT(c.streams.closed, 3);
  client_close(&c);
  app_close(&a);
}

/* RECORDS */

TEST(no_destination_gets_into_a_record) {
  static const char *const rules[] = {"-denied-canary.example", "+*", NULL};
  start(1, rules);
  echo x;
  client c;
  chan ch;
  char port[16];
  echo_start(&x, &a.e);
  snprintf(port, sizeof(port), "%u", (unsigned)x.port);
  client_open(&c, &a, 0);
  client_connect(&c);
  EQ_INT(chan_open(&ch, &c, "denied-canary.example", 4711), WR_ECHANNEL_DENIED);
  EQ_INT(chan_open(&ch, &c, "lost-canary.invalid", 4712),
         WR_ECHANNEL_UNRESOLVED);
  EQ_INT(chan_open(&ch, &c, "wraith-canary", 1), WR_ECHANNEL_UNKNOWN);
  EQ_INT(chan_open(&ch, &c, "127.0.0.1", x.port), 0);
  chan_echo(&ch, &a.e, 123457);
  chan_ask(&ch, &c, WR_TARGET_UNIX, "/tmp/canary.sock", 0);
  env_until(&a.e, &ch.done);
  ask_remote(&c, "wraith-canary", 0, NULL);
  ask_remote(&c, "canary-listen.invalid", 0, NULL);
  ask_remote(&c, "127.0.0.1", 0, &x);
  client_close(&c);
  app_stop(&a);
  CHECK(a.n_log >= 5);
  EQ_INT(app_log_holds(&a, "canary"), 0);
  EQ_INT(app_log_holds(&a, "4711"), 0);
  EQ_INT(app_log_holds(&a, "4712"), 0);
  EQ_INT(app_log_holds(&a, "123457"), 0);
  int listening = app_log_holds(&a, "server listening");
  EQ_INT(listening, 1);
  for (int i = 0; i < a.n_log; i++) {
    /* Only the server's own start names a port. */
    CHECK(strstr(a.log[i], port) == NULL || strstr(a.log[i], "key_f") ||
          strstr(a.log[i], "listening"));
  }
  echo_stop(&x);
  app_close(&a);
}

TEST(start_and_stop_are_recorded) {
  start(1, NULL);
  LOGGED(&a, "INFO server listening listen_addr=127.0.0.1:%u transport=tcp",
         (unsigned)a.port);
  client c;
  client_open(&c, &a, 0);
  client_connect(&c);
  LOGGED(&a, "INFO connection opened remote_addr=127.0.0.1 transport=tcp"
             " session=1");
  a.read_log++;
  client_close(&c);
  UNTIL(a.gone == 1);
  a.read_log++;
  app_stop(&a);
  LOGGED(&a, "INFO server stopping sessions=0");
  LOG_ENDS(&a);
  app_close(&a);
}

/* MANY */

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
  wr_tunnel_connect_opts o = {
      .user = "alice", .identities = &c.key, .n_identities = 1};
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
  a.opts.authorized_keys = app_authkeys(&a, 1);
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
