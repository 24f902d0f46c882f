/* Sets of serial numbers: against a plain table, at the ends of the numbers,
   and in bounded memory. */
#include "base/errors.h"
#include "ssh/serials.h"
#include "tap.h"

#define DOMAIN 512

static wr_mem mem;

static void set_up(void) {
  wr_mem_init(&mem);
}

static void tear_down(void) {
  EQ_UINT(mem.live_blocks, 0);
}

/* The same sequence in every run. */
static unsigned next_random(uint32_t *state, unsigned below) {
  *state = *state * 1664525U + 1013904223U;
  return (*state >> 8) % below;
}

/* Some ranges and bits from `base` on, also into the table. */
static void fill(wr__serials *s, uint64_t base, bool *table, uint32_t *state) {
  unsigned n = next_random(state, 40);
  for (unsigned i = 0; i < n; i++) {
    unsigned first = next_random(state, DOMAIN - 8);
    unsigned bits = 1 + next_random(state, 255);
    if (next_random(state, 3) == 0) {
      unsigned last = first + next_random(state, 8);
      MUST(wr__serials_add_range(&mem, s, base + first, base + last) == 0);
      bits = (1U << (last - first + 1)) - 1;
    } else {
      MUST(wr__serials_add_bits(&mem, s, base + first, (uint8_t)bits) == 0);
    }
    for (unsigned bit = 0; bit < 8; bit++) {
      table[first + bit] |= (bits >> bit & 1) != 0;
    }
  }
}

static void check_random(uint64_t base, uint32_t *state) {
  bool table[DOMAIN] = {false};
  wr__serials s = {0};
  fill(&s, base, table, state);
  wr__serials_seal(&mem, &s);
  for (unsigned i = 0; i < DOMAIN; i++) {
    if (!CHECK(wr__serials_has(&s, base + i) == table[i])) {
      DIAG("%u from %" PRIu64, i, base);
    }
  }
  CHECK(!wr__serials_has(&s, base - 1));
  CHECK(!wr__serials_has(&s, base + DOMAIN));
  wr__serials_reset(&mem, &s);
}

TEST(the_same_as_a_table) {
  uint32_t state = 1;
  for (int round = 0; round < 300; round++) {
    check_random(0, &state);
    check_random(UINT64_MAX - (DOMAIN - 1), &state);
    check_random(UINT64_C(0x7fffffffffffff03), &state);
  }
}

TEST(the_ends_of_the_numbers) {
  wr__serials s = {0};
  CHECK(!wr__serials_has(&s, 0));
  CHECK(!wr__serials_has(&s, UINT64_MAX));
  MUST(wr__serials_add_bits(&mem, &s, UINT64_MAX, 1) == 0);
  MUST(wr__serials_add_bits(&mem, &s, 1, 1) == 0);
  wr__serials_seal(&mem, &s);
  CHECK(wr__serials_has(&s, UINT64_MAX));
  CHECK(wr__serials_has(&s, 1));
  CHECK(!wr__serials_has(&s, 0));
  CHECK(!wr__serials_has(&s, UINT64_MAX - 1));
  wr__serials_reset(&mem, &s);
  MUST(wr__serials_add_range(&mem, &s, 5, UINT64_MAX) == 0);
  MUST(wr__serials_add_range(&mem, &s, 0, 3) == 0);
  MUST(wr__serials_add_range(&mem, &s, 7, 8) == 0);
  wr__serials_seal(&mem, &s);
  CHECK(wr__serials_has(&s, 0));
  CHECK(wr__serials_has(&s, 3));
  CHECK(!wr__serials_has(&s, 4));
  CHECK(wr__serials_has(&s, 9));
  CHECK(wr__serials_has(&s, UINT64_MAX));
  wr__serials_reset(&mem, &s);
}

TEST(many_in_any_order) {
  enum { COUNT = 200000 };
  wr__serials s = {0};
  /* An odd factor reaches every serial below a power of two, in disorder. */
  for (uint64_t i = 0; i < COUNT; i++) {
    uint64_t serial = (i * 77003) % 262144 * 1000;
    MUST(wr__serials_add_bits(&mem, &s, serial, 1) == 0);
    MUST(wr__serials_add_range(&mem, &s, serial + 100, serial + 200) == 0);
  }
  wr__serials_seal(&mem, &s);
  /* Two pairs of 16 bytes for each, nothing allocated ahead. */
  CHECK(mem.live_bytes <= (size_t)COUNT * 2 * 16);
  for (uint64_t i = 0; i < 262144; i++) {
    uint64_t serial = (i * 77003) % 262144 * 1000;
    CHECK(wr__serials_has(&s, serial) == (i < COUNT));
    CHECK(wr__serials_has(&s, serial + 100) == (i < COUNT));
    CHECK(wr__serials_has(&s, serial + 200) == (i < COUNT));
    CHECK(!wr__serials_has(&s, serial + 1));
    CHECK(!wr__serials_has(&s, serial + 201));
  }
  wr__serials_reset(&mem, &s);
}

TEST(what_repeats_takes_no_memory) {
  wr__serials s = {0};
  for (unsigned i = 0; i < 10000; i++) {
    MUST(wr__serials_add_range(&mem, &s, 1 + i % 7 * 2, 2 + i % 7 * 2) == 0);
    MUST(wr__serials_add_bits(&mem, &s, 1000 + i % 9 * 7, 0xff) == 0);
  }
  wr__serials_seal(&mem, &s);
  CHECK(mem.live_bytes <= 3 * 16);
  CHECK(wr__serials_has(&s, 14));
  CHECK(!wr__serials_has(&s, 15));
  wr__serials_reset(&mem, &s);
}

TEST(running_out_of_memory) {
  wr__serials s = {0};
  mem.fail_at = mem.total + 1;
  EQ_INT(wr__serials_add_range(&mem, &s, 1, 2), WR_ENOMEM);
  mem.fail_at = mem.total + 1;
  EQ_INT(wr__serials_add_bits(&mem, &s, 1, 2), WR_ENOMEM);
  mem.fail_at = 0;
  MUST(wr__serials_add_range(&mem, &s, 1, 2) == 0);
  /* Room that cannot be given back is kept. */
  mem.fail_at = mem.total + 1;
  wr__serials_seal(&mem, &s);
  mem.fail_at = 0;
  CHECK(wr__serials_has(&s, 2));
  wr__serials_reset(&mem, &s);
}

TAP_MAIN_WITH(set_up, tear_down)
