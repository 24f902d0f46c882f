/* A TLS server and clients that behave in every other way: OpenSSL in the hands
   of the test, and bytes. */
#include "tls_raw.h"

static const cert_spec host_spec = {.names = "DNS:a.test"};

static pki *host(void) {
  static pki p;
  if (p.cert == NULL) {
    pki_make(&p, &host_spec);
  }
  return &p;
}

static void check_alpn(const char *offer, const char *want, int status,
                       int alert) {
  raw_duo d;
  wr_tls_info info;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, 0, offer);
  raw_duo_shake(&d);
  EQ_INT(d.server.status, status);
  EQ_INT(d.client.alert, alert);
  if (d.server.p.link != NULL) {
    wr_tls_query(d.server.tls, &info);
    CHECK(wr_slice_eq(info.alpn, want));
  } else {
    CHECK(d.client.eof); /* the alert, then the end */
  }
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

TEST(protocols_are_chosen_as_by_a_web_server) {
  check_alpn(NULL, "", 0, 0);
  check_alpn("\x02h2\x08http/1.1", "h2", 0, 0);
  check_alpn("\x08http/1.1\x02h2", "h2", 0, 0);
  check_alpn("\x08http/1.1", "http/1.1", 0, 0);
  check_alpn("\x03ssh", NULL, WR_ETLS, TLS1_AD_NO_APPLICATION_PROTOCOL);
  check_alpn("\x0a" WR_TLS_CHALLENGE, NULL, WR_ETLS,
             TLS1_AD_NO_APPLICATION_PROTOCOL);
}

/* The challenge's certificate for a name that is pending. */

typedef struct pending {
  wr_tls_ctx *ctx;
  int asked;
} pending;

static wr_tls_ctx *on_challenge(void *user, const char *name) {
  pending *p = user;
  p->asked++;
  return strcmp(name, "a.test") == 0 ? p->ctx : NULL;
}

static void check_challenge(const char *offer, const char *sni, bool is_there,
                            bool wanted, int asked) {
  raw_duo d;
  wr_tls_info info;
  pki other;
  pending p = {.asked = 0};
  static const char *const web[] = {"h2", "http/1.1"};
  wr_tls_server_options o = {.chain = host()->cert_pem,
                             .key = host()->key_pem,
                             .alpn = web,
                             .n_alpn = 2,
                             .challenge = on_challenge,
                             .challenge_user = &p};
  wr_tls_ctx *t;
  raw_duo_open(&d);
  pki_make(&other, &host_spec);
  MUST(wr_tls_server_new(&d.e.ctx, &o, &t, NULL) == 0);
  p.ctx = is_there ? serve_with(&d.e, &other) : NULL;
  raw_duo_start(&d, t, 0, offer);
  SSL_set_tlsext_host_name(d.client.ssl, sni);
  raw_duo_shake(&d);
  EQ_INT(p.asked, asked);
  if (d.server.p.link != NULL) {
    uint8_t pin[WR_TLS_PIN_LEN];
    X509 *cert = SSL_get1_peer_certificate(d.client.ssl);
    wr_tls_query(d.server.tls, &info);
    EQ_INT(info.challenge, wanted);
    CHECK(wr_slice_eq(info.alpn, WR_TLS_CHALLENGE) == wanted);
    pki_pin(cert, pin);
    CHECK(memcmp(pin, wanted ? other.pin : host()->pin, sizeof(pin)) == 0);
    X509_free(cert);
  } else {
    CHECK(!wanted);
    EQ_INT(d.client.alert, TLS1_AD_NO_APPLICATION_PROTOCOL);
  }
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  wr_tls_ctx_unref(p.ctx);
  pki_free(&other);
  env_close(&d.e);
}

TEST(a_challenge_is_answered_while_it_is_pending) {
  check_challenge("\x0a" WR_TLS_CHALLENGE, "a.test", true, true, 1);
  check_challenge("\x0a" WR_TLS_CHALLENGE, "A.test", true, true, 1);
  check_challenge("\x0a" WR_TLS_CHALLENGE, "a.test", false, false, 1);
  check_challenge("\x0a" WR_TLS_CHALLENGE, "b.test", true, false, 1);
  check_challenge("\x02h2\x0a" WR_TLS_CHALLENGE, "a.test", true, false, 0);
  check_challenge("\x02h2", "a.test", true, false, 0);
}

static bool resumes(raw_duo *d, wr_tls_ctx *first, wr_tls_ctx *second,
                    int version) {
  wr_tls_info info;
  raw_duo_start(d, first, version, NULL);
  raw_duo_shake(d);
  MUST(d->server.p.link != NULL);
  CHECK(d->client.tickets >= 1);
  SSL_SESSION *session = d->client.session;
  d->client.session = NULL;
  raw_duo_stop(d);
  raw_duo_start(d, second, version, NULL);
  SSL_set_session(d->client.ssl, session);
  raw_duo_shake(d);
  MUST(d->server.p.link != NULL);
  wr_tls_query(d->server.tls, &info);
  EQ_INT(info.resumed, SSL_session_reused(d->client.ssl));
  EQ_STR(info.sni, "a.test");
  SSL_SESSION_free(session);
  raw_duo_stop(d);
  return info.resumed;
}

TEST(tickets_resume_also_after_a_reload) {
  static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
  for (size_t i = 0; i < 2; i++) {
    raw_duo d;
    uint8_t keys[WR_TLS_TICKET_KEYS_LEN];
    wr_tls_server_options o = {.chain = host()->cert_pem,
                               .key = host()->key_pem,
                               .ticket_keys = {keys, sizeof(keys)}};
    wr_tls_ctx *a;
    wr_tls_ctx *b;
    raw_duo_open(&d);
    memset(keys, 7, sizeof(keys));
    MUST(wr_tls_server_new(&d.e.ctx, &o, &a, NULL) == 0);
    MUST(wr_tls_server_new(&d.e.ctx, &o, &b, NULL) == 0);
    wr_tls_ctx *c = serve_with(&d.e, host());
    CHECK(resumes(&d, a, a, versions[i]));
    CHECK(resumes(&d, a, b, versions[i]));
    CHECK(!resumes(&d, a, c, versions[i]));
    wr_tls_ctx_unref(a);
    wr_tls_ctx_unref(b);
    wr_tls_ctx_unref(c);
    env_close(&d.e);
  }
}

TEST(old_versions_are_refused_with_an_alert) {
  raw_duo d;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, TLS1_1_VERSION, NULL);
  SSL_set_security_level(d.client.ssl, 0);
  raw_duo_shake(&d);
  EQ_INT(d.server.status, WR_ETLS);
  EQ_INT(d.client.alert, TLS1_AD_PROTOCOL_VERSION);
  CHECK(d.client.eof);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

TEST(tls_1_2_works_and_is_not_renegotiated) {
  raw_duo d;
  wr_tls_info info;
  uint8_t key[WR_TLS_EXPORT_LEN];
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, TLS1_2_VERSION, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  wr_tls_query(d.server.tls, &info);
  EQ_STR(info.version, "TLSv1.2");
  EQ_INT(wr_tls_export(d.server.tls, "x", key), 0);
  MUST(wr_link_read_start(d.server.p.link) == 0);
  CHECK(SSL_renegotiate(d.client.ssl) == 1);
  d.client.ready = false;
  raw_duo_shake(&d);
  CHECK(!d.client.ready);
  EQ_INT(d.client.alert, SSL_AD_NO_RENEGOTIATION);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

TEST(tls_1_2_without_extended_master_secret_exports_nothing) {
  raw_duo d;
  uint8_t key[WR_TLS_EXPORT_LEN];
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, TLS1_2_VERSION, NULL);
  SSL_set_options(d.client.ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  EQ_INT(wr_tls_export(d.server.tls, "x", key), WR_EUNSUPPORTED);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

static void update_keys(raw *r, unsigned n) {
  char byte = (char)pattern(2, 0);
  size_t done;
  for (unsigned i = 0; i < n; i++) {
    MUST(SSL_key_update(r->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
    MUST(SSL_do_handshake(r->ssl) == 1);
    raw_push(r);
  }
  MUST(SSL_write_ex(r->ssl, &byte, 1, &done) == 1);
  raw_push(r);
}

TEST(a_client_may_change_keys) {
  raw_duo d;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, TLS1_3_VERSION, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  MUST(wr_link_read_start(d.server.p.link) == 0);
  update_keys(&d.client, 3);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.server.p.got, 1);
  d.server.p.to_send = 1000;
  peer_write(&d.server.p);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.client.got, 1000);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

static size_t updates_after(int version, uint64_t bytes) {
  raw_duo d;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, version, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  d.server.p.to_send = bytes;
  peer_write(&d.server.p);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.client.got, bytes);
  size_t n = d.client.updates;
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
  return n;
}

TEST(a_key_carries_so_many_bytes) {
  EQ_UINT(updates_after(TLS1_3_VERSION, REKEY), 0);
  CHECK(updates_after(TLS1_3_VERSION, 10 * REKEY) >= 8);
  EQ_UINT(updates_after(TLS1_2_VERSION, 10 * REKEY), 0);
}

/* A client that asks for new keys for ever and reads nothing. */
TEST(what_a_client_asks_for_has_a_bound) {
  raw_duo d;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, TLS1_3_VERSION, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  MUST(wr_link_read_start(d.server.p.link) == 0);
  wr_link_read_stop(d.client.link);
  size_t most = 0;
  for (int i = 0; i < 20000 && d.client.link != NULL; i++) {
    MUST(SSL_key_update(d.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
    MUST(SSL_do_handshake(d.client.ssl) == 1);
    raw_push(&d.client);
    wr_ctx_run_tasks(&d.e.ctx);
    most = WR_MAX(most, d.e.ctx.mem.live_bytes);
  }
  CHECK(most < 1000000);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

TEST(an_end_is_close_notify_and_then_the_carriers) {
  raw_duo d;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, 0, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  EQ_INT(SSL_get_shutdown(d.client.ssl), 0);
  EQ_INT(wr_link_shutdown(d.server.p.link), 0);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_INT(SSL_get_shutdown(d.client.ssl), SSL_RECEIVED_SHUTDOWN);
  CHECK(d.client.eof);
  CHECK(!d.server.p.closed);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

/* In TLS 1.2 too, whose text would have both directions end at once. */
TEST(a_client_that_has_ended_still_gets_its_answer) {
  static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
  for (size_t i = 0; i < 2; i++) {
    raw_duo d;
    raw_duo_open(&d);
    wr_tls_ctx *t = serve_with(&d.e, host());
    raw_duo_start(&d, t, versions[i], NULL);
    raw_duo_shake(&d);
    MUST(d.server.p.link != NULL);
    MUST(wr_link_read_start(d.server.p.link) == 0);
    CHECK(SSL_shutdown(d.client.ssl) >= 0);
    raw_push(&d.client);
    wr_ctx_run_tasks(&d.e.ctx);
    CHECK(d.server.p.eof && !d.server.p.closed);
    d.server.p.to_send = 100000;
    d.server.p.end_after = true;
    peer_write(&d.server.p);
    wr_ctx_run_tasks(&d.e.ctx);
    EQ_UINT(d.client.got, 100000);
    CHECK(d.client.eof);
    raw_duo_stop(&d);
    wr_tls_ctx_unref(t);
    env_close(&d.e);
  }
}

/* Bytes in place of a client. */

typedef struct wire {
  env e;
  side server;
  peer client;
  wr_tls_ctx *ctx;
} wire;

static void wire_open(wire *w, bool detect_plain) {
  wr_tls_options o = {.detect_plain = detect_plain};
  wr_link *a;
  wr_link *b;
  memset(w, 0, sizeof(*w));
  env_open(&w->e);
  wr_ctx_fake_clock(&w->e.ctx);
  w->ctx = serve_with(&w->e, host());
  MUST(wr_mempair_new(&w->e.ctx, 65536, &a, &b) == 0);
  MUST(wr_tls_start(a, w->ctx, &o, on_side, &w->server, &w->server.tls) == 0);
  peer_own(&w->client, b);
  MUST(wr_link_read_start(b) == 0);
}

static void wire_say(wire *w, const char *bytes, size_t len) {
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  size_t taken;
  MUST(wr_link_write(w->client.link, &buf, 1, &taken) == 0 && taken == len);
  wr_ctx_run_tasks(&w->e.ctx);
}

static void wire_close(wire *w) {
  if (w->client.link != NULL) {
    wr_link_close(w->client.link, WR_CLOSE_ORDERLY);
  }
  if (w->server.p.link != NULL) {
    wr_link_close(w->server.p.link, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&w->e.ctx);
  EQ_INT(w->server.n_cb, 1);
  wr_tls_ctx_unref(w->ctx);
  env_close(&w->e);
}

TEST(what_is_not_tls_is_handed_back_unread) {
  static const char get[] = "GET / HTTP/1.1\r\n\r\n";
  wire w;
  wire_open(&w, true);
  wire_say(&w, get, sizeof(get) - 1);
  EQ_INT(w.server.status, WR_ETLS_PLAIN);
  MUST(w.server.back != NULL);
  peer_own(&w.server.p, w.server.back);
  MUST(wr_link_read_start(w.server.back) == 0);
  wr_ctx_run_tasks(&w.e.ctx);
  EQ_UINT(w.server.p.got, sizeof(get) - 1);
  EQ_UINT(w.client.got, 0);
  CHECK(!w.client.eof);
  wire_close(&w);
}

TEST(or_gets_an_alert_where_nobody_asked) {
  static const char get[] = "GET / HTTP/1.1\r\n\r\n";
  wire w;
  wire_open(&w, false);
  wire_say(&w, get, sizeof(get) - 1);
  EQ_INT(w.server.status, WR_ETLS);
  CHECK(w.server.back == NULL);
  CHECK(w.client.eof);
  wire_close(&w);
}

TEST(garbage_gets_an_alert_and_an_end) {
  static const char bad[] = "\x16\x03\x01\x00\x05garbage";
  wire w;
  wire_open(&w, true);
  wire_say(&w, bad, sizeof(bad) - 1);
  EQ_INT(w.server.status, WR_ETLS);
  EQ_UINT(w.client.got, 7);
  CHECK(w.client.eof);
  wire_close(&w);
}

TEST(half_a_hello_and_its_end_get_nothing) {
  static const char half[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
  wire w;
  wire_open(&w, true);
  wire_say(&w, half, sizeof(half) - 1);
  EQ_INT(w.server.n_cb, 0);
  EQ_INT(wr_link_shutdown(w.client.link), 0);
  wr_ctx_run_tasks(&w.e.ctx);
  EQ_INT(w.server.status, WR_EPEER_CLOSED);
  EQ_UINT(w.client.got, 0);
  CHECK(w.client.eof);
  wire_close(&w);
}

TEST(a_broken_record_ends_the_link_after_what_came_before) {
  static const char junk[] = "\x17\x03\x03\x00\x20"
                             "0123456789abcdef0123456789abcdef";
  raw_duo d;
  char bytes[100];
  size_t done;
  raw_duo_open(&d);
  wr_tls_ctx *t = serve_with(&d.e, host());
  raw_duo_start(&d, t, 0, NULL);
  raw_duo_shake(&d);
  MUST(d.server.p.link != NULL);
  for (size_t i = 0; i < sizeof(bytes); i++) {
    bytes[i] = (char)pattern(2, i);
  }
  MUST(SSL_write_ex(d.client.ssl, bytes, sizeof(bytes), &done) == 1);
  BIO_write(d.client.out, junk, sizeof(junk) - 1);
  raw_push(&d.client);
  d.server.p.max_take = 30;
  d.server.p.resume = true;
  MUST(wr_link_read_start(d.server.p.link) == 0);
  wr_ctx_run_tasks(&d.e.ctx);
  EQ_UINT(d.server.p.got, sizeof(bytes));
  EQ_INT(d.server.p.status, WR_ETLS);
  EQ_INT(d.client.alert, SSL_AD_BAD_RECORD_MAC);
  raw_duo_stop(&d);
  wr_tls_ctx_unref(t);
  env_close(&d.e);
}

TAP_MAIN()
