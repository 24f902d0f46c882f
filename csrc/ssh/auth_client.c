#include "ssh/internal.h"

#include <string.h>

#define REQUEST_MAX ((size_t)16 * 1024)
#define ALGORITHM "ssh-ed25519"

static const char service_name[] = "ssh-userauth";

void wr__auth_client_begin(wr_ssh *s) {
  uint8_t p[1 + 4 + sizeof(service_name) - 1];
  size_t n = sizeof(service_name) - 1;
  p[0] = MSG_SERVICE_REQUEST;
  wr_put_u32(p + 1, (uint32_t)n);
  memcpy(p + 5, service_name, n);
  s->state = SSH_SERVICE;
  wr__pump_send(s, p, 5 + n, NULL, 0);
}

/* The request up to where the signature goes (RFC 4252, section 7). */
static int put_request(const wr_ssh *s, wr_slice blob, bool proof, wr_buf *b) {
  int rc = wr_buf_put_u8(b, MSG_USERAUTH_REQUEST);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, s->auth.login);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, "ssh-connection");
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, "publickey");
  rc = rc != 0 ? rc : wr_buf_put_u8(b, proof ? 1 : 0);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, ALGORITHM);
  return rc != 0 ? rc : wr_buf_put_string(b, blob.data, blob.len);
}

/* What is signed: the session's id and the request. */
static int put_signature(wr_ssh *s, const wr_key *key, wr_buf *request) {
  wr_slice id = wr__transport_session_id(s->tp);
  wr_buf text;
  wr_buf sig;
  wr_buf_init(&text, &s->ctx->mem, REQUEST_MAX);
  wr_buf_init(&sig, &s->ctx->mem, REQUEST_MAX);
  int rc = wr_buf_put_string(&text, id.data, id.len);
  rc = rc != 0 ? rc : wr_buf_append(&text, request->data, request->len);
  rc = rc != 0 ? rc : wr_key_sign(key, text.data, text.len, &sig);
  rc = rc != 0 ? rc : wr_buf_put_string(request, sig.data, sig.len);
  wr_buf_reset(&text);
  wr_buf_reset(&sig);
  return rc;
}

static void send_request(wr_ssh *s, bool proof) {
  const wr_key *key = s->auth.identities[s->auth.next];
  wr_buf b;
  wr_buf_init(&b, &s->ctx->mem, REQUEST_MAX);
  int rc = put_request(s, wr_key_blob(key), proof, &b);
  if (rc == 0 && proof) {
    rc = put_signature(s, key, &b);
  }
  if (rc == 0) {
    s->auth.proof = proof;
    s->auth.offers++;
    wr__pump_send_buf(s, &b);
  } else {
    wr__ssh_end(s, rc, DISCONNECT_AUTH_CANCELLED, "");
  }
  wr_buf_reset(&b);
}

static void refused(wr_ssh *s) {
  wr__ssh_end(s, WR_EAUTH_REFUSED, DISCONNECT_AUTH_CANCELLED,
              "no more keys to offer");
}

/* A single key is proved without asking: that saves a round trip. */
static void try_identity(wr_ssh *s) {
  if (s->auth.next >= s->auth.n_identities) {
    refused(s);
    return;
  }
  send_request(s, s->auth.n_identities == 1);
}

static bool lists(wr_slice list, const char *name) {
  size_t n = strlen(name);
  size_t start = 0;
  for (size_t i = 0; i <= list.len; i++) {
    if (i < list.len && list.data[i] != ',') {
      continue;
    }
    if (i - start == n && memcmp(list.data + start, name, n) == 0) {
      return true;
    }
    start = i + 1;
  }
  return false;
}

static void on_failure(wr_ssh *s, wr_rd *r) {
  wr_slice methods = wr_rd_string(r);
  bool partial = wr_rd_bool(r);
  if (!wr_rd_done(r)) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  s->auth.failures++;
  if (partial || !lists(methods, "publickey")) {
    refused(s);
    return;
  }
  s->auth.next++;
  try_identity(s);
}

/* The server would take the key of our probe. */
static void on_pk_ok(wr_ssh *s, wr_rd *r) {
  wr_slice name = wr_rd_string(r);
  wr_slice blob = wr_rd_string(r);
  if (!wr_rd_done(r) || s->auth.proof || !wr_slice_eq(name, ALGORITHM) ||
      !wr_slice_same(blob, wr_key_blob(s->auth.identities[s->auth.next]))) {
    wr__ssh_bad(s, "unexpected packet");
    return;
  }
  send_request(s, true);
}

static void on_success(wr_ssh *s) {
  /* Nothing was proved by a probe. */
  if (!s->auth.proof) {
    wr__ssh_bad(s, "unexpected packet");
    return;
  }
  wr_slice blob = wr_key_blob(s->auth.identities[s->auth.next]);
  int rc = wr_buf_append(&s->auth.blob, blob.data, blob.len);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
    return;
  }
  wr__ssh_up(s);
}

static void on_service_accept(wr_ssh *s, wr_rd *r) {
  if (!wr_slice_eq(wr_rd_string(r), service_name)) {
    wr__ssh_bad(s, "unexpected packet");
    return;
  }
  s->state = SSH_AUTH;
  try_identity(s);
}

void wr__auth_client_packet(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  if (s->state == SSH_SERVICE && p[0] == MSG_SERVICE_ACCEPT) {
    on_service_accept(s, &r);
  } else if (s->state == SSH_AUTH && p[0] == MSG_USERAUTH_FAILURE) {
    on_failure(s, &r);
  } else if (s->state == SSH_AUTH && p[0] == MSG_USERAUTH_PK_OK) {
    on_pk_ok(s, &r);
  } else if (s->state == SSH_AUTH && p[0] == MSG_USERAUTH_SUCCESS) {
    on_success(s);
  } else if (s->state != SSH_HOST_KEY && s->state != SSH_UP &&
             p[0] == MSG_USERAUTH_BANNER) {
    return; /* text of the server's, for nobody to see */
  } else {
    wr__ssh_bad(s, "unexpected packet");
  }
}

/* sshd disconnects those who have tried too often. */
int wr__auth_client_status(const wr_ssh *s, int status) {
  if (s->role == WR_SSH_CLIENT && s->state == SSH_AUTH && s->auth.offers > 0) {
    return WR_EAUTH_REFUSED;
  }
  return status;
}
