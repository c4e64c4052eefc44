// Test only: functions with external extensions, which the test plays over the jail's own port.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "invoke/environment_extensions.h"
#include "invoke/house_for_tests.h"
#include "sim/api_client.h"

namespace mayfly::invoke::testing {

inline constexpr std::string_view both_events = R"({"events":["INVOKE","SHUTDOWN"]})";

struct Extension {
  Extension(io::Loop& loop, sim::FakeJail& jail, std::string called,
            std::string_view events = both_events)
      : name(std::move(called)), client(loop, jail.addresses.at(1)) {
    auto answer = client.call(sim::http_send("POST", "/2020-01-01/extension/register", events,
                                             "Lambda-Extension-Name: " + name + "\r\n"));
    REQUIRE(answer.starts_with("HTTP/1.1 200"));
    id = "Lambda-Extension-Identifier: " + sim::field_of(answer, "Lambda-Extension-Identifier") +
         "\r\n";
  }
  void ask() { client.send(sim::http_get("/2020-01-01/extension/event/next", id)); }
  std::string event() { return sim::body_of(client.receive()); }
  bool hears_nothing() { return !client.answer(); }
  std::string subscribe(std::string_view path, std::string_view body) {
    return client.call(sim::http_send("PUT", path, body, id));
  }

  std::string name;
  sim::ApiClient client;
  std::string id;
};

// A function with a layer that holds these extensions.
struct ExtensionHouse : House {
  explicit ExtensionHouse(std::vector<std::string> names = {"watcher"}) {
    std::string made = "/tmp/mayfly-extensions-XXXXXX";
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    layer = made;
    std::filesystem::create_directories(layer / "extensions" / "a-folder");
    for (const auto& name : names) std::ofstream(layer / "extensions" / name) << "#!/bin/sh\n";
    settings.spares = 0;
    start();
  }
  ~ExtensionHouse() {
    stop_with_grace();
    std::error_code ignored;
    std::filesystem::remove_all(layer, ignored);
  }
  // As the server does, with the time that extensions have.
  void stop_with_grace() {
    if (!invoker) return;
    tasks.spawn(close_into(closed));
    loop.run_ready();
    for (int i = 0; i < 10 && !closed; ++i) pass(1s);
    REQUIRE(closed);
    invoker.reset();
  }
  io::Task<void> close_into(bool& done) {
    co_await invoker->close(loop.now());
    done = true;
  }
  Runnable layered() const {
    auto out = function();
    out.layers_dir = layer;
    out.extensions = external_extensions(out);
    return out;
  }
  std::shared_ptr<Answer> begin_call(std::string id = "r1") {
    return begin(layered(), request(std::move(id)));
  }
  sim::FakeJail& jail(std::size_t index = 0) { return *launcher.jails.at(index); }
  Extension join(std::string name = "watcher", std::string_view events = both_events) {
    return {loop, jail(), std::move(name), events};
  }
  bool logged(std::string_view text) const {
    return std::ranges::any_of(observer.lines,
                               [&](const auto& line) { return line.text.contains(text); });
  }
  std::filesystem::path layer;
  bool closed = false;
};

}  // namespace mayfly::invoke::testing
