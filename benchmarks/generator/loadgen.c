/* Options, the phases of one run, the result as one JSON object on standard output.
 *
 * The phases: connect everybody; probe until every reader is shown the others' lines; settle;
 * warm up; measure; stop talking and let the rest arrive; settle the accounts.
 *
 * Closed loop: a line is complete when every reader but its talker has been shown it, and the
 * next talker speaks when fewer than --window lines are incomplete. A line that is incomplete
 * after 5 s is given up, so that a server that loses lines cannot stop the run.
 * (With --by-observer a line is complete when the observer has it.)
 * Open loop: lines are due at a fixed rate whatever the server does, and their latency counts
 * from when they were due.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct options opt = {
    .host = "127.0.0.1", .protocol = "line", .mode = "closed", .clients = 100, .window = 64,
    .rate = 100, .seconds = 5, .warmup = 2, .settle = 0.3, .pause = 5, .setup = 90, .limit = 600,
    .sources = 1, .pending = 64, .small_buffer = 4096,
};
struct totals total;
struct client *clients;
struct histogram latency, lateness;
int client_count, joined, live_readers, closed_readers, probed_readers, wire_failures;
bool measuring;

static const usec GIVE_UP_CLOSED = 5000000, GIVE_UP_OPEN = 60000000, DRAIN = 90000000;
static int readers;                 /* the observer and those that read */
static bool talking, closed_loop;
static double due, every;           /* open loop, microseconds */
static int turn_of;

usec now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

/* The CPU time of the server's threads in microseconds. The scheduler's own account has
 * nanoseconds; /proc/PID/stat, where there is no other, has hundredths of a second. */
static uint64_t server_cpu(void)
{
    char path[64];
    uint64_t sum = 0;
    if (!opt.pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/task", opt.pid);
    DIR *tasks = opendir(path);
    struct dirent *task;
    while (tasks && (task = readdir(tasks))) {
        char name[400];
        unsigned long long ns;
        if (!isdigit((unsigned char)task->d_name[0]))
            continue;
        snprintf(name, sizeof name, "%s/%s/schedstat", path, task->d_name);
        FILE *f = fopen(name, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns / 1000;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    if (!sum) {
        unsigned long long user = 0, system = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", opt.pid);
        FILE *f = fopen(path, "r");
        char text[2048] = "";
        if (f && fgets(text, sizeof text, f) && strrchr(text, ')'))
            sscanf(strrchr(text, ')') + 2,
                   "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
        if (f)
            fclose(f);
        sum = (user + system) * 1000000 / sysconf(_SC_CLK_TCK);
    }
    return sum;
}

/* Bytes of the server that are in memory. */
static uint64_t server_memory(void)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", opt.pid);
    FILE *f = opt.pid ? fopen(path, "r") : NULL;
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

/* What all cores together did, in microseconds: *BUSY with whatever, *STOLEN by the host. */
static void machine_cpu(uint64_t *busy, uint64_t *stolen)
{
    unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
    FILE *f = fopen("/proc/stat", "r");
    if (f && fscanf(f, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &system, &irq,
                    &softirq, &steal) != 6)
        user = 0;
    if (f)
        fclose(f);
    uint64_t tick = 1000000 / sysconf(_SC_CLK_TCK);
    *busy = (user + nice + system + irq + softirq) * tick;
    *stolen = steal * tick;
}

static uint64_t own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The next who may talk; one whose last line is still in our hands is passed over. */
static struct client *next_talker(void)
{
    for (int i = 0; i < opt.talkers; i++) {
        struct client *c = &clients[1 + turn_of];
        turn_of = (turn_of + 1) % opt.talkers;
        if (c->state == JOINED && !c->out_len)
            return c;
    }
    return NULL;
}

void talk(void)
{
    if (!talking)
        return;
    if (closed_loop) {
        while (total.sent - total.completed < (uint64_t)opt.window) {
            struct client *c = next_talker();
            if (!c)
                return;
            say(c, now_us());
        }
        return;
    }
    usec now = now_us();
    while (due <= now) {
        struct client *c = next_talker();
        if (!c)
            return;
        if (measuring)
            record(&lateness, now - (usec)due);
        say(c, (usec)due);
        due += every;
    }
}

static void housekeeping(usec now)
{
    static usec last;
    if (now - last < 100000)
        return;
    last = now;
    give_up_before(now - (closed_loop ? GIVE_UP_CLOSED : GIVE_UP_OPEN));
    for (int i = 1; i < client_count; i++)
        if (clients[i].wait_tail)
            settle_accounts(&clients[i]);
}

static void run_until(usec end)
{
    usec now;
    while ((now = now_us()) < end) {
        talk();
        usec left = (end - now) / 1000 + 1;
        wire_turn(left < 50 ? (int)left : 50);
        housekeeping(now);
    }
}

/* Connect everybody, --pending at a time, and wait until all are in or have failed. */
static void connect_all(usec deadline)
{
    int started = 0, done = 0;
    while (done < client_count && now_us() < deadline) {
        while (started < client_count && started - done < opt.pending)
            wire_connect(&clients[started++]);
        wire_turn(10);
        done = joined + wire_failures + closed_readers;
    }
}

static void wait_for_first_bytes(usec deadline)
{
    for (int waiting = 1; waiting && now_us() < deadline;) {
        wire_turn(10);
        waiting = 0;
        for (int i = 0; i < client_count; i++)
            waiting += !clients[i].first_byte && clients[i].state != CLOSED;
    }
}

/* A server's accept() comes after the client's connect(): only who is shown a line is in. */
static void probe(usec deadline)
{
    struct client *observer = &clients[0];
    usec again = 0;
    observer->probed = true;
    probed_readers = 1;
    while (probed_readers < live_readers && now_us() < deadline) {
        if (now_us() >= again) {
            if (opt.protocol[0] == 'i')
                wire_send(observer, "PRIVMSG #bench :~probe\r\n", 24);
            else
                wire_send(observer, "~probe\n", 7);
            again = now_us() + 500000;
        }
        wire_turn(10);
    }
}

/* Until nothing has come for QUIET microseconds. False: it still comes after 90 s. */
static bool drain(usec quiet)
{
    usec now = now_us(), last = now, end = now + DRAIN;
    while ((now = now_us()) < end && now - last < quiet) {
        if (wire_turn(20))
            last = now_us();
        housekeeping(now);
    }
    return now < end;
}

static void set_asleep(bool asleep)
{
    for (int i = 0; i < client_count; i++) {
        if (clients[i].kind == SLOW && clients[i].state == JOINED) {
            clients[i].asleep = asleep;
            wire_watch(&clients[i]);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

static void print_latency(const char *name, const struct histogram *h)
{
    printf(", \"%s\": {\"count\": %lu, \"p50\": %lu, \"p99\": %lu, \"p999\": %lu, \"max\": %lu}",
           name, h->count, percentile(h, .5), percentile(h, .99), percentile(h, .999), h->max);
}

static void print_connects(usec start)
{
    usec last = start;
    int served = 0, late = 0;
    static struct histogram wait;
    for (int i = 0; i < client_count; i++) {
        if (!clients[i].first_byte)
            continue;
        usec took = clients[i].first_byte - clients[i].connecting;
        served++;
        late += took > 1000000;
        record(&wait, took);
        if (clients[i].first_byte > last)
            last = clients[i].first_byte;
    }
    printf(", \"connects\": {\"asked\": %d, \"served\": %d, \"over_1s\": %d, \"seconds\": %.6f, "
           "\"per_second\": %.0f}", client_count, served, late, (last - start) / 1e6,
           served ? served / ((last - start) / 1e6) : 0.);
    print_latency("connect_us", &wait);
}

static void print_accounts(usec start)
{
    uint64_t lost = 0, slow_missed = 0, slow_announced = 0, slow_got = 0;
    int unequal = 0, cut = 0, stalled = 0, slow_closed = 0;
    usec *cuts = calloc(client_count, sizeof *cuts);
    for (int i = 0; i < client_count; i++) {
        struct client *c = &clients[i];
        settle_accounts(c);
        if (c->kind == STALLED) {
            stalled++;
            if (c->state == CLOSED)
                cuts[cut++] = c->closed > start ? c->closed - start : 0;
        } else if (c->kind == SLOW) {
            uint64_t missed = never_shown(c);
            slow_missed += missed;
            slow_announced += c->announced;
            slow_got += c->got;
            unequal += missed != c->announced;
            slow_closed += c->state == CLOSED;
        } else {
            lost += never_shown(c);
        }
    }
    lost += lost_without_order();
    qsort(cuts, cut, sizeof *cuts, by_value);
    printf(", \"lost\": %lu, \"doubled\": %lu, \"reordered\": %lu, \"own\": %lu, \"damaged\": %lu",
           lost, total.doubled, total.reordered, total.own, total.damaged);
    printf(", \"gave_up\": %lu, \"readers_closed\": %d, \"other_lines\": %lu", total.gave_up,
           closed_readers, total.other_lines);
    if (stalled)
        printf(", \"stalled\": {\"clients\": %d, \"cut\": %d, \"first_cut_s\": %.2f, "
               "\"median_cut_s\": %.2f, \"last_cut_s\": %.2f}", stalled, cut,
               cut ? cuts[0] / 1e6 : -1, cut ? cuts[cut / 2] / 1e6 : -1,
               cut ? cuts[cut - 1] / 1e6 : -1);
    if (opt.slow)
        printf(", \"slow\": {\"clients\": %d, \"got\": %lu, \"missed\": %lu, \"announced\": %lu, "
               "\"clients_unequal\": %d, \"closed\": %d}", opt.slow, slow_got, slow_missed,
               slow_announced, unequal, slow_closed);
    free(cuts);
}

static void options(int argc, char **argv)
{
    enum { HOST = 1, PORT, PID, PROTOCOL, MODE, CLIENTS, TALKERS, STALLED_, SLOW_, WINDOW, RATE,
           SECONDS, WARMUP, SETTLE, PAUSE, LIMIT, SOURCES, PENDING, RCVBUF, TLS, GREETS, BY_OBSERVER, SETUP };
    static const struct option known[] = {
        {"host", 1, 0, HOST}, {"port", 1, 0, PORT}, {"pid", 1, 0, PID},
        {"protocol", 1, 0, PROTOCOL}, {"mode", 1, 0, MODE}, {"clients", 1, 0, CLIENTS},
        {"talkers", 1, 0, TALKERS}, {"stalled", 1, 0, STALLED_}, {"slow", 1, 0, SLOW_},
        {"window", 1, 0, WINDOW}, {"rate", 1, 0, RATE}, {"seconds", 1, 0, SECONDS},
        {"warmup", 1, 0, WARMUP}, {"settle", 1, 0, SETTLE}, {"pause", 1, 0, PAUSE},
        {"limit", 1, 0, LIMIT}, {"sources", 1, 0, SOURCES}, {"pending", 1, 0, PENDING},
        {"small-buffer", 1, 0, RCVBUF}, {"tls", 0, 0, TLS}, {"greets", 0, 0, GREETS},
        {"by-observer", 0, 0, BY_OBSERVER}, {"setup", 1, 0, SETUP}, {0},
    };
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (o) {
        case HOST: opt.host = optarg; break;
        case PORT: opt.port = atoi(optarg); break;
        case PID: opt.pid = atoi(optarg); break;
        case PROTOCOL: opt.protocol = optarg; break;
        case MODE: opt.mode = optarg; break;
        case CLIENTS: opt.clients = atoi(optarg); break;
        case TALKERS: opt.talkers = atoi(optarg); break;
        case STALLED_: opt.stalled = atoi(optarg); break;
        case SLOW_: opt.slow = atoi(optarg); break;
        case WINDOW: opt.window = atoi(optarg); break;
        case RATE: opt.rate = atof(optarg); break;
        case SECONDS: opt.seconds = atof(optarg); break;
        case WARMUP: opt.warmup = atof(optarg); break;
        case SETTLE: opt.settle = atof(optarg); break;
        case PAUSE: opt.pause = atof(optarg); break;
        case SETUP: opt.setup = atof(optarg); break;
        case LIMIT: opt.limit = atof(optarg); break;
        case SOURCES: opt.sources = atoi(optarg); break;
        case PENDING: opt.pending = atoi(optarg); break;
        case RCVBUF: opt.small_buffer = atoi(optarg); break;
        case TLS: opt.tls = true; break;
        case GREETS: opt.greets = true; break;
        case BY_OBSERVER: opt.by_observer = true; break;
        default: exit(2);
        }
    }
    readers = opt.clients - opt.stalled - opt.slow + 1;
    if (!opt.port || opt.clients < 1 || readers < 1 || opt.rate <= 0)
        die("--port and at least one client are needed");
    if (!opt.talkers || opt.talkers > readers - 1)
        opt.talkers = readers - 1;
}

int main(int argc, char **argv)
{
    options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    signal(SIGPIPE, SIG_IGN);
    alarm((unsigned)opt.limit);
    if (strcmp(opt.mode, "flood") == 0) {
        flood();
        return 0;
    }
    bool connects = strcmp(opt.mode, "connects") == 0, idle = strcmp(opt.mode, "idle") == 0;
    closed_loop = strcmp(opt.mode, "closed") == 0;
    client_count = opt.clients + !connects;
    if (connects)
        opt.pending = client_count;
    clients = calloc(client_count, sizeof *clients);
    if (!clients)
        die("out of memory");
    for (int i = 0; i < client_count; i++) {
        clients[i].id = i;
        clients[i].kind = i < readers || connects ? READER :
                          i < readers + opt.slow ? SLOW : STALLED;
    }
    check_init();
    wire_init();

    uint64_t memory_before = server_memory();
    usec begin = now_us();
    connect_all(begin + (usec)(opt.setup * 1e6));
    if (connects)
        wait_for_first_bytes(begin + 30000000);
    usec connected_at = now_us();
    if (!connects) {
        if (joined < client_count)
            die("only %d of %d clients came in (%d refused by the server, %d failed)", joined,
                client_count, (int)total.refused, wire_failures);
        probe(now_us() + 30000000);
        if (probed_readers < live_readers)
            die("only %d of %d readers are shown lines", probed_readers, live_readers);
        run_until(now_us() + (usec)(opt.settle * 1e6));
    }
    uint64_t memory_connected = server_memory();
    int settled_closed = closed_readers;

    usec start = now_us();
    if (!connects && !idle) {
        talking = true;
        if (!closed_loop) {
            every = 1e6 / opt.rate;
            due = start + 20000;
            wire_timer((usec)due, every < 200 ? 2e-4 : every / 1e6);
        }
        run_until(start + (usec)(opt.warmup * 1e6));
    }
    measuring = true;
    usec from = now_us();
    uint64_t cpu = server_cpu(), mine = own_cpu(), delivered = total.deliveries, said = total.sent;
    uint64_t reads = total.reads, busy, stolen, busy_after, stolen_after;
    machine_cpu(&busy, &stolen);
    usec until = connects ? from : from + (usec)(opt.seconds * 1e6);
    if (opt.slow) {
        run_until(from + 1000000);
        set_asleep(true);
        run_until(from + 1000000 + (usec)(opt.pause * 1e6));
        set_asleep(false);
    }
    run_until(until);
    usec to = now_us();
    cpu = server_cpu() - cpu;
    mine = own_cpu() - mine;
    reads = total.reads - reads;
    machine_cpu(&busy_after, &stolen_after);
    int64_t others = busy_after - busy - cpu - mine;
    delivered = total.deliveries - delivered;
    said = total.sent - said;
    measuring = talking = false;
    uint64_t memory_talked = server_memory();
    bool drained = true;
    if (!connects && !idle)
        drained = drain(opt.slow ? 2000000 : 500000);
    give_up_before(UINT64_MAX);

    double seconds = (to - from) / 1e6;
    printf("{\"clients\": %d, \"talkers\": %d, \"mode\": \"%s\", \"joined\": %d, \"failed\": %d",
           opt.clients, opt.talkers, opt.mode, joined, wire_failures);
    printf(", \"begin\": %.6f, \"connected\": %.6f, \"start\": %.6f, \"from\": %.6f, \"to\": %.6f",
           begin / 1e6, connected_at / 1e6, start / 1e6, from / 1e6, to / 1e6);
    printf(", \"rss_before\": %lu, \"rss_connected\": %lu, \"rss_talked\": %lu", memory_before,
           memory_connected, memory_talked);
    if (connects) {
        print_connects(begin);
    } else {
        printf(", \"seconds\": %.6f, \"server_cpu_s\": %.6f, \"server_cpu_share\": %.6f, "
               "\"generator_cpu_share\": %.6f", seconds, cpu / 1e6, cpu / 1e6 / seconds,
               mine / 1e6 / seconds);
        printf(", \"others_cpu_share\": %.4f, \"stolen_cpu_share\": %.4f",
               others > 0 ? others / 1e6 / seconds : 0., (stolen_after - stolen) / 1e6 / seconds);
    }
    if (!connects && !idle) {
        printf(", \"lines\": %lu, \"deliveries\": %lu, \"deliveries_per_s\": %.1f",
               said, delivered, delivered / seconds);
        printf(", \"lines_per_read\": %.2f", reads ? (double)delivered / reads : 0.);
        printf(", \"generator_ns_per_delivery\": %.2f", delivered ? mine * 1e3 / delivered : 0.);
        if (opt.pid && cpu)
            printf(", \"deliveries_per_cpu_s\": %.1f, \"cpu_us_per_delivery\": %.5f",
                   delivered / (cpu / 1e6), delivered ? (double)cpu / delivered : 0.);
        print_latency("latency_us", &latency);
        printf(", \"drained\": %s", drained ? "true" : "false");
        if (!closed_loop)
            print_latency("lateness_us", &lateness);
    }
    closed_readers -= settled_closed;
    print_accounts(start);
    printf("}\n");
    return 0;
}
