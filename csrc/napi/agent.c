#include "ssh/agent.h"

#include "base/wire.h"
#include "napi/events.h"
#include "napi/methods.h"

/* The keys of an ssh-agent that are being asked for. */
typedef struct wrn_agent {
  wrn_object o;
  wr_agent *agent;
} wrn_agent;

static void cancel(wrn_object *o) {
  wr_agent_cancel(((wrn_agent *)o)->agent);
  wrn_object_free(o);
}

static const wrn_class agent_class = {sizeof(wrn_agent), cancel};

/* Blobs as base64 with a comma between, which is no letter of it. */
static int put_blobs(wr_slice keys, wr_buf *text) {
  wr_slice blob;
  while (wr_agentmsg_next_key(&keys, &blob)) {
    size_t len = wr_base64_len(blob.len);
    int err = wr_buf_reserve(text, len + 2);
    if (err != 0) {
      return err;
    }
    char *at = (char *)text->data + text->len;
    wr_base64_encode(at, blob.data, blob.len, true);
    at[len] = ',';
    wr_buf_commit(text, len + 1);
  }
  return 0;
}

static void on_list(void *user, int status, wr_slice keys) {
  wrn_agent *a = user;
  wrn_json json;
  wr_buf text;
  wr_buf_init(&text, &a->o.env->ctx.mem, 2 * WR_AGENT_ANSWER_MAX);
  if (status == 0) {
    status = put_blobs(keys, &text);
  }
  wrn_json_begin(&json, &a->o.env->ctx.mem);
  wrn_json_num(&json, "status", status);
  if (status == 0) {
    wrn_json_bytes(&json, "keys", (wr_slice){text.data, text.len});
  }
  wrn_post_json(a->o.env, WRN_EV_AGENT, a->o.id, &json);
  wr_buf_reset(&text);
  wrn_object_free(a);
}

int64_t wrn_agent_list(wrn_call *c) {
  const char *path = wrn_need_str(c, c->argv[0]);
  uint32_t timeout_ms = wrn_u32(c, c->argv[1]);
  if (c->err != 0) {
    return c->err;
  }
  wrn_agent *a = wrn_object_new(c->env, &agent_class);
  if (a == NULL) {
    return WR_ENOMEM;
  }
  int err =
      wr_agent_list(&c->env->ctx, path, timeout_ms, on_list, a, &a->agent);
  if (err != 0) {
    wrn_object_free(a);
    return err;
  }
  return a->o.id;
}

int64_t wrn_agent_cancel(wrn_call *c) {
  wrn_agent *a = wrn_this(c, &agent_class);
  if (a != NULL) {
    cancel(&a->o);
  }
  return c->err;
}
