#include "services/pipes/pipe.h"

#include "base/log.h"
#include "wire/json_path.h"
#include "wire/text.h"

namespace mayfly::services::pipes {

namespace {

using wire::Json;
using wire::JsonArray;

constexpr std::array<std::string_view, 8> predefined{
    "aws.pipes.pipe-arn",       "aws.pipes.pipe-name",  "aws.pipes.source-arn",
    "aws.pipes.enrichment-arn", "aws.pipes.target-arn", "aws.pipes.event.ingestion-time",
    "aws.pipes.event",          "aws.pipes.event.json"};

// What comes back and would be tried again is a failure; what will never be taken says nothing of
// the target's health.
gate::Breakers::End judge(const Result<events::Outcome>& outcome) {
  using End = gate::Breakers::End;
  if (outcome) return outcome->kind == events::Outcome::Kind::ok ? End::success : End::failure;
  switch (outcome.error().kind) {
    case ErrorKind::invalid:
    case ErrorKind::too_large:
    case ErrorKind::unimplemented:
    case ErrorKind::cancelled: return End::neither;
    default: return End::failure;
  }
}

// Beyond "$.body" a body that is JSON is read as such.
std::optional<Json> at_path(std::string_view text, const Json& record) {
  auto path = wire::JsonPath::parse(text);
  if (!path) return std::nullopt;
  constexpr std::string_view body = "$.body";
  if (text.starts_with(body) && text.size() > body.size()) {
    const auto* member = record.find("body");
    auto inner = member != nullptr && member->is_string() ? wire::parse_json(member->string_value())
                                                          : Result<Json>(Json());
    if (inner && !inner->is_null()) {
      Json with = record;
      with["body"] = *std::move(inner);
      return path->find(with);
    }
  }
  return path->find(record);
}

Result<std::vector<Json>> read_records(std::string_view payload) {
  TRY_ASSIGN(auto json, wire::parse_json(payload));
  const auto* records = json.find("Records");
  if (records == nullptr || !records->is_array()) {
    return fail(ErrorKind::internal, "a batch has no records");
  }
  return *records->as<JsonArray>();
}

// What a function says of a batch, where it says which items failed; else nothing.
std::string verdict_of(const std::string& answer) {
  auto json = wire::parse_json(answer);
  return json && json->find("batchItemFailures") != nullptr ? answer : std::string();
}

bool is_function(std::string_view arn) { return events::service_of_arn(arn) == "lambda"; }

template <class Parameters>
void add_http(const Parameters& parameters, const Json& record, events::Delivery& delivery) {
  auto add = [&](std::string name, std::string_view value) {
    delivery.attributes.push_back({std::move(name), "String", text_at(value, record)});
  };
  for (auto value : parameters.path_parameter_values()) add("path", value);
  for (auto [name, value] : parameters.header_parameters()) {
    add(fmt::format("header.{}", name), value);
  }
  for (auto [name, value] : parameters.query_string_parameters()) {
    add(fmt::format("query.{}", name), value);
  }
}

}  // namespace

gate::Tags Settings::tags() const {
  gate::Tags out;
  for (auto [name, value] : about.tags()) out.emplace(name, value);
  return out;
}

std::string encode(const Settings& settings) {
  Json out;
  out["account"] = settings.scope.account.str();
  out["region"] = settings.scope.region.str();
  out["about"] = api::json_of(settings.about.record());
  return out.dump();
}

Result<> decode(std::string_view bytes, Settings& settings) {
  auto json = wire::parse_json(bytes);
  const auto* about = json ? json->find("about") : nullptr;
  if (about == nullptr) return fail(ErrorKind::corrupt, "the row of a pipe cannot be read");
  settings.scope = {AccountId(std::string(json->string_or("account"))),
                    Region(std::string(json->string_or("region")))};
  TRY_ASSIGN(auto record, api::record_of(model::DescribePipeResponse::shape(), *about));
  settings.about = model::DescribePipeResponse(std::move(record));
  return {};
}

Result<wire::InputTemplate> read_template(std::string_view text) {
  return wire::InputTemplate::parse(text, [](std::string_view name) {
    return std::ranges::find(predefined, name) != predefined.end() ||
           wire::JsonPath::parse(name).has_value();
  });
}

std::string text_at(std::string_view text, const Json& record) {
  if (!text.starts_with("$.")) return std::string(text);
  auto value = at_path(text, record);
  if (!value) return {};
  return value->is_string() ? std::string(value->string_value()) : value->dump();
}

Pipe::Pipe(Deps deps, std::shared_ptr<const Settings> settings)
    : deps_(deps), settings_(std::move(settings)) {
  auto read = [](std::optional<std::string_view> text) -> Template {
    if (!text || text->empty()) return std::nullopt;
    // It was read once when it was set.
    auto out = read_template(*text);
    return out ? Template(*std::move(out)) : std::nullopt;
  };
  if (auto parameters = settings_->about.enrichment_parameters()) {
    enrichment_template_ = read(parameters->input_template());
  }
  if (auto parameters = settings_->about.target_parameters()) {
    target_template_ = read(parameters->input_template());
  }
  breaker_ = gate::breaker_of(settings_->tags()).value_or(nullptr);
}

Pipe::~Pipe() = default;

Result<> Pipe::start() {
  auto arn = settings_->about.source().value_or("");
  auto source = deps_.switchboard.source(events::service_of_arn(arn), arn);
  if (!source.there) return fail(ErrorKind::not_found, fmt::format("{} is not there", arn));
  pump::Settings settings{.batches_max = limits::pipes_batches_max};
  settings.report_failures = is_function(settings_->about.target().value_or("")) &&
                             settings_->about.enrichment().value_or("").empty();
  if (auto parameters = settings_->about.source_parameters()) {
    if (auto queue = parameters->sqs_queue_parameters()) {
      settings.batch_items = static_cast<std::size_t>(queue->batch_size().value_or(10));
      settings.window_ms = queue->maximum_batching_window_in_seconds().value_or(0) * 1000;
    }
    if (auto criteria = parameters->filter_criteria()) {
      for (const auto& filter : criteria->filters()) {
        auto pattern = wire::EventPattern::parse(filter.pattern().value_or(""));
        if (pattern) settings.filters.push_back(*std::move(pattern));
      }
    }
  }
  if (auto flow = gate::read_flow(settings_->tags(), pipe_tags)) settings.flow = *std::move(flow);
  pump::Pump::Deps deps{.loop = deps_.loop,
                        .feed = std::move(source.feed),
                        .push =
                            [this](pump::Call call) {
                              return attempt(std::move(call.payload), std::move(call.trace_header));
                            },
                        .may_push = [this] { return may_move(); }};
  pump_ = std::make_unique<pump::Pump>(std::move(deps), std::move(settings));
  pump_->start();
  return {};
}

void Pipe::stop() {
  if (pump_) pump_->stop();
}

io::Task<void> Pipe::close() {
  if (pump_) co_await pump_->close();
}

// ---- One batch

bool Pipe::may_move() const {
  return !breaker_ || !breaker_->fallback.empty() || deps_.breakers.lets(settings_->breaker_key());
}

io::Task<Result<events::Outcome>> Pipe::attempt(std::string payload, std::string trace) {
  std::string target(settings_->about.target().value_or(""));
  if (!breaker_) co_return co_await move(std::move(payload), std::move(trace), std::move(target));
  std::string key = settings_->breaker_key();
  auto begun = deps_.breakers.begin(key, *breaker_);
  if (begun) {
    auto outcome = co_await move(std::move(payload), std::move(trace), std::move(target));
    deps_.breakers.end(key, *breaker_, judge(outcome));
    co_return outcome;
  }
  if (!breaker_->fallback.empty()) {
    auto instead = co_await move(std::move(payload), std::move(trace), breaker_->fallback);
    if (instead) co_return instead;
    log::warn("pipes", "the fallback {} of pipe {} takes nothing: {}", breaker_->fallback,
              settings_->name(), instead.error().message);
  }
  co_return std::unexpected(begun.error());
}

io::Task<Result<events::Outcome>> Pipe::move(std::string payload, std::string trace,
                                             std::string arn) {
  CO_TRY_ASSIGN(auto records, read_records(payload));
  if (!settings_->about.enrichment().value_or("").empty()) {
    CO_TRY_ASSIGN(records, co_await enrich(std::move(records), trace));
  }
  if (records.empty()) co_return events::Outcome{};
  co_return co_await send(std::move(records), std::move(trace), std::move(arn));
}

// What the enrichment answers takes the place of the records.
io::Task<Result<Pipe::Records>> Pipe::enrich(Records records, std::string trace) {
  std::string arn(settings_->about.enrichment().value_or(""));
  Records out;
  auto take = [&out](const std::string& answer) -> Result<> {
    if (answer.empty()) return {};
    TRY_ASSIGN(auto json, wire::parse_json(answer));
    if (json.is_null()) return {};
    if (const auto* list = json.as<JsonArray>()) {
      out.insert(out.end(), list->begin(), list->end());
    } else {
      out.push_back(std::move(json));
    }
    return {};
  };
  std::vector<std::string> payloads;
  if (is_function(arn)) {
    CO_TRY_ASSIGN(auto array, array_of(enrichment_template_, records));
    payloads.push_back(std::move(array));
  } else {
    for (const auto& record : records) {
      CO_TRY_ASSIGN(auto one, input_of(enrichment_template_, record));
      payloads.push_back(std::move(one));
    }
  }
  auto parameters = settings_->about.enrichment_parameters();
  auto http = parameters ? parameters->http_parameters() : std::nullopt;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    auto delivery = delivery_to(arn, std::move(payloads[i]), trace);
    delivery.wait = true;
    if (http && !is_function(arn)) add_http(*http, records[i], delivery);
    CO_TRY_ASSIGN(auto outcome, co_await deps_.switchboard.push(std::move(delivery)));
    if (outcome.kind != events::Outcome::Kind::ok) {
      co_return fail(ErrorKind::internal, "the enrichment failed");
    }
    CO_TRY(take(outcome.payload));
  }
  co_return out;
}

io::Task<Result<events::Outcome>> Pipe::send(Records records, std::string trace, std::string arn) {
  if (is_function(arn)) co_return co_await send_batch(records, std::move(trace), arn);
  for (const auto& record : records) {
    CO_TRY_ASSIGN(auto payload, input_of(target_template_, record));
    auto delivery = delivery_to(arn, std::move(payload), trace);
    add_target_parameters(record, delivery);
    CO_TRY(co_await deps_.switchboard.push(std::move(delivery)));
  }
  co_return events::Outcome{};
}

io::Task<Result<events::Outcome>> Pipe::send_batch(const Records& records, std::string trace,
                                                   std::string_view arn) {
  auto parameters = settings_->about.target_parameters();
  auto function = parameters ? parameters->lambda_function_parameters() : std::nullopt;
  CO_TRY_ASSIGN(auto payload, array_of(target_template_, records));
  auto delivery = delivery_to(arn, std::move(payload), std::move(trace));
  delivery.wait = arn == settings_->about.target().value_or("") &&
                  (!function || function->invocation_type() != "FIRE_AND_FORGET");
  auto outcome = co_await deps_.switchboard.push(std::move(delivery));
  if (outcome) outcome->payload = verdict_of(outcome->payload);
  co_return outcome;
}

events::Delivery Pipe::delivery_to(std::string_view arn, std::string payload,
                                   std::string trace) const {
  return {.arn = std::string(arn),
          .payload = std::move(payload),
          .sender = {.service = "pipes.amazonaws.com",
                     .source_arn = std::string(settings_->about.arn().value_or("")),
                     .account = settings_->scope.account,
                     .role_arn = std::string(settings_->about.role_arn().value_or(""))},
          .trace_header = std::move(trace)};
}

void Pipe::add_target_parameters(const Json& record, events::Delivery& delivery) const {
  auto parameters = settings_->about.target_parameters();
  auto add = [&](std::string name, std::string value) {
    delivery.attributes.push_back({std::move(name), "String", std::move(value)});
  };
  bool bus = delivery.arn.find(":event-bus/") != delivery.arn.npos;
  auto events = parameters ? parameters->event_bridge_event_bus_parameters() : std::nullopt;
  if (bus) {
    auto source = events ? events->source().value_or("") : std::string_view();
    auto type = events ? events->detail_type().value_or("") : std::string_view();
    add("source", source.empty() ? "Pipe " + settings_->name() : text_at(source, record));
    add("detail-type", type.empty() ? "Event from aws:sqs" : text_at(type, record));
    JsonArray resources;
    if (events) {
      for (auto one : events->resources()) resources.emplace_back(text_at(one, record));
      if (auto time = events->time()) add("time", text_at(*time, record));
    }
    add("resources", Json(std::move(resources)).dump());
  }
  if (!parameters) return;
  if (auto queue = parameters->sqs_queue_parameters()) {
    delivery.group_id = text_at(queue->message_group_id().value_or(""), record);
    delivery.deduplication_id = text_at(queue->message_deduplication_id().value_or(""), record);
  }
  if (auto http = parameters->http_parameters()) add_http(*http, record, delivery);
}

// ---- Templates

std::optional<Json> Pipe::value_of(std::string_view name, const Json& record) const {
  const auto& about = settings_->about;
  if (name.starts_with('$')) return at_path(name, record);
  if (name == "aws.pipes.pipe-arn") return Json(about.arn().value_or(""));
  if (name == "aws.pipes.pipe-name") return Json(about.name().value_or(""));
  if (name == "aws.pipes.source-arn") return Json(about.source().value_or(""));
  if (name == "aws.pipes.enrichment-arn") return Json(about.enrichment().value_or(""));
  if (name == "aws.pipes.target-arn") return Json(about.target().value_or(""));
  if (name == "aws.pipes.event.ingestion-time") {
    return Json(wire::format_iso8601(epoch_millis(deps_.loop.clock().platform())));
  }
  return record;  // event, event.json
}

Result<std::string> Pipe::input_of(const Template& form, const Json& record) const {
  if (!form) return record.is_string() ? std::string(record.string_value()) : record.dump();
  return form->fill([&](std::string_view name) { return value_of(name, record); });
}

Result<std::string> Pipe::array_of(const Template& form, const Records& records) const {
  std::string out = "[";
  for (const auto& record : records) {
    if (out.size() > 1) out += ',';
    if (!form) {
      out += record.dump();
      continue;
    }
    TRY_ASSIGN(auto one, form->fill([&](std::string_view name) { return value_of(name, record); }));
    out += one;
  }
  out += ']';
  return out;
}

}  // namespace mayfly::services::pipes
