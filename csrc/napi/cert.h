#ifndef WR_NAPI_CERT_H
#define WR_NAPI_CERT_H

#include "napi/json.h"
#include "ssh/cert.h"

/* Members type, fingerprint and publicKey of a host key; of a certificate these
   are the plain key's, and if its authority's signature holds, `certificate` and
   `presented` (all of it as one line) follow. The first error is kept in j. */
void wrn_json_host_key(wrn_json *j, wr_mem *mem, wr_slice blob);

#endif /* !defined(WR_NAPI_CERT_H) */
