#ifndef WR_SSH_SESSION_H
#define WR_SSH_SESSION_H

#include "loop/timer.h"
#include "net/link.h"
#include "ssh/identity.h"

/* One SSH session over a link. libssh does the transport layer (RFC 4253);
   authentication (RFC 4252, method publickey alone) and the connection protocol
   (RFC 4254) are done here. The session never knows which carrier it runs on.

   Callbacks come from the loop or from a task, never from inside a call into
   the same session; every call is allowed inside them. on_close is the last
   one, comes exactly once, and the session is gone after it. */
typedef struct wr_ssh wr_ssh;
typedef struct wr_open wr_open;       /* a channel the peer asks for */
typedef struct wr_opening wr_opening; /* a channel we have asked for */
typedef struct wr_request wr_request; /* a global request of the peer's */

typedef enum wr_ssh_role { WR_SSH_CLIENT = 1, WR_SSH_SERVER } wr_ssh_role;

/* What a channel is to be connected to, or came from. */
typedef enum wr_target_kind {
  WR_TARGET_TCP = 1, /* direct-tcpip: host and port */
  WR_TARGET_UNIX,    /* direct-streamlocal@openssh.com: host is the path */
  WR_TARGET_FORWARDED_TCP,  /* forwarded-tcpip: host and port listened on */
  WR_TARGET_FORWARDED_UNIX, /* forwarded-streamlocal@openssh.com */
  WR_TARGET_OTHER           /* any other type; only refused */
} wr_target_kind;

#define WR_TARGET_HOST_MAX 255 /* longest host name, and path, on the wire */

typedef struct wr_target {
  wr_target_kind kind;
  char host[WR_TARGET_HOST_MAX + 1]; /* without zero bytes; "" is refused */
  uint16_t port;
  char origin_host[WR_ADDR_TEXT_MAX]; /* for the protocol; never logged */
  uint16_t origin_port;
} wr_target;

/* A key that a client offers (proof false) or has proved (proof true). The
   server answers each with wr_ssh_auth_reply(), at once or later. */
typedef struct wr_auth_offer {
  const char *user; /* at most 255 bytes, any but zero: untrusted */
  wr_slice blob;    /* valid until answered */
  bool proof;
  uint8_t sk_flags; /* of a proof by a security key: WR_SK_… (ssh/verify.h) */
} wr_auth_offer;

typedef struct wr_ssh_handler {
  /* Client: judge this key or host certificate, now or later, with
     wr_ssh_host_key_verdict(). That the server has the key is proved; nothing
     else of a certificate is. */
  void (*on_host_key)(wr_ssh *s, wr_slice blob);
  /* Client: the signature of `signer` over `data` is wanted; answer with
     wr_ssh_signature(), now or later. Both are valid until then. Only for
     identities without a key. */
  void (*on_sign)(wr_ssh *s, wr_slice signer, wr_slice data);
  /* Server: the first key exchange is done. May be NULL. */
  void (*on_keys)(wr_ssh *s);
  /* Server. The blob is well-formed, an Ed25519 key, one in a security key or a
     certificate of either; of a proof the signature has been checked, and
     nothing else of a certificate. */
  void (*on_auth)(wr_ssh *s, const wr_auth_offer *offer);
  /* Server: a login was refused for a reason of the protocol's (a key type or
     method that is not taken: text is fixed), for the log. */
  void (*on_auth_ignored)(wr_ssh *s, const char *user, const char *reason);
  void (*on_ready)(wr_ssh *s); /* logged in; channels may be opened */
  /* Answer each with wr_open_accept() or wr_open_refuse(), now or later. */
  void (*on_open)(wr_ssh *s, wr_open *open);
  /* The session ends while the open is not answered: it is gone after this. */
  void (*on_open_canceled)(wr_ssh *s, wr_open *open);
  /* A global request that the session does not answer itself (keepalives and
     unknown ones it does). Answer during the call or later, in any order. */
  void (*on_request)(wr_ssh *s, wr_request *request);
  void (*on_request_canceled)(wr_ssh *s, wr_request *request);
  /* 0: closed by the owner. Else why; wr_ssh_end_text() may say more. */
  void (*on_close)(wr_ssh *s, int status);
} wr_ssh_handler;

/* Shared by all sessions of a context: bounds the sum of what their peers may
   send unasked, beyond the WR_WINDOW_LEAST that each channel always has. */
typedef struct wr_window_budget {
  uint64_t limit_bytes;   /* 0: WR_WINDOW_PROCESS_MAX */
  uint64_t granted_bytes; /* read-only */
} wr_window_budget;

#define WR_WINDOW_PROCESS_MAX ((uint64_t)1024 * 1024 * 1024)
/* Of all channels of a session together, as far as they are not the least. */
#define WR_WINDOW_SESSION_MAX ((uint64_t)256 * 1024 * 1024)
#define WR_WINDOW_CHANNEL_MAX ((uint64_t)64 * 1024 * 1024)
#define WR_WINDOW_LEAST ((uint32_t)64 * 1024)
#define WR_KEEPALIVE_MS 15000
#define WR_LOGIN_GRACE_MS 30000
#define WR_MAX_CHANNELS 1000
#define WR_MAX_AUTH_ATTEMPTS 10

typedef struct wr_ssh_opts {
  wr_ssh_role role;
  const wr_ssh_handler *handler;
  void *user;
  const char *software; /* after "SSH-2.0-"; NULL: a neutral default */
  /* Server */
  const wr_key *host_key;
  wr_slice host_certificate;  /* of that key, copied; data NULL: none */
  unsigned max_auth_attempts; /* offers and proofs that fail; 0: default */
  /* Client */
  const char *login;             /* the user name */
  const wr_identity *identities; /* tried in order; copied */
  size_t n_identities;
  const char *host_key_types; /* algorithms, best first; NULL: default */
  /* Both; 0 means the default. */
  uint64_t login_grace_ms;   /* from the start to on_ready */
  uint64_t keepalive_ms;     /* UINT64_MAX: none */
  uint32_t max_channels;     /* open and opening, both directions */
  uint64_t window_max_bytes; /* of all channels together */
  wr_window_budget *budget;  /* may be NULL */
  uint64_t rekey_bytes;      /* 0: the cipher's own limit */
  const char *ciphers;       /* comma-separated; NULL: default. For tests and */
  const char *kex;           /* benchmarks. */
} wr_ssh_opts;

/* Takes the link. 0, or an error: then the link is still the caller's. */
WR_NODISCARD int wr_ssh_start(wr_ctx *ctx, wr_link *link,
                              const wr_ssh_opts *opts, wr_ssh **out);
void *wr_ssh_user(const wr_ssh *s);
/* For a change of owner; both must stay valid. */
void wr_ssh_set_handler(wr_ssh *s, const wr_ssh_handler *handler, void *user);
/* Reason codes of SSH_MSG_DISCONNECT (RFC 4253, section 11.1). */
#define WR_DISCONNECT_PROTOCOL 2
#define WR_DISCONNECT_BY_APPLICATION 11
#define WR_DISCONNECT_TOO_MANY 12
#define WR_DISCONNECT_NO_AUTH 14
/* Tells the peer and ends the session; all channels end. text is fixed. */
void wr_ssh_close(wr_ssh *s, uint32_t code, const char *text);
/* As if the wire was cut; on_close gets `status`. */
void wr_ssh_abort(wr_ssh *s, int status);
/* One try to say goodbye, synchronously (process exit). */
void wr_ssh_say_goodbye(wr_ssh *s);

/* status 0 goes on; else the session ends with that status. */
void wr_ssh_host_key_verdict(wr_ssh *s, int status);
/* status 0: sig is a signature blob. WR_EAGENT_REFUSED: the next identity has its
   turn. Anything else ends the session with it. */
void wr_ssh_signature(wr_ssh *s, int status, wr_slice sig);
void wr_ssh_auth_reply(wr_ssh *s, bool accepted);

/* What it says of itself; borrowed, "" before it is known. */
typedef struct wr_ssh_info {
  const char *peer_software; /* untrusted text, printable ASCII only */
  const char *kex, *cipher, *mac;
  const char *login; /* the user that is logged in */
  wr_slice key_blob; /* the key or certificate that logged in; before that, on
                        the server, that was offered last */
  uint32_t channels;
  uint64_t bytes_in, bytes_out; /* on the carrier */
  uint64_t window_bytes;        /* granted to the peer now */
  uint32_t rtt_us;              /* smallest seen lately; 0: none yet */
  uint64_t last_heard_ms;       /* clock of the context */
  uint32_t auth_failures;
  uint32_t auth_offers;
} wr_ssh_info;
void wr_ssh_query(const wr_ssh *s, wr_ssh_info *info);
wr_link *wr_ssh_carrier(wr_ssh *s); /* to be queried only */
/* A fixed text about the end ("login grace time exceeded"), or "". */
const char *wr_ssh_end_text(const wr_ssh *s);
/* Starts a key exchange now (tests). */
void wr_ssh_rekey(wr_ssh *s);

/* Answering the peer's opens. */
const wr_target *wr_open_target(const wr_open *open);
void wr_open_set_user(wr_open *open, void *user);
void *wr_open_user(const wr_open *open);
/* Confirms and hands the channel over as a link (transport "channel"); the open
   is gone. NULL if the session has ended meanwhile or memory is out: then the
   open has been refused. */
wr_link *wr_open_accept(wr_open *open);
/* The same for a channel that wr_ssh_review() asks about, by this label. */
wr_link *wr_open_accept_labelled(wr_open *open, const char *label);
/* err is one of WR_ECHANNEL_*, or an error of a dial (libuv's or WR_E…), and
   becomes reason code and token (interface.md, section 5). Gone after it. */
void wr_open_refuse(wr_open *open, int err);

/* Asking for channels. cb comes exactly once, later, with 0 and a link, or
   WR_ECHANNEL_*, WR_ECLOSED. */
typedef void (*wr_opening_cb)(void *user, int status, wr_link *link);
WR_NODISCARD int wr_ssh_open(wr_ssh *s, const wr_target *target,
                             wr_opening_cb cb, void *user, wr_opening **out);
/* The callback will not come; a channel that comes later is closed. */
void wr_opening_cancel(wr_opening *opening);

/* As wr_open_accept_labelled(), for a channel of ours. 0 or WR_ENOMEM. */
WR_NODISCARD int wr_opening_set_label(wr_opening *opening, const char *label);
/* Resets the channels with a label that may not stay; on_close comes later, with
   WR_ECHANNEL_DENIED. Those that are being opened end likewise. */
void wr_ssh_review(wr_ssh *s, bool (*may_stay)(void *data, const char *label),
                   void *data);

/* Global requests of the peer. name and payload are valid until answered. */
const char *wr_request_name(const wr_request *r);
wr_slice wr_request_payload(const wr_request *r);
void wr_request_set_user(wr_request *r, void *user);
void *wr_request_user(const wr_request *r);
/* Answers (if the peer wants to know) in the order the requests came, and
   frees it. payload is the answer's data. */
void wr_request_reply(wr_request *r, bool ok, wr_slice payload);

/* Global requests of ours; answers come in order (RFC 4254, section 4). cb may
   be NULL: then no answer is asked for. status 0, WR_EFORWARD_REFUSED (the peer
   said no) or WR_ECLOSED. Exactly one call, later. */
typedef void (*wr_reply_cb)(void *user, int status, wr_slice payload);
WR_NODISCARD int wr_ssh_request(wr_ssh *s, const char *name, wr_slice payload,
                                wr_reply_cb cb, void *user);
/* Callbacks of wr_ssh_request() with this user will not come. */
void wr_ssh_forget(wr_ssh *s, void *user);

/* Channels are links; this tells them apart (NULL if it is none). */
typedef struct wr_channel wr_channel;
wr_channel *wr_channel_from_link(wr_link *link);
typedef struct wr_channel_info {
  uint32_t local_id;
  uint32_t window;        /* what the peer may still send, bytes */
  uint32_t window_target; /* what it is topped up to */
  uint32_t remote_window;
  size_t kept; /* bytes received and not yet taken */
  uint64_t bytes_in, bytes_out;
} wr_channel_info;
void wr_channel_query(const wr_channel *ch, wr_channel_info *info);

#endif /* !defined(WR_SSH_SESSION_H) */
