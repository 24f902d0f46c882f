#ifndef WR_SSH_KNOWN_HOSTS_H
#define WR_SSH_KNOWN_HOSTS_H

#include "base/buf.h"
#include "base/wire.h"

/* known_hosts in OpenSSH's format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT):
   plain, wildcard, negated and hashed names, [host]:port, @revoked. Lines with
   @cert-authority are skipped: they match no plain key. */
typedef enum wr_known_verdict {
  WR_KNOWN_MATCH = 0, /* this key stands there for this host */
  WR_KNOWN_UNKNOWN,   /* nothing is said about the host */
  WR_KNOWN_MISMATCH,  /* only other keys stand there */
  WR_KNOWN_REVOKED
} wr_known_verdict;

/* Sans-IO: text is the whole file. port 22 is written without brackets. On
   MISMATCH and REVOKED *line is the line that says so. */
wr_known_verdict wr_known_hosts_check(const char *text, size_t len,
                                      const char *host, uint16_t port,
                                      wr_slice blob, size_t *line);
/* The line to append for a first contact, with its line feed. */
WR_NODISCARD int wr_known_hosts_line(const char *host, uint16_t port,
                                     wr_slice blob, wr_buf *out);
/* Key types that the file holds for the host, as a comma-separated list in
   out (each once), to be offered first in the key exchange. */
WR_NODISCARD int wr_known_hosts_types(const char *text, size_t len,
                                      const char *host, uint16_t port,
                                      wr_buf *out);

#endif /* !defined(WR_SSH_KNOWN_HOSTS_H) */
