#include "napi/events.h"

#include <string.h>

#include "napi/stream.h"

/* Everything that is posted lies in `records` first and goes into the ring when
   it is delivered: records and their text then belong together, however much
   there is and whatever JavaScript does meanwhile. */

#define RECORD_SIZE (4 * sizeof(uint32_t))
#define RECORDS_MAX ((size_t)256 * 1024 * 1024)
#define AUX_MAX ((size_t)64 * 1024 * 1024)
#define AUX_KEPT ((size_t)64 * 1024)
/* OPENED, EOF, WRITABLE, CLOSED: a stream needs no more at a time. */
#define RECORDS_PER_OBJECT 4
/* DATA takes no more of one delivery, so that everything else has room. */
#define DATA_RECORDS 3072
/* A log that is written faster than it is read loses records. */
#define AUX_LOG_MAX ((size_t)4 * 1024 * 1024)
/* Less room than this is not worth a chunk of its own. */
#define ROOM_MIN ((size_t)1024)
/* Deliveries in one turn, while JavaScript causes new events at once. */
#define ROUNDS 8

static void on_again(wr_task *task) {
  WR_UNUSED(task);
}

int wrn_events_init(wrn_env *env) {
  wrn_events *ev = &env->events;
  wr_buf_init(&ev->records, &env->ctx.mem, RECORDS_MAX);
  wr_buf_init(&ev->aux, &env->ctx.mem, AUX_MAX);
  wr_list_init(&ev->starved);
  wr_task_init(&ev->again, on_again);
  int err = wr_buf_reserve(&ev->aux, AUX_KEPT);
  return err != 0 ? err : wrn_events_reserve(env);
}

static void drop_ref(wrn_env *env, napi_ref *ref) {
  if (*ref != NULL) {
    (void)napi_delete_reference(env->napi, *ref);
    *ref = NULL;
  }
}

static void drop_slab(wrn_env *env, wrn_slab *slab) {
  drop_ref(env, &slab->ref);
  *slab = (wrn_slab){0};
}

void wrn_events_detach(wrn_env *env) {
  wrn_events *ev = &env->events;
  drop_ref(env, &ev->receiver);
  drop_ref(env, &ev->func);
  drop_ref(env, &ev->ring_ref);
  ev->ring = NULL;
  drop_slab(env, &ev->slab);
  drop_slab(env, &ev->spare);
}

void wrn_events_free(wrn_env *env) {
  wrn_events *ev = &env->events;
  if (ev->records.mem != NULL) { /* else init has failed */
    wr_task_cancel(&ev->again);
    wr_buf_reset(&ev->records);
    wr_buf_reset(&ev->aux);
  }
}

/* POSTING */

int wrn_events_reserve(wrn_env *env) {
  size_t n = (env->slots.count + 1) * RECORDS_PER_OBJECT;
  return wr_buf_reserve(&env->events.records, n * RECORD_SIZE);
}

static int append(wrn_env *env, wrn_event type, uint32_t id, uint32_t a,
                  uint32_t b) {
  const uint32_t record[4] = {(uint32_t)type, id, a, b};
  return wr_buf_append(&env->events.records, record, sizeof(record));
}

void wrn_post(wrn_env *env, wrn_event type, uint32_t id, uint32_t a,
              uint32_t b) {
  if (!env->ctx.exiting) {
    /* There is room: wrn_events_reserve(). */
    (void)append(env, type, id, a, b);
  }
}

/* For what is not worth the room that is kept for others. */
static int append_checked(wrn_env *env, wrn_event type, uint32_t id, uint32_t a,
                          uint32_t b) {
  int err = wrn_events_reserve(env);
  return err != 0 ? err : append(env, type, id, a, b);
}

void wrn_post_json(wrn_env *env, wrn_event type, uint32_t id, wrn_json *json) {
  wrn_events *ev = &env->events;
  size_t offset = ev->aux.len;
  int err = wrn_json_end(json);
  bool drop = type == WRN_EV_LOG && offset > AUX_LOG_MAX;
  if (err == 0 && !drop && !env->ctx.exiting &&
      wr_buf_append(&ev->aux, json->buf.data, json->buf.len) == 0) {
    /* If this fails the text stays behind, unused, until the delivery. */
    (void)append_checked(env, type, id, (uint32_t)offset,
                         (uint32_t)json->buf.len);
  }
  wrn_json_free(json);
}

/* RECEIVED DATA */

/* JavaScript might have given the memory away (ArrayBuffer.transfer). */
static void verify_slab(wrn_env *env) {
  wrn_events *ev = &env->events;
  wrn_slab *slab = &ev->slab;
  napi_handle_scope scope;
  napi_value v = NULL;
  void *base = NULL;
  size_t len = 0;
  if (ev->verified || slab->ref == NULL) {
    return;
  }
  ev->verified = true;
  if (napi_open_handle_scope(env->napi, &scope) != napi_ok) {
    slab->len = 0;
    return;
  }
  if (napi_get_reference_value(env->napi, slab->ref, &v) != napi_ok ||
      v == NULL || napi_get_buffer_info(env->napi, v, &base, &len) != napi_ok ||
      base != slab->base || len < slab->len) {
    slab->len = 0;
  }
  (void)napi_close_handle_scope(env->napi, scope);
}

static size_t slab_room(wrn_env *env) {
  const wrn_events *ev = &env->events;
  verify_slab(env);
  return ev->slab.len > ev->used ? ev->slab.len - ev->used : 0;
}

static bool next_slab(wrn_env *env) {
  wrn_events *ev = &env->events;
  if (ev->spare.ref == NULL || append_checked(env, WRN_EV_SLAB, 0, 0, 0) != 0) {
    return false;
  }
  drop_slab(env, &ev->slab);
  ev->slab = ev->spare;
  ev->spare = (wrn_slab){0};
  ev->used = 0;
  ev->verified = false;
  return true;
}

/* The last record, if it is data that new data of this stream just continues:
   many small packets become one chunk. */
static uint32_t *open_record(wrn_events *ev, uint32_t id) {
  if (ev->records.len < RECORD_SIZE || ev->n_data == 0) {
    return NULL;
  }
  uint8_t *at = ev->records.data + ev->records.len - RECORD_SIZE;
  uint32_t *r = (uint32_t *)(void *)at;
  bool fits = r[0] == WRN_EV_DATA && r[1] == id && r[2] + r[3] == ev->used;
  return fits ? r : NULL;
}

static bool put_data(wrn_env *env, uint32_t id, const uint8_t *data,
                     size_t len) {
  wrn_events *ev = &env->events;
  uint32_t *last = open_record(ev, id);
  if (last != NULL) {
    last[3] += (uint32_t)len;
  } else {
    if (ev->n_data >= DATA_RECORDS ||
        append_checked(env, WRN_EV_DATA, id, (uint32_t)ev->used,
                       (uint32_t)len) != 0) {
      return false;
    }
    ev->n_data++;
  }
  memcpy(ev->slab.base + ev->used, data, len);
  ev->used += len;
  return true;
}

size_t wrn_post_data(wrn_env *env, uint32_t id, const uint8_t *data,
                     size_t len) {
  size_t done = 0;
  if (env->ctx.exiting) {
    return len; /* nobody is interested any more */
  }
  while (done < len) {
    size_t left = len - done;
    size_t room = slab_room(env);
    if (room < WR_MIN(left, ROOM_MIN)) {
      if (next_slab(env)) {
        continue;
      }
      break;
    }
    size_t n = WR_MIN(left, room);
    if (!put_data(env, id, data + done, n)) {
      break;
    }
    done += n;
  }
  return done;
}

void wrn_events_starve(wrn_env *env, wr_list *node) {
  wr_list_remove(node);
  wr_list_push(&env->events.starved, node);
}

static void feed_starved(wrn_env *env) {
  wr_list now;
  wr_list_move(&now, &env->events.starved);
  for (;;) {
    wr_list *node = wr_list_shift(&now);
    if (node == NULL) {
      return;
    }
    wrn_stream_resume(node);
  }
}

/* DELIVERY */

static uint32_t ring_used(const wrn_events *ev) {
  return ev->written - ev->ring[1];
}

static void empty_ring(wrn_events *ev) {
  ev->ring[0] = ev->written;
  ev->ring[1] = ev->written;
}

/* Moves at most n records; returns how many. */
static size_t fill_ring(wrn_events *ev, size_t n) {
  size_t moved = 0;
  while (moved < n && ring_used(ev) < WRN_RING_RECORDS) {
    uint32_t *to = ev->ring + 4 + 4 * (ev->written % WRN_RING_RECORDS);
    memcpy(to, ev->records.data, RECORD_SIZE);
    if (to[0] == WRN_EV_DATA) {
      ev->n_data--;
    }
    wr_buf_consume(&ev->records, RECORD_SIZE);
    ev->written++;
    moved++;
  }
  ev->ring[0] = ev->written;
  return moved;
}

/* false: JavaScript cannot be called any more. */
static bool report_exception(napi_env napi) {
  bool pending = false;
  napi_value error = NULL;
  return napi_is_exception_pending(napi, &pending) == napi_ok && pending &&
         napi_get_and_clear_last_exception(napi, &error) == napi_ok &&
         napi_fatal_exception(napi, error) == napi_ok;
}

static bool call_js(wrn_env *env, napi_value aux) {
  const wrn_events *ev = &env->events;
  napi_value receiver = NULL;
  napi_value func = NULL;
  if (napi_get_reference_value(env->napi, ev->receiver, &receiver) != napi_ok ||
      napi_get_reference_value(env->napi, ev->func, &func) != napi_ok) {
    return false;
  }
  napi_status status =
      napi_make_callback(env->napi, NULL, receiver, func, 1, &aux, NULL);
  return status == napi_ok || report_exception(env->napi);
}

/* Calls until the ring is empty: a listener that throws loses only its own
   event. */
static bool drain_ring(wrn_env *env, napi_value aux) {
  wrn_events *ev = &env->events;
  while (ring_used(ev) != 0) {
    uint32_t before = ev->ring[1];
    if (!call_js(env, aux)) {
      return false;
    }
    uint32_t left = ring_used(ev);
    if (ev->ring[1] == before || left > WRN_RING_RECORDS) {
      empty_ring(ev); /* that is not our dispatcher */
    }
  }
  return true;
}

static napi_value take_aux(wrn_env *env) {
  wr_buf *aux = &env->events.aux;
  napi_value v = NULL;
  size_t len = aux->len;
  if (len == 0 ||
      napi_create_buffer_copy(env->napi, len, aux->data, NULL, &v) != napi_ok) {
    (void)napi_get_undefined(env->napi, &v);
  }
  wr_buf_consume(aux, len);
  if (len > AUX_KEPT) { /* no reason to keep a rare maximum */
    wr_buf_reset(aux);
    int err = wr_buf_reserve(aux, AUX_KEPT);
    WR_UNUSED(err); /* the next text asks again */
  }
  return v;
}

/* The records that are there now, with their text. */
static bool deliver_batch(wrn_env *env) {
  wrn_events *ev = &env->events;
  size_t n = ev->records.len / RECORD_SIZE;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env->napi, &scope) != napi_ok) {
    return false;
  }
  napi_value aux = take_aux(env);
  bool alive = true;
  while (alive && n > 0) {
    n -= fill_ring(ev, n);
    alive = drain_ring(env, aux);
  }
  (void)napi_close_handle_scope(env->napi, scope);
  return alive;
}

static void deliver(wrn_env *env) {
  wrn_events *ev = &env->events;
  ev->delivering = true;
  for (int i = 0; i < ROUNDS && ev->records.len > 0; i++) {
    if (!deliver_batch(env)) {
      /* Terminated: the cleanup hook is on its way. */
      empty_ring(ev);
      wr_buf_consume(&ev->records, ev->records.len);
      ev->n_data = 0;
      break;
    }
  }
  ev->delivering = false;
  if (ev->records.len > 0) {
    wr_task_post(&env->ctx, &ev->again);
  }
}

void wrn_events_deliver(wr_ctx *ctx) {
  wrn_env *env = ctx->user;
  wrn_events *ev = &env->events;
  if (ev->func == NULL || ev->delivering) {
    return;
  }
  if (ev->records.len > 0) {
    deliver(env);
  }
  ev->verified = false;
  if (!wr_list_empty(&ev->starved)) {
    feed_starved(env);
  }
}
