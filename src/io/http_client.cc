#include "io/http_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "io/http1.h"

namespace mayfly::io {

namespace {

// Resolutions at one time: a resolver that hangs leaves workers for others.
constexpr std::size_t resolutions_max = 2;

struct Found {
  addrinfo* list = nullptr;
  Found() = default;
  Found(const Found&) = delete;
  Found& operator=(const Found&) = delete;
  ~Found() {
    if (list != nullptr) ::freeaddrinfo(list);
  }
};

Result<std::vector<std::string>> system_resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  Found found;
  int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found.list);
  if (error != 0) {
    return fail(ErrorKind::unavailable,
                fmt::format("the host '{}' is not known: {}", host, ::gai_strerror(error)));
  }
  std::vector<std::string> out;
  for (auto* one = found.list; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      out.emplace_back(text.data());
    }
  }
  return out;
}

// Without asking anybody; fails for names.
bool numeric(const std::string& host, std::uint16_t port, Found& found) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  return ::getaddrinfo(host.c_str(), fmt::format("{}", port).c_str(), &hints, &found.list) == 0;
}

std::unexpected<Error> no_connection(const std::string& address, std::uint16_t port, int error) {
  auto why = fail_errno(fmt::format("no connection to {} port {}", address, port), error);
  return fail(ErrorKind::unavailable, std::move(why.error().message));
}

// Unlike connect_tcp(), ends at a stop too.
Task<Result<Fd>> connect_numeric(Loop& loop, std::string address, std::uint16_t port,
                                 Deadline deadline, std::stop_token stop) {
  Found found;
  if (!numeric(address, port, found)) {
    co_return fail(ErrorKind::unavailable, fmt::format("'{}' is no address", address));
  }
  Fd fd(::socket(found.list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return no_connection(address, port, errno);
  if (::connect(fd.get(), found.list->ai_addr, found.list->ai_addrlen) != 0) {
    if (errno != EINPROGRESS) co_return no_connection(address, port, errno);
    FdWatch watch(loop, fd.get());
    CO_TRY(to_result(co_await watch.writable(deadline, stop), "connecting"));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) co_return no_connection(address, port, error);
  }
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  co_return fd;
}

// Base64 as of RFC 4648; wire/ stands on this floor too.
std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(bytes.data()),
                             static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Result<std::string> head_of(const HttpRequest& request, const Url& url) {
  if (!http1::is_token(request.method)) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is no HTTP method", request.method));
  }
  std::string out;
  http1::Writer writer(out);
  writer.request_line(request.method, url.target);
  writer.field("Host", url.authority);
  bool authorized = false;
  for (const auto& [name, value] : request.headers) {
    for (std::string_view own : {"host", "content-length", "transfer-encoding", "connection"}) {
      if (http1::equals_ignoring_case(name, own)) {
        return fail(ErrorKind::invalid, fmt::format("the header {} is the client's own", name));
      }
    }
    if (!writer.field(name, value)) {
      return fail(ErrorKind::invalid, fmt::format("'{}' or its value is no header", name));
    }
    authorized = authorized || http1::equals_ignoring_case(name, "authorization");
  }
  if (!url.user_info.empty() && !authorized) {
    writer.field("Authorization", fmt::format("Basic {}", base64(url.user_info)));
  }
  bool bodiless = request.body.empty() && (request.method == "GET" || request.method == "HEAD");
  if (!bodiless) writer.field("Content-Length", request.body.size());
  writer.field("Connection", "close");
  writer.end_head();
  return out;
}

struct Connection {
  Stream stream;
  std::optional<Tls> tls{};

  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline, std::stop_token stop) {
    if (tls) co_return co_await tls->read(into, deadline, stop);
    co_return co_await stream.read(into, deadline, stop);
  }
  Task<Result<>> write(std::string_view head, std::string_view body, Deadline deadline,
                       std::stop_token stop) {
    if (!tls) co_return co_await stream.write_all(head, body, deadline, stop);
    CO_TRY(co_await tls->write_all(head, deadline, stop));
    co_return co_await tls->write_all(body, deadline, stop);
  }
};

std::unexpected<Error> no_http(const http1::Refusal& why) {
  return fail(ErrorKind::corrupt, fmt::format("the answer is no HTTP: {}", why.text));
}

// Takes the bytes of an answer as they come.
class AnswerReader {
 public:
  AnswerReader(bool no_body, std::size_t most) : no_body_(no_body), most_(most) {}

  // True: the answer is whole.
  Result<bool> take(std::string_view bytes) {
    input_ += bytes;
    while (!in_body_) {
      auto read = reader_.read_head(input_);
      if (!read) return no_http(read.error());
      if (*read == 0) return false;
      take_head();
      input_.erase(0, *read);
      // Interim answers come before the one that counts.
      if (answer_.status < 200) {
        reader_.reset();
        continue;
      }
      if (no_body_) reader_.expect_no_body();
      in_body_ = true;
    }
    return take_body();
  }

  // The peer has ended.
  Result<> end() {
    if (!in_body_) return fail(ErrorKind::unavailable, "the connection ended without an answer");
    if (!reader_.end_of_stream()) {
      return fail(ErrorKind::unavailable, "the connection ended within the answer");
    }
    return {};
  }

  HttpAnswer take_answer() && { return std::move(answer_); }

 private:
  void take_head() {
    const auto& head = reader_.head();
    answer_.status = head.status;
    answer_.headers.clear();
    for (const auto& field : head.fields) {
      answer_.headers.emplace_back(std::string(field.name), std::string(field.value));
    }
  }

  Result<bool> take_body() {
    std::string_view rest = input_;
    while (!reader_.body_complete() && !rest.empty()) {
      auto piece = reader_.read_body(rest);
      if (!piece) return no_http(piece.error());
      if (answer_.body.size() + piece->data.size() > most_) {
        return fail(ErrorKind::too_large, fmt::format("the answer has more than {} bytes", most_));
      }
      answer_.body += piece->data;
      rest.remove_prefix(piece->consumed);
      if (piece->consumed == 0) break;
    }
    input_.erase(0, input_.size() - rest.size());
    return reader_.body_complete();
  }

  http1::Reader reader_{http1::Reader::Side::responses};
  bool no_body_;
  std::size_t most_;
  bool in_body_ = false;
  std::string input_;
  HttpAnswer answer_;
};

Task<Result<HttpAnswer>> read_answer(Connection& connection, const HttpRequest& request,
                                     Deadline deadline, std::stop_token stop) {
  AnswerReader reader(request.method == "HEAD", request.answer_bytes);
  std::vector<char> chunk(std::size_t{16} * 1024);
  while (true) {
    CO_TRY_ASSIGN(auto got, co_await connection.read(chunk, deadline, stop));
    if (got == 0) {
      CO_TRY(reader.end());
      break;
    }
    CO_TRY_ASSIGN(bool whole, reader.take({chunk.data(), got}));
    if (whole) break;
  }
  co_return std::move(reader).take_answer();
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (http1::equals_ignoring_case(key, name)) return value;
  }
  return {};
}

struct HttpClient::Resolution {
  explicit Resolution(Loop& loop) : done(loop) {}
  Event done;
  Result<std::vector<std::string>> addresses{};
};

HttpClient::HttpClient(Loop& loop, Workers& workers, Options options)
    : loop_(loop), workers_(workers), options_(std::move(options)), resolvers_(loop), tasks_(loop) {
  if (!options_.resolve) options_.resolve = system_resolve;
}

// Nothing ends a resolution that has begun, so it lives apart from whoever asked.
Task<void> HttpClient::look_up(std::string host, std::shared_ptr<Resolution> into) {
  into->addresses = co_await workers_.run([this, &host] { return options_.resolve(host); });
  --resolving_;
  resolvers_.wake_one();
  into->done.set();
}

Task<Result<std::vector<std::string>>> HttpClient::resolve(std::string host, Deadline deadline,
                                                           std::stop_token stop) {
  if (Found found; numeric(host, 0, found)) co_return std::vector<std::string>{std::move(host)};
  while (resolving_ >= resolutions_max) {
    CO_TRY(to_result(co_await resolvers_.park(deadline, stop), "resolving a name"));
  }
  ++resolving_;
  auto resolution = std::make_shared<Resolution>(loop_);
  tasks_.spawn(look_up(std::move(host), resolution));
  CO_TRY(to_result(co_await resolution->done.wait(deadline, stop), "resolving a name"));
  co_return std::move(resolution->addresses);
}

Task<Result<Fd>> HttpClient::connect(const Url& url, Deadline deadline, std::stop_token stop) {
  CO_TRY_ASSIGN(auto addresses, co_await resolve(url.host, deadline, stop));
  Result<Fd> out = fail(ErrorKind::unavailable, fmt::format("'{}' has no address", url.host));
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // One that swallows everything leaves time for the others.
    Deadline until = deadline;
    auto left = static_cast<Duration::rep>(addresses.size() - i);
    if (left > 1 && deadline != no_deadline) until = loop_.now() + (deadline - loop_.now()) / left;
    out = co_await connect_numeric(loop_, addresses[i], url.port, until, stop);
    if (out || stop.stop_requested() || loop_.now() >= deadline) break;
  }
  co_return out;
}

Result<const TlsTrust*> HttpClient::trust() {
  if (!trust_) {
    TRY_ASSIGN(trust_, TlsTrust::load(options_.ca_file));
  }
  return &*trust_;
}

Task<Result<HttpAnswer>> HttpClient::send(HttpRequest request, Deadline deadline,
                                          std::stop_token stop) {
  CO_TRY_ASSIGN(auto url, parse_url(request.url));
  CO_TRY_ASSIGN(auto head, head_of(request, url));
  CO_TRY_ASSIGN(auto fd, co_await connect(url, deadline, stop));
  Connection connection{Stream(loop_, std::move(fd))};
  if (url.secure) {
    CO_TRY_ASSIGN(const auto* trusted, trust());
    CO_TRY_ASSIGN(connection.tls, Tls::to_host(connection.stream, *trusted, url.host));
    CO_TRY(co_await connection.tls->handshake(deadline, stop));
  }
  // A peer may refuse a body by answering before it has taken it: the answer counts.
  auto written = co_await connection.write(head, request.body, deadline, stop);
  if (!written && written.error().kind != ErrorKind::unavailable) {
    co_return std::unexpected(std::move(written.error()));
  }
  auto answer = co_await read_answer(connection, request, deadline, stop);
  if (answer && connection.tls) (void)co_await connection.tls->finish(deadline, stop);
  co_return answer;
}

Task<void> HttpClient::close() {
  resolvers_.wake_all(Wake::cancelled);
  co_await tasks_.close();
}

}  // namespace mayfly::io
