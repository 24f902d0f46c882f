#include "net/tls_crypto.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "base/errors.h"
#include "base/mem.h"

int wr_sha1(wr_slice data, uint8_t out[WR_SHA1_SIZE]) {
  uint8_t hash[WR_SHA1_SIZE];
  if (EVP_Digest(data.data, data.len, hash, NULL, EVP_sha1(), NULL) != 1) {
    ERR_clear_error();
    return WR_ENOMEM;
  }
  memcpy(out, hash, sizeof(hash));
  return 0;
}

static bool start(EVP_MAC_CTX *ctx, wr_slice key) {
  char digest[] = "SHA256";
  static const uint8_t none[1] = {0}; /* an empty key must not be NULL */
  OSSL_PARAM params[2] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_init(ctx, key.len > 0 ? key.data : none, key.len, params) == 1;
}

static bool run(EVP_MAC_CTX *ctx, wr_slice key, const wr_slice *parts, size_t n,
                uint8_t *mac) {
  size_t len = 0;
  if (!start(ctx, key)) {
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    if (parts[i].len > 0 &&
        EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1) {
      return false;
    }
  }
  return EVP_MAC_final(ctx, mac, &len, WR_HMAC_SHA256_SIZE) == 1 &&
         len == WR_HMAC_SHA256_SIZE;
}

int wr_hmac_sha256(wr_slice key, const wr_slice *parts, size_t n,
                   uint8_t out[WR_HMAC_SHA256_SIZE]) {
  uint8_t mac[WR_HMAC_SHA256_SIZE];
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
  EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
  bool ok = ctx != NULL && run(ctx, key, parts, n, mac);
  EVP_MAC_CTX_free(ctx);
  EVP_MAC_free(hmac);
  if (!ok) {
    ERR_clear_error();
    return WR_ENOMEM;
  }
  memcpy(out, mac, sizeof(mac));
  wr_bzero(mac, sizeof(mac));
  return 0;
}
