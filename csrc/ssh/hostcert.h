#ifndef WR_SSH_HOSTCERT_H
#define WR_SSH_HOSTCERT_H

#include "ssh/cert.h"
#include "ssh/key.h"

/* Certificates of hosts: the server's own, and how a client judges one. */

/* Reads the text of a certificate file, one line "type base64 comment", for a
   server with this host key; the blob is appended to out. 0; WR_ENOMEM;
   WR_EKEY_FORMAT, WR_EKEY_TYPE, WR_ECERT_MISMATCH with *why, a fixed text. */
WR_NODISCARD int wr_hostcert_read(const char *text, size_t len,
                                  const wr_key *host_key, wr_buf *out,
                                  const char **why);

/* The key in front of a certificate of an Ed25519 key as a plain blob, appended
   to out, whatever stands behind it: such a server may still be known by its
   key. 0, WR_ENOMEM, WR_EKEY_FORMAT. */
WR_NODISCARD int wr_hostcert_key(wr_slice blob, wr_buf *out);

/* Why the certificate does not vouch for the host now, as a fixed text that
   goes on after "the certificate"; NULL if it does. host is in lower case and
   without port; NULL: names are not compared. The names of a certificate are
   no patterns, and one without names, which is for any host in OpenSSH, is for
   none here. Whether its authority is trusted is up to the caller. */
const char *wr_hostcert_fault(const wr_cert *cert, const char *host,
                              uint64_t now_s);

#endif /* !defined(WR_SSH_HOSTCERT_H) */
