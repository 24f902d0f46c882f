#include "ssh/cert.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"
#include "ssh/verify.h"

typedef struct cert_type {
  const char *name;
  const char *key_type;
  bool sk; /* an application follows the public key */
} cert_type;

static const cert_type types[] = {
    {WR_CERT_ED25519, WR__ED25519, false},
    {WR_CERT_SK_ED25519, WR__SK_ED25519, true},
};

bool wr_cert_type(wr_slice type) {
  static const char suffix[] = "-cert-v01@openssh.com";
  size_t n = sizeof(suffix) - 1;
  return type.len > n && memcmp(type.data + type.len - n, suffix, n) == 0;
}

static uint8_t *put_string(uint8_t *p, wr_slice s) {
  wr_put_u32(p, (uint32_t)s.len);
  memcpy(p + 4, s.data, s.len);
  return p + 4 + s.len;
}

/* Reads what is certified and writes it as a key of its own. */
static bool read_key(wr_rd *r, const cert_type *type, wr_cert *c) {
  wr_slice name = {(const uint8_t *)type->key_type, strlen(type->key_type)};
  wr_slice pub = wr_rd_string(r);
  wr_slice application = {NULL, 0};
  if (type->sk) {
    application = wr_rd_string(r);
  }
  if (r->bad || pub.len != WR__PUBLIC_SIZE || wr_slice_has_nul(application) ||
      application.len > sizeof(c->key) - 3 * 4 - name.len - pub.len) {
    return false;
  }
  uint8_t *end = put_string(put_string(c->key, name), pub);
  if (type->sk) {
    end = put_string(end, application);
  }
  c->key_len = (size_t)(end - c->key);
  return true;
}

/* From behind the key to the end. */
static bool read_fields(wr_rd *r, wr_cert *c) {
  c->serial = wr_rd_u64(r);
  uint32_t kind = wr_rd_u32(r);
  c->kind = kind == WR_CERT_HOST ? WR_CERT_HOST : WR_CERT_USER;
  c->key_id = wr_rd_string(r);
  c->principals = wr_rd_string(r);
  c->valid_after_s = wr_rd_u64(r);
  c->valid_before_s = wr_rd_u64(r);
  c->critical = wr_rd_string(r);
  c->extensions = wr_rd_string(r);
  wr_rd_string(r); /* reserved: anything */
  c->authority = wr_rd_string(r);
  c->signed_len = c->blob.len - r->left;
  c->signature = wr_rd_string(r);
  return wr_rd_done(r) && (kind == WR_CERT_USER || kind == WR_CERT_HOST) &&
         !wr_slice_has_nul(c->key_id);
}

static bool principals_fit(wr_slice principals) {
  wr_rd r;
  size_t n = 0;
  wr_rd_init(&r, principals.data, principals.len);
  while (r.left > 0) {
    if (wr_slice_has_nul(wr_rd_string(&r)) || ++n > WR_CERT_PRINCIPALS_MAX) {
      return false;
    }
  }
  return wr_rd_done(&r);
}

static bool options_fit(wr_slice options) {
  wr_rd r;
  wr_rd_init(&r, options.data, options.len);
  while (r.left > 0) {
    if (wr_slice_has_nul(wr_rd_string(&r))) {
      return false;
    }
    wr_rd_string(&r);
  }
  return wr_rd_done(&r);
}

static const cert_type *find_type(wr_slice name) {
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    if (wr_slice_eq(name, types[i].name)) {
      return &types[i];
    }
  }
  return NULL;
}

int wr_cert_parse(wr_slice blob, wr_cert *out) {
  wr_rd r;
  wr_cert c = {.blob = blob};
  wr_rd_init(&r, blob.data, blob.len);
  c.type = wr_rd_string(&r);
  if (r.bad || blob.len > WR_CERT_BLOB_MAX) {
    return WR_EKEY_FORMAT;
  }
  const cert_type *type = find_type(c.type);
  if (type == NULL) {
    return WR_EKEY_TYPE;
  }
  wr_rd_string(&r); /* the nonce: anything */
  if (!read_key(&r, type, &c) || !read_fields(&r, &c) ||
      !principals_fit(c.principals) || !options_fit(c.critical) ||
      !options_fit(c.extensions) || !wr_sig_key_usable(c.authority)) {
    return WR_EKEY_FORMAT;
  }
  *out = c;
  return 0;
}

int wr_cert_verify(const wr_cert *cert) {
  int err = wr_sig_verify(cert->authority, cert->signature, cert->blob.data,
                          cert->signed_len, NULL);
  return err == 0 ? 0 : WR_EAUTH_REFUSED;
}

bool wr_cert_next_principal(wr_slice *rest, wr_slice *name) {
  wr_rd r;
  wr_rd_init(&r, rest->data, rest->len);
  wr_slice s = wr_rd_string(&r);
  if (r.bad) {
    return false;
  }
  *rest = (wr_slice){r.p, r.left};
  *name = s;
  return true;
}

bool wr_cert_has_principal(const wr_cert *cert, wr_slice name) {
  wr_slice rest = cert->principals;
  wr_slice have;
  while (wr_cert_next_principal(&rest, &have)) {
    if (wr_slice_same(have, name)) {
      return true;
    }
  }
  return false;
}

/* A value that is one string, text without a zero byte. */
static bool read_text(wr_slice value, wr_slice *text) {
  wr_rd r;
  wr_rd_init(&r, value.data, value.len);
  *text = wr_rd_string(&r);
  return wr_rd_done(&r) && !wr_slice_has_nul(*text);
}

static bool read_critical(wr_slice name, wr_slice value, wr_cert_opts *o) {
  wr_slice text;
  if (wr_slice_eq(name, "verify-required")) {
    o->verify_required = true;
    return value.len == 0;
  }
  if (wr_slice_eq(name, "force-command")) {
    bool again = o->force_command;
    o->force_command = true;
    return !again && read_text(value, &text);
  }
  if (wr_slice_eq(name, "source-address")) {
    bool again = o->source_address.data != NULL;
    return !again && read_text(value, &o->source_address);
  }
  return false;
}

static bool read_extension(wr_slice name, wr_slice value, wr_cert_opts *o) {
  /* Known to sshd, and about what is not here. */
  static const char *const others[] = {"permit-X11-forwarding",
                                       "permit-agent-forwarding", "permit-pty",
                                       "permit-user-rc"};
  if (wr_slice_eq(name, "permit-port-forwarding")) {
    o->port_forwarding = true;
    return value.len == 0;
  }
  if (wr_slice_eq(name, "no-touch-required")) {
    o->no_touch_required = true;
    return value.len == 0;
  }
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    if (wr_slice_eq(name, others[i])) {
      return value.len == 0;
    }
  }
  return true;
}

typedef bool (*read_option)(wr_slice name, wr_slice value, wr_cert_opts *o);

static bool read_options(wr_slice options, read_option read, wr_cert_opts *o) {
  wr_rd r;
  wr_rd_init(&r, options.data, options.len);
  while (r.left > 0) {
    wr_slice name = wr_rd_string(&r);
    wr_slice value = wr_rd_string(&r);
    if (r.bad || !read(name, value, o)) {
      return false;
    }
  }
  return true;
}

int wr_cert_read_opts(const wr_cert *cert, wr_cert_opts *out) {
  wr_cert_opts o = {0};
  if (cert->kind != WR_CERT_USER ||
      !read_options(cert->critical, read_critical, &o) ||
      !read_options(cert->extensions, read_extension, &o)) {
    return WR_EKEY_OPTIONS;
  }
  *out = o;
  return 0;
}
