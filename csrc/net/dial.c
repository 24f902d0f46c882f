#include "net/dial.h"

#include <string.h>

#include "base/errors.h"

static void try_next(wr_dial *d);

static void stop_try(wr_dial *d, size_t i) {
  wr_link *link = wr_stream_link(d->tries[i]);
  d->tries[i] = NULL;
  d->n_pending--;
  wr_link_close(link, WR_CLOSE_RESET);
}

static void stop_tries(wr_dial *d) {
  wr_resolve_cancel(&d->resolve);
  wr_timer_stop(&d->stagger);
  for (size_t i = 0; i < d->n_addrs; i++) {
    if (d->tries[i] != NULL) {
      stop_try(d, i);
    }
  }
}

/* Ends everything that is under way, except for the callback. */
static void stop_all(wr_dial *d) {
  d->active = false;
  wr_timer_stop(&d->timeout);
  stop_tries(d);
  if (d->ask != NULL) {
    wr_upstream_ask_cancel(d->ask);
    d->ask = NULL;
  }
}

/* The wr_dial may be gone after this. */
static void finish(wr_dial *d, int status, wr_link *link) {
  stop_all(d);
  d->cb(d, status, link);
}

/* No connection to what was dialled, be it the target or a proxy. */
static void finish_unconnected(wr_dial *d, int status) {
  if (d->ask != NULL) {
    d->proxy_error = status;
    status = WR_EPROXY_UNREACHABLE;
  }
  finish(d, status, NULL);
}

static void on_asked(void *user, int status, wr_link *link) {
  wr_dial *d = user;
  d->ask = NULL;
  finish(d, status, link);
}

static bool allowed(const wr_dial *d, size_t i) {
  const struct sockaddr *sa = (const struct sockaddr *)&d->addrs[i];
  return d->allow == NULL || sa->sa_family == AF_UNIX ||
         d->allow(d->allow_data, sa);
}

static void win(wr_dial *d, size_t i) {
  wr_link *link = wr_stream_link(d->tries[i]);
  d->tries[i] = NULL;
  d->n_pending--;
  link->user = NULL;
  if (!allowed(d, i)) { /* the policy has changed since */
    wr_link_close(link, WR_CLOSE_RESET);
    finish(d, WR_ECHANNEL_DENIED, NULL);
    return;
  }
  if (d->ask == NULL) {
    finish(d, 0, link);
    return;
  }
  stop_tries(d);
  d->asking = true;
  wr_upstream_ask_start(d->ask, link);
}

/* The first address is the system's first choice, so its error says most. */
static void note_error(wr_dial *d, size_t i, int err) {
  if (i == 0 || d->first_error == 0) {
    d->first_error = err;
  }
}

static void on_connect(wr_stream *s, int status) {
  wr_dial *d = wr_stream_link(s)->user;
  size_t i = 0;
  while (d->tries[i] != s) {
    i++;
  }
  if (status == 0) {
    win(d, i);
    return;
  }
  note_error(d, i, status);
  stop_try(d, i);
  try_next(d);
}

/* Starts one attempt. 0 or an error. */
static int start_try(wr_dial *d, size_t i, const char *path) {
  wr_stream *s;
  const struct sockaddr *sa = (const struct sockaddr *)&d->addrs[i];
  int err = wr_stream_new(d->ctx, sa->sa_family, &s);
  if (err != 0) {
    return err;
  }
  wr_stream_link(s)->user = d;
  err = path != NULL ? wr_stream_connect_path(s, path, on_connect)
                     : wr_stream_connect(s, sa, on_connect);
  if (err != 0) {
    wr_link_close(wr_stream_link(s), WR_CLOSE_RESET);
    return err;
  }
  d->tries[i] = s;
  d->n_pending++;
  return 0;
}

/* Tries the next address that can be tried at all; reports the failure when
   there is none and nothing is under way. */
static void try_next(wr_dial *d) {
  wr_timer_stop(&d->stagger);
  while (d->next < d->n_addrs) {
    size_t i = d->next++;
    int err = start_try(d, i, NULL);
    if (err == 0) {
      if (d->next < d->n_addrs) {
        wr_timer_start(&d->stagger, WR_DIAL_STAGGER_MS);
      }
      return;
    }
    note_error(d, i, err);
  }
  if (d->n_pending == 0) {
    finish_unconnected(d, d->first_error);
  }
}

static void on_stagger(wr_timer *timer) {
  try_next(wr_container_of(timer, wr_dial, stagger));
}

/* A proxy that has been told everything waits for the target. */
static void on_timeout(wr_timer *timer) {
  wr_dial *d = wr_container_of(timer, wr_dial, timeout);
  if (d->asking && wr_upstream_ask_sent(d->ask)) {
    finish(d, WR_ETIMEOUT, NULL);
  } else {
    finish_unconnected(d, WR_ETIMEOUT);
  }
}

/* The families in turn, beginning with the first address's (RFC 8305, section
   4); within a family the system's order stays. */
static void interleave(wr_dial *d, const struct sockaddr_storage *addrs,
                       size_t n) {
  bool used[WR_RESOLVE_MAX_ADDRS] = {false};
  sa_family_t want = addrs[0].ss_family;
  d->n_addrs = 0;
  while (d->n_addrs < n) {
    size_t pick = n;
    for (size_t i = 0; i < n; i++) {
      if (!used[i] && (pick == n || addrs[i].ss_family == want)) {
        pick = i;
        if (addrs[i].ss_family == want) {
          break;
        }
      }
    }
    used[pick] = true;
    d->addrs[d->n_addrs++] = addrs[pick];
    want = addrs[pick].ss_family == AF_INET ? AF_INET6 : AF_INET;
  }
}

/* Drops what may not be dialled. */
static void filter(wr_dial *d) {
  size_t kept = 0;
  for (size_t i = 0; i < d->n_addrs; i++) {
    wr_sockaddr_set_port(&d->addrs[i], d->port);
    if (allowed(d, i)) {
      d->addrs[kept++] = d->addrs[i];
    }
  }
  d->n_addrs = kept;
}

static void on_resolved(wr_resolve *r, int status,
                        const struct sockaddr_storage *addrs, size_t n) {
  wr_dial *d = wr_container_of(r, wr_dial, resolve);
  if (status != 0) {
    finish_unconnected(d, status);
    return;
  }
  interleave(d, addrs, n);
  filter(d);
  if (d->n_addrs == 0) {
    finish(d, WR_ECHANNEL_DENIED, NULL);
    return;
  }
  try_next(d);
}

/* "[::1]" is how addresses come out of URLs. */
static int start_resolve(wr_dial *d, const char *host, const void *owner) {
  char inner[WR_ADDR_TEXT_MAX];
  size_t len = strnlen(host, WR_HOST_MAX + 1);
  if (len > 2 && len < sizeof(inner) && host[0] == '[' &&
      host[len - 1] == ']') {
    memcpy(inner, host + 1, len - 2);
    inner[len - 2] = '\0';
    host = inner;
  }
  return wr_resolve_start(d->ctx, &d->resolve, owner, host, on_resolved);
}

static int start_proxy(wr_dial *d, const wr_dial_opts *opts) {
  int err = wr_upstream_ask_new(d->ctx, opts->proxy, opts->host, opts->port,
                                on_asked, d, &d->ask);
  if (err != 0) {
    return err;
  }
  d->port = opts->proxy->port;
  d->allow = NULL;
  err = start_resolve(d, opts->proxy->host, opts->owner);
  if (err != 0) {
    wr_upstream_ask_cancel(d->ask);
    d->ask = NULL;
  }
  return err;
}

static void init(wr_ctx *ctx, wr_dial *d, const wr_dial_opts *opts,
                 wr_dial_cb cb) {
  void *user = d->user;
  memset(d, 0, sizeof(*d));
  d->user = user;
  d->ctx = ctx;
  d->cb = cb;
  d->port = opts->port;
  d->allow = opts->allow;
  d->allow_data = opts->allow_data;
  wr_timer_init(&d->timeout, ctx, on_timeout);
  wr_timer_init(&d->stagger, ctx, on_stagger);
}

int wr_dial_start(wr_ctx *ctx, wr_dial *d, const wr_dial_opts *opts,
                  wr_dial_cb cb) {
  int err = WR_EINVAL;
  init(ctx, d, opts, cb);
  if (ctx->exiting) {
    return WR_ECANCELED;
  }
  if (opts->path != NULL) {
    d->addrs[0].ss_family = AF_UNIX;
    d->n_addrs = 1;
    d->next = 1;
    err = start_try(d, 0, opts->path);
  } else if (opts->host != NULL && opts->port != 0 && opts->proxy != NULL) {
    err = start_proxy(d, opts);
  } else if (opts->host != NULL && opts->port != 0) {
    err = start_resolve(d, opts->host, opts->owner);
  }
  if (err != 0) {
    return err;
  }
  d->active = true;
  wr_timer_start(&d->timeout,
                 opts->timeout_ms != 0 ? opts->timeout_ms : WR_DIAL_TIMEOUT_MS);
  return 0;
}

void wr_dial_cancel(wr_dial *d) {
  if (d->active) {
    stop_all(d);
  }
}
