#include <string.h>

#include <openssl/err.h>

#include "base/errors.h"
#include "net/tls_internal.h"

/* The plaintext of one record. */
#define RECORD_MAX ((size_t)16 * 1024)

/* Where a write has got to in its buffers. */
typedef struct cursor {
  const uv_buf_t *bufs;
  unsigned n;
  size_t skip; /* taken of the first one */
} cursor;

static void advance(cursor *c, size_t len) {
  c->skip += len;
  while (c->n > 0 && c->skip >= c->bufs->len) {
    c->skip -= c->bufs->len;
    c->bufs++;
    c->n--;
  }
}

/* Joins small buffers, so that they share a record. */
static size_t gather(const cursor *c, uint8_t *record) {
  cursor at = *c;
  size_t len = 0;
  while (at.n > 0 && len < RECORD_MAX) {
    size_t part = WR_MIN(at.bufs->len - at.skip, RECORD_MAX - len);
    memcpy(record + len, at.bufs->base + at.skip, part);
    len += part;
    advance(&at, part);
  }
  return len;
}

static void rekey(wr_tls *s) {
  if (s->sealed >= s->rekey_bytes && SSL_version(s->ssl) == TLS1_3_VERSION) {
    s->sealed = 0;
    /* It can only fail where one is due already. */
    (void)SSL_key_update(s->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
  }
}

/* As many bytes of padding, less one, as have room in the overhead of a record
   beside what TLS itself needs. */
#define PADDINGS 192
/* Longer ones are not padded: their lengths are those of the data under way. */
#define PADDED_BELOW ((size_t)4096)

static size_t on_padding(SSL *ssl, int type, size_t len, void *arg) {
  const wr_tls *s = arg;
  WR_UNUSED(ssl);
  bool pads =
      s->padded && type == SSL3_RT_APPLICATION_DATA && len < PADDED_BELOW;
  return pads ? (size_t)(wr_ctx_rand64(s->link.ctx) % PADDINGS) : 0;
}

void wr__tls_may_pad(wr_tls *s) {
  SSL_set_record_padding_callback(s->ssl, on_padding);
  SSL_set_record_padding_callback_arg(s->ssl, s);
}

void wr_tls_pad(wr_link *link) {
  wr_tls *s = wr_tls_from_link(link);
  if (s != NULL) {
    s->padded = true;
  }
}

static int seal(wr_tls *s, const void *data, size_t len) {
  size_t done = 0;
  size_t records = len / RECORD_MAX + 1;
  int err = wr_buf_reserve(&s->out, len + records * RECORD_OVERHEAD);
  if (err != 0) {
    return err;
  }
  rekey(s);
  ERR_clear_error();
  if (SSL_write_ex(s->ssl, data, len, &done) != 1) {
    ERR_clear_error();
    return WR_ETLS;
  }
  WR_ASSERT(done == len);
  s->sealed += len;
  return 0;
}

/* Seals as much as goes out at once: whole records from where the bytes are. */
static int seal_some(wr_tls *s, cursor *c, size_t *taken) {
  uint8_t record[RECORD_MAX];
  size_t len = c->bufs->len - c->skip;
  const void *data = c->bufs->base + c->skip;
  if (len >= RECORD_MAX) {
    size_t room = SEAL_MAX - s->out.len;
    len = WR_MAX(WR_MIN(len, room), RECORD_MAX);
    len -= len % RECORD_MAX;
  } else if (c->n > 1) {
    len = gather(c, record);
    data = record;
  }
  int err = seal(s, data, len);
  if (err == 0) {
    advance(c, len);
    *taken += len;
  }
  return err;
}

static int ended(const wr_tls *s) {
  if (s->write_error != 0) {
    return s->write_error;
  }
  if (s->state != TLS_OPEN || s->shut) {
    return s->status != 0 ? s->status : WR_ECLOSED;
  }
  return 0;
}

int wr__tls_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                  size_t *taken) {
  wr_tls *s = wr__tls_of(link);
  cursor c = {.bufs = bufs, .n = n};
  size_t done = 0;
  *taken = 0;
  if (s->out.len > 0 && !s->held) {
    wr__tls_flush(s);
  }
  int err = ended(s);
  advance(&c, 0); /* empty ones */
  while (err == 0 && c.n > 0 && (s->out.len == 0 || s->held)) {
    s->held = false;
    while (err == 0 && c.n > 0 && s->out.len < SEAL_MAX) {
      err = seal_some(s, &c, &done);
    }
    if (err != 0) {
      wr__tls_fail(s, err);
      return err;
    }
    wr__tls_flush(s);
    err = s->write_error;
  }
  if (err == 0) {
    *taken = done;
    s->want_writable = c.n > 0;
  }
  return err;
}
