#include "ssh/verify.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

#define ECDSA_PREFIX "ecdsa-sha2-" /* of a key's type, before its curve */
#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 16384
#define RSA_BYTES_MAX (RSA_BITS_MAX / 8)
/* OpenSSL takes no more with large moduli; a longer exponent only costs time. */
#define RSA_EXPONENT_BITS_MAX 64

typedef enum family {
  FAMILY_ED25519,
  FAMILY_SK_ED25519,
  FAMILY_ECDSA,
  FAMILY_RSA
} family;

typedef struct sig_kind {
  const char *algorithm; /* of signatures */
  const char *key_type;  /* of the keys that make them */
  family family;
  const char *hash;  /* NULL: the algorithm has its own */
  const char *group; /* OpenSSL's name of the curve of ECDSA */
} sig_kind;

static const sig_kind kinds[] = {
    {WR__ED25519, WR__ED25519, FAMILY_ED25519, NULL, NULL},
    {WR__SK_ED25519, WR__SK_ED25519, FAMILY_SK_ED25519, NULL, NULL},
    {ECDSA_PREFIX "nistp256", ECDSA_PREFIX "nistp256", FAMILY_ECDSA, "SHA256",
     "P-256"},
    {ECDSA_PREFIX "nistp384", ECDSA_PREFIX "nistp384", FAMILY_ECDSA, "SHA384",
     "P-384"},
    {ECDSA_PREFIX "nistp521", ECDSA_PREFIX "nistp521", FAMILY_ECDSA, "SHA512",
     "P-521"},
    {"rsa-sha2-256", "ssh-rsa", FAMILY_RSA, "SHA256", NULL},
    {"rsa-sha2-512", "ssh-rsa", FAMILY_RSA, "SHA512", NULL},
};

typedef struct public_key {
  const char *type;
  EVP_PKEY *pkey;
  wr_slice application; /* of sk- keys */
} public_key;

typedef struct signature {
  const sig_kind *kind;
  wr_slice algorithm;
  wr_slice bytes;
  uint8_t sk_flags;
  uint32_t sk_counter;
} signature;

/* The first one of keys of this type, or the one of this algorithm. */
static const sig_kind *find_kind(wr_slice name, bool by_key) {
  for (size_t i = 0; i < WR_COUNTOF(kinds); i++) {
    const char *have = by_key ? kinds[i].key_type : kinds[i].algorithm;
    if (wr_slice_eq(name, have)) {
      return &kinds[i];
    }
  }
  return NULL;
}

/* NULL for a negative number and for one that is larger than any modulus. Zeros
   in front are more than the one form that RFC 4251 asks for; OpenSSH takes
   them. */
static BIGNUM *mpint(wr_slice s) {
  if ((s.len > 0 && (s.data[0] & 0x80) != 0) || s.len > RSA_BYTES_MAX + 1) {
    return NULL;
  }
  return BN_bin2bn(s.data, (int)s.len, NULL);
}

/* Frees the parts; `complete` says whether all of them could be pushed. */
static EVP_PKEY *pkey_of_parts(const char *type, OSSL_PARAM_BLD *parts,
                               bool complete) {
  EVP_PKEY *pkey = NULL;
  OSSL_PARAM *params = complete ? OSSL_PARAM_BLD_to_param(parts) : NULL;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
      EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    pkey = NULL;
  }
  EVP_PKEY_CTX_free(ctx);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(parts);
  return pkey;
}

static EVP_PKEY *ed25519_pkey(wr_slice pub) {
  return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub.data, pub.len);
}

/* Compressed points are not for SSH. That the point is on the curve is checked
   by OpenSSL as it reads it. */
static EVP_PKEY *ecdsa_pkey(const sig_kind *kind, wr_slice curve,
                            wr_slice point) {
  if (!wr_slice_eq(curve, kind->key_type + strlen(ECDSA_PREFIX)) ||
      point.len == 0 || point.data[0] != POINT_CONVERSION_UNCOMPRESSED) {
    return NULL;
  }
  OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
  bool complete =
      parts != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME,
                                      kind->group, 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY,
                                       point.data, point.len) == 1;
  return pkey_of_parts("EC", parts, complete);
}

/* With an exponent of 1 everybody could sign. */
static bool rsa_fits(const BIGNUM *e, const BIGNUM *n) {
  int bits = BN_num_bits(n);
  return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(n) &&
         BN_is_odd(e) && !BN_is_one(e) &&
         BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
}

static EVP_PKEY *rsa_pkey(wr_slice exponent, wr_slice modulus) {
  EVP_PKEY *pkey = NULL;
  BIGNUM *e = mpint(exponent);
  BIGNUM *n = mpint(modulus);
  if (e != NULL && n != NULL && rsa_fits(e, n)) {
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    bool complete =
        parts != NULL &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) == 1;
    pkey = pkey_of_parts("RSA", parts, complete);
  }
  BN_free(e);
  BN_free(n);
  return pkey;
}

static EVP_PKEY *pkey_of_blob(const sig_kind *kind, wr_slice first,
                              wr_slice second) {
  switch (kind->family) {
  case FAMILY_ED25519:
    return ed25519_pkey(first);
  case FAMILY_SK_ED25519:
    return wr_slice_has_nul(second) ? NULL : ed25519_pkey(first);
  case FAMILY_ECDSA:
    return ecdsa_pkey(kind, first, second);
  case FAMILY_RSA:
    return rsa_pkey(first, second);
  }
  return NULL;
}

/* 0, WR_EKEY_TYPE, WR_EKEY_FORMAT. */
static int read_key(wr_slice blob, public_key *out) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  const sig_kind *kind = find_kind(wr_rd_string(&r), true);
  if (kind == NULL) {
    return r.bad ? WR_EKEY_FORMAT : WR_EKEY_TYPE;
  }
  wr_slice first = wr_rd_string(&r);
  wr_slice second = {NULL, 0};
  if (kind->family != FAMILY_ED25519) {
    second = wr_rd_string(&r);
  }
  if (!wr_rd_done(&r)) {
    return WR_EKEY_FORMAT;
  }
  EVP_PKEY *pkey = pkey_of_blob(kind, first, second);
  if (pkey == NULL) {
    return WR_EKEY_FORMAT;
  }
  *out = (public_key){kind->key_type, pkey, second};
  return 0;
}

/* 0, WR_EKEY_TYPE (no algorithm of ours), WR_EAUTH_REFUSED (malformed). */
static int read_signature(wr_slice blob, signature *out) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  signature sig = {.algorithm = wr_rd_string(&r)};
  sig.kind = find_kind(sig.algorithm, false);
  if (sig.kind == NULL) {
    return r.bad ? WR_EAUTH_REFUSED : WR_EKEY_TYPE;
  }
  sig.bytes = wr_rd_string(&r);
  if (sig.kind->family == FAMILY_SK_ED25519) {
    sig.sk_flags = wr_rd_u8(&r);
    sig.sk_counter = wr_rd_u32(&r);
  }
  if (!wr_rd_done(&r)) {
    return WR_EAUTH_REFUSED;
  }
  *out = sig;
  return 0;
}

static bool verify_evp(EVP_PKEY *pkey, const char *hash, wr_slice sig,
                       wr_slice data) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok =
      ctx != NULL &&
      EVP_DigestVerifyInit_ex(ctx, NULL, hash, NULL, NULL, pkey, NULL) == 1 &&
      EVP_DigestVerify(ctx, sig.data, sig.len, data.data, data.len) == 1;
  EVP_MD_CTX_free(ctx);
  return ok;
}

/* A security key signs hashes and what it wants to say about the touch. */
static bool verify_sk(const public_key *key, const signature *sig,
                      wr_slice data) {
  uint8_t text[SHA256_DIGEST_LENGTH + 1 + 4 + SHA256_DIGEST_LENGTH];
  uint8_t *p = text;
  if (EVP_Digest(key->application.data, key->application.len, p, NULL,
                 EVP_sha256(), NULL) != 1) {
    return false;
  }
  p += SHA256_DIGEST_LENGTH;
  *p++ = sig->sk_flags;
  wr_put_u32(p, sig->sk_counter);
  p += 4;
  return EVP_Digest(data.data, data.len, p, NULL, EVP_sha256(), NULL) == 1 &&
         verify_evp(key->pkey, NULL, sig->bytes,
                    (wr_slice){text, sizeof(text)});
}

/* The DER that OpenSSL wants of the two numbers, to be freed; NULL if they are
   not two numbers. */
static unsigned char *ecdsa_der(wr_slice bytes, size_t *len) {
  unsigned char *der = NULL;
  wr_rd rd;
  wr_rd_init(&rd, bytes.data, bytes.len);
  BIGNUM *r = mpint(wr_rd_string(&rd));
  BIGNUM *s = mpint(wr_rd_string(&rd));
  ECDSA_SIG *sig = wr_rd_done(&rd) ? ECDSA_SIG_new() : NULL;
  if (sig != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
    int n = i2d_ECDSA_SIG(sig, &der);
    *len = n > 0 ? (size_t)n : 0;
  } else {
    BN_free(r);
    BN_free(s);
  }
  ECDSA_SIG_free(sig);
  return der;
}

static bool verify_ecdsa(EVP_PKEY *pkey, const signature *sig, wr_slice data) {
  wr_slice der = {NULL, 0};
  unsigned char *block = ecdsa_der(sig->bytes, &der.len);
  der.data = block;
  bool ok = block != NULL && verify_evp(pkey, sig->kind->hash, der, data);
  OPENSSL_free(block);
  return ok;
}

/* Some leave out the zeros in front of a signature, and OpenSSH adds them. */
static bool verify_rsa(EVP_PKEY *pkey, const signature *sig, wr_slice data) {
  uint8_t padded[RSA_BYTES_MAX] = {0};
  size_t size = (size_t)EVP_PKEY_get_size(pkey);
  if (size > sizeof(padded) || sig->bytes.len > size) {
    return false;
  }
  if (sig->bytes.len > 0) {
    memcpy(padded + size - sig->bytes.len, sig->bytes.data, sig->bytes.len);
  }
  return verify_evp(pkey, sig->kind->hash, (wr_slice){padded, size}, data);
}

static bool verify(const public_key *key, const signature *sig, wr_slice data) {
  switch (sig->kind->family) {
  case FAMILY_ED25519:
    return verify_evp(key->pkey, NULL, sig->bytes, data);
  case FAMILY_SK_ED25519:
    return verify_sk(key, sig, data);
  case FAMILY_ECDSA:
    return verify_ecdsa(key->pkey, sig, data);
  case FAMILY_RSA:
    return verify_rsa(key->pkey, sig, data);
  }
  return false;
}

/* The signature's algorithm has to be one of the key. */
static int verify_with(const public_key *key, wr_slice blob, wr_slice data,
                       wr_sig_info *info) {
  signature sig;
  int err = read_signature(blob, &sig);
  if (err != 0) {
    return err;
  }
  if (strcmp(sig.kind->key_type, key->type) != 0 || !verify(key, &sig, data)) {
    return WR_EAUTH_REFUSED;
  }
  if (info != NULL) {
    *info = (wr_sig_info){
        .algorithm = sig.algorithm,
        .is_sk = sig.kind->family == FAMILY_SK_ED25519,
        .sk_flags = sig.sk_flags,
    };
  }
  return 0;
}

int wr_sig_verify(wr_slice blob, wr_slice sig, const void *data, size_t len,
                  wr_sig_info *info) {
  public_key key;
  int err = read_key(blob, &key);
  if (err == 0) {
    err = verify_with(&key, sig, (wr_slice){data, len}, info);
    EVP_PKEY_free(key.pkey);
  }
  /* OpenSSL keeps errors per thread, for the next TLS call to find. */
  ERR_clear_error();
  return err;
}

bool wr_sig_key_usable(wr_slice blob) {
  public_key key;
  int err = read_key(blob, &key);
  if (err == 0) {
    EVP_PKEY_free(key.pkey);
  }
  ERR_clear_error();
  return err == 0;
}
