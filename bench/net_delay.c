/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wire of a given length: carries frames between two interfaces of its network namespace, each so many microseconds later.
 * What `tc netem delay` does, for kernels without it (bench/mpc_wan.sh). Frames keep what the kernel noted of them (checksums to
 * be made, segments), as a virtual machine's would. Root.
 * usage: net_delay INTERFACE INTERFACE MICROSECONDS     runs until it is killed
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 65536 + 256, QUEUE_LEN = 4096, SOCKET_SIZE = 64 << 20 };

struct frame {
    int64_t due_ns;
    size_t size;
    uint8_t *data;
};
/* One direction. Frames are due in the order in which they came. */
struct wire {
    int from, to;
    struct frame queue[QUEUE_LEN];
    size_t first, len;
    uint64_t dropped;
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int fail(const char *what, const char *name)
{
    fprintf(stderr, "net_delay: %s %s: %s\n", what, name, strerror(errno));
    return -1;
}

static int open_interface(const char *name)
{
    const int on = 1, size = SOCKET_SIZE;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const struct sockaddr_ll at = {.sll_family = AF_PACKET,
                                   .sll_protocol = htons(ETH_P_ALL),
                                   .sll_ifindex = (int)if_nametoindex(name)};
    const struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    if (fd < 0 || at.sll_ifindex == 0)
        return fail("no such interface, or not root:", name);
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
        return fail("cannot open", name);
    return fd;
}

static void take_in(struct wire *w, int64_t delay_ns)
{
    static uint8_t data[FRAME_MAX];
    for (;;) {
        ssize_t n = recv(w->from, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
            return;
        struct frame *f = &w->queue[(w->first + w->len) % QUEUE_LEN];
        if ((size_t)n > sizeof(data) || w->len == QUEUE_LEN || !(f->data = malloc((size_t)n))) {
            w->dropped++;
            continue;
        }
        memcpy(f->data, data, (size_t)n);
        f->size = (size_t)n;
        f->due_ns = now_ns() + delay_ns;
        w->len++;
    }
}

static void hand_out(struct wire *w)
{
    while (w->len > 0 && w->queue[w->first].due_ns <= now_ns()) {
        struct frame *f = &w->queue[w->first];
        if (send(w->to, f->data, f->size, 0) < 0)
            w->dropped++;
        free(f->data);
        w->first = (w->first + 1) % QUEUE_LEN;
        w->len--;
    }
}

int main(int argc, char **argv)
{
    static struct wire wires[2];
    int a, b;
    if (argc != 4) {
        fprintf(stderr, "usage: net_delay INTERFACE INTERFACE MICROSECONDS\n");
        return 2;
    }
    const int64_t delay_ns = 1000 * atoll(argv[3]);
    if ((a = open_interface(argv[1])) < 0 || (b = open_interface(argv[2])) < 0)
        return 3;
    wires[0].from = wires[1].to = a;
    wires[1].from = wires[0].to = b;
    (void)prctl(PR_SET_TIMERSLACK, 1000UL);
    for (;;) {
        int64_t next_ns = INT64_MAX;
        for (int i = 0; i < 2; i++)
            if (wires[i].len > 0 && wires[i].queue[wires[i].first].due_ns < next_ns)
                next_ns = wires[i].queue[wires[i].first].due_ns;
        int64_t wait_ns = next_ns == INT64_MAX ? 1000000000 : next_ns - now_ns();
        if (wait_ns < 0)
            wait_ns = 0;
        const struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
        if (ppoll(p, 2, &wait, NULL) < 0 && errno != EINTR)
            return fail("cannot wait for", "frames");
        for (int i = 0; i < 2; i++) {
            take_in(&wires[i], delay_ns);
            hand_out(&wires[i]);
        }
    }
}
