/* Clients that send rubbish as fast as it is taken: empty lines, one-byte lines, no newline
 * at all, nothing but IAC (0xFF), a quarter of the clients each.
 *
 * It runs as a process of its own, nicer than the one that measures, so that the flood does
 * not make that one late. A client that is cut comes back at once.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 4096, KINDS = 4 };
static const char *const names[KINDS] = {"empty_lines", "one_byte_lines", "no_newline", "iac"};
static char rubbish[KINDS][CHUNK];

static int open_one(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

void flood(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    inet_pton(AF_INET, opt.host, &to.sin_addr);
    memset(rubbish[0], '\n', CHUNK);
    for (int i = 0; i < CHUNK; i += 2)
        memcpy(rubbish[1] + i, "x\n", 2);
    memset(rubbish[2], 'y', CHUNK);
    memset(rubbish[3], 0xFF, CHUNK);

    uint64_t sent[KINDS] = {0}, cut[KINDS] = {0};
    static char ignored[1 << 16];
    struct pollfd *fds = calloc(opt.clients, sizeof *fds);
    usec start = now_us() + (usec)(opt.warmup * 1e6), end = start + (usec)(opt.seconds * 1e6);
    while (now_us() < start)
        usleep(10000);
    for (int i = 0; i < opt.clients; i++)
        fds[i] = (struct pollfd){open_one(&to), POLLIN | POLLOUT, 0};
    while (now_us() < end) {
        poll(fds, opt.clients, 100);
        for (int i = 0; i < opt.clients; i++) {
            int kind = i % KINDS;
            bool lost = fds[i].fd < 0 || (fds[i].revents & (POLLERR | POLLHUP));
            if (!lost && (fds[i].revents & POLLIN)) {
                ssize_t n = recv(fds[i].fd, ignored, sizeof ignored, 0);
                lost = n == 0 || (n < 0 && errno != EAGAIN);
            }
            if (!lost && (fds[i].revents & POLLOUT)) {
                ssize_t n = send(fds[i].fd, rubbish[kind], CHUNK, MSG_NOSIGNAL);
                if (n > 0)
                    sent[kind] += n;
                lost = n < 0 && errno != EAGAIN;
            }
            if (lost) {
                cut[kind]++;
                if (fds[i].fd >= 0)
                    close(fds[i].fd);
                fds[i].fd = open_one(&to);
            }
        }
    }
    printf("{\"flooders\": %d", opt.clients);
    for (int k = 0; k < KINDS; k++)
        printf(", \"%s\": {\"bytes\": %lu, \"cut\": %lu}", names[k], sent[k], cut[k]);
    printf("}\n");
}
