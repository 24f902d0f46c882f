#ifndef WR_SSH_VERIFY_H
#define WR_SSH_VERIFY_H

#include "base/common.h"

/* Signatures of others, of every kind that a certificate authority may use:
   ssh-ed25519, ecdsa-sha2-nistp256/384/521 (RFC 5656), rsa-sha2-256/512
   (RFC 8332; moduli of 1024 to 16384 bits, as sshd takes them, with odd
   exponents of 2 to 64 bits), and sk-ssh-ed25519@openssh.com (PROTOCOL.u2f). No
   ssh-rsa (SHA-1), no DSA. */

#define WR_SK_USER_PRESENT 0x01  /* somebody touched the key */
#define WR_SK_USER_VERIFIED 0x04 /* and gave its PIN or a finger */

typedef struct wr_sig_info {
  wr_slice algorithm; /* of the signature; borrowed from it */
  bool is_sk;
  uint8_t sk_flags; /* WR_SK_…, 0 unless is_sk */
} wr_sig_info;

/* 0 if `sig` (a signature blob: string algorithm, string signature, and what
   sk- keys append) over the data is by the public key in `blob`; info may be
   NULL and is written on success only. Else WR_EAUTH_REFUSED (as well if OpenSSL
   has no memory for it), or WR_EKEY_TYPE if the key or the algorithm is none of
   these, WR_EKEY_FORMAT if the key is broken (trailing bytes included) or cannot
   be held. The flags of sk- keys are not judged. */
WR_NODISCARD int wr_sig_verify(wr_slice blob, wr_slice sig, const void *data,
                               size_t len, wr_sig_info *info);
/* Whether wr_sig_verify() could take this key: a type that it knows, whose
   parts are well-formed and end where the blob does. */
bool wr_sig_key_usable(wr_slice blob);

#endif /* !defined(WR_SSH_VERIFY_H) */
