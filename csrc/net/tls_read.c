#include <string.h>

#include <openssl/err.h>

#include "base/errors.h"
#include "net/tls_internal.h"

static bool alive(const wr_tls *s) {
  return s->state == TLS_OPEN;
}

static bool may_read(const wr_tls *s) {
  return s->reading && alive(s);
}

void wr__tls_drop_rest(wr_tls *s) {
  wr_free(&s->link.ctx->mem, s->rest);
  s->rest = NULL;
  s->rest_len = 0;
}

/* Keeps what the owner left of a read. */
static void keep(wr_tls *s, const uint8_t *data, size_t len) {
  s->rest = wr_alloc(&s->link.ctx->mem, len);
  if (s->rest == NULL) {
    wr__tls_fail(s, WR_ENOMEM);
    return;
  }
  memcpy(s->rest, data, len);
  s->rest_at = 0;
  s->rest_len = len;
}

static size_t offer(wr_tls *s, uint8_t *data, size_t len) {
  size_t used = s->link.handler->on_read(&s->link, data, len);
  WR_ASSERT(used <= len);
  if (used < len) {
    s->reading = false;
  }
  return used;
}

static void offer_rest(wr_tls *s) {
  size_t used = offer(s, s->rest + s->rest_at, s->rest_len);
  if (used == s->rest_len) {
    wr__tls_drop_rest(s);
    return;
  }
  s->rest_at += used;
  s->rest_len -= used;
}

/* Where the next read goes. False: the owner has no memory now. */
static bool place(wr_tls *s, uint8_t **base, size_t *len) {
  *base = s->link.ctx->scratch;
  *len = CIPHER_READ;
  if (s->link.handler->alloc != NULL) {
    s->link.handler->alloc(&s->link, base, len);
  }
  if (*len == 0) {
    s->reading = false;
  }
  /* Both may lie in the scratch memory, the ciphertext above. */
  uintptr_t from = (uintptr_t)*base;
  uintptr_t in = (uintptr_t)s->in;
  if (s->in_len > 0 && from <= in && in - from < *len) {
    *len = in - from;
  }
  return may_read(s) && *len > 0;
}

static void note_end(wr_tls *s, int err) {
  bool orderly = err == SSL_ERROR_ZERO_RETURN;
  s->end = orderly ? END_ORDERLY : END_ERROR;
  ERR_clear_error();
}

/* Opens records while there are any and the memory lasts. */
static size_t unseal(wr_tls *s, uint8_t *base, size_t len) {
  size_t got = 0;
  while (got < len && s->end == END_NOT) {
    size_t part = 0;
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, base + got, len - got, &part);
    if (rc == 1) {
      got += part;
      continue;
    }
    int err = SSL_get_error(s->ssl, rc);
    if (err == SSL_ERROR_WANT_READ) {
      break;
    }
    note_end(s, err);
  }
  return got;
}

static void tell_end(wr_tls *s) {
  s->reading = false;
  if (s->end != END_ORDERLY) {
    wr__tls_fail(s, s->end == END_CUT ? WR_ETLS_TRUNCATED : WR_ETLS);
    return;
  }
  s->eof_told = true;
  s->link.handler->on_eof(&s->link);
}

/* There is nothing to be had now. False: and nothing to say about it. */
static bool ran_dry(wr_tls *s) {
  if (s->end == END_NOT && s->inner_eof && s->in_len == 0) {
    s->end = END_CUT;
  }
  return s->end != END_NOT;
}

/* One read. False: there is no more for now. */
static bool read_once(wr_tls *s) {
  uint8_t *base;
  size_t len;
  if (s->in_len == 0 && SSL_has_pending(s->ssl) == 0) {
    return ran_dry(s);
  }
  if (!place(s, &base, &len)) {
    return false;
  }
  size_t got = unseal(s, base, len);
  if (got == 0) {
    return ran_dry(s);
  }
  size_t used = offer(s, base, got);
  if (used < got && alive(s)) {
    keep(s, base + used, got - used);
  }
  return true;
}

void wr__tls_deliver(wr_tls *s) {
  bool more = true;
  while (more && may_read(s)) {
    if (s->rest != NULL) {
      offer_rest(s);
    } else if (s->end != END_NOT) {
      tell_end(s);
    } else {
      more = read_once(s);
    }
  }
  /* Reading may have made the protocol speak: a new key, an alert. */
  wr__tls_flush(s);
}

int wr__tls_read_start(wr_link *link) {
  wr_tls *s = wr__tls_of(link);
  if (!alive(s)) {
    return s->status != 0 ? s->status : WR_ECLOSED;
  }
  if (s->eof_told) {
    return 0;
  }
  s->reading = true;
  if (s->rest != NULL || s->end != END_NOT || s->inner_eof ||
      SSL_has_pending(s->ssl) != 0) {
    wr_task_post(link->ctx, &s->task);
  }
  bool over = s->end != END_NOT || s->inner_eof;
  return over ? 0 : wr_link_read_start(s->inner);
}

void wr__tls_read_stop(wr_link *link) {
  wr_tls *s = wr__tls_of(link);
  if (alive(s)) {
    s->reading = false;
    wr_link_read_stop(s->inner);
  }
}
