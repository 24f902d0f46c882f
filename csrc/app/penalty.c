#include "app/penalty.h"

#include <string.h>

#include "base/map.h"

/* More would exceed any maximum. */
#define TIMES_MAX 30u
#define FIRST_CAP ((size_t)16)

typedef struct entry {
  uint64_t until_ms; /* when nothing is left of what it was given */
  uint64_t gone_ms;  /* when it is forgotten */
  size_t at;         /* its place in the heap */
  uint8_t times;     /* how often a penalty came into force */
  bool active;       /* one is in force, up to until_ms */
  bool asked;        /* since then */
  uint8_t key_len;
  uint8_t key[]; /* the copy */
} entry;

struct wr_penalties {
  wr_mem *mem;
  uint64_t max_ms;
  uint64_t least_ms; /* more than this is in force */
  size_t limit;
  wr_map *by_key; /* to entry */
  entry **heap;   /* binary, the one that is forgotten first on top */
  size_t n;
  size_t cap;
};

/* THE HEAP */

static void put_at(wr_penalties *p, size_t at, entry *e) {
  p->heap[at] = e;
  e->at = at;
}

static void sift_up(wr_penalties *p, entry *e) {
  size_t at = e->at;
  while (at > 0 && p->heap[(at - 1) / 2]->gone_ms > e->gone_ms) {
    put_at(p, at, p->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put_at(p, at, e);
}

static void sift_down(wr_penalties *p, entry *e) {
  size_t at = e->at;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child + 1 < p->n &&
        p->heap[child + 1]->gone_ms < p->heap[child]->gone_ms) {
      child++;
    }
    if (child >= p->n || p->heap[child]->gone_ms >= e->gone_ms) {
      break;
    }
    put_at(p, at, p->heap[child]);
    at = child;
  }
  put_at(p, at, e);
}

static bool make_room(wr_penalties *p) {
  if (p->n < p->cap) {
    return true;
  }
  size_t cap = p->cap == 0 ? FIRST_CAP : 2 * p->cap;
  entry **heap = wr_realloc(p->mem, p->heap, cap * sizeof(entry *));
  if (heap == NULL) {
    return false;
  }
  p->heap = heap;
  p->cap = cap;
  return true;
}

static void drop_top(wr_penalties *p) {
  entry *top = p->heap[0];
  entry *last = p->heap[--p->n];
  if (last != top) {
    put_at(p, 0, last);
    sift_down(p, last);
  }
  wr_map_remove(p->by_key, top->key, top->key_len);
  wr_free(p->mem, top);
}

/* THE TABLE */

wr_penalties *wr_penalties_new(wr_mem *mem, uint64_t seed, uint64_t max_ms,
                               size_t limit) {
  wr_penalties *p = wr_calloc(mem, 1, sizeof(*p));
  if (p == NULL) {
    return NULL;
  }
  WR_ASSERT(limit > 0);
  p->mem = mem;
  p->max_ms = max_ms;
  p->least_ms = WR_MIN(WR_PENALTY_LEAST_MS, max_ms / 2);
  p->limit = limit;
  p->by_key = wr_map_new(mem, seed, limit);
  if (p->by_key == NULL) {
    wr_free(mem, p);
    return NULL;
  }
  return p;
}

void wr_penalties_free(wr_penalties *p) {
  if (p == NULL) {
    return;
  }
  for (size_t i = 0; i < p->n; i++) {
    wr_free(p->mem, p->heap[i]);
  }
  wr_free(p->mem, p->heap);
  wr_map_free(p->by_key);
  wr_free(p->mem, p);
}

static void forget_old(wr_penalties *p, uint64_t now_ms) {
  while (p->n > 0 && p->heap[0]->gone_ms <= now_ms) {
    drop_top(p);
  }
}

/* NULL: there is no memory. */
static entry *new_entry(wr_penalties *p, wr_slice key) {
  entry *e = wr_calloc(p->mem, 1, sizeof(*e) + key.len);
  if (e == NULL) {
    return NULL;
  }
  e->key_len = (uint8_t)key.len;
  memcpy(e->key, key.data, key.len);
  if (!make_room(p) || wr_map_set(p->by_key, key.data, key.len, e) != 0) {
    wr_free(p->mem, e);
    return NULL;
  }
  put_at(p, p->n++, e);
  return e;
}

/* Doubles with each time. */
static uint64_t grown(const wr_penalties *p, uint64_t ms, unsigned times) {
  for (unsigned i = 0; i < times && ms < p->max_ms; i++) {
    ms *= 2;
  }
  return WR_MIN(ms, p->max_ms);
}

/* How long it will be kept out if that begins now. */
static uint64_t raise(const wr_penalties *p, entry *e, uint64_t now_ms,
                      uint64_t ms) {
  if (e->until_ms <= now_ms) {
    e->until_ms = now_ms;
    e->active = false;
  }
  uint64_t left = e->until_ms - now_ms + grown(p, ms, e->times);
  left = WR_MIN(left, p->max_ms);
  e->until_ms = now_ms + left;
  if (e->active || left <= p->least_ms) {
    return 0;
  }
  e->active = true;
  e->asked = false;
  e->times = (uint8_t)WR_MIN(e->times + 1u, TIMES_MAX);
  return left;
}

uint64_t wr_penalties_add(wr_penalties *p, uint64_t now_ms, wr_slice key,
                          uint64_t ms) {
  forget_old(p, now_ms);
  if (ms == 0 || key.len == 0 || key.len > WR_PENALTY_KEY_MAX) {
    return 0;
  }
  entry *e = wr_map_get(p->by_key, key.data, key.len);
  if (e == NULL) {
    if (p->n >= p->limit) {
      drop_top(p);
    }
    e = new_entry(p, key);
    if (e == NULL) {
      return 0;
    }
  }
  uint64_t begun_ms = raise(p, e, now_ms, ms);
  e->gone_ms = e->until_ms + (e->times > 0 ? p->max_ms : 0);
  sift_up(p, e);
  sift_down(p, e);
  return begun_ms;
}

bool wr_penalties_hold(wr_penalties *p, uint64_t now_ms, wr_slice key,
                       bool *first) {
  forget_old(p, now_ms);
  entry *e = wr_map_get(p->by_key, key.data, key.len);
  if (e == NULL || !e->active || e->until_ms <= now_ms) {
    return false;
  }
  *first = !e->asked;
  e->asked = true;
  return true;
}

size_t wr_penalties_count(const wr_penalties *p) {
  return p->n;
}
