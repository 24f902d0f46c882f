#include "ssh/internal.h"

#include <string.h>

#include "ssh/cert.h"

#define LOGIN_MAX 255u
/* A key, or a certificate. */
#define BLOB_MAX WR_CERT_BLOB_MAX
/* How long what was written before the end may take to leave, and how long the
   peer may then take to end its side. */
#define LINGER_MS 2000u
#define FAREWELL_MS 500u
#define DEFAULT_SOFTWARE "Wraith"

static void on_flush(wr_task *task) {
  wr_ssh *s = wr_container_of(task, wr_ssh, flush);
  s->turn++;
  wr__pump_flush(s);
}

void wr__ssh_bad(wr_ssh *s, const char *text) {
  wr__ssh_end(s, WR_ESSH_PROTOCOL, WR_DISCONNECT_PROTOCOL, text);
}

static void send_disconnect(wr_ssh *s, uint32_t code, const char *text) {
  uint8_t p[256];
  size_t n = strlen(text);
  n = WR_MIN(n, sizeof(p) - 13);
  p[0] = MSG_DISCONNECT;
  wr_put_u32(p + 1, code);
  wr_put_u32(p + 5, (uint32_t)n);
  memcpy(p + 9, text, n);
  wr_put_u32(p + 9 + n, 0);
  /* What can not be said is not said. */
  int rc = wr__transport_send(s->tp, p, 13 + n, NULL, 0);
  WR_UNUSED(rc);
}

static void drop_output(wr_ssh *s) {
  size_t len = 0;
  wr__transport_output(s->tp, &len);
  wr__transport_consume(s->tp, len);
}

void wr__ssh_end(wr_ssh *s, int status, uint32_t code, const char *text) {
  if (!wr__ssh_alive(s)) {
    return;
  }
  s->state = SSH_ENDING;
  s->status = status;
  s->end_text = text;
  s->linger = code != DISCONNECT_NONE;
  if (code == DISCONNECT_HEARD) {
    drop_output(s);
  } else if (s->linger) {
    send_disconnect(s, code, text);
  }
  if (s->link != NULL && s->link_reading && !s->linger) {
    s->link_reading = false;
    wr_link_read_stop(s->link);
  }
  wr_task_post(s->ctx, &s->end);
}

/* Tells everybody who waits, each once. Objects may go while this runs, but
   none comes: nothing can be opened any more. */
static void cancel_all(wr_ssh *s) {
  s->canceled = true;
  for (uint32_t id = 0; id < wr__table_end(&s->table); id++) {
    void *object = NULL;
    switch (wr__table_get(&s->table, id, &object)) {
    case WR_SLOT_FREE:
      break;
    case WR_SLOT_OPEN:
    case WR_SLOT_OPENING:
      wr__opens_cancel(s, id);
      break;
    case WR_SLOT_CANCELED:
    case WR_SLOT_CLOSING:
      wr__table_remove(&s->table, id);
      break;
    case WR_SLOT_CHANNEL:
      wr__channel_session_end(object);
      break;
    }
  }
  wr__conn_cancel(s);
}

static bool output_waits(wr_ssh *s) {
  size_t len = 0;
  wr__transport_output(s->tp, &len);
  return len > 0 && !s->link_failed;
}

/* A socket that is closed with bytes unread, or that more bytes come for, sends a
   reset, which destroys what the peer has not read yet: our own last words. So
   what comes is read on and dropped until the peer ends its side. Both steps
   take a bounded time. True while that goes on. */
static bool say_farewell(wr_ssh *s) {
  if (s->farewell == FAREWELL_NONE) {
    s->farewell = FAREWELL_SENDING;
    wr_timer_start(&s->live.timer, LINGER_MS);
    if (!s->link_reading) {
      s->link_reading = true;
      (void)wr_link_read_start(s->link); /* an error ends the link by itself */
    }
  }
  if (s->farewell == FAREWELL_SENDING) {
    if (output_waits(s)) {
      return true;
    }
    s->farewell = FAREWELL_READING;
    wr_timer_start(&s->live.timer, FAREWELL_MS);
    return wr_link_shutdown(s->link) == 0 && !s->link_ended;
  }
  return !s->link_ended;
}

/* The link closes once what there is to say has been said. */
static void close_link(wr_ssh *s) {
  if (s->linger && !s->link_failed && say_farewell(s)) {
    return;
  }
  wr_timer_stop(&s->live.timer);
  s->close_asked = true;
  wr_link_close(s->link, s->linger ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET);
}

void wr__ssh_farewell_over(wr_ssh *s) {
  if (s->farewell == FAREWELL_READING) {
    s->link_ended = true; /* it has read enough, or never will */
  } else {
    s->linger = false;
  }
  wr_task_post(s->ctx, &s->end);
}

static void ssh_free_all(wr_ssh *s) {
  wr_mem *mem = &s->ctx->mem;
  wr_task_cancel(&s->flush);
  wr_task_cancel(&s->work);
  wr_task_cancel(&s->end);
  wr_timer_stop(&s->live.timer);
  wr_ctx_remove_object(&s->obj);
  wr__pump_reset(s);
  wr__table_reset(&s->table);
  wr__transport_free(s->tp);
  wr_identities_free(mem, s->auth.identities, s->auth.n_identities);
  wr_free(mem, s->auth.login);
  wr_buf_reset(&s->auth.text);
  wr_buf_reset(&s->auth.blob);
  wr_buf_reset(&s->host_blob);
  wr_free(mem, s);
}

static void on_end(wr_task *task) {
  wr_ssh *s = wr_container_of(task, wr_ssh, end);
  if (!s->canceled) {
    cancel_all(s);
  }
  if (s->link != NULL) {
    if (!s->close_asked) {
      wr__pump_flush(s);
      close_link(s);
    } else if (!s->linger) {
      wr_link_close(s->link, WR_CLOSE_RESET);
    }
    return;
  }
  s->state = SSH_ENDED;
  s->handler->on_close(s, s->status);
  ssh_free_all(s);
}

void wr__ssh_announce(wr_ssh *s) {
  wr__pump_release(s, HOLD_READY);
  wr__live_up(s);
  s->handler->on_ready(s);
}

void wr__ssh_up(wr_ssh *s) {
  s->state = SSH_UP;
  wr__transport_set_authenticated(s->tp);
  wr_timer_stop(&s->live.timer);
  wr__pump_hold(s, HOLD_READY);
  wr_task_post(s->ctx, &s->work);
}

static void on_obj_shutdown(wr_obj *obj) {
  wr_ssh *s = wr_container_of(obj, wr_ssh, obj);
  wr_ssh_say_goodbye(s);
  wr_ssh_abort(s, WR_ECLOSED);
}

static void on_obj_goodbye(wr_obj *obj) {
  wr_ssh_say_goodbye(wr_container_of(obj, wr_ssh, obj));
}

/* TRANSPORT */

int wr__ssh_packet(wr_ssh *s, uint8_t *payload, size_t len) {
  if (!wr__ssh_alive(s)) {
    return WR_ECLOSED;
  }
  if (s->state == SSH_UP && payload[0] >= MSG_GLOBAL_REQUEST) {
    wr__conn_packet(s, payload, len);
  } else if (s->role == WR_SSH_SERVER) {
    wr__auth_server_packet(s, payload, len);
  } else {
    wr__auth_client_packet(s, payload, len);
  }
  return wr__ssh_alive(s) ? 0 : WR_ECLOSED;
}

static int on_transport_packet(void *user, uint8_t *payload, size_t len) {
  wr_ssh *s = user;
  if (!wr__ssh_alive(s)) {
    return WR_ECLOSED;
  }
  if (s->state == SSH_UP && payload[0] >= MSG_GLOBAL_REQUEST &&
      !wr__conn_knows(payload[0])) {
    wr__transport_unimplemented(s->tp);
    wr__pump_answered(s);
    return 0;
  }
  /* Also behind packets that were kept and have not had their turn yet. */
  if (s->holds != 0 || !wr_list_empty(&s->held)) {
    return wr__pump_keep(s, payload, len);
  }
  return wr__ssh_packet(s, payload, len);
}

/* The host key must stay what it was judged as. */
static void check_host_key(wr_ssh *s) {
  wr_buf blob;
  wr_buf_init(&blob, &s->ctx->mem, WR_HOST_KEY_MAX);
  int rc = wr__transport_host_key(s->tp, &blob);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_HOST_KEY, "host key");
  } else if (!wr_slice_same((wr_slice){blob.data, blob.len},
                            (wr_slice){s->host_blob.data, s->host_blob.len})) {
    wr__ssh_end(s, WR_EHOST_KEY_MISMATCH, DISCONNECT_HOST_KEY,
                "the host key has changed");
  }
  wr_buf_reset(&blob);
}

static void on_first_keys(wr_ssh *s) {
  int rc = wr__transport_host_key(s->tp, &s->host_blob);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_HOST_KEY, "host key");
    return;
  }
  if (s->role == WR_SSH_SERVER) {
    s->state = SSH_SERVICE;
    if (s->handler->on_keys != NULL) {
      s->handler->on_keys(s);
    }
    return;
  }
  s->state = SSH_HOST_KEY;
  s->handler->on_host_key(s, (wr_slice){s->host_blob.data, s->host_blob.len});
}

static void on_transport_kex_done(void *user, bool initial) {
  wr_ssh *s = user;
  if (!wr__ssh_alive(s)) {
    return;
  }
  if (initial) {
    on_first_keys(s);
    return;
  }
  s->rekey_queued = 0;
  if (s->role == WR_SSH_CLIENT) {
    check_host_key(s);
  }
  wr_task_post_flush(s->ctx, &s->flush);
}

void wr_ssh_host_key_verdict(wr_ssh *s, int status) {
  if (s->state != SSH_HOST_KEY) {
    return;
  }
  if (status != 0) {
    wr__ssh_end(s, status, DISCONNECT_HOST_KEY, "host key not accepted");
    return;
  }
  wr__auth_client_begin(s);
}

/* START */

static const wr_transport_cbs transport_cbs = {
    .packet = on_transport_packet, .kex_done = on_transport_kex_done};

static int copy_auth(wr_ssh *s, const wr_ssh_opts *opts) {
  wr_mem *mem = &s->ctx->mem;
  s->auth.max_failures = opts->max_auth_attempts != 0 ? opts->max_auth_attempts
                                                      : WR_MAX_AUTH_ATTEMPTS;
  if (opts->role == WR_SSH_SERVER) {
    return 0;
  }
  s->auth.login = wr_strndup(mem, opts->login, LOGIN_MAX);
  if (s->auth.login == NULL) {
    return WR_ENOMEM;
  }
  int rc = wr_identities_copy(mem, opts->identities, opts->n_identities,
                              &s->auth.identities);
  s->auth.n_identities = rc == 0 ? opts->n_identities : 0;
  return rc;
}

static wr_ssh *ssh_new_plain(wr_ctx *ctx, const wr_ssh_opts *opts) {
  wr_ssh *s = wr_calloc(&ctx->mem, 1, sizeof(*s));
  if (s == NULL) {
    return NULL;
  }
  s->ctx = ctx;
  s->handler = opts->handler;
  s->user = opts->user;
  s->role = opts->role;
  s->state = SSH_KEX;
  s->end_text = "";
  s->window_max = opts->window_max_bytes != 0 ? opts->window_max_bytes
                                              : WR_WINDOW_SESSION_MAX;
  s->budget = opts->budget;
  wr_buf_init(&s->host_blob, &ctx->mem, WR_HOST_KEY_MAX);
  wr_buf_init(&s->auth.blob, &ctx->mem, BLOB_MAX);
  wr__auth_client_init(s);
  wr__table_init(&s->table, &ctx->mem,
                 opts->max_channels != 0 ? opts->max_channels
                                         : WR_MAX_CHANNELS);
  wr_list_init(&s->requests);
  wr_list_init(&s->asked);
  wr_task_init(&s->flush, on_flush);
  wr_task_init(&s->end, on_end);
  wr__pump_init(s);
  wr__live_init(s, opts);
  s->obj.shutdown = on_obj_shutdown;
  s->obj.goodbye = on_obj_goodbye;
  wr_ctx_add_object(ctx, &s->obj);
  return s;
}

static void start_link(wr_ssh *s, wr_link *link) {
  s->link = link;
  link->handler = &wr__pump_handler;
  link->user = s;
  s->link_reading = true;
  int rc = wr_link_read_start(link);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
  }
  wr_timer_start(&s->live.timer, s->live.grace_ms);
  wr_task_post_flush(s->ctx, &s->flush);
}

int wr_ssh_start(wr_ctx *ctx, wr_link *link, const wr_ssh_opts *opts,
                 wr_ssh **out) {
  if (ctx->exiting) {
    return WR_ECLOSED;
  }
  wr_ssh *s = ssh_new_plain(ctx, opts);
  if (s == NULL) {
    return WR_ENOMEM;
  }
  int rc = copy_auth(s, opts);
  if (rc == 0) {
    wr_transport_opts topts = {
        .server = opts->role == WR_SSH_SERVER,
        .software = opts->software != NULL ? opts->software : DEFAULT_SOFTWARE,
        .host_key = opts->host_key,
        .host_certificate = opts->host_certificate,
        .host_key_types = opts->host_key_types,
        .kex = opts->kex,
        .ciphers = opts->ciphers,
        .rekey_bytes = opts->rekey_bytes};
    rc = wr__transport_new(ctx, &topts, &transport_cbs, s, &s->tp);
  }
  if (rc != 0) {
    ssh_free_all(s);
    return rc;
  }
  start_link(s, link);
  *out = s;
  return 0;
}

int wr__ssh_start_sink(wr_ctx *ctx, const wr_ssh_opts *opts, wr_ssh **out) {
  wr_ssh *s = ssh_new_plain(ctx, opts);
  if (s == NULL) {
    return WR_ENOMEM;
  }
  int rc = wr__transport_new_sink(ctx, &s->tp);
  if (rc != 0) {
    ssh_free_all(s);
    return rc;
  }
  s->state = SSH_UP;
  *out = s;
  return 0;
}

/* CALLS OF THE OWNER */

void *wr_ssh_user(const wr_ssh *s) {
  return s->user;
}

void wr_ssh_set_handler(wr_ssh *s, const wr_ssh_handler *handler, void *user) {
  s->handler = handler;
  s->user = user;
}

void wr_ssh_close(wr_ssh *s, uint32_t code, const char *text) {
  wr__ssh_end(s, 0, code, text);
}

void wr_ssh_abort(wr_ssh *s, int status) {
  if (s->state == SSH_ENDED) {
    return;
  }
  if (s->state == SSH_ENDING && s->linger) {
    s->linger = false;
    wr_task_post(s->ctx, &s->end);
    return;
  }
  wr__ssh_end(s, status, DISCONNECT_NONE, "");
}

void wr_ssh_say_goodbye(wr_ssh *s) {
  if (!wr__ssh_alive(s) || s->link == NULL) {
    return;
  }
  send_disconnect(s, WR_DISCONNECT_BY_APPLICATION, "exiting");
  wr__pump_flush(s);
}

void wr_ssh_review(wr_ssh *s, bool (*may_stay)(void *data, const char *label),
                   void *data) {
  for (uint32_t id = 0; id < wr__table_end(&s->table); id++) {
    void *object = NULL;
    wr_slot_kind kind = wr__table_get(&s->table, id, &object);
    const char *label = NULL;
    if (kind == WR_SLOT_CHANNEL) {
      label = wr__channel_label(object);
    } else if (kind == WR_SLOT_OPENING) {
      label = wr__opening_label(object);
    }
    if (label == NULL || may_stay(data, label)) {
      continue;
    }
    if (kind == WR_SLOT_CHANNEL) {
      wr__channel_revoke(object);
    } else {
      wr__opening_revoke(object);
    }
  }
}

void wr_ssh_query(const wr_ssh *s, wr_ssh_info *info) {
  *info = (wr_ssh_info){.peer_software = wr__transport_peer_software(s->tp),
                        .kex = wr__transport_kex_name(s->tp),
                        .cipher = wr__transport_cipher_name(s->tp),
                        .mac = wr__transport_mac_name(s->tp),
                        .login = s->auth.login != NULL ? s->auth.login : "",
                        .key_blob = {s->auth.blob.data, s->auth.blob.len},
                        .channels = s->table.count,
                        .bytes_in = s->bytes_in,
                        .bytes_out = s->bytes_out,
                        .window_bytes = s->window_sum,
                        .rtt_us = wr__live_rtt(s),
                        .last_heard_ms = s->live.heard_ms,
                        .auth_failures = s->auth.failures,
                        .auth_offers = s->auth.offers};
}

wr_link *wr_ssh_carrier(wr_ssh *s) {
  return s->link;
}

const char *wr_ssh_end_text(const wr_ssh *s) {
  return s->end_text;
}

void wr_ssh_rekey(wr_ssh *s) {
  if (s->state == SSH_UP) {
    wr__transport_rekey(s->tp);
    wr_task_post_flush(s->ctx, &s->flush);
  }
}
