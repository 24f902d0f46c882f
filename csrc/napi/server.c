#include "app/server.h"

#include <string.h>

#include "napi/events.h"
#include "napi/keys.h"
#include "napi/methods.h"
#include "napi/stream.h"

#define RULES_MAX 4096

typedef struct wrn_server {
  wrn_object o;
  wr_server *server;
  bool control; /* somebody takes control channels */
} wrn_server;

/* The core closes servers by itself. */
static const wrn_class server_class = {sizeof(wrn_server), NULL};

/* EVENTS */

/* What is known of a session, in the words of `authorize` and 'connection'. */
static void put_identity(wrn_json *json, const char *user,
                         const char *fingerprint, const char *address,
                         const char *transport) {
  wrn_json_str(json, "user", user);
  wrn_json_str(json, "fingerprint", fingerprint);
  wrn_json_str(json, "remoteAddress", address);
  wrn_json_str(json, "transport", transport);
}

static void on_authorize(wr_server *server, const wr_server_identity *who) {
  const wrn_server *s = wr_server_user(server);
  wrn_json json;
  wrn_json_begin(&json, &s->o.env->ctx.mem);
  wrn_json_num(&json, "session", who->session_id);
  put_identity(&json, who->user, who->fingerprint, who->remote_address,
               who->transport);
  wrn_post_json(s->o.env, WRN_EV_AUTHORIZE, s->o.id, &json);
}

static bool on_control(wr_server *server, uint32_t session_id, const char *name,
                       wr_link *link) {
  const wrn_server *s = wr_server_user(server);
  wr_server_session_info info;
  wrn_json json;
  if (link == NULL) {
    return s->control;
  }
  wrn_stream *stream = wrn_stream_new(s->o.env, link);
  if (stream == NULL) {
    wrn_link_discard(link);
    return true;
  }
  if (!wr_server_session(server, session_id, &info)) {
    memset(&info, 0, sizeof(info));
  }
  wrn_json_begin(&json, &s->o.env->ctx.mem);
  wrn_json_num(&json, "stream", wrn_stream_id(stream));
  wrn_json_num(&json, "session", session_id);
  wrn_json_str(&json, "name", name);
  put_identity(&json, info.user, info.fingerprint, info.remote_address,
               info.transport);
  wrn_post_json(s->o.env, WRN_EV_CONTROL, s->o.id, &json);
  return true;
}

static void on_session(wr_server *server, uint32_t session_id, bool up) {
  const wrn_server *s = wr_server_user(server);
  wrn_post(s->o.env, WRN_EV_SESSION, s->o.id, session_id, up ? 1 : 0);
}

static void on_close(wr_server *server) {
  wrn_server *s = wr_server_user(server);
  wrn_post(s->o.env, WRN_EV_SERVER_CLOSED, s->o.id, 0, 0);
  wrn_object_free(s);
}

static const wr_server_handler server_handler = {
    .on_authorize = on_authorize,
    .on_control = on_control,
    .on_session = on_session,
    .on_close = on_close,
};

static void on_log(const wr_log_record *record, void *data) {
  const wrn_server *s = data;
  char text[WR_LOG_LINE_MAX];
  wrn_json json;
  wrn_json_begin(&json, &s->o.env->ctx.mem);
  size_t len = wr_log_format_json(record, text, sizeof(text));
  wrn_json_raw(&json, "record", (wr_slice){(const uint8_t *)text, len});
  (void)wr_log_format_logfmt(record, text, sizeof(text));
  wrn_json_str(&json, "line", text);
  wrn_post_json(s->o.env, WRN_EV_LOG, s->o.id, &json);
}

/* KEYS AND RULES */

/* [[allowed, text], …]; NULL if absent or after an error. */
static wr_policy *read_rules(wrn_call *c, napi_value array) {
  const char *why = "";
  if (wrn_is_absent(c, array) || c->err != 0) {
    return NULL;
  }
  uint32_t n = wrn_array(c, array, RULES_MAX);
  wr_policy *policy = wr_policy_new(&c->env->ctx.mem);
  if (policy == NULL) {
    wrn_fail(c, WR_ENOMEM);
  }
  for (uint32_t i = 0; i < n && c->err == 0; i++) {
    napi_value rule = wrn_element(c, array, i);
    bool allowed = wrn_bool(c, wrn_element(c, rule, 0));
    const char *text = wrn_need_str(c, wrn_element(c, rule, 1));
    if (c->err == 0) {
      wrn_fail(c, wr_policy_add(policy, allowed, text, &why));
    }
  }
  if (c->err != 0) {
    wr_policy_free(policy);
    return NULL;
  }
  return policy;
}

/* NULL if absent or after an error; then *line may say where. */
static wr_authkeys *read_keys(wrn_call *c, napi_value v, size_t *line) {
  wr_authkeys *keys = NULL;
  wr_slice text = wrn_text(c, v);
  if (c->err != 0 || text.data == NULL) {
    return NULL;
  }
  wr_ctx *ctx = &c->env->ctx;
  wrn_fail(c,
           wr_authkeys_parse(&ctx->mem, wr_ctx_rand64(ctx),
                             (const char *)text.data, text.len, &keys, line));
  return c->err != 0 ? NULL : keys;
}

/* What is wrong with keys or rules: an object, as the contract has it. */
static int64_t give_status(wrn_call *c, size_t line) {
  int status = c->err;
  c->err = 0;
  (void)wrn_status_line(c, status, line);
  return 0;
}

/* THE SERVER */

static void read_options(wrn_call *c, napi_value o, wr_server_opts *opts) {
  opts->forwarding = wrn_bool(c, wrn_prop(c, o, "forwarding"));
  opts->host_certificate = wrn_text(c, wrn_prop(c, o, "hostCertificate"));
  opts->gateway_ports = wrn_bool(c, wrn_prop(c, o, "gatewayPorts"));
  opts->authorize = wrn_bool(c, wrn_prop(c, o, "authorize"));
  opts->login_grace_ms = wrn_u32(c, wrn_prop(c, o, "loginGraceTime"));
  opts->keepalive_ms = wrn_u32(c, wrn_prop(c, o, "keepalive"));
  opts->max_auth_attempts = wrn_u32(c, wrn_prop(c, o, "maxAuthAttempts"));
  opts->max_startups = wrn_u32(c, wrn_prop(c, o, "maxStartups"));
  opts->max_sessions = wrn_u32(c, wrn_prop(c, o, "maxSessions"));
  opts->max_channels = wrn_u32(c, wrn_prop(c, o, "maxChannels"));
  opts->max_connections_per_ip =
      wrn_u32(c, wrn_prop(c, o, "maxConnectionsPerIp"));
  opts->rekey_bytes = wrn_uint(c, wrn_prop(c, o, "rekeyBytes"), UINT64_MAX);
  opts->dial_timeout_ms = wrn_u32(c, wrn_prop(c, o, "dialTimeout"));
}

static void set_log(wrn_call *c, wr_server_opts *opts, uint32_t level,
                    wrn_server *s) {
  opts->log.wall_ms = c->env->ctx.log.wall_ms;
  opts->log.data = s;
  opts->log.level = (wr_log_level)level;
  opts->log.cb = level == 0 ? NULL : on_log;
}

/* opts holds keys and policy, which it takes if it works out. */
static int64_t start_server(wrn_call *c, wr_server_opts *opts,
                            uint32_t log_level) {
  wrn_server *s = wrn_object_new(c->env, &server_class);
  if (s == NULL) {
    return WR_ENOMEM;
  }
  set_log(c, opts, log_level, s);
  opts->handler = &server_handler;
  opts->user = s;
  int err = wr_server_new(&c->env->ctx, opts, &s->server);
  if (err != 0) {
    wrn_object_free(s);
    return err;
  }
  return s->o.id;
}

static int64_t new_server(wrn_call *c, wr_server_opts *opts, uint32_t key_id,
                          uint32_t log_level) {
  opts->host_key = wrn_key_get(c->env, key_id);
  if (opts->host_key == NULL) {
    wrn_fail(c, WR_ENOENT);
  }
  int64_t id = c->err != 0 ? c->err : start_server(c, opts, log_level);
  if (id < 0) {
    wr_authkeys_free(opts->authorized_keys);
    wr_policy_free(opts->policy);
  }
  return id;
}

int64_t wrn_server_new(wrn_call *c) {
  napi_value o = c->argv[0];
  wr_server_opts opts = {0};
  size_t line = 0;
  uint32_t key_id = wrn_u32(c, wrn_prop(c, o, "hostKey"));
  uint32_t level =
      (uint32_t)wrn_uint(c, wrn_prop(c, o, "logLevel"), WR_LOG_DEBUG);
  read_options(c, o, &opts);
  napi_value rules = wrn_prop(c, o, "rules");
  napi_value keys = wrn_prop(c, o, "authorizedKeys");
  wrn_need(c, keys);
  wrn_need(c, rules);
  if (c->err != 0) {
    return c->err;
  }
  opts.policy = read_rules(c, rules);
  opts.authorized_keys = read_keys(c, keys, &line);
  if (c->err != 0) {
    wr_policy_free(opts.policy);
    return give_status(c, line);
  }
  return new_server(c, &opts, key_id, level);
}

static wr_server *this_server(wrn_call *c) {
  const wrn_server *s = wrn_this(c, &server_class);
  return s == NULL ? NULL : s->server;
}

int64_t wrn_server_listen(wrn_call *c) {
  struct sockaddr_storage bound;
  char text[WR_ADDR_TEXT_MAX];
  const char *host = wrn_need_str(c, c->argv[1]);
  uint16_t port = wrn_port(c, c->argv[2]);
  wr_server *s = this_server(c);
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_server_listen(s, host, port, &bound);
  if (err != 0) {
    return err;
  }
  const struct sockaddr *sa = (const struct sockaddr *)&bound;
  wr_sockaddr_host(sa, text);
  c->result = wrn_object_value(c);
  wrn_put_str(c, c->result, "host", text);
  wrn_put_num(c, c->result, "port", wr_sockaddr_port(sa));
  return 0;
}

int64_t wrn_server_accept(wrn_call *c) {
  const char *address = wrn_str(c, c->argv[1]);
  wr_server *s = this_server(c);
  wr_link *link;
  wrn_stream *stream;
  uint32_t session_id;
  if (c->err != 0) {
    return c->err;
  }
  int err = wrn_stream_pipe(c->env, &link, &stream);
  if (err != 0) {
    return err;
  }
  err = wr_server_accept(s, link, address == NULL ? "" : address, "stream",
                         &session_id);
  if (err != 0) {
    wrn_stream_unpipe(stream, link);
    return err;
  }
  return wrn_stream_id(stream);
}

int64_t wrn_server_authorize(wrn_call *c) {
  uint32_t session = wrn_u32(c, c->argv[1]);
  bool accepted = wrn_bool(c, c->argv[2]);
  wr_server *s = this_server(c);
  if (c->err == 0) {
    wr_server_authorize(s, session, accepted);
  }
  return c->err;
}

int64_t wrn_server_set_control(wrn_call *c) {
  bool control = wrn_bool(c, c->argv[1]);
  wrn_server *s = wrn_this(c, &server_class);
  if (c->err == 0) {
    s->control = control;
  }
  return c->err;
}

int64_t wrn_server_open(wrn_call *c) {
  uint32_t session = wrn_u32(c, c->argv[1]);
  const char *name = wrn_need_str(c, c->argv[2]);
  wr_server *s = this_server(c);
  wr_opening **opening;
  if (c->err != 0) {
    return c->err;
  }
  wrn_stream *stream = wrn_stream_reserve(c->env, &opening);
  if (stream == NULL) {
    return WR_ENOMEM;
  }
  int err =
      wr_server_open(s, session, name, wrn_stream_opened, stream, opening);
  if (err != 0) {
    wrn_stream_unreserve(stream);
    return err;
  }
  return wrn_stream_id(stream);
}

int64_t wrn_server_reload(wrn_call *c) {
  size_t line = 0;
  napi_value new_rules = wrn_prop(c, c->argv[1], "rules");
  napi_value new_keys = wrn_prop(c, c->argv[1], "authorizedKeys");
  if (c->err != 0) {
    return c->err;
  }
  wr_policy *policy = read_rules(c, new_rules);
  wr_authkeys *keys = read_keys(c, new_keys, &line);
  if (c->err != 0) {
    wr_policy_free(policy);
    return give_status(c, line);
  }
  wr_server *s = this_server(c);
  if (s == NULL) {
    wr_policy_free(policy);
    wr_authkeys_free(keys);
    return c->err;
  }
  wr_server_reload(s, keys, policy);
  return 0;
}

static napi_value session_value(wrn_call *c,
                                const wr_server_session_info *info) {
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "sessionId", info->session_id);
  wrn_put_str(c, out, "user", info->user);
  wrn_put_str(c, out, "keyFingerprint", info->fingerprint);
  wrn_put_str(c, out, "remoteAddress", info->remote_address);
  wrn_put_str(c, out, "transport", info->transport);
  wrn_put_bool(c, out, "authenticated", info->authenticated);
  wrn_put_num(c, out, "duration", (double)info->since_ms);
  wrn_put_num(c, out, "channels", info->channels);
  wrn_put_num(c, out, "bytesIn", (double)info->bytes_in);
  wrn_put_num(c, out, "bytesOut", (double)info->bytes_out);
  return out;
}

int64_t wrn_server_sessions(wrn_call *c) {
  const wr_server *s = this_server(c);
  wr_server_session_info info;
  size_t cursor = 0;
  uint32_t n = 0;
  if (s == NULL) {
    return c->err;
  }
  c->result = wrn_array_value(c);
  while (c->err == 0 && wr_server_next_session(s, &cursor, &info)) {
    wrn_push(c, c->result, n++, session_value(c, &info));
  }
  return 0;
}

int64_t wrn_server_stats(wrn_call *c) {
  const wr_server *s = this_server(c);
  wr_server_stats stats;
  if (s == NULL) {
    return c->err;
  }
  wr_server_get_stats(s, &stats);
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "sessions", stats.sessions);
  wrn_put_num(c, out, "startups", stats.startups);
  wrn_put_num(c, out, "channels", stats.channels);
  wrn_put_num(c, out, "remoteForwards", stats.remote_forwards);
  wrn_put_num(c, out, "connections", (double)stats.connections);
  wrn_put_num(c, out, "rejected", (double)stats.rejected);
  wrn_put_num(c, out, "authAccepted", (double)stats.auth_accepted);
  wrn_put_num(c, out, "authRejected", (double)stats.auth_rejected);
  wrn_put_num(c, out, "channelsOpened", (double)stats.channels_opened);
  wrn_put_num(c, out, "channelsRefused", (double)stats.channels_refused);
  wrn_put_num(c, out, "bytesIn", (double)stats.bytes_in);
  wrn_put_num(c, out, "bytesOut", (double)stats.bytes_out);
  c->result = out;
  return 0;
}

int64_t wrn_server_end_session(wrn_call *c) {
  uint32_t session = wrn_u32(c, c->argv[1]);
  wr_server *s = this_server(c);
  if (c->err == 0) {
    wr_server_end_session(s, session);
  }
  return c->err;
}

int64_t wrn_server_close(wrn_call *c) {
  uint32_t drain_ms = wrn_u32(c, c->argv[1]);
  wr_server *s = this_server(c);
  if (c->err == 0) {
    wr_server_close(s, drain_ms);
  }
  return c->err;
}
