#include <string.h>

#include "base/errors.h"
#include "net/splice.h"
#include "proxy/discard.h"
#include "proxy/remote_internal.h"

/* A connection to a listener of ours and the channel that it becomes. */
typedef struct remote_conn {
  wr_list node;
  wr_ctx *ctx;
  wr_link *link;       /* until it is spliced */
  wr_opening *opening; /* the client has not answered yet */
  wr_splice *splice;
} remote_conn;

/* CONNECTIONS */

static void conn_free(remote_conn *c) {
  wr_list_remove(&c->node);
  wr_free(&c->ctx->mem, c);
}

static void drop_opening(remote_conn *c) {
  if (c->opening != NULL) {
    wr_opening_cancel(c->opening);
    c->opening = NULL;
  }
}

static void on_link_close(wr_link *link, int status) {
  remote_conn *c = link->user;
  WR_UNUSED(status);
  drop_opening(c);
  conn_free(c);
}

/* Nothing is read before the channel is there; the system keeps it. */
static const wr_link_handler waiting_handler = {.on_close = on_link_close};

static void on_spliced(void *user, int status, uint64_t ab, uint64_t ba) {
  WR_UNUSED(status);
  WR_UNUSED(ab);
  WR_UNUSED(ba);
  conn_free(user);
}

static void on_opened(void *user, int status, wr_link *channel) {
  remote_conn *c = user;
  c->opening = NULL;
  if (status == 0) {
    status = wr_splice_start(c->ctx, c->link, channel, (wr_slice){NULL, 0},
                             on_spliced, c, &c->splice);
    if (status != 0) {
      wr__link_discard(channel);
    }
  }
  if (status != 0) {
    wr_link_close(c->link, WR_CLOSE_RESET);
  }
}

/* The address and port as the client asked for them (RFC 4254, section 7.2): it
   finds its forward by them. */
static void fill_target(const remote_forward *f, const wr_link *link,
                        wr_target *t) {
  wr_link_info info;
  *t = (wr_target){.kind = f->kind == FORWARD_UNIX ? WR_TARGET_FORWARDED_UNIX
                                                   : WR_TARGET_FORWARDED_TCP,
                   .port = f->port};
  memcpy(t->host, f->host, sizeof(t->host));
  wr_link_query(link, &info);
  if (info.has_peer) {
    const struct sockaddr *sa = (const struct sockaddr *)&info.peer;
    wr_sockaddr_host(sa, t->origin_host);
    t->origin_port = wr_sockaddr_port(sa);
  }
}

/* How many there may be is bounded by the channels of the session. */
static void on_accept(wr_listener *listener, wr_link *link) {
  remote_forward *f = wr_listener_user(listener);
  wr_target target;
  remote_conn *c = NULL;
  if (f->session != NULL) {
    c = wr_calloc(&f->ctx->mem, 1, sizeof(*c));
  }
  if (c == NULL) {
    wr__link_discard(link);
    return;
  }
  c->ctx = f->ctx;
  c->link = link;
  link->handler = &waiting_handler;
  link->user = c;
  wr_list_push(&f->session->conns, &c->node);
  fill_target(f, link, &target);
  if (wr_ssh_open(f->session->ssh, &target, on_opened, c, &c->opening) != 0) {
    c->opening = NULL;
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

void wr__forward_drop_conns(wr_remote_session *s) {
  for (;;) {
    wr_list *node = wr_list_shift(&s->conns);
    if (node == NULL) {
      return;
    }
    remote_conn *c = wr_container_of(node, remote_conn, node);
    drop_opening(c);
    if (c->splice != NULL) {
      wr_splice_abort(c->splice); /* on_spliced() frees it */
    } else {
      wr_link_close(c->link, WR_CLOSE_RESET); /* on_link_close() does */
    }
  }
}

/* FORWARDS */

static void forward_free(remote_forward *f) {
  wr_free(&f->ctx->mem, f);
}

static void on_listener_close(wr_listener *listener) {
  remote_forward *f = wr_listener_user(listener);
  f->n_listeners--;
  if (f->n_listeners == 0) {
    forward_free(f);
  }
}

static const wr_listener_handler listener_handler = {
    .on_accept = on_accept, .on_close = on_listener_close};

static int listen_now(remote_forward *f) {
  int err = 0;
  if (f->kind == FORWARD_NAME) {
    return 0;
  }
  if (f->kind == FORWARD_UNIX) {
    err = wr_listener_unix(f->ctx, f->host, &listener_handler, f,
                           &f->listeners[0]);
  } else {
    err = wr__bind_tcp(f->ctx, f->bind, f->port, &listener_handler, f,
                       f->listeners);
  }
  if (err != 0) {
    return err;
  }
  f->n_listeners = f->listeners[1] != NULL ? 2 : 1;
  f->port = f->kind == FORWARD_TCP ? wr__bind_port(f->listeners[0]) : 0;
  return 0;
}

int wr__forward_start(wr_remote_session *s, const forward_want *want,
                      remote_forward **out) {
  wr_ctx *ctx = s->remotes->ctx;
  remote_forward *f = wr_calloc(&ctx->mem, 1, sizeof(*f));
  if (f == NULL) {
    return WR_ENOMEM;
  }
  f->ctx = ctx;
  f->kind = want->kind;
  f->port = want->port;
  f->any_port = want->port == 0;
  memcpy(f->host, want->host, sizeof(f->host));
  memcpy(f->bind, want->bind, sizeof(f->bind));
  int err = listen_now(f);
  if (err != 0) {
    forward_free(f);
    return err;
  }
  f->session = s;
  wr_list_push(&s->forwards, &f->node);
  s->n_forwards++;
  *out = f;
  return 0;
}

static void leave_session(remote_forward *f) {
  wr_list_remove(&f->node);
  f->session->n_forwards--;
  f->session = NULL;
}

void wr__forward_close(remote_forward *f) {
  leave_session(f);
  if (f->n_listeners == 0) {
    forward_free(f);
    return;
  }
  for (size_t i = 0; i < WR_BIND_MAX; i++) {
    if (f->listeners[i] != NULL) {
      wr_listener_close(f->listeners[i]);
    }
  }
}

void wr__forward_move(remote_forward *f, wr_remote_session *to) {
  leave_session(f);
  f->session = to;
  wr_list_push(&to->forwards, &f->node);
  to->n_forwards++;
}
