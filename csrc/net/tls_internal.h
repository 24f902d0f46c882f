#ifndef WR_NET_TLS_INTERNAL_H
#define WR_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "loop/timer.h"
#include "net/tls.h"

/* One read of ciphertext: the upper part of the context's scratch memory, as
   owners put plaintext into its lower part. */
#define CIPHER_READ ((size_t)64 * 1024)
/* Plaintext that is sealed before the inner link is asked to take it. */
#define SEAL_MAX ((size_t)64 * 1024)
/* What a record adds at most (RFC 5246, RFC 8446: header, IV or type, tag). */
#define RECORD_OVERHEAD 256
/* Sealed bytes, and what the protocol itself has to say meanwhile (a flight with
   a long chain; tickets; answers to key updates, which the peer could ask for
   without end while it reads nothing). */
#define OUT_MAX (SEAL_MAX + (size_t)96 * 1024)

struct wr_tls_ctx {
  wr_ctx *ctx;
  SSL_CTX *ssl;
  BIO_METHOD *bio;
  unsigned refs;
  bool server;
  bool insecure;
  uint8_t (*pins)[WR_TLS_PIN_LEN];
  size_t n_pins;
  uint8_t *alpn; /* as on the wire: length, name, … */
  size_t alpn_len;
  wr_tls_ctx *(*challenge)(void *user, const char *name);
  void *challenge_user;
  /* What as_nginx asks, if it is not for itself. */
  int (*secure)(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid,
                void *other, void *ex);
};

typedef enum tls_state {
  TLS_HANDSHAKE = 0, /* the callback is owed */
  TLS_DONE,          /* so it is, with 0 */
  TLS_FAILED,        /* so it is, with status */
  TLS_PLAIN,         /* so it is, with the inner link */
  TLS_OPEN,
  TLS_LINGERING, /* closed or failed; the last records are on their way */
  TLS_CLOSED     /* inner is being closed, and only its on_close is to come */
} tls_state;

/* How the reading direction has ended. */
typedef enum tls_end {
  END_NOT = 0,
  END_ORDERLY, /* close_notify */
  END_CUT,     /* inner's end without it */
  END_ERROR    /* a record that cannot be opened */
} tls_end;

struct wr_tls {
  wr_link link;
  wr_link *inner;
  wr_tls_ctx *tctx;
  SSL *ssl;
  wr_tls_cb cb; /* NULL: called, or cancelled */
  void *user;
  wr_task task;      /* the callback; the rest of a read */
  wr_timer timer;    /* of the handshake; of lingering */
  wr_obj obj;        /* in teardown's list while it lingers without owner */
  wr_buf out;        /* sealed, for inner */
  const uint8_t *in; /* what inner offers just now */
  size_t in_len;
  uint8_t *rest; /* plaintext that the owner did not take; NULL: nothing */
  size_t rest_at;
  size_t rest_len;
  uint64_t sealed; /* bytes since the last key */
  uint64_t rekey_bytes;
  tls_state state;
  tls_end end;
  int status;         /* for the callback or on_close */
  int write_error;    /* inner takes no more */
  bool challenge;     /* the client wants acme-tls/1, and it is pending */
  bool detect_plain;  /* the first byte has not been looked at */
  bool reset_is_end;  /* see wr_tls_options */
  bool pin_failed;    /* why the handshake fails */
  bool reading;       /* the owner wants bytes */
  bool want_writable; /* on_writable is owed */
  bool padded;        /* wr_tls_pad() */
  bool held;          /* out waits for the owner's first bytes */
  bool inner_eof;     /* inner has no more */
  bool eof_told;      /* on_eof was called */
  bool shut;          /* our close_notify is sealed */
  bool inner_shut;    /* and inner's end follows it */
};

/* tls.c */
wr_tls *wr__tls_of(const wr_link *link);
/* Ends the link: what is sealed goes out, an alert too. */
void wr__tls_fail(wr_tls *s, int status);
/* Hands sealed bytes to inner, and does what waited for that. */
void wr__tls_flush(wr_tls *s);

/* tls_read.c */
int wr__tls_read_start(wr_link *link);
void wr__tls_read_stop(wr_link *link);
/* Gives the owner what it wants and there is. */
void wr__tls_deliver(wr_tls *s);
void wr__tls_drop_rest(wr_tls *s);

/* tls_write.c */
int wr__tls_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                  size_t *taken);
/* Before the handshake: OpenSSL takes no notice later. */
void wr__tls_may_pad(wr_tls *s);

/* tls_bio.c: OpenSSL's view of inner. */
BIO_METHOD *wr__tls_bio_method(void);
WR_NODISCARD int wr__tls_bio_attach(wr_tls *s);

/* tls_alpn.c */
void wr__tls_serve_names(SSL_CTX *ssl);

/* tls_nginx.c: 0 or WR_ENOMEM. */
WR_NODISCARD int wr__tls_as_nginx(wr_tls_ctx *t);

/* tls_pem.c: 0, or an error and why. */
int wr__tls_load_chain(SSL_CTX *ssl, wr_slice chain, const char **why);
int wr__tls_load_key(SSL_CTX *ssl, wr_slice key, const char **why);
int wr__tls_load_roots(SSL_CTX *ssl, wr_slice pem, const char *file,
                       const char **why);

/* tls_verify.c */
void wr__tls_check_servers(wr_tls_ctx *t);
/* What this one server is called. 0, WR_EINVAL or WR_ENOMEM. */
int wr__tls_expect(wr_tls *s, const char *name);
/* Why the handshake failed. */
int wr__tls_verdict(const wr_tls *s);

#endif /* !defined(WR_NET_TLS_INTERNAL_H) */
