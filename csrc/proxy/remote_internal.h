#ifndef WR_PROXY_REMOTE_INTERNAL_H
#define WR_PROXY_REMOTE_INTERNAL_H

#include "proxy/bind.h"
#include "proxy/remote.h"

/* remote.c: requests, takeover, sessions. remote_forward.c: one forward, its
   listeners and connections. */

#define INSTANCE_SIZE 16

typedef enum forward_kind {
  FORWARD_TCP = 1,
  FORWARD_UNIX, /* host is the path */
  FORWARD_NAME  /* host is a reserved name; nothing is bound */
} forward_kind;

struct wr_remotes {
  wr_ctx *ctx;
  wr_remotes_opts opts;
  wr_list sessions; /* of wr_remote_session */
};

struct wr_remote_session {
  wr_list node;
  wr_remotes *remotes;
  wr_ssh *ssh;
  void *user;   /* the owner's */
  uint8_t *key; /* the blob that logged in; owned */
  size_t key_len;
  bool stale;
  bool has_instance;
  uint8_t instance[INSTANCE_SIZE];
  wr_list forwards; /* of remote_forward */
  uint32_t n_forwards;
  wr_list conns; /* of remote_conn: they stay when their forward goes */
};

/* It belongs to a session or is closing; it may outlive both session and
   wr_remotes until its sockets are closed. */
typedef struct remote_forward {
  wr_list node;
  wr_ctx *ctx;
  wr_remote_session *session; /* NULL: closing */
  forward_kind kind;
  char host[WR_HOST_MAX + 1]; /* exactly as asked for; names in lower case */
  char bind[WR_HOST_MAX + 1]; /* where it listens */
  uint16_t port;              /* that it has */
  bool any_port;              /* 0 was asked for */
  wr_listener *listeners[WR_BIND_MAX];
  size_t n_listeners; /* open or closing */
} remote_forward;

/* What a request asks for. */
typedef struct forward_want {
  forward_kind kind;
  char host[WR_HOST_MAX + 1];
  char bind[WR_HOST_MAX + 1];
  uint16_t port;
} forward_want;

/* Listens and adds it to the session. 0 or an error. */
WR_NODISCARD int wr__forward_start(wr_remote_session *s,
                                   const forward_want *want,
                                   remote_forward **out);
/* Takes it off its session and closes it; connections go on. */
void wr__forward_close(remote_forward *f);
/* Gives it to another session as it is: its sockets never stop listening. */
void wr__forward_move(remote_forward *f, wr_remote_session *to);
/* Ends the connections of a session that is over. */
void wr__forward_drop_conns(wr_remote_session *s);

#endif /* !defined(WR_PROXY_REMOTE_INTERNAL_H) */
