#include "ssh/internal.h"

#include <string.h>

#include "ssh/cert.h"

/* A certificate and what is around it. */
#define REQUEST_MAX (WR_CERT_BLOB_MAX + (size_t)4096)
/* Of any key that a client logs in with; sk- keys append five bytes. */
#define SIGNATURE_MAX ((size_t)4096)

static const char service_name[] = "ssh-userauth";

void wr__auth_client_init(wr_ssh *s) {
  wr_buf_init(&s->auth.text, &s->ctx->mem, REQUEST_MAX);
}

void wr__auth_client_begin(wr_ssh *s) {
  uint8_t p[1 + 4 + sizeof(service_name) - 1];
  size_t n = sizeof(service_name) - 1;
  p[0] = MSG_SERVICE_REQUEST;
  wr_put_u32(p + 1, (uint32_t)n);
  memcpy(p + 5, service_name, n);
  s->state = SSH_SERVICE;
  wr__pump_send(s, p, 5 + n, NULL, 0);
}

static void cancel(wr_ssh *s, int status) {
  wr__ssh_end(s, status, DISCONNECT_AUTH_CANCELLED, "");
}

static const wr_identity *identity_now(const wr_ssh *s) {
  return &s->auth.identities[s->auth.next];
}

/* The request up to where the signature goes (RFC 4252, section 7). A key and
   its certificate are told apart by the algorithm, which is the blob's type. */
static int put_request(const wr_ssh *s, bool proof, wr_buf *b) {
  wr_slice blob = identity_now(s)->blob;
  wr_slice type = wr_blob_type(blob);
  int rc = wr_buf_put_u8(b, MSG_USERAUTH_REQUEST);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, s->auth.login);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, "ssh-connection");
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, "publickey");
  rc = rc != 0 ? rc : wr_buf_put_u8(b, proof ? 1 : 0);
  rc = rc != 0 ? rc : wr_buf_put_string(b, type.data, type.len);
  return rc != 0 ? rc : wr_buf_put_string(b, blob.data, blob.len);
}

static void note_offer(wr_ssh *s, bool proof) {
  s->auth.proof = proof;
  s->auth.offers++;
}

/* Asks whether the identity would do. */
static void send_probe(wr_ssh *s) {
  wr_buf b;
  wr_buf_init(&b, &s->ctx->mem, REQUEST_MAX);
  int rc = put_request(s, false, &b);
  if (rc == 0) {
    note_offer(s, false);
    wr__pump_send_buf(s, &b);
  } else {
    cancel(s, rc);
  }
  wr_buf_reset(&b);
}

/* auth.text becomes what is signed: the session's id and the request. */
static int put_text(wr_ssh *s) {
  wr_slice id = wr__transport_session_id(s->tp);
  wr_buf *text = &s->auth.text;
  wr_buf_reset(text);
  int rc = wr_buf_put_string(text, id.data, id.len);
  return rc != 0 ? rc : put_request(s, true, text);
}

/* The request that was signed, and the signature. */
static void send_proof(wr_ssh *s, wr_slice sig) {
  size_t skip = 4 + wr__transport_session_id(s->tp).len;
  wr_buf *text = &s->auth.text;
  int rc = wr_buf_put_string(text, sig.data, sig.len);
  if (rc == 0) {
    note_offer(s, true);
    wr__pump_send(s, text->data + skip, text->len - skip, NULL, 0);
  } else {
    cancel(s, rc);
  }
  wr_buf_reset(text);
}

static void sign(wr_ssh *s, const wr_key *key) {
  wr_buf sig;
  wr_buf_init(&sig, &s->ctx->mem, SIGNATURE_MAX);
  int rc = wr_key_sign(key, s->auth.text.data, s->auth.text.len, &sig);
  if (rc == 0) {
    send_proof(s, (wr_slice){sig.data, sig.len});
  } else {
    cancel(s, rc);
  }
  wr_buf_reset(&sig);
}

static void prove(wr_ssh *s) {
  const wr_identity *identity = identity_now(s);
  int rc = put_text(s);
  if (rc != 0) {
    cancel(s, rc);
  } else if (identity->key != NULL) {
    sign(s, identity->key);
  } else {
    s->auth.signing = true;
    s->handler->on_sign(s, identity->signer,
                        (wr_slice){s->auth.text.data, s->auth.text.len});
  }
}

static void refused(wr_ssh *s) {
  wr__ssh_end(s, s->auth.not_signed ? WR_EAGENT_REFUSED : WR_EAUTH_REFUSED,
              DISCONNECT_AUTH_CANCELLED, "no more keys to offer");
}

/* A single key of ours, with or without a certificate, is proved without asking:
   that saves a round trip. Others may need a person who touches something, who
   is not bothered for a server that would not take the key. */
static void try_identity(wr_ssh *s) {
  size_t n = s->auth.n_identities;
  const wr_identity *list = s->auth.identities;
  if (s->auth.next >= n) {
    refused(s);
  } else if (list[0].key != NULL && list[0].key == list[n - 1].key) {
    prove(s);
  } else {
    send_probe(s);
  }
}

static void try_next(wr_ssh *s) {
  s->auth.next++;
  try_identity(s);
}

void wr_ssh_signature(wr_ssh *s, int status, wr_slice sig) {
  if (s->state != SSH_AUTH || !s->auth.signing) {
    return;
  }
  s->auth.signing = false;
  if (status == WR_EAGENT_REFUSED) {
    s->auth.not_signed = true;
    wr_buf_reset(&s->auth.text);
    try_next(s);
  } else if (status != 0) {
    cancel(s, status);
  } else {
    send_proof(s, sig);
  }
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
  try_next(s);
}

/* The server would take the key of our probe. */
static void on_pk_ok(wr_ssh *s, wr_rd *r) {
  wr_slice name = wr_rd_string(r);
  wr_slice blob = wr_rd_string(r);
  wr_slice ours = identity_now(s)->blob;
  if (!wr_rd_done(r) || s->auth.proof || !wr_slice_same(blob, ours) ||
      !wr_slice_same(name, wr_blob_type(ours))) {
    wr__ssh_bad(s, "unexpected packet");
    return;
  }
  prove(s);
}

static void on_success(wr_ssh *s) {
  /* Nothing was proved by a probe. */
  if (!s->auth.proof) {
    wr__ssh_bad(s, "unexpected packet");
    return;
  }
  wr_slice blob = identity_now(s)->blob;
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
  } else if (s->auth.signing && p[0] != MSG_USERAUTH_BANNER) {
    wr__ssh_bad(s, "unexpected packet"); /* all that was asked is answered */
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
  if (s->role == WR_SSH_CLIENT && s->state == SSH_AUTH && s->auth.offers > 0 &&
      !s->auth.signing) {
    return WR_EAUTH_REFUSED;
  }
  return status;
}
