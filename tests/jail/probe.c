// A hostile program for jails, linked statically: `probe <what> [number]`. It prints what it found,
// one line per fact, so that a test can say which facts are right.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char* name, long result) {
  if (result < 0) {
    printf("%s=%s\n", name, strerrorname_np(errno));
  } else {
    printf("%s=OK\n", name);
  }
}

// Every call here must be refused.
static int attempts(void) {
  struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  char buffer[256] = {0};
  tell("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
  tell("umount2", umount2("/tmp", MNT_DETACH));
  tell("pivot_root", syscall(SYS_pivot_root, "/", "/tmp"));
  tell("chroot", chroot("/tmp"));
  tell("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  tell("unshare_user", unshare(CLONE_NEWUSER));
  tell("unshare_mount", unshare(CLONE_NEWNS));
  tell("unshare_files", unshare(CLONE_FILES));
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  tell("clone_newuser", child);
  child = syscall(SYS_clone3, &args, sizeof args);
  if (child == 0) _exit(0);
  tell("clone3", child);
  tell("setns", setns(0, 0));
  tell("ptrace_init", ptrace(PTRACE_ATTACH, 1, 0, 0));
  tell("ptrace_me", ptrace(PTRACE_TRACEME, 0, 0, 0));
  tell("process_vm_readv", syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
  tell("pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0));
  tell("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, buffer, sizeof buffer));
  tell("perf_event_open", syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0));
  tell("userfaultfd", syscall(SYS_userfaultfd, 0));
  tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, buffer));
  tell("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  tell("add_key", syscall(SYS_add_key, "user", "a", "b", 1, -3));
  tell("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, buffer, 0));
  tell("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
  tell("init_module", syscall(SYS_init_module, buffer, 0, ""));
  tell("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
  tell("mknod", mknod("/tmp/disk", S_IFBLK | 0666, makedev(8, 0)));
  tell("sethostname", sethostname("x", 1));
  tell("swapon", syscall(SYS_swapon, "/tmp/x", 0));
  tell("settimeofday", syscall(SYS_settimeofday, buffer, NULL));
  tell("syslog", syscall(SYS_syslog, 3, buffer, sizeof buffer));
  tell("quotactl", syscall(SYS_quotactl, 0, "", 0, NULL));
  tell("socket_packet", socket(AF_PACKET, SOCK_RAW, 0));
  tell("socket_vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  tell("socket_alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
  tell("socket_raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  tell("setuid_root", setuid(0));
  tell("setgid_root", setgid(0));
  tell("setresuid_root", setresuid(0, 0, 0));
  tell("read_init_memory", open("/proc/1/mem", O_RDONLY));
  tell("read_init_environ", open("/proc/1/environ", O_RDONLY));
  tell("enter_init_root", open("/proc/1/root/etc/passwd", O_RDONLY));
  tell("enter_init_cwd", open("/proc/1/cwd/etc", O_RDONLY));
  tell("init_descriptors", opendir("/proc/1/fd") == NULL ? -1 : 0);
  tell("write_usr", open("/usr/x", O_WRONLY | O_CREAT, 0600));
  tell("write_root", open("/x", O_WRONLY | O_CREAT, 0600));
  tell("write_etc", open("/etc/passwd", O_WRONLY));
  tell("write_dev", open("/dev/x", O_WRONLY | O_CREAT, 0600));
  tell("write_task", open("/var/task/x", O_WRONLY | O_CREAT, 0600));
  tell("write_sysctl", open("/proc/sys/kernel/core_pattern", O_WRONLY));
  tell("write_sysrq", open("/proc/sysrq-trigger", O_WRONLY));
  tell("read_kcore", open("/proc/kcore", O_RDONLY));
  tell("kmsg", open("/dev/kmsg", O_RDONLY));
  tell("disk", open("/dev/vda", O_RDONLY));
  tell("sys", open("/sys/kernel", O_RDONLY));
  tell("host_tmp_by_dots", open("/tmp/../../../../root", O_RDONLY));
  tell("lower_oom_score", open("/proc/self/oom_score_adj", O_WRONLY));
  return 0;
}

static int descriptors(void) {
  DIR* dir = opendir("/proc/self/fd");
  for (struct dirent* entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(dir)) continue;
    printf("%d ", fd);
  }
  printf("\n");
  return 0;
}

// Forks until refused; the children wait.
static int fork_bomb(void) {
  int count = 0;
  while (count < 100000) {
    pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    if (pid < 0) break;
    ++count;
  }
  printf("forked %d\n", count);
  return 0;
}

static int write_file_in(const char* directory) {
  if (chdir(directory) != 0 || open("file", O_CREAT | O_EXCL | O_WRONLY, 0644) < 0) {
    printf("%s\n", strerrorname_np(errno));
    return 1;
  }
  puts("written");
  return 0;
}

static int eat_memory(long mebibytes) {
  for (long i = 0; i < mebibytes; ++i) {
    volatile char* block = malloc(1 << 20);  // volatile: else the compiler drops it all
    for (long at = 0; at < 1 << 20; at += 4096) block[at] = 7;
  }
  printf("ate %ld\n", mebibytes);
  return 0;
}

// The same, and keeps it.
static int hold_memory(long mebibytes) {
  eat_memory(mebibytes);
  fflush(stdout);
  while (1) pause();
}

static int fill_tmp(void) {
  static char block[1 << 16];
  int fd = open("/tmp/big", O_WRONLY | O_CREAT, 0600);
  long total = 0;
  long got = 0;
  while ((got = write(fd, block, sizeof block)) > 0) total += got;
  printf("wrote %ld %s\n", total, strerrorname_np(errno));
  long files = 0;
  unlink("/tmp/big");
  while (files < 10000000) {
    char name[64];
    snprintf(name, sizeof name, "/tmp/f%ld", files);
    fd = open(name, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) break;
    close(fd);
    ++files;
  }
  printf("files %ld %s\n", files, strerrorname_np(errno));
  return 0;
}

// Children in sessions of their own, deaf to polite signals.
static int daemons(long count) {
  for (long i = 0; i < count; ++i) {
    if (fork() == 0) {
      setsid();
      if (fork() != 0) _exit(0);
      for (int number = 1; number < 32; ++number) signal(number, SIG_IGN);
      prctl(PR_SET_NAME, "daemon", 0, 0, 0);
      while (1) pause();
    }
  }
  while (wait(NULL) > 0) {
  }
  printf("ready\n");
  fflush(stdout);
  while (1) pause();
}

// Orphans that end must not stay as zombies below init.
static int orphans(long count) {
  for (long i = 0; i < count; ++i) {
    if (fork() == 0) {
      if (fork() == 0) _exit(0);
      _exit(0);
    }
    wait(NULL);
  }
  usleep(100000);
  int zombies = 0;
  DIR* dir = opendir("/proc");
  for (struct dirent* entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid()) ++zombies;
  }
  printf("others %d\n", zombies);
  return 0;
}

static int connect_to(long port, const char* text) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    printf("connect=%s\n", strerrorname_np(errno));
    return 1;
  }
  if (write(fd, text, strlen(text)) < 0) return 1;
  char reply[64] = {0};
  if (read(fd, reply, sizeof reply - 1) < 0) return 1;
  printf("reply=%s\n", reply);
  return 0;
}

static int network(void) {
  struct if_nameindex* list = if_nameindex();
  for (struct if_nameindex* item = list; item != NULL && item->if_index != 0; ++item) {
    printf("interface=%s\n", item->if_name);
  }
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, "8.8.8.8", &address.sin_addr);
  tell("outside", connect(fd, (struct sockaddr*)&address, sizeof address));
  return 0;
}

static int count_slowly(void) {
  for (int i = 0;; ++i) {
    printf("%d\n", i);
    fflush(stdout);
    usleep(10000);
  }
}

static void on_term(int number) {
  (void)number;
  write(1, "got SIGTERM\n", 12);
  _exit(33);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "hello";
  long number = argc > 2 ? atol(argv[2]) : 0;
  if (strcmp(what, "hello") == 0) return write(1, "x", 1) == 1 ? 0 : 1;
  if (strcmp(what, "attempts") == 0) return attempts();
  if (strcmp(what, "descriptors") == 0) return descriptors();
  if (strcmp(what, "fork-bomb") == 0) return fork_bomb();
  if (strcmp(what, "eat") == 0) return eat_memory(number);
  if (strcmp(what, "hold") == 0) return hold_memory(number);
  if (strcmp(what, "write") == 0) return write_file_in(argv[2]);
  if (strcmp(what, "fill") == 0) return fill_tmp();
  if (strcmp(what, "daemons") == 0) return daemons(number);
  if (strcmp(what, "orphans") == 0) return orphans(number);
  if (strcmp(what, "connect") == 0) return connect_to(number, argc > 3 ? argv[3] : "ping");
  if (strcmp(what, "network") == 0) return network();
  if (strcmp(what, "count") == 0) return count_slowly();
  if (strcmp(what, "signal") == 0) {
    signal((int)number, SIG_DFL);
    raise((int)number);
    return 99;
  }
  if (strcmp(what, "wait-term") == 0) {
    signal(SIGTERM, on_term);
    printf("ready\n");
    fflush(stdout);
    while (1) pause();
  }
  if (strcmp(what, "env") == 0) {
    for (char** item = environ; *item != NULL; ++item) printf("%s\n", *item);
    return 0;
  }
  if (strcmp(what, "echo") == 0) {  // one message on the channel, one record on the framed log
    char buffer[64];
    long got = read(3, buffer, sizeof buffer);
    if (got > 0 && write(3, buffer, (size_t)got) == got && write(4, "log", 3) == 3) return 0;
    return 1;
  }
  fprintf(stderr, "unknown: %s\n", what);
  return 2;
}
