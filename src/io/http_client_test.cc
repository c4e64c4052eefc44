#include "io/http_client.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>

#include "sim/manual_clock.h"

using namespace mayfly;
using namespace mayfly::io;

namespace {

// A certificate that its own key signed.
struct Certificate {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  std::string file;

  Certificate(const std::string& names, const std::string& path) : file(path) {
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    auto* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(x509, key, EVP_sha256());
    auto* out = BIO_new_file(file.c_str(), "w");
    PEM_write_bio_X509(out, x509);
    BIO_free(out);
  }
  ~Certificate() {
    X509_free(x509);
    EVP_PKEY_free(key);
    std::filesystem::remove(file);
  }
};

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / fmt::format("{}-{}.pem", name, ::getpid()))
      .string();
}

struct World {
  sim::ManualClock clock;
  Loop loop{clock};
  Workers workers{loop, 2};
  Listener listener{loop, *listen_tcp("127.0.0.1", 0)};
  std::string request;  // what the server was sent

  std::string port() const {
    auto address = listener.address();
    return address.substr(address.rfind(':') + 1);
  }
  std::string url(std::string_view scheme, std::string_view rest = "/") const {
    return fmt::format("{}://127.0.0.1:{}{}", scheme, port(), rest);
  }
};

// One connection: reads until `until` has come, answers in two parts, ends.
Task<Result<>> serve(World& world, std::string until, std::string answer) {
  CO_TRY_ASSIGN(auto fd, co_await world.listener.accept());
  Stream stream(world.loop, std::move(fd));
  std::array<char, 4096> chunk{};
  while (!world.request.contains(until)) {
    CO_TRY_ASSIGN(auto got, co_await stream.read(chunk, no_deadline));
    if (got == 0) break;
    world.request.append(chunk.data(), got);
  }
  CO_TRY(co_await stream.write_all(answer.substr(0, answer.size() / 2), no_deadline));
  co_await world.loop.turn_end();
  co_return co_await stream.write_all(answer.substr(answer.size() / 2), no_deadline);
}

Task<Result<>> serve_tls(World& world, const Certificate& certificate, std::string answer) {
  CO_TRY_ASSIGN(auto fd, co_await world.listener.accept());
  Stream stream(world.loop, std::move(fd));
  auto* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate.x509);
  SSL_CTX_use_PrivateKey(context, certificate.key);
  auto* session = SSL_new(context);
  SSL_CTX_free(context);
  SSL_set_accept_state(session);
  Tls tls(stream, session);
  CO_TRY(co_await tls.handshake(no_deadline));
  std::array<char, 4096> chunk{};
  while (!world.request.ends_with("body")) {
    CO_TRY_ASSIGN(auto got, co_await tls.read(chunk, no_deadline));
    if (got == 0) break;
    world.request.append(chunk.data(), got);
  }
  CO_TRY(co_await tls.write_all(answer, no_deadline));
  co_return co_await tls.finish(no_deadline);
}

Task<void> ignore(Task<Result<>> task) { (void)co_await std::move(task); }

Task<void> send_into(HttpClient& client, HttpRequest request, Deadline deadline,
                     std::stop_token stop, std::optional<Result<HttpAnswer>>& out) {
  out = co_await client.send(std::move(request), deadline, stop);
}

Result<HttpAnswer> exchange(World& world, HttpClient& client, HttpRequest request,
                            Task<Result<>> server) {
  TaskScope scope(world.loop);
  scope.spawn(ignore(std::move(server)));
  auto out = world.loop.run_until(client.send(std::move(request), no_deadline));
  world.loop.run_until(client.close());
  world.listener.cancel();
  world.loop.run_until(scope.close());
  return out;
}

Result<HttpAnswer> get(std::string answer, HttpRequest request = {}) {
  World world;
  HttpClient client(world.loop, world.workers);
  request.method = "GET";
  request.url = world.url("http");
  return exchange(world, client, std::move(request), serve(world, "\r\n\r\n", std::move(answer)));
}

}  // namespace

TEST_CASE("http client: what is sent and what comes back") {
  World world;
  HttpClient client(world.loop, world.workers);
  auto answer =
      exchange(world, client,
               {.url = fmt::format("http://me:secret@127.0.0.1:{}/a?b=c", world.port()),
                .headers = {{"X-One", "1"}},
                .body = "the body"},
               serve(world, "the body",
                     "HTTP/1.1 201 Created\r\nX-Two: 2\r\nContent-Length: 5\r\n\r\nhello"));
  REQUIRE(answer);
  CHECK(answer->status == 201);
  CHECK(answer->header("x-two") == "2");
  CHECK(answer->header("x-three").empty());
  CHECK(answer->body == "hello");
  CHECK(world.request == fmt::format("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-One: 1\r\n"
                                     "Authorization: Basic bWU6c2VjcmV0\r\nContent-Length: 8\r\n"
                                     "Connection: close\r\n\r\nthe body",
                                     world.port()));
}

TEST_CASE("http client: framings of answers") {
  CHECK(get("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            ->body == "abcde");
  CHECK(get("HTTP/1.1 200 OK\r\n\r\nuntil the end")->body == "until the end");
  CHECK(get("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")->status == 204);
  // A redirect is an answer.
  CHECK(get("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")->status == 302);
  CHECK(get("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").error().kind ==
        ErrorKind::unavailable);
  CHECK(get("").error().kind == ErrorKind::unavailable);
  CHECK(get("SSH-2.0-OpenSSH\r\n\r\n").error().kind == ErrorKind::corrupt);
}

TEST_CASE("http client: the body of an answer is bounded") {
  HttpRequest request;
  request.answer_bytes = 5;
  CHECK(get("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", request)->body == "abcde");
  CHECK(get("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", request).error().kind ==
        ErrorKind::too_large);
}

TEST_CASE("http client: refused, unknown, wrong") {
  World world;
  auto resolve = [](const std::string& host) -> Result<std::vector<std::string>> {
    if (host == "two.example") return std::vector<std::string>{"127.0.0.2", "127.0.0.1"};
    return fail(ErrorKind::unavailable, "not known");
  };
  HttpClient client(world.loop, world.workers, {.resolve = resolve});
  auto kind_of = [&](HttpRequest request) {
    return world.loop.run_until(client.send(std::move(request), no_deadline)).error().kind;
  };
  CHECK(kind_of({.url = "http://nobody.example/"}) == ErrorKind::unavailable);
  CHECK(kind_of({.url = "gopher://h/"}) == ErrorKind::invalid);
  CHECK(kind_of({.method = "A B", .url = world.url("http")}) == ErrorKind::invalid);
  CHECK(kind_of({.url = world.url("http"), .headers = {{"Host", "x"}}}) == ErrorKind::invalid);
  CHECK(kind_of({.url = world.url("http"), .headers = {{"a", "b\r\nc: d"}}}) == ErrorKind::invalid);
  // Of two addresses, the one that takes connections.
  auto answer = exchange(
      world, client, {.method = "GET", .url = fmt::format("http://two.example:{}/", world.port())},
      serve(world, "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"));
  REQUIRE(answer);
  CHECK(world.request.contains(fmt::format("Host: two.example:{}\r\n", world.port())));
  // Nobody listens on a port that was given back.
  std::string gone;
  {
    World other;
    gone = other.url("http");
  }
  CHECK(kind_of({.url = gone}) == ErrorKind::unavailable);
}

TEST_CASE("http client: a deadline and a stop end the exchange wherever it is") {
  World world;
  HttpClient client(world.loop, world.workers);
  TaskScope scope(world.loop);
  std::optional<Result<HttpAnswer>> late;
  std::optional<Result<HttpAnswer>> stopped;
  std::stop_source stop;
  scope.spawn(send_into(client, {.url = world.url("http")},
                        world.loop.now() + std::chrono::seconds(15), {}, late));
  scope.spawn(
      send_into(client, {.url = world.url("https")}, no_deadline, stop.get_token(), stopped));
  world.loop.run_ready();
  CHECK_FALSE(late);
  world.clock.advance(std::chrono::seconds(15));
  world.loop.run_ready();
  REQUIRE(late);
  CHECK(late->error().kind == ErrorKind::timeout);
  CHECK_FALSE(stopped);
  stop.request_stop();
  world.loop.run_ready();
  REQUIRE(stopped);
  CHECK(stopped->error().kind == ErrorKind::cancelled);
  world.loop.run_until(scope.close());
}

TEST_CASE("http client: https trusts a known certificate of the host alone") {
  Certificate ours("IP:127.0.0.1,DNS:ours.example", temporary("mayfly-ours"));
  const auto* answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  auto resolve = [](const std::string&) -> Result<std::vector<std::string>> {
    return std::vector<std::string>{"127.0.0.1"};
  };
  auto ask = [&](HttpClient::Options options, std::string_view host) {
    World world;
    HttpClient client(world.loop, world.workers, std::move(options));
    auto url = fmt::format("https://{}:{}/", host, world.port());
    return exchange(world, client, {.url = url, .body = "the body"},
                    serve_tls(world, ours, answer));
  };
  for (const auto* host : {"127.0.0.1", "ours.example"}) {
    auto got = ask({.ca_file = ours.file, .resolve = resolve}, host);
    REQUIRE_MESSAGE(got, got.error().message);
    CHECK(got->body == "ok");
  }
  auto other_name = ask({.ca_file = ours.file, .resolve = resolve}, "theirs.example");
  REQUIRE_FALSE(other_name);
  CHECK(other_name.error().kind == ErrorKind::unavailable);
  CHECK(other_name.error().reason == "certificate");
  auto unknown = ask({.resolve = resolve}, "ours.example");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().reason == "certificate");
  auto no_file = ask({.ca_file = "/nonexistent.pem", .resolve = resolve}, "ours.example");
  REQUIRE_FALSE(no_file);
  CHECK(no_file.error().kind == ErrorKind::invalid);
}
