#include "napi/cert.h"

#include <inttypes.h>

#include "napi/keys.h"
#include "napi/methods.h"
#include "ssh/hostcert.h"

/* JavaScript's numbers are too small for these. */
static void put_u64(wrn_json *j, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%" PRIu64, value);
  wrn_json_str(j, key, digits);
}

static void put_principals(wrn_json *j, const wr_cert *cert) {
  wr_slice rest = cert->principals;
  wr_slice name;
  wrn_json_list_begin(j, "principals");
  while (wr_cert_next_principal(&rest, &name)) {
    wrn_json_list_item(j, name);
  }
  wrn_json_list_end(j);
}

/* An object of its own. */
static void put_certificate(wrn_json *j, const wr_cert *cert) {
  char authority[WR_FINGERPRINT_MAX];
  wr_blob_fingerprint(cert->authority, authority);
  wrn_json_bytes(j, "keyId", cert->key_id);
  put_u64(j, "serial", cert->serial);
  put_principals(j, cert);
  wrn_json_str(j, "authorityFingerprint", authority);
  put_u64(j, "validAfter", cert->valid_after_s);
  put_u64(j, "validBefore", cert->valid_before_s);
}

static void keep_error(wrn_json *j, int err) {
  j->err = j->err != 0 ? j->err : err;
}

static void put_line(wrn_json *j, wr_mem *mem, const char *key, wr_slice blob) {
  wr_buf line;
  int err = wrn_blob_line(mem, blob, &line);
  if (err == 0) {
    wrn_json_str(j, key, (const char *)line.data);
  }
  keep_error(j, err);
  wr_buf_reset(&line);
}

static void put_plain(wrn_json *j, wr_mem *mem, wr_slice blob) {
  char fingerprint[WR_FINGERPRINT_MAX];
  wr_blob_fingerprint(blob, fingerprint);
  wrn_json_bytes(j, "type", wr_blob_type(blob));
  wrn_json_str(j, "fingerprint", fingerprint);
  put_line(j, mem, "publicKey", blob);
}

/* What can be used of one that cannot be read: the key. */
static void put_key_in_front(wrn_json *j, wr_mem *mem, wr_slice blob) {
  wr_buf key;
  wr_buf_init(&key, mem, WR_CERT_KEY_MAX);
  int err = wr_hostcert_key(blob, &key);
  if (err == 0) {
    put_plain(j, mem, (wr_slice){key.data, key.len});
  }
  keep_error(j, err);
  wr_buf_reset(&key);
}

void wrn_json_certificate(wrn_json *j, const wr_cert *cert) {
  wrn_json inner;
  wrn_json_begin(&inner, j->buf.mem);
  put_certificate(&inner, cert);
  int err = wrn_json_end(&inner);
  if (err == 0) {
    wrn_json_raw(j, "certificate", (wr_slice){inner.buf.data, inner.buf.len});
  }
  keep_error(j, err);
  wrn_json_free(&inner);
}

void wrn_put_certificate(wrn_call *c, napi_value obj, const char *key,
                         const wr_cert *cert) {
  wrn_json json;
  wrn_json_begin(&json, &c->env->ctx.mem);
  put_certificate(&json, cert);
  if (wrn_fail(c, wrn_json_end(&json)) == 0) {
    wrn_put_slice(c, obj, key, (wr_slice){json.buf.data, json.buf.len});
  }
  wrn_json_free(&json);
}

void wrn_json_host_key(wrn_json *j, wr_mem *mem, wr_slice blob) {
  wr_cert cert;
  if (!wr_cert_type(wr_blob_type(blob))) {
    put_plain(j, mem, blob);
  } else if (wr_cert_parse(blob, &cert) != 0) {
    put_key_in_front(j, mem, blob);
  } else {
    put_plain(j, mem, (wr_slice){cert.key, cert.key_len});
    if (wr_cert_verify(&cert) == 0) {
      wrn_json_certificate(j, &cert);
      put_line(j, mem, "presented", cert.blob);
    }
  }
}

/* What the certificate says, and whether it is of use now. */
static int give_certificate(wrn_call *c, wr_slice blob, uint64_t now_s) {
  wr_cert cert;
  int err = wr_cert_parse(blob, &cert);
  if (err != 0) {
    return err;
  }
  const char *fault = wr_hostcert_fault(&cert, NULL, now_s);
  wrn_put_buffer(c, c->result, "blob", blob);
  wrn_put_certificate(c, c->result, "info", &cert);
  if (fault != NULL) {
    wrn_put_str(c, c->result, "fault", fault);
  }
  return c->err;
}

int64_t wrn_host_certificate(wrn_call *c) {
  uint32_t key_id = wrn_u32(c, c->argv[0]);
  wr_slice text = wrn_need_text(c, c->argv[1]);
  uint64_t now_s = wrn_uint(c, c->argv[2], UINT64_MAX);
  const char *why = "";
  wr_buf blob;
  if (c->err != 0) {
    return c->err;
  }
  const wr_key *key = wrn_key_get(c->env, key_id);
  if (key == NULL) {
    return WR_ENOENT;
  }
  wr_buf_init(&blob, &c->env->ctx.mem, WR_CERT_BLOB_MAX);
  int err =
      wr_hostcert_read((const char *)text.data, text.len, key, &blob, &why);
  c->result = wrn_object_value(c);
  if (err == 0) {
    err = give_certificate(c, (wr_slice){blob.data, blob.len}, now_s);
  } else {
    wrn_put_str(c, c->result, "why", why);
  }
  wrn_put_num(c, c->result, "status", err);
  wr_buf_reset(&blob);
  return 0;
}
