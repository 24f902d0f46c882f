#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/errors.h"
#include "net/stream_internal.h"

static bool alive(const wr_stream *s) {
  return s->state == STREAM_OPEN;
}

/* Only where it will stay stopped for a while: it costs two system calls, and
   owners often stop and go on within a turn. Elsewhere `reading` is enough: the
   socket is stopped when it next has bytes and nobody wants them. */
static void stop_socket(wr_stream *s) {
  if (s->uv_reading) {
    s->uv_reading = false;
    uv_read_stop(&s->u.stream);
  }
}

static void drop_rest(wr_stream *s) {
  wr_free(&s->link.ctx->mem, s->rest);
  s->rest = NULL;
  s->rest_len = 0;
}

/* The rest stays until the end: the owner may be looking at it. */
void wr__stream_stop(wr_stream *s) {
  s->reading = false;
  wr_task_cancel(&s->task);
  stop_socket(s);
}

/* Keeps what the owner left of a read. */
static void keep(wr_stream *s, const uint8_t *data, size_t len) {
  s->rest = wr_alloc(&s->link.ctx->mem, len);
  if (s->rest == NULL) {
    wr__stream_fail(s, WR_ENOMEM);
    return;
  }
  memcpy(s->rest, data, len);
  s->rest_at = 0;
  s->rest_len = len;
}

static void on_uv_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  wr_stream *s = handle->data;
  uint8_t *base = s->link.ctx->scratch;
  size_t len = READ_SIZE;
  WR_UNUSED(suggested);
  s->postponed = false;
  if (!s->reading || s->rest != NULL || !alive(s)) {
    len = 0;
  } else if (s->link.handler->alloc != NULL) {
    s->link.handler->alloc(&s->link, &base, &len);
    /* The owner may have stopped or closed in there. */
    if (len == 0 || !s->reading || !alive(s)) {
      s->reading = false;
      s->postponed = true;
      len = 0;
    }
  }
  *buf = uv_buf_init((char *)base, (unsigned)WR_MIN(len, (size_t)1 << 30));
}

static void on_bytes(wr_stream *s, uint8_t *data, size_t len) {
  s->bytes_in += len;
  size_t used = s->link.handler->on_read(&s->link, data, len);
  WR_ASSERT(used <= len);
  if (!alive(s) || used == len) {
    return;
  }
  s->reading = false;
  wr_task_cancel(&s->task);
  keep(s, data + used, len - used);
}

static int start_socket(wr_stream *s);

/* libuv takes bytes and a hang-up that arrive together for bytes and an end,
   although the hang-up may be a reset. 0: a proper end; 1: there is more to read;
   else the error. */
static int look_at_end(wr_stream *s) {
  uint8_t byte;
  uv_os_fd_t fd;
  if (uv_fileno(&s->u.handle, &fd) != 0) {
    return 0;
  }
  ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && errno != EAGAIN) {
    return uv_translate_sys_error(errno);
  }
  return n > 0 ? 1 : 0;
}

static void on_end(wr_stream *s) {
  int err = s->status != 0 ? 0 : look_at_end(s);
  s->uv_reading = false;
  if (err > 0) {
    (void)start_socket(s);
    return;
  }
  if (err < 0 || s->status != 0) { /* status: a write had failed */
    wr__stream_fail(s, err < 0 ? err : s->status);
    return;
  }
  s->reading = false;
  s->eof = true;
  s->link.handler->on_eof(&s->link);
}

static void on_uv_read(uv_stream_t *stream, ssize_t nread,
                       const uv_buf_t *buf) {
  wr_stream *s = stream->data;
  if (!alive(s) || nread == 0) {
    return;
  }
  if (nread > 0) {
    on_bytes(s, (uint8_t *)buf->base, (size_t)nread);
    return;
  }
  if (nread == UV_EOF) {
    on_end(s);
    return;
  }
  if (nread == UV_ENOBUFS) { /* what libuv makes of an alloc of nothing */
    if (!s->postponed) {
      stop_socket(s);
    }
    return;
  }
  wr__stream_fail(s, (int)nread);
}

static int start_socket(wr_stream *s) {
  if (s->uv_reading) {
    return 0;
  }
  int err = uv_read_start(&s->u.stream, on_uv_alloc, on_uv_read);
  if (err != 0) {
    wr__stream_fail(s, err);
    return err;
  }
  s->uv_reading = true;
  return 0;
}

/* Offers the rest of an earlier read; when it is gone the socket's turn comes
   again. */
void wr__stream_on_task(wr_task *task) {
  wr_stream *s = wr_container_of(task, wr_stream, task);
  if (!alive(s) || !s->reading || s->rest == NULL) {
    return;
  }
  size_t used =
      s->link.handler->on_read(&s->link, s->rest + s->rest_at, s->rest_len);
  WR_ASSERT(used <= s->rest_len);
  if (!alive(s)) {
    return;
  }
  if (used < s->rest_len) {
    s->rest_at += used;
    s->rest_len -= used;
    s->reading = false;
    wr_task_cancel(&s->task);
    return;
  }
  drop_rest(s);
  if (s->reading) {
    (void)start_socket(s);
  }
}

int wr__stream_read_start(wr_link *link) {
  wr_stream *s = wr__stream_of(link);
  if (!alive(s)) {
    return s->status != 0 ? s->status : WR_ECLOSED;
  }
  if (s->eof) {
    return 0;
  }
  s->reading = true;
  if (s->rest != NULL) {
    wr_task_post(link->ctx, &s->task);
    return 0;
  }
  return start_socket(s);
}

void wr__stream_read_stop(wr_link *link) {
  wr_stream *s = wr__stream_of(link);
  if (!alive(s)) {
    return;
  }
  s->reading = false;
}

void wr__stream_discard_input(wr_stream *s) {
  uint8_t junk[8192];
  uv_os_fd_t fd;
  if (s->eof || uv_fileno(&s->u.handle, &fd) != 0) {
    return;
  }
  for (int i = 0; i < 32; i++) {
    if (recv(fd, junk, sizeof(junk), MSG_DONTWAIT) <= 0) {
      return;
    }
  }
}

int wr__unix_path_check(const char *path) {
  const struct sockaddr_un *un = NULL;
  if (path[0] == '\0') {
    return WR_EINVAL;
  }
  /* The abstract name space has no permissions. */
  if (path[0] == '@') {
    return WR_EUNSUPPORTED;
  }
  return strlen(path) < sizeof(un->sun_path) ? 0 : UV_ENAMETOOLONG;
}
