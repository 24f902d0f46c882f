#ifndef WR_SSH_MATCH_H
#define WR_SSH_MATCH_H

#include "base/common.h"

/* Patterns as OpenSSH has them (ssh_config(5), PATTERNS): '*' is any text, '?'
   any one character. In a list with commas a pattern behind '!' that matches
   decides against, wherever it stands. Everything here takes time in
   proportion to the product of the lengths at most, and allocates nothing. */
typedef enum wr_match {
  WR_MATCH_NEGATED = -1, /* a pattern behind '!' matches */
  WR_MATCH_NO = 0,
  WR_MATCH_YES = 1
} wr_match;

/* Bytes compare as they are: lower-case both sides where case does not count. */
bool wr_match_pattern(wr_slice pattern, wr_slice text);
/* Letters of the patterns compare without case, the text is in lower case. A
   pattern of 1024 bytes or more matches nothing, as in OpenSSH. */
wr_match wr_match_list(wr_slice list, wr_slice text);
/* Whether one of the names in the list is exactly this text; no patterns (the
   `principals` option of authorized_keys). */
bool wr_match_name(wr_slice list, wr_slice text);

/* `from` of authorized_keys (sshd(8)): addresses, networks in CIDR form, '*'
   and '?' over the address as text, each with '!'. address is what the server
   logs, without port; "" (none is known) matches nothing. A list is valid if no
   entry is empty and no network has host bits. */
bool wr_match_from_valid(wr_slice list);
wr_match wr_match_from(wr_slice list, const char *address);

/* `source-address` of a certificate (PROTOCOL.certkeys): addresses and networks
   only, nothing empty, no host bits, no '!'. */
bool wr_match_source_valid(wr_slice list);
bool wr_match_source(wr_slice list, const char *address);

#endif /* !defined(WR_SSH_MATCH_H) */
