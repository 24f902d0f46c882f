#include "app/tunnel_internal.h"

#include <string.h>

/* A listener of the tunnel's. */
typedef struct tunnel_local {
  wr_list node;
  wr_tunnel *tunnel;
  wr_local *local; /* NULL: it is closing */
  void (*on_closed)(void *user);
  void *user;
} tunnel_local;

/* CHANNELS */

int wr_tunnel_open(wr_tunnel *t, const wr_target *target, wr_opening_cb cb,
                   void *user, wr_opening **out) {
  if (t->state != TUNNEL_UP || t->closing) {
    return WR_ETUNNEL_DOWN;
  }
  int err = wr_ssh_open(t->ssh, target, cb, user, out);
  if (err == 0) {
    t->past.channels_opened++;
  } else {
    t->past.channels_failed++;
  }
  /* The session is ending, and on_down has not come yet. */
  return err == WR_ECLOSED ? WR_ETUNNEL_DOWN : err;
}

static int on_opener_open(wr_opener *o, const wr_target *target,
                          wr_opening_cb cb, void *user, wr_opening **out) {
  return wr_tunnel_open(wr_container_of(o, wr_tunnel, opener), target, cb, user,
                        out);
}

/* LOCAL LISTENERS */

int wr_tunnel_listen(wr_tunnel *t, const wr_local_opts *opts, wr_local **out) {
  if (t->closing || t->ctx->exiting) {
    return WR_ECLOSED;
  }
  tunnel_local *l = wr_calloc(&t->ctx->mem, 1, sizeof(*l));
  if (l == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_local_start(t->ctx, &t->opener, opts, &l->local);
  if (err != 0) {
    wr_free(&t->ctx->mem, l);
    return err;
  }
  l->tunnel = t;
  wr_list_push(&t->locals, &l->node);
  *out = l->local;
  return 0;
}

static void on_local_closed(void *user) {
  tunnel_local *l = user;
  wr_tunnel *t = l->tunnel;
  wr_list_remove(&l->node);
  if (l->on_closed != NULL) {
    l->on_closed(l->user);
  }
  wr_free(&t->ctx->mem, l);
  wr__tunnel_gone(t);
}

static void close_local(tunnel_local *l) {
  wr_local *local = l->local;
  l->local = NULL;
  if (local != NULL) {
    wr_local_close(local, on_local_closed, l);
  }
}

void wr_tunnel_unlisten(wr_tunnel *t, wr_local *l,
                        void (*on_closed)(void *user), void *user) {
  wr_list_each(it, &t->locals) {
    tunnel_local *mine = wr_container_of(it, tunnel_local, node);
    if (mine->local == l) {
      mine->on_closed = on_closed;
      mine->user = user;
      close_local(mine);
      return;
    }
  }
}

/* LIFE CYCLE */

static bool is_gone(const wr_tunnel *t) {
  return t->closing && t->state == TUNNEL_IDLE && wr_list_empty(&t->locals) &&
         wr_list_empty(&t->remotes) && wr_list_empty(&t->removed);
}

static void on_task(wr_task *task) {
  wr_tunnel *t = wr_container_of(task, wr_tunnel, task);
  if (t->state == TUNNEL_GIVEN_UP) {
    wr__connect_given_up(t);
  }
  if (!is_gone(t)) {
    return;
  }
  wr_task_cancel(&t->task);
  wr_ctx_remove_object(&t->obj);
  t->handler->on_close(t);
  wr_free(&t->ctx->mem, t);
}

void wr__tunnel_gone(wr_tunnel *t) {
  wr_task_post(t->ctx, &t->task);
}

void wr_tunnel_close(wr_tunnel *t, bool orderly) {
  if (!t->closing) {
    t->closing = true;
    wr_list_each(it, &t->locals) {
      close_local(wr_container_of(it, tunnel_local, node));
    }
    wr__remote_remove_all(t);
  }
  wr__connect_end(t, orderly);
  wr__tunnel_gone(t);
}

static void on_obj_shutdown(wr_obj *obj) {
  wr_tunnel_close(wr_container_of(obj, wr_tunnel, obj), false);
}

int wr_tunnel_new(wr_ctx *ctx, const wr_tunnel_handler *handler, void *user,
                  wr_tunnel **out) {
  if (ctx->exiting) {
    return WR_ECLOSED;
  }
  wr_tunnel *t = wr_calloc(&ctx->mem, 1, sizeof(*t));
  if (t == NULL) {
    return WR_ENOMEM;
  }
  t->ctx = ctx;
  t->handler = handler;
  t->user = user;
  t->state = TUNNEL_IDLE;
  t->end_text = "";
  t->opener.open = on_opener_open;
  wr_list_init(&t->locals);
  wr_list_init(&t->remotes);
  wr_list_init(&t->removed);
  wr_task_init(&t->task, on_task);
  t->obj.shutdown = on_obj_shutdown;
  wr_ctx_add_object(ctx, &t->obj);
  *out = t;
  return 0;
}

void *wr_tunnel_user(const wr_tunnel *t) {
  return t->user;
}

bool wr_tunnel_is_up(const wr_tunnel *t) {
  return t->state == TUNNEL_UP;
}

wr_ssh *wr_tunnel_session(wr_tunnel *t) {
  return t->state == TUNNEL_UP ? t->ssh : NULL;
}

const char *wr_tunnel_end_text(const wr_tunnel *t) {
  return t->end_text;
}

bool wr_tunnel_peer(wr_tunnel *t, struct sockaddr_storage *ss) {
  if (t->has_peer) {
    *ss = t->peer;
  }
  return t->has_peer;
}

void wr_tunnel_get_stats(const wr_tunnel *t, wr_tunnel_stats *stats) {
  *stats = t->past;
  if (t->ssh != NULL) {
    wr_ssh_info info;
    wr_ssh_query(t->ssh, &info);
    stats->bytes_in += info.bytes_in;
    stats->bytes_out += info.bytes_out;
    stats->channels = info.channels;
    stats->rtt_us = info.rtt_us;
  }
}
