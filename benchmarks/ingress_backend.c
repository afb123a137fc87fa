/* The server behind the proxies of the ingress's benchmark: answers every request with 13 bytes and honours keep-alive; GET /served says how many.
   Written in C so that little of the measured time is its own. Usage: ingress_backend PORT (0: any; it prints which). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

static const char keep[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n";
static const char last[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nhello, world\n";
static char buffer[65536];
static unsigned long served;

static void answer(int fd) {
    ssize_t size = recv(fd, buffer, sizeof buffer - 1, 0);
    if (size <= 0) {
        close(fd);
        return;
    }
    buffer[size] = 0;
    served++;
    if (!strncmp(buffer, "GET /served", 11)) {
        char count[256];
        int length = snprintf(count, sizeof count, "%lu", served);
        size = snprintf(buffer, sizeof buffer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", length, count);
        send(fd, buffer, size, MSG_NOSIGNAL);
        close(fd);
        return;
    }
    int stays = strcasestr(buffer, "connection: keep-alive") != NULL;
    const char *text = stays ? keep : last;
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || !stays) close(fd);
}

int main(int argc, char **argv) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return perror("bind"), 1;
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int poller = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wanted);
    for (;;) {
        int count = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                answer(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                wanted.data.fd = fd;
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted);
            }
        }
    }
}
