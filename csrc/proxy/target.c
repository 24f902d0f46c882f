#include "proxy/target.h"

#include <string.h>

#include "base/errors.h"
#include "net/splice.h"
#include "proxy/discard.h"
#include "proxy/spec.h"

struct wr_target_conn {
  wr_list node;
  wr_ctx *ctx;
  wr_target_owner *owner;
  wr_endpoint to;
  wr_open *open;     /* while it is not answered */
  wr_dial *dial;     /* while under way; large, so not kept for the rest */
  wr_splice *splice; /* once it is connected */
  wr_ip ip;          /* that was dialled; family 0: none is known */
  wr_task end;
};

/* WHAT IS ALLOWED. It is asked for anew each time. */

static wr_access access_of(const wr_target_conn *c) {
  return c->owner->access != NULL ? c->owner->access(c->owner)
                                  : (wr_access){NULL, NULL, false};
}

/* Judges what is known: the name, and the address once there is one. */
static int judge(const wr_target_conn *c) {
  wr_access a = access_of(c);
  bool ok;
  if (c->to.is_unix) {
    ok = wr_access_unix(&a, c->to.host);
  } else if (c->ip.family != 0) {
    ok = wr_access_address(&a, c->to.host, c->to.port, &c->ip);
  } else {
    ok = wr_access_host(&a, c->to.host, c->to.port);
  }
  return ok ? 0 : WR_ECHANNEL_DENIED;
}

static bool allow_address(void *data, const struct sockaddr *sa) {
  const wr_target_conn *c = data;
  wr_access a = access_of(c);
  wr_ip ip;
  return wr_ip_from_sockaddr(sa, &ip) &&
         wr_access_address(&a, c->to.host, c->to.port, &ip);
}

/* LIFE CYCLE */

static void finish(wr_target_conn *c) {
  wr_target_owner *owner = c->owner;
  wr_ctx *ctx = c->ctx;
  wr_list_remove(&c->node);
  owner->n_conns--;
  if (owner->on_end != NULL) {
    owner->on_end(owner, c); /* the owner may be gone after it */
  }
  wr_free(&ctx->mem, c);
}

static void on_end_task(wr_task *task) {
  finish(wr_container_of(task, wr_target_conn, end));
}

static void drop_dial(wr_target_conn *c) {
  if (c->dial != NULL) {
    wr_dial_cancel(c->dial);
    wr_free(&c->ctx->mem, c->dial);
    c->dial = NULL;
  }
}

/* Answers the open with a failure and ends the connection, which comes to
   nothing. on_end is called later, never from inside the call. */
static void give_up(wr_target_conn *c, int err) {
  drop_dial(c);
  if (c->open != NULL) {
    wr_open *open = c->open;
    c->open = NULL;
    wr_open_refuse(open, err);
  }
  wr_task_post(c->ctx, &c->end);
}

static void on_spliced(void *user, int status, uint64_t ab, uint64_t ba) {
  WR_UNUSED(status);
  WR_UNUSED(ab);
  WR_UNUSED(ba);
  finish(user);
}

/* CONNECTING */

/* Through a proxy only that one's address is known, which says nothing. */
static void note_address(wr_target_conn *c, const wr_link *link) {
  wr_link_info info;
  if (c->owner->proxy != NULL) {
    return;
  }
  wr_link_query(link, &info);
  if (info.has_peer) {
    (void)wr_ip_from_sockaddr((const struct sockaddr *)&info.peer, &c->ip);
  }
}

static void connect_through(wr_target_conn *c, wr_link *link) {
  wr_link *channel = wr_open_accept(c->open);
  c->open = NULL;
  if (channel != NULL) {
    if (wr_splice_start(c->ctx, link, channel, (wr_slice){NULL, 0}, on_spliced,
                        c, &c->splice) == 0) {
      return;
    }
    wr__link_discard(channel);
  }
  wr__link_discard(link);
  give_up(c, WR_ECHANNEL_FAILED);
}

static void tell_of_proxy(wr_target_owner *owner, int err) {
  bool own = err == WR_EPROXY_AUTH || err == WR_EPROXY_PROTOCOL ||
             err == WR_EPROXY_UNREACHABLE;
  if (own && owner->on_proxy_failed != NULL) {
    owner->on_proxy_failed(owner, err);
  }
}

static void on_dialed(wr_dial *d, int status, wr_link *link) {
  wr_target_conn *c = d->user;
  wr_free(&c->ctx->mem, c->dial);
  c->dial = NULL;
  if (status != 0) {
    tell_of_proxy(c->owner, status);
    give_up(c, status);
    return;
  }
  note_address(c, link);
  int err = judge(c);
  if (err != 0) {
    wr__link_discard(link);
    give_up(c, err);
    return;
  }
  connect_through(c, link);
}

static int start_dial(wr_target_conn *c) {
  c->dial = wr_calloc(&c->ctx->mem, 1, sizeof(*c->dial));
  if (c->dial == NULL) {
    return WR_ENOMEM;
  }
  c->dial->user = c;
  wr_dial_opts opts = {.port = c->to.port,
                       .owner = c->owner,
                       .timeout_ms = c->owner->dial_timeout_ms,
                       .proxy = c->owner->proxy,
                       .allow = allow_address,
                       .allow_data = c};
  if (c->to.is_unix) {
    opts.path = c->to.host;
  } else {
    opts.host = c->to.host;
  }
  int err = wr_dial_start(c->ctx, c->dial, &opts, on_dialed);
  if (err != 0) {
    wr_free(&c->ctx->mem, c->dial);
    c->dial = NULL;
  }
  return err;
}

/* What the open asks for. WR_ECHANNEL_UNKNOWN if that can be no target here. */
static int read_target(const wr_target *from, wr_endpoint *to) {
  if (from->kind != WR_TARGET_TCP && from->kind != WR_TARGET_UNIX) {
    return WR_ECHANNEL_UNKNOWN;
  }
  to->is_unix = from->kind == WR_TARGET_UNIX;
  to->port = from->port;
  memcpy(to->host, from->host, sizeof(to->host));
  return 0;
}

static int begin(wr_target_conn *c, const wr_endpoint *to) {
  char name[WR_HOST_MAX + 1];
  int err = 0;
  if (to != NULL) {
    c->to = *to;
  } else {
    err = read_target(wr_open_target(c->open), &c->to);
  }
  /* Such names are answered inside the server, and looked up nowhere. */
  if (err == 0 && !c->to.is_unix && wr_reserved_name(c->to.host, name)) {
    err = WR_ECHANNEL_UNKNOWN;
  }
  err = err != 0 ? err : judge(c);
  return err != 0 ? err : start_dial(c);
}

void wr_target_connect(wr_ctx *ctx, wr_target_owner *owner, wr_open *open,
                       const wr_endpoint *to) {
  wr_target_conn *c = wr_calloc(&ctx->mem, 1, sizeof(*c));
  if (c == NULL) {
    wr_open_refuse(open, WR_ENOMEM);
    return;
  }
  c->ctx = ctx;
  c->owner = owner;
  c->open = open;
  wr_task_init(&c->end, on_end_task);
  wr_list_push(&owner->conns, &c->node);
  owner->n_conns++;
  wr_open_set_user(open, c);
  int err = begin(c, to);
  if (err != 0) {
    give_up(c, err);
  }
}

void wr_target_canceled(wr_open *open) {
  wr_target_conn *c = wr_open_user(open);
  if (c != NULL && c->open == open) {
    c->open = NULL;
    give_up(c, WR_ECANCELED);
  }
}

static void abort_conn(wr_target_conn *c, int err) {
  if (c->splice != NULL) {
    wr_splice_abort(c->splice);
  } else {
    give_up(c, err);
  }
}

void wr_target_abort_all(wr_target_owner *owner) {
  wr_list_each(it, &owner->conns) {
    abort_conn(wr_container_of(it, wr_target_conn, node), WR_ECANCELED);
  }
}

void wr_target_recheck(wr_target_owner *owner) {
  wr_list_each(it, &owner->conns) {
    wr_target_conn *c = wr_container_of(it, wr_target_conn, node);
    int err = judge(c);
    if (err != 0) {
      abort_conn(c, err);
    }
  }
}
