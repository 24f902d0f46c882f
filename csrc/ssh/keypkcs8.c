#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

/* A key file says itself how long decrypting takes; this is some seconds. */
#define PBKDF2_ROUNDS_MAX 5000000

/* RFC 8410, section 7: the private key is an OCTET STRING of 32 bytes. */
static int info_seed(const PKCS8_PRIV_KEY_INFO *info,
                     uint8_t seed[WR__SEED_SIZE]) {
  const ASN1_OBJECT *oid = NULL;
  const unsigned char *key = NULL;
  int len = 0;
  if (PKCS8_pkey_get0(&oid, &key, &len, NULL, info) != 1) {
    return WR_EKEY_FORMAT;
  }
  if (OBJ_obj2nid(oid) != NID_ED25519) {
    return WR_EKEY_TYPE;
  }
  if (len != 2 + WR__SEED_SIZE || key[0] != V_ASN1_OCTET_STRING ||
      key[1] != WR__SEED_SIZE) {
    return WR_EKEY_FORMAT;
  }
  memcpy(seed, key + 2, WR__SEED_SIZE);
  return 0;
}

int wr__pkcs8_seed(wr_slice der, uint8_t seed[WR__SEED_SIZE]) {
  const unsigned char *p = der.data;
  PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.len);
  int err = WR_EKEY_FORMAT;
  if (info != NULL && p == der.data + der.len) {
    err = info_seed(info, seed);
  }
  PKCS8_PRIV_KEY_INFO_free(info);
  ERR_clear_error();
  return err;
}

/* PBES2 with PBKDF2, a number of rounds that ends, and a cipher that is here.
   Other derivations are refused: the old ones of PKCS #5 and #12 are weak, and
   scrypt's parameters may ask for hours. */
static bool scheme_is_fine(const X509_ALGOR *scheme) {
  bool fine = false;
  int64_t rounds = 0;
  PBKDF2PARAM *kdf = NULL;
  PBE2PARAM *pbe2 = NULL;
  if (OBJ_obj2nid(scheme->algorithm) != NID_pbes2) {
    return false;
  }
  pbe2 =
      ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), scheme->parameter);
  if (pbe2 == NULL || OBJ_obj2nid(pbe2->keyfunc->algorithm) != NID_id_pbkdf2 ||
      EVP_get_cipherbyobj(pbe2->encryption->algorithm) == NULL) {
    goto out;
  }
  kdf = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM),
                                  pbe2->keyfunc->parameter);
  fine = kdf != NULL && ASN1_INTEGER_get_int64(&rounds, kdf->iter) == 1 &&
         rounds >= 1 && rounds <= PBKDF2_ROUNDS_MAX;
out:
  PBKDF2PARAM_free(kdf);
  PBE2PARAM_free(pbe2);
  return fine;
}

static int decrypt_seed(const X509_SIG *box, const char *passphrase,
                        uint8_t seed[WR__SEED_SIZE]) {
  const X509_ALGOR *scheme = NULL;
  X509_SIG_get0(box, &scheme, NULL);
  if (!scheme_is_fine(scheme)) {
    return WR_EKEY_FORMAT;
  }
  if (passphrase == NULL) {
    return WR_EKEY_PASSPHRASE;
  }
  size_t n = strlen(passphrase);
  PKCS8_PRIV_KEY_INFO *info =
      n > INT32_MAX ? NULL : PKCS8_decrypt(box, passphrase, (int)n);
  if (info == NULL) {
    return WR_EKEY_PASSPHRASE;
  }
  int err = info_seed(info, seed);
  PKCS8_PRIV_KEY_INFO_free(info);
  return err;
}

int wr__pkcs8_seed_encrypted(wr_slice der, const char *passphrase,
                             uint8_t seed[WR__SEED_SIZE]) {
  const unsigned char *p = der.data;
  X509_SIG *box = d2i_X509_SIG(NULL, &p, (long)der.len);
  int err = WR_EKEY_FORMAT;
  if (box != NULL && p == der.data + der.len) {
    err = decrypt_seed(box, passphrase, seed);
  }
  X509_SIG_free(box);
  ERR_clear_error();
  return err;
}
