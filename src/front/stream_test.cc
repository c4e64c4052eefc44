// Streamed answers on a connection: their framing, a client that is slow, silent or gone, and a
// body that breaks off.
#include "front/front_test_world.h"

using namespace mayfly;
using namespace mayfly::front;
using namespace mayfly::front::test;
using namespace std::chrono_literals;

namespace {

// A body whose parts a test pushes. Outlived by the flow.
struct Body final : io::BodySource {
  explicit Body(std::shared_ptr<io::Flow> of) : flow(std::move(of)) {}
  ~Body() override { flow->leave(); }
  io::Task<Result<std::string>> next(std::stop_token stop) override {
    co_return co_await flow->next(std::move(stop));
  }
  std::shared_ptr<io::Flow> flow;
};

struct Stage {
  World world;
  std::shared_ptr<io::Flow> flow = std::make_shared<io::Flow>(world.loop);
  int status = 200;

  Stage() {
    world.front->add_path("/stream", [this](const Request&) { return answer(*this); });
  }
  static io::Task<Response> answer(Stage& stage) {
    co_return Response{.status = stage.status,
                       .headers = {{"Content-Type", "text/plain"}, {"Content-Length", "7"}},
                       .body = {},
                       .stream = std::make_unique<Body>(stage.flow)};
  }
  void push(std::string_view bytes, Client& to) {
    flow->push(bytes);
    to.settle();
  }
};

std::string get(std::string_view more = {}, std::string_view version = "1.1",
                std::string_view method = "GET") {
  return fmt::format("{} /stream HTTP/{}\r\nHost: localhost\r\n{}\r\n", method, version, more);
}

}  // namespace

TEST_CASE("a streamed answer comes in chunks, each as it is made, and the connection goes on") {
  Stage stage;
  Client client(stage.world);
  std::string head = client.ask(get());
  CHECK(status_of(head) == 200);
  CHECK(has(head, "\r\nTransfer-Encoding: chunked\r\n"));
  CHECK(!has(head, "Content-Length"));
  CHECK(body_of(head).empty());
  stage.push("hello", client);
  CHECK(client.take() == "5\r\nhello\r\n");
  stage.push(std::string(70'000, 'x'), client);
  std::string big = client.take();
  CHECK(big.starts_with("11170\r\nxxx"));
  CHECK(big.size() == 70'000 + 9);
  stage.flow->end();
  CHECK(client.take() == "0\r\n\r\n");
  CHECK(!client.ended);
  CHECK(has(client.ask("GET /_mayfly/health HTTP/1.1\r\nHost: localhost\r\n\r\n"), "raw:"));
}

TEST_CASE("an empty streamed answer is one last chunk") {
  Stage stage;
  stage.flow->end();
  Client client(stage.world);
  CHECK(client.ask(get()).ends_with("\r\n\r\n0\r\n\r\n"));
}

TEST_CASE("pipelined requests wait for the stream before them") {
  Stage stage;
  Client client(stage.world);
  client.send(get() + "GET /_mayfly/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(!has(client.take(), "raw:"));
  stage.flow->end();
  std::string rest = client.take();
  CHECK(rest.starts_with("0\r\n\r\nHTTP/1.1 200 "));
  CHECK(has(rest, "raw:"));
}

TEST_CASE("a body that breaks off leaves its chunks without an end") {
  Stage stage;
  Client client(stage.world);
  client.send(get());
  stage.push("hel", client);
  stage.flow->break_off({ErrorKind::unavailable, "broken", {}});
  CHECK(client.take().ends_with("3\r\nhel\r\n"));
  CHECK(client.ended);
}

TEST_CASE("HTTP/1.0 gets the bytes until the end of the connection") {
  Stage stage;
  Client client(stage.world);
  client.send(get("Connection: keep-alive\r\n", "1.0"));
  stage.push("hello", client);
  CHECK(!client.ended);
  stage.flow->end();
  std::string answer = client.take();
  CHECK(body_of(answer) == "hello");
  CHECK(!has(answer, "Transfer-Encoding"));
  CHECK(!has(answer, "Content-Length"));
  CHECK(has(answer, "Connection: close"));
  CHECK(client.ended);
}

TEST_CASE("HTTP/1.0 is told of a break by a reset") {
  Stage stage;
  Client client(stage.world);
  client.send(get({}, "1.0"));
  stage.push("hello", client);
  CHECK(body_of(client.take()) == "hello");
  stage.flow->break_off({ErrorKind::unavailable, "broken", {}});
  client.settle();
  auto sent = stage.world.loop.run_until(client.stream.write_all("x", no_deadline));
  CHECK(!sent);  // after a mere end, a write would have gone out
}

TEST_CASE("HEAD and statuses without a body take none of the stream") {
  for (auto [method, status] : {std::pair("HEAD", 200), std::pair("GET", 204)}) {
    Stage stage;
    stage.status = status;
    stage.flow->push("unwanted");
    Client client(stage.world);
    std::string answer = client.ask(get({}, "1.1", method));
    CHECK(status_of(answer) == status);
    CHECK(body_of(answer).empty());
    CHECK(has(answer, "Transfer-Encoding") == (status == 200));
    CHECK(stage.flow->left());
    CHECK(!client.ended);
    CHECK(has(client.ask("GET /_mayfly/health HTTP/1.1\r\nHost: localhost\r\n\r\n"), "raw:"));
  }
}

TEST_CASE("a maker waits while the client takes nothing, and is let go when that lasts too long") {
  Stage stage;
  Client client(stage.world);
  auto sent = stage.world.loop.run_until(client.stream.write_all(get(), no_deadline));
  REQUIRE(sent.has_value());
  // Until no more is taken: what is on its way is bounded by buffers.
  std::string piece(64 * limits::kib, 'x');
  std::uint64_t pushed = 0;
  for (int idle = 0; idle < 20; ++idle) {
    while (stage.flow->waiting() == 0 && pushed < 200 * limits::mib) {
      stage.flow->push(piece);
      pushed += piece.size();
      stage.world.loop.run_ready();
      idle = 0;
    }
    stage.world.loop.run_ready();
    std::this_thread::sleep_for(300us);
  }
  CHECK(pushed < 32 * limits::mib);
  CHECK(stage.flow->waiting() == piece.size());
  // Any progress counts anew.
  stage.world.clock.advance(limits::http_write_idle_time - 1s);
  std::vector<char> some(8 * limits::mib);
  std::size_t taken = 0;
  for (int round = 0; round < 40 && stage.flow->waiting() > 0; ++round) {
    auto got = client.stream.read_some(some);
    if (got && *got) taken += **got;
    stage.world.loop.run_ready();
    std::this_thread::sleep_for(300us);
  }
  CHECK(taken > 0);
  CHECK(stage.flow->waiting() == 0);
  stage.flow->push(std::string(64 * limits::mib, 'y'));
  stage.world.loop.run_ready();
  stage.world.clock.advance(2s);
  stage.world.loop.run_ready();
  CHECK(!stage.flow->left());
  stage.world.clock.advance(limits::http_write_idle_time);
  stage.world.loop.run_ready();
  CHECK(stage.flow->left());
}

TEST_CASE("a client that is gone is noticed while the next part is waited for") {
  Stage stage;
  {
    Client client(stage.world);
    client.send(get());
    stage.push("hello", client);
    client.stream.reset_on_close();
  }
  for (int i = 0; i < 200 && !stage.flow->left(); ++i) {
    stage.world.loop.run_ready();
    std::this_thread::sleep_for(300us);
  }
  CHECK(stage.flow->left());
  CHECK(stage.flow->taken() == 5);
}

TEST_CASE("a client that only ends its own side gets the whole answer") {
  Stage stage;
  Client client(stage.world);
  client.send(get());
  client.stream.shutdown_write();
  client.settle();
  stage.push("hello", client);
  stage.flow->end();
  CHECK(client.take().ends_with("5\r\nhello\r\n0\r\n\r\n"));
}

TEST_CASE("close() and a removed listener end streams that nobody ends") {
  for (bool remove : {false, true}) {
    Stage stage;
    Client client(stage.world);
    client.send(get());
    io::TaskScope scope(stage.world.loop);
    if (remove) {
      stage.world.front->remove_listener(stage.world.door);
    } else {
      scope.spawn(stage.world.front->close(stage.world.clock.mono() + 10s));
      client.settle();
      CHECK(!client.ended);
      stage.world.clock.advance(11s);
    }
    client.settle();
    CHECK(client.ended);
    CHECK(stage.flow->left());
    CHECK(scope.running() == 0);
  }
}

TEST_CASE("an operation's stream is the body of its answer, and the call lasts as long") {
  World world;
  auto flow = std::make_shared<io::Flow>(world.loop);
  api::Service lambda;
  lambda.model = &api::lambda::model;
  auto handler = [](std::shared_ptr<io::Flow> from,
                    api::Call& call) -> io::Task<api::ApiResult<wire::Record>> {
    api::lambda::InvokeWithResponseStreamResponse out;
    out.set_status_code(200).set_executed_version("7");
    call.stream = std::make_unique<Body>(std::move(from));
    co_return std::move(out).take();
  };
  lambda.handlers.emplace("InvokeWithResponseStream", [&](api::Call& call, const wire::Record&) {
    return handler(flow, call);
  });
  auto front =
      make_front({world.loop, world.random, *world.guard, world.seen, World::dev_settings()});
  front->add_service(std::move(lambda));
  auto fd = io::listen_tcp("127.0.0.1", 0);
  REQUIRE(fd.has_value());
  std::string address = io::address_of(*fd);
  front->add_listener(std::move(*fd), InstanceId());
  world.port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  Client client(world);
  std::string head = client.ask(
      fmt::format("POST /2021-11-15/functions/f/response-streaming-invocations HTTP/1.1\r\n"
                  "Host: localhost:4566\r\n{}Content-Length: 0\r\n\r\n",
                  dev_auth("lambda")));
  CHECK(status_of(head) == 200);
  CHECK(has(head, "Content-Type: application/vnd.amazon.eventstream\r\n"));
  CHECK(has(head, "X-Amz-Executed-Version: 7\r\n"));
  CHECK(body_of(head).empty());
  CHECK(world.seen.calls.empty());
  flow->push("x");
  CHECK(client.take() == "1\r\nx\r\n");
  flow->end();
  CHECK(client.take() == "0\r\n\r\n");
  CHECK(world.seen.calls == std::vector<std::string>{"lambda InvokeWithResponseStream 200 "});
  world.loop.run_until(front->close(world.clock.mono()));
}
