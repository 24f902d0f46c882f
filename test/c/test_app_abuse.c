/* The server: who is kept out or dropped, and what is recorded of it. */
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
    dst[i] = (uint8_t)(i < 8 ? d->next >> (8 * i) : 0);
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
  wr_identity ids[] = {{.key = a.keys[1]}, {.key = a.keys[2]}};
  wr_ssh_opts o = {.role = WR_SSH_CLIENT,
                   .handler = &raw_handler,
                   .user = &r,
                   .login = "root",
                   .identities = ids,
                   .n_identities = WR_COUNTOF(ids)};
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

TAP_MAIN()
