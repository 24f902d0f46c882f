#include "proxy/remote.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "proxy/remote_internal.h"
#include "proxy/spec.h"

#define MAX_PER_SESSION 100

int wr_remotes_new(wr_ctx *ctx, const wr_remotes_opts *opts, wr_remotes **out) {
  wr_remotes *r = wr_calloc(&ctx->mem, 1, sizeof(*r));
  if (r == NULL) {
    return WR_ENOMEM;
  }
  r->ctx = ctx;
  r->opts = *opts;
  if (r->opts.max_per_session == 0) {
    r->opts.max_per_session = MAX_PER_SESSION;
  }
  wr_list_init(&r->sessions);
  *out = r;
  return 0;
}

void wr_remotes_free(wr_remotes *r) {
  if (r != NULL) {
    WR_ASSERT(wr_list_empty(&r->sessions));
    wr_free(&r->ctx->mem, r);
  }
}

int wr_remote_session_new(wr_remotes *r, wr_ssh *ssh, wr_slice key_blob,
                          void *user, wr_remote_session **out) {
  wr_mem *mem = &r->ctx->mem;
  wr_remote_session *s = wr_calloc(mem, 1, sizeof(*s));
  uint8_t *key = wr_alloc(mem, key_blob.len);
  if (s == NULL || key == NULL) {
    wr_free(mem, s);
    wr_free(mem, key);
    return WR_ENOMEM;
  }
  memcpy(key, key_blob.data, key_blob.len);
  s->remotes = r;
  s->ssh = ssh;
  s->user = user;
  s->key = key;
  s->key_len = key_blob.len;
  wr_list_init(&s->forwards);
  wr_list_init(&s->conns);
  wr_list_push(&r->sessions, &s->node);
  *out = s;
  return 0;
}

void wr_remote_session_free(wr_remote_session *s) {
  wr_mem *mem = &s->remotes->ctx->mem;
  while (!wr_list_empty(&s->forwards)) {
    wr__forward_close(wr_container_of(s->forwards.next, remote_forward, node));
  }
  wr__forward_drop_conns(s);
  wr_list_remove(&s->node);
  wr_free(mem, s->key);
  wr_free(mem, s);
}

void wr_remote_session_set_stale(wr_remote_session *s, bool stale) {
  s->stale = stale;
}

uint32_t wr_remote_count(const wr_remote_session *s) {
  return s->n_forwards;
}

/* WHAT IS ALLOWED */

/* port: that was asked for; bind_port: where it listens, if it does already. */
static bool allowed(const wr_remote_session *s, const forward_want *w,
                    uint16_t bind_port) {
  const wr_remotes_opts *o = &s->remotes->opts;
  wr_access a =
      o->access != NULL ? o->access(s->user) : (wr_access){NULL, NULL, false};
  switch (w->kind) {
  case FORWARD_NAME:
    return wr_access_listen_reserved(&a, w->host);
  case FORWARD_UNIX:
    return o->forwarding && wr_access_listen_unix(&a, w->host);
  case FORWARD_TCP:
    break;
  }
  return o->forwarding &&
         wr_access_listen(&a, w->host, w->port, w->bind, bind_port);
}

static bool still_allowed(const remote_forward *f) {
  forward_want w = {.kind = f->kind, .port = f->any_port ? 0 : f->port};
  memcpy(w.host, f->host, sizeof(w.host));
  memcpy(w.bind, f->bind, sizeof(w.bind));
  return allowed(f->session, &w, f->port);
}

void wr_remotes_recheck(wr_remotes *r) {
  wr_list_each(s_node, &r->sessions) {
    wr_remote_session *s = wr_container_of(s_node, wr_remote_session, node);
    wr_list_each_safe(f_node, &s->forwards) {
      remote_forward *f = wr_container_of(f_node, remote_forward, node);
      if (!still_allowed(f)) {
        wr__forward_close(f);
      }
    }
  }
}

/* ADDRESSES */

static bool copy_host(char dst[WR_HOST_MAX + 1], wr_slice text) {
  if (text.len > WR_HOST_MAX || wr_slice_has_nul(text)) {
    return false;
  }
  if (text.len > 0) {
    memcpy(dst, text.data, text.len);
  }
  dst[text.len] = '\0';
  return true;
}

/* The address and port of a request, or its path. False: malformed. */
static bool read_want(wr_slice payload, bool is_unix, forward_want *w) {
  char name[WR_HOST_MAX + 1];
  uint32_t port = 0;
  wr_rd r;
  *w = (forward_want){.kind = is_unix ? FORWARD_UNIX : FORWARD_TCP};
  wr_rd_init(&r, payload.data, payload.len);
  wr_slice host = wr_rd_string(&r);
  if (!is_unix) {
    port = wr_rd_u32(&r);
  }
  if (!wr_rd_done(&r) || !copy_host(w->host, host) || port > UINT16_MAX) {
    return false;
  }
  w->port = (uint16_t)port;
  if (!is_unix && wr_reserved_name(w->host, name)) {
    w->kind = FORWARD_NAME;
    memcpy(w->host, name, sizeof(name));
    return port == 0;
  }
  return true;
}

/* The session's forward with that address. Port 0 finds one that was asked for
   with it, for clients that cancel with what they sent. */
static remote_forward *find(const wr_remote_session *s, const forward_want *w) {
  wr_list_each(it, &s->forwards) {
    remote_forward *f = wr_container_of(it, remote_forward, node);
    if (f->kind == w->kind && strcmp(f->host, w->host) == 0 &&
        (f->port == w->port || (w->port == 0 && f->any_port))) {
      return f;
    }
  }
  return NULL;
}

bool wr_remote_has_name(const wr_remote_session *s, const char *name) {
  forward_want w = {.kind = FORWARD_NAME};
  size_t len = strlen(name);
  if (len > WR_HOST_MAX) {
    return false;
  }
  memcpy(w.host, name, len + 1);
  return find(s, &w) != NULL;
}

/* TAKEOVER. A client that comes back after its connection broke finds its ports
   taken by its own former session, whose end the server has not noticed. If it
   can show that it is the same client, the listening sockets move over to the new
   session when it asks for them: they never stop listening, nobody can bind the
   port in between, and connections that came over the former session live or die
   with that.

   The same client is one with the same key that sent the same random id
   (instance@wraith): two clients that share a key do not rob each other. Clients
   that send none, OpenSSH's for one, may take from a session of their key that
   has missed its keepalive. */

static bool same_key(const wr_remote_session *a, const wr_remote_session *b) {
  return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static bool same_instance(const wr_remote_session *a,
                          const wr_remote_session *b) {
  return a->has_instance && b->has_instance &&
         memcmp(a->instance, b->instance, INSTANCE_SIZE) == 0;
}

static remote_forward *find_former(const wr_remote_session *s,
                                   const forward_want *w) {
  wr_list_each(it, &s->remotes->sessions) {
    wr_remote_session *other = wr_container_of(it, wr_remote_session, node);
    if (other == s || !same_key(s, other)) {
      continue;
    }
    bool same = same_instance(s, other);
    /* Who asks for any port gets a former one back only if it surely was its
       own. */
    if (same || (other->stale && w->port != 0) ||
        (other->stale && w->kind == FORWARD_UNIX)) {
      remote_forward *f = find(other, w);
      if (f != NULL && f->kind != FORWARD_NAME) {
        return f;
      }
    }
  }
  return NULL;
}

/* REQUESTS */

static const wr_slice nothing = {NULL, 0};

static void reply(wr_request *request, bool ok) {
  wr_request_reply(request, ok, nothing);
}

/* The port belongs into the answer if the client left it open (RFC 4254, section
   7.1). A name has none; 1 stands for it. */
static void reply_port(wr_request *request, const remote_forward *f,
                       bool asked_any) {
  uint8_t port[4];
  if (!asked_any || f->kind == FORWARD_UNIX) {
    reply(request, true);
    return;
  }
  wr_put_u32(port, f->kind == FORWARD_NAME ? 1 : f->port);
  wr_request_reply(request, true, (wr_slice){port, sizeof(port)});
}

/* Whether this session has that very address already. Any number of forwards may
   ask for any port. */
static bool is_duplicate(const wr_remote_session *s, const forward_want *w) {
  bool any_port = w->kind == FORWARD_TCP && w->port == 0;
  return !any_port && find(s, w) != NULL;
}

static int start_forward(wr_remote_session *s, forward_want *w,
                         remote_forward **out) {
  wr_remotes *r = s->remotes;
  if (s->n_forwards >= r->opts.max_per_session) {
    return WR_ELIMIT;
  }
  if (w->kind == FORWARD_TCP &&
      !wr_bind_choose(w->host, r->opts.gateway_ports, w->bind)) {
    return WR_EINVAL;
  }
  if (!allowed(s, w, w->port)) {
    return WR_ECHANNEL_DENIED;
  }
  if (is_duplicate(s, w)) {
    return WR_EBUSY;
  }
  remote_forward *f = find_former(s, w);
  if (f != NULL) {
    wr__forward_move(f, s);
    *out = f;
    return 0;
  }
  int err = wr__forward_start(s, w, &f);
  /* A port that the system chose is judged now. */
  if (err == 0 && !still_allowed(f)) {
    wr__forward_close(f);
    err = WR_ECHANNEL_DENIED;
  }
  if (err == 0) {
    *out = f;
  }
  return err;
}

static void do_forward(wr_remote_session *s, wr_request *request,
                       bool is_unix) {
  forward_want w;
  remote_forward *f;
  if (!read_want(wr_request_payload(request), is_unix, &w) ||
      start_forward(s, &w, &f) != 0) {
    reply(request, false);
    return;
  }
  reply_port(request, f, w.port == 0);
}

static void do_cancel(wr_remote_session *s, wr_request *request, bool is_unix) {
  forward_want w;
  remote_forward *f = NULL;
  if (read_want(wr_request_payload(request), is_unix, &w)) {
    f = find(s, &w);
  }
  if (f != NULL) {
    wr__forward_close(f);
  }
  reply(request, f != NULL);
}

/* Once per session: it is what the listeners of this session are known by. */
static void do_instance(wr_remote_session *s, wr_request *request) {
  wr_rd r;
  wr_slice payload = wr_request_payload(request);
  wr_rd_init(&r, payload.data, payload.len);
  wr_slice id = wr_rd_string(&r);
  bool ok = wr_rd_done(&r) && id.len == INSTANCE_SIZE && !s->has_instance;
  if (ok) {
    s->has_instance = true;
    memcpy(s->instance, id.data, INSTANCE_SIZE);
  }
  reply(request, ok);
}

bool wr_remote_request(wr_remote_session *s, wr_request *request) {
  const char *name = wr_request_name(request);
  if (strcmp(name, "tcpip-forward") == 0) {
    do_forward(s, request, false);
  } else if (strcmp(name, "cancel-tcpip-forward") == 0) {
    do_cancel(s, request, false);
  } else if (strcmp(name, "streamlocal-forward@openssh.com") == 0) {
    do_forward(s, request, true);
  } else if (strcmp(name, "cancel-streamlocal-forward@openssh.com") == 0) {
    do_cancel(s, request, true);
  } else if (strcmp(name, "instance@wraith") == 0) {
    do_instance(s, request);
  } else {
    return false;
  }
  return true;
}

void wr_remote_request_canceled(wr_remote_session *s, wr_request *request) {
  /* All requests are answered at once. */
  WR_UNUSED(s);
  WR_UNUSED(request);
}
