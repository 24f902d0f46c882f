#ifndef WR_NAPI_TRUST_H
#define WR_NAPI_TRUST_H

#include "napi/args.h"
#include "proxy/policy.h"
#include "ssh/trust.h"

/* Who may come in and where to, as JavaScript gives it. */

/* Which of several texts is at fault, and where. */
typedef struct wrn_trust_error {
  uint32_t source; /* index in the list */
  size_t line;     /* from 1; 0: none in particular */
  const char *why; /* a fixed text about an option, or NULL */
} wrn_trust_error;

/* [{ kind: 'keys' | 'authorities' | 'revoked', name, text }, …]; NULL if absent
   or after an error, of which *error then says more. */
wr_trust *wrn_trust_read(wrn_call *c, napi_value list, wrn_trust_error *error);
/* Makes the failure of the call its result: { status, source, line, why }. */
int64_t wrn_trust_status(wrn_call *c, const wrn_trust_error *error);

/* [[allowed, text], …]; NULL if absent or after an error. */
wr_policy *wrn_rules_read(wrn_call *c, napi_value array);

#endif /* !defined(WR_NAPI_TRUST_H) */
