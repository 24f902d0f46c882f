#ifndef WR_TEST_C_APP_RAW_H
#define WR_TEST_C_APP_RAW_H

/* A plain SSH client over memory, for what a tunnel would never do. The clock is
   the test's. */

#include "app_help.h"

#include "ssh/internal.h"

#define ADDR "203.0.113.50"
#define RAW_KEYS_MAX 8

static app a;

HELP_UNUSED static void run(void) {
  wr_ctx_run_tasks(&a.e.ctx);
}

/* A plain SSH client, for what a tunnel would never do. */
typedef struct raw {
  wr_ssh *ssh;
  wr_link *link;
  wr_link *server_link;
  bool ready;
  bool closed;
  int status;
  bool wait_at_key; /* does not judge the host key */
  uint64_t late_ms; /* says nothing for so long */
  int opens;
} raw;

HELP_UNUSED static void raw_host_key(wr_ssh *s, wr_slice blob) {
  raw *r = wr_ssh_user(s);
  WR_UNUSED(blob);
  if (!r->wait_at_key) {
    wr_ssh_host_key_verdict(s, 0);
  }
}

HELP_UNUSED static void raw_ready(wr_ssh *s) {
  ((raw *)wr_ssh_user(s))->ready = true;
}

HELP_UNUSED static void raw_open(wr_ssh *s, wr_open *open) {
  ((raw *)wr_ssh_user(s))->opens++;
  wr_open_refuse(open, WR_ECHANNEL_REFUSED);
}

HELP_UNUSED static void raw_request(wr_ssh *s, wr_request *r) {
  WR_UNUSED(s);
  wr_request_reply(r, false, (wr_slice){NULL, 0});
}

HELP_UNUSED static void raw_close(wr_ssh *s, int status) {
  raw *r = wr_ssh_user(s);
  r->ssh = NULL;
  r->closed = true;
  r->status = status;
}

static const wr_ssh_handler raw_handler = {.on_host_key = raw_host_key,
                                           .on_ready = raw_ready,
                                           .on_open = raw_open,
                                           .on_request = raw_request,
                                           .on_close = raw_close};

HELP_UNUSED static void raw_start(raw *r, const char *address, const char *user,
                                  wr_key *const *keys, size_t n) {
  uint32_t id;
  wr_identity ids[RAW_KEYS_MAX] = {0};
  MUST(n <= RAW_KEYS_MAX);
  for (size_t i = 0; i < n; i++) {
    ids[i].key = keys[i];
  }
  wr_ssh_opts o = {.role = WR_SSH_CLIENT,
                   .handler = &raw_handler,
                   .user = r,
                   .login = user,
                   .identities = ids,
                   .n_identities = n,
                   .login_grace_ms = 100000};
  MUST(wr_mempair_new(&a.e.ctx, APP_PIPE, &r->link, &r->server_link) == 0);
  MUST(wr_server_accept(a.server, r->server_link, address, "memory", &id) == 0);
  wr_ctx_advance(&a.e.ctx, r->late_ms);
  MUST(wr_ssh_start(&a.e.ctx, r->link, &o, &r->ssh) == 0);
  run();
}

HELP_UNUSED static void raw_end(raw *r) {
  if (r->ssh != NULL) {
    wr_ssh_close(r->ssh, WR_DISCONNECT_BY_APPLICATION, "bye");
  }
  wr_ctx_advance(&a.e.ctx, 3000);
  CHECK(r->closed);
}

/* A channel that was asked for. */
typedef struct asked {
  int calls;
  int status;
  peer p;
} asked;

HELP_UNUSED static void on_asked(void *user, int status, wr_link *link) {
  asked *o = user;
  o->calls++;
  o->status = status;
  if (link != NULL) {
    peer_own(&o->p, link);
  }
}

/* The status with which the server answers. */
HELP_UNUSED static int ask(raw *r, asked *o, wr_target_kind kind,
                           const char *host, uint16_t port) {
  wr_target t = chan_target(kind, host, port);
  wr_opening *opening;
  memset(o, 0, sizeof(*o));
  MUST(wr_ssh_open(r->ssh, &t, on_asked, o, &opening) == 0);
  run();
  EQ_INT(o->calls, 1);
  return o->status;
}

/* How the server answers a request for a remote forward. */
HELP_UNUSED static void on_listened(void *user, int status, wr_slice payload) {
  WR_UNUSED(payload);
  *(int *)user = status;
}

HELP_UNUSED static int ask_listen(raw *r, const char *host, uint16_t port) {
  int status = 1;
  wr_buf b;
  wr_buf_init(&b, &a.e.ctx.mem, 512);
  MUST(wr_buf_put_cstring(&b, host) == 0 && wr_buf_put_u32(&b, port) == 0);
  MUST(wr_ssh_request(r->ssh, "tcpip-forward", (wr_slice){b.data, b.len},
                      on_listened, &status) == 0);
  wr_buf_reset(&b);
  run();
  return status;
}

#endif /* !defined(WR_TEST_C_APP_RAW_H) */
