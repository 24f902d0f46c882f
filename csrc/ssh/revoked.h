#ifndef WR_SSH_REVOKED_H
#define WR_SSH_REVOKED_H

#include "base/mem.h"

/* --revoked-keys: a text file of public keys, one per line, or a key revocation
   list as ssh-keygen -k makes it (PROTOCOL.krl of OpenSSH). Immutable once it
   is filled. */
typedef struct wr_revoked wr_revoked;

#define WR_REVOKED_FILE_MAX ((size_t)64 * 1024 * 1024)

/* NULL: out of memory. */
wr_revoked *wr_revoked_new(wr_mem *mem, uint64_t seed);
void wr_revoked_free(wr_revoked *r); /* NULL is fine */
/* Adds one file. A text is refused as a whole with *line (from 1) if a line is
   no public key (keys of all types count, options do not stand here); a KRL with
   *line 0 if anything in it is malformed, unknown and critical, or of another
   version. Memory is bounded by a small multiple of len: ranges and bitmaps of
   serials are kept as such. 0, WR_EKEY_FORMAT, WR_ENOMEM. */
WR_NODISCARD int wr_revoked_add(wr_revoked *r, const void *data, size_t len,
                                size_t *line);
/* For a plain key or a certificate of any type; of a certificate also the key
   it certifies, its authority, and its serial or key id under that authority
   (or under any, where the KRL says so). A blob that cannot be taken apart is
   revoked. */
bool wr_revoked_has(const wr_revoked *r, wr_slice blob);

#endif /* !defined(WR_SSH_REVOKED_H) */
