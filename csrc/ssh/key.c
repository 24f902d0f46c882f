#include "ssh/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/cert.h"
#include "ssh/key_internal.h"

#define SIGNATURE_SIZE 64

struct wr_key {
  wr_mem *mem;
  size_t refs;
  EVP_PKEY *pkey; /* holds the seed; OpenSSL clears it when it is freed */
  uint8_t blob[WR__BLOB_SIZE];
};

/* The plain key types, and of how many strings their blobs consist. */
static const struct {
  const char *name;
  size_t strings;
} key_types[] = {
    {WR__ED25519, 2},
    {"ssh-rsa", 3},
    {"ssh-dss", 5},
    {"ecdsa-sha2-nistp256", 3},
    {"ecdsa-sha2-nistp384", 3},
    {"ecdsa-sha2-nistp521", 3},
    {WR__SK_ED25519, 3},
    {"sk-ecdsa-sha2-nistp256@openssh.com", 4},
};

/* OpenSSL keeps errors per thread, and what is left there would be taken for
   an error of the next TLS call on this thread. */
static int crypto_failed(int err) {
  ERR_clear_error();
  return err;
}

static EVP_PKEY *seed_pkey(const uint8_t seed[WR__SEED_SIZE]) {
  return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                      WR__SEED_SIZE);
}

static int pkey_public(const EVP_PKEY *pkey, uint8_t pub[WR__PUBLIC_SIZE]) {
  size_t n = WR__PUBLIC_SIZE;
  if (EVP_PKEY_get_raw_public_key(pkey, pub, &n) != 1 || n != WR__PUBLIC_SIZE) {
    return crypto_failed(WR_ENOMEM);
  }
  return 0;
}

int wr__seed_public(const uint8_t seed[WR__SEED_SIZE],
                    uint8_t pub[WR__PUBLIC_SIZE]) {
  EVP_PKEY *pkey = seed_pkey(seed);
  if (pkey == NULL) {
    return crypto_failed(WR_ENOMEM);
  }
  int err = pkey_public(pkey, pub);
  EVP_PKEY_free(pkey);
  return err;
}

/* Takes pkey over on success. */
static int key_new(wr_mem *mem, EVP_PKEY *pkey, wr_key **out) {
  uint8_t pub[WR__PUBLIC_SIZE];
  int err = pkey_public(pkey, pub);
  if (err != 0) {
    return err;
  }
  wr_key *key = wr_alloc(mem, sizeof(*key));
  if (key == NULL) {
    return WR_ENOMEM;
  }
  *key = (wr_key){.mem = mem, .refs = 1, .pkey = pkey};
  size_t name = strlen(WR__ED25519);
  wr_put_u32(key->blob, (uint32_t)name);
  memcpy(key->blob + 4, WR__ED25519, name);
  wr_put_u32(key->blob + 4 + name, WR__PUBLIC_SIZE);
  memcpy(key->blob + 8 + name, pub, sizeof(pub));
  *out = key;
  return 0;
}

static int key_from_pkey(wr_mem *mem, EVP_PKEY *pkey, wr_key **out) {
  if (pkey == NULL) {
    return crypto_failed(WR_ENOMEM);
  }
  int err = key_new(mem, pkey, out);
  if (err != 0) {
    EVP_PKEY_free(pkey);
  }
  return err;
}

int wr__key_from_seed(wr_mem *mem, const uint8_t seed[WR__SEED_SIZE],
                      wr_key **out) {
  return key_from_pkey(mem, seed_pkey(seed), out);
}

int wr_key_generate(wr_mem *mem, wr_key **out) {
  return key_from_pkey(mem, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), out);
}

int wr_key_parse(wr_mem *mem, const void *text, size_t len,
                 const char *passphrase, wr_key **out) {
  uint8_t seed[WR__SEED_SIZE];
  int err = wr__key_read_seed(mem, text, len, passphrase, seed);
  if (err == 0) {
    err = wr__key_from_seed(mem, seed, out);
  }
  wr_bzero(seed, sizeof(seed));
  return err;
}

wr_key *wr_key_ref(wr_key *key) {
  key->refs++;
  return key;
}

void wr_key_unref(wr_key *key) {
  if (key == NULL) {
    return;
  }
  WR_ASSERT(key->refs > 0);
  if (--key->refs > 0) {
    return;
  }
  EVP_PKEY_free(key->pkey);
  wr_free(key->mem, key);
}

wr_slice wr_key_blob(const wr_key *key) {
  return (wr_slice){key->blob, sizeof(key->blob)};
}

int wr_key_seed(const wr_key *key, uint8_t seed[32]) {
  size_t n = WR__SEED_SIZE;
  if (EVP_PKEY_get_raw_private_key(key->pkey, seed, &n) != 1) {
    return crypto_failed(WR_ENOMEM);
  }
  return 0;
}

int wr_key_sign(const wr_key *key, const void *data, size_t len, wr_buf *out) {
  uint8_t sig[SIGNATURE_SIZE];
  size_t sig_len = sizeof(sig);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int ok = ctx != NULL &&
           EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
           EVP_DigestSign(ctx, sig, &sig_len, data, len) == 1 &&
           sig_len == sizeof(sig);
  EVP_MD_CTX_free(ctx);
  if (!ok) {
    return crypto_failed(WR_ENOMEM);
  }
  /* All or nothing. */
  int err = wr_buf_reserve(out, 4 + strlen(WR__ED25519) + 4 + sizeof(sig));
  if (err == 0) {
    err = wr_buf_put_cstring(out, WR__ED25519);
  }
  if (err == 0) {
    err = wr_buf_put_string(out, sig, sizeof(sig));
  }
  return err;
}

const uint8_t *wr__blob_ed25519(wr_slice blob) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  wr_slice pub = wr_rd_string(&r);
  if (!wr_rd_done(&r) || !wr_slice_eq(type, WR__ED25519) ||
      pub.len != WR__PUBLIC_SIZE) {
    return NULL;
  }
  return pub.data;
}

bool wr__key_type_known(wr_slice type) {
  if (wr_cert_type(type)) {
    return true;
  }
  for (size_t i = 0; i < WR_COUNTOF(key_types); i++) {
    if (wr_slice_eq(type, key_types[i].name)) {
      return true;
    }
  }
  return false;
}

bool wr__blob_well_formed(wr_slice blob) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  size_t strings = 0;
  for (size_t i = 0; i < WR_COUNTOF(key_types); i++) {
    if (wr_slice_eq(type, key_types[i].name)) {
      strings = key_types[i].strings;
    }
  }
  if (strings == 0) {
    return false;
  }
  for (size_t i = 1; i < strings; i++) {
    wr_rd_string(&r);
  }
  if (!wr_rd_done(&r)) {
    return false;
  }
  return !wr_slice_eq(type, WR__ED25519) || wr__blob_ed25519(blob) != NULL;
}

wr_slice wr_blob_type(wr_slice blob) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  /* RFC 4251, section 6: printable US-ASCII, at most 64 characters. */
  if (type.len == 0 || type.len > 64) {
    return (wr_slice){NULL, 0};
  }
  for (size_t i = 0; i < type.len; i++) {
    if (type.data[i] <= 0x20 || type.data[i] >= 0x7f) {
      return (wr_slice){NULL, 0};
    }
  }
  return type;
}

void wr_blob_fingerprint(wr_slice blob, char dst[WR_FINGERPRINT_MAX]) {
  uint8_t hash[32];
  unsigned int n = sizeof(hash);
  dst[0] = '\0';
  if (EVP_Digest(blob.data, blob.len, hash, &n, EVP_sha256(), NULL) != 1) {
    ERR_clear_error();
    return;
  }
  memcpy(dst, "SHA256:", 7);
  wr_base64_encode(dst + 7, hash, sizeof(hash), false);
}

static bool is_blank(uint8_t c) {
  return c == ' ' || c == '\t';
}

wr_slice wr__next_word(wr_slice *rest) {
  size_t from = 0;
  while (from < rest->len && is_blank(rest->data[from])) {
    from++;
  }
  size_t to = from;
  while (to < rest->len && !is_blank(rest->data[to])) {
    to++;
  }
  wr_slice word = {to > from ? rest->data + from : NULL, to - from};
  if (to > 0) {
    rest->data += to;
    rest->len -= to;
  }
  return word;
}

/* The type in the text has to be the one in the blob. */
static int append_blob(wr_slice type, const uint8_t *blob, size_t len,
                       wr_buf *out) {
  wr_slice inner = wr_blob_type((wr_slice){blob, len});
  if (inner.len == 0 || !wr_slice_same(inner, type)) {
    return WR_EKEY_FORMAT;
  }
  int err = wr_buf_append(out, blob, len);
  return err == WR_ELIMIT ? WR_EKEY_FORMAT : err;
}

int wr_blob_parse_line(const char *line, size_t len, wr_buf *out) {
  while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) {
    len--;
  }
  /* More than one line, or no text at all. */
  if (len == 0 || memchr(line, '\n', len) != NULL ||
      memchr(line, '\0', len) != NULL) {
    return WR_EKEY_FORMAT;
  }
  wr_slice rest = {(const uint8_t *)line, len};
  wr_slice type = wr__next_word(&rest);
  wr_slice text = wr__next_word(&rest);
  if (text.len == 0 || text.len > WR_KEY_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  uint8_t *blob = wr_alloc(out->mem, 3 * (text.len / 4) + 3);
  if (blob == NULL) {
    return WR_ENOMEM;
  }
  long n = wr_base64_decode(blob, (const char *)text.data, text.len);
  int err = n < 0 ? WR_EKEY_FORMAT : append_blob(type, blob, (size_t)n, out);
  wr_free(out->mem, blob);
  return err;
}
