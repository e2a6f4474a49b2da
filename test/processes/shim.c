// Faults for real processes, preloaded: syncs that are held, and connections that take a detour.
//
// FAULT_DIR/hold-PID     while it exists, fdatasync and fsync of process PID wait: each for the
//                        milliseconds that it holds, or until it is gone where it holds 0
// FAULT_DETOUR=FROM:TO   a process that listens at port FROM+i (its --listen) and connects to port
//                        FROM+j is led to port TO+16*i+j, where the test decides what passes
// FAULT_NAMESPACES=NAME:FROM:NET
//                        a process that listens at port FROM+i lives in network namespace NAME-i as
//                        NET.(i+1); whoever connects to 127.0.0.1:FROM+j is led to NET.(j+1)

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void sleep_millis(long millis) {
  struct timespec pause = {millis / 1000, (millis % 1000) * 1000000L};
  nanosleep(&pause, NULL);
}

// Milliseconds to hold, 0 for until the file is gone, -1 where there is none.
static long held(void) {
  const char *directory = getenv("FAULT_DIR");
  if (directory == NULL) return -1;
  char path[512], text[32];
  snprintf(path, sizeof path, "%s/hold-%d", directory, (int)getpid());
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  return atol(text);
}

static void hold(void) {
  long millis = held();
  if (millis > 0) {
    sleep_millis(millis);
    return;
  }
  while (millis == 0) {
    sleep_millis(10);
    millis = held();
  }
}

typedef int (*sync_function)(int);

int fdatasync(int file) {
  static sync_function real;
  if (real == NULL) real = (sync_function)dlsym(RTLD_NEXT, "fdatasync");
  hold();
  return real(file);
}

int fsync(int file) {
  static sync_function real;
  if (real == NULL) real = (sync_function)dlsym(RTLD_NEXT, "fsync");
  hold();
  return real(file);
}

// The port after "--listen HOST:" on the command line of this process; 0 where there is none.
static int own_port(void) {
  static int port = -1;
  if (port >= 0) return port;
  char text[8192];
  int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  int found = 0;
  for (ssize_t at = 0; at < length; at += (ssize_t)strlen(text + at) + 1) {
    text[length] = 0;
    if (strcmp(text + at, "--listen") != 0) continue;
    const char *value = text + at + strlen("--listen") + 1;
    const char *colon = value < text + length ? strrchr(value, ':') : NULL;
    if (colon != NULL) found = atoi(colon + 1);
  }
  port = found;
  return port;
}

struct namespaces {
  char name[32], net[32];
  int from, self;
};

// False where there are none.
static int namespaces(struct namespaces *found) {
  const char *text = getenv("FAULT_NAMESPACES");
  if (text == NULL) return 0;
  if (sscanf(text, "%31[^:]:%d:%31s", found->name, &found->from, found->net) != 3) return 0;
  found->self = own_port() - found->from;
  return 1;
}

__attribute__((constructor)) static void enter(void) {
  struct namespaces found;
  if (!namespaces(&found) || found.self < 0 || found.self > 15) return;
  char path[128];
  snprintf(path, sizeof path, "/run/netns/%s-%d", found.name, found.self);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || setns(file, CLONE_NEWNET) != 0) {
    perror(path);
    _exit(70);
  }
  close(file);
}

typedef int (*address_function)(int, const struct sockaddr *, socklen_t);

// In a namespace of its own a process is reached from outside of it.
int bind(int socket, const struct sockaddr *address, socklen_t length) {
  static address_function real;
  if (real == NULL) real = (address_function)dlsym(RTLD_NEXT, "bind");
  struct namespaces found;
  if (!namespaces(&found) || address->sa_family != AF_INET) return real(socket, address, length);
  struct sockaddr_in changed;
  memcpy(&changed, address, sizeof changed);
  if (found.self >= 0 && ntohs(changed.sin_port) == found.from + found.self) {
    changed.sin_addr.s_addr = htonl(INADDR_ANY);
  }
  return real(socket, (struct sockaddr *)&changed, sizeof changed);
}

typedef int (*connect_function)(int, const struct sockaddr *, socklen_t);

static int connect_namespace(int socket, const struct sockaddr *address, socklen_t length,
                             connect_function real, const struct namespaces *found) {
  if (address->sa_family != AF_INET || length < sizeof(struct sockaddr_in)) {
    return real(socket, address, length);
  }
  struct sockaddr_in changed;
  memcpy(&changed, address, sizeof changed);
  int other = ntohs(changed.sin_port) - found->from;
  if (other >= 0 && other < 16 && other != found->self) {
    char host[64];
    snprintf(host, sizeof host, "%s.%d", found->net, other + 1);
    inet_pton(AF_INET, host, &changed.sin_addr);
  }
  return real(socket, (struct sockaddr *)&changed, sizeof changed);
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
  static connect_function real;
  if (real == NULL) real = (connect_function)dlsym(RTLD_NEXT, "connect");
  struct namespaces found;
  if (namespaces(&found)) return connect_namespace(socket, address, length, real, &found);
  const char *detour = getenv("FAULT_DETOUR");
  int from = 0, to = 0;
  if (detour == NULL || sscanf(detour, "%d:%d", &from, &to) != 2) return real(socket, address, length);
  if (address->sa_family != AF_INET || length < sizeof(struct sockaddr_in)) {
    return real(socket, address, length);
  }
  struct sockaddr_in changed;
  memcpy(&changed, address, sizeof changed);
  int self = own_port() - from, other = ntohs(changed.sin_port) - from;
  if (self < 0 || self > 15 || other < 0 || other > 15) return real(socket, address, length);
  changed.sin_port = htons((unsigned short)(to + 16 * self + other));
  return real(socket, (struct sockaddr *)&changed, sizeof changed);
}
