#include <string.h>

#include <openssl/err.h>

#include "base/errors.h"
#include "net/tls_internal.h"

/* How nginx 1.22 of Debian 12 looks to a client, which is OpenSSL 3.0 with its
   defaults, Debian's "ssl_prefer_server_ciphers on", and a context of sessions.
   The library under us is newer and has others of its own. */

/* What "HIGH:!aNULL:!MD5" means there, in that order, but for what needs more
   than a certificate (DHE without parameters, PSK, SRP). */
#define CIPHERS                                                                \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                 \
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                 \
  "ECDHE-ECDSA-AES256-CCM8:ECDHE-ECDSA-AES256-CCM:"                            \
  "ECDHE-ECDSA-ARIA256-GCM-SHA384:ECDHE-ARIA256-GCM-SHA384:"                   \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                 \
  "ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-CCM:"                            \
  "ECDHE-ECDSA-ARIA128-GCM-SHA256:ECDHE-ARIA128-GCM-SHA256:"                   \
  "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"                         \
  "ECDHE-ECDSA-CAMELLIA256-SHA384:ECDHE-RSA-CAMELLIA256-SHA384:"               \
  "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"                         \
  "ECDHE-ECDSA-CAMELLIA128-SHA256:ECDHE-RSA-CAMELLIA128-SHA256:"               \
  "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"                               \
  "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"                               \
  "AES256-GCM-SHA384:AES256-CCM8:AES256-CCM:ARIA256-GCM-SHA384:"               \
  "AES128-GCM-SHA256:AES128-CCM8:AES128-CCM:ARIA128-GCM-SHA256:"               \
  "AES256-SHA256:CAMELLIA256-SHA256:AES128-SHA256:CAMELLIA128-SHA256:"         \
  "AES256-SHA:CAMELLIA256-SHA:AES128-SHA:CAMELLIA128-SHA"

/* One tuple, as older libraries know no others. */
#define GROUPS                                                                 \
  "X25519:P-256:X448:P-521:P-384:"                                             \
  "ffdhe2048:ffdhe3072:ffdhe4096:ffdhe6144:ffdhe8192"

/* Of the same length as nginx's, which is a hash; it is sealed in the tickets and
   shows in their length alone. */
static const uint8_t session_context[20] = "sessions of the site";

static bool is_ccm8(int op, const void *other) {
  return (op == SSL_SECOP_CIPHER_SUPPORTED || op == SSL_SECOP_CIPHER_SHARED ||
          op == SSL_SECOP_CIPHER_CHECK) &&
         strstr(SSL_CIPHER_get_name(other), "CCM8") != NULL;
}

/* CCM with a short tag has too few bits for the newer library. */
static int on_security(const SSL *ssl, const SSL_CTX *ctx, int op, int bits,
                       int nid, void *other, void *ex) {
  const wr_tls_ctx *t = ex;
  return is_ccm8(op, other) ? 1
                            : t->secure(ssl, ctx, op, bits, nid, other, NULL);
}

int wr__tls_as_nginx(wr_tls_ctx *t) {
  SSL_CTX *ssl = t->ssl;
  t->secure = SSL_CTX_get_security_callback(ssl);
  SSL_CTX_set_security_callback(ssl, on_security);
  SSL_CTX_set0_security_ex_data(ssl, t);
  SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
  bool ok = SSL_CTX_set_cipher_list(ssl, CIPHERS) == 1 &&
            SSL_CTX_set1_groups_list(ssl, GROUPS) == 1 &&
            SSL_CTX_set_session_id_context(ssl, session_context,
                                           sizeof(session_context)) == 1;
  ERR_clear_error();
  return ok ? 0 : WR_ENOMEM;
}
