#include "app/server_internal.h"

#include <string.h>

#include "proxy/spec.h"

/* What the server says of itself, and calls for one session. */

void *wr_server_user(const wr_server *s) {
  return s->opts.user;
}

void wr_server_authorize(wr_server *s, uint32_t session_id, bool accepted) {
  server_session *ss = wr__session_find(s, session_id);
  if (ss != NULL) {
    wr__auth_authorized(ss, accepted);
  }
}

void wr_server_end_session(wr_server *s, uint32_t session_id) {
  server_session *ss = wr__session_find(s, session_id);
  if (ss != NULL && !ss->ending) {
    wr__log_ended(ss, "application");
    wr__session_end(ss, WR_DISCONNECT_BY_APPLICATION,
                    "ended by the administrator");
  }
}

int wr_server_open(wr_server *s, uint32_t session_id, const char *name,
                   wr_opening_cb cb, void *user, wr_opening **out) {
  server_session *ss = wr__session_find(s, session_id);
  wr_target target = {.kind = WR_TARGET_FORWARDED_TCP,
                      /* Clients insist on an address here (RFC 4254, 7.2). */
                      .origin_host = "127.0.0.1"};
  if (ss == NULL || ss->ending || s->state != SERVER_OPEN ||
      ss->remote == NULL || !wr_reserved_name(name, target.host) ||
      !wr_remote_has_name(ss->remote, target.host)) {
    return WR_ECHANNEL_UNKNOWN;
  }
  int err = wr_ssh_open(ss->ssh, &target, cb, user, out);
  if (err == 0) {
    err = wr_opening_set_label(*out, target.host);
    if (err != 0) {
      wr_opening_cancel(*out);
    }
  }
  if (err == 0) {
    s->past.channels_opened++;
  }
  return err;
}

static void fill_in(const server_session *ss, wr_server_session_info *info) {
  wr_ssh_info ssh;
  wr_ssh_query(ss->ssh, &ssh);
  memset(info, 0, sizeof(*info));
  info->session_id = ss->id;
  info->transport = ss->transport;
  info->authenticated = ss->state == SESSION_UP;
  info->since_ms = wr_ctx_now(ss->server->ctx) - ss->since_ms;
  info->channels = ssh.channels;
  info->bytes_in = ssh.bytes_in;
  info->bytes_out = ssh.bytes_out;
  snprintf(info->remote_address, sizeof(info->remote_address), "%s",
           ss->address);
  if (ss->logged_in) {
    snprintf(info->user, sizeof(info->user), "%s", ss->user);
    snprintf(info->fingerprint, sizeof(info->fingerprint), "%s",
             ss->fingerprint);
    info->is_cert = wr_cert_type(wr_blob_type(ssh.key_blob)) &&
                    wr_cert_parse(ssh.key_blob, &info->cert) == 0;
  }
}

bool wr_server_next_session(const wr_server *s, size_t *cursor,
                            wr_server_session_info *info) {
  wr_slice key;
  void *ss;
  if (!wr_map_next(s->by_id, cursor, &key, &ss)) {
    return false;
  }
  fill_in(ss, info);
  return true;
}

bool wr_server_session(const wr_server *s, uint32_t session_id,
                       wr_server_session_info *info) {
  const server_session *ss = wr__session_find(s, session_id);
  if (ss != NULL) {
    fill_in(ss, info);
  }
  return ss != NULL;
}

void wr_server_get_stats(const wr_server *s, wr_server_stats *stats) {
  *stats = s->past;
  stats->sessions = s->n_live;
  stats->startups = s->startups;
  stats->rejected = s->past.rejections.total;
  stats->auth_rejected = s->past.auth_rejections.total;
  wr_list_each(it, &s->sessions) {
    const server_session *ss = wr__session_of(it);
    wr_ssh_info info;
    if (ss->ssh == NULL) {
      continue;
    }
    wr_ssh_query(ss->ssh, &info);
    stats->channels += info.channels;
    stats->bytes_in += info.bytes_in;
    stats->bytes_out += info.bytes_out;
    if (ss->remote != NULL) {
      stats->remote_forwards += wr_remote_count(ss->remote);
    }
  }
}
