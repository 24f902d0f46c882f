#include "net/ws.h"

#include <string.h>

#include "base/errors.h"
#include "loop/timer.h"
#include "net/ws_frame.h"

#define PIECES_MAX 16 /* buffers of one write to the inner link */

typedef enum ws_state {
  WS_OPEN = 0,
  WS_CLOSING, /* the owner has closed; the last bytes are on their way */
  WS_CLOSED   /* the inner link was closed; only on_close is to come */
} ws_state;

typedef struct ws {
  wr_link link;
  wr_link *inner;
  wr_ws_opts opts;
  ws_state state;
  int status; /* of our own making, for on_close */
  wr_ws_decoder decoder;
  bool reading;       /* the owner wants bytes */
  bool peer_ended;    /* the peer's Close came */
  bool want_writable; /* on_writable is owed */
  bool shut;        /* nothing more is written; a Close frame is due or sent */
  bool close_sent;  /* it was put on its way */
  bool fin_sent;    /* the inner link was shut down */
  bool inner_ended; /* the peer shut it down */
  bool ping_due;
  bool awaiting; /* closing: all is said, it is the peer's turn */
  bool deaf;     /* closing after an error of the peer's */
  bool pong_due;
  size_t pong_len;
  uint8_t pong[WR_WS_CONTROL_MAX]; /* payload of the ping to be answered */
  /* What the inner link did not take: the rest of one frame, or `first`. */
  uint8_t *out;
  size_t out_at;
  size_t out_len;
  wr_timer ping;  /* until our next ping */
  wr_timer limit; /* while closing */
  wr_task flush;  /* what is due for the peer but no writer waits for */
  wr_obj obj;     /* in teardown's list while closing without an owner */
} ws;

static ws *ws_of(const wr_link *link) {
  return wr_container_of(link, ws, link);
}

static wr_mem *mem_of(ws *w) {
  return &w->link.ctx->mem;
}

static void drop_out(ws *w) {
  wr_free(mem_of(w), w->out);
  w->out = NULL;
  w->out_at = 0;
  w->out_len = 0;
}

/* Nothing but on_close comes after this. */
static void close_inner(ws *w, wr_close_mode mode) {
  if (w->state == WS_CLOSED) {
    return;
  }
  w->state = WS_CLOSED;
  w->reading = false;
  w->want_writable = false;
  wr_timer_stop(&w->ping);
  wr_timer_stop(&w->limit);
  wr_task_cancel(&w->flush);
  wr_ctx_remove_object(&w->obj);
  wr_link_close(w->inner, mode);
}

static void fail(ws *w, int status) {
  if (w->state != WS_CLOSED) {
    w->status = w->status != 0 ? w->status : status;
    close_inner(w, WR_CLOSE_RESET);
  }
}

/* An error of ours and not of the inner link. Whoever calls into the sending has
   to end the link with it. */
static int own_error(ws *w, int err) {
  w->status = w->status != 0 ? w->status : err;
  return err;
}

/* Sending. At most one frame is under way: while the inner link has not taken all
   of it, its rest is in `out`, and nothing else goes. */

/* Gives the n buffers to the inner link and keeps what it does not take. */
static int send_bufs(ws *w, uv_buf_t *bufs, unsigned n, size_t total) {
  size_t taken = 0;
  int err = wr_link_write(w->inner, bufs, n, &taken);
  if (err != 0 || taken == total) {
    return err;
  }
  uint8_t *out = wr_alloc(mem_of(w), total - taken);
  if (out == NULL) {
    return own_error(w, WR_ENOMEM); /* in the middle of a frame */
  }
  for (unsigned i = 0; i < n; i++) {
    size_t skip = WR_MIN(taken, bufs[i].len);
    size_t part = bufs[i].len - skip;
    taken -= skip;
    if (part > 0) {
      memcpy(out + w->out_len, bufs[i].base + skip, part);
      w->out_len += part;
    }
  }
  w->out = out;
  return 0;
}

/* The rest of the frame that is under way. */
static int send_rest(ws *w) {
  size_t taken = 0;
  if (w->out == NULL) {
    return 0;
  }
  uv_buf_t buf = uv_buf_init((char *)w->out + w->out_at,
                             (unsigned)(w->out_len - w->out_at));
  int err = wr_link_write(w->inner, &buf, 1, &taken);
  w->out_at += taken;
  if (w->out_at == w->out_len) {
    drop_out(w);
  }
  return err;
}

static bool is_client(const ws *w) {
  return w->opts.role == WR_WS_CLIENT;
}

/* A client's frame is masked, so it is a copy in any case. `len` bytes of the
   buffers from `skip` on. */
static int send_masked(ws *w, wr_ws_opcode opcode, const uv_buf_t *bufs,
                       size_t skip, size_t len) {
  uint8_t mask[4];
  size_t done = 0;
  int err = wr_ctx_rand(w->link.ctx, mask, sizeof(mask));
  if (err != 0) {
    return own_error(w, err);
  }
  uint8_t *frame = wr_alloc(mem_of(w), WR_WS_HEAD_MAX + len);
  if (frame == NULL) {
    return own_error(w, WR_ENOMEM);
  }
  size_t head = wr_ws_put_head(frame, opcode, len, mask);
  for (unsigned i = 0; done < len; i++) {
    if (skip >= bufs[i].len) {
      skip -= bufs[i].len;
      continue;
    }
    size_t part = WR_MIN(bufs[i].len - skip, len - done);
    wr_ws_mask(frame + head + done, (const uint8_t *)bufs[i].base + skip, part,
               mask, done);
    done += part;
    skip = 0;
  }
  w->out = frame;
  w->out_len = head + len;
  return send_rest(w);
}

/* Up to `len` bytes of the buffers from `skip` on, as they are; *done says how
   many went into the frame. */
static int send_plain(ws *w, wr_ws_opcode opcode, const uv_buf_t *bufs,
                      unsigned n, size_t skip, size_t len, size_t *done) {
  uint8_t head[WR_WS_HEAD_MAX];
  uv_buf_t pieces[PIECES_MAX];
  unsigned k = 1;
  *done = 0;
  for (unsigned i = 0; i < n && *done < len && k < PIECES_MAX; i++) {
    if (skip >= bufs[i].len) {
      skip -= bufs[i].len;
      continue;
    }
    size_t part = WR_MIN(bufs[i].len - skip, len - *done);
    pieces[k++] = uv_buf_init(bufs[i].base + skip, (unsigned)part);
    *done += part;
    skip = 0;
  }
  size_t head_len = wr_ws_put_head(head, opcode, *done, NULL);
  pieces[0] = uv_buf_init((char *)head, (unsigned)head_len);
  return send_bufs(w, pieces, k, head_len + *done);
}

static int send_frame(ws *w, wr_ws_opcode opcode, const uv_buf_t *bufs,
                      unsigned n, size_t skip, size_t len, size_t *done) {
  if (!is_client(w)) {
    return send_plain(w, opcode, bufs, n, skip, len, done);
  }
  *done = len;
  return send_masked(w, opcode, bufs, skip, len);
}

static int send_control(ws *w, wr_ws_opcode opcode, const void *data,
                        size_t len) {
  uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len};
  size_t done;
  return send_frame(w, opcode, &buf, 1, 0, len, &done);
}

static int send_close(ws *w, unsigned code) {
  const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)(code & 0xff)};
  w->close_sent = true;
  return send_control(w, WR_WS_OP_CLOSE, payload, sizeof(payload));
}

/* The next control frame that is due; false if none is. */
static bool send_due(ws *w, int *err) {
  if (w->pong_due && !w->close_sent) {
    w->pong_due = false;
    *err = send_control(w, WR_WS_OP_PONG, w->pong, w->pong_len);
    return true;
  }
  if (w->ping_due && !w->close_sent) {
    w->ping_due = false;
    *err = send_control(w, WR_WS_OP_PING, "", 0);
    return true;
  }
  if (w->shut && !w->close_sent) {
    /* The answer repeats the code (section 5.5.1). */
    unsigned code = w->peer_ended ? w->decoder.close_code : 0;
    *err = send_close(w, code != 0 ? code : WR_WS_CODE_NORMAL);
    return true;
  }
  return false;
}

/* Both have said their last: a server ends the connection below as well, a client
   waits for that (RFC 6455, section 7.1.1). */
static int end_inner(ws *w) {
  if (is_client(w) || w->fin_sent || !w->close_sent || !w->peer_ended) {
    return 0;
  }
  w->fin_sent = true;
  return wr_link_shutdown(w->inner);
}

/* Sends what the inner link takes now. */
static int send_all(ws *w) {
  int err = send_rest(w);
  while (err == 0 && w->out == NULL && send_due(w, &err)) {
  }
  if (err == 0 && w->out == NULL) {
    err = end_inner(w);
  }
  return err;
}

/* While closing: all is said; now it is the peer's turn, first to say Close, then to
   end the connection below: whoever leaves before that answers the peer's last
   bytes with a reset. */
static void await_answer(ws *w) {
  if (w->out != NULL || !w->close_sent) {
    return;
  }
  if (w->peer_ended && w->inner_ended) {
    close_inner(w, WR_CLOSE_ORDERLY);
  } else if (!w->awaiting) {
    w->awaiting = true;
    wr_timer_start(&w->limit, w->opts.answer_ms);
  }
}

/* An error of the inner link needs nothing of us: its on_close follows, and what
   the peer has said before comes first. */
static void flush(ws *w) {
  if (w->state == WS_CLOSED) {
    return;
  }
  int err = send_all(w);
  if (err != 0 && w->status != 0) {
    fail(w, err);
  } else if (err != 0 && w->state == WS_CLOSING) {
    close_inner(w, WR_CLOSE_RESET);
  } else if (err == 0 && w->state == WS_CLOSING) {
    await_answer(w);
  }
}

/* From the loop only. */
static void go_on(ws *w) {
  flush(w);
  if (w->want_writable && w->out == NULL && w->state == WS_OPEN) {
    w->want_writable = false;
    if (w->link.handler->on_writable != NULL) {
      w->link.handler->on_writable(&w->link);
    }
  }
}

static void on_flush(wr_task *task) {
  go_on(wr_container_of(task, ws, flush));
}

static void on_ping(wr_timer *timer) {
  ws *w = wr_container_of(timer, ws, ping);
  w->ping_due = true;
  wr_timer_start(&w->ping, w->opts.ping_ms);
  go_on(w);
}

/* Bytes of ours that are still here would be missing without a trace. */
static void end_closing(ws *w) {
  close_inner(w, w->out != NULL ? WR_CLOSE_RESET : WR_CLOSE_ORDERLY);
}

static void on_limit(wr_timer *timer) {
  end_closing(wr_container_of(timer, ws, limit));
}

static void on_obj_shutdown(wr_obj *obj) {
  close_inner(wr_container_of(obj, ws, obj), WR_CLOSE_ORDERLY);
}

/* Receiving. */

/* What the peer says now is read away unseen: a connection that is closed with
   unread bytes may take our last frame with it. */
static void go_deaf(ws *w) {
  w->state = WS_CLOSING;
  w->deaf = true;
  w->reading = false;
  w->want_writable = false;
  wr_timer_stop(&w->ping);
  wr_ctx_add_object(w->link.ctx, &w->obj);
  wr_timer_start(&w->limit, w->opts.answer_ms);
  w->fin_sent = true;
  (void)wr_link_shutdown(w->inner);
}

/* The peer broke the protocol: it is told if it can be told at once. */
static void refuse(ws *w, uint16_t code) {
  if (w->state != WS_OPEN) {
    end_closing(w);
    return;
  }
  w->status = WR_EWS_PROTOCOL;
  if (w->link.ctx->exiting || w->out != NULL || w->close_sent ||
      send_close(w, code) != 0 || w->out != NULL) {
    close_inner(w, WR_CLOSE_RESET);
    return;
  }
  go_deaf(w);
}

/* 1000 and 1001 are what a proper end has, and applications have codes of their
   own; the others tell of a failure. */
static bool is_failure(unsigned code) {
  return code > 1001 && code < 3000;
}

static void on_peer_close(ws *w) {
  w->peer_ended = true;
  if (is_failure(w->decoder.close_code) && w->state == WS_OPEN) {
    w->status = WR_EPEER_CLOSED;
    w->shut = true;
    (void)send_all(w);
    close_inner(w, WR_CLOSE_ORDERLY);
    return;
  }
  if (w->state == WS_CLOSING) {
    flush(w);
    return;
  }
  wr_link_read_stop(w->inner);
  wr_task_post(w->link.ctx, &w->flush); /* may have to end the inner link */
  w->reading = false;
  w->link.handler->on_eof(&w->link);
}

static void on_peer_ping(ws *w, wr_slice payload) {
  w->pong_due = !w->shut;
  w->pong_len = payload.len;
  if (payload.len > 0) {
    memcpy(w->pong, payload.data, payload.len);
  }
  wr_task_post(w->link.ctx, &w->flush);
}

/* What the owner wants next; while closing only the peer's Close is of
   interest. */
static bool wants_more(const ws *w) {
  return !w->peer_ended && ((w->state == WS_CLOSING && !w->deaf) ||
                            (w->state == WS_OPEN && w->reading));
}

/* Returns how many of the bytes the owner left. */
static size_t hand_on(ws *w, uint8_t *data, size_t len) {
  if (w->state != WS_OPEN) {
    return 0;
  }
  size_t used = w->link.handler->on_read(&w->link, data, len);
  WR_ASSERT(used <= len);
  if (used == len || w->state != WS_OPEN) {
    return 0;
  }
  w->reading = false;
  wr_ws_undo(&w->decoder, data + used, len - used);
  return len - used;
}

static size_t on_inner_read(wr_link *inner, uint8_t *data, size_t len) {
  ws *w = inner->user;
  size_t at = 0;
  if (w->deaf) {
    return len;
  }
  while (at < len && wants_more(w)) {
    wr_slice payload;
    size_t n;
    wr_ws_event event =
        wr_ws_decode(&w->decoder, data + at, len - at, &n, &payload);
    at += n;
    switch (event) {
    case WR_WS_DATA:
      at -= hand_on(w, data + at - payload.len, payload.len);
      break;
    case WR_WS_PING:
      on_peer_ping(w, payload);
      break;
    case WR_WS_CLOSE:
      on_peer_close(w);
      break;
    case WR_WS_BAD:
      refuse(w, w->decoder.close_code);
      break;
    case WR_WS_PONG:
    case WR_WS_NONE:
      break;
    }
  }
  /* What follows the peer's Close means nothing (section 5.5.1). */
  return w->state == WS_CLOSED || w->peer_ended || w->deaf ? len : at;
}

static void on_inner_eof(wr_link *inner) {
  ws *w = inner->user;
  w->inner_ended = true;
  if (w->peer_ended && w->state == WS_CLOSING) {
    await_answer(w);
  } else if (!w->peer_ended && w->state != WS_CLOSED) {
    w->status = w->state == WS_OPEN ? WR_EEOF : w->status;
    end_closing(w);
  }
}

static void on_inner_writable(wr_link *inner) {
  go_on(inner->user);
}

/* An owner that had closed asked for it, whatever became of the wire then. */
static int final_status(const ws *w, int status, bool owner_closed) {
  if (w->status != 0) {
    return w->status;
  }
  return owner_closed || (w->peer_ended && w->close_sent) ? 0 : status;
}

static void on_inner_close(wr_link *inner, int status) {
  ws *w = inner->user;
  const wr_link_handler *h = w->link.handler;
  bool owner_closed = w->state != WS_OPEN;
  w->state = WS_CLOSED;
  wr_timer_stop(&w->ping);
  wr_timer_stop(&w->limit);
  wr_task_cancel(&w->flush);
  wr_ctx_remove_object(&w->obj);
  drop_out(w);
  if (h != NULL && h->on_close != NULL) {
    h->on_close(&w->link, final_status(w, status, owner_closed));
  }
  wr_free(mem_of(w), w);
}

static const wr_link_handler inner_handler = {.on_read = on_inner_read,
                                              .on_eof = on_inner_eof,
                                              .on_writable = on_inner_writable,
                                              .on_close = on_inner_close};

/* The operations. */

static int closed_error(const ws *w) {
  return w->status != 0 ? w->status : WR_ECLOSED;
}

static int ws_read_start(wr_link *link) {
  ws *w = ws_of(link);
  if (w->state != WS_OPEN) {
    return closed_error(w);
  }
  if (w->peer_ended) {
    return 0;
  }
  w->reading = true;
  return wr_link_read_start(w->inner);
}

static void ws_read_stop(wr_link *link) {
  ws *w = ws_of(link);
  if (w->state == WS_OPEN) {
    w->reading = false;
    wr_link_read_stop(w->inner);
  }
}

static int ws_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                    size_t *taken) {
  ws *w = ws_of(link);
  size_t total = 0;
  size_t at = 0;
  int err = 0;
  *taken = 0;
  if (w->state != WS_OPEN || w->shut) {
    return closed_error(w);
  }
  for (unsigned i = 0; i < n; i++) {
    total += bufs[i].len;
  }
  while (err == 0 && at < total && w->out == NULL) {
    size_t done = 0;
    err = send_frame(w, WR_WS_OP_BINARY, bufs, n, at,
                     WR_MIN(total - at, WR_WS_FRAME_MAX), &done);
    at += done;
  }
  if (err != 0) {
    if (w->status != 0) {
      fail(w, err);
    }
    return err;
  }
  w->want_writable = at < total;
  *taken = at;
  return 0;
}

static int ws_shutdown(wr_link *link) {
  ws *w = ws_of(link);
  if (w->state != WS_OPEN) {
    return closed_error(w);
  }
  if (!w->shut) {
    w->shut = true;
    w->want_writable = false;
    w->ping_due = false;
    wr_timer_stop(&w->ping);
    flush(w);
  }
  return 0;
}

/* What the peer still says is read away while it is waited for. */
static void begin_closing(ws *w) {
  w->state = WS_CLOSING;
  w->reading = false;
  wr_ctx_add_object(w->link.ctx, &w->obj);
  wr_timer_start(&w->limit, w->opts.linger_ms);
  (void)wr_link_read_start(w->inner);
  await_answer(w);
}

static void ws_close(wr_link *link, wr_close_mode mode) {
  ws *w = ws_of(link);
  if (mode == WR_CLOSE_RESET) {
    close_inner(w, mode);
    return;
  }
  if (w->state != WS_OPEN) {
    return;
  }
  (void)ws_shutdown(link);
  if (link->ctx->exiting) {
    close_inner(w, mode);
  } else if (w->state == WS_OPEN) {
    begin_closing(w);
  }
}

static void ws_query(const wr_link *link, wr_link_info *info) {
  wr_link_query(ws_of(link)->inner, info);
  info->transport = info->encrypted ? "wss" : "ws";
}

static const wr_link_ops ws_ops = {.name = "ws",
                                   .read_start = ws_read_start,
                                   .read_stop = ws_read_stop,
                                   .write = ws_write,
                                   .shutdown = ws_shutdown,
                                   .close = ws_close,
                                   .query = ws_query};

static void set_opts(ws *w, const wr_ws_opts *opts) {
  w->opts = *opts;
  if (w->opts.max_frame == 0) {
    w->opts.max_frame = WR_WS_TAKE_MAX;
  }
  if (w->opts.linger_ms == 0) {
    w->opts.linger_ms = WR_WS_LINGER_MS;
  }
  if (w->opts.answer_ms == 0) {
    w->opts.answer_ms = WR_WS_ANSWER_MS;
  }
  wr_ws_decoder_init(&w->decoder, !is_client(w), w->opts.max_frame);
}

static int keep_first(ws *w, wr_slice first) {
  if (first.len == 0) {
    return 0;
  }
  w->out = wr_alloc(mem_of(w), first.len);
  if (w->out == NULL) {
    return WR_ENOMEM;
  }
  memcpy(w->out, first.data, first.len);
  w->out_len = first.len;
  wr_task_post(w->link.ctx, &w->flush);
  return 0;
}

int wr_ws_new(wr_link *inner, const wr_ws_opts *opts, wr_slice first,
              wr_link **out) {
  ws *w = wr_calloc(&inner->ctx->mem, 1, sizeof(*w));
  if (w == NULL) {
    return WR_ENOMEM;
  }
  w->link.ops = &ws_ops;
  w->link.ctx = inner->ctx;
  w->inner = inner;
  set_opts(w, opts);
  wr_timer_init(&w->ping, inner->ctx, on_ping);
  wr_timer_init(&w->limit, inner->ctx, on_limit);
  wr_task_init(&w->flush, on_flush);
  wr_list_init(&w->obj.node);
  w->obj.shutdown = on_obj_shutdown;
  if (keep_first(w, first) != 0) {
    wr_free(&inner->ctx->mem, w);
    return WR_ENOMEM;
  }
  if (w->opts.ping_ms > 0) {
    wr_timer_start(&w->ping, w->opts.ping_ms);
  }
  inner->handler = &inner_handler;
  inner->user = w;
  *out = &w->link;
  return 0;
}
