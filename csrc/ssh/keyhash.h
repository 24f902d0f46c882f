#ifndef WR_SSH_KEYHASH_H
#define WR_SSH_KEYHASH_H

#include <openssl/evp.h>

#include "base/common.h"

/* The two hashes by which key revocation lists name keys. All memory is taken
   at the start, so that hashing on the way of a login needs none. */
typedef struct wr__keyhash {
  EVP_MD_CTX *sha1;
  EVP_MD_CTX *sha256;
} wr__keyhash;

typedef struct wr__keyhashes {
  uint8_t sha1[20];
  uint8_t sha256[32];
} wr__keyhashes;

/* 0, WR_ENOMEM. */
WR_NODISCARD int wr__keyhash_init(wr__keyhash *h);
void wr__keyhash_reset(wr__keyhash *h);
/* False if the library fails, which it has no reason to. */
WR_NODISCARD bool wr__keyhash_run(const wr__keyhash *h, wr_slice blob,
                                  wr__keyhashes *out);

#endif /* !defined(WR_SSH_KEYHASH_H) */
