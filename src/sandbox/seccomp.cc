#include "sandbox/seccomp.h"

#include <fmt/format.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>

#include "io/fd.h"

namespace mayfly::sandbox {
namespace {

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

// Every CLONE_NEW* bit: allowed are calls in which all of them are zero.
constexpr std::uint64_t namespace_flags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET;

// Names this version of libseccomp or this processor does not know are left to the default.
Result<> add_rows(scmp_filter_ctx context, std::uint32_t action,
                  std::initializer_list<const char*> names) {
  for (const char* name : names) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) continue;
    int error = seccomp_rule_add_exact_array(context, action, number, 0, nullptr);
    if (error != 0 && error != -EEXIST) {
      return fail_errno(fmt::format("seccomp rule for {}", name), -error);
    }
  }
  return {};
}

Result<> add_conditional(scmp_filter_ctx context, const char* name, unsigned argument,
                         scmp_compare op, std::uint64_t value) {
  scmp_arg_cmp compare{argument, op, value, 0};
  int error = seccomp_rule_add_exact_array(context, SCMP_ACT_ALLOW,
                                           seccomp_syscall_resolve_name(name), 1, &compare);
  if (error != 0) return fail_errno(fmt::format("seccomp rule for {}", name), -error);
  return {};
}

Result<> add_all_rows(scmp_filter_ctx context) {
#define ALLOW(reason, ...) TRY(add_rows(context, SCMP_ACT_ALLOW, {__VA_ARGS__}));
#define ALLOW_IF(reason, name, argument, op, value) \
  TRY(add_conditional(context, name, argument, op, value));
#define DENY(reason, ...) TRY(add_rows(context, SCMP_ACT_ERRNO(EPERM), {__VA_ARGS__}));
#include <resources/seccomp.inc>
#undef ALLOW
#undef ALLOW_IF
#undef DENY
  return {};
}

}  // namespace

Result<std::vector<sock_filter>> compile_seccomp(FilterFor what) {
  // ENOSYS by default: glibc's clone3, whose flags a filter cannot see, falls back to clone.
  Context context(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!context) return fail(ErrorKind::unavailable, "seccomp_init failed");
  seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree, not a list
  // Before the rows: the first rule of a system call stays.
  if (what == FilterFor::forkable) {
    TRY(add_rows(context.get(), SCMP_ACT_TRACE(0), {"setns", "pidfd_getfd"}));
  }
  TRY(add_all_rows(context.get()));
  io::Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", errno);
  if (int error = seccomp_export_bpf(context.get(), file.get()); error != 0) {
    return fail_errno("seccomp_export_bpf", -error);
  }
  off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    return fail(ErrorKind::unavailable, "cannot read back the seccomp program");
  }
  return program;
}

int load_seccomp(const std::vector<sock_filter>& program) {
  sock_fprog raw{static_cast<unsigned short>(program.size()),
                 const_cast<sock_filter*>(program.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw) == 0 ? 0 : errno;
}

}  // namespace mayfly::sandbox
