#include "descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace mayfly::fork {
namespace {

constexpr int descriptors_max = 256;
constexpr int watches_max = 512;

enum class Kind { pipe_end, event, poll_set, file, shared };

struct Entry {
  int fd;
  Kind kind;
  int flags;          // of the open file
  int close_on_exec;  // FD_CLOEXEC or 0
  ino_t inode;
  std::uint64_t count;  // of an eventfd
  bool semaphore;
  int partner;  // of a reading pipe end: the writing one
};
struct Watch {
  int set;
  int fd;
  epoll_event event;
};

bool marked[descriptors_max];
Entry entries[descriptors_max];
int entry_count;
Watch watches[watches_max];
int watch_count;

template <class Visit>
bool each_descriptor(Visit visit) {
  DIR* list = ::opendir("/proc/self/fd");
  if (list == nullptr) return false;
  while (const dirent* entry = ::readdir(list)) {
    char* end = nullptr;
    auto fd = static_cast<int>(std::strtol(entry->d_name, &end, 10));
    if (end != entry->d_name && fd != ::dirfd(list)) visit(fd);
  }
  ::closedir(list);
  return true;
}

bool link_of(int fd, char* text, std::size_t size) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t got = ::readlink(path, text, size - 1);
  if (got < 0) return false;
  text[got] = '\0';
  return true;
}

template <class Visit>
bool each_info_line(int fd, Visit visit) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return false;
  char line[256];
  while (std::fgets(line, sizeof line, file) != nullptr) visit(line);
  std::fclose(file);
  return true;
}

bool starts(const char* text, const char* prefix) {
  return std::strncmp(text, prefix, std::strlen(prefix)) == 0;
}

// "tfd: 12 events: 19 data: c": numbers in bases 10, 16 and 16.
bool read_watch(int set, const char* line) {
  const char* events = std::strstr(line, "events:");
  const char* data = std::strstr(line, "data:");
  if (watch_count == watches_max || events == nullptr || data == nullptr) return false;
  Watch& watch = watches[watch_count];
  watch.set = set;
  watch.fd = static_cast<int>(std::strtol(line + 4, nullptr, 10));
  watch.event.events = static_cast<std::uint32_t>(std::strtoul(events + 7, nullptr, 16));
  watch.event.data.u64 = std::strtoull(data + 5, nullptr, 16);
  ++watch_count;
  return true;
}

bool read_watches(int set) {
  bool good = true;
  bool listed = each_info_line(set, [&](const char* line) {
    if (starts(line, "tfd:")) good = read_watch(set, line) && good;
  });
  return listed && good;
}

bool read_event(Entry& entry) {
  bool found = false;
  each_info_line(entry.fd, [&](const char* line) {
    if (starts(line, "eventfd-count:")) {
      entry.count = std::strtoull(line + 14, nullptr, 16);
      found = true;
    }
    if (starts(line, "eventfd-semaphore:")) entry.semaphore = std::strtol(line + 18, nullptr, 10);
  });
  return found;
}

// Fills in the kind; nullptr, or what speaks against a fork.
const char* classify(Entry& entry, const char* target) {
  bool known = entry.fd < descriptors_max && marked[entry.fd];
  struct stat status{};
  if (::fstat(entry.fd, &status) != 0) return "a descriptor cannot be examined";
  entry.inode = status.st_ino;
  if (std::strcmp(target, "anon_inode:[eventfd]") == 0) {
    entry.kind = Kind::event;
    return read_event(entry) ? nullptr : "an eventfd cannot be read";
  }
  if (std::strcmp(target, "anon_inode:[eventpoll]") == 0) {
    entry.kind = Kind::poll_set;
    return read_watches(entry.fd) ? nullptr : "an epoll set cannot be read";
  }
  if (S_ISFIFO(status.st_mode)) {
    entry.kind = Kind::pipe_end;
    return starts(target, "pipe:") ? nullptr : "a named pipe is open";
  }
  if (S_ISREG(status.st_mode)) {
    bool writes = (entry.flags & O_ACCMODE) != O_RDONLY;
    if (!known && writes) return "a file is open for writing";
    if (!known && starts(target, "/tmp/")) return "a file below /tmp is open";
    entry.kind = known ? Kind::shared : Kind::file;
    return nullptr;
  }
  if (S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode)) {
    entry.kind = Kind::shared;
    return nullptr;
  }
  if (S_ISSOCK(status.st_mode)) return "a socket is open";
  return "a descriptor of another kind is open";
}

// Pairs the reading end of each pipe with the writing one.
bool pair_pipes() {
  for (int i = 0; i < entry_count; ++i) {
    Entry& one = entries[i];
    if (one.kind != Kind::pipe_end) continue;
    int readers = 0;
    int writers = 0;
    for (int k = 0; k < entry_count; ++k) {
      const Entry& other = entries[k];
      if (other.kind != Kind::pipe_end || other.inode != one.inode) continue;
      bool reads = (other.flags & O_ACCMODE) == O_RDONLY;
      int& ends = reads ? readers : writers;
      ++ends;
      if (!reads) one.partner = k;
    }
    // An end that the interpreter was started with belongs to whoever started it.
    bool own = readers == 1 && writers == 1;
    if (!own && !(one.fd < descriptors_max && marked[one.fd])) return false;
    if (!own) one.kind = Kind::shared;
    if (own && (one.flags & O_ACCMODE) != O_RDONLY) one.partner = -1;
  }
  return true;
}

bool place(int made, const Entry& entry) {
  bool good =
      made >= 0 && ::dup3(made, entry.fd, entry.close_on_exec != 0 ? O_CLOEXEC : 0) == entry.fd;
  if (made >= 0) ::close(made);
  return good;
}

bool renew_pipe(const Entry& reading, const Entry& writing) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  int unread = 0;
  ::ioctl(reading.fd, FIONREAD, &unread);
  bool good = unread == 0 || ::tee(reading.fd, ends[1], static_cast<std::size_t>(unread),
                                   SPLICE_F_NONBLOCK) == unread;
  constexpr int settable = O_NONBLOCK | O_APPEND;
  if ((reading.flags & settable) != 0) ::fcntl(ends[0], F_SETFL, reading.flags & settable);
  if ((writing.flags & settable) != 0) ::fcntl(ends[1], F_SETFL, writing.flags & settable);
  bool first = place(ends[0], reading);
  return place(ends[1], writing) && first && good;
}

// A file opened by the function's init code gets a position of its own.
bool renew_file(const Entry& entry) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", entry.fd);
  off_t position = ::lseek(entry.fd, 0, SEEK_CUR);
  int made = ::open(path, (entry.flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC);
  if (made >= 0 && position > 0) ::lseek(made, position, SEEK_SET);
  return place(made, entry);
}

bool renew(const Entry& entry) {
  switch (entry.kind) {
    case Kind::event: {
      int flags = EFD_CLOEXEC | (entry.semaphore ? EFD_SEMAPHORE : 0);
      if ((entry.flags & O_NONBLOCK) != 0) flags |= EFD_NONBLOCK;
      return place(::eventfd(static_cast<unsigned>(entry.count), flags), entry);
    }
    case Kind::poll_set: return place(::epoll_create1(EPOLL_CLOEXEC), entry);
    case Kind::pipe_end: return entry.partner < 0 || renew_pipe(entry, entries[entry.partner]);
    case Kind::file: return renew_file(entry);
    case Kind::shared: return true;
  }
  return false;
}

}  // namespace

void mark_descriptors() {
  each_descriptor([](int fd) {
    if (fd < descriptors_max) marked[fd] = true;
  });
}

bool plan_descriptors(int first, char* reason, std::size_t reason_size) {
  entry_count = 0;
  watch_count = 0;
  const char* problem = nullptr;
  char named[256] = {};
  bool listed = each_descriptor([&](int fd) {
    if (fd < first || problem != nullptr) return;
    if (entry_count == descriptors_max) {
      problem = "there are too many descriptors";
      return;
    }
    Entry& entry = entries[entry_count++];
    entry = Entry{};
    entry.fd = fd;
    entry.partner = -1;
    entry.flags = ::fcntl(fd, F_GETFL);
    entry.close_on_exec = ::fcntl(fd, F_GETFD) & FD_CLOEXEC;
    if (!link_of(fd, named, sizeof named)) problem = "a descriptor cannot be examined";
    if (problem == nullptr) problem = classify(entry, named);
  });
  if (!listed) problem = "the descriptors cannot be listed";
  if (problem == nullptr && !pair_pipes()) {
    problem = "a pipe to another process is open";
    named[0] = '\0';
  }
  if (problem == nullptr) return true;
  std::snprintf(reason, reason_size, named[0] != '\0' ? "%s: %s" : "%s", problem, named);
  return false;
}

bool renew_descriptors() {
  for (int i = 0; i < entry_count; ++i) {
    if (!renew(entries[i])) return false;
  }
  for (int i = 0; i < watch_count; ++i) {
    Watch& watch = watches[i];
    if (::epoll_ctl(watch.set, EPOLL_CTL_ADD, watch.fd, &watch.event) != 0) return false;
  }
  return true;
}

}  // namespace mayfly::fork
