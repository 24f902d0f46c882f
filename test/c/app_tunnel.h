#ifndef WR_TEST_C_APP_TUNNEL_H
#define WR_TEST_C_APP_TUNNEL_H

/* What the test programs of tunnels share: one server, and short ways to have
   channels, listeners and forwards. */

#include "app_help.h"

static app a;

HELP_UNUSED static void start(unsigned keys, const char *const *rules) {
  app_open(&a, false);
  app_serve(&a, keys, rules);
  app_listen(&a);
}

/* Turns of the loop until something is as it should be. */
#define UNTIL(cond)                                                            \
  do {                                                                         \
    wr_ctx_hold(&a.e.ctx);                                                     \
    while (!(cond)) {                                                          \
      uv_run(&a.e.loop, UV_RUN_ONCE);                                          \
    }                                                                          \
    wr_ctx_release(&a.e.ctx);                                                  \
  } while (0)

HELP_UNUSED static void on_flag(void *user) {
  *(bool *)user = true;
}

/* A connection of an application's to a port of this machine. */
HELP_UNUSED static void dial_done(wr_dial *d, int status, wr_link *link) {
  chan *ch = d->user;
  chan_opened(ch, status, link);
}

HELP_UNUSED static int dial(chan *ch, uint16_t port) {
  wr_dial d = {.user = ch};
  wr_dial_opts o = {.host = "127.0.0.1", .port = port};
  memset(ch, 0, sizeof(*ch));
  MUST(wr_dial_start(&a.e.ctx, &d, &o, dial_done) == 0);
  env_until(&a.e, &ch->done);
  return ch->status;
}

HELP_UNUSED static uint16_t local_port(const wr_local *l) {
  struct sockaddr_storage ss;
  wr_local_addr(l, &ss);
  return wr_sockaddr_port((const struct sockaddr *)&ss);
}

HELP_UNUSED static wr_local *listen_for(client *c, const char *host,
                                        uint16_t port) {
  wr_local *l;
  wr_local_opts o = {.bind_host = "127.0.0.1", .target = {.port = port}};
  snprintf(o.target.host, sizeof(o.target.host), "%s", host);
  MUST(wr_tunnel_listen(c->t, &o, &l) == 0);
  return l;
}

HELP_UNUSED static wr_endpoint endpoint(const char *host, uint16_t port) {
  wr_endpoint e = {.port = port};
  snprintf(e.host, sizeof(e.host), "%s", host);
  return e;
}

/* Asks for a forward to the echo server and waits for the answer. */
HELP_UNUSED static wr_remote_forward *ask_remote(client *c, const char *host,
                                                 uint16_t port, const echo *x) {
  wr_remote_forward *f;
  wr_endpoint bind = endpoint(host, port);
  wr_endpoint target = endpoint("127.0.0.1", x != NULL ? x->port : 0);
  int before = c->remotes;
  MUST(wr_tunnel_remote_add(c->t, &bind, x != NULL ? &target : NULL, c, &f) ==
       0);
  CHECK(wr_remote_forward_user(f) == c);
  UNTIL(c->remotes > before);
  CHECK(c->remote == f);
  return f;
}

#endif /* !defined(WR_TEST_C_APP_TUNNEL_H) */
