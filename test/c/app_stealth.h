#ifndef WR_TEST_C_APP_STEALTH_H
#define WR_TEST_C_APP_STEALTH_H

/* A server with a TLS certificate, connections to it, and the visitors that it
   hands out. All over memory, with a clock of its own. */

#include "app_help.h"

#include "app/server_internal.h"
#include "tls_help.h"

#define ADDR "203.0.113.50"
#define OTHER "203.0.113.51"
#define GET "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define BANNER "SSH-2.0-raw\r\n"
#define FIRST_BYTES_MS 60000u

static app a;
static pki site;
static wr_tls_ctx *trusting;

HELP_UNUSED static void run(void) {
  wr_ctx_run_tasks(&a.e.ctx);
}

HELP_UNUSED static void pass(uint64_t ms) {
  wr_ctx_advance(&a.e.ctx, ms);
}

/* VISITORS */

/* Whoever was given to the web site. */
typedef struct guest {
  wr_link *link; /* NULL once closed */
  char text[256];
  size_t len;
  char about[128];
} guest;

static guest guests[8];
static int n_guests;

HELP_UNUSED static size_t guest_read(wr_link *link, uint8_t *data, size_t len) {
  guest *g = link->user;
  size_t part = WR_MIN(len, sizeof(g->text) - 1 - g->len);
  memcpy(g->text + g->len, data, part);
  g->len += part;
  return len;
}

HELP_UNUSED static void guest_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

HELP_UNUSED static void guest_closed(wr_link *link, int status) {
  WR_UNUSED(status);
  ((guest *)link->user)->link = NULL;
}

static const wr_link_handler guest_handler = {
    .on_read = guest_read, .on_eof = guest_eof, .on_close = guest_closed};

HELP_UNUSED static void on_visitor(wr_server *s, const wr_visitor *v) {
  WR_UNUSED(s);
  MUST(n_guests < (int)WR_COUNTOF(guests));
  guest *g = &guests[n_guests++];
  *g = (guest){.link = v->link};
  snprintf(g->about, sizeof(g->about), "%s sni=%s alpn=%.*s%s",
           v->remote_address, v->server_name, (int)v->alpn.len,
           v->alpn.len > 0 ? (const char *)v->alpn.data : "",
           v->astray  ? " astray"
           : v->plain ? " plain"
                      : "");
  v->link->user = g;
  v->link->handler = &guest_handler;
  if (wr_link_read_start(v->link) != 0) {
    wr_link_close(v->link, WR_CLOSE_RESET);
  }
}

HELP_UNUSED static void guests_leave(void) {
  for (int i = 0; i < n_guests; i++) {
    if (guests[i].link != NULL) {
      wr_link_close(guests[i].link, WR_CLOSE_RESET);
    }
  }
  run();
  n_guests = 0;
}

/* SERVER */

static wr_server_handler site_handler;

HELP_UNUSED static void prepare(void) {
  const cert_spec host = {.names = "DNS:a.test"};
  pki_make(&site, &host);
  app_open(&a, true);
  a.e.ctx.wall_ms = wall_of_tests;
  site_handler = app_handler;
  site_handler.on_visitor = on_visitor;
  a.opts.handler = &site_handler;
  a.opts.tls = serve_with(&a.e, &site);
  trusting = trust(&a.e, &site);
  a.take_control = true;
  n_guests = 0;
}

HELP_UNUSED static void begin(void) {
  app_serve(&a, 1, NULL);
  app_forget_log(&a);
}

HELP_UNUSED static void finish(void) {
  guests_leave();
  app_stop(&a);
  wr_tls_ctx_unref(a.opts.tls);
  wr_tls_ctx_unref(trusting);
  app_close(&a);
  pki_free(&site);
}

HELP_UNUSED static wr_server_stats stats(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st;
}

/* CALLERS */

/* A connection to a TLS listener: first its carrier, then its TLS. */
typedef struct caller {
  int err; /* of the server */
  wr_link *raw;
  side tls;
} caller;

/* The carrier alone. */
HELP_UNUSED static void come(caller *c, wr_listen_kind kind,
                             const char *address) {
  wr_link *theirs;
  memset(c, 0, sizeof(*c));
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &c->raw, &theirs) == 0);
  c->err = wr__arrive(a.server, kind, false, theirs, address);
  if (c->err != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  peer_own(&c->tls.p, c->raw);
}

HELP_UNUSED static void shake(caller *c) {
  const wr_tls_options o = {.server_name = "a.test"};
  MUST(wr_tls_start(c->raw, trusting, &o, on_side, &c->tls, &c->tls.tls) == 0);
  run();
}

/* With a handshake behind it. */
HELP_UNUSED static void call(caller *c, const char *address) {
  come(c, WR_LISTEN_STEALTH, address);
  EQ_INT(c->err, 0);
  shake(c);
  EQ_INT(c->tls.n_cb, 1);
  MUST(c->tls.status == 0);
}

HELP_UNUSED static void send_bytes(caller *c, const char *text, size_t len) {
  size_t taken;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
  MUST(wr_link_write(c->tls.p.link, &buf, 1, &taken) == 0);
  EQ_UINT(taken, len);
}

HELP_UNUSED static void say(caller *c, const char *text) {
  send_bytes(c, text, strlen(text));
  run();
}

HELP_UNUSED static void leave(caller *c) {
  if (c->tls.p.link != NULL) {
    wr_link_close(c->tls.p.link, WR_CLOSE_RESET);
  }
  run();
  CHECK(c->tls.p.closed);
}

/* TUNNELS */

HELP_UNUSED static void tunnel_start(client *c, wr_listen_kind kind,
                                     const char *address, const char *ws_path,
                                     const char *secret) {
  wr_identity identity = {.key = a.keys[0]};
  wr_link *theirs = NULL;
  wr_tunnel_connect_opts o = {
      .tls = trusting,
      .tls_name = "a.test",
      .ws_path = ws_path,
      .ws_host = "a.test",
      .secret = {(const uint8_t *)secret, secret != NULL ? strlen(secret) : 0},
      .user = "alice",
      .identities = &identity,
      .n_identities = 1};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &o.link, &theirs) == 0);
  client_open(c, &a, 0);
  if (wr__arrive(a.server, kind, false, theirs, address) != 0) {
    wr_link_close(theirs, WR_CLOSE_RESET);
  }
  MUST(wr_tunnel_connect(c->t, &o) == 0);
  run();
}

#endif /* !defined(WR_TEST_C_APP_STEALTH_H) */
