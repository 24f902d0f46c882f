#include <string.h>

#include "base/errors.h"
#include <openssl/bio.h>

#include "net/tls_internal.h"

/* Everything is taken: how much there is at most is seen to before anything is
   sealed. Only what the peer itself provokes can meet the limit. */
static int on_bio_write(BIO *bio, const char *data, size_t len, size_t *done) {
  wr_tls *s = BIO_get_data(bio);
  *done = len;
  if (s->inner_shut || s->write_error != 0) {
    return 1; /* nobody would hear it */
  }
  if (wr_buf_append(&s->out, data, len) != 0) {
    *done = 0;
    return 0;
  }
  return 1;
}

static int on_bio_read(BIO *bio, char *data, size_t len, size_t *done) {
  wr_tls *s = BIO_get_data(bio);
  size_t part = WR_MIN(len, s->in_len);
  BIO_clear_retry_flags(bio);
  *done = part;
  if (part == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  memcpy(data, s->in, part);
  s->in += part;
  s->in_len -= part;
  return 1;
}

static long on_bio_ctrl(BIO *bio, int cmd, long num, void *ptr) {
  WR_UNUSED(bio);
  WR_UNUSED(num);
  WR_UNUSED(ptr);
  return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *wr__tls_bio_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "link");
  if (m == NULL || BIO_meth_set_write_ex(m, on_bio_write) != 1 ||
      BIO_meth_set_read_ex(m, on_bio_read) != 1 ||
      BIO_meth_set_ctrl(m, on_bio_ctrl) != 1) {
    BIO_meth_free(m);
    return NULL;
  }
  return m;
}

int wr__tls_bio_attach(wr_tls *s) {
  BIO *bio = BIO_new(s->tctx->bio);
  if (bio == NULL) {
    return WR_ENOMEM;
  }
  BIO_set_data(bio, s);
  BIO_set_init(bio, 1);
  SSL_set_bio(s->ssl, bio, bio);
  return 0;
}
