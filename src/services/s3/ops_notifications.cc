// PutBucketNotificationConfiguration, GetBucketNotificationConfiguration.
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/service.h"

namespace mayfly::services::s3 {

namespace {

using Kind = NotificationRule::Kind;

template <class Configuration>
ApiResult<NotificationRule> read_rule(const Configuration& from, Kind kind, std::string_view arn) {
  NotificationRule out{.kind = kind,
                       .id = std::string(from.id().value_or("")),
                       .arn = std::string(arn),
                       .events = {}};
  if (out.id.size() > limits::notification_id_length) {
    return invalid_argument("The ID of a notification configuration is too long");
  }
  for (auto event : from.events()) {
    if (!is_event_name(event)) {
      return invalid_argument("The event is not supported for notifications");
    }
    out.events.emplace_back(event);
  }
  if (out.events.empty()) return malformed_xml();
  auto filter = from.filter();
  auto keys = filter ? filter->key() : std::nullopt;
  if (!keys) return out;
  bool prefix = false;
  bool suffix = false;
  for (const auto& rule : keys->filter_rules()) {
    auto name = rule.name().value_or("");
    bool is_prefix = name == "prefix" || name == "Prefix";
    if (!is_prefix && name != "suffix" && name != "Suffix") {
      return invalid_argument("filter rule name must be either prefix or suffix");
    }
    if (std::exchange(is_prefix ? prefix : suffix, true)) {
      return invalid_argument(fmt::format("Cannot specify more than one {} rule in a filter.",
                                          is_prefix ? "prefix" : "suffix"));
    }
    (is_prefix ? out.prefix : out.suffix) = rule.value().value_or("");
  }
  return out;
}

ApiResult<Notifications> read_configuration(const model::NotificationConfiguration& from) {
  Notifications out;
  out.event_bus = from.has_event_bridge_configuration();
  std::vector<ApiResult<NotificationRule>> rules;
  for (const auto& one : from.lambda_function_configurations()) {
    rules.push_back(read_rule(one, Kind::function, one.lambda_function_arn().value_or("")));
  }
  for (const auto& one : from.queue_configurations()) {
    rules.push_back(read_rule(one, Kind::queue, one.queue_arn().value_or("")));
  }
  for (const auto& one : from.topic_configurations()) {
    rules.push_back(read_rule(one, Kind::topic, one.topic_arn().value_or("")));
  }
  if (rules.size() > limits::notification_rules) {
    return invalid_argument("A bucket may have 100 notification configurations");
  }
  for (auto& rule : rules) {
    if (!rule) return std::unexpected(std::move(rule.error()));
    for (const auto& other : out.rules) {
      if (overlap(*rule, other)) {
        return invalid_argument(
            "Configurations overlap. Configurations on the same bucket cannot share a common "
            "event type.");
      }
      if (!rule->id.empty() && rule->id == other.id) {
        return invalid_argument("Same ID used for multiple configurations. IDs must be unique");
      }
    }
    out.rules.push_back(*std::move(rule));
  }
  return out;
}

std::string_view service_of(Kind kind) {
  if (kind == Kind::function) return "lambda";
  return kind == Kind::queue ? "sqs" : "sns";
}

ApiResult<void> check_target(const Deps& deps, const Bucket& bucket, const NotificationRule& rule) {
  auto refused = invalid_argument("Unable to validate the following destination configurations");
  if (events::service_of_arn(rule.arn) != service_of(rule.kind)) {
    return invalid_argument("The ARN could not be parsed");
  }
  if (events::scope_of_arn(rule.arn).region != bucket.region) {
    return invalid_argument(
        "The notification destination service region is not valid for the bucket location "
        "constraint");
  }
  // User guide: FIFO queues and topics are no destinations.
  if (rule.kind != Kind::function && rule.arn.ends_with(".fifo")) return refused;
  auto good = deps.switchboard.check(rule.arn, {.service = "s3.amazonaws.com",
                                                .source_arn = bucket_arn(bucket.name),
                                                .account = bucket.owner,
                                                .role_arn = {}});
  if (!good) return refused;
  return {};
}

io::Task<ApiResult<void>> test(Deps deps, const api::Call& call, BucketRef bucket,
                               std::string arn) {
  events::Delivery delivery{.arn = std::move(arn),
                            .payload = test_event(*bucket, call.request_id.str(), now_ms(deps)),
                            .sender = {.service = "s3.amazonaws.com",
                                       .source_arn = bucket_arn(bucket->name),
                                       .account = bucket->owner,
                                       .role_arn = {}},
                            .trace_header = call.trace_header};
  if (events::service_of_arn(delivery.arn) == "sns") delivery.subject = "Amazon S3 Notification";
  auto pushed = co_await deps.switchboard.push(std::move(delivery));
  if (pushed) co_return ApiResult<void>();
  co_return invalid_argument("Unable to validate the following destination configurations");
}

template <class Configuration>
Configuration written(const NotificationRule& rule) {
  Configuration out;
  out.set_id(rule.id).set_events(rule.events);
  std::vector<model::FilterRule> rules;
  if (!rule.prefix.empty()) rules.emplace_back().set_name("Prefix").set_value(rule.prefix);
  if (!rule.suffix.empty()) rules.emplace_back().set_name("Suffix").set_value(rule.suffix);
  if (!rules.empty()) {
    out.set_filter(model::NotificationConfigurationFilter().set_key(
        model::S3KeyFilter().set_filter_rules(std::move(rules))));
  }
  return out;
}

}  // namespace

Answer put_notifications(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  model::PutBucketNotificationConfigurationRequest in(std::move(input));
  auto configuration = in.notification_configuration();
  if (!configuration) co_return malformed_xml();
  auto wanted = read_configuration(*configuration);
  if (!wanted) co_return std::unexpected(std::move(wanted.error()));
  for (auto& rule : wanted->rules) {
    if (rule.id.empty()) rule.id = deps.pieces.new_id();
    if (in.skip_destination_validation().value_or(false)) continue;
    if (auto good = check_target(deps, **bucket, rule); !good) {
      co_return std::unexpected(good.error());
    }
    if (rule.kind == Kind::function) continue;
    if (auto good = co_await test(deps, call, *bucket, rule.arn); !good) {
      co_return std::unexpected(good.error());
    }
  }
  auto done = co_await deps.buckets.change(
      (*bucket)->name,
      [wanted = *std::move(wanted)](const BucketRef& now) -> Buckets::Table::Outcome {
        if (!now) return no_such_bucket();
        auto next = std::make_shared<Bucket>(*now);
        next->notifications = wanted;
        return next;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return wire::Record();
}

Answer get_notifications(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  std::vector<model::LambdaFunctionConfiguration> functions;
  std::vector<model::QueueConfiguration> queues;
  std::vector<model::TopicConfiguration> topics;
  for (const auto& rule : (*bucket)->notifications.rules) {
    switch (rule.kind) {
      case Kind::function:
        functions.push_back(written<model::LambdaFunctionConfiguration>(rule));
        functions.back().set_lambda_function_arn(rule.arn);
        break;
      case Kind::queue:
        queues.push_back(written<model::QueueConfiguration>(rule));
        queues.back().set_queue_arn(rule.arn);
        break;
      case Kind::topic:
        topics.push_back(written<model::TopicConfiguration>(rule));
        topics.back().set_topic_arn(rule.arn);
        break;
    }
  }
  model::NotificationConfiguration out;
  if (!functions.empty()) out.set_lambda_function_configurations(std::move(functions));
  if (!queues.empty()) out.set_queue_configurations(std::move(queues));
  if (!topics.empty()) out.set_topic_configurations(std::move(topics));
  if ((*bucket)->notifications.event_bus) {
    out.set_event_bridge_configuration(model::EventBridgeConfiguration());
  }
  co_return std::move(out).take();
}

}  // namespace mayfly::services::s3
