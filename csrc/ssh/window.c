#include "ssh/window.h"

/* Increments smaller than this are not worth a packet of their own. */
#define STEP_MIN ((uint32_t)64 * 1024)
/* An owner that takes less than a quarter of the target in this time, and in so
   many round trips, does not need it. */
#define DECAY_MIN_US ((uint64_t)1000000)
#define DECAY_ROUND_TRIPS 16u

void wr_window_init(wr_window *w, uint32_t floor, uint32_t ceiling,
                    uint64_t now_us) {
  *w = (wr_window){.target = floor,
                   .available = floor,
                   .floor = floor,
                   .ceiling = WR_MAX(floor, ceiling),
                   .mark_us = now_us};
}

bool wr_window_received(wr_window *w, size_t n) {
  if (n > w->available) {
    return false;
  }
  w->available -= (uint32_t)n;
  return true;
}

/* At least a whole target was consumed since the mark. A window that is the
   bottleneck passes once per round trip; twice that means it is not. */
static void grow(wr_window *w, uint64_t elapsed_us, uint32_t rtt_us,
                 uint32_t max_target) {
  if (rtt_us == 0 || elapsed_us >= 2 * (uint64_t)rtt_us) {
    return;
  }
  uint64_t target = 2 * (uint64_t)w->target;
  target = WR_MIN(target, w->ceiling);
  target = WR_MIN(target, max_target);
  if (target > w->target) {
    w->target = (uint32_t)target;
  }
}

static void measure(wr_window *w, uint64_t now_us, uint32_t rtt_us,
                    uint32_t max_target) {
  uint64_t elapsed_us = now_us - w->mark_us;
  if (w->consumed >= w->target) {
    grow(w, elapsed_us, rtt_us, max_target);
  } else {
    uint64_t limit_us = DECAY_ROUND_TRIPS * (uint64_t)rtt_us;
    if (elapsed_us < WR_MAX(limit_us, DECAY_MIN_US)) {
      return;
    }
    if (w->consumed < w->target / 4) {
      w->target = WR_MAX(w->target / 2, w->floor);
    }
  }
  w->consumed = 0;
  w->mark_us = now_us;
}

/* A quarter of the target: half would leave the peer idle for part of each round
   trip; the smallest windows go by halves. */
static uint32_t step_of(const wr_window *w) {
  uint32_t step = WR_MAX(w->target / 4, STEP_MIN);
  return WR_MIN(step, w->target / 2);
}

uint32_t wr_window_consumed(wr_window *w, size_t n, size_t kept,
                            uint64_t now_us, uint32_t rtt_us,
                            uint32_t max_target) {
  w->consumed += n;
  measure(w, now_us, rtt_us, max_target);
  uint64_t used = (uint64_t)w->available + kept;
  if (used >= w->target) {
    return 0;
  }
  uint32_t increment = (uint32_t)(w->target - used);
  if (increment < step_of(w)) {
    return 0;
  }
  w->available += increment;
  return increment;
}
