#ifndef WR_NET_KNOCK_H
#define WR_NET_KNOCK_H

#include "base/map.h"

/* The proof that a client knows the stealth secret: one field of an ordinary
   upgrade request,

     Authorization: Bearer base64url(nonce 16 | time 8 | mac 32)

   docs/reference/knock.md has the details and test vectors. */
/* Of the TLS exporter value (RFC 5705), which has no context. */
#define WR_KNOCK_LABEL "EXPORTER-wraith-knock"
#define WR_KNOCK_NONCE 16
#define WR_KNOCK_TEXT 75      /* characters of the token, without padding */
#define WR_KNOCK_SKEW_S 60    /* either way */
#define WR_KNOCK_CACHE 100000 /* nonces */
#define WR_KNOCK_HOST_MAX 300

/* What the proof is about. */
typedef struct wr_knock {
  wr_slice method;
  wr_slice host; /* as in the Host field; case and port do not count */
  wr_slice path;
  wr_slice exporter; /* of the TLS connection; empty where TLS ends elsewhere */
} wr_knock;

typedef enum wr_knock_verdict {
  WR_KNOCK_RIGHT = 0,
  WR_KNOCK_MALFORMED,
  WR_KNOCK_WRONG,    /* another secret, or made for something else */
  WR_KNOCK_STALE,    /* from too long ago, or from the future */
  WR_KNOCK_REPLAYED, /* this nonce was accepted before */
  WR_KNOCK_FULL      /* no memory for one more nonce */
} wr_knock_verdict;

/* The nonces of accepted knocks, kept while these could still be in time: one
   table for each run of seconds, thrown away as a whole. Only who knows the secret
   can fill it. */
#define WR_KNOCK_SPAN_S 30 /* seconds of one table */
#define WR_KNOCK_TABLES 6  /* enough for 121 seconds wherever they begin */
typedef struct wr_knock_cache {
  /* private */
  wr_mem *mem;
  uint64_t seed;
  size_t max;
  size_t count;
  uint64_t oldest; /* what is from before this second may be forgotten */
  struct {
    uint64_t number; /* which run of seconds */
    wr_map *nonces;  /* NULL: none yet */
  } tables[WR_KNOCK_TABLES];
} wr_knock_cache;

/* seed: random. max nonces; 0: WR_KNOCK_CACHE. Allocates nothing. */
void wr_knock_cache_init(wr_knock_cache *c, wr_mem *mem, uint64_t seed,
                         size_t max);
void wr_knock_cache_reset(wr_knock_cache *c);

/* now_s: seconds since 1970. Writes WR_KNOCK_TEXT characters and a zero. 0,
   WR_EINVAL (a host that is too long) or WR_ENOMEM. */
WR_NODISCARD int wr_knock_make(wr_slice secret, const wr_knock *what,
                               const uint8_t nonce[WR_KNOCK_NONCE],
                               uint64_t now_s, char out[WR_KNOCK_TEXT + 1]);
/* token: what follows "Bearer ". The nonce of a right one is used up by this. */
wr_knock_verdict wr_knock_check(wr_knock_cache *c, wr_slice secret,
                                const wr_knock *what, wr_slice token,
                                uint64_t now_s);

#endif /* !defined(WR_NET_KNOCK_H) */
