#include "ssh/keyhash.h"

#include <openssl/err.h>

#include "base/errors.h"

static EVP_MD_CTX *prepare(const EVP_MD *md) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) != 1) {
    EVP_MD_CTX_free(ctx);
    ctx = NULL;
  }
  return ctx;
}

int wr__keyhash_init(wr__keyhash *h) {
  wr__keyhash made = {prepare(EVP_sha1()), prepare(EVP_sha256())};
  if (made.sha1 == NULL || made.sha256 == NULL) {
    wr__keyhash_reset(&made);
    ERR_clear_error();
    return WR_ENOMEM;
  }
  *h = made;
  return 0;
}

void wr__keyhash_reset(wr__keyhash *h) {
  EVP_MD_CTX_free(h->sha1);
  EVP_MD_CTX_free(h->sha256);
  *h = (wr__keyhash){0};
}

/* Without an algorithm the context starts again with the one that it has. */
static bool run(EVP_MD_CTX *ctx, wr_slice blob, uint8_t *dst) {
  return EVP_DigestInit_ex(ctx, NULL, NULL) == 1 &&
         EVP_DigestUpdate(ctx, blob.data, blob.len) == 1 &&
         EVP_DigestFinal_ex(ctx, dst, NULL) == 1;
}

bool wr__keyhash_run(const wr__keyhash *h, wr_slice blob, wr__keyhashes *out) {
  if (!run(h->sha1, blob, out->sha1) || !run(h->sha256, blob, out->sha256)) {
    ERR_clear_error();
    return false;
  }
  return true;
}
