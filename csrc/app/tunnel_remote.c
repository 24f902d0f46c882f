#include "app/tunnel_internal.h"

#include <string.h>

/* Remote forwards of the client's (RFC 4254, section 7; PROTOCOL of OpenSSH for
   Unix sockets). One outlives the sessions: each new one is asked again. */

typedef enum forward_state {
  FORWARD_WAITING = 1, /* to be asked for */
  FORWARD_ASKED,       /* the answer is awaited */
  FORWARD_IN_FORCE,
  FORWARD_REFUSED /* in this session */
} forward_state;

struct wr_remote_forward {
  wr_list node;
  wr_tunnel *tunnel;
  void *user;
  forward_state state;
  bool removed;  /* the owner has forgotten it */
  bool reserved; /* bind.host is a reserved name, in lower case */
  bool has_target;
  wr_endpoint bind; /* host as it is sent */
  wr_endpoint target;
  uint16_t port; /* asked for now, or in force; 0: any */
  wr_target_owner conns;
  wr_task ended; /* looks whether a removed one may go */
};

/* THE WIRE */

/* As ssh(1) sends it: nothing means all addresses, loopback has a name. */
static const char *wire_host(const char *host) {
  if (host[0] == '\0') {
    return "localhost";
  }
  return strcmp(host, "*") == 0 ? "" : host;
}

static int put_request(const wr_remote_forward *f, wr_buf *b) {
  int err = wr_buf_put_cstring(b, f->bind.host);
  if (err == 0 && !f->bind.is_unix) {
    err = wr_buf_put_u32(b, f->port);
  }
  return err;
}

static int send_request(wr_remote_forward *f, const char *name,
                        wr_reply_cb cb) {
  wr_buf b;
  wr_buf_init(&b, &f->tunnel->ctx->mem, WR_HOST_MAX + 16);
  int err = put_request(f, &b);
  if (err == 0) {
    err =
        wr_ssh_request(f->tunnel->ssh, name, (wr_slice){b.data, b.len}, cb, f);
  }
  wr_buf_reset(&b);
  return err;
}

static void on_reply(void *user, int status, wr_slice payload);

static int ask(wr_remote_forward *f) {
  const char *name =
      f->bind.is_unix ? "streamlocal-forward@openssh.com" : "tcpip-forward";
  int err = send_request(f, name, on_reply);
  if (err == 0) {
    f->state = FORWARD_ASKED;
  }
  return err;
}

/* Nobody waits for the answer; if it cannot be sent, the session is ending. */
static void send_cancel(wr_remote_forward *f) {
  const char *name = f->bind.is_unix ? "cancel-streamlocal-forward@openssh.com"
                                     : "cancel-tcpip-forward";
  int err = send_request(f, name, NULL);
  WR_UNUSED(err);
}

/* LIFE CYCLE */

static void on_ended(wr_task *task) {
  wr_remote_forward *f = wr_container_of(task, wr_remote_forward, ended);
  wr_tunnel *t = f->tunnel;
  if (f->state == FORWARD_ASKED || f->conns.n_conns > 0) {
    return;
  }
  wr_list_remove(&f->node);
  wr_free(&t->ctx->mem, f);
  wr__tunnel_gone(t);
}

static void look_for_end(wr_remote_forward *f) {
  if (f->removed) {
    wr_task_post(f->tunnel->ctx, &f->ended);
  }
}

static void on_conn_end(wr_target_owner *owner, wr_target_conn *conn) {
  WR_UNUSED(conn);
  look_for_end(wr_container_of(owner, wr_remote_forward, conns));
}

static wr_remote_forward *forward_new(wr_tunnel *t, const wr_endpoint *bind,
                                      const wr_endpoint *target, void *user) {
  wr_remote_forward *f = wr_calloc(&t->ctx->mem, 1, sizeof(*f));
  if (f == NULL) {
    return NULL;
  }
  f->tunnel = t;
  f->user = user;
  f->state = FORWARD_WAITING;
  f->bind = *bind;
  f->has_target = target != NULL;
  if (f->has_target) {
    f->target = *target;
  }
  if (!bind->is_unix) {
    f->reserved = wr_reserved_name(bind->host, f->bind.host);
    if (!f->reserved) {
      snprintf(f->bind.host, sizeof(f->bind.host), "%s", wire_host(bind->host));
    }
    f->bind.port = f->reserved ? 0 : bind->port;
    f->port = f->bind.port;
  }
  f->conns.on_end = on_conn_end;
  wr_list_init(&f->conns.conns);
  wr_task_init(&f->ended, on_ended);
  return f;
}

int wr_tunnel_remote_add(wr_tunnel *t, const wr_endpoint *bind,
                         const wr_endpoint *target, void *user,
                         wr_remote_forward **out) {
  if (t->closing || t->ctx->exiting) {
    return WR_ECLOSED;
  }
  wr_remote_forward *f = forward_new(t, bind, target, user);
  if (f == NULL) {
    return WR_ENOMEM;
  }
  int err = t->state == TUNNEL_UP ? ask(f) : 0;
  /* A session that is full of questions is asked later, one that is ending by
     its successor. */
  if (err != 0 && err != WR_EBUSY && err != WR_ECLOSED) {
    wr_free(&t->ctx->mem, f);
    return err;
  }
  wr_list_push(&t->remotes, &f->node);
  *out = f;
  return 0;
}

void wr_tunnel_remote_remove(wr_tunnel *t, wr_remote_forward *f) {
  f->removed = true;
  wr_list_remove(&f->node);
  wr_list_push(&t->removed, &f->node);
  /* One that is asked for is cancelled when the answer says which port. */
  if (t->state == TUNNEL_UP && f->state == FORWARD_IN_FORCE) {
    send_cancel(f);
  }
  wr_target_abort_all(&f->conns);
  look_for_end(f);
}

void wr__remote_remove_all(wr_tunnel *t) {
  while (!wr_list_empty(&t->remotes)) {
    wr_list *node = t->remotes.next;
    wr_tunnel_remote_remove(t, wr_container_of(node, wr_remote_forward, node));
  }
}

void *wr_remote_forward_user(const wr_remote_forward *f) {
  return f->user;
}

uint32_t wr_remote_forward_connections(const wr_remote_forward *f) {
  return f->conns.n_conns;
}

/* QUESTIONS AND ANSWERS */

static void tell(wr_remote_forward *f, int status) {
  wr_tunnel *t = f->tunnel;
  if (!t->closing) {
    t->handler->on_remote(t, f, status, status == 0 ? f->port : 0);
  }
}

static wr_remote_forward *next_waiting(wr_tunnel *t) {
  wr_list_each(it, &t->remotes) {
    wr_remote_forward *f = wr_container_of(it, wr_remote_forward, node);
    if (f->state == FORWARD_WAITING) {
      return f;
    }
  }
  return NULL;
}

/* As many as the session takes at a time; the answers bring the rest. */
static void ask_waiting(wr_tunnel *t) {
  while (t->state == TUNNEL_UP && !t->closing) {
    wr_remote_forward *f = next_waiting(t);
    int err = f != NULL ? ask(f) : WR_ENOENT;
    if (err == WR_ENOENT || err == WR_EBUSY || err == WR_ECLOSED) {
      return;
    }
    if (err != 0) {
      f->state = FORWARD_REFUSED;
      tell(f, err);
    }
  }
}

/* Port 0 was asked for: the answer says which one it has become. */
static bool read_port(wr_remote_forward *f, wr_slice payload) {
  if (f->bind.is_unix || f->reserved || f->port != 0) {
    return true;
  }
  wr_rd r;
  wr_rd_init(&r, payload.data, payload.len);
  uint32_t port = wr_rd_u32(&r);
  if (r.bad || port == 0 || port > UINT16_MAX) {
    return false;
  }
  f->port = (uint16_t)port;
  return true;
}

static void granted(wr_remote_forward *f, wr_slice payload) {
  if (!read_port(f, payload)) {
    f->state = FORWARD_REFUSED;
    tell(f, WR_ESSH_PROTOCOL);
    return;
  }
  f->state = FORWARD_IN_FORCE;
  tell(f, 0);
}

static void refused(wr_remote_forward *f, int status) {
  bool again = f->bind.port == 0 && f->port != 0;
  f->state = FORWARD_REFUSED;
  if (again) {
    /* Somebody else has the port that we had: any other will do. */
    f->port = 0;
    f->state = FORWARD_WAITING;
    return;
  }
  tell(f, status);
}

static void answered_removed(wr_remote_forward *f, int status,
                             wr_slice payload) {
  f->state = FORWARD_REFUSED;
  if (status == 0 && read_port(f, payload)) {
    send_cancel(f);
  }
  look_for_end(f);
}

static void on_reply(void *user, int status, wr_slice payload) {
  wr_remote_forward *f = user;
  wr_tunnel *t = f->tunnel;
  if (f->removed) {
    answered_removed(f, status, payload);
  } else if (status == WR_ECLOSED) {
    f->state = FORWARD_WAITING; /* for the next session */
    return;
  } else if (status == 0) {
    granted(f, payload);
  } else {
    refused(f, status);
  }
  ask_waiting(t);
}

void wr__remote_up(wr_tunnel *t) {
  ask_waiting(t);
}

void wr__remote_down(wr_tunnel *t) {
  wr_list_each(it, &t->remotes) {
    wr_container_of(it, wr_remote_forward, node)->state = FORWARD_WAITING;
  }
}

/* CHANNELS */

/* The server names the address as we sent it, and the port that it bound. */
static bool matches(const wr_remote_forward *f, const wr_target *target) {
  char name[WR_HOST_MAX + 1];
  if (f->state != FORWARD_IN_FORCE ||
      f->bind.is_unix != (target->kind == WR_TARGET_FORWARDED_UNIX)) {
    return false;
  }
  if (f->reserved) {
    return wr_reserved_name(target->host, name) &&
           strcmp(name, f->bind.host) == 0;
  }
  return strcmp(target->host, f->bind.host) == 0 &&
         (f->bind.is_unix || target->port == f->port);
}

static wr_remote_forward *find(wr_tunnel *t, const wr_target *target) {
  if (target->kind != WR_TARGET_FORWARDED_TCP &&
      target->kind != WR_TARGET_FORWARDED_UNIX) {
    return NULL;
  }
  wr_list_each(it, &t->remotes) {
    wr_remote_forward *f = wr_container_of(it, wr_remote_forward, node);
    if (matches(f, target)) {
      return f;
    }
  }
  return NULL;
}

void wr__remote_open(wr_tunnel *t, wr_open *open) {
  wr_remote_forward *f = t->closing ? NULL : find(t, wr_open_target(open));
  if (f == NULL) {
    wr_open_refuse(open, WR_ECHANNEL_UNKNOWN);
    return;
  }
  if (f->has_target) {
    wr_target_connect(t->ctx, &f->conns, open, &f->target);
    return;
  }
  wr_target target = *wr_open_target(open);
  wr_link *link = wr_open_accept(open);
  if (link != NULL) {
    t->handler->on_stream(t, f, link, &target);
  }
}
