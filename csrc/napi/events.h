#ifndef WR_NAPI_EVENTS_H
#define WR_NAPI_EVENTS_H

#include "napi/env.h"
#include "napi/json.h"

typedef enum wrn_event {
  WRN_EV_DATA = 1,
  WRN_EV_EOF,
  WRN_EV_WRITABLE,
  WRN_EV_CLOSED,
  WRN_EV_OPENED,
  WRN_EV_SLAB,
  WRN_EV_KEY,
  WRN_EV_HOST_KEY,
  WRN_EV_UP,
  WRN_EV_DOWN,
  WRN_EV_REMOTE,
  WRN_EV_STREAM,
  WRN_EV_TUNNEL_CLOSED,
  WRN_EV_LISTENER_CLOSED,
  WRN_EV_AUTHORIZE,
  WRN_EV_CONTROL,
  WRN_EV_SESSION,
  WRN_EV_SERVER_CLOSED,
  WRN_EV_LOG,
  WRN_EV_AGENT,
  WRN_EV_VISITOR,
  WRN_EV_DIALLED
} wrn_event;

#define WRN_RING_RECORDS 4096
#define WRN_RING_WORDS (4 + 4 * WRN_RING_RECORDS)
#define WRN_SLAB_MIN ((size_t)64 * 1024)

WR_NODISCARD int wrn_events_init(wrn_env *env);
/* Gives back everything that JavaScript lent. */
void wrn_events_detach(wrn_env *env);
void wrn_events_free(wrn_env *env);
/* Room for the events that every object may cause, also when memory is out. */
WR_NODISCARD int wrn_events_reserve(wrn_env *env);

/* Posted events reach JavaScript at the end of the turn, never during a call.
   After the teardown has begun both do nothing. */
void wrn_post(wrn_env *env, wrn_event type, uint32_t id, uint32_t a,
              uint32_t b);
/* Ends and frees the text. */
void wrn_post_json(wrn_env *env, wrn_event type, uint32_t id, wrn_json *json);

/* How many of the bytes have found room; the rest shall be offered again. */
size_t wrn_post_data(wrn_env *env, uint32_t id, const uint8_t *data,
                     size_t len);
/* `node` is in a stream that wrn_stream_resume() shall be called for. */
void wrn_events_starve(wrn_env *env, wr_list *node);

/* ctx->on_turn. */
void wrn_events_deliver(wr_ctx *ctx);

#endif /* !defined(WR_NAPI_EVENTS_H) */
