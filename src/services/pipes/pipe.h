// Pipe: one source, moved to one target, through filters and an enrichment (EventBridge user guide,
// "Amazon EventBridge Pipes"). The moving is pump/'s; this makes of each batch what the enrichment
// and the target are to get.
//
//   records of the source ► filters ► [template ► enrichment] ► [template] ► target
//
// A function gets a batch as a JSON array, everything else record by record. What fails makes the
// whole batch come back, but for functions that name the failed items as event source mappings do.
//
// Its tags are settings: flow control (gate/flow.h), and a circuit breaker for what its batches go
// to, enrichment and target together. While that is open nothing is taken from the source, or what
// is taken goes to its fallback.
//
// Loop thread. stop(), then close() before destruction.
#pragma once

#include "api/pipes.h"
#include "api/record_json.h"
#include "events/switchboard.h"
#include "gate/breaker.h"
#include "pump/pump.h"
#include "wire/input_template.h"

namespace mayfly::services::pipes {

namespace model = api::pipes;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

// What is kept of a pipe.
struct Settings {
  Scope scope;
  model::DescribePipeResponse about;
  std::string name() const { return std::string(about.name().value_or("")); }
  std::string key() const { return scope.account.str() + "/" + scope.region.str() + "/" + name(); }
  std::string breaker_key() const { return key() + "/"; }
  gate::Tags tags() const;
  bool runs() const { return about.desired_state().value_or("RUNNING") == "RUNNING"; }
};
std::string encode(const Settings& settings);
Result<> decode(std::string_view bytes, Settings& settings);

class Pipe {
 public:
  struct Deps {
    io::Loop& loop;
    const events::Switchboard& switchboard;
    gate::Breakers& breakers;
  };
  Pipe(Deps deps, std::shared_ptr<const Settings> settings);
  ~Pipe();

  // not_found: its source is not there.
  Result<> start();
  void stop();
  io::Task<void> close();
  // Its circuit breaker may let something through.
  void poke() {
    if (pump_) pump_->poke();
  }

 private:
  using Records = std::vector<wire::Json>;
  using Template = std::optional<wire::InputTemplate>;

  bool may_move() const;
  io::Task<Result<events::Outcome>> attempt(std::string payload, std::string trace);
  io::Task<Result<events::Outcome>> move(std::string payload, std::string trace, std::string arn);
  io::Task<Result<Records>> enrich(Records records, std::string trace);
  io::Task<Result<events::Outcome>> send(Records records, std::string trace, std::string arn);
  io::Task<Result<events::Outcome>> send_batch(const Records& records, std::string trace,
                                               std::string_view arn);
  // One record as the template makes it, or as it is.
  Result<std::string> input_of(const Template& form, const wire::Json& record) const;
  Result<std::string> array_of(const Template& form, const Records& records) const;
  events::Delivery delivery_to(std::string_view arn, std::string payload, std::string trace) const;
  void add_target_parameters(const wire::Json& record, events::Delivery& delivery) const;
  std::optional<wire::Json> value_of(std::string_view name, const wire::Json& record) const;

  Deps deps_;
  std::shared_ptr<const Settings> settings_;
  Template enrichment_template_;
  Template target_template_;
  std::shared_ptr<const gate::BreakerSettings> breaker_;  // nullptr: none
  std::unique_ptr<pump::Pump> pump_;
};

// Tags of pipes that are settings, beside those of flow control.
inline constexpr std::string_view pipe_tags[] = {gate::breaker_tag};

// Of an InputTemplate: paths ("$.body.id") and what is predefined ("aws.pipes.pipe-arn").
Result<wire::InputTemplate> read_template(std::string_view text);
// A constant, or what is at a path of the record; members of a body that is JSON are found in it.
std::string text_at(std::string_view text, const wire::Json& record);

}  // namespace mayfly::services::pipes
