#include "services/sqs/settings.h"

#include "base/limits.h"
#include "services/sqs/policy.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

using std::chrono::seconds;

constexpr std::int64_t count(auto time) {
  return std::chrono::duration_cast<seconds>(time).count();
}

// Attributes that are numbers.
struct Range {
  std::string_view name;
  std::int64_t min;
  std::int64_t max;
  std::int64_t fallback;
};
constexpr std::array<Range, 6> ranges{{
    {"DelaySeconds", 0, count(limits::sqs_delay_max), 0},
    {"MaximumMessageSize", limits::sqs_message_bytes_min, limits::sqs_message_bytes,
     limits::sqs_message_bytes},
    {"MessageRetentionPeriod", count(limits::sqs_retention_min), count(limits::sqs_retention_max),
     count(limits::sqs_retention_default)},
    {"ReceiveMessageWaitTimeSeconds", 0, count(limits::sqs_wait_max), 0},
    {"VisibilityTimeout", 0, count(limits::sqs_visibility_max),
     count(limits::sqs_visibility_default)},
    {"KmsDataKeyReusePeriodSeconds", 60, 86'400, 300},
}};

constexpr std::array<std::string_view, 15> stored{"Policy",
                                                  "VisibilityTimeout",
                                                  "DelaySeconds",
                                                  "MaximumMessageSize",
                                                  "RedrivePolicy",
                                                  "MessageRetentionPeriod",
                                                  "FifoQueue",
                                                  "ReceiveMessageWaitTimeSeconds",
                                                  "KmsMasterKeyId",
                                                  "ContentBasedDeduplication",
                                                  "DeduplicationScope",
                                                  "KmsDataKeyReusePeriodSeconds",
                                                  "FifoThroughputLimit",
                                                  "SqsManagedSseEnabled",
                                                  "RedriveAllowPolicy"};

constexpr std::array<std::string_view, 7> computed{"All",
                                                   "ApproximateNumberOfMessages",
                                                   "ApproximateNumberOfMessagesNotVisible",
                                                   "ApproximateNumberOfMessagesDelayed",
                                                   "CreatedTimestamp",
                                                   "LastModifiedTimestamp",
                                                   "QueueArn"};

constexpr std::array<std::string_view, 4> fifo_only{"FifoQueue", "ContentBasedDeduplication",
                                                    "DeduplicationScope", "FifoThroughputLimit"};

bool holds(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

ApiResult<std::int64_t> number_of(const Attributes& attributes, std::string_view name) {
  const auto& range = *std::ranges::find(ranges, name, &Range::name);
  auto found = attributes.find(name);
  if (found == attributes.end() || found->second.empty()) return range.fallback;
  auto value = wire::parse_int(found->second);
  if (!value || *value < range.min || *value > range.max) return bad_attribute(name);
  return *value;
}

ApiResult<bool> flag_of(const Attributes& attributes, std::string_view name, bool fallback) {
  auto found = attributes.find(name);
  if (found == attributes.end() || found->second.empty()) return fallback;
  if (wire::iequals(found->second, "true")) return true;
  if (wire::iequals(found->second, "false")) return false;
  return bad_attribute(name);
}

ApiResult<std::string> word_of(const Attributes& attributes, std::string_view name,
                               std::string_view fallback, std::string_view other) {
  auto found = attributes.find(name);
  if (found == attributes.end() || found->second.empty()) return std::string(fallback);
  if (found->second != fallback && found->second != other) return bad_attribute(name);
  return found->second;
}

Refusal bad_redrive(const std::string& text, std::string_view name, std::string_view why) {
  return invalid_value(text, name, why);
}

// {"deadLetterTargetArn": …, "maxReceiveCount": a number, or one as text}
ApiResult<void> read_redrive(const Attributes& attributes, const QueueRef& queue, Settings& out) {
  auto found = attributes.find("RedrivePolicy");
  if (found == attributes.end() || found->second.empty()) return {};
  const auto& text = found->second;
  auto refuse = [&](std::string_view why) { return bad_redrive(text, "RedrivePolicy", why); };
  auto json = wire::parse_json(text);
  if (!json || !json->is_object()) return refuse("Redrive policy is not a valid JSON map.");
  const auto* arn = json->find("deadLetterTargetArn");
  const auto* most = json->find("maxReceiveCount");
  if (arn == nullptr || !arn->is_string()) {
    return refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.");
  }
  if (most == nullptr) {
    return refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.");
  }
  auto number = most->is_string() ? wire::parse_int(most->string_value()).value_or(0)
                                  : static_cast<std::int64_t>(most->number_value());
  if (number < 1 || number > limits::sqs_receives_max) {
    return refuse(fmt::format(
        "Invalid value for maxReceiveCount: {}, valid values are from 1 to "
        "{} both inclusive.",
        most->is_string() ? most->string_value() : most->dump(), limits::sqs_receives_max));
  }
  auto target = parse_arn(arn->string_value());
  if (!target) return refuse("Invalid value for deadLetterTargetArn.");
  if (target->scope != queue.scope) {
    return refuse(
        "Dead letter target must be owned by the same account and be in the same region "
        "as the source.");
  }
  if (target->fifo() != queue.fifo()) {
    return refuse("Dead-letter queue must be same type of queue as the source.");
  }
  out.dead_letter_arn = target->arn();
  out.receives_max = static_cast<std::uint32_t>(number);
  return {};
}

// {"redrivePermission": allowAll | denyAll | byQueue, "sourceQueueArns": […]}
ApiResult<void> read_allow(const Attributes& attributes, Settings& out) {
  auto found = attributes.find("RedriveAllowPolicy");
  if (found == attributes.end() || found->second.empty()) return {};
  auto refuse = [&](std::string_view why) {
    return bad_redrive(found->second, "RedriveAllowPolicy", why);
  };
  auto json = wire::parse_json(found->second);
  if (!json || !json->is_object()) return refuse("Redrive allow policy is not a valid JSON map.");
  auto permission = json->string_or("redrivePermission");
  const auto* list = json->find("sourceQueueArns");
  const auto* arns = list == nullptr ? nullptr : list->as<wire::JsonArray>();
  if (permission == "allowAll" || permission == "denyAll") {
    if (arns != nullptr) return refuse("sourceQueueArns is for byQueue alone.");
    out.allow = permission == "allowAll" ? Settings::Allow::all : Settings::Allow::none;
    return {};
  }
  if (permission != "byQueue") return refuse("Invalid value for redrivePermission.");
  if (arns == nullptr || arns->empty() || arns->size() > limits::sqs_redrive_sources) {
    return refuse(
        fmt::format("byQueue needs 1 to {} sourceQueueArns.", limits::sqs_redrive_sources));
  }
  out.allow = Settings::Allow::by_queue;
  for (const auto& arn : *arns) {
    if (!parse_arn(arn.string_value())) return refuse("sourceQueueArns must be ARNs of queues.");
    out.allowed_arns.emplace_back(arn.string_value());
  }
  return {};
}

ApiResult<void> read_fifo(const Attributes& attributes, Settings& out) {
  TRY_ASSIGN(out.content_deduplication, flag_of(attributes, "ContentBasedDeduplication", false));
  TRY_ASSIGN(auto scope, word_of(attributes, "DeduplicationScope", "queue", "messageGroup"));
  TRY_ASSIGN(auto limit,
             word_of(attributes, "FifoThroughputLimit", "perQueue", "perMessageGroupId"));
  if (limit == "perMessageGroupId" && scope != "messageGroup") {
    return bad_attribute("FifoThroughputLimit",
                         "perMessageGroupId needs the DeduplicationScope messageGroup.");
  }
  out.deduplicate_by_group = scope == "messageGroup";
  return {};
}

}  // namespace

bool Settings::allows(std::string_view source_arn) const {
  if (allow == Allow::by_queue) return holds(allowed_arns, source_arn);
  return allow == Allow::all;
}

ApiResult<Settings> read_settings(const Attributes& attributes, const QueueRef& queue) {
  Settings out;
  TRY_ASSIGN(auto delay, number_of(attributes, "DelaySeconds"));
  TRY_ASSIGN(auto retention, number_of(attributes, "MessageRetentionPeriod"));
  TRY_ASSIGN(auto visibility, number_of(attributes, "VisibilityTimeout"));
  TRY_ASSIGN(auto wait, number_of(attributes, "ReceiveMessageWaitTimeSeconds"));
  TRY_ASSIGN(auto bytes, number_of(attributes, "MaximumMessageSize"));
  TRY(number_of(attributes, "KmsDataKeyReusePeriodSeconds"));
  TRY(flag_of(attributes, "SqsManagedSseEnabled", true));
  out.delay_ms = delay * 1000;
  out.retention_ms = retention * 1000;
  out.visibility_ms = visibility * 1000;
  out.wait_ms = wait * 1000;
  out.message_bytes = static_cast<std::size_t>(bytes);
  if (queue.fifo()) TRY(read_fifo(attributes, out));
  TRY(read_redrive(attributes, queue, out));
  TRY(read_allow(attributes, out));
  if (auto policy = attributes.find("Policy");
      policy != attributes.end() && !policy->second.empty()) {
    TRY(read_policy(policy->second));
  }
  return out;
}

ApiResult<void> check_settable(std::string_view name, bool fifo) {
  bool known = holds(stored, name);
  if (!fifo && holds(fifo_only, name)) known = false;
  if (known) return {};
  return Refusal(model::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
}

std::string default_of(std::string_view name, bool fifo) {
  bool encrypted = name == "KmsDataKeyReusePeriodSeconds";  // answered beside a key alone
  auto range = std::ranges::find(ranges, name, &Range::name);
  if (range != ranges.end() && !encrypted) return fmt::format("{}", range->fallback);
  if (name == "SqsManagedSseEnabled") return "true";
  if (!fifo) return {};
  if (name == "FifoQueue") return "true";
  if (name == "ContentBasedDeduplication") return "false";
  if (name == "DeduplicationScope") return "queue";
  if (name == "FifoThroughputLimit") return "perQueue";
  return {};
}

std::span<const std::string_view> stored_names() { return stored; }

bool is_attribute(std::string_view name) { return holds(stored, name) || holds(computed, name); }

}  // namespace mayfly::services::sqs
