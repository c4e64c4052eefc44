// The channel to a web server, over real sockets of this machine's loopback and by a clock that is
// moved by hand.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <deque>

#include "base/limits.h"
#include "guest/lambda/web_event.h"
#include "guest/web.h"
#include "sim/manual_clock.h"
#include "wire/json.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

// Answers each request with the next of its replies, as bytes; an empty one ends the connection. It
// counts connections and keeps what it was asked.
class ScriptedServer {
 public:
  explicit ScriptedServer(io::Loop& loop)
      : loop_(loop), listener_(loop, *io::listen_tcp("127.0.0.1", 0)), tasks_(loop) {
    tasks_.spawn(accept());
  }
  ~ScriptedServer() {
    listener_.cancel();
    tasks_.request_stop();
    loop_.run_until(tasks_.close());
  }
  std::uint16_t port() const {
    std::string address = listener_.address();
    return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }

  std::deque<std::string> replies;
  std::vector<std::string> requests;
  int connections = 0;
  bool holds = false;  // requests wait for release()
  void release(std::function<std::string(const std::string&)> reply) {
    holds = false;
    answer_ = std::move(reply);
    released_.wake_all();
  }

 private:
  io::Task<void> accept() {
    while (true) {
      auto fd = co_await listener_.accept(tasks_.stop_token());
      if (!fd) co_return;
      ++connections;
      tasks_.spawn(serve(std::move(*fd)));
    }
  }
  static std::size_t whole(const std::string& bytes) {
    auto end = bytes.find("\r\n\r\n");
    if (end == bytes.npos) return 0;
    auto at = bytes.find("content-length: ");
    std::size_t length = at < end ? std::stoul(bytes.substr(at + 16)) : 0;
    return bytes.size() >= end + 4 + length ? end + 4 + length : 0;
  }
  io::Task<void> serve(io::Fd fd) {
    io::Stream stream(loop_, std::move(fd));
    std::string bytes;
    std::array<char, 4096> buffer{};
    while (true) {
      while (whole(bytes) == 0) {
        auto got = co_await stream.read(buffer, no_deadline, tasks_.stop_token());
        if (!got || *got == 0) co_return;
        bytes.append(buffer.data(), *got);
      }
      std::size_t length = whole(bytes);
      requests.push_back(bytes.substr(0, length));
      std::string request = bytes.substr(0, length);
      bytes.erase(0, length);
      if (holds) {
        if (co_await released_.park(no_deadline, tasks_.stop_token()) != io::Wake::notified) {
          co_return;
        }
        replies.push_front(answer_(request));
      }
      if (replies.empty()) co_return;
      std::string reply = std::move(replies.front());
      replies.pop_front();
      if (reply.empty()) co_return;
      bool cut = reply.ends_with("<end>");
      if (cut) reply.resize(reply.size() - 5);
      if (!co_await stream.write_all(reply, no_deadline, tasks_.stop_token()) || cut) co_return;
    }
  }

  io::Loop& loop_;
  io::Listener listener_;
  io::ParkingLot released_{loop_};
  std::function<std::string(const std::string&)> answer_;
  io::TaskScope tasks_;
};

std::string reply(std::string_view body, std::string_view more = "") {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}\r\n{}", body.size(),
      more, body);
}

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  ScriptedServer server{loop};
  WebServer settings;
  int several = 1;
  std::unique_ptr<GuestChannel> channel;
  io::TaskScope tasks{loop};

  House() { settings.port = settings.ready_port = server.port(); }
  ~House() { loop.run_until(tasks.close()); }
  void open() {
    std::vector<io::Fd> sockets;
    for (int i = 0; i < web_sockets(several > 1); ++i) {
      sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    channel = make_web_channel(loop, settings, {}, std::move(sockets));
    if (several > 1) channel->share(several);
  }
  void ready() {
    open();
    server.replies.push_front(reply("ready"));
    auto init = loop.run_until(channel->wait_init(loop.now() + 10s));
    REQUIRE(init);
    REQUIRE(init->ok);
    server.requests.clear();
    server.connections = 0;
  }
  static InvokeRequest event(std::string payload = "{}") {
    InvokeRequest out;
    out.request_id = "r";
    out.payload = std::move(payload);
    return out;
  }
  Result<InvokeReply> invoke(const InvokeRequest& request) {
    return loop.run_until(channel->invoke(request, loop.now() + 3s));
  }
  Result<InvokeReply> invoke() { return invoke(event()); }
  // Moves time until the task is done.
  template <class T>
  T awaited(io::Task<T> task) {
    std::optional<T> out;
    tasks.spawn(keep(std::move(task), out));
    while (!out) {
      loop.run_ready();
      clock.advance(5ms);
    }
    return std::move(*out);
  }
  template <class T>
  static io::Task<void> keep(io::Task<T> task, std::optional<T>& out) {
    out = co_await std::move(task);
  }
};

TEST_CASE("a server is asked until it says that it is well") {
  House house;
  house.settings.ready_path = "/health";
  house.server.replies = {"", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", reply("ok")};
  house.open();
  auto init = house.awaited(house.channel->wait_init(house.loop.now() + 10s));
  REQUIRE(init);
  CHECK(init->ok);
  REQUIRE(house.server.requests.size() == 3);
  CHECK(house.server.requests[2].starts_with("GET /health HTTP/1.1\r\n"));
}

TEST_CASE("by tcp it is ready when it takes connections") {
  House house;
  house.settings.ready_by_tcp = true;
  house.open();
  auto init = house.loop.run_until(house.channel->wait_init(house.loop.now() + 10s));
  REQUIRE(init);
  CHECK(init->ok);
  CHECK(house.server.requests.empty());
}

TEST_CASE("a server that is never ready") {
  House house;
  house.settings.healthy = {{{299, 299}}};
  for (int i = 0; i < 3000; ++i) house.server.replies.push_back(reply("x"));
  SUBCASE("ends the init when its time is over") {
    house.open();
    auto init = house.awaited(house.channel->wait_init(house.loop.now() + 1s));
    REQUIRE_FALSE(init);
    CHECK(init.error().kind == ErrorKind::timeout);
  }
  SUBCASE("fails the init where it has a time of its own") {
    house.settings.ready_time = 500ms;
    house.open();
    auto init = house.awaited(house.channel->wait_init(house.loop.now() + 1s));
    REQUIRE(init);
    CHECK_FALSE(init->ok);
    CHECK(init->error_type == "Web.NotReady");
    CHECK(init->error_payload.find("within 0.5 seconds") != std::string::npos);
  }
  SUBCASE("goes on in the first call where that is asked for") {
    house.settings.async_init = true;
    house.open();
    auto init = house.awaited(house.channel->wait_init(house.loop.now() + 1s));
    REQUIRE(init);
    CHECK(init->ok);
    house.server.replies = {"HTTP/1.1 299 Ok\r\nContent-Length: 0\r\n\r\n", reply("done")};
    auto request = House::event();
    auto answered = house.awaited(house.channel->invoke(request, house.loop.now() + 3s));
    REQUIRE(answered);
    CHECK(answered->payload == "\"done\"");
  }
}

TEST_CASE("an event is a request, and connections are used again for as long as agreed") {
  House house;
  house.ready();
  house.server.replies = {reply("one"), reply("two"), reply("three"),
                          reply("four", "Connection: close\r\n"), reply("five")};
  CHECK(house.invoke()->payload == "\"one\"");
  CHECK(house.invoke()->payload == "\"two\"");
  CHECK(house.server.connections == 1);
  house.clock.advance(house.settings.keep_alive);
  CHECK(house.invoke()->payload == "\"three\"");
  CHECK(house.server.connections == 2);
  CHECK(house.invoke()->payload == "\"four\"");
  CHECK(house.invoke()->payload == "\"five\"");
  CHECK(house.server.connections == 3);
  CHECK(house.server.requests[0].starts_with("POST /events HTTP/1.1\r\n"));
  CHECK(house.server.requests[0].ends_with("\r\n\r\n{}"));
}

TEST_CASE("several events at one time are requests on connections of their own") {
  House house;
  house.several = 8;
  house.ready();
  house.server.holds = true;
  std::vector<std::optional<Result<InvokeReply>>> answers(5);
  std::vector<InvokeRequest> events;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    events.push_back(House::event(fmt::format("{{\"n\":{}}}", i)));
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    house.tasks.spawn(House::keep(house.channel->invoke(events[i], no_deadline), answers[i]));
  }
  for (int turn = 0; turn < 500 && house.server.requests.size() < 5; ++turn) house.loop.run_ready();
  REQUIRE(house.server.requests.size() == 5);
  CHECK(house.server.connections == 5);
  for (const auto& answer : answers) CHECK_FALSE(answer);
  house.server.release(
      [](const std::string& request) { return reply(request.substr(request.rfind("\r\n") + 2)); });
  for (int turn = 0; turn < 500 && !std::ranges::all_of(
                                       answers, [](const auto& one) { return one.has_value(); });
       ++turn) {
    house.loop.run_ready();
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    REQUIRE(answers[i]);
    REQUIRE(*answers[i]);
    CHECK((*answers[i])->payload == fmt::format("{{\"n\":{}}}", i));
  }
  // The connections are used again.
  house.server.replies = {reply("one"), reply("two")};
  CHECK(house.invoke()->payload == "\"one\"");
  CHECK(house.invoke()->payload == "\"two\"");
  CHECK(house.server.connections == 5);
}

TEST_CASE("bodies come by length, in chunks, until the end, and behind interim responses") {
  House house;
  house.ready();
  house.server.replies = {
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + reply("interim"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n4\r\nnked\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nuntil the end<end>", reply("next")};
  CHECK(house.invoke()->payload == "\"interim\"");
  CHECK(house.invoke()->payload == "\"chunked\"");
  CHECK(house.invoke()->payload == "\"until the end\"");
  CHECK(house.invoke()->payload == "\"next\"");
}

TEST_CASE("responses that are none, or not whole, fail the call and not the channel") {
  House house;
  house.ready();
  for (const char* bad :
       {"", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx<end>",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    INFO(bad);
    house.server.replies = {bad};
    auto request = House::event();
    auto answered = house.awaited(house.channel->invoke(request, house.loop.now() + 3s));
    REQUIRE(answered);
    CHECK(answered->is_error);
    CHECK(answered->error_type == "Web.ConnectionFailed");
    house.server.replies = {reply("well")};
    CHECK(house.invoke()->payload == "\"well\"");
  }
}

TEST_CASE("a connection that ends with its program is the program's end") {
  House house;
  house.ready();
  house.server.replies = {""};
  auto request = House::event();
  std::optional<Result<InvokeReply>> out;
  house.tasks.spawn(House::keep(house.channel->invoke(request, house.loop.now() + 1h), out));
  for (int turn = 0; turn < 50; ++turn) house.loop.run_ready();
  CHECK_FALSE(out);
  house.channel->cancel();
  house.loop.run_ready();
  REQUIRE(out);
  REQUIRE_FALSE(*out);
  CHECK((*out).error().kind == ErrorKind::cancelled);
}

TEST_CASE("statuses may fail the call") {
  House house;
  house.settings.errors = {{{500, 599}}};
  house.ready();
  house.server.replies = {"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", reply("well")};
  auto answered = house.invoke();
  REQUIRE(answered);
  CHECK(answered->is_error);
  CHECK(answered->error_type == "Web.ErrorStatus");
  CHECK(house.invoke()->payload == "\"well\"");
}

TEST_CASE("an answer is as large as it may be, and no larger") {
  House house;
  house.ready();
  // Two quotes around a text.
  std::string most(limits::invoke_sync_payload_bytes + limits::invoke_response_slack_bytes - 2,
                   'x');
  house.server.replies = {reply(most), reply(most + "x"), reply("well")};
  auto fits = house.invoke();
  REQUIRE(fits);
  CHECK(fits->payload.size() == most.size() + 2);
  auto large = house.invoke();
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
  CHECK(house.invoke()->payload == "\"well\"");
}

TEST_CASE("a call ends at its deadline, and when the channel is cancelled") {
  House house;
  house.ready();
  house.server.replies = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"};
  auto request = House::event();
  auto late = house.awaited(house.channel->invoke(request, house.loop.now() + 1s));
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::timeout);
  house.server.replies = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"};
  std::optional<Result<InvokeReply>> out;
  house.tasks.spawn(House::keep(house.channel->invoke(request, house.loop.now() + 1h), out));
  for (int turn = 0; turn < 50; ++turn) house.loop.run_ready();
  house.channel->cancel();
  house.loop.run_ready();
  REQUIRE(out);
  REQUIRE_FALSE(*out);
  CHECK((*out).error().kind == ErrorKind::cancelled);
}

const std::string url_event =
    R"({"version":"2.0","rawPath":"/s","requestContext":{"http":{"method":"GET"}}})";

io::Task<std::string> drain(std::shared_ptr<AnswerStream> stream) {
  std::string out;
  while (true) {
    auto part = co_await stream->flow.next();
    if (!part) co_return out + "<broken>";
    if (part->empty()) co_return out;
    out += *part;
  }
}

TEST_CASE("a streamed response has its head, its bytes and an end") {
  House house;
  house.settings.streams = true;
  house.ready();
  std::string body(300'000, 'b');
  house.server.replies = {reply(body), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx<end>"};
  for (bool whole : {true, false}) {
    auto request = House::event(url_event);
    request.stream = std::make_shared<AnswerStream>(house.loop);
    std::optional<std::string> taken;
    house.tasks.spawn(House::keep(drain(request.stream), taken));
    auto answered = house.awaited(house.channel->invoke(request, house.loop.now() + 60s));
    REQUIRE(answered);
    CHECK(request.stream->content_type == web_prelude_type);
    if (whole) {
      CHECK_FALSE(answered->is_error);
      CHECK(answered->streamed);
      house.loop.run_ready();
      REQUIRE(taken);
      auto end = taken->find('\0');
      CHECK(wire::parse_json(taken->substr(0, end))->int_or("statusCode", 0) == 200);
      CHECK(taken->substr(end + 8) == body);
    } else {
      CHECK(answered->is_error);
      request.stream->flow.break_off({ErrorKind::unavailable, "", {}});
      house.loop.run_ready();
    }
  }
}

TEST_CASE("a streamed response is collected where nobody takes a stream") {
  House house;
  house.settings.streams = true;
  house.ready();
  house.server.replies = {reply("body"), reply("passed")};
  auto answered = house.invoke(House::event(url_event));
  REQUIRE(answered);
  CHECK(answered->streamed);
  CHECK(answered->content_type == web_prelude_type);
  CHECK(answered->payload.ends_with(std::string(8, '\0') + "body"));
  auto passed = house.invoke();
  REQUIRE(passed);
  CHECK(passed->content_type == "text/plain");
  CHECK(passed->payload == "passed");
}

}  // namespace
}  // namespace mayfly::guest
