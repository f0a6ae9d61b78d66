/* The load generator of the benchmark: one thread, one epoll set, every byte checked.
 *
 *   wire.c     connections: opening, reading, writing, TLS, and what each server's
 *              protocol wants before one is in the room
 *   check.c    what is said and what arrives: every line, its order, its latency
 *   flood.c    clients that send rubbish as fast as they can
 *   loadgen.c  options, the phases of one run, the result as one JSON object
 *
 * Times are microseconds of CLOCK_MONOTONIC, which is what Python's time.monotonic()
 * reads as well. Everything is bounded: the process ends by itself after --limit seconds
 * and when its parent ends.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum { PAYLOAD = 64 };              /* bytes of text in each line */
enum { LINES = 1 << 20 };           /* lines remembered; a power of two */
enum { CARRY_MAX = 4096 };          /* longest unfinished line kept from one read to the next */
enum { READ_SIZE = 1 << 18 };
enum { BUCKETS = 128 * 40 };        /* 128 per power of two: 0.8 % */
#define UNORDERED UINT32_MAX

typedef uint64_t usec;

enum kind { READER, SLOW, STALLED };
enum state { UNUSED, CONNECTING, SECURING, REGISTERING, JOINED, CLOSED };

struct range { uint32_t from, to; };

/* One connection to the server. Number 0 is the observer: it never talks, so it is shown
 * every line, and the order in which it is shown them is the room's order. */
struct client {
    int fd;
    uint32_t id;
    uint8_t kind, state;
    bool probed, wants_out, asleep;
    uint32_t seq;                   /* lines it has said */
    uint32_t next;                  /* the next position in the room's order it should be shown */
    uint64_t got;                   /* lines it was shown */
    uint64_t missing;               /* lines it was not shown though later ones were */
    uint64_t announced;             /* lines the server said it missed */
    struct range *gaps;             /* which those are */
    uint32_t gap_count, gap_cap;
    uint32_t *waiting;              /* lines shown here before they were shown to the observer */
    uint32_t wait_head, wait_tail, wait_cap;
    char *carry;                    /* the unfinished end of the last read */
    uint32_t carry_len, carry_cap;
    char *out;                      /* what the socket did not take */
    uint32_t out_len, out_cap;
    usec connecting, first_byte, closed;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

/* One line that was said. */
struct line {
    char text[PAYLOAD];
    uint32_t number;                /* counts all lines, from 1 */
    uint32_t order;                 /* 1 + its position in the room; 0: not seen by the observer */
    uint32_t left;                  /* readers that have not been shown it */
    uint32_t talker;
    usec sent;                      /* open loop: when it was due */
    bool done;                      /* all readers have it, or it was given up */
    bool measured;                  /* sent inside the measured time */
};

struct histogram {
    uint64_t bucket[BUCKETS], count, max;
};

struct options {
    const char *host;
    int port, pid;
    const char *protocol;           /* line or irc */
    const char *mode;               /* closed, open, idle, connects, flood */
    int clients, talkers, stalled, slow, window, sources, pending;
    double rate, seconds, warmup, settle, pause, setup, limit;
    int small_buffer;               /* SO_RCVBUF of slow and stalled clients */
    bool tls, greets, by_observer;
};

struct totals {
    uint64_t sent, deliveries, other_lines, own, doubled, reordered, damaged, gave_up;
    uint64_t pings, refused, reads;
    uint32_t completed;
};

extern struct options opt;
extern struct totals total;
extern struct client *clients;
extern struct histogram latency, lateness;
extern int client_count, joined, live_readers, closed_readers, probed_readers, wire_failures;
extern bool measuring;

usec now_us(void);
void die(const char *format, ...);

/* loadgen.c */
void talk(void);                    /* say what is due: called whenever something was served */

/* flood.c */
void flood(void);

/* check.c */
void check_init(void);
uint32_t say(struct client *talker, usec when);
void received(struct client *c, char *from, char *end, usec now, char **rest);
void give_up_before(usec when);
void settle_accounts(struct client *c);
uint64_t never_shown(const struct client *c);
uint64_t lost_without_order(void);
void record(struct histogram *h, uint64_t value);
uint64_t percentile(const struct histogram *h, double fraction);

/* wire.c */
void wire_init(void);
void wire_connect(struct client *c);
void wire_send(struct client *c, const char *data, size_t len);
void wire_watch(struct client *c);
int wire_turn(int timeout_ms);
void wire_close(struct client *c);
void wire_timer(usec first, double seconds);
void on_line(struct client *c, char *from, char *end);     /* a line that is no delivery */

#endif
