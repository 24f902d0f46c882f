#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

/* OpenSSH's PROTOCOL.key. The zero at the end of the literal belongs to it. */
static const char magic[] = "openssh-key-v1";
/* A hostile file could keep a thread of the pool busy for days; ssh-keygen
   uses 16 or 24, and 4096 are half a minute. */
#define BCRYPT_ROUNDS_MAX 4096
#define PLAIN_BLOCK 8

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

/* The text between the lines BEGIN and END (RFC 7468). */
typedef struct armor {
  wr_slice label;
  wr_slice body;
} armor;

/* An OpenSSH key file. */
typedef struct box {
  wr_slice cipher;
  wr_slice kdf;
  wr_slice kdf_options;
  wr_slice pub;  /* the blob in clear text */
  wr_slice priv; /* encrypted if there is a cipher */
  wr_slice tag;
} box;

static bool starts_with(wr_slice s, const char *prefix) {
  size_t n = strlen(prefix);
  return s.len >= n && memcmp(s.data, prefix, n) == 0;
}

static bool is_space(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next line without its end and the blanks there. */
static wr_slice next_line(wr_slice *rest) {
  const uint8_t *lf = memchr(rest->data, '\n', rest->len);
  size_t n = lf == NULL ? rest->len : (size_t)(lf - rest->data) + 1;
  wr_slice line = {rest->data, n};
  rest->data += n;
  rest->len -= n;
  while (line.len > 0 && is_space(line.data[line.len - 1])) {
    line.len--;
  }
  return line;
}

/* What stands between prefix and DASHES, {NULL, 0} if it is no such line. */
static wr_slice label_of(wr_slice line, const char *prefix) {
  size_t head = strlen(prefix);
  size_t tail = strlen(DASHES);
  if (!starts_with(line, prefix) || line.len < head + tail ||
      memcmp(line.data + line.len - tail, DASHES, tail) != 0) {
    return (wr_slice){NULL, 0};
  }
  return (wr_slice){line.data + head, line.len - head - tail};
}

/* Text before the first BEGIN is skipped. */
static int find_armor(const void *text, size_t len, armor *out) {
  if (len == 0 || len > WR_KEY_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  wr_slice rest = {text, len};
  if (starts_with(rest, "\xef\xbb\xbf")) {
    rest.data += 3;
    rest.len -= 3;
  }
  wr_slice label = {NULL, 0};
  while (rest.len > 0 && label.data == NULL) {
    label = label_of(next_line(&rest), BEGIN);
  }
  const uint8_t *body = rest.data;
  while (rest.len > 0) {
    wr_slice line = next_line(&rest);
    wr_slice end = label_of(line, END);
    if (end.data != NULL) {
      *out = (armor){label, {body, (size_t)(line.data - body)}};
      return wr_slice_same(label, end) ? 0 : WR_EKEY_FORMAT;
    }
  }
  return WR_EKEY_FORMAT;
}

/* Copies at most cap characters that are not white space. */
static size_t squeeze(char *dst, size_t cap, wr_slice body) {
  size_t n = 0;
  for (size_t i = 0; i < body.len && n < cap; i++) {
    if (!is_space(body.data[i])) {
      dst[n++] = (char)body.data[i];
    }
  }
  return n;
}

/* Whether the armor is one of PEM's old forms, none of which knows Ed25519. */
static bool is_old_pem(const armor *a) {
  return wr_slice_eq(a->label, "RSA PRIVATE KEY") ||
         wr_slice_eq(a->label, "EC PRIVATE KEY") ||
         wr_slice_eq(a->label, "DSA PRIVATE KEY");
}

static int parse_box(wr_slice bytes, box *out) {
  wr_rd r;
  wr_rd_init(&r, bytes.data, bytes.len);
  wr_slice mark = wr_rd_bytes(&r, sizeof(magic));
  box b = {.cipher = wr_rd_string(&r)};
  b.kdf = wr_rd_string(&r);
  b.kdf_options = wr_rd_string(&r);
  uint32_t keys = wr_rd_u32(&r);
  b.pub = wr_rd_string(&r);
  b.priv = wr_rd_string(&r);
  b.tag = wr_rd_bytes(&r, r.left);
  if (r.bad || memcmp(mark.data, magic, sizeof(magic)) != 0 || keys != 1) {
    return WR_EKEY_FORMAT;
  }
  if (wr__blob_ed25519(b.pub) == NULL) {
    wr_slice type = wr_blob_type(b.pub);
    return wr__key_type_known(type) && !wr_slice_eq(type, WR__ED25519)
               ? WR_EKEY_TYPE
               : WR_EKEY_FORMAT;
  }
  *out = b;
  return 0;
}

/* The decrypted section. `mismatch` is what differing check numbers mean. */
static int parse_private(const box *b, wr_slice plain, size_t block,
                         int mismatch, uint8_t seed[WR__SEED_SIZE]) {
  const uint8_t *want = wr__blob_ed25519(b->pub);
  uint8_t made[WR__PUBLIC_SIZE];
  wr_rd r;
  wr_rd_init(&r, plain.data, plain.len);
  uint32_t check1 = wr_rd_u32(&r);
  uint32_t check2 = wr_rd_u32(&r);
  if (r.bad || check1 != check2) {
    return mismatch;
  }
  wr_slice type = wr_rd_string(&r);
  wr_slice pub = wr_rd_string(&r);
  wr_slice secret = wr_rd_string(&r);
  wr_rd_string(&r); /* the comment */
  if (r.bad || r.left >= block || !wr_slice_eq(type, WR__ED25519) ||
      pub.len != WR__PUBLIC_SIZE ||
      secret.len != WR__SEED_SIZE + WR__PUBLIC_SIZE) {
    return WR_EKEY_FORMAT;
  }
  for (uint8_t pad = 1; r.left > 0; pad++) {
    if (wr_rd_u8(&r) != pad) {
      return WR_EKEY_FORMAT;
    }
  }
  /* All three copies of the public key must be the one of the seed: signing
     with another one would give the seed away. */
  int err = wr__seed_public(secret.data, made);
  if (err != 0) {
    return err;
  }
  if (memcmp(made, want, sizeof(made)) != 0 ||
      memcmp(made, pub.data, sizeof(made)) != 0 ||
      memcmp(made, secret.data + WR__SEED_SIZE, sizeof(made)) != 0) {
    return WR_EKEY_FORMAT;
  }
  memcpy(seed, secret.data, WR__SEED_SIZE);
  return 0;
}

static int decrypt_box(wr_mem *mem, const box *b, const char *passphrase,
                       uint8_t seed[WR__SEED_SIZE]) {
  wr_rd r;
  wr_rd_init(&r, b->kdf_options.data, b->kdf_options.len);
  wr_slice salt = wr_rd_string(&r);
  uint32_t rounds = wr_rd_u32(&r);
  const wr__cipher *cipher = wr__cipher_find(b->cipher);
  if (cipher == NULL || !wr_slice_eq(b->kdf, "bcrypt") || !wr_rd_done(&r) ||
      salt.len == 0 || rounds == 0 || rounds > BCRYPT_ROUNDS_MAX ||
      b->priv.len == 0 || b->priv.len % cipher->block_bytes != 0 ||
      b->tag.len != cipher->tag_bytes) {
    return WR_EKEY_FORMAT;
  }
  if (passphrase == NULL || passphrase[0] == '\0') {
    return WR_EKEY_PASSPHRASE;
  }
  uint8_t *plain = wr_alloc(mem, b->priv.len);
  if (plain == NULL) {
    return WR_ENOMEM;
  }
  int err = wr__cipher_run(cipher, false, passphrase, salt, rounds, b->priv,
                           b->tag, plain);
  if (err == 0) {
    err = parse_private(b, (wr_slice){plain, b->priv.len}, cipher->block_bytes,
                        WR_EKEY_PASSPHRASE, seed);
  }
  wr_free_secret(mem, plain, b->priv.len);
  return err;
}

static int box_seed(wr_mem *mem, wr_slice bytes, const char *passphrase,
                    uint8_t seed[WR__SEED_SIZE]) {
  box b;
  int err = parse_box(bytes, &b);
  if (err != 0) {
    return err;
  }
  if (!wr_slice_eq(b.cipher, "none")) {
    return decrypt_box(mem, &b, passphrase, seed);
  }
  if (!wr_slice_eq(b.kdf, "none") || b.kdf_options.len != 0 || b.tag.len != 0 ||
      b.priv.len % PLAIN_BLOCK != 0) {
    return WR_EKEY_FORMAT;
  }
  /* ssh-keygen fills to 8 bytes, others to the 16 of AES. */
  return parse_private(&b, b.priv, 16, WR_EKEY_FORMAT, seed);
}

static int armor_seed(wr_mem *mem, const armor *a, wr_slice bytes,
                      const char *passphrase, uint8_t seed[WR__SEED_SIZE]) {
  if (wr_slice_eq(a->label, "OPENSSH PRIVATE KEY")) {
    return box_seed(mem, bytes, passphrase, seed);
  }
  if (wr_slice_eq(a->label, "PRIVATE KEY")) {
    return wr__pkcs8_seed(bytes, seed);
  }
  if (wr_slice_eq(a->label, "ENCRYPTED PRIVATE KEY")) {
    return wr__pkcs8_seed_encrypted(bytes, passphrase, seed);
  }
  return WR_EKEY_FORMAT;
}

int wr__key_read_seed(wr_mem *mem, const void *text, size_t len,
                      const char *passphrase, uint8_t seed[WR__SEED_SIZE]) {
  armor a;
  char *chars = NULL;
  uint8_t *bytes = NULL;
  size_t bytes_size = 0;
  int err = find_armor(text, len, &a);
  if (err != 0) {
    return err;
  }
  if (is_old_pem(&a)) {
    return WR_EKEY_TYPE;
  }
  if (a.body.len == 0) {
    return WR_EKEY_FORMAT;
  }
  chars = wr_alloc(mem, a.body.len);
  if (chars == NULL) {
    err = WR_ENOMEM;
    goto out;
  }
  size_t n = squeeze(chars, a.body.len, a.body);
  bytes_size = 3 * (n / 4) + 3;
  bytes = wr_alloc(mem, bytes_size);
  if (bytes == NULL) {
    err = WR_ENOMEM;
    goto out;
  }
  long n_bytes = wr_base64_decode(bytes, chars, n);
  if (n_bytes <= 0) {
    err = WR_EKEY_FORMAT;
    goto out;
  }
  err =
      armor_seed(mem, &a, (wr_slice){bytes, (size_t)n_bytes}, passphrase, seed);
out:
  wr_free_secret(mem, bytes, bytes_size);
  wr_free_secret(mem, chars, a.body.len);
  return err;
}

/* From the first bytes of the file, which are not secret. */
static int box_is_encrypted(wr_slice body) {
  char chars[128];
  uint8_t bytes[3 * (sizeof(chars) / 4) + 3];
  size_t n = squeeze(chars, sizeof(chars), body);
  long n_bytes = wr_base64_decode(bytes, chars, n);
  if (n_bytes < 0) {
    return WR_EKEY_FORMAT;
  }
  wr_rd r;
  wr_rd_init(&r, bytes, (size_t)n_bytes);
  wr_slice mark = wr_rd_bytes(&r, sizeof(magic));
  wr_slice cipher = wr_rd_string(&r);
  wr_bzero(chars, sizeof(chars));
  if (r.bad || memcmp(mark.data, magic, sizeof(magic)) != 0) {
    return WR_EKEY_FORMAT;
  }
  return wr_slice_eq(cipher, "none") ? 0 : 1;
}

int wr_key_is_encrypted(const void *text, size_t len) {
  armor a;
  int err = find_armor(text, len, &a);
  if (err != 0) {
    return err;
  }
  if (wr_slice_eq(a.label, "OPENSSH PRIVATE KEY")) {
    return box_is_encrypted(a.body);
  }
  if (wr_slice_eq(a.label, "ENCRYPTED PRIVATE KEY")) {
    return 1;
  }
  if (is_old_pem(&a)) {
    return starts_with(a.body, "Proc-Type: 4,ENCRYPTED") ? 1 : 0;
  }
  return wr_slice_eq(a.label, "PRIVATE KEY") ? 0 : WR_EKEY_FORMAT;
}
