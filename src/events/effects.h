// Effects: what one invocation does to resources of this server, held back until it has ended and
// then done with the acknowledgement of what it was invoked for, in one transaction; or not at all.
// For functions that ask for it (MAYFLY_EXACTLY_ONCE=on). These are the messages it sends to queues
// and publishes to topics, and the events it puts on buses; whatever else it does is done at once.
//
// Topics and buses keep their data in stores of their own. What is for them is written down in that
// transaction, and brought to them after it, as often as it takes; each does it once, and notes
// that in the commit which does it.
//
// Loop thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "io/task.h"

namespace mayfly::events {

// What an invocation asked a service for, as that service has written it down.
struct HeldEffect {
  std::string service;  // "sns"
  std::string record;
};

class Effects {
 public:
  virtual ~Effects() = default;
  // All of these are held back, or none. too_large: an invocation has no more than so many.
  virtual Result<> hold(std::vector<HeldEffect> effects) = 0;
  // All of them, the deletion of these items of the feed that began it, and, unless it is empty,
  // the record that the invocation of that id was done, with its outcome. conflict: an item is not
  // ours any more; then nothing is done. Once.
  virtual io::Task<Result<>> commit(std::vector<std::string> handles, std::string request_id,
                                    std::string outcome) = 0;
};

// A service to which held effects are brought when they are to happen.
class EffectsTarget {
 public:
  virtual ~EffectsTarget() = default;
  // Does what the record says, if `id` was not done before, and notes `id` in the same commit. An
  // error: it is not done, and will be asked for again.
  virtual io::Task<Result<>> perform(std::string id, std::string record) = 0;
  // Those noted; and these may be forgotten, as nobody asks for them again.
  virtual Result<std::vector<std::string>> performed() = 0;
  virtual io::Task<void> forget(std::vector<std::string> ids) = 0;
};

// Which invocation an environment is at work for: its calls come through its own listener.
class EffectsBoard {
 public:
  void open(const InstanceId& instance, std::shared_ptr<Effects> effects) {
    open_[instance] = std::move(effects);
  }
  void close(const InstanceId& instance) { open_.erase(instance); }
  // nullptr: what it does is done at once.
  std::shared_ptr<Effects> find(const InstanceId& instance) const {
    auto found = open_.find(instance);
    return found == open_.end() ? nullptr : found->second;
  }

 private:
  std::map<InstanceId, std::shared_ptr<Effects>> open_;
};

// Where effects are kept that no feed began (asynchronous events), and what is known of ended ones.
class EffectsLedger {
 public:
  virtual ~EffectsLedger() = default;
  virtual std::shared_ptr<Effects> begin() = 0;
  // The outcome that was recorded for an invocation of that id; nullopt: it was not done, or so
  // long ago (limits::once_remembered) that nobody asks.
  virtual Result<std::optional<std::string>> done(std::string_view request_id) = 0;
};

}  // namespace mayfly::events
