#ifndef WR_APP_SERVER_INTERNAL_H
#define WR_APP_SERVER_INTERNAL_H

#include "app/penalty.h"
#include "app/server.h"

#include "base/errors.h"
#include "base/map.h"
#include "base/wire.h"
#include "net/firstbytes.h"

/* What the files of the server share:
     server.c          life cycle, listeners, reload, drain
     server_info.c     what it says of itself, calls for one session
     server_session.c  one SSH session: life cycle and channels
     server_auth.c     who may log in, and for how long
     server_limits.c   how many may come
     server_arrival.c  TLS, and what a connection on a stealth listener is
     server_penalty.c  who may not come for a while
     server_proxy.c    whom a load balancer speaks for
     server_reject.c   who was turned away, without flooding the log
     server_log.c      the records (docs/log.md), counted by reason */

typedef enum server_state {
  SERVER_OPEN = 1,
  SERVER_DRAINING, /* takes nothing new; channels may end */
  SERVER_ENDING    /* all sessions have been told to end */
} server_state;

typedef enum reject_reason {
  REJECT_NONE = 0,
  REJECT_PENALTY,
  REJECT_PER_IP,
  REJECT_STARTUPS,
  REJECT_SESSIONS,
  REJECT_PROXY_HEADER,
  REJECT_REASONS /* how many */
} reject_reason;

/* Turned away without a record of their own. */
typedef struct reject_log {
  uint64_t quiet_ms[REJECT_REASONS]; /* no record of its own before */
  uint32_t unlogged[REJECT_REASONS];
  wr_timer timer; /* writes the sums */
} reject_log;

struct wr_server {
  wr_ctx *ctx;
  wr_server_opts opts;     /* with the defaults filled in */
  wr_buf host_certificate; /* what opts refers to */
  wr_obj obj;
  server_state state;
  wr_trust *trust;
  wr_policy *policy;
  wr_remotes *remotes;
  wr_window_budget budget;
  wr_list listeners; /* of server_listener */
  wr_list sessions;  /* of server_session, also those that are ending */
  wr_map *by_id;     /* session id to live server_session */
  wr_map *by_peer;   /* peer key to server_peer */
  wr_list arrivals;  /* of server_arrival.c */
  wr_tls_ctx *tls;   /* opts.tls, or what came after it */
  wr_knock_cache knocks;
  wr_slice knock_secret; /* owned */
  char *ws_path;         /* opts.ws_path */
  /* Of the arrivals and of proxied, those that may be visitors. */
  uint32_t n_visitors;
  wr_list proxied;         /* connections whose PROXY header is awaited */
  wr_cidr *trusted;        /* opts.trust_proxy */
  wr_cidr *exempt;         /* opts.penalty_exempt */
  wr_upstream *proxy;      /* opts.proxy; NULL: targets are dialled directly */
  uint64_t proxy_quiet_ms; /* no record of its failures before */
  wr_penalties *penalties; /* NULL: none are given */
  reject_log rejects;
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
  uint64_t quiet_ms; /* no record of a rejection before */
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
  char fingerprint[WR_FINGERPRINT_MAX]; /* of the plain key, for the log */
  char offered[WR_FINGERPRINT_MAX];     /* of the whole blob */
  uint8_t sk_flags;                     /* of its proof */
  bool unproved;     /* a known key was offered; its proof is awaited */
  uint32_t attempts; /* refused ones */

  /* What the login allows, judged anew by each reload. */
  wr_trust *trust;        /* that line points into; NULL before the login */
  const wr_keyline *line; /* of the key, or of the certificate's authority */
  bool no_forwarding;
  uint64_t expires_s; /* since 1970; WR_TRUST_NEVER */
  wr_timer expiry;

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

/* server.c */
/* A copy of the server's own; NULL for none. 0 or WR_ENOMEM. */
WR_NODISCARD int wr__copy_cidrs(wr_server *s, const wr_cidr *src, size_t n,
                                wr_cidr **out);
/* A session, a listener or a connection is gone. */
void wr__server_gone(wr_server *s);

/* server_auth.c */
/* Whether a line without limits is for this key. */
bool wr__auth_listed(const wr_server *s, wr_slice blob);
void wr__auth_offered(server_session *ss, const wr_auth_offer *offer);
void wr__auth_ignored(server_session *ss, const char *user, const char *reason);
void wr__auth_authorized(server_session *ss, bool accepted);
/* Judges a session that has logged in by what is in force now; it ends if it may
   no longer be there. */
void wr__auth_recheck(server_session *ss);
/* The plain key of what was offered last, or logged in; cert is room for it, and
   the blob of the session is borrowed. */
wr_slice wr__auth_plain_key(const server_session *ss, wr_cert *cert);
/* What it may reach now. */
wr_access wr__auth_access(const server_session *ss);
/* Gives back what it holds. */
void wr__auth_drop(server_session *ss);
/* The session is over: records what is left to record. */
void wr__auth_over(server_session *ss);

/* server_limits.c */
/* What counts as one peer. Returns the length, 0 if there is no address. */
size_t wr__peer_key(const char *address, uint8_t key[WR_ADDR_TEXT_MAX]);
/* Whether a connection may be taken: by its address, by how many have not logged
   in, by how many there are. If not, it is recorded. */
bool wr__limits_address(wr_server *s, const char *address,
                        const char *transport);
bool wr__limits_startups(wr_server *s, const char *address,
                         const char *transport);
bool wr__limits_sessions(wr_server *s, const char *address,
                         const char *transport);
/* Counts it. 0 or WR_ENOMEM. */
WR_NODISCARD int wr__limits_enter(server_session *ss);
/* It has logged in. */
void wr__limits_logged_in(server_session *ss);
void wr__limits_leave(server_session *ss);

/* server_penalty.c */
WR_NODISCARD int wr__penalty_init(wr_server *s);
void wr__penalty_free(wr_server *s);
/* Whether the address is kept out. *first: nobody has been turned away since
   the penalty began. */
bool wr__penalty_holds(wr_server *s, const char *address, bool *first);
/* The session is over: what it did without logging in counts against its
   address. */
void wr__penalty_over(const server_session *ss, int status);

/* server.c */
/* For the log. */
const char *wr__transport_of(wr_listen_kind kind);
/* Whoever is no tunnel is a visitor there. */
bool wr__has_visitors(wr_listen_kind kind);
/* What counts those who have not said what they are: the visitors, elsewhere the
   startups. */
uint32_t *wr__counter_of(wr_server *s, wr_listen_kind kind);

/* server_proxy.c */
WR_NODISCARD int wr__proxy_init(wr_server *s);
bool wr__proxy_trusts(const wr_server *s, const wr_link_info *info);
/* Whom a trusted address speaks for by the fields of a request; the address stays
   if it is not trusted, or if they do not say. */
void wr__proxy_forwarded(const wr_server *s, const wr_http_head *h,
                         const uint8_t *text, char address[WR_ADDR_TEXT_MAX]);
/* Takes a connection whose header is awaited, and serves it then. 0, WR_ELIMIT
   or WR_ENOMEM (the link is still the caller's). */
WR_NODISCARD int wr__proxy_wait(wr_server *s, wr_listen_kind kind,
                                wr_link *link, const char *address);
/* Ends the connections that wait. */
void wr__proxy_stop(wr_server *s);

/* server_arrival.c */
/* A new connection of a listener of any kind but TCP; has_place: it was among the
   startups or the visitors just now. 0, WR_ELIMIT or another error (the link is
   still the caller's). */
WR_NODISCARD int wr__arrive(wr_server *s, wr_listen_kind kind, bool has_place,
                            wr_link *link, const char *address);
void wr__arrivals_stop(wr_server *s);

/* server_reject.c */
void wr__reject_init(wr_server *s);
/* Whether a rejection is to have a record of its own: one a minute. */
bool wr__reject_is_due(const wr_server *s, uint64_t *quiet_ms);
/* Counts a connection that is not taken; own: with a record of its own. */
void wr__reject(wr_server *s, const char *address, const char *transport,
                reject_reason reason, bool own);
/* Records the sums that have not been yet. */
void wr__reject_sums(wr_server *s);

/* server_log.c: what has a reason is counted by it, but for rejections. */
void wr__log_listening(const wr_server *s, const struct sockaddr *sa,
                       const char *transport);
void wr__log_stopping(const wr_server *s);
void wr__log_reload(const wr_server *s, bool trust, bool policy);
void wr__log_opened(const server_session *ss);
/* fingerprint "": it is not known. cert NULL: a plain key, or one that is not
   trusted. reason NULL: accepted. */
void wr__log_attempt(const server_session *ss, const char *user,
                     const char *fingerprint, const wr_cert *cert,
                     const char *reason);
void wr__log_auth_failed(const server_session *ss);
void wr__log_ended(const server_session *ss, const char *reason);
void wr__log_closed(const server_session *ss);
void wr__log_rejected(const wr_server *s, const char *address,
                      const char *transport, const char *reason);
void wr__log_rejected_sum(const wr_server *s, const char *reason,
                          uint32_t count);
/* It is said once a minute. */
void wr__log_proxy_failed(wr_server *s, int err);
void wr__log_penalty(const wr_server *s, const char *address,
                     uint64_t duration_ms, const char *reason);

#endif /* !defined(WR_APP_SERVER_INTERNAL_H) */
