#ifndef WR_SSH_REVLIST_H
#define WR_SSH_REVLIST_H

#include "base/map.h"
#include "ssh/keyhash.h"
#include "ssh/keyparts.h"
#include "ssh/serials.h"

/* What one file revokes. It is filled by who reads the file, sealed, and then
   asked. */

/* Certificates of one authority, or of any. */
typedef struct wr__revcerts {
  wr__serials serials;
  wr_map *ids; /* key id to this; NULL: none */
} wr__revcerts;

/* All private. */
typedef struct wr__revlist {
  struct wr__revlist *next; /* of the file before; the owner's */
  wr_mem *mem;
  uint64_t seed;          /* of the maps */
  wr_map *sha1;           /* of plain keys, to this */
  wr_map *sha256;         /* of plain keys, to this */
  wr_map *by_authority;   /* its plain key to its wr__revcerts */
  wr__revcerts by_anyone; /* whoever the authority is */
} wr__revlist;

/* NULL: out of memory. */
wr__revlist *wr__revlist_new(wr_mem *mem, uint64_t seed);
void wr__revlist_free(wr__revlist *list); /* NULL is fine */

/* Hashes of plain keys. 0, WR_ENOMEM. */
WR_NODISCARD int wr__revlist_add_sha1(wr__revlist *list,
                                      const uint8_t hash[20]);
WR_NODISCARD int wr__revlist_add_sha256(wr__revlist *list,
                                        const uint8_t hash[32]);
/* What the list has about this authority, made if there is nothing yet; an
   empty slice is any. 0, WR_ENOMEM. */
WR_NODISCARD int wr__revlist_authority(wr__revlist *list, wr_slice authority,
                                       wr__revcerts **out);
/* 0, WR_ENOMEM. */
WR_NODISCARD int wr__revlist_add_id(wr__revlist *list, wr__revcerts *certs,
                                    wr_slice key_id);
/* To be called after all was added and before anything is asked for. */
void wr__revlist_seal(wr__revlist *list);

/* A plain key. */
bool wr__revlist_has_key(const wr__revlist *list, const wr__keyhashes *key);
/* By serial or key id only. */
bool wr__revlist_has_cert(const wr__revlist *list, const wr__keyparts *cert);

#endif /* !defined(WR_SSH_REVLIST_H) */
