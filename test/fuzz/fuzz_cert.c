/* Certificates: what is taken apart lies within the blob, its lists end, the
   certified key is one that can be used, and no other byte at the end of the
   signature verifies. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/cert.h"
#include "ssh/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(const wr_cert *cert, wr_slice s) {
  const uint8_t *end = cert->blob.data + cert->blob.len;
  WR_ASSERT(s.data >= cert->blob.data && s.data <= end);
  WR_ASSERT(s.len <= (size_t)(end - s.data));
}

static void check_principals(const wr_cert *cert) {
  size_t n = 0;
  wr_slice rest = cert->principals;
  wr_slice name;
  while (wr_cert_next_principal(&rest, &name)) {
    check_within(cert, name);
    WR_ASSERT(!wr_slice_has_nul(name));
    WR_ASSERT(wr_cert_has_principal(cert, name));
    WR_ASSERT(++n <= WR_CERT_PRINCIPALS_MAX);
  }
  WR_ASSERT(rest.len == 0);
}

static void check_options(const wr_cert *cert) {
  wr_cert_opts o;
  int err = wr_cert_read_opts(cert, &o);
  WR_ASSERT(err == 0 || err == WR_EKEY_OPTIONS);
  if (err == 0 && o.source_address.data != NULL) {
    check_within(cert, o.source_address);
  }
}

/* Of one and the same certificate with one bit changed, one at most is good. */
static void check_signature(const wr_cert *cert, uint8_t *copy) {
  wr_cert other;
  memcpy(copy, cert->blob.data, cert->blob.len);
  copy[cert->blob.len - 1] ^= 1;
  int err = wr_cert_verify(cert);
  WR_ASSERT(err == 0 || err == WR_EAUTH_REFUSED);
  if (wr_cert_parse((wr_slice){copy, cert->blob.len}, &other) == 0) {
    WR_ASSERT(err != 0 || wr_cert_verify(&other) != 0);
  }
}

static void check_cert(const wr_cert *cert, uint8_t *copy) {
  check_within(cert, cert->type);
  check_within(cert, cert->key_id);
  check_within(cert, cert->authority);
  check_within(cert, cert->signature);
  WR_ASSERT(wr_cert_type(cert->type));
  WR_ASSERT(wr_sig_key_usable((wr_slice){cert->key, cert->key_len}));
  WR_ASSERT(cert->signed_len + 4 + cert->signature.len == cert->blob.len);
  WR_ASSERT(cert->kind == WR_CERT_USER || cert->kind == WR_CERT_HOST);
  check_principals(cert);
  check_options(cert);
  check_signature(cert, copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t copy[WR_CERT_BLOB_MAX];
  wr_cert cert;
  wr_slice blob = {data, size};
  int err = wr_cert_parse(blob, &cert);
  if (err == 0) {
    check_cert(&cert, copy);
  } else {
    WR_ASSERT(err == WR_EKEY_FORMAT || err == WR_EKEY_TYPE);
  }
  /* The same bytes as a key and as a signature. */
  WR_ASSERT(wr_sig_verify(blob, blob, data, size, NULL) != 0);
  return 0;
}
