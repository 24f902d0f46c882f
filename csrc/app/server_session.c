#include "app/server_internal.h"

#include <string.h>

#include "proxy/spec.h"

/* One SSH session of the server's: it begins with the connection and is freed
   when the SSH session and all connections to targets are gone. */

static wr_server *server_of(wr_ssh *ssh, server_session **ss) {
  *ss = wr_ssh_user(ssh);
  return (*ss)->server;
}

/* CHANNELS */

static wr_access access_in_force(wr_target_owner *owner) {
  return wr__auth_access(wr_container_of(owner, server_session, targets));
}

static void on_target_end(wr_target_owner *owner, wr_target_conn *conn) {
  server_session *ss = wr_container_of(owner, server_session, targets);
  WR_UNUSED(conn);
  if (ss->ssh == NULL) {
    wr_task_post(ss->server->ctx, &ss->ended);
  }
}

static void on_proxy_failed(wr_target_owner *owner, int err) {
  const server_session *ss = wr_container_of(owner, server_session, targets);
  wr__log_proxy_failed(ss->server, err);
}

static void refuse(server_session *ss, wr_open *open, int err) {
  ss->server->past.channels_refused++;
  wr_open_refuse(open, err);
}

/* For the application. It is asked before the channel is confirmed, so that
   without a listener the peer hears the truth. */
static void open_control(server_session *ss, wr_open *open, const char *name) {
  wr_server *s = ss->server;
  const wr_server_handler *h = s->opts.handler;
  wr_access a = wr__auth_access(ss);
  uint16_t port = wr_open_target(open)->port;
  char label[WR_HOST_MAX + 8];
  if (!wr_access_reserved(&a, name, port)) {
    refuse(ss, open, WR_ECHANNEL_DENIED);
    return;
  }
  if (h->on_control == NULL || !h->on_control(s, ss->id, name, NULL)) {
    refuse(ss, open, WR_ECHANNEL_UNKNOWN);
    return;
  }
  snprintf(label, sizeof(label), "%u/%s", (unsigned)port, name);
  wr_link *link = wr_open_accept_labelled(open, label);
  if (link == NULL) {
    return; /* it has been refused */
  }
  s->past.channels_opened++;
  if (!h->on_control(s, ss->id, name, link)) {
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

static void open_target(server_session *ss, wr_open *open) {
  if (!ss->server->opts.forwarding) {
    refuse(ss, open, WR_ECHANNEL_DENIED);
    return;
  }
  ss->server->past.channels_opened++;
  wr_target_connect(ss->server->ctx, &ss->targets, open, NULL);
}

static void on_open(wr_ssh *ssh, wr_open *open) {
  server_session *ss;
  wr_server *s = server_of(ssh, &ss);
  const wr_target *target = wr_open_target(open);
  char name[WR_HOST_MAX + 1];
  if (ss->ending || s->state != SERVER_OPEN) {
    refuse(ss, open, WR_ECHANNEL_FAILED);
  } else if (target->kind == WR_TARGET_TCP &&
             wr_reserved_name(target->host, name)) {
    open_control(ss, open, name);
  } else if (target->kind == WR_TARGET_TCP || target->kind == WR_TARGET_UNIX) {
    open_target(ss, open);
  } else {
    refuse(ss, open, WR_ECHANNEL_UNKNOWN);
  }
}

static void on_open_canceled(wr_ssh *ssh, wr_open *open) {
  /* Only targets leave an open without an answer. */
  WR_UNUSED(ssh);
  wr_target_canceled(open);
}

static void on_request(wr_ssh *ssh, wr_request *request) {
  server_session *ss;
  wr_server *s = server_of(ssh, &ss);
  bool taken = !ss->ending && s->state == SERVER_OPEN && ss->remote != NULL &&
               wr_remote_request(ss->remote, request);
  if (!taken) {
    wr_request_reply(request, false, (wr_slice){NULL, 0});
  }
}

static void on_request_canceled(wr_ssh *ssh, wr_request *request) {
  server_session *ss = wr_ssh_user(ssh);
  if (ss->remote != NULL) {
    wr_remote_request_canceled(ss->remote, request);
  }
}

/* LIFE CYCLE */

static void on_auth(wr_ssh *ssh, const wr_auth_offer *offer) {
  wr__auth_offered(wr_ssh_user(ssh), offer);
}

static void on_auth_ignored(wr_ssh *ssh, const char *user, const char *reason) {
  wr__auth_ignored(wr_ssh_user(ssh), user, reason);
}

static void on_keys(wr_ssh *ssh) {
  server_session *ss;
  wr_server *s = server_of(ssh, &ss);
  wr_durations_add(&s->past.handshakes, wr_ctx_now(s->ctx) - ss->since_ms);
}

static void on_ready(wr_ssh *ssh) {
  server_session *ss;
  wr_cert cert;
  wr_server *s = server_of(ssh, &ss);
  if (ss->ending) {
    return;
  }
  ss->state = SESSION_UP;
  wr__limits_logged_in(ss);
  wr_durations_add(&s->past.logins, wr_ctx_now(s->ctx) - ss->since_ms);
  wr_slice key = wr__auth_plain_key(ss, &cert);
  if (wr_remote_session_new(s->remotes, ssh, key, ss, &ss->remote) != 0) {
    ss->remote = NULL;
    wr__session_abort(ss);
    return;
  }
  if (s->opts.handler->on_session != NULL) {
    s->opts.handler->on_session(s, ss->id, true);
  }
}

static void count_past(server_session *ss) {
  wr_ssh_info info;
  wr_ssh_query(ss->ssh, &info);
  ss->server->past.bytes_in += info.bytes_in;
  ss->server->past.bytes_out += info.bytes_out;
}

static void on_close(wr_ssh *ssh, int status) {
  server_session *ss;
  wr_server *s = server_of(ssh, &ss);
  count_past(ss);
  wr__auth_over(ss);
  wr__penalty_over(ss, status);
  wr__log_closed(ss);
  wr__limits_leave(ss);
  ss->ending = true;
  ss->ssh = NULL;
  if (ss->remote != NULL) {
    wr_remote_session_free(ss->remote);
    ss->remote = NULL;
  }
  wr_target_abort_all(&ss->targets);
  uint32_t id = ss->id;
  wr_map_remove(s->by_id, &id, sizeof(id));
  wr_task_post(s->ctx, &ss->ended);
  if (ss->state == SESSION_UP && s->opts.handler->on_session != NULL &&
      !s->ctx->exiting) {
    s->opts.handler->on_session(s, id, false);
  }
}

static const wr_ssh_handler ssh_handler = {.on_keys = on_keys,
                                           .on_auth = on_auth,
                                           .on_auth_ignored = on_auth_ignored,
                                           .on_ready = on_ready,
                                           .on_open = on_open,
                                           .on_open_canceled = on_open_canceled,
                                           .on_request = on_request,
                                           .on_request_canceled =
                                               on_request_canceled,
                                           .on_close = on_close};

/* Its time may be over, or the clock says something else by now. */
static void on_expiry(wr_timer *timer) {
  wr__auth_recheck(wr_container_of(timer, server_session, expiry));
}

static void session_free(server_session *ss) {
  wr_list_remove(&ss->node);
  wr__auth_drop(ss);
  wr_task_cancel(&ss->ended);
  wr_free(&ss->server->ctx->mem, ss);
}

static void on_ended(wr_task *task) {
  server_session *ss = wr_container_of(task, server_session, ended);
  wr_server *s = ss->server;
  if (ss->ssh == NULL && ss->targets.n_conns == 0) {
    session_free(ss);
    wr__server_gone(s);
  }
}

/* Ids are never 0 and none is used twice at a time. */
static uint32_t next_id(wr_server *s) {
  do {
    s->last_id++;
  } while (s->last_id == 0 ||
           wr_map_get(s->by_id, &s->last_id, sizeof(s->last_id)) != NULL);
  return s->last_id;
}

static server_session *session_new(wr_server *s, const char *address,
                                   const char *transport) {
  server_session *ss = wr_calloc(&s->ctx->mem, 1, sizeof(*ss));
  if (ss == NULL) {
    return NULL;
  }
  ss->server = s;
  ss->state = SESSION_LOGIN;
  ss->since_ms = wr_ctx_now(s->ctx);
  ss->transport = transport;
  snprintf(ss->address, sizeof(ss->address), "%s", address);
  ss->targets.access = access_in_force;
  ss->targets.dial_timeout_ms = s->opts.dial_timeout_ms;
  ss->targets.proxy = s->proxy;
  ss->targets.on_proxy_failed = on_proxy_failed;
  ss->targets.on_end = on_target_end;
  wr_list_init(&ss->targets.conns);
  wr_task_init(&ss->ended, on_ended);
  wr_timer_init(&ss->expiry, s->ctx, on_expiry);
  wr_list_push(&s->sessions, &ss->node);
  return ss;
}

static int ssh_start(server_session *ss, wr_link *link) {
  wr_server *s = ss->server;
  wr_ssh_opts opts = {.role = WR_SSH_SERVER,
                      .handler = &ssh_handler,
                      .user = ss,
                      .host_key = s->opts.host_key,
                      .host_certificate = s->opts.host_certificate,
                      .max_auth_attempts = s->opts.max_auth_attempts,
                      .login_grace_ms = s->opts.login_grace_ms,
                      .keepalive_ms = s->opts.keepalive_ms,
                      .max_channels = s->opts.max_channels,
                      .budget = &s->budget,
                      .rekey_bytes = s->opts.rekey_bytes};
  return wr_ssh_start(s->ctx, link, &opts, &ss->ssh);
}

/* Not counted yet. */
static int enter(server_session *ss, wr_link *link) {
  wr_server *s = ss->server;
  uint32_t id = next_id(s);
  int err = wr_map_set(s->by_id, &id, sizeof(id), ss);
  if (err != 0) {
    return err;
  }
  ss->id = id;
  err = wr__limits_enter(ss);
  if (err == 0) {
    err = ssh_start(ss, link);
    if (err == 0) {
      return 0;
    }
    wr__limits_leave(ss);
  }
  wr_map_remove(s->by_id, &id, sizeof(id));
  return err;
}

int wr__session_start(wr_server *s, wr_link *link, const char *address,
                      const char *transport, uint32_t *id) {
  server_session *ss = session_new(s, address, transport);
  if (ss == NULL) {
    return WR_ENOMEM;
  }
  int err = enter(ss, link);
  if (err != 0) {
    session_free(ss);
    return err;
  }
  s->past.connections++;
  wr__log_opened(ss);
  *id = ss->id;
  return 0;
}

server_session *wr__session_find(const wr_server *s, uint32_t id) {
  return wr_map_get(s->by_id, &id, sizeof(id));
}

void wr__session_end(server_session *ss, uint32_t code, const char *text) {
  ss->ending = true;
  if (ss->ssh != NULL) {
    wr_ssh_close(ss->ssh, code, text);
  }
}

void wr__session_abort(server_session *ss) {
  ss->ending = true;
  if (ss->ssh != NULL) {
    wr_ssh_abort(ss->ssh, WR_ECLOSED);
  }
}
