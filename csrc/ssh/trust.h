#ifndef WR_SSH_TRUST_H
#define WR_SSH_TRUST_H

#include "ssh/authkeys.h"
#include "ssh/cert.h"
#include "ssh/revoked.h"

/* Who may come in: authorized_keys, certificate authorities and revocations as
   one. Immutable once it is built; a reload builds another one, and whoever
   holds a line of it holds a reference. Judging is a pure function of what is
   given, so that it can be asked anew at any time: on an offer, on its proof,
   after a reload, at an expiry, and by `wraith policy`. */
typedef struct wr_trust wr_trust;

/* NULL: out of memory. It begins empty: nobody may come in. */
wr_trust *wr_trust_new(wr_mem *mem, uint64_t seed);
wr_trust *wr_trust_ref(wr_trust *t);
void wr_trust_unref(wr_trust *t); /* NULL is fine */
/* Each may be called several times; errors as wr_authkeys_parse() and
   wr_revoked_add(). name is the file's, for explanations; "" if there is none.
   Only before the first wr_trust_judge(). */
WR_NODISCARD int wr_trust_add_keys(wr_trust *t, wr_authkeys_kind kind,
                                   const char *name, const char *text,
                                   size_t len, wr_authkeys_error *error);
WR_NODISCARD int wr_trust_add_revoked(wr_trust *t, const void *data, size_t len,
                                      size_t *line);
/* Keys and authorities in all. */
size_t wr_trust_count(const wr_trust *t);

/* Why a login is refused; the token is what the log and `wraith policy` show.
   docs/log.md explains each. */
#define WR_TRUST_REASONS(XX)                                                   \
  XX(ACCEPT, "accept")                                                         \
  XX(UNKNOWN_KEY, "unknown-key")                                               \
  XX(REVOKED, "revoked")                                                       \
  XX(KEY_EXPIRED, "key-expired")                                               \
  XX(FROM, "from")                                                             \
  XX(TOUCH, "touch-required")                                                  \
  XX(VERIFY, "verify-required")                                                \
  XX(UNKNOWN_AUTHORITY, "unknown-authority")                                   \
  XX(CERT_MALFORMED, "cert-malformed")                                         \
  XX(CERT_SIGNATURE, "cert-signature")                                         \
  XX(CERT_TYPE, "cert-type")                                                   \
  XX(CERT_NOT_YET_VALID, "cert-not-yet-valid")                                 \
  XX(CERT_EXPIRED, "cert-expired")                                             \
  XX(CERT_NO_PRINCIPALS, "cert-no-principals")                                 \
  XX(CERT_PRINCIPAL, "cert-principal")                                         \
  XX(CERT_OPTION, "cert-option")                                               \
  XX(CERT_FORCE_COMMAND, "cert-force-command")                                 \
  XX(CERT_SOURCE_ADDRESS, "cert-source-address")

typedef enum wr_trust_reason {
#define XX(name, token) WR_TRUST_##name,
  WR_TRUST_REASONS(XX)
#undef XX
} wr_trust_reason;
const char *wr_trust_reason_token(wr_trust_reason reason);

typedef struct wr_login {
  const char *user;    /* as it came */
  wr_slice blob;       /* the key or certificate offered */
  const char *address; /* without port; "": none is known */
  uint64_t now_s;      /* since 1970 */
  /* With a proof: the flags of the signature count (sk- keys). */
  bool proved;
  uint8_t sk_flags;
} wr_login;

typedef struct wr_decision {
  wr_trust_reason reason;
  const wr_keyline *line; /* that decided, or that came closest; may be NULL */
  /* Of an accepted login: */
  bool port_forwarding; /* by line and certificate both */
  uint64_t expires_s;   /* first second at which it is no longer good */
  bool is_cert;
  wr_cert cert; /* if is_cert; borrows from the login's blob */
} wr_decision;

/* expires_s of what never expires. */
#define WR_TRUST_NEVER UINT64_MAX

void wr_trust_judge(const wr_trust *t, const wr_login *login, wr_decision *out);

#endif /* !defined(WR_SSH_TRUST_H) */
