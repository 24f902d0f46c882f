#include <node_api.h>

#include "napi/env.h"
#include "napi/events.h"
#include "napi/methods.h"
#include "ssh/version.h"

/* The module's entry, and the methods of the module itself. */

static const wrn_method_entry methods[] = {
#define XX(name, function) {#name, function},
    WRN_METHODS(XX)
#undef XX
};

static napi_status add_methods(napi_env napi, napi_value exports) {
  for (size_t i = 0; i < WR_COUNTOF(methods); i++) {
    napi_value fn;
    /* The table is constant; napi only hands the pointer back. */
    void *entry = (void *)(uintptr_t)&methods[i];
    napi_status status = napi_create_function(
        napi, methods[i].name, NAPI_AUTO_LENGTH, wrn_call_run, entry, &fn);
    if (status == napi_ok) {
      status = napi_set_named_property(napi, exports, methods[i].name, fn);
    }
    if (status != napi_ok) {
      return status;
    }
  }
  return napi_ok;
}

static napi_value refuse(napi_env napi, const char *why) {
  (void)napi_throw_error(napi, "ERR_WRAITH_LOAD", why);
  return NULL;
}

NAPI_MODULE_INIT() {
  wrn_env *opened = NULL;
  if (!wr_ssh_libraries_match()) {
    return refuse(env, "wraith: linked with an OpenSSL or libssh that is not "
                       "the one it was compiled for");
  }
  if (wrn_env_open(env, &opened) != 0) {
    return refuse(env, "wraith: out of memory");
  }
  return add_methods(env, exports) == napi_ok ? exports : NULL;
}

/* INIT */

static napi_value error_row(wrn_call *c, int number) {
  napi_value row = wrn_array_value(c);
  const char *texts[] = {wr_error_code(number), wr_error_phase(number),
                         wr_error_text(number)};
  for (uint32_t i = 0; i < WR_COUNTOF(texts); i++) {
    wrn_push(c, row, i, wrn_str_value(c, texts[i], NAPI_AUTO_LENGTH));
  }
  return row;
}

static napi_value error_table(wrn_call *c) {
  static const int numbers[] = {
#define XX(name, number, code, phase, text) (number),
      WR_ERRORS(XX)
#undef XX
  };
  napi_value table = wrn_object_value(c);
  for (size_t i = 0; i < WR_COUNTOF(numbers); i++) {
    char key[16];
    snprintf(key, sizeof(key), "%d", numbers[i]);
    wrn_put(c, table, key, error_row(c, numbers[i]));
  }
  return table;
}

static uint32_t *ring_memory(wrn_call *c, napi_value ring) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  bool is = false;
  if (c->err != 0 || ring == NULL ||
      napi_is_typedarray(c->napi, ring, &is) != napi_ok || !is ||
      napi_get_typedarray_info(c->napi, ring, &type, &length, &data, NULL,
                               NULL) != napi_ok ||
      type != napi_uint32_array || length != WRN_RING_WORDS || data == NULL) {
    wrn_fail(c, WR_EINVAL);
    return NULL;
  }
  return data;
}

static void need_function(wrn_call *c, napi_value v) {
  napi_valuetype type = napi_undefined;
  if (v == NULL || napi_typeof(c->napi, v, &type) != napi_ok ||
      type != napi_function) {
    wrn_fail(c, WR_EINVAL);
  }
}

static void make_ref(wrn_call *c, napi_value v, napi_ref *out) {
  if (c->err == 0 && napi_create_reference(c->napi, v, 1, out) != napi_ok) {
    wrn_fail(c, WR_ENOMEM);
  }
}

int64_t wrn_init(wrn_call *c) {
  wrn_events *ev = &c->env->events;
  napi_value ring = wrn_prop(c, c->argv[0], "ring");
  napi_value func = wrn_prop(c, c->argv[0], "onEvents");
  uint32_t *memory = ring_memory(c, ring);
  need_function(c, func);
  if (c->err == 0 && ev->func != NULL) {
    wrn_fail(c, WR_EBUSY); /* the first one owns the events */
  }
  if (c->err != 0) {
    return c->err;
  }
  make_ref(c, c->argv[0], &ev->receiver);
  make_ref(c, ring, &ev->ring_ref);
  make_ref(c, func, &ev->func);
  if (c->err != 0) {
    wrn_events_detach(c->env);
    return c->err;
  }
  memory[0] = 0;
  memory[1] = 0;
  ev->ring = memory;
  ev->written = 0;
  c->result = error_table(c);
  return 0;
}

int64_t wrn_set_slab(wrn_call *c) {
  wrn_events *ev = &c->env->events;
  wr_slice memory = wrn_buffer(c, c->argv[0]);
  wrn_slab *to = ev->slab.ref == NULL ? &ev->slab : &ev->spare;
  if (c->err == 0 && (memory.len < WRN_SLAB_MIN || memory.len > UINT32_MAX)) {
    wrn_fail(c, WR_EINVAL);
  }
  if (c->err == 0 && to->ref != NULL) {
    wrn_fail(c, WR_EBUSY);
  }
  make_ref(c, c->argv[0], &to->ref);
  if (c->err == 0) {
    to->base = (uint8_t *)(uintptr_t)memory.data;
    to->len = memory.len;
  }
  return c->err;
}

/* THE LOOP */

int64_t wrn_hold(wrn_call *c) {
  c->env->holds++;
  wr_ctx_hold(&c->env->ctx);
  return 0;
}

int64_t wrn_release(wrn_call *c) {
  if (c->env->holds == 0) {
    return WR_EINVAL;
  }
  c->env->holds--;
  wr_ctx_release(&c->env->ctx);
  return 0;
}

int64_t wrn_shutdown_now(wrn_call *c) {
  wr_ctx_say_goodbye(&c->env->ctx);
  return 0;
}

int64_t wrn_memory(wrn_call *c) {
  /* Before the result: without what the call itself takes. */
  double blocks = (double)c->env->ctx.mem.live_blocks;
  double bytes = (double)c->env->ctx.mem.live_bytes;
  c->result = wrn_object_value(c);
  wrn_put_num(c, c->result, "blocks", blocks);
  wrn_put_num(c, c->result, "bytes", bytes);
  return 0;
}
