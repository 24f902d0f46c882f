#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errors.h"
#include "loop/timer.h"
#include "net/listener_internal.h"
#include "net/stream_internal.h"

/* The socket is watched and accepted from by hand: when descriptors run out,
   libuv's own listening either drops the connections that wait or goes round
   and round in one callback. */

#define RETRY_MS 100
/* Connections taken at one go, so that a flood cannot keep the rest of the loop
   waiting. */
#define ACCEPT_BATCH 64

struct wr_listener {
  wr_ctx *ctx;
  const wr_listener_handler *handler;
  void *user;
  uv_poll_t poll;
  wr_timer retry; /* active: accepting waits for descriptors */
  int fd;
  int family;
  bool paused;
  bool closed;
  char *path; /* of a Unix socket */
  dev_t dev;  /* which file it was when it was bound */
  ino_t ino;
};

static void watch(wr_listener *l);

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* Accepting. */

static int accept_fd(int fd, struct sockaddr_storage *ss) {
  socklen_t len = sizeof(*ss);
  ss->ss_family = AF_UNSPEC;
#ifdef SOCK_CLOEXEC
  return accept4(fd, (struct sockaddr *)ss, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
  int got = accept(fd, (struct sockaddr *)ss, &len);
  if (got >= 0) {
    (void)fcntl(got, F_SETFD, FD_CLOEXEC);
  }
  return got;
#endif
}

/* Errors of one connection, gone before it was accepted. */
static bool is_passing(int err) {
  return err == EINTR || err == ECONNABORTED || err == EPROTO || err == EPERM ||
         err == ENETDOWN || err == EHOSTUNREACH || err == ENETUNREACH ||
         err == EHOSTDOWN || err == ENOPROTOOPT;
}

/* 0: go on; 1: nobody waits any more; else an error. */
static int accept_one(wr_listener *l) {
  wr_stream *s;
  struct sockaddr_storage ss;
  int fd = accept_fd(l->fd, &ss);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return 1;
    }
    return is_passing(errno) ? 0 : last_error();
  }
  int err = wr_stream_from_fd(l->ctx, fd, l->family, &s);
  if (err != 0) {
    close(fd);
    return err;
  }
  /* Known even if the connection is gone already. */
  wr__stream_set_peer(s, (struct sockaddr *)&ss);
  l->handler->on_accept(l, wr_stream_link(s));
  return 0;
}

static void on_uv_poll(uv_poll_t *handle, int status, int events) {
  wr_listener *l = handle->data;
  int err = status;
  WR_UNUSED(events);
  for (int i = 0; i < ACCEPT_BATCH && err == 0; i++) {
    err = accept_one(l);
    if (l->closed || l->paused) {
      return;
    }
  }
  if (err < 0) {
    wr_timer_start(&l->retry, RETRY_MS);
    watch(l);
  }
}

static void on_retry(wr_timer *timer) {
  watch(wr_container_of(timer, wr_listener, retry));
}

static void watch(wr_listener *l) {
  if (l->closed) {
    return;
  }
  if (l->paused || wr_timer_active(&l->retry)) {
    uv_poll_stop(&l->poll);
    return;
  }
  if (uv_poll_start(&l->poll, UV_READABLE, on_uv_poll) != 0) {
    wr_timer_start(&l->retry, RETRY_MS);
  }
}

/* Closing. */

static void on_uv_close(uv_handle_t *handle) {
  wr_listener *l = handle->data;
  wr_ctx *ctx = l->ctx;
  wr_ctx_handle_closed(ctx);
  if (l->handler != NULL && l->handler->on_close != NULL) {
    l->handler->on_close(l);
  }
  wr_free(&ctx->mem, l->path);
  wr_free(&ctx->mem, l);
}

/* Somebody may have put another file there meanwhile. */
static void remove_own_file(const wr_listener *l) {
  struct stat st;
  if (l->path != NULL && lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) &&
      st.st_dev == l->dev && st.st_ino == l->ino) {
    (void)unlink(l->path);
  }
}

void wr_listener_close(wr_listener *l) {
  if (l->closed) {
    return;
  }
  l->closed = true;
  wr_timer_stop(&l->retry);
  remove_own_file(l);
  uv_poll_stop(&l->poll);
  uv_close((uv_handle_t *)&l->poll, on_uv_close);
  close(l->fd);
}

/* Opening. */

/* Makes the listener of a socket that listens. It owns fd when this succeeds. */
static int start(wr_listener *l, wr_ctx *ctx, int fd, int family,
                 const wr_listener_handler *handler, void *user) {
  int err = uv_poll_init(ctx->loop, &l->poll, fd);
  if (err != 0) {
    return err;
  }
  l->ctx = ctx;
  l->handler = handler;
  l->user = user;
  l->fd = fd;
  l->family = family;
  l->poll.data = l;
  wr_timer_init(&l->retry, ctx, on_retry);
  wr_ctx_handle_opened(ctx, (uv_handle_t *)&l->poll);
  watch(l);
  return 0;
}

int wr_listener_tcp(wr_ctx *ctx, const char *host, uint16_t port,
                    bool dual_stack, const wr_listener_handler *handler,
                    void *user, wr_listener **out) {
  int family = AF_INET;
  wr_listener *l = wr_calloc(&ctx->mem, 1, sizeof(*l));
  if (l == NULL) {
    return WR_ENOMEM;
  }
  int fd = wr__listen_host(host, port, dual_stack, &family);
  int err = fd < 0 ? fd : start(l, ctx, fd, family, handler, user);
  if (err != 0) {
    if (fd >= 0) {
      close(fd);
    }
    wr_free(&ctx->mem, l);
    return err;
  }
  *out = l;
  return 0;
}

int wr_listener_unix(wr_ctx *ctx, const char *path,
                     const wr_listener_handler *handler, void *user,
                     wr_listener **out) {
  struct stat st;
  int fd = -1;
  int err = wr__unix_path_check(path);
  if (err != 0) {
    return err;
  }
  wr_listener *l = wr_calloc(&ctx->mem, 1, sizeof(*l));
  char *copy = wr_strdup(&ctx->mem, path);
  err = WR_ENOMEM;
  if (l == NULL || copy == NULL) {
    goto fail;
  }
  fd = wr__listen_path(path, &st);
  err = fd < 0 ? fd : start(l, ctx, fd, AF_UNIX, handler, user);
  if (err != 0) {
    goto fail;
  }
  l->path = copy;
  l->dev = st.st_dev;
  l->ino = st.st_ino;
  *out = l;
  return 0;

fail:
  if (fd >= 0) {
    close(fd);
    (void)unlink(path);
  }
  wr_free(&ctx->mem, copy);
  wr_free(&ctx->mem, l);
  return err;
}

int wr_listener_fd(wr_ctx *ctx, int fd, const wr_listener_handler *handler,
                   void *user, wr_listener **out) {
  int family = AF_UNSPEC;
  int err = wr__listen_adopt(fd, &family);
  if (err != 0) {
    return err;
  }
  wr_listener *l = wr_calloc(&ctx->mem, 1, sizeof(*l));
  if (l == NULL) {
    return WR_ENOMEM;
  }
  err = start(l, ctx, fd, family, handler, user);
  if (err != 0) {
    wr_free(&ctx->mem, l);
    return err;
  }
  *out = l;
  return 0;
}

void *wr_listener_user(const wr_listener *l) {
  return l->user;
}

void wr_listener_addr(const wr_listener *l, struct sockaddr_storage *ss) {
  socklen_t len = sizeof(*ss);
  memset(ss, 0, sizeof(*ss));
  ss->ss_family = (sa_family_t)l->family;
  if (l->family != AF_UNIX) {
    (void)getsockname(l->fd, (struct sockaddr *)ss, &len);
  }
}

void wr_listener_pause(wr_listener *l, bool paused) {
  l->paused = paused;
  watch(l);
}
