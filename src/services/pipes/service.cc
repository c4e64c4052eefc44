#include "services/pipes/service.h"

#include "base/limits.h"
#include "base/log.h"

namespace mayfly::services::pipes {

namespace {

std::string resource_of(const api::Operation& operation, const wire::Record& input,
                        const Scope& scope) {
  if (operation.resource == "*") return "*";
  auto text = [&](std::string_view member) {
    int index = input.shape == nullptr ? -1 : input.index(member);
    const auto* found =
        index < 0 ? nullptr : input.at(static_cast<std::size_t>(index)).get<std::string>();
    return found == nullptr ? std::string() : *found;
  };
  if (auto arn = text("resourceArn"); !arn.empty()) return arn;
  return fmt::format("arn:aws:pipes:{}:{}:pipe/{}", scope.region.str(), scope.account.str(),
                     text("Name"));
}

ApiResult<void> check_source(const Settings& settings) {
  auto parameters = settings.about.source_parameters();
  bool ordered = settings.about.source().value_or("").ends_with(".fifo");
  if (!parameters) return {};
  if (auto queue = parameters->sqs_queue_parameters()) {
    auto items = queue->batch_size().value_or(10);
    auto window = queue->maximum_batching_window_in_seconds().value_or(0);
    if (ordered && (items > 10 || window > 0)) {
      return invalid(
          "A FIFO queue gives batches of up to 10 messages, and has no batching window.");
    }
    if (items > 10 && window == 0) {
      return invalid("MaximumBatchingWindowInSeconds must be set where BatchSize is over 10.");
    }
  }
  auto criteria = parameters->filter_criteria();
  auto filters = criteria ? criteria->filters() : std::vector<model::Filter>();
  if (filters.size() > limits::pipes_filters) {
    return invalid(fmt::format("A pipe may have {} filters.", limits::pipes_filters));
  }
  for (const auto& filter : filters) {
    auto read = wire::EventPattern::parse(filter.pattern().value_or(""));
    if (!read) {
      return invalid(fmt::format("Event pattern is not valid. Reason: {}", read.error().message));
    }
  }
  return {};
}

ApiResult<void> check_template(std::optional<std::string_view> text, std::string_view of) {
  if (!text || text->empty()) return {};
  auto read = read_template(*text);
  if (read) return {};
  return invalid(
      fmt::format("InputTemplate of the {} is not valid: {}.", of, read.error().message));
}

}  // namespace

Refusal invalid(std::string message) {
  return Refusal(model::validation_exception(std::move(message)));
}

Refusal no_pipe(std::string_view name) {
  return Refusal(model::not_found_exception(fmt::format("Pipe {} does not exist.", name)));
}

Pipes::Pipes(Deps deps)
    : deps_(deps),
      table_(deps_.loop, deps_.store, "pipe/",
             [](const Error& error) { return api::internal_failure(error.message); }),
      breakers_(deps_.loop),
      tasks_(deps_.loop) {
  breakers_.on_change([this](const std::string& breaker) {
    auto found = live_.find(std::string_view(breaker).substr(0, breaker.size() - 1));
    if (found != live_.end() && found->second->pipe) found->second->pipe->poke();
  });
}

Result<std::unique_ptr<Pipes>> Pipes::open(Deps deps) {
  auto out = std::make_unique<Pipes>(deps);
  TRY(out->table_.load());
  return out;
}

void Pipes::start() {
  stopped_ = false;
  for (const auto& [key, row] : table_.all()) {
    auto live = std::make_shared<Live>();
    live_[key] = live;
    run(key, *live);
  }
}

void Pipes::stop() {
  stopped_ = true;
  for (auto& [key, live] : live_) {
    if (live->pipe) live->pipe->stop();
  }
}

io::Task<void> Pipes::close() {
  stop();
  co_await tasks_.close();
  for (auto& [key, live] : live_) {
    if (live->pipe) co_await live->pipe->close();
  }
}

api::Service Pipes::service() {
  api::Service out;
  out.model = &model::model;
  out.resource = resource_of;
  for (const auto& row : operations()) {
    out.handlers[row.name] = [this, handler = row.handler](api::Call& call,
                                                           wire::Record input) -> Answer {
      return handler(*this, call, std::move(input));
    };
  }
  return out;
}

// ---- What runs

void Pipes::run(const std::string& key, Live& live) {
  auto row = table_.find(key);
  live.failure.clear();
  if (!row || !row->runs() || stopped_) return;
  live.pipe = std::make_unique<Pipe>(Pipe::Deps{deps_.loop, deps_.switchboard, breakers_}, row);
  if (auto started = live.pipe->start(); !started) {
    log::warn("pipes", "pipe {} does not run: {}", row->name(), started.error().message);
    live.failure = std::move(started.error().message);
    live.pipe.reset();
  }
}

std::string Pipes::state_of(const Settings& settings) const {
  auto found = live_.find(settings.key());
  if (found == live_.end()) return settings.runs() ? "CREATING" : "STOPPED";
  if (!found->second->transition.empty()) return found->second->transition;
  if (!found->second->failure.empty()) return "START_FAILED";
  return settings.runs() ? "RUNNING" : "STOPPED";
}

std::string Pipes::reason_of(const std::string& key) const {
  auto found = live_.find(key);
  return found == live_.end() ? std::string() : found->second->failure;
}

bool Pipes::settled(const std::string& key) const {
  auto found = live_.find(key);
  return found == live_.end() || found->second->transition.empty();
}

void Pipes::settle(const std::string& key, std::string transition) {
  auto& live = live_[key];
  if (!live) live = std::make_shared<Live>();
  live->transition = std::move(transition);
  tasks_.spawn(settle_soon(key));
}

io::Task<void> Pipes::settle_soon(std::string key) {
  co_await deps_.loop.turn_end();  // the answer shows the state on the way
  auto live = live_[key];
  if (live->pipe) {
    live->pipe->stop();
    co_await live->pipe->close();
    live->pipe.reset();
  }
  if (!table_.find(key)) {
    breakers_.forget(key + "/");
    live_.erase(key);
    co_return;
  }
  run(key, *live);
  live->transition.clear();
}

void Pipes::follow_tags(const Settings& before, const Settings& now) {
  auto own = [](const Settings& settings) {
    auto out = settings.tags();
    std::erase_if(out, [](const auto& tag) { return !tag.first.starts_with("mayfly:"); });
    return out;
  };
  if (own(before) == own(now)) return;
  breakers_.forget(now.breaker_key());
  // One that is on its way takes them as they are now.
  if (settled(now.key())) settle(now.key(), "UPDATING");
}

ApiResult<void> check_tags(const Pipes& pipes, const gate::Tags& tags) {
  if (auto flow = gate::read_flow(tags, pipe_tags); !flow)
    return invalid(flow.error().message + ".");
  auto breaker = gate::breaker_of(tags);
  if (!breaker) return invalid(breaker.error().message + ".");
  if (*breaker == nullptr || (*breaker)->fallback.empty() ||
      pipes.deps().switchboard.target((*breaker)->fallback) != nullptr) {
    return {};
  }
  return invalid(fmt::format("The fallback {} is nothing that this server could push to.",
                             (*breaker)->fallback));
}

ApiResult<void> Pipes::check(const Settings& settings) const {
  const auto& about = settings.about;
  auto source = about.source().value_or("");
  auto service = events::service_of_arn(source);
  if (service != "sqs") {
    return Refusal(api::not_implemented(
        "pipes", fmt::format("sources of '{}'", service.empty() ? source : service)));
  }
  if (!deps_.switchboard.source(service, source).there) {
    return invalid(fmt::format("The source {} does not exist.", source));
  }
  TRY(check_source(settings));
  auto target = about.target().value_or("");
  if (deps_.switchboard.target(target) == nullptr) {
    return Refusal(api::not_implemented(
        "pipes", fmt::format("targets of '{}'", events::service_of_arn(target))));
  }
  auto enrichment = about.enrichment().value_or("");
  bool callable = events::service_of_arn(enrichment) == "lambda" ||
                  enrichment.find(":api-destination/") != enrichment.npos;
  if (!enrichment.empty() && !callable) {
    return Refusal(api::not_implemented(
        "pipes", fmt::format("enrichments of '{}'", events::service_of_arn(enrichment))));
  }
  if (auto parameters = about.target_parameters()) {
    TRY(check_template(parameters->input_template(), "target"));
  }
  if (auto parameters = about.enrichment_parameters()) {
    TRY(check_template(parameters->input_template(), "enrichment"));
  }
  return {};
}

}  // namespace mayfly::services::pipes
