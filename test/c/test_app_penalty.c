/* The table of penalties: what adds up, what is in force, what is forgotten, and
   its bounds. */
#include "tap.h"

#include "app/penalty.h"
#include "base/wire.h"

#define BASE ((uint64_t)5000)
#define MOST ((uint64_t)600000)

static wr_mem mem;
static wr_penalties *p;
static uint64_t now;

static void open_table(uint64_t max_ms, size_t limit) {
  wr_mem_init(&mem);
  now = 1000;
  p = wr_penalties_new(&mem, 42, max_ms, limit);
  MUST(p != NULL);
}

static void close_table(void) {
  wr_penalties_free(p);
  EQ_UINT(mem.live_blocks, 0);
}

static wr_slice key_of(uint32_t id, uint8_t bytes[5]) {
  bytes[0] = 4;
  wr_put_u32(bytes + 1, id);
  return (wr_slice){bytes, 5};
}

static uint64_t add(uint32_t id, uint64_t ms) {
  uint8_t bytes[5];
  return wr_penalties_add(p, now, key_of(id, bytes), ms);
}

static bool held(uint32_t id) {
  uint8_t bytes[5];
  bool first;
  return wr_penalties_hold(p, now, key_of(id, bytes), &first);
}

static bool first_asked(uint32_t id) {
  uint8_t bytes[5];
  bool first = false;
  return wr_penalties_hold(p, now, key_of(id, bytes), &first) && first;
}

TEST(a_few_failures_have_no_effect) {
  open_table(MOST, 100);
  for (int i = 0; i < 3; i++) {
    EQ_UINT(add(1, BASE), 0);
    CHECK(!held(1));
  }
  EQ_UINT(add(1, BASE), 20000);
  CHECK(held(1));
  CHECK(!held(2));
  now += 19999;
  CHECK(held(1));
  now += 1;
  CHECK(!held(1));
  close_table();
}

TEST(what_was_given_runs_down) {
  open_table(MOST, 100);
  for (int i = 0; i < 50; i++) {
    EQ_UINT(add(1, BASE), 0);
    now += BASE;
  }
  EQ_UINT(wr_penalties_count(p), 1);
  EQ_UINT(add(2, 1), 0); /* the first has nothing left and goes */
  EQ_UINT(wr_penalties_count(p), 1);
  close_table();
}

TEST(repeated_penalties_grow_up_to_the_maximum) {
  static const uint64_t want[] = {20000,  40000,  80000, 160000,
                                  320000, 600000, 600000};
  open_table(MOST, 100);
  for (int i = 0; i < 3; i++) {
    add(1, BASE);
  }
  EQ_UINT(add(1, BASE), 20000);
  now += 20000;
  EQ_UINT(add(1, BASE), 0); /* counts as 10 s */
  EQ_UINT(add(1, BASE), 20000);
  for (size_t i = 0; i < WR_COUNTOF(want); i++) {
    now += MOST; /* it is not forgotten yet */
    EQ_UINT(add(1, BASE), want[i]);
    CHECK(held(1));
  }
  close_table();
}

TEST(what_fails_meanwhile_adds_up_too) {
  open_table(MOST, 100);
  EQ_UINT(add(1, 16000), 16000);
  EQ_UINT(add(1, 16000), 0); /* no news */
  now += 47999;
  CHECK(held(1));
  now += 1;
  CHECK(!held(1));
  for (int i = 0; i < 100; i++) {
    add(1, 16000);
  }
  now += MOST - 1;
  CHECK(held(1));
  now += 1;
  CHECK(!held(1));
  close_table();
}

TEST(good_conduct_is_forgotten_as_well_as_bad) {
  open_table(MOST, 100);
  EQ_UINT(add(1, 20000), 20000);
  now += 20000 + MOST - 1;
  EQ_UINT(add(1, 10000), 20000); /* it still counts double */
  now += 20000 + MOST;
  CHECK(!held(1));
  EQ_UINT(wr_penalties_count(p), 0);
  EQ_UINT(add(1, 10000), 0);
  close_table();
}

TEST(the_first_one_turned_away_is_told) {
  open_table(MOST, 100);
  CHECK(!first_asked(1));
  add(1, 20000);
  CHECK(first_asked(1));
  CHECK(!first_asked(1));
  add(1, 20000); /* longer, but the same */
  CHECK(!first_asked(1));
  now += 60000;
  CHECK(!held(1));
  add(1, 20000);
  CHECK(first_asked(1));
  CHECK(!first_asked(1));
  close_table();
}

TEST(a_small_maximum_lowers_the_threshold) {
  open_table(1000, 100);
  EQ_UINT(add(1, 500), 0);
  EQ_UINT(add(1, 1), 501);
  EQ_UINT(add(2, UINT64_MAX), 1000);
  close_table();
}

TEST(odd_keys_and_amounts) {
  static const uint8_t zeros[WR_PENALTY_KEY_MAX + 1];
  bool first;
  open_table(MOST, 100);
  EQ_UINT(add(1, 0), 0);
  EQ_UINT(wr_penalties_add(p, now, (wr_slice){zeros, 0}, MOST), 0);
  EQ_UINT(wr_penalties_add(p, now, (wr_slice){zeros, sizeof(zeros)}, MOST), 0);
  EQ_UINT(wr_penalties_count(p), 0);
  wr_slice longest = {zeros, WR_PENALTY_KEY_MAX};
  EQ_UINT(wr_penalties_add(p, now, longest, MOST), MOST);
  CHECK(wr_penalties_hold(p, now, longest, &first));
  CHECK(!wr_penalties_hold(p, now, (wr_slice){zeros, 5}, &first));
  close_table();
}

TEST(a_full_table_forgets_who_would_go_first) {
  open_table(MOST, 8);
  for (uint32_t i = 0; i < 8; i++) {
    /* In no order; all are in force. */
    EQ_UINT(add(i, 20000 + 1000 * ((i * 5) % 8)), 20000 + 1000 * ((i * 5) % 8));
  }
  EQ_UINT(add(100, 100000), 100000);
  EQ_UINT(wr_penalties_count(p), 8);
  CHECK(!held(0)); /* had 20 s, the others more */
  CHECK(held(5));  /* had 21 s */
  EQ_UINT(add(101, 1), 0);
  CHECK(!held(5));
  EQ_UINT(add(102, 1), 0); /* takes the place of the last, not of a penalty */
  for (uint32_t i = 1; i < 8; i++) {
    CHECK(held(i) == (i != 5));
  }
  CHECK(held(100));
  close_table();
}

TEST(who_is_given_more_moves_back) {
  uint32_t seed = 3;
  open_table(MOST, 50);
  for (uint32_t i = 0; i < 50; i++) {
    add(i, 16000 + 10 * i);
  }
  for (uint32_t i = 0; i < 50; i += 2) { /* in some order */
    seed = seed * 1664525u + 1013904223u;
    EQ_UINT(add(i, 100000 + (seed >> 16)), 0);
  }
  for (uint32_t i = 0; i < 25; i++) {
    add(1000 + i, 500000);
    CHECK(!held(2 * i + 1)); /* the others go in their order */
    CHECK(held(2 * i));
  }
  close_table();
}

TEST(a_flood_of_addresses_takes_a_bounded_place) {
  open_table(MOST, 1000);
  for (uint32_t i = 0; i < 20000; i++) {
    add(i, 1000 + i % 777);
    now += i % 3 == 0;
    CHECK(wr_penalties_count(p) <= 1000);
  }
  CHECK(mem.live_bytes < 200000);
  now += 1000000;
  CHECK(!held(19999));
  EQ_UINT(wr_penalties_count(p), 0);
  close_table();
}

/* The same as the table does, without an order and without a bound. */
typedef struct model {
  uint64_t until_ms;
  uint64_t gone_ms;
  unsigned times;
  bool active;
} model;

static bool model_add(model *m, uint64_t ms) {
  if (m->gone_ms <= now) {
    *m = (model){0};
  }
  if (m->until_ms <= now) {
    m->until_ms = now;
    m->active = false;
  }
  ms = m->times < 20 ? ms << m->times : MOST;
  m->until_ms = WR_MIN(m->until_ms + ms, now + MOST);
  bool begins = !m->active && m->until_ms - now > WR_PENALTY_LEAST_MS;
  m->active = m->active || begins;
  m->times += begins;
  m->gone_ms = m->until_ms + (m->times > 0 ? MOST : 0);
  return begins;
}

TEST(agrees_with_a_plain_model) {
  static model models[64];
  uint32_t seed = 7;
  open_table(MOST, 64);
  for (int i = 0; i < 20000; i++) {
    seed = seed * 1664525u + 1013904223u;
    uint32_t id = (seed >> 8) % 64;
    model *m = &models[id];
    uint64_t ms = 1 + (seed >> 16) % 9000;
    bool begins = model_add(m, ms);
    if (!OK((add(id, ms) != 0) == begins, "step %d begins", i) ||
        !OK(held(id) == m->active, "step %d holds", i)) {
      break;
    }
    now += (seed >> 4) % 4000;
  }
  close_table();
}

TEST(any_allocation_may_fail) {
  int n = 0;
  for (bool over = false; !over; n++) {
    wr_mem_init(&mem);
    mem.fail_at = (uint64_t)n + 1;
    now = 1000;
    p = wr_penalties_new(&mem, 1, MOST, 100);
    for (uint32_t i = 0; p != NULL && i < 40; i++) {
      uint64_t got = add(i, 20000);
      CHECK(got == 20000 || got == 0);
      CHECK(held(i) == (got != 0));
    }
    over = mem.total < mem.fail_at;
    close_table();
  }
  CHECK(n > 80);
}

TAP_MAIN()
