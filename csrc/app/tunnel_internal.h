#ifndef WR_APP_TUNNEL_INTERNAL_H
#define WR_APP_TUNNEL_INTERNAL_H

#include "app/tunnel.h"

#include "base/errors.h"
#include "base/wire.h"
#include "net/knock.h"
#include "net/tls.h"
#include "net/ws_handshake.h"
#include "ssh/agent.h"

/* What the files of the tunnel share:
     tunnel.c         life cycle, local listeners, channels
     tunnel_connect.c one try to connect and the session that comes of it
     tunnel_carrier.c what lies between the dialled connection and SSH
     tunnel_remote.c  remote forwards */

#define INSTANCE_LEN ((size_t)16)

typedef enum tunnel_state {
  TUNNEL_IDLE = 1,
  TUNNEL_DIALING,
  TUNNEL_TLS,
  TUNNEL_UPGRADE,  /* to WebSocket */
  TUNNEL_KEX,      /* the SSH session is there from here on */
  TUNNEL_HOST_KEY, /* the owner judges the key */
  TUNNEL_AUTH,
  TUNNEL_UP,
  TUNNEL_GIVEN_UP /* a dial was given up; a task will say so */
} tunnel_state;

/* What a dial's end needs of the options. */
typedef struct tunnel_try {
  char *user;
  char *host_key_types; /* NULL: default */
  char *ciphers;        /* NULL: default */
  wr_identity *identities;
  size_t n_identities;
  uint64_t keepalive_ms;
  uint64_t rekey_bytes;
  bool proxied;    /* what is dialled is a proxy */
  wr_tls_ctx *tls; /* NULL: none */
  char *tls_name;
  char *ws_path; /* NULL: no WebSocket */
  char *ws_host;
  wr_slice secret; /* owned */
  bool bind_tls;
} tunnel_try;

struct wr_tunnel {
  wr_ctx *ctx;
  const wr_tunnel_handler *handler;
  void *user;
  wr_obj obj;
  wr_opener opener; /* for the local listeners */
  tunnel_state state;
  bool closing;       /* on_close will come, nothing else */
  bool disconnecting; /* wr_tunnel_disconnect() was called */
  bool has_peer;
  bool has_instance;
  uint8_t instance[INSTANCE_LEN];
  struct sockaddr_storage peer;
  tunnel_try try_;
  wr_dial dial;
  wr_tls *tls;         /* the handshake that is under way */
  wr_ws_dial *upgrade; /* the same of WebSocket */
  int http_status;
  wr_timer timeout;  /* from the dial to on_up */
  char *agent;       /* its socket; NULL: none */
  wr_agent *signing; /* NULL: no signature of the agent's is awaited */
  wr_ssh *ssh;
  const char *end_text;
  wr_list locals;       /* of tunnel_local */
  wr_list remotes;      /* of wr_remote_forward */
  wr_list removed;      /* of those whose end is awaited */
  wr_task task;         /* tells of a dial that was given up, and of the end */
  wr_tunnel_stats past; /* what ended sessions have left, and counts */
};

/* tunnel.c: something of a closing tunnel is gone. */
void wr__tunnel_gone(wr_tunnel *t);

/* tunnel_connect.c */
/* Ends what is under way; on_down follows unless the tunnel is closing. */
void wr__connect_end(wr_tunnel *t, bool orderly);
/* From the task. */
void wr__connect_given_up(wr_tunnel *t);
/* SSH upon the carrier. The link is taken unless an error is returned. */
WR_NODISCARD int wr__connect_ssh(wr_tunnel *t, wr_link *link);
/* The carrier cannot be had. */
void wr__connect_failed(wr_tunnel *t, int status);

/* tunnel_carrier.c */
/* One of the two above follows. The link is taken unless an error is
   returned. */
WR_NODISCARD int wr__carrier_begin(wr_tunnel *t, wr_link *link);
/* The same with an error as with one that comes later. */
void wr__carrier_dialled(wr_tunnel *t, wr_link *link);
void wr__carrier_cancel(wr_tunnel *t);

/* tunnel_remote.c */
/* A session is up: asks for all of them. */
void wr__remote_up(wr_tunnel *t);
/* It is over. */
void wr__remote_down(wr_tunnel *t);
/* A channel of the server's. */
void wr__remote_open(wr_tunnel *t, wr_open *open);
void wr__remote_remove_all(wr_tunnel *t);

#endif /* !defined(WR_APP_TUNNEL_INTERNAL_H) */
