/* A peer that is logged in, or not yet, and sends what nobody should: the session
   ends, and nothing else happens. Its packets are handed in where decrypted ones
   come out, or sent by its own transport layer. */
#include "ssh_pair.h"

/* A session that is up over a transport that swallows what is sent. */
typedef struct target {
  env e;
  wr_ssh *s;
  int closes;
  int status;
  int opens;
  int open_cancels;
  int requests;
  bool keep; /* opens and requests are left unanswered */
  wr_open *open;
  peer owner;
  int replies;
  opened asked;
} target;

static void t_open(wr_ssh *s, wr_open *open) {
  target *t = wr_ssh_user(s);
  t->opens++;
  if (t->keep) {
    t->open = open;
    return;
  }
  wr_link *link = wr_open_accept(open);
  if (t->owner.link == NULL) {
    memset(&t->owner, 0, sizeof(t->owner));
    peer_own(&t->owner, link);
    wr_link_read_start(link);
  } else {
    wr_link_close(link, WR_CLOSE_ORDERLY);
  }
}

static void t_open_canceled(wr_ssh *s, wr_open *open) {
  target *t = wr_ssh_user(s);
  WR_UNUSED(open);
  t->open_cancels++;
}

static void t_request(wr_ssh *s, wr_request *r) {
  target *t = wr_ssh_user(s);
  t->requests++;
  if (!t->keep) {
    wr_request_reply(r, true, (wr_slice){NULL, 0});
  }
}

static void t_request_canceled(wr_ssh *s, wr_request *r) {
  WR_UNUSED(s);
  WR_UNUSED(r);
}

static void t_ready(wr_ssh *s) {
  WR_UNUSED(s);
}

static void t_close(wr_ssh *s, int status) {
  target *t = wr_ssh_user(s);
  t->s = NULL;
  t->closes++;
  t->status = status;
}

static const wr_ssh_handler t_handler = {.on_ready = t_ready,
                                         .on_open = t_open,
                                         .on_open_canceled = t_open_canceled,
                                         .on_request = t_request,
                                         .on_request_canceled =
                                             t_request_canceled,
                                         .on_close = t_close};

static void t_init(target *t, wr_ssh_role role) {
  memset(t, 0, sizeof(*t));
  env_open(&t->e);
  wr_ctx_fake_clock(&t->e.ctx);
  wr_ssh_opts o = {
      .role = role, .handler = &t_handler, .user = t, .max_channels = 20};
  MUST(wr__ssh_start_sink(&t->e.ctx, &o, &t->s) == 0);
}

static void t_run(target *t) {
  wr_ctx_run_tasks(&t->e.ctx);
}

static void t_fini(target *t) {
  if (t->s != NULL) {
    wr_ssh_abort(t->s, WR_ECLOSED);
  }
  t_run(t);
  EQ_INT(t->closes, 1);
  EQ_INT(t->opens >= t->open_cancels, 1);
  env_close(&t->e);
}

/* A packet in memory of its exact size, so that a read past its end is seen. */
static void t_feed(target *t, const void *data, size_t len) {
  uint8_t *copy = malloc(len);
  MUST(copy != NULL);
  memcpy(copy, data, len);
  if (t->s != NULL) {
    int rc = wr__ssh_packet(t->s, copy, len);
    CHECK(rc == 0 || rc == WR_ECLOSED);
  }
  free(copy);
}

/* Builders of packets. */
typedef struct packet {
  uint8_t data[1024];
  size_t len;
} packet;

static void u8(packet *p, uint8_t v) {
  p->data[p->len++] = v;
}

static void u32(packet *p, uint32_t v) {
  wr_put_u32(p->data + p->len, v);
  p->len += 4;
}

static void str(packet *p, const char *s, size_t len) {
  u32(p, (uint32_t)len);
  memcpy(p->data + p->len, s, len);
  p->len += len;
}

static void cstr(packet *p, const char *s) {
  str(p, s, strlen(s));
}

static packet open_packet(const char *type, const char *host, size_t len,
                          uint32_t port) {
  packet p = {.len = 0};
  u8(&p, MSG_CHANNEL_OPEN);
  cstr(&p, type);
  u32(&p, 7);
  u32(&p, 100000);
  u32(&p, 32768);
  str(&p, host, len);
  u32(&p, port);
  cstr(&p, "127.0.0.1");
  u32(&p, 1234);
  return p;
}

/* number, channel, then up to two words. */
static packet on_channel(uint8_t number, uint32_t id) {
  packet p = {.len = 0};
  u8(&p, number);
  u32(&p, id);
  return p;
}

static void open_one(target *t) {
  packet p = open_packet("direct-tcpip", "host", 4, 80);
  t_feed(t, p.data, p.len);
  MUST(t->s != NULL && t->owner.link != NULL);
}

TEST(every_truncation_of_an_open_ends_the_session) {
  packet p = open_packet("direct-tcpip", "host", 4, 80);
  for (size_t len = 1; len < p.len; len++) {
    target t;
    t_init(&t, WR_SSH_SERVER);
    t_feed(&t, p.data, len);
    t_run(&t);
    EQ_INT(t.opens, 0);
    EQ_INT(t.status, WR_ESSH_PROTOCOL);
    t_fini(&t);
  }
  target t;
  t_init(&t, WR_SSH_SERVER);
  u8(&p, 0); /* too long is wrong as well */
  t_feed(&t, p.data, p.len);
  t_run(&t);
  EQ_INT(t.status, WR_ESSH_PROTOCOL);
  t_fini(&t);
}

TEST(every_truncation_of_other_packets_is_harmless) {
  packet all[12] = {{.len = 0}};
  size_t n = 0;
  all[n] = on_channel(MSG_CHANNEL_DATA, 0);
  cstr(&all[n++], "data");
  all[n] = on_channel(MSG_CHANNEL_EXTENDED_DATA, 0);
  u32(&all[n], 1);
  cstr(&all[n++], "data");
  all[n] = on_channel(MSG_CHANNEL_WINDOW_ADJUST, 0);
  u32(&all[n++], 5);
  all[n] = on_channel(MSG_CHANNEL_REQUEST, 0);
  cstr(&all[n], "exit-status");
  u8(&all[n], 1);
  u32(&all[n++], 0);
  all[n++] = on_channel(MSG_CHANNEL_EOF, 0);
  all[n++] = on_channel(MSG_CHANNEL_CLOSE, 0);
  all[n] = on_channel(MSG_CHANNEL_OPEN_CONFIRMATION, 0);
  u32(&all[n], 1);
  u32(&all[n], 1);
  u32(&all[n++], 1);
  all[n] = on_channel(MSG_CHANNEL_OPEN_FAILURE, 0);
  u32(&all[n], 2);
  cstr(&all[n], "x");
  cstr(&all[n++], "");
  u8(&all[n], MSG_GLOBAL_REQUEST);
  cstr(&all[n], "tcpip-forward");
  u8(&all[n], 1);
  cstr(&all[n], "");
  u32(&all[n++], 0);
  for (size_t i = 0; i < n; i++) {
    for (size_t len = 1; len <= all[i].len; len++) {
      for (int keep = 0; keep < 2; keep++) {
        target t;
        t_init(&t, WR_SSH_SERVER);
        open_one(&t);
        t.keep = keep != 0;
        t_feed(&t, all[i].data, len);
        t_feed(&t, all[i].data, all[i].len);
        t_run(&t);
        t_fini(&t);
      }
    }
  }
}

TEST(lengths_that_lie_end_the_session) {
  for (uint8_t number = MSG_GLOBAL_REQUEST; number <= MSG_CHANNEL_FAILURE;
       number++) {
    for (uint32_t word = 0; word < 4; word++) {
      packet p = {.len = 0};
      u8(&p, number);
      for (uint32_t k = 0; k < 6; k++) {
        u32(&p, k == word ? 0xffffffff : 0);
      }
      for (size_t len = 1; len <= p.len; len++) {
        target t;
        t_init(&t, WR_SSH_CLIENT);
        t_feed(&t, p.data, len);
        t_run(&t);
        t_fini(&t);
      }
    }
  }
}

TEST(hosts_that_are_none_are_refused) {
  static const struct {
    const char *host;
    size_t len;
    uint32_t port;
  } bad[] = {{"", 0, 80},
             {"a\0b", 3, 80},
             {"host", 4, 65536},
             {"host", 4, UINT32_MAX}};
  char longest[256];
  memset(longest, 'a', sizeof(longest));
  target t;
  t_init(&t, WR_SSH_SERVER);
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    packet p =
        open_packet("direct-tcpip", bad[i].host, bad[i].len, bad[i].port);
    t_feed(&t, p.data, p.len);
    EQ_INT(t.opens, 0);
    CHECK(wr__ssh_alive(t.s));
  }
  packet p = open_packet("direct-tcpip", longest, 256, 80);
  t_feed(&t, p.data, p.len);
  EQ_INT(t.opens, 0);
  p = open_packet("direct-tcpip", longest, 255, 80);
  t_feed(&t, p.data, p.len);
  EQ_INT(t.opens, 1);
  t_fini(&t);
}

TEST(other_channel_types_never_reach_the_owner) {
  static const char *const types[] = {
      "session",        "x11", "forwarded-tcpip", "auth-agent@openssh.com", "",
      "tun@openssh.com"};
  target t;
  t_init(&t, WR_SSH_SERVER);
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    packet p = open_packet(types[i], "host", 4, 80);
    t_feed(&t, p.data, p.len);
    t_run(&t);
    EQ_INT(t.opens, 0);
    CHECK(t.s != NULL && wr__ssh_alive(t.s));
  }
  t_fini(&t);
}

/* Each of these ends the session by itself after one open channel. */
TEST(breaches_end_the_session) {
  packet bad[12] = {{.len = 0}};
  size_t n = 0;
  bad[n] = on_channel(MSG_CHANNEL_DATA, 3); /* unknown */
  cstr(&bad[n++], "x");
  bad[n++] = on_channel(MSG_CHANNEL_EOF, 3);
  bad[n++] = on_channel(MSG_CHANNEL_CLOSE, UINT32_MAX);
  bad[n] = on_channel(MSG_CHANNEL_WINDOW_ADJUST, 0); /* overflow */
  u32(&bad[n++], UINT32_MAX);
  bad[n] = on_channel(MSG_CHANNEL_OPEN_CONFIRMATION, 0); /* of no opening */
  u32(&bad[n], 1);
  u32(&bad[n], 1);
  u32(&bad[n++], 1);
  bad[n] = on_channel(MSG_CHANNEL_OPEN_FAILURE, 0);
  u32(&bad[n], 2);
  cstr(&bad[n], "x");
  cstr(&bad[n++], "");
  u8(&bad[n], MSG_SERVICE_REQUEST); /* after the login */
  cstr(&bad[n++], "ssh-userauth");
  u8(&bad[n++], MSG_USERAUTH_SUCCESS);
  for (size_t i = 0; i < n; i++) {
    target t;
    t_init(&t, WR_SSH_SERVER);
    open_one(&t);
    t_feed(&t, bad[i].data, bad[i].len);
    t_run(&t);
    EQ_INT(t.status, WR_ESSH_PROTOCOL);
    EQ_INT(t.owner.n_close, 1);
    EQ_INT(t.owner.status, WR_ESSH_PROTOCOL);
    t_fini(&t);
  }
}

TEST(late_logins_and_odd_answers_are_ignored) {
  packet p = {.len = 0};
  target t;
  t_init(&t, WR_SSH_SERVER);
  open_one(&t);
  u8(&p, MSG_USERAUTH_REQUEST);
  t_feed(&t, p.data, p.len);
  p.data[0] = MSG_REQUEST_SUCCESS;
  t_feed(&t, p.data, p.len);
  p.data[0] = MSG_REQUEST_FAILURE;
  t_feed(&t, p.data, p.len);
  p = on_channel(MSG_CHANNEL_SUCCESS, 0);
  t_feed(&t, p.data, p.len);
  p = on_channel(MSG_CHANNEL_FAILURE, 0);
  t_feed(&t, p.data, p.len);
  p = on_channel(MSG_CHANNEL_REQUEST, 0);
  cstr(&p, "keepalive@openssh.com");
  u8(&p, 1);
  t_feed(&t, p.data, p.len);
  CHECK(t.s != NULL && wr__ssh_alive(t.s));
  t_fini(&t);
}

static void feed_data(target *t, uint8_t number, uint32_t id, size_t len) {
  size_t head = number == MSG_CHANNEL_DATA ? 9 : 13;
  uint8_t *p = calloc(1, head + len);
  MUST(p != NULL);
  p[0] = number;
  wr_put_u32(p + 1, id);
  wr_put_u32(p + head - 4, (uint32_t)len);
  t_feed(t, p, head + len);
  free(p);
}

TEST(more_than_the_window_ends_the_session) {
  for (int extra = 0; extra < 2; extra++) {
    target t;
    t_init(&t, WR_SSH_SERVER);
    open_one(&t);
    wr_link_read_stop(t.owner.link);
    for (int i = 0; i < 64; i++) {
      feed_data(&t, MSG_CHANNEL_DATA, 0, 32768);
    }
    CHECK(wr__ssh_alive(t.s));
    feed_data(&t, MSG_CHANNEL_DATA, 0, (size_t)extra);
    t_run(&t);
    EQ_INT(t.closes, extra);
    t_fini(&t);
  }
}

TEST(stderr_goes_nowhere_and_is_paid_back) {
  target t;
  t_init(&t, WR_SSH_SERVER);
  open_one(&t);
  for (int i = 0; i < 1000; i++) {
    feed_data(&t, MSG_CHANNEL_EXTENDED_DATA, 0, 32768);
  }
  CHECK(t.s != NULL && wr__ssh_alive(t.s));
  EQ_UINT(t.owner.got, 0);
  t_fini(&t);
}

TEST(data_after_the_end_is_dropped) {
  target t;
  t_init(&t, WR_SSH_SERVER);
  open_one(&t);
  packet p = on_channel(MSG_CHANNEL_EOF, 0);
  t_feed(&t, p.data, p.len);
  feed_data(&t, MSG_CHANNEL_DATA, 0, 100);
  t_feed(&t, p.data, p.len);
  t_run(&t);
  EQ_UINT(t.owner.got, 0);
  EQ_INT(t.owner.n_eof, 1);
  CHECK(t.s != NULL && wr__ssh_alive(t.s));
  t_fini(&t);
}

TEST(a_second_close_is_for_no_channel) {
  target t;
  t_init(&t, WR_SSH_SERVER);
  open_one(&t);
  packet p = on_channel(MSG_CHANNEL_CLOSE, 0);
  t_feed(&t, p.data, p.len);
  t_run(&t);
  EQ_INT(t.owner.n_close, 1);
  EQ_INT(t.owner.status, WR_ECHANNEL_RESET);
  EQ_INT(t.closes, 0);
  t_feed(&t, p.data, p.len);
  t_run(&t);
  EQ_INT(t.status, WR_ESSH_PROTOCOL);
  t_fini(&t);
}

TEST(channels_that_are_never_closed_are_bounded) {
  target t;
  t_init(&t, WR_SSH_SERVER);
  packet p = open_packet("direct-tcpip", "host", 4, 80);
  for (int i = 0; i < 1000; i++) {
    t_feed(&t, p.data, p.len);
    if (t.owner.link != NULL) {
      wr_link_close(t.owner.link, WR_CLOSE_RESET);
    }
    t_run(&t);
  }
  EQ_INT(t.opens, 20);
  EQ_UINT(t.s->table.count, 20);
  t_fini(&t);
}

TEST(a_channel_that_is_not_drained_still_counts) {
  target t;
  t_init(&t, WR_SSH_SERVER);
  open_one(&t);
  wr_link_read_stop(t.owner.link);
  feed_data(&t, MSG_CHANNEL_DATA, 0, 10000);
  packet p = on_channel(MSG_CHANNEL_CLOSE, 0);
  t_feed(&t, p.data, p.len);
  t_run(&t);
  EQ_UINT(t.s->table.count, 1);
  EQ_INT(t.owner.n_close, 0);
  wr_link_read_start(t.owner.link);
  t_run(&t);
  EQ_UINT(t.owner.got, 10000);
  EQ_INT(t.owner.n_close, 1);
  EQ_UINT(t.s->table.count, 0);
  t_fini(&t);
}

/* PEERS WITH A TRANSPORT LAYER OF THEIR OWN */

/* The client's session is used for its transport only. */
static void client_says(pair *p, const packet *k) {
  int rc = wr__transport_send(p->c->tp, k->data, k->len, NULL, 0);
  EQ_INT(rc, 0);
  wr_task_post_flush(&p->e.ctx, &p->c->flush);
  pair_run(p);
}

/* Keys are in use, nothing has been asked for. */
static void keyed(pair *p) {
  pair_init(p);
  p->async_verdict = true;
  pair_start(p);
  pair_run(p);
  MUST(p->verdict_due);
}

static packet auth_request(const char *user, const char *service,
                           const char *method) {
  packet k = {.len = 0};
  u8(&k, MSG_USERAUTH_REQUEST);
  cstr(&k, user);
  cstr(&k, service);
  cstr(&k, method);
  return k;
}

static void ask_service(pair *p) {
  packet k = {.len = 0};
  u8(&k, MSG_SERVICE_REQUEST);
  cstr(&k, "ssh-userauth");
  p->c->state = SSH_SERVICE;
  p->c->holds = HOLD_AUTH; /* it does not look at answers */
  client_says(p, &k);
  MUST(p->s != NULL && p->s->state == SSH_AUTH);
}

TEST(nothing_of_the_connection_is_taken_before_the_login) {
  static const uint8_t numbers[] = {MSG_GLOBAL_REQUEST,   MSG_CHANNEL_OPEN,
                                    MSG_CHANNEL_DATA,     MSG_SERVICE_ACCEPT,
                                    MSG_USERAUTH_SUCCESS, MSG_USERAUTH_REQUEST};
  for (size_t i = 0; i < WR_COUNTOF(numbers); i++) {
    pair p;
    keyed(&p);
    packet k = {.len = 0};
    u8(&k, numbers[i]);
    cstr(&k, "direct-tcpip");
    u32(&k, 1);
    u32(&k, 1);
    u32(&k, 1);
    if (numbers[i] == MSG_SERVICE_ACCEPT) {
      pair_fini(&p); /* the transport does not send it */
      continue;
    }
    client_says(&p, &k);
    EQ_INT(p.s_status, WR_ESSH_PROTOCOL);
    EQ_INT(p.n_opens, 0);
    pair_fini(&p);
  }
}

TEST(other_methods_count_as_failures) {
  pair p;
  keyed(&p);
  ask_service(&p);
  packet k = auth_request("bob", "ssh-connection", "none");
  client_says(&p, &k);
  EQ_INT(p.ignored, 0);
  k = auth_request("bob", "ssh-connection", "password");
  for (int i = 0; i < 20 && p.s != NULL; i++) {
    client_says(&p, &k);
  }
  EQ_INT(p.ignored, WR_MAX_AUTH_ATTEMPTS);
  EQ_STR(p.ignored_reason, "method");
  EQ_INT(p.s_status, WR_EAUTH_REFUSED);
  pair_fini(&p);
}

TEST(a_change_of_user_or_service_ends_the_session) {
  for (int i = 0; i < 2; i++) {
    pair p;
    keyed(&p);
    ask_service(&p);
    packet k = auth_request("bob", "ssh-connection", "none");
    client_says(&p, &k);
    CHECK(p.s != NULL);
    k = i == 0 ? auth_request("eve", "ssh-connection", "none")
               : auth_request("bob", "ssh-other", "none");
    client_says(&p, &k);
    EQ_INT(p.s_status, WR_EAUTH_REFUSED);
    pair_fini(&p);
  }
}

TEST(signatures_and_key_types_are_checked) {
  static const char *const algorithms[] = {"ssh-ed25519", "ssh-rsa",
                                           "ssh-ed25519-cert-v01@openssh.com"};
  for (size_t i = 0; i < WR_COUNTOF(algorithms); i++) {
    pair p;
    keyed(&p);
    ask_service(&p);
    packet k = auth_request("bob", "ssh-connection", "publickey");
    wr_slice blob = wr_key_blob(p.user[0]);
    u8(&k, 1);
    cstr(&k, algorithms[i]);
    str(&k, (const char *)blob.data, blob.len);
    cstr(&k, "\0\0\0\x0bssh-ed25519");
    client_says(&p, &k);
    EQ_INT(p.proofs + p.offers, 0);
    EQ_INT(p.ignored, 1);
    EQ_STR(p.ignored_reason, i == 0 ? "signature" : "key-type");
    pair_fini(&p);
  }
}

/* A hold may end while packets are read that came behind kept ones. */
TEST(packets_keep_their_order_when_a_hold_ends) {
  static const char *const hosts[] = {"first", "second"};
  pair p;
  pair_init(&p);
  pair_up(&p);
  p.refuse_with = WR_ECHANNEL_REFUSED;
  for (uint32_t i = 0; i < 2; i++) {
    packet k = {.len = 0};
    u8(&k, MSG_CHANNEL_OPEN);
    cstr(&k, "direct-tcpip");
    u32(&k, i);
    u32(&k, 1000);
    u32(&k, 1000);
    cstr(&k, hosts[i]);
    u32(&k, 80);
    cstr(&k, "127.0.0.1");
    u32(&k, 1);
    if (i == 0) {
      MUST(wr__pump_keep(p.s, k.data, k.len) == 0);
      continue;
    }
    p.s->holds |= HOLD_REQUESTS;
    MUST(wr__transport_send(p.c->tp, k.data, k.len, NULL, 0) == 0);
    wr__pump_flush(p.c);
    wr__pump_release(p.s, HOLD_REQUESTS); /* its task comes after the read */
  }
  pair_run(&p);
  EQ_INT(p.n_opens, 2);
  EQ_STR(p.target.host, "second"); /* the last one */
  pair_fini(&p);
}

TEST(a_flood_without_reading_is_stopped) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  /* The server's answers go nowhere; the client sends as fast as it can. */
  wr_mempair_faults f = {.stalled = true};
  wr_mempair_set_faults(p.slink, &f);
  packet k = {.len = 0};
  u8(&k, MSG_GLOBAL_REQUEST);
  cstr(&k, "nonsense");
  u8(&k, 1);
  size_t most = 0;
  for (int i = 0; i < 300000; i++) {
    int rc = wr__transport_send(p.c->tp, k.data, k.len, NULL, 0);
    if (rc != 0) {
      break;
    }
    if (i % 1000 == 0) {
      wr__pump_flush(p.c);
      pair_run(&p);
      size_t len = 0;
      wr__transport_output(p.s->tp, &len);
      most = WR_MAX(most, len);
    }
  }
  OK(most <= 3 * 1024 * 1024, "%d KiB of answers at most", (int)most / 1024);
  CHECK((p.s->holds & HOLD_BACKLOG) != 0);
  /* And it is given up if that stays so. */
  wr_ctx_advance(&p.e.ctx, 2 * WR_KEEPALIVE_MS + 1);
  EQ_INT(p.s_status, WR_EPEER_DEAD);
  pair_fini(&p);
}

TAP_MAIN()
