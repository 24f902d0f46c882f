#include "proxy/local.h"

#include <string.h>

#include "base/errors.h"
#include "loop/timer.h"
#include "net/splice.h"
#include "proxy/bind.h"
#include "proxy/discard.h"
#include "proxy/gate.h"

#define HANDSHAKE_MS 10000
#define MAX_CONNECTIONS 10000
/* How long, and for how much, a refused client is listened to, so that a reset
   does not destroy the reply on its way. */
#define DRAIN_MS 2000
#define DRAIN_BYTES ((size_t)64 * 1024)
/* One read before the splice: what a client sends early waits in its link. */
#define READ_SIZE ((size_t)4096)

struct wr_local {
  wr_ctx *ctx;
  wr_opener *opener;
  wr_listener *listeners[WR_BIND_MAX];
  size_t n_listeners; /* open or closing */
  bool inbound;
  wr_endpoint target;
  char *user;
  char *password;
  uint64_t handshake_ms;
  uint32_t max_connections;
  wr_list conns; /* of local_conn */
  uint32_t n_conns;
  bool paused; /* as many connections as allowed */
  bool closing;
  wr_task closed; /* looks whether all is gone */
  void (*on_closed)(void *user);
  void *closed_user;
};

typedef enum conn_state {
  CONN_HANDSHAKE = 1, /* SOCKS or HTTP */
  CONN_OPENING,       /* the channel is awaited */
  CONN_REPLYING,      /* it is there; the reply has not gone out */
  CONN_SPLICED,
  CONN_ENDING, /* refused: the reply goes out, then the client is drained */
  CONN_CLOSING /* only on_close is to come */
} conn_state;

typedef struct local_conn {
  wr_list node;
  wr_local *local;
  conn_state state;
  wr_link *link;    /* of the client */
  wr_link *channel; /* while replying */
  wr_inbound *in;   /* NULL for plain forwards, and once spliced */
  wr_opening *opening;
  wr_splice *splice;
  wr_timer timer; /* of the handshake, of the draining */
  size_t drained;
  bool eof;  /* the client has ended its direction */
  bool shut; /* we have */
} local_conn;

/* LIFE CYCLE */

static void pause_all(wr_local *l, bool paused) {
  if (l->paused == paused || l->closing) {
    return;
  }
  l->paused = paused;
  for (size_t i = 0; i < WR_BIND_MAX; i++) {
    if (l->listeners[i] != NULL) {
      wr_listener_pause(l->listeners[i], paused);
    }
  }
}

static void look_for_end(wr_local *l) {
  if (l->closing && l->n_conns == 0 && l->n_listeners == 0) {
    wr_task_post(l->ctx, &l->closed);
  }
}

static void drop_inbound(local_conn *c) {
  if (c->in != NULL) {
    wr_inbound_reset(c->in);
    wr_free(&c->local->ctx->mem, c->in);
    c->in = NULL;
  }
}

static void conn_free(local_conn *c) {
  wr_local *l = c->local;
  wr_timer_stop(&c->timer);
  drop_inbound(c);
  wr_list_remove(&c->node);
  wr_free(&l->ctx->mem, c);
  l->n_conns--;
  if (l->n_conns < l->max_connections) {
    pause_all(l, false);
  }
  look_for_end(l);
}

/* Lets go of a channel, asked for or there. */
static void drop_channel(local_conn *c) {
  if (c->opening != NULL) {
    wr_opening_cancel(c->opening);
    c->opening = NULL;
  }
  if (c->channel != NULL) {
    wr__link_discard(c->channel);
    c->channel = NULL;
  }
}

/* Ends a connection that is not spliced; conn_free() follows. */
static void conn_close(local_conn *c, wr_close_mode mode) {
  if (c->state == CONN_CLOSING) {
    return;
  }
  c->state = CONN_CLOSING;
  wr_timer_stop(&c->timer);
  drop_channel(c);
  wr_link_close(c->link, mode);
}

/* THE SPLICE */

static void on_spliced(void *user, int status, uint64_t ab, uint64_t ba) {
  WR_UNUSED(status);
  WR_UNUSED(ab);
  WR_UNUSED(ba);
  conn_free(user);
}

/* One HTTP request's body alone may pass, and an end that was met early has to
   be told again. */
static int put_gate(local_conn *c) {
  bool http = c->in != NULL && c->in->protocol == WR_INBOUND_HTTP_FORWARD;
  wr_link *gate;
  if (!http && !c->eof) {
    return 0;
  }
  const wr_link_handler *handler = c->link->handler;
  int err = wr__gate_new(c->link, http ? &c->in->body : NULL, c->eof, &gate);
  if (err == 0) {
    gate->handler = handler;
    gate->user = c;
    c->link = gate;
  }
  return err;
}

static void start_splice(local_conn *c) {
  wr_slice early = {NULL, 0};
  int err = put_gate(c);
  if (err == 0 && c->in != NULL) {
    early = (wr_slice){c->in->forward.data, c->in->forward.len};
  }
  if (err == 0) {
    err = wr_splice_start(c->local->ctx, c->link, c->channel, early, on_spliced,
                          c, &c->splice);
  }
  if (err != 0) {
    conn_close(c, WR_CLOSE_RESET);
    return;
  }
  c->state = CONN_SPLICED;
  c->channel = NULL;
  wr_timer_stop(&c->timer);
  drop_inbound(c);
}

/* REPLIES */

/* What the reply leads to, once it is out. */
static void after_reply(local_conn *c) {
  if (c->state == CONN_REPLYING) {
    start_splice(c);
  } else if (c->state == CONN_ENDING && !c->shut) {
    c->shut = true;
    if (c->eof || wr_link_shutdown(c->link) != 0) {
      conn_close(c, WR_CLOSE_ORDERLY);
    }
  }
}

/* Sends what the parser wants to say; on_writable goes on with it. */
static void flush(local_conn *c) {
  wr_buf *out = &c->in->out;
  size_t taken = 0;
  while (out->len > 0) {
    uv_buf_t buf = {.base = (char *)out->data, .len = out->len};
    if (wr_link_write(c->link, &buf, 1, &taken) != 0) {
      conn_close(c, WR_CLOSE_RESET);
      return;
    }
    wr_buf_consume(out, taken);
    if (out->len > 0 && taken == 0) {
      return;
    }
  }
  after_reply(c);
}

/* The parser has failed, or the reply says that the channel has. */
static void begin_ending(local_conn *c) {
  if (c->in->out.len == 0) {
    conn_close(c, WR_CLOSE_ORDERLY);
    return;
  }
  c->state = CONN_ENDING;
  wr_timer_start(&c->timer, DRAIN_MS);
  (void)wr_link_read_start(c->link); /* what was left is of no use now */
  flush(c);
}

static void open_failed(local_conn *c, int err) {
  if (c->in == NULL || wr_inbound_reply(c->in, err) != 0) {
    conn_close(c, WR_CLOSE_RESET);
    return;
  }
  begin_ending(c);
}

/* OPENING */

/* Its end comes with on_close if it comes this early. */
static void on_channel_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void on_channel_close(wr_link *link, int status) {
  local_conn *c = link->user;
  WR_UNUSED(status);
  c->channel = NULL;
  conn_close(c, WR_CLOSE_RESET);
}

/* Until the splice begins nothing is read from the channel. */
static const wr_link_handler channel_handler = {.on_eof = on_channel_eof,
                                                .on_close = on_channel_close};

static void on_opened(void *user, int status, wr_link *link) {
  local_conn *c = user;
  c->opening = NULL;
  if (status != 0) {
    open_failed(c, status);
    return;
  }
  c->channel = link;
  link->handler = &channel_handler;
  link->user = c;
  c->state = CONN_REPLYING;
  if (c->in == NULL) {
    start_splice(c);
  } else if (wr_inbound_reply(c->in, 0) != 0) {
    conn_close(c, WR_CLOSE_RESET);
  } else {
    flush(c);
  }
}

/* Who connects to us is nobody's business (docs/decisions/originator.md). */
static void start_open(local_conn *c) {
  wr_local *l = c->local;
  const wr_endpoint *e = c->in != NULL ? &c->in->target : &l->target;
  wr_target target = {.kind = e->is_unix ? WR_TARGET_UNIX : WR_TARGET_TCP,
                      .port = e->port,
                      .origin_host = "127.0.0.1"};
  memcpy(target.host, e->host, sizeof(target.host));
  c->state = CONN_OPENING;
  wr_timer_stop(&c->timer);
  int err = l->opener->open(l->opener, &target, on_opened, c, &c->opening);
  if (err != 0) {
    c->opening = NULL;
    open_failed(c, err);
  }
}

/* THE CLIENT */

static void on_alloc(wr_link *link, uint8_t **base, size_t *len) {
  *base = link->ctx->scratch;
  *len = READ_SIZE;
}

static size_t on_handshake(local_conn *c, const uint8_t *data, size_t len) {
  size_t taken = 0;
  if (wr_inbound_feed(c->in, data, len, &taken) != 0) {
    conn_close(c, WR_CLOSE_RESET);
    return len;
  }
  if (c->in->state == WR_INBOUND_FAILED) {
    begin_ending(c);
    return len;
  }
  flush(c);
  if (c->state == CONN_HANDSHAKE && c->in->state == WR_INBOUND_CONNECT) {
    start_open(c);
  }
  return taken;
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  local_conn *c = link->user;
  switch (c->state) {
  case CONN_HANDSHAKE:
    return on_handshake(c, data, len);
  case CONN_ENDING:
    c->drained += len;
    if (c->drained > DRAIN_BYTES) {
      conn_close(c, WR_CLOSE_ORDERLY);
    }
    return len;
  case CONN_OPENING:
  case CONN_REPLYING:
    return 0; /* the link keeps it for the splice */
  case CONN_SPLICED:
  case CONN_CLOSING:
    break;
  }
  return len;
}

/* A client that waits for a reply has no reason to end its direction: it is
   leaving. Through a plain forward, and after a whole HTTP request, the end may
   be all that it has to say before it reads. */
static void on_eof(wr_link *link) {
  local_conn *c = link->user;
  bool leaving = c->in != NULL && c->in->protocol != WR_INBOUND_HTTP_FORWARD;
  c->eof = true;
  if (c->state == CONN_HANDSHAKE || (c->state == CONN_OPENING && leaving) ||
      (c->state == CONN_ENDING && c->shut)) {
    conn_close(c, WR_CLOSE_ORDERLY);
  }
}

static void on_writable(wr_link *link) {
  local_conn *c = link->user;
  if (c->in != NULL && c->state != CONN_CLOSING) {
    flush(c);
  }
}

static void on_close(wr_link *link, int status) {
  local_conn *c = link->user;
  WR_UNUSED(status);
  drop_channel(c); /* the client may have gone by itself */
  conn_free(c);
}

static const wr_link_handler client_handler = {.alloc = on_alloc,
                                               .on_read = on_read,
                                               .on_eof = on_eof,
                                               .on_writable = on_writable,
                                               .on_close = on_close};

static void on_timer(wr_timer *timer) {
  local_conn *c = wr_container_of(timer, local_conn, timer);
  conn_close(c, c->state == CONN_ENDING ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET);
}

static local_conn *conn_new(wr_local *l, wr_link *link) {
  local_conn *c = wr_calloc(&l->ctx->mem, 1, sizeof(*c));
  if (c == NULL) {
    return NULL;
  }
  if (l->inbound) {
    c->in = wr_alloc(&l->ctx->mem, sizeof(*c->in));
    if (c->in == NULL) {
      wr_free(&l->ctx->mem, c);
      return NULL;
    }
    wr_inbound_init(c->in, &l->ctx->mem, l->user, l->password);
  }
  c->local = l;
  c->link = link;
  wr_timer_init(&c->timer, l->ctx, on_timer);
  wr_list_push(&l->conns, &c->node);
  l->n_conns++;
  link->handler = &client_handler;
  link->user = c;
  return c;
}

/* LISTENERS */

static void on_accept(wr_listener *listener, wr_link *link) {
  wr_local *l = wr_listener_user(listener);
  local_conn *c = conn_new(l, link);
  if (c == NULL) {
    wr_link_close(link, WR_CLOSE_RESET);
    return;
  }
  if (l->n_conns >= l->max_connections) {
    pause_all(l, true);
  }
  /* Also while a plain forward opens: the client may reset meanwhile. */
  (void)wr_link_read_start(link);
  if (l->inbound) {
    c->state = CONN_HANDSHAKE;
    wr_timer_start(&c->timer, l->handshake_ms);
  } else {
    start_open(c);
  }
}

static void on_listener_close(wr_listener *listener) {
  wr_local *l = wr_listener_user(listener);
  l->n_listeners--;
  look_for_end(l);
}

static const wr_listener_handler listener_handler = {
    .on_accept = on_accept, .on_close = on_listener_close};

static void local_free(wr_local *l) {
  wr_mem *mem = &l->ctx->mem;
  wr_free(mem, l->user);
  if (l->password != NULL) {
    wr_free_secret(mem, l->password, strlen(l->password));
  }
  wr_free(mem, l);
}

static void on_all_closed(wr_task *task) {
  wr_local *l = wr_container_of(task, wr_local, closed);
  void (*on_closed)(void *) = l->on_closed;
  void *user = l->closed_user;
  local_free(l);
  if (on_closed != NULL) {
    on_closed(user);
  }
}

static int copy_text(wr_mem *mem, const char *text, char **out) {
  *out = text != NULL ? wr_strdup(mem, text) : NULL;
  return text != NULL && *out == NULL ? WR_ENOMEM : 0;
}

static int listen_now(wr_local *l, const wr_local_opts *o) {
  if (o->bind_path != NULL) {
    return wr_listener_unix(l->ctx, o->bind_path, &listener_handler, l,
                            &l->listeners[0]);
  }
  const char *host = o->bind_host != NULL ? o->bind_host : "";
  if (host[0] == '\0') {
    host = o->inbound ? "127.0.0.1" : "localhost";
  }
  return wr__bind_tcp(l->ctx, host, o->bind_port, &listener_handler, l,
                      l->listeners);
}

int wr_local_start(wr_ctx *ctx, wr_opener *opener, const wr_local_opts *opts,
                   wr_local **out) {
  wr_local *l = wr_calloc(&ctx->mem, 1, sizeof(*l));
  if (l == NULL) {
    return WR_ENOMEM;
  }
  l->ctx = ctx;
  l->opener = opener;
  l->inbound = opts->inbound;
  l->target = opts->target;
  l->handshake_ms = opts->handshake_ms != 0 ? opts->handshake_ms : HANDSHAKE_MS;
  l->max_connections =
      opts->max_connections != 0 ? opts->max_connections : MAX_CONNECTIONS;
  wr_list_init(&l->conns);
  wr_task_init(&l->closed, on_all_closed);
  int err = copy_text(&ctx->mem, opts->user, &l->user);
  if (err == 0) {
    err = copy_text(&ctx->mem, opts->password, &l->password);
  }
  if (err == 0) {
    err = listen_now(l, opts);
  }
  if (err != 0) {
    local_free(l);
    return err;
  }
  l->n_listeners = l->listeners[1] != NULL ? 2 : 1;
  *out = l;
  return 0;
}

void wr_local_close(wr_local *l, void (*on_closed)(void *user), void *user) {
  if (l->closing) {
    return;
  }
  l->closing = true;
  l->on_closed = on_closed;
  l->closed_user = user;
  for (size_t i = 0; i < WR_BIND_MAX; i++) {
    if (l->listeners[i] != NULL) {
      wr_listener_close(l->listeners[i]);
    }
  }
  wr_list_each(it, &l->conns) {
    local_conn *c = wr_container_of(it, local_conn, node);
    if (c->state == CONN_SPLICED) {
      wr_splice_abort(c->splice);
    } else {
      conn_close(c, WR_CLOSE_RESET);
    }
  }
  look_for_end(l);
}

void wr_local_addr(const wr_local *l, struct sockaddr_storage *ss) {
  wr_listener_addr(l->listeners[0], ss);
}

uint32_t wr_local_connections(const wr_local *l) {
  return l->n_conns;
}
