// The Pipes service: the operations of api/pipes.h over REST-JSON, and Pipes, which owns what runs.
//
// Called by front/ through the operation table. Loop thread. start() once sources and targets are
// on the Switchboard; stop() before they go, then close().
#pragma once

#include "api/operation.h"
#include "services/pipes/pipe.h"
#include "store/table.h"

namespace mayfly::services::pipes {

class Pipes {
 public:
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    const events::Switchboard& switchboard;
  };
  using Table = store::Table<Settings, api::ApiError>;
  using Row = Table::Row;

  explicit Pipes(Deps deps);
  static Result<std::unique_ptr<Pipes>> open(Deps deps);

  void start();
  void stop();
  io::Task<void> close();
  api::Service service();

  // --- for the handlers (ops.cc) ---
  Table& table() { return table_; }
  const Deps& deps() const { return deps_; }
  double now_s() const {
    return static_cast<double>(epoch_millis(deps_.loop.clock().platform())) / 1000;
  }
  // CREATING, STARTING, STOPPING … while it is on its way, else RUNNING, STOPPED, START_FAILED.
  std::string state_of(const Settings& settings) const;
  std::string reason_of(const std::string& key) const;
  bool settled(const std::string& key) const;
  // The pipe becomes what its row says, by way of that state.
  void settle(const std::string& key, std::string transition);
  // Its tags that are settings are others than before: it begins again with them.
  void follow_tags(const Settings& before, const Settings& now);
  std::size_t open_breakers() const { return breakers_.open(); }
  // Everything that a pipe names can be served here.
  ApiResult<void> check(const Settings& settings) const;

 private:
  struct Live {
    std::unique_ptr<Pipe> pipe;
    std::string transition;
    std::string failure;  // why it does not run
  };
  io::Task<void> settle_soon(std::string key);
  void run(const std::string& key, Live& live);

  Deps deps_;
  Table table_;
  gate::Breakers breakers_;
  std::map<std::string, std::shared_ptr<Live>, std::less<>> live_;
  bool stopped_ = true;
  io::TaskScope tasks_;
};

using Answer = io::Task<ApiResult<wire::Record>>;
using Handle = Answer (*)(Pipes&, api::Call&, wire::Record);
struct Operation {
  std::string_view name;
  Handle handler;
};
std::span<const Operation> operations();

ApiResult<void> check_tags(const Pipes& pipes, const gate::Tags& tags);
Refusal invalid(std::string message);
Refusal no_pipe(std::string_view name);

}  // namespace mayfly::services::pipes
