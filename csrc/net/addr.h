#ifndef WR_NET_ADDR_H
#define WR_NET_ADDR_H

#include <uv.h>

#include "base/common.h"

#define WR_ADDR_TEXT_MAX 64 /* "[v6%scope]:port" and a zero */
#define WR_HOST_MAX 255     /* longest name on the wire */

/* An IPv4 or IPv6 address in canonical form, for comparing: IPv4-mapped and
   NAT64 (64:ff9b::/96) addresses become IPv4. */
typedef struct wr_ip {
  uint8_t family; /* 4 or 6 */
  uint8_t bytes[16];
} wr_ip;

typedef struct wr_cidr {
  wr_ip ip;
  uint8_t bits; /* of the family's own width */
} wr_cidr;

/* Reads an address in text as inet_pton does, brackets around IPv6 allowed,
   and as inet_aton does (127.1, 0x7f000001, 017700000001), since the system's
   resolver takes those as well. 0 or WR_EMALFORMED. */
WR_NODISCARD int wr_ip_parse(const char *text, wr_ip *ip);
/* The same without brackets, and not in canonical form: what is written as IPv6
   stays that, whatever it stands for. */
WR_NODISCARD int wr_ip_parse_as_is(const char *text, wr_ip *ip);
/* "a.b.c.d" or "a::b"; a bare address means its full width; host bits must be
   zero. 0 or WR_EMALFORMED. */
WR_NODISCARD int wr_cidr_parse(const char *text, wr_cidr *cidr);
bool wr_cidr_contains(const wr_cidr *cidr, const wr_ip *ip);
/* Whether the address has no bits but those of its prefix. */
bool wr_cidr_is_network(const wr_cidr *cidr);
/* Whether one of n networks does. */
bool wr_cidrs_contain(const wr_cidr *cidrs, size_t n, const wr_ip *ip);

/* false for other families than IPv4 and IPv6. */
bool wr_ip_from_sockaddr(const struct sockaddr *sa, wr_ip *ip);
void wr_ip_to_sockaddr(const wr_ip *ip, uint16_t port,
                       struct sockaddr_storage *ss);
uint16_t wr_sockaddr_port(const struct sockaddr *sa);
void wr_sockaddr_set_port(struct sockaddr_storage *ss, uint16_t port);
/* Without port and brackets; IPv4-mapped addresses as IPv4. */
void wr_sockaddr_host(const struct sockaddr *sa, char dst[WR_ADDR_TEXT_MAX]);
/* "1.2.3.4:5" or "[::1]:5". */
void wr_sockaddr_text(const struct sockaddr *sa, char dst[WR_ADDR_TEXT_MAX]);
/* What counts as one peer for limits: the IPv4 address or the IPv6 /64. Returns
   the length of the key, at most 9 bytes. */
size_t wr_ip_peer_key(const wr_ip *ip, uint8_t dst[9]);

bool wr_ip_is_loopback(const wr_ip *ip);   /* 127/8, ::1, and 0.0.0.0, :: */
bool wr_ip_is_private(const wr_ip *ip);    /* RFC 1918, RFC 6598, fc00::/7 */
bool wr_ip_is_link_local(const wr_ip *ip); /* 169.254/16, fe80::/10 */
/* Cloud metadata services: 169.254.169.254, fd00:ec2::254, 168.63.129.16,
   100.100.100.200. */
bool wr_ip_is_metadata(const wr_ip *ip);

#endif /* !defined(WR_NET_ADDR_H) */
