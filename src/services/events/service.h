// The EventBridge service: the operations of api/events.h on Config, Router and Replays, over JSON
// 1.1; and Bus, which owns these.
//
// Called by front/ through the operation table; guard/ asks BusPolicies; the Switchboard pushes to
// Bus::target(). Loop thread.
#pragma once

#include "api/operation.h"
#include "base/limits.h"
#include "guard/guard.h"
#include "services/events/effects.h"
#include "services/events/replays.h"
#include "services/events/rule_clock.h"
#include "services/events/target.h"

namespace mayfly::services::bus {

// Everything of the service that lives: opened, started once all targets are on the Switchboard,
// stopped before they go, closed. Owned by mayfly/.
class EventBus {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    guard::Guard& guard;
    const events::Switchboard& switchboard;
    io::HttpClient& http;
    std::string key;                                // Vault::key_bytes, for what is secret
    const events::EffectsBoard* effects = nullptr;  // absent: every event is put at once
    Counts counts{};
  };
  explicit EventBus(Deps deps);
  static Result<std::unique_ptr<EventBus>> open(Deps deps);

  void start();
  void stop();
  io::Task<void> close();

  api::Service service();
  EventTarget& target() { return target_; }
  events::EffectsTarget& effects() { return effects_; }
  guard::ResourcePolicies& policies() { return policies_; }
  std::size_t deliveries_waiting() const { return deliveries_.waiting(); }
  std::size_t open_breakers() const { return deliveries_.open_breakers(); }

 private:
  class Policies final : public guard::ResourcePolicies {
   public:
    explicit Policies(const Config& config) : config_(config) {}
    std::vector<guard::PolicyStatement> statements(std::string_view resource_arn) override;

   private:
    const Config& config_;
  };

  Deps deps_;
  Config config_;
  Vault vault_;
  HttpTargets http_;
  Deliveries deliveries_;
  Router router_;
  Replays replays_;
  RuleClock clock_;
  EventTarget target_;
  BusEffects effects_;
  Policies policies_;
};

// --- for the handlers (ops_*.cc) ---
using Answer = io::Task<ApiResult<wire::Record>>;

struct Context {
  io::Loop& loop;
  Random& random;
  store::Store& store;
  guard::Guard& guard;
  const events::Switchboard& switchboard;
  Config& config;
  Router& router;
  Replays& replays;
  const Vault& vault;
  const events::EffectsBoard* effects;

  std::int64_t now_ms() const { return epoch_millis(loop.clock().platform()); }
  double now_s() const { return static_cast<double>(now_ms()) / 1000; }
};

// The bus that a name or ARN means; ResourceNotFoundException.
ApiResult<BusRef> find_bus(const Context& context, const api::Call& call,
                           std::optional<std::string_view> name);

// One page of `rows`, whose keys begin with `prefix`: those behind the token, and the next token.
template <class T>
struct Page {
  std::vector<typename Table<T>::Row> rows;
  std::optional<std::string> next;
};
std::string token_of(std::string_view key);
ApiResult<std::string> key_of_token(std::optional<std::string_view> token);
template <class T>
ApiResult<Page<T>> page_of(const Table<T>& table, std::string_view prefix,
                           std::optional<std::string_view> token, std::optional<std::int64_t> limit,
                           const std::function<bool(const T&)>& wanted = {}) {
  TRY_ASSIGN(auto after, key_of_token(token));
  auto most = static_cast<std::size_t>(limit.value_or(limits::events_page));
  Page<T> out;
  for (auto& row : table.list(prefix, after, SIZE_MAX)) {
    if (wanted && !wanted(*row)) continue;
    if (out.rows.size() == most) {
      out.next = token_of(out.rows.back()->key());
      break;
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

ApiResult<Tags> read_tags(const std::vector<model::Tag>& tags, Tags into = {});
// Tags "mayfly:…" are settings: of rules alone, a circuit breaker (deliveries.h).
ApiResult<void> check_rule_tags(const Context& context, const Tags& tags);
ApiResult<void> check_bus_tags(const Tags& tags);

using Handle = Answer (*)(Context, api::Call&, wire::Record);
struct Operation {
  std::string_view name;
  Handle handler;
};
// Each file of handlers has a table of its own.
std::span<const Operation> bus_operations();
std::span<const Operation> rule_operations();
std::span<const Operation> target_operations();
std::span<const Operation> event_operations();
std::span<const Operation> archive_operations();
std::span<const Operation> replay_operations();
std::span<const Operation> connection_operations();
std::span<const Operation> destination_operations();
std::span<const Operation> tag_operations();

}  // namespace mayfly::services::bus
