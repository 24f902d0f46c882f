#ifndef WR_BASE_SLOTS_H
#define WR_BASE_SLOTS_H

#include "base/mem.h"

/* Objects under u32 ids made of slot index (low 20 bits) and generation (high
   12 bits, never 0): a stale id finds nothing instead of a stranger. */
typedef struct wr_slots {
  /* read-only */
  size_t count; /* objects in use */
  /* private */
  struct wr_slot *slots;
  size_t cap;
  size_t limit;
  uint32_t free_head;
  uint32_t free_tail;
  wr_mem *mem;
} wr_slots;

/* limit <= 1 << 20 objects. Allocates nothing. */
void wr_slots_init(wr_slots *s, wr_mem *mem, size_t limit);
/* Forgets all objects and generations, and frees the table. */
void wr_slots_reset(wr_slots *s);
/* 0 and a non-zero id, WR_ENOMEM or WR_ELIMIT. obj must not be NULL. */
WR_NODISCARD int wr_slots_add(wr_slots *s, void *obj, uint32_t *id);
/* NULL for an id that is not in use. */
void *wr_slots_get(const wr_slots *s, uint32_t id);
void wr_slots_remove(wr_slots *s, uint32_t id);
/* Walks all objects: *cursor starts at 0; NULL at the end. Objects may come and
   go meanwhile; whether a new one is met is not said. */
void *wr_slots_next(const wr_slots *s, size_t *cursor);

#endif /* !defined(WR_BASE_SLOTS_H) */
