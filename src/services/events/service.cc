#include "services/events/service.h"

#include "api/input.h"
#include "base/limits.h"
#include "guard/policy_document.h"
#include "services/events/policy.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using api::text_of;

// The members that name what a call is about, in whichever way.
std::string resource_of(const api::Operation& operation, const wire::Record& input,
                        const Scope& scope) {
  if (operation.resource == "*" || operation.name == "PutEvents") return "*";
  if (auto arn = text_of(input, "ResourceARN"); !arn.empty()) return arn;
  if (auto name = text_of(input, "ArchiveName"); !name.empty()) {
    return arn_of(scope, "archive", name);
  }
  if (auto name = text_of(input, "ReplayName"); !name.empty()) {
    return arn_of(scope, "replay", name);
  }
  std::string_view about = operation.name;
  auto name = text_of(input, "Name");
  if (about.find("Connection") != about.npos) return arn_of(scope, "connection", name);
  if (about.find("ApiDestination") != about.npos) return arn_of(scope, "api-destination", name);
  if (about.find("EventBus") != about.npos) {
    auto bus = parse_bus(name, scope);
    return bus ? bus->arn() : "*";
  }
  auto bus = parse_bus(text_of(input, "EventBusName"), scope);
  if (!bus) return "*";
  auto rule = text_of(input, "Rule");
  if (rule.empty()) rule = name;
  return rule.empty() ? bus->arn() : RuleRef{*bus, rule}.arn();
}

}  // namespace

EventBus::EventBus(Deps deps)
    : deps_(std::move(deps)),
      config_(deps_.loop, deps_.store),
      vault_(deps_.key, deps_.random),
      http_(deps_.loop, config_, deps_.http, vault_),
      deliveries_(
          {deps_.loop, deps_.random, deps_.store, config_, deps_.switchboard, http_, deps_.counts}),
      router_({deps_.loop, deps_.store, config_, deliveries_, deps_.counts}),
      replays_({deps_.loop, deps_.store, config_, router_}),
      clock_(deps_.loop, deps_.random, router_),
      target_({deps_.loop, deps_.random, config_, router_, deps_.guard, http_}),
      effects_(deps_.store, config_, router_),
      policies_(config_) {
  config_.on_rule = [this](const auto& before, const auto& after) {
    clock_.changed(before, after);
    deliveries_.rule_changed(before, after);
  };
}

Result<std::unique_ptr<EventBus>> EventBus::open(Deps deps) {
  auto out = std::make_unique<EventBus>(std::move(deps));
  TRY(out->config_.load());
  TRY(out->deliveries_.load());
  return out;
}

void EventBus::start() {
  deliveries_.start();
  router_.start();
  replays_.start();
  clock_.start();
}

void EventBus::stop() {
  clock_.stop();
  replays_.stop();
  router_.stop();
  deliveries_.stop();
}

io::Task<void> EventBus::close() {
  co_await clock_.close();
  co_await replays_.close();
  co_await router_.close();
  co_await deliveries_.close();
}

api::Service EventBus::service() {
  api::Service out;
  out.model = &model::model;
  out.resource = resource_of;
  Context context{deps_.loop, deps_.random, deps_.store, deps_.guard, deps_.switchboard,
                  config_,    router_,      replays_,    vault_,      deps_.effects};
  for (auto rows : {bus_operations(), rule_operations(), target_operations(), event_operations(),
                    archive_operations(), replay_operations(), connection_operations(),
                    destination_operations(), tag_operations()}) {
    for (const auto& row : rows) {
      out.handlers[row.name] = [context, handler = row.handler](api::Call& call,
                                                                wire::Record input) -> Answer {
        return handler(context, call, std::move(input));
      };
    }
  }
  return out;
}

std::vector<guard::PolicyStatement> EventBus::Policies::statements(std::string_view resource_arn) {
  auto ref = parse_bus_arn(resource_arn);
  // A rule on a bus is governed by the bus.
  if (!ref) {
    auto rule = parse_rule_arn(resource_arn);
    if (!rule) return {};
    ref = rule->bus;
  }
  auto bus = config_.find_bus(*ref);
  if (!bus) return {};
  // It was read once when it was set.
  auto read = guard::read_policy(bus->about.policy().value_or(""));
  return read ? *std::move(read) : std::vector<guard::PolicyStatement>();
}

ApiResult<BusRef> find_bus(const Context& context, const api::Call& call,
                           std::optional<std::string_view> name) {
  auto ref = parse_bus(name.value_or(""), call.scope);
  if (!ref || !context.config.find_bus(*ref)) return no_bus(ref ? ref->name : name.value_or(""));
  return *std::move(ref);
}

std::string token_of(std::string_view key) { return wire::base64url_encode(key); }

ApiResult<std::string> key_of_token(std::optional<std::string_view> token) {
  if (!token || token->empty()) return std::string();
  auto key = wire::base64url_decode(*token);
  if (!key) return invalid("Parameter NextToken is not valid.");
  return *std::move(key);
}

ApiResult<Tags> read_tags(const std::vector<model::Tag>& tags, Tags into) {
  for (const auto& tag : tags) {
    into.insert_or_assign(std::string(tag.key().value_or("")),
                          std::string(tag.value().value_or("")));
  }
  if (into.size() > limits::events_tags) return over_limit("tags", limits::events_tags);
  return into;
}

}  // namespace mayfly::services::bus
