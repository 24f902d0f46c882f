#ifndef WR_SSH_IDENTITY_H
#define WR_SSH_IDENTITY_H

#include "ssh/key.h"

/* What a client logs in with: something public that it offers, and somebody who
   signs: a private key of ours, or whoever answers wr_ssh_handler.on_sign. */
typedef struct wr_identity {
  wr_key *key;     /* signs; NULL: on_sign is called */
  wr_slice blob;   /* offered: a public key, or a certificate of the one that
                      signs; empty: the key's own */
  wr_slice signer; /* without a key: the public key that on_sign is told;
                      empty: the blob */
} wr_identity;

/* A copy that refers to the keys and owns the slices, with nothing left empty. 0
   or WR_ENOMEM. *out is NULL where n is 0. */
WR_NODISCARD int wr_identities_copy(wr_mem *mem, const wr_identity *from,
                                    size_t n, wr_identity **out);
/* list may be NULL. */
void wr_identities_free(wr_mem *mem, wr_identity *list, size_t n);

#endif /* !defined(WR_SSH_IDENTITY_H) */
