#include "sandbox/protocol.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits.h"

namespace mayfly::sandbox {
namespace {

enum : std::uint32_t {
  launch_inline = 1,
  launch_in_file = 2,
  keep_ready = 3,
  specialise_inline = 4,
  specialise_in_file = 5,
  poise_inline = 6,
  poise_in_file = 7,
};
enum : std::uint32_t {
  reply_launched = 1,
  reply_failed = 2,
  reply_exited = 3,
  reply_specialised = 4,
  reply_process_ended = 5,
  reply_starved = 6,
};
constexpr std::size_t head_bytes = 20;
constexpr std::size_t descriptors_max = limits::sandbox_binds + 2 * limits::sandbox_listeners + 8;

class Packer {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T number) {
    out_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void put(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  void put(const std::vector<std::string>& texts) {
    put(static_cast<std::uint32_t>(texts.size()));
    for (const auto& text : texts) put(std::string_view(text));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads fail softly: after the first short read everything is zero and ok() is false.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  T number() {
    T out{};
    if (rest_.size() < sizeof out) {
      ok_ = false;
      rest_ = {};
      return out;
    }
    std::memcpy(&out, rest_.data(), sizeof out);
    rest_.remove_prefix(sizeof out);
    return out;
  }
  std::string text() {
    auto size = number<std::uint32_t>();
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> out;
    auto count = number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && ok_; ++i) out.push_back(text());
    return out;
  }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::string encode_spec(const Spec& spec) {
  Packer out;
  out.put(std::string_view(spec.id.str()));
  out.put(static_cast<std::uint32_t>(spec.binds.size()));
  for (const auto& bind : spec.binds) {
    out.put(std::string_view(bind.source));
    out.put(std::string_view(bind.target));
    out.put(static_cast<std::uint8_t>(bind.writable));
  }
  out.put(spec.argv);
  out.put(spec.env);
  out.put(std::string_view(spec.cwd));
  out.put(std::string_view(spec.hostname));
  out.put(spec.limits.memory_bytes);
  out.put(spec.limits.cpu_millis);
  out.put(spec.limits.processes);
  out.put(spec.limits.files);
  out.put(spec.limits.tmp_bytes);
  out.put(static_cast<std::uint32_t>(spec.listen_ports.size()));
  for (auto port : spec.listen_ports) out.put(port);
  out.put(static_cast<std::uint8_t>(spec.channel));
  out.put(static_cast<std::uint8_t>(spec.framed_log));
  out.put(static_cast<std::uint8_t>(spec.parking));
  out.put(static_cast<std::uint32_t>(spec.companions.size()));
  for (const auto& companion : spec.companions) {
    out.put(companion.argv);
    out.put(companion.env);
  }
  out.put(spec.sockets);
  return out.take();
}

Spec decode_spec(Unpacker& in) {
  Spec spec;
  spec.id = InstanceId(in.text());
  auto binds = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < binds && in.ok(); ++i) {
    Bind bind;
    bind.source = in.text();
    bind.target = in.text();
    bind.writable = in.number<std::uint8_t>() != 0;
    spec.binds.push_back(std::move(bind));
  }
  spec.argv = in.texts();
  spec.env = in.texts();
  spec.cwd = in.text();
  spec.hostname = in.text();
  spec.limits.memory_bytes = in.number<std::uint64_t>();
  spec.limits.cpu_millis = in.number<std::uint32_t>();
  spec.limits.processes = in.number<std::uint32_t>();
  spec.limits.files = in.number<std::uint32_t>();
  spec.limits.tmp_bytes = in.number<std::uint64_t>();
  auto ports = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < ports && in.ok(); ++i) {
    spec.listen_ports.push_back(in.number<std::uint16_t>());
  }
  spec.channel = in.number<std::uint8_t>() != 0;
  spec.framed_log = in.number<std::uint8_t>() != 0;
  spec.parking = static_cast<Parking>(in.number<std::uint8_t>());
  auto companions = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < companions && in.ok(); ++i) {
    Companion companion;
    companion.argv = in.texts();
    companion.env = in.texts();
    spec.companions.push_back(std::move(companion));
  }
  spec.sockets = in.number<std::uint16_t>();
  return spec;
}

void put_place(Packer& out, const ControllerPlace& place) {
  out.put(static_cast<std::int32_t>(place.version));
  out.put(std::string_view(place.dir));
}

ControllerPlace take_place(Unpacker& in) {
  ControllerPlace place;
  place.version = in.number<std::int32_t>();
  place.dir = in.text();
  return place;
}

class BodyPacker {
 public:
  explicit BodyPacker(Packer& out) : out_(out) {}
  void operator()(const Launched& launched) const {
    out_.put(static_cast<std::int32_t>(launched.pid));
    out_.put(static_cast<std::uint32_t>(launched.own_output));
    out_.put(static_cast<std::uint32_t>(launched.accounts));
    for (const auto* place :
         {&launched.group.memory, &launched.group.cpu, &launched.group.processes,
          &launched.group.freezer, &launched.group.accounting}) {
      put_place(out_, *place);
    }
  }
  void operator()(const Error& error) const {
    out_.put(static_cast<std::uint32_t>(error.kind));
    out_.put(std::string_view(error.message));
    out_.put(std::string_view(error.reason));
  }
  void operator()(const Specialised&) const {}
  void operator()(const Starved&) const {}
  void operator()(const ProcessEnd& end) const {
    out_.put(static_cast<std::int32_t>(end.companion));
    put_exit(end.exit);
    out_.put(static_cast<std::int32_t>(end.error));
  }
  void operator()(const Exited& exited) const {
    put_exit(exited.exit);
    out_.put(exited.stats.memory_peak_bytes);
    out_.put(exited.stats.memory_bytes);
    out_.put(exited.stats.cpu_ns);
  }

 private:
  void put_exit(const Exit& exit) const {
    out_.put(static_cast<std::int32_t>(exit.code));
    out_.put(static_cast<std::int32_t>(exit.signal));
    out_.put(static_cast<std::uint32_t>(exit.out_of_memory));
  }

  Packer& out_;
};

Launched take_launched(Unpacker& in) {
  Launched out;
  out.pid = in.number<std::int32_t>();
  out.own_output = in.number<std::uint32_t>() != 0;
  out.accounts = in.number<std::uint32_t>() != 0;
  for (auto* place : {&out.group.memory, &out.group.cpu, &out.group.processes, &out.group.freezer,
                      &out.group.accounting}) {
    *place = take_place(in);
  }
  return out;
}

Exit take_exit(Unpacker& in) {
  Exit out;
  out.code = in.number<std::int32_t>();
  out.signal = in.number<std::int32_t>();
  out.out_of_memory = in.number<std::uint32_t>() != 0;
  return out;
}

ProcessEnd take_process_end(Unpacker& in) {
  ProcessEnd out;
  out.companion = in.number<std::int32_t>();
  out.exit = take_exit(in);
  out.error = in.number<std::int32_t>();
  return out;
}

Exited take_exited(Unpacker& in) {
  Exited out;
  out.exit = take_exit(in);
  out.stats.memory_peak_bytes = in.number<std::uint64_t>();
  out.stats.memory_bytes = in.number<std::uint64_t>();
  out.stats.cpu_ns = in.number<std::uint64_t>();
  return out;
}

struct Kinds {
  Request::What what;
  std::uint32_t in_line;
  std::uint32_t in_file;
};
constexpr std::array request_kinds{
    Kinds{Request::What::launch, launch_inline, launch_in_file},
    Kinds{Request::What::specialise, specialise_inline, specialise_in_file},
    Kinds{Request::What::poise, poise_inline, poise_in_file},
};

std::uint32_t kind_of(Request::What what, bool in_file) {
  const Kinds& kinds = *std::ranges::find(request_kinds, what, &Kinds::what);
  return in_file ? kinds.in_file : kinds.in_line;
}

const Kinds* find_kinds(std::uint32_t kind) {
  auto is_it = [&](const Kinds& kinds) { return kinds.in_line == kind || kinds.in_file == kind; };
  auto found = std::ranges::find_if(request_kinds, is_it);
  return found == request_kinds.end() ? nullptr : &*found;
}

Result<std::string> read_memfd(int fd) {
  off_t size = ::lseek(fd, 0, SEEK_END);
  if (size < 0 || static_cast<std::size_t>(size) > limits::sandbox_spec_bytes) {
    return fail(ErrorKind::too_large, "the sandbox request is too large");
  }
  std::string out(static_cast<std::size_t>(size), '\0');
  if (::pread(fd, out.data(), out.size(), 0) != size) return fail_errno("read request", errno);
  return out;
}

}  // namespace

Result<EncodedRequest> encode(const Request& request) {
  EncodedRequest out;
  std::string spec = encode_spec(request.spec);
  if (spec.size() > limits::sandbox_spec_bytes) {
    return fail(ErrorKind::too_large,
                fmt::format("arguments and environment take {} bytes, more than {}", spec.size(),
                            limits::sandbox_spec_bytes));
  }
  bool in_file = spec.size() + head_bytes > limits::sandbox_message_bytes;
  Packer head;
  head.put(kind_of(request.what, in_file));
  head.put(request.sequence);
  head.put(request.parked);
  out.bytes = head.take();
  if (!in_file) {
    out.bytes += spec;
    return out;
  }
  out.file = io::Fd(::memfd_create("mayfly-request", MFD_CLOEXEC));
  if (!out.file) return fail_errno("memfd_create", errno);
  if (::write(out.file.get(), spec.data(), spec.size()) != static_cast<ssize_t>(spec.size())) {
    return fail_errno("write request", errno);
  }
  return out;
}

std::string encode(const KeepReady& request) {
  Packer out;
  out.put(static_cast<std::uint32_t>(keep_ready));
  out.put(request.jails);
  out.put(request.parked);
  return out.take();
}

std::optional<KeepReady> decode_keep_ready(const Message& message) {
  Unpacker in(message.bytes);
  if (in.number<std::uint32_t>() != keep_ready) return std::nullopt;
  KeepReady out;
  out.jails = in.number<std::uint64_t>();
  out.parked = in.number<std::uint64_t>();
  return in.ok() ? std::optional(out) : std::nullopt;
}

std::string encode(const Reply& reply) {
  Packer out;
  out.put(static_cast<std::uint32_t>(reply.body.index() + 1));
  out.put(reply.sequence);
  std::visit(BodyPacker{out}, reply.body);
  return out.take();
}

bool is_in_file(const Message& request) {
  Unpacker head(request.bytes);
  auto kind = head.number<std::uint32_t>();
  const Kinds* kinds = find_kinds(kind);
  return kinds != nullptr && kinds->in_file == kind && !request.fds.empty();
}

Result<Request> decode_request(Message& message) {
  Unpacker head(message.bytes);
  Request out;
  auto kind = head.number<std::uint32_t>();
  out.sequence = head.number<std::uint64_t>();
  out.parked = head.number<std::uint64_t>();
  const Kinds* kinds = find_kinds(kind);
  if (!head.ok() || kinds == nullptr) {
    return fail(ErrorKind::corrupt, "a request without a head");
  }
  out.what = kinds->what;
  std::string spec = message.bytes.substr(head_bytes);
  if (kinds->in_file == kind) {
    if (message.fds.empty()) return fail(ErrorKind::corrupt, "a request without its file");
    TRY_ASSIGN(spec, read_memfd(message.fds.front().get()));
    message.fds.erase(message.fds.begin());
  }
  Unpacker body(spec);
  out.spec = decode_spec(body);
  if (!body.ok()) return fail(ErrorKind::corrupt, "a request cut short");
  return out;
}

Result<Reply> decode_reply(std::string_view bytes) {
  Unpacker in(bytes);
  Reply out;
  auto kind = in.number<std::uint32_t>();
  out.sequence = in.number<std::uint64_t>();
  if (kind == reply_launched) {
    out.body = take_launched(in);
  } else if (kind == reply_failed) {
    auto error_kind = static_cast<ErrorKind>(in.number<std::uint32_t>());
    auto message = in.text();
    out.body = Error{error_kind, std::move(message), in.text()};
  } else if (kind == reply_exited) {
    out.body = take_exited(in);
  } else if (kind == reply_specialised) {
    out.body = Specialised{};
  } else if (kind == reply_process_ended) {
    out.body = take_process_end(in);
  } else if (kind == reply_starved) {
    out.body = Starved{};
  } else {
    return fail(ErrorKind::corrupt, "a reply of an unknown kind");
  }
  if (!in.ok()) return fail(ErrorKind::corrupt, "a reply cut short");
  return out;
}

int send_message(int socket, std::string_view bytes, const std::vector<int>& fds) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr head{};
  head.msg_iov = &part;
  head.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(descriptors_max * sizeof(int))> control{};
  if (fds.size() > descriptors_max) return EINVAL;
  if (!fds.empty()) {
    head.msg_control = control.data();
    head.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&head);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  while (::sendmsg(socket, &head, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int receive_message(int socket, Message& out) {
  static thread_local std::string buffer(limits::sandbox_message_bytes + 4096, '\0');
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(descriptors_max * sizeof(int))> control{};
  msghdr head{};
  head.msg_iov = &part;
  head.msg_iovlen = 1;
  head.msg_control = control.data();
  head.msg_controllen = control.size();
  ssize_t got = 0;
  while ((got = ::recvmsg(socket, &head, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno != EINTR) return errno;
  }
  out.fds.clear();
  for (cmsghdr* item = CMSG_FIRSTHDR(&head); item != nullptr; item = CMSG_NXTHDR(&head, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
      out.fds.emplace_back(fd);
    }
  }
  if (got == 0) return EPIPE;
  if ((head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return EMSGSIZE;
  out.bytes.assign(buffer.data(), static_cast<std::size_t>(got));
  return 0;
}

}  // namespace mayfly::sandbox
