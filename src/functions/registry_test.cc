#include "functions/registry.h"

#include <doctest/doctest.h>

#include "functions/codec.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"

namespace mayfly::functions {
namespace {

const Scope here{AccountId("000000000000"), Region("us-east-1")};
const Scope there{AccountId("000000000000"), Region("eu-west-1")};

class FixedRandom final : public Random {
 public:
  std::uint64_t value = 0;
  void fill(std::span<std::byte> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::byte>(value >> (8 * (i % 8)));
    }
  }
  void draw(double share) { value = static_cast<std::uint64_t>(share * 0x1p53) << 11; }
};

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  std::unique_ptr<Registry> registry;

  House() { open(); }
  void open() {
    auto opened = open_registry(loop, store);
    REQUIRE(opened);
    registry = std::move(*opened);
  }
  Result<> create(const std::string& name, const Scope& scope = here) {
    Function function;
    function.scope = scope;
    function.name = FunctionName(name);
    function.latest.name = function.name;
    function.latest.runtime = "nodejs20.x";
    function.latest.environment = {{"KEY", "value"}};
    function.latest.last_modified = clock.wall();
    return loop.run_until(registry->create(std::move(function)));
  }
  Result<> update(const std::string& name, std::function<Result<>(Function&)> change) {
    return loop.run_until(registry->update(here, FunctionName(name), std::move(change)));
  }
};

Result<> publish(Function& function) {
  Version version = function.latest;
  version.version = std::to_string(++function.last_published);
  function.versions.emplace(function.last_published, std::move(version));
  return {};
}

TEST_CASE("records survive their encoding") {
  Function function;
  function.scope = here;
  function.name = FunctionName("f");
  function.latest.layers = {{"arn:layer", {"abc", 1, 2}}};
  function.latest.state = State::failed;
  function.latest.timeout_seconds = -7;
  function.aliases["live"] = {"live", "1", "text", {{"2", 0.25}}, "rev"};
  Permission permission;
  permission.sid = "s";
  permission.invoked_via_function_url = true;
  function.permissions = {permission};
  function.urls[""].url_id = "u";
  function.urls[""].created = WallTime(Duration(5));
  function.event_configs["$LATEST"].max_retries = 0;
  function.reserved_concurrency = 0;
  auto back = decode_function(encode(function));
  REQUIRE(back);
  CHECK(encode(*back) == encode(function));
  CHECK(back->latest.layers.at(0).package.unzipped_bytes == 2);
  CHECK(back->latest.state == State::failed);
  CHECK(back->latest.timeout_seconds == -7);
  CHECK(back->aliases.at("live").weights.at("2") == 0.25);
  CHECK(back->permissions.at(0).invoked_via_function_url);
  CHECK(back->event_configs.at("$LATEST").max_retries == 0);
  CHECK_FALSE(back->event_configs.at("$LATEST").max_age_seconds);
  CHECK(back->reserved_concurrency == 0);
  CHECK(back->urls.at("").created == WallTime(Duration(5)));
  std::string cut = encode(function);
  cut.pop_back();
  CHECK_FALSE(decode_function(cut));
}

TEST_CASE("names have limits") {
  House house;
  CHECK(house.create(std::string(64, 'n')));
  CHECK_FALSE(house.create(std::string(65, 'n')));
  CHECK_FALSE(house.create(""));
  CHECK_FALSE(house.create("a/b"));
  CHECK_FALSE(house.create("a.b"));
  CHECK(house.create("A-z_09"));
  CHECK(valid_layer_name(std::string(140, 'l')));
  CHECK_FALSE(valid_layer_name(std::string(141, 'l')));
}

TEST_CASE("functions are created once, listed in order and apart by scope") {
  House house;
  for (const char* name : {"b", "a", "c"}) REQUIRE(house.create(name));
  REQUIRE(house.create("a", there));
  auto again = house.create("a");
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == ErrorKind::already_exists);
  CHECK(again.error().message == "Function already exist: a");
  CHECK(house.registry->count() == 4);
  auto page = house.registry->list(here, "", 2);
  REQUIRE(page.size() == 2);
  CHECK(page[0]->name.str() == "a");
  CHECK(page[1]->name.str() == "b");
  page = house.registry->list(here, "b", 2);
  REQUIRE(page.size() == 1);
  CHECK(page[0]->arn() == "arn:aws:lambda:us-east-1:000000000000:function:c");
}

TEST_CASE("everything is there again after a restart") {
  House house;
  REQUIRE(house.create("f"));
  REQUIRE(house.update("f", publish));
  REQUIRE(house.update("f", [](Function& f) -> Result<> {
    f.latest.description = "second";
    f.urls[""].url_id = "abc";
    return publish(f);
  }));
  LayerVersion layer;
  layer.scope = here;
  layer.name = "l";
  CHECK(*house.loop.run_until(house.registry->publish_layer(layer)) == 1);
  CHECK(*house.loop.run_until(house.registry->publish_layer(layer)) == 2);
  REQUIRE(house.loop.run_until(house.registry->remove_layer(here, "l", 2)));
  house.open();
  const Function* f = house.registry->find(here, FunctionName("f"));
  REQUIRE(f);
  CHECK(f->versions.size() == 2);
  CHECK(f->versions.at(2).description == "second");
  CHECK(f->last_published == 2);
  CHECK(house.registry->find_by_url("abc") == f);
  REQUIRE(house.update("f", [](Function& g) -> Result<> {
    g.versions.erase(1);
    g.urls.clear();
    return {};
  }));
  CHECK_FALSE(house.registry->find_by_url("abc"));
  house.open();
  f = house.registry->find(here, FunctionName("f"));
  CHECK(f->versions.size() == 1);
  CHECK_FALSE(house.registry->find_by_url("abc"));
  CHECK(house.registry->latest_layers(here).size() == 1);
  // A number that was taken away is not given again.
  CHECK(*house.loop.run_until(house.registry->publish_layer(layer)) == 3);
  REQUIRE(house.loop.run_until(house.registry->remove(here, FunctionName("f"))));
  house.open();
  CHECK(house.registry->count() == 0);
  CHECK(house.store.scan("fv/", "", 10)->empty());
}

io::Task<void> add_tag(Registry& registry, std::string key) {
  auto done = co_await registry.update(here, FunctionName("f"), [key](Function& f) -> Result<> {
    f.tags[key] = "";
    return {};
  });
  CHECK(done);
}

TEST_CASE("changes at one time queue up and none is lost") {
  House house;
  REQUIRE(house.create("f"));
  io::TaskScope scope(house.loop);
  for (int i = 0; i < 20; ++i) scope.spawn(add_tag(*house.registry, std::to_string(i)));
  house.loop.run_until(scope.drain(no_deadline));
  CHECK(house.registry->find(here, FunctionName("f"))->tags.size() == 20);
}

TEST_CASE("a record that moved in the store is not overwritten") {
  House house;
  REQUIRE(house.create("f"));
  auto other = open_registry(house.loop, house.store);
  REQUIRE(house.update("f", [](Function& f) -> Result<> {
    f.tags["a"] = "b";
    return {};
  }));
  auto late = house.loop.run_until(
      (*other)->update(here, FunctionName("f"), [](Function&) -> Result<> { return {}; }));
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::conflict);
}

TEST_CASE("a change that fails, or a disk that does, changes nothing") {
  House house;
  REQUIRE(house.create("f"));
  int told = 0;
  house.registry->on_change([&told](const Scope&, const FunctionName&) { ++told; });
  CHECK_FALSE(house.update("f", [](Function& f) -> Result<> {
    f.tags["a"] = "b";
    return fail(ErrorKind::invalid, "no");
  }));
  house.store.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(house.update("f", [](Function& f) -> Result<> {
    f.tags["a"] = "b";
    return {};
  }));
  CHECK_FALSE(house.create("g"));
  CHECK(house.registry->find(here, FunctionName("f"))->tags.empty());
  CHECK_FALSE(house.registry->find(here, FunctionName("g")));
  CHECK(told == 0);
}

TEST_CASE("qualifiers resolve, and weights draw") {
  House house;
  FixedRandom random;
  REQUIRE(house.create("f"));
  REQUIRE(house.update("f", publish));
  REQUIRE(house.update("f", publish));
  REQUIRE(house.update("f", [](Function& f) -> Result<> {
    f.aliases["live"] = {"live", "1", "", {{"2", 0.25}}, ""};
    f.aliases["head"] = {"head", "$LATEST", "", {}, ""};
    return {};
  }));
  auto version = [&](std::string_view qualifier) {
    auto resolved = house.registry->resolve(here, FunctionName("f"), qualifier, random);
    return resolved ? resolved->version->version : "";
  };
  CHECK(version("") == "$LATEST");
  CHECK(version("$LATEST") == "$LATEST");
  CHECK(version("2") == "2");
  CHECK(version("head") == "$LATEST");
  CHECK(version("3").empty());
  CHECK(version("2x").empty());
  CHECK(version("nobody").empty());
  random.draw(0.24);
  CHECK(version("live") == "2");
  random.draw(0.26);
  CHECK(version("live") == "1");
  auto resolved = house.registry->resolve(here, FunctionName("f"), "live", random);
  CHECK(resolved->invoked_arn == "arn:aws:lambda:us-east-1:000000000000:function:f:live");
  CHECK_FALSE(house.registry->resolve(there, FunctionName("f"), "", random));
}

}  // namespace
}  // namespace mayfly::functions
