#include "services/sqs/moves.h"

#include "base/log.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

using Status = MoveTask::Status;

constexpr std::size_t step_messages = 100;

std::string move_key(const MoveTask& task) {
  return fmt::format("move/{}/{:016x}/{}", task.source_arn, task.started_ms, task.handle);
}

std::string encode(const MoveTask& task) {
  return wire::Json::object({{"handle", task.handle},
                             {"source", task.source_arn},
                             {"destination", task.destination_arn},
                             {"perSecond", task.per_second},
                             {"status", status_text(task.status)},
                             {"moved", task.moved},
                             {"toMove", task.to_move},
                             {"started", task.started_ms},
                             {"failure", task.failure}})
      .dump();
}

Result<MoveTask> decode(std::string_view bytes) {
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  MoveTask out{.handle = std::string(json.string_or("handle")),
               .source_arn = std::string(json.string_or("source")),
               .destination_arn = std::string(json.string_or("destination")),
               .per_second = json.int_or("perSecond", 0),
               .moved = json.int_or("moved", 0),
               .to_move = json.int_or("toMove", 0),
               .started_ms = json.int_or("started", 0),
               .failure = std::string(json.string_or("failure"))};
  auto status = json.string_or("status");
  for (auto one : {Status::running, Status::cancelling, Status::cancelled, Status::completed,
                   Status::failed}) {
    if (status_text(one) == status) out.status = one;
  }
  return out;
}

}  // namespace

std::string_view status_text(Status status) {
  switch (status) {
    case Status::running: return "RUNNING";
    case Status::cancelling: return "CANCELLING";
    case Status::cancelled: return "CANCELLED";
    case Status::completed: return "COMPLETED";
    case Status::failed: return "FAILED";
  }
  return {};
}

Moves::Moves(Deps deps) : deps_(std::move(deps)), scope_(deps_.loop) {}

Result<> Moves::load() {
  TRY_ASSIGN(auto rows, deps_.store.scan("move/", "", SIZE_MAX));
  for (const auto& row : rows) {
    TRY_ASSIGN(auto task, decode(row.value));
    auto shared = std::make_shared<MoveTask>(std::move(task));
    auto& list = tasks_[shared->source_arn];
    list.insert(list.begin(), shared);
    if (shared->status == Status::cancelling) shared->status = Status::cancelled;
    if (shared->status == Status::running) scope_.spawn(run(shared));
  }
  return {};
}

std::string Moves::source_of(std::string_view handle) {
  auto text = wire::base64_decode(handle);
  auto json = text ? wire::parse_json(*text) : fail(ErrorKind::invalid, "no base64");
  return json ? std::string(json->string_or("sourceArn")) : std::string();
}

io::Task<Result<>> Moves::save(Shared task) {
  store::Batch batch;
  batch.puts.push_back({move_key(*task), encode(*task)});
  CO_TRY(co_await deps_.store.commit(std::move(batch)));
  co_return Result<>{};
}

io::Task<Result<std::string>> Moves::start(std::string source_arn, std::string destination_arn,
                                           std::int64_t per_second) {
  auto& list = tasks_[source_arn];
  bool runs = std::ranges::any_of(list, [](const Shared& one) {
    return one->status == Status::running || one->status == Status::cancelling;
  });
  if (runs) {
    co_return fail(ErrorKind::conflict,
                   "There is already a task running. Only one active task is allowed for a source "
                   "queue arn at a given time.");
  }
  auto task = std::make_shared<MoveTask>();
  task->handle = wire::base64_encode(
      wire::Json::object({{"taskId", deps_.random.uuid4()}, {"sourceArn", source_arn}}).dump());
  task->source_arn = source_arn;
  task->destination_arn = std::move(destination_arn);
  task->per_second = per_second;
  task->started_ms = epoch_millis(deps_.loop.clock().platform());
  if (auto queue = deps_.find(source_arn)) {
    task->to_move = static_cast<std::int64_t>(queue->counts().visible);
  }
  list.insert(list.begin(), task);
  store::Batch batch;
  while (list.size() > limits::sqs_moves_listed) {
    batch.deletes.push_back(move_key(*list.back()));
    list.pop_back();
  }
  batch.puts.push_back({move_key(*task), encode(*task)});
  auto done = co_await deps_.store.commit(std::move(batch));
  if (!done) {
    std::erase(tasks_[source_arn], task);
    co_return std::unexpected(std::move(done).error());
  }
  scope_.spawn(run(task));
  co_return task->handle;
}

io::Task<Result<std::int64_t>> Moves::cancel(std::string handle) {
  auto found = tasks_.find(source_of(handle));
  Shared task;
  if (found != tasks_.end()) {
    for (const auto& one : found->second) {
      if (one->handle == handle) task = one;
    }
  }
  if (!task) co_return fail(ErrorKind::not_found, "Task does not exist.");
  if (task->status != Status::running) {
    co_return fail(ErrorKind::conflict, "Only active tasks can be cancelled.");
  }
  task->status = Status::cancelling;
  CO_TRY(co_await save(task));
  co_return task->moved;
}

std::vector<MoveTask> Moves::list(std::string_view source_arn, std::size_t most) const {
  std::vector<MoveTask> out;
  auto found = tasks_.find(source_arn);
  if (found == tasks_.end()) return out;
  for (const auto& one : found->second) {
    if (out.size() < most) out.push_back(*one);
  }
  return out;
}

io::Task<Result<>> Moves::forget(std::string source_arn) {
  auto found = tasks_.find(source_arn);
  if (found == tasks_.end()) co_return Result<>{};
  store::Batch batch;
  for (const auto& one : found->second) {
    if (one->status == Status::running) one->status = Status::cancelling;
    batch.deletes.push_back(move_key(*one));
  }
  tasks_.erase(found);
  CO_TRY(co_await deps_.store.commit(std::move(batch)));
  co_return Result<>{};
}

io::Task<void> Moves::pause(Duration time) {
  io::Event over(deps_.loop);
  auto timer =
      deps_.loop.add_platform_timer(deps_.loop.clock().platform() + time, [&over] { over.set(); });
  co_await over.wait(no_deadline, scope_.stop_token());
  deps_.loop.cancel_timer(timer);
}

io::Task<void> Moves::run(Shared task) {
  auto stop = scope_.stop_token();
  while (task->status == Status::running && !stop.stop_requested()) {
    std::size_t most = step_messages;
    if (task->per_second > 0) {
      most = std::min(most, static_cast<std::size_t>(task->per_second));
    }
    auto moved = co_await step(task, most);
    if (!moved) {
      task->status = Status::failed;
      task->failure = moved.error().reason;
      log::warn("sqs", "messages of {} are moved no further: {}", task->source_arn,
                moved.error().message);
    } else if (*moved == 0) {
      task->status = Status::completed;
    } else {
      task->moved += static_cast<std::int64_t>(*moved);
      if (task->per_second > 0) {
        co_await pause(std::chrono::nanoseconds(
            1'000'000'000ll * static_cast<std::int64_t>(*moved) / task->per_second));
      }
    }
  }
  if (stop.stop_requested()) co_return;  // the next start goes on
  if (task->status == Status::cancelling) task->status = Status::cancelled;
  bool known = tasks_.contains(task->source_arn);
  if (!known) co_return;  // its queue is deleted
  if (auto saved = co_await save(task); !saved) {
    log::error("sqs", "the end of a move is not stored: {}", saved.error().message);
  }
}

io::Task<Result<std::size_t>> Moves::step(Shared task, std::size_t most) {
  auto source = deps_.find(task->source_arn);
  if (!source)
    co_return fail(ErrorKind::not_found, "it is gone", "AWS.SimpleQueueService.NonExistentQueue");
  auto messages = source->take_for_move(most);
  struct There {
    std::shared_ptr<Queue> queue;
    Index::New message;
  };
  std::vector<There> there;
  std::vector<Message> taken;
  std::optional<Error> failure;
  store::Batch batch;
  for (const auto& message : messages) {
    std::string arn = task->destination_arn.empty() ? message.source_arn : task->destination_arn;
    auto queue = deps_.find(arn);
    if (!queue && !failure) {
      failure = arn.empty() ? Error{ErrorKind::invalid, "a message came from no other queue",
                                    "CouldNotDetermineMessageSource"}
                            : Error{ErrorKind::not_found, fmt::format("{} is gone", arn),
                                    "AWS.SimpleQueueService.NonExistentQueue"};
    }
    if (failure) continue;
    Message fresh = message;
    fresh.id = deps_.random.uuid4();
    fresh.sent_ms = epoch_millis(deps_.loop.clock().platform());
    fresh.delayed_until_ms = 0;
    fresh.receives = 0;
    fresh.first_receive_ms = 0;
    fresh.source_arn.clear();
    batch.deletes.push_back(source->key_of(message.seq));
    there.push_back({queue, queue->prepare(fresh, batch)});
    taken.push_back(message);
  }
  std::vector<Message> left(messages.begin() + static_cast<std::ptrdiff_t>(taken.size()),
                            messages.end());
  source->moved(left, false);
  if (taken.empty()) {
    if (failure) co_return std::unexpected(*failure);
    co_return std::size_t{0};
  }
  auto done = co_await deps_.store.commit(std::move(batch));
  for (const auto& one : there) {
    done ? one.queue->arrived(one.message) : one.queue->drop(one.message);
    one.queue->settle();
  }
  source->moved(taken, done.has_value());
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return taken.size();
}

io::Task<void> Moves::close() { co_await scope_.close(); }

}  // namespace mayfly::services::sqs
