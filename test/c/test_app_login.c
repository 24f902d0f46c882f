/* The server: who may log in, and what is recorded of it. */
#include "app_raw.h"

/* RECORDS */

TEST(login_is_recorded) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  CHECK(r.ready);
  LOGGED(&a, "INFO connection opened remote_addr=" ADDR
             " transport=memory session=1");
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=accept session=1",
         a.fp[0]);
  LOG_ENDS(&a);
  wr_ctx_advance(&a.e.ctx, 9070);
  wr_ssh_close(r.ssh, WR_DISCONNECT_BY_APPLICATION, "bye");
  run();
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=9.0 session=1");
  LOG_ENDS(&a);
  EQ_INT(a.ups, 1);
  EQ_INT(a.gone, 1);
  app_close(&a);
}

TEST(one_record_for_each_key) {
  app_open(&a, true);
  app_serve(&a, 4, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 4);
  CHECK(r.ready);
  app_logged(&a, __FILE__, __LINE__,
             "INFO connection opened remote_addr=" ADDR
             " transport=memory session=1");
  for (int i = 0; i < 2; i++) {
    LOGGED(&a,
           "INFO auth attempt remote_addr=" ADDR
           " user=root key_fingerprint=%s result=reject"
           " reason=unknown-key session=1",
           a.fp[i]);
  }
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=accept session=1",
         a.fp[2]);
  LOG_ENDS(&a);
  raw_end(&r);
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=0.0 session=1");
  LOG_ENDS(&a);
  app_close(&a);
}

TEST(failed_login_is_recorded_once) {
  app_open(&a, true);
  app_serve(&a, 8, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 3);
  CHECK(r.closed);
  EQ_INT(r.status, WR_EAUTH_REFUSED);
  EQ_INT(app_log_holds(&a, "reason=unknown-key"), 3);
  a.read_log = 4;
  LOGGED(&a, "WARN auth failed remote_addr=" ADDR " attempts=3 session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=0.0 session=1");
  LOG_ENDS(&a);
  EQ_INT(a.ups, 0);
  EQ_INT(a.gone, 0);
  app_close(&a);
}

TEST(tries_are_limited) {
  app_open(&a, true);
  a.opts.max_auth_attempts = 2;
  app_serve(&a, 8, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 4);
  CHECK(r.closed && !r.ready);
  EQ_INT(app_log_holds(&a, "reason=unknown-key"), 2);
  EQ_INT(app_log_holds(&a, "WARN auth failed remote_addr=" ADDR
                           " attempts=2 session=1"),
         1);
  app_close(&a);
}

TEST(connection_without_a_key_did_not_fail) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true};
  raw_start(&r, ADDR, "root", a.keys, 1);
  wr_ssh_abort(r.ssh, WR_ECLOSED);
  run();
  EQ_INT(app_log_holds(&a, "connection closed"), 1);
  EQ_INT(app_log_holds(&a, "auth"), 0);
  app_close(&a);
}

/* What the client's own code never would send: the service is asked for by
   hand, and answers are not understood. */
static void send_service(raw *r) {
  static const char service[] = "ssh-userauth";
  uint8_t p[17] = {MSG_SERVICE_REQUEST};
  wr_put_u32(p + 1, 12);
  memcpy(p + 5, service, 12);
  wr__pump_send(r->ssh, p, sizeof(p), NULL, 0);
}

static void send_auth(raw *r, const char *method, bool proof, wr_slice blob,
                      const char *algorithm, const char *sig) {
  wr_buf b;
  wr_buf_init(&b, &a.e.ctx.mem, 4096);
  MUST(wr_buf_put_u8(&b, MSG_USERAUTH_REQUEST) == 0);
  MUST(wr_buf_put_cstring(&b, "root") == 0);
  MUST(wr_buf_put_cstring(&b, "ssh-connection") == 0);
  MUST(wr_buf_put_cstring(&b, method) == 0);
  MUST(wr_buf_put_u8(&b, proof) == 0);
  MUST(wr_buf_put_cstring(&b, algorithm) == 0);
  MUST(wr_buf_put_string(&b, blob.data, blob.len) == 0);
  if (proof) {
    MUST(wr_buf_put_cstring(&b, sig) == 0);
  }
  wr__pump_send_buf(r->ssh, &b);
  wr_buf_reset(&b);
}

/* One try of that kind; the record must give `reason`. */
static void hostile(const char *method, bool proof, const char *algorithm,
                    const char *fp, const char *reason) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true};
  raw_start(&r, ADDR, "root", a.keys, 1);
  send_service(&r);
  send_auth(&r, method, proof, wr_key_blob(a.keys[0]), algorithm, "nonsense");
  run();
  a.read_log = 1;
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=reject reason=%s session=1",
         fp != NULL ? fp : a.fp[0], reason);
  LOGGED(&a, "WARN auth failed remote_addr=" ADDR " attempts=1 session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=0.0 session=1");
  LOG_ENDS(&a);
  app_close(&a);
}

TEST(known_key_that_is_not_proved) {
  hostile("publickey", false, "ssh-ed25519", NULL, "not-proved");
}

TEST(known_key_and_then_another) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true};
  raw_start(&r, ADDR, "root", a.keys, 1);
  send_service(&r);
  for (int i = 0; i < 2; i++) {
    send_auth(&r, "publickey", false, wr_key_blob(a.keys[i]), "ssh-ed25519",
              "");
  }
  run();
  a.read_log = 1;
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=reject"
         " reason=not-proved session=1",
         a.fp[0]);
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=reject"
         " reason=unknown-key session=1",
         a.fp[1]);
  LOGGED(&a, "WARN auth failed remote_addr=" ADDR " attempts=2 session=1");
  app_close(&a);
}

TEST(bad_signature_after_an_offer) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {.wait_at_key = true};
  raw_start(&r, ADDR, "root", a.keys, 1);
  send_service(&r);
  send_auth(&r, "publickey", false, wr_key_blob(a.keys[0]), "ssh-ed25519", "");
  send_auth(&r, "publickey", true, wr_key_blob(a.keys[0]), "ssh-ed25519",
            "nonsense");
  run();
  a.read_log = 1;
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=reject"
         " reason=bad-signature session=1",
         a.fp[0]);
  LOGGED(&a, "WARN auth failed remote_addr=" ADDR " attempts=1 session=1");
  app_close(&a);
}

TEST(bad_signature) {
  hostile("publickey", true, "ssh-ed25519", "-", "bad-signature");
}

TEST(other_key_type) {
  hostile("publickey", false, "ssh-rsa", "-", "key-type");
}

TEST(other_method) {
  hostile("password", false, "secret", "-", "method");
}

TEST(user_name_cannot_forge_a_record) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "x\nINFO auth\" remote_addr=1.2.3.4", a.keys, 1);
  a.read_log = 1;
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=\"x\\x0aINFO auth\\\" remote_addr=1.2.3.4\""
         " key_fingerprint=%s result=accept session=1",
         a.fp[0]);
  raw_end(&r);
  app_close(&a);
}

TEST(stream_without_an_address) {
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, "", "root", a.keys, 1);
  LOGGED(&a, "INFO connection opened remote_addr=- transport=memory"
             " session=1");
  raw_end(&r);
  raw r2 = {0};
  a.read_log = a.n_log;
  raw_start(&r2, "::ffff:192.0.2.7", "root", a.keys, 1);
  LOGGED(&a, "INFO connection opened remote_addr=192.0.2.7 transport=memory"
             " session=2");
  raw_end(&r2);
  app_close(&a);
}

/* AUTHORIZE */

TEST(application_has_the_last_word) {
  app_open(&a, true);
  a.opts.authorize = true;
  app_serve(&a, 1, NULL);
  char want[512];
  for (int answer = 0; answer < 2; answer++) {
    app_forget_log(&a);
    a.authorize_answer = answer;
    raw r = {0};
    raw_start(&r, ADDR, "root", a.keys, 1);
    EQ_INT(r.ready, answer == 1);
    EQ_INT(a.authorize_calls, answer + 1);
    snprintf(want, sizeof(want), "root %s " ADDR " memory", a.fp[0]);
    EQ_STR(a.authorize_text, want);
    EQ_INT(app_log_holds(&a, "reason=not-authorized"), answer == 0);
    EQ_INT(app_log_holds(&a, "result=accept"), answer == 1);
    EQ_INT(app_log_holds(&a, "WARN auth failed"), answer == 0);
    raw_end(&r);
  }
  EQ_INT(a.ups, 1);
  app_close(&a);
}

TEST(application_takes_its_time) {
  app_open(&a, true);
  a.opts.authorize = true;
  a.authorize_answer = -1;
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  CHECK(!r.ready);
  wr_ctx_advance(&a.e.ctx, 20000);
  wr_server_authorize(a.server, a.authorize_session + 7, true);
  run();
  CHECK(!r.ready);
  wr_server_authorize(a.server, a.authorize_session, true);
  wr_server_authorize(a.server, a.authorize_session, false);
  run();
  CHECK(r.ready);
  wr_server_authorize(a.server, a.authorize_session, false);
  run();
  CHECK(!r.closed);
  EQ_INT(app_log_holds(&a, "result=reject"), 0);
  raw_end(&r);
  app_close(&a);
}

TEST(application_never_answers) {
  app_open(&a, true);
  a.opts.authorize = true;
  a.authorize_answer = -1;
  app_serve(&a, 1, NULL);
  raw r = {0};
  raw_start(&r, ADDR, "root", a.keys, 1);
  wr_ctx_advance(&a.e.ctx, 31000);
  CHECK(r.closed);
  a.read_log = 1;
  LOGGED(&a,
         "INFO auth attempt remote_addr=" ADDR
         " user=root key_fingerprint=%s result=reject"
         " reason=not-authorized session=1",
         a.fp[0]);
  LOGGED(&a, "WARN auth failed remote_addr=" ADDR " attempts=1 session=1");
  LOGGED(&a,
         "INFO connection closed remote_addr=" ADDR " duration=30.0 session=1");
  wr_server_authorize(a.server, a.authorize_session, true);
  run();
  LOG_ENDS(&a);
  app_close(&a);
}

TAP_MAIN()
