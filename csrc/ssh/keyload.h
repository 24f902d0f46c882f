#ifndef WR_SSH_KEYLOAD_H
#define WR_SSH_KEYLOAD_H

#include "loop/ctx.h"
#include "ssh/key.h"

/* Parses (decrypts) a private key on libuv's pool, away from the loop. */
typedef struct wr_keyload wr_keyload;
/* Once, later. status 0: the reference is the callee's. */
typedef void (*wr_keyload_cb)(void *user, int status, wr_key *key);

/* text and passphrase (may be NULL) are copied and wiped after use. */
WR_NODISCARD int wr_keyload_start(wr_ctx *ctx, const void *text, size_t len,
                                  const char *passphrase, wr_keyload_cb cb,
                                  void *user, wr_keyload **out);
/* The callback will not come. */
void wr_keyload_cancel(wr_keyload *load);

#endif /* !defined(WR_SSH_KEYLOAD_H) */
