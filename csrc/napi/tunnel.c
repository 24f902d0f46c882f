#include "app/tunnel.h"

#include <string.h>

#include "napi/cert.h"
#include "napi/events.h"
#include "napi/keys.h"
#include "napi/methods.h"
#include "napi/stream.h"
#include "napi/tls.h"

#define IDENTITIES_MAX 64
#define INSTANCE_LEN 16

typedef struct wrn_tunnel {
  wrn_object o;
  wr_tunnel *tunnel;
  wr_list listeners;
  wr_list remotes;
  bool closing;
} wrn_tunnel;

/* The core closes tunnels, and what is theirs, by itself. */
static const wrn_class tunnel_class = {sizeof(wrn_tunnel), NULL};

/* A local listener of a tunnel's. */
typedef struct wrn_listener {
  wrn_object o;
  wr_list node;
  wrn_tunnel *tunnel;
  wr_local *local; /* NULL: it is closing */
} wrn_listener;
static const wrn_class listener_class = {sizeof(wrn_listener), NULL};

typedef struct wrn_remote {
  wrn_object o;
  wr_list node;
  wrn_tunnel *tunnel;
  wr_remote_forward *forward;
} wrn_remote;
static const wrn_class remote_class = {sizeof(wrn_remote), NULL};

/* EVENTS */

static void on_host_key(wr_tunnel *tunnel, wr_slice blob) {
  wrn_tunnel *t = wr_tunnel_user(tunnel);
  wr_mem *mem = &t->o.env->ctx.mem;
  wrn_json json;
  wrn_json_begin(&json, mem);
  wrn_json_host_key(&json, mem, blob);
  if (json.err != 0) {
    wr_tunnel_verdict(tunnel, json.err);
    wrn_json_free(&json);
    return;
  }
  wrn_post_json(t->o.env, WRN_EV_HOST_KEY, t->o.id, &json);
}

static void on_up(wr_tunnel *tunnel) {
  const wrn_tunnel *t = wr_tunnel_user(tunnel);
  wrn_post(t->o.env, WRN_EV_UP, t->o.id, 0, 0);
}

static void on_down(wr_tunnel *tunnel, int status, const char *phase,
                    bool was_up, bool orderly) {
  const wrn_tunnel *t = wr_tunnel_user(tunnel);
  wrn_json json;
  wrn_json_begin(&json, &t->o.env->ctx.mem);
  wrn_json_num(&json, "status", status);
  wrn_json_str(&json, "phase", phase);
  wrn_json_bool(&json, "wasUp", was_up);
  wrn_json_bool(&json, "orderly", orderly);
  wrn_json_str(&json, "text", wr_tunnel_end_text(tunnel));
  wrn_json_num(&json, "http", wr_tunnel_http_status(tunnel));
  wrn_post_json(t->o.env, WRN_EV_DOWN, t->o.id, &json);
}

static void on_remote(wr_tunnel *tunnel, wr_remote_forward *f, int status,
                      uint16_t port) {
  const wrn_remote *r = wr_remote_forward_user(f);
  WR_UNUSED(tunnel);
  wrn_post(r->o.env, WRN_EV_REMOTE, r->o.id, (uint32_t)status, port);
}

static void on_stream(wr_tunnel *tunnel, wr_remote_forward *f, wr_link *link,
                      const wr_target *target) {
  const wrn_tunnel *t = wr_tunnel_user(tunnel);
  const wrn_remote *r = f == NULL ? NULL : wr_remote_forward_user(f);
  wrn_stream *s = wrn_stream_new(t->o.env, link);
  wrn_json json;
  if (s == NULL) {
    wrn_link_discard(link);
    return;
  }
  wrn_json_begin(&json, &t->o.env->ctx.mem);
  wrn_json_num(&json, "stream", wrn_stream_id(s));
  wrn_json_num(&json, "remote", r == NULL ? 0 : r->o.id);
  wrn_json_str(&json, "host", target->host);
  wrn_json_num(&json, "port", target->port);
  wrn_json_str(&json, "originHost", target->origin_host);
  wrn_json_num(&json, "originPort", target->origin_port);
  wrn_post_json(t->o.env, WRN_EV_STREAM, t->o.id, &json);
}

static void end_listener(wrn_listener *l) {
  wrn_post(l->o.env, WRN_EV_LISTENER_CLOSED, l->o.id, 0, 0);
  wr_list_remove(&l->node);
  wrn_object_free(l);
}

static void free_remote(wrn_remote *r) {
  wr_list_remove(&r->node);
  wrn_object_free(r);
}

static void on_close(wr_tunnel *tunnel) {
  wrn_tunnel *t = wr_tunnel_user(tunnel);
  wr_list_each_safe(it, &t->listeners) {
    end_listener(wr_container_of(it, wrn_listener, node));
  }
  wr_list_each_safe(at, &t->remotes) {
    free_remote(wr_container_of(at, wrn_remote, node));
  }
  wrn_post(t->o.env, WRN_EV_TUNNEL_CLOSED, t->o.id, 0, 0);
  wrn_object_free(t);
}

static const wr_tunnel_handler tunnel_handler = {
    .on_host_key = on_host_key,
    .on_up = on_up,
    .on_down = on_down,
    .on_remote = on_remote,
    .on_stream = on_stream,
    .on_close = on_close,
};

/* THE TUNNEL */

int64_t wrn_tunnel_new(wrn_call *c) {
  wrn_tunnel *t = wrn_object_new(c->env, &tunnel_class);
  if (t == NULL) {
    return WR_ENOMEM;
  }
  wr_list_init(&t->listeners);
  wr_list_init(&t->remotes);
  int err = wr_tunnel_new(&c->env->ctx, &tunnel_handler, t, &t->tunnel);
  if (err != 0) {
    wrn_object_free(t);
    return err;
  }
  return t->o.id;
}

/* For what makes no sense once it has been closed. */
static wrn_tunnel *this_tunnel(wrn_call *c) {
  wrn_tunnel *t = wrn_this(c, &tunnel_class);
  if (t != NULL && t->closing) {
    wrn_fail(c, WR_ECLOSED);
    return NULL;
  }
  return t;
}

/* The keys are looked up when no JavaScript can free them any more: until then
   their ids stand in `ids`, 0 for none. */
static wr_identity *read_identities(wrn_call *c, napi_value array, size_t *n,
                                    uint32_t **ids) {
  *n = wrn_array(c, array, IDENTITIES_MAX);
  *ids = wrn_call_alloc(c, *n + 1, sizeof(uint32_t));
  wr_identity *list = wrn_call_alloc(c, *n + 1, sizeof(*list));
  for (uint32_t i = 0; i < *n && c->err == 0; i++) {
    napi_value o = wrn_element(c, array, i);
    (*ids)[i] = wrn_u32(c, wrn_prop(c, o, "key"));
    list[i].blob = wrn_text(c, wrn_prop(c, o, "blob"));
    list[i].signer = wrn_text(c, wrn_prop(c, o, "signer"));
  }
  return list;
}

static void find_keys(wrn_call *c, wr_identity *list, size_t n,
                      const uint32_t *ids) {
  for (size_t i = 0; i < n && c->err == 0; i++) {
    if (ids[i] == 0) {
      continue;
    }
    list[i].key = wrn_key_get(c->env, ids[i]);
    if (list[i].key == NULL) {
      wrn_fail(c, WR_ENOENT);
    }
  }
}

/* Somebody has to sign, and something has to be offered. */
static void check_identities(wrn_call *c, const wr_tunnel_connect_opts *opts) {
  for (size_t i = 0; i < opts->n_identities && c->err == 0; i++) {
    const wr_identity *one = &opts->identities[i];
    bool agent = opts->agent != NULL && one->blob.len > 0;
    if ((one->key == NULL && !agent) ||
        (one->blob.len > 0 && wr_blob_type(one->blob).len == 0)) {
      wrn_fail(c, WR_EINVAL);
    }
  }
}

static const uint8_t *read_instance(wrn_call *c, napi_value v) {
  if (wrn_is_absent(c, v)) {
    return NULL;
  }
  wr_slice bytes = wrn_text(c, v);
  if (c->err == 0 && bytes.len != INSTANCE_LEN) {
    wrn_fail(c, WR_EINVAL);
  }
  return bytes.data;
}

static void read_connect(wrn_call *c, napi_value o,
                         wr_tunnel_connect_opts *opts) {
  opts->host = wrn_str(c, wrn_prop(c, o, "host"));
  opts->port = wrn_port(c, wrn_prop(c, o, "port"));
  opts->proxy = wrn_upstream_arg(c, wrn_prop(c, o, "proxy"));
  opts->user = wrn_need_str(c, wrn_prop(c, o, "user"));
  opts->host_key_types = wrn_str(c, wrn_prop(c, o, "hostKeyTypes"));
  opts->keepalive_ms = wrn_u32(c, wrn_prop(c, o, "keepalive"));
  opts->connect_timeout_ms = wrn_u32(c, wrn_prop(c, o, "connectTimeout"));
  opts->instance = read_instance(c, wrn_prop(c, o, "instance"));
  opts->ciphers = wrn_str(c, wrn_prop(c, o, "ciphers"));
  opts->rekey_bytes = wrn_uint(c, wrn_prop(c, o, "rekeyBytes"), UINT64_MAX);
  opts->agent = wrn_str(c, wrn_prop(c, o, "agent"));
  opts->tls = wrn_tls_get(c, wrn_prop(c, o, "tls"));
  opts->tls_name = wrn_str(c, wrn_prop(c, o, "tlsName"));
  opts->ws_path = wrn_str(c, wrn_prop(c, o, "wsPath"));
  opts->ws_host = wrn_str(c, wrn_prop(c, o, "wsHost"));
  opts->secret = wrn_text(c, wrn_prop(c, o, "secret"));
  opts->bind_tls = wrn_bool(c, wrn_prop(c, o, "bindTls"));
}

static int64_t connect_pipe(wrn_call *c, wrn_tunnel *t,
                            wr_tunnel_connect_opts *opts) {
  wrn_stream *s;
  int err = wrn_stream_pipe(c->env, &opts->link, &s);
  if (err != 0) {
    return err;
  }
  err = wr_tunnel_connect(t->tunnel, opts);
  if (err != 0) {
    wrn_stream_unpipe(s, opts->link);
    return err;
  }
  return wrn_stream_id(s);
}

int64_t wrn_tunnel_connect(wrn_call *c) {
  napi_value o = c->argv[1];
  wr_tunnel_connect_opts opts = {0};
  uint32_t *ids = NULL;
  bool pipe = wrn_bool(c, wrn_prop(c, o, "pipe"));
  read_connect(c, o, &opts);
  wr_identity *identities = read_identities(c, wrn_prop(c, o, "identities"),
                                            &opts.n_identities, &ids);
  if (c->err == 0 && !pipe && (opts.host == NULL || opts.port == 0)) {
    wrn_fail(c, WR_EINVAL);
  }
  wrn_tunnel *t = this_tunnel(c);
  find_keys(c, identities, opts.n_identities, ids);
  opts.identities = identities;
  check_identities(c, &opts);
  if (c->err != 0) {
    return c->err;
  }
  if (pipe) {
    return connect_pipe(c, t, &opts);
  }
  return wr_tunnel_connect(t->tunnel, &opts);
}

int64_t wrn_tunnel_verdict(wrn_call *c) {
  double status = 0;
  if (napi_get_value_double(c->napi, c->argv[1], &status) != napi_ok ||
      !(status <= 0 && status >= INT32_MIN)) {
    wrn_fail(c, WR_EINVAL);
  }
  const wrn_tunnel *t = this_tunnel(c);
  if (t != NULL) {
    wr_tunnel_verdict(t->tunnel, (int)status);
  }
  return c->err;
}

int64_t wrn_tunnel_disconnect(wrn_call *c) {
  const wrn_tunnel *t = this_tunnel(c);
  if (t != NULL) {
    wr_tunnel_disconnect(t->tunnel);
  }
  return c->err;
}

int64_t wrn_tunnel_close(wrn_call *c) {
  bool orderly = wrn_bool(c, c->argv[1]);
  wrn_tunnel *t = wrn_this(c, &tunnel_class);
  if (c->err == 0) {
    t->closing = true;
    wr_tunnel_close(t->tunnel, orderly);
  }
  return c->err;
}

/* { host, port } added to an object. */
static void put_address(wrn_call *c, napi_value out,
                        const struct sockaddr_storage *ss) {
  const struct sockaddr *sa = (const struct sockaddr *)ss;
  char host[WR_ADDR_TEXT_MAX];
  wr_sockaddr_host(sa, host);
  wrn_put_str(c, out, "host", host);
  wrn_put_num(c, out, "port", wr_sockaddr_port(sa));
}

int64_t wrn_tunnel_peer(wrn_call *c) {
  const wrn_tunnel *t = wrn_this(c, &tunnel_class);
  struct sockaddr_storage ss;
  if (t == NULL) {
    return c->err;
  }
  if (!wr_tunnel_peer(t->tunnel, &ss)) {
    c->result = wrn_null_value(c);
    return 0;
  }
  c->result = wrn_object_value(c);
  put_address(c, c->result, &ss);
  return 0;
}

int64_t wrn_tunnel_open(wrn_call *c) {
  wr_endpoint to;
  wr_opening **opening;
  wrn_endpoint_arg(c, c->argv[1], &to);
  const wrn_tunnel *t = this_tunnel(c);
  if (c->err != 0) {
    return c->err;
  }
  /* The originator is nobody's business. */
  wr_target target = {.kind = to.is_unix ? WR_TARGET_UNIX : WR_TARGET_TCP,
                      .port = to.port,
                      .origin_host = "127.0.0.1"};
  memcpy(target.host, to.host, sizeof(target.host));
  wrn_stream *s = wrn_stream_reserve(c->env, &opening);
  if (s == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_tunnel_open(t->tunnel, &target, wrn_stream_opened, s, opening);
  if (err != 0) {
    wrn_stream_unreserve(s);
    return err;
  }
  return wrn_stream_id(s);
}

int64_t wrn_tunnel_stats(wrn_call *c) {
  const wrn_tunnel *t = wrn_this(c, &tunnel_class);
  wr_tunnel_stats stats;
  if (t == NULL) {
    return c->err;
  }
  wr_tunnel_get_stats(t->tunnel, &stats);
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "bytesIn", (double)stats.bytes_in);
  wrn_put_num(c, out, "bytesOut", (double)stats.bytes_out);
  wrn_put_num(c, out, "channels", stats.channels);
  wrn_put_num(c, out, "channelsOpened", (double)stats.channels_opened);
  wrn_put_num(c, out, "channelsFailed", (double)stats.channels_failed);
  wrn_put_num(c, out, "rtt", stats.rtt_us);
  c->result = out;
  return 0;
}

/* LOCAL LISTENERS */

static void read_listen(wrn_call *c, napi_value o, wr_local_opts *opts) {
  opts->bind_host = wrn_str(c, wrn_prop(c, o, "bindHost"));
  opts->bind_port = wrn_port(c, wrn_prop(c, o, "bindPort"));
  opts->bind_path = wrn_str(c, wrn_prop(c, o, "bindPath"));
  opts->inbound = wrn_bool(c, wrn_prop(c, o, "inbound"));
  opts->user = wrn_str(c, wrn_prop(c, o, "user"));
  opts->password = wrn_str(c, wrn_prop(c, o, "password"));
  if (!opts->inbound) {
    wrn_endpoint_arg(c, wrn_prop(c, o, "target"), &opts->target);
  }
  if (opts->bind_host == NULL) {
    opts->bind_host = "";
  }
  /* Half of the credentials would be an open proxy, or none at all. */
  if ((opts->user == NULL) != (opts->password == NULL)) {
    wrn_fail(c, WR_EINVAL);
  }
}

static napi_value listener_value(wrn_call *c, const wrn_listener *l,
                                 const char *path) {
  struct sockaddr_storage ss;
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "id", l->o.id);
  if (path != NULL) {
    wrn_put_str(c, out, "path", path);
  } else {
    wr_local_addr(l->local, &ss);
    put_address(c, out, &ss);
  }
  return out;
}

int64_t wrn_tunnel_listen(wrn_call *c) {
  wr_local_opts opts = {0};
  read_listen(c, c->argv[1], &opts);
  wrn_tunnel *t = this_tunnel(c);
  if (c->err != 0) {
    return c->err;
  }
  wrn_listener *l = wrn_object_new(c->env, &listener_class);
  if (l == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_tunnel_listen(t->tunnel, &opts, &l->local);
  if (err != 0) {
    wrn_object_free(l);
    return err;
  }
  l->tunnel = t;
  wr_list_push(&t->listeners, &l->node);
  c->result = listener_value(c, l, opts.bind_path);
  return 0;
}

static void on_unlistened(void *user) {
  end_listener(user);
}

int64_t wrn_listener_close(wrn_call *c) {
  wrn_listener *l = wrn_this(c, &listener_class);
  /* A tunnel that is closing has begun to close it. */
  if (l == NULL || l->local == NULL || l->tunnel->closing) {
    return c->err;
  }
  wr_local *local = l->local;
  l->local = NULL;
  wr_tunnel_unlisten(l->tunnel->tunnel, local, on_unlistened, l);
  return 0;
}

int64_t wrn_listener_connections(wrn_call *c) {
  const wrn_listener *l = wrn_this(c, &listener_class);
  if (l == NULL || l->local == NULL || l->tunnel->closing) {
    return c->err;
  }
  return wr_local_connections(l->local);
}

/* REMOTE FORWARDS */

int64_t wrn_tunnel_remote_add(wrn_call *c) {
  wr_endpoint bind;
  wr_endpoint target;
  bool has_target = !wrn_is_absent(c, c->argv[2]);
  wrn_endpoint_arg(c, c->argv[1], &bind);
  if (has_target) {
    wrn_endpoint_arg(c, c->argv[2], &target);
  }
  wrn_tunnel *t = this_tunnel(c);
  if (c->err != 0) {
    return c->err;
  }
  wrn_remote *r = wrn_object_new(c->env, &remote_class);
  if (r == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_tunnel_remote_add(t->tunnel, &bind, has_target ? &target : NULL,
                                 r, &r->forward);
  if (err != 0) {
    wrn_object_free(r);
    return err;
  }
  r->tunnel = t;
  wr_list_push(&t->remotes, &r->node);
  return r->o.id;
}

int64_t wrn_remote_remove(wrn_call *c) {
  wrn_remote *r = wrn_this(c, &remote_class);
  if (r == NULL) {
    return c->err;
  }
  if (!r->tunnel->closing) { /* else the tunnel has removed it */
    wr_tunnel_remote_remove(r->tunnel->tunnel, r->forward);
  }
  free_remote(r);
  return 0;
}

int64_t wrn_remote_connections(wrn_call *c) {
  const wrn_remote *r = wrn_this(c, &remote_class);
  if (r == NULL || r->tunnel->closing) {
    return c->err;
  }
  return wr_remote_forward_connections(r->forward);
}
