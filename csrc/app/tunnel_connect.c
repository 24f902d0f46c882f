#include "app/tunnel_internal.h"

#include <string.h>

/* One try to connect: dial (or a link that is there already), SSH, host key,
   login, and then the session until its end. */

#define CONNECT_TIMEOUT_MS 30000u

/* WHAT A DIAL'S END NEEDS */

static void try_reset(wr_tunnel *t) {
  wr_mem *mem = &t->ctx->mem;
  tunnel_try *y = &t->try_;
  wr_free(mem, y->user);
  wr_free(mem, y->host_key_types);
  wr_free(mem, y->ciphers);
  wr_tls_ctx_unref(y->tls);
  wr_free(mem, y->tls_name);
  wr_free(mem, y->ws_path);
  wr_free(mem, y->ws_host);
  wr_free_secret(mem, (void *)(uintptr_t)y->secret.data, y->secret.len);
  wr_identities_free(mem, y->identities, y->n_identities);
  memset(y, 0, sizeof(*y));
}

/* 0 or WR_ENOMEM; NULL stays NULL. */
static int copy_text(wr_tunnel *t, const char *text, char **out) {
  *out = text == NULL ? NULL : wr_strdup(&t->ctx->mem, text);
  return text != NULL && *out == NULL ? WR_ENOMEM : 0;
}

static int copy_identities(wr_tunnel *t, const wr_tunnel_connect_opts *opts) {
  tunnel_try *y = &t->try_;
  int err = wr_identities_copy(&t->ctx->mem, opts->identities,
                               opts->n_identities, &y->identities);
  y->n_identities = err == 0 ? opts->n_identities : 0;
  return err;
}

static int copy_secret(wr_tunnel *t, wr_slice secret) {
  uint8_t *copy;
  if (secret.len == 0) {
    return 0;
  }
  copy = wr_alloc(&t->ctx->mem, secret.len);
  if (copy == NULL) {
    return WR_ENOMEM;
  }
  memcpy(copy, secret.data, secret.len);
  t->try_.secret = (wr_slice){copy, secret.len};
  return 0;
}

static int copy_carrier(wr_tunnel *t, const wr_tunnel_connect_opts *opts) {
  tunnel_try *y = &t->try_;
  int err = copy_text(t, opts->tls_name, &y->tls_name);
  err = err != 0 ? err : copy_text(t, opts->ws_path, &y->ws_path);
  err = err != 0 ? err : copy_text(t, opts->ws_host, &y->ws_host);
  err = err != 0 ? err : copy_secret(t, opts->secret);
  if (err == 0 && opts->tls != NULL) {
    y->tls = wr_tls_ctx_ref(opts->tls);
  }
  return err;
}

static int try_copy(wr_tunnel *t, const wr_tunnel_connect_opts *opts) {
  tunnel_try *y = &t->try_;
  int err = copy_text(t, opts->user, &y->user);
  err = err != 0 ? err : copy_text(t, opts->host_key_types, &y->host_key_types);
  err = err != 0 ? err : copy_text(t, opts->ciphers, &y->ciphers);
  err = err != 0 ? err : copy_text(t, opts->agent, &t->agent);
  err = err != 0 ? err : copy_identities(t, opts);
  err = err != 0 ? err : copy_carrier(t, opts);
  if (err != 0) {
    try_reset(t);
    return err;
  }
  y->bind_tls = opts->bind_tls;
  y->keepalive_ms = opts->keepalive_ms;
  y->rekey_bytes = opts->rekey_bytes;
  y->proxied = opts->proxy != NULL;
  t->has_instance = opts->instance != NULL;
  if (t->has_instance) {
    memcpy(t->instance, opts->instance, INSTANCE_LEN);
  }
  return 0;
}

/* SIGNATURES OF THE AGENT */

static void on_signed(void *user, int status, wr_slice sig) {
  wr_tunnel *t = user;
  t->signing = NULL;
  wr_ssh_signature(t->ssh, status, sig);
}

static void on_sign(wr_ssh *ssh, wr_slice signer, wr_slice data) {
  wr_tunnel *t = wr_ssh_user(ssh);
  WR_ASSERT(t->agent != NULL);
  int err =
      wr_agent_sign(t->ctx, t->agent, signer, data, on_signed, t, &t->signing);
  if (err != 0) {
    wr_ssh_signature(ssh, err, (wr_slice){NULL, 0});
  }
}

static void stop_signing(wr_tunnel *t) {
  if (t->signing != NULL) {
    wr_agent_cancel(t->signing);
    t->signing = NULL;
  }
}

static void agent_reset(wr_tunnel *t) {
  stop_signing(t);
  wr_free(&t->ctx->mem, t->agent);
  t->agent = NULL;
}

/* THE END */

/* The stage decides; errors that belong to one stage alone say so themselves
   (a server may break off the login while we still wait for its key). */
static const char *phase_of(tunnel_state state, int status) {
  if (status == WR_EAUTH_REFUSED || status == WR_EHOST_KEY_UNKNOWN ||
      status == WR_EHOST_KEY_MISMATCH || status == WR_EHOST_KEY_REQUIRED ||
      status == WR_ESSH_VERSION || status == WR_EKEX_FAILED ||
      strcmp(wr_error_phase(status), "proxy") == 0) {
    return wr_error_phase(status);
  }
  switch (state) {
  case TUNNEL_DIALING:
  case TUNNEL_UPGRADE:
  case TUNNEL_GIVEN_UP:
    return "dial";
  case TUNNEL_TLS:
    return "tls";
  case TUNNEL_KEX:
    return "kex";
  case TUNNEL_HOST_KEY:
    return "hostkey";
  case TUNNEL_AUTH:
    return "auth";
  case TUNNEL_IDLE:
  case TUNNEL_UP:
  default:
    return "";
  }
}

/* The try or session is over. Nothing may follow but a return: the handler may
   do anything. */
static void down(wr_tunnel *t, int status) {
  bool was_up = t->state == TUNNEL_UP;
  const char *phase = phase_of(t->state, status);
  bool orderly = status == 0 || status == WR_EPEER_CLOSED;
  status = t->disconnecting ? 0 : status;
  wr_timer_stop(&t->timeout);
  agent_reset(t);
  try_reset(t);
  t->state = TUNNEL_IDLE;
  t->disconnecting = false;
  wr__remote_down(t);
  if (t->closing) {
    wr__tunnel_gone(t);
    return;
  }
  t->handler->on_down(t, status, phase, was_up, orderly);
}

void wr__connect_given_up(wr_tunnel *t) {
  down(t, 0);
}

static bool is_before_ssh(const wr_tunnel *t) {
  return t->state == TUNNEL_DIALING || t->state == TUNNEL_TLS ||
         t->state == TUNNEL_UPGRADE;
}

static void stop_carrier(wr_tunnel *t) {
  if (t->state == TUNNEL_DIALING) {
    wr_dial_cancel(&t->dial);
  }
  wr__carrier_cancel(t);
}

static void on_timeout(wr_timer *timer) {
  wr_tunnel *t = wr_container_of(timer, wr_tunnel, timeout);
  t->end_text = "";
  if (is_before_ssh(t)) {
    stop_carrier(t);
    down(t, WR_ETIMEOUT);
    return;
  }
  wr_ssh_abort(t->ssh, t->signing != NULL ? WR_EAGENT_TIMEOUT : WR_ETIMEOUT);
}

void wr__connect_end(wr_tunnel *t, bool orderly) {
  stop_signing(t);
  if (is_before_ssh(t)) {
    stop_carrier(t);
    wr_timer_stop(&t->timeout); /* there is no session that it could end */
    t->state = TUNNEL_GIVEN_UP;
    wr__tunnel_gone(t);
  } else if (t->ssh != NULL && orderly) {
    wr_ssh_close(t->ssh, WR_DISCONNECT_BY_APPLICATION, "disconnected");
  } else if (t->ssh != NULL) {
    wr_ssh_abort(t->ssh, WR_ECLOSED);
  }
}

void wr_tunnel_disconnect(wr_tunnel *t) {
  if (t->state != TUNNEL_IDLE) {
    t->disconnecting = true;
    wr__connect_end(t, true);
  }
}

/* THE SESSION */

static void on_host_key(wr_ssh *ssh, wr_slice blob) {
  wr_tunnel *t = wr_ssh_user(ssh);
  if (t->closing || t->disconnecting) {
    return;
  }
  t->state = TUNNEL_HOST_KEY;
  t->handler->on_host_key(t, blob);
}

void wr_tunnel_verdict(wr_tunnel *t, int status) {
  if (t->state != TUNNEL_HOST_KEY || t->closing || t->disconnecting) {
    return;
  }
  if (status == 0) {
    t->state = TUNNEL_AUTH;
  }
  wr_ssh_host_key_verdict(t->ssh, status);
}

/* With it the server knows which dead session is ours (interface.md, section
   3). Other servers do not know the request, which is fine as well. */
static void on_instance_reply(void *user, int status, wr_slice payload) {
  WR_UNUSED(user);
  WR_UNUSED(status);
  WR_UNUSED(payload);
}

static void send_instance(wr_tunnel *t) {
  uint8_t payload[4 + INSTANCE_LEN];
  if (!t->has_instance) {
    return;
  }
  wr_put_u32(payload, (uint32_t)INSTANCE_LEN);
  memcpy(payload + 4, t->instance, INSTANCE_LEN);
  int err = wr_ssh_request(t->ssh, "instance@wraith",
                           (wr_slice){payload, sizeof(payload)},
                           on_instance_reply, t);
  WR_UNUSED(err); /* without it a takeover takes longer */
}

static void on_ready(wr_ssh *ssh) {
  wr_tunnel *t = wr_ssh_user(ssh);
  if (t->closing || t->disconnecting) {
    return;
  }
  wr_timer_stop(&t->timeout);
  t->state = TUNNEL_UP;
  send_instance(t);
  wr__remote_up(t);
  t->handler->on_up(t);
}

static void on_open(wr_ssh *ssh, wr_open *open) {
  wr__remote_open(wr_ssh_user(ssh), open);
}

static void on_open_canceled(wr_ssh *ssh, wr_open *open) {
  /* Only targets of remote forwards leave an open without an answer. */
  WR_UNUSED(ssh);
  wr_target_canceled(open);
}

static void on_request(wr_ssh *ssh, wr_request *request) {
  WR_UNUSED(ssh);
  wr_request_reply(request, false, (wr_slice){NULL, 0});
}

static void on_close(wr_ssh *ssh, int status) {
  wr_tunnel *t = wr_ssh_user(ssh);
  wr_ssh_info info;
  wr_ssh_query(ssh, &info);
  t->past.bytes_in += info.bytes_in;
  t->past.bytes_out += info.bytes_out;
  t->end_text = wr_ssh_end_text(ssh);
  t->ssh = NULL;
  down(t, status);
}

static const wr_ssh_handler ssh_handler = {
    .on_host_key = on_host_key,
    .on_sign = on_sign,
    .on_ready = on_ready,
    .on_open = on_open,
    .on_open_canceled = on_open_canceled,
    .on_request = on_request,
    .on_close = on_close,
};

int wr__connect_ssh(wr_tunnel *t, wr_link *link) {
  const tunnel_try *y = &t->try_;
  wr_link_info info;
  wr_ssh_opts opts = {
      .role = WR_SSH_CLIENT,
      .handler = &ssh_handler,
      .user = t,
      .login = y->user,
      .identities = y->identities,
      .n_identities = y->n_identities,
      .host_key_types = y->host_key_types,
      .login_grace_ms = UINT32_MAX, /* the tunnel's own time-out counts */
      .keepalive_ms = y->keepalive_ms,
      .ciphers = y->ciphers,
      .rekey_bytes = y->rekey_bytes,
  };
  wr_link_query(link, &info);
  t->has_peer = info.has_peer && !y->proxied;
  t->peer = info.peer;
  int err = wr_ssh_start(t->ctx, link, &opts, &t->ssh);
  if (err == 0) {
    t->state = TUNNEL_KEX;
    try_reset(t);
  }
  return err;
}

/* Of a proxy that cannot be reached: what happened. */
static const char *dial_text(const wr_dial *d) {
  const char *code = wr_error_code(d->proxy_error);
  if (d->proxy_error == 0) {
    return "";
  }
  return strcmp(code, "SYSTEM") == 0 ? uv_strerror(d->proxy_error)
                                     : wr_error_text(d->proxy_error);
}

static void on_dial(wr_dial *d, int status, wr_link *link) {
  wr_tunnel *t = wr_container_of(d, wr_tunnel, dial);
  if (status != 0) {
    t->end_text = dial_text(d);
    down(t, status);
    return;
  }
  wr__carrier_dialled(t, link);
}

void wr__connect_failed(wr_tunnel *t, int status) {
  down(t, status);
}

int wr_tunnel_http_status(const wr_tunnel *t) {
  return t->http_status;
}

static int start_dial(wr_tunnel *t, const wr_tunnel_connect_opts *opts,
                      uint64_t timeout_ms) {
  wr_dial_opts dial = {.host = opts->host,
                       .port = opts->port,
                       .owner = t,
                       .timeout_ms = timeout_ms,
                       .proxy = opts->proxy};
  memset(&t->dial, 0, sizeof(t->dial));
  int err = wr_dial_start(t->ctx, &t->dial, &dial, on_dial);
  if (err == 0) {
    t->state = TUNNEL_DIALING;
  }
  return err;
}

int wr_tunnel_connect(wr_tunnel *t, const wr_tunnel_connect_opts *opts) {
  if (t->closing || t->ctx->exiting) {
    return WR_ECLOSED;
  }
  if (t->state != TUNNEL_IDLE) {
    return WR_EBUSY;
  }
  uint64_t timeout_ms = opts->connect_timeout_ms != 0 ? opts->connect_timeout_ms
                                                      : CONNECT_TIMEOUT_MS;
  t->has_peer = false;
  t->http_status = 0;
  t->end_text = "";
  int err = try_copy(t, opts);
  if (err == 0) {
    err = opts->link != NULL ? wr__carrier_begin(t, opts->link)
                             : start_dial(t, opts, timeout_ms);
  }
  if (err != 0) {
    t->state = TUNNEL_IDLE;
    agent_reset(t);
    try_reset(t);
    return err;
  }
  wr_timer_init(&t->timeout, t->ctx, on_timeout);
  wr_timer_start(&t->timeout, timeout_ms);
  return 0;
}
