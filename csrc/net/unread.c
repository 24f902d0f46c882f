#include "net/unread.h"

#include <string.h>

#include "base/errors.h"

typedef struct unread {
  wr_link link;
  wr_link *inner;
  wr_task task;   /* offers the bytes */
  bool reading;   /* the owner wants bytes */
  bool closed;    /* only on_close is to come */
  uint8_t *bytes; /* NULL: all were taken */
  size_t at;
  size_t len;
} unread;

static unread *unread_of(const wr_link *link) {
  return wr_container_of(link, unread, link);
}

static void drop_bytes(unread *u) {
  wr_free(&u->link.ctx->mem, u->bytes);
  u->bytes = NULL;
}

static void on_task(wr_task *task) {
  unread *u = wr_container_of(task, unread, task);
  size_t used =
      u->link.handler->on_read(&u->link, u->bytes + u->at, u->len - u->at);
  WR_ASSERT(used <= u->len - u->at);
  u->at += used;
  if (u->closed) {
    return;
  }
  if (u->at < u->len) {
    u->reading = false;
    wr_task_cancel(task);
    return;
  }
  drop_bytes(u);
  if (u->reading) {
    (void)wr_link_read_start(u->inner); /* should it fail, on_close follows */
  }
}

static size_t on_inner_read(wr_link *inner, uint8_t *data, size_t len) {
  unread *u = inner->user;
  return u->link.handler->on_read(&u->link, data, len);
}

static void on_inner_eof(wr_link *inner) {
  unread *u = inner->user;
  u->link.handler->on_eof(&u->link);
}

static void on_inner_writable(wr_link *inner) {
  unread *u = inner->user;
  if (u->link.handler->on_writable != NULL) {
    u->link.handler->on_writable(&u->link);
  }
}

static void on_inner_close(wr_link *inner, int status) {
  unread *u = inner->user;
  const wr_link_handler *h = u->link.handler;
  wr_task_cancel(&u->task);
  if (h != NULL && h->on_close != NULL) {
    h->on_close(&u->link, status);
  }
  drop_bytes(u);
  wr_free(&u->link.ctx->mem, u);
}

static const wr_link_handler inner_handler = {.on_read = on_inner_read,
                                              .on_eof = on_inner_eof,
                                              .on_writable = on_inner_writable,
                                              .on_close = on_inner_close};

static int unread_read_start(wr_link *link) {
  unread *u = unread_of(link);
  if (u->bytes == NULL || u->closed) {
    return wr_link_read_start(u->inner);
  }
  u->reading = true;
  wr_task_post(link->ctx, &u->task);
  return 0;
}

static void unread_read_stop(wr_link *link) {
  unread *u = unread_of(link);
  u->reading = false;
  wr_task_cancel(&u->task);
  wr_link_read_stop(u->inner);
}

static int unread_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                        size_t *taken) {
  return wr_link_write(unread_of(link)->inner, bufs, n, taken);
}

static int unread_shutdown(wr_link *link) {
  return wr_link_shutdown(unread_of(link)->inner);
}

static void unread_close(wr_link *link, wr_close_mode mode) {
  unread *u = unread_of(link);
  u->closed = true;
  wr_task_cancel(&u->task);
  wr_link_close(u->inner, mode);
}

static void unread_query(const wr_link *link, wr_link_info *info) {
  wr_link_query(unread_of(link)->inner, info);
}

static const wr_link_ops unread_ops = {.name = "unread",
                                       .read_start = unread_read_start,
                                       .read_stop = unread_read_stop,
                                       .write = unread_write,
                                       .shutdown = unread_shutdown,
                                       .close = unread_close,
                                       .query = unread_query};

int wr_unread_new(wr_link *inner, wr_slice bytes, wr_link **out) {
  wr_mem *mem = &inner->ctx->mem;
  unread *u = wr_calloc(mem, 1, sizeof(*u));
  uint8_t *copy = wr_alloc(mem, bytes.len);
  if (u == NULL || copy == NULL) {
    wr_free(mem, u);
    wr_free(mem, copy);
    return WR_ENOMEM;
  }
  memcpy(copy, bytes.data, bytes.len);
  u->link.ops = &unread_ops;
  u->link.ctx = inner->ctx;
  u->inner = inner;
  u->bytes = copy;
  u->len = bytes.len;
  wr_task_init(&u->task, on_task);
  inner->handler = &inner_handler;
  inner->user = u;
  *out = &u->link;
  return 0;
}
