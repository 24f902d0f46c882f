#ifndef WR_SSH_KEYOPTS_H
#define WR_SSH_KEYOPTS_H

#include "base/mem.h"

/* The options in front of a key in authorized_keys (sshd(8), AUTHORIZED_KEYS
   FILE FORMAT). Those that Wraith enforces: cert-authority, expiry-time, from,
   permitopen, permitlisten, principals, restrict, verify-required and
   port-forwarding, the last two with and without no-. Those that do not matter
   to a server without shells are accepted: pty, agent-forwarding,
   X11-forwarding, user-rc, with and without no-, and touch-required, which is
   always so. All the rest is refused (command, environment, tunnel,
   no-touch-required, unknown ones): no key is accepted with an option ignored
   that limits it. */

#define WR_PERMITS_MAX 4096 /* of each kind, as in OpenSSH */

/* One permitopen or permitlisten. */
typedef struct wr_permit {
  char *host;    /* as written, without brackets; "*": any. Owned */
  uint16_t port; /* 0: any ("*") */
} wr_permit;

typedef struct wr_keyopts {
  bool cert_authority;
  bool port_forwarding; /* true unless restrict or no-port-forwarding */
  bool verify_required; /* sk- keys: WR_SK_USER_VERIFIED */
  uint64_t expires_s;   /* since 1970, the last second that is good; 0: never */
  char *from;           /* a list for wr_match_from(); NULL: anywhere. Owned */
  char *principals;     /* names with commas; NULL: none given. Owned */
  wr_permit *opens;     /* permitopen; none: no limit */
  size_t n_opens;
  wr_permit *listens; /* permitlisten; none: no limit */
  size_t n_listens;
} wr_keyopts;

/* The options of a line that has none. */
void wr_keyopts_init(wr_keyopts *o);
void wr_keyopts_reset(wr_mem *mem, wr_keyopts *o);
/* text: all options, without the blank behind them. Times without Z are local
   time, as sshd reads them. 0; WR_ENOMEM; WR_EKEY_OPTIONS with *why, a fixed
   text that names the option ("permitopen: the port is neither a number nor
   '*'"). out is written on success. */
WR_NODISCARD int wr_keyopts_parse(wr_mem *mem, const char *text, size_t len,
                                  wr_keyopts *out, const char **why);

/* Whether a channel to host:port may be opened: port forwarding is on and, if
   there is a permitopen, one names the host as it was asked for (compared byte
   by byte, as sshd does; no patterns but "*") and the port. Names beginning
   with wraith- are compared in lower case without a trailing dot. */
bool wr_keyopts_may_open(const wr_keyopts *o, const char *host, uint16_t port);
/* Unix sockets cannot be named by permitopen: with one they are refused. */
bool wr_keyopts_may_open_unix(const wr_keyopts *o);
/* Whether a remote forward may be asked for: host is the address of the request
   as it came ("" and "*" too), in any case, matched against the patterns of
   permitlisten; the port is that of the request (0: any, named by "*" only). */
bool wr_keyopts_may_listen(const wr_keyopts *o, const char *host,
                           uint16_t port);
bool wr_keyopts_may_listen_unix(const wr_keyopts *o);

#endif /* !defined(WR_SSH_KEYOPTS_H) */
