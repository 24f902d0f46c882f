#include "ssh/revlist.h"

#include "base/errors.h"

/* A file bounds what it makes. */
#define NO_LIMIT SIZE_MAX

static void reset_certs(wr_mem *mem, wr__revcerts *certs) {
  wr__serials_reset(mem, &certs->serials);
  wr_map_free(certs->ids);
}

/* The next one in the map of authorities; NULL at the end. */
static wr__revcerts *next_certs(const wr__revlist *list, size_t *cursor) {
  wr_slice key;
  void *value;
  return wr_map_next(list->by_authority, cursor, &key, &value) ? value : NULL;
}

wr__revlist *wr__revlist_new(wr_mem *mem, uint64_t seed) {
  wr__revlist *list = wr_calloc(mem, 1, sizeof(*list));
  if (list == NULL) {
    return NULL;
  }
  list->mem = mem;
  list->seed = seed;
  list->sha1 = wr_map_new(mem, seed, NO_LIMIT);
  list->sha256 = wr_map_new(mem, seed, NO_LIMIT);
  list->by_authority = wr_map_new(mem, seed, NO_LIMIT);
  if (list->sha1 == NULL || list->sha256 == NULL ||
      list->by_authority == NULL) {
    wr__revlist_free(list);
    return NULL;
  }
  return list;
}

static void free_authorities(wr__revlist *list) {
  size_t cursor = 0;
  wr__revcerts *certs;
  while ((certs = next_certs(list, &cursor)) != NULL) {
    reset_certs(list->mem, certs);
    wr_free(list->mem, certs);
  }
  wr_map_free(list->by_authority);
}

void wr__revlist_free(wr__revlist *list) {
  if (list == NULL) {
    return;
  }
  if (list->by_authority != NULL) {
    free_authorities(list);
  }
  reset_certs(list->mem, &list->by_anyone);
  wr_map_free(list->sha256);
  wr_map_free(list->sha1);
  wr_free(list->mem, list);
}

int wr__revlist_add_sha1(wr__revlist *list, const uint8_t hash[20]) {
  return wr_map_set(list->sha1, hash, 20, list);
}

int wr__revlist_add_sha256(wr__revlist *list, const uint8_t hash[32]) {
  return wr_map_set(list->sha256, hash, 32, list);
}

int wr__revlist_authority(wr__revlist *list, wr_slice authority,
                          wr__revcerts **out) {
  wr__revcerts *certs =
      authority.len == 0
          ? &list->by_anyone
          : wr_map_get(list->by_authority, authority.data, authority.len);
  if (certs == NULL) {
    certs = wr_calloc(list->mem, 1, sizeof(*certs));
    if (certs == NULL) {
      return WR_ENOMEM;
    }
    int err =
        wr_map_set(list->by_authority, authority.data, authority.len, certs);
    if (err != 0) {
      wr_free(list->mem, certs);
      return err;
    }
  }
  *out = certs;
  return 0;
}

int wr__revlist_add_id(wr__revlist *list, wr__revcerts *certs,
                       wr_slice key_id) {
  /* A certificate with such an id is larger than any that is taken apart. */
  if (key_id.len >= WR__KEYPARTS_MAX) {
    return 0;
  }
  if (certs->ids == NULL) {
    certs->ids = wr_map_new(list->mem, list->seed, NO_LIMIT);
    if (certs->ids == NULL) {
      return WR_ENOMEM;
    }
  }
  return wr_map_set(certs->ids, key_id.data, key_id.len, certs);
}

void wr__revlist_seal(wr__revlist *list) {
  size_t cursor = 0;
  wr__revcerts *certs;
  while ((certs = next_certs(list, &cursor)) != NULL) {
    wr__serials_seal(list->mem, &certs->serials);
  }
  wr__serials_seal(list->mem, &list->by_anyone.serials);
}

bool wr__revlist_has_key(const wr__revlist *list, const wr__keyhashes *key) {
  return wr_map_get(list->sha1, key->sha1, sizeof(key->sha1)) != NULL ||
         wr_map_get(list->sha256, key->sha256, sizeof(key->sha256)) != NULL;
}

static bool has_cert(const wr__revcerts *certs, const wr__keyparts *cert) {
  return (certs->ids != NULL && wr_map_get(certs->ids, cert->key_id.data,
                                           cert->key_id.len) != NULL) ||
         wr__serials_has(&certs->serials, cert->serial);
}

bool wr__revlist_has_cert(const wr__revlist *list, const wr__keyparts *cert) {
  const wr__revcerts *certs =
      wr_map_get(list->by_authority, cert->authority.data, cert->authority.len);
  return (certs != NULL && has_cert(certs, cert)) ||
         has_cert(&list->by_anyone, cert);
}
