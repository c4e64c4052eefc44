// EventSources: event source mappings: their operations, and the pumps that run them.
//
//   Creating ─► Enabled ⇄ (Enabling, Disabling) Disabled;  Updating in between;  Deleting ─► gone
//
// A change is acknowledged when it is on the disk; its answer shows the state on the way. The pump
// of before ends its running batches first, then the new one starts.
//
// Owned by Service. Loop thread. stop() when the server ends, close() when nothing runs any more.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/lambda.h"
#include "base/random.h"
#include "events/switchboard.h"
#include "functions/mappings.h"
#include "pump/pump.h"
#include "services/lambda/errors.h"
#include "services/lambda/names.h"

namespace mayfly::lambda {

class EventSources {
 public:
  using Mapping = functions::Mapping;
  using Answer = io::Task<ApiResult<wire::Record>>;
  struct Deps {
    io::Loop& loop;
    Random& random;
    functions::Mappings& mappings;
    const events::Switchboard& switchboard;
    std::function<ApiResult<FunctionRef>(const api::Call&, std::optional<std::string_view> name)>
        named;
    // The timeout of a function that may have a mapping, or why there is none.
    std::function<ApiResult<int>(const FunctionRef&)> timeout_seconds;
    std::function<io::Task<Result<events::Outcome>>(FunctionRef, pump::Call)> invoke;
    // The circuit breaker of the function with that concurrency key lets a batch through now;
    // poke() when that changes.
    std::function<bool(std::string_view key)> may_run;
    // What the function does is held back and committed with the items.
    std::function<bool(const FunctionRef&)> hold_effects;
    // What becomes of the items of mappings that ask for it (MetricsConfig). May be absent.
    std::function<void(const FunctionRef&, const std::string& id, pump::Step, std::size_t items)>
        count = {};
  };
  explicit EventSources(Deps deps);

  void add_to(api::Service& service);
  void start();  // what was enabled when the server ended
  void stop();
  io::Task<void> close();

  // Mappings of the function with this concurrency key may push again.
  void poke(std::string_view key);

  // …:event-source-mapping:UUID
  static bool is_arn(std::string_view arn);
  ApiResult<std::map<std::string, std::string>> tags(const Scope& scope,
                                                     std::string_view arn) const;
  io::Task<ApiResult<void>> set_tags(Scope scope, std::string arn,
                                     std::map<std::string, std::string> tags);

 private:
  struct Live {
    Mapping mapping;
    std::string transition;  // the state on the way, or empty
    std::unique_ptr<pump::Pump> pump;
  };
  using Shared = std::shared_ptr<Live>;

  Answer create(api::Call& call, wire::Record input);
  Answer get(api::Call& call, wire::Record input);
  Answer update(api::Call& call, wire::Record input);
  Answer remove(api::Call& call, wire::Record input);
  Answer list(api::Call& call, wire::Record input);

  ApiResult<Shared> find(const Scope& scope, std::string_view id) const;
  // One that may be changed now; ResourceInUseException.
  ApiResult<Shared> find_settled(const Scope& scope, std::string_view id) const;
  ApiResult<void> check(const Mapping& mapping) const;
  api::lambda::EventSourceMappingConfiguration describe(const Live& live) const;
  void settle(const Shared& live);
  io::Task<void> settle_soon(Shared live);
  void run(Live& live);

  Deps deps_;
  std::map<std::string, Shared, std::less<>> live_;
  bool stopped_ = false;
  io::TaskScope tasks_;
};

}  // namespace mayfly::lambda
