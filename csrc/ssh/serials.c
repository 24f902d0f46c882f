#include "ssh/serials.h"

#include "base/errors.h"

#define FIRST_CAP 4
#define WORD_BITS 64

static void pairs_reset(wr_mem *mem, wr__pairs *p) {
  wr_free(mem, p->at);
  *p = (wr__pairs){0};
}

static int pairs_resize(wr_mem *mem, wr__pairs *p, size_t cap) {
  wr__pair *at = wr_realloc(mem, p->at, cap * sizeof(*at));
  if (at == NULL) {
    return WR_ENOMEM;
  }
  p->at = at;
  p->cap = cap;
  return 0;
}

static int pairs_add(wr_mem *mem, wr__pairs *p, uint64_t key, uint64_t value) {
  if (p->count == p->cap) {
    size_t cap = p->cap == 0 ? FIRST_CAP : 2 * p->cap;
    if (cap > SIZE_MAX / sizeof(*p->at) || pairs_resize(mem, p, cap) != 0) {
      return WR_ENOMEM;
    }
  }
  if (p->count > 0 && p->at[p->count - 1].key > key) {
    p->unsorted = true;
  }
  p->at[p->count++] = (wr__pair){key, value};
  return 0;
}

/* Lets the pair at `root` of a heap of n sink to its place. */
static void sift(wr__pair *at, size_t root, size_t n) {
  wr__pair moving = at[root];
  size_t child;
  while ((child = 2 * root + 1) < n) {
    if (child + 1 < n && at[child + 1].key > at[child].key) {
      child++;
    }
    if (at[child].key <= moving.key) {
      break;
    }
    at[root] = at[child];
    root = child;
  }
  at[root] = moving;
}

/* A heap sort: qsort() may take memory of its own, or quadratic time. Lists of
   ssh-keygen are in order already. */
static void pairs_sort(wr__pairs *p) {
  if (!p->unsorted) {
    return;
  }
  for (size_t i = p->count / 2; i > 0; i--) {
    sift(p->at, i - 1, p->count);
  }
  for (size_t n = p->count - 1; n > 0; n--) {
    wr__pair last = p->at[n];
    p->at[n] = p->at[0];
    p->at[0] = last;
    sift(p->at, 0, n);
  }
  p->unsorted = false;
}

/* Gives back what was allocated ahead; not being able to does no harm. */
static void pairs_trim(wr_mem *mem, wr__pairs *p) {
  if (p->count < p->cap) {
    (void)pairs_resize(mem, p, p->count);
  }
}

/* The last pair whose key is not above this one; NULL if there is none. */
static const wr__pair *pairs_find(const wr__pairs *p, uint64_t key) {
  size_t from = 0;
  size_t to = p->count;
  while (from < to) {
    size_t middle = from + (to - from) / 2;
    if (p->at[middle].key <= key) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from == 0 ? NULL : &p->at[from - 1];
}

/* Ranges that overlap or follow each other become one, so that only one range
   can hold a serial. */
static void merge_ranges(wr__pairs *p) {
  size_t n = 0;
  for (size_t i = 0; i < p->count; i++) {
    wr__pair range = p->at[i];
    wr__pair *last = n == 0 ? NULL : &p->at[n - 1];
    if (last == NULL || (range.key > 0 && range.key - 1 > last->value)) {
      p->at[n++] = range;
    } else {
      last->value = WR_MAX(last->value, range.value);
    }
  }
  p->count = n;
}

static void merge_words(wr__pairs *p) {
  size_t n = 0;
  for (size_t i = 0; i < p->count; i++) {
    if (n > 0 && p->at[n - 1].key == p->at[i].key) {
      p->at[n - 1].value |= p->at[i].value;
    } else {
      p->at[n++] = p->at[i];
    }
  }
  p->count = n;
}

void wr__serials_reset(wr_mem *mem, wr__serials *s) {
  pairs_reset(mem, &s->ranges);
  pairs_reset(mem, &s->words);
}

int wr__serials_add_range(wr_mem *mem, wr__serials *s, uint64_t first,
                          uint64_t last) {
  return pairs_add(mem, &s->ranges, first, last);
}

static int add_word(wr_mem *mem, wr__pairs *words, uint64_t word,
                    uint64_t bits) {
  if (bits == 0) {
    return 0;
  }
  if (words->count > 0 && words->at[words->count - 1].key == word) {
    words->at[words->count - 1].value |= bits;
    return 0;
  }
  return pairs_add(mem, words, word, bits);
}

int wr__serials_add_bits(wr_mem *mem, wr__serials *s, uint64_t first,
                         uint8_t bits) {
  uint64_t word = first / WORD_BITS;
  unsigned shift = (unsigned)(first % WORD_BITS);
  int err = add_word(mem, &s->words, word, (uint64_t)bits << shift);
  if (err != 0 || shift <= WORD_BITS - 8) {
    return err;
  }
  return add_word(mem, &s->words, word + 1,
                  (uint64_t)bits >> (WORD_BITS - shift));
}

void wr__serials_seal(wr_mem *mem, wr__serials *s) {
  pairs_sort(&s->ranges);
  merge_ranges(&s->ranges);
  pairs_trim(mem, &s->ranges);
  pairs_sort(&s->words);
  merge_words(&s->words);
  pairs_trim(mem, &s->words);
}

bool wr__serials_has(const wr__serials *s, uint64_t serial) {
  const wr__pair *range = pairs_find(&s->ranges, serial);
  if (range != NULL && range->value >= serial) {
    return true;
  }
  uint64_t word = serial / WORD_BITS;
  const wr__pair *bits = pairs_find(&s->words, word);
  return bits != NULL && bits->key == word &&
         (bits->value >> (serial % WORD_BITS) & 1) != 0;
}
