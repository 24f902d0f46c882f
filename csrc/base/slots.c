#include "base/slots.h"

#include "base/errors.h"

#define INDEX_BITS 20
#define INDEX_MASK ((UINT32_C(1) << INDEX_BITS) - 1)
#define GENERATION_MAX (UINT32_MAX >> INDEX_BITS)
#define FIRST_CAP 16
/* No index: the end of the free list. */
#define NONE UINT32_MAX

struct wr_slot {
  void *obj;           /* NULL: free */
  uint32_t generation; /* of the present object, or of the next one */
  uint32_t next;       /* the next free slot */
};

void wr_slots_init(wr_slots *s, wr_mem *mem, size_t limit) {
  WR_ASSERT(limit <= (size_t)INDEX_MASK + 1);
  *s = (wr_slots){
      .limit = limit, .mem = mem, .free_head = NONE, .free_tail = NONE};
}

void wr_slots_reset(wr_slots *s) {
  wr_free(s->mem, s->slots);
  wr_slots_init(s, s->mem, s->limit);
}

/* First in, first out: a slot rests as long as possible, so that a generation
   comes again as late as possible. */
static void push_free(wr_slots *s, uint32_t index) {
  s->slots[index].next = NONE;
  if (s->free_tail == NONE) {
    s->free_head = index;
  } else {
    s->slots[s->free_tail].next = index;
  }
  s->free_tail = index;
}

static uint32_t shift_free(wr_slots *s) {
  uint32_t index = s->free_head;
  s->free_head = s->slots[index].next;
  if (s->free_head == NONE) {
    s->free_tail = NONE;
  }
  return index;
}

static int grow(wr_slots *s) {
  if (s->cap >= s->limit) {
    return WR_ELIMIT;
  }
  size_t cap = WR_MIN(WR_MAX(s->cap * 2, FIRST_CAP), s->limit);
  struct wr_slot *slots = wr_realloc(s->mem, s->slots, cap * sizeof(*slots));
  if (slots == NULL) {
    return WR_ENOMEM;
  }
  s->slots = slots;
  for (size_t i = s->cap; i < cap; i++) {
    slots[i] = (struct wr_slot){.generation = 1};
    push_free(s, (uint32_t)i);
  }
  s->cap = cap;
  return 0;
}

int wr_slots_add(wr_slots *s, void *obj, uint32_t *id) {
  WR_ASSERT(obj != NULL);
  if (s->free_head == NONE) {
    int err = grow(s);
    if (err != 0) {
      return err;
    }
  }
  uint32_t index = shift_free(s);
  s->slots[index].obj = obj;
  s->count++;
  *id = s->slots[index].generation << INDEX_BITS | index;
  return 0;
}

static struct wr_slot *find(const wr_slots *s, uint32_t id) {
  uint32_t index = id & INDEX_MASK;
  if (index >= s->cap || s->slots[index].obj == NULL ||
      s->slots[index].generation != id >> INDEX_BITS) {
    return NULL;
  }
  return &s->slots[index];
}

void *wr_slots_get(const wr_slots *s, uint32_t id) {
  const struct wr_slot *slot = find(s, id);
  return slot == NULL ? NULL : slot->obj;
}

void wr_slots_remove(wr_slots *s, uint32_t id) {
  struct wr_slot *slot = find(s, id);
  if (slot == NULL) {
    return;
  }
  slot->obj = NULL;
  /* Never 0, so that no id is 0. */
  slot->generation = slot->generation % GENERATION_MAX + 1;
  s->count--;
  push_free(s, id & INDEX_MASK);
}

void *wr_slots_next(const wr_slots *s, size_t *cursor) {
  while (*cursor < s->cap) {
    void *obj = s->slots[*cursor].obj;
    ++*cursor;
    if (obj != NULL) {
      return obj;
    }
  }
  return NULL;
}
