#include "net/upstream_ask.h"

#include "base/errors.h"
#include "net/upstream_talk.h"

struct wr_upstream_ask {
  wr_ctx *ctx;
  wr_upstream_cb cb; /* NULL: nobody waits any more */
  void *user;
  wr_upstream_talk talk;
  wr_link *link; /* NULL: not begun */
  wr_task done;  /* hands the link over */
  int status;    /* why it failed */
};

static void ask_free(wr_upstream_ask *a) {
  wr_task_cancel(&a->done);
  wr_upstream_talk_free(&a->talk);
  wr_free(&a->ctx->mem, a);
}

/* The callback comes once the link is closed. */
static void fail(wr_upstream_ask *a, int err) {
  a->status = a->status != 0 ? a->status : err;
  wr_link_close(a->link, WR_CLOSE_RESET);
}

static void on_done(wr_task *task) {
  wr_upstream_ask *a = wr_container_of(task, wr_upstream_ask, done);
  wr_upstream_cb cb = a->cb;
  void *user = a->user;
  wr_link *link = a->link;
  link->handler = NULL;
  link->user = NULL;
  ask_free(a);
  cb(user, 0, link);
}

/* Sends what may be sent now. */
static void pump(wr_upstream_ask *a) {
  wr_slice out = wr_upstream_talk_out(&a->talk);
  while (out.len > 0) {
    size_t taken = 0;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)out.data, (unsigned)out.len);
    int err = wr_link_write(a->link, &buf, 1, &taken);
    if (err != 0) {
      fail(a, WR_EPROXY_PROTOCOL);
      return;
    }
    wr_upstream_talk_sent(&a->talk, taken);
    if (taken < out.len) {
      return; /* on_writable goes on */
    }
    out = wr_upstream_talk_out(&a->talk);
  }
}

/* What is not taken stays in the link for its next owner. It is not handed over
   from in here, where the link is still reading. */
static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  wr_upstream_ask *a = link->user;
  size_t taken = 0;
  if (a->status != 0) {
    return len;
  }
  int err = wr_upstream_talk_feed(&a->talk, data, len, &taken);
  if (err != 0) {
    fail(a, err);
    return len;
  }
  if (a->talk.done) {
    wr_link_read_stop(link);
    wr_task_post(a->ctx, &a->done);
    return taken;
  }
  pump(a);
  return taken;
}

static void on_eof(wr_link *link) {
  fail(link->user, WR_EPROXY_PROTOCOL);
}

static void on_writable(wr_link *link) {
  wr_upstream_ask *a = link->user;
  if (a->status == 0) {
    pump(a);
  }
}

static void on_close(wr_link *link, int status) {
  wr_upstream_ask *a = link->user;
  wr_upstream_cb cb = a->cb;
  void *user = a->user;
  WR_UNUSED(status); /* whatever it was, the proxy broke off */
  int err = a->status != 0 ? a->status : WR_EPROXY_PROTOCOL;
  ask_free(a);
  if (cb != NULL) {
    cb(user, err, NULL);
  }
}

static const wr_link_handler ask_handler = {.on_read = on_read,
                                            .on_eof = on_eof,
                                            .on_writable = on_writable,
                                            .on_close = on_close};

int wr_upstream_ask_new(wr_ctx *ctx, const wr_upstream *u, const char *host,
                        uint16_t port, wr_upstream_cb cb, void *user,
                        wr_upstream_ask **out) {
  wr_upstream_ask *a = wr_calloc(&ctx->mem, 1, sizeof(*a));
  if (a == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_upstream_talk_init(&a->talk, &ctx->mem, u, host, port);
  if (err != 0) {
    wr_free(&ctx->mem, a);
    return err;
  }
  a->ctx = ctx;
  a->cb = cb;
  a->user = user;
  wr_task_init(&a->done, on_done);
  *out = a;
  return 0;
}

void wr_upstream_ask_start(wr_upstream_ask *a, wr_link *link) {
  a->link = link;
  link->handler = &ask_handler;
  link->user = a;
  if (wr_link_read_start(link) != 0) {
    fail(a, WR_EPROXY_PROTOCOL);
    return;
  }
  pump(a);
}

bool wr_upstream_ask_sent(const wr_upstream_ask *a) {
  return wr_upstream_talk_asked(&a->talk);
}

void wr_upstream_ask_cancel(wr_upstream_ask *a) {
  a->cb = NULL;
  wr_task_cancel(&a->done);
  if (a->link == NULL) {
    ask_free(a);
    return;
  }
  fail(a, WR_ECANCELED);
}
