/* Remote forwards: what they do, what is on the wire, what is taken. */
#include "app_tunnel.h"

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

TEST(a_policy_that_is_reloaded_holds_for_the_streams_of_a_name) {
  static const char *const denied[] = {"-wraith-events", NULL};
  start(1, NULL);
  client c;
  chan open, pending;
  client_open(&c, &a, 0);
  client_connect(&c);
  memset(&open, 0, sizeof(open));
  memset(&pending, 0, sizeof(pending));
  ask_remote(&c, "wraith-events", 0, NULL);
  EQ_INT(wr_server_open(a.server, a.last_session, "wraith-events", chan_opened,
                        &open, &open.opening),
         0);
  env_until(&a.e, &open.done);
  EQ_INT(open.status, 0);
  EQ_INT(wr_server_open(a.server, a.last_session, "wraith-events", chan_opened,
                        &pending, &pending.opening),
         0);
  wr_server_reload(a.server, NULL, app_policy(&a, denied));
  env_until(&a.e, &pending.done);
  EQ_INT(pending.status, WR_ECHANNEL_DENIED);
  UNTIL(open.p.closed);
  EQ_INT(open.p.status, WR_ECHANNEL_DENIED);
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

TAP_MAIN()
