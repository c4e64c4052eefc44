// Inits ahead of calls: of versions with SnapStart, and of those on capacity providers (Lambda
// Managed Instances), the init runs when they are published. Such a version is Pending until
// invoke/ has what its environments are made from, or its first environment.
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
  if (error_type == "TooManyExtensions") return "FunctionError.TooManyExtensions";
  if (error_type == "PermissionDenied") return "FunctionError.PermissionDenied";
  if (error_type.starts_with("Extension.")) return "FunctionError.ExtensionInitError";
  if (error_type == "Runtime.InvalidWorkingDir") return "FunctionError.InvalidWorkingDirectory";
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

bool awaits_init(const functions::Version& version) {
  bool early = version.snap_start || (is_managed(version) && !is_deactivated(version));
  return early && version.version != "$LATEST" && version.state == functions::State::pending;
}

void await_init(functions::Version& version) {
  if (!version.snap_start && (!is_managed(version) || is_deactivated(version))) return;
  version.state = functions::State::pending;
  version.state_reason = "The function is being created.";
  version.state_reason_code = "Creating";
}

void Service::initialise_later(const Function& function) {
  if (function.latest.state == functions::State::pending) return;  // settle() comes here again
  function.for_each_version([&](const Version& version) {
    if (!awaits_init(version)) return;
    FunctionRef ref{function.scope, function.name, version.version};
    if (initialising_.insert(ref.arn()).second) tasks_.spawn(initialise(std::move(ref)));
  });
}

io::Task<Result<>> Service::wait_initialised(FunctionRef ref, Deadline deadline) {
  while (true) {
    auto version = require_version(ref);
    if (!version || !awaits_init(**version)) co_return Result<>{};
    CO_TRY(io::to_result(co_await settled_.park(deadline, tasks_.stop_token()),
                         "the version to be initialised"));
  }
}

io::Task<void> Service::initialise(FunctionRef ref) {
  std::string key = ref.arn();
  std::string identity;
  if (auto version = require_version(ref)) identity = pool_key(ref.scope, **version, false);
  auto made = co_await run_init(ref);
  initialising_.erase(key);
  // A server that stops leaves the version as it is: the next start goes on with it.
  if (!made && made.error().kind == ErrorKind::cancelled) co_return;
  if (!made) log::error("lambda", "no init of {}: {}", key, made.error().message);
  auto updated = co_await change(ref, [&](Function& function) -> ApiResult<void> {
    Version* found = published_of(function, ref.qualifier);
    if (found == nullptr || found->state != functions::State::pending) return {};
    Version& version = *found;
    // $LATEST.PUBLISHED may have been published anew.
    if (pool_key(ref.scope, version, false) != identity) return {};
    bool good = is_deactivated(version) || (made && made->error_type.empty());
    version.state = good ? functions::State::active : functions::State::failed;
    version.state_reason.clear();
    version.state_reason_code.clear();
    if (!good && !made) {
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
  const Function* function = updated ? deps_.registry.find(ref.scope, ref.name) : nullptr;
  if (function != nullptr) initialise_later(*function);
}

io::Task<Result<invoke::Snapshot>> Service::run_init(FunctionRef ref) {
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
