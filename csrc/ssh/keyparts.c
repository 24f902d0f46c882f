#include "ssh/keyparts.h"

#include <string.h>

#include "ssh/cert.h"

static const struct {
  const char *name;
  size_t point_bytes; /* of an uncompressed point */
} curves[] = {
    {"nistp256", 65},
    {"nistp384", 97},
    {"nistp521", 133},
};

static bool has_prefix(wr_slice s, const char *prefix) {
  size_t n = strlen(prefix);
  return s.len >= n && memcmp(s.data, prefix, n) == 0;
}

/* Above zero, without needless zero bytes (RFC 4251, section 5). */
static bool is_number(wr_slice n) {
  if (n.len == 0 || n.data[0] >= 0x80) {
    return false;
  }
  return n.data[0] != 0 || (n.len > 1 && n.data[1] >= 0x80);
}

static bool are_numbers(wr_rd *r) {
  while (r->left > 0 && !r->bad) {
    if (!is_number(wr_rd_string(r))) {
      return false;
    }
  }
  return wr_rd_done(r);
}

/* The curve has to be the one in the type: ecdsa-sha2-CURVE, with sk- in front
   and a domain behind for hardware keys. */
static bool is_point(wr_slice type, wr_rd *r) {
  wr_slice curve = wr_rd_string(r);
  wr_slice point = wr_rd_string(r);
  size_t at =
      strlen(has_prefix(type, "sk-") ? "sk-ecdsa-sha2-" : "ecdsa-sha2-");
  wr_slice want = {type.data + at, type.len - at};
  for (size_t i = 0; i < WR_COUNTOF(curves); i++) {
    if (wr_slice_eq(curve, curves[i].name)) {
      return has_prefix(want, curves[i].name) &&
             point.len == curves[i].point_bytes && point.data[0] == 0x04;
    }
  }
  return false;
}

bool wr__keyparts_plain(wr_slice blob) {
  if (blob.len > WR__BLOB_MAX || !wr__blob_well_formed(blob)) {
    return false;
  }
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  if (has_prefix(type, "ssh-rsa") || has_prefix(type, "ssh-dss")) {
    return are_numbers(&r);
  }
  if (has_prefix(type, "ecdsa-") || has_prefix(type, "sk-ecdsa-")) {
    return is_point(type, &r);
  }
  return wr_rd_string(&r).len == WR__PUBLIC_SIZE;
}

bool wr__keyparts_text(wr_slice raw, wr_slice *text) {
  wr_slice s = raw;
  if (s.len > 0 && s.data[s.len - 1] == '\0') {
    s.len--;
  }
  if (wr_slice_has_nul(s)) {
    return false;
  }
  *text = s;
  return true;
}

/* Appends to the plain blob; false if there is no room. */
static bool put(wr__keyparts *k, const void *data, size_t len) {
  if (len > sizeof(k->plain) - k->plain_len) {
    return false;
  }
  memcpy(k->plain + k->plain_len, data, len);
  k->plain_len += len;
  return true;
}

/* The type of the key that a certificate of this type is for, as the first
   string of the plain blob. */
static bool put_type(wr__keyparts *k, wr_slice cert_type) {
  static const char domain[] = "@openssh.com";
  uint8_t head[4];
  wr_slice name = {cert_type.data, cert_type.len - strlen(WR__CERT_SUFFIX)};
  size_t tail = has_prefix(name, "sk-") ? sizeof(domain) - 1 : 0;
  wr_put_u32(head, (uint32_t)(name.len + tail));
  return put(k, head, sizeof(head)) && put(k, name.data, name.len) &&
         put(k, domain, tail);
}

/* The strings of the key, which stand in the certificate as in a plain blob. */
static bool put_key(wr__keyparts *k, wr_rd *r) {
  const uint8_t *from = r->p;
  wr_slice type = {k->plain + 4, k->plain_len - 4};
  size_t strings = wr__key_type_strings(type);
  for (size_t i = 1; i < strings; i++) {
    wr_rd_string(r);
  }
  return strings > 0 && !r->bad && put(k, from, (size_t)(r->p - from));
}

/* From behind the key to the end (PROTOCOL.certkeys of OpenSSH). */
static bool read_rest(wr__keyparts *k, wr_rd *r) {
  k->serial = wr_rd_u64(r);
  wr_rd_u32(r); /* whether of a user or of a host */
  wr_slice key_id = wr_rd_string(r);
  wr_rd_string(r);    /* principals */
  wr_rd_bytes(r, 16); /* validity */
  wr_rd_string(r);    /* critical options */
  wr_rd_string(r);    /* extensions */
  wr_rd_string(r);    /* reserved */
  k->authority = wr_rd_string(r);
  wr_rd_string(r); /* signature */
  return wr_rd_done(r) && wr__keyparts_text(key_id, &k->key_id) &&
         wr__keyparts_plain(k->authority);
}

static bool read_cert(wr_slice blob, wr__keyparts *k) {
  wr_rd r;
  wr_rd_init(&r, blob.data, blob.len);
  wr_slice type = wr_rd_string(&r);
  wr_rd_string(&r); /* nonce */
  k->is_cert = true;
  return put_type(k, type) && put_key(k, &r) && read_rest(k, &r) &&
         wr__keyparts_plain((wr_slice){k->plain, k->plain_len});
}

bool wr__keyparts_read(wr_slice blob, wr__keyparts *out) {
  out->plain_len = 0;
  out->is_cert = false;
  if (blob.len > WR__KEYPARTS_MAX) {
    return false;
  }
  if (wr_cert_type(wr_blob_type(blob))) {
    return read_cert(blob, out);
  }
  return wr__keyparts_plain(blob) && put(out, blob.data, blob.len);
}
