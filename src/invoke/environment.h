// Environment: one execution environment of one function version: the jail, the channel to its
// guest, its log stream; the phases Init, Invoke and Shutdown.
//
// Owned by the Pool while idle and by the invocation that runs in it. Loop thread. end() must have
// finished before destruction.
#pragma once

#include <memory>
#include <optional>

#include "guest/web.h"
#include "invoke/autopsy.h"
#include "invoke/booted_guests.h"
#include "invoke/environment_extensions.h"
#include "invoke/environment_log.h"
#include "invoke/failure.h"
#include "invoke/invoker.h"
#include "invoke/meter.h"
#include "invoke/template.h"

namespace mayfly::invoke {

// What one invocation came to.
struct Verdict {
  events::Outcome outcome;
  InvocationOutcome kind = InvocationOutcome::success;
  Duration duration{};
  std::optional<Duration> init_duration;
  std::optional<Duration> restore_duration = {};
  std::optional<Duration> extensions = {};  // after the runtime's answer
  int max_memory_used_mb = 0;
  Usage usage;
};

class Environment {
 public:
  Environment(const Deps& deps, LogBuffer& buffer, std::shared_ptr<const Runnable> runnable,
              sandbox::RuntimeChoice runtime);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // Before start(): it becomes a fork of this template, as long as that works.
  void fork_from(std::shared_ptr<Template> origin) { origin_ = std::move(origin); }
  // Before start(): it is made of this guest (null: none), if that works.
  void become_of(std::unique_ptr<BootedGuest> booted) { booted_ = std::move(booted); }
  bool is_fork() const { return origin_ != nullptr; }
  // The Init phase. An Error is a failure of ours. A function that fails to initialise leaves the
  // environment broken(): its first invocation tries again, as the cloud does.
  io::Task<Result<>> start();
  // The event counts as started: now, or with invoke(). `number`: it was sent ahead.
  void begin(const Request& request);
  void begin(const Request& request, std::uint32_t number, MonoTime now);
  // Runs one event. Afterwards reusable() says whether another may follow.
  io::Task<Verdict> invoke(const Request& request);
  // Extensions are still at work for the call that was answered: no other may follow before
  // finish(), which completes the verdict, and the log.
  bool lingers() const { return pending_.has_value(); }
  io::Task<void> finish(Verdict& verdict);
  // Events ahead, see guest/channel.h: of who waits for this environment while it is at work.
  void prepare_ahead() {
    if (channel_ && !takes_part()) channel_->prepare_ahead();
  }
  bool takes_ahead() const {
    // With effects held back it must be known which event the guest is at.
    return channel_ && reusable() && !takes_part() && !runnable_->exactly_once &&
           channel_->takes_ahead();
  }
  std::uint32_t send_ahead(const Request& request);
  void recall() {
    if (channel_) channel_->recall();
  }
  bool withdraw(std::uint32_t number) { return !channel_ || channel_->withdraw(number); }
  // Ends the jail, after a look at it where its call ran out of time and after its extensions'
  // Shutdown phase, and waits until all of it is gone.
  io::Task<void> end();

  // Several calls at one time (environment_shared.cc), where Runnable::max_concurrency says so:
  // invoke() may be called while others run. A call that runs out of time is told so, and goes on
  // in the guest, where it keeps its place: late() counts those.
  bool shares() const { return runnable_->shares(); }
  int late() const { return late_; }

  // Kills the jail, also one that is being launched; whatever waits for it ends soon.
  void doom();
  void freeze();
  void thaw();
  void set_cpu_weight(std::uint32_t per_mille) {
    if (instance_) instance_->set_cpu_weight(per_mille);
  }
  bool broken() const { return broken_; }
  // Why start() left it broken.
  const std::optional<Failure>& init_failure() const { return init_failure_; }
  bool reusable() const {
    bool broken = extensions_ && extensions_->broken();
    return instance_ && !gone_.is_set() && !killed_ && !dying_ && !stop_reason_ && !broken &&
           deps_.loop.now() < retires;
  }
  const Runnable& runnable() const { return *runnable_; }
  const sandbox::RuntimeChoice& runtime() const { return runtime_; }
  // How long the last invocation kept the guest busy, where the guest tells.
  std::optional<Duration> busy() const { return busy_; }
  // Memory that ends with it, as it was read last: without what it shares with its template.
  std::optional<std::uint64_t> own_memory_bytes() const;
  // Whether it wrote any output or log line meanwhile.
  bool wrote() const { return log_.wrote(); }

  // Called when the jail ends by itself while no invocation runs.
  std::function<void()> on_idle_exit;
  // A call that had run out of time has left the guest.
  std::function<void()> on_place_free;
  MonoTime idle_since{};
  MonoTime retires = MonoTime::max();           // runs no event that comes later
  WallTime retires_platform = WallTime::max();  // the same by platform time: the pool sees to it
  bool spare = false;                           // started ahead of demand, and no caller has had it

 private:
  // The Restore phase, of a fork of its version's snapshot (environment_restore.cc).
  bool restores() const;
  io::Task<Result<>> restore();
  // Launches a jail and waits for its guest; nullopt: ready.
  io::Task<Result<std::optional<Failure>>> boot(Deadline deadline);
  io::Task<Result<std::optional<Failure>>> boot_once(Deadline deadline);
  io::Task<Result<std::optional<Failure>>> boot_from_booted(Deadline deadline);
  io::Task<Result<std::optional<Failure>>> await_ready(Deadline deadline);
  std::unique_ptr<guest::GuestChannel> open_channel(std::vector<io::Fd>& listeners);
  std::optional<Failure> read_web();
  io::Task<Result<guest::InitReply>> init_guest(Deadline deadline);
  void take_up(std::vector<io::Fd>& listeners, const InstanceId& id);
  void open_extensions();
  void attach_extensions();
  void serve_extensions(std::vector<io::Fd>& listeners);
  io::Task<void> serve_endpoint_of_fork(InstanceId id);
  io::Task<Result<std::unique_ptr<sandbox::Instance>>> launch(InstanceId id);
  io::Task<Failure> find_cause();
  io::Task<void> watch();
  io::Task<void> watch_memory();
  // What is held for its memory ends, and with it the call, if there is one.
  Failure starve(const Request* request);
  void end_starved();
  io::Task<void> watch_extensions();
  io::Task<void> unable();
  void kill();
  void stop(std::string_view reason);
  // A call or an Init ran out of time. `examined`: as begin_autopsy() says.
  void run_out(bool examined);
  // Extensions want to hear of calls.
  bool takes_part() const { return extensions_ && extensions_->take_part(); }
  bool hears() const { return extensions_ && extensions_->hears(); }
  void fail_call(const Failure& failure, std::string_view request_id, Report& report);
  void tell_failure(const Failure& failure, std::string_view request_id, Report& report);
  void end_call(Verdict& verdict, Report& report);
  void tell_init_start();
  void tell_restore();
  void tell_init_report(Duration took, Status status, std::string_view error_type);
  std::string_view init_phase() const { return broken_ ? "invoke" : "init"; }
  void tell_runtime_done(const Request& request, const Verdict& verdict, const Report& report);
  io::Task<std::optional<Failure>> boot_in_invoke(const Request& request, Deadline deadline,
                                                  Duration limit);
  io::Task<std::optional<Failure>> call(const Request& request, Deadline deadline, Duration limit,
                                        Verdict& verdict, Report& report);
  io::Task<Result<guest::InvokeReply>> exchange(const Request& request, Deadline deadline);
  void put_on_wire(const Request& request, guest::InvokeRequest& wire);
  struct SharedCall;
  io::Task<Verdict> invoke_shared(const Request& request);
  io::Task<std::optional<Failure>> call_shared(const Request& request, MonoTime begun,
                                               Verdict& verdict, Report& report);
  io::Task<void> run_shared(std::shared_ptr<SharedCall> call);
  void measure_shared(Verdict& verdict, MonoTime now);
  // Of a streamed answer what has been written of it, whether or not somebody took it.
  static std::uint64_t answer_bytes(const Request& request, const events::Outcome& outcome);
  void take_reply(const Request& request, guest::InvokeReply reply, Verdict& verdict);
  void refuse_reply(const Error& error, Verdict& verdict, Report& report);
  void write_start(const Request& request);
  void write_end(Report& report);
  io::Task<void> limit_processor(InstanceId instance);
  io::Task<void> find_accounts();  // ahead of settle(), while a program starts
  // What follows on an init or precedes a call, but need not hold up its event.
  io::Task<void> settle();
  void note_memory();
  std::uint64_t shared_memory_bytes() const;
  // Reads the accounts of the jail, where that is due after a call of this length.
  const sandbox::Stats* measure(Duration spent, MonoTime now);
  // The call ran out of time: its jail lives until end() has looked at it. False: stop it now.
  bool begin_autopsy(const Request& request);
  AutopsyFindings findings_of(std::string_view request_id);
  void write_autopsy(const AutopsyFindings& findings);
  io::Task<void> examine();

  const Deps& deps_;
  std::shared_ptr<const Runnable> runnable_;
  sandbox::RuntimeChoice runtime_;
  EnvironmentLog log_;
  std::shared_ptr<Template> origin_;     // its jail holds ours
  std::unique_ptr<BootedGuest> booted_;  // until start()
  std::unique_ptr<sandbox::Instance> instance_;
  std::unique_ptr<guest::GuestChannel> channel_;
  std::unique_ptr<guest::WebServer> web_;  // of a function that is an HTTP server
  InstanceId name_;                        // as the endpoint knows it
  std::optional<std::uint64_t> endpoint_;
  std::unique_ptr<EnvironmentExtensions> extensions_;  // none in forks of a function's template
  io::TaskScope watchers_;
  io::Event gone_;       // every process of the jail has ended
  io::Event call_done_;  // nobody waits for an answer of the guest
  sandbox::Exit exit_;
  bool killed_ = false;
  bool doomed_ = false;
  bool frozen_ = false;
  bool broken_ = false;
  const Request* booting_for_ = nullptr;  // a call during which it boots
  bool dying_ = false;                    // begin_autopsy()
  bool settling_ = false;                 // settle() is under way
  bool starved_ = false;                  // its memory is used up, and it is held
  bool sent_ahead_ = false;  // since it was last known that the guest has one event at the most
  std::optional<Duration> init_duration_;     // until the first invocation has shown it
  std::optional<Duration> restore_duration_;  // likewise, of a fork of a snapshot
  std::optional<Duration> hooks_took_;        // of a restore, at the end of the Init phase
  std::optional<Failure> init_failure_;
  std::optional<Duration> busy_;
  std::optional<std::string> stop_reason_;  // no further call: why its extensions are to end
  // Of a call whose answer has been given, while extensions are at work for it.
  struct Pending {
    std::string request_id;
    Report report;
    Deadline deadline;
  };
  std::optional<Pending> pending_;
  // Of the call that runs.
  bool begun_ = false;
  MonoTime begun_at_{};
  std::uint32_t number_ = 0;  // it was sent ahead
  Drain unread_ = Drain::all;
  // Kept for the memory they have. The channel reads the first again when it hands a call's event
  // over anew, and so it is not what others are sent ahead with.
  guest::InvokeRequest wire_;
  guest::InvokeRequest wire_ahead_;
  std::uint64_t calls_ = 0;
  // Of several calls at one time: those the guest has, and of them those whose callers have left.
  int in_guest_ = 0;
  int late_ = 0;
  MonoTime measured_at_{};
  MemoryGrowth growth_;
  std::unique_ptr<AutopsyFindings> findings_;
  int max_memory_used_mb_ = 0;
  sandbox::Stats stats_;  // as read last
  Meter meter_;
};

}  // namespace mayfly::invoke
