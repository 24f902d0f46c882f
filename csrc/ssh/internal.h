#ifndef WR_SSH_INTERNAL_H
#define WR_SSH_INTERNAL_H

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/reason.h"
#include "ssh/session.h"
#include "ssh/table.h"
#include "ssh/transport.h"

/* What the files of a session share:
     session.c      life cycle, accessors
     pump.c         bytes between link and transport, gate, fairness
     liveness.c     keepalive, round-trip times, the one timer
     auth_server.c, auth_client.c   RFC 4252
     conn.c         RFC 4254: dispatch, global requests
     opens.c        RFC 4254: opening channels
     channel.c      RFC 4254: channels as links */

/* Message numbers (RFC 4250, section 4.1.2). */
enum {
  MSG_DISCONNECT = 1,
  MSG_SERVICE_REQUEST = 5,
  MSG_SERVICE_ACCEPT = 6,
  MSG_USERAUTH_REQUEST = 50,
  MSG_USERAUTH_FAILURE = 51,
  MSG_USERAUTH_SUCCESS = 52,
  MSG_USERAUTH_BANNER = 53,
  MSG_USERAUTH_PK_OK = 60,
  MSG_GLOBAL_REQUEST = 80,
  MSG_REQUEST_SUCCESS = 81,
  MSG_REQUEST_FAILURE = 82,
  MSG_CHANNEL_OPEN = 90,
  MSG_CHANNEL_OPEN_CONFIRMATION = 91,
  MSG_CHANNEL_OPEN_FAILURE = 92,
  MSG_CHANNEL_WINDOW_ADJUST = 93,
  MSG_CHANNEL_DATA = 94,
  MSG_CHANNEL_EXTENDED_DATA = 95,
  MSG_CHANNEL_EOF = 96,
  MSG_CHANNEL_CLOSE = 97,
  MSG_CHANNEL_REQUEST = 98,
  MSG_CHANNEL_SUCCESS = 99,
  MSG_CHANNEL_FAILURE = 100
};

/* More reason codes of SSH_MSG_DISCONNECT, and two for not sending it. */
enum {
  DISCONNECT_NONE = 0,
  DISCONNECT_HEARD = 1000, /* the peer has said it, or has ended its side */
  DISCONNECT_SERVICE_NOT_AVAILABLE = 7,
  DISCONNECT_HOST_KEY = 9,
  DISCONNECT_AUTH_CANCELLED = 13
};

typedef enum wr_ssh_state {
  SSH_KEX = 1,  /* version and key exchange */
  SSH_HOST_KEY, /* client: the owner judges the host key */
  SSH_SERVICE,  /* the service request is under way */
  SSH_AUTH,
  SSH_UP,     /* logged in */
  SSH_ENDING, /* cancels, says goodbye, closes the link */
  SSH_ENDED   /* on_close is being called */
} wr_ssh_state;

/* How far the orderly end has come. */
typedef enum wr_ssh_farewell {
  FAREWELL_NONE = 0,
  FAREWELL_SENDING, /* what there is to say goes out */
  FAREWELL_READING  /* our side has ended; the peer's is awaited */
} wr_ssh_farewell;

/* Why packets of the peer wait. */
enum {
  HOLD_AUTH = 1,     /* an offer is not answered yet */
  HOLD_READY = 2,    /* on_ready has not been called yet */
  HOLD_REQUESTS = 4, /* too many global requests are not answered yet */
  HOLD_BACKLOG = 8   /* the peer does not read what it makes us send */
};

typedef struct wr_ssh_auth {
  bool service;   /* server: ssh-userauth was asked for and granted */
  bool named;     /* server: login is what the first request said */
  bool none_seen; /* server: one request of method none is free */
  bool pending;   /* server: the owner has an offer to answer */
  bool proof;     /* server: of that offer. client: a proof was sent */
  unsigned max_failures;
  unsigned failures;
  unsigned offers;
  char *login; /* server: at most 255 bytes from the peer */
  wr_buf blob; /* the key of the offer; after login: that logged in */
  wr_identity *identities; /* client */
  size_t n_identities;
  size_t next;     /* client: the identity that is being tried */
  wr_buf text;     /* client: what is being signed */
  bool signing;    /* client: somebody else signs it */
  bool not_signed; /* client: somebody would not, for one at least */
} wr_ssh_auth;

typedef struct wr_ssh_liveness {
  wr_timer timer; /* login grace; keepalive; the time to say goodbye */
  uint64_t grace_ms;
  uint64_t keepalive_ms; /* UINT64_MAX: none */
  uint64_t heard_ms;     /* when the link last brought something */
  uint64_t asked_ms;     /* heard_ms at the keepalive that was sent for it */
  bool busy;             /* much has passed: buffers may be given back */
  bool ping_out;         /* a round trip is being measured */
  uint64_t ping_us;      /* when that began */
  uint64_t ping_ms;
  uint64_t epoch_ms;      /* start of the epoch of rtt_now */
  uint32_t rtt_now_us;    /* smallest in this epoch, 0: none */
  uint32_t rtt_before_us; /* smallest in the one before */
} wr_ssh_liveness;

struct wr_ssh {
  wr_ctx *ctx;
  wr_obj obj;
  wr_link *link; /* NULL once it is closed */
  wr_transport *tp;
  const wr_ssh_handler *handler;
  void *user;
  wr_ssh_role role;
  wr_ssh_state state;
  int status;           /* why it ended */
  const char *end_text; /* fixed text, "" */
  wr_buf host_blob;     /* the server's key or certificate, as presented */
  wr_ssh_auth auth;
  wr_ssh_liveness live;

  /* pump */
  wr_buf rest;    /* the beginning of a packet whose end is awaited */
  wr_list held;   /* packets that wait, see holds */
  unsigned holds; /* HOLD_… */
  bool link_reading;
  bool link_full; /* on_writable will come */
  bool link_failed;
  bool link_ended; /* the peer has ended its direction */
  bool in_scratch; /* rest was copied in front of the read */
  uint64_t bytes_in, bytes_out;
  size_t rekey_queued; /* bytes sent while new keys are awaited */
  uint64_t turn;       /* counts flushes */
  wr_task flush;
  wr_task work; /* held packets, writers, channels */
  wr_task end;
  bool canceled; /* everything pending has been told */
  bool linger;   /* what is there shall be sent first */
  wr_ssh_farewell farewell;
  bool close_asked; /* wr_link_close was called */
  wr_list blocked;  /* channels that wait to write */
  wr_list ready;    /* channels that have something to tell */
  wr_channel *reserved_by;
  uint8_t *reserved; /* memory of the next packet, lent to it; or NULL */
  size_t reserved_len;

  /* connection protocol */
  wr_table table;
  uint64_t window_max;
  uint64_t window_sum; /* of all channels */
  wr_window_budget *budget;
  wr_list requests; /* of the peer, in order */
  size_t n_requests;
  wr_list asked; /* of ours, in order */
  size_t n_asked;
};

/* session.c */
/* Ends the session, once. code DISCONNECT_HEARD: nothing is sent any more (RFC 4253,
   section 11.1), and the link closes in order; DISCONNECT_NONE: nothing is said, and
   the link is reset. text is fixed and may go to the peer. */
void wr__ssh_end(wr_ssh *s, int status, uint32_t code, const char *text);
/* As above, for an error of the peer's. */
void wr__ssh_bad(wr_ssh *s, const char *text);
static inline bool wr__ssh_alive(const wr_ssh *s) {
  return s->state < SSH_ENDING;
}
/* The peer has had its time. */
void wr__ssh_farewell_over(wr_ssh *s);
/* Logged in: on_ready comes in a task, packets wait for it. */
void wr__ssh_up(wr_ssh *s);
/* The rest of that, from the task. */
void wr__ssh_announce(wr_ssh *s);
/* For tests and fuzzing: a session that is logged in over a sink. */
WR_NODISCARD int wr__ssh_start_sink(wr_ctx *ctx, const wr_ssh_opts *opts,
                                    wr_ssh **out);
/* One packet of the peer's, after decryption. Not 0: the session has ended. */
int wr__ssh_packet(wr_ssh *s, uint8_t *payload, size_t len);

/* pump.c */
extern const wr_link_handler wr__pump_handler;
void wr__pump_init(wr_ssh *s);
void wr__pump_reset(wr_ssh *s);
/* One control packet; at most a few hundred bytes besides data. */
void wr__pump_send(wr_ssh *s, const void *head, size_t head_len,
                   const void *data, size_t data_len);
void wr__pump_send_buf(wr_ssh *s, const wr_buf *b);
/* Sends what waits, now. */
void wr__pump_flush(wr_ssh *s);
/* Bytes of data that may be sent now; 0: a channel has to wait. */
size_t wr__pump_gate(wr_ssh *s);
/* After a packet with data. */
void wr__pump_sent_data(wr_ssh *s);
/* Something was sent on the peer's demand. */
void wr__pump_answered(wr_ssh *s);
/* Copies a packet that has to wait. 0 or WR_ENOMEM (the session has ended). */
WR_NODISCARD int wr__pump_keep(wr_ssh *s, const uint8_t *payload, size_t len);
void wr__pump_hold(wr_ssh *s, unsigned reason);
void wr__pump_release(wr_ssh *s, unsigned reason);

/* liveness.c */
void wr__live_init(wr_ssh *s, const wr_ssh_opts *opts);
void wr__live_up(wr_ssh *s);
void wr__live_heard(wr_ssh *s);
/* Much has passed. */
void wr__live_busy(wr_ssh *s);
/* A channel is busy: measure a round trip, if none was lately. */
void wr__live_ping(wr_ssh *s);
uint32_t wr__live_rtt(const wr_ssh *s);

/* auth_server.c */
void wr__auth_server_packet(wr_ssh *s, const uint8_t *p, size_t len);
/* auth_client.c */
void wr__auth_client_init(wr_ssh *s);
void wr__auth_client_begin(wr_ssh *s);
void wr__auth_client_packet(wr_ssh *s, const uint8_t *p, size_t len);
/* The end that a disconnect of the server's during the login means. */
int wr__auth_client_status(const wr_ssh *s, int status);

/* conn.c */
bool wr__conn_knows(uint8_t number);
void wr__conn_packet(wr_ssh *s, uint8_t *p, size_t len);
void wr__conn_cancel(wr_ssh *s);
WR_NODISCARD int wr__conn_request(wr_ssh *s, const char *name, wr_slice payload,
                                  wr_reply_cb cb, void *user);

/* opens.c */
const char *wr__opening_label(const wr_opening *opening); /* NULL: none */
/* If the peer confirms it, it is closed and ends with WR_ECHANNEL_DENIED. */
void wr__opening_revoke(wr_opening *opening);
void wr__opens_packet(wr_ssh *s, const uint8_t *p, size_t len);
void wr__opens_confirmed(wr_ssh *s, const uint8_t *p, size_t len);
void wr__opens_failed(wr_ssh *s, const uint8_t *p, size_t len);
/* The slot is of kind WR_SLOT_OPEN or WR_SLOT_OPENING. */
void wr__opens_cancel(wr_ssh *s, uint32_t id);

/* channel.c */
/* The window is taken from the session's at once. */
wr_channel *wr__channel_new(wr_ssh *s);
void wr__channel_free(wr_channel *ch);
uint32_t wr__channel_window(const wr_channel *ch);
/* Puts it into its slot; the peer knows it now. */
wr_link *wr__channel_begin(wr_channel *ch, uint32_t local_id,
                           uint32_t remote_id, uint32_t window,
                           uint32_t max_packet);
void wr__channel_packet(wr_ssh *s, uint8_t *p, size_t len);
/* From a task. Either may free the channel. */
void wr__channel_work(wr_channel *ch);
void wr__channel_session_end(wr_channel *ch);
/* A text for reviews, copied. */
WR_NODISCARD int wr__channel_set_label(wr_channel *ch, const char *label);
const char *wr__channel_label(const wr_channel *ch); /* NULL: none */
/* Resets it; the owner is told, later, with WR_ECHANNEL_DENIED. */
void wr__channel_revoke(wr_channel *ch);
wr_channel *wr__channel_from_blocked(wr_list *node);
wr_channel *wr__channel_from_ready(wr_list *node);
void wr__channel_writable(wr_channel *ch);

#endif /* !defined(WR_SSH_INTERNAL_H) */
