#include "tap.h"

#include "base/errors.h"
#include "base/slots.h"

static wr_mem mem;
static wr_slots slots;
static int objs[2000];

static void set_up(void) {
  wr_mem_init(&mem);
}

static void tear_down(void) {
  wr_slots_reset(&slots);
  EQ_UINT(mem.live_blocks, 0);
}

static uint32_t add(void *obj) {
  uint32_t id = 0;
  MUST(wr_slots_add(&slots, obj, &id) == 0);
  CHECK(id != 0 && id >> 20 != 0);
  return id;
}

TEST(an_empty_table_finds_nothing) {
  size_t cursor = 0;
  wr_slots_init(&slots, &mem, 10);
  CHECK(wr_slots_get(&slots, 0) == NULL);
  CHECK(wr_slots_get(&slots, 1U << 20) == NULL);
  CHECK(wr_slots_get(&slots, UINT32_MAX) == NULL);
  wr_slots_remove(&slots, 1U << 20);
  CHECK(wr_slots_next(&slots, &cursor) == NULL);
  EQ_UINT(mem.total, 0);
}

TEST(objects_are_found_by_their_ids) {
  uint32_t ids[1000];
  wr_slots_init(&slots, &mem, 1000);
  for (size_t i = 0; i < 1000; i++) {
    ids[i] = add(&objs[i]);
  }
  for (size_t i = 0; i < 1000; i++) {
    CHECK(wr_slots_get(&slots, ids[i]) == &objs[i]);
  }
  EQ_UINT(slots.count, 1000);
  CHECK(wr_slots_get(&slots, ids[0] & 0xFFFFF) == NULL);
  CHECK(wr_slots_get(&slots, ids[0] + (1U << 20)) == NULL);
}

TEST(the_limit_is_exact) {
  wr_slots_init(&slots, &mem, 3);
  uint32_t id = add(&objs[0]);
  add(&objs[1]);
  add(&objs[2]);
  uint32_t none = 5;
  EQ_INT(wr_slots_add(&slots, &objs[3], &none), WR_ELIMIT);
  EQ_UINT(none, 5);
  wr_slots_remove(&slots, id);
  uint32_t again = add(&objs[3]);
  CHECK(again != id);
  CHECK(wr_slots_get(&slots, id) == NULL);
  EQ_UINT(slots.count, 3);
  wr_slots_reset(&slots);
  wr_slots_init(&slots, &mem, 0);
  EQ_INT(wr_slots_add(&slots, &objs[0], &none), WR_ELIMIT);
}

TEST(a_stale_id_finds_nothing_and_removes_nothing) {
  wr_slots_init(&slots, &mem, 1);
  uint32_t old = add(&objs[0]);
  wr_slots_remove(&slots, old);
  CHECK(wr_slots_get(&slots, old) == NULL);
  wr_slots_remove(&slots, old);
  EQ_UINT(slots.count, 0);
  uint32_t id = add(&objs[1]);
  EQ_UINT(id & 0xFFFFF, old & 0xFFFFF);
  wr_slots_remove(&slots, old);
  CHECK(wr_slots_get(&slots, old) == NULL);
  CHECK(wr_slots_get(&slots, id) == &objs[1]);
  EQ_UINT(slots.count, 1);
}

TEST(the_generation_wraps_and_is_never_zero) {
  wr_slots_init(&slots, &mem, 1);
  uint32_t first = add(&objs[0]);
  wr_slots_remove(&slots, first);
  for (int i = 1; i < 4095; i++) {
    uint32_t id = add(&objs[0]);
    CHECK(id != first);
    wr_slots_remove(&slots, id);
    CHECK(wr_slots_get(&slots, id) == NULL);
  }
  EQ_UINT(add(&objs[0]), first);
}

TEST(a_slot_rests_before_it_is_used_again) {
  wr_slots_init(&slots, &mem, 16);
  uint32_t first = add(&objs[0]);
  wr_slots_remove(&slots, first);
  for (int i = 0; i < 15; i++) {
    uint32_t id = add(&objs[0]);
    CHECK((id & 0xFFFFF) != (first & 0xFFFFF));
    wr_slots_remove(&slots, id);
  }
  EQ_UINT(add(&objs[0]) & 0xFFFFF, first & 0xFFFFF);
}

TEST(the_largest_table) {
  wr_slots_init(&slots, &mem, (size_t)1 << 20);
  uint32_t last = 0;
  for (size_t i = 0; i < (size_t)1 << 20; i++) {
    last = add(&objs[i % 2000]);
  }
  EQ_UINT(last & 0xFFFFF, 0xFFFFF);
  CHECK(wr_slots_get(&slots, last) == &objs[0xFFFFF % 2000]);
  uint32_t id;
  EQ_INT(wr_slots_add(&slots, &objs[0], &id), WR_ELIMIT);
}

TEST(a_failed_allocation_changes_nothing) {
  for (uint64_t n = 1; n <= 4; n++) {
    uint32_t ids[100];
    int failures = 0;
    wr_slots_init(&slots, &mem, 100);
    mem.fail_at = mem.total + n;
    for (size_t i = 0; i < 100; i++) {
      while (wr_slots_add(&slots, &objs[i], &ids[i]) != 0) {
        failures++;
        EQ_UINT(slots.count, i);
      }
    }
    EQ_INT(failures, 1);
    for (size_t i = 0; i < 100; i++) {
      CHECK(wr_slots_get(&slots, ids[i]) == &objs[i]);
    }
    wr_slots_reset(&slots);
  }
}

TEST(a_walk_meets_each_object_and_may_remove_it) {
  uint32_t ids[100];
  size_t cursor = 0;
  size_t met = 0;
  wr_slots_init(&slots, &mem, 100);
  for (size_t i = 0; i < 100; i++) {
    ids[i] = add(&objs[i]);
  }
  for (size_t i = 0; i < 100; i += 2) {
    wr_slots_remove(&slots, ids[i]);
  }
  for (;;) {
    int *obj = wr_slots_next(&slots, &cursor);
    if (obj == NULL) {
      break;
    }
    EQ_INT((obj - objs) % 2, 1);
    wr_slots_remove(&slots, ids[obj - objs]);
    met++;
  }
  EQ_UINT(met, 50);
  EQ_UINT(slots.count, 0);
}

TEST(random_use_agrees_with_a_trivial_model) {
  enum { N = 300 };
  uint32_t ids[N] = {0}; /* 0: not in the table */
  uint64_t rng = UINT64_C(0x9e3779b97f4a7c15);
  size_t count = 0;
  wr_slots_init(&slots, &mem, 200);
  for (int k = 0; k < 200000; k++) {
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    size_t i = (size_t)((rng >> 11) % N);
    CHECK(wr_slots_get(&slots, ids[i]) == (ids[i] == 0 ? NULL : &objs[i]));
    if (ids[i] != 0) {
      wr_slots_remove(&slots, ids[i]);
      CHECK(wr_slots_get(&slots, ids[i]) == NULL);
      ids[i] = 0;
      count--;
    } else {
      int err = wr_slots_add(&slots, &objs[i], &ids[i]);
      EQ_INT(err, count == 200 ? WR_ELIMIT : 0);
      count += err == 0 ? 1 : 0;
    }
    EQ_UINT(slots.count, count);
  }
}

TAP_MAIN_WITH(set_up, tear_down)
