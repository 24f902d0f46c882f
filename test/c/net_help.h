#ifndef WR_TEST_C_NET_HELP_H
#define WR_TEST_C_NET_HELP_H

/* A loop and a context per test, a pattern to check bytes with, and a link owner
   that counts and can be told what to do. */

#include "tap.h"

#include "base/errors.h"
#include "loop/ctx.h"
#include "loop/timer.h"
#include "net/link.h"
#include "net/listener.h"
#include "net/stream.h"

#define HELP_UNUSED __attribute__((unused))

typedef struct env {
  uv_loop_t loop;
  wr_ctx ctx;
  size_t blocks; /* live after init */
  bool closed;
} env;

HELP_UNUSED static void env_open(env *e) {
  memset(e, 0, sizeof(*e));
  MUST(uv_loop_init(&e->loop) == 0);
  MUST(wr_ctx_init(&e->ctx, &e->loop) == 0);
  e->ctx.user = e;
  e->blocks = e->ctx.mem.live_blocks;
}

HELP_UNUSED static void env_on_closed(wr_ctx *ctx) {
  ((env *)ctx->user)->closed = true;
}

/* Runs the loop until *flag; the alarm of the harness bounds it. */
HELP_UNUSED static void env_until(env *e, const bool *flag) {
  wr_ctx_hold(&e->ctx);
  while (!*flag) {
    uv_run(&e->loop, UV_RUN_ONCE);
  }
  wr_ctx_release(&e->ctx);
}

HELP_UNUSED static void env_until_count(env *e, const int *count, int want) {
  wr_ctx_hold(&e->ctx);
  while (*count < want) {
    uv_run(&e->loop, UV_RUN_ONCE);
  }
  wr_ctx_release(&e->ctx);
}

/* Waits until libuv has only the context's own handles and nothing is left. */
HELP_UNUSED static void env_settle(env *e) {
  wr_ctx_hold(&e->ctx);
  while (e->ctx.uv_handles > 5 || e->ctx.uv_reqs > 0 ||
         e->ctx.mem.live_blocks > e->blocks) {
    uv_run(&e->loop, UV_RUN_ONCE);
  }
  wr_ctx_release(&e->ctx);
}

/* No leak up to here, and teardown leaves nothing behind. */
HELP_UNUSED static void env_close(env *e) {
  EQ_UINT(e->ctx.mem.live_blocks, e->blocks);
  wr_ctx_close(&e->ctx, env_on_closed);
  uv_run(&e->loop, UV_RUN_DEFAULT);
  CHECK(e->closed);
  EQ_UINT(e->ctx.mem.live_blocks, 0);
  EQ_UINT(e->ctx.mem.live_bytes, 0);
  EQ_INT(uv_loop_close(&e->loop), 0);
}

/* A fixed generator, so that a failing run can be had again. */
HELP_UNUSED static uint32_t help_rand(uint32_t *state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  *state = x;
  return x;
}

/* Byte number `at` of stream `seed`. */
HELP_UNUSED static uint8_t pattern(uint32_t seed, uint64_t at) {
  uint64_t x = (at + seed) * UINT64_C(0x9e3779b97f4a7c15);
  return (uint8_t)(x >> 56);
}

/* An owner of a link: writes `to_send` bytes of a pattern, reads and checks
   another, and notes what happens. */
typedef struct peer {
  wr_link *link; /* NULL once closed */
  uint32_t out_seed;
  uint32_t in_seed;
  uint64_t to_send;
  uint64_t sent;
  uint64_t got;
  uint64_t bad;    /* bytes that were not what was expected */
  size_t max_take; /* most bytes taken by one on_read; 0: all */
  bool end_after;  /* shuts down when all is sent */
  bool resume;     /* starts reading again after a partial take */
  bool close_on_eof;
  int close_in;       /* closes inside callback: 'r', 'e', 'w' */
  wr_close_mode mode; /* of these closes */
  bool eof;
  bool closed;
  int status;
  int n_close;
  int n_eof;
  int n_write_errors;
  int write_error;
  wr_task task; /* resumes reading */
} peer;

HELP_UNUSED static void peer_write(peer *p) {
  char chunk[8192];
  while (p->link != NULL && p->sent < p->to_send) {
    size_t taken = 0;
    size_t len = (size_t)WR_MIN(p->to_send - p->sent, sizeof(chunk));
    for (size_t i = 0; i < len; i++) {
      chunk[i] = (char)pattern(p->out_seed, p->sent + i);
    }
    uv_buf_t bufs[2] = {
        uv_buf_init(chunk, (unsigned)(len / 3)),
        uv_buf_init(chunk + len / 3, (unsigned)(len - len / 3))};
    int err = wr_link_write(p->link, bufs, 2, &taken);
    if (err != 0) {
      p->n_write_errors++;
      p->write_error = err;
      return;
    }
    CHECK(taken <= len);
    p->sent += taken;
    if (taken < len) {
      return;
    }
  }
  if (p->link != NULL && p->end_after && p->sent == p->to_send) {
    p->end_after = false;
    wr_link_shutdown(p->link);
  }
}

HELP_UNUSED static void peer_resume(wr_task *task) {
  peer *p = wr_container_of(task, peer, task);
  if (p->link != NULL) {
    wr_link_read_start(p->link);
  }
}

HELP_UNUSED static size_t peer_on_read(wr_link *link, uint8_t *data,
                                       size_t len) {
  peer *p = link->user;
  CHECK(len > 0);
  CHECK(!p->eof && !p->closed);
  size_t take = p->max_take != 0 ? WR_MIN(len, p->max_take) : len;
  if (p->close_in == 'r') {
    wr_link_close(link, p->mode);
  }
  for (size_t i = 0; i < take; i++) {
    p->bad += data[i] != pattern(p->in_seed, p->got + i);
    data[i] = 0; /* allowed */
  }
  p->got += take;
  if (take < len && p->resume) {
    wr_task_post(link->ctx, &p->task);
  }
  return take;
}

HELP_UNUSED static void peer_on_eof(wr_link *link) {
  peer *p = link->user;
  CHECK(!p->closed);
  p->eof = true;
  p->n_eof++;
  if (p->close_in == 'e' || p->close_on_eof) {
    wr_link_close(link, p->mode);
  }
}

HELP_UNUSED static void peer_on_writable(wr_link *link) {
  peer *p = link->user;
  CHECK(!p->closed);
  if (p->close_in == 'w') {
    wr_link_close(link, p->mode);
    return;
  }
  peer_write(p);
}

HELP_UNUSED static void peer_on_close(wr_link *link, int status) {
  peer *p = link->user;
  p->link = NULL;
  p->closed = true;
  p->n_close++;
  p->status = status;
  wr_task_cancel(&p->task);
}

HELP_UNUSED static const wr_link_handler peer_handler = {
    .on_read = peer_on_read,
    .on_eof = peer_on_eof,
    .on_writable = peer_on_writable,
    .on_close = peer_on_close,
};

HELP_UNUSED static void peer_own(peer *p, wr_link *link) {
  p->link = link;
  wr_task_init(&p->task, peer_resume);
  link->user = p;
  link->handler = &peer_handler;
}

HELP_UNUSED static void peer_go(peer *p) {
  MUST(wr_link_read_start(p->link) == 0);
  peer_write(p);
}

/* Owners of two ends, each of which expects what the other one sends. */
HELP_UNUSED static void peers_own(peer *a, wr_link *link_a, peer *b,
                                  wr_link *link_b) {
  peer_own(a, link_a);
  peer_own(b, link_b);
  a->out_seed = b->in_seed = 1;
  b->out_seed = a->in_seed = 2;
}

HELP_UNUSED static void peers_close(peer *a, peer *b) {
  if (a->link != NULL) {
    wr_link_close(a->link, WR_CLOSE_ORDERLY);
  }
  if (b->link != NULL) {
    wr_link_close(b->link, WR_CLOSE_ORDERLY);
  }
}

/* Each has closed once, and no byte was another. */
HELP_UNUSED static void peers_check(const peer *a, const peer *b) {
  EQ_INT(a->n_close, 1);
  EQ_INT(b->n_close, 1);
  EQ_UINT(a->bad + b->bad, 0);
}

/* Two connected sockets on the loopback interface. */
typedef struct help_pair {
  wr_link *accepted;
  wr_stream *stream;
  int left;
} help_pair;

HELP_UNUSED static void help_on_accept(wr_listener *l, wr_link *link) {
  help_pair *pair = wr_listener_user(l);
  pair->accepted = link;
  pair->left--;
}

HELP_UNUSED static void help_on_connect(wr_stream *s, int status) {
  help_pair *pair = wr_stream_link(s)->user;
  MUST(status == 0);
  pair->left--;
}

HELP_UNUSED static const wr_listener_handler help_listener_handler = {
    .on_accept = help_on_accept};

/* a: the side that connected. */
HELP_UNUSED static void tcp_pair(env *e, wr_link **a, wr_link **b) {
  help_pair pair = {.left = 2};
  wr_listener *l;
  struct sockaddr_storage ss;
  MUST(wr_listener_tcp(&e->ctx, "127.0.0.1", 0, false, &help_listener_handler,
                       &pair, &l) == 0);
  wr_listener_addr(l, &ss);
  MUST(wr_stream_new(&e->ctx, AF_INET, &pair.stream) == 0);
  wr_stream_link(pair.stream)->user = &pair;
  MUST(wr_stream_connect(pair.stream, (struct sockaddr *)&ss,
                         help_on_connect) == 0);
  wr_ctx_hold(&e->ctx);
  while (pair.left > 0) {
    uv_run(&e->loop, UV_RUN_ONCE);
  }
  wr_ctx_release(&e->ctx);
  wr_listener_close(l);
  *a = wr_stream_link(pair.stream);
  *b = pair.accepted;
}

#endif /* WR_TEST_C_NET_HELP_H */
