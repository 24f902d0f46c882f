/* Logins with identities that somebody else signs for. */
#include "ssh_pair.h"

#include "ssh/cert.h"

/* What the owner of the client does about signatures. */
static struct {
  pair p;
  wr_ssh_handler handler;
  int asked;
  wr_slice signer;
  wr_slice data;
  bool at_once;
  int status; /* of what is answered at once */
} v;

static const wr_slice none = {NULL, 0};

static wr_key *key_of(wr_slice blob) {
  for (size_t i = 0; i < WR_COUNTOF(v.p.user); i++) {
    if (wr_slice_same(blob, wr_key_blob(v.p.user[i]))) {
      return v.p.user[i];
    }
  }
  return NULL;
}

/* As an agent would. */
static void answer(void) {
  wr_buf sig;
  wr_buf_init(&sig, &v.p.e.ctx.mem, 1024);
  MUST(wr_key_sign(key_of(v.signer), v.data.data, v.data.len, &sig) == 0);
  wr_ssh_signature(v.p.c, 0, (wr_slice){sig.data, sig.len});
  wr_buf_reset(&sig);
}

static void on_sign(wr_ssh *s, wr_slice signer, wr_slice data) {
  CHECK(s == v.p.c);
  v.asked++;
  v.signer = signer;
  v.data = data;
  if (!v.at_once) {
    return;
  }
  if (v.status != 0) {
    wr_ssh_signature(s, v.status, none);
  } else {
    answer();
  }
}

/* n identities without keys of ours. */
static void start(size_t n) {
  memset(&v, 0, sizeof(v));
  pair_init(&v.p);
  v.handler = pair_handler;
  v.handler.on_sign = on_sign;
  v.p.copts.handler = &v.handler;
  v.p.copts.n_identities = n;
  for (size_t i = 0; i < n; i++) {
    v.p.ids[i] = (wr_identity){.blob = wr_key_blob(v.p.user[i])};
  }
}

static void go(void) {
  pair_start(&v.p);
  pair_run(&v.p);
}

TEST(a_signature_may_come_at_once) {
  start(1);
  v.at_once = true;
  go();
  EQ_INT(v.p.c_ready, 1);
  EQ_INT(v.asked, 1);
  EQ_INT(v.p.offers, 1);
  EQ_INT(v.p.proofs, 1);
  pair_fini(&v.p);
}

TEST(a_signature_may_come_late) {
  start(1);
  go();
  EQ_INT(v.asked, 1);
  CHECK(wr_slice_same(v.signer, wr_key_blob(v.p.user[0])));
  EQ_INT(v.p.offers, 1);
  wr_ctx_advance(&v.p.e.ctx, WR_LOGIN_GRACE_MS - 1);
  EQ_INT(v.p.c_ready + v.p.c_closes, 0);
  answer();
  pair_run(&v.p);
  EQ_INT(v.p.c_ready, 1);
  EQ_INT(v.p.proofs, 1);
  pair_fini(&v.p);
}

TEST(a_signature_that_never_comes_ends_with_the_grace_time) {
  start(1);
  v.p.sopts.login_grace_ms = 10 * WR_LOGIN_GRACE_MS;
  go();
  wr_ctx_advance(&v.p.e.ctx, WR_LOGIN_GRACE_MS);
  EQ_INT(v.p.c_closes, 1);
  EQ_INT(v.p.c_status, WR_EAUTH_TIMEOUT);
  pair_fini(&v.p);
}

TEST(nobody_is_asked_for_a_key_that_the_server_does_not_take) {
  start(3);
  v.p.good = v.p.user[2];
  v.at_once = true;
  go();
  EQ_INT(v.p.c_ready, 1);
  EQ_INT(v.p.offers, 3);
  EQ_INT(v.asked, 1);
  CHECK(wr_slice_same(v.signer, wr_key_blob(v.p.user[2])));
  pair_fini(&v.p);
}

TEST(who_will_not_sign_leaves_the_turn_to_the_next) {
  start(2);
  v.at_once = true;
  v.status = WR_EAGENT_REFUSED;
  v.p.ids[1] = (wr_identity){.key = v.p.user[0]};
  go();
  EQ_INT(v.asked, 1);
  EQ_INT(v.p.c_ready, 1);
  pair_fini(&v.p);
}

TEST(where_nobody_signs_that_is_what_is_told) {
  start(2);
  v.at_once = true;
  v.status = WR_EAGENT_REFUSED;
  go();
  EQ_INT(v.p.c_status, WR_EAGENT_REFUSED);
  EQ_INT(v.p.c_closes, 1);
  EQ_INT(v.p.proofs, 0);
  pair_fini(&v.p);
}

TEST(any_other_failure_ends_the_session) {
  start(2);
  v.at_once = true;
  v.status = WR_EAGENT_CLOSED;
  go();
  EQ_INT(v.asked, 1);
  EQ_INT(v.p.c_status, WR_EAGENT_CLOSED);
  pair_fini(&v.p);
}

TEST(a_wrong_signature_is_refused) {
  start(2);
  go();
  v.signer = wr_key_blob(v.p.user[1]);
  answer();
  pair_run(&v.p);
  EQ_INT(v.p.c_ready, 0);
  EQ_INT(v.p.proofs, 0);
  EQ_INT(v.p.c_status, WR_EAUTH_REFUSED);
  pair_fini(&v.p);
}

TEST(a_signature_that_is_too_long_ends_the_session) {
  static uint8_t big[128 * 1024];
  start(1);
  go();
  wr_ssh_signature(v.p.c, 0, (wr_slice){big, sizeof(big)});
  pair_run(&v.p);
  EQ_INT(v.p.c_status, WR_ELIMIT);
  pair_fini(&v.p);
}

TEST(the_session_may_end_while_a_signature_is_awaited) {
  start(1);
  go();
  wr_ssh_close(v.p.c, WR_DISCONNECT_BY_APPLICATION, "enough");
  answer(); /* too late: it does nothing */
  pair_run(&v.p);
  EQ_INT(v.p.c_closes, 1);
  EQ_INT(v.p.c_status, 0);
  EQ_INT(v.p.proofs, 0);
  pair_fini(&v.p);
}

TEST(the_server_may_go_while_a_signature_is_awaited) {
  start(1);
  go();
  wr_ssh_close(v.p.s, WR_DISCONNECT_NO_AUTH, "too slow");
  pair_run(&v.p);
  EQ_INT(v.p.c_closes, 1);
  EQ_INT(v.p.c_status, WR_EPEER_CLOSED);
  pair_fini(&v.p);
}

TEST(a_signature_that_nobody_asked_for_does_nothing) {
  start(1);
  pair_start(&v.p);
  wr_ssh_signature(v.p.c, 0, none);
  pair_run(&v.p);
  EQ_INT(v.asked, 1);
  answer();
  wr_ssh_signature(v.p.c, WR_EAGENT_CLOSED, none);
  pair_run(&v.p);
  EQ_INT(v.p.c_ready, 1);
  wr_ssh_signature(v.p.c, WR_EAGENT_CLOSED, none);
  pair_run(&v.p);
  EQ_INT(v.p.c_closes, 0);
  pair_fini(&v.p);
}

TEST(a_banner_may_come_while_a_signature_is_awaited) {
  static const uint8_t banner[] = {
      MSG_USERAUTH_BANNER, 0, 0, 0, 1, 'x', 0, 0, 0, 0};
  start(1);
  go();
  wr__pump_send(v.p.s, banner, sizeof(banner), NULL, 0);
  pair_run(&v.p);
  EQ_INT(v.p.c_closes, 0);
  answer();
  pair_run(&v.p);
  EQ_INT(v.p.c_ready, 1);
  pair_fini(&v.p);
}

TEST(answers_that_nobody_asked_for_break_the_protocol) {
  static const uint8_t numbers[] = {MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE,
                                    MSG_USERAUTH_PK_OK, MSG_SERVICE_ACCEPT};
  for (size_t i = 0; i < sizeof(numbers); i++) {
    start(1);
    go();
    wr__pump_send(v.p.s, &numbers[i], 1, NULL, 0);
    pair_run(&v.p);
    EQ_INT(v.p.c_status, WR_ESSH_PROTOCOL);
    EQ_INT(v.p.c_ready, 0);
    pair_fini(&v.p);
  }
}

/* The same answer twice: the second is none. */
TEST(a_second_pk_ok_breaks_the_protocol) {
  start(1);
  go();
  wr_slice blob = wr_key_blob(v.p.user[0]);
  wr_buf b;
  wr_buf_init(&b, &v.p.e.ctx.mem, 1024);
  MUST(wr_buf_put_u8(&b, MSG_USERAUTH_PK_OK) == 0);
  MUST(wr_buf_put_cstring(&b, "ssh-ed25519") == 0);
  MUST(wr_buf_put_string(&b, blob.data, blob.len) == 0);
  wr__pump_send_buf(v.p.s, &b);
  wr_buf_reset(&b);
  pair_run(&v.p);
  EQ_INT(v.asked, 1);
  EQ_INT(v.p.c_status, WR_ESSH_PROTOCOL);
  pair_fini(&v.p);
}

/* A blob of the certificate type; what is in it only the server cares about. */
static wr_slice certificate_like(wr_mem *mem, wr_buf *b) {
  wr_buf_init(b, mem, 1024);
  MUST(wr_buf_put_cstring(b, WR_CERT_ED25519) == 0);
  MUST(wr_buf_put_cstring(b, "not really one") == 0);
  return (wr_slice){b->data, b->len};
}

TEST(a_certificate_comes_before_its_key_and_asks_no_questions) {
  wr_buf b;
  start(2);
  wr_slice cert = certificate_like(&v.p.e.ctx.mem, &b);
  v.p.ids[0] = (wr_identity){.key = v.p.user[0], .blob = cert};
  v.p.ids[1] = (wr_identity){.key = v.p.user[0]};
  go();
  wr_buf_reset(&b);
  EQ_INT(v.p.c_ready, 1);
  EQ_INT(v.p.offers, 0);
  EQ_INT(v.p.proofs, 1);
  wr_ssh_info info;
  wr_ssh_query(v.p.s, &info);
  EQ_UINT(info.auth_failures, 1);
  wr_ssh_query(v.p.c, &info);
  EQ_UINT(info.auth_offers, 2);
  CHECK(wr_slice_same(info.key_blob, wr_key_blob(v.p.user[0])));
  pair_fini(&v.p);
}

TEST(the_signer_need_not_be_what_is_offered) {
  start(1);
  v.p.ids[0].signer = wr_key_blob(v.p.user[2]);
  go();
  EQ_INT(v.asked, 1);
  CHECK(wr_slice_same(v.signer, wr_key_blob(v.p.user[2])));
  pair_fini(&v.p);
}

TEST(every_allocation_of_such_a_login_may_fail) {
  uint64_t total = 0;
  for (uint64_t n = 1; n < 2000; n++) {
    start(2);
    v.p.good = v.p.user[1];
    v.at_once = true;
    v.status = WR_EAGENT_REFUSED;
    v.p.ids[1] = (wr_identity){.key = v.p.user[1]};
    uint64_t before = v.p.e.ctx.mem.total;
    v.p.e.ctx.mem.fail_at = total == 0 ? 0 : before + n;
    if (wr_ssh_start(&v.p.e.ctx, v.p.slink, &v.p.sopts, &v.p.s) != 0) {
      wr_link_close(v.p.slink, WR_CLOSE_RESET);
    }
    if (wr_ssh_start(&v.p.e.ctx, v.p.clink, &v.p.copts, &v.p.c) != 0) {
      wr_link_close(v.p.clink, WR_CLOSE_RESET);
    }
    pair_run(&v.p);
    v.p.e.ctx.mem.fail_at = 0;
    if (total == 0) {
      total = v.p.e.ctx.mem.total - before;
      EQ_INT(v.p.c_ready, 1);
    }
    pair_fini(&v.p);
    if (n > total) {
      break;
    }
  }
}

TAP_MAIN()
