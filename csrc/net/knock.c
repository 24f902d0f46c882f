#include "net/knock.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "net/tls_crypto.h"

#define LABEL "wraith knock v1"
#define TIME_LEN 8
#define STAMP_LEN (WR_KNOCK_NONCE + TIME_LEN)
#define PROOF_LEN (STAMP_LEN + WR_HMAC_SHA256_SIZE)
/* What the decoder wants for it. */
#define PROOF_ROOM (3 * (WR_KNOCK_TEXT / 4) + 3)

void wr_knock_cache_init(wr_knock_cache *c, wr_mem *mem, uint64_t seed,
                         size_t max) {
  memset(c, 0, sizeof(*c));
  c->mem = mem;
  c->seed = seed;
  c->max = max != 0 ? max : WR_KNOCK_CACHE;
}

static void drop_table(wr_knock_cache *c, size_t i) {
  if (c->tables[i].nonces != NULL) {
    c->count -= wr_map_count(c->tables[i].nonces);
    wr_map_free(c->tables[i].nonces);
    c->tables[i].nonces = NULL;
  }
}

void wr_knock_cache_reset(wr_knock_cache *c) {
  for (size_t i = 0; i < WR_KNOCK_TABLES; i++) {
    drop_table(c, i);
  }
}

/* Forgets what would be refused for its age. A clock that is set back later finds
   nothing forgotten that it would accept. */
static void forget(wr_knock_cache *c, uint64_t now_s) {
  uint64_t oldest = now_s > WR_KNOCK_SKEW_S ? now_s - WR_KNOCK_SKEW_S : 0;
  if (oldest <= c->oldest) {
    return;
  }
  c->oldest = oldest;
  for (size_t i = 0; i < WR_KNOCK_TABLES; i++) {
    if (c->tables[i].number < oldest / WR_KNOCK_SPAN_S) {
      drop_table(c, i);
    }
  }
}

/* The table of this second, made if there is none. NULL when out of memory, or
   when a clock that was set back needs more tables than there are. */
static wr_map *table_of(wr_knock_cache *c, uint64_t time_s) {
  uint64_t number = time_s / WR_KNOCK_SPAN_S;
  size_t i = (size_t)(number % WR_KNOCK_TABLES);
  if (c->tables[i].nonces != NULL) {
    return c->tables[i].number == number ? c->tables[i].nonces : NULL;
  }
  c->tables[i].nonces = wr_map_new(c->mem, c->seed, c->max);
  c->tables[i].number = number;
  return c->tables[i].nonces;
}

static wr_knock_verdict use_up(wr_knock_cache *c, const uint8_t *nonce,
                               uint64_t time_s) {
  wr_map *nonces = table_of(c, time_s);
  if (nonces == NULL) {
    return WR_KNOCK_FULL;
  }
  if (wr_map_get(nonces, nonce, WR_KNOCK_NONCE) != NULL) {
    return WR_KNOCK_REPLAYED;
  }
  if (c->count >= c->max || wr_map_set(nonces, nonce, WR_KNOCK_NONCE, c) != 0) {
    return WR_KNOCK_FULL;
  }
  c->count++;
  return WR_KNOCK_RIGHT;
}

/* Proxies change the case and the port of the Host field. */
static int plain_host(wr_slice host, uint8_t out[WR_KNOCK_HOST_MAX],
                      wr_slice *plain) {
  size_t len = host.len;
  while (len > 0 && host.data[len - 1] >= '0' && host.data[len - 1] <= '9') {
    len--;
  }
  len = len > 0 && host.data[len - 1] == ':' ? len - 1 : host.len;
  if (len > WR_KNOCK_HOST_MAX) {
    return WR_EINVAL;
  }
  for (size_t i = 0; i < len; i++) {
    out[i] = wr_lower(host.data[i]);
  }
  *plain = (wr_slice){out, len};
  return 0;
}

/* stamp: nonce and time as they travel. */
static int prove(wr_slice secret, const wr_knock *what, const uint8_t *stamp,
                 uint8_t mac[WR_HMAC_SHA256_SIZE]) {
  uint8_t lower[WR_KNOCK_HOST_MAX];
  wr_slice host;
  int err = plain_host(what->host, lower, &host);
  if (err != 0) {
    return err;
  }
  const wr_slice parts[] = {wr_slice_of(LABEL), what->method,  host, what->path,
                            {stamp, STAMP_LEN}, what->exporter};
  return wr_hmac_sha256(secret, parts, WR_COUNTOF(parts), mac);
}

static void swap(char *text, size_t len, const char *from, const char *to) {
  for (size_t i = 0; i < len; i++) {
    text[i] = text[i] == from[0] ? to[0] : text[i] == from[1] ? to[1] : text[i];
  }
}

int wr_knock_make(wr_slice secret, const wr_knock *what,
                  const uint8_t nonce[WR_KNOCK_NONCE], uint64_t now_s,
                  char out[WR_KNOCK_TEXT + 1]) {
  uint8_t proof[PROOF_LEN];
  memcpy(proof, nonce, WR_KNOCK_NONCE);
  wr_put_u64(proof + WR_KNOCK_NONCE, now_s);
  int err = prove(secret, what, proof, proof + STAMP_LEN);
  if (err != 0) {
    return err;
  }
  size_t len = wr_base64_encode(out, proof, sizeof(proof), false);
  WR_ASSERT(len == WR_KNOCK_TEXT);
  swap(out, len, "+/", "-_");
  return 0;
}

static bool decode(wr_slice token, uint8_t proof[PROOF_ROOM]) {
  char text[WR_KNOCK_TEXT];
  if (token.len != sizeof(text) || memchr(token.data, '+', token.len) != NULL ||
      memchr(token.data, '/', token.len) != NULL) {
    return false;
  }
  memcpy(text, token.data, sizeof(text));
  swap(text, sizeof(text), "-_", "+/");
  return wr_base64_decode(proof, text, sizeof(text)) == PROOF_LEN;
}

static bool in_time(const wr_knock_cache *c, uint64_t time_s, uint64_t now_s) {
  uint64_t off = time_s > now_s ? time_s - now_s : now_s - time_s;
  return off <= WR_KNOCK_SKEW_S && time_s >= c->oldest;
}

wr_knock_verdict wr_knock_check(wr_knock_cache *c, wr_slice secret,
                                const wr_knock *what, wr_slice token,
                                uint64_t now_s) {
  uint8_t proof[PROOF_ROOM];
  uint8_t mac[WR_HMAC_SHA256_SIZE];
  wr_rd r;
  if (!decode(token, proof)) {
    return WR_KNOCK_MALFORMED;
  }
  if (prove(secret, what, proof, mac) != 0 ||
      !wr_memeq(mac, proof + STAMP_LEN, sizeof(mac))) {
    return WR_KNOCK_WRONG;
  }
  wr_rd_init(&r, proof + WR_KNOCK_NONCE, TIME_LEN);
  uint64_t time_s = wr_rd_u64(&r);
  forget(c, now_s);
  if (!in_time(c, time_s, now_s)) {
    return WR_KNOCK_STALE;
  }
  return use_up(c, proof, time_s);
}
