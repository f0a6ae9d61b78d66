/* Checks every delivered line, its order and its latency.
 *
 * A delivery counts only if its 64 bytes are those that were sent. Each listener must be shown
 * the room's lines, except its own, once each and in the order in which the observer is shown
 * them.
 *
 * That is checked with one number per listener: the next position it should be shown. A later
 * one leaves a gap behind (lost, unless it is filled: then out of order), an earlier one that
 * fills no gap is doubled. Lines that reach a listener before they reach the observer wait in
 * a queue of that listener's until the observer has them.
 */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>

static struct line *lines;          /* by number */
static uint32_t *order_talker;      /* who said it, by position in the room's order */
static uint32_t *observed_seq;      /* the last line of each talker the observer was shown */
static uint32_t number, ordered, oldest = 1;
static const char magic[2] = {'~', '#'};

#define LINE(n) (&lines[(n) & (LINES - 1)])

void check_init(void)
{
    lines = calloc(LINES, sizeof *lines);
    order_talker = calloc(LINES, sizeof *order_talker);
    observed_seq = calloc(client_count, sizeof *observed_seq);
    if (!lines || !order_talker || !observed_seq)
        die("out of memory");
}

void record(struct histogram *h, uint64_t value)
{
    int shift = value < 128 ? 0 : 56 - __builtin_clzll(value);
    size_t bucket = shift * 128 + (value >> shift);
    h->bucket[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

uint64_t percentile(const struct histogram *h, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * h->count), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > rank) {
            if (i < 256)
                return i;
            int shift = i / 128 - 1;
            return ((uint64_t)(i - shift * 128) << shift) + (1ull << shift) / 2;
        }
    }
    return h->max;
}

/* Numbers are written in the letters A to P, most significant first: eight of them are read
 * with three shifts. */
static void put_number(char *to, uint64_t value, int digits)
{
    while (digits--) {
        to[digits] = 'A' + (value & 15);
        value >>= 4;
    }
}

static inline uint32_t get_number(const char *from)
{
    uint64_t x;
    memcpy(&x, from, 8);
    x = __builtin_bswap64(x) - 0x4141414141414141ull;
    x = (x | x >> 4) & 0x00FF00FF00FF00FFull;
    x = (x | x >> 8) & 0x0000FFFF0000FFFFull;
    return (uint32_t)(x | x >> 16);
}

/* Say the next line as TALKER. WHEN is its time stamp. Returns its number. */
uint32_t say(struct client *talker, usec when)
{
    static char wire[PAYLOAD + 64];
    uint32_t n = ++number;
    struct line *l = LINE(n);
    l->number = n;
    l->order = 0;
    l->talker = talker->id;
    l->sent = when;
    l->done = false;
    l->measured = measuring;
    l->left = 0;
    char *t = l->text;
    memcpy(t, magic, 2);
    put_number(t + 2, n, 8);
    t[10] = '.';
    put_number(t + 11, talker->id, 8);
    t[19] = '.';
    put_number(t + 20, ++talker->seq, 8);
    t[28] = '.';
    put_number(t + 29, when, 16);
    t[45] = '.';
    for (int i = 46; i < PAYLOAD; i++)
        t[i] = 'a' + (n + i) % 26;
    l->left = live_readers - (talker->kind == READER && talker->state == JOINED);
    size_t len = 0;
    if (opt.protocol[0] == 'i') {
        memcpy(wire, "PRIVMSG #bench :", 16);
        len = 16;
    }
    memcpy(wire + len, t, PAYLOAD);
    len += PAYLOAD;
    if (opt.protocol[0] == 'i')
        wire[len++] = '\r';
    wire[len++] = '\n';
    total.sent++;
    wire_send(talker, wire, len);
    return n;
}

static void done(struct line *l)
{
    if (!l->done) {
        l->done = true;
        total.completed++;
    }
}

/* Lines said before WHEN that somebody still lacks free their place in the window. */
void give_up_before(usec when)
{
    if (number >= LINES && oldest <= number - LINES)
        oldest = number - LINES + 1;
    while (oldest <= number && LINE(oldest)->done)
        oldest++;
    for (uint32_t n = oldest; n <= number && LINE(n)->sent < when; n++) {
        struct line *l = LINE(n);
        if (!l->done) {
            total.gave_up++;
            done(l);
        }
        if (!l->order)
            l->order = UNORDERED;
    }
}

static void add_gap(struct client *c, uint32_t from, uint32_t to)
{
    if (c->gap_count == c->gap_cap) {
        c->gap_cap = c->gap_cap ? 2 * c->gap_cap : 4;
        c->gaps = realloc(c->gaps, c->gap_cap * sizeof *c->gaps);
        if (!c->gaps)
            die("out of memory");
    }
    c->gaps[c->gap_count++] = (struct range){from, to};
}

static uint64_t said_by_others(const struct client *c, uint32_t from, uint32_t to)
{
    uint64_t count = 0;
    for (uint32_t o = from; o < to; o++)
        count += order_talker[o & (LINES - 1)] != c->id;
    return count;
}

static void out_of_place(struct client *c, uint32_t expected, uint32_t position)
{
    if (position > expected) {
        if (position - c->next >= LINES)
            die("a listener is more than %d lines behind", LINES);
        add_gap(c, expected, position);
        c->missing += said_by_others(c, expected, position);
        c->next = position + 1;
        return;
    }
    for (uint32_t i = 0; i < c->gap_count; i++) {
        struct range *gap = &c->gaps[i];
        if (gap->from <= position && position < gap->to) {
            uint32_t end = gap->to;
            gap->to = position;
            if (position + 1 < end)
                add_gap(c, position + 1, end);
            c->missing--;
            total.reordered++;
            return;
        }
    }
    total.doubled++;
}

static inline void in_order(struct client *c, uint32_t position)
{
    uint32_t expected = c->next;
    while (expected < position && order_talker[expected & (LINES - 1)] == c->id)
        expected++;
    if (position == expected)
        c->next = position + 1;
    else
        out_of_place(c, expected, position);
}

static void observed(struct client *c, struct line *l)
{
    if (l->order == UNORDERED) {
        total.reordered++;
        return;
    }
    if (l->order) {
        total.doubled++;
        return;
    }
    uint32_t seq = get_number(l->text + 20);
    if (seq < observed_seq[l->talker])
        total.reordered++;
    else
        observed_seq[l->talker] = seq;
    order_talker[ordered & (LINES - 1)] = l->talker;
    l->order = ++ordered;
    c->next = ordered;
}

static void wait_for_observer(struct client *c, uint32_t n)
{
    if (c->wait_tail == c->wait_cap) {
        if (c->wait_head > c->wait_cap / 2) {
            memmove(c->waiting, c->waiting + c->wait_head,
                    (c->wait_tail - c->wait_head) * sizeof *c->waiting);
            c->wait_tail -= c->wait_head;
            c->wait_head = 0;
        } else {
            c->wait_cap = c->wait_cap ? 2 * c->wait_cap : 64;
            c->waiting = realloc(c->waiting, c->wait_cap * sizeof *c->waiting);
            if (!c->waiting)
                die("out of memory");
        }
    }
    c->waiting[c->wait_tail++] = n;
}

/* Check what waited for the observer, as far as the observer has come. */
void settle_accounts(struct client *c)
{
    while (c->wait_head < c->wait_tail) {
        struct line *l = LINE(c->waiting[c->wait_head]);
        if (l->number != c->waiting[c->wait_head])
            die("a line waited too long for the observer");
        if (!l->order)
            return;
        if (l->order != UNORDERED)
            in_order(c, l->order - 1);
        c->wait_head++;
    }
    c->wait_head = c->wait_tail = 0;
}

static inline void delivered(struct client *c, const char *text, usec now)
{
    struct line *l = LINE(get_number(text + 2));
    if (memcmp(l->text, text, PAYLOAD) != 0) {
        total.damaged++;
        return;
    }
    if (l->talker == c->id) {
        total.own++;
        return;
    }
    c->got++;
    if (l->measured && c->kind == READER)
        record(&latency, now > l->sent ? now - l->sent : 0);
    if (c->kind == READER) {
        total.deliveries++;
        if (l->left && --l->left == 0)
            done(l);
    }
    if (c->id == 0) {
        if (opt.by_observer)
            done(l);
        observed(c, l);
        return;
    }
    if (c->wait_tail)
        settle_accounts(c);
    if (l->order && !c->wait_tail) {
        if (l->order != UNORDERED)
            in_order(c, l->order - 1);
    } else {
        wait_for_observer(c, l->number);
    }
}

/* Take the lines between FROM and END; *REST is where the unfinished one begins. */
void received(struct client *c, char *from, char *end, usec now, char **rest)
{
    char *newline;
    while (from < end && (newline = memchr(from, '\n', end - from))) {
        char *stop = newline;
        if (stop > from && stop[-1] == '\r')
            stop--;
        if (stop - from >= PAYLOAD && memcmp(stop - PAYLOAD, magic, 2) == 0)
            delivered(c, stop - PAYLOAD, now);
        else
            on_line(c, from, stop);
        from = newline + 1;
    }
    *rest = from;
}

/* Lines C should have been shown and was not, once everything has arrived. */
uint64_t never_shown(const struct client *c)
{
    return c->missing + said_by_others(c, c->next, ordered);
}

/* Lines the observer was never shown, counted once for each reader that was not either. */
uint64_t lost_without_order(void)
{
    uint64_t lost = 0;
    uint32_t first = number >= LINES ? number - LINES + 1 : 1;
    for (uint32_t n = first; n <= number; n++) {
        struct line *l = LINE(n);
        if (l->order == 0 || l->order == UNORDERED)
            lost += l->left;
    }
    return lost;
}
