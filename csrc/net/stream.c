#include "net/stream.h"

#include <string.h>

#include "base/errors.h"
#include "loop/timer.h"
#include "net/stream_internal.h"

/* How long the last bytes of an orderly close may take. A peer that has not
   read on by then sees a reset, not an early end that looks like a proper one.
 */
#define LINGER_MS 30000
#define KEEPALIVE_S 60

static const wr_link_ops stream_ops;

wr_stream *wr__stream_of(wr_link *link) {
  return wr_container_of(link, wr_stream, link);
}

static void free_stream(wr_stream *s) {
  wr_mem *mem = &s->link.ctx->mem;
  wr_free(mem, s->wbuf);
  wr_free(mem, s->rest);
  wr_free(mem, s);
}

/* The last thing that happens to a stream. */
static void on_uv_close(uv_handle_t *handle) {
  wr_stream *s = handle->data;
  wr_ctx_handle_closed(s->link.ctx);
  wr_timer_stop(&s->linger);
  wr_task_cancel(&s->task);
  if (s->link.handler != NULL && s->link.handler->on_close != NULL) {
    s->link.handler->on_close(&s->link, s->status);
  }
  free_stream(s);
}

/* Closes the socket; nothing but on_close comes after this. */
static void close_handle(wr_stream *s, bool reset) {
  if (uv_is_closing(&s->u.handle)) {
    return;
  }
  s->state = STREAM_CLOSED;
  s->reading = false;
  s->connect_cb = NULL;
  wr_timer_stop(&s->linger);
  wr_task_cancel(&s->task);
  wr_ctx_remove_object(&s->obj);
  if (reset && s->u.handle.type == UV_TCP &&
      uv_tcp_close_reset(&s->u.tcp, on_uv_close) == 0) {
    return;
  }
  if (!reset) {
    wr__stream_discard_input(s);
  }
  uv_close(&s->u.handle, on_uv_close);
}

void wr__stream_fail(wr_stream *s, int status) {
  if (s->state == STREAM_CLOSED) {
    return;
  }
  if (s->status == 0) {
    s->status = status;
  }
  close_handle(s, true);
}

static void on_linger(wr_timer *timer) {
  wr__stream_fail(wr_container_of(timer, wr_stream, linger), UV_ETIMEDOUT);
}

static void on_obj_shutdown(wr_obj *obj) {
  close_handle(wr_container_of(obj, wr_stream, obj), false);
}

static void stream_close(wr_link *link, wr_close_mode mode) {
  wr_stream *s = wr__stream_of(link);
  if (s->state == STREAM_CLOSED) {
    return;
  }
  if (mode == WR_CLOSE_ORDERLY && s->writing && !link->ctx->exiting) {
    if (s->state != STREAM_LINGERING) {
      wr__stream_stop(s);
      s->state = STREAM_LINGERING;
      wr_timer_start(&s->linger, LINGER_MS);
      wr_ctx_add_object(link->ctx, &s->obj);
    }
    return;
  }
  close_handle(s, mode == WR_CLOSE_RESET);
}

/* The peer is gone, but what it said before may still lie in the socket. While the
   owner reads, that comes first; its end is the end of the stream. */
static void write_failed(wr_stream *s, int status) {
  bool gone = status == UV_EPIPE || status == UV_ECONNRESET;
  if (!gone || !s->reading || s->eof || s->state != STREAM_OPEN) {
    wr__stream_fail(s, status);
    return;
  }
  s->status = status;
  s->shut = true;
  s->want_writable = false;
  wr_timer_start(&s->linger, LINGER_MS);
}

/* Writing. At most one uv_write() is under way: it carries what the kernel did
   not take, and its end says that the socket is writable again. */

static void on_uv_write(uv_write_t *req, int status) {
  wr_stream *s = wr_container_of(req, wr_stream, write_req);
  wr_ctx_req_done(s->link.ctx);
  s->writing = false;
  if (s->state == STREAM_CLOSED) {
    return;
  }
  if (status < 0) {
    write_failed(s, status);
    return;
  }
  if (s->state == STREAM_LINGERING) {
    close_handle(s, false);
    return;
  }
  if (s->want_writable) {
    s->want_writable = false;
    if (s->link.handler->on_writable != NULL) {
      s->link.handler->on_writable(&s->link);
    }
  }
}

/* Copies the first bytes from `skip` on into wbuf. */
static size_t gather(wr_stream *s, const uv_buf_t *bufs, unsigned n,
                     size_t skip) {
  size_t len = 0;
  for (unsigned i = 0; i < n && len < WBUF_SIZE; i++) {
    if (skip >= bufs[i].len) {
      skip -= bufs[i].len;
      continue;
    }
    size_t part = WR_MIN(bufs[i].len - skip, WBUF_SIZE - len);
    memcpy(s->wbuf + len, bufs[i].base + skip, part);
    len += part;
    skip = 0;
  }
  return len;
}

/* Leaves what the kernel did not take with libuv, as far as wbuf goes. */
static int write_later(wr_stream *s, const uv_buf_t *bufs, unsigned n,
                       size_t *taken) {
  wr_ctx *ctx = s->link.ctx;
  if (s->wbuf == NULL) {
    s->wbuf = wr_alloc(&ctx->mem, WBUF_SIZE);
    if (s->wbuf == NULL) {
      return WR_ENOMEM;
    }
  }
  size_t len = gather(s, bufs, n, *taken);
  uv_buf_t buf = uv_buf_init((char *)s->wbuf, (unsigned)len);
  int err = uv_write(&s->write_req, &s->u.stream, &buf, 1, on_uv_write);
  if (err != 0) {
    return err;
  }
  wr_ctx_req_started(ctx);
  s->writing = true;
  s->bytes_out += len;
  *taken += len;
  return 0;
}

static int stream_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                        size_t *taken) {
  wr_stream *s = wr__stream_of(link);
  size_t total = 0;
  *taken = 0;
  if (s->state != STREAM_OPEN || s->shut) {
    return s->status != 0 ? s->status : WR_ECLOSED;
  }
  for (unsigned i = 0; i < n; i++) {
    total += bufs[i].len;
  }
  if (total == 0) {
    return 0;
  }
  if (s->writing) {
    s->want_writable = true;
    return 0;
  }
  size_t done = 0;
  int sent = uv_try_write(&s->u.stream, bufs, n);
  int err = sent < 0 && sent != UV_EAGAIN ? sent : 0;
  if (err == 0 && sent > 0) {
    done = (size_t)sent;
    s->bytes_out += done;
  }
  if (err == 0 && done < total) {
    err = write_later(s, bufs, n, &done);
  } else if (err == 0 && s->wbuf != NULL) {
    wr_free(&link->ctx->mem, s->wbuf); /* the congestion is over */
    s->wbuf = NULL;
  }
  if (err != 0) {
    write_failed(s, err);
    return err;
  }
  s->want_writable = done < total;
  *taken = done;
  return 0;
}

static void on_uv_shutdown(uv_shutdown_t *req, int status) {
  wr_stream *s = wr_container_of(req, wr_stream, shutdown_req);
  wr_ctx_req_done(s->link.ctx);
  if (status < 0 && s->state != STREAM_CLOSED) {
    wr__stream_fail(s, status);
  }
}

static int stream_shutdown(wr_link *link) {
  wr_stream *s = wr__stream_of(link);
  if (s->state != STREAM_OPEN) {
    return s->status != 0 ? s->status : WR_ECLOSED;
  }
  if (s->shut) {
    return s->status;
  }
  int err = uv_shutdown(&s->shutdown_req, &s->u.stream, on_uv_shutdown);
  if (err != 0) {
    wr__stream_fail(s, err);
    return err;
  }
  wr_ctx_req_started(link->ctx);
  s->shut = true;
  s->want_writable = false;
  return 0;
}

static bool ask_local(const wr_stream *s, struct sockaddr_storage *ss) {
  int len = sizeof(*ss);
  return s->u.handle.type == UV_TCP &&
         uv_tcp_getsockname(&s->u.tcp, (struct sockaddr *)ss, &len) == 0;
}

static void stream_query(const wr_link *link, wr_link_info *info) {
  const wr_stream *s = wr_container_of(link, wr_stream, link);
  memset(info, 0, sizeof(*info));
  info->transport = s->u.handle.type == UV_TCP ? "tcp" : "unix";
  info->has_peer = s->peer.sin6_family != 0;
  memcpy(&info->peer, &s->peer, sizeof(s->peer));
  info->has_local = ask_local(s, &info->local);
}

void wr__stream_set_peer(wr_stream *s, const struct sockaddr *sa) {
  if (sa->sa_family == AF_INET) {
    memcpy(&s->peer, sa, sizeof(struct sockaddr_in));
  } else if (sa->sa_family == AF_INET6) {
    memcpy(&s->peer, sa, sizeof(struct sockaddr_in6));
  }
}

static void ask_peer(wr_stream *s) {
  struct sockaddr_storage ss = {.ss_family = 0};
  int len = sizeof(ss);
  if (s->u.handle.type == UV_TCP &&
      uv_tcp_getpeername(&s->u.tcp, (struct sockaddr *)&ss, &len) == 0) {
    wr__stream_set_peer(s, (struct sockaddr *)&ss);
  }
}

static const wr_link_ops stream_ops = {
    .name = "stream",
    .read_start = wr__stream_read_start,
    .read_stop = wr__stream_read_stop,
    .write = stream_write,
    .shutdown = stream_shutdown,
    .close = stream_close,
    .query = stream_query,
};

int wr_stream_new(wr_ctx *ctx, int family, wr_stream **out) {
  wr_stream *s = wr_calloc(&ctx->mem, 1, sizeof(*s));
  if (s == NULL) {
    return WR_ENOMEM;
  }
  int err = family == AF_UNIX ? uv_pipe_init(ctx->loop, &s->u.pipe, 0)
                              : uv_tcp_init(ctx->loop, &s->u.tcp);
  if (err != 0) {
    wr_free(&ctx->mem, s);
    return err;
  }
  s->link.ops = &stream_ops;
  s->link.ctx = ctx;
  s->u.handle.data = s;
  wr_timer_init(&s->linger, ctx, on_linger);
  wr_list_init(&s->obj.node);
  s->obj.shutdown = on_obj_shutdown;
  wr_task_init(&s->task, wr__stream_on_task);
  wr_ctx_handle_opened(ctx, &s->u.handle);
  *out = s;
  return 0;
}

static void on_uv_connect(uv_connect_t *req, int status) {
  wr_stream *s = wr_container_of(req, wr_stream, connect_req);
  wr_stream_connect_cb cb = s->connect_cb;
  wr_ctx_req_done(s->link.ctx);
  if (cb == NULL) { /* closed meanwhile */
    return;
  }
  s->connect_cb = NULL;
  if (status == 0) {
    s->state = STREAM_OPEN;
    wr_stream_tune(s);
  }
  cb(s, status);
}

int wr_stream_connect(wr_stream *s, const struct sockaddr *sa,
                      wr_stream_connect_cb cb) {
  if (s->state != STREAM_NEW || s->u.handle.type != UV_TCP) {
    return WR_EINVAL;
  }
  int err = uv_tcp_connect(&s->connect_req, &s->u.tcp, sa, on_uv_connect);
  if (err == 0) {
    s->state = STREAM_CONNECTING;
    s->connect_cb = cb;
    wr__stream_set_peer(s, sa);
    wr_ctx_req_started(s->link.ctx);
  }
  return err;
}

int wr_stream_connect_path(wr_stream *s, const char *path,
                           wr_stream_connect_cb cb) {
  if (s->state != STREAM_NEW || s->u.handle.type != UV_NAMED_PIPE) {
    return WR_EINVAL;
  }
  int err = wr__unix_path_check(path);
  if (err == 0) {
    s->state = STREAM_CONNECTING;
    s->connect_cb = cb;
    wr_ctx_req_started(s->link.ctx);
    uv_pipe_connect(&s->connect_req, &s->u.pipe, path, on_uv_connect);
  }
  return err;
}

int wr_stream_accept(wr_ctx *ctx, uv_stream_t *listener, int family,
                     wr_stream **out) {
  wr_stream *s;
  int err = wr_stream_new(ctx, family, &s);
  if (err != 0) {
    return err;
  }
  err = uv_accept(listener, &s->u.stream);
  if (err != 0) {
    close_handle(s, false);
    return err;
  }
  s->state = STREAM_OPEN;
  ask_peer(s);
  wr_stream_tune(s);
  *out = s;
  return 0;
}

int wr_stream_from_fd(wr_ctx *ctx, int fd, int family, wr_stream **out) {
  wr_stream *s;
  int err = wr_stream_new(ctx, family, &s);
  if (err != 0) {
    return err;
  }
  err = family == AF_UNIX ? uv_pipe_open(&s->u.pipe, fd)
                          : uv_tcp_open(&s->u.tcp, fd);
  if (err != 0) {
    close_handle(s, false);
    return err;
  }
  s->state = STREAM_OPEN;
  ask_peer(s);
  wr_stream_tune(s);
  *out = s;
  return 0;
}

wr_link *wr_stream_link(wr_stream *s) {
  return &s->link;
}

wr_stream *wr_stream_from_link(wr_link *link) {
  return link->ops == &stream_ops ? wr__stream_of(link) : NULL;
}

void wr_stream_tune(wr_stream *s) {
  if (s->u.handle.type == UV_TCP) {
    /* A socket that the peer has reset already refuses; reading tells. */
    (void)uv_tcp_nodelay(&s->u.tcp, 1);
    (void)uv_tcp_keepalive(&s->u.tcp, 1, KEEPALIVE_S);
  }
}

void wr_stream_counts(const wr_stream *s, uint64_t *in, uint64_t *out) {
  *in = s->bytes_in;
  *out = s->bytes_out;
}
