#include <openssl/err.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

#define BCRYPT_ROUNDS 24
#define SALT_SIZE 16
#define PLAIN_BLOCK 8
#define LINE_CHARS 70

/* Where and how the private section is encrypted. */
typedef struct sealing {
  const wr__cipher *cipher; /* NULL: not at all */
  const char *passphrase;
  uint8_t salt[SALT_SIZE];
} sealing;

/* A comment has to stay on its line, and must not steer a terminal. */
static bool comment_is_fine(const char *comment) {
  for (const char *p = comment; *p != '\0'; p++) {
    if ((unsigned char)*p < 0x20 || *p == 0x7f) {
      return false;
    }
  }
  return true;
}

static int random_bytes(void *dst, int len) {
  if (RAND_bytes(dst, len) != 1) {
    ERR_clear_error();
    return WR_ENOMEM;
  }
  return 0;
}

static int put_padding(wr_buf *b, size_t block) {
  int err = 0;
  for (uint8_t pad = 1; err == 0 && b->len % block != 0; pad++) {
    err = wr_buf_put_u8(b, pad);
  }
  return err;
}

static int put_secret(wr_buf *b, const wr_key *key) {
  uint8_t secret[WR__SEED_SIZE + WR__PUBLIC_SIZE];
  int err = wr_key_seed(key, secret);
  if (err == 0) {
    memcpy(secret + WR__SEED_SIZE, wr__blob_ed25519(wr_key_blob(key)),
           WR__PUBLIC_SIZE);
    err = wr_buf_put_string(b, secret, sizeof(secret));
  }
  wr_bzero(secret, sizeof(secret));
  return err;
}

/* PROTOCOL.key: two equal numbers, the key, the comment, padding. */
static int put_private(wr_buf *b, const wr_key *key, const char *comment,
                       size_t block) {
  uint32_t check = 0;
  wr_slice blob = wr_key_blob(key);
  int err = random_bytes(&check, sizeof(check));
  if (err == 0) {
    err = wr_buf_put_u32(b, check);
  }
  if (err == 0) {
    err = wr_buf_put_u32(b, check);
  }
  if (err == 0) {
    err = wr_buf_append(b, blob.data, blob.len);
  }
  if (err == 0) {
    err = put_secret(b, key);
  }
  if (err == 0) {
    err = wr_buf_put_cstring(b, comment);
  }
  return err == 0 ? put_padding(b, block) : err;
}

static int put_kdf_options(wr_buf *b, const sealing *s) {
  if (s->cipher == NULL) {
    return wr_buf_put_u32(b, 0);
  }
  int err = wr_buf_put_u32(b, 4 + SALT_SIZE + 4);
  if (err == 0) {
    err = wr_buf_put_string(b, s->salt, SALT_SIZE);
  }
  return err == 0 ? wr_buf_put_u32(b, BCRYPT_ROUNDS) : err;
}

/* All before the private section. */
static int put_head(wr_buf *b, const wr_key *key, const sealing *s) {
  static const char magic[] = "openssh-key-v1";
  wr_slice blob = wr_key_blob(key);
  int err = wr_buf_append(b, magic, sizeof(magic));
  if (err == 0) {
    err = wr_buf_put_cstring(b, s->cipher == NULL ? "none" : s->cipher->name);
  }
  if (err == 0) {
    err = wr_buf_put_cstring(b, s->cipher == NULL ? "none" : "bcrypt");
  }
  if (err == 0) {
    err = put_kdf_options(b, s);
  }
  if (err == 0) {
    err = wr_buf_put_u32(b, 1);
  }
  return err == 0 ? wr_buf_put_string(b, blob.data, blob.len) : err;
}

static int put_box(wr_buf *b, wr_buf *priv, const wr_key *key,
                   const char *comment, const sealing *s) {
  size_t block = s->cipher == NULL ? PLAIN_BLOCK : s->cipher->block_bytes;
  int err = put_private(priv, key, comment, block);
  if (err == 0) {
    err = put_head(b, key, s);
  }
  if (err == 0) {
    err = wr_buf_put_u32(b, (uint32_t)priv->len);
  }
  if (err == 0) {
    err = wr_buf_reserve(b, priv->len);
  }
  if (err != 0) {
    return err;
  }
  uint8_t *dst = b->data + b->len;
  if (s->cipher == NULL) {
    memcpy(dst, priv->data, priv->len);
  } else {
    err = wr__cipher_run(s->cipher, true, s->passphrase,
                         (wr_slice){s->salt, SALT_SIZE}, BCRYPT_ROUNDS,
                         (wr_slice){priv->data, priv->len}, (wr_slice){NULL, 0},
                         dst);
    if (err != 0) {
      return WR_ENOMEM; /* no input can make encryption fail */
    }
  }
  wr_buf_commit(b, priv->len);
  return 0;
}

static int put_armor(wr_buf *text, const char *chars, size_t n) {
  int err = wr_buf_printf(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
  for (size_t i = 0; err == 0 && i < n; i += LINE_CHARS) {
    err = wr_buf_append(text, chars + i, WR_MIN(n - i, LINE_CHARS));
    if (err == 0) {
      err = wr_buf_put_u8(text, '\n');
    }
  }
  if (err == 0) {
    err = wr_buf_printf(text, "-----END OPENSSH PRIVATE KEY-----\n");
  }
  return err;
}

static int write_key(wr_mem *mem, const wr_key *key, const char *comment,
                     const sealing *s, wr_buf *out) {
  wr_buf priv;
  wr_buf bytes;
  wr_buf text;
  char *chars = NULL;
  size_t chars_size = 0;
  wr_buf_init(&priv, mem, WR_KEY_FILE_MAX);
  wr_buf_init(&bytes, mem, WR_KEY_FILE_MAX);
  wr_buf_init(&text, mem, WR_KEY_FILE_MAX);
  int err = put_box(&bytes, &priv, key, comment, s);
  if (err != 0) {
    goto out;
  }
  chars_size = wr_base64_len(bytes.len) + 1;
  chars = wr_alloc(mem, chars_size);
  if (chars == NULL) {
    err = WR_ENOMEM;
    goto out;
  }
  err = put_armor(&text, chars,
                  wr_base64_encode(chars, bytes.data, bytes.len, true));
  if (err == 0) {
    err = wr_buf_append(out, text.data, text.len);
  }
out:
  wr_free_secret(mem, chars, chars_size);
  wr_buf_wipe(&text);
  wr_buf_wipe(&bytes);
  wr_buf_wipe(&priv);
  return err;
}

int wr_key_write_private(const wr_key *key, const char *comment,
                         const char *passphrase, wr_buf *out) {
  sealing s = {.passphrase = passphrase};
  comment = comment == NULL ? "" : comment;
  /* To ssh-keygen an empty passphrase means none; whoever passes one here has
     asked for encryption, so it is refused. */
  if (!comment_is_fine(comment) ||
      (passphrase != NULL && passphrase[0] == '\0')) {
    return WR_EINVAL;
  }
  if (passphrase != NULL) {
    s.cipher = wr__cipher_find((wr_slice){(const uint8_t *)"aes256-ctr", 10});
    int err = random_bytes(s.salt, sizeof(s.salt));
    if (err != 0) {
      return err;
    }
  }
  return write_key(out->mem, key, comment, &s, out);
}

int wr_key_write_public(wr_slice blob, const char *comment, wr_buf *out) {
  comment = comment == NULL ? "" : comment;
  wr_slice type = wr_blob_type(blob);
  if (type.len == 0) {
    return WR_EKEY_FORMAT;
  }
  if (!comment_is_fine(comment)) {
    return WR_EINVAL;
  }
  char *chars = wr_alloc(out->mem, wr_base64_len(blob.len) + 1);
  if (chars == NULL) {
    return WR_ENOMEM;
  }
  wr_base64_encode(chars, blob.data, blob.len, true);
  int err = wr_buf_printf(out, "%.*s %s%s%s\n", (int)type.len,
                          (const char *)type.data, chars,
                          comment[0] == '\0' ? "" : " ", comment);
  wr_free(out->mem, chars);
  return err;
}
