#include "ssh/hostcert.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"
#include "ssh/transport.h"

static int check_kind(wr_slice blob, const wr_key *host_key, const char **why) {
  wr_cert cert;
  int err = wr_cert_parse(blob, &cert);
  if (err != 0 || !wr_slice_eq(cert.type, WR_CERT_ED25519)) {
    *why = "it is not a certificate of an Ed25519 key";
    return err != 0 ? err : WR_EKEY_TYPE;
  }
  if (cert.kind != WR_CERT_HOST) {
    *why = "it is a user certificate, not one of a host";
    return WR_ECERT_MISMATCH;
  }
  if (!wr_slice_same((wr_slice){cert.key, cert.key_len},
                     wr_key_blob(host_key))) {
    *why = "it certifies another key than the host key";
    return WR_ECERT_MISMATCH;
  }
  return 0;
}

int wr_hostcert_read(const char *text, size_t len, const wr_key *host_key,
                     wr_buf *out, const char **why) {
  wr_buf blob;
  wr_buf_init(&blob, out->mem, WR_HOST_KEY_MAX);
  *why = "it is not one line as ssh-keygen -s writes it";
  int err = wr_blob_parse_line(text, len, &blob);
  if (err == 0) {
    err = check_kind((wr_slice){blob.data, blob.len}, host_key, why);
  }
  if (err == 0) {
    err = wr_buf_append(out, blob.data, blob.len);
  }
  wr_buf_reset(&blob);
  return err;
}

int wr_hostcert_key(wr_slice blob, wr_buf *out) {
  wr_rd r;
  wr_buf key;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  wr_rd_string(&r); /* the nonce */
  wr_slice pub = wr_rd_string(&r);
  if (!wr_slice_eq(type, WR_CERT_ED25519) || pub.len != WR__PUBLIC_SIZE) {
    return WR_EKEY_FORMAT;
  }
  wr_buf_init(&key, out->mem, WR__BLOB_SIZE);
  int err = wr_buf_put_cstring(&key, WR__ED25519);
  err = err != 0 ? err : wr_buf_put_string(&key, pub.data, pub.len);
  err = err != 0 ? err : wr_buf_append(out, key.data, key.len);
  wr_buf_reset(&key);
  return err;
}

const char *wr_hostcert_fault(const wr_cert *cert, const char *host,
                              uint64_t now_s) {
  if (cert->kind != WR_CERT_HOST) {
    return "is not one of a host";
  }
  if (now_s < cert->valid_after_s) {
    return "is not valid yet";
  }
  if (now_s >= cert->valid_before_s) {
    return "has expired";
  }
  if (cert->principals.len == 0) {
    return "names no host";
  }
  if (host != NULL &&
      !wr_cert_has_principal(cert,
                             (wr_slice){(const uint8_t *)host, strlen(host)})) {
    return "does not name this host";
  }
  if (cert->critical.len > 0) {
    return "has critical options";
  }
  return wr_cert_verify(cert) == 0 ? NULL : "is not signed by its authority";
}
