#include "invoke/environment_extensions.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "invoke/environment_spec.h"
#include "invoke/phase_log.h"
#include "invoke/telemetry_text.h"
#include "sandbox/image_files.h"

namespace mayfly::invoke {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view directory = "/opt/extensions/";

// Developer guide, "Lambda Extensions API": what extensions do not see of the function's variables.
constexpr std::array<std::string_view, 12> hidden{
    "AWS_EXECUTION_ENV",          "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",           "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",      "_HANDLER",
    "_LAMBDA_TELEMETRY_LOG_FD",   "_X_AMZN_TRACE_ID"};

// As the cloud tells of an extension's process.
std::string how_it_ended(const sandbox::Exit& exit) {
  if (exit.signal != 0) return fmt::format("signal: {}", signal_name(exit.signal));
  if (exit.code == 0) return "exit code 0";
  return fmt::format("exit status {}", exit.code);
}

std::string_view launch_error_type(int error) {
  return error == EACCES || error == EPERM ? "PermissionDenied" : "UnknownError";
}

guest::ExtensionApi::Function described(const Runnable& runnable) {
  return {.name = runnable.name.str(),
          .version = runnable.version,
          .handler = runnable.handler,
          .account = runnable.scope.account.str()};
}

}  // namespace

std::vector<std::string> external_extensions(const Runnable& runnable) {
  if (runnable.image) return sandbox::image_files(runnable.image->dir.string(), directory);
  std::vector<std::string> out;
  if (runnable.layers_dir.empty()) return out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runnable.layers_dir / "extensions", error)) {
    if (!entry.is_directory(error)) out.push_back(entry.path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

void put_companions(sandbox::Spec& spec, const Runnable& runnable) {
  auto names = runnable.extensions;
  names.resize(std::min(names.size(), limits::extensions_max));
  std::vector<std::string> env;
  for (const auto& variable : spec.env) {
    std::string_view name = std::string_view(variable).substr(0, variable.find('='));
    if (!(std::ranges::find(hidden, name) != hidden.end())) env.push_back(variable);
  }
  for (const auto& name : names) {
    spec.companions.push_back({.argv = {std::string(directory) + name}, .env = env});
  }
  spec.sockets = static_cast<std::uint16_t>(names.size() + 1);  // one for an internal extension
}

EnvironmentExtensions::EnvironmentExtensions(const Deps& deps, const Runnable& runnable,
                                             EnvironmentLog& log)
    : deps_(deps),
      runnable_(runnable),
      log_(log),
      external_(runnable.extensions),
      feed_(deps.loop, runnable.json_logs),
      api_(deps.loop, deps.random, described(runnable),
           [this](const guest::Extension& extension, guest::TelemetryForm form,
                  std::string_view body) { return feed_.subscribe(extension, form, body); }),
      program_gone_(deps.loop),
      broken_(deps.loop),
      watchers_(deps.loop) {
  feed_.on_subscribed = [this](guest::TelemetryForm form, const std::string& name,
                               const std::vector<std::string>& types) {
    on_subscribed(form, name, types);
  };
  api_.on_fault([this] { broken_.set(); });
  log_.tell(&feed_);
}

void EnvironmentExtensions::attach(sandbox::Instance& instance, guest::GuestChannel& channel) {
  instance_ = &instance;
  channel.serve_extensions(api_);
  for (const auto& name : external_) api_.expect(name);
  if (!external_.empty()) watchers_.spawn(watch());
}

void EnvironmentExtensions::serve(io::Fd port, std::vector<io::Fd> sockets) {
  api_.listen(std::move(port));
  feed_.add_sockets(std::move(sockets));
}

io::Task<void> EnvironmentExtensions::watch() {
  while (true) {
    auto end = co_await instance_->next_end(watchers_.stop_token());
    if (!end) co_return;
    on_end(*end);
  }
}

void EnvironmentExtensions::on_end(const sandbox::ProcessEnd& end) {
  if (end.companion < 0) {
    program_end_ = end;
    program_gone_.set();
    if (closing_) return;
    api_.interrupt();
    broken_.set();
    return;
  }
  const auto& name = external_[static_cast<std::size_t>(end.companion)];
  if (end.error != 0) {
    api_.launch_failed(
        name, std::string(launch_error_type(end.error)),
        exec_failed(std::string(directory) + name, fail_errno("execve", end.error).error()));
  } else {
    api_.process_ended(name, end.exit.code == 0, how_it_ended(end.exit));
  }
}

io::Task<Result<>> EnvironmentExtensions::start(Deadline deadline) {
  if (external_.empty()) co_return Result<>{};
  if (external_.size() > limits::extensions_max) {
    api_.launch_failed(external_[limits::extensions_max], "TooManyExtensions",
                       "ErrTooManyExtensions");
  }
  CO_TRY(co_await api_.wait_registered(deadline));
  program_started_ = true;
  instance_->start_program();
  co_return Result<>{};
}

io::Task<Result<>> EnvironmentExtensions::initialise(Deadline deadline) {
  api_.end_registration();
  return api_.wait_ready(deadline);
}

void EnvironmentExtensions::end_init() {
  if (std::exchange(logged_, true)) return;
  for (const auto& extension : api_.extensions()) {
    log_platform(extension_text(*extension),
                 extension_event(*extension, deps_.loop.clock().platform()));
  }
  api_.end_init();
  feed_.end_init();
}

void EnvironmentExtensions::on_subscribed(guest::TelemetryForm form, const std::string& name,
                                          const std::vector<std::string>& types) {
  std::string text = subscription_text(form, name, types);
  if (!runnable_.json_logs) return log_.platform(text);
  if (!shows_system_log(runnable_, "INFO")) return;
  log_.platform(subscription_event(form, name, types, deps_.loop.clock().platform()));
}

void EnvironmentExtensions::log_platform(std::string_view text, std::string event) {
  if (!runnable_.json_logs) {
    log_.platform(text);
  } else if (shows_system_log(runnable_, "INFO")) {
    log_.platform(event);
  }
  tell(std::move(event));
}

void EnvironmentExtensions::invoke(const guest::InvokeRequest& event) {
  if (!api_.any_for_invoke()) return;
  api_.invoke({.request_id = event.request_id,
               .invoked_function_arn = event.invoked_function_arn,
               .trace_header = event.trace_header,
               .deadline_epoch_ms = event.deadline_epoch_ms});
}

io::Task<std::optional<Failure>> EnvironmentExtensions::cause(Deadline deadline) {
  if (!external_.empty()) co_await broken_.wait(deadline);
  if (const auto& fault = api_.fault()) {
    co_return Failure{.outcome = InvocationOutcome::crash,
                      .error_type = fault->type,
                      .message = fault->message,
                      .payload = {},
                      .status = Status::error};
  }
  if (!program_end_) co_return std::nullopt;
  if (program_end_->error == 0) co_return exited(program_end_->exit);
  auto error = fail_errno("start the program", program_end_->error).error();
  auto pack = deps_.choose_runtime(runnable_.runtime);
  co_return invalid_entrypoint(pack ? entry_program(runnable_, *pack->pack) : "", error);
}

// The program has until the deadline, and is killed then.
io::Task<void> EnvironmentExtensions::end_program(Deadline deadline) {
  bool runs = external_.empty() || (program_started_ && !program_end_);
  if (!runs || program_gone_.is_set()) co_return;
  instance_->signal(SIGTERM);
  if (co_await program_gone_.wait(deadline) != io::Wake::notified && !external_.empty()) {
    instance_->kill_program();
  }
}

io::Task<void> EnvironmentExtensions::shut_down(std::string_view reason) {
  if (!api_.any()) co_return;
  closing_ = true;
  bool external = api_.any_external();
  Duration budget = external ? Duration(limits::shutdown_with_external)
                             : Duration(limits::shutdown_with_internal);
  MonoTime begun = deps_.loop.now();
  Deadline deadline = begun + budget;
  feed_.flush();
  co_await end_program(external ? begun + budget * limits::shutdown_runtime_percent / 100
                                : deadline);
  auto wall = deps_.loop.clock().wall() + (deadline - deps_.loop.now());
  api_.shut_down(reason, epoch_millis(wall));
  if (external) co_await api_.wait_shut_down(deadline);
}

void EnvironmentExtensions::jail_gone() {
  program_gone_.set();
  broken_.set();
  api_.cancel();
}

io::Task<void> EnvironmentExtensions::close() {
  log_.tell(nullptr);
  api_.cancel();
  co_await watchers_.close();
  co_await feed_.close();
}

}  // namespace mayfly::invoke
