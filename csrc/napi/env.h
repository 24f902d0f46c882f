#ifndef WR_NAPI_ENV_H
#define WR_NAPI_ENV_H

#include <node_api.h>

#include "base/buf.h"
#include "base/errors.h"
#include "base/slots.h"
#include "loop/ctx.h"

/* What the binding keeps for one Node environment. JavaScript knows objects by
   number only: docs/internals/binding.md. */
typedef struct wrn_env wrn_env;

/* Objects. */

typedef struct wrn_object wrn_object;

typedef struct wrn_class {
  size_t size;
  /* Teardown has begun: let go what the context does not shut down by itself.
     NULL: there is nothing of that kind. The object may be freed in it. */
  void (*shutdown)(wrn_object *o);
} wrn_class;

/* Stands first in every object that has an id. */
struct wrn_object {
  wrn_env *env;
  const wrn_class *cls;
  uint32_t id;
};

/* Memory that JavaScript owns and received data is written to. */
typedef struct wrn_slab {
  napi_ref ref; /* NULL: none */
  uint8_t *base;
  size_t len;
} wrn_slab;

typedef struct wrn_events {
  napi_ref receiver; /* NULL until init() */
  napi_ref func;
  napi_ref ring_ref;
  uint32_t *ring;   /* read count in word 1; word 0 is ours, see `written` */
  uint32_t written; /* records ever put into the ring, modulo 2^32 */
  wr_buf records;   /* what is to go into the ring, oldest first */
  wr_buf aux;       /* text of those records */
  size_t n_data;    /* DATA records among them */
  wrn_slab slab;
  wrn_slab spare;
  size_t used;     /* bytes of the slab */
  bool verified;   /* the slab is still the memory we know, in this turn */
  bool delivering; /* JavaScript is running on our behalf */
  wr_list starved; /* streams that wait for room */
  wr_task again;   /* makes the loop turn once more */
} wrn_events;

struct wrn_env {
  napi_env napi;
  wr_ctx ctx; /* its exiting is ours as well */
  wr_mem own; /* holds this struct */
  wr_obj obj; /* teardown of the objects */
  wr_slots slots;
  wr_list challenges; /* TLS contexts that answer one, see napi/tls.c */
  wrn_events events;
  napi_async_cleanup_hook_handle hook;
  size_t holds;
};

/* Sets the environment up and ties its end to that of Node's. */
WR_NODISCARD int wrn_env_open(napi_env napi, wrn_env **out);

/* Zeroed, with an id, and room for its events. NULL: out of memory or ids. */
void *wrn_object_new(wrn_env *env, const wrn_class *cls);
/* Its id finds nothing from now on. NULL is fine. */
void wrn_object_free(void *object);
/* NULL if there is none of that class. */
void *wrn_object_get(wrn_env *env, uint32_t id, const wrn_class *cls);

#endif /* !defined(WR_NAPI_ENV_H) */
