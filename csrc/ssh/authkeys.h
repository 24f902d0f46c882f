#ifndef WR_SSH_AUTHKEYS_H
#define WR_SSH_AUTHKEYS_H

#include "base/map.h"
#include "ssh/key.h"
#include "ssh/keyopts.h"

/* authorized_keys and files of authorities: which public keys may log in or
   sign certificates, and with what limits. Immutable once made; a reload makes
   a new one. */
typedef struct wr_authkeys wr_authkeys;

#define WR_AUTHKEYS_FILE_MAX ((size_t)16 * 1024 * 1024)

typedef struct wr_keyline {
  const char *file; /* the name given to the parser; "" if there was none */
  size_t number;    /* of the line, from 1 */
  wr_slice blob;
  wr_keyopts opts;
} wr_keyline;

typedef enum wr_authkeys_kind {
  /* Keys that log in: plain Ed25519 and sk-ssh-ed25519@openssh.com, and with
     the option cert-authority keys that sign, of any type that
     wr_sig_key_usable() takes. */
  WR_AUTHKEYS_USERS = 1,
  /* --cert-authority, as TrustedUserCAKeys of sshd: keys that sign, without
     options. */
  WR_AUTHKEYS_AUTHORITIES
} wr_authkeys_kind;

/* What is wrong with a file. */
typedef struct wr_authkeys_error {
  size_t line;     /* at fault, from 1; 0: none in particular */
  const char *why; /* a fixed text about an option, or NULL */
} wr_authkeys_error;

/* One bad line refuses the whole file. WR_EKEY_OPTIONS, WR_EKEY_TYPE,
   WR_EKEY_FORMAT, WR_ENOMEM. Blank lines and lines that begin with '#' are
   skipped; CRLF is fine. name (for messages and decisions) is copied. */
WR_NODISCARD int wr_authkeys_parse(wr_mem *mem, uint64_t seed,
                                   wr_authkeys_kind kind, const char *name,
                                   const char *text, size_t len,
                                   wr_authkeys **out, wr_authkeys_error *error);
void wr_authkeys_free(wr_authkeys *keys);
/* The first line behind `after` (NULL: the first of all) for exactly this blob,
   as a key that logs in or as one that signs; NULL if there is none. In the
   order of the file, in constant time each. */
const wr_keyline *wr_authkeys_find(const wr_authkeys *keys, wr_slice blob,
                                   bool authority, const wr_keyline *after);
/* Lines with a key. */
size_t wr_authkeys_count(const wr_authkeys *keys);

#endif /* !defined(WR_SSH_AUTHKEYS_H) */
