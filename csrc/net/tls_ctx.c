#include "net/tls_ctx.h"

#include <string.h>

#include <openssl/err.h>

#include "base/errors.h"
#include "net/tls_internal.h"

/* What Node 24 offers (docs/decisions/client-hello.md). */
#define CLIENT_CIPHERS                                                         \
  "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:"                 \
  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384:"                 \
  "DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256:"                         \
  "DHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:"                             \
  "DHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-SHA256:"                             \
  "DHE-RSA-AES256-SHA256:HIGH:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:!PSK:"      \
  "!SRP:!CAMELLIA"
/* nginx's defaults: its ciphers, and how long a session may be resumed. */
#define SERVER_CIPHERS "HIGH:!aNULL:!MD5"
#define SERVER_SESSION_S 300

#define ALPN_MAX 255

static void free_ctx(wr_tls_ctx *t) {
  wr_mem *mem = &t->ctx->mem;
  SSL_CTX_free(t->ssl);
  BIO_meth_free(t->bio);
  wr_free(mem, t->alpn);
  wr_free(mem, t->pins);
  wr_free(mem, t);
}

/* Groups, signature algorithms and the ciphers of TLS 1.3 are OpenSSL's own, in
   both roles: X25519MLKEM768 comes first, then X25519; but see tls_nginx.c. */
static bool set_up(SSL_CTX *ssl, const char *ciphers) {
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  /* Idle connections hold no buffers; a partial write never happens, as the
     BIO takes everything. */
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(ssl, ciphers) == 1;
}

static int new_ctx(wr_ctx *ctx, const char *ciphers, wr_tls_ctx **out) {
  wr_tls_ctx *t = wr_calloc(&ctx->mem, 1, sizeof(*t));
  if (t == NULL) {
    return WR_ENOMEM;
  }
  t->ctx = ctx;
  t->refs = 1;
  t->bio = wr__tls_bio_method();
  t->ssl = SSL_CTX_new(TLS_method());
  if (t->bio == NULL || t->ssl == NULL || !set_up(t->ssl, ciphers)) {
    ERR_clear_error();
    free_ctx(t);
    return WR_ENOMEM;
  }
  *out = t;
  return 0;
}

/* Puts the protocols into the form of the extension (RFC 7301). */
static int set_alpn(wr_tls_ctx *t, const char *const *names, size_t n) {
  uint8_t wire[ALPN_MAX];
  size_t len = 0;
  for (size_t i = 0; i < n; i++) {
    size_t part = strlen(names[i]);
    if (part == 0 || part >= sizeof(wire) - len) {
      return WR_EINVAL;
    }
    wire[len] = (uint8_t)part;
    memcpy(wire + len + 1, names[i], part);
    len += 1 + part;
  }
  if (len == 0) {
    return 0;
  }
  t->alpn = wr_alloc(&t->ctx->mem, len);
  if (t->alpn == NULL) {
    return WR_ENOMEM;
  }
  memcpy(t->alpn, wire, len);
  t->alpn_len = len;
  return 0;
}

/* Sessions live in their tickets alone: nothing is kept here for a client. */
static int set_sessions(SSL_CTX *ssl, wr_slice keys) {
  SSL_CTX_set_timeout(ssl, SERVER_SESSION_S);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_SERVER |
                                          SSL_SESS_CACHE_NO_INTERNAL);
  if (keys.len == 0) {
    return 0;
  }
  uint8_t copy[WR_TLS_TICKET_KEYS_LEN];
  if (keys.len != sizeof(copy)) {
    return WR_EINVAL;
  }
  memcpy(copy, keys.data, sizeof(copy));
  long ok = SSL_CTX_set_tlsext_ticket_keys(ssl, copy, sizeof(copy));
  wr_bzero(copy, sizeof(copy));
  return ok == 1 ? 0 : WR_ENOMEM;
}

static int fill_server(wr_tls_ctx *t, const wr_tls_server_options *o,
                       const char **why) {
  int err = set_alpn(t, o->alpn, o->n_alpn);
  if (err == 0 && o->as_nginx) {
    err = wr__tls_as_nginx(t);
  }
  if (err == 0) {
    err = set_sessions(t->ssl, o->ticket_keys);
  }
  if (err == 0) {
    err = wr__tls_load_chain(t->ssl, o->chain, why);
  }
  if (err == 0) {
    err = wr__tls_load_key(t->ssl, o->key, why);
  }
  return err;
}

int wr_tls_server_new(wr_ctx *ctx, const wr_tls_server_options *options,
                      wr_tls_ctx **out, const char **why) {
  wr_tls_ctx *t;
  const char *reason = NULL;
  int err = new_ctx(ctx, SERVER_CIPHERS, &t);
  if (err == 0) {
    t->server = true;
    t->challenge = options->challenge;
    t->challenge_user = options->challenge_user;
    wr__tls_serve_names(t->ssl);
    err = fill_server(t, options, &reason);
    if (err != 0) {
      free_ctx(t);
    }
  }
  if (why != NULL) {
    *why = reason;
  }
  if (err == 0) {
    *out = t;
  }
  return err;
}

static int set_pins(wr_tls_ctx *t, const uint8_t (*pins)[WR_TLS_PIN_LEN],
                    size_t n) {
  if (n == 0) {
    return 0;
  }
  t->pins = wr_calloc(&t->ctx->mem, n, sizeof(*pins));
  if (t->pins == NULL) {
    return WR_ENOMEM;
  }
  memcpy(t->pins, pins, n * sizeof(*pins));
  t->n_pins = n;
  return 0;
}

static int fill_client(wr_tls_ctx *t, const wr_tls_client_options *o,
                       const char **why) {
  bool roots = o->roots.len > 0 || o->roots_file != NULL;
  int err = set_pins(t, o->pins, o->n_pins);
  t->insecure = o->insecure;
  wr__tls_check_servers(t);
  if (err != 0 || o->insecure || o->n_pins > 0) {
    return err;
  }
  if (!roots) {
    *why = "neither authorities nor pins to check a server with";
    return WR_EINVAL;
  }
  /* What the user names is trusted, also if it is itself issued by another. */
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(t->ssl),
                              X509_V_FLAG_PARTIAL_CHAIN);
  return wr__tls_load_roots(t->ssl, o->roots, o->roots_file, why);
}

int wr_tls_client_new(wr_ctx *ctx, const wr_tls_client_options *options,
                      wr_tls_ctx **out, const char **why) {
  wr_tls_ctx *t;
  const char *reason = NULL;
  int err = new_ctx(ctx, CLIENT_CIPHERS, &t);
  if (err == 0) {
    err = fill_client(t, options, &reason);
    if (err != 0) {
      free_ctx(t);
    }
  }
  if (why != NULL) {
    *why = reason;
  }
  if (err == 0) {
    *out = t;
  }
  return err;
}

wr_tls_ctx *wr_tls_ctx_ref(wr_tls_ctx *t) {
  t->refs++;
  return t;
}

void wr_tls_ctx_unref(wr_tls_ctx *t) {
  if (t != NULL && --t->refs == 0) {
    free_ctx(t);
  }
}
