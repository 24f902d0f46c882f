#ifndef WR_SSH_KEYOPTS_INTERNAL_H
#define WR_SSH_KEYOPTS_INTERNAL_H

#include "ssh/keyopts.h"

/* What the files about the options of keys share. */

/* The time of `expiry-time`: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z or
   UTC behind it or local. Seconds since 1970; 0 if it is none, or before. */
uint64_t wr__expiry_read(wr_slice text);

/* "host:port" or "[host]:port" of permitopen, where '/' will do for the colon,
   or (listen) of permitlisten, where a bare port means any host. The host
   without brackets; a port that is not there is empty. false: the host is
   malformed. */
bool wr__permit_split(wr_slice text, bool listen, wr_slice *host,
                      wr_slice *port);
/* A number from 1, or "*" for 0. */
bool wr__permit_port(wr_slice text, uint16_t *port);

#endif /* !defined(WR_SSH_KEYOPTS_INTERNAL_H) */
