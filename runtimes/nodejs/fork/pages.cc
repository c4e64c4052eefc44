#include "pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "host.h"

namespace mayfly::fork {
namespace {

// "7f0000000000-7f0000001000 r-xp 00000000 08:01 123   /usr/bin/node"
struct Mapping {
  unsigned long start;
  unsigned long end;
  const char* access;
  const char* name;  // empty: no file

  // A mapping of a file that nobody writes to, nor shares.
  bool is_program() const {
    return access[0] == 'r' && access[1] == '-' && access[3] == 'p' && name[0] == '/';
  }
  void* address() const { return pointer_to(start); }
  std::size_t size() const { return end - start; }
};

bool parse(const char* line, Mapping& out) {
  char* at = nullptr;
  unsigned long start = std::strtoul(line, &at, 16);
  if (at == line || *at != '-') return false;
  unsigned long end = std::strtoul(at + 1, &at, 16);
  if (*at != ' ' || end <= start || std::strlen(at) < 5) return false;
  out.start = start;
  out.end = end;
  out.access = at + 1;
  const char* name = std::strpbrk(at, "/[");
  out.name = name != nullptr ? name : "";
  return true;
}

// Every line of a file of /proc, without its end.
template <class Visit>
bool each_line(const char* path, Visit visit) {
  static char text[64 * 1024];
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::size_t have = 0;
  ssize_t got = 0;
  while ((got = ::read(fd, text + have, sizeof text - 1 - have)) > 0) {
    have += static_cast<std::size_t>(got);
    text[have] = '\0';
    char* line = text;
    while (char* end = std::strchr(line, '\n')) {
      *end = '\0';
      visit(line);
      line = end + 1;
    }
    have -= static_cast<std::size_t>(line - text);
    std::memmove(text, line, have);
  }
  ::close(fd);
  return got == 0;
}

}  // namespace

void forget_program_pages() {
  Mapping mapping{};
  bool whole = false;
  each_line("/proc/self/smaps", [&](const char* line) {
    if (parse(line, mapping)) {
      whole = mapping.is_program();
    } else if (whole && std::strncmp(line, "Anonymous:", 10) == 0) {
      // What was changed after it was read, as relocations are, cannot be read again.
      if (std::strtoul(line + 10, nullptr, 10) == 0) {
        static_cast<void>(::madvise(mapping.address(), mapping.size(), MADV_DONTNEED));
      }
      whole = false;
    }
  });
}

Range heap_range() {
  Range out;
  each_line("/proc/self/maps", [&](const char* line) {
    Mapping mapping{};
    if (parse(line, mapping) && std::strcmp(mapping.name, "[heap]") == 0) {
      out = {.start = mapping.start, .end = mapping.end};
    }
  });
  return out;
}

// Asking /proc/self/smaps which mappings V8 hid (MADV_DONTFORK) costs milliseconds; the call that
// shows a mapping changes nothing on others, so all get it. Those of devices refuse (vvar and its
// like, which children get anyway).
bool show_heap_to_children() {
  bool good = true;
  bool listed = each_line("/proc/self/maps", [&](const char* line) {
    Mapping mapping{};
    if (!parse(line, mapping) || std::strncmp(mapping.name, "[v", 2) == 0) return;
    good = ::madvise(mapping.address(), mapping.size(), MADV_DOFORK) == 0 && good;
  });
  return good && listed;
}

// The kernel copies the table of a private mapping once any page of it was written: each gets its
// first byte written over itself, past its protection, as a debugger sets a breakpoint.
void show_program_pages_to_children() {
  int memory = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (memory < 0) return;
  each_line("/proc/self/maps", [&](const char* line) {
    Mapping mapping{};
    if (!parse(line, mapping) || !mapping.is_program()) return;
    char byte = 0;
    auto at = static_cast<off_t>(mapping.start);
    if (::pread(memory, &byte, 1, at) == 1) static_cast<void>(::pwrite(memory, &byte, 1, at));
  });
  ::close(memory);
}

}  // namespace mayfly::fork
