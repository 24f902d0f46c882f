#ifndef WR_BASE_MEM_H
#define WR_BASE_MEM_H

#include "base/common.h"

/* All memory of the core is taken through one wr_mem per context, which counts
   it (leak checks), bounds nothing itself, and can be told to fail (torture
   tests). One thread only. */
typedef struct wr_mem {
  /* read-only */
  size_t live_blocks; /* blocks not yet freed */
  size_t live_bytes;  /* their size as asked for */
  uint64_t total;     /* allocations ever asked for, failed ones too */
  /* private */
  uint64_t fail_at; /* the allocation that fails, counted from 1; 0 never */
} wr_mem;

void wr_mem_init(wr_mem *mem);

/* NULL when out of memory or when size is 0. The block is not cleared. */
void *wr_alloc(wr_mem *mem, size_t size);
/* As wr_alloc, cleared; n * size is checked for overflow. */
void *wr_calloc(wr_mem *mem, size_t n, size_t size);
/* Moves the block; on NULL (also where size is 0) the old one is still there.
   ptr may be NULL. */
void *wr_realloc(wr_mem *mem, void *ptr, size_t size);
/* ptr may be NULL. */
void wr_free(wr_mem *mem, void *ptr);
/* Clears the block in a way that is not optimised out, then frees it. size must
   not be more than was allocated. ptr may be NULL. */
void wr_free_secret(wr_mem *mem, void *ptr, size_t size);
/* A copy with a terminating zero. NULL when out of memory. */
char *wr_strdup(wr_mem *mem, const char *s);
/* At most len bytes, up to the first zero. */
char *wr_strndup(wr_mem *mem, const char *s, size_t len);

/* Clears memory even if it is not read again. */
void wr_bzero(void *ptr, size_t size);
/* 1 if the two are the same; takes the same time wherever they differ. */
int wr_memeq(const void *a, const void *b, size_t size);

#endif /* !defined(WR_BASE_MEM_H) */
