#include "ssh/kept.h"

#include <string.h>

#include "base/errors.h"

/* Small writes are gathered, so that a peer that sends single bytes costs no
   more memory than its window; the first chunk is small, as most channels never
   keep more. */
#define FIRST_CHUNK ((size_t)1024)
#define NEXT_CHUNK ((size_t)32 * 1024)

typedef struct wr_chunk {
  struct wr_chunk *next;
  size_t start; /* first unread byte */
  size_t end;
  size_t cap;
} wr_chunk;

static uint8_t *bytes_of(wr_chunk *c) {
  return (uint8_t *)(c + 1);
}

int wr__kept_append(wr_kept *k, wr_mem *mem, const uint8_t *data, size_t len) {
  size_t room = k->last == NULL ? 0 : k->last->cap - k->last->end;
  size_t n = WR_MIN(len, room);
  wr_chunk *c = NULL;
  if (len > n) {
    size_t least = k->last == NULL ? FIRST_CHUNK : NEXT_CHUNK;
    size_t cap = WR_MAX(len - n, least);
    c = wr_alloc(mem, sizeof(*c) + cap);
    if (c == NULL) {
      return WR_ENOMEM;
    }
    *c = (wr_chunk){.cap = cap, .end = len - n};
    memcpy(bytes_of(c), data + n, len - n);
  }
  if (n > 0) {
    memcpy(bytes_of(k->last) + k->last->end, data, n);
    k->last->end += n;
  }
  if (c != NULL && k->last != NULL) {
    k->last->next = c;
  }
  if (c != NULL && k->first == NULL) {
    k->first = c;
  }
  if (c != NULL) {
    k->last = c;
  }
  k->len += len;
  return 0;
}

uint8_t *wr__kept_peek(const wr_kept *k, size_t *len) {
  wr_chunk *c = k->first;
  if (c == NULL) {
    *len = 0;
    return NULL;
  }
  *len = c->end - c->start;
  return bytes_of(c) + c->start;
}

void wr__kept_consume(wr_kept *k, wr_mem *mem, size_t n) {
  wr_chunk *c = k->first;
  if (n == 0) {
    return;
  }
  WR_ASSERT(c != NULL && n <= c->end - c->start);
  c->start += n;
  k->len -= n;
  if (c->start < c->end) {
    return;
  }
  k->first = c->next;
  if (k->first == NULL) {
    k->last = NULL;
  }
  wr_free(mem, c);
}

void wr__kept_reset(wr_kept *k, wr_mem *mem) {
  while (k->first != NULL) {
    wr_chunk *c = k->first;
    k->first = c->next;
    wr_free(mem, c);
  }
  *k = (wr_kept){0};
}
