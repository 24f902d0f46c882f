#ifndef WR_NAPI_STREAM_H
#define WR_NAPI_STREAM_H

#include "napi/env.h"
#include "net/link.h"
#include "ssh/session.h"

/* A link (or one that is being opened) as a stream of JavaScript's. */
typedef struct wrn_stream wrn_stream;

uint32_t wrn_stream_id(const wrn_stream *s);
/* Takes the link. NULL: out of memory, the link is still the caller's. */
wrn_stream *wrn_stream_new(wrn_env *env, wr_link *link);
/* An id for a link that comes later, by wrn_stream_opened(); the address is for
   the function that starts the opening. NULL: out of memory. */
wrn_stream *wrn_stream_reserve(wrn_env *env, wr_opening ***opening);
/* The opening has not been started after all. */
void wrn_stream_unreserve(wrn_stream *s);
/* A wr_opening_cb; user is the stream. */
void wrn_stream_opened(void *user, int status, wr_link *link);
/* A pair: one half for the core, the other one a stream. */
WR_NODISCARD int wrn_stream_pipe(wrn_env *env, wr_link **core,
                                 wrn_stream **out);
/* The core has not taken its half. */
void wrn_stream_unpipe(wrn_stream *s, wr_link *core);
/* For a link that nobody wants: resets it. */
void wrn_link_discard(wr_link *link);
/* There is room again for what it reads. */
void wrn_stream_resume(wr_list *starved);

#endif /* !defined(WR_NAPI_STREAM_H) */
