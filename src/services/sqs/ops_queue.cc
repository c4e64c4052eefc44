// Queues: made, found, listed, emptied, deleted.
#include "services/sqs/service.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

Attributes read_map(const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  Attributes out;
  for (auto [name, value] : pairs) out.insert_or_assign(std::string(name), std::string(value));
  return out;
}

// What the queue has or would have for that name.
std::string effective(const Attributes& attributes, std::string_view name, bool fifo) {
  auto found = attributes.find(name);
  return found != attributes.end() && !found->second.empty() ? found->second
                                                             : default_of(name, fifo);
}

ApiResult<bool> kind_of(std::string_view name, const Attributes& attributes) {
  auto found = attributes.find("FifoQueue");
  bool fifo = false;
  if (found != attributes.end()) {
    fifo = wire::iequals(found->second, "true");
    if (!fifo && !wire::iequals(found->second, "false")) return bad_attribute("FifoQueue");
    // The cloud takes the attribute for FIFO queues alone.
    if (!fifo) return Refusal(model::invalid_attribute_name("Unknown Attribute FifoQueue."));
  }
  if (is_queue_name(name, fifo)) return fifo;
  return invalid_parameter(
      fifo ? "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
             "underscores, must end with .fifo suffix and be 1 to 80 in length."
           : "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in "
             "length.");
}

// A queue of that name is the one that was asked for where nothing that was given differs.
ApiResult<std::shared_ptr<Queue>> same_queue(std::shared_ptr<Queue> queue,
                                             const Attributes& given) {
  for (const auto& [name, value] : given) {
    if (effective(queue->info().attributes, name, queue->fifo()) !=
        effective(given, name, queue->fifo())) {
      return Refusal(model::queue_name_exists(
          fmt::format("A queue already exists with the same name and a different value for "
                      "attribute {}",
                      name)));
    }
  }
  return queue;
}

ApiResult<void> check_tags(const std::map<std::string, std::string>& tags) {
  if (tags.size() <= limits::sqs_tags) return {};
  return invalid_parameter(
      fmt::format("Too many tags added for queue: {} are the most.", limits::sqs_tags));
}

std::string next_token(std::string_view last) { return wire::base64url_encode(last); }

ApiResult<std::string> read_token(std::optional<std::string_view> token) {
  if (!token || token->empty()) return std::string();
  auto text = wire::base64url_decode(*token);
  if (!text) return invalid_value(*token, "NextToken", "It is none that this server gave.");
  return *std::move(text);
}

// MaxResults of lists; without one there is one page.
ApiResult<std::size_t> page_of(std::optional<std::int64_t> most) {
  if (!most) return limits::sqs_page;
  if (*most < 1 || *most > static_cast<std::int64_t>(limits::sqs_page)) {
    return invalid_value(fmt::format("{}", *most), "MaxResults",
                         fmt::format("Must be >= 1 and <= {}.", limits::sqs_page));
  }
  return static_cast<std::size_t>(*most);
}

}  // namespace

Answer create_queue(Deps deps, api::Call& call, wire::Record input) {
  model::CreateQueueRequest in(std::move(input));
  QueueRef ref{call.scope, std::string(*in.queue_name())};
  Attributes given = read_map(in.attributes());
  CO_TRY_ASSIGN(bool fifo, kind_of(ref.name, given));
  for (const auto& [name, value] : given) CO_TRY(check_settable(name, fifo));
  CO_TRY_ASSIGN(auto settings, read_settings(given, ref));
  std::map<std::string, std::string> tags;
  for (auto [name, value] : in.tags()) tags.emplace(name, value);
  CO_TRY(check_tags(tags));
  auto queue = deps.queues.find(ref);
  if (!queue) {
    CO_TRY(check_dead_letter(deps, settings, ref));
    auto made = co_await deps.queues.create(ref, given, std::move(settings), std::move(tags));
    if (!made && made.error().kind != ErrorKind::already_exists) {
      co_return Refusal(api_error(made.error()));
    }
    queue = made ? *made : deps.queues.find(ref);
    if (!queue) co_return Refusal(api::internal_failure("The queue was deleted meanwhile."));
  }
  CO_TRY(same_queue(queue, given));
  co_return model::CreateQueueResult().set_queue_url(url_of(ref, call.host)).record();
}

Answer get_queue_url(Deps deps, api::Call& call, wire::Record input) {
  model::GetQueueUrlRequest in(std::move(input));
  QueueRef ref{call.scope, std::string(*in.queue_name())};
  if (auto owner = in.queue_owner_aws_account_id(); owner && !owner->empty()) {
    ref.scope.account = AccountId(std::string(*owner));
  }
  if (!deps.queues.find(ref)) co_return no_such_queue();
  co_return model::GetQueueUrlResult().set_queue_url(url_of(ref, call.host)).record();
}

Answer list_queues(Deps deps, api::Call& call, wire::Record input) {
  model::ListQueuesRequest in(std::move(input));
  CO_TRY_ASSIGN(auto most, page_of(in.max_results()));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  auto found = deps.queues.list(call.scope, in.queue_name_prefix().value_or(""), after, most + 1);
  bool more = found.size() > most;
  if (more) found.resize(most);
  std::vector<std::string> urls;
  for (const auto& queue : found) urls.push_back(url_of(queue->info().ref, call.host));
  model::ListQueuesResult out;
  if (!urls.empty()) out.set_queue_urls(std::move(urls));
  if (more && in.max_results()) out.set_next_token(next_token(found.back()->info().ref.name));
  co_return std::move(out).take();
}

Answer list_dead_letter_source_queues(Deps deps, api::Call& call, wire::Record input) {
  model::ListDeadLetterSourceQueuesRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  CO_TRY_ASSIGN(auto most, page_of(in.max_results()));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  std::vector<std::string> urls;
  std::string last;
  bool more = false;
  for (const auto& source : deps.queues.sources_of(queue->info().ref)) {
    const auto& name = source->info().ref.name;
    if (name <= after) continue;
    more = urls.size() == most;
    if (more) break;
    urls.push_back(url_of(source->info().ref, call.host));
    last = name;
  }
  model::ListDeadLetterSourceQueuesResult out;
  out.set_queue_urls(std::move(urls));
  if (more) out.set_next_token(next_token(last));
  co_return std::move(out).take();
}

Answer delete_queue(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteQueueRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  auto done = co_await deps.queues.remove(queue);
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

Answer purge_queue(Deps deps, api::Call& call, wire::Record input) {
  model::PurgeQueueRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, find_queue(deps, call, in.queue_url()));
  std::int64_t now = epoch_millis(deps.loop.clock().platform());
  const auto& info = queue->info();
  auto pause = std::chrono::milliseconds(limits::sqs_purge_time).count();
  if (info.purged_ms > 0 && now - info.purged_ms < pause) {
    co_return Refusal(model::purge_queue_in_progress(fmt::format(
        "Only one PurgeQueue operation on {} is allowed every 60 seconds.", info.ref.name)));
  }
  auto done = co_await deps.queues.purge(queue);
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

}  // namespace mayfly::services::sqs
