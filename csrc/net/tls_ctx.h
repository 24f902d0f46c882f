#ifndef WR_NET_TLS_CTX_H
#define WR_NET_TLS_CTX_H

#include "loop/ctx.h"

/* What many TLS connections share: a server's certificate, a client's trust.
   Counted and never changed: a reload makes a new one, and connections keep the
   one they began with. */
typedef struct wr_tls_ctx wr_tls_ctx;

#define WR_TLS_TICKET_KEYS_LEN 80
#define WR_TLS_PIN_LEN 32
/* The name of the protocol of RFC 8737. */
#define WR_TLS_CHALLENGE "acme-tls/1"

typedef struct wr_tls_server_options {
  wr_slice chain; /* PEM: the server's certificate, then intermediate ones */
  wr_slice key;   /* PEM, not encrypted; read during the call only */
  /* Offered protocols, best first. A client that offers only others is refused,
     one that offers none is not. */
  const char *const *alpn;
  size_t n_alpn;
  /* Ciphers, groups and tickets of nginx 1.22 with OpenSSL 3.0, in its order, not
     of the library's own choice: X25519MLKEM768 is then not among them. */
  bool as_nginx;
  /* What session tickets are sealed with: the same bytes for all workers and
     across reloads, so that a ticket is good wherever its client comes back.
     Empty: keys of the context's own. */
  wr_slice ticket_keys;
  /* Optional: the context with the certificate for a pending challenge of this
     name (in lower case), or NULL; borrowed. Asked only if a client offers
     acme-tls/1 and nothing else. Must not close links. */
  wr_tls_ctx *(*challenge)(void *user, const char *name);
  void *challenge_user;
} wr_tls_server_options;

typedef struct wr_tls_client_options {
  wr_slice roots;         /* PEM: the authorities that are trusted */
  const char *roots_file; /* the same in a file, if roots is empty */
  /* SHA-256 of the server's public key (SubjectPublicKeyInfo). With pins
     neither authority nor name nor dates count. */
  const uint8_t (*pins)[WR_TLS_PIN_LEN];
  size_t n_pins;
  bool insecure; /* any certificate will do; pins are still checked */
} wr_tls_client_options;

/* 0 or an error: WR_ETLS_CHAIN, WR_EKEY_FORMAT, WR_EKEY_PASSPHRASE,
   WR_ECERT_MISMATCH, WR_ETLS_ROOTS, WR_EINVAL (nothing to check a server with),
   WR_ENOMEM. *why is then a fixed text, or NULL where the error says it all; why
   may be NULL. */
WR_NODISCARD int wr_tls_server_new(wr_ctx *ctx,
                                   const wr_tls_server_options *options,
                                   wr_tls_ctx **out, const char **why);
WR_NODISCARD int wr_tls_client_new(wr_ctx *ctx,
                                   const wr_tls_client_options *options,
                                   wr_tls_ctx **out, const char **why);
wr_tls_ctx *wr_tls_ctx_ref(wr_tls_ctx *t);
/* NULL is allowed. */
void wr_tls_ctx_unref(wr_tls_ctx *t);

#endif /* !defined(WR_NET_TLS_CTX_H) */
