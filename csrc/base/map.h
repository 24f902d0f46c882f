#ifndef WR_BASE_MAP_H
#define WR_BASE_MAP_H

#include "base/mem.h"

/* A hash table from byte strings (at most 65535 bytes) to pointers. Keys are
   copied. The hash is keyed with a seed of the caller's (random in production)
   so that a peer cannot pick colliding keys. */
typedef struct wr_map wr_map;

/* NULL when out of memory. limit: the most entries it will hold. */
wr_map *wr_map_new(wr_mem *mem, uint64_t seed, size_t limit);
/* Frees the table, not what the pointers point to. map may be NULL. */
void wr_map_free(wr_map *map);
/* NULL if there is none. */
void *wr_map_get(const wr_map *map, const void *key, size_t len);
/* Adds or replaces; value must not be NULL. 0, WR_ENOMEM, WR_ELIMIT (also for a
   key that is too long). */
WR_NODISCARD int wr_map_set(wr_map *map, const void *key, size_t len,
                            void *value);
/* The value that was there, NULL if none. */
void *wr_map_remove(wr_map *map, const void *key, size_t len);
size_t wr_map_count(const wr_map *map);
/* Walks all entries: *cursor starts at 0; false at the end. Removing the entry
   just returned is allowed, adding is not. */
bool wr_map_next(const wr_map *map, size_t *cursor, wr_slice *key,
                 void **value);

#endif /* !defined(WR_BASE_MAP_H) */
