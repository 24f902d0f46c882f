#include "app/server_internal.h"

#include <string.h>

/* Who may log in. A key must stand in the file that is in force when it is
   offered, when it is proved, and once more when the application has agreed:
   a reload may come in between.

   Records: one per key. A known key that is offered is recorded only when its
   proof comes, or when it is clear that none will. */

static void remember(server_session *ss, const wr_auth_offer *offer) {
  WR_ASSERT(offer->blob.len <= AUTH_BLOB_MAX);
  memcpy(ss->blob, offer->blob.data, offer->blob.len);
  ss->blob_len = offer->blob.len;
  snprintf(ss->user, sizeof(ss->user), "%s", offer->user);
  wr_blob_fingerprint(offer->blob, ss->fingerprint);
}

static wr_slice remembered(const server_session *ss) {
  return (wr_slice){ss->blob, ss->blob_len};
}

static void record_reject(server_session *ss, const char *reason) {
  ss->attempts++;
  wr__log_attempt(ss, ss->user, ss->fingerprint, reason);
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

static void accept_proof(server_session *ss) {
  ss->state = SESSION_ACCEPTED;
  ss->logged_in = true;
  ss->server->past.auth_accepted++;
  wr__log_attempt(ss, ss->user, ss->fingerprint, NULL);
  wr_ssh_auth_reply(ss->ssh, true);
}

static void ask_application(server_session *ss) {
  wr_server *s = ss->server;
  wr_server_identity identity = {.session_id = ss->id,
                                 .user = ss->user,
                                 .fingerprint = ss->fingerprint,
                                 .remote_address = ss->address,
                                 .transport = ss->transport};
  ss->state = SESSION_AUTHORIZING;
  s->opts.handler->on_authorize(s, &identity);
}

void wr__auth_offered(server_session *ss, const wr_auth_offer *offer) {
  if (ss->ending) {
    return;
  }
  if (!offer->proof || !wr_slice_same(offer->blob, remembered(ss))) {
    settle_unproved(ss);
  }
  ss->unproved = false;
  remember(ss, offer);
  if (!wr_authkeys_has(ss->server->keys, offer->blob)) {
    reject(ss, "unknown-key");
  } else if (!offer->proof) {
    ss->unproved = true;
    wr_ssh_auth_reply(ss->ssh, true);
  } else if (ss->server->opts.authorize) {
    ask_application(ss);
  } else {
    accept_proof(ss);
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
  wr__log_attempt(ss, user, "", signature ? "bad-signature" : reason);
}

void wr__auth_authorized(server_session *ss, bool accepted) {
  if (ss->ending || ss->state != SESSION_AUTHORIZING) {
    return;
  }
  if (!accepted) {
    reject(ss, "not-authorized");
  } else if (!wr_authkeys_has(ss->server->keys, remembered(ss))) {
    reject(ss, "unknown-key");
  } else {
    accept_proof(ss);
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
