#include <string.h>

#include "base/wire.h"
#include "net/tls_internal.h"

/* What a server does with the names in a ClientHello: protocols, and the
   server's own. */

/* RFC 8737, section 3: a validation offers exactly this protocol. */
static bool offers_challenge(SSL *ssl) {
  static const uint8_t only[] = "\x00\x0b\x0a" WR_TLS_CHALLENGE;
  const uint8_t *ext;
  size_t len;
  return SSL_client_hello_get0_ext(
             ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
             &len) == 1 &&
         len == sizeof(only) - 1 && memcmp(ext, only, len) == 0;
}

/* The one DNS name of the extension (RFC 6066, section 3), in lower case. */
static bool hello_name(SSL *ssl, char *name, size_t size) {
  const uint8_t *ext;
  size_t len;
  wr_rd r;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) !=
      1) {
    return false;
  }
  wr_rd_init(&r, ext, len);
  uint16_t list = wr_rd_u16(&r);
  bool fits = list == r.left;
  uint8_t type = wr_rd_u8(&r);
  wr_slice host = wr_rd_bytes(&r, wr_rd_u16(&r));
  if (!fits || type != TLSEXT_NAMETYPE_host_name || !wr_rd_done(&r) ||
      host.len == 0 || host.len >= size || wr_slice_has_nul(host)) {
    return false;
  }
  for (size_t i = 0; i < host.len; i++) {
    name[i] = (char)wr_lower(host.data[i]);
  }
  name[host.len] = '\0';
  return true;
}

static int on_ssl_client_hello(SSL *ssl, int *alert, void *arg) {
  wr_tls *s = SSL_get_app_data(ssl);
  const wr_tls_ctx *t = s->tctx;
  char name[256];
  WR_UNUSED(alert);
  WR_UNUSED(arg);
  if (t->challenge == NULL || !offers_challenge(ssl) ||
      !hello_name(ssl, name, sizeof(name))) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  wr_tls_ctx *other = t->challenge(t->challenge_user, name);
  if (other != NULL && SSL_set_SSL_CTX(ssl, other->ssl) != NULL) {
    s->challenge = true;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

/* As nginx does from 1.21.4 on: nothing in common is fatal. */
static int on_ssl_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len,
                       const uint8_t *in, unsigned in_len, void *arg) {
  static const uint8_t challenge[] = "\x0a" WR_TLS_CHALLENGE;
  const wr_tls *s = SSL_get_app_data(ssl);
  const wr_tls_ctx *t = s->tctx;
  const uint8_t *offer = s->challenge ? challenge : t->alpn;
  size_t len = s->challenge ? sizeof(challenge) - 1 : t->alpn_len;
  uint8_t *chosen;
  WR_UNUSED(arg);
  if (len == 0) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  if (SSL_select_next_proto(&chosen, out_len, offer, (unsigned)len, in,
                            in_len) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* Any name is acknowledged, as by a web server with a default site. */
static int on_ssl_server_name(SSL *ssl, int *alert, void *arg) {
  WR_UNUSED(ssl);
  WR_UNUSED(alert);
  WR_UNUSED(arg);
  return SSL_TLSEXT_ERR_OK;
}

void wr__tls_serve_names(SSL_CTX *ssl) {
  SSL_CTX_set_client_hello_cb(ssl, on_ssl_client_hello, NULL);
  SSL_CTX_set_alpn_select_cb(ssl, on_ssl_alpn, NULL);
  SSL_CTX_set_tlsext_servername_callback(ssl, on_ssl_server_name);
}
