// Strict and unbound functions, on both sides of each limit.
#include "services/lambda/bounds.h"

#include "base/limits.h"
#include "services/lambda/fixture_test.h"

using namespace mayfly;
using namespace mayfly::lambda;
using namespace mayfly::lambda::test;

namespace {

using Create = model::CreateFunctionRequest;
using Update = model::UpdateFunctionConfigurationRequest;

model::Environment variables(std::map<std::string, std::string> map) {
  model::Environment out;
  out.set_variables(std::move(map));
  return out;
}

model::EphemeralStorage storage(int megabytes) {
  model::EphemeralStorage out;
  out.set_size(megabytes);
  return out;
}

int made = 0;  // functions

// "accepted", or why not, for a function with and without MAYFLY_UNBOUND.
struct Pair {
  std::string strict;
  std::string unbound;
};
template <class Spoil>
Pair create(House& house, const Spoil& spoil, std::map<std::string, std::string> more = {}) {
  auto one = [&](std::map<std::string, std::string> map) {
    auto in = House::request("f" + std::to_string(++made));
    in.set_environment(variables(std::move(map)));
    spoil(in);
    return house.refused("CreateFunction", in);
  };
  Pair out;
  out.strict = one(more);
  more["MAYFLY_UNBOUND"] = "on";
  out.unbound = one(more);
  return out;
}

bool refuses(const std::string& answer, std::string_view text) {
  return answer.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("numbers beyond the cloud's limits are for unbound functions alone") {
  House house;
  const Bounds& machine = bounds_of(true);
  auto timeout = create(house, [](Create& in) { in.set_timeout(901); });
  CHECK(refuses(timeout.strict, "less than or equal to 900"));
  CHECK(timeout.unbound == "accepted");
  auto days = create(house, [&](Create& in) { in.set_timeout(machine.timeout_seconds + 1); });
  CHECK(refuses(days.unbound, "less than or equal to 2592000"));
  CHECK(create(house, [&](Create& in) { in.set_timeout(machine.timeout_seconds); }).unbound ==
        "accepted");
  CHECK(refuses(create(house, [](Create& in) { in.set_timeout(0); }).unbound, "greater than"));
  if (machine.memory_mb > limits::memory_max_mb) {
    auto memory = create(house, [&](Create& in) { in.set_memory_size(machine.memory_mb); });
    CHECK(refuses(memory.strict, "less than or equal to 10240"));
    CHECK(memory.unbound == "accepted");
    auto tmp =
        create(house, [&](Create& in) { in.set_ephemeral_storage(storage(machine.tmp_mb)); });
    CHECK(refuses(tmp.strict,
                  "'ephemeralStorage.size' failed to satisfy constraint: Member must "
                  "have value less than or equal to 10240"));
    CHECK(tmp.unbound == "accepted");
  }
  auto much = create(house, [&](Create& in) { in.set_memory_size(machine.memory_mb + 1); });
  CHECK(refuses(much.unbound, "memorySize"));
  CHECK(refuses(create(house, [](Create& in) { in.set_memory_size(127); }).unbound, "greater"));
}

TEST_CASE("environment variables beyond 4 KB; one of them has a bound of the system's own") {
  House house;
  auto none = [](Create&) {};
  auto some = create(house, none, {{"BIG", std::string(5000, 'x')}});
  CHECK(refuses(some.strict, "exceeded the 4KB limit"));
  CHECK(some.unbound == "accepted");
  auto longest = limits::unbound_variable_bytes - std::string("BIG=").size();
  CHECK(create(house, none, {{"BIG", std::string(longest, 'x')}}).unbound == "accepted");
  CHECK(refuses(create(house, none, {{"BIG", std::string(longest + 1, 'x')}}).unbound,
                "what a process can be given"));
  std::map<std::string, std::string> many;
  for (int i = 0; i < 12; ++i) many["V" + std::to_string(i)] = std::string(100'000, 'x');
  CHECK(refuses(create(house, none, many).unbound, "what a process can be given"));
}

TEST_CASE("what is unbound no longer must be within the limits again") {
  House house;
  auto in = House::request("f");
  in.set_environment(variables({{"MAYFLY_UNBOUND", "on"}})).set_timeout(1000);
  house.done("CreateFunction", in);
  Update back;
  back.set_function_name("f").set_environment(variables({{"A1", "b"}}));
  CHECK(refuses(house.refused("UpdateFunctionConfiguration", back), "'1000' at 'timeout'"));
  back.set_timeout(900);
  house.done("UpdateFunctionConfiguration", back);
  Update forth;
  forth.set_function_name("f").set_timeout(1000);
  CHECK(refuses(house.refused("UpdateFunctionConfiguration", forth), "less than or equal to 900"));
  forth.set_environment(variables({{"MAYFLY_UNBOUND", "off"}}));
  CHECK(refuses(house.refused("UpdateFunctionConfiguration", forth), "less than or equal to 900"));
  forth.set_environment(variables({{"MAYFLY_UNBOUND", "on"}}));
  house.done("UpdateFunctionConfiguration", forth);
}

TEST_CASE("layers beyond five") {
  House house;
  std::vector<std::string> arns;
  for (int i = 0; i < 6; ++i) {
    model::PublishLayerVersionRequest in;
    model::LayerVersionContentInput content;
    content.set_zip_file(House::zip());
    in.set_layer_name("l" + std::to_string(i)).set_content(content);
    auto made = house.ok<model::PublishLayerVersionResponse>("PublishLayerVersion", in);
    arns.emplace_back(*made.layer_version_arn());
  }
  auto six = create(house, [&](Create& in) { in.set_layers(arns); });
  CHECK(refuses(six.strict, "Cannot reference more than 5 layers."));
  CHECK(six.unbound == "accepted");
  // Without the variable they are too many again.
  auto in = House::request("six");
  in.set_layers(arns).set_environment(variables({{"MAYFLY_UNBOUND", "on"}}));
  house.done("CreateFunction", in);
  Update back;
  back.set_function_name("six").set_environment(variables({{"A1", "b"}}));
  CHECK(refuses(house.refused("UpdateFunctionConfiguration", back), "more than 5 layers"));
}

TEST_CASE("payloads beyond 6 MB, and beyond 1 MB of asynchronous ones") {
  House house;
  auto in = House::request("free");
  in.set_environment(variables({{"MAYFLY_UNBOUND", "on"}}));
  house.done("CreateFunction", in);
  house.create("tame");
  auto send = [&](const char* name, const char* type, std::size_t bytes) {
    model::InvocationRequest call;
    call.set_function_name(name).set_invocation_type(type);
    call.set_payload("\"" + std::string(bytes - 2, 'x') + "\"");
    return house.refused("Invoke", call);
  };
  CHECK(send("tame", "RequestResponse", limits::invoke_sync_payload_bytes) == "accepted");
  CHECK(refuses(send("tame", "RequestResponse", limits::invoke_sync_payload_bytes + 1), "413"));
  CHECK(send("free", "RequestResponse", limits::invoke_sync_payload_bytes + 1) == "accepted");
  CHECK(house.invoker.runnables.back().unbound);
  CHECK(refuses(send("tame", "Event", limits::invoke_async_payload_bytes + 1), "413"));
  CHECK(send("free", "Event", limits::invoke_async_payload_bytes + 1) == "accepted");
  CHECK(refuses(send("free", "Event", limits::unbound_async_payload_bytes + 1),
                std::to_string(limits::unbound_async_payload_bytes)));
  CHECK(refuses(send("nobody", "RequestResponse", limits::invoke_sync_payload_bytes + 1), "413"));
}
