#include "net/mempair.h"

#include <string.h>

#include "base/errors.h"
#include "loop/timer.h"

/* Bytes on their way, or the end of the stream, while the wire is slow. */
typedef struct segment {
  wr_list node;
  uint64_t due_ms;
  size_t len;
  bool eof;
} segment;

/* One half. Its ring holds what the peer has sent to it, so it outlives a peer
   that is closed first. */
typedef struct half {
  wr_link link;
  struct half *peer; /* NULL: gone */
  wr_task task;
  wr_timer arrival; /* of the first segment */
  wr_list segments; /* not here yet, oldest first */
  uint8_t *ring;
  size_t cap;
  size_t head;  /* first byte that has not been read */
  size_t len;   /* bytes held, those on their way included */
  size_t ready; /* bytes of them that may be read */
  wr_mempair_faults faults;
  int status;         /* for on_close */
  bool reading;       /* the owner wants bytes */
  bool want_writable; /* on_writable is owed */
  bool shut;          /* our direction has ended */
  bool eof;           /* the peer's end has arrived */
  bool eof_told;      /* on_eof was called */
  bool closed;        /* only on_close is to come */
} half;

static const wr_link_ops mem_ops;

static half *half_of(wr_link *link) {
  return wr_container_of(link, half, link);
}

static void wake(half *h) {
  wr_task_post(h->link.ctx, &h->task);
}

static void end(half *h, int status) {
  if (!h->closed) {
    h->closed = true;
    h->status = status;
    wake(h);
  }
}

static void free_half(half *h) {
  wr_mem *mem = &h->link.ctx->mem;
  for (;;) {
    wr_list *node = wr_list_shift(&h->segments);
    if (node == NULL) {
      break;
    }
    wr_free(mem, wr_container_of(node, segment, node));
  }
  wr_timer_stop(&h->arrival);
  wr_task_cancel(&h->task);
  if (h->peer != NULL) {
    h->peer->peer = NULL;
  }
  wr_free(mem, h->ring);
  wr_free(mem, h);
}

/* How many more bytes the other half can hold. */
static size_t room(const half *h) {
  return h->peer == NULL ? 0 : h->peer->cap - h->peer->len;
}

static bool can_write(const half *h) {
  /* A write to a half that is gone fails at once, which the writer must see. */
  return !h->faults.stalled &&
         (h->peer == NULL || h->peer->closed || room(h) > 0);
}

/* Delivery. */

static void read_some(half *h) {
  size_t run = WR_MIN(h->ready, h->cap - h->head);
  size_t most = h->peer != NULL ? h->peer->faults.max_read : 0;
  if (most != 0) {
    run = WR_MIN(run, most);
  }
  size_t used = h->link.handler->on_read(&h->link, h->ring + h->head, run);
  WR_ASSERT(used <= run);
  h->head = (h->head + used) % h->cap;
  h->len -= used;
  h->ready -= used;
  if (used < run) {
    h->reading = false;
  }
  if (used > 0 && h->peer != NULL && h->peer->want_writable) {
    wake(h->peer);
  }
}

static bool may_read(const half *h) {
  return h->reading && h->ready > 0 && !h->closed;
}

static bool may_end(const half *h) {
  return h->reading && h->eof && h->len == 0 && !h->eof_told && !h->closed;
}

static void on_task(wr_task *task) {
  half *h = wr_container_of(task, half, task);
  if (h->closed) {
    if (h->link.handler != NULL && h->link.handler->on_close != NULL) {
      h->link.handler->on_close(&h->link, h->status);
    }
    free_half(h);
    return;
  }
  if (h->want_writable && can_write(h)) {
    h->want_writable = false;
    if (h->link.handler->on_writable != NULL) {
      h->link.handler->on_writable(&h->link);
    }
  }
  if (may_read(h)) {
    read_some(h);
  }
  if (may_end(h)) {
    h->eof_told = true;
    h->reading = false;
    h->link.handler->on_eof(&h->link);
  }
  if (may_read(h) || may_end(h)) {
    wake(h);
  }
}

static void arm(half *h) {
  if (wr_list_empty(&h->segments)) {
    return;
  }
  const segment *seg = wr_container_of(h->segments.next, segment, node);
  uint64_t now = wr_ctx_now(h->link.ctx);
  wr_timer_start(&h->arrival, seg->due_ms > now ? seg->due_ms - now : 0);
}

static void on_arrival(wr_timer *timer) {
  half *h = wr_container_of(timer, half, arrival);
  uint64_t now = wr_ctx_now(h->link.ctx);
  while (!wr_list_empty(&h->segments)) {
    segment *seg = wr_container_of(h->segments.next, segment, node);
    if (seg->due_ms > now) {
      break;
    }
    h->ready += seg->len;
    h->eof = h->eof || seg->eof;
    wr_list_remove(&seg->node);
    wr_free(&h->link.ctx->mem, seg);
  }
  arm(h);
  wake(h);
}

/* Makes bytes or the end arrive at h, at once or after the delay. What follows
   delayed bytes may not overtake them. */
static int send_to(half *h, uint64_t delay_ms, size_t len, bool eof) {
  wr_ctx *ctx = h->link.ctx;
  if (delay_ms == 0 && wr_list_empty(&h->segments)) {
    h->ready += len;
    h->eof = h->eof || eof;
    if (h->reading) {
      wake(h);
    }
    return 0;
  }
  segment *seg = wr_calloc(&ctx->mem, 1, sizeof(*seg));
  if (seg == NULL) {
    return WR_ENOMEM;
  }
  seg->due_ms = wr_ctx_now(ctx) + delay_ms;
  seg->len = len;
  seg->eof = eof;
  bool first = wr_list_empty(&h->segments);
  if (!first) {
    const segment *last = wr_container_of(h->segments.prev, segment, node);
    seg->due_ms = WR_MAX(seg->due_ms, last->due_ms);
  }
  wr_list_push(&h->segments, &seg->node);
  if (first) {
    arm(h);
  }
  return 0;
}

/* The operations. */

static int mem_read_start(wr_link *link) {
  half *h = half_of(link);
  if (h->closed) {
    return h->status != 0 ? h->status : WR_ECLOSED;
  }
  if (!h->eof_told) {
    h->reading = true;
    wake(h);
  }
  return 0;
}

static void mem_read_stop(wr_link *link) {
  half_of(link)->reading = false;
}

static void put(half *to, const char *src, size_t len) {
  if (len == 0) {
    return; /* src may be NULL */
  }
  size_t at = (to->head + to->len) % to->cap;
  size_t run = WR_MIN(len, to->cap - at);
  memcpy(to->ring + at, src, run);
  memcpy(to->ring, src + run, len - run);
  to->len += len;
}

/* What one write may take. */
static size_t allowance(const half *h, size_t total) {
  size_t max = h->faults.stalled ? 0 : WR_MIN(total, room(h));
  return h->faults.max_write != 0 ? WR_MIN(max, h->faults.max_write) : max;
}

static int mem_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                     size_t *taken) {
  half *h = half_of(link);
  size_t total = 0;
  *taken = 0;
  if (h->closed || h->shut) {
    return h->status != 0 ? h->status : WR_ECLOSED;
  }
  if (h->peer == NULL || h->peer->closed) {
    end(h, UV_EPIPE);
    return UV_EPIPE;
  }
  for (unsigned i = 0; i < n; i++) {
    total += bufs[i].len;
  }
  size_t left = allowance(h, total);
  size_t done = 0;
  for (unsigned i = 0; i < n && left > 0; i++) {
    size_t part = WR_MIN(bufs[i].len, left);
    put(h->peer, bufs[i].base, part);
    done += part;
    left -= part;
  }
  int err = done == 0 ? 0 : send_to(h->peer, h->faults.delay_ms, done, false);
  if (err != 0) {
    h->peer->len -= done;
    end(h, err);
    end(h->peer, UV_ECONNRESET);
    return err;
  }
  *taken = done;
  if (done < total) {
    h->want_writable = true;
    if (can_write(h)) { /* only a fault made it short */
      wake(h);
    }
  }
  return 0;
}

static int mem_shutdown(wr_link *link) {
  half *h = half_of(link);
  if (h->closed) {
    return h->status != 0 ? h->status : WR_ECLOSED;
  }
  if (h->shut) {
    return 0;
  }
  h->shut = true;
  h->want_writable = false;
  if (h->peer == NULL) {
    return 0;
  }
  int err = send_to(h->peer, h->faults.delay_ms, 0, true);
  if (err != 0) {
    end(h, err);
    end(h->peer, UV_ECONNRESET);
  }
  return err;
}

static void mem_close(wr_link *link, wr_close_mode mode) {
  half *h = half_of(link);
  if (h->closed) {
    return;
  }
  if (mode == WR_CLOSE_ORDERLY) {
    (void)mem_shutdown(link);
  }
  end(h, 0);
  if (h->peer == NULL) {
    return;
  }
  if (mode == WR_CLOSE_RESET) {
    end(h->peer, UV_ECONNRESET);
  } else if (h->peer->want_writable) {
    wake(h->peer); /* its next write fails */
  }
}

static void mem_query(const wr_link *link, wr_link_info *info) {
  WR_UNUSED(link);
  memset(info, 0, sizeof(*info));
  info->transport = "memory";
}

static const wr_link_ops mem_ops = {
    .name = "memory",
    .read_start = mem_read_start,
    .read_stop = mem_read_stop,
    .write = mem_write,
    .shutdown = mem_shutdown,
    .close = mem_close,
    .query = mem_query,
};

static half *new_half(wr_ctx *ctx, size_t capacity) {
  half *h = wr_calloc(&ctx->mem, 1, sizeof(*h));
  if (h == NULL) {
    return NULL;
  }
  h->link.ops = &mem_ops;
  h->link.ctx = ctx;
  h->cap = capacity;
  wr_task_init(&h->task, on_task);
  wr_timer_init(&h->arrival, ctx, on_arrival);
  wr_list_init(&h->segments);
  h->ring = wr_alloc(&ctx->mem, capacity);
  if (h->ring == NULL) {
    wr_free(&ctx->mem, h);
    return NULL;
  }
  return h;
}

int wr_mempair_new(wr_ctx *ctx, size_t capacity, wr_link **a, wr_link **b) {
  if (capacity == 0) {
    return WR_EINVAL;
  }
  half *x = new_half(ctx, capacity);
  half *y = new_half(ctx, capacity);
  if (x == NULL || y == NULL) {
    if (x != NULL) {
      free_half(x);
    }
    if (y != NULL) {
      free_half(y);
    }
    return WR_ENOMEM;
  }
  x->peer = y;
  y->peer = x;
  *a = &x->link;
  *b = &y->link;
  return 0;
}

void wr_mempair_set_faults(wr_link *link, const wr_mempair_faults *faults) {
  half *h = half_of(link);
  h->faults = *faults;
  if (!h->closed && h->want_writable) {
    wake(h);
  }
}

void wr_mempair_cut(wr_link *link, int status) {
  half *h = half_of(link);
  half *peer = h->peer;
  end(h, status);
  if (peer != NULL) {
    end(peer, status);
  }
}
