#ifndef WR_TEST_C_PROXY_PAIR_H
#define WR_TEST_C_PROXY_PAIR_H

/* Two SSH sessions over an in-memory pair with a real loop, a listening service,
   and a name service of our own. */

#include "proxy_help.h"

#include "ssh_pair.h"

#include "loop/internal.h"
#include "proxy/policy.h"

/* A service that keeps what comes. */
typedef struct service {
  wr_listener *listener;
  struct sockaddr_storage addr;
  end *ends; /* one for each connection, in order */
  int max;
  int n;
  bool closed;
} service;

HELP_UNUSED static void service_on_accept(wr_listener *l, wr_link *link) {
  service *s = wr_listener_user(l);
  MUST(s->n < s->max);
  end_own(&s->ends[s->n++], link);
}

HELP_UNUSED static void service_on_close(wr_listener *l) {
  ((service *)wr_listener_user(l))->closed = true;
}

static const wr_listener_handler service_handler HELP_UNUSED = {
    .on_accept = service_on_accept, .on_close = service_on_close};

HELP_UNUSED static uint16_t service_start(env *v, service *s, end *ends,
                                          int max) {
  *s = (service){.ends = ends, .max = max};
  MUST(wr_listener_tcp(&v->ctx, "127.0.0.1", 0, false, &service_handler, s,
                       &s->listener) == 0);
  wr_listener_addr(s->listener, &s->addr);
  return wr_sockaddr_port((struct sockaddr *)&s->addr);
}

HELP_UNUSED static void service_stop(env *v, service *s) {
  wr_listener_close(s->listener);
  RUN_UNTIL(v, s->closed);
}

/* A port of 127.0.0.1 that refuses. */
HELP_UNUSED static uint16_t closed_port(env *v) {
  service s;
  uint16_t port = service_start(v, &s, NULL, 0);
  service_stop(v, &s);
  return port;
}

/* Names end in .test; which address they have may change at any time. */
static struct {
  const char *address; /* of every name but "nx.test" */
  bool hold;           /* lookups wait */
  uv_getaddrinfo_t *held;
  uv_getaddrinfo_cb held_cb;
  int lookups;
} names;

HELP_UNUSED static int names_lookup(uv_loop_t *loop, uv_getaddrinfo_t *req,
                                    uv_getaddrinfo_cb cb, const char *node,
                                    const char *service_name,
                                    const struct addrinfo *hints) {
  struct addrinfo numeric = *hints;
  names.lookups++;
  if (names.hold) {
    req->loop = loop;
    names.held = req;
    names.held_cb = cb;
    return 0;
  }
  numeric.ai_flags |= AI_NUMERICHOST;
  node = strcmp(node, "nx.test") == 0 ? "not an address" : names.address;
  return uv_getaddrinfo(loop, req, cb, node, service_name, &numeric);
}

HELP_UNUSED static int names_cancel(uv_req_t *req) {
  return (uv_req_t *)names.held == req ? UV_EBUSY : uv_cancel(req);
}

/* The thread of a held lookup comes back, with nothing. */
HELP_UNUSED static void names_release(void) {
  uv_getaddrinfo_t *req = names.held;
  names.held = NULL;
  if (req != NULL) {
    names.held_cb(req, UV_EAI_NONAME, NULL);
  }
}

HELP_UNUSED static void names_init(env *v) {
  memset(&names, 0, sizeof(names));
  names.address = "127.0.0.1";
  v->ctx.resolver->lookup = names_lookup;
  v->ctx.resolver->cancel = names_cancel;
}

/* A channel that one side asks for. */
typedef struct asking {
  opened o;
  end e;
} asking;

HELP_UNUSED static void on_asked(void *user, int status, wr_link *link) {
  asking *a = user;
  a->o.calls++;
  a->o.status = status;
  if (link != NULL) {
    end_own(&a->e, link);
  }
}

HELP_UNUSED static void ask(wr_ssh *s, asking *a, wr_target_kind kind,
                            const char *host, uint16_t port) {
  wr_target t = {.kind = kind, .port = port, .origin_host = "127.0.0.1"};
  snprintf(t.host, sizeof(t.host), "%s", host);
  memset(a, 0, sizeof(*a));
  MUST(wr_ssh_open(s, &t, on_asked, a, &a->o.opening) == 0);
}

/* Asks and waits for the answer. */
HELP_UNUSED static int ask_now(env *v, wr_ssh *s, asking *a,
                               wr_target_kind kind, const char *host,
                               uint16_t port) {
  ask(s, a, kind, host, port);
  RUN_UNTIL(v, a->o.calls > 0);
  return a->o.status;
}

/* Rules in one string: "+allowed -denied". */
HELP_UNUSED static wr_policy *rules(wr_mem *mem, const char *text) {
  char rule[256];
  const char *why = "";
  wr_policy *p = wr_policy_new(mem);
  MUST(p != NULL);
  while (*text != '\0') {
    size_t len = strcspn(text, " ");
    snprintf(rule, sizeof(rule), "%.*s", (int)(len - 1), text + 1);
    MUST(wr_policy_add(p, text[0] == '+', rule, &why) == 0);
    text += len;
    text += strspn(text, " ");
  }
  return p;
}

#endif /* WR_TEST_C_PROXY_PAIR_H */
