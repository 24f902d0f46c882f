#ifndef WR_TEST_C_APP_HELP_H
#define WR_TEST_C_APP_HELP_H

/* A server whose records are kept as text, an echo server to be a target, and
   tunnels that note what happens to them. */

#include "net_help.h"

#include "app/server.h"
#include "app/tunnel.h"
#include "base/wire.h"
#include "net/mempair.h"

#define APP_LOG_MAX 256
#define APP_LINE_MAX 512
#define APP_PIPE ((size_t)256 * 1024)
/* All records bear this time: 2026-06-02T10:00:00.000Z. */
#define APP_WALL_MS INT64_C(1780394400000)
#define APP_TIME "2026-06-02T10:00:00.000Z "

typedef struct app {
  env e;
  wr_key *host;
  wr_key *keys[4];
  char fp[4][WR_FINGERPRINT_MAX]; /* of keys */
  wr_server *server;              /* NULL once closed */
  wr_server_opts opts;
  uint16_t port; /* of the last app_listen() */
  bool closed;   /* the server */
  int closes;
  /* records, oldest first */
  char log[APP_LOG_MAX][APP_LINE_MAX];
  int n_log;
  int read_log; /* of these, compared */
  /* application */
  bool take_control;
  int control_asked;
  char control_name[256];
  uint32_t control_session;
  peer controls[4];
  int n_controls;
  peer *control; /* the last one */
  int authorize_calls;
  uint32_t authorize_session;
  char authorize_text[512];
  int authorize_answer; /* 1 yes, 0 no, -1 later */
  int ups;
  int gone;
  uint32_t last_session;
  uv_timer_t wake;
} app;

/* What a test waits for may happen in a task just before the loop polls; without
   this, nothing would wake it then. */
HELP_UNUSED static void app_on_wake(uv_timer_t *timer) {
  WR_UNUSED(timer);
}

HELP_UNUSED static void app_stop_waking(app *a) {
  uv_close((uv_handle_t *)&a->wake, NULL);
}

/* LOG */

HELP_UNUSED static int64_t app_wall(void *data) {
  WR_UNUSED(data);
  return APP_WALL_MS;
}

HELP_UNUSED static void app_on_log(const wr_log_record *r, void *data) {
  app *a = data;
  if (a->n_log < APP_LOG_MAX) {
    wr_log_format_logfmt(r, a->log[a->n_log], APP_LINE_MAX);
    a->n_log++;
  }
}

/* The next record is exactly this, after the time. */
#define LOGGED(a, ...) app_logged((a), __FILE__, __LINE__, __VA_ARGS__)
HELP_UNUSED TAP_FORMAT(4, 5) static void app_logged(app *a, const char *file,
                                                    int line, const char *fmt,
                                                    ...) {
  char want[APP_LINE_MAX] = APP_TIME;
  size_t n = strlen(want);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(want + n, sizeof(want) - n, fmt, ap);
  va_end(ap);
  const char *got = a->read_log < a->n_log ? a->log[a->read_log++] : NULL;
  tap_check_str(got, want, file, line, "the record");
}

/* Nothing more was recorded. */
#define LOG_ENDS(a)                                                            \
  tap_check_str((a)->read_log < (a)->n_log ? (a)->log[(a)->read_log] : NULL,   \
                NULL, __FILE__, __LINE__, "no further record")

HELP_UNUSED static void app_forget_log(app *a) {
  a->n_log = 0;
  a->read_log = 0;
}

HELP_UNUSED static int app_log_holds(const app *a, const char *text) {
  int n = 0;
  for (int i = 0; i < a->n_log; i++) {
    n += strstr(a->log[i], text) != NULL;
  }
  return n;
}

/* SERVER */

HELP_UNUSED static void peer_close(peer *p) {
  if (p->link != NULL) {
    wr_link_close(p->link, WR_CLOSE_ORDERLY);
  }
}

HELP_UNUSED static void app_on_authorize(wr_server *s,
                                         const wr_server_identity *id) {
  app *a = wr_server_user(s);
  a->authorize_calls++;
  a->authorize_session = id->session_id;
  snprintf(a->authorize_text, sizeof(a->authorize_text), "%s %s %s %s",
           id->user, id->fingerprint, id->remote_address, id->transport);
  if (a->authorize_answer >= 0) {
    wr_server_authorize(s, id->session_id, a->authorize_answer == 1);
  }
}

HELP_UNUSED static bool app_on_control(wr_server *s, uint32_t session,
                                       const char *name, wr_link *link) {
  app *a = wr_server_user(s);
  if (!a->take_control) {
    return false;
  }
  if (link == NULL) {
    a->control_asked++;
    return true;
  }
  MUST(a->n_controls < 4);
  a->control = &a->controls[a->n_controls++];
  peer_own(a->control, link);
  a->control_session = session;
  snprintf(a->control_name, sizeof(a->control_name), "%s", name);
  return true;
}

HELP_UNUSED static void app_on_session(wr_server *s, uint32_t id, bool up) {
  app *a = wr_server_user(s);
  a->ups += up;
  a->gone += !up;
  a->last_session = id;
}

HELP_UNUSED static void app_on_close(wr_server *s) {
  app *a = wr_server_user(s);
  a->server = NULL;
  a->closed = true;
  a->closes++;
}

static const wr_server_handler app_handler HELP_UNUSED = {
    .on_authorize = app_on_authorize,
    .on_control = app_on_control,
    .on_session = app_on_session,
    .on_close = app_on_close};

/* The text of authorized_keys with the keys whose bits are set, each behind the
   options. */
HELP_UNUSED static void app_key_lines(app *a, unsigned which,
                                      const char *options, wr_buf *text) {
  for (unsigned i = 0; i < WR_COUNTOF(a->keys); i++) {
    if ((which & (1u << i)) != 0) {
      MUST(wr_buf_printf(text, "%s%s", options,
                         options[0] == '\0' ? "" : " ") == 0);
      MUST(wr_key_write_public(wr_key_blob(a->keys[i]), "", text) == 0);
    }
  }
}

HELP_UNUSED static wr_trust *app_trust_text(app *a, const wr_buf *text) {
  wr_trust *trust = wr_trust_new(&a->e.ctx.mem, 1);
  wr_authkeys_error error;
  MUST(trust != NULL);
  MUST(wr_trust_add_keys(trust, WR_AUTHKEYS_USERS, "keys",
                         (const char *)text->data, text->len, &error) == 0);
  return trust;
}

/* Who may log in: the keys whose bits are set. */
HELP_UNUSED static wr_trust *app_trust_with(app *a, unsigned which,
                                            const char *options) {
  wr_buf text;
  wr_buf_init(&text, &a->e.ctx.mem, 8192);
  app_key_lines(a, which, options, &text);
  wr_trust *trust = app_trust_text(a, &text);
  wr_buf_reset(&text);
  return trust;
}

/* Puts these keys in force. */
HELP_UNUSED static void app_reload(app *a, unsigned which,
                                   const char *options) {
  wr_trust *trust = app_trust_with(a, which, options);
  wr_server_reload(a->server, trust, NULL);
  wr_trust_unref(trust);
}

/* Rules as "+rule" (allow) and "-rule" (deny), up to NULL. */
HELP_UNUSED static wr_policy *app_policy(app *a, const char *const *rules) {
  const char *why;
  wr_policy *p = wr_policy_new(&a->e.ctx.mem);
  MUST(p != NULL);
  for (; rules != NULL && *rules != NULL; rules++) {
    MUST(wr_policy_add(p, **rules == '+', *rules + 1, &why) == 0);
  }
  return p;
}

HELP_UNUSED static void app_open(app *a, bool fake_clock) {
  memset(a, 0, sizeof(*a));
  env_open(&a->e);
  MUST(uv_timer_init(&a->e.loop, &a->wake) == 0);
  MUST(uv_timer_start(&a->wake, app_on_wake, 1, 1) == 0);
  if (fake_clock) {
    wr_ctx_fake_clock(&a->e.ctx);
  }
  wr_mem *mem = &a->e.ctx.mem;
  MUST(wr_key_generate(mem, &a->host) == 0);
  for (size_t i = 0; i < WR_COUNTOF(a->keys); i++) {
    MUST(wr_key_generate(mem, &a->keys[i]) == 0);
    wr_blob_fingerprint(wr_key_blob(a->keys[i]), a->fp[i]);
  }
  a->opts = (wr_server_opts){.handler = &app_handler,
                             .user = a,
                             .log = {.level = WR_LOG_DEBUG,
                                     .cb = app_on_log,
                                     .data = a,
                                     .wall_ms = app_wall},
                             .host_key = a->host,
                             .forwarding = true};
}

/* The server takes the keys whose bits are set. */
HELP_UNUSED static void app_serve(app *a, unsigned which,
                                  const char *const *rules) {
  a->opts.trust = app_trust_with(a, which, "");
  a->opts.policy = app_policy(a, rules);
  a->closed = false;
  MUST(wr_server_new(&a->e.ctx, &a->opts, &a->server) == 0);
  wr_trust_unref(a->opts.trust);
}

HELP_UNUSED static void app_listen_at(app *a, uint16_t port) {
  struct sockaddr_storage ss;
  MUST(wr_server_listen(a->server, WR_LISTEN_TCP, "127.0.0.1", port, &ss) == 0);
  a->port = wr_sockaddr_port((const struct sockaddr *)&ss);
}

HELP_UNUSED static void app_listen(app *a) {
  app_listen_at(a, 0);
}

HELP_UNUSED static void app_stop(app *a) {
  if (a->server == NULL) {
    return;
  }
  wr_server_close(a->server, 0);
  if (a->e.ctx.fake_now_ms == 0) {
    env_until(&a->e, &a->closed);
  } else {
    wr_ctx_advance(&a->e.ctx, 10000);
  }
  CHECK(a->closed);
}

HELP_UNUSED static void app_close(app *a) {
  app_stop(a);
  wr_key_unref(a->host);
  for (size_t i = 0; i < WR_COUNTOF(a->keys); i++) {
    wr_key_unref(a->keys[i]);
  }
  if (a->e.ctx.fake_now_ms == 0) {
    env_settle(&a->e);
  }
  app_stop_waking(a);
  env_close(&a->e);
}

/* ECHO SERVER */

typedef struct echo {
  env *e;
  wr_listener *listener;
  uint16_t port;
  int opened; /* connections ever */
  int closed; /* of these */
  bool gone;
} echo;

HELP_UNUSED static size_t echo_read(wr_link *link, uint8_t *data, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
  if (wr_link_write(link, &buf, 1, &taken) != 0) {
    return len;
  }
  return taken;
}

HELP_UNUSED static void echo_writable(wr_link *link) {
  wr_link_read_start(link);
}

HELP_UNUSED static void echo_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

HELP_UNUSED static void echo_link_closed(wr_link *link, int status) {
  echo *x = link->user;
  WR_UNUSED(status);
  x->closed++;
}

static const wr_link_handler echo_link_handler HELP_UNUSED = {
    .on_read = echo_read,
    .on_eof = echo_eof,
    .on_writable = echo_writable,
    .on_close = echo_link_closed};

HELP_UNUSED static void echo_own(echo *x, wr_link *link) {
  link->user = x;
  link->handler = &echo_link_handler;
  x->opened++;
  MUST(wr_link_read_start(link) == 0);
}

HELP_UNUSED static void echo_accept(wr_listener *l, wr_link *link) {
  echo_own(wr_listener_user(l), link);
}

HELP_UNUSED static void echo_gone(wr_listener *l) {
  ((echo *)wr_listener_user(l))->gone = true;
}

static const wr_listener_handler echo_handler HELP_UNUSED = {
    .on_accept = echo_accept, .on_close = echo_gone};

HELP_UNUSED static void echo_start(echo *x, env *e) {
  struct sockaddr_storage ss;
  memset(x, 0, sizeof(*x));
  x->e = e;
  MUST(wr_listener_tcp(&e->ctx, "127.0.0.1", 0, false, &echo_handler, x,
                       &x->listener) == 0);
  wr_listener_addr(x->listener, &ss);
  x->port = wr_sockaddr_port((const struct sockaddr *)&ss);
}

HELP_UNUSED static void echo_stop(echo *x) {
  wr_listener_close(x->listener);
  env_until(x->e, &x->gone);
}

/* A port at which nobody listens. */
HELP_UNUSED static uint16_t dead_port(env *e) {
  echo x;
  echo_start(&x, e);
  echo_stop(&x);
  return x.port;
}

/* CLIENT */

#define CLIENT_REMOTES 8

typedef struct client {
  app *a;
  wr_tunnel *t; /* NULL once closed */
  wr_key *key;
  const uint8_t *instance;
  uint64_t timeout_ms;
  uint64_t keepalive_ms;
  int verdict; /* for the host key */
  bool verdict_later;
  int asked; /* host key questions */
  bool is_up;
  int ups;
  int downs;
  bool down; /* since the last connect */
  int status;
  char phase[16];
  bool was_up;
  bool orderly;
  bool closed;
  int closes;
  int remotes; /* answers */
  int remote_status;
  uint16_t remote_port;
  wr_remote_forward *remote;
  echo streams; /* what on_stream brings is echoed */
  char stream_host[256];
} client;

HELP_UNUSED static void client_host_key(wr_tunnel *t, wr_slice blob) {
  client *c = wr_tunnel_user(t);
  c->asked++;
  OK(wr_slice_same(blob, wr_key_blob(c->a->host)), "the host key");
  if (!c->verdict_later) {
    wr_tunnel_verdict(t, c->verdict);
  }
}

HELP_UNUSED static void client_up(wr_tunnel *t) {
  client *c = wr_tunnel_user(t);
  c->ups++;
  c->is_up = true;
  CHECK(wr_tunnel_is_up(t));
}

HELP_UNUSED static void client_down(wr_tunnel *t, int status, const char *phase,
                                    bool was_up, bool orderly) {
  client *c = wr_tunnel_user(t);
  CHECK(!c->down);
  c->downs++;
  c->down = true;
  c->is_up = false;
  c->status = status;
  snprintf(c->phase, sizeof(c->phase), "%s", phase);
  c->was_up = was_up;
  c->orderly = orderly;
  CHECK(!wr_tunnel_is_up(t));
}

HELP_UNUSED static void client_remote(wr_tunnel *t, wr_remote_forward *f,
                                      int status, uint16_t port) {
  client *c = wr_tunnel_user(t);
  c->remotes++;
  c->remote = f;
  c->remote_status = status;
  c->remote_port = port;
}

HELP_UNUSED static void client_stream(wr_tunnel *t, wr_remote_forward *f,
                                      wr_link *link, const wr_target *target) {
  client *c = wr_tunnel_user(t);
  WR_UNUSED(f);
  snprintf(c->stream_host, sizeof(c->stream_host), "%s", target->host);
  echo_own(&c->streams, link);
}

HELP_UNUSED static void client_closed(wr_tunnel *t) {
  client *c = wr_tunnel_user(t);
  c->t = NULL;
  c->closed = true;
  c->closes++;
}

static const wr_tunnel_handler client_handler HELP_UNUSED = {
    .on_host_key = client_host_key,
    .on_up = client_up,
    .on_down = client_down,
    .on_remote = client_remote,
    .on_stream = client_stream,
    .on_close = client_closed};

HELP_UNUSED static void client_open(client *c, app *a, unsigned key) {
  memset(c, 0, sizeof(*c));
  c->a = a;
  c->key = a->keys[key];
  MUST(wr_tunnel_new(&a->e.ctx, &client_handler, c, &c->t) == 0);
}

/* link NULL: dials the server. */
HELP_UNUSED static void client_start(client *c, wr_link *link) {
  wr_identity identity = {.key = c->key};
  wr_tunnel_connect_opts o = {.host = "127.0.0.1",
                              .port = c->a->port,
                              .link = link,
                              .user = "alice",
                              .identities = &identity,
                              .n_identities = 1,
                              .keepalive_ms = c->keepalive_ms,
                              .connect_timeout_ms = c->timeout_ms,
                              .instance = c->instance};
  c->down = false;
  MUST(wr_tunnel_connect(c->t, &o) == 0);
}

/* Over memory, as from `address`. */
HELP_UNUSED static int client_pipe(client *c, const char *address) {
  wr_link *mine;
  wr_link *theirs;
  uint32_t id;
  MUST(wr_mempair_new(&c->a->e.ctx, APP_PIPE, &mine, &theirs) == 0);
  int err = wr_server_accept(c->a->server, theirs, address, "memory", &id);
  if (err != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  client_start(c, mine);
  return err;
}

HELP_UNUSED static void client_connect(client *c) {
  client_start(c, NULL);
  env_until(&c->a->e, &c->is_up);
}

HELP_UNUSED static void client_until_down(client *c) {
  env_until(&c->a->e, &c->down);
}

HELP_UNUSED static void client_close(client *c) {
  wr_tunnel_close(c->t, true);
  if (c->a->e.ctx.fake_now_ms == 0) {
    env_until(&c->a->e, &c->closed);
  } else {
    wr_ctx_advance(&c->a->e.ctx, 5000);
  }
  EQ_INT(c->closes, 1);
}

/* A channel of a tunnel's. */
typedef struct chan {
  bool done;
  int status;
  peer p;
  wr_opening *opening;
} chan;

HELP_UNUSED static void chan_opened(void *user, int status, wr_link *link) {
  chan *ch = user;
  CHECK(!ch->done);
  ch->done = true;
  ch->status = status;
  if (link != NULL) {
    peer_own(&ch->p, link);
  }
}

HELP_UNUSED static wr_target chan_target(wr_target_kind kind, const char *host,
                                         uint16_t port) {
  wr_target t = {.kind = kind, .port = port, .origin_host = "127.0.0.1"};
  snprintf(t.host, sizeof(t.host), "%s", host);
  return t;
}

/* Asks; the answer comes later. */
HELP_UNUSED static void chan_ask(chan *ch, client *c, wr_target_kind kind,
                                 const char *host, uint16_t port) {
  wr_target t = chan_target(kind, host, port);
  memset(ch, 0, sizeof(*ch));
  MUST(wr_tunnel_open(c->t, &t, chan_opened, ch, &ch->opening) == 0);
}

/* The status of the answer, over a real network. */
HELP_UNUSED static int chan_open(chan *ch, client *c, const char *host,
                                 uint16_t port) {
  chan_ask(ch, c, WR_TARGET_TCP, host, port);
  env_until(&c->a->e, &ch->done);
  return ch->status;
}

/* Sends n bytes and gets them back, then the end. */
HELP_UNUSED static void chan_echo(chan *ch, env *e, uint64_t n) {
  ch->p.to_send = n;
  ch->p.end_after = true;
  ch->p.close_on_eof = true;
  peer_go(&ch->p);
  env_until(e, &ch->p.closed);
  EQ_UINT(ch->p.got, n);
  EQ_UINT(ch->p.bad, 0);
  CHECK(ch->p.eof);
}

HELP_UNUSED static void chan_close(chan *ch, env *e) {
  if (ch->p.link != NULL) {
    wr_link_close(ch->p.link, WR_CLOSE_ORDERLY);
    env_until(e, &ch->p.closed);
  }
}

#endif /* !defined(WR_TEST_C_APP_HELP_H) */
