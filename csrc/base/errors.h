#ifndef WR_BASE_ERRORS_H
#define WR_BASE_ERRORS_H

/* Every error of the core, once: C name, number, JavaScript code, phase, text.
   Numbers lie below those of libuv (UV__EOF is -4095), so that a function may
   return either kind. The texts hold no data, so none can leak through them. */
#define WR_ERRORS(XX)                                                          \
  XX(NOMEM, -20001, "OUT_OF_MEMORY", "", "out of memory")                      \
  XX(INVAL, -20002, "INVALID_ARGUMENT", "options", "invalid argument")         \
  XX(NOENT, -20003, "NO_SUCH_OBJECT", "", "the object is gone")                \
  XX(CANCELED, -20004, "CANCELED", "", "the operation was canceled")           \
  XX(TIMEOUT, -20005, "TIMEOUT", "dial", "the time limit ran out")             \
  XX(CLOSED, -20006, "CLOSED", "", "the object is closed")                     \
  XX(LIMIT, -20007, "LIMIT", "", "a limit was reached")                        \
  XX(EOF, -20008, "EOF", "", "unexpected end of stream")                       \
  XX(BUSY, -20009, "BUSY", "", "too much is under way already")                \
  XX(MALFORMED, -20010, "MALFORMED", "", "malformed input")                    \
  XX(UNSUPPORTED, -20011, "UNSUPPORTED", "options", "not supported")           \
  XX(UNRESOLVED, -20012, "UNRESOLVED", "dial", "the name does not resolve")    \
  XX(KEY_FORMAT, -20020, "KEY_FORMAT", "options", "not a key of a known form") \
  XX(KEY_TYPE, -20021, "KEY_TYPE", "options", "this kind of key is not used")  \
  XX(KEY_PASSPHRASE, -20022, "KEY_PASSPHRASE", "options",                      \
     "the key is encrypted and the passphrase is missing or wrong")            \
  XX(KEY_OPTIONS, -20023, "KEY_OPTIONS", "options",                            \
     "an option of the line is unknown, malformed or cannot be enforced")      \
  XX(SPEC, -20024, "SPEC", "options", "malformed forward specification")       \
  XX(RULE, -20025, "RULE", "options", "malformed rule")                        \
  XX(SSH_PROTOCOL, -20030, "SSH_PROTOCOL", "kex", "SSH protocol error")        \
  XX(SSH_VERSION, -20031, "SSH_VERSION", "kex",                                \
     "the peer does not speak SSH 2.0")                                        \
  XX(KEX_FAILED, -20032, "KEX", "kex", "the key exchange failed")              \
  XX(PEER_CLOSED, -20033, "PEER_CLOSED", "", "the peer closed the connection") \
  XX(PEER_DEAD, -20034, "PEER_DEAD", "", "the peer no longer answers")         \
  XX(HOST_KEY_UNKNOWN, -20035, "HOST_KEY_UNKNOWN", "hostkey",                  \
     "the server's host key is not known")                                     \
  XX(HOST_KEY_MISMATCH, -20036, "HOST_KEY_MISMATCH", "hostkey",                \
     "the server's host key is not the expected one")                          \
  XX(HOST_KEY_REQUIRED, -20037, "HOST_KEY_REQUIRED", "hostkey",                \
     "no host key, known_hosts or endpoint id to check the server with")       \
  XX(AUTH_REFUSED, -20038, "AUTH_REFUSED", "auth",                             \
     "the server refused the key")                                             \
  XX(AUTH_TIMEOUT, -20039, "AUTH_TIMEOUT", "auth", "the login took too long")  \
  XX(TUNNEL_DOWN, -20040, "TUNNEL_DOWN", "channel", "the tunnel is down")      \
  XX(CHANNEL_DENIED, -20041, "CHANNEL_DENIED", "channel",                      \
     "refused by the server's policy")                                         \
  XX(CHANNEL_REFUSED, -20042, "CHANNEL_REFUSED", "channel",                    \
     "the target refused the connection")                                      \
  XX(CHANNEL_UNRESOLVED, -20043, "CHANNEL_UNRESOLVED", "channel",              \
     "the target's name does not resolve")                                     \
  XX(CHANNEL_UNREACHABLE, -20044, "CHANNEL_UNREACHABLE", "channel",            \
     "no route to the target")                                                 \
  XX(CHANNEL_TIMEOUT, -20045, "CHANNEL_TIMEOUT", "channel",                    \
     "the target did not answer in time")                                      \
  XX(CHANNEL_LIMIT, -20046, "CHANNEL_LIMIT", "channel", "too many channels")   \
  XX(CHANNEL_UNKNOWN, -20047, "CHANNEL_UNKNOWN", "channel",                    \
     "unknown destination or channel type")                                    \
  XX(CHANNEL_FAILED, -20048, "CHANNEL_FAILED", "channel",                      \
     "the channel could not be opened")                                        \
  XX(CHANNEL_RESET, -20049, "CHANNEL_RESET", "channel",                        \
     "the channel was closed before its end")                                  \
  XX(FORWARD_REFUSED, -20050, "FORWARD_REFUSED", "channel",                    \
     "the server refused the remote forward")                                  \
  XX(AGENT_UNAVAILABLE, -20060, "AGENT_UNAVAILABLE", "auth",                   \
     "no ssh-agent can be reached")                                            \
  XX(AGENT_TIMEOUT, -20061, "AGENT_TIMEOUT", "auth",                           \
     "the ssh-agent did not answer in time")                                   \
  XX(AGENT_CLOSED, -20062, "AGENT_CLOSED", "auth",                             \
     "the ssh-agent closed the connection")                                    \
  XX(AGENT_PROTOCOL, -20063, "AGENT_PROTOCOL", "auth",                         \
     "the ssh-agent gave a malformed answer")                                  \
  XX(AGENT_REFUSED, -20064, "AGENT_REFUSED", "auth",                           \
     "the ssh-agent refused the request")                                      \
  XX(AGENT_NO_KEY, -20065, "AGENT_NO_KEY", "auth",                             \
     "the ssh-agent has no such key, or is locked")                            \
  XX(CERT_MISMATCH, -20070, "CERTIFICATE_MISMATCH", "options",                 \
     "the certificate is not for this key")                                    \
  XX(TLS, -20090, "TLS", "tls", "the TLS handshake failed")                    \
  XX(TLS_CERTIFICATE, -20091, "TLS_CERTIFICATE", "tls",                        \
     "the server's TLS certificate is from no trusted authority")              \
  XX(TLS_EXPIRED, -20092, "TLS_EXPIRED", "tls",                                \
     "the server's TLS certificate is expired or not valid yet")               \
  XX(TLS_NAME, -20093, "TLS_NAME", "tls",                                      \
     "the server's TLS certificate is for another name")                       \
  XX(TLS_PIN, -20094, "TLS_PIN", "tls",                                        \
     "the server's TLS key is not the pinned one")                             \
  XX(TLS_TIMEOUT, -20095, "TLS_TIMEOUT", "tls",                                \
     "the TLS handshake took too long")                                        \
  XX(TLS_TRUNCATED, -20096, "TLS_TRUNCATED", "tls",                            \
     "the TLS connection was cut off")                                         \
  XX(TLS_PLAIN, -20097, "TLS_PLAIN", "tls", "the peer does not speak TLS")     \
  XX(TLS_CHAIN, -20098, "TLS_CHAIN", "options",                                \
     "not a usable chain of TLS certificates")                                 \
  XX(TLS_ROOTS, -20099, "TLS_ROOTS", "options",                                \
     "no certificate authorities can be read")                                 \
  XX(WS_REFUSED, -20110, "WS_REFUSED", "dial",                                 \
     "the server did not agree to a WebSocket")                                \
  XX(WS_PROTOCOL, -20111, "WS_PROTOCOL", "dial",                               \
     "the peer broke the WebSocket protocol")                                  \
  XX(PROXY_UNREACHABLE, -20080, "PROXY_UNREACHABLE", "proxy",                  \
     "the proxy cannot be reached")                                            \
  XX(PROXY_PROTOCOL, -20081, "PROXY_PROTOCOL", "proxy",                        \
     "the proxy broke off or gave a malformed answer")                         \
  XX(PROXY_AUTH, -20082, "PROXY_AUTH", "proxy",                                \
     "the proxy wants a user and password, or others")                         \
  XX(PROXY_DENIED, -20083, "PROXY_DENIED", "proxy",                            \
     "the proxy does not allow the connection")                                \
  XX(PROXY_FAILED, -20084, "PROXY_FAILED", "proxy",                            \
     "the proxy could not make the connection")

typedef enum wr_error {
#define XX(name, number, code, phase, text) WR_E##name = (number),
  WR_ERRORS(XX)
#undef XX
} wr_error;

/* The JavaScript code without its "ERR_WRAITH_" prefix, e.g. "TIMEOUT";
   "SYSTEM" for codes of libuv, "UNKNOWN" for any other. Never NULL. */
const char *wr_error_code(int err);
/* The phase ("dial", "kex", "auth", …), "" where none belongs to the error. */
const char *wr_error_phase(int err);
/* A fixed English sentence part; it never holds data. */
const char *wr_error_text(int err);

#endif /* !defined(WR_BASE_ERRORS_H) */
