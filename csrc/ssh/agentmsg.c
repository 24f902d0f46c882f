#include "ssh/agentmsg.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/cert.h"
#include "ssh/key_internal.h"

/* Message numbers; the last two are failures of other agents. */
enum {
  AGENT_FAILURE = 5,
  AGENTC_REQUEST_IDENTITIES = 11,
  AGENT_IDENTITIES_ANSWER = 12,
  AGENTC_SIGN_REQUEST = 13,
  AGENT_SIGN_RESPONSE = 14,
  AGENT_EXTENDED_FAILURE = 30,
  AGENT_COM_FAILURE = 102
};

/* What a client may log in with, and the algorithm that then signs. */
static const struct {
  const char *type;
  const char *algorithm;
} key_types[] = {
    {WR__ED25519, WR__ED25519},
    {WR_CERT_ED25519, WR__ED25519},
    {WR__SK_ED25519, WR__SK_ED25519},
    {WR_CERT_SK_ED25519, WR__SK_ED25519},
};

/* NULL for a key of another kind. */
static const char *algorithm_of(wr_slice blob) {
  wr_slice type = wr_blob_type(blob);
  for (size_t i = 0; i < WR_COUNTOF(key_types); i++) {
    if (wr_slice_eq(type, key_types[i].type)) {
      return key_types[i].algorithm;
    }
  }
  return NULL;
}

/* REQUESTS */

int wr_agentmsg_put_list(wr_buf *out) {
  int rc = wr_buf_reserve(out, 5); /* all or nothing */
  rc = rc != 0 ? rc : wr_buf_put_u32(out, 1);
  return rc != 0 ? rc : wr_buf_put_u8(out, AGENTC_REQUEST_IDENTITIES);
}

int wr_agentmsg_put_sign(wr_slice blob, wr_slice data, wr_buf *out) {
  if (blob.len > WR_AGENT_ANSWER_MAX || data.len > WR_AGENT_ANSWER_MAX) {
    return WR_ELIMIT;
  }
  size_t len = 1 + 4 + blob.len + 4 + data.len + 4;
  int rc = wr_buf_reserve(out, 4 + len);
  rc = rc != 0 ? rc : wr_buf_put_u32(out, (uint32_t)len);
  rc = rc != 0 ? rc : wr_buf_put_u8(out, AGENTC_SIGN_REQUEST);
  rc = rc != 0 ? rc : wr_buf_put_string(out, blob.data, blob.len);
  rc = rc != 0 ? rc : wr_buf_put_string(out, data.data, data.len);
  return rc != 0 ? rc : wr_buf_put_u32(out, 0); /* flags are for RSA */
}

/* ANSWERS */

long wr_agentmsg_size(wr_slice in) {
  if (in.len < 4) {
    return 0;
  }
  size_t len = wr_get_u32(in.data);
  if (len == 0 || len > WR_AGENT_ANSWER_MAX) {
    return WR_EAGENT_PROTOCOL;
  }
  return (long)(4 + len);
}

static bool is_failure(uint8_t number) {
  return number == AGENT_FAILURE || number == AGENT_EXTENDED_FAILURE ||
         number == AGENT_COM_FAILURE;
}

/* What is behind the number of a message of this kind. */
static int read_body(wr_slice answer, uint8_t wanted, wr_rd *r) {
  wr_rd_init(r, answer.data, answer.len);
  uint32_t len = wr_rd_u32(r);
  uint8_t number = wr_rd_u8(r);
  if (r->bad || len != answer.len - 4) {
    return WR_EAGENT_PROTOCOL;
  }
  if (is_failure(number)) {
    return WR_EAGENT_REFUSED;
  }
  return number == wanted ? 0 : WR_EAGENT_PROTOCOL;
}

int wr_agentmsg_read_list(wr_slice answer, wr_slice *keys) {
  wr_rd r;
  int rc = read_body(answer, AGENT_IDENTITIES_ANSWER, &r);
  if (rc != 0) {
    return rc;
  }
  uint32_t n = wr_rd_u32(&r);
  wr_slice all = {r.p, r.left};
  if (n > WR_AGENT_KEYS_MAX) {
    return WR_EAGENT_PROTOCOL;
  }
  for (uint32_t i = 0; i < n; i++) {
    wr_rd_string(&r);
    wr_rd_string(&r); /* a comment */
  }
  if (!wr_rd_done(&r)) {
    return WR_EAGENT_PROTOCOL;
  }
  *keys = all;
  return 0;
}

bool wr_agentmsg_next_key(wr_slice *keys, wr_slice *blob) {
  wr_rd r;
  wr_rd_init(&r, keys->data, keys->len);
  bool found = false;
  while (!found && r.left > 0 && !r.bad) {
    *blob = wr_rd_string(&r);
    wr_rd_string(&r);
    found = !r.bad && algorithm_of(*blob) != NULL;
  }
  *keys = (wr_slice){r.p, r.left};
  return found;
}

int wr_agentmsg_read_signature(wr_slice answer, wr_slice blob, wr_slice *sig) {
  wr_rd r;
  wr_rd inner;
  int rc = read_body(answer, AGENT_SIGN_RESPONSE, &r);
  if (rc != 0) {
    return rc;
  }
  wr_slice bytes = wr_rd_string(&r);
  wr_rd_init(&inner, bytes.data, bytes.len);
  wr_slice algorithm = wr_rd_string(&inner);
  const char *wanted = algorithm_of(blob);
  if (!wr_rd_done(&r) || wanted == NULL || !wr_slice_eq(algorithm, wanted)) {
    return WR_EAGENT_PROTOCOL;
  }
  *sig = bytes;
  return 0;
}
