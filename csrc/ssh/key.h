#ifndef WR_SSH_KEY_H
#define WR_SSH_KEY_H

#include "base/buf.h"
#include "base/mem.h"

/* SSH keys. Public keys travel as blobs (RFC 4253, section 6.6); a wr_key is a
   private key with its blob. Counted references, one thread. */
typedef struct wr_key wr_key;

#define WR_KEY_FILE_MAX ((size_t)64 * 1024)
#define WR_FINGERPRINT_MAX 64 /* "SHA256:" + 43 characters + zero */

/* Reads an OpenSSH or PEM private key. 0, WR_EKEY_FORMAT, WR_EKEY_TYPE (not
   Ed25519), WR_EKEY_PASSPHRASE (encrypted and passphrase NULL or wrong),
   WR_ENOMEM. Decrypting takes long on purpose (bcrypt): see wr_key_load. */
WR_NODISCARD int wr_key_parse(wr_mem *mem, const void *text, size_t len,
                              const char *passphrase, wr_key **out);
/* 1 if the text is an encrypted private key, 0 if not, WR_EKEY_FORMAT. */
int wr_key_is_encrypted(const void *text, size_t len);
WR_NODISCARD int wr_key_generate(wr_mem *mem, wr_key **out);
wr_key *wr_key_ref(wr_key *key);
void wr_key_unref(wr_key *key); /* NULL is fine; the secret is wiped */
wr_slice wr_key_blob(const wr_key *key);
/* The 32-byte Ed25519 seed (RFC 8032), for deriving an endpoint key. */
WR_NODISCARD int wr_key_seed(const wr_key *key, uint8_t seed[32]);

/* An SSH signature blob (string algorithm, string signature) appended to out. */
WR_NODISCARD int wr_key_sign(const wr_key *key, const void *data, size_t len,
                             wr_buf *out);

/* The private key in OpenSSH form (encrypted if passphrase is not NULL, with
   aes256-ctr and bcrypt), and the public line "ssh-ed25519 AAAA… comment\n". */
WR_NODISCARD int wr_key_write_private(const wr_key *key, const char *comment,
                                      const char *passphrase, wr_buf *out);
WR_NODISCARD int wr_key_write_public(wr_slice blob, const char *comment,
                                     wr_buf *out);

/* The algorithm name at the front of a public key blob; {NULL, 0} if broken. */
wr_slice wr_blob_type(wr_slice blob);
/* "SHA256:…" as ssh-keygen -l prints it. */
void wr_blob_fingerprint(wr_slice blob, char dst[WR_FINGERPRINT_MAX]);
/* Reads "type base64 [comment]" with one blank or more between. The blob is
   appended to out; checks that the type inside the blob is the same. 0,
   WR_EKEY_FORMAT, WR_ENOMEM. */
WR_NODISCARD int wr_blob_parse_line(const char *line, size_t len, wr_buf *out);

#endif /* !defined(WR_SSH_KEY_H) */
