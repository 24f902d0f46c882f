#ifndef WR_SSH_KNOWN_HOSTS_H
#define WR_SSH_KNOWN_HOSTS_H

#include "base/buf.h"
#include "base/wire.h"

/* known_hosts in OpenSSH's format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT):
   plain, wildcard, negated and hashed names, [host]:port, @cert-authority,
   @revoked. */
typedef enum wr_known_verdict {
  WR_KNOWN_MATCH = 0, /* the key, or the authority of its certificate, stands
                         there for this host */
  WR_KNOWN_UNKNOWN,   /* nothing is said about the host */
  WR_KNOWN_MISMATCH,  /* only other keys stand there */
  WR_KNOWN_REVOKED    /* the key, or the authority of its certificate, is */
} wr_known_verdict;

typedef struct wr_known_answer {
  wr_known_verdict verdict;
  size_t line;     /* MISMATCH and REVOKED: the line that says so; else 0 */
  const char *why; /* no match although the authority is known: a fixed text as
                      of wr_hostcert_fault(); else NULL */
} wr_known_answer;

/* Sans-IO: text is the whole file. port 22 is written without brackets. blob is
   a plain key or a certificate; if no line with @cert-authority makes it a
   match, the key in it is looked for like a plain one, as in ssh. now_s: since
   1970. 0, or why the certificate cannot be read (WR_EKEY_FORMAT,
   WR_EKEY_TYPE). */
WR_NODISCARD int wr_known_hosts_check(const char *text, size_t len,
                                      const char *host, uint16_t port,
                                      wr_slice blob, uint64_t now_s,
                                      wr_known_answer *out);
/* The line to append for a first contact, with its line feed. blob is a plain
   key. */
WR_NODISCARD int wr_known_hosts_line(const char *host, uint16_t port,
                                     wr_slice blob, wr_buf *out);
/* WR_HOST_KEY_ALGORITHMS with those first that fit what stands in the file for
   the host, appended as a comma-separated list: certificates if there is an
   authority, and with a known key's algorithms. Nothing if the file holds
   nothing for the host. */
WR_NODISCARD int wr_known_hosts_types(const char *text, size_t len,
                                      const char *host, uint16_t port,
                                      wr_buf *out);

#endif /* !defined(WR_SSH_KNOWN_HOSTS_H) */
