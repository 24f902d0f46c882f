#ifndef WR_SSH_KRL_H
#define WR_SSH_KRL_H

#include "ssh/revlist.h"

/* Key revocation lists in the binary form of OpenSSH (PROTOCOL.krl). */

/* By the first bytes. */
bool wr__krl_is(wr_slice file);
/* Adds all that the file revokes. Signatures within it are refused, as
   ssh-keygen cannot make them; sections that may be ignored are. 0; WR_ENOMEM
   or WR_EKEY_FORMAT, and the list is of no more use then. */
WR_NODISCARD int wr__krl_read(wr__revlist *list, const wr__keyhash *hash,
                              wr_slice file);

#endif /* !defined(WR_SSH_KRL_H) */
