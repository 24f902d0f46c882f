#ifndef WR_BASE_LIST_H
#define WR_BASE_LIST_H

#include "base/common.h"

/* An intrusive, circular, doubly linked list. A head and an unlinked node
   point to themselves, so wr_list_remove() of an unlinked node does nothing. */
typedef struct wr_list {
  struct wr_list *next;
  struct wr_list *prev;
} wr_list;

static inline void wr_list_init(wr_list *l) {
  l->next = l;
  l->prev = l;
}

static inline bool wr_list_empty(const wr_list *l) {
  return l->next == l;
}

static inline void wr_list_insert_after(wr_list *at, wr_list *node) {
  node->prev = at;
  node->next = at->next;
  at->next->prev = node;
  at->next = node;
}

static inline void wr_list_push(wr_list *head, wr_list *node) {
  wr_list_insert_after(head->prev, node);
}

static inline void wr_list_remove(wr_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  wr_list_init(node);
}

/* The first node, unlinked; NULL if there is none. */
static inline wr_list *wr_list_shift(wr_list *head) {
  wr_list *node = head->next;
  if (node == head) {
    return NULL;
  }
  wr_list_remove(node);
  return node;
}

/* Moves all nodes of src to the empty list dst. For walks during which nodes
   may come and go: move, then shift one by one. */
static inline void wr_list_move(wr_list *dst, wr_list *src) {
  wr_list_init(dst);
  if (wr_list_empty(src)) {
    return;
  }
  *dst = *src;
  dst->next->prev = dst;
  dst->prev->next = dst;
  wr_list_init(src);
}

#define wr_list_each(it, head)                                                 \
  for (wr_list *it = (head)->next; it != (head); it = it->next)
/* `it` may be removed (nothing else may). */
#define wr_list_each_safe(it, head)                                            \
  for (wr_list *it = (head)->next, *it##_next = it->next; it != (head);        \
       it = it##_next, it##_next = it->next)

#endif /* !defined(WR_BASE_LIST_H) */
