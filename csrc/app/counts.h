#ifndef WR_APP_COUNTS_H
#define WR_APP_COUNTS_H

#include "base/common.h"

/* What a server counts for whoever watches it. Of fixed size, and nothing of a
   peer's is ever in it. */

#define WR_COUNTS_MAX 64
#define WR_COUNTS_OTHER "other"

/* Events by reason, in the order in which the reasons first came. */
typedef struct wr_counts {
  struct {
    const char *reason;
    uint64_t n;
  } of[WR_COUNTS_MAX];
  size_t len;
  uint64_t total;
} wr_counts;

/* reason: a literal; the pointer is kept. When there is room for one more only,
   it and all new ones are WR_COUNTS_OTHER. */
void wr_counts_add(wr_counts *c, const char *reason);

#define WR_DURATIONS_BOUNDS 12

/* Durations by size. */
typedef struct wr_durations {
  uint64_t within[WR_DURATIONS_BOUNDS]; /* at most wr_durations_bound_ms(i) */
  uint64_t count;
  uint64_t sum_ms;
} wr_durations;

/* Ascending; i is below WR_DURATIONS_BOUNDS. */
uint32_t wr_durations_bound_ms(size_t i);
void wr_durations_add(wr_durations *d, uint64_t ms);

#endif /* !defined(WR_APP_COUNTS_H) */
