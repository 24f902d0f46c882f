/* Keys and signatures of every kind, made with OpenSSL alone, so that what is
   tested does not check itself. Header only. */
#ifndef WR_TEST_C_SSH_SIGNER_H
#define WR_TEST_C_SSH_SIGNER_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/buf.h"
#include "base/wire.h"
#include "tap.h"

#define SIGNER_MAX ((size_t)64 * 1024)
#define SIGNER_APPLICATION "ssh:"
#define SIGNER_SK "sk-ssh-ed25519@openssh.com"

typedef struct signer {
  EVP_PKEY *pkey;
  wr_buf blob;
} signer;

TAP_UNUSED static wr_slice signer_slice(const wr_buf *b) {
  return (wr_slice){b->data, b->len};
}

/* `zeros` more in front than the number needs. */
TAP_UNUSED static void signer_put_mpint(wr_buf *out, const BIGNUM *n,
                                        size_t zeros) {
  uint8_t bytes[4096] = {0};
  size_t len = (size_t)BN_num_bytes(n);
  size_t at = zeros + (BN_num_bits(n) % 8 == 0 && len > 0 ? 1 : 0);
  MUST(at + len <= sizeof(bytes));
  BN_bn2bin(n, bytes + at);
  MUST(wr_buf_put_string(out, bytes, at + len) == 0);
}

TAP_UNUSED static void signer_put_bn_of(wr_buf *out, const EVP_PKEY *pkey,
                                        const char *name) {
  BIGNUM *n = NULL;
  MUST(EVP_PKEY_get_bn_param(pkey, name, &n) == 1);
  signer_put_mpint(out, n, 0);
  BN_free(n);
}

TAP_UNUSED static void signer_ed25519(signer *s, const char *type) {
  uint8_t pub[32];
  size_t n = sizeof(pub);
  s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  MUST(s->pkey != NULL);
  MUST(EVP_PKEY_get_raw_public_key(s->pkey, pub, &n) == 1);
  MUST(wr_buf_put_cstring(&s->blob, type) == 0);
  MUST(wr_buf_put_string(&s->blob, pub, n) == 0);
  if (strcmp(type, SIGNER_SK) == 0) {
    MUST(wr_buf_put_cstring(&s->blob, SIGNER_APPLICATION) == 0);
  }
}

TAP_UNUSED static void signer_ecdsa(signer *s, const char *type) {
  char group[] = "P-256";
  uint8_t point[256];
  size_t n = 0;
  const char *curve = type + strlen("ecdsa-sha2-");
  memcpy(group + 2, curve + strlen("nistp"), 3);
  s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", group);
  MUST(s->pkey != NULL);
  MUST(EVP_PKEY_get_octet_string_param(s->pkey, OSSL_PKEY_PARAM_PUB_KEY, point,
                                       sizeof(point), &n) == 1);
  MUST(wr_buf_put_cstring(&s->blob, type) == 0);
  MUST(wr_buf_put_cstring(&s->blob, curve) == 0);
  MUST(wr_buf_put_string(&s->blob, point, n) == 0);
}

TAP_UNUSED static void signer_rsa(signer *s, size_t bits) {
  s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
  MUST(s->pkey != NULL);
  MUST(wr_buf_put_cstring(&s->blob, "ssh-rsa") == 0);
  signer_put_bn_of(&s->blob, s->pkey, OSSL_PKEY_PARAM_RSA_E);
  signer_put_bn_of(&s->blob, s->pkey, OSSL_PKEY_PARAM_RSA_N);
}

/* A new key that makes signatures of this algorithm; the smallest modulus for
   RSA. */
TAP_UNUSED static void signer_init(signer *s, wr_mem *mem,
                                   const char *algorithm) {
  *s = (signer){0};
  wr_buf_init(&s->blob, mem, SIGNER_MAX);
  if (strstr(algorithm, "ed25519") != NULL) {
    signer_ed25519(s, algorithm);
  } else if (strncmp(algorithm, "ecdsa", 5) == 0) {
    signer_ecdsa(s, algorithm);
  } else {
    signer_rsa(s, 1024);
  }
}

TAP_UNUSED static void signer_fini(signer *s) {
  EVP_PKEY_free(s->pkey);
  s->pkey = NULL;
  wr_buf_reset(&s->blob);
}

/* What OpenSSL makes of it. */
TAP_UNUSED static size_t signer_raw(const signer *s, const char *hash,
                                    const void *data, size_t len, uint8_t *dst,
                                    size_t cap) {
  size_t n = cap;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  MUST(ctx != NULL);
  MUST(EVP_DigestSignInit_ex(ctx, NULL, hash, NULL, NULL, s->pkey, NULL) == 1);
  MUST(EVP_DigestSign(ctx, dst, &n, data, len) == 1);
  EVP_MD_CTX_free(ctx);
  return n;
}

TAP_UNUSED static void signer_sign_sk(const signer *s, const void *data,
                                      size_t len, uint8_t flags, wr_buf *out) {
  static const char app[] = SIGNER_APPLICATION;
  uint8_t text[32 + 5 + 32] = {0};
  uint8_t sig[64];
  MUST(EVP_Digest(app, strlen(app), text, NULL, EVP_sha256(), NULL) == 1);
  text[32] = flags;
  wr_put_u32(text + 33, 7);
  MUST(EVP_Digest(data, len, text + 37, NULL, EVP_sha256(), NULL) == 1);
  MUST(signer_raw(s, NULL, text, sizeof(text), sig, sizeof(sig)) == 64);
  MUST(wr_buf_put_cstring(out, SIGNER_SK) == 0);
  MUST(wr_buf_put_string(out, sig, sizeof(sig)) == 0);
  MUST(wr_buf_append(out, text + 32, 5) == 0);
}

TAP_UNUSED static const char *signer_hash(const char *algorithm) {
  if (strstr(algorithm, "ed25519") != NULL) {
    return NULL;
  }
  if (strcmp(algorithm, "ssh-rsa") == 0) {
    return "SHA1";
  }
  if (strstr(algorithm, "256") != NULL) {
    return "SHA256";
  }
  return strstr(algorithm, "384") != NULL ? "SHA384" : "SHA512";
}

/* The two numbers of an ECDSA signature as SSH writes them. */
TAP_UNUSED static void signer_put_ecdsa(wr_buf *out, const char *algorithm,
                                        const BIGNUM *r, const BIGNUM *s,
                                        size_t zeros) {
  wr_buf two;
  wr_buf_init(&two, out->mem, SIGNER_MAX);
  signer_put_mpint(&two, r, zeros);
  signer_put_mpint(&two, s, zeros);
  MUST(wr_buf_put_cstring(out, algorithm) == 0);
  MUST(wr_buf_put_string(out, two.data, two.len) == 0);
  wr_buf_reset(&two);
}

/* A signature blob; security keys say that they were touched. */
TAP_UNUSED static void signer_sign(const signer *s, const char *algorithm,
                                   const void *data, size_t len, wr_buf *out) {
  uint8_t raw[2048];
  if (strcmp(algorithm, SIGNER_SK) == 0) {
    signer_sign_sk(s, data, len, 1, out);
    return;
  }
  size_t n = signer_raw(s, signer_hash(algorithm), data, len, raw, sizeof(raw));
  if (strncmp(algorithm, "ecdsa", 5) != 0) {
    MUST(wr_buf_put_cstring(out, algorithm) == 0);
    MUST(wr_buf_put_string(out, raw, n) == 0);
    return;
  }
  const uint8_t *p = raw;
  ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
  MUST(sig != NULL);
  signer_put_ecdsa(out, algorithm, ECDSA_SIG_get0_r(sig), ECDSA_SIG_get0_s(sig),
                   0);
  ECDSA_SIG_free(sig);
}

#endif /* WR_TEST_C_SSH_SIGNER_H */
