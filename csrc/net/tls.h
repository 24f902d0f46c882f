#ifndef WR_NET_TLS_H
#define WR_NET_TLS_H

#include "net/link.h"
#include "net/tls_ctx.h"

/* TLS 1.2 and 1.3 over any link but another TLS link. The result is a link
   whose end is TLS's own: a peer that goes without saying so (close_notify) is
   an error, WR_ETLS_TRUNCATED, after what it had said before. An owner that
   reads into the context's scratch memory begins below its last 64 KiB, where
   sealed bytes lie. There is no reserve(): whatever is written is sealed from
   where it is. */
typedef struct wr_tls wr_tls;

/* nginx's limit for a handshake. */
#define WR_TLS_HANDSHAKE_MS 60000

typedef struct wr_tls_options {
  uint64_t timeout_ms; /* for the handshake; 0: WR_TLS_HANDSHAKE_MS */
  /* Clients: the name or address that the certificate has to be for. A name is
     sent (SNI), an address is not. NULL with pins or an insecure context
     only. */
  const char *server_name;
  /* Servers: a peer whose first byte cannot be TLS is handed back. */
  bool detect_plain;
  /* A reset of the link ends the connection below with an end of its own (FIN), as
     a server does that closes its socket; nothing of TLS is said. */
  bool reset_is_end;
  /* A new sending key after that many bytes (TLS 1.3); 0: 64 GiB, well below
     what one AES-GCM key may carry (RFC 8446, section 5.5). */
  uint64_t rekey_bytes;
} wr_tls_options;

/* Exactly once, never inside wr_tls_start(), unless cancelled. 0: link is open
   and the callee's. WR_ETLS_PLAIN: link is the inner one, nothing of it read,
   and the callee's. Any other error: link is NULL, the inner one is closed. */
typedef void (*wr_tls_cb)(void *user, int status, wr_link *link);

/* Takes over inner, which is open and not read from, and does the handshake.
   0, or an error: then inner is still the caller's. WR_EINVAL: no server name
   where one is needed, or none that can be; WR_EUNSUPPORTED: TLS over TLS. The
   context is kept as long as needed; the options are read during the call. */
WR_NODISCARD int wr_tls_start(wr_link *inner, wr_tls_ctx *ctx,
                              const wr_tls_options *options, wr_tls_cb cb,
                              void *user, wr_tls **out);
/* Before the callback: it will not come, and inner is reset. Whoever starts
   handshakes does so at teardown. */
void wr_tls_cancel(wr_tls *tls);

typedef struct wr_tls_info {
  const char *version; /* "TLSv1.3" */
  const char *cipher;
  const char *group; /* of the key exchange; "" if unknown */
  const char *sni;   /* as sent; "" if none was */
  wr_slice alpn;     /* empty if none was agreed on */
  bool resumed;
  bool challenge; /* agreed on acme-tls/1: the peer wants nothing but this */
} wr_tls_info;

/* NULL if the link is none of ours. */
wr_tls *wr_tls_from_link(wr_link *link);
/* What the handshake agreed on; borrowed from the link. */
void wr_tls_query(const wr_tls *tls, wr_tls_info *info);

/* For tunnels: short records get padding of a random length from now on (TLS 1.3,
   RFC 8446, section 5.4), so that the messages of SSH's handshake, which always
   have the same lengths, do not show. Does nothing for links that are not ours. */
void wr_tls_pad(wr_link *link);

#define WR_TLS_EXPORT_LEN 32
/* Key material that only the two ends of this connection know (RFC 5705,
   RFC 8446 section 7.5), without a context value. WR_EUNSUPPORTED where it could
   be the same on two connections: TLS 1.2 without extended master secret. */
WR_NODISCARD int wr_tls_export(const wr_tls *tls, const char *label,
                               uint8_t out[WR_TLS_EXPORT_LEN]);

#endif /* !defined(WR_NET_TLS_H) */
