// FakeLauncher: jails without processes. A test scripts what the guest does at init and at each
// event, writes to its output, lets it exit, and sees what was launched and killed.
//
// Threads: loop only.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "guest/channel.h"
#include "sandbox/sandbox.h"

namespace mayfly::sim {

class FakeInstance;

inline guest::InitReply ready() {
  guest::InitReply out;
  out.ok = true;
  return out;
}
inline guest::InvokeReply answer(std::string payload) {
  guest::InvokeReply out;
  out.payload = std::move(payload);
  return out;
}

struct FakeScript {
  using Init = std::function<io::Task<Result<guest::InitReply>>(FakeInstance&, Deadline)>;
  using Invoke = std::function<io::Task<Result<guest::InvokeReply>>(
      FakeInstance&, guest::InvokeRequest, Deadline)>;
  Init init;                 // empty: ready at once
  std::string park_refusal;  // why a template is not to be forked
  Init park;                 // instead, what comes before a template parks; empty: it parks at once
  Invoke invoke;             // empty: answers the payload it was given
  bool takes_ahead = false;  // once asked to prepare
  bool takes_next = false;   // … and has the next event before its answer is looked at
};

// What a jail is to its owner and to the test, beyond the life of the Instance object.
struct FakeJail {
  explicit FakeJail(io::Loop& of)
      : loop(of), gone(of), silent(of), ends(of), memory_told(of), started_at(of.now()) {}
  io::Loop& loop;
  sandbox::Spec spec;
  io::Event gone;
  io::Event silent;  // gone, or its channel was cancelled: no answer comes any more
  io::Queue<sandbox::ProcessEnd> ends;
  io::Event memory_told;  // it is out of memory and held, or gone
  int rooms_given = 0;
  MonoTime started_at;
  bool program_started = false;
  bool program_killed = false;
  std::vector<int> signals;
  std::optional<sandbox::Exit> exit;
  bool killed = false;
  bool frozen = false;
  bool specialised = false;
  int freezes = 0;
  std::uint32_t cpu_weight = 1000;
  int sent_ahead = 0;  // events
  int shared_by = 0;   // events at one time
  std::uint64_t memory_peak_bytes = 40ull << 20;
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_ns = 0;
  std::uint64_t page_faults = 0;
  sandbox::Evidence evidence;
  std::function<int()> on_ask_for_stacks;
  io::Fd output;  // the guest's ends
  io::Fd framed;
  io::Fd channel;
  io::Fd companions;
  std::vector<std::string> addresses;  // where its listeners are to be reached

  void write(std::string_view text) { write_to(output, text); }
  void write_framed(std::string_view text) { write_to(framed, text); }
  void write_as_extension(std::string_view text) { write_to(companions, text); }
  void end(sandbox::Exit with) {
    if (exit) return;
    exit = with;
    output.reset();
    framed.reset();
    channel.reset();
    companions.reset();
    ends.close();
    silent.set();
    memory_told.set();
    gone.set();
  }
  void starve() { memory_told.set(); }

 private:
  static void write_to(io::Fd& fd, std::string_view text) {
    [[maybe_unused]] ssize_t put = ::write(fd.get(), text.data(), text.size());
  }
};

class FakeInstance final : public sandbox::Instance {
 public:
  explicit FakeInstance(std::shared_ptr<FakeJail> jail) : jail_(std::move(jail)) {}
  ~FakeInstance() override { jail_->end({.code = -1, .signal = 9}); }

  const InstanceId& id() const override { return jail_->spec.id; }
  io::Task<Result<>> launched() override { co_return Result<>{}; }
  io::Fd take_output() override { return std::move(output); }
  io::Fd take_channel() override { return std::move(channel); }
  io::Fd take_framed_log() override { return std::move(framed); }
  std::vector<io::Fd> take_listeners() override { return std::move(listeners); }
  void kill() override {
    jail_->killed = true;
    jail_->end({.code = -1, .signal = 9});
  }
  io::Fd take_companion_output() override { return std::move(companions); }
  void start_program() override { jail_->program_started = true; }
  void kill_program() override {
    jail_->program_killed = true;
    jail_->ends.push({.companion = -1, .exit = {.code = -1, .signal = 9}});
  }
  io::Task<Result<sandbox::ProcessEnd>> next_end(std::stop_token stop) override {
    auto jail = jail_;
    co_return co_await jail->ends.pop(no_deadline, std::move(stop));
  }
  // SIGTERM to a template ends its program; a fake one has nothing below it.
  void signal(int number) override {
    jail_->signals.push_back(number);
    if (jail_->spec.parking != sandbox::Parking::none) jail_->end({.code = -1, .signal = 9});
  }
  void freeze() override {
    jail_->frozen = true;
    ++jail_->freezes;
  }
  void thaw() override { jail_->frozen = false; }
  void set_cpu_millis(std::uint32_t millis) override { jail_->spec.limits.cpu_millis = millis; }
  void set_cpu_weight(std::uint32_t per_mille) override { jail_->cpu_weight = per_mille; }
  io::Task<Result<sandbox::Exit>> exited(Deadline deadline) override {
    CO_TRY(io::to_result(co_await jail_->gone.wait(deadline), "jail"));
    co_return *jail_->exit;
  }
  bool has_exited() const override { return jail_->exit.has_value(); }
  sandbox::Stats stats() override {
    return {.memory_peak_bytes = jail_->memory_peak_bytes,
            .memory_bytes = jail_->memory_bytes,
            .cpu_ns = jail_->cpu_ns,
            .page_faults = jail_->page_faults};
  }
  io::Task<bool> out_of_memory() override {
    auto jail = jail_;
    co_await jail->memory_told.wait();
    co_return !jail->exit;
  }
  void give_room() override { ++jail_->rooms_given; }
  sandbox::Evidence evidence() override { return jail_->evidence; }
  int ask_for_stacks(const sandbox::Evidence&) override {
    return jail_->on_ask_for_stacks ? jail_->on_ask_for_stacks() : 0;
  }
  FakeJail& jail() { return *jail_; }

  io::Fd output;
  io::Fd framed;
  io::Fd channel;
  io::Fd companions;
  std::vector<io::Fd> listeners;

 private:
  std::shared_ptr<FakeJail> jail_;
};

// Waits until the jail is silent or the deadline has passed: what a silent guest looks like.
inline io::Task<Error> silence(FakeJail& jail, Deadline deadline) {
  auto wake = co_await jail.silent.wait(deadline);
  if (wake == io::Wake::timeout) co_return Error{ErrorKind::timeout, "no answer", {}};
  co_return Error{ErrorKind::unavailable, "the guest went away", {}};
}

class FakeChannel final : public guest::GuestChannel {
 public:
  FakeChannel(FakeInstance& instance, FakeScript& script) : instance_(instance), script_(script) {}
  io::Task<Result<guest::InitReply>> wait_init(Deadline deadline) override {
    if (instance_.jail().spec.parking == sandbox::Parking::forkable || parks()) {
      co_return co_await wait_parked(deadline);
    }
    if (!script_.init) co_return ready();
    co_return co_await script_.init(instance_, deadline);
  }
  io::Task<Result<guest::InvokeReply>> invoke(const guest::InvokeRequest& request,
                                              Deadline deadline) override {
    if (instance_.has_exited()) co_return fail(ErrorKind::unavailable, "the guest went away");
    if (!script_.invoke) co_return answer(request.payload);
    std::string id = request.request_id;
    std::string payload = request.payload;
    auto reply = co_await script_.invoke(instance_, request, deadline);
    // A channel may hand it over again until then.
    if (request.request_id != id || request.payload != payload) {
      co_return fail(ErrorKind::corrupt, "the request was changed while its call ran");
    }
    co_return reply;
  }
  void cancel() override { instance_.jail().silent.set(); }
  void share(int most) override { instance_.jail().shared_by = most; }

  void prepare_ahead() override { prepared_ = true; }
  bool takes_ahead() const override {
    return prepared_ && script_.takes_ahead && !instance_.has_exited();
  }
  std::uint32_t send_ahead(const guest::InvokeRequest& request) override {
    ahead_.push_back({++numbers_, request, false});
    ++instance_.jail().sent_ahead;
    return numbers_;
  }
  io::Task<Result<guest::InvokeReply>> take_up(std::uint32_t number, Deadline deadline) override {
    auto event = std::ranges::find(ahead_, number, &Ahead::number);
    if (event == ahead_.end() || event->back) {
      if (event != ahead_.end()) ahead_.erase(event);
      co_return fail(ErrorKind::conflict, "it came back");
    }
    auto request = std::move(event->request);
    ahead_.erase(event);
    co_return co_await invoke(request, deadline);
  }
  void recall() override {
    std::size_t taken = script_.takes_next ? 1 : 0;
    for (std::size_t i = taken; i < ahead_.size(); ++i) ahead_[i].back = true;
  }
  bool withdraw(std::uint32_t number) override {
    auto event = std::ranges::find(ahead_, number, &Ahead::number);
    if (event == ahead_.end() || !event->back) return false;
    ahead_.erase(event);
    return true;
  }

 private:
  struct Ahead {
    std::uint32_t number;
    guest::InvokeRequest request;
    bool back;
  };
  // One to be specialised parks first, and is an environment like any other once it has been.
  bool parks() const {
    const auto& jail = instance_.jail();
    return jail.spec.parking == sandbox::Parking::specialisable && !jail.specialised;
  }
  // Parks at once; from then on there is nothing to hear of it but its end.
  io::Task<Result<guest::InitReply>> wait_parked(Deadline deadline) {
    if (!std::exchange(parked_, true)) {
      if (script_.park) co_return co_await script_.park(instance_, deadline);
      guest::InitReply out;
      out.parked = script_.park_refusal;
      co_return out;
    }
    co_await instance_.jail().gone.wait(deadline);
    co_return fail(ErrorKind::unavailable, "the guest went away");
  }

  bool parked_ = false;
  bool prepared_ = false;
  std::uint32_t numbers_ = 0;
  std::vector<Ahead> ahead_;
  FakeInstance& instance_;
  FakeScript& script_;
};

class FakeLauncher final : public sandbox::Launcher {
 public:
  explicit FakeLauncher(io::Loop& loop) : loop_(loop) {}

  FakeScript script;
  std::optional<Error> fail_with;
  std::uint64_t memory_bytes = 0;  // that each jail has in use
  std::uint64_t cpu_ns = 0;        // … and has used when it is there
  std::uint64_t page_faults = 0;
  int forks = 0;
  int specialised = 0;                           // orders to become an environment
  std::optional<Error> refuse_order;             // what they end with
  std::vector<std::shared_ptr<FakeJail>> jails;  // in the order of launching

  io::Task<Result<std::unique_ptr<sandbox::Instance>>> launch(sandbox::Spec spec) override {
    co_return make(std::move(spec));
  }
  Result<std::unique_ptr<sandbox::Instance>> make(sandbox::Spec spec) {
    if (fail_with) return std::unexpected(*fail_with);
    auto jail = std::make_shared<FakeJail>(loop_);
    jail->spec = std::move(spec);
    jail->memory_bytes = memory_bytes;
    jail->cpu_ns = cpu_ns;
    jail->page_faults = page_faults;
    auto instance = std::make_unique<FakeInstance>(jail);
    TRY_ASSIGN(auto output, io::make_pipe());
    TRY_ASSIGN(auto framed, io::make_pipe());
    TRY_ASSIGN(auto channel, io::socket_pair());
    jail->output = std::move(output.write_end);
    jail->framed = std::move(framed.write_end);
    jail->channel = std::move(channel.second);
    instance->output = std::move(output.read_end);
    instance->framed = std::move(framed.read_end);
    instance->channel = std::move(channel.first);
    for (std::size_t i = 0; i < jail->spec.listen_ports.size(); ++i) {
      TRY_ASSIGN(auto listener, io::listen_tcp("127.0.0.1", 0));
      jail->addresses.push_back(io::address_of(listener));
      instance->listeners.push_back(std::move(listener));
    }
    for (int i = 0; i < jail->spec.sockets; ++i) {
      instance->listeners.emplace_back(
          ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    if (!jail->spec.companions.empty()) {
      TRY_ASSIGN(auto companions, io::make_pipe());
      jail->companions = std::move(companions.write_end);
      instance->companions = std::move(companions.read_end);
    }
    by_channel_[instance->channel.get()] = instance.get();
    jails.push_back(jail);
    return std::unique_ptr<sandbox::Instance>(std::move(instance));
  }
  Result<std::unique_ptr<sandbox::Instance>> fork(sandbox::Instance&, sandbox::Spec spec) override {
    ++forks;
    return make(std::move(spec));
  }
  // The jail's spec becomes what it would have been launched with.
  io::Task<Result<>> specialise(sandbox::Instance& parked, sandbox::Spec spec) override {
    auto& jail = static_cast<FakeInstance&>(parked).jail();
    ++specialised;
    if (jail.exit) co_return fail(ErrorKind::unavailable, "the parked guest has ended");
    if (refuse_order) {
      parked.kill();
      co_return std::unexpected(*refuse_order);
    }
    jail.spec.binds.insert(jail.spec.binds.end(), spec.binds.begin(), spec.binds.end());
    jail.spec.env = spec.env;
    jail.spec.limits = spec.limits;
    jail.specialised = true;
    co_return Result<>{};
  }
  void keep_ready(sandbox::Instance&, unsigned) override {}
  io::Task<void> close() override { co_return; }

  // What a server wires to guest::make_lean_channel.
  std::unique_ptr<guest::GuestChannel> open_channel(io::Fd socket) {
    return std::make_unique<FakeChannel>(*by_channel_.at(socket.get()), script);
  }
  std::size_t alive() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(jails, [](const auto& jail) { return !jail->exit; }));
  }

 private:
  io::Loop& loop_;
  std::map<int, FakeInstance*> by_channel_;
};

}  // namespace mayfly::sim
