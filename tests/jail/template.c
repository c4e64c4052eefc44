// A guest that may be forked or specialised, linked statically (src/sandbox/fork_order.h). Before
// it parks it leaves a file in /tmp. Each fork prints the variable MARK it was born with and then
// becomes what the variable RUN of its order says, a shell script; so does the process itself when
// it is to become an environment.
//
// With an argument it breaks its side of the contract: "exit" and "sleep" instead of forking,
// "writable" forks with an instruction in memory that others could write to.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char message[65536];

// Answers the number of descriptors, -1 at the end.
static int receive(int from, int fds[3]) {
  char control[CMSG_SPACE(3 * sizeof(int))];
  struct iovec part = {message, sizeof message};
  struct msghdr head = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(from, &head, 0);
  if (got <= 0) return -1;
  memset(message + got, 0, sizeof message - (size_t)got);
  struct cmsghdr* rights = CMSG_FIRSTHDR(&head);
  if (rights == NULL) return 0;
  size_t bytes = rights->cmsg_len - CMSG_LEN(0);
  memcpy(fds, CMSG_DATA(rights), bytes);
  return (int)(bytes / sizeof(int));
}

static uint32_t kind(void) {
  uint32_t out = 0;
  memcpy(&out, message, sizeof out);
  return out;
}

static void become_environment(const int* fds, int count) {
  uint32_t size = 0;
  memcpy(&size, message + 4, sizeof size);
  for (char* at = message + 8; at < message + 8 + size; at += strlen(at) + 1) putenv(at);
  if (count > 0) {
    dup2(fds[0], 1);
    dup2(fds[0], 2);
  }
  for (int i = 1; i < count; ++i) dup2(fds[i], 2 + i);
  for (int i = 0; i < count; ++i) close(fds[i]);
  close(5);
  dprintf(1, "mark=%s\n", getenv("MARK"));
  execl("/bin/sh", "sh", "-c", getenv("RUN"), NULL);
  _exit(126);
}

// fork(2) by an instruction of our own, in memory shared with whoever else has it.
static pid_t fork_from_writable_memory(void) {
  static const unsigned char code[] = {0xb8, 57, 0, 0, 0, 0x0f, 0x05, 0xc3};  // eax = fork; ret
  void* page =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return -1;
  memcpy(page, code, sizeof code);
  return ((pid_t(*)(void))page)();
}

static pid_t fork_in_the_way_of(const char* way) {
  if (strcmp(way, "exit") == 0) _exit(9);
  if (strcmp(way, "sleep") == 0) sleep(60);
  if (strcmp(way, "writable") == 0) return fork_from_writable_memory();
  return fork();
}

int main(int argc, char** argv) {
  FILE* file = fopen("/tmp/from-init", "w");
  if (file == NULL) return 1;
  fputs("left by init", file);
  fclose(file);
  chmod("/tmp/from-init", 0600);
  dprintf(1, "parked\n");
  int fds[3];
  int count = 0;
  while ((count = receive(5, fds)) >= 0) {
    if (kind() == 2) {
      clearenv();
      if (write(5, "", 1) != 1) return 2;
      become_environment(fds, 0);
    }
    pid_t pid = fork_in_the_way_of(argc > 1 ? argv[1] : "");
    if (pid == 0) become_environment(fds, receive(5, fds));
    for (int i = 0; i < count; ++i) close(fds[i]);
    char answer = pid < 0 ? (char)errno : 0;
    if (write(5, &answer, 1) != 1) return 2;
  }
  return 0;
}
