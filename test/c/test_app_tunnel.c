/* Tunnel and server together: channels, connecting, reconnection, policy, and
   that no destination gets into a record. */
#include "app_tunnel.h"

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
  app_reload(&a, 2, "");
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

TAP_MAIN()
