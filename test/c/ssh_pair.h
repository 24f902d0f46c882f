#ifndef WR_TEST_C_SSH_PAIR_H
#define WR_TEST_C_SSH_PAIR_H

/* Two sessions, client and server, over an in-memory pair with a fake clock, and
   an owner of channels that counts, checks and can be told what to do. */

#include "net_help.h"

#include "net/mempair.h"
#include "ssh/internal.h"

#define PAIR_CAPACITY ((size_t)256 * 1024)
#define PAIR_OPENS 16

typedef struct pair {
  env e;
  wr_link *clink;
  wr_link *slink;
  wr_ssh *c; /* NULL once closed */
  wr_ssh *s;
  int c_status;
  int s_status;
  int c_closes;
  int s_closes;
  int c_ready;
  int s_ready;
  char s_text[128];
  wr_key *host;
  wr_slice presented; /* instead of the plain key; data NULL: none */
  wr_key *user[3];
  wr_identity ids[3]; /* of these keys */
  wr_key *good;       /* the key that the server takes */
  /* what to do */
  bool async_verdict;
  int verdict;
  bool async_auth;
  bool async_open;
  int refuse_with; /* 0: accept */
  wr_ssh_opts copts;
  wr_ssh_opts sopts;
  /* what was seen */
  int offers;
  int proofs;
  int ignored;
  char ignored_reason[32];
  char user_name[256];
  bool verdict_due;
  bool auth_due;
  bool auth_good;
  wr_open *opens[PAIR_OPENS];
  int n_opens;
  int opens_canceled;
  wr_target target;
  void (*on_accepted)(struct pair *p, wr_link *link);
  void (*on_request)(struct pair *p, wr_request *r);
  int requests_canceled;
} pair;

HELP_UNUSED static void pair_host_key(wr_ssh *s, wr_slice blob) {
  pair *p = wr_ssh_user(s);
  OK(wr_slice_same(blob, p->presented.data != NULL ? p->presented
                                                   : wr_key_blob(p->host)),
     "it is the host key");
  if (p->async_verdict) {
    p->verdict_due = true;
    return;
  }
  wr_ssh_host_key_verdict(s, p->verdict);
}

HELP_UNUSED static void pair_auth(wr_ssh *s, const wr_auth_offer *o) {
  pair *p = wr_ssh_user(s);
  snprintf(p->user_name, sizeof(p->user_name), "%s", o->user);
  if (o->proof) {
    p->proofs++;
  } else {
    p->offers++;
  }
  p->auth_good =
      p->good != NULL && wr_slice_same(o->blob, wr_key_blob(p->good));
  if (p->async_auth) {
    p->auth_due = true;
    return;
  }
  wr_ssh_auth_reply(s, p->auth_good);
}

HELP_UNUSED static void pair_ignored(wr_ssh *s, const char *user,
                                     const char *reason) {
  pair *p = wr_ssh_user(s);
  WR_UNUSED(user);
  p->ignored++;
  snprintf(p->ignored_reason, sizeof(p->ignored_reason), "%s", reason);
}

HELP_UNUSED static void pair_ready(wr_ssh *s) {
  pair *p = wr_ssh_user(s);
  if (s == p->c) {
    p->c_ready++;
  } else {
    p->s_ready++;
  }
}

HELP_UNUSED static void pair_answer(pair *p, wr_open *open) {
  if (p->refuse_with != 0) {
    wr_open_refuse(open, p->refuse_with);
    return;
  }
  wr_link *link = wr_open_accept(open);
  if (link != NULL) {
    p->on_accepted(p, link);
  }
}

HELP_UNUSED static void pair_open(wr_ssh *s, wr_open *open) {
  pair *p = wr_ssh_user(s);
  p->target = *wr_open_target(open);
  if (p->async_open) {
    MUST(p->n_opens < PAIR_OPENS);
    p->opens[p->n_opens++] = open;
    return;
  }
  p->n_opens++;
  pair_answer(p, open);
}

HELP_UNUSED static void pair_open_canceled(wr_ssh *s, wr_open *open) {
  pair *p = wr_ssh_user(s);
  WR_UNUSED(open);
  p->opens_canceled++;
}

HELP_UNUSED static void pair_request(wr_ssh *s, wr_request *r) {
  pair *p = wr_ssh_user(s);
  p->on_request(p, r);
}

HELP_UNUSED static void pair_request_canceled(wr_ssh *s, wr_request *r) {
  pair *p = wr_ssh_user(s);
  WR_UNUSED(r);
  p->requests_canceled++;
}

HELP_UNUSED static void pair_close_cb(wr_ssh *s, int status) {
  pair *p = wr_ssh_user(s);
  if (s == p->c) {
    p->c = NULL;
    p->c_status = status;
    p->c_closes++;
    return;
  }
  MUST(s == p->s);
  snprintf(p->s_text, sizeof(p->s_text), "%s", wr_ssh_end_text(s));
  p->s = NULL;
  p->s_status = status;
  p->s_closes++;
}

static const wr_ssh_handler pair_handler HELP_UNUSED = {
    .on_host_key = pair_host_key,
    .on_auth = pair_auth,
    .on_auth_ignored = pair_ignored,
    .on_ready = pair_ready,
    .on_open = pair_open,
    .on_open_canceled = pair_open_canceled,
    .on_request = pair_request,
    .on_request_canceled = pair_request_canceled,
    .on_close = pair_close_cb};

HELP_UNUSED static void pair_init_clock(pair *p, bool fake) {
  memset(p, 0, sizeof(*p));
  env_open(&p->e);
  if (fake) {
    wr_ctx_fake_clock(&p->e.ctx);
  }
  wr_mem *mem = &p->e.ctx.mem;
  MUST(wr_key_generate(mem, &p->host) == 0);
  for (size_t i = 0; i < WR_COUNTOF(p->user); i++) {
    MUST(wr_key_generate(mem, &p->user[i]) == 0);
    p->ids[i].key = p->user[i];
  }
  p->good = p->user[0];
  p->copts = (wr_ssh_opts){.role = WR_SSH_CLIENT,
                           .handler = &pair_handler,
                           .user = p,
                           .login = "alice",
                           .identities = p->ids,
                           .n_identities = 1};
  p->sopts = (wr_ssh_opts){.role = WR_SSH_SERVER,
                           .handler = &pair_handler,
                           .user = p,
                           .host_key = p->host};
  MUST(wr_mempair_new(&p->e.ctx, PAIR_CAPACITY, &p->clink, &p->slink) == 0);
}

HELP_UNUSED static void pair_init(pair *p) {
  pair_init_clock(p, true);
}

HELP_UNUSED static void pair_start(pair *p) {
  MUST(wr_ssh_start(&p->e.ctx, p->slink, &p->sopts, &p->s) == 0);
  MUST(wr_ssh_start(&p->e.ctx, p->clink, &p->copts, &p->c) == 0);
}

HELP_UNUSED static void pair_run(pair *p) {
  wr_ctx_run_tasks(&p->e.ctx);
}

HELP_UNUSED static void pair_up(pair *p) {
  pair_start(p);
  pair_run(p);
  MUST(p->c_ready == 1 && p->s_ready == 1);
}

HELP_UNUSED static void pair_delay(pair *p, uint64_t ms) {
  wr_mempair_faults f = {.delay_ms = ms};
  wr_mempair_set_faults(p->clink, &f);
  wr_mempair_set_faults(p->slink, &f);
}

/* A pair whose wire holds as much as a long link does. */
HELP_UNUSED static void pair_widen(pair *p, size_t capacity) {
  peer raw[2] = {0};
  peer_own(&raw[0], p->clink);
  peer_own(&raw[1], p->slink);
  wr_link_close(p->clink, WR_CLOSE_RESET);
  wr_link_close(p->slink, WR_CLOSE_RESET);
  pair_run(p);
  MUST(wr_mempair_new(&p->e.ctx, capacity, &p->clink, &p->slink) == 0);
}

/* Ends what is left; nothing may leak. */
HELP_UNUSED static void pair_fini(pair *p) {
  if (p->c != NULL) {
    wr_ssh_abort(p->c, WR_ECLOSED);
  }
  if (p->s != NULL) {
    wr_ssh_abort(p->s, WR_ECLOSED);
  }
  pair_run(p);
  CHECK(p->c == NULL && p->s == NULL);
  CHECK(p->c_closes <= 1 && p->s_closes <= 1);
  wr_key_unref(p->host);
  for (size_t i = 0; i < WR_COUNTOF(p->user); i++) {
    wr_key_unref(p->user[i]);
  }
  env_close(&p->e);
}

/* An opening that notes its end. */
typedef struct opened {
  int calls;
  int status;
  wr_link *link;
  wr_opening *opening;
} opened;

HELP_UNUSED static void on_opened(void *user, int status, wr_link *link) {
  opened *o = user;
  o->calls++;
  o->status = status;
  o->link = link;
}

HELP_UNUSED static const wr_target *some_target(void) {
  static const wr_target t = {.kind = WR_TARGET_TCP,
                              .host = "db.example",
                              .port = 5432,
                              .origin_host = "127.0.0.1",
                              .origin_port = 40000};
  return &t;
}

HELP_UNUSED static void pair_ask(pair *p, opened *o) {
  memset(o, 0, sizeof(*o));
  MUST(wr_ssh_open(p->c, some_target(), on_opened, o, &o->opening) == 0);
}

#endif /* !defined(WR_TEST_C_SSH_PAIR_H) */
