#ifndef WR_TEST_C_TLS_RAW_H
#define WR_TEST_C_TLS_RAW_H

/* A TLS client that the test drives through OpenSSL itself, at the far end of a
   memory pair. */

#include "tls_help.h"

typedef struct raw {
  wr_link *link; /* NULL once closed */
  SSL_CTX *ctx;
  SSL *ssl;
  BIO *in;
  BIO *out;
  bool ready; /* the handshake is over */
  bool failed;
  bool eof;
  int alert;      /* the last one received, 0: none */
  size_t got;     /* plaintext */
  size_t updates; /* of keys, by the server */
  size_t tickets; /* sessions offered by the server */
  SSL_SESSION *session;
  int n_close;
} raw;

HELP_UNUSED static void raw_push(raw *r) {
  char *data;
  long len = BIO_get_mem_data(r->out, &data);
  size_t taken = 0;
  if (len <= 0 || r->link == NULL) {
    return;
  }
  uv_buf_t buf = uv_buf_init(data, (unsigned)len);
  if (wr_link_write(r->link, &buf, 1, &taken) == 0 && taken > 0) {
    char junk[4096];
    for (size_t n = 0; n < taken;) {
      int part = BIO_read(r->out, junk, (int)WR_MIN(taken - n, sizeof(junk)));
      MUST(part > 0);
      n += (size_t)part;
    }
  }
}

HELP_UNUSED static void raw_step(raw *r) {
  char junk[8192];
  size_t n;
  ERR_clear_error();
  if (!r->ready && !r->failed) {
    int rc = SSL_do_handshake(r->ssl);
    r->ready = rc == 1;
    r->failed = rc != 1 && SSL_get_error(r->ssl, rc) != SSL_ERROR_WANT_READ;
  }
  while (r->ready && SSL_read_ex(r->ssl, junk, sizeof(junk), &n) == 1) {
    r->got += n;
  }
  raw_push(r);
}

HELP_UNUSED static size_t raw_on_read(wr_link *link, uint8_t *data,
                                      size_t len) {
  raw *r = link->user;
  MUST(BIO_write(r->in, data, (int)len) == (int)len);
  raw_step(r);
  return len;
}

HELP_UNUSED static void raw_on_eof(wr_link *link) {
  ((raw *)link->user)->eof = true;
}

HELP_UNUSED static void raw_on_writable(wr_link *link) {
  raw_push(link->user);
}

HELP_UNUSED static void raw_on_close(wr_link *link, int status) {
  raw *r = link->user;
  WR_UNUSED(status);
  r->link = NULL;
  r->n_close++;
}

HELP_UNUSED static const wr_link_handler raw_handler = {
    .on_read = raw_on_read,
    .on_eof = raw_on_eof,
    .on_writable = raw_on_writable,
    .on_close = raw_on_close};

HELP_UNUSED static void raw_on_info(const SSL *ssl, int where, int value) {
  raw *r = SSL_get_app_data(ssl);
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
    r->alert = value & 0xff;
  }
}

HELP_UNUSED static void raw_on_message(int sent, int version, int type,
                                       const void *data, size_t len, SSL *ssl,
                                       void *arg) {
  raw *r = arg;
  WR_UNUSED(version);
  WR_UNUSED(ssl);
  if (sent == 0 && type == SSL3_RT_HANDSHAKE && len > 0 &&
      *(const uint8_t *)data == SSL3_MT_KEY_UPDATE) {
    r->updates++;
  }
}

HELP_UNUSED static int raw_on_session(SSL *ssl, SSL_SESSION *session) {
  raw *r = SSL_get_app_data(ssl);
  r->tickets++;
  SSL_SESSION_free(r->session);
  r->session = session;
  return 1;
}

/* version: the only one offered, 0: any. alpn: as on the wire, or NULL. */
HELP_UNUSED static void raw_open(raw *r, wr_link *link, int version,
                                 const char *alpn) {
  memset(r, 0, sizeof(*r));
  r->link = link;
  link->user = r;
  link->handler = &raw_handler;
  r->ctx = SSL_CTX_new(TLS_client_method());
  MUST(r->ctx != NULL);
  SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_CLIENT |
                                             SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(r->ctx, raw_on_session);
  r->ssl = SSL_new(r->ctx);
  r->in = BIO_new(BIO_s_mem());
  r->out = BIO_new(BIO_s_mem());
  MUST(r->ssl != NULL && r->in != NULL && r->out != NULL);
  BIO_set_mem_eof_return(r->in, -1);
  SSL_set_bio(r->ssl, r->in, r->out);
  SSL_set_app_data(r->ssl, r);
  SSL_set_info_callback(r->ssl, raw_on_info);
  SSL_set_msg_callback(r->ssl, raw_on_message);
  SSL_set_msg_callback_arg(r->ssl, r);
  SSL_set_connect_state(r->ssl);
  SSL_set_tlsext_host_name(r->ssl, "a.test");
  if (version != 0) {
    SSL_set_min_proto_version(r->ssl, version);
    SSL_set_max_proto_version(r->ssl, version);
  }
  if (alpn != NULL) {
    MUST(SSL_set_alpn_protos(r->ssl, (const uint8_t *)alpn,
                             (unsigned)strlen(alpn)) == 0);
  }
  MUST(wr_link_read_start(link) == 0);
}

HELP_UNUSED static void raw_free(raw *r) {
  EQ_INT(r->n_close, 1);
  SSL_SESSION_free(r->session);
  /* Else it would take its session for a bad one. */
  SSL_set_shutdown(r->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(r->ssl);
  SSL_CTX_free(r->ctx);
}

#define REKEY 100000

/* A server's link and a raw client. */
typedef struct raw_duo {
  env e;
  side server;
  raw client;
} raw_duo;

HELP_UNUSED static void raw_duo_open(raw_duo *d) {
  memset(d, 0, sizeof(*d));
  env_open(&d->e);
  d->e.ctx.wall_ms = wall_of_tests;
  wr_ctx_fake_clock(&d->e.ctx);
}

HELP_UNUSED static void raw_duo_start(raw_duo *d, wr_tls_ctx *t, int version,
                                      const char *alpn) {
  wr_tls_options o = {.detect_plain = true, .rekey_bytes = REKEY};
  wr_link *a;
  wr_link *b;
  memset(&d->server, 0, sizeof(d->server));
  d->server.p.in_seed = 2;
  MUST(wr_mempair_new(&d->e.ctx, 65536, &a, &b) == 0);
  raw_open(&d->client, b, version, alpn);
  MUST(wr_tls_start(a, t, &o, on_side, &d->server, &d->server.tls) == 0);
}

HELP_UNUSED static void raw_duo_shake(raw_duo *d) {
  raw_step(&d->client);
  wr_ctx_run_tasks(&d->e.ctx);
}

/* Closes both ends, keeps the context. */
HELP_UNUSED static void raw_duo_stop(raw_duo *d) {
  if (d->server.p.link != NULL) {
    wr_link_close(d->server.p.link, WR_CLOSE_ORDERLY);
  }
  if (d->client.link != NULL) {
    wr_link_close(d->client.link, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&d->e.ctx);
  EQ_INT(d->server.n_cb, 1);
  raw_free(&d->client);
}

#endif /* !defined(WR_TEST_C_TLS_RAW_H) */
