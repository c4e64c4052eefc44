// The life of connections: framing, limits and times, over real sockets and a clock moved by hand.
#include "front/front_test_world.h"

using namespace mayfly;
using namespace mayfly::front;
using namespace mayfly::front::test;
using namespace std::chrono_literals;

TEST_CASE("one connection serves request after request") {
  World world;
  Client client(world);
  for (int i = 0; i < 3; ++i) {
    std::string answer = client.ask(invoke_request(fmt::format("{}", i)));
    CHECK(status_of(answer) == 200);
    CHECK(body_of(answer) == fmt::format("\"{}\"", i));
    CHECK(has(answer, "\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"));
    CHECK(has(answer, "x-amzn-RequestId: "));
    CHECK(!has(answer, "Connection: close"));
  }
  CHECK(!client.ended);
}

TEST_CASE("pipelined requests are answered in order, one at a time") {
  World world;
  world.gate.reset();
  Client client(world);
  client.send(invoke_request("a") + invoke_request("b") + invoke_request("c"));
  CHECK(world.invoked.size() == 1);
  world.gate.set();
  std::string answers = client.take();
  CHECK(world.invoked == std::vector<std::string>{"f:a", "f:b", "f:c"});
  std::size_t a = answers.find("\"a\"");
  std::size_t b = answers.find("\"b\"");
  std::size_t c = answers.find("\"c\"");
  CHECK(c != std::string::npos);
  CHECK(a < b);
  CHECK(b < c);
}

TEST_CASE("a request split into single bytes") {
  World world;
  Client client(world);
  std::string bytes = invoke_request("hello");
  for (char c : bytes) {
    auto sent = world.loop.run_until(client.stream.write_all({&c, 1}, no_deadline));
    REQUIRE(sent.has_value());
    world.loop.run_ready();
  }
  CHECK(body_of(client.take()) == "\"hello\"");
}

TEST_CASE("chunked requests, and the request behind them") {
  World world;
  Client client(world);
  std::string chunked = "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\n" +
                        dev_auth("lambda") +
                        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  client.send(chunked + invoke_request("next"));
  client.settle();
  CHECK(world.invoked == std::vector<std::string>{"f:abcde", "f:next"});
  std::string refused = client.ask(chunked.substr(0, chunked.find("3\r\n")) + "zz\r\n");
  CHECK(has(refused, " 400 "));
  CHECK(client.ended);
}

TEST_CASE("what follows a chunked body may be more than the connection's buffer holds") {
  World world;
  Client client(world);
  client.send("POST /2015-03-31/functions/first/invocations HTTP/1.1\r\nHost: localhost\r\n" +
              dev_auth("lambda") + "Transfer-Encoding: chunked\r\n\r\n");
  std::string rest = "3\r\nabc\r\n0\r\n\r\n";
  std::vector<std::string> expected{"first:abc"};
  for (int i = 0; i < 40; ++i) {
    std::string body = fmt::format("{}", i);
    rest += invoke_request(body);
    expected.push_back("f:" + body);
  }
  client.send(rest);
  client.settle();
  CHECK(world.invoked == expected);
}

TEST_CASE("Connection: close and HTTP/1.0 end the connection after the answer") {
  World world;
  Client closing(world);
  std::string answer = closing.ask(invoke_request("x", "f", "Connection: close\r\n"));
  CHECK(has(answer, "Connection: close"));
  CHECK(closing.ended);
  Client old(world);
  answer = old.ask("GET /_mayfly/health HTTP/1.0\r\n\r\n");
  CHECK(status_of(answer) == 200);
  CHECK(old.ended);
  Client kept(world);
  answer = kept.ask("GET /_mayfly/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(has(answer, "Connection: keep-alive"));
  CHECK(!kept.ended);
}

TEST_CASE("HEAD is answered with the length alone") {
  World world;
  Client client(world);
  std::string answer = client.ask("HEAD /_mayfly/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(has(answer, "Content-Length: 4\r\n"));
  CHECK(body_of(answer).empty());
}

TEST_CASE("Expect: 100-continue is answered only when the body is wanted") {
  World world;
  Client client(world);
  std::string whole = invoke_request("body", "f", "Expect: 100-continue\r\n");
  std::string head = whole.substr(0, whole.size() - 4);
  CHECK(client.ask(head) == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(world.invoked.empty());
  CHECK(body_of(client.ask("body")) == "\"body\"");

  Client stranger(world);
  std::string refused = head;
  refused.replace(refused.find("=test/"), 6, "=AKIA/");
  std::string answer = stranger.ask(refused);
  CHECK(status_of(answer) == 403);
  CHECK(!has(answer, "100 Continue"));
  CHECK(stranger.ended);

  Client large(world);
  std::string announced = head;
  announced.replace(announced.find("Content-Length: 4"), 17, "Content-Length: 99000000");
  answer = large.ask(announced);
  CHECK(status_of(answer) == 413);
  CHECK(has(answer, "RequestTooLargeException"));

  Client odd(world);
  CHECK(status_of(odd.ask(invoke_request("x", "f", "Expect: cake\r\n"))) == 417);
}

TEST_CASE("a bad head is refused and the connection closed") {
  World world;
  Client client(world);
  std::string answer = client.ask("GET / HTTP/1.1\r\n\r\n");
  CHECK(status_of(answer) == 400);
  CHECK(has(answer, "the Host field is missing"));
  CHECK(has(answer, "Connection: close"));
  CHECK(client.ended);
}

TEST_CASE("a head that does not end is cut off in time, however it drips") {
  World world;
  Client client(world);
  client.send("GET / HT");
  for (int i = 0; i < 9; ++i) {
    world.clock.advance(1s);
    client.send("T");
    CHECK(!client.ended);
  }
  world.clock.advance(2s);
  std::string answer = client.take();
  CHECK(status_of(answer) == 408);
  CHECK(client.ended);
}

TEST_CASE("silent connections are closed: fresh ones and kept ones") {
  World world;
  Client fresh(world);
  Client kept(world);
  fresh.settle();
  kept.ask(invoke_request("x"));
  world.clock.advance(limits::http_keep_alive_time - 1s);
  fresh.settle();
  kept.settle();
  CHECK(!fresh.ended);
  CHECK(!kept.ended);
  world.clock.advance(2s);
  CHECK(fresh.take().empty());
  CHECK(kept.take().empty());
  CHECK(fresh.ended);
  CHECK(kept.ended);
}

TEST_CASE("a body that stops or drips is cut off") {
  World world;
  std::string whole = invoke_request(std::string(100'000, 'x'));
  Client stalled(world);
  stalled.send(whole.substr(0, 5000));
  world.clock.advance(limits::http_body_idle_time + 1s);
  CHECK(status_of(stalled.take()) == 408);

  Client dripping(world);
  dripping.send(whole.substr(0, 5000));
  for (int i = 0; i < 30 && !dripping.ended; ++i) {
    world.clock.advance(5s);
    (void)world.loop.run_until(dripping.stream.write_all("x", no_deadline));
    dripping.settle();
  }
  CHECK(status_of(dripping.take()) == 408);
  CHECK(dripping.ended);
  CHECK(world.invoked.empty());
}

TEST_CASE("a client that ends its side gets its answer; one that is gone harms nobody") {
  World world;
  Client half(world);
  world.gate.reset();
  half.send(invoke_request("half"));
  half.stream.shutdown_write();
  half.settle();
  {
    Client gone(world);
    gone.send(invoke_request("gone"));
    CHECK(world.invoked.size() == 2);
  }
  world.gate.set();
  CHECK(body_of(half.take()) == "\"half\"");
  CHECK(half.ended);
  CHECK(world.finished == 2);
  Client next(world);
  CHECK(status_of(next.ask(invoke_request("x"))) == 200);
  Client cut(world);
  cut.send(invoke_request("12345").substr(0, 300));
  cut.stream.shutdown_write();
  cut.settle();
  CHECK(cut.ended);
}

TEST_CASE("a client that does not read is cut off") {
  World world;
  world.big = std::string(32 * limits::mib, 'x');
  Client client(world);
  auto sent =
      world.loop.run_until(client.stream.write_all(invoke_request("{}", "big"), no_deadline));
  REQUIRE(sent.has_value());
  for (int i = 0; i < 20; ++i) {
    world.loop.run_ready();
    std::this_thread::sleep_for(1ms);
  }
  CHECK(world.finished == 1);
  world.clock.advance(limits::http_write_idle_time + 1s);
  world.loop.run_ready();
  client.settle();
  CHECK(client.ended);
  CHECK(client.got.size() < world.big.size());

  Client reading(world);
  reading.send(invoke_request("{}", "big"));
  CHECK(body_of(reading.take()).size() == world.big.size());
}

TEST_CASE("connections beyond the limit are turned away with 503") {
  Settings settings = World::dev_settings();
  settings.max_connections = 2;
  World world(settings);
  Client one(world);
  {
    Client two(world);
    CHECK(status_of(two.ask(invoke_request("x"))) == 200);
    Client three(world);
    std::string answer = three.take();
    CHECK(status_of(answer) == 503);
    CHECK(three.ended);
  }
  one.settle();
  Client four(world);
  CHECK(status_of(four.ask(invoke_request("x"))) == 200);
}

TEST_CASE("bodies beyond the memory for all of them are refused before they are read") {
  Settings settings = World::dev_settings();
  settings.max_body_bytes_total = 100'000;
  World world(settings);
  std::string body(60'000, 'x');
  Client fits(world);
  CHECK(status_of(fits.ask(invoke_request(body))) == 200);
  CHECK(status_of(fits.ask(invoke_request(body))) == 200);
  Client large(world);
  std::string head = invoke_request(std::string(200'000, 'x'));
  std::string answer = large.ask(head.substr(0, head.find("\r\n\r\n") + 4));
  CHECK(status_of(answer) == 503);
  CHECK(large.ended);
  Client holding(world);
  world.gate.reset();
  holding.send(invoke_request(body));
  Client waiting(world);
  CHECK(status_of(waiting.ask(invoke_request(body))) == 503);
}

TEST_CASE("a refused small body is read away and the connection goes on") {
  World world;
  Client client(world);
  std::string refused = invoke_request("1234567890");
  refused.replace(refused.find("=test/"), 6, "=AKIA/");
  CHECK(status_of(client.ask(refused)) == 403);
  CHECK(!client.ended);
  CHECK(body_of(client.ask(invoke_request("x"))) == "\"x\"");
}

TEST_CASE("close() ends idle connections, waits for running requests, then cuts them") {
  World world;
  Client idle(world);
  Client busy(world);
  idle.settle();
  world.gate.reset();
  busy.send(invoke_request("x"));
  io::TaskScope scope(world.loop);
  scope.spawn(world.front->close(world.clock.mono() + 10s));
  idle.settle();
  CHECK(idle.ended);
  busy.settle();
  CHECK(!busy.ended);
  CHECK(scope.running() == 1);
  world.gate.set();
  std::string answer = busy.take();
  CHECK(has(answer, "Connection: close"));
  CHECK(body_of(answer) == "\"x\"");
  CHECK(busy.ended);
  CHECK(scope.running() == 0);
}

TEST_CASE("close() does not wait for a handler beyond its deadline") {
  World world;
  Client busy(world);
  world.gate.reset();
  busy.send(invoke_request("x"));
  io::TaskScope scope(world.loop);
  scope.spawn(world.front->close(world.clock.mono() + 10s));
  busy.settle();
  world.clock.advance(11s);
  busy.settle();
  CHECK(scope.running() == 1);
  world.clock.advance(1s);
  busy.settle();
  CHECK(scope.running() == 0);
  CHECK(world.finished == 0);
  world.gate.set();
  busy.settle();
  CHECK(world.finished == 1);
  CHECK(busy.ended);
}

TEST_CASE("a removed listener takes its connections with it") {
  World world;
  Client client(world);
  CHECK(has(client.ask("GET /_mayfly/health HTTP/1.1\r\nHost: x\r\n\r\n"), "raw:"));
  CHECK(world.last_instance == "i-1");
  world.front->remove_listener(world.door);
  client.settle();
  CHECK(client.ended);
}
