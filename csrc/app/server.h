#ifndef WR_APP_SERVER_H
#define WR_APP_SERVER_H

#include "app/counts.h"
#include "net/tls_ctx.h"
#include "proxy/policy.h"
#include "proxy/remote.h"
#include "proxy/target.h"
#include "ssh/session.h"
#include "ssh/trust.h"

/* The server: listeners, sessions, limits, policy, log. */
typedef struct wr_server wr_server;

typedef struct wr_server_identity {
  uint32_t session_id;
  const char *user;           /* untrusted */
  const char *fingerprint;    /* of the key that was proved */
  const wr_cert *cert;        /* that was accepted for it; NULL: a plain key */
  const char *remote_address; /* without port; "" where there is none */
  const char *transport;
} wr_server_identity;

/* Somebody on a stealth listener, or one for WebSockets, who is no tunnel. All
   borrowed but the link. */
typedef struct wr_visitor {
  wr_link *link;              /* the callee's; decrypted */
  const char *remote_address; /* "" where there is none */
  const char *local_address;  /* the same; that of the carrier */
  uint16_t local_port;        /* 0 where there is none */
  const char *server_name;    /* SNI as it was sent, "" if it was not */
  wr_slice alpn;              /* the protocol agreed on; empty if none was */
  bool plain;                 /* not TLS; the link is the carrier's */
  bool astray;                /* plain where TLS is to be spoken */
} wr_visitor;

typedef struct wr_server_handler {
  /* Answers as the owner's web site. */
  void (*on_visitor)(wr_server *s, const wr_visitor *visitor);
  /* A key that may log in has been proved, and opts.authorize is set: answer with
     wr_server_authorize(), now or later. */
  void (*on_authorize)(wr_server *s, const wr_server_identity *identity);
  /* A channel to a reserved name (lower case): the callee owns the link. false:
     nobody listens, the channel is refused. Called before the channel is
     confirmed with link NULL (asks only), then with the link. */
  bool (*on_control)(wr_server *s, uint32_t session_id, const char *name,
                     wr_link *link);
  void (*on_session)(wr_server *s, uint32_t session_id, bool up);
  void (*on_close)(wr_server *s); /* last callback; the server is gone */
} wr_server_handler;

typedef struct wr_server_opts {
  const wr_server_handler *handler;
  void *user;
  wr_log log;                /* copied; where this server's records go */
  wr_key *host_key;          /* referenced */
  wr_slice host_certificate; /* of that key, copied; data NULL: none */
  wr_trust *trust;           /* who may log in; referenced */
  wr_policy *policy;         /* taken on success */
  wr_tls_ctx *tls; /* for TLS listeners, referenced; NULL: there are none */
  /* Where visitors may ask for a WebSocket, copied; NULL: nowhere. */
  const char *ws_path;
  wr_slice knock_secret; /* copied; empty: an SSH banner is enough */
  /* Of those who may be visitors, until they are recognised or given to
     on_visitor; 0: 4096. */
  uint32_t max_visitors;
  /* Until a visitor's handshake is over, and then until the first request is
     whole; 0: 60 s, as nginx. */
  uint32_t visitor_ms;
  bool forwarding; /* false: control channels only */
  bool gateway_ports;
  bool authorize;                  /* ask on_authorize */
  uint64_t login_grace_ms;         /* 0: 30 s */
  uint64_t keepalive_ms;           /* 0: 15 s */
  uint32_t max_auth_attempts;      /* 0: 10 */
  uint32_t max_startups;           /* unauthenticated; 0: 1000 */
  uint32_t startups_start;         /* some are dropped from here on; 0: half */
  uint32_t startups_rate;          /* of 100 that come then; 0: 30 */
  uint32_t max_sessions;           /* 0: 10000 */
  uint32_t max_channels;           /* per session; 0: 1000 */
  uint32_t max_connections_per_ip; /* 0: no limit */
  /* Networks that may say, by a PROXY header or by X-Forwarded-For, whom they
     speak for; copied. */
  const wr_cidr *trust_proxy;
  size_t n_trust_proxy;
  uint64_t penalty_ms;           /* for one failed login; 0: no penalties */
  uint64_t penalty_max_ms;       /* 0: 10 min */
  const wr_upstream *proxy;      /* for targets; copied; NULL: none */
  const wr_cidr *penalty_exempt; /* copied */
  size_t n_penalty_exempt;
  uint64_t rekey_bytes;     /* tests */
  uint64_t dial_timeout_ms; /* tests; 0: WR_DIAL_TIMEOUT_MS */
} wr_server_opts;

/* Listens nowhere yet. 0 or an error (nothing was taken). */
WR_NODISCARD int wr_server_new(wr_ctx *ctx, const wr_server_opts *opts,
                               wr_server **out);
void *wr_server_user(const wr_server *s);
typedef enum wr_listen_kind {
  WR_LISTEN_TCP = 0,
  WR_LISTEN_TLS,     /* needs opts.tls */
  WR_LISTEN_STEALTH, /* TLS; who is no tunnel is a visitor of the web site */
  WR_LISTEN_WS /* the same without TLS, and only WebSockets are tunnels: for a
                  web server in front, which ends the TLS */
} wr_listen_kind;
/* Adds a listener; bound gets the address. The system's error, WR_EINVAL (no
   TLS) or 0. */
WR_NODISCARD int wr_server_listen(wr_server *s, wr_listen_kind kind,
                                  const char *host, uint16_t port,
                                  struct sockaddr_storage *bound);
/* Another certificate for connections from now on; referenced. */
void wr_server_set_tls(wr_server *s, wr_tls_ctx *tls);
/* Adds a socket that listens already. The system's error, WR_EINVAL (it is no
   such socket) or 0; on an error fd is still the caller's. */
WR_NODISCARD int wr_server_listen_fd(wr_server *s, wr_listen_kind kind, int fd,
                                     struct sockaddr_storage *bound);
/* Serves SSH on a link of the caller's. remote_address: for limits and the log,
   "" if there is none; transport: a literal. The link is taken, unless an error
   is returned: WR_ELIMIT (a limit; recorded), WR_ECLOSED, WR_EINVAL (the address
   is too long), WR_ENOMEM. */
WR_NODISCARD int wr_server_accept(wr_server *s, wr_link *link,
                                  const char *remote_address,
                                  const char *transport, uint32_t *session_id);
/* Answers on_authorize; unknown ids are ignored (it may have gone). */
void wr_server_authorize(wr_server *s, uint32_t session_id, bool accepted);
/* Stops listening and takes no new channels; sessions without channels end at
   once, the others when their last one has ended, at the latest after drain_ms;
   each peer is told as its session ends (SSH has no earlier notice). on_close
   follows. Called again: ends at once. */
void wr_server_close(wr_server *s, uint64_t drain_ms);
/* Opens a channel to a client that accepts `name`. WR_ECHANNEL_UNKNOWN if it
   does not or the session is not there. */
WR_NODISCARD int wr_server_open(wr_server *s, uint32_t session_id,
                                const char *name, wr_opening_cb cb, void *user,
                                wr_opening **out);
/* Puts new ones in force (either may be NULL: unchanged); trust is referenced,
   policy taken. What is under way is judged again, before it returns: a session
   whose key, certificate or address may no longer log in ends, and so does each
   dial, connection, control channel and listener that is no longer allowed. */
void wr_server_reload(wr_server *s, wr_trust *trust, wr_policy *policy);

typedef struct wr_server_session_info {
  uint32_t session_id;
  char user[256];
  char fingerprint[WR_FINGERPRINT_MAX]; /* of a certificate: of its key */
  char remote_address[WR_ADDR_TEXT_MAX];
  const char *transport;
  bool authenticated;
  bool is_cert;
  wr_cert cert; /* if is_cert; borrows from the session, valid in this turn */
  uint64_t since_ms; /* duration so far */
  uint32_t channels;
  uint64_t bytes_in, bytes_out;
} wr_server_session_info;
/* Walks all sessions in no particular order: *cursor starts at 0; false at the
   end. */
bool wr_server_next_session(const wr_server *s, size_t *cursor,
                            wr_server_session_info *info);
bool wr_server_session(const wr_server *s, uint32_t session_id,
                       wr_server_session_info *info);
/* Ends one session with a disconnect message. */
void wr_server_end_session(wr_server *s, uint32_t session_id);

typedef struct wr_server_stats {
  uint32_t sessions, startups, channels, remote_forwards;
  uint64_t connections, rejected; /* ever */
  uint64_t visitors;              /* given to on_visitor, ever */
  uint64_t knocks_failed;         /* missing, wrong, old or used before, ever */
  uint64_t penalties;             /* that came into force, ever */
  uint64_t auth_accepted, auth_rejected;
  uint64_t channels_opened;     /* dialled for, or given to the application */
  uint64_t channels_refused;    /* at once, without a dial */
  uint64_t bytes_in, bytes_out; /* on all carriers */
  /* By reason: docs/log.md. */
  wr_counts rejections;      /* of connections */
  wr_counts auth_rejections; /* of keys that were offered or proved */
  wr_counts ends;            /* of sessions, by the server */
  /* From the start of a connection. */
  wr_durations handshakes; /* to the first keys in use */
  wr_durations logins;     /* to the login */
} wr_server_stats;
void wr_server_get_stats(const wr_server *s, wr_server_stats *stats);

#endif /* !defined(WR_APP_SERVER_H) */
