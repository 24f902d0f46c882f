#ifndef WR_SSH_TABLE_H
#define WR_SSH_TABLE_H

#include "base/mem.h"

/* The channels of a session by our id, which is the index. A channel that is
   gone for its owner but not yet for the peer keeps a slot, and so counts. */
typedef enum wr_slot_kind {
  WR_SLOT_FREE = 0,
  WR_SLOT_OPEN,     /* wr_open: the peer has asked */
  WR_SLOT_OPENING,  /* wr_opening: we have asked */
  WR_SLOT_CANCELED, /* we have asked, and nobody wants it any more */
  WR_SLOT_CHANNEL,  /* wr_channel */
  WR_SLOT_CLOSING   /* the peer's SSH_MSG_CHANNEL_CLOSE is awaited */
} wr_slot_kind;

typedef struct wr_table {
  /* read-only */
  uint32_t count; /* slots in use */
  uint32_t limit;
  /* private */
  struct wr_table_slot *slots;
  uint32_t cap;
  uint32_t free_head; /* UINT32_MAX: none */
  wr_mem *mem;
} wr_table;

void wr__table_init(wr_table *t, wr_mem *mem, uint32_t limit);
void wr__table_reset(wr_table *t);
/* 0, WR_ENOMEM or WR_ELIMIT. */
WR_NODISCARD int wr__table_add(wr_table *t, wr_slot_kind kind, void *object,
                               uint32_t *id);
/* WR_SLOT_FREE for ids that are not in use. object may be NULL. */
wr_slot_kind wr__table_get(const wr_table *t, uint32_t id, void **object);
void wr__table_set(wr_table *t, uint32_t id, wr_slot_kind kind, void *object);
void wr__table_remove(wr_table *t, uint32_t id);
/* Ids are below this. */
uint32_t wr__table_end(const wr_table *t);

#endif /* !defined(WR_SSH_TABLE_H) */
