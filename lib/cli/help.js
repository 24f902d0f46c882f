'use strict';

const common = `Common flags
  --help, --version
  --log-level error|warn|info|debug   default info
  --log-format logfmt|json            default logfmt; logs go to stderr
  --json                              the start-up summary as one JSON line; a
                                      remote forward follows when granted

Exit codes: 0 clean end, 1 failure while running, 2 wrong usage or invalid
input, 3 authentication refused, 4 host key mismatch or unknown server, 5 could
not bind.`;

const general = `wraith: a tunnel over SSH that you host yourself

  wraith serve     the server
  wraith connect   the client: SOCKS5, port forwards
  wraith keygen    makes an Ed25519 key pair
  wraith demo      both ends on this machine, with throw-away keys
  wraith policy    what a server would decide, and by which rule

wraith <command> --help says more.

${common}`;

const serve = `wraith serve [flags]

  --key <file>               SSH host key (OpenSSH, Ed25519). Default: made once
                             at $XDG_STATE_HOME/wraith/host_ed25519
  --host-certificate <file>  OpenSSH certificate of that key, shown to clients
                             that know its authority
  --authorized-keys <file>   default: $XDG_CONFIG_HOME/wraith/authorized_keys
  --cert-authority <file>    keys that may sign user certificates; repeatable
  --revoked-keys <file>      public keys, or a KRL of ssh-keygen; repeatable
  --transport tcp|tls|ws     repeatable; default tcp. ws: WebSockets without
                             TLS, for a web server in front
  --listen <[transport=]addr:port>  repeatable; default [::]:2222, for tls
                             [::]:443, for ws 127.0.0.1:8080; port 0 is chosen
                             once and printed; "systemd": the sockets that a
                             service manager hands down
  --tls-cert <file>          PEM: the certificate, then intermediate ones
  --tls-key <file>           PEM, not encrypted
  --acme-domain <name | address>  a certificate from an authority instead, kept
                             renewed (docs/guides/acme.md); repeatable
  --acme-directory <url>     default: Let's Encrypt
  --acme-email <address>     where the authority may write to
  --acme-ca <file>           PEM: whom to trust for the directory itself
  --acme-dir <folder>        default $XDG_STATE_HOME/wraith/acme
  --acme-challenge tls-alpn-01|http-01   default tls-alpn-01
  --acme-http-listen <[addr]:port>  for http-01; default :80
  --acme-eab-kid <id>        external account binding, with
  --acme-eab-hmac-key <key | @file>  Env WRAITH_ACME_EAB_HMAC_KEY
  --stealth                  on tls: who brings no tunnel sees a web site
  --decoy <folder | http(s)://host[:port]>  that site: a folder, or a web server
                             behind; default: 404 for everything
  --stealth-secret <text | @file>  a tunnel opens only for who proves it. Env
                             WRAITH_STEALTH_SECRET
  --ws-path <path>           where WebSockets are taken (--transport wss);
                             default /ws with a secret or ws, else none
  --trust-proxy <cidr>       who connects from there may name the client: by a
                             PROXY header (v1 or v2), or in X-Forwarded-For of
                             a WebSocket; repeatable
  --proxy <url | @file>      targets are reached through socks5://, socks5h://
                             or http://[user:password@]host:port; names go to
                             it unresolved, and are judged by name rules alone.
                             Env WRAITH_PROXY
  --allow <rule>             where channels may lead; repeatable, in the order
  --deny <rule>              given across both, the first match wins; what
                             matches none is denied as soon as one --allow
                             exists
                             rules: host[:port|range]  *.domain  cidr[:port]
                             wraith-name  unix:/path (glob)  private  loopback
                             link-local  metadata
  --gateway-ports            remote forwards may bind other than loopback
  --max-connections-per-ip <n>  default 0: no limit; IPv6 counted by /64
  --max-auth-attempts <n>    default 10
  --login-grace-time <s>     default 30
  --max-startups <n>         sessions not logged in; default 1000. From half of
                             it on some new ones are dropped, up to all.
                             Or start:rate:full, as sshd's MaxStartups
  --max-sessions <n>         default 10000
  --max-channels <n>         per session; default 1000
  --penalty-time <s>         default 5; 0: none. What a failed login costs its
                             address: with more than 15 together it is kept out
                             until they are over, and then for longer each
                             time. IPv6 counted by /64
  --penalty-max <s>          default 600; the longest
  --penalty-exempt <cidr>    never kept out; repeatable
  --metrics <[addr:]port>    numbers for Prometheus, http://…/metrics; default
                             address 127.0.0.1

SIGHUP reads keys, authorities, revocations and TLS files anew, and whoever may
no longer be there goes; if a file is broken, the log says why and all the old
ones stay.
SIGTERM and SIGINT stop accepting, give channels 2 seconds and end; a second one
ends at once.

${common}`;

const connect = `wraith connect --server <host[:port]> [flags]

  --server <host[:port]>     default port 2222, with tls and wss 443, with ws 80.
                             Env WRAITH_SERVER
  --transport tcp|tls|wss|ws  default tcp. wss: WebSocket frames within TLS, for
                             proxies and CDNs; ws: without TLS
  --tls-server-name <name>   the name in the server's certificate, and the one
                             asked for; default: that of --server
  --tls-ca <file>            PEM: the authorities to trust; default: the
                             system's
  --tls-pin <sha256//…>      the server's TLS key, as curl's --pinnedpubkey;
                             authority and name do not count then; repeatable
  --insecure                 any TLS certificate will do; the host key is checked
                             all the same
  --stealth-secret <text | @file>  as the server's. Env WRAITH_STEALTH_SECRET
  --ws-path <path>           as the server's; default /ws
  --identity <file>          private key (Ed25519). Env WRAITH_IDENTITY. Default
                             ~/.ssh/id_ed25519. If it is encrypted: asked on the
                             terminal, or WRAITH_PASSPHRASE. A certificate in
                             <file>-cert.pub is offered before it
  --certificate <file>       in place of that one
  --agent                    keys in the ssh-agent of SSH_AUTH_SOCK, after the
                             identity if one is given; if that is a public key,
                             or its public key (<file>.pub) lies beside where
                             it is absent or encrypted: only this one
  --user <name>              default: the login name
  --host-key <SHA256:… | key line | file>   pin; repeatable
  --known-hosts <file>       default $XDG_CONFIG_HOME/wraith/known_hosts: a first
                             contact is remembered and announced; may hold
                             @cert-authority and @revoked
  --strict                   refuses unknown host keys
  --socks5 <[addr:]port | off>  default 127.0.0.1:1080; answers SOCKS5, SOCKS4a,
                             HTTP CONNECT and absolute-form HTTP requests
  --socks5-auth <user:password | @file>     Env WRAITH_SOCKS5_AUTH
  --socks5-open              allow other than loopback without --socks5-auth
  --forward <spec>           as ssh -L: [bind:]port:host:hostport |
                             path:host:port | [bind:]port:path; repeatable
  --remote-forward <spec>    as ssh -R; port 0 = chosen by the server and
                             printed; repeatable
  --proxy <url | @file>      reach the server through socks5://, socks5h:// or
                             http://[user:password@]host:port; its name goes to
                             the proxy unresolved. Env WRAITH_PROXY
  --keepalive <s>            default 15; a dead peer is noticed within two
  --once                     end when the first session ends

Connects again for ever (1, 2, 4 … 30 s); what cannot get better by itself ends
it before the first success.

${common}`;

const keygen = `wraith keygen [flags]

  --out <file>               default ~/.ssh/id_ed25519; nothing is overwritten
  --comment <text>           default user@host
  --passphrase-file <file>   encrypts the private key with its first line

${common}`;

const demo = `wraith demo [flags]

  --keep                     keep running after the demonstration

${common}`;

const policy = `wraith policy --key <file> [flags] <target>...

  <target>                   host:port, [v6]:port, unix:/path or wraith-name
  --listen <[bind:]port>     a remote forward instead; repeatable; unix:/path
  --key <file>               who logs in: a public key, a certificate, or a
                             private key with its .pub beside it
  --user <name>              default: the login name
  --from <address>           where the client comes from; default: not known
  --authorized-keys <file>   default, without --cert-authority:
                             $XDG_CONFIG_HOME/wraith/authorized_keys
  --cert-authority <file>    repeatable
  --revoked-keys <file>      repeatable
  --allow <rule>, --deny <rule>   as for wraith serve, in the order given
  --gateway-ports            remote forwards may bind other than loopback
  --proxy <url | @file>      as for wraith serve: it is not asked, but names are
                             judged as if it resolved them

Asks no server: it reads the files as wraith serve would and prints the decision
with the line or rule that made it (--json: as one line). Exit code 0 if login
and targets are all allowed, 1 if not.

${common}`;

module.exports = { connect, demo, general, keygen, policy, serve };
