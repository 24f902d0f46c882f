#include "net/tls.h"

#include <string.h>

#include <openssl/err.h>

#include "base/errors.h"
#include "net/tls_internal.h"

/* How long the last records of an orderly close may take. */
#define LINGER_MS 30000
#define REKEY_BYTES (UINT64_C(64) << 30)
/* A block that an idle connection may keep. */
#define IDLE_BLOCK ((size_t)4 * 1024)

static const wr_link_ops tls_ops;

wr_tls *wr__tls_of(const wr_link *link) {
  return wr_container_of(link, wr_tls, link);
}

static void free_tls(wr_tls *s) {
  wr_mem *mem = &s->link.ctx->mem;
  wr_timer_stop(&s->timer);
  wr_task_cancel(&s->task);
  wr_ctx_remove_object(&s->obj);
  SSL_free(s->ssl);
  wr_tls_ctx_unref(s->tctx);
  wr__tls_drop_rest(s);
  wr_buf_reset(&s->out);
  wr_free(mem, s);
}

static void call_back(wr_tls *s, int status, wr_link *link) {
  wr_tls_cb cb = s->cb;
  s->cb = NULL;
  if (cb != NULL) {
    cb(s->user, status, link);
  }
}

/* Ending. */

static void close_inner(wr_tls *s, wr_close_mode mode) {
  s->state = TLS_CLOSED;
  s->reading = false;
  wr_timer_stop(&s->timer);
  wr_ctx_remove_object(&s->obj);
  wr_link_close(s->inner, mode);
}

static void on_obj_shutdown(wr_obj *obj) {
  close_inner(wr_container_of(obj, wr_tls, obj), WR_CLOSE_RESET);
}

/* Closes inner once it has taken everything. */
static void close_behind(wr_tls *s) {
  if (s->out.len == 0 || s->write_error != 0 || s->link.ctx->exiting) {
    close_inner(s, WR_CLOSE_ORDERLY);
    return;
  }
  s->state = TLS_LINGERING;
  s->reading = false;
  wr_link_read_stop(s->inner);
  wr_timer_start(&s->timer, LINGER_MS);
  wr_ctx_add_object(s->link.ctx, &s->obj);
}

void wr__tls_fail(wr_tls *s, int status) {
  if (s->state == TLS_CLOSED || s->state == TLS_LINGERING) {
    return;
  }
  s->status = status;
  s->want_writable = false;
  wr__tls_flush(s);
  close_behind(s);
}

static void say_goodbye(wr_tls *s) {
  if (s->shut || s->end == END_ERROR || s->write_error != 0) {
    return;
  }
  s->shut = true;
  s->want_writable = false;
  ERR_clear_error();
  (void)SSL_shutdown(s->ssl); /* what it could not say goes without saying */
  ERR_clear_error();
}

/* Writing to inner. */

static void push(wr_tls *s) {
  while (s->out.len > 0 && s->write_error == 0) {
    size_t taken = 0;
    uv_buf_t buf = uv_buf_init((char *)s->out.data, (unsigned)s->out.len);
    s->write_error = wr_link_write(s->inner, &buf, 1, &taken);
    if (s->write_error != 0 || taken == 0) {
      break;
    }
    wr_buf_consume(&s->out, taken);
  }
  if (s->write_error != 0 || (s->out.len == 0 && s->out.cap > IDLE_BLOCK)) {
    wr_buf_reset(&s->out);
  }
}

void wr__tls_flush(wr_tls *s) {
  s->held = false;
  if (s->state == TLS_CLOSED) {
    return;
  }
  push(s);
  if (s->out.len > 0) {
    return;
  }
  if (s->state == TLS_LINGERING) {
    close_inner(s, WR_CLOSE_ORDERLY);
  } else if (s->shut && !s->inner_shut && s->write_error == 0) {
    s->inner_shut = true;
    s->write_error = wr_link_shutdown(s->inner);
  } else if (s->want_writable) {
    wr_task_post(s->link.ctx, &s->task);
  }
}

/* The handshake. */

static void handshake_done(wr_tls *s, tls_state state, int status) {
  s->state = state;
  s->status = status;
  wr_timer_stop(&s->timer);
  wr_link_read_stop(s->inner);
  wr_task_post(s->link.ctx, &s->task);
}

static void shake(wr_tls *s) {
  ERR_clear_error();
  int rc = SSL_do_handshake(s->ssl);
  int err = rc == 1 ? 0 : SSL_get_error(s->ssl, rc);
  ERR_clear_error();
  if (err == 0 && !s->tctx->server) {
    s->held = true; /* clients of HTTPS send their request with it */
  } else {
    wr__tls_flush(s);
  }
  if (err == 0) {
    handshake_done(s, TLS_DONE, 0);
  } else if (err != SSL_ERROR_WANT_READ) {
    handshake_done(s, TLS_FAILED, wr__tls_verdict(s));
  }
}

/* As nginx tells TLS (or SSLv2) from HTTP. */
static bool looks_plain(uint8_t first) {
  return first != 0x16 && (first & 0x80) == 0;
}

static void greet(wr_tls *s, uint8_t first) {
  if (s->detect_plain && looks_plain(first)) {
    handshake_done(s, TLS_PLAIN, WR_ETLS_PLAIN);
    return;
  }
  s->detect_plain = false;
  shake(s);
}

static void hand_back(wr_tls *s) {
  wr_link *inner = s->inner;
  wr_tls_cb cb = s->cb;
  void *user = s->user;
  inner->handler = NULL;
  inner->user = NULL;
  free_tls(s);
  cb(user, WR_ETLS_PLAIN, inner);
}

static void on_open_task(wr_tls *s) {
  if (s->held) {
    wr__tls_flush(s);
  }
  if (s->want_writable && s->out.len == 0) {
    s->want_writable = false;
    if (s->link.handler->on_writable != NULL) {
      s->link.handler->on_writable(&s->link);
    }
  }
  wr__tls_deliver(s);
}

static void on_task(wr_task *task) {
  wr_tls *s = wr_container_of(task, wr_tls, task);
  if (s->state == TLS_PLAIN) {
    hand_back(s);
  } else if (s->state == TLS_DONE) {
    s->state = TLS_OPEN;
    call_back(s, 0, &s->link);
    if (s->held && s->state == TLS_OPEN) {
      wr_task_post(s->link.ctx, &s->task); /* the owner said nothing yet */
    }
  } else if (s->state == TLS_FAILED) {
    close_behind(s);
    call_back(s, s->status, NULL);
  } else if (s->state == TLS_OPEN) {
    on_open_task(s);
  }
}

static void on_timer(wr_timer *timer) {
  wr_tls *s = wr_container_of(timer, wr_tls, timer);
  if (s->state == TLS_HANDSHAKE) {
    /* Without an alert, as nginx. */
    handshake_done(s, TLS_FAILED, WR_ETLS_TIMEOUT);
  } else if (s->state == TLS_LINGERING) {
    s->status = s->status != 0 ? s->status : UV_ETIMEDOUT;
    close_inner(s, WR_CLOSE_RESET);
  }
}

/* What inner says. */

static void on_inner_alloc(wr_link *inner, uint8_t **base, size_t *len) {
  const wr_tls *s = inner->user;
  *base = s->link.ctx->scratch + WR_SCRATCH_SIZE - CIPHER_READ;
  *len = CIPHER_READ;
}

static size_t on_inner_read(wr_link *inner, uint8_t *data, size_t len) {
  wr_tls *s = inner->user;
  s->in = data;
  s->in_len = len;
  if (s->state == TLS_HANDSHAKE) {
    greet(s, data[0]);
  } else if (s->state == TLS_OPEN) {
    wr__tls_deliver(s);
  }
  size_t left = s->in_len;
  s->in = NULL;
  s->in_len = 0;
  if (s->state == TLS_OPEN && !s->reading) {
    wr_link_read_stop(inner);
  }
  return len - left;
}

static void on_inner_eof(wr_link *inner) {
  wr_tls *s = inner->user;
  s->inner_eof = true;
  if (s->state == TLS_HANDSHAKE) {
    handshake_done(s, TLS_FAILED, WR_EPEER_CLOSED);
  } else if (s->state == TLS_OPEN) {
    wr__tls_deliver(s);
  }
}

static void on_inner_writable(wr_link *inner) {
  wr__tls_flush(inner->user);
}

static void on_inner_close(wr_link *inner, int status) {
  wr_tls *s = inner->user;
  const wr_link_handler *h = s->link.handler;
  status = s->status != 0 ? s->status : status;
  if (s->cb != NULL) {
    call_back(s, status != 0 ? status : WR_EPEER_CLOSED, NULL);
  } else if (h != NULL && h->on_close != NULL) {
    h->on_close(&s->link, status);
  }
  free_tls(s);
}

static const wr_link_handler inner_handler = {.alloc = on_inner_alloc,
                                              .on_read = on_inner_read,
                                              .on_eof = on_inner_eof,
                                              .on_writable = on_inner_writable,
                                              .on_close = on_inner_close};

/* The link. */

static int tls_shutdown(wr_link *link) {
  wr_tls *s = wr__tls_of(link);
  if (s->state != TLS_OPEN || s->write_error != 0) {
    int err = s->write_error != 0 ? s->write_error : s->status;
    return err != 0 ? err : WR_ECLOSED;
  }
  say_goodbye(s);
  wr__tls_flush(s);
  return s->write_error;
}

static void tls_close(wr_link *link, wr_close_mode mode) {
  wr_tls *s = wr__tls_of(link);
  if (s->state == TLS_CLOSED) {
    return;
  }
  if (mode == WR_CLOSE_RESET) {
    close_inner(s, s->reset_is_end ? WR_CLOSE_ORDERLY : mode);
    return;
  }
  if (s->state == TLS_OPEN) {
    say_goodbye(s);
    push(s);
    close_behind(s);
  }
}

static void tls_query(const wr_link *link, wr_link_info *info) {
  wr_link_query(wr__tls_of(link)->inner, info);
  info->transport = "tls";
  info->encrypted = true;
}

static const wr_link_ops tls_ops = {.name = "tls",
                                    .read_start = wr__tls_read_start,
                                    .read_stop = wr__tls_read_stop,
                                    .write = wr__tls_write,
                                    .shutdown = tls_shutdown,
                                    .close = tls_close,
                                    .query = tls_query};

wr_tls *wr_tls_from_link(wr_link *link) {
  return link->ops == &tls_ops ? wr__tls_of(link) : NULL;
}

void wr_tls_query(const wr_tls *s, wr_tls_info *info) {
  const char *group = SSL_get0_group_name(s->ssl);
  const char *sni = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
  unsigned alpn_len;
  memset(info, 0, sizeof(*info));
  info->version = SSL_get_version(s->ssl);
  info->cipher = SSL_get_cipher_name(s->ssl);
  info->group = group != NULL ? group : "";
  info->sni = sni != NULL ? sni : "";
  SSL_get0_alpn_selected(s->ssl, &info->alpn.data, &alpn_len);
  info->alpn.len = alpn_len;
  info->resumed = SSL_session_reused(s->ssl) == 1;
  info->challenge = s->challenge;
}

int wr_tls_export(const wr_tls *s, const char *label,
                  uint8_t out[WR_TLS_EXPORT_LEN]) {
  uint8_t key[WR_TLS_EXPORT_LEN];
  bool unique = SSL_version(s->ssl) == TLS1_3_VERSION ||
                SSL_get_extms_support(s->ssl) == 1;
  if (!unique || SSL_export_keying_material(s->ssl, key, sizeof(key), label,
                                            strlen(label), NULL, 0, 0) != 1) {
    ERR_clear_error();
    return WR_EUNSUPPORTED;
  }
  memcpy(out, key, sizeof(key));
  wr_bzero(key, sizeof(key));
  return 0;
}

/* Starting. */

static int set_up(wr_tls *s, const wr_tls_options *o) {
  s->ssl = SSL_new(s->tctx->ssl);
  int err = s->ssl == NULL ? WR_ENOMEM : wr__tls_bio_attach(s);
  if (err != 0) {
    return err;
  }
  SSL_set_app_data(s->ssl, s);
  wr__tls_may_pad(s);
  if (s->tctx->server) {
    SSL_set_accept_state(s->ssl);
    s->detect_plain = o->detect_plain;
    s->reset_is_end = o->reset_is_end;
    return 0;
  }
  SSL_set_connect_state(s->ssl);
  return wr__tls_expect(s, o->server_name);
}

static wr_tls *new_tls(wr_ctx *ctx, wr_tls_ctx *tctx) {
  wr_tls *s = wr_calloc(&ctx->mem, 1, sizeof(*s));
  if (s == NULL) {
    return NULL;
  }
  s->link.ops = &tls_ops;
  s->link.ctx = ctx;
  s->tctx = wr_tls_ctx_ref(tctx);
  wr_task_init(&s->task, on_task);
  wr_timer_init(&s->timer, ctx, on_timer);
  wr_list_init(&s->obj.node);
  s->obj.shutdown = on_obj_shutdown;
  wr_buf_init(&s->out, &ctx->mem, OUT_MAX);
  return s;
}

int wr_tls_start(wr_link *inner, wr_tls_ctx *ctx, const wr_tls_options *o,
                 wr_tls_cb cb, void *user, wr_tls **out) {
  if (inner->ops == &tls_ops) {
    return WR_EUNSUPPORTED;
  }
  wr_tls *s = new_tls(inner->ctx, ctx);
  int err = s == NULL ? WR_ENOMEM : set_up(s, o);
  if (err == 0) {
    err = wr_link_read_start(inner);
  }
  if (err != 0) {
    if (s != NULL) {
      free_tls(s);
    }
    ERR_clear_error();
    return err;
  }
  s->inner = inner;
  s->cb = cb;
  s->user = user;
  s->rekey_bytes = o->rekey_bytes != 0 ? o->rekey_bytes : REKEY_BYTES;
  inner->handler = &inner_handler;
  inner->user = s;
  wr_timer_start(&s->timer,
                 o->timeout_ms != 0 ? o->timeout_ms : WR_TLS_HANDSHAKE_MS);
  *out = s;
  if (!ctx->server) {
    shake(s);
  }
  return 0;
}

void wr_tls_cancel(wr_tls *s) {
  s->cb = NULL;
  if (s->state != TLS_CLOSED) {
    close_inner(s, WR_CLOSE_RESET);
  }
}
