#include "napi/env.h"

#include <string.h>

#include "napi/events.h"

/* Ids that may be in use at the same time. */
#define MAX_OBJECTS ((size_t)1 << 20)

/* Objects. */

void *wrn_object_new(wrn_env *env, const wrn_class *cls) {
  WR_ASSERT(cls->size >= sizeof(wrn_object));
  wrn_object *o = wr_calloc(&env->ctx.mem, 1, cls->size);
  if (o == NULL) {
    return NULL;
  }
  o->env = env;
  o->cls = cls;
  if (wr_slots_add(&env->slots, o, &o->id) != 0) {
    wr_free(&env->ctx.mem, o);
    return NULL;
  }
  if (wrn_events_reserve(env) != 0) {
    wrn_object_free(o);
    return NULL;
  }
  return o;
}

void wrn_object_free(void *object) {
  wrn_object *o = object;
  if (o != NULL) {
    wr_slots_remove(&o->env->slots, o->id);
    wr_free(&o->env->ctx.mem, o);
  }
}

void *wrn_object_get(wrn_env *env, uint32_t id, const wrn_class *cls) {
  wrn_object *o = wr_slots_get(&env->slots, id);
  return o != NULL && o->cls == cls ? o : NULL;
}

/* The end. In order: Node runs our hook; the context closes everything, for
   which the loop has to turn; on_closed gives back what JavaScript lent and
   takes the hook away, which Node waits for; the instance data goes last. After
   the hook has begun no JavaScript is called. */

static void on_shutdown(wr_obj *obj) {
  wrn_env *env = wr_container_of(obj, wrn_env, obj);
  size_t cursor = 0;
  for (;;) {
    wrn_object *o = wr_slots_next(&env->slots, &cursor);
    if (o == NULL) {
      return;
    }
    if (o->cls->shutdown != NULL) {
      o->cls->shutdown(o);
    }
  }
}

/* What no callback has freed, because the teardown makes none. */
static void free_objects(wrn_env *env) {
  size_t cursor = 0;
  for (;;) {
    wrn_object *o = wr_slots_next(&env->slots, &cursor);
    if (o == NULL) {
      break;
    }
    wrn_object_free(o);
  }
  wr_slots_reset(&env->slots);
}

static void on_closed(wr_ctx *ctx) {
  wrn_env *env = ctx->user;
  free_objects(env);
  wrn_events_detach(env);
  wrn_events_free(env);
#ifdef WR_NO_POOL
  /* Sanitizer builds cannot look for leaks in a Node that leaks itself. */
  WR_ASSERT(ctx->mem.live_blocks == 0);
#endif
  (void)napi_remove_async_cleanup_hook(env->hook);
}

static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  wrn_env *env = data;
  WR_UNUSED(handle);
  wr_ctx_close(&env->ctx, on_closed);
}

static void free_env(wrn_env *env) {
  wr_mem own = env->own; /* it lies in what it is going to free */
  wr_free(&own, env);
}

static void on_finalize(napi_env napi, void *data, void *hint) {
  WR_UNUSED(napi);
  WR_UNUSED(hint);
  free_env(data);
}

/* The beginning. */

static wrn_env *new_env(napi_env napi) {
  wr_mem own;
  wr_mem_init(&own);
  wrn_env *env = wr_calloc(&own, 1, sizeof(*env));
  if (env != NULL) {
    env->own = own;
    env->napi = napi;
    wr_list_init(&env->challenges);
  }
  return env;
}

/* So that the table stays one block from now on, and counts tell of objects. */
static int open_slots(wrn_env *env) {
  uint32_t id;
  wr_slots_init(&env->slots, &env->ctx.mem, MAX_OBJECTS);
  int err = wr_slots_add(&env->slots, env, &id);
  if (err == 0) {
    wr_slots_remove(&env->slots, id);
  }
  return err;
}

/* From here on the hook cleans up, also after a failure. */
static int tie(wrn_env *env) {
  if (napi_set_instance_data(env->napi, env, on_finalize, NULL) != napi_ok) {
    return WR_ENOMEM;
  }
  napi_status status =
      napi_add_async_cleanup_hook(env->napi, on_cleanup, env, &env->hook);
  return status == napi_ok ? 0 : WR_ENOMEM;
}

int wrn_env_open(napi_env napi, wrn_env **out) {
  uv_loop_t *loop;
  wrn_env *env = new_env(napi);
  if (env == NULL) {
    return WR_ENOMEM;
  }
  if (napi_get_uv_event_loop(napi, &loop) != napi_ok ||
      wr_ctx_init(&env->ctx, loop) != 0) {
    free_env(env);
    return WR_ENOMEM;
  }
  env->ctx.user = env;
  env->ctx.on_turn = wrn_events_deliver;
  env->obj.shutdown = on_shutdown;
  wr_ctx_add_object(&env->ctx, &env->obj);
  int err = tie(env);
  if (err == 0) {
    err = open_slots(env);
  }
  if (err == 0) {
    err = wrn_events_init(env);
  }
  *out = env;
  return err;
}
