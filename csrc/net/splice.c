#include "net/splice.h"

#include <string.h>

#include "base/errors.h"

#define EARLY_MAX ((size_t)64 * 1024)
/* One read, where the link asks. */
#define READ_SIZE ((size_t)64 * 1024)

typedef struct side {
  wr_splice *s;
  wr_link *link;
  struct side *other;
  uint64_t bytes; /* that came from here and were taken by the other side */
  bool eof;       /* it has ended its direction */
  bool closed;    /* on_close has come */
} side;

struct wr_splice {
  wr_ctx *ctx;
  side a;
  side b;
  uint8_t *early;   /* goes to b before anything is read from a */
  size_t early_at;  /* first byte of it not sent */
  size_t early_len; /* bytes of it not sent */
  wr_splice_cb cb;
  void *user;
  int status;
  bool ending; /* both links are closed or being closed */
};

/* Both links are closed: nothing refers to the splice any more. */
static void finish(wr_splice *s) {
  wr_splice_cb cb = s->cb;
  void *user = s->user;
  int status = s->status;
  uint64_t ab = s->a.bytes;
  uint64_t ba = s->b.bytes;
  wr_free(&s->ctx->mem, s->early);
  wr_free(&s->ctx->mem, s);
  if (cb != NULL) {
    cb(user, status, ab, ba);
  }
}

/* Closes what is still open; on_close comes for each link. */
static void end(wr_splice *s, int status, wr_close_mode mode) {
  if (s->ending) {
    return;
  }
  s->ending = true;
  if (s->status == 0) {
    s->status = status;
  }
  if (!s->a.closed) {
    wr_link_close(s->a.link, mode);
  }
  if (!s->b.closed) {
    wr_link_close(s->b.link, mode);
  }
}

/* A link that reports an error closes by itself, and its on_close ends the
   splice. If the peer is gone that may take a moment: what it said before is read
   and goes to the other side first. */
static void fail_side(side *x, int err) {
  if (x->s->status == 0 && err != WR_ECLOSED) {
    x->s->status = err;
  }
  if (!x->closed && err != WR_ECLOSED && err != UV_EPIPE &&
      err != UV_ECONNRESET) {
    wr_link_close(x->link, WR_CLOSE_RESET);
  }
}

static void start_reading(side *x) {
  if (!x->closed && !x->eof && !x->s->ending) {
    /* An error means that the link is closing; on_close tells. */
    (void)wr_link_read_start(x->link);
  }
}

/* Sends on what the owner had read from a already, then begins with a. */
static void send_early(wr_splice *s) {
  while (s->early_len > 0) {
    size_t taken = 0;
    uv_buf_t buf =
        uv_buf_init((char *)s->early + s->early_at, (unsigned)s->early_len);
    int err = wr_link_write(s->b.link, &buf, 1, &taken);
    if (err != 0) {
      s->early_len = 0;
      fail_side(&s->b, err);
      return;
    }
    s->early_at += taken;
    s->early_len -= taken;
    s->a.bytes += taken;
    if (s->early_len > 0) {
      return; /* on_writable comes */
    }
  }
  wr_free(&s->ctx->mem, s->early);
  s->early = NULL;
  if (s->a.closed) { /* it left in order while its bytes still waited here */
    end(s, 0, WR_CLOSE_ORDERLY);
    return;
  }
  start_reading(&s->a);
}

/* Bytes are read straight into the destination's next packet. Without one the
   read waits for on_writable. */
static void on_alloc(wr_link *link, uint8_t **base, size_t *len) {
  side *x = link->user;
  wr_link *dst = x->other->link;
  *base = link->ctx->scratch;
  *len = READ_SIZE;
  if (x->s->ending || x->other->closed || dst->ops->reserve == NULL) {
    return;
  }
  uint8_t *packet = dst->ops->reserve(dst, len);
  if (packet != NULL) {
    *base = packet;
  } else {
    *len = 0;
  }
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  side *x = link->user;
  size_t taken = 0;
  if (x->s->ending || x->other->closed) {
    return len; /* there is nobody to have it */
  }
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
  int err = wr_link_write(x->other->link, &buf, 1, &taken);
  if (err != 0) {
    wr_link_read_stop(link);
    fail_side(x->other, err);
    return len;
  }
  x->bytes += taken;
  return taken;
}

static void on_eof(wr_link *link) {
  side *x = link->user;
  wr_splice *s = x->s;
  x->eof = true;
  if (s->ending || x->other->closed) {
    return;
  }
  int err = wr_link_shutdown(x->other->link);
  if (err != 0) {
    fail_side(x->other, err);
    return;
  }
  if (x->other->eof) {
    end(s, 0, WR_CLOSE_ORDERLY);
  }
}

static void on_writable(wr_link *link) {
  side *x = link->user;
  wr_splice *s = x->s;
  if (s->ending) {
    return;
  }
  if (x == &s->b && s->early_len > 0) {
    send_early(s);
    return;
  }
  start_reading(x->other);
}

static void on_close(wr_link *link, int status) {
  side *x = link->user;
  wr_splice *s = x->s;
  x->closed = true;
  if (x->other->closed) {
    if (s->status == 0) {
      s->status = status;
    }
    finish(s);
    return;
  }
  if (s->status == 0) {
    s->status = status;
  }
  if (s->status != 0) {
    end(s, s->status, WR_CLOSE_RESET);
    return;
  }
  if (x == &s->a && s->early_len > 0) {
    wr_link_read_stop(s->b.link);
    return; /* send_early() goes on from here */
  }
  end(s, 0, WR_CLOSE_ORDERLY);
}

static const wr_link_handler splice_handler = {
    .alloc = on_alloc,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_close = on_close,
};

static void init_side(wr_splice *s, side *x, side *other, wr_link *link) {
  x->s = s;
  x->link = link;
  x->other = other;
  link->handler = &splice_handler;
  link->user = x;
}

int wr_splice_start(wr_ctx *ctx, wr_link *a, wr_link *b, wr_slice early,
                    wr_splice_cb cb, void *user, wr_splice **out) {
  if (early.len > EARLY_MAX) {
    return WR_EINVAL;
  }
  wr_splice *s = wr_calloc(&ctx->mem, 1, sizeof(*s));
  if (s == NULL) {
    return WR_ENOMEM;
  }
  if (early.len > 0) {
    s->early = wr_alloc(&ctx->mem, early.len);
    if (s->early == NULL) {
      wr_free(&ctx->mem, s);
      return WR_ENOMEM;
    }
    memcpy(s->early, early.data, early.len);
    s->early_len = early.len;
  }
  s->ctx = ctx;
  s->cb = cb;
  s->user = user;
  init_side(s, &s->a, &s->b, a);
  init_side(s, &s->b, &s->a, b);
  start_reading(&s->b); /* first: if b's peer is gone, it may have spoken */
  send_early(s);
  *out = s;
  return 0;
}

void wr_splice_abort(wr_splice *s) {
  end(s, WR_ECANCELED, WR_CLOSE_RESET);
}

void wr_splice_set_cb(wr_splice *s, wr_splice_cb cb, void *user) {
  s->cb = cb;
  s->user = user;
}
