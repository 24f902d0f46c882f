#include "proxy_pair.h"

#include "proxy/local.h"
#include "proxy/target.h"

/* Targets of the server, asked for over a real pair of sessions. */

static pair p;
static env *v;
static wr_target_owner owner;
static wr_policy *policy;
static int policy_calls;
static int
    flip_after; /* the policy changes after so many questions; 0: never */
static wr_policy *flip_to;
static int ends_heard;

static wr_keyopts limits; /* of the key that logged in */
static bool no_forwarding;
static wr_upstream proxy; /* port 0: targets are dialled directly */

static wr_access on_access(wr_target_owner *o) {
  CHECK(o == &owner);
  policy_calls++;
  const wr_policy *now =
      flip_after != 0 && policy_calls > flip_after ? flip_to : policy;
  return (wr_access){.policy = now,
                     .key = &limits,
                     .no_forwarding = no_forwarding,
                     .proxied = owner.proxy != NULL};
}

static void on_end(wr_target_owner *o, wr_target_conn *c) {
  CHECK(o == &owner && c != NULL);
  ends_heard++;
}

static void server_open(wr_ssh *s, wr_open *open) {
  int before = ends_heard;
  WR_UNUSED(s);
  wr_target_connect(&p.e.ctx, &owner, open, NULL);
  OK(ends_heard == before, "on_end comes later");
}

static wr_endpoint forward_to;

static void client_open(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  wr_target_connect(&p.e.ctx, &owner, open, &forward_to);
}

static void open_canceled(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  p.opens_canceled++;
  wr_target_canceled(open);
}

static wr_ssh_handler server_handler;
static wr_ssh_handler client_handler;

static void set_up(void) {
  pair_init_clock(&p, false);
  v = &p.e;
  server_handler = client_handler = pair_handler;
  server_handler.on_open = server_open;
  client_handler.on_open = client_open;
  server_handler.on_open_canceled = open_canceled;
  client_handler.on_open_canceled = open_canceled;
  p.sopts.handler = &server_handler;
  p.copts.handler = &client_handler;
  names_init(v);
  wr_keyopts_init(&limits);
  no_forwarding = false;
  owner = (wr_target_owner){.access = on_access, .on_end = on_end};
  wr_list_init(&owner.conns);
  policy_calls = flip_after = ends_heard = 0;
  policy = rules(&v->ctx.mem, "");
  flip_to = rules(&v->ctx.mem, "-*");
  pair_up(&p);
}

static void tear_down(void) {
  names_release();
  wr_target_abort_all(&owner);
  RUN_UNTIL(v, owner.n_conns == 0);
  wr_policy_free(policy);
  wr_policy_free(flip_to);
  wr_keyopts_reset(&v->ctx.mem, &limits);
  if (p.c != NULL) {
    wr_ssh_abort(p.c, WR_ECLOSED);
  }
  if (p.s != NULL) {
    wr_ssh_abort(p.s, WR_ECLOSED);
  }
  RUN_UNTIL(v, p.c == NULL && p.s == NULL && v->ctx.uv_reqs == 0 &&
                   v->ctx.uv_handles <= 5);
  EQ_INT(owner.n_conns, 0);
  pair_fini(&p);
}

static void put_rules(const char *text) {
  wr_policy_free(policy);
  policy = rules(&v->ctx.mem, text);
}

static int try_now(asking *a, const char *host, uint16_t port) {
  return ask_now(v, p.c, a, WR_TARGET_TCP, host, port);
}

static asking a, b;
static service svc;
static end served[300];

TEST(a_target_is_dialled_and_spliced) {
  uint16_t port = service_start(v, &svc, served, 10);
  EQ_INT(try_now(&a, "127.0.0.1", port), 0);
  RUN_UNTIL(v, svc.n == 1);
  EQ_INT(owner.n_conns, 1);
  end_send(&a.e, "ping", 4);
  RUN_UNTIL(v, served[0].len == 4);
  end_shutdown(&a.e);
  RUN_UNTIL(v, served[0].eof);
  end_send(&served[0], "late reply", 10);
  end_shutdown(&served[0]);
  RUN_UNTIL(v, a.e.eof);
  EQ_STR(a.e.in, "late reply");
  RUN_UNTIL(v, owner.n_conns == 0);
  EQ_INT(ends_heard, 1);
  end_close(&a.e, WR_CLOSE_ORDERLY);
  end_close(&served[0], WR_CLOSE_ORDERLY);
  service_stop(v, &svc);
}

TEST(names_are_resolved_here) {
  uint16_t port = service_start(v, &svc, served, 10);
  EQ_INT(try_now(&a, "db.test", port), 0);
  EQ_INT(names.lookups, 1);
  RUN_UNTIL(v, svc.n == 1);
  end_close(&served[0], WR_CLOSE_RESET);
  RUN_UNTIL(v, a.e.closed || a.e.eof);
  end_close(&a.e, WR_CLOSE_RESET);
  service_stop(v, &svc);
}

TEST(failures_are_told_truly) {
  EQ_INT(try_now(&a, "127.0.0.1", closed_port(v)), WR_ECHANNEL_REFUSED);
  EQ_INT(try_now(&a, "nx.test", 80), WR_ECHANNEL_UNRESOLVED);
  EQ_INT(try_now(&a, "wraith-other", 80), WR_ECHANNEL_UNKNOWN);
  EQ_INT(names.lookups, 1);
  EQ_INT(try_now(&a, "127.0.0.1", 0), WR_ECHANNEL_FAILED);
  EQ_INT(ask_now(v, p.c, &a, WR_TARGET_UNIX, "/nonexistent/x", 0),
         WR_ECHANNEL_DENIED);
  put_rules("+unix:/nonexistent/*");
  int err = ask_now(v, p.c, &a, WR_TARGET_UNIX, "/nonexistent/x", 0);
  OK(err != 0 && err != WR_ECHANNEL_DENIED, "no such socket");
  RUN_UNTIL(v, owner.n_conns == 0);
  EQ_INT(ends_heard, 6);
}

TEST(the_policy_decides_by_name_and_by_address) {
  uint16_t port = service_start(v, &svc, served, 10);
  put_rules("-127.0.0.0/8");
  EQ_INT(try_now(&a, "127.0.0.1", port), WR_ECHANNEL_DENIED);
  EQ_INT(try_now(&a, "2130706433", port), WR_ECHANNEL_DENIED);
  EQ_INT(try_now(&a, "0.0.0.0", port), WR_ECHANNEL_DENIED);
  EQ_INT(try_now(&a, "db.test", port), WR_ECHANNEL_DENIED);
  put_rules("+other.test");
  names.lookups = 0;
  EQ_INT(try_now(&a, "db.test", port), WR_ECHANNEL_DENIED);
  OK(names.lookups == 0, "what is denied by name is not looked up");
  put_rules("-loopback +*.test");
  EQ_INT(try_now(&a, "db.test", port), WR_ECHANNEL_DENIED);
  put_rules("+db.test -loopback");
  EQ_INT(try_now(&a, "db.test", port), 0);
  OK(svc.n <= 1, "nothing else was dialled");
  end_close(&a.e, WR_CLOSE_RESET);
  RUN_UNTIL(v, svc.n == 1 && served[0].closed);
  service_stop(v, &svc);
}

/* Targets go through a proxy: the service plays it. */
static void proxy_up(const char *scheme) {
  char url[64];
  const char *why;
  uint16_t port = service_start(v, &svc, served, 10);
  snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scheme, port);
  MUST(wr_upstream_parse(url, &proxy, &why) == 0);
  owner.proxy = &proxy;
}

static void proxy_down(void) {
  for (int i = 0; i < svc.n; i++) {
    end_close(&served[i], WR_CLOSE_RESET);
  }
  service_stop(v, &svc);
}

/* Answers the newest connection with `reply` to its request. */
static void proxy_says(int n, const char *reply, size_t len) {
  RUN_UNTIL(v, svc.n == n && served[n - 1].len == 3);
  served[n - 1].len = 0;
  end_send(&served[n - 1], "\5\0", 2);
  RUN_UNTIL(v, served[n - 1].len > 4);
  end_send(&served[n - 1], reply, len);
}

TEST(a_proxy_is_given_the_name) {
  proxy_up("socks5");
  ask(p.c, &a, WR_TARGET_TCP, "secret.test", 80);
  proxy_says(1, "\5\0\0\1\0\0\0\0\0\0hi", 12);
  RUN_UNTIL(v, a.o.calls > 0);
  EQ_INT(a.o.status, 0);
  CHECK(memcmp(served[0].in, "\5\1\0\3\13secret.test\0\120", 18) == 0);
  EQ_INT(names.lookups, 0);
  RUN_UNTIL(v, a.e.len == 2);
  EQ_STR(a.e.in, "hi");
  end_close(&a.e, WR_CLOSE_RESET);
  RUN_UNTIL(v, owner.n_conns == 0);
  proxy_down();
}

TEST(a_proxys_failures_are_told_truly) {
  static const struct {
    const char reply[3];
    int err;
  } cases[] = {
      {"\5\1", WR_ECHANNEL_FAILED},      {"\5\2", WR_ECHANNEL_DENIED},
      {"\5\3", WR_ECHANNEL_UNREACHABLE}, {"\5\4", WR_ECHANNEL_UNRESOLVED},
      {"\5\5", WR_ECHANNEL_REFUSED},     {"\5\6", WR_ECHANNEL_TIMEOUT},
      {"\4\0", WR_ECHANNEL_FAILED}};
  proxy_up("socks5h");
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    ask(p.c, &a, WR_TARGET_TCP, "x.test", 80);
    proxy_says((int)i + 1, cases[i].reply, 2);
    RUN_UNTIL(v, a.o.calls > 0);
    OK(a.o.status == cases[i].err, "reply %d: %d", (int)i, a.o.status);
  }
  /* The proxy's own port is closed: the target refused nothing. */
  proxy.port = closed_port(v);
  EQ_INT(try_now(&a, "x.test", 80), WR_ECHANNEL_FAILED);
  EQ_INT(try_now(&a, "not a name", 80), WR_ECHANNEL_UNRESOLVED);
  EQ_INT(names.lookups, 0);
  proxy_down();
}

TEST(sockets_are_not_reached_through_a_proxy) {
  proxy_up("socks5");
  put_rules("+unix:/nonexistent/*");
  int err = ask_now(v, p.c, &a, WR_TARGET_UNIX, "/nonexistent/x", 0);
  EQ_INT(err, WR_ECHANNEL_FAILED);
  run_moment(v, 20);
  EQ_INT(svc.n, 0);
  proxy_down();
}

TEST(the_policy_judges_what_goes_to_a_proxy) {
  proxy_up("socks5");
  put_rules("-private +*");
  EQ_INT(try_now(&a, "x.test", 80), WR_ECHANNEL_DENIED);
  EQ_INT(try_now(&a, "10.0.0.1", 80), WR_ECHANNEL_DENIED);
  put_rules("-private +x.test");
  ask(p.c, &a, WR_TARGET_TCP, "x.test", 80);
  proxy_says(1, "\5\0\0\1\0\0\0\0\0\0", 10);
  RUN_UNTIL(v, a.o.calls > 0);
  EQ_INT(a.o.status, 0);
  /* The proxy's address is not taken for the target's. */
  wr_target_recheck(&owner);
  EQ_INT(owner.n_conns, 1);
  put_rules("-127.0.0.0/8 +x.test");
  wr_target_recheck(&owner);
  run_moment(v, 20);
  EQ_INT(owner.n_conns, 1);
  put_rules("-x.test");
  wr_target_recheck(&owner);
  RUN_UNTIL(v, owner.n_conns == 0);
  end_close(&a.e, WR_CLOSE_RESET);
  proxy_down();
}

/* Whenever a reload falls into an open that is under way, it counts. */
TEST(a_policy_that_changes_meanwhile_counts) {
  static const char *const hosts[] = {"127.0.0.1", "db.test"};
  uint16_t port = service_start(v, &svc, served, 100);
  for (size_t i = 0; i < WR_COUNTOF(hosts); i++) {
    flip_after = 0;
    policy_calls = 0;
    EQ_INT(try_now(&a, hosts[i], port), 0);
    int questions = policy_calls;
    OK(questions >= 3, "asked %d times", questions);
    end_close(&a.e, WR_CLOSE_RESET);
    for (int n = 1; n < questions; n++) {
      flip_after = n;
      policy_calls = 0;
      OK(try_now(&a, hosts[i], port) == WR_ECHANNEL_DENIED, "%s: change at %d",
         hosts[i], n);
    }
  }
  flip_after = 0;
  for (int i = 0; i < svc.n; i++) {
    RUN_UNTIL(v, served[i].closed || served[i].eof);
    end_close(&served[i], WR_CLOSE_RESET);
  }
  service_stop(v, &svc);
}

TEST(a_policy_that_changes_while_a_socket_is_dialled_counts) {
  char path[64], rule[80];
  snprintf(path, sizeof(path), "/tmp/wraith-change-%d.sock", (int)getpid());
  snprintf(rule, sizeof(rule), "+unix:%s", path);
  svc = (service){.ends = served, .max = 10};
  MUST(wr_listener_unix(&v->ctx, path, &service_handler, &svc, &svc.listener) ==
       0);
  put_rules(rule);
  flip_after = 1;
  EQ_INT(ask_now(v, p.c, &a, WR_TARGET_UNIX, path, 0), WR_ECHANNEL_DENIED);
  EQ_INT(policy_calls, 2);
  for (int i = 0; i < svc.n; i++) {
    RUN_UNTIL(v, served[i].closed || served[i].eof);
    end_close(&served[i], WR_CLOSE_RESET);
  }
  service_stop(v, &svc);
}

TEST(a_reload_ends_what_is_no_longer_allowed) {
  uint16_t port = service_start(v, &svc, served, 10);
  EQ_INT(try_now(&a, "db.test", port), 0);
  EQ_INT(try_now(&b, "127.0.0.1", port), 0);
  RUN_UNTIL(v, svc.n == 2);
  put_rules("+db.test -loopback");
  wr_target_recheck(&owner);
  RUN_UNTIL(v, b.e.closed || b.e.eof);
  RUN_UNTIL(v, served[1].closed);
  CHECK(!a.e.closed && !served[0].closed);
  EQ_INT(owner.n_conns, 1);
  put_rules("-127.0.0.1");
  wr_target_recheck(&owner);
  RUN_UNTIL(v, owner.n_conns == 0);
  end_close(&a.e, WR_CLOSE_RESET);
  end_close(&b.e, WR_CLOSE_RESET);
  names.hold = true;
  ask(p.c, &a, WR_TARGET_TCP, "db.test", port);
  put_rules("");
  RUN_UNTIL(v, owner.n_conns == 1 && names.held != NULL);
  put_rules("-db.test");
  wr_target_recheck(&owner);
  RUN_UNTIL(v, a.o.calls == 1);
  EQ_INT(a.o.status, WR_ECHANNEL_DENIED);
  RUN_UNTIL(v, served[0].closed);
  service_stop(v, &svc);
}

TEST(a_session_that_ends_cancels_its_dials) {
  names.hold = true;
  ask(p.c, &a, WR_TARGET_TCP, "db.test", 80);
  RUN_UNTIL(v, names.held != NULL);
  EQ_INT(owner.n_conns, 1);
  wr_ssh_abort(p.s, WR_ECLOSED);
  RUN_UNTIL(v, p.s == NULL);
  EQ_INT(p.opens_canceled, 1);
  RUN_UNTIL(v, owner.n_conns == 0);
  EQ_INT(ends_heard, 1);
  RUN_UNTIL(v, a.o.calls == 1);
}

TEST(an_owner_ends_all_at_once) {
  uint16_t port = service_start(v, &svc, served, 10);
  EQ_INT(try_now(&a, "127.0.0.1", port), 0);
  RUN_UNTIL(v, svc.n == 1);
  names.hold = true;
  ask(p.c, &b, WR_TARGET_TCP, "db.test", 80);
  RUN_UNTIL(v, names.held != NULL);
  EQ_INT(owner.n_conns, 2);
  wr_target_abort_all(&owner);
  wr_target_abort_all(&owner);
  EQ_INT(ends_heard, 0);
  RUN_UNTIL(v, owner.n_conns == 0);
  EQ_INT(ends_heard, 2);
  RUN_UNTIL(v, b.o.calls == 1);
  EQ_INT(b.o.status, WR_ECHANNEL_FAILED);
  RUN_UNTIL(v, (a.e.closed || a.e.eof) && served[0].closed);
  end_close(&a.e, WR_CLOSE_RESET);
  service_stop(v, &svc);
}

TEST(a_forward_of_the_client_replaces_the_target) {
  uint16_t port = service_start(v, &svc, served, 10);
  owner.access = NULL;
  forward_to = (wr_endpoint){.host = "127.0.0.1", .port = port};
  EQ_INT(ask_now(v, p.s, &a, WR_TARGET_FORWARDED_TCP, "localhost", 4711), 0);
  RUN_UNTIL(v, svc.n == 1);
  end_send(&a.e, "x", 1);
  RUN_UNTIL(v, served[0].len == 1);
  end_close(&a.e, WR_CLOSE_ORDERLY);
  RUN_UNTIL(v, served[0].eof);
  end_close(&served[0], WR_CLOSE_ORDERLY);
  forward_to = (wr_endpoint){.host = "wraith-control", .port = port};
  EQ_INT(ask_now(v, p.s, &a, WR_TARGET_FORWARDED_TCP, "localhost", 4711),
         WR_ECHANNEL_UNKNOWN);
  service_stop(v, &svc);
}

TEST(a_forward_of_the_client_may_lead_to_a_unix_socket) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/wraith-target-%d.sock", (int)getpid());
  svc = (service){.ends = served, .max = 10};
  MUST(wr_listener_unix(&v->ctx, path, &service_handler, &svc, &svc.listener) ==
       0);
  owner.access = NULL;
  forward_to = (wr_endpoint){.is_unix = true};
  snprintf(forward_to.host, sizeof(forward_to.host), "%s", path);
  EQ_INT(ask_now(v, p.s, &a, WR_TARGET_FORWARDED_TCP, "localhost", 4711), 0);
  RUN_UNTIL(v, svc.n == 1);
  end_close(&a.e, WR_CLOSE_RESET);
  RUN_UNTIL(v, served[0].eof || served[0].closed);
  end_close(&served[0], WR_CLOSE_RESET);
  service_stop(v, &svc);
}

TEST(a_unix_socket_that_a_rule_names) {
  char path[64], rule[80];
  snprintf(path, sizeof(path), "/tmp/wraith-target-%d.sock", (int)getpid());
  snprintf(rule, sizeof(rule), "+unix:%s", path);
  svc = (service){.ends = served, .max = 10};
  MUST(wr_listener_unix(&v->ctx, path, &service_handler, &svc, &svc.listener) ==
       0);
  EQ_INT(ask_now(v, p.c, &a, WR_TARGET_UNIX, path, 0), WR_ECHANNEL_DENIED);
  put_rules(rule);
  EQ_INT(ask_now(v, p.c, &a, WR_TARGET_UNIX, path, 0), 0);
  RUN_UNTIL(v, svc.n == 1);
  put_rules("");
  wr_target_recheck(&owner);
  RUN_UNTIL(v, owner.n_conns == 0);
  end_close(&a.e, WR_CLOSE_RESET);
  RUN_UNTIL(v, served[0].eof || served[0].closed);
  end_close(&served[0], WR_CLOSE_RESET);
  service_stop(v, &svc);
}

TEST(short_channels_leave_nothing) {
  uint16_t port = service_start(v, &svc, served, 300);
  size_t blocks = 0;
  for (int i = 0; i < 200; i++) {
    EQ_INT(try_now(&a, "127.0.0.1", port), 0);
    RUN_UNTIL(v, svc.n == i + 1);
    end_send(&served[i], "hello", 5);
    end_close(&served[i], WR_CLOSE_ORDERLY);
    RUN_UNTIL(v, a.e.eof);
    EQ_INT(a.e.len, 5);
    end_close(&a.e, WR_CLOSE_ORDERLY);
    RUN_UNTIL(v, owner.n_conns == 0);
    run_moment(v, 0);
    if (i == 50) {
      blocks = v->ctx.mem.live_blocks;
    }
  }
  OK(v->ctx.mem.live_blocks <= blocks, "%zu blocks, %zu after 50",
     v->ctx.mem.live_blocks, blocks);
  service_stop(v, &svc);
}

/* SOCKS on one side, targets on the other. */

static int tunnel_open(wr_opener *o, const wr_target *target, wr_opening_cb cb,
                       void *user, wr_opening **out) {
  WR_UNUSED(o);
  return wr_ssh_open(p.c, target, cb, user, out);
}

static void on_local_closed(void *user) {
  *(bool *)user = true;
}

static end client;

static void socks_says(const struct sockaddr_storage *addr, const char *host,
                       uint16_t port, int want) {
  uint8_t req[300] = {5, 1, 0, 5, 1, 0, 3};
  size_t len = strlen(host);
  req[7] = (uint8_t)len;
  memcpy(req + 8, host, len);
  req[8 + len] = (uint8_t)(port >> 8);
  req[9 + len] = (uint8_t)port;
  end_connect(v, &client, addr);
  end_send(&client, req, len + 10);
  RUN_UNTIL(v, client.len >= 12);
  OK(client.in[3] == want, "%s: reply %d, want %d", host, client.in[3], want);
  if (want != 0) {
    RUN_UNTIL(v, client.eof);
    end_close(&client, WR_CLOSE_ORDERLY);
  }
}

TEST(a_socks_client_hears_the_truth) {
  wr_opener opener = {.open = tunnel_open};
  wr_local_opts opts = {.inbound = true};
  struct sockaddr_storage addr;
  wr_local *l;
  uint16_t port = service_start(v, &svc, served, 10);
  MUST(wr_local_start(&v->ctx, &opener, &opts, &l) == 0);
  wr_local_addr(l, &addr);
  socks_says(&addr, "127.0.0.1", closed_port(v), 5);
  socks_says(&addr, "nx.test", 80, 4);
  put_rules("-db.test");
  socks_says(&addr, "db.test", port, 2);
  socks_says(&addr, "wraith-x", port, 1);
  socks_says(&addr, "127.0.0.1", port, 0);
  RUN_UNTIL(v, svc.n == 1);
  end_send(&served[0], "banner", 6);
  RUN_UNTIL(v, client.len == 18);
  end_send(&client, "hello", 5);
  RUN_UNTIL(v, served[0].len == 5);
  end_close(&client, WR_CLOSE_RESET);
  RUN_UNTIL(v, served[0].closed || served[0].eof);
  end_close(&served[0], WR_CLOSE_RESET);
  /* The client leaves while the name is looked up. */
  names.hold = true;
  end_connect(v, &client, &addr);
  end_send(&client, "\x05\x01\x00\x05\x01\x00\x03\x07zz.test\x00\x50", 17);
  RUN_UNTIL(v, names.held != NULL);
  end_close(&client, WR_CLOSE_ORDERLY);
  RUN_UNTIL(v, wr_local_connections(l) == 0);
  bool closed = false;
  wr_local_close(l, on_local_closed, &closed);
  RUN_UNTIL(v, closed);
  service_stop(v, &svc);
}

TAP_MAIN_WITH(set_up, tear_down)
