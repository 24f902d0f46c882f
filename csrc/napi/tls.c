#include "napi/tls.h"

#include <string.h>

#include "napi/methods.h"
#include "net/tls_roots.h"

#define ALPN_MAX 8
#define PINS_MAX 64

typedef struct wrn_tls {
  wrn_object o;
  wr_tls_ctx *tls;
  wr_list node; /* among the environment's challenges */
  char *name;   /* whose challenge it answers; NULL: none's */
} wrn_tls;

static void free_tls(wrn_object *o) {
  wrn_tls *t = (wrn_tls *)o;
  wr_list_remove(&t->node);
  wr_free(&o->env->ctx.mem, t->name);
  wr_tls_ctx_unref(t->tls);
  wrn_object_free(o);
}

static const wrn_class tls_class = {sizeof(wrn_tls), free_tls};

wr_tls_ctx *wrn_tls_get(wrn_call *c, napi_value id) {
  if (wrn_is_absent(c, id) || c->err != 0) {
    return NULL;
  }
  const wrn_tls *t = wrn_object_get(c->env, wrn_u32(c, id), &tls_class);
  if (t == NULL) {
    wrn_fail(c, WR_ENOENT);
  }
  return t == NULL ? NULL : t->tls;
}

/* An id for it; or { status, why }. */
static int64_t give(wrn_call *c, int err, wr_tls_ctx *tls, const char *why) {
  wrn_tls *t = NULL;
  if (err == 0) {
    t = wrn_object_new(c->env, &tls_class);
    if (t != NULL) {
      t->tls = tls;
      wr_list_init(&t->node);
      return t->o.id;
    }
    wr_tls_ctx_unref(tls);
    return WR_ENOMEM;
  }
  c->result = wrn_object_value(c);
  wrn_put_num(c, c->result, "status", err);
  if (why != NULL) {
    wrn_put_str(c, c->result, "why", why);
  }
  return 0;
}

static wr_tls_ctx *find_challenge(void *user, const char *name) {
  wrn_env *env = user;
  wr_list_each(it, &env->challenges) {
    const wrn_tls *t = wr_container_of(it, wrn_tls, node);
    if (strcmp(t->name, name) == 0) {
      return t->tls;
    }
  }
  return NULL;
}

/* id, name: the context answers challenges of that name (RFC 8737) at every
   listener of the environment, until it is freed. */
int64_t wrn_tls_challenge(wrn_call *c) {
  wrn_tls *t = wrn_this(c, &tls_class);
  const char *name = wrn_need_str(c, c->argv[1]);
  if (t == NULL || c->err != 0 || t->name != NULL) {
    return c->err != 0 ? c->err : WR_EINVAL;
  }
  t->name = wr_strdup(&c->env->ctx.mem, name);
  if (t->name == NULL) {
    return WR_ENOMEM;
  }
  wr_list_push(&c->env->challenges, &t->node);
  return 0;
}

/* { chain, key, alpn: […], asNginx, ticketKeys } */
int64_t wrn_tls_server(wrn_call *c) {
  napi_value o = c->argv[0];
  const char *alpn[ALPN_MAX];
  const char *why = NULL;
  wr_tls_ctx *tls = NULL;
  napi_value list = wrn_prop(c, o, "alpn");
  wr_tls_server_options opts = {
      .chain = wrn_need_text(c, wrn_prop(c, o, "chain")),
      .key = wrn_need_text(c, wrn_prop(c, o, "key")),
      .ticket_keys = wrn_text(c, wrn_prop(c, o, "ticketKeys")),
      .alpn = alpn,
      .as_nginx = wrn_bool(c, wrn_prop(c, o, "asNginx")),
      .n_alpn = wrn_array(c, list, ALPN_MAX),
      .challenge = find_challenge,
      .challenge_user = c->env};
  for (uint32_t i = 0; i < opts.n_alpn && c->err == 0; i++) {
    alpn[i] = wrn_need_str(c, wrn_element(c, list, i));
  }
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_tls_server_new(&c->env->ctx, &opts, &tls, &why);
  return give(c, err, tls, why);
}

static const uint8_t (*read_pins(wrn_call *c, napi_value list,
                                 size_t *n))[WR_TLS_PIN_LEN] {
  uint32_t count = wrn_array(c, list, PINS_MAX);
  uint8_t(*pins)[WR_TLS_PIN_LEN] =
      count > 0 ? wrn_call_alloc(c, count, sizeof(*pins)) : NULL;
  for (uint32_t i = 0; i < count && c->err == 0; i++) {
    wr_slice pin = wrn_buffer(c, wrn_element(c, list, i));
    if (c->err == 0 && pin.len != WR_TLS_PIN_LEN) {
      wrn_fail(c, WR_EINVAL);
    }
    for (size_t at = 0; c->err == 0 && at < WR_TLS_PIN_LEN; at++) {
      pins[i][at] = pin.data[at];
    }
  }
  *n = count;
  return (const uint8_t(*)[WR_TLS_PIN_LEN])pins;
}

/* { roots, pins: [Buffer], insecure }; without roots those of the system */
int64_t wrn_tls_client(wrn_call *c) {
  napi_value o = c->argv[0];
  const char *why = NULL;
  wr_tls_ctx *tls = NULL;
  wr_tls_client_options opts = {.roots = wrn_text(c, wrn_prop(c, o, "roots")),
                                .insecure =
                                    wrn_bool(c, wrn_prop(c, o, "insecure"))};
  opts.pins = read_pins(c, wrn_prop(c, o, "pins"), &opts.n_pins);
  if (c->err != 0) {
    return c->err;
  }
  if (wrn_is_absent(c, wrn_prop(c, o, "roots"))) {
    opts.roots_file = wr_tls_system_roots();
  }
  int err = wr_tls_client_new(&c->env->ctx, &opts, &tls, &why);
  return give(c, err, tls, why);
}

int64_t wrn_tls_free(wrn_call *c) {
  wrn_tls *t = wrn_this(c, &tls_class);
  if (t != NULL) {
    free_tls(&t->o);
  }
  return c->err;
}
