/* The server: who is kept out or dropped, what is recorded of it, and whom a load
   balancer speaks for. */
#include "app_raw.h"

/* RANDOMNESS */

/* Numbers that go through all residues of 100 evenly. */
typedef struct dice {
  uint64_t next;
  uint64_t step;
  int thrown;
} dice;

static int throw_dice(void *data, uint8_t *dst, size_t len) {
  dice *d = data;
  for (size_t i = 0; i < len; i++) {
    dst[i] = i < 8 ? (uint8_t)(d->next >> (8 * i)) : 0;
  }
  d->next += d->step;
  d->thrown++;
  return 0;
}

/* KNOCKING */

/* A connection that says nothing. */
typedef struct visit {
  peer p;
  int err;
} visit;

static void come(visit *v, const char *address) {
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  memset(v, 0, sizeof(*v));
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  peer_own(&v->p, mine);
  v->err = wr_server_accept(a.server, theirs, address, "memory", &id);
  if (v->err != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  run();
}

static void leave(visit *v) {
  if (v->p.link != NULL) {
    wr_link_close(v->p.link, WR_CLOSE_RESET);
  }
  run();
  CHECK(v->p.closed);
}

/* Comes and goes; the result is what the server said. */
static int visit_once(const char *address) {
  visit v;
  come(&v, address);
  leave(&v);
  return v.err;
}

/* Says something. */
static int say(const char *address, const char *text) {
  visit v;
  size_t taken;
  come(&v, address);
  if (v.err == 0) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
    MUST(wr_link_write(v.p.link, &buf, 1, &taken) == 0);
    run();
    wr_ctx_advance(&a.e.ctx, 1000); /* its farewell is over */
  }
  leave(&v);
  return v.err;
}

/* A login with keys 1 to n - 1 of the list, none of which is known. */
static int fail_login(const char *address) {
  raw r = {0};
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  wr_ssh_opts o = {.role = WR_SSH_CLIENT,
                   .handler = &raw_handler,
                   .user = &r,
                   .login = "root",
                   .identities = &a.keys[1],
                   .n_identities = 2};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  int err = wr_server_accept(a.server, theirs, address, "memory", &id);
  if (err != 0) {
    wr_link_close(mine, WR_CLOSE_RESET);
    wr_link_close(theirs, WR_CLOSE_RESET);
    run();
    return err;
  }
  MUST(wr_ssh_start(&a.e.ctx, mine, &o, &r.ssh) == 0);
  run();
  CHECK(r.closed);
  EQ_INT(r.status, WR_EAUTH_REFUSED);
  return 0;
}

static void start(void) {
  app_open(&a, true);
  a.opts.penalty_ms = 5000;
}

static uint64_t rejected(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st.rejected;
}

/* PENALTIES */

TEST(a_mistake_or_two_are_forgiven) {
  start();
  app_serve(&a, 1, NULL);
  for (int i = 0; i < 3; i++) {
    EQ_INT(fail_login(ADDR), 0);
  }
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  CHECK(r.ready);
  EQ_INT(app_log_holds(&a, "penalty"), 0);
  raw_end(&r);
  app_close(&a);
}

TEST(repeated_failures_are_kept_out) {
  start();
  app_serve(&a, 1, NULL);
  for (int i = 0; i < 4; i++) {
    EQ_INT(fail_login(ADDR), 0);
  }
  EQ_INT(app_log_holds(&a, "WARN penalty remote_addr=" ADDR
                           " duration=20.0 reason=auth-failed"),
         1);
  app_forget_log(&a);
  for (int i = 0; i < 5; i++) {
    EQ_INT(visit_once(ADDR), WR_ELIMIT);
  }
  LOGGED(&a, "WARN connection rejected remote_addr=" ADDR
             " transport=memory reason=penalty");
  LOG_ENDS(&a);
  EQ_UINT(rejected(), 5);
  EQ_INT(visit_once("203.0.113.51"), 0);
  EQ_INT(visit_once(""), 0);
  wr_ctx_advance(&a.e.ctx, 20000);
  EQ_INT(visit_once(ADDR), 0);
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  EQ_UINT(st.penalties, 1);
  app_close(&a);
}

TEST(a_login_takes_nothing_back) {
  start();
  app_serve(&a, 1, NULL);
  raw r = {0};
  for (int i = 0; i < 3; i++) {
    EQ_INT(fail_login(ADDR), 0);
  }
  raw_start(&r, ADDR, "root", a.keys, 1);
  CHECK(r.ready);
  EQ_INT(fail_login(ADDR), 0);
  EQ_INT(visit_once(ADDR), WR_ELIMIT);
  CHECK(!r.closed); /* what is there stays */
  raw_end(&r);
  app_close(&a);
}

TEST(one_network_is_one_peer) {
  start();
  app_serve(&a, 1, NULL);
  char address[WR_ADDR_TEXT_MAX];
  for (int i = 0; i < 4; i++) {
    snprintf(address, sizeof(address), "2001:db8:1:2::%d", i);
    EQ_INT(fail_login(address), 0);
  }
  EQ_INT(visit_once("2001:db8:1:2:ffff::"), WR_ELIMIT);
  EQ_INT(visit_once("2001:db8:1:3::"), 0);
  app_close(&a);
}

TEST(without_an_address_nobody_is_kept_out) {
  start();
  a.opts.penalty_ms = 100000;
  app_serve(&a, 1, NULL);
  for (int i = 0; i < 5; i++) {
    EQ_INT(fail_login(""), 0);
  }
  EQ_INT(fail_login("a name"), 0);
  EQ_INT(fail_login("a name"), WR_ELIMIT); /* the application's own */
  app_close(&a);
}

TEST(penalties_can_be_switched_off) {
  start();
  a.opts.penalty_ms = 0;
  app_serve(&a, 1, NULL);
  for (int i = 0; i < 10; i++) {
    EQ_INT(fail_login(ADDR), 0);
  }
  app_close(&a);
}

TEST(networks_can_be_exempt) {
  wr_cidr exempt[2];
  start();
  a.opts.penalty_ms = 100000;
  MUST(wr_cidr_parse("203.0.113.48/28", &exempt[0]) == 0);
  MUST(wr_cidr_parse("fe80::/10", &exempt[1]) == 0);
  a.opts.penalty_exempt = exempt;
  a.opts.n_penalty_exempt = 2;
  app_serve(&a, 1, NULL);
  memset(exempt, 0, sizeof(exempt)); /* it has a copy */
  for (int i = 0; i < 3; i++) {
    EQ_INT(fail_login(ADDR), 0);
    EQ_INT(fail_login("fe80::1%2"), 0);
  }
  EQ_INT(fail_login("203.0.113.64"), 0);
  EQ_INT(fail_login("203.0.113.64"), WR_ELIMIT);
  app_close(&a);
}

/* How long one such visit keeps an address out, in units of a fifth. */
static int fifths(int (*what)(const char *address), const char *reason) {
  char want[128];
  int n = 0;
  start();
  a.opts.penalty_ms = 100000;
  a.opts.login_grace_ms = 5000;
  app_serve(&a, 1, NULL);
  EQ_INT(what(ADDR), 0);
  for (int i = 1; i <= 10; i++) {
    snprintf(want, sizeof(want),
             "penalty remote_addr=" ADDR " duration=%d.0 reason=%s", 20 * i,
             reason);
    n += app_log_holds(&a, want) * i;
  }
  EQ_INT(app_log_holds(&a, "WARN penalty"), n > 0);
  app_close(&a);
  return n;
}

static int talk_http(const char *address) {
  return say(address, "GET / HTTP/1.1\r\n\r\n");
}

static int talk_nonsense(const char *address) {
  return say(address, "SSH-2.0-x\r\n\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f");
}

static int just_wait(const char *address) {
  visit v;
  come(&v, address);
  wr_ctx_advance(&a.e.ctx, 6000);
  leave(&v);
  return v.err;
}

static int ended_by_us(const char *address) {
  visit v;
  come(&v, address);
  wr_server_end_session(a.server, 1);
  wr_ctx_advance(&a.e.ctx, 3000);
  leave(&v);
  return v.err;
}

static int log_in(const char *address) {
  raw r = {0};
  raw_start(&r, address, "root", a.keys, 1);
  CHECK(r.ready);
  raw_end(&r);
  return 0;
}

TEST(what_counts_and_how_much) {
  EQ_INT(fifths(fail_login, "auth-failed"), 5);
  EQ_INT(fifths(just_wait, "login-timeout"), 10);
  EQ_INT(fifths(talk_http, "protocol"), 10);
  EQ_INT(fifths(talk_nonsense, "protocol"), 10);
  EQ_INT(fifths(visit_once, "no-attempt"), 1);
  EQ_INT(fifths(ended_by_us, ""), 0);
  EQ_INT(fifths(log_in, ""), 0);
}

TEST(penalties_grow_and_end_at_the_maximum) {
  static const int want[] = {60, 120, 240, 300, 300};
  char text[128];
  start();
  a.opts.penalty_ms = 60000;
  a.opts.penalty_max_ms = 300000;
  app_serve(&a, 1, NULL);
  for (size_t i = 0; i < WR_COUNTOF(want); i++) {
    EQ_INT(fail_login(ADDR), 0);
    EQ_INT(fail_login(ADDR), WR_ELIMIT);
    snprintf(text, sizeof(text), "penalty remote_addr=" ADDR " duration=%d.0",
             want[i]);
    EQ_INT(app_log_holds(&a, text), 1);
    app_forget_log(&a);
    wr_ctx_advance(&a.e.ctx, (uint64_t)want[i] * 1000 - 1);
    EQ_INT(fail_login(ADDR), WR_ELIMIT);
    wr_ctx_advance(&a.e.ctx, 1);
  }
  app_close(&a);
}

/* STARTUPS */

/* How many of n are dropped while `have` wait, with even dice. */
static int dropped(uint32_t have, int n, dice *d) {
  visit *waiting = calloc(have, sizeof(visit));
  int drops = 0;
  MUST(waiting != NULL);
  *d = (dice){.step = 0};
  a.e.ctx.rand = throw_dice;
  a.e.ctx.rand_data = d;
  for (uint32_t i = 0; i < have; i++) {
    d->next = UINT32_MAX; /* the largest remainder: never dropped */
    d->next = d->next - d->next % 100000 + 99999;
    come(&waiting[i], ADDR);
    EQ_INT(waiting[i].err, 0);
  }
  d->next = 0;
  d->step = 7919; /* a prime: all remainders come as often */
  d->thrown = 0;
  for (int i = 0; i < n; i++) {
    visit v;
    come(&v, "203.0.113.51");
    drops += v.err == WR_ELIMIT;
    d->thrown = 0;
    uint64_t next = d->next;
    leave(&v);
    d->next = next;
  }
  for (uint32_t i = 0; i < have; i++) {
    leave(&waiting[i]);
  }
  free(waiting);
  return drops;
}

static void drops_near(uint32_t have, int want) {
  dice d;
  app_open(&a, true);
  a.opts.max_startups = 20;
  a.opts.startups_start = 10;
  a.opts.startups_rate = 30;
  app_serve(&a, 1, NULL);
  int got = dropped(have, 200, &d);
  OK(got >= want - 12 && got <= want + 12, "%d of 200 with %u: %d", want, have,
     got);
  a.e.ctx.rand = NULL;
  app_close(&a);
}

TEST(some_are_dropped_from_the_start_on) {
  drops_near(9, 0);
  drops_near(10, 60);
  drops_near(15, 130);
  drops_near(19, 186);
}

TEST(all_are_dropped_at_the_full_number) {
  dice d;
  app_open(&a, true);
  a.opts.max_startups = 6;
  a.opts.startups_start = 6;
  app_serve(&a, 1, NULL);
  EQ_INT(dropped(5, 30, &d), 0);
  EQ_INT(dropped(6, 30, &d), 30);
  EQ_INT(d.thrown, 0); /* no dice are needed for that */
  a.e.ctx.rand = NULL;
  app_close(&a);
}

TEST(half_of_the_number_is_where_dropping_starts) {
  dice d;
  app_open(&a, true);
  a.opts.max_startups = 7;
  app_serve(&a, 1, NULL);
  EQ_INT(dropped(3, 100, &d), 0);
  int got = dropped(4, 100, &d);
  OK(got > 20 && got < 40, "three in ten: %d", got);
  a.e.ctx.rand = NULL;
  app_close(&a);
}

/* RECORDS */

TEST(a_flood_has_few_records) {
  visit one;
  app_open(&a, true);
  a.opts.max_startups = 1;
  a.opts.login_grace_ms = 600000;
  app_serve(&a, 1, NULL);
  come(&one, ADDR);
  app_forget_log(&a);
  for (int i = 0; i < 1000; i++) {
    EQ_INT(visit_once("203.0.113.51"), WR_ELIMIT);
  }
  LOGGED(&a, "WARN connection rejected remote_addr=203.0.113.51"
             " transport=memory reason=max-startups");
  LOG_ENDS(&a);
  wr_ctx_advance(&a.e.ctx, 59999);
  LOG_ENDS(&a);
  wr_ctx_advance(&a.e.ctx, 1);
  LOGGED(&a, "WARN connections rejected reason=max-startups count=999");
  EQ_INT(visit_once("203.0.113.52"), WR_ELIMIT);
  LOGGED(&a, "WARN connection rejected remote_addr=203.0.113.52"
             " transport=memory reason=max-startups");
  wr_ctx_advance(&a.e.ctx, 60000);
  LOG_ENDS(&a); /* nothing was left out */
  EQ_INT(visit_once("203.0.113.53"), WR_ELIMIT);
  a.read_log++;
  EQ_INT(visit_once("203.0.113.53"), WR_ELIMIT);
  EQ_UINT(rejected(), 1003);
  wr_server_close(a.server, 0);
  LOGGED(&a, "INFO server stopping sessions=1");
  LOGGED(&a, "WARN connections rejected reason=max-startups count=1");
  app_stop(&a);
  leave(&one);
  app_close(&a);
}

TEST(each_address_has_its_own_record) {
  visit v[2];
  app_open(&a, true);
  a.opts.max_connections_per_ip = 1;
  app_serve(&a, 1, NULL);
  come(&v[0], "203.0.113.51");
  come(&v[1], "203.0.113.52");
  app_forget_log(&a);
  for (int i = 0; i < 3; i++) {
    EQ_INT(visit_once("203.0.113.51"), WR_ELIMIT);
    EQ_INT(visit_once("203.0.113.52"), WR_ELIMIT);
  }
  LOGGED(&a, "WARN connection rejected remote_addr=203.0.113.51"
             " transport=memory reason=max-connections-per-ip");
  LOGGED(&a, "WARN connection rejected remote_addr=203.0.113.52"
             " transport=memory reason=max-connections-per-ip");
  LOG_ENDS(&a);
  leave(&v[0]);
  leave(&v[1]);
  app_close(&a);
}

/* PROXY HEADERS */

#define BALANCED "PROXY TCP4 203.0.113.7 192.0.2.1 1000 22\r\n"

/* A client of the balancer's: what it says goes over a real socket, what the
   server says is kept. */
typedef struct dialled {
  wr_stream *stream;
  wr_link *link;
  bool connected;
  bool closed;
  bool ended;
  char got[512];
  size_t len;
} dialled;

static size_t dialled_read(wr_link *link, uint8_t *data, size_t len) {
  dialled *d = link->user;
  size_t n = WR_MIN(len, sizeof(d->got) - 1 - d->len);
  memcpy(d->got + d->len, data, n);
  d->len += n;
  return len;
}

static void dialled_eof(wr_link *link) {
  ((dialled *)link->user)->ended = true;
}

static void dialled_close(wr_link *link, int status) {
  dialled *d = link->user;
  WR_UNUSED(status);
  d->link = NULL;
  d->closed = true;
}

static const wr_link_handler dialled_handler = {
    .on_read = dialled_read, .on_eof = dialled_eof, .on_close = dialled_close};

/* It may have been turned away by the time this is heard of. */
static void dialled_connect(wr_stream *s, int status) {
  dialled *d = wr_stream_link(s)->user;
  d->connected = true;
  if (status != 0 || wr_link_read_start(d->link) != 0) {
    wr_link_close(d->link, WR_CLOSE_RESET);
  }
}

static void dial_server(dialled *d) {
  struct sockaddr_storage ss;
  wr_ip ip;
  memset(d, 0, sizeof(*d));
  MUST(wr_ip_parse("127.0.0.1", &ip) == 0);
  wr_ip_to_sockaddr(&ip, a.port, &ss);
  MUST(wr_stream_new(&a.e.ctx, AF_INET, &d->stream) == 0);
  d->link = wr_stream_link(d->stream);
  d->link->user = d;
  d->link->handler = &dialled_handler;
  MUST(wr_stream_connect(d->stream, (const struct sockaddr *)&ss,
                         dialled_connect) == 0);
  env_until(&a.e, &d->connected);
}

static void dialled_say(dialled *d, const void *text, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
  MUST(wr_link_write(d->link, &buf, 1, &taken) == 0 && taken == len);
}

#define UNTIL(cond)                                                            \
  do {                                                                         \
    wr_ctx_hold(&a.e.ctx);                                                     \
    while (!(cond)) {                                                          \
      uv_run(&a.e.loop, UV_RUN_ONCE);                                          \
    }                                                                          \
    wr_ctx_release(&a.e.ctx);                                                  \
  } while (0)

static void dialled_leave(dialled *d) {
  if (d->link != NULL) {
    wr_link_close(d->link, WR_CLOSE_RESET);
  }
  env_until(&a.e, &d->closed);
}

static uint32_t startups(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st.startups;
}

static wr_cidr trusted;

static void serve_trusted(const char *network) {
  MUST(wr_cidr_parse(network, &trusted) == 0);
  a.opts.trust_proxy = &trusted;
  a.opts.n_trust_proxy = 1;
  app_serve(&a, 1, NULL);
  app_listen(&a);
  app_forget_log(&a);
}

TEST(a_balancer_speaks_for_others) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.0/8");
  dial_server(&d);
  UNTIL(startups() == 1);
  EQ_INT(a.n_log, 0);
  dialled_say(&d, BALANCED, strlen(BALANCED) - 1);
  dialled_say(&d, "\nSSH-2.0-x\r\n", 12); /* in one with what follows */
  UNTIL(strstr(d.got, "\r\n") != NULL);
  CHECK(strncmp(d.got, "SSH-2.0-", 8) == 0);
  EQ_UINT(startups(), 1);
  LOGGED(&a, "INFO connection opened remote_addr=203.0.113.7 transport=tcp"
             " session=1");
  dialled_leave(&d);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(a_header_may_come_byte_by_byte) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  for (size_t i = 0; i < strlen(BALANCED); i++) {
    EQ_UINT(d.len, 0); /* nothing is said before it is through */
    dialled_say(&d, BALANCED + i, 1);
    uv_run(&a.e.loop, UV_RUN_NOWAIT);
  }
  UNTIL(strstr(d.got, "\r\n") != NULL);
  EQ_INT(app_log_holds(&a, "opened remote_addr=203.0.113.7 "), 1);
  dialled_leave(&d);
  UNTIL(startups() == 0);
  app_close(&a);
}

/* What is recorded of one connection that begins like that. */
static void balanced(const void *head, size_t len, const char *address) {
  char want[128];
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, head, len);
  UNTIL(strstr(d.got, "\r\n") != NULL);
  snprintf(want, sizeof(want), "connection opened remote_addr=%s transport=tcp",
           address);
  OK(app_log_holds(&a, want) == 1, "%s", want);
  dialled_leave(&d);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(whom_a_balancer_speaks_for) {
  static const uint8_t local[16] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
  static uint8_t path[16 + 216] = "\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8";
  balanced(local, sizeof(local), "127.0.0.1");
  balanced("PROXY UNKNOWN\r\n", 15, "127.0.0.1");
  balanced("SSH-2.0-x\r\n", 11, "127.0.0.1");
  balanced(path, sizeof(path), "-");
  balanced("PROXY TCP6 2001:db8::7 ::1 1 2\r\n", 32, "2001:db8::7");
}

TEST(nobody_else_may_speak_for_others) {
  dialled d;
  app_open(&a, false);
  serve_trusted("10.0.0.0/8");
  dial_server(&d);
  UNTIL(strstr(d.got, "\r\n") != NULL); /* it is greeted at once */
  dialled_say(&d, BALANCED, strlen(BALANCED));
  UNTIL(d.ended || d.closed);
  EQ_INT(app_log_holds(&a, "opened remote_addr=127.0.0.1 "), 1);
  EQ_INT(app_log_holds(&a, "203.0.113.7"), 0);
  dialled_leave(&d);
  UNTIL(startups() == 0);
  app_close(&a);
}

static void turned_away(const char *text, bool end) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, text, strlen(text));
  if (end) {
    MUST(wr_link_shutdown(d.link) == 0);
  }
  env_until(&a.e, &d.closed);
  EQ_UINT(d.len, 0);
  LOGGED(&a, "WARN connection rejected remote_addr=127.0.0.1 transport=tcp"
             " reason=proxy-header");
  LOG_ENDS(&a);
  UNTIL(startups() == 0);
  EQ_UINT(rejected(), 1);
  app_close(&a);
}

TEST(broken_headers_are_turned_away) {
  turned_away("PROXY TCP4 nonsense\r\n", false);
  turned_away("\r\n\r\n\r\n", false);
  turned_away("PROXY TCP4 203.0.113.7", true);
}

TEST(a_balancer_that_just_connects_is_no_news) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  MUST(wr_link_shutdown(d.link) == 0);
  UNTIL(d.ended);
  dialled_leave(&d);
  UNTIL(startups() == 0);
  LOG_ENDS(&a);
  app_close(&a);
}

TEST(a_header_has_its_time) {
  dialled d;
  app_open(&a, false);
  a.opts.login_grace_ms = 30;
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, "PROXY ", 6);
  env_until(&a.e, &d.closed);
  EQ_INT(app_log_holds(&a, "reason=proxy-header"), 1);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(limits_are_for_the_client_behind) {
  dialled d[3];
  app_open(&a, false);
  a.opts.max_connections_per_ip = 1;
  serve_trusted("127.0.0.1");
  for (int i = 0; i < 2; i++) {
    dial_server(&d[i]);
    dialled_say(&d[i], BALANCED, strlen(BALANCED));
    UNTIL(d[i].len > 0 || d[i].closed);
  }
  CHECK(!d[0].closed && d[1].closed);
  EQ_INT(app_log_holds(&a, "rejected remote_addr=203.0.113.7 transport=tcp"
                           " reason=max-connections-per-ip"),
         1);
  dial_server(&d[2]);
  dialled_say(&d[2], "PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n", 38);
  UNTIL(d[2].len > 0);
  for (int i = 0; i < 3; i++) {
    dialled_leave(&d[i]);
  }
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(penalties_are_for_the_client_behind) {
  dialled d[3];
  app_open(&a, false);
  a.opts.penalty_ms = 300000;
  serve_trusted("127.0.0.1");
  dial_server(&d[0]);
  dialled_say(&d[0], BALANCED "nonsense\r\n", strlen(BALANCED) + 10);
  UNTIL(app_log_holds(&a, "penalty remote_addr=203.0.113.7 "));
  dial_server(&d[1]);
  dialled_say(&d[1], BALANCED, strlen(BALANCED));
  env_until(&a.e, &d[1].closed);
  EQ_UINT(d[1].len, 0);
  EQ_INT(app_log_holds(&a, "rejected remote_addr=203.0.113.7 transport=tcp"
                           " reason=penalty"),
         1);
  dial_server(&d[2]);
  dialled_say(&d[2], "PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n", 38);
  UNTIL(d[2].len > 0);
  for (int i = 0; i < 3; i++) {
    dialled_leave(&d[i]);
  }
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(a_balancer_is_not_kept_out_itself) {
  dialled d;
  app_open(&a, false);
  a.opts.penalty_ms = 300000;
  serve_trusted("127.0.0.1");
  for (int i = 0; i < 3; i++) {
    dial_server(&d);
    dialled_say(&d, "PROXY UNKNOWN\r\nnonsense\r\n", 25);
    UNTIL(d.ended || d.closed);
    CHECK(d.len > 0);
    dialled_leave(&d);
    UNTIL(startups() == 0);
  }
  EQ_INT(app_log_holds(&a, "penalty"), 0);
  app_close(&a);
}

TEST(connections_that_wait_count_as_startups) {
  dialled d[3];
  app_open(&a, false);
  a.opts.max_startups = 2;
  a.opts.startups_start = 2;
  serve_trusted("127.0.0.1");
  for (int i = 0; i < 3; i++) {
    dial_server(&d[i]);
    UNTIL(i == 2 ? d[i].closed : startups() == (uint32_t)i + 1);
  }
  EQ_INT(app_log_holds(&a, "reason=max-startups"), 1);
  dialled_say(&d[0], BALANCED, strlen(BALANCED)); /* it has its place */
  UNTIL(d[0].len > 0);
  EQ_UINT(startups(), 2);
  for (int i = 0; i < 3; i++) {
    dialled_leave(&d[i]);
  }
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(the_sessions_are_counted_when_they_begin) {
  dialled d[2];
  app_open(&a, false);
  a.opts.max_sessions = 1;
  serve_trusted("127.0.0.1");
  dial_server(&d[0]);
  dial_server(&d[1]);
  UNTIL(startups() == 2);
  dialled_say(&d[0], BALANCED, strlen(BALANCED));
  UNTIL(d[0].len > 0);
  dialled_say(&d[1], BALANCED, strlen(BALANCED));
  env_until(&a.e, &d[1].closed);
  EQ_INT(app_log_holds(&a, "reason=max-sessions"), 1);
  dialled_leave(&d[0]);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(a_server_that_stops_does_not_wait_for_headers) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  UNTIL(startups() == 1);
  wr_server_close(a.server, 10000);
  env_until(&a.e, &a.closed);
  env_until(&a.e, &d.closed);
  EQ_INT(app_log_holds(&a, "rejected"), 0);
  app_close(&a);
}

TEST(any_allocation_may_fail) {
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  wr_mem *mem = &a.e.ctx.mem;
  int n = 0;
  for (bool over = false; !over; n++) {
    dialled d;
    dial_server(&d);
    mem->fail_at = mem->total + (uint64_t)n + 1;
    dialled_say(&d, BALANCED, strlen(BALANCED));
    UNTIL(d.len > 0 || d.closed);
    over = mem->total < mem->fail_at;
    mem->fail_at = 0;
    dialled_leave(&d);
    UNTIL(startups() == 0);
  }
  CHECK(n > 3);
  app_close(&a);
}

TEST(teardown_with_a_header_awaited) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  UNTIL(startups() == 1);
  for (size_t i = 0; i < WR_COUNTOF(a.keys); i++) {
    wr_key_unref(a.keys[i]);
  }
  wr_key_unref(a.host);
  app_stop_waking(&a);
  wr_ctx_close(&a.e.ctx, env_on_closed);
  wr_link_close(d.link, WR_CLOSE_RESET);
  uv_run(&a.e.loop, UV_RUN_DEFAULT);
  CHECK(a.e.closed && a.closed);
  EQ_UINT(a.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&a.e.loop), 0);
}

TAP_MAIN()
