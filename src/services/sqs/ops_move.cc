// Message move tasks: dead letters back to work.
#include "services/sqs/service.h"

namespace mayfly::services::sqs {

namespace {

Refusal no_resource(std::string message) {
  return Refusal(model::resource_not_found_exception(std::move(message)));
}

ApiResult<std::shared_ptr<Queue>> source_of(const Deps& deps, const api::Call& call,
                                            std::string_view arn) {
  auto ref = parse_arn(arn);
  if (!ref) return invalid_value(arn, "SourceArn", "It is not the ARN of a queue.");
  auto queue = ref->scope == call.scope ? deps.queues.find(*ref) : nullptr;
  if (!queue)
    return no_resource(
        "The resource that you specified for the SourceArn parameter doesn't exist.");
  return queue;
}

}  // namespace

Answer start_message_move_task(Deps deps, api::Call& call, wire::Record input) {
  model::StartMessageMoveTaskRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, source_of(deps, call, *in.source_arn()));
  const auto& ref = queue->info().ref;
  if (deps.queues.sources_of(ref).empty()) {
    co_return invalid_parameter("Source queue must be configured as a Dead Letter Queue.");
  }
  std::string destination(in.destination_arn().value_or(""));
  if (!destination.empty()) {
    auto to = parse_arn(destination);
    auto target = to ? deps.queues.find(*to) : nullptr;
    if (!target) {
      co_return no_resource(
          "The resource that you specified for the DestinationArn parameter doesn't exist.");
    }
    if (*to == ref) {
      co_return invalid_parameter("Source queue arn and destination queue arn cannot be the same.");
    }
    if (to->fifo() != ref.fifo()) {
      co_return invalid_parameter("Source and destination queues must be of the same type.");
    }
  }
  auto rate = in.max_number_of_messages_per_second();
  if (rate && (*rate < 1 || *rate > limits::sqs_moves_per_second)) {
    co_return invalid_value(
        fmt::format("{}", *rate), "MaxNumberOfMessagesPerSecond",
        fmt::format("Must be >= 1 and <= {}, if provided.", limits::sqs_moves_per_second));
  }
  auto handle =
      co_await deps.queues.moves().start(ref.arn(), std::move(destination), rate.value_or(0));
  if (!handle && handle.error().kind == ErrorKind::conflict) {
    co_return invalid_parameter(handle.error().message);
  }
  if (!handle) co_return Refusal(api_error(handle.error()));
  co_return model::StartMessageMoveTaskResult().set_task_handle(*handle).record();
}

Answer cancel_message_move_task(Deps deps, api::Call&, wire::Record input) {
  model::CancelMessageMoveTaskRequest in(std::move(input));
  auto moved = co_await deps.queues.moves().cancel(std::string(*in.task_handle()));
  if (!moved) {
    if (moved.error().kind == ErrorKind::not_found) co_return no_resource(moved.error().message);
    if (moved.error().kind == ErrorKind::conflict) co_return unsupported(moved.error().message);
    co_return Refusal(api_error(moved.error()));
  }
  co_return model::CancelMessageMoveTaskResult()
      .set_approximate_number_of_messages_moved(*moved)
      .record();
}

Answer list_message_move_tasks(Deps deps, api::Call& call, wire::Record input) {
  model::ListMessageMoveTasksRequest in(std::move(input));
  CO_TRY_ASSIGN(auto queue, source_of(deps, call, *in.source_arn()));
  auto most = in.max_results().value_or(1);
  if (most < 1 || most > static_cast<std::int64_t>(limits::sqs_moves_listed)) {
    co_return invalid_value(
        fmt::format("{}", most), "MaxResults",
        fmt::format("Must be >= 1 and <= {}, if provided.", limits::sqs_moves_listed));
  }
  std::vector<model::ListMessageMoveTasksResultEntry> results;
  for (const auto& task :
       deps.queues.moves().list(queue->info().ref.arn(), static_cast<std::size_t>(most))) {
    auto& out = results.emplace_back();
    out.set_status(std::string(status_text(task.status)))
        .set_source_arn(task.source_arn)
        .set_approximate_number_of_messages_moved(task.moved)
        .set_started_timestamp(task.started_ms);
    if (task.status == MoveTask::Status::running) {
      out.set_task_handle(task.handle);
      out.set_approximate_number_of_messages_to_move(task.to_move);
    }
    if (!task.destination_arn.empty()) out.set_destination_arn(task.destination_arn);
    if (task.per_second > 0) out.set_max_number_of_messages_per_second(task.per_second);
    if (!task.failure.empty()) out.set_failure_reason(task.failure);
  }
  model::ListMessageMoveTasksResult out;
  if (!results.empty()) out.set_results(std::move(results));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::sqs
