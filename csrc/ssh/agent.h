#ifndef WR_SSH_AGENT_H
#define WR_SSH_AGENT_H

#include "loop/ctx.h"
#include "ssh/agentmsg.h"

/* One request to an ssh-agent over its Unix socket, on a connection of its own.
   An agent may take as long as it likes, or never answer: nothing waits for it
   but whoever asked, who cancels the request before the context ends. */
typedef struct wr_agent wr_agent;

/* Once, later; the request is gone after it. status 0: `answer`, which is
   borrowed during the call, is what wr_agentmsg_next_key() walks, or a signature
   blob. Else WR_EAGENT_…, WR_ENOMEM. */
typedef void (*wr_agent_cb)(void *user, int status, wr_slice answer);

/* Connecting, and then the answer to a list, may take this long. */
#define WR_AGENT_TIMEOUT_MS 10000

/* timeout_ms 0: WR_AGENT_TIMEOUT_MS. 0, or an error and no callback. */
WR_NODISCARD int wr_agent_list(wr_ctx *ctx, const char *path,
                               uint64_t timeout_ms, wr_agent_cb cb, void *user,
                               wr_agent **out);
/* A signature by the agent's key `blob`; somebody may have to allow it, so it is
   waited for until it is cancelled. */
WR_NODISCARD int wr_agent_sign(wr_ctx *ctx, const char *path, wr_slice blob,
                               wr_slice data, wr_agent_cb cb, void *user,
                               wr_agent **out);
/* The callback will not come. */
void wr_agent_cancel(wr_agent *agent);

#endif /* !defined(WR_SSH_AGENT_H) */
