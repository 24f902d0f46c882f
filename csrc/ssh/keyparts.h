#ifndef WR_SSH_KEYPARTS_H
#define WR_SSH_KEYPARTS_H

#include "ssh/key_internal.h"

/* What a plain key or a certificate of any type consists of, as far as
   revocation asks. Nothing is verified here: no signature, no validity. */

/* A larger certificate is not taken apart (WR_CERT_BLOB_MAX is the same). */
#define WR__KEYPARTS_MAX ((size_t)64 * 1024)

typedef struct wr__keyparts {
  uint8_t plain[WR__BLOB_MAX]; /* the key itself, or the one certified */
  size_t plain_len;
  bool is_cert; /* what follows is of a certificate only */
  uint64_t serial;
  wr_slice key_id;    /* without the zero byte that OpenSSH lets it end with */
  wr_slice authority; /* a plain key */
} wr__keyparts;

/* Slices borrow from the blob. False if it is neither, of an unknown type, or
   not the one way to write its key. */
bool wr__keyparts_read(wr_slice blob, wr__keyparts *out);
/* Whether the blob is a plain key of a known type, written in the one way that
   there is for it (no needless zeroes in front of numbers, no point of another
   curve): keys are compared by their blobs, so that another way of writing a
   revoked key must not pass for another key. */
bool wr__keyparts_plain(wr_slice blob);
/* A text that must not hold a zero byte but may end with one, as OpenSSH reads
   such texts: the text without it. False if there is one before the end. */
bool wr__keyparts_text(wr_slice raw, wr_slice *text);

#endif /* !defined(WR_SSH_KEYPARTS_H) */
