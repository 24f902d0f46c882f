#include "app/server_internal.h"

#include <string.h>

/* Penalties for addresses from which connections fail. A login takes nothing
   back: else whoever has one key could pay with it for trying others. */

#define ADDRESSES_MAX 65536
#define PENALTY_MAX_MS 600000u

/* What ends a connection without a login, and its weight in fifths of
   opts.penalty_ms. */
typedef struct offence {
  const char *name;
  unsigned fifths;
} offence;

static const offence auth_failed = {"auth-failed", 5};
static const offence login_timeout = {"login-timeout", 10};
static const offence protocol = {"protocol", 10};
/* Health checks and ssh-keyscan do that too. */
static const offence no_attempt = {"no-attempt", 1};

static const offence *offence_of(const server_session *ss, int status) {
  if (ss->logged_in) {
    return NULL;
  }
  if (ss->attempts > 0) {
    return &auth_failed;
  }
  switch (status) {
  case 0: /* we have ended it, for reasons of our own */
  case WR_ECLOSED:
  case WR_ENOMEM:
    return NULL;
  case WR_EAUTH_TIMEOUT:
    return &login_timeout;
  case WR_ESSH_PROTOCOL:
  case WR_ESSH_VERSION:
  case WR_EKEX_FAILED:
  case WR_EAUTH_REFUSED:
  case WR_ELIMIT:
    return &protocol;
  default:
    return &no_attempt;
  }
}

/* Whoever may speak for others is none to keep out: its own connections are its
   checks, and the others it could have under any address. A scope is no part of
   a network. */
static bool is_exempt(const wr_server *s, const char *address) {
  char plain[WR_ADDR_TEXT_MAX];
  wr_ip ip;
  snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(address, "%"), address);
  return wr_ip_parse(plain, &ip) == 0 &&
         (wr_cidrs_contain(s->exempt, s->opts.n_penalty_exempt, &ip) ||
          wr_cidrs_contain(s->trusted, s->opts.n_trust_proxy, &ip));
}

bool wr__penalty_holds(wr_server *s, const char *address, bool *first) {
  uint8_t key[WR_ADDR_TEXT_MAX];
  if (s->penalties == NULL || address[0] == '\0') {
    return false;
  }
  wr_slice peer = {key, wr__peer_key(address, key)};
  return !is_exempt(s, address) &&
         wr_penalties_hold(s->penalties, wr_ctx_now(s->ctx), peer, first);
}

void wr__penalty_over(const server_session *ss, int status) {
  uint8_t key[WR_ADDR_TEXT_MAX];
  wr_server *s = ss->server;
  const offence *what = offence_of(ss, status);
  if (s->penalties == NULL || what == NULL || ss->address[0] == '\0' ||
      is_exempt(s, ss->address)) {
    return;
  }
  wr_slice peer = {key, wr__peer_key(ss->address, key)};
  uint64_t ms = wr_penalties_add(s->penalties, wr_ctx_now(s->ctx), peer,
                                 (s->opts.penalty_ms * what->fifths + 4) / 5);
  if (ms > 0) {
    s->past.penalties++;
    wr__log_penalty(s, ss->address, ms, what->name);
  }
}

int wr__penalty_init(wr_server *s) {
  const wr_server_opts *o = &s->opts;
  uint64_t max_ms = o->penalty_max_ms != 0 ? o->penalty_max_ms : PENALTY_MAX_MS;
  if (o->penalty_ms == 0) {
    return 0;
  }
  s->penalties = wr_penalties_new(&s->ctx->mem, wr_ctx_rand64(s->ctx), max_ms,
                                  ADDRESSES_MAX);
  if (s->penalties == NULL) {
    return WR_ENOMEM;
  }
  return wr__copy_cidrs(s, o->penalty_exempt, o->n_penalty_exempt, &s->exempt);
}

void wr__penalty_free(wr_server *s) {
  wr_penalties_free(s->penalties);
  wr_free(&s->ctx->mem, s->exempt);
}
