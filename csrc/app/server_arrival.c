#include "app/server_internal.h"

#include <string.h>

#include "net/tls.h"
#include "net/unread.h"
#include "net/ws_handshake.h"

/* Connections that are nobody's yet: first the TLS handshake, if there is to be
   one, then, where visitors are, the first bytes that say whether this is a tunnel
   or a visitor of the web site.

   Where visitors are nothing that concerns tunnels is done before one is
   recognised: no limit of theirs holds, nothing is recorded, and a visitor goes
   to the application with every byte that it has sent. Elsewhere a connection
   counts among the startups from the beginning. */

typedef struct arrival {
  wr_list node;
  wr_server *server;
  wr_link *link; /* NULL while the handshake is under way */
  wr_tls *tls;   /* the handshake; NULL once it is over */
  wr_listen_kind kind;
  bool over; /* the link has been told to close */
  wr_timer timer;
  wr_task task; /* acts on the verdict, outside the link's callbacks */
  wr_firstbytes_opts opts;
  wr_firstbytes first;
  uint8_t exporter[WR_TLS_EXPORT_LEN];
  wr_buf bytes;    /* what was read of the link */
  wr_slice before; /* those of them that are not offered again */
  char address[WR_ADDR_TEXT_MAX];
} arrival;

static void arrival_free(arrival *a) {
  wr_server *s = a->server;
  wr_list_remove(&a->node);
  wr_timer_stop(&a->timer);
  wr_task_cancel(&a->task);
  wr_buf_reset(&a->bytes);
  --*wr__counter_of(s, a->kind);
  wr_bzero(a->exporter, sizeof(a->exporter));
  wr_free(&s->ctx->mem, a);
}

static void drop(arrival *a, wr_close_mode mode) {
  a->over = true;
  wr_timer_stop(&a->timer);
  wr_task_cancel(&a->task);
  wr_link_close(a->link, mode);
}

/* WHAT IT IS */

/* Whoever gets the link reads from the first byte on. False: it is dropped. */
static bool give_back(arrival *a) {
  wr_link *link;
  if (a->before.len == 0) {
    return true;
  }
  if (wr_unread_new(a->link, a->before, &link) != 0) {
    drop(a, WR_CLOSE_RESET);
    return false;
  }
  a->link = link;
  return true;
}

/* The arrival is gone: its place among the startups is the session's. */
static void start_session(wr_server *s, wr_link *link, const char *address,
                          const char *transport) {
  uint32_t id;
  link->handler = NULL;
  if (!wr__limits_address(s, address, transport) ||
      !wr__limits_sessions(s, address, transport) ||
      wr__session_start(s, link, address, transport, &id) != 0) {
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

static void become_tunnel(arrival *a, wr_link *link, const char *transport) {
  wr_server *s = a->server;
  char address[WR_ADDR_TEXT_MAX];
  memcpy(address, a->address, sizeof(address));
  bool counted = !wr__has_visitors(a->kind);
  arrival_free(a);
  if (counted || wr__limits_startups(s, address, transport)) {
    start_session(s, link, address, transport);
  } else {
    link->handler = NULL;
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

/* The upgrade of a tunnel: the answer, and SSH in frames from here on. */
static void become_websocket(arrival *a) {
  const wr_ws_opts opts = {.ping_ms = a->server->opts.keepalive_ms};
  wr_link *link;
  wr__proxy_forwarded(a->server, &a->first.head, a->bytes.data, a->address);
  if (wr_ws_accept(a->link, &opts, a->first.key, NULL, &link) != 0) {
    drop(a, WR_CLOSE_RESET);
    return;
  }
  become_tunnel(a, link, a->kind == WR_LISTEN_WS ? "ws" : "wss");
}

static uint16_t local_of(const arrival *a, char address[WR_ADDR_TEXT_MAX]) {
  wr_link_info info;
  wr_link_query(a->link, &info);
  const struct sockaddr *sa = (const struct sockaddr *)&info.local;
  address[0] = '\0';
  if (!info.has_local) {
    return 0;
  }
  wr_sockaddr_host(sa, address);
  return wr_sockaddr_port(sa);
}

static void become_visitor(arrival *a, bool astray) {
  wr_server *s = a->server;
  char local[WR_ADDR_TEXT_MAX];
  uint16_t port = local_of(a, local);
  wr_tls_info info = {.sni = ""};
  wr_tls *tls = wr_tls_from_link(a->link);
  if (tls != NULL) {
    wr_tls_query(tls, &info);
  }
  if (!give_back(a)) {
    return;
  }
  wr_visitor visitor = {.link = a->link,
                        .remote_address = a->address,
                        .local_address = local,
                        .local_port = port,
                        .server_name = info.sni,
                        .alpn = info.alpn,
                        .plain = tls == NULL,
                        .astray = astray};
  a->link->handler = NULL;
  s->past.visitors++;
  if (a->first.knocked && a->first.knock != WR_KNOCK_RIGHT) {
    s->past.knocks_failed++;
  }
  s->opts.handler->on_visitor(s, &visitor);
  arrival_free(a);
}

static void on_task(wr_task *task) {
  arrival *a = wr_container_of(task, arrival, task);
  switch (a->first.verdict) {
  case WR_FIRST_SSH:
    wr_tls_pad(a->link);
    if (give_back(a)) {
      become_tunnel(a, a->link, "tls");
    }
    break;
  case WR_FIRST_UPGRADE:
    wr_tls_pad(a->link);
    become_websocket(a);
    break;
  case WR_FIRST_DECOY:
  case WR_FIRST_MORE:
    become_visitor(a, false);
    break;
  }
}

/* FIRST BYTES */

/* The bytes of an upgrade are taken, as they are answered here; all others are
   offered again to whoever gets the link, but for those of earlier reads. */
static size_t take(arrival *a, size_t before, size_t len) {
  switch (a->first.verdict) {
  case WR_FIRST_MORE:
    return len;
  case WR_FIRST_UPGRADE:
    return a->first.head.len - before;
  case WR_FIRST_SSH:
  case WR_FIRST_DECOY:
    break;
  }
  a->before = (wr_slice){a->bytes.data, before};
  return 0;
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  arrival *a = link->user;
  wr_ctx *ctx = a->server->ctx;
  size_t before = a->bytes.len;
  size_t part = WR_MIN(len, wr_buf_room(&a->bytes));
  int64_t wall_ms = wr_ctx_wall(ctx);
  if (wr_buf_append(&a->bytes, data, part) != 0) {
    drop(a, WR_CLOSE_RESET);
    return len;
  }
  uint64_t now_s = wall_ms < 0 ? 0 : (uint64_t)wall_ms / 1000;
  wr_first verdict =
      wr_firstbytes_feed(&a->first, a->bytes.data, a->bytes.len, now_s);
  if (verdict != WR_FIRST_MORE) {
    wr_link_read_stop(link);
    wr_task_post(ctx, &a->task);
  }
  return take(a, before, part);
}

/* Without a whole request there is nothing to answer. */
static void on_eof(wr_link *link) {
  drop(link->user, WR_CLOSE_RESET);
}

static void on_close(wr_link *link, int status) {
  arrival *a = link->user;
  wr_server *s = a->server;
  WR_UNUSED(status);
  arrival_free(a);
  wr__server_gone(s);
}

static const wr_link_handler link_handler = {
    .on_read = on_read, .on_eof = on_eof, .on_close = on_close};

/* As nginx ends a connection on which nothing, or not enough, was said. */
static void on_timer(wr_timer *timer) {
  arrival *a = wr_container_of(timer, arrival, timer);
  drop(a, a->bytes.len == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET);
}

static void look_at_bytes(arrival *a) {
  wr_server *s = a->server;
  wr_tls *tls = wr_tls_from_link(a->link);
  bool ssh = s->knock_secret.len == 0 && a->kind != WR_LISTEN_WS;
  a->opts = (wr_firstbytes_opts){.ssh = ssh,
                                 .path = s->opts.ws_path,
                                 .secret = s->knock_secret,
                                 .cache = &s->knocks};
  if (tls != NULL && wr_tls_export(tls, WR_KNOCK_LABEL, a->exporter) == 0) {
    a->opts.exporter = (wr_slice){a->exporter, sizeof(a->exporter)};
  }
  wr_firstbytes_init(&a->first, &a->opts);
  wr_timer_start(&a->timer, s->opts.visitor_ms);
  if (wr_link_read_start(a->link) != 0) {
    drop(a, WR_CLOSE_RESET);
  }
}

/* HANDSHAKE */

static bool is_challenge(wr_link *link) {
  wr_tls_info info;
  wr_tls *tls = wr_tls_from_link(link);
  if (tls != NULL) {
    wr_tls_query(tls, &info);
  }
  return tls != NULL && info.challenge;
}

static void own(arrival *a, wr_link *link) {
  a->link = link;
  link->handler = &link_handler;
  link->user = a;
}

static void on_tls(void *user, int status, wr_link *link) {
  arrival *a = user;
  wr_server *s = a->server;
  a->tls = NULL;
  if (link == NULL) {
    arrival_free(a);
    wr__server_gone(s);
    return;
  }
  own(a, link);
  if (s->state != SERVER_OPEN || is_challenge(link)) {
    drop(a, WR_CLOSE_ORDERLY);
  } else if (status != 0) {
    become_visitor(a, true);
  } else if (wr__has_visitors(a->kind)) {
    look_at_bytes(a);
  } else {
    wr_tls_pad(link);
    become_tunnel(a, link, "tls");
  }
}

static arrival *arrival_new(wr_server *s, wr_listen_kind kind,
                            const char *address) {
  arrival *a = wr_calloc(&s->ctx->mem, 1, sizeof(*a));
  if (a == NULL) {
    return NULL;
  }
  a->server = s;
  a->kind = kind;
  snprintf(a->address, sizeof(a->address), "%s", address);
  wr_timer_init(&a->timer, s->ctx, on_timer);
  wr_task_init(&a->task, on_task);
  wr_buf_init(&a->bytes, &s->ctx->mem, WR_FIRSTBYTES_MAX + 1);
  wr_list_push(&s->arrivals, &a->node);
  ++*wr__counter_of(s, kind);
  return a;
}

/* Whether a tunnel may come to a listener that has nothing else. */
static bool is_welcome(wr_server *s, bool has_place, const char *address) {
  return wr__limits_address(s, address, "tls") &&
         (has_place || wr__limits_startups(s, address, "tls"));
}

static int start_tls(arrival *a, wr_link *link) {
  wr_server *s = a->server;
  bool stealth = a->kind == WR_LISTEN_STEALTH;
  const wr_tls_options opts = {.timeout_ms = stealth ? s->opts.visitor_ms
                                                     : s->opts.login_grace_ms,
                               .detect_plain = stealth,
                               .reset_is_end = stealth};
  int err = wr_tls_start(link, s->tls, &opts, on_tls, a, &a->tls);
  if (err != 0) {
    arrival_free(a);
  }
  return err;
}

int wr__arrive(wr_server *s, wr_listen_kind kind, bool has_place, wr_link *link,
               const char *address) {
  bool full = wr__has_visitors(kind) ? s->n_visitors >= s->opts.max_visitors
                                     : !is_welcome(s, has_place, address);
  arrival *a = full ? NULL : arrival_new(s, kind, address);
  if (a == NULL) {
    return full ? WR_ELIMIT : WR_ENOMEM;
  }
  if (kind != WR_LISTEN_WS) {
    return start_tls(a, link);
  }
  own(a, link);
  look_at_bytes(a);
  return 0;
}

void wr__arrivals_stop(wr_server *s) {
  wr_list_each_safe(it, &s->arrivals) {
    arrival *a = wr_container_of(it, arrival, node);
    if (a->tls != NULL) {
      wr_tls_cancel(a->tls);
      arrival_free(a);
    } else if (!a->over) {
      drop(a, WR_CLOSE_RESET);
    }
  }
}
