#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

/* Of libssh, whose own reader of key files cannot be used here: it calls a null
   pointer where the cipher is AES-GCM, writes AES-128-CBC only, and believes
   any number of rounds. */
int bcrypt_pbkdf(const char *pass, size_t pass_len, const uint8_t *salt,
                 size_t salt_len, uint8_t *key, size_t key_len,
                 unsigned int rounds);

#define MATERIAL_MAX 64
#define CHACHA_KEY 32
#define POLY_TAG 16

static const wr__cipher ciphers[] = {
    {"aes256-ctr", "AES-256-CTR", 32, 16, 16, 0},
    {"aes192-ctr", "AES-192-CTR", 24, 16, 16, 0},
    {"aes128-ctr", "AES-128-CTR", 16, 16, 16, 0},
    {"aes256-cbc", "AES-256-CBC", 32, 16, 16, 0},
    {"aes192-cbc", "AES-192-CBC", 24, 16, 16, 0},
    {"aes128-cbc", "AES-128-CBC", 16, 16, 16, 0},
    {"aes256-gcm@openssh.com", "AES-256-GCM", 32, 12, 16, 16},
    {"aes128-gcm@openssh.com", "AES-128-GCM", 16, 12, 16, 16},
    {"chacha20-poly1305@openssh.com", NULL, 64, 0, 8, POLY_TAG},
    {"3des-cbc", "DES-EDE3-CBC", 24, 8, 8, 0},
};

const wr__cipher *wr__cipher_find(wr_slice name) {
  for (size_t i = 0; i < WR_COUNTOF(ciphers); i++) {
    if (wr_slice_eq(name, ciphers[i].name)) {
      return &ciphers[i];
    }
  }
  return NULL;
}

/* 1 if all went well, 0 if something failed, the tag for example. */
static int run_evp(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *evp, bool encrypt,
                   const uint8_t *material, const wr__cipher *cipher,
                   wr_slice src, wr_slice tag, uint8_t *dst) {
  uint8_t tag_copy[POLY_TAG];
  int n = 0;
  int n_last = 0;
  if (EVP_CipherInit_ex2(ctx, evp, material, material + cipher->key_bytes,
                         encrypt ? 1 : 0, NULL) != 1 ||
      EVP_CIPHER_CTX_set_padding(ctx, 0) != 1) {
    return 0;
  }
  if (cipher->tag_bytes > 0) {
    memcpy(tag_copy, tag.data, sizeof(tag_copy));
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, POLY_TAG, tag_copy) !=
        1) {
      return 0;
    }
  }
  return EVP_CipherUpdate(ctx, dst, &n, src.data, (int)src.len) == 1 &&
         EVP_CipherFinal_ex(ctx, dst + n, &n_last) == 1 &&
         (size_t)n + (size_t)n_last == src.len;
}

static int evp_cipher(const wr__cipher *cipher, bool encrypt,
                      const uint8_t *material, wr_slice src, wr_slice tag,
                      uint8_t *dst) {
  int err = 0;
  EVP_CIPHER_CTX *ctx = NULL;
  EVP_CIPHER *evp = EVP_CIPHER_fetch(NULL, cipher->evp, NULL);
  if (evp == NULL) {
    err = WR_EKEY_FORMAT;
    goto out;
  }
  ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL) {
    err = WR_ENOMEM;
    goto out;
  }
  if (!run_evp(ctx, evp, encrypt, material, cipher, src, tag, dst)) {
    err = WR_EKEY_PASSPHRASE;
  }
out:
  EVP_CIPHER_CTX_free(ctx);
  EVP_CIPHER_free(evp);
  return err;
}

/* ChaCha20 with a 64-bit counter and a nonce of zeros. */
static int chacha(const uint8_t key[CHACHA_KEY], uint8_t counter, wr_slice src,
                  uint8_t *dst) {
  uint8_t iv[16] = {counter};
  int n = 0;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  int ok = ctx != NULL &&
           EVP_EncryptInit_ex2(ctx, EVP_chacha20(), key, iv, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, dst, &n, src.data, (int)src.len) == 1;
  EVP_CIPHER_CTX_free(ctx);
  return ok;
}

/* OpenSSH's PROTOCOL.chacha20poly1305 with sequence number 0 and no length
   field: the first half of the key is the one that counts. */
static int open_chacha_poly(const uint8_t *material, wr_slice src, wr_slice tag,
                            uint8_t *dst) {
  static const uint8_t zeros[CHACHA_KEY];
  uint8_t poly_key[CHACHA_KEY];
  uint8_t want[POLY_TAG];
  size_t want_len = 0;
  int err = WR_ENOMEM;
  if (!chacha(material, 0, (wr_slice){zeros, sizeof(zeros)}, poly_key)) {
    goto out;
  }
  if (EVP_Q_mac(NULL, "POLY1305", NULL, NULL, NULL, poly_key, sizeof(poly_key),
                src.data, src.len, want, sizeof(want), &want_len) == NULL ||
      want_len != sizeof(want)) {
    goto out;
  }
  if (!wr_memeq(want, tag.data, sizeof(want))) {
    err = WR_EKEY_PASSPHRASE;
    goto out;
  }
  if (chacha(material, 1, src, dst)) {
    err = 0;
  }
out:
  wr_bzero(poly_key, sizeof(poly_key));
  return err;
}

int wr__cipher_run(const wr__cipher *cipher, bool encrypt,
                   const char *passphrase, wr_slice salt, uint32_t rounds,
                   wr_slice src, wr_slice tag, uint8_t *dst) {
  uint8_t material[MATERIAL_MAX];
  WR_ASSERT(cipher->key_bytes + cipher->iv_bytes <= sizeof(material));
  WR_ASSERT(tag.len == cipher->tag_bytes && (tag.len == 0 || !encrypt));
  int err = 0;
  if (bcrypt_pbkdf(passphrase, strlen(passphrase), salt.data, salt.len,
                   material, cipher->key_bytes + cipher->iv_bytes,
                   rounds) != 0) {
    err = WR_ENOMEM;
  } else if (cipher->evp == NULL) {
    err = open_chacha_poly(material, src, tag, dst);
  } else {
    err = evp_cipher(cipher, encrypt, material, src, tag, dst);
  }
  wr_bzero(material, sizeof(material));
  if (err != 0) {
    ERR_clear_error();
  }
  return err;
}
