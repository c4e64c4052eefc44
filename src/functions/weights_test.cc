// Aliases' weighted routing over many draws, from one seed.
#include <doctest/doctest.h>

#include <random>

#include "functions/registry.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"

namespace mayfly::functions {
namespace {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

const Scope here{AccountId("000000000000"), Region("us-east-1")};
constexpr int draws = 40'000;
// A chi-square variable with one degree of freedom is larger than this once in ten thousand.
constexpr double unlikely = 15.14;

// How far the counts are from what the weights promise.
double chi_square(int first, double share) {
  double expected = draws * share;
  double other = draws - expected;
  double off = first - expected;
  return off * off / expected + off * off / other;
}

struct House {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  std::unique_ptr<Registry> registry = std::move(*open_registry(loop, store));

  explicit House(double weight) {
    Function function;
    function.scope = here;
    function.name = FunctionName("f");
    function.latest.name = function.name;
    for (int number : {1, 2}) {
      Version version = function.latest;
      version.version = std::to_string(number);
      function.versions.emplace(number, std::move(version));
    }
    function.last_published = 2;
    Alias alias;
    alias.name = "live";
    alias.version = "1";
    alias.weights = {{"2", weight}};
    function.aliases.emplace("live", std::move(alias));
    REQUIRE(loop.run_until(registry->create(std::move(function))));
  }
  std::string draw(Random& random) {
    auto found = registry->resolve(here, FunctionName("f"), "live", random);
    REQUIRE(found);
    return found->version->version;
  }
};

}  // namespace

TEST_CASE("an alias leads to its versions as often as its weights say") {
  for (double weight : {0.001, 0.05, 0.1, 0.25, 0.5, 0.9, 0.999}) {
    for (std::uint64_t seed : {1, 2, 3}) {
      House house(weight);
      SeededRandom random(seed);
      int second = 0;
      for (int i = 0; i < draws; ++i) second += house.draw(random) == "2";
      INFO(weight, " drew ", second, " of ", draws);
      CHECK(chi_square(second, weight) < unlikely);
    }
  }
}

TEST_CASE("… and no draw has to do with the one before") {
  House house(0.5);
  SeededRandom random(4);
  int changes = 0;
  std::string last = house.draw(random);
  for (int i = 0; i < draws; ++i) {
    std::string now = house.draw(random);
    changes += now != last;
    last = now;
  }
  CHECK(chi_square(changes, 0.5) < unlikely);
}

TEST_CASE("weights of none and of all leave nothing to chance") {
  for (double weight : {0.0, 1.0}) {
    House house(weight);
    SeededRandom random(5);
    for (int i = 0; i < 2000; ++i) CHECK(house.draw(random) == (weight == 0 ? "1" : "2"));
  }
}

}  // namespace mayfly::functions
