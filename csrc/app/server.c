#include "app/server_internal.h"

#include <string.h>

#include "proxy/spec.h"
#include "ssh/cert.h"

/* Life cycle, listeners, reload and drain. */

/* While draining: how often to look for sessions whose channels have ended. */
#define DRAIN_LOOK_MS 50
#define MAX_STARTUPS 1000
#define STARTUPS_RATE 30
#define MAX_SESSIONS 10000
#define MAX_VISITORS 4096
#define VISITOR_MS 60000
#define STOPPING "the server is stopping"

typedef struct server_listener {
  wr_list node;
  wr_server *server;
  wr_listener *listener;
  wr_listen_kind kind;
} server_listener;

/* LISTENERS */

const char *wr__transport_of(wr_listen_kind kind) {
  static const char *const names[] = {[WR_LISTEN_TCP] = "tcp",
                                      [WR_LISTEN_TLS] = "tls",
                                      [WR_LISTEN_STEALTH] = "tls",
                                      [WR_LISTEN_WS] = "ws"};
  return names[kind];
}

bool wr__has_visitors(wr_listen_kind kind) {
  return kind == WR_LISTEN_STEALTH || kind == WR_LISTEN_WS;
}

uint32_t *wr__counter_of(wr_server *s, wr_listen_kind kind) {
  return wr__has_visitors(kind) ? &s->n_visitors : &s->startups;
}

/* Serves a connection unless a limit forbids it. */
static int take(wr_server *s, wr_link *link, const char *address,
                const char *transport, uint32_t *id) {
  if (!wr__limits_address(s, address, transport) ||
      !wr__limits_startups(s, address, transport) ||
      !wr__limits_sessions(s, address, transport)) {
    return WR_ELIMIT;
  }
  return wr__session_start(s, link, address, transport, id);
}

static int take_accepted(wr_server *s, wr_listen_kind kind, wr_link *link) {
  wr_link_info info;
  char address[WR_ADDR_TEXT_MAX] = "";
  uint32_t id;
  wr_link_query(link, &info);
  if (info.has_peer) {
    wr_sockaddr_host((const struct sockaddr *)&info.peer, address);
  }
  if (wr__proxy_trusts(s, &info)) {
    return wr__proxy_wait(s, kind, link, address);
  }
  return kind == WR_LISTEN_TCP ? take(s, link, address, "tcp", &id)
                               : wr__arrive(s, kind, false, link, address);
}

static void on_accept(wr_listener *listener, wr_link *link) {
  server_listener *l = wr_listener_user(listener);
  if (l->server->state != SERVER_OPEN ||
      take_accepted(l->server, l->kind, link) != 0) {
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

static void on_listener_close(wr_listener *listener) {
  server_listener *l = wr_listener_user(listener);
  wr_server *s = l->server;
  wr_list_remove(&l->node);
  wr_free(&s->ctx->mem, l);
  wr__server_gone(s);
}

static const wr_listener_handler listener_handler = {
    .on_accept = on_accept, .on_close = on_listener_close};

static int new_listener(wr_server *s, wr_listen_kind kind,
                        server_listener **out) {
  if (s->state != SERVER_OPEN || s->ctx->exiting) {
    return WR_ECLOSED;
  }
  if ((kind == WR_LISTEN_TLS || kind == WR_LISTEN_STEALTH) && s->tls == NULL) {
    return WR_EINVAL;
  }
  server_listener *l = wr_calloc(&s->ctx->mem, 1, sizeof(*l));
  if (l == NULL) {
    return WR_ENOMEM;
  }
  l->server = s;
  l->kind = kind;
  *out = l;
  return 0;
}

/* Its socket listens, or err says why not. */
static int add_listener(wr_server *s, server_listener *l, int err,
                        struct sockaddr_storage *bound) {
  if (err != 0) {
    wr_free(&s->ctx->mem, l);
    return err;
  }
  wr_list_push(&s->listeners, &l->node);
  wr_listener_addr(l->listener, bound);
  wr__log_listening(s, (const struct sockaddr *)bound,
                    wr__transport_of(l->kind));
  return 0;
}

int wr_server_listen(wr_server *s, wr_listen_kind kind, const char *host,
                     uint16_t port, struct sockaddr_storage *bound) {
  server_listener *l;
  int err = new_listener(s, kind, &l);
  if (err != 0) {
    return err;
  }
  err = wr_listener_tcp(s->ctx, host, port, true, &listener_handler, l,
                        &l->listener);
  return add_listener(s, l, err, bound);
}

int wr_server_listen_fd(wr_server *s, wr_listen_kind kind, int fd,
                        struct sockaddr_storage *bound) {
  server_listener *l;
  int err = new_listener(s, kind, &l);
  if (err != 0) {
    return err;
  }
  err = wr_listener_fd(s->ctx, fd, &listener_handler, l, &l->listener);
  return add_listener(s, l, err, bound);
}

static void stop_listening(wr_server *s) {
  wr_list_each(it, &s->listeners) {
    wr_listener_close(wr_container_of(it, server_listener, node)->listener);
  }
  wr__proxy_stop(s);
  wr__arrivals_stop(s);
  wr__reject_sums(s);
}

/* A stream of the caller's: the address comes as Node prints it, so IPv4 may
   stand in IPv6. */
static int read_address(const char *text, char address[WR_ADDR_TEXT_MAX]) {
  struct sockaddr_storage ss;
  wr_ip ip;
  if (strlen(text) >= WR_ADDR_TEXT_MAX) {
    return WR_EINVAL;
  }
  if (wr_ip_parse(text, &ip) == 0) {
    wr_ip_to_sockaddr(&ip, 0, &ss);
    wr_sockaddr_host((const struct sockaddr *)&ss, address);
  } else {
    snprintf(address, WR_ADDR_TEXT_MAX, "%s", text);
  }
  return 0;
}

int wr_server_accept(wr_server *s, wr_link *link, const char *remote_address,
                     const char *transport, uint32_t *session_id) {
  char address[WR_ADDR_TEXT_MAX];
  if (s->state != SERVER_OPEN || s->ctx->exiting) {
    return WR_ECLOSED;
  }
  int err = read_address(remote_address, address);
  if (err != 0) {
    return err;
  }
  return take(s, link, address, transport, session_id);
}

/* THE END */

static void server_free(wr_server *s) {
  wr_ctx_remove_object(&s->obj);
  wr_timer_stop(&s->tick);
  wr_task_cancel(&s->finish);
  if (s->remotes != NULL) {
    wr_remotes_free(s->remotes);
  }
  wr_map_free(s->by_id);
  wr_map_free(s->by_peer);
  wr_trust_unref(s->trust);
  wr_tls_ctx_unref(s->tls);
  wr_knock_cache_reset(&s->knocks);
  wr_free_secret(&s->ctx->mem, (void *)(uintptr_t)s->knock_secret.data,
                 s->knock_secret.len);
  wr_free(&s->ctx->mem, s->ws_path);
  wr__penalty_free(s);
  wr_timer_stop(&s->rejects.timer);
  wr_free(&s->ctx->mem, s->trusted);
  wr_free_secret(&s->ctx->mem, s->proxy, sizeof(*s->proxy));
  wr_key_unref(s->opts.host_key);
  wr_buf_reset(&s->host_certificate);
  wr_free(&s->ctx->mem, s);
}

static void on_finish(wr_task *task) {
  wr_server *s = wr_container_of(task, wr_server, finish);
  if (s->state == SERVER_OPEN || !wr_list_empty(&s->listeners) ||
      !wr_list_empty(&s->sessions) || !wr_list_empty(&s->proxied) ||
      !wr_list_empty(&s->arrivals)) {
    return;
  }
  wr_policy_free(s->policy);
  s->opts.handler->on_close(s);
  server_free(s);
}

void wr__server_gone(wr_server *s) {
  wr_task_post(s->ctx, &s->finish);
}

static bool is_idle(const server_session *ss) {
  wr_ssh_info info;
  wr_ssh_query(ss->ssh, &info);
  return info.channels == 0;
}

/* Ends the sessions that have no channel, or all. */
static void end_sessions(wr_server *s, bool all) {
  wr_list_each(it, &s->sessions) {
    server_session *ss = wr__session_of(it);
    if (ss->ssh != NULL && !ss->ending && (all || is_idle(ss))) {
      wr__session_end(ss, WR_DISCONNECT_BY_APPLICATION, STOPPING);
    }
  }
}

static void drain(wr_server *s) {
  uint64_t now = wr_ctx_now(s->ctx);
  bool over = now >= s->drain_until_ms;
  end_sessions(s, over);
  if (over) {
    s->state = SERVER_ENDING;
    return;
  }
  uint64_t left = s->drain_until_ms - now;
  wr_timer_start(&s->tick, WR_MIN(left, (uint64_t)DRAIN_LOOK_MS));
}

void wr_server_close(wr_server *s, uint64_t drain_ms) {
  bool again = s->state != SERVER_OPEN;
  if (!again) {
    wr__log_stopping(s);
    stop_listening(s);
    s->state = SERVER_DRAINING;
    s->drain_until_ms = wr_ctx_now(s->ctx) + drain_ms;
    drain(s);
    wr__server_gone(s);
    return;
  }
  s->drain_until_ms = 0;
  wr_list_each(it, &s->sessions) {
    server_session *ss = wr__session_of(it);
    if (ss->ending) {
      wr__session_abort(ss);
    }
  }
  drain(s);
}

static void on_obj_shutdown(wr_obj *obj) {
  wr_server *s = wr_container_of(obj, wr_server, obj);
  stop_listening(s);
  s->state = SERVER_ENDING;
  wr_timer_stop(&s->tick);
  wr_list_each(it, &s->sessions) {
    wr__session_abort(wr__session_of(it));
  }
  wr__server_gone(s);
}

/* STALE SESSIONS */

/* Nothing came for one interval and half of the next: the keepalive has not
   been answered. After two intervals the session ends by itself. */
static void look_for_stale(wr_server *s) {
  uint64_t limit = s->opts.keepalive_ms + s->opts.keepalive_ms / 2;
  uint64_t now = wr_ctx_now(s->ctx);
  wr_list_each(it, &s->sessions) {
    server_session *ss = wr__session_of(it);
    wr_ssh_info info;
    if (ss->remote == NULL || wr_remote_count(ss->remote) == 0) {
      continue;
    }
    wr_ssh_query(ss->ssh, &info);
    wr_remote_session_set_stale(ss->remote, now - info.last_heard_ms >= limit);
  }
}

static void on_tick(wr_timer *timer) {
  wr_server *s = wr_container_of(timer, wr_server, tick);
  if (s->state != SERVER_OPEN) {
    drain(s);
    return;
  }
  look_for_stale(s);
  wr_timer_start(timer, s->opts.keepalive_ms / 4 + 1);
}

/* START */

static void fill_in_defaults(wr_server_opts *o, const wr_ctx *ctx) {
  o->login_grace_ms =
      o->login_grace_ms != 0 ? o->login_grace_ms : WR_LOGIN_GRACE_MS;
  o->keepalive_ms = o->keepalive_ms != 0 ? o->keepalive_ms : WR_KEEPALIVE_MS;
  o->max_auth_attempts =
      o->max_auth_attempts != 0 ? o->max_auth_attempts : WR_MAX_AUTH_ATTEMPTS;
  o->max_startups = o->max_startups != 0 ? o->max_startups : MAX_STARTUPS;
  o->startups_start = o->startups_start != 0
                          ? o->startups_start
                          : o->max_startups / 2 + o->max_startups % 2;
  o->startups_rate = o->startups_rate != 0 ? o->startups_rate : STARTUPS_RATE;
  o->max_sessions = o->max_sessions != 0 ? o->max_sessions : MAX_SESSIONS;
  o->max_channels = o->max_channels != 0 ? o->max_channels : WR_MAX_CHANNELS;
  o->max_visitors = o->max_visitors != 0 ? o->max_visitors : MAX_VISITORS;
  o->visitor_ms = o->visitor_ms != 0 ? o->visitor_ms : VISITOR_MS;
  if (o->log.wall_ms == NULL) {
    o->log.wall_ms = ctx->log.wall_ms;
  }
}

static wr_access access_in_force(void *session) {
  return wr__auth_access(session);
}

int wr__copy_cidrs(wr_server *s, const wr_cidr *src, size_t n, wr_cidr **out) {
  if (n == 0) {
    return 0;
  }
  *out = wr_calloc(&s->ctx->mem, n, sizeof(*src));
  if (*out == NULL) {
    return WR_ENOMEM;
  }
  memcpy(*out, src, n * sizeof(*src));
  return 0;
}

static int make_guards(wr_server *s) {
  int err = wr__proxy_init(s);
  return err != 0 ? err : wr__penalty_init(s);
}

static int copy_certificate(wr_server *s) {
  wr_slice from = s->opts.host_certificate;
  wr_buf *to = &s->host_certificate;
  wr_buf_init(to, &s->ctx->mem, WR_CERT_BLOB_MAX);
  if (from.data == NULL) {
    return 0;
  }
  int err = wr_buf_append(to, from.data, from.len);
  s->opts.host_certificate = (wr_slice){to->data, to->len};
  return err;
}

static int copy_proxy(wr_server *s) {
  if (s->opts.proxy == NULL) {
    return 0;
  }
  s->proxy = wr_alloc(&s->ctx->mem, sizeof(*s->proxy));
  if (s->proxy == NULL) {
    return WR_ENOMEM;
  }
  *s->proxy = *s->opts.proxy;
  s->opts.proxy = s->proxy;
  return 0;
}

void wr_server_set_tls(wr_server *s, wr_tls_ctx *tls) {
  wr_tls_ctx *old = s->tls;
  s->tls = wr_tls_ctx_ref(tls);
  wr_tls_ctx_unref(old);
}

static int copy_path(wr_server *s) {
  if (s->opts.ws_path == NULL) {
    return 0;
  }
  s->ws_path = wr_strdup(&s->ctx->mem, s->opts.ws_path);
  s->opts.ws_path = s->ws_path;
  return s->ws_path == NULL ? WR_ENOMEM : 0;
}

static int copy_secret(wr_server *s) {
  wr_slice from = s->opts.knock_secret;
  s->opts.knock_secret = (wr_slice){NULL, 0};
  if (from.len == 0) {
    return 0;
  }
  uint8_t *secret = wr_alloc(&s->ctx->mem, from.len);
  if (secret == NULL) {
    return WR_ENOMEM;
  }
  memcpy(secret, from.data, from.len);
  s->knock_secret = (wr_slice){secret, from.len};
  return 0;
}

static int make_parts(wr_server *s) {
  wr_ctx *ctx = s->ctx;
  s->by_id = wr_map_new(&ctx->mem, wr_ctx_rand64(ctx), s->opts.max_sessions);
  s->by_peer = wr_map_new(&ctx->mem, wr_ctx_rand64(ctx), s->opts.max_sessions);
  if (s->by_id == NULL || s->by_peer == NULL) {
    return WR_ENOMEM;
  }
  int err = make_guards(s);
  if (err != 0) {
    return err;
  }
  wr_remotes_opts opts = {.gateway_ports = s->opts.gateway_ports,
                          .forwarding = s->opts.forwarding,
                          .access = access_in_force};
  return wr_remotes_new(ctx, &opts, &s->remotes);
}

int wr_server_new(wr_ctx *ctx, const wr_server_opts *opts, wr_server **out) {
  if (ctx->exiting) {
    return WR_ECLOSED;
  }
  wr_server *s = wr_calloc(&ctx->mem, 1, sizeof(*s));
  if (s == NULL) {
    return WR_ENOMEM;
  }
  s->ctx = ctx;
  s->opts = *opts;
  fill_in_defaults(&s->opts, ctx);
  s->opts.host_key = wr_key_ref(opts->host_key);
  s->state = SERVER_OPEN;
  s->trust = wr_trust_ref(opts->trust);
  s->policy = opts->policy;
  wr_list_init(&s->listeners);
  wr_list_init(&s->sessions);
  wr_list_init(&s->arrivals);
  wr_knock_cache_init(&s->knocks, &ctx->mem, wr_ctx_rand64(ctx), 0);
  s->tls = opts->tls != NULL ? wr_tls_ctx_ref(opts->tls) : NULL;
  wr_list_init(&s->proxied);
  wr__reject_init(s);
  wr_timer_init(&s->tick, ctx, on_tick);
  wr_task_init(&s->finish, on_finish);
  s->obj.shutdown = on_obj_shutdown;
  wr_ctx_add_object(ctx, &s->obj);
  int err = copy_certificate(s);
  err = err != 0 ? err : copy_proxy(s);
  err = err != 0 ? err : copy_path(s);
  err = err != 0 ? err : copy_secret(s);
  err = err != 0 ? err : make_parts(s);
  if (err != 0) {
    server_free(s);
    return err;
  }
  if (s->opts.keepalive_ms != UINT64_MAX) {
    wr_timer_start(&s->tick, s->opts.keepalive_ms / 4 + 1);
  }
  *out = s;
  return 0;
}

/* RELOAD */

/* The labels of control channels: "port/name" for one that the client opened, a
   name that it accepts for one that was opened to it. */
static bool control_may_stay(void *data, const char *label) {
  wr_access a = wr__auth_access(data);
  const char *slash = strchr(label, '/');
  uint64_t port;
  if (slash == NULL) {
    return wr_access_listen_reserved(&a, label);
  }
  return wr_parse_uint(label, (size_t)(slash - label), UINT16_MAX, &port) ==
             0 &&
         wr_access_reserved(&a, slash + 1, (uint16_t)port);
}

static void recheck_session(server_session *ss) {
  wr__auth_recheck(ss);
  wr_target_recheck(&ss->targets);
  if (ss->ssh != NULL) {
    wr_ssh_review(ss->ssh, control_may_stay, ss);
  }
}

/* Keys that are not proved yet are judged when they are. */
void wr_server_reload(wr_server *s, wr_trust *trust, wr_policy *policy) {
  wr_trust *old_trust = trust != NULL ? s->trust : NULL;
  wr_policy *old_policy = policy != NULL ? s->policy : NULL;
  s->trust = trust != NULL ? wr_trust_ref(trust) : s->trust;
  s->policy = policy != NULL ? policy : s->policy;
  wr__log_reload(s, trust != NULL, policy != NULL);
  wr_list_each(it, &s->sessions) {
    recheck_session(wr__session_of(it));
  }
  wr_remotes_recheck(s->remotes);
  wr_trust_unref(old_trust);
  wr_policy_free(old_policy);
}
