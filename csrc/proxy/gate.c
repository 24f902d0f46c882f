#include "proxy/gate.h"

#include "base/errors.h"

typedef struct gate {
  wr_link link;
  wr_link *inner;
  wr_http_body body;
  bool framed;  /* body says where the end is */
  bool ended;   /* nothing more is handed on; on_eof is due */
  bool told;    /* on_eof was called */
  bool reading; /* the owner wants bytes, or the end */
  int status;   /* our own reason to close */
  wr_task task; /* tells the end */
} gate;

static gate *gate_of(const wr_link *link) {
  return wr_container_of(link, gate, link);
}

static void on_task(wr_task *task) {
  gate *g = wr_container_of(task, gate, task);
  if (g->ended && !g->told && g->reading) {
    g->told = true;
    g->link.handler->on_eof(&g->link);
  }
}

static void end(gate *g) {
  g->ended = true;
  wr_task_post(g->link.ctx, &g->task);
}

static void on_inner_alloc(wr_link *inner, uint8_t **base, size_t *len) {
  gate *g = inner->user;
  *base = g->link.ctx->scratch;
  *len = WR_MIN(WR_SCRATCH_SIZE, (size_t)64 * 1024);
  if (g->link.handler->alloc != NULL) {
    g->link.handler->alloc(&g->link, base, len);
  }
}

static size_t hand_on(gate *g, uint8_t *data, size_t len) {
  size_t used = len > 0 ? g->link.handler->on_read(&g->link, data, len) : 0;
  if (used < len) {
    g->reading = false;
  }
  return used;
}

static size_t on_framed(gate *g, uint8_t *data, size_t len) {
  wr_http_body next = g->body;
  size_t n = 0;
  if (wr_http_body_feed(&next, data, len, &n) != 0) {
    g->status = WR_EMALFORMED;
    wr_link_close(g->inner, WR_CLOSE_RESET);
    return len;
  }
  size_t used = hand_on(g, data, n);
  if (used < n) {
    /* The same bytes were well-formed a moment ago. */
    size_t again = 0;
    int err = wr_http_body_feed(&g->body, data, used, &again);
    WR_ASSERT(err == 0 && again == used);
    return used;
  }
  g->body = next;
  if (used < len) {
    end(g);
  }
  return used;
}

static size_t on_inner_read(wr_link *inner, uint8_t *data, size_t len) {
  gate *g = inner->user;
  if (g->ended) {
    return 0;
  }
  return g->framed ? on_framed(g, data, len) : hand_on(g, data, len);
}

static void on_inner_eof(wr_link *inner) {
  gate *g = inner->user;
  if (!g->ended) {
    g->ended = true;
    g->told = true;
    g->link.handler->on_eof(&g->link);
  }
}

static void on_inner_writable(wr_link *inner) {
  gate *g = inner->user;
  if (g->link.handler->on_writable != NULL) {
    g->link.handler->on_writable(&g->link);
  }
}

static void on_inner_close(wr_link *inner, int status) {
  gate *g = inner->user;
  const wr_link_handler *h = g->link.handler;
  wr_task_cancel(&g->task);
  if (h != NULL && h->on_close != NULL) {
    h->on_close(&g->link, g->status != 0 ? g->status : status);
  }
  wr_free(&g->link.ctx->mem, g);
}

static const wr_link_handler inner_handler = {.alloc = on_inner_alloc,
                                              .on_read = on_inner_read,
                                              .on_eof = on_inner_eof,
                                              .on_writable = on_inner_writable,
                                              .on_close = on_inner_close};

static int gate_read_start(wr_link *link) {
  gate *g = gate_of(link);
  g->reading = true;
  if (g->ended) {
    if (!g->told) {
      wr_task_post(link->ctx, &g->task);
    }
    return 0;
  }
  return wr_link_read_start(g->inner);
}

static void gate_read_stop(wr_link *link) {
  gate *g = gate_of(link);
  g->reading = false;
  wr_link_read_stop(g->inner);
}

static int gate_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                      size_t *taken) {
  return wr_link_write(gate_of(link)->inner, bufs, n, taken);
}

static int gate_shutdown(wr_link *link) {
  return wr_link_shutdown(gate_of(link)->inner);
}

static void gate_close(wr_link *link, wr_close_mode mode) {
  gate *g = gate_of(link);
  g->reading = false;
  wr_task_cancel(&g->task);
  wr_link_close(g->inner, mode);
}

static void gate_query(const wr_link *link, wr_link_info *info) {
  wr_link_query(gate_of(link)->inner, info);
}

static const wr_link_ops gate_ops = {.name = "gate",
                                     .read_start = gate_read_start,
                                     .read_stop = gate_read_stop,
                                     .write = gate_write,
                                     .shutdown = gate_shutdown,
                                     .close = gate_close,
                                     .query = gate_query};

int wr__gate_new(wr_link *inner, const wr_http_body *body, bool ended,
                 wr_link **out) {
  gate *g = wr_calloc(&inner->ctx->mem, 1, sizeof(*g));
  if (g == NULL) {
    return WR_ENOMEM;
  }
  g->link.ops = &gate_ops;
  g->link.ctx = inner->ctx;
  g->inner = inner;
  g->ended = ended;
  g->framed = body != NULL;
  if (g->framed) {
    g->body = *body;
  }
  wr_task_init(&g->task, on_task);
  inner->handler = &inner_handler;
  inner->user = g;
  *out = &g->link;
  return 0;
}
