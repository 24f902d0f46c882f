#ifndef WR_SSH_KEY_INTERNAL_H
#define WR_SSH_KEY_INTERNAL_H

#include "base/wire.h"
#include "ssh/key.h"

/* What the files about keys share. */
#define WR__ED25519 "ssh-ed25519"
#define WR__SK_ED25519 "sk-ssh-ed25519@openssh.com"
#define WR__SEED_SIZE 32
#define WR__PUBLIC_SIZE 32
#define WR__BLOB_SIZE (4 + 11 + 4 + WR__PUBLIC_SIZE)
/* A blob of a plain key is never larger: RSA with 16384 bits, as OpenSSH
   allows, makes some 2080 bytes. */
#define WR__BLOB_MAX ((size_t)4096)

/* The seed of a private key in text; the slow half of wr_key_parse, which may
   run on any thread: `mem` is for this call only. Errors as wr_key_parse. */
WR_NODISCARD int wr__key_read_seed(wr_mem *mem, const void *text, size_t len,
                                   const char *passphrase,
                                   uint8_t seed[WR__SEED_SIZE]);
/* 0, WR_ENOMEM. */
WR_NODISCARD int
wr__key_from_seed(wr_mem *mem, const uint8_t seed[WR__SEED_SIZE], wr_key **out);
/* The public key that belongs to a seed. 0, WR_ENOMEM. */
WR_NODISCARD int wr__seed_public(const uint8_t seed[WR__SEED_SIZE],
                                 uint8_t pub[WR__PUBLIC_SIZE]);

/* The 32 bytes in a blob that is exactly an Ed25519 key; else NULL. */
const uint8_t *wr__blob_ed25519(wr_slice blob);
/* A name of a key type that OpenSSH knows, certificates included. */
bool wr__key_type_known(wr_slice type);
/* True for a plain key of a known type whose parts end where the blob does. */
bool wr__blob_well_formed(wr_slice blob);

/* One blank-separated word ("blank": space or tab) from the front of *rest,
   blanks before it skipped; empty at the end. */
wr_slice wr__next_word(wr_slice *rest);

/* Ciphers of encrypted OpenSSH keys. */
typedef struct wr__cipher {
  const char *name;
  const char *evp; /* NULL: chacha20-poly1305@openssh.com */
  size_t key_bytes;
  size_t iv_bytes;
  size_t block_bytes;
  size_t tag_bytes; /* 0 without authentication */
} wr__cipher;

/* NULL if not known. */
const wr__cipher *wr__cipher_find(wr_slice name);
/* Key and IV come from the passphrase by bcrypt. len bytes at src to dst. On
   decryption `tag` is checked; encryption is for ciphers without one. 0,
   WR_EKEY_PASSPHRASE, WR_EKEY_FORMAT (cipher not built in), WR_ENOMEM. */
WR_NODISCARD int wr__cipher_run(const wr__cipher *cipher, bool encrypt,
                                const char *passphrase, wr_slice salt,
                                uint32_t rounds, wr_slice src, wr_slice tag,
                                uint8_t *dst);

/* The seed in the DER of a PKCS #8 key, encrypted or not. */
WR_NODISCARD int wr__pkcs8_seed(wr_slice der, uint8_t seed[WR__SEED_SIZE]);
WR_NODISCARD int wr__pkcs8_seed_encrypted(wr_slice der, const char *passphrase,
                                          uint8_t seed[WR__SEED_SIZE]);

#endif /* !defined(WR_SSH_KEY_INTERNAL_H) */
