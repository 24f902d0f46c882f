#ifndef WR_SSH_KEPT_H
#define WR_SSH_KEPT_H

#include "base/mem.h"

/* Bytes that came for a channel and that its owner has not taken yet: a queue
   of chunks, so that memory goes back as they are taken. The channel's window
   bounds it. */
typedef struct wr_kept {
  /* read-only */
  size_t len; /* bytes in all chunks */
  /* private */
  struct wr_chunk *first;
  struct wr_chunk *last;
} wr_kept;

/* 0 or WR_ENOMEM (nothing was added). */
WR_NODISCARD int wr__kept_append(wr_kept *k, wr_mem *mem, const uint8_t *data,
                                 size_t len);
/* The first run of bytes; NULL if there is none. Appending does not move it. */
uint8_t *wr__kept_peek(const wr_kept *k, size_t *len);
/* Drops n <= the length of that run. */
void wr__kept_consume(wr_kept *k, wr_mem *mem, size_t n);
void wr__kept_reset(wr_kept *k, wr_mem *mem);

#endif /* !defined(WR_SSH_KEPT_H) */
