#include "sandbox/template_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "sandbox/sandbox.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

namespace fs = std::filesystem;

// Program and library directories: bound when they are directories on the host, repeated when they
// are links (as on a host with a merged /usr).
constexpr std::array system_dirs = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

// Of the directories that hold a function's libraries, the loader of a program that starts before
// they are mounted remembers for ever which there are not.
constexpr std::array empty_dirs = {"/dev",      "/etc",          "/mnt",         "/opt",
                                   "/opt/lib",  "/proc",         "/tmp",         "/var",
                                   "/var/task", "/var/task/lib", "/var/runtime", "/var/lang"};

constexpr std::array devices = {"null", "zero", "full", "random", "urandom"};

struct Link {
  const char* name;
  const char* target;
};
constexpr std::array links = {
    Link{"/dev/fd", "/proc/self/fd"},
    Link{"/dev/stdin", "/proc/self/fd/0"},
    Link{"/dev/stdout", "/proc/self/fd/1"},
    Link{"/dev/stderr", "/proc/self/fd/2"},
    Link{"/var/tmp", "/tmp"},
};

// What of the host's /etc runtimes read. Copied: a copy costs no mount in every jail.
constexpr std::array etc_patterns = {
    "/etc/ld.so.cache",     "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",    "/etc/alternatives",
    "/etc/localtime",       "/etc/timezone",
    "/etc/mime.types",      "/etc/protocols",
    "/etc/services",        "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",    "/etc/ca-certificates.conf",
    "/etc/java-*",          "/etc/fonts",
    "/etc/gemrc",           "/etc/python3*",
    "/etc/os-release",
};

struct Generated {
  const char* path;
  const char* text;
};
// The user is named as in Lambda; resolv.conf is empty because a jail has no network but loopback.
constexpr std::array generated = {
    Generated{"/etc/passwd",
              "root:x:0:0:root:/root:/sbin/nologin\n"
              "sbx_user1051:x:993:990::/tmp:/sbin/nologin\n"
              "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"},
    Generated{"/etc/group", "root:x:0:\nsbx_user1051:x:990:\nnogroup:x:65534:\n"},
    Generated{"/etc/hosts", "127.0.0.1 localhost sandbox sandbox.localdomain\n"},
    Generated{"/etc/resolv.conf", ""},
    Generated{"/etc/nsswitch.conf",
              "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"},
    Generated{"/etc/host.conf", "multi on\n"},
};

Result<> make_dirs(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail_errno(fmt::format("cannot make {}", path), error.value());
  return {};
}

Result<> bind_system_dir(const std::string& root, const std::string& name) {
  std::error_code error;
  auto status = fs::symlink_status(name, error);
  if (status.type() == fs::file_type::symlink) {
    fs::copy_symlink(name, root + name, error);
    if (error) return fail_errno(fmt::format("cannot repeat the link {}", name), error.value());
    return {};
  }
  if (status.type() != fs::file_type::directory) return {};
  TRY(make_dirs(root + name));
  TRY_ASSIGN(auto tree, sys::open_tree(name, sys::Access::read_only));
  if (::move_mount(tree.get(), "", AT_FDCWD, (root + name).c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return fail_errno(fmt::format("cannot attach {}", name), errno);
  }
  return {};
}

Result<> bind_device(const std::string& root, const std::string& name) {
  std::string source = "/dev/" + name;
  std::string target = root + source;
  io::Fd file(::open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
  if (!file) return fail_errno(target, errno);
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno(fmt::format("cannot bind {}", source), errno);
  }
  return {};
}

// Files that cannot be read (keys, say) are left out: a jail could not read them either.
void copy_into(const std::string& root, const fs::path& from) {
  std::error_code ignored;
  fs::path to = root + from.string();
  fs::create_directories(to.parent_path(), ignored);
  auto status = fs::symlink_status(from, ignored);
  if (status.type() == fs::file_type::symlink) {
    fs::copy_symlink(from, to, ignored);
  } else if (status.type() == fs::file_type::regular) {
    fs::copy_file(from, to, fs::copy_options::skip_existing, ignored);
  } else if (status.type() == fs::file_type::directory) {
    fs::create_directories(to, ignored);
    for (const auto& entry : fs::directory_iterator(from, ignored)) copy_into(root, entry.path());
  }
}

void copy_etc(const std::string& root) {
  for (const char* pattern : etc_patterns) {
    glob_t found{};
    if (::glob(pattern, 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) copy_into(root, found.gl_pathv[i]);
    }
    ::globfree(&found);
  }
}

}  // namespace

Result<> build_template_root(const std::string& dir) {
  ::umask(022);
  if (::mount("mayfly-root", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m") !=
      0) {
    return fail_errno(fmt::format("cannot mount a tmpfs on {}", dir), errno);
  }
  for (const char* name : empty_dirs) TRY(make_dirs(dir + name));
  std::string hidden = dir + hidden_proc;
  if (::mkdir(hidden.c_str(), 0) != 0) return fail_errno("make " + hidden, errno);
  for (const char* name : system_dirs) TRY(bind_system_dir(dir, name));
  for (const char* name : devices) TRY(bind_device(dir, name));
  for (const auto& link : links) {
    if (::symlink(link.target, (dir + link.name).c_str()) != 0) {
      return fail_errno(fmt::format("cannot make the link {}", link.name), errno);
    }
  }
  copy_etc(dir);
  for (const auto& file : generated) {
    std::ofstream out(dir + file.path, std::ios::binary | std::ios::trunc);
    out << file.text;
    if (!out.flush())
      return fail(ErrorKind::unavailable, fmt::format("cannot write {}", file.path));
  }
  return {};
}

Result<> ensure_mount_point(const std::string& dir, const std::string& source,
                            const std::string& target) {
  if (target.empty() || target[0] != '/' || target.find("/../") != std::string::npos) {
    return fail(ErrorKind::invalid, fmt::format("the bind target '{}' is not absolute", target));
  }
  if (target == root_target) return {};  // there is always a root
  struct stat status{};
  if (::stat(source.c_str(), &status) != 0) {
    return fail_errno(fmt::format("the bind source '{}'", source), errno);
  }
  io::Fd root(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  io::Fd found(
      static_cast<int>(::syscall(SYS_openat2, root.get(), target.c_str() + 1, &how, sizeof how)));
  if (found) return {};
  // Beneath a read-only system directory nothing can be made, and nothing must be.
  std::string path = dir + target;
  if (S_ISDIR(status.st_mode)) return make_dirs(path);
  TRY(make_dirs(fs::path(path).parent_path()));
  io::Fd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0444));
  if (!file) return fail_errno(fmt::format("cannot make the mount point {}", target), errno);
  return {};
}

Result<io::Fd> open_bind(const std::string& dir, const Bind& bind) {
  if (bind.writable) return sys::open_tree(bind.source, sys::Access::writable);
  TRY(ensure_mount_point(dir, bind.source, bind.target));
  return sys::open_tree(bind.source, sys::Access::read_only);
}

}  // namespace mayfly::sandbox
