#include "proxy_pair.h"

#include <sys/stat.h>

#include "base/wire.h"
#include "proxy/remote.h"

/* Remote forwards: requests of real sessions, real listeners. */

/* One client and its session on the server. */
typedef struct side {
  wr_ssh *c, *s; /* NULL once closed */
  bool up;
  wr_remote_session *remote;
  end ends[8]; /* channels that were opened to the client */
  wr_target targets[8];
  int n;
  int refuse_with;
  /* the last answer */
  int replies;
  int status;
  uint8_t payload[8];
  size_t payload_len;
} side;

static env e;
static env *v = &e;
static wr_key *host_key;
static wr_key *keys[2];
static side one, two;
static wr_remotes *remotes;
static wr_remotes_opts ropts;
static wr_policy *policy;

static wr_keyopts limits; /* of every key here */
static bool no_forwarding;

static wr_access on_access(void *user) {
  CHECK(user == &one || user == &two);
  return (wr_access){policy, &limits, no_forwarding};
}

static void on_host_key(wr_ssh *s, wr_slice blob) {
  WR_UNUSED(blob);
  wr_ssh_host_key_verdict(s, 0);
}

static void on_auth(wr_ssh *s, const wr_auth_offer *o) {
  WR_UNUSED(o);
  wr_ssh_auth_reply(s, true);
}

static void on_ready(wr_ssh *s) {
  side *x = wr_ssh_user(s);
  wr_ssh_info info;
  if (s == x->c) {
    x->up = true;
    return;
  }
  wr_ssh_query(s, &info);
  MUST(wr_remote_session_new(remotes, s, info.key_blob, x, &x->remote) == 0);
}

static void on_request(wr_ssh *s, wr_request *r) {
  side *x = wr_ssh_user(s);
  if (!wr_remote_request(x->remote, r)) {
    wr_request_reply(r, false, (wr_slice){NULL, 0});
  }
}

static void on_request_canceled(wr_ssh *s, wr_request *r) {
  WR_UNUSED(s);
  WR_UNUSED(r);
}

static void on_open(wr_ssh *s, wr_open *open) {
  side *x = wr_ssh_user(s);
  MUST(x->n < 8);
  x->targets[x->n] = *wr_open_target(open);
  if (x->refuse_with != 0) {
    wr_open_refuse(open, x->refuse_with);
    x->n++;
    return;
  }
  wr_link *link = wr_open_accept(open);
  MUST(link != NULL);
  end_own(&x->ends[x->n++], link);
}

static void on_open_canceled(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  WR_UNUSED(open);
}

static void on_close(wr_ssh *s, int status) {
  side *x = wr_ssh_user(s);
  WR_UNUSED(status);
  if (s == x->c) {
    x->c = NULL;
    return;
  }
  x->s = NULL;
  if (x->remote != NULL) {
    wr_remote_session_free(x->remote);
    x->remote = NULL;
  }
}

static const wr_ssh_handler handler = {.on_host_key = on_host_key,
                                       .on_auth = on_auth,
                                       .on_ready = on_ready,
                                       .on_open = on_open,
                                       .on_open_canceled = on_open_canceled,
                                       .on_request = on_request,
                                       .on_request_canceled =
                                           on_request_canceled,
                                       .on_close = on_close};

static void side_up(side *x, wr_key **key) {
  wr_link *a, *b;
  memset(x, 0, sizeof(*x));
  MUST(wr_mempair_new(&e.ctx, PAIR_CAPACITY, &a, &b) == 0);
  wr_identity identity = {.key = *key};
  wr_ssh_opts copts = {.role = WR_SSH_CLIENT,
                       .handler = &handler,
                       .user = x,
                       .login = "alice",
                       .identities = &identity,
                       .n_identities = 1};
  wr_ssh_opts sopts = {.role = WR_SSH_SERVER,
                       .handler = &handler,
                       .user = x,
                       .host_key = host_key};
  MUST(wr_ssh_start(&e.ctx, b, &sopts, &x->s) == 0);
  MUST(wr_ssh_start(&e.ctx, a, &copts, &x->c) == 0);
  RUN_UNTIL(v, x->up && x->remote != NULL);
}

static void side_down(side *x) {
  if (x->c != NULL) {
    wr_ssh_abort(x->c, WR_ECLOSED);
  }
  if (x->s != NULL) {
    wr_ssh_abort(x->s, WR_ECLOSED);
  }
  RUN_UNTIL(v, x->c == NULL && x->s == NULL);
}

static void set_up(void) {
  env_open(&e);
  MUST(wr_key_generate(&e.ctx.mem, &host_key) == 0);
  MUST(wr_key_generate(&e.ctx.mem, &keys[0]) == 0);
  MUST(wr_key_generate(&e.ctx.mem, &keys[1]) == 0);
  policy = rules(&e.ctx.mem, "");
  wr_keyopts_init(&limits);
  no_forwarding = false;
  ropts = (wr_remotes_opts){.forwarding = true, .access = on_access};
  memset(&one, 0, sizeof(one));
  memset(&two, 0, sizeof(two));
}

static void go(void) {
  MUST(wr_remotes_new(&e.ctx, &ropts, &remotes) == 0);
  side_up(&one, &keys[0]);
}

static void tear_down(void) {
  side_down(&one);
  side_down(&two);
  wr_remotes_free(remotes);
  wr_policy_free(policy);
  wr_keyopts_reset(&e.ctx.mem, &limits);
  wr_key_unref(host_key);
  wr_key_unref(keys[0]);
  wr_key_unref(keys[1]);
  run_settle(v);
  env_close(&e);
}

static void put_rules(const char *text) {
  wr_policy_free(policy);
  policy = rules(&e.ctx.mem, text);
}

static void on_reply(void *user, int status, wr_slice payload) {
  side *x = user;
  x->replies++;
  x->status = status;
  MUST(payload.len <= sizeof(x->payload));
  x->payload_len = payload.len;
  if (payload.len > 0) {
    memcpy(x->payload, payload.data, payload.len);
  }
}

static int request(side *x, const char *name, const void *payload, size_t len) {
  int before = x->replies;
  MUST(wr_ssh_request(x->c, name, (wr_slice){payload, len}, on_reply, x) == 0);
  RUN_UNTIL(v, x->replies > before);
  return x->status;
}

/* Address and port of a TCP request; port < 0: a path alone. */
static int request_at(side *x, const char *name, const char *host, long port) {
  wr_buf b;
  wr_buf_init(&b, &e.ctx.mem, 600);
  MUST(wr_buf_put_cstring(&b, host) == 0);
  if (port >= 0) {
    MUST(wr_buf_put_u32(&b, (uint32_t)port) == 0);
  }
  int err = request(x, name, b.data, b.len);
  wr_buf_reset(&b);
  return err;
}

static int forward(side *x, const char *host, long port) {
  return request_at(x, "tcpip-forward", host, port);
}

static int cancel(side *x, const char *host, long port) {
  return request_at(x, "cancel-tcpip-forward", host, port);
}

static uint16_t replied_port(const side *x) {
  EQ_INT(x->payload_len, 4);
  return (uint16_t)wr_get_u32(x->payload);
}

static int instance(side *x, char fill) {
  uint8_t id[20] = {0, 0, 0, 16};
  memset(id + 4, fill, 16);
  return request(x, "instance@wraith", id, sizeof(id));
}

static end c, c2;

/* 0, or why nobody answers there. */
static int knock(end *x, const char *host, uint16_t port) {
  struct sockaddr_storage ss;
  wr_ip ip;
  MUST(wr_ip_parse(host, &ip) == 0);
  wr_ip_to_sockaddr(&ip, port, &ss);
  end_connect(v, x, &ss);
  return x->connect_status;
}

static uint16_t a_free_port(void) {
  return closed_port(v);
}

TEST(a_connection_becomes_a_channel) {
  go();
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  EQ_INT(wr_remote_count(one.remote), 1);
  MUST(knock(&c, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, one.n == 1);
  EQ_INT(one.targets[0].kind, WR_TARGET_FORWARDED_TCP);
  EQ_STR(one.targets[0].host, "localhost");
  EQ_INT(one.targets[0].port, port);
  EQ_STR(one.targets[0].origin_host, "127.0.0.1");
  OK(one.targets[0].origin_port != 0, "the real port");
  end_send(&c, "ping", 4);
  end_send(&one.ends[0], "pong", 4);
  RUN_UNTIL(v, c.len == 4 && one.ends[0].len == 4);
  end_shutdown(&c);
  RUN_UNTIL(v, one.ends[0].eof);
  end_close(&one.ends[0], WR_CLOSE_ORDERLY);
  RUN_UNTIL(v, c.eof);
  end_close(&c, WR_CLOSE_ORDERLY);
}

TEST(a_client_that_refuses_resets) {
  go();
  one.refuse_with = WR_ECHANNEL_REFUSED;
  EQ_INT(forward(&one, "", 0), 0);
  MUST(knock(&c, "127.0.0.1", replied_port(&one)) == 0);
  RUN_UNTIL(v, c.closed);
  EQ_INT(c.status, UV_ECONNRESET);
  EQ_STR(one.targets[0].host, "");
}

TEST(the_address_is_echoed_and_the_port_not_answered) {
  go();
  static const char *const hosts[] = {"",  "localhost", "127.0.0.1",
                                      "*", "0.0.0.0",   "2001:db8::1"};
  for (size_t i = 0; i < WR_COUNTOF(hosts); i++) {
    uint16_t port = a_free_port();
    EQ_INT(forward(&one, hosts[i], port), 0);
    EQ_INT(one.payload_len, 0);
    one.n = 0;
    MUST(knock(&c, "127.0.0.1", port) == 0);
    RUN_UNTIL(v, one.n == 1);
    EQ_STR(one.targets[0].host, hosts[i]);
    EQ_INT(one.targets[0].port, port);
    end_close(&one.ends[0], WR_CLOSE_RESET);
    RUN_UNTIL(v, c.closed);
    EQ_INT(cancel(&one, hosts[i], port), 0);
    OK(knock(&c, "127.0.0.1", port) != 0, "cancelled");
    EQ_INT(cancel(&one, hosts[i], port), WR_EFORWARD_REFUSED);
  }
}

/* An address of this machine that is not loopback; "" if there is none. */
static void other_address(char dst[WR_ADDR_TEXT_MAX]) {
  uv_interface_address_t *list;
  int n;
  dst[0] = '\0';
  MUST(uv_interface_addresses(&list, &n) == 0);
  for (int i = 0; i < n; i++) {
    if (!list[i].is_internal &&
        list[i].address.address4.sin_family == AF_INET) {
      wr_sockaddr_host((struct sockaddr *)&list[i].address, dst);
    }
  }
  uv_free_interface_addresses(list, n);
}

TEST(only_gateway_ports_leave_loopback) {
  char addr[WR_ADDR_TEXT_MAX];
  other_address(addr);
  if (addr[0] == '\0') {
    remotes = NULL;
    SKIP("this machine has loopback only");
  }
  for (int gateway = 0; gateway < 2; gateway++) {
    ropts.gateway_ports = gateway != 0;
    MUST(wr_remotes_new(&e.ctx, &ropts, &remotes) == 0);
    side_up(&one, &keys[0]);
    static const char *const hosts[] = {"", "*", "0.0.0.0", "localhost",
                                        "127.0.0.1"};
    for (size_t i = 0; i < WR_COUNTOF(hosts); i++) {
      bool all = gateway != 0 && i < 3;
      EQ_INT(forward(&one, hosts[i], 0), 0);
      uint16_t port = replied_port(&one);
      EQ_INT(knock(&c, addr, port) == 0, all);
      end_close(&c, WR_CLOSE_RESET);
      EQ_INT(knock(&c, "127.0.0.1", port), 0);
      end_close(&c, WR_CLOSE_RESET);
    }
    EQ_INT(forward(&one, "not-an-address", 0) == 0, gateway == 0);
    if (gateway == 0) {
      side_down(&one);
      wr_remotes_free(remotes);
    }
  }
}

TEST(both_loopback_addresses_have_one_port) {
  go();
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  int err = knock(&c, "::1", port);
  if (err == UV_EADDRNOTAVAIL) {
    SKIP("no IPv6 here");
  }
  EQ_INT(err, 0);
  end_close(&c, WR_CLOSE_RESET);
  EQ_INT(forward(&one, "::1", 0), 0);
  port = replied_port(&one);
  OK(knock(&c, "127.0.0.1", port) != 0, "not on 127.0.0.1");
  EQ_INT(knock(&c2, "::1", port), 0);
  end_close(&c2, WR_CLOSE_RESET);
  EQ_INT(forward(&one, "127.0.0.1", 0), 0);
  OK(knock(&c, "::1", replied_port(&one)) != 0, "not on ::1");
}

TEST(malformed_requests_are_refused) {
  go();
  static const struct {
    const char *bytes;
    size_t len;
  } bad[] = {{"", 0},
             {"\0\0\0", 3},
             {"\0\0\0\x05host", 8},
             {"\0\0\0\0", 4},
             {"\0\0\0\0\0\0\x10", 7},
             {"\0\0\0\0\0\0\x10\0x", 9},
             {"\0\0\0\0\0\1\0\0", 8},
             {"\0\0\0\x01\0\0\0\x10\0", 9},
             {"\xff\xff\xff\xff\0\0\0\0", 8}};
  static const char *const requests[] = {
      "tcpip-forward", "cancel-tcpip-forward",
      "streamlocal-forward@openssh.com",
      "cancel-streamlocal-forward@openssh.com", "instance@wraith"};
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    for (size_t k = 0; k < WR_COUNTOF(requests); k++) {
      OK(request(&one, requests[k], bad[i].bytes, bad[i].len) ==
             WR_EFORWARD_REFUSED,
         "%s, case %zu", requests[k], i);
    }
  }
  char host[300];
  memset(host, 'a', sizeof(host));
  host[256] = '\0';
  EQ_INT(forward(&one, host, 0), WR_EFORWARD_REFUSED);
  EQ_INT(wr_remote_count(one.remote), 0);
  EQ_INT(request(&one, "unknown@test", "", 0), WR_EFORWARD_REFUSED);
}

TEST(limits_duplicates_and_taken_ports) {
  ropts.max_per_session = 3;
  go();
  uint16_t port = a_free_port();
  EQ_INT(forward(&one, "localhost", port), 0);
  EQ_INT(forward(&one, "localhost", port), WR_EFORWARD_REFUSED);
  EQ_INT(forward(&one, "127.0.0.1", port), WR_EFORWARD_REFUSED);
  EQ_INT(forward(&one, "localhost", 0), 0);
  EQ_INT(forward(&one, "localhost", 0), 0);
  EQ_INT(wr_remote_count(one.remote), 3);
  EQ_INT(forward(&one, "localhost", 0), WR_EFORWARD_REFUSED);
  EQ_INT(cancel(&one, "localhost", port), 0);
  EQ_INT(forward(&one, "localhost", port), 0);
}

TEST(the_policy_decides_where_to_listen) {
  go();
  EQ_INT(forward(&one, "localhost", 1023), WR_EFORWARD_REFUSED);
  uint16_t port = a_free_port();
  char text[64];
  snprintf(text, sizeof(text), "-*:%u", port);
  EQ_INT(forward(&one, "localhost", port), 0);
  put_rules(text);
  wr_remotes_recheck(remotes);
  EQ_INT(wr_remote_count(one.remote), 0);
  OK(knock(&c, "127.0.0.1", port) != 0, "closed by the reload");
  EQ_INT(forward(&one, "localhost", port), WR_EFORWARD_REFUSED);
  put_rules("-*");
  EQ_INT(forward(&one, "localhost", 0), WR_EFORWARD_REFUSED);
}

/* What the system chooses may be denied as well. */
TEST(a_chosen_port_is_judged_too) {
  go();
  put_rules("-*:1024-65535");
  EQ_INT(forward(&one, "localhost", 0), WR_EFORWARD_REFUSED);
  EQ_INT(wr_remote_count(one.remote), 0);
}

TEST(without_forwarding_names_alone_are_taken) {
  ropts.forwarding = false;
  go();
  put_rules("+unix:/tmp/*");
  EQ_INT(forward(&one, "localhost", 0), WR_EFORWARD_REFUSED);
  EQ_INT(request_at(&one, "streamlocal-forward@openssh.com", "/tmp/x", -1),
         WR_EFORWARD_REFUSED);
  put_rules("");
  EQ_INT(forward(&one, "wraith-chat", 0), 0);
}

TEST(reserved_names_bind_nothing) {
  go();
  EQ_INT(forward(&one, "Wraith-Chat.", 0), 0);
  EQ_INT(replied_port(&one), 1);
  CHECK(wr_remote_has_name(one.remote, "wraith-chat"));
  CHECK(!wr_remote_has_name(one.remote, "wraith-other"));
  EQ_INT(wr_remote_count(one.remote), 1);
  EQ_INT(forward(&one, "wraith-chat", 0), WR_EFORWARD_REFUSED);
  EQ_INT(forward(&one, "wraith-other", 80), WR_EFORWARD_REFUSED);
  EQ_INT(cancel(&one, "wraith-chat", 0), 0);
  CHECK(!wr_remote_has_name(one.remote, "wraith-chat"));
  put_rules("-wraith-*");
  EQ_INT(forward(&one, "wraith-chat", 0), WR_EFORWARD_REFUSED);
  put_rules("");
  EQ_INT(forward(&one, "wraith-chat", 0), 0);
  put_rules("-wraith-chat");
  wr_remotes_recheck(remotes);
  CHECK(!wr_remote_has_name(one.remote, "wraith-chat"));
}

TEST(unix_sockets_need_a_rule) {
  char path[64], rule[80];
  struct stat st;
  snprintf(path, sizeof(path), "/tmp/wraith-remote-%d.sock", (int)getpid());
  snprintf(rule, sizeof(rule), "+unix:%s", path);
  go();
  EQ_INT(request_at(&one, "streamlocal-forward@openssh.com", path, -1),
         WR_EFORWARD_REFUSED);
  put_rules(rule);
  EQ_INT(request_at(&one, "streamlocal-forward@openssh.com", path, -1), 0);
  EQ_INT(one.payload_len, 0);
  EQ_INT(request_at(&one, "streamlocal-forward@openssh.com", path, -1),
         WR_EFORWARD_REFUSED);
  end_connect_path(v, &c, path);
  RUN_UNTIL(v, one.n == 1);
  EQ_INT(one.targets[0].kind, WR_TARGET_FORWARDED_UNIX);
  EQ_STR(one.targets[0].host, path);
  EQ_INT(request_at(&one, "cancel-streamlocal-forward@openssh.com", path, -1),
         0);
  CHECK(stat(path, &st) != 0);
  end_send(&c, "still up", 8);
  RUN_UNTIL(v, one.ends[0].len == 8);
  end_close(&one.ends[0], WR_CLOSE_ORDERLY);
  end_close(&c, WR_CLOSE_ORDERLY);
}

TEST(a_session_that_ends_takes_all_with_it) {
  go();
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  MUST(knock(&c, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, one.n == 1);
  /* One more whose channel is not answered. */
  MUST(knock(&c2, "127.0.0.1", port) == 0);
  side_down(&one);
  RUN_UNTIL(v, c.closed && c2.closed);
  OK(c.status != 0 && c2.status != 0, "resets");
  OK(knock(&c, "127.0.0.1", port) != 0, "no listener is left");
}

TEST(the_same_instance_takes_over_at_once) {
  go();
  EQ_INT(instance(&one, 'i'), 0);
  EQ_INT(instance(&one, 'k'), WR_EFORWARD_REFUSED);
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  side_up(&two, &keys[0]);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  EQ_INT(instance(&two, 'i'), 0);
  MUST(knock(&c, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, one.n == 1);
  EQ_INT(forward(&two, "localhost", port), 0);
  EQ_INT(wr_remote_count(one.remote), 0);
  EQ_INT(wr_remote_count(two.remote), 1);
  MUST(knock(&c2, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, two.n == 1);
  EQ_INT(one.n, 1);
  EQ_STR(two.targets[0].host, "localhost");
  end_send(&c, "old", 3);
  RUN_UNTIL(v, one.ends[0].len == 3);
  side_down(&one);
  end_send(&c2, "new", 3);
  RUN_UNTIL(v, two.ends[0].len == 3);
  RUN_UNTIL(v, c.closed);
  MUST(knock(&c, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, two.n == 2);
}

TEST(a_takeover_with_any_port_gets_the_former_one) {
  go();
  EQ_INT(instance(&one, 'i'), 0);
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t first = replied_port(&one);
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t second = replied_port(&one);
  side_up(&two, &keys[0]);
  EQ_INT(instance(&two, 'i'), 0);
  EQ_INT(forward(&two, "localhost", 0), 0);
  EQ_INT(replied_port(&two), first);
  EQ_INT(forward(&two, "localhost", 0), 0);
  EQ_INT(replied_port(&two), second);
  EQ_INT(forward(&two, "localhost", 0), 0);
  OK(replied_port(&two) != first && replied_port(&two) != second, "a new one");
  EQ_INT(wr_remote_count(one.remote), 0);
}

TEST(others_take_over_nothing) {
  go();
  EQ_INT(instance(&one, 'i'), 0);
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  /* Another key with the same id, also from a stale session. */
  side_up(&two, &keys[1]);
  EQ_INT(instance(&two, 'i'), 0);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  wr_remote_session_set_stale(one.remote, true);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  wr_remote_session_set_stale(one.remote, false);
  side_down(&two);
  /* The same key with another id. */
  side_up(&two, &keys[0]);
  EQ_INT(instance(&two, 'k'), 0);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  EQ_INT(wr_remote_count(one.remote), 1);
}

TEST(a_client_without_id_takes_over_from_a_stale_session) {
  go();
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  side_up(&two, &keys[0]);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  wr_remote_session_set_stale(one.remote, true);
  EQ_INT(forward(&two, "", port), WR_EFORWARD_REFUSED);
  EQ_INT(forward(&two, "localhost", 0), 0);
  OK(replied_port(&two) != port, "any port is not that port");
  EQ_INT(forward(&two, "localhost", port), 0);
  EQ_INT(wr_remote_count(one.remote), 0);
  MUST(knock(&c, "127.0.0.1", port) == 0);
  RUN_UNTIL(v, two.n == 1);
  end_close(&c, WR_CLOSE_RESET);
}

TEST(a_takeover_is_judged_by_the_policy_and_counted) {
  ropts.max_per_session = 1;
  go();
  EQ_INT(instance(&one, 'i'), 0);
  EQ_INT(forward(&one, "localhost", 0), 0);
  uint16_t port = replied_port(&one);
  side_up(&two, &keys[0]);
  EQ_INT(instance(&two, 'i'), 0);
  put_rules("-*");
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  put_rules("");
  EQ_INT(forward(&two, "wraith-x", 0), 0);
  EQ_INT(forward(&two, "localhost", port), WR_EFORWARD_REFUSED);
  EQ_INT(wr_remote_count(one.remote), 1);
}

TEST(failing_memory_refuses_and_leaks_nothing) {
  go();
  for (uint64_t n = 1; n < 12; n++) {
    int before = one.replies;
    static const uint8_t payload[] = {0, 0, 0, 0, 0, 0, 0, 0};
    MUST(wr_ssh_request(one.c, "tcpip-forward",
                        (wr_slice){payload, sizeof(payload)}, on_reply,
                        &one) == 0);
    e.ctx.mem.fail_at = e.ctx.mem.total + n;
    RUN_UNTIL(v, one.replies > before || one.c == NULL);
    e.ctx.mem.fail_at = 0;
    if (one.c == NULL || one.s == NULL) {
      side_down(&one);
      side_up(&one, &keys[0]);
    }
  }
}

TAP_MAIN_WITH(set_up, tear_down)
