/* Host certificates as ssh-keygen -s -h makes them. Header only. */
#ifndef WR_TEST_C_HOST_CERT_H
#define WR_TEST_C_HOST_CERT_H

#include "base/wire.h"
#include "ssh/cert.h"
#include "ssh/key.h"
#include "tap.h"

#define HOST_CERT_MAX ((size_t)256 * 1024)

typedef struct host_cert {
  const wr_key *key;
  const wr_key *authority;
  const char *names[4]; /* up to the first NULL */
  uint64_t after, before;
  wr_cert_kind kind;
  const char *critical; /* an option without value; NULL: none */
  bool forged;          /* the signature is that of the key itself */
} host_cert;

/* Of the host "host" for ever, changed as the test likes. */
TAP_UNUSED static host_cert host_cert_of(const wr_key *key,
                                         const wr_key *authority) {
  return (host_cert){.key = key,
                     .authority = authority,
                     .names = {"host"},
                     .before = UINT64_MAX,
                     .kind = WR_CERT_HOST};
}

TAP_UNUSED static void host_cert_put_names(const host_cert *h, wr_buf *out) {
  wr_buf list;
  wr_buf_init(&list, out->mem, HOST_CERT_MAX);
  for (size_t i = 0; i < WR_COUNTOF(h->names) && h->names[i] != NULL; i++) {
    MUST(wr_buf_put_cstring(&list, h->names[i]) == 0);
  }
  MUST(wr_buf_put_string(out, list.data, list.len) == 0);
  wr_buf_reset(&list);
}

TAP_UNUSED static void host_cert_put_critical(const host_cert *h, wr_buf *out) {
  wr_buf list;
  wr_buf_init(&list, out->mem, HOST_CERT_MAX);
  if (h->critical != NULL) {
    MUST(wr_buf_put_cstring(&list, h->critical) == 0);
    MUST(wr_buf_put_cstring(&list, "") == 0);
  }
  MUST(wr_buf_put_string(out, list.data, list.len) == 0);
  wr_buf_reset(&list);
}

/* The blob, appended. */
TAP_UNUSED static void host_cert_write(const host_cert *h, wr_buf *out) {
  wr_slice key = wr_key_blob(h->key);
  wr_slice authority = wr_key_blob(h->authority);
  size_t from = out->len;
  wr_buf sig;
  MUST(wr_buf_put_cstring(out, WR_CERT_ED25519) == 0);
  MUST(wr_buf_put_cstring(out, "a nonce") == 0);
  MUST(wr_buf_append(out, key.data + 15, key.len - 15) == 0);
  MUST(wr_buf_put_u64(out, 7) == 0);
  MUST(wr_buf_put_u32(out, h->kind) == 0);
  MUST(wr_buf_put_cstring(out, "an id") == 0);
  host_cert_put_names(h, out);
  MUST(wr_buf_put_u64(out, h->after) == 0);
  MUST(wr_buf_put_u64(out, h->before) == 0);
  host_cert_put_critical(h, out);
  MUST(wr_buf_put_cstring(out, "") == 0);
  MUST(wr_buf_put_cstring(out, "") == 0);
  MUST(wr_buf_put_string(out, authority.data, authority.len) == 0);
  wr_buf_init(&sig, out->mem, HOST_CERT_MAX);
  MUST(wr_key_sign(h->forged ? h->key : h->authority, out->data + from,
                   out->len - from, &sig) == 0);
  MUST(wr_buf_put_string(out, sig.data, sig.len) == 0);
  wr_buf_reset(&sig);
}

#endif /* !defined(WR_TEST_C_HOST_CERT_H) */
