// Lint: what is a setting of this server alone: variables "MAYFLY_…" and tags "mayfly:…". The cloud
// takes them and does nothing; a value that this server would refuse breaks here.
#include "gate/breaker.h"
#include "gate/flow.h"
#include "mayfly/lint.h"

namespace mayfly::lint {
namespace {

constexpr std::string_view prefix = "mayfly:";

using Kind = Resource::Kind;

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::function: return "a function";
    case Kind::mapping: return "an event source mapping";
    case Kind::pipe: return "a pipe";
    case Kind::rule: return "a rule";
    case Kind::group: return "a schedule group";
    case Kind::topic: return "a topic";
  }
  return {};
}

// What the server would say to them.
Result<> judge(Kind kind, const gate::Tags& tags) {
  constexpr std::string_view breaker[] = {gate::breaker_tag};
  constexpr std::string_view of_groups[] = {gate::breaker_tag, "mayfly:missed-runs",
                                            "mayfly:overlap"};
  switch (kind) {
    case Kind::function:
    case Kind::mapping: TRY(gate::read_flow(tags)); return {};
    case Kind::pipe: TRY(gate::read_flow(tags, breaker)); break;
    case Kind::rule:
    case Kind::topic: TRY(gate::check_known(tags, breaker, name_of(kind))); break;
    case Kind::group: TRY(gate::check_known(tags, of_groups, name_of(kind))); break;
  }
  TRY(gate::breaker_of(tags));
  return {};
}

}  // namespace

std::optional<OwnVariable> own_variable(std::string_view name, const std::string& value) {
  if (!name.starts_with("MAYFLY_")) return std::nullopt;
  if (name == "MAYFLY_UNBOUND") {
    if (value != "on") return std::nullopt;
    return OwnVariable{"unbound", Level::differs,
                       "MAYFLY_UNBOUND=on lifts the limits here; the cloud's hold there"};
  }
  if (name == "MAYFLY_EXACTLY_ONCE") {
    if (value == "off") return std::nullopt;
    if (value != "on") {
      return OwnVariable{
          "mayfly-value", Level::breaks,
          fmt::format("MAYFLY_EXACTLY_ONCE is '{}', and does nothing unless it is 'on'", value)};
    }
    return OwnVariable{"exactly-once", Level::differs,
                       "MAYFLY_EXACTLY_ONCE=on holds back what it sends to queues until it has "
                       "ended well; the cloud sends at once, and again with each retry"};
  }
  if (name == gate::breaker_variable) {
    if (auto read = gate::read_breaker(value); !read) {
      return OwnVariable{"mayfly-value", Level::breaks, std::move(read.error().message)};
    }
    return OwnVariable{
        "circuit-breaker", Level::differs,
        "MAYFLY_BREAKER keeps calls from it while it fails; the cloud has no circuit "
        "breakers and calls it all the same"};
  }
  return OwnVariable{"mayfly-variable", Level::differs,
                     fmt::format("{} means nothing in the cloud", name)};
}

std::vector<Finding> check(const Resource& resource) {
  std::vector<Finding> out;
  auto add = [&](std::string rule, Level level, std::string message) {
    out.push_back({std::move(rule), level, resource.name, resource.where, std::move(message)});
  };
  for (const auto& [name, value] : resource.tags) {
    if (!name.starts_with(prefix)) continue;
    add("mayfly-tag", Level::differs,
        fmt::format("the tag {} is a setting here; in the cloud it does nothing", name));
  }
  if (out.empty()) return out;
  if (auto good = judge(resource.kind, resource.tags); !good) {
    add("mayfly-value", Level::breaks, std::move(good.error().message));
  }
  return out;
}

}  // namespace mayfly::lint
