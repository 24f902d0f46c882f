/* Sessions: handshake, host key, login, its limits, keepalive, the end. */
#include "ssh_pair.h"

TEST(a_key_logs_in) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  EQ_INT(p.proofs, 1);
  EQ_INT(p.offers, 0);
  EQ_STR(p.user_name, "alice");
  wr_ssh_info info;
  wr_ssh_query(p.c, &info);
  EQ_STR(info.kex, "mlkem768x25519-sha256");
  EQ_STR(info.cipher, "aes256-gcm@openssh.com");
  EQ_STR(info.peer_software, "Wraith");
  wr_ssh_query(p.s, &info);
  EQ_STR(info.login, "alice");
  CHECK(wr_slice_same(info.key_blob, wr_key_blob(p.user[0])));
  wr_ssh_close(p.c, WR_DISCONNECT_BY_APPLICATION, "done");
  pair_run(&p);
  EQ_INT(p.c_closes, 1);
  EQ_INT(p.c_status, 0);
  EQ_INT(p.s_closes, 1);
  EQ_INT(p.s_status, WR_EPEER_CLOSED);
  pair_fini(&p);
}

static wr_link_ops noting;
static const wr_link_ops *noted;
static int close_mode;

static void note_close(wr_link *link, wr_close_mode mode) {
  close_mode = (int)mode;
  noted->close(link, mode);
}

/* A reset could take the peer's last words with it, and shows on the way. */
TEST(who_is_told_goodbye_closes_in_order) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  noted = p.slink->ops;
  noting = *noted;
  noting.close = note_close;
  p.slink->ops = &noting;
  close_mode = -1;
  wr_ssh_close(p.c, WR_DISCONNECT_BY_APPLICATION, "done");
  pair_run(&p);
  EQ_INT(close_mode, WR_CLOSE_ORDERLY);
  EQ_INT(p.s_status, WR_EPEER_CLOSED);
  pair_fini(&p);
}

TEST(every_cipher_and_key_exchange_works) {
  static const char *const ciphers[] = {
      "aes256-gcm@openssh.com", "aes128-gcm@openssh.com",
      "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr"};
  for (size_t i = 0; i < WR_COUNTOF(ciphers); i++) {
    pair p;
    pair_init(&p);
    p.copts.ciphers = ciphers[i];
    p.copts.kex = i % 2 == 0 ? "curve25519-sha256" : NULL;
    pair_up(&p);
    wr_ssh_info info;
    wr_ssh_query(p.s, &info);
    EQ_STR(info.cipher, ciphers[i]);
    pair_fini(&p);
  }
}

TEST(a_key_that_is_not_taken_is_refused) {
  pair p;
  pair_init(&p);
  p.good = NULL;
  pair_start(&p);
  pair_run(&p);
  EQ_INT(p.proofs, 1);
  EQ_INT(p.c_status, WR_EAUTH_REFUSED);
  EQ_INT(p.c_closes, 1);
  EQ_INT(p.s_closes, 1);
  EQ_INT(p.c_ready + p.s_ready, 0);
  pair_fini(&p);
}

TEST(several_keys_are_offered_before_one_is_proved) {
  pair p;
  pair_init(&p);
  p.copts.n_identities = 3;
  p.good = p.user[2];
  pair_up(&p);
  EQ_INT(p.offers, 3);
  EQ_INT(p.proofs, 1);
  wr_ssh_info info;
  wr_ssh_query(p.s, &info);
  EQ_UINT(info.auth_failures, 2);
  EQ_UINT(info.auth_offers, 4);
  pair_fini(&p);
}

TEST(failures_are_limited) {
  pair p;
  pair_init(&p);
  p.copts.n_identities = 3;
  p.sopts.max_auth_attempts = 2;
  p.good = NULL;
  pair_start(&p);
  pair_run(&p);
  EQ_INT(p.offers, 2);
  EQ_INT(p.s_status, WR_EAUTH_REFUSED);
  EQ_STR(p.s_text, "too many authentication failures");
  EQ_INT(p.c_status, WR_EAUTH_REFUSED);
  pair_fini(&p);
}

TEST(verdicts_may_come_later) {
  pair p;
  pair_init(&p);
  p.async_verdict = true;
  p.async_auth = true;
  pair_start(&p);
  pair_run(&p);
  CHECK(p.verdict_due);
  EQ_INT(p.proofs, 0);
  wr_ssh_host_key_verdict(p.c, 0);
  pair_run(&p);
  EQ_INT(p.proofs, 1);
  CHECK(p.auth_due);
  EQ_INT(p.c_ready, 0);
  wr_ssh_auth_reply(p.s, true);
  pair_run(&p);
  EQ_INT(p.c_ready, 1);
  EQ_INT(p.s_ready, 1);
  pair_fini(&p);
}

TEST(a_host_key_that_is_not_accepted_ends_the_client) {
  pair p;
  pair_init(&p);
  p.verdict = WR_EHOST_KEY_MISMATCH;
  pair_start(&p);
  pair_run(&p);
  EQ_INT(p.c_status, WR_EHOST_KEY_MISMATCH);
  EQ_INT(p.s_status, WR_EPEER_CLOSED);
  EQ_INT(p.proofs + p.offers, 0);
  pair_fini(&p);
}

TEST(the_login_grace_time_ends_both_roles) {
  pair p;
  pair_init(&p);
  p.async_auth = true;
  p.copts.login_grace_ms = 90000;
  pair_start(&p);
  pair_run(&p);
  wr_ctx_advance(&p.e.ctx, WR_LOGIN_GRACE_MS - 1);
  EQ_INT(p.s_closes, 0);
  wr_ctx_advance(&p.e.ctx, 1);
  EQ_INT(p.s_closes, 1);
  EQ_INT(p.s_status, WR_EAUTH_TIMEOUT);
  EQ_STR(p.s_text, "login grace time exceeded");
  EQ_INT(p.c_closes, 1);
  pair_fini(&p);
}

TEST(a_silent_server_is_given_up) {
  pair p;
  pair_init(&p);
  peer raw = {0};
  peer_own(&raw, p.slink);
  MUST(wr_ssh_start(&p.e.ctx, p.clink, &p.copts, &p.c) == 0);
  wr_ctx_advance(&p.e.ctx, WR_LOGIN_GRACE_MS);
  EQ_INT(p.c_status, WR_EAUTH_TIMEOUT);
  EQ_INT(p.c_closes, 1);
  EQ_INT(raw.n_close, 1);
  pair_fini(&p);
}

TEST(small_pieces_and_delays_do_not_matter) {
  pair p;
  pair_init(&p);
  wr_mempair_faults f = {.max_write = 1, .max_read = 1, .delay_ms = 1};
  wr_mempair_set_faults(p.clink, &f);
  f.max_write = 7;
  wr_mempair_set_faults(p.slink, &f);
  pair_start(&p);
  wr_ctx_advance(&p.e.ctx, 20000);
  EQ_INT(p.c_ready, 1);
  EQ_INT(p.s_ready, 1);
  pair_fini(&p);
}

TEST(a_dead_peer_is_noticed_within_two_intervals) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  wr_ctx_advance(&p.e.ctx, 60000); /* both answer */
  EQ_INT(p.c_closes + p.s_closes, 0);
  uint64_t t0 = wr_ctx_now(&p.e.ctx);
  wr_mempair_faults f = {.delay_ms = 10000000};
  wr_mempair_set_faults(p.slink, &f);
  wr_mempair_set_faults(p.clink, &f);
  while (p.c_closes == 0 && wr_ctx_now(&p.e.ctx) - t0 < 100000) {
    wr_ctx_advance(&p.e.ctx, 100);
  }
  EQ_INT(p.c_status, WR_EPEER_DEAD);
  OK(wr_ctx_now(&p.e.ctx) - t0 <= 2 * WR_KEEPALIVE_MS,
     "noticed within two intervals");
  pair_fini(&p);
}

TEST(an_idle_session_sends_one_keepalive_per_interval) {
  pair p;
  pair_init(&p);
  p.sopts.keepalive_ms = UINT64_MAX;
  pair_up(&p);
  wr_ctx_advance(&p.e.ctx, 1000);
  wr_ssh_info a, b;
  wr_ssh_query(p.c, &a);
  wr_ctx_advance(&p.e.ctx, 10 * WR_KEEPALIVE_MS);
  wr_ssh_query(p.c, &b);
  uint64_t per = (b.bytes_out - a.bytes_out) / 10;
  OK(per > 40 && per < 100, "%d bytes per interval", (int)per);
  pair_fini(&p);
}

TEST(the_round_trip_is_measured) {
  pair p;
  pair_init(&p);
  pair_delay(&p, 50);
  pair_start(&p);
  wr_ctx_advance(&p.e.ctx, 3000);
  EQ_INT(p.c_ready, 1);
  wr_ssh_info info;
  wr_ssh_query(p.c, &info);
  EQ_INT(info.rtt_us, 100000);
  pair_fini(&p);
}

TEST(a_cut_wire_ends_both) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  wr_mempair_cut(p.clink, UV_ECONNRESET);
  pair_run(&p);
  EQ_INT(p.c_status, UV_ECONNRESET);
  EQ_INT(p.s_status, UV_ECONNRESET);
  pair_fini(&p);
}

TEST(the_wire_may_be_cut_at_any_byte) {
  for (uint64_t at = 0; at < 6000; at += 97) {
    pair p;
    pair_init(&p);
    wr_mempair_faults f = {.delay_ms = 1, .max_write = 97};
    wr_mempair_set_faults(p.clink, &f);
    wr_mempair_set_faults(p.slink, &f);
    pair_start(&p);
    wr_ctx_advance(&p.e.ctx, at / 97);
    wr_mempair_cut(p.clink, UV_ECONNRESET);
    pair_run(&p);
    EQ_INT(p.c_closes + p.s_closes, 2);
    pair_fini(&p);
  }
}

TEST(goodbye_is_said_in_one_try) {
  pair p;
  pair_init(&p);
  pair_up(&p);
  wr_ctx_say_goodbye(&p.e.ctx);
  pair_run(&p);
  CHECK(p.c_closes == 1 || p.s_closes == 1);
  pair_fini(&p);
}

TEST(teardown_of_the_context_ends_sessions) {
  pair p;
  pair_init_clock(&p, false);
  pair_start(&p);
  wr_key_unref(p.host);
  for (size_t i = 0; i < WR_COUNTOF(p.user); i++) {
    wr_key_unref(p.user[i]);
  }
  wr_ctx_close(&p.e.ctx, env_on_closed);
  uv_run(&p.e.loop, UV_RUN_DEFAULT);
  EQ_INT(p.c_closes, 1);
  EQ_INT(p.s_closes, 1);
  CHECK(p.e.closed);
  EQ_UINT(p.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&p.e.loop), 0);
}

TEST(every_allocation_of_a_login_may_fail) {
  uint64_t total = 0;
  for (uint64_t n = 1; n < 2000; n++) {
    pair p;
    pair_init(&p);
    uint64_t before = p.e.ctx.mem.total;
    p.e.ctx.mem.fail_at = total == 0 ? 0 : before + n;
    int rc = wr_ssh_start(&p.e.ctx, p.slink, &p.sopts, &p.s);
    if (rc != 0) {
      wr_link_close(p.slink, WR_CLOSE_RESET);
    }
    rc = wr_ssh_start(&p.e.ctx, p.clink, &p.copts, &p.c);
    if (rc != 0) {
      wr_link_close(p.clink, WR_CLOSE_RESET);
    }
    pair_run(&p);
    p.e.ctx.mem.fail_at = 0;
    if (total == 0) {
      total = p.e.ctx.mem.total - before;
      EQ_INT(p.c_ready, 1);
    }
    pair_fini(&p);
    if (n > total) {
      break;
    }
  }
  DIAG("%d allocations in a login", (int)total);
}

TEST(a_version_that_is_none_ends_the_session) {
  static const char *const lines[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-1.5-x\r\n",
                                      "\x16\x03\x01\x02", "SSH-2.0-a\x01\r\n"};
  for (size_t i = 0; i < WR_COUNTOF(lines); i++) {
    pair p;
    pair_init(&p);
    MUST(wr_ssh_start(&p.e.ctx, p.slink, &p.sopts, &p.s) == 0);
    peer raw = {0};
    peer_own(&raw, p.clink);
    uv_buf_t buf =
        uv_buf_init((char *)(uintptr_t)lines[i], (unsigned)strlen(lines[i]));
    size_t taken = 0;
    MUST(wr_link_write(p.clink, &buf, 1, &taken) == 0);
    wr_ctx_advance(&p.e.ctx, 500); /* the peer stays, and is left */
    EQ_INT(p.s_status, WR_ESSH_VERSION);
    if (raw.link != NULL) {
      wr_link_close(raw.link, WR_CLOSE_RESET);
    }
    pair_fini(&p);
  }
}

TEST(a_peers_version_is_kept_printable) {
  pair p;
  pair_init(&p);
  p.copts.software = "Test_1.0 and a comment";
  pair_up(&p);
  wr_ssh_info info;
  wr_ssh_query(p.s, &info);
  EQ_STR(info.peer_software, "Test_1.0 and a comment");
  pair_fini(&p);
}

/* A peer that talks nonsense, and would not stop for being told so. */
static void talk_nonsense(pair *p, peer *raw) {
  pair_init(p);
  MUST(wr_ssh_start(&p->e.ctx, p->slink, &p->sopts, &p->s) == 0);
  *raw = (peer){.to_send = 16 * PAIR_CAPACITY};
  peer_own(raw, p->clink);
  peer_go(raw);
  pair_run(p);
}

TEST(what_comes_after_the_last_words_is_read_away) {
  pair p;
  peer raw;
  talk_nonsense(&p, &raw);
  EQ_UINT(raw.sent, raw.to_send);
  EQ_INT(raw.n_write_errors, 0);
  EQ_INT(raw.n_eof, 1);
  CHECK(p.s != NULL);
  wr_link_close(raw.link, WR_CLOSE_ORDERLY);
  pair_run(&p);
  EQ_INT(p.s_closes, 1);
  EQ_STR(p.s_text, "protocol error");
  pair_fini(&p);
}

TEST(a_peer_that_stays_is_left_after_a_while) {
  pair p;
  peer raw;
  talk_nonsense(&p, &raw);
  wr_ctx_advance(&p.e.ctx, 499);
  CHECK(p.s != NULL);
  wr_ctx_advance(&p.e.ctx, 1);
  EQ_INT(p.s_closes, 1);
  wr_link_close(raw.link, WR_CLOSE_RESET);
  pair_fini(&p);
}

TAP_MAIN()
