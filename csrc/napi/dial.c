#include "net/dial.h"

#include "napi/events.h"
#include "napi/methods.h"
#include "napi/stream.h"

/* Connections of the application's own that go through a proxy. */
typedef struct wrn_dial {
  wrn_object o;
  wr_dial dial;
} wrn_dial;

static void cancel(wrn_object *o) {
  wr_dial_cancel(&((wrn_dial *)o)->dial);
  wrn_object_free(o);
}

static const wrn_class dial_class = {sizeof(wrn_dial), cancel};

static void on_dialled(wr_dial *dial, int status, wr_link *link) {
  wrn_dial *d = dial->user;
  wrn_stream *stream = NULL;
  wrn_json json;
  if (status == 0) {
    stream = wrn_stream_new(d->o.env, link);
    status = stream == NULL ? WR_ENOMEM : 0;
  }
  if (link != NULL && stream == NULL) {
    wrn_link_discard(link);
  }
  wrn_json_begin(&json, &d->o.env->ctx.mem);
  wrn_json_num(&json, "status", status);
  wrn_json_num(&json, "stream", stream != NULL ? wrn_stream_id(stream) : 0);
  wrn_post_json(d->o.env, WRN_EV_DIALLED, d->o.id, &json);
  wrn_object_free(d);
}

int64_t wrn_dial_start(wrn_call *c) {
  const wr_dial_opts opts = {.host = wrn_need_str(c, c->argv[0]),
                             .port = wrn_port(c, c->argv[1]),
                             .proxy = wrn_upstream_arg(c, c->argv[2])};
  if (c->err != 0) {
    return c->err;
  }
  wrn_dial *d = wrn_object_new(c->env, &dial_class);
  if (d == NULL) {
    return WR_ENOMEM;
  }
  d->dial.user = d;
  int err = wr_dial_start(&c->env->ctx, &d->dial, &opts, on_dialled);
  if (err != 0) {
    wrn_object_free(d);
    return err;
  }
  return d->o.id;
}
