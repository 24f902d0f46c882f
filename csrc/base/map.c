#include "base/map.h"

#include <string.h>

#include "base/errors.h"

#define KEY_MAX 65535
#define FIRST_CAP 8

/* What a slot without an entry holds in place of a hash. A removed one must not
   end a search: what it pushed aside lies behind it. */
#define SLOT_FREE 0
#define SLOT_REMOVED 1

typedef struct map_entry {
  void *value;   /* never NULL */
  size_t len;    /* of the key */
  uint8_t key[]; /* the copy */
} map_entry;

typedef struct map_slot {
  map_entry *entry; /* NULL: free or removed */
  uint64_t hash;    /* of the key, or SLOT_… */
} map_slot;

/* Open addressing with linear probing. The index of an entry only changes in
   resize(), hence only when one is added: a walk needs no more than an index,
   and removing does not upset it. */
struct wr_map {
  map_slot *slots; /* NULL before the first entry */
  size_t cap;      /* number of slots, a power of two */
  size_t count;    /* slots with an entry */
  size_t used;     /* slots with an entry or a removed one */
  size_t limit;    /* most entries */
  uint64_t key[2]; /* of the hash */
  wr_mem *mem;
};

static uint64_t rotate(uint64_t v, unsigned n) {
  return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[0] = rotate(v[0], 32);
  v[2] += v[3];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  sip_round(v);
  v[0] ^= word;
}

/* Up to eight bytes, little-endian. */
static uint64_t sip_word(const uint8_t *p, size_t n) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++) {
    word |= (uint64_t)p[i] << (8 * i);
  }
  return word;
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
static uint64_t sip_hash(const uint64_t key[2], const uint8_t *p, size_t len) {
  uint64_t v[4] = {
      key[0] ^ UINT64_C(0x736f6d6570736575),
      key[1] ^ UINT64_C(0x646f72616e646f6d),
      key[0] ^ UINT64_C(0x6c7967656e657261),
      key[1] ^ UINT64_C(0x7465646279746573),
  };
  uint64_t last = (uint64_t)len << 56;
  for (; len >= 8; p += 8, len -= 8) {
    sip_absorb(v, sip_word(p, 8));
  }
  sip_absorb(v, last | sip_word(p, len));
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) {
    sip_round(v);
  }
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

wr_map *wr_map_new(wr_mem *mem, uint64_t seed, size_t limit) {
  wr_map *map = wr_calloc(mem, 1, sizeof(*map));
  if (map == NULL) {
    return NULL;
  }
  map->mem = mem;
  map->limit = limit;
  map->key[0] = seed;
  map->key[1] = rotate(seed, 29) * UINT64_C(0x9e3779b97f4a7c15);
  return map;
}

void wr_map_free(wr_map *map) {
  if (map == NULL) {
    return;
  }
  for (size_t i = 0; i < map->cap; i++) {
    wr_free(map->mem, map->slots[i].entry);
  }
  wr_free(map->mem, map->slots);
  wr_free(map->mem, map);
}

static bool is_free(const map_slot *slot) {
  return slot->entry == NULL && slot->hash == SLOT_FREE;
}

static bool holds(const map_slot *slot, uint64_t hash, const void *key,
                  size_t len) {
  const map_entry *entry = slot->entry;
  return entry != NULL && slot->hash == hash && entry->len == len &&
         (len == 0 || memcmp(entry->key, key, len) == 0);
}

/* The slot with this key, NULL if there is none. */
static map_slot *find(const wr_map *map, uint64_t hash, const void *key,
                      size_t len) {
  if (map->count == 0) {
    return NULL;
  }
  /* Ends, as a quarter of the slots stays free. */
  size_t i = (size_t)hash & (map->cap - 1);
  while (!is_free(&map->slots[i])) {
    if (holds(&map->slots[i], hash, key, len)) {
      return &map->slots[i];
    }
    i = (i + 1) & (map->cap - 1);
  }
  return NULL;
}

/* The first slot without an entry on the way of this hash. */
static map_slot *vacancy(map_slot *slots, size_t cap, uint64_t hash) {
  size_t i = (size_t)hash & (cap - 1);
  while (slots[i].entry != NULL) {
    i = (i + 1) & (cap - 1);
  }
  return &slots[i];
}

void *wr_map_get(const wr_map *map, const void *key, size_t len) {
  if (len > KEY_MAX) {
    return NULL;
  }
  const map_slot *slot = find(map, sip_hash(map->key, key, len), key, len);
  return slot == NULL ? NULL : slot->entry->value;
}

/* To at most half full; this drops the removed slots, and shrinks the table if
   few entries are left. */
static int resize(wr_map *map) {
  size_t cap = FIRST_CAP;
  while (cap / 2 <= map->count) {
    cap *= 2;
  }
  map_slot *slots = wr_calloc(map->mem, cap, sizeof(*slots));
  if (slots == NULL) {
    return WR_ENOMEM;
  }
  for (size_t i = 0; i < map->cap; i++) {
    const map_slot *slot = &map->slots[i];
    if (slot->entry != NULL) {
      *vacancy(slots, cap, slot->hash) = *slot;
    }
  }
  wr_free(map->mem, map->slots);
  map->slots = slots;
  map->cap = cap;
  map->used = map->count;
  return 0;
}

static map_entry *new_entry(wr_mem *mem, const void *key, size_t len,
                            void *value) {
  map_entry *entry = wr_alloc(mem, sizeof(*entry) + len);
  if (entry == NULL) {
    return NULL;
  }
  entry->value = value;
  entry->len = len;
  if (len > 0) {
    memcpy(entry->key, key, len);
  }
  return entry;
}

static int add(wr_map *map, uint64_t hash, const void *key, size_t len,
               void *value) {
  if (map->count >= map->limit) {
    return WR_ELIMIT;
  }
  if (map->used >= map->cap / 4 * 3) {
    int err = resize(map);
    if (err != 0) {
      return err;
    }
  }
  map_entry *entry = new_entry(map->mem, key, len, value);
  if (entry == NULL) {
    return WR_ENOMEM;
  }
  map_slot *slot = vacancy(map->slots, map->cap, hash);
  map->used += is_free(slot) ? 1 : 0;
  map->count++;
  *slot = (map_slot){entry, hash};
  return 0;
}

int wr_map_set(wr_map *map, const void *key, size_t len, void *value) {
  WR_ASSERT(value != NULL);
  if (len > KEY_MAX) {
    return WR_ELIMIT;
  }
  uint64_t hash = sip_hash(map->key, key, len);
  map_slot *slot = find(map, hash, key, len);
  if (slot == NULL) {
    return add(map, hash, key, len, value);
  }
  slot->entry->value = value;
  return 0;
}

/* Where a run ends, its removed slots are of no more use. Without this a table
   in which entries come and go would fill up with them. */
static void vacate(wr_map *map, size_t i) {
  map->slots[i] = (map_slot){NULL, SLOT_REMOVED};
  if (!is_free(&map->slots[(i + 1) & (map->cap - 1)])) {
    return;
  }
  while (map->slots[i].entry == NULL && map->slots[i].hash == SLOT_REMOVED) {
    map->slots[i].hash = SLOT_FREE;
    map->used--;
    i = (i - 1) & (map->cap - 1);
  }
}

void *wr_map_remove(wr_map *map, const void *key, size_t len) {
  if (len > KEY_MAX) {
    return NULL;
  }
  const map_slot *slot = find(map, sip_hash(map->key, key, len), key, len);
  if (slot == NULL) {
    return NULL;
  }
  void *value = slot->entry->value;
  wr_free(map->mem, slot->entry);
  map->count--;
  vacate(map, (size_t)(slot - map->slots));
  return value;
}

size_t wr_map_count(const wr_map *map) {
  return map->count;
}

bool wr_map_next(const wr_map *map, size_t *cursor, wr_slice *key,
                 void **value) {
  while (*cursor < map->cap) {
    const map_entry *entry = map->slots[*cursor].entry;
    ++*cursor;
    if (entry != NULL) {
      *key = (wr_slice){entry->key, entry->len};
      *value = entry->value;
      return true;
    }
  }
  return false;
}
