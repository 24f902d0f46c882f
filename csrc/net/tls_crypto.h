#ifndef WR_NET_TLS_CRYPTO_H
#define WR_NET_TLS_CRYPTO_H

#include "base/common.h"

/* The little cryptography that net/ needs beside TLS, so that OpenSSL stays in
   files of one name. Both return 0 or WR_ENOMEM. */
#define WR_SHA1_SIZE 20
#define WR_HMAC_SHA256_SIZE 32

/* For the handshake of WebSocket, which asks for it; it secures nothing. */
WR_NODISCARD int wr_sha1(wr_slice data, uint8_t out[WR_SHA1_SIZE]);
/* Over the n parts, one after the other. */
WR_NODISCARD int wr_hmac_sha256(wr_slice key, const wr_slice *parts, size_t n,
                                uint8_t out[WR_HMAC_SHA256_SIZE]);

#endif /* !defined(WR_NET_TLS_CRYPTO_H) */
