/* Connections: opening, reading, writing, TLS, and joining the room by each server's protocol.
 *
 * Everything is non-blocking. All connections share one read buffer, so that it stays in the
 * cache.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int epoll = -1, timer = -1;
static char buffer[CARRY_MAX + READ_SIZE];
static struct sockaddr_in server;
#ifdef WITH_TLS
static SSL_CTX *tls;
#endif

void wire_init(void)
{
    epoll = epoll_create1(0);
    server.sin_family = AF_INET;
    server.sin_port = htons(opt.port);
    if (epoll < 0 || inet_pton(AF_INET, opt.host, &server.sin_addr) != 1)
        die("bad host %s", opt.host);
    if (opt.tls) {
#ifdef WITH_TLS
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);     /* a certificate made a moment ago */
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
#else
        die("compiled without TLS");
#endif
    }
}

/* Which events the connection is to wake us for. */
void wire_watch(struct client *c)
{
    struct epoll_event ev = {.data.ptr = c};
    bool reads = !c->asleep && !(c->kind == STALLED && c->state == JOINED);
    if (c->state != CONNECTING && reads)
        ev.events |= EPOLLIN;
    if (c->state == CONNECTING || c->wants_out)
        ev.events |= EPOLLOUT;
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

void wire_connect(struct client *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->kind != READER && opt.small_buffer)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &opt.small_buffer, sizeof opt.small_buffer);
    if (opt.sources > 1) {          /* 127.0.0.1 has 28,000 ports */
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->id % opt.sources);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            die("bind: %s", strerror(errno));
    }
    c->state = CONNECTING;
    c->connecting = now_us();
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        wire_failures++;
        wire_close(c);
    }
}

void wire_close(struct client *c)
{
    if (c->state == CLOSED)
        return;
    if (c->state == JOINED) {
        joined--;
        if (c->kind == READER) {
            live_readers--;
            closed_readers++;
            probed_readers -= c->probed;
        }
    } else {
        wire_failures++;
    }
    c->state = CLOSED;
    c->closed = now_us();
#ifdef WITH_TLS
    if (c->ssl)
        SSL_free(c->ssl);
    c->ssl = NULL;
#endif
    close(c->fd);
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_cap = 0;
}

static void enter(struct client *c)
{
    c->state = JOINED;
    joined++;
    if (c->kind == READER)
        live_readers++;
    wire_watch(c);
}

static void registration(struct client *c)
{
    char text[96];
    if (opt.protocol[0] == 'i') {
        c->state = REGISTERING;
        wire_watch(c);
        int len = snprintf(text, sizeof text, "NICK b%05u\r\nUSER b%05u 0 * :bench\r\n", c->id, c->id);
        wire_send(c, text, len);
    } else if (opt.greets) {
        c->state = REGISTERING;     /* until its first line */
        wire_watch(c);
    } else {
        enter(c);
    }
}

/* At most SIZE bytes into TO. Returns 0 at the end, -1 when there is nothing now. */
static ssize_t take(struct client *c, char *to, size_t size)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int n = SSL_read(c->ssl, to, size);
        if (n > 0)
            return n;
        int why = SSL_get_error(c->ssl, n);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
    }
#endif
    ssize_t n = recv(c->fd, to, size, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    return n;
}

/* How many bytes of FROM were taken; -1: the connection is lost. */
static ssize_t give(struct client *c, const char *from, size_t size)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int n = SSL_write(c->ssl, from, size);
        if (n > 0)
            return n;
        int why = SSL_get_error(c->ssl, n);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
#endif
    ssize_t n = send(c->fd, from, size, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return n;
}

void wire_send(struct client *c, const char *data, size_t len)
{
    ssize_t n = c->out_len ? 0 : give(c, data, len);
    if (n < 0) {
        wire_close(c);
        return;
    }
    if ((size_t)n == len)
        return;
    if (c->out_len + len - n > c->out_cap) {
        c->out_cap = 2 * (c->out_len + len);
        c->out = realloc(c->out, c->out_cap);
        if (!c->out)
            die("out of memory");
    }
    memcpy(c->out + c->out_len, data + n, len - n);
    c->out_len += len - n;
    if (!c->wants_out) {
        c->wants_out = true;
        wire_watch(c);
    }
}

static void flush_out(struct client *c)
{
    ssize_t n = c->out_len ? give(c, c->out, c->out_len) : 0;
    if (n < 0) {
        wire_close(c);
        return;
    }
    if (n)
        memmove(c->out, c->out + n, c->out_len -= n);
    if (!c->out_len && c->wants_out) {
        c->wants_out = false;
        wire_watch(c);
    }
}

static void keep(struct client *c, const char *from, size_t len)
{
    if (len > CARRY_MAX) {
        total.damaged++;
        len = 0;
    }
    if (len > c->carry_cap) {
        c->carry_cap = len < 256 ? 256 : CARRY_MAX;
        c->carry = realloc(c->carry, c->carry_cap);
        if (!c->carry)
            die("out of memory");
    }
    if (len)
        memcpy(c->carry, from, len);
    c->carry_len = len;
}

static void readable(struct client *c)
{
    for (;;) {
        if (c->carry_len)
            memcpy(buffer, c->carry, c->carry_len);
        ssize_t n = take(c, buffer + c->carry_len, READ_SIZE);
        if (n < 0)
            return;
        if (n == 0) {
            wire_close(c);
            return;
        }
        usec now = now_us();
        total.reads++;
        if (!c->first_byte)
            c->first_byte = now;
        char *rest, *end = buffer + c->carry_len + n;
        received(c, buffer, end, now, &rest);
        if (c->state == CLOSED)
            return;
        keep(c, rest, end - rest);
#ifdef WITH_TLS
        if (c->ssl)                 /* a record may wait where epoll does not see it */
            continue;
#endif
        return;
    }
}

static bool begins(const char *from, const char *end, const char *with)
{
    size_t len = strlen(with);
    return (size_t)(end - from) >= len && memcmp(from, with, len) == 0;
}

static void on_irc_line(struct client *c, char *from, char *end)
{
    char *word = from;
    if (*from == ':') {
        word = memchr(from, ' ', end - from);
        if (!word)
            return;
        word++;
    }
    if (begins(word, end, "PING ")) {
        char text[256];
        int len = snprintf(text, sizeof text, "PONG %.*s\r\n", (int)(end - word - 5), word + 5);
        total.pings++;
        wire_send(c, text, len);
    } else if (c->state == REGISTERING) {
        if (begins(word, end, "001 ") && strcmp(opt.mode, "connects") == 0)
            enter(c);
        else if (begins(word, end, "001 "))
            wire_send(c, "JOIN #bench\r\n", 13);
        else if (begins(word, end, "366 "))
            enter(c);
        else if (*word == '4' && !begins(word, end, "422 ")) {
            if (!total.refused++)
                fprintf(stderr, "refused: %.*s\n", (int)(end - from), from);
        } else if (begins(word, end, "ERROR ")) {
            fprintf(stderr, "refused: %.*s\n", (int)(end - from), from);
            total.refused++;
        }
    }
}

/* A line that is no delivery: a greeting, a notice, a probe, what the protocol wants. */
void on_line(struct client *c, char *from, char *end)
{
    total.other_lines++;
    if (from == end)
        return;
    if (!c->probed && end - from >= 6 && memcmp(end - 6, "~probe", 6) == 0) {
        c->probed = true;
        if (c->kind == READER && c->state == JOINED)
            probed_readers++;
    }
    if (opt.protocol[0] == 'i') {
        on_irc_line(c, from, end);
    } else {
        if (c->state == REGISTERING)
            enter(c);
        if (begins(from, end, "-- You missed "))
            c->announced += strtoull(from + 14, NULL, 10);
    }
}

#ifdef WITH_TLS
static void secure(struct client *c)
{
    int n = SSL_do_handshake(c->ssl);
    if (n == 1) {
        c->wants_out = false;
        registration(c);
        if (c->state != CLOSED)
            readable(c);
        return;
    }
    int why = SSL_get_error(c->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        wire_close(c);
        return;
    }
    c->wants_out = why == SSL_ERROR_WANT_WRITE;
    wire_watch(c);
}
#endif

static void connected(struct client *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        wire_close(c);
        return;
    }
#ifdef WITH_TLS
    if (opt.tls) {
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        c->state = SECURING;
        secure(c);                  /* the client speaks first */
        return;
    }
#endif
    registration(c);
}

/* Wake wire_turn() at FIRST and then every so many SECONDS. */
void wire_timer(usec first, double seconds)
{
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec t = {
        .it_value = {first / 1000000, first % 1000000 * 1000},
        .it_interval = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)},
    };
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &ev) < 0)
        die("timer: %s", strerror(errno));
}

/* Wait at most so long for events and serve them. Returns how many there were. The batch is
 * small so that the open loop's lines go out in time. */
int wire_turn(int timeout_ms)
{
    struct epoll_event events[128];
    int n = epoll_wait(epoll, events, 128, timeout_ms);
    int served = 0;
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (!c) {
            uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
                die("timer: %s", strerror(errno));
            talk();
            continue;
        }
        served++;
        uint32_t what = events[i].events;
        if (c->state == CLOSED)
            continue;
        if (c->state == CONNECTING) {
            connected(c);
            continue;
        }
#ifdef WITH_TLS
        if (c->state == SECURING) {
            secure(c);
            continue;
        }
#endif
        if (c->kind == STALLED && c->state == JOINED && (what & (EPOLLERR | EPOLLHUP))) {
            wire_close(c);
            continue;
        }
        if (what & EPOLLOUT)
            flush_out(c);
        if (c->state != CLOSED && (what & (EPOLLIN | EPOLLERR | EPOLLHUP)))
            readable(c);
        talk();
    }
    return served;
}
