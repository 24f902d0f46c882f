#include "napi/stream.h"

#include <string.h>

#include "napi/args.h"
#include "napi/events.h"
#include "napi/methods.h"
#include "net/mempair.h"

/* What a stream keeps when the link takes no more. JavaScript writes again only
   when all of it has gone, so this bounds one write. */
#define KEPT_MAX ((size_t)64 * 1024 * 1024)
#define PIPE_CAPACITY ((size_t)256 * 1024)
/* Buffers of one writev that go to the link at once. */
#define VECTOR 64

struct wrn_stream {
  wrn_object o;
  wr_link *link;       /* NULL while it is being opened */
  wr_opening *opening; /* NULL once it is open */
  wr_buf kept;         /* written and not yet taken by the link */
  wr_list starved;     /* in env->events.starved: waits for room */
  bool reading;        /* JavaScript wants data */
  bool ending;         /* the half-close follows what is kept */
  bool closing;        /* JavaScript has closed it: CLOSED is to come */
};

static void stream_shutdown(wrn_object *o);
static const wrn_class stream_class = {sizeof(wrn_stream), stream_shutdown};

uint32_t wrn_stream_id(const wrn_stream *s) {
  return s->o.id;
}

static void free_stream(wrn_stream *s) {
  wr_list_remove(&s->starved);
  wr_buf_reset(&s->kept);
  wrn_object_free(s);
}

/* THE LINK'S SIDE */

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  wrn_stream *s = link->user;
  if (s->closing) {
    return len;
  }
  size_t taken = wrn_post_data(s->o.env, s->o.id, data, len);
  if (taken < len) {
    wrn_events_starve(s->o.env, &s->starved);
  }
  return taken;
}

void wrn_stream_resume(wr_list *starved) {
  wrn_stream *s = wr_container_of(starved, wrn_stream, starved);
  if (s->reading && s->link != NULL) {
    /* If it fails the link has ended, which it tells by itself. */
    (void)wr_link_read_start(s->link);
  }
}

static void on_eof(wr_link *link) {
  const wrn_stream *s = link->user;
  if (!s->closing) {
    wrn_post(s->o.env, WRN_EV_EOF, s->o.id, 0, 0);
  }
}

/* Nothing is kept any more: what has waited for that can happen. */
static void drained(wrn_stream *s) {
  wr_buf_reset(&s->kept);
  if (s->closing) {
    wr_link_close(s->link, WR_CLOSE_ORDERLY);
    return;
  }
  if (s->ending) {
    (void)wr_link_shutdown(s->link);
  }
  wrn_post(s->o.env, WRN_EV_WRITABLE, s->o.id, 0, 0);
}

static void on_writable(wr_link *link) {
  wrn_stream *s = link->user;
  size_t taken = 0;
  if (s->kept.len == 0) {
    return;
  }
  uv_buf_t buf = {.base = (char *)s->kept.data, .len = s->kept.len};
  if (wr_link_write(link, &buf, 1, &taken) != 0) {
    return; /* on_close follows */
  }
  wr_buf_consume(&s->kept, taken);
  if (s->kept.len == 0) {
    drained(s);
  }
}

static void on_close(wr_link *link, int status) {
  wrn_stream *s = link->user;
  wrn_post(s->o.env, WRN_EV_CLOSED, s->o.id, (uint32_t)status, 0);
  free_stream(s);
}

static const wr_link_handler stream_handler = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_close = on_close,
};

static void attach(wrn_stream *s, wr_link *link) {
  s->link = link;
  link->handler = &stream_handler;
  link->user = s;
}

static size_t discard_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  WR_UNUSED(data);
  return len;
}

static void discard_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void discard_close(wr_link *link, int status) {
  WR_UNUSED(link);
  WR_UNUSED(status);
}

void wrn_link_discard(wr_link *link) {
  static const wr_link_handler handler = {
      .on_read = discard_read,
      .on_eof = discard_eof,
      .on_writable = discard_eof,
      .on_close = discard_close,
  };
  link->handler = &handler;
  wr_link_close(link, WR_CLOSE_RESET);
}

/* BEGINNING AND END */

wrn_stream *wrn_stream_reserve(wrn_env *env, wr_opening ***opening) {
  wrn_stream *s = wrn_object_new(env, &stream_class);
  if (s == NULL) {
    return NULL;
  }
  wr_buf_init(&s->kept, &env->ctx.mem, KEPT_MAX);
  wr_list_init(&s->starved);
  if (opening != NULL) {
    *opening = &s->opening;
  }
  return s;
}

void wrn_stream_unreserve(wrn_stream *s) {
  free_stream(s);
}

wrn_stream *wrn_stream_new(wrn_env *env, wr_link *link) {
  wrn_stream *s = wrn_stream_reserve(env, NULL);
  if (s != NULL) {
    attach(s, link);
  }
  return s;
}

void wrn_stream_opened(void *user, int status, wr_link *link) {
  wrn_stream *s = user;
  s->opening = NULL;
  wrn_post(s->o.env, WRN_EV_OPENED, s->o.id, (uint32_t)status, 0);
  if (status == 0) {
    attach(s, link);
  } else {
    free_stream(s);
  }
}

int wrn_stream_pipe(wrn_env *env, wr_link **core, wrn_stream **out) {
  wr_link *inner;
  int err = wr_mempair_new(&env->ctx, PIPE_CAPACITY, core, &inner);
  if (err != 0) {
    return err;
  }
  *out = wrn_stream_new(env, inner);
  if (*out == NULL) {
    wrn_link_discard(*core);
    wrn_link_discard(inner);
    return WR_ENOMEM;
  }
  return 0;
}

void wrn_stream_unpipe(wrn_stream *s, wr_link *core) {
  wrn_link_discard(core);
  wrn_link_discard(s->link);
  free_stream(s);
}

/* The answer to an open that is no longer wanted. */
static void cancel_opening(wrn_stream *s) {
  wr_opening_cancel(s->opening);
  wrn_post(s->o.env, WRN_EV_CLOSED, s->o.id, (uint32_t)WR_ECANCELED, 0);
  free_stream(s);
}

static void close_stream(wrn_stream *s, bool reset) {
  if (s->link == NULL) {
    cancel_opening(s);
    return;
  }
  s->closing = true;
  wr_list_remove(&s->starved);
  if (reset || s->kept.len == 0) {
    wr_link_close(s->link, reset ? WR_CLOSE_RESET : WR_CLOSE_ORDERLY);
  }
}

static void stream_shutdown(wrn_object *o) {
  close_stream((wrn_stream *)o, true);
}

/* JAVASCRIPT'S SIDE */

static wrn_stream *this_stream(wrn_call *c) {
  return wrn_this(c, &stream_class);
}

/* For what needs a link that JavaScript has not closed. */
static wrn_stream *this_open(wrn_call *c) {
  wrn_stream *s = this_stream(c);
  if (s != NULL && (s->link == NULL || s->closing)) {
    wrn_fail(c, WR_ECLOSED);
    return NULL;
  }
  return s;
}

int64_t wrn_stream_read(wrn_call *c) {
  wrn_stream *s = this_open(c);
  if (s == NULL) {
    return c->err;
  }
  s->reading = true;
  /* While it waits for room it is started when there is some. */
  return wr_list_empty(&s->starved) ? wr_link_read_start(s->link) : 0;
}

int64_t wrn_stream_stop(wrn_call *c) {
  wrn_stream *s = this_open(c);
  if (s == NULL) {
    return c->err;
  }
  s->reading = false;
  wr_list_remove(&s->starved);
  wr_link_read_stop(s->link);
  return 0;
}

/* Appends all of it but the first `skip` bytes to what is kept. */
static int keep(wrn_stream *s, const uv_buf_t *bufs, unsigned n, size_t skip) {
  for (unsigned i = 0; i < n; i++) {
    size_t from = WR_MIN(skip, bufs[i].len);
    skip -= from;
    int err = wr_buf_append(&s->kept, bufs[i].base + from, bufs[i].len - from);
    if (err != 0) {
      return err;
    }
  }
  return 0;
}

static int write_all(wrn_stream *s, const uv_buf_t *bufs, unsigned n) {
  size_t taken = 0;
  if (s->ending) {
    return WR_ECLOSED;
  }
  if (s->kept.len == 0) {
    int err = wr_link_write(s->link, bufs, n, &taken);
    if (err != 0) {
      return err;
    }
  }
  return keep(s, bufs, n, taken);
}

static uv_buf_t as_buf(wr_slice data) {
  uv_buf_t buf = {.base = (char *)(uintptr_t)data.data, .len = data.len};
  return buf;
}

static int64_t written(wrn_call *c, const wrn_stream *s) {
  return c->err != 0 ? c->err : s->kept.len > 0;
}

int64_t wrn_stream_write(wrn_call *c) {
  wrn_stream *s = this_open(c);
  uv_buf_t buf = as_buf(wrn_buffer(c, c->argv[1]));
  if (c->err != 0) {
    return c->err;
  }
  if (buf.len > 0) {
    wrn_fail(c, write_all(s, &buf, 1));
  }
  return written(c, s);
}

/* Up to VECTOR buffers of the array from `from`; their number. In two steps, as
   getting an element may run JavaScript, which could take memory away. */
static unsigned read_buffers(wrn_call *c, uint32_t from, uint32_t length,
                             uv_buf_t bufs[VECTOR]) {
  napi_value values[VECTOR];
  unsigned n = 0;
  while (from + n < length && n < VECTOR) {
    values[n] = wrn_element(c, c->argv[1], from + n);
    n++;
  }
  for (unsigned i = 0; i < n; i++) {
    bufs[i] = as_buf(wrn_buffer(c, values[i]));
  }
  return n;
}

int64_t wrn_stream_writev(wrn_call *c) {
  uv_buf_t bufs[VECTOR];
  wrn_need(c, c->argv[1]);
  uint32_t length = wrn_array(c, c->argv[1], UINT32_MAX);
  for (uint32_t i = 0; i < length && c->err == 0;) {
    unsigned n = read_buffers(c, i, length, bufs);
    /* Looked up each time: an element may be a getter that closes it. */
    wrn_stream *s = this_open(c);
    if (c->err == 0) {
      wrn_fail(c, write_all(s, bufs, n));
    }
    i += n;
  }
  const wrn_stream *s = this_open(c);
  return s == NULL ? c->err : written(c, s);
}

int64_t wrn_stream_end(wrn_call *c) {
  wrn_stream *s = this_open(c);
  if (s == NULL) {
    return c->err;
  }
  if (s->ending) {
    return s->kept.len > 0;
  }
  s->ending = true;
  return s->kept.len > 0 ? 1 : wr_link_shutdown(s->link);
}

int64_t wrn_stream_close(wrn_call *c) {
  bool reset = wrn_bool(c, c->argv[1]);
  wrn_stream *s = this_stream(c);
  if (s == NULL || c->err != 0) {
    return c->err;
  }
  close_stream(s, reset);
  return 0;
}
