#include "ssh/internal.h"

#include <string.h>

#include "ssh/cert.h"
#include "ssh/verify.h"

#define LOGIN_MAX ((size_t)255)
#define SIGNED_MAX ((size_t)300 * 1024)
#define KEY_MAX ((size_t)512) /* of a plain key, bytes */

/* One request of method publickey, taken apart; all borrowed. */
typedef struct key_request {
  bool proof;
  wr_slice algorithm;
  wr_slice blob;
  wr_slice host_key;  /* of the host-bound method */
  wr_slice signature; /* with proof */
  size_t signed_len;  /* bytes of the packet that are signed */
} key_request;

static void send_failure(wr_ssh *s) {
  static const uint8_t p[] = {MSG_USERAUTH_FAILURE,
                              0,
                              0,
                              0,
                              9,
                              'p',
                              'u',
                              'b',
                              'l',
                              'i',
                              'c',
                              'k',
                              'e',
                              'y',
                              0};
  wr__pump_send(s, p, sizeof(p), NULL, 0);
}

/* Counts a failed try and says so, or ends the session. */
static void fail(wr_ssh *s) {
  s->auth.failures++;
  if (s->auth.failures >= s->auth.max_failures) {
    wr__ssh_end(s, WR_EAUTH_REFUSED, WR_DISCONNECT_NO_AUTH,
                "too many authentication failures");
    return;
  }
  send_failure(s);
}

static void ignore(wr_ssh *s, const char *reason) {
  if (s->handler->on_auth_ignored != NULL) {
    s->handler->on_auth_ignored(s, s->auth.login, reason);
  }
  if (wr__ssh_alive(s)) {
    fail(s);
  }
}

/* The one place that decides which keys may be looked at further: Ed25519, in a
   security key as well, and certificates of both. The algorithm is always the
   type of the key (RFC 8709, PROTOCOL.u2f and PROTOCOL.certkeys of OpenSSH). */
static bool acceptable(wr_slice algorithm, wr_slice blob) {
  static const char *const plain[] = {"ssh-ed25519",
                                      "sk-ssh-ed25519@openssh.com"};
  static const char *const certs[] = {WR_CERT_ED25519, WR_CERT_SK_ED25519};
  if (!wr_slice_same(algorithm, wr_blob_type(blob))) {
    return false;
  }
  for (size_t i = 0; i < WR_COUNTOF(plain); i++) {
    if (wr_slice_eq(algorithm, plain[i])) {
      return blob.len <= KEY_MAX && wr_sig_key_usable(blob);
    }
    if (wr_slice_eq(algorithm, certs[i])) {
      return blob.len <= WR_CERT_BLOB_MAX;
    }
  }
  return false;
}

/* False if the packet is malformed. */
static bool read_key_request(wr_rd *r, const uint8_t *packet, bool host_bound,
                             key_request *k) {
  *k = (key_request){0};
  k->proof = wr_rd_bool(r);
  k->algorithm = wr_rd_string(r);
  k->blob = wr_rd_string(r);
  if (host_bound) {
    k->host_key = wr_rd_string(r);
  }
  if (k->proof && !r->bad) {
    k->signed_len = (size_t)(r->p - packet);
    k->signature = wr_rd_string(r);
  }
  return wr_rd_done(r);
}

/* RFC 4252, section 7: over the session id and the packet itself, by the plain
   key also where a certificate is shown. */
static int verify(wr_ssh *s, const uint8_t *packet, const key_request *k,
                  wr_slice key, wr_sig_info *info) {
  wr_slice id = wr__transport_session_id(s->tp);
  wr_buf text;
  wr_buf_init(&text, &s->ctx->mem, SIGNED_MAX);
  int rc = wr_buf_put_string(&text, id.data, id.len);
  rc = rc != 0 ? rc : wr_buf_append(&text, packet, k->signed_len);
  rc = rc != 0 ? rc
               : wr_sig_verify(key, k->signature, text.data, text.len, info);
  wr_buf_reset(&text);
  return rc;
}

static void ask_owner(wr_ssh *s, const key_request *k, uint8_t sk_flags) {
  wr_ssh_auth *a = &s->auth;
  wr_buf_consume(&a->blob, a->blob.len);
  int rc = wr_buf_append(&a->blob, k->blob.data, k->blob.len);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
    return;
  }
  a->pending = true;
  a->proof = k->proof;
  a->offers++;
  wr_auth_offer offer = {.user = a->login,
                         .blob = {a->blob.data, a->blob.len},
                         .proof = k->proof,
                         .sk_flags = sk_flags};
  wr__pump_hold(s, HOLD_AUTH);
  s->handler->on_auth(s, &offer);
}

/* Why the request is not looked at further; NULL: the owner judges it. */
static const char *examine(wr_ssh *s, const uint8_t *packet, bool host_bound,
                           const key_request *k, wr_sig_info *info) {
  wr_cert cert;
  wr_slice key = k->blob;
  if (!acceptable(k->algorithm, k->blob)) {
    return "key-type";
  }
  if (wr_cert_type(k->algorithm)) {
    if (wr_cert_parse(k->blob, &cert) != 0) {
      return "cert-malformed";
    }
    key = (wr_slice){cert.key, cert.key_len};
  }
  wr_slice presented = {s->host_blob.data, s->host_blob.len};
  if (host_bound && !wr_slice_same(k->host_key, presented)) {
    return "host-key";
  }
  if (k->proof && verify(s, packet, k, key, info) != 0) {
    return "signature";
  }
  return NULL;
}

static void on_publickey(wr_ssh *s, wr_rd *r, const uint8_t *packet,
                         bool host_bound) {
  key_request k;
  wr_sig_info info = {0};
  if (!read_key_request(r, packet, host_bound, &k)) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  const char *why = examine(s, packet, host_bound, &k, &info);
  if (why != NULL) {
    s->auth.offers++;
    ignore(s, why);
    return;
  }
  ask_owner(s, &k, info.sk_flags);
}

/* The user's name and the service stay what the first request said. */
static bool same_user(wr_ssh *s, wr_slice user, wr_slice service) {
  if (!wr_slice_eq(service, "ssh-connection")) {
    wr__ssh_end(s, WR_EAUTH_REFUSED, DISCONNECT_SERVICE_NOT_AVAILABLE,
                "service not available");
    return false;
  }
  if (user.len > LOGIN_MAX || wr_slice_has_nul(user)) {
    wr__ssh_bad(s, "malformed user name");
    return false;
  }
  if (!s->auth.named) {
    s->auth.login = wr_strndup(&s->ctx->mem, (const char *)user.data, user.len);
    if (s->auth.login == NULL) {
      wr__ssh_end(s, WR_ENOMEM, DISCONNECT_NONE, "");
      return false;
    }
    s->auth.named = true;
  }
  if (!wr_slice_eq(user, s->auth.login)) {
    wr__ssh_end(s, WR_EAUTH_REFUSED, WR_DISCONNECT_PROTOCOL,
                "change of user name is not allowed");
    return false;
  }
  return true;
}

static void on_request(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  wr_slice user = wr_rd_string(&r);
  wr_slice service = wr_rd_string(&r);
  wr_slice method = wr_rd_string(&r);
  if (r.bad) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  if (!same_user(s, user, service)) {
    return;
  }
  if (wr_slice_eq(method, "none") && !s->auth.none_seen) {
    s->auth.none_seen = true;
    send_failure(s);
  } else if (wr_slice_eq(method, "publickey")) {
    on_publickey(s, &r, p, false);
  } else if (wr_slice_eq(method, "publickey-hostbound-v00@openssh.com")) {
    on_publickey(s, &r, p, true);
  } else {
    ignore(s, "method");
  }
}

static void on_service(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  if (!wr_slice_eq(wr_rd_string(&r), "ssh-userauth") || !wr_rd_done(&r)) {
    wr__ssh_end(s, WR_ESSH_PROTOCOL, DISCONNECT_SERVICE_NOT_AVAILABLE,
                "service not available");
    return;
  }
  uint8_t head[5] = {MSG_SERVICE_ACCEPT};
  wr_put_u32(head + 1, (uint32_t)strlen("ssh-userauth"));
  s->auth.service = true;
  s->state = SSH_AUTH;
  wr__pump_send(s, head, sizeof(head), "ssh-userauth", strlen("ssh-userauth"));
}

void wr__auth_server_packet(wr_ssh *s, const uint8_t *p, size_t len) {
  if (s->state == SSH_UP) {
    /* RFC 4252, section 5.1: late requests are ignored. */
    if (p[0] != MSG_USERAUTH_REQUEST) {
      wr__ssh_bad(s, "unexpected packet");
    }
    return;
  }
  if (p[0] == MSG_SERVICE_REQUEST && s->state != SSH_KEX) {
    on_service(s, p, len);
  } else if (p[0] == MSG_USERAUTH_REQUEST && s->auth.service) {
    on_request(s, p, len);
  } else {
    wr__ssh_bad(s, "unexpected packet");
  }
}

static void send_pk_ok(wr_ssh *s) {
  wr_buf b;
  wr_slice type = wr_blob_type((wr_slice){s->auth.blob.data, s->auth.blob.len});
  wr_buf_init(&b, &s->ctx->mem, s->auth.blob.len + type.len + 16);
  int rc = wr_buf_put_u8(&b, MSG_USERAUTH_PK_OK);
  rc = rc != 0 ? rc : wr_buf_put_string(&b, type.data, type.len);
  rc =
      rc != 0 ? rc : wr_buf_put_string(&b, s->auth.blob.data, s->auth.blob.len);
  if (rc == 0) {
    wr__pump_send_buf(s, &b);
  } else {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
  }
  wr_buf_reset(&b);
}

void wr_ssh_auth_reply(wr_ssh *s, bool accepted) {
  static const uint8_t success[] = {MSG_USERAUTH_SUCCESS};
  if (!wr__ssh_alive(s) || !s->auth.pending) {
    return;
  }
  s->auth.pending = false;
  if (!accepted) {
    fail(s);
  } else if (!s->auth.proof) {
    send_pk_ok(s);
  } else {
    wr__pump_send(s, success, sizeof(success), NULL, 0);
    if (wr__ssh_alive(s)) {
      wr__ssh_up(s);
    }
  }
  wr__pump_release(s, HOLD_AUTH);
}
