#ifndef WR_PROXY_REMOTE_H
#define WR_PROXY_REMOTE_H

#include "base/map.h"
#include "net/listener.h"
#include "proxy/access.h"
#include "ssh/session.h"

/* Remote forwards on the server: tcpip-forward, cancel-tcpip-forward (RFC 4254,
   section 7.1), streamlocal-forward@openssh.com and its cancel, and takeover by
   instance@wraith, whose payload is a string of 16 bytes (remote.c explains
   it). */
typedef struct wr_remotes wr_remotes;               /* one per server */
typedef struct wr_remote_session wr_remote_session; /* one per SSH session */

typedef struct wr_remotes_opts {
  bool gateway_ports;
  bool forwarding;          /* false: every request is refused but wraith-… */
  uint32_t max_per_session; /* 0: 100 */
  /* What the session with this user pointer may do now; NULL: no limits. */
  wr_access (*access)(void *user);
} wr_remotes_opts;

WR_NODISCARD int wr_remotes_new(wr_ctx *ctx, const wr_remotes_opts *opts,
                                wr_remotes **out);
/* All sessions must have been removed. Listeners may still be closing. */
void wr_remotes_free(wr_remotes *r);

/* key_blob: whose listeners it may take over, the plain key also of a
   certificate; copied. user: for opts.access. */
WR_NODISCARD int wr_remote_session_new(wr_remotes *r, wr_ssh *ssh,
                                       wr_slice key_blob, void *user,
                                       wr_remote_session **out);
/* The SSH session is over: its listeners close, connections end. */
void wr_remote_session_free(wr_remote_session *s);
/* True if the request was one of these and has been or will be answered. */
bool wr_remote_request(wr_remote_session *s, wr_request *request);
void wr_remote_request_canceled(wr_remote_session *s, wr_request *request);
/* A session that missed its keepalive: any session of the same key may take its
   listeners over. */
void wr_remote_session_set_stale(wr_remote_session *s, bool stale);
/* True if the client asked for the reserved name (lower case): the server may
   open channels to it. */
bool wr_remote_has_name(const wr_remote_session *s, const char *name);
uint32_t wr_remote_count(const wr_remote_session *s);
/* After a change of what is allowed: listeners that no longer are close. */
void wr_remotes_recheck(wr_remotes *r);

#endif /* !defined(WR_PROXY_REMOTE_H) */
