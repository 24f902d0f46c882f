#ifndef WR_NAPI_CERT_H
#define WR_NAPI_CERT_H

#include "napi/args.h"
#include "napi/json.h"
#include "ssh/cert.h"

/* What a certificate says, an object of its own: keyId, serial, principals,
   authorityFingerprint, validAfter, validBefore; numbers of 64 bits are texts. The
   same as a member `certificate` of another object, and as text in a property. */
void wrn_json_certificate(wrn_json *j, const wr_cert *cert);
void wrn_put_certificate(wrn_call *c, napi_value obj, const char *key,
                         const wr_cert *cert);
/* Members type, fingerprint and publicKey of a host key. Of a certificate these
   are the plain key's, and `certificate` and `presented` (all of it as one line)
   follow, if it can be read and its authority's signature holds: a server whose
   certificate is of no use may still be known by its key. The first error is
   kept in j. */
void wrn_json_host_key(wrn_json *j, wr_mem *mem, wr_slice blob);

#endif /* !defined(WR_NAPI_CERT_H) */
