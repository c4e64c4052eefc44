#include "services/lambda/event_sources.h"

#include "base/limits.h"
#include "base/log.h"
#include "services/lambda/event_source_settings.h"
#include "services/lambda/paging.h"
#include "services/lambda/runnable.h"

namespace mayfly::lambda {

namespace model = api::lambda;

namespace {

std::string mapping_arn(const functions::Mapping& mapping) {
  return fmt::format("arn:aws:lambda:{}:{}:event-source-mapping:{}", mapping.scope.region.str(),
                     mapping.scope.account.str(), mapping.id);
}

FunctionRef function_of(const functions::Mapping& mapping) {
  return {mapping.scope, mapping.function, mapping.qualifier};
}

ApiResult<void> check_scope(const FunctionRef& ref, const Scope& here) {
  if (ref.scope == here) return {};
  return refuse(invalid("The function of an event source mapping must be of its own account."));
}

constexpr std::string_view arn_mark = ":event-source-mapping:";

}  // namespace

EventSources::EventSources(Deps deps) : deps_(std::move(deps)), tasks_(deps_.loop) {}

void EventSources::add_to(api::Service& service) {
  using Member = Answer (EventSources::*)(api::Call&, wire::Record);
  static constexpr std::pair<std::string_view, Member> rows[] = {
      {"CreateEventSourceMapping", &EventSources::create},
      {"GetEventSourceMapping", &EventSources::get},
      {"UpdateEventSourceMapping", &EventSources::update},
      {"DeleteEventSourceMapping", &EventSources::remove},
      {"ListEventSourceMappings", &EventSources::list},
  };
  for (const auto& [name, member] : rows) {
    service.handlers[name] = [this, member](api::Call& call, wire::Record input) {
      return (this->*member)(call, std::move(input));
    };
  }
}

void EventSources::start() {
  for (const auto& [id, mapping] : deps_.mappings.all()) {
    auto live = std::make_shared<Live>(Live{.mapping = mapping, .transition = {}, .pump = {}});
    run(*live);
    live_.emplace(id, std::move(live));
  }
}

void EventSources::stop() {
  stopped_ = true;
  for (auto& [id, live] : live_) {
    if (live->pump) live->pump->stop();
  }
}

io::Task<void> EventSources::close() {
  stop();
  co_await tasks_.close();
  for (auto& [id, live] : live_) {
    if (live->pump) co_await live->pump->close();
  }
}

// ---- Running

void EventSources::run(Live& live) {
  const auto& mapping = live.mapping;
  if (!mapping.enabled || stopped_) return;
  auto source =
      deps_.switchboard.source(events::service_of_arn(mapping.source_arn), mapping.source_arn);
  if (!source.feed) return;
  if (!source.there) {
    log::warn("lambda", "the event source mapping {} waits: {} is not there", mapping.id,
              mapping.source_arn);
  }
  FunctionRef ref = function_of(mapping);
  pump::Pump::Deps deps{
      .loop = deps_.loop,
      .feed = std::move(source.feed),
      .push = [this, ref](pump::Call call) { return deps_.invoke(ref, std::move(call)); },
      .may_push = [this, key = concurrency_key(ref.scope, ref.name)] { return deps_.may_run(key); },
      .hold_effects = [this, ref] { return deps_.hold_effects(ref); }};
  if (mapping.count_events && deps_.count) {
    deps.count = [this, id = mapping.id, ref](pump::Step step, std::size_t items) {
      deps_.count(ref, id, step, items);
    };
  }
  live.pump = std::make_unique<pump::Pump>(std::move(deps), pump_settings(mapping));
  live.pump->start();
}

void EventSources::poke(std::string_view key) {
  for (auto& [id, live] : live_) {
    const auto& mapping = live->mapping;
    if (live->pump && concurrency_key(mapping.scope, mapping.function) == key) live->pump->poke();
  }
}

void EventSources::settle(const Shared& live) { tasks_.spawn(settle_soon(live)); }

io::Task<void> EventSources::settle_soon(Shared live) {
  co_await deps_.loop.turn_end();  // the answer shows the state on the way
  if (live->pump) co_await live->pump->close();
  live->pump.reset();
  if (live->transition == "Deleting") {
    live_.erase(live->mapping.id);
    co_return;
  }
  run(*live);
  live->transition.clear();
}

// ---- Operations

ApiResult<EventSources::Shared> EventSources::find(const Scope& scope, std::string_view id) const {
  auto found = live_.find(id);
  if (found == live_.end() || found->second->mapping.scope != scope) {
    return refuse(resource_not_found());
  }
  return found->second;
}

ApiResult<EventSources::Shared> EventSources::find_settled(const Scope& scope,
                                                           std::string_view id) const {
  auto live = find(scope, id);
  if (!live || (*live)->transition.empty()) return live;
  return refuse(model::resource_in_use_exception(
      "Cannot update the event source mapping because it is in use."));
}

ApiResult<void> EventSources::check(const Mapping& mapping) const {
  auto timeout = deps_.timeout_seconds(function_of(mapping));
  if (!timeout) return refuse(std::move(timeout.error()));
  auto service = events::service_of_arn(mapping.source_arn);
  auto source = deps_.switchboard.source(service, mapping.source_arn);
  if (!source.there) {
    return refuse(invalid(
        "Error occurred while ReceiveMessage. SQS Error Code: "
        "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not "
        "exist."));
  }
  if (source.hidden_seconds < *timeout) {
    return refuse(invalid(fmt::format(
        "Queue visibility timeout: {} seconds is less than Function timeout: {} seconds",
        source.hidden_seconds, *timeout)));
  }
  return check_settings(mapping, source.ordered);
}

EventSources::Answer EventSources::create(api::Call& call, wire::Record input) {
  model::CreateEventSourceMappingRequest in(std::move(input));
  std::string arn(in.event_source_arn().value_or(""));
  if (arn.empty()) {
    if (in.has_self_managed_event_source()) co_return refuse(unbuilt("SelfManagedEventSource"));
    co_return refuse(
        invalid("Unrecognized event source, must be kinesis, dynamodb stream or sqs. "
                "Unsupported source arn : null"));
  }
  if (!deps_.switchboard.has_sources(events::service_of_arn(arn))) {
    co_return refuse(
        unbuilt(fmt::format("An event source of the service '{}'", events::service_of_arn(arn))));
  }
  CO_TRY_ASSIGN(FunctionRef ref, deps_.named(call, in.function_name()));
  CO_TRY(check_scope(ref, call.scope));
  Mapping mapping{.id = deps_.random.uuid4(),
                  .scope = call.scope,
                  .function = ref.name,
                  .qualifier = ref.qualifier,
                  .source_arn = arn,
                  .modified_ms = epoch_millis(deps_.loop.clock().platform())};
  for (auto [key, value] : in.tags()) mapping.tags.emplace(key, value);
  CO_TRY(check_tags(mapping.tags));
  CO_TRY(take_settings(in, mapping));
  CO_TRY(check(mapping));
  for (const auto& [id, live] : live_) {
    const auto& other = live->mapping;
    if (live->transition != "Deleting" && other.scope == mapping.scope && other.source_arn == arn &&
        other.function == ref.name && other.qualifier == ref.qualifier) {
      co_return refuse(conflict(fmt::format(
          "An event source mapping with SQS arn (\" {} \") and function (\" {} \") already exists. "
          "Please update or delete the existing mapping with UUID {}",
          arn, ref.name.str(), id)));
    }
  }
  auto live = std::make_shared<Live>(
      Live{.mapping = std::move(mapping), .transition = "Creating", .pump = {}});
  live_.emplace(live->mapping.id, live);
  auto stored = co_await deps_.mappings.put(live->mapping);
  if (!stored) {
    live_.erase(live->mapping.id);
    co_return refuse(from(stored.error()));
  }
  settle(live);
  co_return describe(*live).take();
}

EventSources::Answer EventSources::get(api::Call& call, wire::Record input) {
  model::GetEventSourceMappingRequest in(std::move(input));
  CO_TRY_ASSIGN(auto live, find(call.scope, in.uuid().value_or("")));
  co_return describe(*live).take();
}

EventSources::Answer EventSources::update(api::Call& call, wire::Record input) {
  model::UpdateEventSourceMappingRequest in(std::move(input));
  CO_TRY_ASSIGN(auto live, find_settled(call.scope, in.uuid().value_or("")));
  Mapping mapping = live->mapping;
  if (in.function_name()) {
    CO_TRY_ASSIGN(FunctionRef ref, deps_.named(call, in.function_name()));
    CO_TRY(check_scope(ref, call.scope));
    mapping.function = ref.name;
    mapping.qualifier = ref.qualifier;
  }
  CO_TRY(take_settings(in, mapping));
  CO_TRY(check(mapping));
  mapping.modified_ms = epoch_millis(deps_.loop.clock().platform());
  live->transition = "Updating";
  if (mapping.enabled != live->mapping.enabled) {
    live->transition = mapping.enabled ? "Enabling" : "Disabling";
  }
  auto stored = co_await deps_.mappings.put(mapping);
  if (!stored) {
    live->transition.clear();
    co_return refuse(from(stored.error()));
  }
  live->mapping = std::move(mapping);
  settle(live);
  co_return describe(*live).take();
}

EventSources::Answer EventSources::remove(api::Call& call, wire::Record input) {
  model::DeleteEventSourceMappingRequest in(std::move(input));
  CO_TRY_ASSIGN(auto live, find_settled(call.scope, in.uuid().value_or("")));
  live->transition = "Deleting";
  auto gone = co_await deps_.mappings.remove(live->mapping.id);
  if (!gone) {
    live->transition.clear();
    co_return refuse(from(gone.error()));
  }
  settle(live);
  co_return describe(*live).take();
}

EventSources::Answer EventSources::list(api::Call& call, wire::Record input) {
  model::ListEventSourceMappingsRequest in(std::move(input));
  std::optional<FunctionRef> of;
  if (in.function_name()) {
    CO_TRY_ASSIGN(of, deps_.named(call, in.function_name()));
  }
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::vector<const Live*> found;
  for (const auto& [id, live] : live_) {
    const auto& mapping = live->mapping;
    bool wanted = mapping.scope == call.scope &&
                  (!in.event_source_arn() || mapping.source_arn == *in.event_source_arn()) &&
                  (!of || (mapping.function == of->name && mapping.qualifier == of->qualifier));
    if (wanted) found.push_back(live.get());
  }
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next,
                  [](const Live* live) { return live->mapping.id; });
  std::vector<model::EventSourceMappingConfiguration> page;
  for (const auto* live : found) page.push_back(describe(*live));
  model::ListEventSourceMappingsResponse out;
  out.set_event_source_mappings(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

model::EventSourceMappingConfiguration EventSources::describe(const Live& live) const {
  const auto& mapping = live.mapping;
  model::EventSourceMappingConfiguration out;
  std::string state = mapping.enabled ? "Enabled" : "Disabled";
  if (!live.transition.empty()) state = live.transition;
  out.set_uuid(mapping.id)
      .set_event_source_mapping_arn(mapping_arn(mapping))
      .set_event_source_arn(mapping.source_arn)
      .set_function_arn(function_of(mapping).arn())
      .set_batch_size(mapping.batch_size)
      .set_maximum_batching_window_in_seconds(mapping.window_seconds)
      .set_last_modified(static_cast<double>(mapping.modified_ms) / 1000)
      .set_state(std::move(state))
      .set_state_transition_reason("USER_INITIATED");
  std::vector<std::string> types;
  if (mapping.report_failures) types.emplace_back("ReportBatchItemFailures");
  out.set_function_response_types(std::move(types));
  if (mapping.max_concurrency > 0) {
    out.set_scaling_config(model::ScalingConfig().set_maximum_concurrency(mapping.max_concurrency));
  }
  if (mapping.pollers_max > 0) {
    out.set_provisioned_poller_config(model::ProvisionedPollerConfig()
                                          .set_minimum_pollers(mapping.pollers_min)
                                          .set_maximum_pollers(mapping.pollers_max));
  }
  if (mapping.count_events) {
    out.set_metrics_config(model::EventSourceMappingMetricsConfig().set_metrics({"EventCount"}));
  }
  if (!mapping.filters.empty()) {
    std::vector<model::Filter> filters;
    for (const auto& filter : mapping.filters) filters.emplace_back().set_pattern(filter);
    out.set_filter_criteria(model::FilterCriteria().set_filters(std::move(filters)));
  }
  return out;
}

// ---- Tags

bool EventSources::is_arn(std::string_view arn) { return arn.find(arn_mark) != arn.npos; }

ApiResult<std::map<std::string, std::string>> EventSources::tags(const Scope& scope,
                                                                 std::string_view arn) const {
  auto live = find(scope, arn.substr(arn.find(arn_mark) + arn_mark.size()));
  if (!live || mapping_arn((*live)->mapping) != arn) return refuse(resource_not_found());
  return (*live)->mapping.tags;
}

io::Task<ApiResult<void>> EventSources::set_tags(Scope scope, std::string arn,
                                                 std::map<std::string, std::string> tags) {
  CO_TRY(check_tags(tags));
  CO_TRY_ASSIGN(auto live, find_settled(scope, arn.substr(arn.find(arn_mark) + arn_mark.size())));
  auto flow = gate::read_flow(tags);
  if (!flow) co_return refuse(invalid(std::move(flow.error().message)));
  auto before = gate::read_flow(live->mapping.tags);
  Mapping mapping = live->mapping;
  mapping.tags = tags;
  auto stored = co_await deps_.mappings.put(std::move(mapping));
  if (!stored) co_return refuse(from(stored.error()));
  live->mapping.tags = std::move(tags);
  // Tags of flow control are settings: the pump begins again with them.
  if (!before || *flow != *before) {
    live->transition = "Updating";
    settle(live);
  }
  co_return ApiResult<void>{};
}

}  // namespace mayfly::lambda
