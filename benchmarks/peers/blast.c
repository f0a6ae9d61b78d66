/* Not a peer: a source of deliveries that costs next to nothing, to see how many the load
 * generator itself can check. It relays like bare.c, but joins the lines of a turn into one
 * send per client, and holds the lines back until BATCH of them have come or 1 ms has passed.
 * usage: blast PORT BATCH
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

enum { MAX_FD = 1 << 16, ROOM = 1 << 20 };

static int everybody[MAX_FD], count;
static char room[ROOM];             /* the lines of this batch, one after the other */
static struct { int fd, from, to; } said[ROOM / 16];
static int lines, used;

/* Everything to FD but what it said itself. */
static void give(int fd, int first)
{
    int from = 0;
    static char own[ROOM];
    int len = 0;
    for (int i = first; i < lines; i++) {
        if (said[i].fd == fd) {
            memcpy(own + len, room + from, said[i].from - from);
            len += said[i].from - from;
            from = said[i].to;
        }
    }
    const char *data = room;
    if (from) {
        memcpy(own + len, room + from, used - from);
        len += used - from;
        data = own;
    } else {
        len = used;
    }
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return;
        if (n > 0) {
            data += n;
            len -= n;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int batch = argc > 2 ? atoi(argv[2]) : 64;
    at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) {
        perror("blast");
        return 1;
    }
    int epoll = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, lines ? 1 : -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    ev.data.fd = everybody[count++] = fd;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
                }
                continue;
            }
            ssize_t got = recv(fd, room + used, ROOM - used, 0);    /* whole lines: all are short */
            if (got <= 0) {
                for (int k = 0; k < count; k++)
                    if (everybody[k] == fd)
                        everybody[k--] = everybody[--count];
                close(fd);
                continue;
            }
            for (char *at = room + used, *end = at + got, *nl;
                 at < end && (nl = memchr(at, '\n', end - at)); at = nl + 1) {
                said[lines].fd = fd;
                said[lines].from = at - room;
                said[lines++].to = nl + 1 - room;
            }
            used += got;
        }
        if (lines && (lines >= batch || n == 0)) {
            for (int k = 0; k < count; k++)
                give(everybody[k], 0);
            lines = used = 0;
        }
    }
}
