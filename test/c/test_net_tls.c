/* TLS links over memory pairs: bytes, back-pressure, ends, failures of the
   carrier. Who is let in is test_net_tls_trust.c. */
#include "tls_help.h"

#define MB UINT64_C(1000000)

static const cert_spec host_spec = {.names = "DNS:a.test,IP:127.0.0.1"};

static pki *host(void) {
  static pki p;
  if (p.cert == NULL) {
    pki_make(&p, &host_spec);
  }
  return &p;
}

TEST(a_handshake_agrees_on_what_was_offered) {
  tls_duo d;
  wr_tls_info a;
  wr_tls_info b;
  wr_link_info link;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  wr_tls_query(d.server.tls, &a);
  wr_tls_query(d.client.tls, &b);
  EQ_STR(a.version, "TLSv1.3");
  EQ_STR(b.version, "TLSv1.3");
  EQ_STR(a.cipher, "TLS_AES_256_GCM_SHA384");
  EQ_STR(b.cipher, a.cipher);
  EQ_STR(a.group, "X25519MLKEM768");
  EQ_STR(b.group, a.group);
  EQ_STR(a.sni, "a.test");
  EQ_STR(b.sni, "a.test");
  EQ_UINT(a.alpn.len + b.alpn.len, 0);
  CHECK(!a.resumed && !a.challenge);
  wr_link_query(d.client.p.link, &link);
  EQ_STR(link.transport, "tls");
  CHECK(link.encrypted && !link.has_peer);
  CHECK(wr_tls_from_link(d.raw[0]) == NULL);
  duo_end(&d);
}

TEST(both_ends_export_the_same_secret) {
  tls_duo d;
  uint8_t a[WR_TLS_EXPORT_LEN];
  uint8_t b[WR_TLS_EXPORT_LEN];
  duo_open(&d, 65536);
  duo_connect(&d, host());
  EQ_INT(wr_tls_export(d.server.tls, "one", a), 0);
  EQ_INT(wr_tls_export(d.client.tls, "one", b), 0);
  EQ_MEM(a, sizeof(a), b, sizeof(b));
  EQ_INT(wr_tls_export(d.client.tls, "other", b), 0);
  CHECK(memcmp(a, b, sizeof(a)) != 0);
  duo_end(&d);
}

/* Counts what a link writes to the link below. */
static wr_link_ops counting;
static const wr_link_ops *counted;
static int n_writes;

static int count_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                       size_t *taken) {
  n_writes++;
  return counted->write(link, bufs, n, taken);
}

static void count_writes(wr_link *link) {
  counted = link->ops;
  counting = *link->ops;
  counting.write = count_write;
  link->ops = &counting;
  n_writes = 0;
}

static void on_side_that_speaks(void *user, int status, wr_link *link) {
  on_side(user, status, link);
  ((side *)user)->p.to_send = 100;
  peer_write(&((side *)user)->p);
}

/* As the client of HTTPS that it looks like. */
TEST(the_end_of_a_handshake_goes_with_the_first_bytes) {
  const wr_tls_options o = {.server_name = "a.test"};
  for (int speaks = 0; speaks < 2; speaks++) {
    tls_duo d;
    duo_open(&d, 65536);
    d.server_ctx = serve_with(&d.e, host());
    d.client_ctx = trust(&d.e, host());
    MUST(wr_tls_start(d.raw[0], d.server_ctx, &o, on_side, &d.server,
                      &d.server.tls) == 0);
    count_writes(d.raw[1]);
    MUST(wr_tls_start(d.raw[1], d.client_ctx, &o,
                      speaks == 1 ? on_side_that_speaks : on_side, &d.client,
                      &d.client.tls) == 0);
    duo_run(&d);
    EQ_INT(n_writes, 2);
    MUST(d.server.p.link != NULL); /* also if the client says nothing */
    peer_go(&d.server.p);
    duo_run(&d);
    EQ_UINT(d.server.p.got, speaks == 1 ? 100 : 0);
    duo_end(&d);
  }
}

/* How long what goes below is, per write. */
static size_t sizes[64];

static int size_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                      size_t *taken) {
  MUST(n == 1 && n_writes < (int)WR_COUNTOF(sizes));
  sizes[n_writes] = bufs[0].len;
  return count_write(link, bufs, n, taken);
}

static void write_ten(tls_duo *d, uint64_t len) {
  count_writes(d->raw[1]);
  counting.write = size_write;
  for (int i = 0; i < 10; i++) {
    d->client.p.to_send += len;
    peer_write(&d->client.p);
    duo_run(d);
  }
  EQ_INT(n_writes, 10);
  d->raw[1]->ops = counted;
}

static int n_other_sizes(void) {
  int n = 0;
  for (int i = 1; i < 10; i++) {
    n += sizes[i] != sizes[0] ? 1 : 0;
  }
  return n;
}

TEST(short_records_of_a_tunnel_are_padded) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  peer_go(&d.server.p);
  write_ten(&d, 36);
  EQ_INT(n_other_sizes(), 0);
  wr_tls_pad(d.client.p.link);
  write_ten(&d, 36);
  CHECK(n_other_sizes() > 0);
  for (int i = 0; i < 10; i++) {
    CHECK(sizes[i] >= 36 + 22 && sizes[i] < 36 + 22 + 192);
  }
  write_ten(&d, 5000);
  EQ_INT(n_other_sizes(), 0);
  wr_tls_pad(d.raw[0]); /* not TLS */
  EQ_UINT(d.server.p.got, 10 * (36 + 36 + 5000));
  duo_end(&d);
}

static void send_both(tls_duo *d, uint64_t n) {
  d->server.p.to_send = d->client.p.to_send = n;
  d->server.p.end_after = d->client.p.end_after = true;
  d->server.p.resume = d->client.p.resume = true;
  peer_go(&d->server.p);
  peer_go(&d->client.p);
}

static void check_both(tls_duo *d, uint64_t n) {
  EQ_UINT(d->server.p.got, n);
  EQ_UINT(d->client.p.got, n);
  CHECK(d->server.p.eof && d->client.p.eof);
  EQ_INT(d->server.p.n_eof + d->client.p.n_eof, 2);
}

TEST(ten_megabytes_both_ways_through_a_narrow_pipe) {
  tls_duo d;
  duo_open(&d, 4096);
  duo_connect(&d, host());
  send_both(&d, 10 * MB);
  duo_run(&d);
  check_both(&d, 10 * MB);
  duo_end(&d);
  EQ_INT(d.server.p.status, 0);
  EQ_INT(d.client.p.status, 0);
}

TEST(short_writes_and_reads_break_nothing) {
  static const size_t most[] = {1, 3, 100, 5000};
  for (size_t i = 0; i < WR_COUNTOF(most); i++) {
    tls_duo d;
    wr_mempair_faults faults = {.max_write = most[i], .max_read = most[i]};
    duo_open(&d, 20000);
    wr_mempair_set_faults(d.raw[0], &faults);
    wr_mempair_set_faults(d.raw[1], &faults);
    duo_connect(&d, host());
    d.server.p.max_take = 1 + most[i] / 2;
    send_both(&d, 20000);
    duo_run(&d);
    check_both(&d, 20000);
    duo_end(&d);
  }
}

TEST(what_nobody_reads_stops_the_writer) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  d.client.p.to_send = 10 * MB;
  peer_write(&d.client.p);
  duo_run(&d);
  CHECK(d.client.p.sent < 65536 + 2 * 65536);
  uint64_t held = d.client.p.sent;
  duo_run(&d);
  EQ_UINT(d.client.p.sent, held);
  EQ_UINT(d.server.p.got, 0);
  MUST(wr_link_read_start(d.server.p.link) == 0);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 10 * MB);
  wr_link_read_stop(d.server.p.link);
  d.client.p.to_send += MB;
  peer_write(&d.client.p);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 10 * MB);
  duo_end(&d);
}

TEST(a_rest_comes_first_and_only_when_wanted) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  d.client.p.to_send = 30000;
  d.client.p.end_after = true;
  peer_write(&d.client.p);
  d.server.p.max_take = 7000;
  MUST(wr_link_read_start(d.server.p.link) == 0);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 7000);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 7000); /* stopped by itself */
  for (int i = 0; i < 3; i++) {
    MUST(wr_link_read_start(d.server.p.link) == 0);
    duo_run(&d);
  }
  EQ_UINT(d.server.p.got, 28000);
  CHECK(!d.server.p.eof);
  d.server.p.max_take = 0;
  MUST(wr_link_read_start(d.server.p.link) == 0);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 30000);
  CHECK(d.server.p.eof);
  duo_end(&d);
}

TEST(each_direction_ends_by_itself) {
  tls_duo d;
  char byte[1] = {0};
  uv_buf_t buf = uv_buf_init(byte, 1);
  size_t taken;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  MUST(wr_link_read_start(d.client.p.link) == 0);
  MUST(wr_link_read_start(d.server.p.link) == 0);
  EQ_INT(wr_link_shutdown(d.client.p.link), 0);
  EQ_INT(wr_link_shutdown(d.client.p.link), 0);
  EQ_INT(wr_link_write(d.client.p.link, &buf, 1, &taken), WR_ECLOSED);
  duo_run(&d);
  CHECK(d.server.p.eof && !d.client.p.eof);
  d.server.p.to_send = MB;
  d.server.p.end_after = true;
  peer_write(&d.server.p);
  duo_run(&d);
  EQ_UINT(d.client.p.got, MB);
  CHECK(d.client.p.eof);
  CHECK(!d.server.p.closed && !d.client.p.closed);
  duo_end(&d);
}

TEST(an_orderly_close_sends_what_was_taken) {
  tls_duo d;
  duo_open(&d, 4096);
  duo_connect(&d, host());
  d.client.p.to_send = 60000;
  peer_write(&d.client.p);
  uint64_t sent = d.client.p.sent;
  CHECK(sent > 4096);
  wr_link_close(d.client.p.link, WR_CLOSE_ORDERLY);
  wr_link_close(d.client.p.link, WR_CLOSE_ORDERLY);
  duo_run(&d);
  CHECK(!d.client.p.closed); /* it lingers */
  MUST(wr_link_read_start(d.server.p.link) == 0);
  duo_run(&d);
  CHECK(d.client.p.closed);
  EQ_INT(d.client.p.status, 0);
  EQ_UINT(d.server.p.got, sent);
  CHECK(d.server.p.eof);
  duo_end(&d);
}

TEST(lingering_has_an_end) {
  tls_duo d;
  duo_open(&d, 4096);
  duo_connect(&d, host());
  d.client.p.to_send = 60000;
  peer_write(&d.client.p);
  wr_link_close(d.client.p.link, WR_CLOSE_ORDERLY);
  wr_ctx_advance(&d.e.ctx, 29999);
  CHECK(!d.client.p.closed);
  wr_ctx_advance(&d.e.ctx, 1);
  CHECK(d.client.p.closed);
  EQ_INT(d.client.p.status, UV_ETIMEDOUT);
  duo_end(&d);
  EQ_INT(d.server.p.status, UV_ECONNRESET);
}

TEST(teardown_does_not_wait_for_a_lingering_link) {
  tls_duo d;
  duo_open(&d, 4096);
  duo_connect(&d, host());
  d.client.p.to_send = 60000;
  peer_write(&d.client.p);
  wr_link_close(d.client.p.link, WR_CLOSE_ORDERLY);
  wr_tls_ctx_unref(d.server_ctx);
  wr_tls_ctx_unref(d.client_ctx);
  wr_ctx_close(&d.e.ctx, env_on_closed);
  uv_run(&d.e.loop, UV_RUN_DEFAULT);
  CHECK(d.e.closed);
  CHECK(d.client.p.closed);
  EQ_INT(d.server.p.status, UV_ECONNRESET);
  EQ_UINT(d.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&d.e.loop), 0);
}

/* Sealed bytes of sockets lie in the last 64 KiB of the scratch memory. An owner
   may have all before them, and gets no more. */
static void on_greedy_alloc(wr_link *link, uint8_t **base, size_t *len) {
  *len = 65536 + 1000;
  *base = link->ctx->scratch + WR_SCRATCH_SIZE - *len;
}

TEST(sockets_and_an_owner_share_the_scratch_memory) {
  static wr_link_handler greedy;
  tls_duo d;
  wr_tls_options o = {.server_name = "a.test"};
  memset(&d, 0, sizeof(d));
  env_open(&d.e);
  d.e.ctx.wall_ms = wall_of_tests;
  d.server.p.out_seed = d.client.p.in_seed = 1;
  d.client.p.out_seed = d.server.p.in_seed = 2;
  d.server_ctx = serve_with(&d.e, host());
  d.client_ctx = trust(&d.e, host());
  tcp_pair(&d.e, &d.raw[1], &d.raw[0]);
  duo_start(&d, &o, &o);
  env_until_count(&d.e, &d.server.n_cb, 1);
  env_until_count(&d.e, &d.client.n_cb, 1);
  MUST(d.server.p.link != NULL && d.client.p.link != NULL);
  greedy = peer_handler;
  greedy.alloc = on_greedy_alloc;
  d.server.p.link->handler = d.client.p.link->handler = &greedy;
  send_both(&d, 3 * MB);
  env_until_count(&d.e, &d.server.p.n_eof, 1);
  env_until_count(&d.e, &d.client.p.n_eof, 1);
  check_both(&d, 3 * MB);
  wr_link_info info;
  wr_link_query(d.server.p.link, &info);
  CHECK(info.has_peer);
  wr_link_close(d.server.p.link, WR_CLOSE_ORDERLY);
  wr_link_close(d.client.p.link, WR_CLOSE_ORDERLY);
  env_until_count(&d.e, &d.server.p.n_close, 1);
  env_until_count(&d.e, &d.client.p.n_close, 1);
  EQ_UINT(d.server.p.bad + d.client.p.bad, 0);
  wr_tls_ctx_unref(d.server_ctx);
  wr_tls_ctx_unref(d.client_ctx);
  env_settle(&d.e);
  env_close(&d.e);
}

TEST(a_reset_is_a_reset) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  MUST(wr_link_read_start(d.server.p.link) == 0);
  wr_link_close(d.client.p.link, WR_CLOSE_RESET);
  duo_run(&d);
  EQ_INT(d.client.p.status, 0);
  EQ_INT(d.server.p.status, UV_ECONNRESET);
  CHECK(!d.server.p.eof);
  duo_end(&d);
}

/* What was said before the cut is delivered, also to a slow reader. */
static void cut_after_data(size_t max_take) {
  tls_duo d;
  wr_mempair_faults none = {.max_write = 0};
  duo_open(&d, 65536);
  duo_connect(&d, host());
  d.client.p.to_send = 50000;
  peer_write(&d.client.p);
  /* A writer that ends below TLS, without its end. */
  EQ_INT(wr_link_shutdown(d.raw[1]), 0);
  wr_mempair_set_faults(d.raw[1], &none);
  d.server.p.max_take = max_take;
  d.server.p.resume = true;
  MUST(wr_link_read_start(d.server.p.link) == 0);
  duo_run(&d);
  EQ_UINT(d.server.p.got, 50000);
  CHECK(!d.server.p.eof);
  CHECK(d.server.p.closed);
  EQ_INT(d.server.p.status, WR_ETLS_TRUNCATED);
  duo_end(&d);
}

TEST(an_end_without_close_notify_is_an_error) {
  cut_after_data(0);
  cut_after_data(999);
}

TEST(a_carrier_that_breaks_tells_its_error) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  wr_mempair_cut(d.raw[0], UV_ENETDOWN);
  duo_run(&d);
  EQ_INT(d.server.p.status, UV_ENETDOWN);
  EQ_INT(d.client.p.status, UV_ENETDOWN);
  duo_end(&d);
}

TEST(a_writer_hears_that_its_peer_is_gone) {
  tls_duo d;
  duo_open(&d, 65536);
  duo_connect(&d, host());
  wr_link_close(d.server.p.link, WR_CLOSE_ORDERLY);
  duo_run(&d);
  d.client.p.to_send = 100;
  peer_write(&d.client.p);
  EQ_INT(d.client.p.write_error, UV_EPIPE);
  duo_run(&d);
  EQ_INT(d.client.p.status, UV_EPIPE);
  duo_end(&d);
}

TEST(closing_inside_callbacks_is_allowed) {
  static const int where[] = {'r', 'e', 'w'};
  for (size_t i = 0; i < 2 * WR_COUNTOF(where); i++) {
    tls_duo d;
    duo_open(&d, 4096);
    duo_connect(&d, host());
    d.server.p.close_in = d.client.p.close_in = where[i / 2];
    d.server.p.mode = i % 2 == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET;
    send_both(&d, 100000);
    duo_run(&d);
    duo_end(&d);
  }
}

TEST(a_stalled_carrier_stalls_only_its_writer) {
  tls_duo d;
  wr_mempair_faults faults = {.stalled = true};
  duo_open(&d, 65536);
  duo_connect(&d, host());
  wr_mempair_set_faults(d.raw[1], &faults);
  send_both(&d, 300000);
  duo_run(&d);
  EQ_UINT(d.client.p.got, 300000);
  EQ_UINT(d.server.p.got, 0);
  CHECK(d.client.p.sent < 300000);
  faults.stalled = false;
  wr_mempair_set_faults(d.raw[1], &faults);
  duo_run(&d);
  check_both(&d, 300000);
  duo_end(&d);
}

TEST(keys_change_under_way) {
  tls_duo d;
  wr_tls_options often = {.server_name = "a.test", .rekey_bytes = 10000};
  duo_open(&d, 65536);
  d.server_ctx = serve_with(&d.e, host());
  d.client_ctx = trust(&d.e, host());
  duo_start(&d, &often, &often);
  duo_run(&d);
  send_both(&d, MB);
  duo_run(&d);
  check_both(&d, MB);
  duo_end(&d);
}

TEST(a_handshake_takes_its_time_and_no_more) {
  tls_duo d;
  wr_tls_options o = {.timeout_ms = 5000, .server_name = "a.test"};
  duo_open(&d, 65536);
  d.server_ctx = serve_with(&d.e, host());
  MUST(wr_tls_start(d.raw[0], d.server_ctx, &o, on_side, &d.server,
                    &d.server.tls) == 0);
  peer_own(&d.client.p, d.raw[1]);
  d.client.n_cb = 1; /* it has none: its link is the raw one */
  MUST(wr_link_read_start(d.raw[1]) == 0);
  wr_ctx_advance(&d.e.ctx, 4999);
  EQ_INT(d.server.n_cb, 0);
  wr_ctx_advance(&d.e.ctx, 1);
  EQ_INT(d.server.status, WR_ETLS_TIMEOUT);
  EQ_UINT(d.client.p.got, 0); /* nothing is said */
  CHECK(d.client.p.eof);
  duo_end(&d);
}

TEST(a_cancelled_handshake_calls_nobody) {
  tls_duo d;
  wr_tls_options o = {.server_name = "a.test"};
  duo_open(&d, 65536);
  d.server_ctx = serve_with(&d.e, host());
  d.client_ctx = trust(&d.e, host());
  duo_start(&d, &o, &o);
  wr_tls_cancel(d.client.tls);
  duo_run(&d);
  EQ_INT(d.client.n_cb, 0);
  EQ_INT(d.server.status, UV_ECONNRESET);
  d.client.n_cb = 1;
  d.client.status = WR_ECANCELED;
  duo_end(&d);
}

TEST(a_peer_that_leaves_ends_the_handshake) {
  tls_duo d;
  wr_tls_options o = {.server_name = "a.test"};
  duo_open(&d, 65536);
  d.client_ctx = trust(&d.e, host());
  MUST(wr_tls_start(d.raw[1], d.client_ctx, &o, on_side, &d.client,
                    &d.client.tls) == 0);
  peer_own(&d.server.p, d.raw[0]);
  d.server.n_cb = 1;
  wr_link_close(d.raw[0], WR_CLOSE_ORDERLY);
  duo_run(&d);
  EQ_INT(d.client.status, WR_EPEER_CLOSED);
  duo_end(&d);
}

TEST(tls_over_tls_is_refused) {
  tls_duo d;
  wr_tls *out;
  wr_tls_options o = {.server_name = "a.test"};
  duo_open(&d, 65536);
  duo_connect(&d, host());
  EQ_INT(wr_tls_start(d.client.p.link, d.client_ctx, &o, on_side, NULL, &out),
         WR_EUNSUPPORTED);
  duo_end(&d);
}

/* Every allocation of ours fails once; nothing leaks and nothing is wrong. */
TEST(no_memory_is_an_error_like_others) {
  for (uint64_t fail = 1; fail < 60; fail++) {
    tls_duo d;
    wr_tls_options o = {.server_name = "a.test"};
    duo_open(&d, 8192);
    d.server_ctx = serve_with(&d.e, host());
    d.client_ctx = trust(&d.e, host());
    d.e.ctx.mem.fail_at = d.e.ctx.mem.total + fail;
    int a = wr_tls_start(d.raw[0], d.server_ctx, &o, on_side, &d.server,
                         &d.server.tls);
    int b = wr_tls_start(d.raw[1], d.client_ctx, &o, on_side, &d.client,
                         &d.client.tls);
    side *both[2] = {&d.server, &d.client};
    int errs[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
      if (errs[i] != 0) {
        EQ_INT(errs[i], WR_ENOMEM);
        wr_link_close(d.raw[i], WR_CLOSE_RESET);
        both[i]->n_cb = 1;
        both[i]->status = errs[i];
        d.raw[i]->handler = NULL;
      }
    }
    duo_run(&d);
    for (size_t i = 0; i < 2; i++) {
      if (both[i]->p.link != NULL) {
        both[i]->p.max_take = 1000;
        both[i]->p.resume = true;
        both[i]->p.to_send = 50000;
        (void)wr_link_read_start(both[i]->p.link);
        peer_write(&both[i]->p);
      }
    }
    duo_run(&d);
    d.e.ctx.mem.fail_at = 0;
    duo_end(&d);
  }
}

TAP_MAIN()
