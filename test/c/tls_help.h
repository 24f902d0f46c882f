#ifndef WR_TEST_C_TLS_HELP_H
#define WR_TEST_C_TLS_HELP_H

/* Certificates made on the spot, and two TLS links over a memory pair. */

#include "net_help.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/wire.h"
#include "net/mempair.h"
#include "net/tls.h"

#define NOW_S INT64_C(1800000000)
#define DAY_S (INT64_C(24) * 3600)

typedef struct cert_spec {
  const char *names;  /* of the extension, "DNS:a.test,IP:127.0.0.1" */
  int64_t from_s;     /* 0: a day before NOW_S */
  int64_t to_s;       /* 0: a day after NOW_S */
  const X509 *issuer; /* NULL: itself */
  EVP_PKEY *issuer_key;
  bool authority;
} cert_spec;

HELP_UNUSED static EVP_PKEY *make_key(void) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  MUST(key != NULL);
  return key;
}

HELP_UNUSED static void add_ext(X509 *cert, int nid, const char *value) {
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
  MUST(ext != NULL && X509_add_ext(cert, ext, -1) == 1);
  X509_EXTENSION_free(ext);
}

HELP_UNUSED static X509 *make_cert(EVP_PKEY *key, const cert_spec *spec) {
  static long serial = 1;
  X509 *cert = X509_new();
  X509_NAME *name = X509_NAME_new();
  const char *cn = !spec->authority       ? "host"
                   : spec->issuer == NULL ? "authority"
                                          : "intermediate";
  MUST(cert != NULL && name != NULL);
  MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                  (const unsigned char *)cn, -1, -1, 0) == 1);
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  ASN1_TIME_set(X509_getm_notBefore(cert),
                (time_t)(spec->from_s != 0 ? spec->from_s : NOW_S - DAY_S));
  ASN1_TIME_set(X509_getm_notAfter(cert),
                (time_t)(spec->to_s != 0 ? spec->to_s : NOW_S + DAY_S));
  X509_set_subject_name(cert, name);
  X509_set_issuer_name(
      cert, spec->issuer != NULL ? X509_get_subject_name(spec->issuer) : name);
  X509_set_pubkey(cert, key);
  if (spec->authority) {
    add_ext(cert, NID_basic_constraints, "critical,CA:TRUE");
  }
  if (spec->names != NULL) {
    add_ext(cert, NID_subject_alt_name, spec->names);
  }
  MUST(X509_sign(cert, spec->issuer_key != NULL ? spec->issuer_key : key,
                 EVP_sha256()) > 0);
  X509_NAME_free(name);
  return cert;
}

/* A PEM text; freed with text_free(). */
HELP_UNUSED static wr_slice text_of(BIO *bio) {
  char *data;
  long len = BIO_get_mem_data(bio, &data);
  uint8_t *copy = malloc((size_t)len + 1);
  MUST(copy != NULL);
  memcpy(copy, data, (size_t)len);
  BIO_free(bio);
  return (wr_slice){copy, (size_t)len};
}

HELP_UNUSED static void text_free(wr_slice text) {
  free((void *)(uintptr_t)text.data);
}

/* One or two certificates. */
HELP_UNUSED static wr_slice cert_text(X509 *cert, X509 *next) {
  BIO *bio = BIO_new(BIO_s_mem());
  MUST(bio != NULL && PEM_write_bio_X509(bio, cert) == 1);
  MUST(next == NULL || PEM_write_bio_X509(bio, next) == 1);
  return text_of(bio);
}

HELP_UNUSED static wr_slice key_text(EVP_PKEY *key, const char *passphrase) {
  BIO *bio = BIO_new(BIO_s_mem());
  const EVP_CIPHER *cipher = passphrase != NULL ? EVP_aes_256_cbc() : NULL;
  MUST(bio != NULL &&
       PEM_write_bio_PKCS8PrivateKey(
           bio, key, cipher, passphrase,
           passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL) == 1);
  return text_of(bio);
}

/* An authority and what it has signed. */
typedef struct pki {
  EVP_PKEY *ca_key;
  X509 *ca;
  EVP_PKEY *key;
  X509 *cert;
  wr_slice ca_pem;
  wr_slice cert_pem;
  wr_slice key_pem;
  uint8_t pin[WR_TLS_PIN_LEN];
} pki;

HELP_UNUSED static void pki_pin(X509 *cert, uint8_t pin[WR_TLS_PIN_LEN]) {
  uint8_t *der = NULL;
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
  MUST(len > 0);
  MUST(EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL) == 1);
  OPENSSL_free(der);
}

HELP_UNUSED static void pki_make(pki *p, const cert_spec *host) {
  cert_spec ca = {.authority = true};
  cert_spec leaf = *host;
  p->ca_key = make_key();
  p->ca = make_cert(p->ca_key, &ca);
  p->key = make_key();
  leaf.issuer = p->ca;
  leaf.issuer_key = p->ca_key;
  p->cert = make_cert(p->key, &leaf);
  p->ca_pem = cert_text(p->ca, NULL);
  p->cert_pem = cert_text(p->cert, NULL);
  p->key_pem = key_text(p->key, NULL);
  pki_pin(p->cert, p->pin);
}

HELP_UNUSED static void pki_free(pki *p) {
  EVP_PKEY_free(p->ca_key);
  X509_free(p->ca);
  EVP_PKEY_free(p->key);
  X509_free(p->cert);
  text_free(p->ca_pem);
  text_free(p->cert_pem);
  text_free(p->key_pem);
}

/* One side: its handshake, then its link. */
typedef struct side {
  peer p;
  wr_tls *tls;
  int n_cb;
  int status;
  wr_link *back; /* handed back */
} side;

typedef struct tls_duo {
  env e;
  wr_link *raw[2]; /* the memory pair: server's, client's */
  side server;
  side client;
  wr_tls_ctx *server_ctx;
  wr_tls_ctx *client_ctx;
} tls_duo;

HELP_UNUSED static int64_t wall_of_tests(void *data) {
  WR_UNUSED(data);
  return NOW_S * 1000;
}

HELP_UNUSED static void on_side(void *user, int status, wr_link *link) {
  side *s = user;
  s->n_cb++;
  s->status = status;
  s->tls = NULL;
  if (status == 0) {
    peer_own(&s->p, link);
    s->tls = wr_tls_from_link(link);
    CHECK(s->tls != NULL);
  } else {
    s->back = link;
  }
}

HELP_UNUSED static void duo_open(tls_duo *d, size_t capacity) {
  memset(d, 0, sizeof(*d));
  env_open(&d->e);
  d->e.ctx.wall_ms = wall_of_tests;
  wr_ctx_fake_clock(&d->e.ctx);
  MUST(wr_mempair_new(&d->e.ctx, capacity, &d->raw[0], &d->raw[1]) == 0);
  d->server.p.out_seed = d->client.p.in_seed = 1;
  d->client.p.out_seed = d->server.p.in_seed = 2;
}

HELP_UNUSED static wr_tls_ctx *serve_with(env *e, const pki *p) {
  static const char *const web[] = {"h2", "http/1.1"};
  wr_tls_server_options o = {
      .chain = p->cert_pem, .key = p->key_pem, .alpn = web, .n_alpn = 2};
  wr_tls_ctx *t;
  MUST(wr_tls_server_new(&e->ctx, &o, &t, NULL) == 0);
  return t;
}

HELP_UNUSED static wr_tls_ctx *trust(env *e, const pki *p) {
  wr_tls_client_options o = {.roots = p->ca_pem};
  wr_tls_ctx *t;
  MUST(wr_tls_client_new(&e->ctx, &o, &t, NULL) == 0);
  return t;
}

HELP_UNUSED static void duo_start(tls_duo *d, const wr_tls_options *of_server,
                                  const wr_tls_options *of_client) {
  MUST(wr_tls_start(d->raw[0], d->server_ctx, of_server, on_side, &d->server,
                    &d->server.tls) == 0);
  MUST(wr_tls_start(d->raw[1], d->client_ctx, of_client, on_side, &d->client,
                    &d->client.tls) == 0);
  EQ_INT(d->server.n_cb + d->client.n_cb, 0); /* never inside the call */
}

HELP_UNUSED static void duo_run(tls_duo *d) {
  wr_ctx_run_tasks(&d->e.ctx);
}

/* Both links, open. */
HELP_UNUSED static void duo_connect(tls_duo *d, const pki *p) {
  wr_tls_options o = {.server_name = "a.test"};
  if (d->server_ctx == NULL) {
    d->server_ctx = serve_with(&d->e, p);
  }
  if (d->client_ctx == NULL) {
    d->client_ctx = trust(&d->e, p);
  }
  duo_start(d, &o, &o);
  duo_run(d);
  MUST(d->server.p.link != NULL && d->client.p.link != NULL);
}

HELP_UNUSED static void duo_end(tls_duo *d) {
  side *both[2] = {&d->server, &d->client};
  for (size_t i = 0; i < 2; i++) {
    if (both[i]->p.link != NULL) {
      wr_link_close(both[i]->p.link, WR_CLOSE_ORDERLY);
    }
  }
  duo_run(d);
  wr_ctx_advance(&d->e.ctx, 60000);
  for (size_t i = 0; i < 2; i++) {
    EQ_INT(both[i]->n_cb, 1);
    EQ_INT(both[i]->p.n_close, both[i]->status == 0 ? 1 : 0);
    EQ_UINT(both[i]->p.bad, 0);
  }
  wr_tls_ctx_unref(d->server_ctx);
  wr_tls_ctx_unref(d->client_ctx);
  env_close(&d->e);
}

#endif /* !defined(WR_TEST_C_TLS_HELP_H) */
