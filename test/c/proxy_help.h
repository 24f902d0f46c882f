#ifndef WR_TEST_C_PROXY_HELP_H
#define WR_TEST_C_PROXY_HELP_H

/* An end of a connection that sends what it is told and keeps what comes. */

#include <time.h>

#include "net_help.h"

/* Turns the loop once. It does not block: what a task of the turn has done would
   not be noticed before something else happens. */
HELP_UNUSED static void run_turn(env *v) {
  const struct timespec nap = {.tv_nsec = 50000};
  uv_run(&v->loop, UV_RUN_NOWAIT);
  nanosleep(&nap, NULL);
}

/* Runs the loop until a condition holds; the harness bounds the time. */
#define RUN_UNTIL(v, cond)                                                     \
  do {                                                                         \
    wr_ctx_hold(&(v)->ctx);                                                    \
    while (!(cond)) {                                                          \
      run_turn(v);                                                             \
    }                                                                          \
    wr_ctx_release(&(v)->ctx);                                                 \
  } while (0)

typedef struct end {
  wr_link *link; /* NULL once closed, and before */
  bool connected;
  char in[70000]; /* received, zero-terminated */
  size_t len;
  bool eof;
  bool closed;
  int status; /* of the close, or of the connect */
  int connect_status;
  wr_stream *stream;
} end;

HELP_UNUSED static size_t end_on_read(wr_link *link, uint8_t *data,
                                      size_t len) {
  end *e = link->user;
  size_t n = WR_MIN(len, sizeof(e->in) - 1 - e->len);
  memcpy(e->in + e->len, data, n);
  e->len += n;
  e->in[e->len] = '\0';
  return len;
}

HELP_UNUSED static void end_on_eof(wr_link *link) {
  ((end *)link->user)->eof = true;
}

HELP_UNUSED static void end_on_close(wr_link *link, int status) {
  end *e = link->user;
  e->closed = true;
  e->status = status;
  e->link = NULL;
}

HELP_UNUSED static void end_on_writable(wr_link *link) {
  WR_UNUSED(link);
}

static const wr_link_handler end_handler HELP_UNUSED = {
    .on_read = end_on_read,
    .on_eof = end_on_eof,
    .on_writable = end_on_writable,
    .on_close = end_on_close};

/* Becomes the owner of an open link. */
HELP_UNUSED static void end_own(end *e, wr_link *link) {
  memset(e, 0, sizeof(*e));
  e->link = link;
  e->connected = true;
  link->handler = &end_handler;
  link->user = e;
  MUST(wr_link_read_start(link) == 0);
}

HELP_UNUSED static void end_on_connect(wr_stream *s, int status) {
  end *e = wr_stream_link(s)->user;
  e->connect_status = status;
  if (status != 0) {
    e->closed = true;
    wr_link_close(wr_stream_link(s), WR_CLOSE_RESET);
    e->link = NULL;
    return;
  }
  e->connected = true;
  MUST(wr_link_read_start(e->link) == 0);
}

HELP_UNUSED static void end_connect(env *v, end *e,
                                    const struct sockaddr_storage *ss) {
  memset(e, 0, sizeof(*e));
  MUST(wr_stream_new(&v->ctx, ss->ss_family, &e->stream) == 0);
  e->link = wr_stream_link(e->stream);
  e->link->handler = &end_handler;
  e->link->user = e;
  MUST(wr_stream_connect(e->stream, (const struct sockaddr *)ss,
                         end_on_connect) == 0);
  RUN_UNTIL(v, e->connected || e->closed);
}

HELP_UNUSED static void end_connect_path(env *v, end *e, const char *path) {
  memset(e, 0, sizeof(*e));
  MUST(wr_stream_new(&v->ctx, AF_UNIX, &e->stream) == 0);
  e->link = wr_stream_link(e->stream);
  e->link->handler = &end_handler;
  e->link->user = e;
  MUST(wr_stream_connect_path(e->stream, path, end_on_connect) == 0);
  RUN_UNTIL(v, e->connected || e->closed);
}

HELP_UNUSED static void end_send(end *e, const void *data, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len};
  MUST(e->link != NULL);
  MUST(wr_link_write(e->link, &buf, 1, &taken) == 0);
  MUST(taken == len);
}

HELP_UNUSED static void end_shutdown(end *e) {
  MUST(e->link != NULL && wr_link_shutdown(e->link) == 0);
}

HELP_UNUSED static void end_close(end *e, wr_close_mode mode) {
  if (e->link != NULL) {
    env *v = e->link->ctx->user;
    wr_link_close(e->link, mode);
    RUN_UNTIL(v, e->closed);
  }
}

/* Runs it for a moment, to see that something does not happen. */
HELP_UNUSED static void help_on_moment(wr_timer *timer) {
  *(bool *)((char *)timer + sizeof(*timer)) = true;
}

HELP_UNUSED static void run_moment(env *v, uint64_t ms) {
  struct {
    wr_timer timer;
    bool over;
  } m = {.over = false};
  wr_timer_init(&m.timer, &v->ctx, help_on_moment);
  wr_timer_start(&m.timer, ms);
  RUN_UNTIL(v, m.over);
}

/* Waits until nothing is left but the context. */
HELP_UNUSED static void run_settle(env *v) {
  RUN_UNTIL(v, v->ctx.uv_handles <= 5 && v->ctx.uv_reqs == 0 &&
                   v->ctx.mem.live_blocks <= v->blocks);
}

#endif /* WR_TEST_C_PROXY_HELP_H */
