#include "ssh/agent.h"

#include <string.h>

#include "base/errors.h"
#include "loop/timer.h"
#include "net/dial.h"

/* A key or certificate and what it signs, with what is around them. */
#define REQUEST_MAX (2 * WR_AGENT_ANSWER_MAX + 64)

struct wr_agent {
  wr_ctx *ctx;
  wr_dial dial;
  wr_link *link;  /* NULL while it is dialled */
  wr_timer timer; /* of the answer to a list */
  wr_agent_cb cb; /* NULL: it has been called, or will not be */
  void *user;
  uint64_t timeout_ms;
  bool signing;
  wr_buf blob; /* the key that signs */
  wr_buf out;  /* of the request: what the link has not taken */
  wr_buf in;
};

static wr_slice all_of(const wr_buf *b) {
  return (wr_slice){b->data, b->len};
}

static void agent_free(wr_agent *a) {
  wr_timer_stop(&a->timer);
  wr_buf_reset(&a->blob);
  wr_buf_reset(&a->out);
  wr_buf_reset(&a->in);
  wr_free(&a->ctx->mem, a);
}

/* It is freed at once, or when its link is closed. */
void wr_agent_cancel(wr_agent *agent) {
  agent->cb = NULL;
  wr_timer_stop(&agent->timer);
  if (agent->link != NULL) {
    wr_link_close(agent->link, WR_CLOSE_RESET);
    return;
  }
  wr_dial_cancel(&agent->dial);
  agent_free(agent);
}

/* Tells the outcome, once; `answer` may lie in a->in. */
static void finish(wr_agent *a, int status, wr_slice answer) {
  wr_agent_cb cb = a->cb;
  void *user = a->user;
  if (cb == NULL) {
    return;
  }
  a->cb = NULL;
  wr_timer_stop(&a->timer);
  if (a->link != NULL) { /* it ends later, and with it the memory */
    wr_link_close(a->link, WR_CLOSE_RESET);
  }
  cb(user, status, answer);
}

static void fail(wr_agent *a, int status) {
  finish(a, status, (wr_slice){NULL, 0});
}

/* THE CONNECTION */

static void send_more(wr_agent *a) {
  size_t taken = 0;
  uv_buf_t buf = {.base = (char *)a->out.data, .len = a->out.len};
  if (a->out.len == 0 || wr_link_write(a->link, &buf, 1, &taken) != 0) {
    return; /* an error is the link's end, which tells it */
  }
  wr_buf_consume(&a->out, taken);
}

static void answered(wr_agent *a, wr_slice message) {
  wr_slice answer = {NULL, 0};
  int status =
      a->signing
          ? wr_agentmsg_read_signature(message, all_of(&a->blob), &answer)
          : wr_agentmsg_read_list(message, &answer);
  finish(a, status, answer);
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  wr_agent *a = link->user;
  if (a->cb == NULL) {
    return len;
  }
  int err = wr_buf_append(&a->in, data, len);
  long size = err == 0 ? wr_agentmsg_size(all_of(&a->in)) : err;
  if (size < 0) {
    fail(a, size == WR_ELIMIT ? WR_EAGENT_PROTOCOL : (int)size);
  } else if (size > 0 && a->in.len >= (size_t)size) {
    answered(a, (wr_slice){a->in.data, (size_t)size});
  }
  return len;
}

static void on_eof(wr_link *link) {
  fail(link->user, WR_EAGENT_CLOSED);
}

static void on_writable(wr_link *link) {
  send_more(link->user);
}

static void on_close(wr_link *link, int status) {
  wr_agent *a = link->user;
  WR_UNUSED(status);
  a->link = NULL;
  fail(a, WR_EAGENT_CLOSED);
  agent_free(a);
}

static const wr_link_handler link_handler = {.on_read = on_read,
                                             .on_eof = on_eof,
                                             .on_writable = on_writable,
                                             .on_close = on_close};

static void on_dial(wr_dial *d, int status, wr_link *link) {
  wr_agent *a = wr_container_of(d, wr_agent, dial);
  if (status != 0) {
    fail(a, status == WR_ETIMEOUT ? WR_EAGENT_TIMEOUT : WR_EAGENT_UNAVAILABLE);
    agent_free(a);
    return;
  }
  a->link = link;
  link->handler = &link_handler;
  link->user = a;
  if (!a->signing) {
    wr_timer_start(&a->timer, a->timeout_ms);
  }
  if (wr_link_read_start(link) != 0) {
    fail(a, WR_EAGENT_CLOSED);
    return;
  }
  send_more(a);
}

static void on_timer(wr_timer *timer) {
  fail(wr_container_of(timer, wr_agent, timer), WR_EAGENT_TIMEOUT);
}

/* REQUESTS */

static wr_agent *agent_new(wr_ctx *ctx, wr_agent_cb cb, void *user) {
  wr_agent *a = wr_calloc(&ctx->mem, 1, sizeof(*a));
  if (a == NULL) {
    return NULL;
  }
  a->ctx = ctx;
  a->cb = cb;
  a->user = user;
  a->timeout_ms = WR_AGENT_TIMEOUT_MS;
  wr_timer_init(&a->timer, ctx, on_timer);
  wr_buf_init(&a->blob, &ctx->mem, WR_AGENT_ANSWER_MAX);
  wr_buf_init(&a->out, &ctx->mem, REQUEST_MAX);
  wr_buf_init(&a->in, &ctx->mem, 4 + WR_AGENT_ANSWER_MAX);
  return a;
}

/* err: what went wrong in making the request. */
static int start(wr_agent *a, int err, const char *path, wr_agent **out) {
  wr_dial_opts opts = {.path = path, .timeout_ms = a->timeout_ms};
  if (err == 0) {
    err = wr_dial_start(a->ctx, &a->dial, &opts, on_dial);
    bool system = err != 0 && err != WR_ENOMEM && err != WR_ECANCELED;
    err = system ? WR_EAGENT_UNAVAILABLE : err;
  }
  if (err != 0) {
    agent_free(a);
    return err;
  }
  *out = a;
  return 0;
}

int wr_agent_list(wr_ctx *ctx, const char *path, uint64_t timeout_ms,
                  wr_agent_cb cb, void *user, wr_agent **out) {
  wr_agent *a = agent_new(ctx, cb, user);
  if (a == NULL) {
    return WR_ENOMEM;
  }
  if (timeout_ms != 0) {
    a->timeout_ms = timeout_ms;
  }
  return start(a, wr_agentmsg_put_list(&a->out), path, out);
}

int wr_agent_sign(wr_ctx *ctx, const char *path, wr_slice blob, wr_slice data,
                  wr_agent_cb cb, void *user, wr_agent **out) {
  wr_agent *a = agent_new(ctx, cb, user);
  if (a == NULL) {
    return WR_ENOMEM;
  }
  a->signing = true;
  int err = wr_buf_append(&a->blob, blob.data, blob.len);
  err = err != 0 ? err : wr_agentmsg_put_sign(blob, data, &a->out);
  return start(a, err, path, out);
}
