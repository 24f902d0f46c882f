#include "tap.h"

#include "base/buf.h"
#include "base/errors.h"

static wr_mem mem;
static uint64_t rng;

static void set_up(void) {
  wr_mem_init(&mem);
  rng = UINT64_C(0x853c49e6748fea9b);
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

TEST(a_new_buffer_holds_nothing) {
  wr_buf b;
  wr_buf_init(&b, &mem, 10);
  CHECK(b.data == NULL && b.len == 0 && b.max == 10);
  EQ_UINT(wr_buf_room(&b), 10);
  EQ_INT(wr_buf_append(&b, NULL, 0), 0);
  EQ_INT(wr_buf_reserve(&b, 0), 0);
  wr_buf_consume(&b, 0);
  wr_buf_commit(&b, 0);
  EQ_UINT(mem.total, 0);
  wr_buf_reset(&b);
  wr_buf_wipe(&b);
}

TEST(the_limit_is_exact) {
  wr_buf b;
  wr_buf_init(&b, &mem, 10);
  EQ_INT(wr_buf_append(&b, "0123456789a", 11), WR_ELIMIT);
  EQ_UINT(b.len, 0);
  EQ_INT(wr_buf_append(&b, "0123456789", 10), 0);
  EQ_UINT(wr_buf_room(&b), 0);
  EQ_INT(wr_buf_append(&b, "a", 1), WR_ELIMIT);
  EQ_INT(wr_buf_append(&b, "", 0), 0);
  EQ_INT(wr_buf_reserve(&b, 1), WR_ELIMIT);
  EQ_INT(wr_buf_reserve(&b, SIZE_MAX), WR_ELIMIT);
  EQ_MEM(b.data, b.len, "0123456789", 10);
  wr_buf_consume(&b, 1);
  EQ_UINT(wr_buf_room(&b), 1);
  EQ_INT(wr_buf_append(&b, "a", 1), 0);
  EQ_MEM(b.data, b.len, "123456789a", 10);
  wr_buf_reset(&b);
}

TEST(it_can_be_used_again_after_a_reset) {
  wr_buf b;
  wr_buf_init(&b, &mem, 1000);
  EQ_INT(wr_buf_append(&b, "abc", 3), 0);
  wr_buf_reset(&b);
  CHECK(b.data == NULL && b.len == 0 && b.max == 1000);
  EQ_INT(wr_buf_append(&b, "de", 2), 0);
  EQ_MEM(b.data, b.len, "de", 2);
  wr_buf_wipe(&b);
  CHECK(b.data == NULL && b.len == 0 && b.max == 1000);
}

TEST(an_empty_buffer_keeps_its_block) {
  wr_buf b;
  wr_buf_init(&b, &mem, 1 << 20);
  EQ_INT(wr_buf_append(&b, "0123456789", 10), 0);
  const uint8_t *start = b.data;
  for (int i = 0; i < 100; i++) {
    wr_buf_consume(&b, 4);
    wr_buf_consume(&b, 6);
    CHECK(b.data == start);
    EQ_INT(wr_buf_append(&b, "0123456789", 10), 0);
  }
  EQ_UINT(mem.total, 1);
  wr_buf_reset(&b);
}

TEST(reserve_and_commit) {
  wr_buf b;
  wr_buf_init(&b, &mem, 5000);
  EQ_INT(wr_buf_append(&b, "ab", 2), 0);
  EQ_INT(wr_buf_reserve(&b, 4998), 0);
  EQ_UINT(b.len, 2);
  memset(b.data + b.len, 'x', 4998);
  wr_buf_commit(&b, 3);
  EQ_MEM(b.data, b.len, "abxxx", 5);
  wr_buf_reset(&b);
}

TEST(sizes_that_no_memory_has_fail) {
  wr_buf b;
  wr_buf_init(&b, &mem, SIZE_MAX);
  EQ_INT(wr_buf_append(&b, "ab", 2), 0);
  EQ_INT(wr_buf_reserve(&b, SIZE_MAX - 2), WR_ENOMEM);
  EQ_INT(wr_buf_reserve(&b, SIZE_MAX - 1), WR_ELIMIT);
  EQ_INT(wr_buf_reserve(&b, SIZE_MAX / 2), WR_ENOMEM);
  EQ_MEM(b.data, b.len, "ab", 2);
  wr_buf_reset(&b);
}

TEST(a_failed_allocation_changes_nothing) {
  static const char text[600];
  wr_buf b;
  wr_buf_init(&b, &mem, 10000);
  mem.fail_at = 1;
  EQ_INT(wr_buf_append(&b, "a", 1), WR_ENOMEM);
  CHECK(b.data == NULL && b.len == 0);
  EQ_INT(wr_buf_append(&b, "abc", 3), 0);
  mem.fail_at = mem.total + 1;
  EQ_INT(wr_buf_append(&b, text, sizeof(text)), WR_ENOMEM);
  EQ_MEM(b.data, b.len, "abc", 3);
  mem.fail_at = mem.total + 1;
  EQ_INT(wr_buf_put_string(&b, text, sizeof(text)), WR_ENOMEM);
  mem.fail_at = mem.total + 1;
  EQ_INT(wr_buf_printf(&b, "%0600d", 1), WR_ENOMEM);
  EQ_MEM(b.data, b.len, "abc", 3);
  EQ_INT(wr_buf_append(&b, text, sizeof(text)), 0);
  EQ_UINT(b.len, 603);
  wr_buf_reset(&b);
}

TEST(writers_are_big_endian) {
  wr_buf b;
  wr_buf_init(&b, &mem, 100);
  EQ_INT(wr_buf_put_u8(&b, 0xFE), 0);
  EQ_INT(wr_buf_put_u32(&b, 0x01020384), 0);
  EQ_INT(wr_buf_put_u64(&b, UINT64_C(0x8102030405060708)), 0);
  EQ_INT(wr_buf_put_string(&b, "a\0b", 3), 0);
  EQ_INT(wr_buf_put_string(&b, NULL, 0), 0);
  EQ_INT(wr_buf_put_cstring(&b, "hi"), 0);
  EQ_MEM(b.data, b.len,
         "\xFE\1\2\3\x84\x81\2\3\4\5\6\7\x08\0\0\0\3"
         "a\0b\0\0\0\0\0\0\0\2hi",
         30);
  wr_buf_reset(&b);
}

TEST(a_writer_adds_all_or_nothing) {
  wr_buf b;
  wr_buf_init(&b, &mem, 6);
  EQ_INT(wr_buf_put_string(&b, "abc", 3), WR_ELIMIT);
  EQ_UINT(b.len, 0);
  EQ_INT(wr_buf_put_u64(&b, 1), WR_ELIMIT);
  EQ_INT(wr_buf_put_string(&b, "ab", 2), 0);
  EQ_INT(wr_buf_put_u8(&b, 1), WR_ELIMIT);
  EQ_INT(wr_buf_put_string(&b, "", SIZE_MAX), WR_ELIMIT);
  EQ_INT(wr_buf_put_string(&b, "", SIZE_MAX - 3), WR_ELIMIT);
  EQ_UINT(b.len, 6);
  wr_buf_reset(&b);
}

TEST(printf_up_to_the_limit) {
  wr_buf b;
  wr_buf_init(&b, &mem, 8);
  EQ_INT(wr_buf_printf(&b, "%s", ""), 0);
  EQ_UINT(mem.total, 0);
  EQ_INT(wr_buf_printf(&b, "%d-%s", 12, "abcdef"), WR_ELIMIT);
  EQ_UINT(b.len, 0);
  EQ_INT(wr_buf_printf(&b, "%d-%s", 12, "abcde"), 0);
  EQ_MEM(b.data, b.len, "12-abcde", 8);
  EQ_INT(wr_buf_printf(&b, "%s", ""), 0);
  wr_buf_consume(&b, 3);
  EQ_INT(wr_buf_printf(&b, "%c%c%c", 'x', 'y', 'z'), 0);
  EQ_MEM(b.data, b.len, "abcdexyz", 8);
  wr_buf_reset(&b);
}

/* How often the unread bytes change their place while a stream of `total` bytes
   passes with `fill` bytes unread. */
static size_t moves(size_t max, size_t fill, size_t total) {
  static uint8_t chunk[100];
  wr_buf b;
  size_t n = 0;
  wr_buf_init(&b, &mem, max);
  for (size_t i = 0; i < fill; i += sizeof(chunk)) {
    EQ_INT(wr_buf_append(&b, chunk, sizeof(chunk)), 0);
  }
  for (size_t i = 0; i < total; i += sizeof(chunk)) {
    wr_buf_consume(&b, sizeof(chunk));
    const uint8_t *before = b.data;
    MUST(wr_buf_append(&b, chunk, sizeof(chunk)) == 0);
    n += b.data != before ? 1 : 0;
  }
  wr_buf_reset(&b);
  return n;
}

TEST(a_stream_rarely_moves_what_is_unread) {
  size_t few = moves(1 << 20, 10000, 1000000);
  OK(few <= 105, "moves of a 10 kB stream: %zu", few);
  few = moves(1 << 20, 1000, 1000000);
  OK(few <= 1010, "moves of a 1 kB stream: %zu", few);
}

TEST(the_block_grows_by_doubling_up_to_the_maximum) {
  static const char chunk[1000];
  wr_buf b;
  wr_buf_init(&b, &mem, 100000);
  for (int i = 0; i < 100; i++) {
    MUST(wr_buf_append(&b, chunk, sizeof(chunk)) == 0);
  }
  OK(mem.total <= 9, "allocations: %d", (int)mem.total);
  OK(mem.live_bytes <= 100001, "bytes: %zu", mem.live_bytes);
  uint64_t before = mem.total;
  for (int i = 0; i < 100; i++) {
    wr_buf_consume(&b, 999);
    MUST(wr_buf_append(&b, chunk, 999) == 0);
  }
  EQ_UINT(mem.total, before);
  wr_buf_reset(&b);
}

/* The trivial model: one array that is moved each time. */
typedef struct model {
  uint8_t data[3000];
  size_t len;
  size_t max;
} model;

static void model_append(model *m, const uint8_t *p, size_t n) {
  memcpy(m->data + m->len, p, n);
  m->len += n;
}

static void model_consume(model *m, size_t n) {
  memmove(m->data, m->data + n, m->len - n);
  m->len -= n;
}

static void step_append(wr_buf *b, model *m, bool in_place) {
  uint8_t p[700];
  size_t n = pick(pick(4) == 0 ? sizeof(p) : 40);
  for (size_t i = 0; i < n; i++) {
    p[i] = (uint8_t)pick(256);
  }
  int want = n > m->max - m->len ? WR_ELIMIT : 0;
  int got = in_place ? wr_buf_reserve(b, n) : wr_buf_append(b, p, n);
  EQ_INT(got, want);
  if (got == 0 && in_place && n > 0) {
    memcpy(b->data + b->len, p, n);
    wr_buf_commit(b, n);
  }
  if (want == 0) {
    model_append(m, p, n);
  }
}

static bool same(const wr_buf *b, const model *m) {
  return b->len == m->len && wr_buf_room(b) == m->max - m->len &&
         (m->len == 0 || memcmp(b->data, m->data, m->len) == 0);
}

static void step(wr_buf *b, model *m) {
  size_t what = pick(100);
  if (what < 55) {
    step_append(b, m, what % 3 == 0);
  } else if (what < 99) {
    size_t n = pick(m->len + 1);
    wr_buf_consume(b, n);
    model_consume(m, n);
  } else {
    wr_buf_wipe(b);
    m->len = 0;
  }
}

TEST(random_use_agrees_with_a_trivial_model) {
  static const size_t maxima[] = {1, 7, 255, 256, 257, 1000, 3000};
  for (size_t i = 0; i < WR_COUNTOF(maxima); i++) {
    model m = {.max = maxima[i]};
    wr_buf b;
    wr_buf_init(&b, &mem, m.max);
    for (int k = 0; k < 20000; k++) {
      step(&b, &m);
      if (!same(&b, &m)) {
        FAIL("max %zu: differs after step %d", m.max, k);
        break;
      }
    }
    wr_buf_reset(&b);
  }
}

TAP_MAIN_WITH(set_up, nothing_is_left)
