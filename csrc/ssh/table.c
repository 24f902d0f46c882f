#include "ssh/table.h"

#include "base/errors.h"

#define FIRST_SLOTS 8u
#define NO_SLOT UINT32_MAX

typedef struct wr_table_slot {
  wr_slot_kind kind;
  uint32_t next_free; /* while it is free */
  void *object;
} wr_table_slot;

void wr__table_init(wr_table *t, wr_mem *mem, uint32_t limit) {
  *t = (wr_table){.limit = limit, .free_head = NO_SLOT, .mem = mem};
}

void wr__table_reset(wr_table *t) {
  wr_free(t->mem, t->slots);
  wr__table_init(t, t->mem, t->limit);
}

static int more_slots(wr_table *t) {
  uint32_t cap = t->cap == 0 ? FIRST_SLOTS : t->cap * 2;
  cap = WR_MIN(cap, t->limit);
  wr_table_slot *slots =
      wr_realloc(t->mem, t->slots, (size_t)cap * sizeof(*slots));
  if (slots == NULL) {
    return WR_ENOMEM;
  }
  t->slots = slots;
  /* The lowest id comes first. */
  for (uint32_t id = cap; id-- > t->cap;) {
    slots[id] = (wr_table_slot){.next_free = t->free_head};
    t->free_head = id;
  }
  t->cap = cap;
  return 0;
}

int wr__table_add(wr_table *t, wr_slot_kind kind, void *object, uint32_t *id) {
  if (t->count >= t->limit) {
    return WR_ELIMIT;
  }
  if (t->free_head == NO_SLOT) {
    int rc = more_slots(t);
    if (rc != 0) {
      return rc;
    }
  }
  *id = t->free_head;
  t->free_head = t->slots[*id].next_free;
  t->count++;
  wr__table_set(t, *id, kind, object);
  return 0;
}

wr_slot_kind wr__table_get(const wr_table *t, uint32_t id, void **object) {
  if (id >= t->cap) {
    return WR_SLOT_FREE;
  }
  if (object != NULL) {
    *object = t->slots[id].object;
  }
  return t->slots[id].kind;
}

void wr__table_set(wr_table *t, uint32_t id, wr_slot_kind kind, void *object) {
  WR_ASSERT(id < t->cap);
  t->slots[id].kind = kind;
  t->slots[id].object = object;
}

void wr__table_remove(wr_table *t, uint32_t id) {
  WR_ASSERT(id < t->cap && t->slots[id].kind != WR_SLOT_FREE);
  t->slots[id] = (wr_table_slot){.next_free = t->free_head};
  t->free_head = id;
  t->count--;
}

uint32_t wr__table_end(const wr_table *t) {
  return t->cap;
}
