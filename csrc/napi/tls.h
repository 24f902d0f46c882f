#ifndef WR_NAPI_TLS_H
#define WR_NAPI_TLS_H

#include "napi/args.h"
#include "net/tls_ctx.h"

/* TLS contexts as objects with ids. */

/* NULL if the value is absent; WR_ENOENT if there is none with that id. */
wr_tls_ctx *wrn_tls_get(wrn_call *c, napi_value id);

#endif /* !defined(WR_NAPI_TLS_H) */
