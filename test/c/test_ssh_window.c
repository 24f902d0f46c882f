/* Windows as pure arithmetic. */
#include "tap.h"

#include "ssh/kept.h"
#include "ssh/window.h"

#define KIB ((uint32_t)1024)
#define MIB ((uint32_t)1024 * 1024)
#define ANY UINT32_MAX

/* A peer that fills the window at once and an owner that takes it all, each
   round trip. Returns the target after so many. */
static uint32_t rounds(wr_window *w, int n, uint32_t rtt_us, uint64_t *now,
                       uint32_t max_target) {
  for (int i = 0; i < n; i++) {
    uint32_t left = w->available;
    *now += rtt_us;
    while (left > 0) {
      uint32_t part = left < 32 * KIB ? left : 32 * KIB;
      MUST(wr_window_received(w, part));
      wr_window_consumed(w, part, 0, *now, rtt_us, max_target);
      left -= part;
    }
  }
  return w->target;
}

TEST(a_window_is_never_exceeded) {
  wr_window w;
  wr_window_init(&w, 100, 1000, 0);
  CHECK(wr_window_received(&w, 60));
  CHECK(!wr_window_received(&w, 41));
  EQ_UINT(w.available, 40);
  CHECK(wr_window_received(&w, 40));
  CHECK(!wr_window_received(&w, 1));
  CHECK(wr_window_received(&w, 0));
}

TEST(it_doubles_per_round_trip_up_to_the_ceiling) {
  wr_window w;
  uint64_t now = 0;
  wr_window_init(&w, 2 * MIB, 64 * MIB, now);
  EQ_UINT(rounds(&w, 1, 100000, &now, ANY), 4 * MIB);
  EQ_UINT(rounds(&w, 1, 100000, &now, ANY), 8 * MIB);
  EQ_UINT(rounds(&w, 3, 100000, &now, ANY), 64 * MIB);
  EQ_UINT(rounds(&w, 9, 100000, &now, ANY), 64 * MIB);
}

TEST(the_session_bounds_it) {
  wr_window w;
  uint64_t now = 0;
  wr_window_init(&w, 2 * MIB, 64 * MIB, now);
  EQ_UINT(rounds(&w, 9, 100000, &now, 5 * MIB), 5 * MIB);
  EQ_UINT(rounds(&w, 9, 100000, &now, 0), 5 * MIB);
}

TEST(without_a_round_trip_it_stays) {
  wr_window w;
  uint64_t now = 0;
  wr_window_init(&w, 2 * MIB, 64 * MIB, now);
  for (int i = 0; i < 100; i++) {
    MUST(wr_window_received(&w, w.available));
    wr_window_consumed(&w, 2 * MIB, 0, now, 0, ANY);
  }
  EQ_UINT(w.target, 2 * MIB);
}

TEST(an_owner_slower_than_the_window_does_not_grow_it) {
  wr_window w;
  uint64_t now = 0;
  wr_window_init(&w, 2 * MIB, 64 * MIB, now);
  for (int i = 0; i < 1000; i++) {
    now += 10000; /* 32 KiB in 10 ms: 0.6 s for all, at 10 ms round trip */
    MUST(wr_window_received(&w, 32 * KIB));
    wr_window_consumed(&w, 32 * KIB, 0, now, 10000, ANY);
  }
  EQ_UINT(w.target, 2 * MIB);
}

TEST(a_slow_owner_lets_it_fall_back) {
  wr_window w;
  uint64_t now = 0;
  wr_window_init(&w, 2 * MIB, 64 * MIB, now);
  EQ_UINT(rounds(&w, 9, 100000, &now, ANY), 64 * MIB);
  for (int i = 0; i < 2000; i++) {
    now += 100000;
    if (w.available >= 32 * KIB) {
      MUST(wr_window_received(&w, 32 * KIB));
    }
    wr_window_consumed(&w, 32 * KIB, 0, now, 100000, ANY);
  }
  EQ_UINT(w.target, 2 * MIB);
  CHECK(w.available <= 64 * MIB);
}

TEST(what_is_kept_is_not_granted_again) {
  wr_window w;
  wr_window_init(&w, 2 * MIB, 64 * MIB, 0);
  MUST(wr_window_received(&w, 2 * MIB));
  EQ_UINT(wr_window_consumed(&w, 64 * KIB, 2 * MIB - 64 * KIB, 1, 100, ANY), 0);
  EQ_UINT(wr_window_consumed(&w, MIB, MIB - 64 * KIB, 1, 100, ANY),
          MIB + 64 * KIB);
  EQ_UINT(w.available, MIB + 64 * KIB);
}

TEST(updates_come_by_quarters) {
  wr_window w;
  int updates = 0;
  wr_window_init(&w, 2 * MIB, 2 * MIB, 0);
  for (int i = 0; i < 64 * 100; i++) {
    MUST(wr_window_received(&w, 32 * KIB));
    updates += wr_window_consumed(&w, 32 * KIB, 0, 1000000, 100, ANY) > 0;
    CHECK(w.available >= MIB);
  }
  EQ_INT(updates, 400);
  wr_window_init(&w, 64 * KIB, 64 * KIB, 0);
  MUST(wr_window_received(&w, 32 * KIB));
  EQ_UINT(wr_window_consumed(&w, 32 * KIB, 0, 1, 100, ANY), 32 * KIB);
}

TEST(kept_bytes_are_a_queue_of_bounded_memory) {
  wr_mem mem;
  wr_kept k = {0};
  uint8_t byte = 0;
  wr_mem_init(&mem);
  for (int i = 0; i < 300000; i++) {
    byte = (uint8_t)(i * 7);
    MUST(wr__kept_append(&k, &mem, &byte, 1) == 0);
  }
  EQ_UINT(k.len, 300000);
  OK(mem.live_bytes < 340000, "%d bytes for 300000", (int)mem.live_bytes);
  size_t at = 0;
  while (k.len > 0) {
    size_t len = 0;
    uint8_t *p = wr__kept_peek(&k, &len);
    size_t n = len < 1000 ? len : 1000;
    for (size_t i = 0; i < n; i++) {
      if (p[i] != (uint8_t)((at + i) * 7)) {
        FAIL("byte %d is wrong", (int)(at + i));
      }
    }
    wr__kept_consume(&k, &mem, n);
    at += n;
  }
  EQ_UINT(at, 300000);
  EQ_UINT(mem.live_blocks, 0);
  MUST(wr__kept_append(&k, &mem, &byte, 1) == 0);
  wr__kept_reset(&k, &mem);
  EQ_UINT(mem.live_blocks, 0);
}

TAP_MAIN()
