#ifndef WR_SSH_CERT_H
#define WR_SSH_CERT_H

#include "base/common.h"

/* OpenSSH certificates (PROTOCOL.certkeys of OpenSSH) of Ed25519 keys:
   ssh-ed25519-cert-v01@openssh.com and sk-ssh-ed25519-cert-v01@openssh.com.
   A parsed certificate borrows from its blob and allocates nothing. */

#define WR_CERT_ED25519 "ssh-ed25519-cert-v01@openssh.com"
#define WR_CERT_SK_ED25519 "sk-ssh-ed25519-cert-v01@openssh.com"
#define WR_CERT_BLOB_MAX ((size_t)64 * 1024)
#define WR_CERT_KEY_MAX 512        /* blob of the certified key, bytes */
#define WR_CERT_PRINCIPALS_MAX 256 /* as in OpenSSH */

typedef enum wr_cert_kind { WR_CERT_USER = 1, WR_CERT_HOST = 2 } wr_cert_kind;

typedef struct wr_cert {
  wr_slice blob; /* the whole of it */
  wr_slice type;
  uint8_t key[WR_CERT_KEY_MAX]; /* the certified key as a plain blob */
  size_t key_len;
  uint64_t serial;
  wr_cert_kind kind;
  wr_slice key_id;     /* any text of the authority's: untrusted */
  wr_slice principals; /* walked by wr_cert_next_principal() */
  uint64_t valid_after_s, valid_before_s; /* since 1970; [after, before) */
  wr_slice critical, extensions;
  wr_slice authority; /* the public key that signed, a plain blob */
  wr_slice signature;
  size_t signed_len; /* bytes of blob that the signature covers */
} wr_cert;

/* Whether the type is that of a certificate of any kind (…-cert-v01@…). */
bool wr_cert_type(wr_slice type);
/* Takes it apart and checks all structure: lengths, no trailing bytes, known
   kind, no zero byte in names (key id, principals, options, sk- application), at
   most WR_CERT_PRINCIPALS_MAX principals, option lists that are pairs of strings,
   an authority that is a usable plain key (wr_sig_key_usable). Neither the
   signature nor the nonce nor the times are checked. 0; WR_EKEY_TYPE (another
   kind of certificate or key); WR_EKEY_FORMAT. out is written on success only. */
WR_NODISCARD int wr_cert_parse(wr_slice blob, wr_cert *out);
/* One public-key operation. 0 or WR_EAUTH_REFUSED. An authority with an sk- key
   needs no touch, as in OpenSSH. */
WR_NODISCARD int wr_cert_verify(const wr_cert *cert);
/* The next principal from the front of *rest, which starts as cert->principals;
   false at the end. */
bool wr_cert_next_principal(wr_slice *rest, wr_slice *name);
bool wr_cert_has_principal(const wr_cert *cert, wr_slice name);

/* What the options of a user certificate say. Slices borrow from the blob. */
typedef struct wr_cert_opts {
  wr_slice source_address; /* data NULL: from anywhere */
  bool force_command;
  bool verify_required;
  bool no_touch_required;
  bool port_forwarding;
} wr_cert_opts;

/* Reads critical options and extensions as sshd does: unknown extensions are
   ignored; an unknown critical option, force-command or source-address twice, a
   known value that is malformed or has bytes behind it refuse, and so does a
   certificate that is not a user's. What source-address lists is not judged
   here. 0 or WR_EKEY_OPTIONS. */
WR_NODISCARD int wr_cert_read_opts(const wr_cert *cert, wr_cert_opts *out);

#endif /* !defined(WR_SSH_CERT_H) */
