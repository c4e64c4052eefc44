// Cloud: the composer. Names every concrete class, hands each its dependencies and opens and
// closes them in order; holds no logic. Owned by run_server(); one thread, the loop's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/movable_clock.h"
#include "base/random.h"
#include "events/effects.h"
#include "events/switchboard.h"
#include "front/front.h"
#include "front/operation_table.h"
#include "front/own_calls.h"
#include "functions/file_systems.h"
#include "functions/image_store.h"
#include "functions/mappings.h"
#include "functions/package_store.h"
#include "functions/registry.h"
#include "guard/guard.h"
#include "guard/policy.h"
#include "invoke/invoker.h"
#include "io/http_client.h"
#include "io/workers.h"
#include "mayfly/server.h"
#include "mayfly/zones.h"
#include "pump/pump.h"
#include "sandbox/runtimes.h"
#include "sandbox/sandbox.h"
#include "services/clock/service.h"
#include "services/scheduler/service.h"
#include "services/sqs/service.h"
#include "services/sqs/staging.h"
#include "services/sqs/target.h"
#include "store/store.h"
#include "telemetry/telemetry.h"

// Their headers hold the generated models of their services.
namespace mayfly::lambda {
struct FunctionRef;
class Service;
}  // namespace mayfly::lambda
namespace mayfly::services::bus {
struct Counts;
class EventBus;
}  // namespace mayfly::services::bus
namespace mayfly::services::pipes {
class Pipes;
}
namespace mayfly::services::s3 {
class House;
}
namespace mayfly::services::sns {
class House;
}

namespace mayfly {

class Cloud {
 public:
  Cloud(const ServerOptions& options, std::string data_dir, sandbox::LauncherProcess launcher);
  ~Cloud();

  io::Loop& loop() { return loop_; }
  // Opens the state, wires the rooms and listens.
  io::Task<Result<>> open();
  // Lets running requests finish within limits::shutdown_grace, then ends everything. Also after
  // an open() that failed half-way.
  io::Task<void> close();
  const std::string& address() const { return address_; }
  // The root credential, when this start made it.
  const std::optional<guard::Credentials>& first_root() const { return first_root_; }

 private:
  io::Task<void> find_runtimes();
  io::Task<Result<>> open_state();
  Result<> open_topics();
  Result<> open_objects();
  io::Task<Result<>> open_invoker();
  void open_lambda();
  void open_front();
  Result<> open_bus();
  void add_service(api::Service service);
  std::function<void(const Scope&, const FunctionName&, functions::SigningPolicy)> count_unsigned();
  std::function<void(const lambda::FunctionRef&, const std::string&, pump::Step, std::size_t)>
  count_mapped();
  services::sqs::CountStep count_queues();
  services::scheduler::CountStep count_schedules();
  services::bus::Counts count_bus();
  void add_own_paths();
  void add_clock_path();
  void add_schedules_path();
  void add_topic_path();
  Result<> listen();
  std::string packs_dir() const;
  Result<sandbox::RuntimeChoice> choose_runtime(std::string_view identifier) const;

  const ServerOptions& options_;
  std::string data_dir_;
  SystemClock machine_clock_;
  MovableClock clock_{machine_clock_};  // moved in dev mode alone
  SystemRandom random_;
  io::Loop loop_{clock_};
  io::Workers workers_{loop_, 4};
  std::unique_ptr<store::Store> state_;
  std::optional<services::clock::Service> clock_service_;  // in dev mode
  std::unique_ptr<store::Store> log_records_;
  std::unique_ptr<telemetry::LogStore> logs_;
  telemetry::Registry metrics_;
  std::unique_ptr<telemetry::Telemetry> telemetry_;
  std::unique_ptr<store::Store> queue_records_;
  std::unique_ptr<services::sqs::Queues> queues_;
  std::optional<services::sqs::QueuePolicies> queue_policies_;
  std::optional<services::sqs::QueueTarget> queue_target_;
  std::unique_ptr<store::Store> schedule_records_;
  ZoneFiles zones_;
  front::OwnCalls own_calls_{random_};
  guard::PoliciesByService policies_by_service_;
  std::unique_ptr<guard::Guard> guard_;
  std::unique_ptr<functions::PackageStore> packages_;
  std::optional<functions::FileSystems> file_systems_;
  std::unique_ptr<functions::ImageStore> images_;
  std::unique_ptr<functions::Registry> registry_;
  std::optional<functions::Mappings> mappings_;
  events::Switchboard switchboard_;
  events::EffectsBoard effects_;
  std::optional<services::sqs::StagedSends> staged_sends_;
  std::unique_ptr<services::scheduler::Scheduler> scheduler_;
  io::HttpClient http_client_{loop_, workers_};  // for what the server sends itself
  std::unique_ptr<store::Store> topic_records_;
  std::unique_ptr<services::sns::House> topics_;
  std::unique_ptr<store::Store> object_records_;
  std::unique_ptr<services::s3::House> objects_;
  std::unique_ptr<store::Store> bus_records_;
  std::unique_ptr<services::bus::EventBus> bus_;
  std::unique_ptr<services::pipes::Pipes> pipes_;
  std::optional<sandbox::RuntimeCatalog> runtimes_;
  std::unique_ptr<sandbox::Launcher> launcher_;
  std::unique_ptr<invoke::Invoker> invoker_;
  std::unique_ptr<lambda::Service> lambda_;
  std::unique_ptr<front::Front> front_;
  front::OperationTable operations_;
  std::string address_;
  std::optional<guard::Credentials> first_root_;
};

}  // namespace mayfly
