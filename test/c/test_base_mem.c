#include "tap.h"

#include "base/mem.h"

static wr_mem mem;

static void set_up(void) {
  wr_mem_init(&mem);
}

static void nothing_is_left(void) {
  EQ_UINT(mem.live_blocks, 0);
  EQ_UINT(mem.live_bytes, 0);
}

TEST(counts_blocks_and_bytes) {
  void *a = wr_alloc(&mem, 10);
  void *b = wr_calloc(&mem, 3, 7);
  EQ_UINT(mem.live_blocks, 2);
  EQ_UINT(mem.live_bytes, 31);
  EQ_UINT(mem.total, 2);
  wr_free(&mem, a);
  EQ_UINT(mem.live_blocks, 1);
  EQ_UINT(mem.live_bytes, 21);
  wr_free(&mem, b);
}

TEST(blocks_are_aligned) {
  void *p[16];
  for (size_t i = 0; i < WR_COUNTOF(p); i++) {
    p[i] = wr_alloc(&mem, i * 3 + 1);
    MUST(p[i] != NULL);
    EQ_UINT((uintptr_t)p[i] % 16, 0);
    memset(p[i], 0xA5, i * 3 + 1);
  }
  for (size_t i = 0; i < WR_COUNTOF(p); i++) {
    wr_free(&mem, p[i]);
  }
}

TEST(calloc_clears) {
  static const uint8_t zero[64];
  for (int i = 0; i < 4; i++) {
    void *p = wr_calloc(&mem, 8, 8);
    MUST(p != NULL);
    EQ_MEM(p, 64, zero, 64);
    memset(p, 0xFF, 64);
    wr_free(&mem, p);
  }
}

TEST(nothing_of_size_zero_is_handed_out) {
  CHECK(wr_alloc(&mem, 0) == NULL);
  CHECK(wr_calloc(&mem, 0, 8) == NULL);
  CHECK(wr_calloc(&mem, 8, 0) == NULL);
  CHECK(wr_realloc(&mem, NULL, 0) == NULL);
  wr_free(&mem, NULL);
  wr_free_secret(&mem, NULL, 5);
  EQ_UINT(mem.total, 0);
}

TEST(sizes_that_overflow_fail) {
  CHECK(wr_alloc(&mem, SIZE_MAX) == NULL);
  CHECK(wr_alloc(&mem, SIZE_MAX - 15) == NULL);
  CHECK(wr_alloc(&mem, (size_t)PTRDIFF_MAX) == NULL);
  CHECK(wr_calloc(&mem, SIZE_MAX / 2 + 2, 2) == NULL);
  CHECK(wr_calloc(&mem, 2, SIZE_MAX / 2 + 2) == NULL);
  CHECK(wr_calloc(&mem, (size_t)1 << (sizeof(size_t) * 4),
                  (size_t)1 << (sizeof(size_t) * 4)) == NULL);
  char *p = wr_strdup(&mem, "abc");
  MUST(p != NULL);
  CHECK(wr_realloc(&mem, p, SIZE_MAX) == NULL);
  CHECK(wr_realloc(&mem, p, SIZE_MAX - 15) == NULL);
  EQ_STR(p, "abc");
  EQ_UINT(mem.live_bytes, 4);
  wr_free(&mem, p);
}

TEST(realloc_keeps_the_bytes_and_the_count) {
  uint8_t *p = wr_realloc(&mem, NULL, 4);
  MUST(p != NULL);
  memcpy(p, "abcd", 4);
  p = wr_realloc(&mem, p, 100000);
  MUST(p != NULL);
  EQ_MEM(p, 4, "abcd", 4);
  EQ_UINT(mem.live_bytes, 100000);
  p = wr_realloc(&mem, p, 2);
  MUST(p != NULL);
  EQ_MEM(p, 2, "ab", 2);
  EQ_UINT(mem.live_bytes, 2);
  EQ_UINT(mem.live_blocks, 1);
  EQ_UINT(mem.total, 3);
  CHECK(wr_realloc(&mem, p, 0) == NULL);
  EQ_MEM(p, 2, "ab", 2);
  wr_free(&mem, p);
}

TEST(only_the_allocation_told_to_fails) {
  char *p[5];
  mem.fail_at = 3;
  for (size_t i = 0; i < WR_COUNTOF(p); i++) {
    p[i] = wr_strdup(&mem, "x");
    CHECK((p[i] == NULL) == (i == 2));
  }
  EQ_UINT(mem.live_blocks, 4);
  mem.fail_at = mem.total + 1;
  CHECK(wr_realloc(&mem, p[0], 50) == NULL);
  EQ_STR(p[0], "x");
  mem.fail_at = mem.total + 1;
  CHECK(wr_calloc(&mem, 1, 1) == NULL);
  for (size_t i = 0; i < WR_COUNTOF(p); i++) {
    wr_free(&mem, p[i]);
  }
}

TEST(strings_are_copied_up_to_their_end) {
  char *a = wr_strdup(&mem, "hello");
  char *b = wr_strndup(&mem, "hello", 3);
  char *c = wr_strndup(&mem, "hi\0there", 8);
  char *d = wr_strndup(&mem, NULL, 0);
  EQ_STR(a, "hello");
  EQ_STR(b, "hel");
  EQ_STR(c, "hi");
  EQ_STR(d, "");
  EQ_UINT(mem.live_bytes, 6 + 4 + 3 + 1);
  wr_free(&mem, a);
  wr_free(&mem, b);
  wr_free_secret(&mem, c, 2);
  wr_free_secret(&mem, d, 1);
}

TEST(bzero_clears_what_it_is_told_to) {
  uint8_t p[4] = {1, 2, 3, 4};
  wr_bzero(p + 1, 2);
  EQ_MEM(p, 4, "\1\0\0\4", 4);
  wr_bzero(p, 0);
  wr_bzero(NULL, 0);
  EQ_MEM(p, 4, "\1\0\0\4", 4);
}

TEST(memeq_compares_all_bytes) {
  EQ_INT(wr_memeq("abc", "abc", 3), 1);
  EQ_INT(wr_memeq("abc", "Abc", 3), 0);
  EQ_INT(wr_memeq("abc", "abC", 3), 0);
  EQ_INT(wr_memeq("abc", "abd", 2), 1);
  EQ_INT(wr_memeq("\x80", "\0", 1), 0);
  EQ_INT(wr_memeq(NULL, NULL, 0), 1);
}

TAP_MAIN_WITH(set_up, nothing_is_left)
