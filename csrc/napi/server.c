#include "app/server.h"

#include <limits.h>
#include <string.h>

#include "napi/cert.h"
#include "napi/events.h"
#include "napi/keys.h"
#include "napi/methods.h"
#include "napi/stream.h"
#include "napi/tls.h"
#include "napi/trust.h"

#define NETWORKS_MAX 4096

typedef struct wrn_server {
  wrn_object o;
  wr_server *server;
  bool control; /* somebody takes control channels */
} wrn_server;

/* The core closes servers by itself. */
static const wrn_class server_class = {sizeof(wrn_server), NULL};

/* EVENTS */

/* What is known of a session, in the words of `authorize` and 'connection'.
   cert may be NULL. */
static void put_identity(wrn_json *json, const char *user,
                         const char *fingerprint, const wr_cert *cert,
                         const char *address, const char *transport) {
  wrn_json_str(json, "user", user);
  wrn_json_str(json, "fingerprint", fingerprint);
  if (cert != NULL) {
    wrn_json_certificate(json, cert);
  }
  wrn_json_str(json, "remoteAddress", address);
  wrn_json_str(json, "transport", transport);
}

static void on_authorize(wr_server *server, const wr_server_identity *who) {
  const wrn_server *s = wr_server_user(server);
  wrn_json json;
  wrn_json_begin(&json, &s->o.env->ctx.mem);
  wrn_json_num(&json, "session", who->session_id);
  put_identity(&json, who->user, who->fingerprint, who->cert,
               who->remote_address, who->transport);
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
  put_identity(&json, info.user, info.fingerprint,
               info.is_cert ? &info.cert : NULL, info.remote_address,
               info.transport);
  wrn_post_json(s->o.env, WRN_EV_CONTROL, s->o.id, &json);
  return true;
}

static void on_visitor(wr_server *server, const wr_visitor *visitor) {
  const wrn_server *s = wr_server_user(server);
  wrn_json json;
  wrn_stream *stream = wrn_stream_new(s->o.env, visitor->link);
  if (stream == NULL) {
    wrn_link_discard(visitor->link);
    return;
  }
  wrn_json_begin(&json, &s->o.env->ctx.mem);
  wrn_json_num(&json, "stream", wrn_stream_id(stream));
  wrn_json_str(&json, "remoteAddress", visitor->remote_address);
  wrn_json_str(&json, "localAddress", visitor->local_address);
  wrn_json_num(&json, "localPort", visitor->local_port);
  wrn_json_str(&json, "servername", visitor->server_name);
  wrn_json_bytes(&json, "alpn", visitor->alpn);
  wrn_json_bool(&json, "plain", visitor->plain);
  wrn_json_bool(&json, "astray", visitor->astray);
  wrn_post_json(s->o.env, WRN_EV_VISITOR, s->o.id, &json);
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
    .on_visitor = on_visitor,
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

/* Networks as text; NULL if there are none. They end with the call. */
static const wr_cidr *read_networks(wrn_call *c, napi_value array, size_t *n) {
  uint32_t count = wrn_array(c, array, NETWORKS_MAX);
  wr_cidr *cidrs = count > 0 ? wrn_call_alloc(c, count, sizeof(*cidrs)) : NULL;
  for (uint32_t i = 0; i < count && c->err == 0; i++) {
    const char *text = wrn_need_str(c, wrn_element(c, array, i));
    if (c->err == 0) {
      wrn_fail(c, wr_cidr_parse(text, &cidrs[i]));
    }
  }
  *n = count;
  return cidrs;
}

/* THE SERVER */

static void read_options(wrn_call *c, napi_value o, wr_server_opts *opts) {
  opts->forwarding = wrn_bool(c, wrn_prop(c, o, "forwarding"));
  opts->host_certificate = wrn_text(c, wrn_prop(c, o, "hostCertificate"));
  opts->tls = wrn_tls_get(c, wrn_prop(c, o, "tls"));
  opts->ws_path = wrn_str(c, wrn_prop(c, o, "wsPath"));
  opts->knock_secret = wrn_text(c, wrn_prop(c, o, "stealthSecret"));
  opts->max_visitors = wrn_u32(c, wrn_prop(c, o, "maxVisitors"));
  opts->visitor_ms = wrn_u32(c, wrn_prop(c, o, "visitorTime"));
  opts->gateway_ports = wrn_bool(c, wrn_prop(c, o, "gatewayPorts"));
  opts->authorize = wrn_bool(c, wrn_prop(c, o, "authorize"));
  opts->login_grace_ms = wrn_u32(c, wrn_prop(c, o, "loginGraceTime"));
  opts->keepalive_ms = wrn_u32(c, wrn_prop(c, o, "keepalive"));
  opts->max_auth_attempts = wrn_u32(c, wrn_prop(c, o, "maxAuthAttempts"));
  opts->max_startups = wrn_u32(c, wrn_prop(c, o, "maxStartups"));
  opts->startups_start = wrn_u32(c, wrn_prop(c, o, "startupsStart"));
  opts->startups_rate = wrn_u32(c, wrn_prop(c, o, "startupsRate"));
  opts->trust_proxy =
      read_networks(c, wrn_prop(c, o, "trustProxy"), &opts->n_trust_proxy);
  opts->penalty_ms = wrn_u32(c, wrn_prop(c, o, "penaltyTime"));
  opts->penalty_max_ms = wrn_u32(c, wrn_prop(c, o, "penaltyMax"));
  opts->penalty_exempt = read_networks(c, wrn_prop(c, o, "penaltyExempt"),
                                       &opts->n_penalty_exempt);
  opts->max_sessions = wrn_u32(c, wrn_prop(c, o, "maxSessions"));
  opts->max_channels = wrn_u32(c, wrn_prop(c, o, "maxChannels"));
  opts->max_connections_per_ip =
      wrn_u32(c, wrn_prop(c, o, "maxConnectionsPerIp"));
  opts->proxy = wrn_upstream_arg(c, wrn_prop(c, o, "proxy"));
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

/* opts holds the policy, which it takes if it works out. */
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
    wr_policy_free(opts->policy);
  }
  wr_trust_unref(opts->trust); /* the server has a reference of its own */
  return id;
}

int64_t wrn_server_new(wrn_call *c) {
  napi_value o = c->argv[0];
  wr_server_opts opts = {0};
  wrn_trust_error error;
  uint32_t key_id = wrn_u32(c, wrn_prop(c, o, "hostKey"));
  uint32_t level =
      (uint32_t)wrn_uint(c, wrn_prop(c, o, "logLevel"), WR_LOG_DEBUG);
  read_options(c, o, &opts);
  napi_value rules = wrn_prop(c, o, "rules");
  napi_value trust = wrn_prop(c, o, "trust");
  wrn_need(c, trust);
  wrn_need(c, rules);
  if (c->err != 0) {
    return c->err;
  }
  opts.policy = wrn_rules_read(c, rules);
  opts.trust = wrn_trust_read(c, trust, &error);
  if (c->err != 0) {
    wr_policy_free(opts.policy);
    return wrn_trust_status(c, &error);
  }
  return new_server(c, &opts, key_id, level);
}

static wr_server *this_server(wrn_call *c) {
  const wrn_server *s = wrn_this(c, &server_class);
  return s == NULL ? NULL : s->server;
}

/* { host, port } */
static int64_t give_address(wrn_call *c, const struct sockaddr_storage *bound) {
  char text[WR_ADDR_TEXT_MAX];
  const struct sockaddr *sa = (const struct sockaddr *)bound;
  wr_sockaddr_host(sa, text);
  c->result = wrn_object_value(c);
  wrn_put_str(c, c->result, "host", text);
  wrn_put_num(c, c->result, "port", wr_sockaddr_port(sa));
  return 0;
}

static wr_listen_kind read_kind(wrn_call *c, napi_value v) {
  uint64_t kind = wrn_uint(c, v, WR_LISTEN_WS);
  return (wr_listen_kind)kind;
}

int64_t wrn_server_listen(wrn_call *c) {
  struct sockaddr_storage bound;
  wr_listen_kind kind = read_kind(c, c->argv[1]);
  const char *host = wrn_need_str(c, c->argv[2]);
  uint16_t port = wrn_port(c, c->argv[3]);
  wr_server *s = this_server(c);
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_server_listen(s, kind, host, port, &bound);
  return err != 0 ? err : give_address(c, &bound);
}

int64_t wrn_server_listen_fd(wrn_call *c) {
  struct sockaddr_storage bound;
  wr_listen_kind kind = read_kind(c, c->argv[1]);
  int fd = (int)wrn_uint(c, c->argv[2], INT_MAX);
  wr_server *s = this_server(c);
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_server_listen_fd(s, kind, fd, &bound);
  return err != 0 ? err : give_address(c, &bound);
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

int64_t wrn_server_set_tls(wrn_call *c) {
  wrn_need(c, c->argv[1]);
  wr_tls_ctx *tls = wrn_tls_get(c, c->argv[1]);
  wr_server *s = this_server(c);
  if (c->err == 0) {
    wr_server_set_tls(s, tls);
  }
  return c->err;
}

int64_t wrn_server_reload(wrn_call *c) {
  wrn_trust_error error;
  napi_value new_rules = wrn_prop(c, c->argv[1], "rules");
  napi_value new_trust = wrn_prop(c, c->argv[1], "trust");
  if (c->err != 0) {
    return c->err;
  }
  wr_policy *policy = wrn_rules_read(c, new_rules);
  wr_trust *trust = wrn_trust_read(c, new_trust, &error);
  if (c->err != 0) {
    wr_policy_free(policy);
    return wrn_trust_status(c, &error);
  }
  wr_server *s = this_server(c);
  if (s != NULL) {
    wr_server_reload(s, trust, policy);
  } else {
    wr_policy_free(policy);
  }
  wr_trust_unref(trust);
  return c->err;
}

static napi_value session_value(wrn_call *c,
                                const wr_server_session_info *info) {
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "sessionId", info->session_id);
  wrn_put_str(c, out, "user", info->user);
  wrn_put_str(c, out, "keyFingerprint", info->fingerprint);
  if (info->is_cert) {
    wrn_put_certificate(c, out, "certificate", &info->cert);
  }
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

static void put_counts(wrn_call *c, napi_value obj, const char *key,
                       const wr_counts *counts) {
  napi_value out = wrn_object_value(c);
  for (size_t i = 0; i < counts->len; i++) {
    wrn_put_num(c, out, counts->of[i].reason, (double)counts->of[i].n);
  }
  wrn_put(c, obj, key, out);
}

/* In seconds; pairs of bound and count. */
static void put_durations(wrn_call *c, napi_value obj, const char *key,
                          const wr_durations *d) {
  napi_value out = wrn_object_value(c);
  napi_value buckets = wrn_array_value(c);
  for (uint32_t i = 0; i < WR_DURATIONS_BOUNDS; i++) {
    napi_value pair = wrn_array_value(c);
    wrn_push(c, pair, 0, wrn_num_value(c, wr_durations_bound_ms(i) / 1000.0));
    wrn_push(c, pair, 1, wrn_num_value(c, (double)d->within[i]));
    wrn_push(c, buckets, i, pair);
  }
  wrn_put_num(c, out, "count", (double)d->count);
  wrn_put_num(c, out, "sum", (double)d->sum_ms / 1000.0);
  wrn_put(c, out, "buckets", buckets);
  wrn_put(c, obj, key, out);
}

static napi_value authentications(wrn_call *c, const wr_server_stats *stats) {
  napi_value out = wrn_object_value(c);
  wrn_put_num(c, out, "accepted", (double)stats->auth_accepted);
  put_counts(c, out, "rejected", &stats->auth_rejections);
  return out;
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
  wrn_put_num(c, out, "visitors", (double)stats.visitors);
  wrn_put_num(c, out, "knocksFailed", (double)stats.knocks_failed);
  wrn_put_num(c, out, "rejected", (double)stats.rejected);
  wrn_put_num(c, out, "penalties", (double)stats.penalties);
  wrn_put_num(c, out, "authAccepted", (double)stats.auth_accepted);
  wrn_put_num(c, out, "authRejected", (double)stats.auth_rejected);
  wrn_put_num(c, out, "channelsOpened", (double)stats.channels_opened);
  wrn_put_num(c, out, "channelsRefused", (double)stats.channels_refused);
  wrn_put_num(c, out, "bytesIn", (double)stats.bytes_in);
  wrn_put_num(c, out, "bytesOut", (double)stats.bytes_out);
  wrn_put(c, out, "authentications", authentications(c, &stats));
  put_counts(c, out, "connectionsRejected", &stats.rejections);
  put_counts(c, out, "sessionsEnded", &stats.ends);
  put_durations(c, out, "handshake", &stats.handshakes);
  put_durations(c, out, "login", &stats.logins);
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
