// Templates: which functions have one, and when one is made and ended. A function whose environment
// has started once gets one in the background, one at a time, as far as memory allows; the least
// used ones go first, and come back by use. Each runtime gets a generic one for each way it is
// started (by memory size, where the interpreter is told it), of which the first environment of a
// function is forked.
//
// A new template is trusted when the first environment forked from it has come up; that environment
// is then handed to the pool.
//
// Runtimes that cannot be forked get guests that have booted (BootedGuests) instead.
//
// Owned by the Pool. Loop thread; close() before destruction.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "invoke/booted_guests.h"
#include "invoke/environment.h"
#include "invoke/template.h"

namespace mayfly::invoke {

class Templates {
 public:
  // What happens to the environment that proved a template. Null where none is wanted.
  using Adopt = std::function<void(std::unique_ptr<Environment>)>;

  Templates(const Deps& deps, LogBuffer& buffer, Adopt adopt);

  // To fork an environment of this function from: its own template, else a generic one, else null.
  std::shared_ptr<Template> find(const Runnable& runnable, const sandbox::RuntimePack& pack);
  // Where it cannot be forked: a guest that has booted, or null.
  std::unique_ptr<BootedGuest> take_booted(const Runnable& runnable,
                                           const sandbox::RuntimePack& pack) {
    return booted_.take(runnable, pack);
  }
  // Has the function a template of its own to fork from?
  bool has_own(const Runnable& runnable) const;
  // Makes the template of a version with SnapStart, unless it has one, and waits for it
  // (templates_snapshot.cc). `conflict`: its guest cannot be forked.
  io::Task<Result<Snapshot>> snapshot(std::shared_ptr<const Runnable> runnable);
  // An environment of it has started: asks for templates it lacks.
  void want(const std::shared_ptr<const Runnable>& runnable, const sandbox::RuntimeChoice& runtime);

  int made() const;                               // functions that have one
  int booted() const { return booted_.ready(); }  // guests that wait to become environments
  int waiting() const;                            // asked for, being made too; of both kinds
  void retire_where(const std::function<bool(const Runnable&)>& is_old);
  void refuse();  // makes none any more
  void kill_all();
  io::Task<void> close();

 private:
  struct Entry {
    enum class State { waiting, building, ready, refused };
    State state = State::waiting;
    TemplateKind kind = TemplateKind::function;
    // Generic ones: the function that asked for it; others of its memory size use it as well, since
    // interpreters are told theirs at the start.
    std::shared_ptr<const Runnable> runnable;
    sandbox::RuntimeChoice runtime;
    std::shared_ptr<Template> made;
    MonoTime used{};
    MonoTime made_at{};
    WallTime made_platform{};
    int failures = 0;
    std::optional<Result<Snapshot>> outcome = {};  // of the snapshot made last
  };

  void ask(TemplateKind kind, const std::shared_ptr<const Runnable>& runnable,
           const sandbox::RuntimeChoice& runtime);
  void build_next();
  io::Task<void> build(std::string key);
  io::Task<void> build_snapshot(std::shared_ptr<Entry> entry);
  io::Task<Result<>> make(Entry& entry);
  io::Task<Result<std::unique_ptr<Environment>>> prove(const Entry& entry);
  void give_up(Entry& entry, const Error& error);
  void keep_within_memory(const std::string& newest);
  void end(std::shared_ptr<Template> ended);
  io::Task<void> end_task(std::shared_ptr<Template> ended);
  bool is_ready(Entry& entry);
  bool is_young(const Entry& entry) const;

  const Deps& deps_;
  LogBuffer& buffer_;
  Adopt adopt_;
  std::uint64_t memory_max_bytes_;
  BootedGuests booted_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
  std::deque<std::string> queue_;
  bool building_ = false;
  bool closing_ = false;
  io::ParkingLot snapshot_made_;
  std::unordered_map<Template*, std::shared_ptr<Template>> ending_;
  io::TaskScope tasks_;
};

// Memory of the machine.
std::uint64_t machine_memory_bytes();

}  // namespace mayfly::invoke
