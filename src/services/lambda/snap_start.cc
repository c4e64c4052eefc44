// SnapStart: a published version's init runs when it is published. The version is Pending until
// invoke/ has what its environments are made from.
#include "services/lambda/snap_start.h"

#include "base/limits.h"
#include "base/log.h"
#include "services/lambda/managed.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"
#include "wire/json.h"

namespace mayfly::lambda {

namespace {

// "java17" 11 and later, "python3.14" 3.12 and later; others have it in no version.
struct Supported {
  std::string_view prefix;
  int least;
};
constexpr Supported supported[] = {{"java", 11}, {"python3.", 12}};

bool supports_snap_start(std::string_view runtime) {
  return std::ranges::any_of(supported, [&](const Supported& one) {
    if (!runtime.starts_with(one.prefix)) return false;
    int version = 0;
    for (char digit : runtime.substr(one.prefix.size())) {
      if (digit < '0' || digit > '9') return false;  // java8.al2
      version = version * 10 + (digit - '0');
    }
    return version >= one.least;
  });
}

// The API's reason codes for an init that failed.
std::string_view reason_code(std::string_view error_type) {
  if (error_type == "Sandbox.Timedout") return "FunctionError.InitTimeout";
  if (error_type == "Runtime.InvalidEntrypoint") return "FunctionError.InvalidEntryPoint";
  if (error_type == "Runtime.OutOfMemory") return "FunctionError.InitResourceExhausted";
  return "FunctionError.RuntimeInitError";
}

// Of a runtime's error, {"errorMessage":…}, what it says.
std::string readable(const std::string& message) {
  auto error = wire::parse_json(message);
  return error ? std::string(error->string_or("errorMessage", message)) : message;
}

}  // namespace

ApiResult<void> check_snap_start(const functions::Version& version) {
  if (!version.snap_start) return {};
  if (version.is_image()) return refuse(unbuilt("SnapStart of a container image"));
  if (!supports_snap_start(version.runtime)) {
    return refuse(invalid(
        fmt::format("{} is not supported for SnapStart enabled functions.", version.runtime)));
  }
  if (!version.file_systems.empty()) {
    return refuse(invalid("File systems are not supported for SnapStart enabled functions."));
  }
  if (version.tmp_mb > limits::snap_start_tmp_max_mb) {
    return refuse(invalid(
        fmt::format("Ephemeral storage of more than {} MB is not supported for SnapStart enabled "
                    "functions.",
                    limits::snap_start_tmp_max_mb)));
  }
  return {};
}

bool awaits_snapshot(const functions::Version& version) {
  return version.snap_start && version.version != "$LATEST" &&
         version.state == functions::State::pending;
}

void await_snapshot(functions::Version& version) {
  if (!version.snap_start) return;
  version.state = functions::State::pending;
  version.state_reason = "The function is being created.";
  version.state_reason_code = "Creating";
}

void Service::snapshot_later(const Function& function) {
  if (function.latest.state == functions::State::pending) return;  // settle() comes here again
  for (const auto& [number, version] : function.versions) {
    if (!awaits_snapshot(version)) continue;
    FunctionRef ref{function.scope, function.name, version.version};
    if (snapshotting_.insert(ref.arn()).second) tasks_.spawn(make_snapshot(std::move(ref)));
  }
}

io::Task<void> Service::make_snapshot(FunctionRef ref) {
  std::string key = ref.arn();
  auto made = co_await take_snapshot(ref);
  snapshotting_.erase(key);
  // A server that stops leaves the version as it is: the next start goes on with it.
  if (!made && made.error().kind == ErrorKind::cancelled) co_return;
  if (!made) log::error("lambda", "no snapshot of {}: {}", key, made.error().message);
  auto updated = co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto found = function.versions.find(std::stoi(ref.qualifier));
    if (found == function.versions.end() || !awaits_snapshot(found->second)) return {};
    Version& version = found->second;
    bool good = made && made->error_type.empty();
    version.state = good ? functions::State::active : functions::State::failed;
    version.state_reason.clear();
    version.state_reason_code.clear();
    if (!made) {
      version.state_reason = made.error().message;
      version.state_reason_code = "InternalError";
    } else if (!good) {
      version.state_reason = fmt::format("{}: {}", made->error_type, readable(made->message));
      version.state_reason_code = reason_code(made->error_type);
    }
    version.revision_id = deps_.random.uuid4();
    return {};
  });
  if (!updated && updated.error().http_status >= 500) {
    log::error("lambda", "cannot settle {}: {}", key, updated.error().message);
  }
  settled_.wake_all();
}

io::Task<Result<invoke::Snapshot>> Service::take_snapshot(FunctionRef ref) {
  CO_TRY_ASSIGN(auto resolved,
                deps_.registry.resolve(ref.scope, ref.name, ref.qualifier, deps_.random));
  CO_TRY_ASSIGN(auto ready, co_await runnable(ref, resolved));
  auto call = deps_.invoker.snapshot(std::make_shared<const invoke::Runnable>(std::move(ready)));
  CO_TRY(io::to_result(co_await call->done.wait(no_deadline, tasks_.stop_token()), "snapshot"));
  co_return std::move(*call->result);
}

void Service::forget_version(const Scope& scope, const Version& version) {
  if (!version.snap_start && version.version != latest_published) return;
  deps_.invoker.forget(pool_key(scope, version, false));
}

}  // namespace mayfly::lambda
