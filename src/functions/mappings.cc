#include "functions/mappings.h"

#include "wire/json.h"

namespace mayfly::functions {

namespace {

constexpr std::string_view prefix = "event-source-mapping/";
constexpr std::size_t page = 256;

std::string encode(const Mapping& mapping) {
  wire::Json tags{wire::JsonObject()};
  for (const auto& [name, value] : mapping.tags) tags[name] = value;
  wire::JsonArray filters(mapping.filters.begin(), mapping.filters.end());
  return wire::Json::object({{"account", mapping.scope.account.str()},
                             {"region", mapping.scope.region.str()},
                             {"function", mapping.function.str()},
                             {"qualifier", mapping.qualifier},
                             {"source", mapping.source_arn},
                             {"batchSize", mapping.batch_size},
                             {"windowSeconds", mapping.window_seconds},
                             {"enabled", mapping.enabled},
                             {"reportFailures", mapping.report_failures},
                             {"maxConcurrency", mapping.max_concurrency},
                             {"pollersMin", mapping.pollers_min},
                             {"pollersMax", mapping.pollers_max},
                             {"countEvents", mapping.count_events},
                             {"filters", std::move(filters)},
                             {"tags", std::move(tags)},
                             {"modified", mapping.modified_ms}})
      .dump();
}

Result<Mapping> decode(std::string_view bytes, std::string id) {
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  Mapping out;
  out.id = std::move(id);
  out.scope = {AccountId(std::string(json.string_or("account"))),
               Region(std::string(json.string_or("region")))};
  out.function = FunctionName(std::string(json.string_or("function")));
  out.qualifier = json.string_or("qualifier");
  out.source_arn = json.string_or("source");
  out.batch_size = static_cast<int>(json.int_or("batchSize", 0));
  out.window_seconds = static_cast<int>(json.int_or("windowSeconds", 0));
  out.enabled = json.bool_or("enabled", false);
  out.report_failures = json.bool_or("reportFailures", false);
  out.max_concurrency = static_cast<int>(json.int_or("maxConcurrency", 0));
  out.pollers_min = static_cast<int>(json.int_or("pollersMin", 0));
  out.pollers_max = static_cast<int>(json.int_or("pollersMax", 0));
  out.count_events = json.bool_or("countEvents", false);
  out.modified_ms = json.int_or("modified", 0);
  const auto* filters = json.find("filters");
  const auto* tags = json.find("tags");
  if (out.function.empty() || out.source_arn.empty() || out.batch_size < 1 || filters == nullptr ||
      !filters->is_array() || tags == nullptr || !tags->is_object()) {
    return fail(ErrorKind::corrupt, fmt::format("the event source mapping {} is damaged", out.id));
  }
  for (const auto& one : *filters->as<wire::JsonArray>()) {
    out.filters.emplace_back(one.string_value());
  }
  for (const auto& [name, value] : *tags->as<wire::JsonObject>()) {
    out.tags[name] = value.string_value();
  }
  return out;
}

}  // namespace

Result<> Mappings::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan(prefix, after, page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto mapping, decode(row.value, row.key.substr(prefix.size())));
      std::string id = mapping.id;
      mappings_.insert_or_assign(std::move(id), std::move(mapping));
    }
    if (rows.size() < page) return {};
    after = rows.back().key;
  }
}

const Mapping* Mappings::find(const Scope& scope, std::string_view id) const {
  auto found = mappings_.find(id);
  return found == mappings_.end() || found->second.scope != scope ? nullptr : &found->second;
}

io::Task<Result<>> Mappings::put(Mapping mapping) {
  store::Batch batch;
  batch.puts.push_back({std::string(prefix) + mapping.id, encode(mapping)});
  CO_TRY(co_await store_.commit(std::move(batch)));
  std::string id = mapping.id;
  mappings_.insert_or_assign(std::move(id), std::move(mapping));
  co_return Result<>{};
}

io::Task<Result<>> Mappings::remove(std::string id) {
  store::Batch batch;
  batch.deletes.push_back(std::string(prefix) + id);
  CO_TRY(co_await store_.commit(std::move(batch)));
  mappings_.erase(id);
  co_return Result<>{};
}

}  // namespace mayfly::functions
