#ifndef WR_SSH_AGENTMSG_H
#define WR_SSH_AGENTMSG_H

#include "base/buf.h"

/* Messages of the ssh-agent protocol (draft-ietf-sshm-ssh-agent), without any
   input or output: the two requests that a client needs, and their answers. */

#define WR_AGENT_ANSWER_MAX ((size_t)256 * 1024) /* as in OpenSSH */
#define WR_AGENT_KEYS_MAX 2048                   /* as in OpenSSH */

/* Whole messages, appended. 0, WR_ENOMEM, WR_ELIMIT. */
WR_NODISCARD int wr_agentmsg_put_list(wr_buf *out);
/* blob is a key or certificate as the agent names it. */
WR_NODISCARD int wr_agentmsg_put_sign(wr_slice blob, wr_slice data,
                                      wr_buf *out);

/* Bytes of the message at the front of `in`, its length included; 0: not known
   yet; WR_EAGENT_PROTOCOL: it is empty or too long. */
long wr_agentmsg_size(wr_slice in);

/* Answers, as whole messages. Slices borrow from them. */

/* *keys becomes what wr_agentmsg_next_key() walks. 0, WR_EAGENT_REFUSED,
   WR_EAGENT_PROTOCOL. */
WR_NODISCARD int wr_agentmsg_read_list(wr_slice answer, wr_slice *keys);
/* The next key that a client may log in with (ssh-ed25519, the same on a
   security key, and certificates of both); others are skipped. False at the
   end. */
bool wr_agentmsg_next_key(wr_slice *keys, wr_slice *blob);
/* The signature blob for `blob`; what it says of its algorithm fits the key. */
WR_NODISCARD int wr_agentmsg_read_signature(wr_slice answer, wr_slice blob,
                                            wr_slice *sig);

#endif /* !defined(WR_SSH_AGENTMSG_H) */
