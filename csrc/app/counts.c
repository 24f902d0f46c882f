#include "app/counts.h"

#include <string.h>

static size_t place_of(wr_counts *c, const char *reason) {
  for (size_t i = 0; i < c->len; i++) {
    if (strcmp(c->of[i].reason, reason) == 0) {
      return i;
    }
  }
  if (c->len == WR_COUNTS_MAX) {
    return WR_COUNTS_MAX - 1;
  }
  bool last = c->len == WR_COUNTS_MAX - 1;
  c->of[c->len].reason = last ? WR_COUNTS_OTHER : reason;
  return c->len++;
}

void wr_counts_add(wr_counts *c, const char *reason) {
  c->of[place_of(c, reason)].n++;
  c->total++;
}

/* From a handshake next door to the end of the default grace time. */
uint32_t wr_durations_bound_ms(size_t i) {
  static const uint32_t bounds[WR_DURATIONS_BOUNDS] = {
      5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000};
  WR_ASSERT(i < WR_DURATIONS_BOUNDS);
  return bounds[i];
}

void wr_durations_add(wr_durations *d, uint64_t ms) {
  for (size_t i = 0; i < WR_DURATIONS_BOUNDS; i++) {
    d->within[i] += ms <= wr_durations_bound_ms(i);
  }
  d->count++;
  d->sum_ms += ms;
}
