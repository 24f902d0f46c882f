#include "tap.h"

#include "base/list.h"

typedef struct item {
  int value;
  wr_list node;
} item;

static item items[8];
static wr_list head;

static void set_up(void) {
  wr_list_init(&head);
  for (int i = 0; i < 8; i++) {
    items[i].value = i;
    wr_list_init(&items[i].node);
  }
}

/* The values of a list as digits, read forwards; the links backwards have to
   agree. */
static const char *values(wr_list *list) {
  static char text[16];
  size_t n = 0;
  wr_list_each(it, list) {
    text[n++] = (char)('0' + wr_container_of(it, item, node)->value);
    CHECK(it->next->prev == it && it->prev->next == it);
  }
  text[n] = '\0';
  return text;
}

static void push(int first, int last) {
  for (int i = first; i <= last; i++) {
    wr_list_push(&head, &items[i].node);
  }
}

TEST(a_new_list_is_empty) {
  CHECK(wr_list_empty(&head));
  CHECK(wr_list_shift(&head) == NULL);
  EQ_STR(values(&head), "");
}

TEST(push_appends_and_shift_takes_from_the_front) {
  push(0, 2);
  EQ_STR(values(&head), "012");
  wr_list *first = wr_list_shift(&head);
  CHECK(first == &items[0].node);
  CHECK(wr_list_empty(first));
  EQ_STR(values(&head), "12");
}

TEST(insert_after_a_node) {
  push(0, 2);
  wr_list_insert_after(&items[1].node, &items[5].node);
  wr_list_insert_after(&head, &items[6].node);
  EQ_STR(values(&head), "60152");
}

TEST(remove_twice_does_nothing) {
  push(0, 2);
  wr_list_remove(&items[1].node);
  wr_list_remove(&items[1].node);
  EQ_STR(values(&head), "02");
  wr_list_remove(&items[0].node);
  wr_list_remove(&items[2].node);
  CHECK(wr_list_empty(&head));
}

TEST(move_takes_all_and_empties_the_source) {
  wr_list to;
  push(0, 3);
  wr_list_move(&to, &head);
  CHECK(wr_list_empty(&head));
  EQ_STR(values(&to), "0123");
  wr_list_move(&to, &head);
  CHECK(wr_list_empty(&to));
  push(7, 7);
  wr_list_move(&to, &head);
  EQ_STR(values(&to), "7");
}

TEST(a_safe_walk_survives_removal_of_its_node) {
  push(0, 5);
  wr_list_each_safe(it, &head) {
    if (wr_container_of(it, item, node)->value % 2 == 0) {
      wr_list_remove(it);
    }
  }
  EQ_STR(values(&head), "135");
  wr_list_each_safe(it, &head) {
    wr_list_remove(it);
  }
  CHECK(wr_list_empty(&head));
}

TAP_MAIN_WITH(set_up, NULL)
