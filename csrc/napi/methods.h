#ifndef WR_NAPI_METHODS_H
#define WR_NAPI_METHODS_H

#include "napi/args.h"

/* Every method of the module: its JavaScript name and its function.
   docs/internals/binding.md says what they do. */
#define WRN_METHODS(XX)                                                        \
  XX(init, wrn_init)                                                           \
  XX(setSlab, wrn_set_slab)                                                    \
  XX(hold, wrn_hold)                                                           \
  XX(release, wrn_release)                                                     \
  XX(buildInfo, wrn_build_info)                                                \
  XX(memory, wrn_memory)                                                       \
  XX(shutdownNow, wrn_shutdown_now)                                            \
  XX(noCores, wrn_no_cores)                                                    \
  XX(keyParse, wrn_key_parse)                                                  \
  XX(keyIsEncrypted, wrn_key_is_encrypted)                                     \
  XX(keyGenerate, wrn_key_generate)                                            \
  XX(keyInfo, wrn_key_info)                                                    \
  XX(keyExport, wrn_key_export)                                                \
  XX(keyFree, wrn_key_free)                                                    \
  XX(publicKey, wrn_public_key)                                                \
  XX(trustCheck, wrn_trust_check)                                              \
  XX(policyExplain, wrn_policy_explain)                                        \
  XX(certificate, wrn_certificate)                                             \
  XX(agentList, wrn_agent_list)                                                \
  XX(agentCancel, wrn_agent_cancel)                                            \
  XX(hostCertificate, wrn_host_certificate)                                    \
  XX(knownHosts, wrn_known_hosts)                                              \
  XX(knownHostsLine, wrn_known_hosts_line)                                     \
  XX(knownHostsTypes, wrn_known_hosts_types)                                   \
  XX(forwardSpec, wrn_forward_spec)                                            \
  XX(destination, wrn_destination)                                             \
  XX(ruleCheck, wrn_rule_check)                                                \
  XX(networkCheck, wrn_network_check)                                          \
  XX(proxyUrl, wrn_proxy_url)                                                  \
  XX(dial, wrn_dial_start)                                                     \
  XX(tlsServer, wrn_tls_server)                                                \
  XX(tlsClient, wrn_tls_client)                                                \
  XX(tlsChallenge, wrn_tls_challenge)                                          \
  XX(tlsFree, wrn_tls_free)                                                    \
  XX(tunnelNew, wrn_tunnel_new)                                                \
  XX(tunnelConnect, wrn_tunnel_connect)                                        \
  XX(tunnelVerdict, wrn_tunnel_verdict)                                        \
  XX(tunnelDisconnect, wrn_tunnel_disconnect)                                  \
  XX(tunnelClose, wrn_tunnel_close)                                            \
  XX(tunnelPeer, wrn_tunnel_peer)                                              \
  XX(tunnelOpen, wrn_tunnel_open)                                              \
  XX(tunnelListen, wrn_tunnel_listen)                                          \
  XX(listenerClose, wrn_listener_close)                                        \
  XX(listenerConnections, wrn_listener_connections)                            \
  XX(tunnelRemoteAdd, wrn_tunnel_remote_add)                                   \
  XX(remoteRemove, wrn_remote_remove)                                          \
  XX(remoteConnections, wrn_remote_connections)                                \
  XX(tunnelStats, wrn_tunnel_stats)                                            \
  XX(serverNew, wrn_server_new)                                                \
  XX(serverListen, wrn_server_listen)                                          \
  XX(serverListenFd, wrn_server_listen_fd)                                     \
  XX(serverAccept, wrn_server_accept)                                          \
  XX(serverAuthorize, wrn_server_authorize)                                    \
  XX(serverSetControl, wrn_server_set_control)                                 \
  XX(serverOpen, wrn_server_open)                                              \
  XX(serverSetTls, wrn_server_set_tls)                                         \
  XX(serverReload, wrn_server_reload)                                          \
  XX(serverSessions, wrn_server_sessions)                                      \
  XX(serverStats, wrn_server_stats)                                            \
  XX(serverEndSession, wrn_server_end_session)                                 \
  XX(serverClose, wrn_server_close)                                            \
  XX(streamRead, wrn_stream_read)                                              \
  XX(streamStop, wrn_stream_stop)                                              \
  XX(streamWrite, wrn_stream_write)                                            \
  XX(streamWritev, wrn_stream_writev)                                          \
  XX(streamEnd, wrn_stream_end)                                                \
  XX(streamClose, wrn_stream_close)

#define XX(name, function) int64_t function(wrn_call *c);
WRN_METHODS(XX)
#undef XX

#endif /* !defined(WR_NAPI_METHODS_H) */
