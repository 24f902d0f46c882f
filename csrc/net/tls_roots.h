#ifndef WR_NET_TLS_ROOTS_H
#define WR_NET_TLS_ROOTS_H

#include "base/common.h"

/* The file with the authorities that this system trusts: $SSL_CERT_FILE if it
   is set, else the first that can be read of those that Debian, Fedora, SUSE,
   Alpine, macOS and the BSDs keep. NULL if there is none. */
const char *wr_tls_system_roots(void);

#endif /* !defined(WR_NET_TLS_ROOTS_H) */
