/* The limit: epoll, recv, and one send per client and line. Every line goes, word for word, to
 * everybody but its sender; there is nothing else. What a socket does not take is kept and sent
 * when it does. usage: bare PORT [GREETING]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 16, LINE_MAX_ = 4096 };

struct client {
    char in[LINE_MAX_];             /* the unfinished line */
    char *out;                      /* what the socket did not take */
    size_t in_len, out_len, out_cap;
    int place;                      /* in everybody[] */
};

static struct client *client[MAX_FD];
static int everybody[MAX_FD], count, epoll;

static void watch(int fd, uint32_t events, int how)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    epoll_ctl(epoll, how, fd, &ev);
}

static void leave(int fd)
{
    struct client *c = client[fd];
    everybody[c->place] = everybody[--count];
    client[everybody[c->place]]->place = c->place;
    client[fd] = NULL;
    free(c->out);
    free(c);
    close(fd);
}

static void give(int fd, const char *data, size_t len)
{
    struct client *c = client[fd];
    ssize_t n = c->out_len ? 0 : send(fd, data, len, MSG_NOSIGNAL);
    if (n < 0)
        n = 0;                      /* a lost connection shows when it is read */
    if ((size_t)n == len)
        return;
    if (c->out_len + len > c->out_cap) {
        c->out_cap = 2 * (c->out_len + len);
        c->out = realloc(c->out, c->out_cap);
    }
    if (!c->out_len)
        watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    memcpy(c->out + c->out_len, data + n, len - n);
    c->out_len += len - n;
}

static void catch_up(int fd)
{
    struct client *c = client[fd];
    ssize_t n = send(fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n > 0)
        memmove(c->out, c->out + n, c->out_len -= n);
    if (!c->out_len)
        watch(fd, EPOLLIN, EPOLL_CTL_MOD);
}

static void enter(int listener, const char *greeting)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD || !(client[fd] = calloc(1, sizeof **client))) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client[fd]->place = count;
        everybody[count++] = fd;
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
        if (greeting)
            give(fd, greeting, strlen(greeting));
    }
}

static void hear(int fd)
{
    struct client *c = client[fd];
    ssize_t n = recv(fd, c->in + c->in_len, LINE_MAX_ - c->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(fd);
        return;
    }
    char *line = c->in, *end = c->in + c->in_len + n, *newline;
    while ((newline = memchr(line, '\n', end - line))) {
        newline++;
        for (int i = 0; i < count; i++)
            if (everybody[i] != fd)
                give(everybody[i], line, newline - line);
        line = newline;
    }
    c->in_len = end - line;
    if (c->in_len == LINE_MAX_)
        c->in_len = 0;
    memmove(c->in, line, c->in_len);
}

int main(int argc, char **argv)
{
    char greeting[256];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) {
        perror("bare");
        return 1;
    }
    if (argc > 2)
        snprintf(greeting, sizeof greeting, "%s\n", argv[2]);
    epoll = epoll_create1(0);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                enter(listener, argc > 2 ? greeting : NULL);
            else if (client[fd] && (events[i].events & EPOLLOUT) && client[fd]->out_len)
                catch_up(fd);
            if (fd != listener && client[fd] && (events[i].events & ~EPOLLOUT))
                hear(fd);
        }
    }
}
