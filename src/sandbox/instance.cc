// The server's side of the launcher: launch requests out, replies in, and one Instance per jail.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "sandbox/companions.h"
#include "sandbox/memory_alarm.h"
#include "sandbox/process_tree.h"
#include "sandbox/protocol.h"
#include "sandbox/sandbox.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

// What the launcher's replies and the Instance both see. Ends with the later of the two.
struct JailState {
  explicit JailState(io::Loop& loop) : ends(loop), launched(loop), memory_told(loop), ended(loop) {}
  std::uint64_t sequence = 0;
  int pid = -1;
  io::Fd pidfd;
  ControlGroup group;
  std::uint64_t memory_bytes = 0;  // its limit
  Exit exit;
  Stats stats;  // final, once ended
  std::vector<io::Fd> listeners;
  io::Fd output;                 // where the launcher made the pipe
  std::vector<io::Fd> accounts;  // for the first reading
  io::Queue<ProcessEnd> ends;
  Result<> result;  // of the launch
  io::Event launched;
  bool starved = false;
  io::Event memory_told;  // it is, or will never be
  io::Event ended;
  // Asked for before it was launched.
  bool kill_wanted = false;
  std::optional<std::uint32_t> cpu_wanted;
};

void kill_jail(JailState& state) {
  // Nobody counts the dead without a control group: what they used is read while they live.
  if (state.group.memory.version == 0) state.stats = tree_stats(state.pid);
  sys::pidfd_send_signal(state.pidfd.get(), SIGKILL);
  let_die(state.group);
}

// Above the limit is only what the launcher lets it have while it is stopped (memory_alarm.h).
Stats within_limit(const JailState& state, Stats stats) {
  if (state.memory_bytes == 0) return stats;
  stats.memory_bytes = std::min(stats.memory_bytes, state.memory_bytes);
  stats.memory_peak_bytes = std::min(stats.memory_peak_bytes, state.memory_bytes);
  return stats;
}

void end_state(JailState& state) {
  state.ends.close();
  state.memory_told.set();
  state.ended.set();
}

void set_cpu_of_jail(const JailState& state, std::uint32_t millis) {
  if (auto set = set_cpu_share(state.group, millis); !set) {
    log::warn("sandbox", "the processor share of {} stays: {}", state.pid, set.error().message);
  }
}

// Owns: our ends of the jail's descriptors. Loop thread. Destroying it kills the jail.
class JailInstance final : public Instance {
 public:
  struct Ends {
    io::Fd output;
    io::Fd channel;
    io::Fd framed_log;
    io::Fd companions;
  };
  JailInstance(InstanceId id, std::shared_ptr<JailState> state, Ends ends)
      : id_(std::move(id)), state_(std::move(state)), ends_(std::move(ends)) {}
  ~JailInstance() override { kill(); }

  const InstanceId& id() const override { return id_; }
  int host_pid() const override { return state_->pid; }
  std::uint64_t sequence() const { return state_->sequence; }
  void set_memory_limit(std::uint64_t bytes) { state_->memory_bytes = bytes; }
  io::Fd take_output() override {
    return std::move(state_->output ? state_->output : ends_.output);
  }
  io::Fd take_channel() override { return std::move(ends_.channel); }
  io::Fd take_framed_log() override { return std::move(ends_.framed_log); }
  std::vector<io::Fd> take_listeners() override { return std::move(state_->listeners); }
  io::Task<Result<>> launched() override {
    auto state = state_;
    co_await state->launched.wait();
    co_return state->result;
  }

  io::Fd take_companion_output() override { return std::move(ends_.companions); }
  void start_program() override { command(JailCommand::start_program); }
  void kill_program() override { command(JailCommand::kill_program); }
  io::Task<Result<ProcessEnd>> next_end(std::stop_token stop) override {
    auto state = state_;
    co_return co_await state->ends.pop(no_deadline, std::move(stop));
  }

  void kill() override {
    if (has_exited()) return;
    state_->kill_wanted = true;
    if (state_->launched.is_set()) kill_jail(*state_);
  }
  void signal(int number) override {
    if (number == SIGKILL) return kill();
    if (runs()) sys::pidfd_send_signal(state_->pidfd.get(), number);
  }
  void freeze() override {
    if (runs() && !set_frozen(state_->group, true)) signal_tree(state_->pid, SIGSTOP);
  }
  void thaw() override {
    if (runs() && !set_frozen(state_->group, false)) signal_tree(state_->pid, SIGCONT);
  }
  void set_cpu_millis(std::uint32_t millis) override {
    state_->cpu_wanted = millis;
    if (runs()) set_cpu_of_jail(*state_, millis);
  }
  void set_cpu_weight(std::uint32_t per_mille) override {
    if (!runs() || std::exchange(cpu_weight_, per_mille) == per_mille) return;
    sandbox::set_cpu_weight(state_->group, per_mille);
  }
  io::Task<Result<Exit>> exited(Deadline deadline) override {
    auto state = state_;
    CO_TRY(io::to_result(co_await state->ended.wait(deadline), "the sandbox's end"));
    co_return state->exit;
  }
  bool has_exited() const override { return state_->ended.is_set(); }
  io::Task<bool> out_of_memory() override {
    auto state = state_;
    co_await state->memory_told.wait();
    co_return state->starved;
  }
  void give_room() override {
    if (!runs()) return;
    give_memory_room(state_->group);
    set_frozen(state_->group, false);
  }
  Stats stats() override {
    if (!runs()) return state_->stats;
    if (state_->group.memory.version == 0) return tree_stats(state_->pid);
    auto files = std::exchange(state_->accounts, {});
    auto stats = files.empty() ? read_stats(state_->group) : read_stats(state_->group, files);
    return within_limit(*state_, stats);
  }
  bool has_accounts_at_hand() const override { return !state_->accounts.empty(); }
  Evidence evidence() override { return runs() ? gather_evidence(state_->pid) : Evidence{}; }
  int ask_for_stacks(const Evidence& evidence) override {
    return runs() ? sandbox::ask_for_stacks(evidence) : 0;
  }

 private:
  bool runs() const { return state_->launched.is_set() && !has_exited(); }
  void command(JailCommand command) {
    if (runs()) send_command(state_->pidfd.get(), command);
  }

  InstanceId id_;
  std::shared_ptr<JailState> state_;
  Ends ends_;
  std::uint32_t cpu_weight_ = 1000;
};

// Owns: the socket to the launcher process and the process itself. Loop thread. close() before the
// end.
class SocketLauncher final : public Launcher {
 public:
  SocketLauncher(io::Loop& loop, LauncherProcess process)
      : loop_(loop),
        process_(std::move(process)),
        watch_(loop, (make_non_blocking(process_.socket.get()), process_.socket.get())),
        outgoing_(loop),
        scope_(loop),
        ended_(loop) {
    scope_.spawn(receive());
    scope_.spawn(transmit());
  }

  io::Task<Result<std::unique_ptr<Instance>>> launch(Spec spec) override {
    CO_TRY_ASSIGN(auto instance, start(std::move(spec), 0));
    CO_TRY(co_await instance->launched());
    co_return instance;
  }
  Result<std::unique_ptr<Instance>> fork(Instance& parked, Spec spec) override {
    return start(std::move(spec), static_cast<JailInstance&>(parked).sequence());
  }
  io::Task<Result<>> specialise(Instance& parked, Spec spec) override;
  void keep_ready(Instance& parked, unsigned jails) override {
    outgoing_.push({encode(KeepReady{jails, static_cast<JailInstance&>(parked).sequence()}), {}});
  }
  io::Task<void> close() override;

 private:
  struct Outgoing {
    std::string bytes;
    std::vector<io::Fd> fds;
  };

  // A request to specialise that waits for its answer.
  struct Specialising {
    explicit Specialising(io::Loop& loop) : done(loop) {}
    Result<> result;
    io::Event done;
  };

  Result<std::unique_ptr<Instance>> start(Spec spec, std::uint64_t parked);
  void on_specialised(std::uint64_t sequence, Result<> result);
  static void make_non_blocking(int fd) { ::fcntl(fd, F_SETFL, O_NONBLOCK); }
  io::Task<void> receive();
  io::Task<void> transmit();
  void on_reply(Message message);
  void on_end();
  static void never_launched(JailState& state, Error error);
  Result<> add_guest_ends(const Spec& spec, JailInstance::Ends& ours, std::vector<io::Fd>& theirs);

  io::Loop& loop_;
  LauncherProcess process_;
  io::FdWatch watch_;
  io::Queue<Outgoing> outgoing_;
  io::TaskScope scope_;
  io::Event ended_;
  std::uint64_t next_sequence_ = 0;
  std::map<std::uint64_t, std::shared_ptr<JailState>> pending_;
  std::map<std::uint64_t, std::shared_ptr<JailState>> running_;
  std::map<std::uint64_t, std::shared_ptr<Specialising>> specialising_;
};

Result<> SocketLauncher::add_guest_ends(const Spec& spec, JailInstance::Ends& ours,
                                        std::vector<io::Fd>& theirs) {
  TRY_ASSIGN(auto output, io::make_pipe());
  ours.output = std::move(output.read_end);
  theirs.push_back(std::move(output.write_end));
  if (spec.channel) {
    TRY_ASSIGN(auto pair, io::socket_pair());
    ours.channel = std::move(pair.first);
    theirs.push_back(std::move(pair.second));
  }
  if (spec.framed_log) {
    TRY_ASSIGN(auto pipe, io::make_pipe());
    ours.framed_log = std::move(pipe.read_end);
    theirs.push_back(std::move(pipe.write_end));
  }
  if (!spec.companions.empty()) {
    TRY_ASSIGN(auto pipe, io::make_pipe());
    ours.companions = std::move(pipe.read_end);
    theirs.push_back(std::move(pipe.write_end));
  }
  return {};
}

// `parked`: 0, or the launch to fork.
Result<std::unique_ptr<Instance>> SocketLauncher::start(Spec spec, std::uint64_t parked) {
  if (ended_.is_set()) return fail(ErrorKind::unavailable, "the sandbox launcher has ended");
  // The launcher's current directory is not ours.
  for (auto& bind : spec.binds) bind.source = std::filesystem::absolute(bind.source);
  JailInstance::Ends ends;
  std::vector<io::Fd> guest_ends;
  TRY(add_guest_ends(spec, ends, guest_ends));
  Request request{++next_sequence_, parked, std::move(spec)};
  TRY_ASSIGN(auto encoded, encode(request));
  if (encoded.file) guest_ends.insert(guest_ends.begin(), std::move(encoded.file));
  auto state = std::make_shared<JailState>(loop_);
  state->sequence = request.sequence;
  state->memory_bytes = request.spec.limits.memory_bytes;
  pending_.emplace(request.sequence, state);
  outgoing_.push({std::move(encoded.bytes), std::move(guest_ends)});
  return std::make_unique<JailInstance>(std::move(request.spec.id), std::move(state),
                                        std::move(ends));
}

io::Task<Result<>> SocketLauncher::specialise(Instance& parked, Spec spec) {
  if (ended_.is_set()) co_return fail(ErrorKind::unavailable, "the sandbox launcher has ended");
  for (auto& bind : spec.binds) bind.source = std::filesystem::absolute(bind.source);
  Request request{++next_sequence_, static_cast<JailInstance&>(parked).sequence(), std::move(spec),
                  Request::What::specialise};
  CO_TRY_ASSIGN(auto encoded, encode(request));
  std::vector<io::Fd> fds;
  if (encoded.file) fds.push_back(std::move(encoded.file));
  auto waiting = std::make_shared<Specialising>(loop_);
  specialising_.emplace(request.sequence, waiting);
  static_cast<JailInstance&>(parked).set_memory_limit(request.spec.limits.memory_bytes);
  outgoing_.push({std::move(encoded.bytes), std::move(fds)});
  co_await waiting->done.wait();
  co_return waiting->result;
}

void SocketLauncher::on_specialised(std::uint64_t sequence, Result<> result) {
  auto found = specialising_.extract(sequence);
  if (found.empty()) return;
  found.mapped()->result = std::move(result);
  found.mapped()->done.set();
}

io::Task<void> SocketLauncher::transmit() {
  while (true) {
    auto next = co_await outgoing_.pop(no_deadline, scope_.stop_token());
    if (!next) co_return;
    std::vector<int> fds;
    for (const auto& fd : next->fds) fds.push_back(fd.get());
    while (send_message(watch_.fd(), next->bytes, fds) == EAGAIN) {
      // Another failure means the launcher is gone: receive() answers what waits.
      if (co_await watch_.writable(no_deadline, scope_.stop_token()) != io::Wake::notified) {
        co_return;
      }
    }
  }
}

io::Task<void> SocketLauncher::receive() {
  while (true) {
    Message message;
    int error = receive_message(watch_.fd(), message);
    if (error == 0) {
      on_reply(std::move(message));
      continue;
    }
    if (error != EAGAIN) break;
    auto wake = co_await watch_.readable(no_deadline, scope_.stop_token());
    if (wake != io::Wake::notified) break;
  }
  on_end();
}

void SocketLauncher::on_reply(Message message) {
  auto reply = decode_reply(message.bytes);
  if (!reply) return log::error("sandbox", "launcher: {}", reply.error().message);
  if (auto* exited = std::get_if<Exited>(&reply->body)) {
    auto found = running_.extract(reply->sequence);
    if (found.empty()) return;
    JailState& state = *found.mapped();
    state.exit = exited->exit;
    auto peak = std::max(state.stats.memory_peak_bytes, exited->stats.memory_peak_bytes);
    auto cpu = std::max(state.stats.cpu_ns, exited->stats.cpu_ns);
    state.stats.memory_peak_bytes = peak;
    state.stats.memory_bytes = exited->stats.memory_bytes;
    state.stats.cpu_ns = cpu;
    if (state.group.memory.version != 0) state.stats = within_limit(state, state.stats);
    end_state(state);
    return;
  }
  if (auto* end = std::get_if<ProcessEnd>(&reply->body)) {
    if (auto found = running_.find(reply->sequence); found != running_.end()) {
      found->second->ends.push(*end);
    }
    return;
  }
  if (std::holds_alternative<Starved>(reply->body)) {
    auto found = running_.find(reply->sequence);
    if (found == running_.end()) return;
    found->second->starved = true;
    found->second->memory_told.set();
    return;
  }
  if (std::holds_alternative<Specialised>(reply->body)) return on_specialised(reply->sequence, {});
  auto found = pending_.extract(reply->sequence);
  if (found.empty()) {
    auto* failed = std::get_if<Error>(&reply->body);
    if (failed != nullptr) on_specialised(reply->sequence, std::unexpected(std::move(*failed)));
    return;
  }
  auto state = std::move(found.mapped());
  if (auto* error = std::get_if<Error>(&reply->body)) {
    never_launched(*state, std::move(*error));
  } else if (message.fds.empty()) {
    never_launched(*state, {ErrorKind::corrupt, "a launched jail without its descriptor", {}});
  } else {
    auto& launched = std::get<Launched>(reply->body);
    state->pid = launched.pid;
    state->group = std::move(launched.group);
    state->pidfd = std::move(message.fds.front());
    message.fds.erase(message.fds.begin());
    state->listeners = std::move(message.fds);
    auto& fds = state->listeners;
    if (launched.accounts && fds.size() >= account_files) {
      auto first = fds.end() - account_files;
      state->accounts.assign(std::make_move_iterator(first), std::make_move_iterator(fds.end()));
      fds.erase(first, fds.end());
    }
    if (launched.own_output && !fds.empty()) {
      state->output = std::move(fds.back());
      fds.pop_back();
    }
    running_.emplace(reply->sequence, state);
    state->launched.set();
    if (state->cpu_wanted) set_cpu_of_jail(*state, *state->cpu_wanted);
    if (state->kill_wanted) kill_jail(*state);
  }
}

void SocketLauncher::never_launched(JailState& state, Error error) {
  state.result = std::unexpected(std::move(error));
  state.exit = Exit{-1, SIGKILL, false};
  end_state(state);
  state.launched.set();
}

// The launcher took its jails with it.
void SocketLauncher::on_end() {
  for (auto& [sequence, state] : std::exchange(running_, {})) {
    state->exit = Exit{-1, SIGKILL, false};
    end_state(*state);
  }
  for (auto& [sequence, state] : std::exchange(pending_, {})) {
    never_launched(*state, {ErrorKind::unavailable, "the sandbox launcher has ended", {}});
  }
  while (!specialising_.empty()) {
    on_specialised(specialising_.begin()->first,
                   fail(ErrorKind::unavailable, "the sandbox launcher has ended"));
  }
  ended_.set();
}

io::Task<void> SocketLauncher::close() {
  ::shutdown(process_.socket.get(), SHUT_WR);
  co_await ended_.wait();
  outgoing_.close();
  co_await scope_.close();
  if (process_.pid > 0) ::waitpid(process_.pid, nullptr, 0);
  process_.pid = -1;
}

}  // namespace

std::unique_ptr<Launcher> attach_launcher(io::Loop& loop, LauncherProcess process) {
  return std::make_unique<SocketLauncher>(loop, std::move(process));
}

}  // namespace mayfly::sandbox
