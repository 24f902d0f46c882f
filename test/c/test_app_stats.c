/* What a server counts. */
#include "app_raw.h"

/* COUNTS */

TEST(reasons_are_counted_apart) {
  wr_counts c = {0};
  char again[] = "one"; /* the text counts, not where it lies */
  wr_counts_add(&c, "one");
  wr_counts_add(&c, "two");
  wr_counts_add(&c, again);
  EQ_UINT(c.len, 2);
  EQ_UINT(c.total, 3);
  EQ_STR(c.of[0].reason, "one");
  EQ_UINT(c.of[0].n, 2);
  EQ_STR(c.of[1].reason, "two");
  EQ_UINT(c.of[1].n, 1);
}

TEST(too_many_reasons_are_others) {
  static char names[WR_COUNTS_MAX + 10][4];
  wr_counts c = {0};
  for (unsigned i = 0; i < WR_COUNTOF(names); i++) {
    snprintf(names[i], sizeof(names[i]), "%02u", i);
    wr_counts_add(&c, names[i]);
  }
  wr_counts_add(&c, names[0]);
  wr_counts_add(&c, names[WR_COUNTS_MAX]);
  EQ_UINT(c.len, WR_COUNTS_MAX);
  EQ_UINT(c.total, WR_COUNTOF(names) + 2);
  EQ_UINT(c.of[0].n, 2);
  EQ_STR(c.of[WR_COUNTS_MAX - 2].reason, names[WR_COUNTS_MAX - 2]);
  EQ_STR(c.of[WR_COUNTS_MAX - 1].reason, WR_COUNTS_OTHER);
  EQ_UINT(c.of[WR_COUNTS_MAX - 1].n, 12);
}

TEST(durations_by_size) {
  wr_durations d = {0};
  uint32_t least = wr_durations_bound_ms(0);
  uint32_t most = wr_durations_bound_ms(WR_DURATIONS_BOUNDS - 1);
  for (size_t i = 1; i < WR_DURATIONS_BOUNDS; i++) {
    CHECK(wr_durations_bound_ms(i - 1) < wr_durations_bound_ms(i));
  }
  wr_durations_add(&d, 0);
  wr_durations_add(&d, least);
  wr_durations_add(&d, least + 1);
  wr_durations_add(&d, most);
  wr_durations_add(&d, (uint64_t)most + 1);
  EQ_UINT(d.within[0], 2);
  EQ_UINT(d.within[1], 3);
  EQ_UINT(d.within[WR_DURATIONS_BOUNDS - 2], 3);
  EQ_UINT(d.within[WR_DURATIONS_BOUNDS - 1], 4);
  EQ_UINT(d.count, 5);
  EQ_UINT(d.sum_ms, 2 * (least + most + 1));
}

/* THE SERVER'S */

static wr_server_stats stats(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st;
}

static uint64_t of(const wr_counts *c, const char *reason) {
  for (size_t i = 0; i < c->len; i++) {
    if (strcmp(c->of[i].reason, reason) == 0) {
      return c->of[i].n;
    }
  }
  return 0;
}

TEST(logins_by_reason) {
  app_open(&a, true);
  app_serve(&a, 4, NULL);
  raw r[2] = {{0}, {0}};
  raw_start(&r[0], ADDR, "root", a.keys, 3); /* the third key is right */
  CHECK(r[0].ready);
  raw_start(&r[1], ADDR, "root", a.keys, 2);
  CHECK(!r[1].ready);
  wr_server_stats st = stats();
  EQ_UINT(st.auth_accepted, 1);
  EQ_UINT(st.auth_rejected, 4);
  EQ_UINT(st.auth_rejections.len, 1);
  EQ_UINT(of(&st.auth_rejections, "unknown-key"), 4);
  EQ_UINT(st.logins.count, 1);
  EQ_UINT(st.handshakes.count, 2);
  raw_end(&r[0]);
  app_close(&a);
}

TEST(connections_by_reason) {
  app_open(&a, true);
  a.opts.max_startups = 1;
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true};
  raw_start(&r, ADDR, "root", a.keys, 1);
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &mine, &theirs) == 0);
  EQ_INT(wr_server_accept(a.server, theirs, ADDR, "memory", &id), WR_ELIMIT);
  wr_link_close(mine, WR_CLOSE_RESET);
  wr_link_close(theirs, WR_CLOSE_RESET);
  wr_server_stats st = stats();
  EQ_UINT(st.connections, 1);
  EQ_UINT(st.rejected, 1);
  EQ_UINT(of(&st.rejections, "max-startups"), 1);
  raw_end(&r);
  app_close(&a);
}

TEST(ends_by_reason) {
  app_open(&a, true);
  app_serve(&a, 3, NULL);
  raw r[2] = {{0}, {0}};
  raw_start(&r[0], ADDR, "root", &a.keys[0], 1);
  raw_start(&r[1], ADDR, "root", &a.keys[1], 1);
  wr_server_end_session(a.server, 1);
  app_reload(&a, 4, "");
  wr_server_stats st = stats();
  EQ_UINT(st.ends.total, 2);
  EQ_UINT(of(&st.ends, "application"), 1);
  EQ_UINT(of(&st.ends, "key-removed"), 1);
  raw_end(&r[0]);
  raw_end(&r[1]);
  app_close(&a);
}

TEST(time_to_keys_and_to_login) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true, .late_ms = 30};
  raw_start(&r, ADDR, "root", a.keys, 1);
  wr_server_stats st = stats();
  EQ_UINT(st.handshakes.count, 1);
  EQ_UINT(st.handshakes.sum_ms, 30);
  EQ_UINT(st.logins.count, 0);
  wr_ctx_advance(&a.e.ctx, 200);
  wr_ssh_host_key_verdict(r.ssh, 0);
  run();
  CHECK(r.ready);
  wr_ssh_rekey(r.ssh); /* the first keys alone are counted */
  run();
  st = stats();
  EQ_UINT(st.handshakes.count, 1);
  EQ_UINT(st.logins.count, 1);
  EQ_UINT(st.logins.sum_ms, 230);
  raw_end(&r);
  EQ_UINT(stats().logins.count, 1);
  app_close(&a);
}

TAP_MAIN()
