#ifndef WR_APP_TUNNEL_H
#define WR_APP_TUNNEL_H

#include "net/tls_ctx.h"
#include "proxy/local.h"
#include "proxy/target.h"
#include "ssh/session.h"

/* The client's side: a handle that outlives single sessions. It owns the local
   listeners and knows the remote forwards; sessions come and go beneath it.
   When to connect again is decided above (each try may need the application: a
   stream factory, a host key decision, a key file read again). */
typedef struct wr_tunnel wr_tunnel;

/* A remote forward of the tunnel's. It is asked for in every new session. */
typedef struct wr_remote_forward wr_remote_forward;

typedef struct wr_tunnel_handler {
  /* Of the connect that is under way; answer with wr_tunnel_verdict(). */
  void (*on_host_key)(wr_tunnel *t, wr_slice blob);
  /* Logged in. The remote forwards have been asked for. */
  void (*on_up)(wr_tunnel *t);
  /* The connect failed or the session ended; connect again or not. status is a
     WR_E or libuv error, never 0 unless wr_tunnel_disconnect() asked for it.
     was_up: on_up had come. orderly: the peer said goodbye (SSH_MSG_DISCONNECT
     by application, or a clean end of the stream). phase: "dial", "kex", … as
     interface.md names them. */
  void (*on_down)(wr_tunnel *t, int status, const char *phase, bool was_up,
                  bool orderly);
  /* A remote forward is in force (status 0, port is the bound one) or was
     refused in this session. */
  void (*on_remote)(wr_tunnel *t, wr_remote_forward *f, int status,
                    uint16_t port);
  /* A channel for a remote forward without a target of its own: the callee owns
     the link. */
  void (*on_stream)(wr_tunnel *t, wr_remote_forward *f, wr_link *link,
                    const wr_target *target);
  void (*on_close)(wr_tunnel *t); /* last callback; the tunnel is gone */
} wr_tunnel_handler;

WR_NODISCARD int wr_tunnel_new(wr_ctx *ctx, const wr_tunnel_handler *handler,
                               void *user, wr_tunnel **out);
void *wr_tunnel_user(const wr_tunnel *t);
/* Ends session, listeners and forwards; on_close comes when all is gone.
   orderly: says goodbye first. */
void wr_tunnel_close(wr_tunnel *t, bool orderly);

typedef struct wr_tunnel_connect_opts {
  const char *host; /* dialled by TCP; or */
  uint16_t port;
  const wr_upstream *proxy; /* the way to host; copied; NULL: directly */
  wr_link *link;            /* an open link, taken on success of the call */
  /* Upon that: */
  wr_tls_ctx *tls;      /* referenced; NULL: none */
  const char *tls_name; /* as wr_tls_options.server_name */
  const char *ws_path;  /* SSH in WebSocket frames; NULL: none */
  const char *ws_host;  /* with ws_path: for the Host field */
  wr_slice secret;      /* with ws_path: the knock's; empty: none */
  /* The proof is for this TLS connection alone: nothing in front of the server may
     end it. */
  bool bind_tls;
  const char *user;
  const wr_identity *identities; /* copied */
  size_t n_identities;
  const char
      *agent; /* socket of the ssh-agent: signs for those without a key */
  const char *host_key_types;  /* NULL: default order */
  uint64_t keepalive_ms;       /* 0: default */
  uint64_t connect_timeout_ms; /* dial to on_up; 0: 30 s */
  const uint8_t *instance; /* 16 bytes: sent as instance@wraith; may be NULL */
  const char *ciphers;     /* NULL: default; tests and benchmarks */
  uint64_t rekey_bytes;
} wr_tunnel_connect_opts;

/* One try: exactly one on_down follows, sooner or later (or on_close). Only
   while none is under way (WR_EBUSY). Strings are copied. */
WR_NODISCARD int wr_tunnel_connect(wr_tunnel *t,
                                   const wr_tunnel_connect_opts *opts);
/* status 0 goes on; else the connect fails with it. */
void wr_tunnel_verdict(wr_tunnel *t, int status);
/* Ends the session that is up or under way; on_down(0) follows. */
void wr_tunnel_disconnect(wr_tunnel *t);
bool wr_tunnel_is_up(const wr_tunnel *t);
/* NULL while none is up. */
wr_ssh *wr_tunnel_session(wr_tunnel *t);
/* What more there is to say about the last end: a fixed text, or "". */
const char *wr_tunnel_end_text(const wr_tunnel *t);
/* The status of HTTP with which the last try was refused (WR_EWS_REFUSED), else
   0. */
int wr_tunnel_http_status(const wr_tunnel *t);
/* The address of the server as it was dialled; false if there is none, or if a
   proxy was. */
bool wr_tunnel_peer(wr_tunnel *t, struct sockaddr_storage *ss);

/* As wr_ssh_open() on the session that is up; else WR_ETUNNEL_DOWN. */
WR_NODISCARD int wr_tunnel_open(wr_tunnel *t, const wr_target *target,
                                wr_opening_cb cb, void *user, wr_opening **out);
/* A local listener that lives as long as the tunnel or until closed. 0 or the
   system's error. */
WR_NODISCARD int wr_tunnel_listen(wr_tunnel *t, const wr_local_opts *opts,
                                  wr_local **out);
/* Closes it and ends its connections; on_closed (may be NULL) once all is gone,
   which it is at the latest when the tunnel's on_close comes. */
void wr_tunnel_unlisten(wr_tunnel *t, wr_local *l,
                        void (*on_closed)(void *user), void *user);

/* Asks for a remote forward now (if up) and in every later session. target
   NULL: its channels go to on_stream. bind->host is as in a forward
   specification: "" means loopback, "*" all addresses, "wraith-…" a reserved
   name (its port is always 0). on_remote tells the outcome, in each session
   once. Port 0: later sessions ask for the port that the server chose first,
   and for any port again if that is refused, so that the port stays the same
   where it can. 0, WR_ENOMEM, WR_ECLOSED, or an error of wr_ssh_request(). */
WR_NODISCARD int wr_tunnel_remote_add(wr_tunnel *t, const wr_endpoint *bind,
                                      const wr_endpoint *target, void *user,
                                      wr_remote_forward **out);
/* Cancels it; it is gone at once, and so are its connections. */
void wr_tunnel_remote_remove(wr_tunnel *t, wr_remote_forward *f);
void *wr_remote_forward_user(const wr_remote_forward *f);
/* Connections to its target; those given to on_stream are not counted. */
uint32_t wr_remote_forward_connections(const wr_remote_forward *f);

/* What lasts over sessions. */
typedef struct wr_tunnel_stats {
  uint64_t bytes_in, bytes_out; /* on the carriers of all sessions */
  uint64_t channels_opened;     /* asked for */
  uint64_t channels_failed;     /* could not be asked for */
  uint32_t channels;            /* now */
  uint32_t rtt_us;              /* 0: none is known */
} wr_tunnel_stats;
void wr_tunnel_get_stats(const wr_tunnel *t, wr_tunnel_stats *stats);

#endif /* !defined(WR_APP_TUNNEL_H) */
