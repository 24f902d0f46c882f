#include "tap.h"

#include "base/errors.h"
#include "base/map.h"

static wr_mem mem;
static uint64_t rng;
static int values[4096];

static void set_up(void) {
  wr_mem_init(&mem);
  rng = UINT64_C(0x2545f4914f6cdd1d);
}

static void nothing_is_left(void) {
  EQ_UINT(mem.live_blocks, 0);
  EQ_UINT(mem.live_bytes, 0);
}

static size_t pick(size_t below) {
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return (size_t)((rng >> 11) % below);
}

TEST(set_get_replace_remove) {
  wr_map *map = wr_map_new(&mem, 1, 10);
  MUST(map != NULL);
  CHECK(wr_map_get(map, "a", 1) == NULL);
  CHECK(wr_map_remove(map, "a", 1) == NULL);
  EQ_INT(wr_map_set(map, "a", 1, &values[0]), 0);
  EQ_INT(wr_map_set(map, "b", 1, &values[1]), 0);
  CHECK(wr_map_get(map, "a", 1) == &values[0]);
  EQ_INT(wr_map_set(map, "a", 1, &values[2]), 0);
  CHECK(wr_map_get(map, "a", 1) == &values[2]);
  EQ_UINT(wr_map_count(map), 2);
  CHECK(wr_map_remove(map, "a", 1) == &values[2]);
  CHECK(wr_map_remove(map, "a", 1) == NULL);
  CHECK(wr_map_get(map, "a", 1) == NULL);
  CHECK(wr_map_get(map, "b", 1) == &values[1]);
  EQ_UINT(wr_map_count(map), 1);
  wr_map_free(map);
  wr_map_free(NULL);
}

TEST(keys_are_any_bytes_and_copied) {
  char key[4] = "abc";
  wr_map *map = wr_map_new(&mem, 1, 10);
  MUST(map != NULL);
  EQ_INT(wr_map_set(map, NULL, 0, &values[0]), 0);
  EQ_INT(wr_map_set(map, "\0", 1, &values[1]), 0);
  EQ_INT(wr_map_set(map, "\0\0", 2, &values[2]), 0);
  EQ_INT(wr_map_set(map, key, 3, &values[3]), 0);
  key[0] = 'x';
  CHECK(wr_map_get(map, "", 0) == &values[0]);
  CHECK(wr_map_get(map, "\0", 1) == &values[1]);
  CHECK(wr_map_get(map, "\0\0", 2) == &values[2]);
  CHECK(wr_map_get(map, "abc", 3) == &values[3]);
  CHECK(wr_map_get(map, "xbc", 3) == NULL);
  CHECK(wr_map_get(map, "ab", 2) == NULL);
  wr_map_free(map);
}

TEST(the_longest_key) {
  static const uint8_t key[65536];
  wr_map *map = wr_map_new(&mem, 1, 10);
  MUST(map != NULL);
  EQ_INT(wr_map_set(map, key, 65535, &values[0]), 0);
  CHECK(wr_map_get(map, key, 65535) == &values[0]);
  EQ_INT(wr_map_set(map, key, 65536, &values[0]), WR_ELIMIT);
  CHECK(wr_map_get(map, key, 65536) == NULL);
  CHECK(wr_map_remove(map, key, 65536) == NULL);
  CHECK(wr_map_remove(map, key, 65535) == &values[0]);
  wr_map_free(map);
}

TEST(the_limit_is_exact) {
  wr_map *map = wr_map_new(&mem, 1, 2);
  MUST(map != NULL);
  EQ_INT(wr_map_set(map, "a", 1, &values[0]), 0);
  EQ_INT(wr_map_set(map, "b", 1, &values[0]), 0);
  EQ_INT(wr_map_set(map, "c", 1, &values[0]), WR_ELIMIT);
  EQ_INT(wr_map_set(map, "b", 1, &values[1]), 0);
  CHECK(wr_map_get(map, "b", 1) == &values[1]);
  wr_map_remove(map, "a", 1);
  EQ_INT(wr_map_set(map, "c", 1, &values[2]), 0);
  EQ_UINT(wr_map_count(map), 2);
  wr_map_free(map);
  map = wr_map_new(&mem, 1, 0);
  MUST(map != NULL);
  EQ_INT(wr_map_set(map, "a", 1, &values[0]), WR_ELIMIT);
  wr_map_free(map);
}

/* Ten sets with the nth allocation failing: a set works or changes nothing. */
static void fill_with_failure(uint64_t n) {
  wr_map *map = wr_map_new(&mem, 9, 100);
  MUST(map != NULL);
  mem.fail_at = mem.total + n;
  size_t added = 0;
  for (uint8_t i = 0; i < 10; i++) {
    int err = wr_map_set(map, &i, 1, &values[i]);
    CHECK(err == 0 || err == WR_ENOMEM);
    added += err == 0 ? 1 : 0;
    CHECK((wr_map_get(map, &i, 1) == &values[i]) == (err == 0));
    EQ_UINT(wr_map_count(map), added);
  }
  EQ_UINT(added, mem.total >= mem.fail_at ? 9 : 10);
  wr_map_free(map);
}

TEST(a_failed_allocation_changes_nothing) {
  mem.fail_at = 1;
  CHECK(wr_map_new(&mem, 1, 1) == NULL);
  for (uint64_t n = 1; n <= 14; n++) {
    fill_with_failure(n);
    mem.fail_at = 0;
  }
}

TEST(a_walk_meets_each_entry_once) {
  enum { N = 500 };
  static uint8_t seen[N];
  wr_map *map = wr_map_new(&mem, 3, N);
  size_t cursor = 0;
  wr_slice key;
  void *value;
  MUST(map != NULL);
  CHECK(!wr_map_next(map, &cursor, &key, &value));
  for (int i = 0; i < N; i++) {
    EQ_INT(wr_map_set(map, &i, sizeof(i), &values[i]), 0);
  }
  memset(seen, 0, sizeof(seen));
  cursor = 0;
  while (wr_map_next(map, &cursor, &key, &value)) {
    int i;
    MUST(key.len == sizeof(i));
    memcpy(&i, key.data, sizeof(i));
    CHECK(value == &values[i]);
    seen[i]++;
  }
  CHECK(!wr_map_next(map, &cursor, &key, &value));
  for (int i = 0; i < N; i++) {
    EQ_INT(seen[i], 1);
  }
  wr_map_free(map);
}

TEST(a_walk_may_remove_what_it_met) {
  enum { N = 500 };
  static uint8_t seen[N];
  wr_map *map = wr_map_new(&mem, 4, N);
  size_t cursor = 0;
  wr_slice key;
  void *value;
  MUST(map != NULL);
  for (int i = 0; i < N; i++) {
    EQ_INT(wr_map_set(map, &i, sizeof(i), &values[i]), 0);
  }
  memset(seen, 0, sizeof(seen));
  while (wr_map_next(map, &cursor, &key, &value)) {
    int i;
    memcpy(&i, key.data, sizeof(i));
    seen[i]++;
    if (i % 3 != 0) {
      CHECK(wr_map_remove(map, &i, sizeof(i)) == value);
    }
  }
  for (int i = 0; i < N; i++) {
    EQ_INT(seen[i], 1);
    CHECK((wr_map_get(map, &i, sizeof(i)) != NULL) == (i % 3 == 0));
  }
  wr_map_free(map);
}

/* With another seed the same keys are found in another order. */
TEST(the_seed_matters) {
  char orders[2][40] = {{0}};
  for (uint64_t seed = 0; seed < 2; seed++) {
    wr_map *map = wr_map_new(&mem, seed, 100);
    MUST(map != NULL);
    for (char c = 'a'; c <= 'z'; c++) {
      EQ_INT(wr_map_set(map, &c, 1, &values[0]), 0);
    }
    size_t cursor = 0;
    wr_slice key;
    void *value;
    while (wr_map_next(map, &cursor, &key, &value)) {
      strncat(orders[seed], (const char *)key.data, 1);
    }
    wr_map_free(map);
  }
  CHECK(strcmp(orders[0], orders[1]) != 0);
}

TEST(the_table_stays_small_while_entries_come_and_go) {
  wr_map *map = wr_map_new(&mem, 5, 100000);
  size_t most = 0;
  MUST(map != NULL);
  for (uint32_t i = 0; i < 100000; i++) {
    MUST(wr_map_set(map, &i, sizeof(i), &values[0]) == 0);
    if (i >= 10) {
      uint32_t old = i - 10;
      MUST(wr_map_remove(map, &old, sizeof(old)) == &values[0]);
    }
    most = WR_MAX(most, mem.live_bytes);
  }
  OK(most < 2000, "at most %zu bytes for ten entries", most);
  OK(mem.total < 101500, "allocations: %d", (int)mem.total);
  wr_map_free(map);
}

/* One allocation per entry, and a few for the table. */
TEST(the_table_is_seldom_built_anew) {
  wr_map *map = wr_map_new(&mem, 8, 100000);
  MUST(map != NULL);
  for (uint32_t i = 0; i < 10000; i++) {
    MUST(wr_map_set(map, &i, sizeof(i), &values[0]) == 0);
    MUST(wr_map_remove(map, &i, sizeof(i)) == &values[0]);
  }
  EQ_UINT(mem.total, 10002);
  for (uint32_t i = 0; i < 10000; i++) {
    MUST(wr_map_set(map, &i, sizeof(i), &values[0]) == 0);
  }
  OK(mem.total < 20020, "allocations: %d", (int)mem.total);
  wr_map_free(map);
}

TEST(the_table_shrinks) {
  wr_map *map = wr_map_new(&mem, 6, 100000);
  MUST(map != NULL);
  for (uint32_t i = 0; i < 10000; i++) {
    MUST(wr_map_set(map, &i, sizeof(i), &values[0]) == 0);
  }
  size_t full = mem.live_bytes;
  for (uint32_t i = 0; i < 10000; i++) {
    MUST(wr_map_remove(map, &i, sizeof(i)) == &values[0]);
  }
  for (uint32_t i = 0; i < 40000; i++) {
    MUST(wr_map_set(map, &i, sizeof(i), &values[0]) == 0);
    MUST(wr_map_remove(map, &i, sizeof(i)) == &values[0]);
  }
  OK(mem.live_bytes < full, "%zu bytes of %zu are left", mem.live_bytes, full);
  wr_map_free(map);
}

/* The trivial model: values by key number, and a count. */
static void *model[4096];
static size_t model_count;

/* Key number i as bytes of differing lengths. */
static size_t key_of(size_t i, uint8_t key[24]) {
  size_t len = 2 + i % 23;
  memset(key, (int)(i % 7), len);
  key[len - 1] = (uint8_t)i;
  key[len - 2] = (uint8_t)(i >> 8);
  return len;
}

static void step(wr_map *map, size_t keys, size_t limit, size_t set_percent) {
  uint8_t key[24];
  size_t i = pick(keys);
  size_t len = key_of(i, key);
  if (pick(100) < set_percent) {
    void *value = &values[pick(WR_COUNTOF(values))];
    bool full = model[i] == NULL && model_count == limit;
    EQ_INT(wr_map_set(map, key, len, value), full ? WR_ELIMIT : 0);
    if (!full) {
      model_count += model[i] == NULL ? 1 : 0;
      model[i] = value;
    }
  } else {
    CHECK(wr_map_remove(map, key, len) == model[i]);
    model_count -= model[i] != NULL ? 1 : 0;
    model[i] = NULL;
  }
}

static bool same(const wr_map *map, size_t keys) {
  size_t cursor = 0;
  size_t met = 0;
  wr_slice slice;
  void *value;
  for (size_t i = 0; i < keys; i++) {
    uint8_t key[24];
    if (wr_map_get(map, key, key_of(i, key)) != model[i]) {
      return false;
    }
  }
  while (wr_map_next(map, &cursor, &slice, &value)) {
    met++;
  }
  return met == model_count && wr_map_count(map) == model_count;
}

TEST(random_use_agrees_with_a_trivial_model) {
  static const size_t keys[] = {1, 8, 40, 500, 4096};
  for (size_t k = 0; k < WR_COUNTOF(keys); k++) {
    size_t limit = WR_MAX(1, keys[k] * 3 / 4);
    wr_map *map = wr_map_new(&mem, 77 + k, limit);
    MUST(map != NULL);
    memset(model, 0, sizeof(model));
    model_count = 0;
    for (size_t phase = 0; phase < 40; phase++) {
      size_t set_percent = phase % 2 == 0 ? 70 : 25;
      for (int i = 0; i < 1000; i++) {
        step(map, keys[k], limit, set_percent);
      }
      if (!same(map, keys[k])) {
        FAIL("%zu keys: differs after phase %zu", keys[k], phase);
        break;
      }
    }
    wr_map_free(map);
  }
}

TAP_MAIN_WITH(set_up, nothing_is_left)
