#include "app/server_internal.h"

#include <string.h>

/* Who may log in, and for how long. A key is judged by what is in force when it
   is offered, when it is proved, once more when the application has agreed, and
   then at each reload and when its time is over.

   Records: one per key. A known key that is offered is recorded only when its
   proof comes, or when it is clear that none will. */

/* The clock on the wall may be set meanwhile: it is looked at this often, at
   least, while a login has an end. */
#define EXPIRY_LOOK_MS 30000

/* JUDGING */

static uint64_t now_s(const wr_server *s) {
  int64_t ms = wr_ctx_wall(s->ctx);
  return ms < 0 ? 0 : (uint64_t)ms / 1000;
}

/* The key or certificate that was offered last, or that logged in. */
static wr_slice current_blob(const server_session *ss) {
  wr_ssh_info info;
  wr_ssh_query(ss->ssh, &info);
  return info.key_blob;
}

/* Borrows from the blob, or from cert. */
static wr_slice plain_key(wr_slice blob, wr_cert *cert) {
  if (wr_cert_type(wr_blob_type(blob)) && wr_cert_parse(blob, cert) == 0) {
    return (wr_slice){cert->key, cert->key_len};
  }
  return blob;
}

wr_slice wr__auth_plain_key(const server_session *ss, wr_cert *cert) {
  return plain_key(current_blob(ss), cert);
}

static void judge(const server_session *ss, wr_slice blob, bool proved,
                  wr_decision *d) {
  wr_login login = {.user = ss->user,
                    .blob = blob,
                    .address = ss->address,
                    .now_s = now_s(ss->server),
                    .proved = proved,
                    .sk_flags = ss->sk_flags};
  wr_trust_judge(ss->server->trust, &login, d);
}

/* WHAT A LOGIN ALLOWS */

static void arm_expiry(server_session *ss) {
  if (ss->expires_s == WR_TRUST_NEVER) {
    wr_timer_stop(&ss->expiry);
    return;
  }
  int64_t now_ms = wr_ctx_wall(ss->server->ctx);
  uint64_t wait_ms = EXPIRY_LOOK_MS;
  if (ss->expires_s <= (uint64_t)INT64_MAX / 1000) {
    int64_t left_ms = (int64_t)ss->expires_s * 1000 - now_ms;
    wait_ms = left_ms <= 0 ? 1 : WR_MIN((uint64_t)left_ms, wait_ms);
  }
  wr_timer_start(&ss->expiry, wait_ms);
}

static void adopt(server_session *ss, const wr_decision *d) {
  wr_trust *old = ss->trust;
  ss->trust = wr_trust_ref(ss->server->trust);
  ss->line = d->line;
  ss->no_forwarding = !d->port_forwarding;
  ss->expires_s = d->expires_s;
  wr_trust_unref(old);
  arm_expiry(ss);
}

wr_access wr__auth_access(const server_session *ss) {
  return (wr_access){.policy = ss->server->policy,
                     .key = ss->line == NULL ? NULL : &ss->line->opts,
                     .no_forwarding = ss->no_forwarding,
                     .proxied = ss->server->proxy != NULL};
}

void wr__auth_drop(server_session *ss) {
  wr_timer_stop(&ss->expiry);
  wr_trust_unref(ss->trust);
  ss->trust = NULL;
  ss->line = NULL;
}

/* In the log a key that stands nowhere any more was removed. */
static const char *end_reason(wr_trust_reason reason) {
  bool gone =
      reason == WR_TRUST_UNKNOWN_KEY || reason == WR_TRUST_UNKNOWN_AUTHORITY;
  return gone ? "key-removed" : wr_trust_reason_token(reason);
}

void wr__auth_recheck(server_session *ss) {
  wr_decision d;
  if (ss->ssh == NULL || ss->ending || !ss->logged_in) {
    return;
  }
  judge(ss, current_blob(ss), true, &d);
  if (d.reason == WR_TRUST_ACCEPT) {
    adopt(ss, &d);
    return;
  }
  wr__log_ended(ss, end_reason(d.reason));
  wr__session_end(ss, WR_DISCONNECT_NO_AUTH, "the key is no longer authorized");
}

/* OFFERS AND PROOFS */

/* A certificate is known by the fingerprint of its key, as ssh-keygen -l shows
   it. */
static void remember(server_session *ss, const wr_auth_offer *offer,
                     const char offered[WR_FINGERPRINT_MAX]) {
  wr_cert cert;
  snprintf(ss->user, sizeof(ss->user), "%s", offer->user);
  memcpy(ss->offered, offered, sizeof(ss->offered));
  wr_blob_fingerprint(plain_key(offer->blob, &cert), ss->fingerprint);
  ss->sk_flags = offer->sk_flags;
}

static void record_reject(server_session *ss, const char *reason) {
  ss->attempts++;
  wr__log_attempt(ss, ss->user, ss->fingerprint, NULL, reason);
}

/* Somebody showed a public key that may log in and did not prove it. */
static void settle_unproved(server_session *ss) {
  if (ss->unproved) {
    ss->unproved = false;
    record_reject(ss, "not-proved");
  }
}

static void reject(server_session *ss, const char *reason) {
  ss->state = SESSION_LOGIN;
  record_reject(ss, reason);
  wr_ssh_auth_reply(ss->ssh, false);
}

static void accept_proof(server_session *ss, const wr_decision *d) {
  ss->state = SESSION_ACCEPTED;
  ss->logged_in = true;
  ss->server->past.auth_accepted++;
  adopt(ss, d);
  wr__log_attempt(ss, ss->user, ss->fingerprint, d->is_cert ? &d->cert : NULL,
                  NULL);
  wr_ssh_auth_reply(ss->ssh, true);
}

static void ask_application(server_session *ss, const wr_decision *d) {
  wr_server *s = ss->server;
  wr_server_identity identity = {.session_id = ss->id,
                                 .user = ss->user,
                                 .fingerprint = ss->fingerprint,
                                 .cert = d->is_cert ? &d->cert : NULL,
                                 .remote_address = ss->address,
                                 .transport = ss->transport};
  ss->state = SESSION_AUTHORIZING;
  s->opts.handler->on_authorize(s, &identity);
}

void wr__auth_offered(server_session *ss, const wr_auth_offer *offer) {
  char offered[WR_FINGERPRINT_MAX];
  wr_decision d;
  if (ss->ending) {
    return;
  }
  wr_blob_fingerprint(offer->blob, offered);
  if (!offer->proof || strcmp(offered, ss->offered) != 0) {
    settle_unproved(ss);
  }
  ss->unproved = false;
  remember(ss, offer, offered);
  judge(ss, offer->blob, offer->proof, &d);
  if (d.reason != WR_TRUST_ACCEPT) {
    reject(ss, wr_trust_reason_token(d.reason));
  } else if (!offer->proof) {
    ss->unproved = true;
    wr_ssh_auth_reply(ss->ssh, true);
  } else if (ss->server->opts.authorize) {
    ask_application(ss, &d);
  } else {
    accept_proof(ss, &d);
  }
}

void wr__auth_ignored(server_session *ss, const char *user,
                      const char *reason) {
  bool signature = strcmp(reason, "signature") == 0;
  if (ss->ending) {
    return;
  }
  if (signature && ss->unproved) {
    /* This was the proof of the key that was offered. */
    ss->unproved = false;
    record_reject(ss, "bad-signature");
    return;
  }
  settle_unproved(ss);
  ss->attempts++;
  wr__log_attempt(ss, user, "", NULL, signature ? "bad-signature" : reason);
}

void wr__auth_authorized(server_session *ss, bool accepted) {
  wr_decision d;
  if (ss->ending || ss->state != SESSION_AUTHORIZING) {
    return;
  }
  if (!accepted) {
    reject(ss, "not-authorized");
    return;
  }
  judge(ss, current_blob(ss), true, &d);
  if (d.reason != WR_TRUST_ACCEPT) {
    reject(ss, wr_trust_reason_token(d.reason));
  } else {
    accept_proof(ss, &d);
  }
}

void wr__auth_over(server_session *ss) {
  if (ss->logged_in) {
    return;
  }
  settle_unproved(ss);
  if (ss->state == SESSION_AUTHORIZING) {
    record_reject(ss, "not-authorized");
  }
  if (ss->attempts > 0) {
    wr__log_auth_failed(ss);
  }
}
