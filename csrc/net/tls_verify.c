#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/errors.h"
#include "net/tls_internal.h"

/* The longest DNS name. */
#define NAME_MAX_LEN 253

/* The public key of the certificate is a pinned one. */
static bool pinned(const wr_tls_ctx *t, X509 *cert) {
  uint8_t *der = NULL;
  uint8_t digest[WR_TLS_PIN_LEN];
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
  bool found = false;
  if (len > 0 &&
      EVP_Q_digest(NULL, "SHA256", NULL, der, (size_t)len, digest, NULL) == 1) {
    for (size_t i = 0; i < t->n_pins; i++) {
      found = found || memcmp(digest, t->pins[i], sizeof(digest)) == 0;
    }
  }
  OPENSSL_free(der);
  return found;
}

static int on_ssl_verify(X509_STORE_CTX *store, void *arg) {
  const wr_tls_ctx *t = arg;
  SSL *ssl =
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  wr_tls *s = SSL_get_app_data(ssl);
  if (t->n_pins > 0) {
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    s->pin_failed = leaf == NULL || !pinned(t, leaf);
    X509_STORE_CTX_set_error(
        store, s->pin_failed ? X509_V_ERR_APPLICATION_VERIFICATION : X509_V_OK);
    return !s->pin_failed;
  }
  if (t->insecure) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  return X509_verify_cert(store);
}

void wr__tls_check_servers(wr_tls_ctx *t) {
  SSL_CTX_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(t->ssl, on_ssl_verify, t);
}

static bool is_address(const char *name) {
  uint8_t addr[16];
  return uv_inet_pton(AF_INET, name, addr) == 0 ||
         uv_inet_pton(AF_INET6, name, addr) == 0;
}

/* Copies a name without the dot of the root, which certificates do not have. A
   leading dot would mean every name below. */
static int plain_name(const char *name, char *out) {
  size_t len = strlen(name);
  if (len > 1 && name[len - 1] == '.') {
    len--;
  }
  if (len == 0 || len > NAME_MAX_LEN || name[0] == '.') {
    return WR_EINVAL;
  }
  for (size_t i = 0; i < len; i++) {
    if (name[i] <= ' ' || name[i] > '~') {
      return WR_EINVAL;
    }
  }
  memcpy(out, name, len);
  out[len] = '\0';
  return 0;
}

static int expect_name(SSL *ssl, X509_VERIFY_PARAM *param, const char *name) {
  char host[NAME_MAX_LEN + 1];
  int err = plain_name(name, host);
  if (err != 0) {
    return err;
  }
  if (is_address(host)) {
    return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : WR_EINVAL;
  }
  return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
                 SSL_set_tlsext_host_name(ssl, host) == 1
             ? 0
             : WR_ENOMEM;
}

int wr__tls_expect(wr_tls *s, const char *name) {
  X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
  if (name == NULL || name[0] == '\0') {
    return s->tctx->n_pins > 0 || s->tctx->insecure ? 0 : WR_EINVAL;
  }
  /* The subject's common name has never been defined to be a host's. */
  X509_VERIFY_PARAM_set_hostflags(param,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set_time(param, (time_t)(wr_ctx_wall(s->link.ctx) / 1000));
  return expect_name(s->ssl, param, name);
}

int wr__tls_verdict(const wr_tls *s) {
  if (s->pin_failed) {
    return WR_ETLS_PIN;
  }
  switch (SSL_get_verify_result(s->ssl)) {
  case X509_V_OK:
    return WR_ETLS;
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return WR_ETLS_EXPIRED;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    return WR_ETLS_NAME;
  default:
    return WR_ETLS_CERTIFICATE;
  }
}
