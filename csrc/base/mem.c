#include "base/mem.h"

#include <string.h>

/* Stands before every block. As wide as the strictest alignment, so that the
   block behind it is aligned as well as one of malloc. */
typedef union mem_head {
  size_t size; /* of the block, as asked for */
  unsigned char width[16];
} mem_head;

/* No object may be larger than the difference of two pointers can tell. */
#define SIZE_LIMIT ((size_t)PTRDIFF_MAX - sizeof(mem_head))

static mem_head *head_of(void *ptr) {
  return (mem_head *)ptr - 1;
}

/* Counts the attempt; false if it has to fail. */
static bool may_take(wr_mem *mem, size_t size) {
  if (size == 0) {
    return false;
  }
  mem->total++;
  return mem->total != mem->fail_at && size <= SIZE_LIMIT;
}

static void *count_block(wr_mem *mem, mem_head *head, size_t size) {
  if (head == NULL) {
    return NULL;
  }
  head->size = size;
  mem->live_blocks++;
  mem->live_bytes += size;
  return head + 1;
}

void wr_mem_init(wr_mem *mem) {
  *mem = (wr_mem){0};
}

void *wr_alloc(wr_mem *mem, size_t size) {
  if (!may_take(mem, size)) {
    return NULL;
  }
  return count_block(mem, malloc(sizeof(mem_head) + size), size);
}

void *wr_calloc(wr_mem *mem, size_t n, size_t size) {
  if (size != 0 && n > SIZE_MAX / size) {
    return NULL;
  }
  size *= n;
  if (!may_take(mem, size)) {
    return NULL;
  }
  return count_block(mem, calloc(1, sizeof(mem_head) + size), size);
}

void *wr_realloc(wr_mem *mem, void *ptr, size_t size) {
  if (ptr == NULL) {
    return wr_alloc(mem, size);
  }
  if (!may_take(mem, size)) {
    return NULL;
  }
  size_t old = head_of(ptr)->size;
  mem_head *head = realloc(head_of(ptr), sizeof(mem_head) + size);
  if (head == NULL) {
    return NULL;
  }
  head->size = size;
  mem->live_bytes = mem->live_bytes - old + size;
  return head + 1;
}

void wr_free(wr_mem *mem, void *ptr) {
  if (ptr == NULL) {
    return;
  }
  mem_head *head = head_of(ptr);
  /* Else the block is of another wr_mem, or was freed before. */
  WR_ASSERT(mem->live_blocks > 0 && mem->live_bytes >= head->size);
  mem->live_blocks--;
  mem->live_bytes -= head->size;
  free(head);
}

void wr_free_secret(wr_mem *mem, void *ptr, size_t size) {
  if (ptr == NULL) {
    return;
  }
  WR_ASSERT(size <= head_of(ptr)->size);
  /* All of it, even if the caller kept count of a part only. */
  wr_bzero(ptr, head_of(ptr)->size);
  wr_free(mem, ptr);
}

char *wr_strdup(wr_mem *mem, const char *s) {
  return wr_strndup(mem, s, strlen(s));
}

char *wr_strndup(wr_mem *mem, const char *s, size_t len) {
  const char *end = len == 0 ? s : memchr(s, '\0', len);
  size_t n = end == NULL ? len : (size_t)(end - s);
  char *copy = wr_alloc(mem, n + 1);
  if (copy == NULL) {
    return NULL;
  }
  if (n > 0) {
    memcpy(copy, s, n);
  }
  copy[n] = '\0';
  return copy;
}

/* The compiler has to read a volatile pointer at run time, so it cannot know
   that memset is called, nor that the call has no effect. */
static void *(*const volatile fill)(void *, int, size_t) = memset;

void wr_bzero(void *ptr, size_t size) {
  if (size > 0) {
    fill(ptr, 0, size);
  }
}

int wr_memeq(const void *a, const void *b, size_t size) {
  const volatile uint8_t *x = a;
  const volatile uint8_t *y = b;
  unsigned diff = 0;
  for (size_t i = 0; i < size; i++) {
    diff |= (unsigned)(x[i] ^ y[i]);
  }
  return diff == 0;
}
