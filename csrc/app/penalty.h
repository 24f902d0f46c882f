#ifndef WR_APP_PENALTY_H
#define WR_APP_PENALTY_H

#include "base/mem.h"

/* Who has failed lately, and who is kept out for it.

   What an address is given adds up and runs down by itself, a second in a
   second. Little of it has no effect, so that whoever fails once or twice is let
   in again; with more than WR_PENALTY_LEAST_MS (or half of the maximum if that is
   less) the penalty is in force until nothing is left. Each time that happens
   again, everything counts double what it did before. That is forgotten once the
   address has kept still for as long as the longest penalty.

   The table is bounded: when it is full, what would be forgotten first makes
   room. Nothing here has a timer; old entries go as new ones come. */
typedef struct wr_penalties wr_penalties;

#define WR_PENALTY_LEAST_MS ((uint64_t)15000)
#define WR_PENALTY_KEY_MAX 255

/* limit: the most addresses that are remembered. NULL when out of memory. */
wr_penalties *wr_penalties_new(wr_mem *mem, uint64_t seed, uint64_t max_ms,
                               size_t limit);
void wr_penalties_free(wr_penalties *p); /* NULL is fine */
/* Adds to what `key` has. Returns how long it is kept out if that begins now,
   else 0 (also if there is no memory to remember it). now_ms never goes back. */
uint64_t wr_penalties_add(wr_penalties *p, uint64_t now_ms, wr_slice key,
                          uint64_t ms);
/* Whether a penalty is in force. *first: it is asked for the first time since
   that began. */
bool wr_penalties_hold(wr_penalties *p, uint64_t now_ms, wr_slice key,
                       bool *first);
/* Addresses in the table. */
size_t wr_penalties_count(const wr_penalties *p);

#endif /* !defined(WR_APP_PENALTY_H) */
