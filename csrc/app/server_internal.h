#ifndef WR_APP_SERVER_INTERNAL_H
#define WR_APP_SERVER_INTERNAL_H

#include "app/server.h"

#include "base/errors.h"
#include "base/map.h"
#include "base/wire.h"

/* What the files of the server share:
     server.c          life cycle, listeners, reload, drain
     server_info.c     what it says of itself, calls for one session
     server_session.c  one SSH session: life cycle and channels
     server_auth.c     who may log in
     server_limits.c   how many may come
     server_log.c      the records (docs/log.md) */

#define AUTH_BLOB_MAX ((size_t)64) /* an Ed25519 key blob has 51 bytes */

typedef enum server_state {
  SERVER_OPEN = 1,
  SERVER_DRAINING, /* takes nothing new; channels may end */
  SERVER_ENDING    /* all sessions have been told to end */
} server_state;

struct wr_server {
  wr_ctx *ctx;
  wr_server_opts opts;     /* with the defaults filled in */
  wr_buf host_certificate; /* what opts refers to */
  wr_obj obj;
  server_state state;
  wr_authkeys *keys;
  wr_policy *policy;
  wr_remotes *remotes;
  wr_window_budget budget;
  wr_list listeners; /* of server_listener */
  wr_list sessions;  /* of server_session, also those that are ending */
  wr_map *by_id;     /* session id to live server_session */
  wr_map *by_peer;   /* peer key to server_peer */
  uint32_t last_id;  /* of a session; they count from 1 */
  uint32_t n_live;   /* sessions whose SSH session is there */
  uint32_t startups; /* of these: not logged in */
  wr_timer tick;     /* looks for stale sessions; while draining, for idle */
  uint64_t drain_until_ms;
  wr_task finish; /* looks whether the last thing is gone */
  /* What ended sessions have left; the rest is asked of the live ones. */
  wr_server_stats past;
};

typedef enum session_state {
  SESSION_LOGIN = 1,
  SESSION_AUTHORIZING, /* a proof waits for the application's word */
  SESSION_ACCEPTED,    /* the proof was accepted, on_ready is to come */
  SESSION_UP
} session_state;

/* How many connections a peer has; there while it has any. */
typedef struct server_peer {
  uint32_t connections;
} server_peer;

typedef struct server_session {
  wr_list node;
  wr_server *server;
  wr_ssh *ssh; /* NULL once it is gone; targets may still be closing */
  uint32_t id;
  session_state state;
  bool ending;    /* told to end; nothing new is taken */
  bool logged_in; /* its key was accepted, whatever came after */
  uint64_t since_ms;
  const char *transport;
  char address[WR_ADDR_TEXT_MAX];     /* "" if there is none */
  uint8_t peer_key[WR_ADDR_TEXT_MAX]; /* wr_ip_peer_key(), else the text */
  size_t peer_key_len;                /* 0: not counted */

  /* The key that was offered last and not judged to the end, or that logged
     in. */
  char user[256];
  char fingerprint[WR_FINGERPRINT_MAX];
  uint8_t blob[AUTH_BLOB_MAX];
  size_t blob_len;
  bool unproved;     /* a known key was offered; its proof is awaited */
  uint32_t attempts; /* refused ones */

  wr_target_owner targets;
  wr_remote_session *remote; /* once it is up */
  wr_task ended; /* looks whether all is gone and frees the session */
} server_session;

static inline server_session *wr__session_of(wr_list *node) {
  return wr_container_of(node, server_session, node);
}

/* server_session.c. The link is taken unless an error is returned. */
WR_NODISCARD int wr__session_start(wr_server *s, wr_link *link,
                                   const char *address, const char *transport,
                                   uint32_t *id);
server_session *wr__session_find(const wr_server *s, uint32_t id);
/* Says goodbye; what it had ends. code and text as wr_ssh_close(). */
void wr__session_end(server_session *ss, uint32_t code, const char *text);
/* At once, without waiting for what is on its way out. */
void wr__session_abort(server_session *ss);

/* server.c: a session or listener is gone. */
void wr__server_gone(wr_server *s);

/* server_auth.c */
void wr__auth_offered(server_session *ss, const wr_auth_offer *offer);
void wr__auth_ignored(server_session *ss, const char *user, const char *reason);
void wr__auth_authorized(server_session *ss, bool accepted);
/* The session is over: records what is left to record. */
void wr__auth_over(server_session *ss);

/* server_limits.c */
/* NULL, or the reason (for the log) why this connection is not taken. Sets the
   session's peer key. */
const char *wr__limits_reject(server_session *ss);
/* Counts it. 0 or WR_ENOMEM. */
WR_NODISCARD int wr__limits_enter(server_session *ss);
/* It has logged in. */
void wr__limits_logged_in(server_session *ss);
void wr__limits_leave(server_session *ss);

/* server_log.c */
void wr__log_listening(const wr_server *s, const struct sockaddr *sa,
                       const char *transport);
void wr__log_stopping(const wr_server *s);
void wr__log_reload(const wr_server *s, bool keys, bool policy);
void wr__log_opened(const server_session *ss);
/* fingerprint "": it is not known. reason NULL: accepted. */
void wr__log_attempt(const server_session *ss, const char *user,
                     const char *fingerprint, const char *reason);
void wr__log_auth_failed(const server_session *ss);
void wr__log_ended(const server_session *ss, const char *reason);
void wr__log_closed(const server_session *ss);
void wr__log_rejected(const wr_server *s, const char *address,
                      const char *transport, const char *reason);

#endif /* !defined(WR_APP_SERVER_INTERNAL_H) */
