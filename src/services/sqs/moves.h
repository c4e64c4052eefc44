// Moves: tasks that move the messages of a dead-letter queue back to where they came from, or to
// another queue (StartMessageMoveTask). A moved message is a new one: a new id, sent now.
//
// Rows: move/ARN/START/HANDLE → a task; one that ran when the server ended goes on at the next
// start. Messages moved are counted in memory while a task runs.
//
// Loop thread; owned by Queues; close() before destruction.
#pragma once

#include "services/sqs/queue.h"

namespace mayfly::services::sqs {

struct MoveTask {
  enum class Status { running, cancelling, cancelled, completed, failed };
  std::string handle;  // what it is cancelled by
  std::string source_arn;
  std::string destination_arn;  // empty: to each message's own source
  std::int64_t per_second = 0;  // 0: as fast as it goes
  Status status = Status::running;
  std::int64_t moved = 0;
  std::int64_t to_move = 0;
  std::int64_t started_ms = 0;
  std::string failure;  // a code
};
std::string_view status_text(MoveTask::Status status);

class Moves {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    std::function<std::shared_ptr<Queue>(std::string_view arn)> find;
  };
  explicit Moves(Deps deps);

  Result<> load();
  // conflict: one runs already for that source.
  io::Task<Result<std::string>> start(std::string source_arn, std::string destination_arn,
                                      std::int64_t per_second);
  // What it has moved. not_found: no such task; conflict: it does not run.
  io::Task<Result<std::int64_t>> cancel(std::string handle);
  std::vector<MoveTask> list(std::string_view source_arn, std::size_t most) const;
  // The source of a handle; empty: it is none.
  static std::string source_of(std::string_view handle);
  io::Task<Result<>> forget(std::string source_arn);
  io::Task<void> close();

 private:
  using Shared = std::shared_ptr<MoveTask>;
  io::Task<Result<>> save(Shared task);
  io::Task<void> run(Shared task);
  io::Task<Result<std::size_t>> step(Shared task, std::size_t most);
  io::Task<void> pause(Duration time);

  Deps deps_;
  std::map<std::string, std::vector<Shared>, std::less<>> tasks_;  // by source, the newest first
  io::TaskScope scope_;
};

}  // namespace mayfly::services::sqs
