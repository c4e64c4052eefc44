#include "services/lambda/service.h"

#include <set>

#include "base/limits.h"
#include "base/log.h"
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/snap_start.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

// A replaced package may still be read by an environment whose last call runs: the longest timeout
// and the longest start.
constexpr auto package_grace =
    std::chrono::seconds(limits::timeout_max_seconds) + limits::init_time + std::chrono::minutes(2);

}  // namespace

Service::Service(Deps deps)
    : deps_(std::move(deps)), settled_(deps_.loop), objects_read_(deps_.loop), tasks_(deps_.loop) {
  link_key_ = deps_.random.hex(32);
  deps_.registry.on_change([this](const Scope& scope, const FunctionName& name) {
    prepared_.erase({scope, name});
    note_reservation(scope, name);
    follow_provisioned(scope, name);
    follow_flow(scope, name);
  });
  if (deps_.mappings == nullptr) return;
  sources_ = make_sources();
  deps_.invoker.on_breaker([this](const std::string& key) { sources_->poke(key); });
}

Service::~Service() = default;

io::Task<Result<>> Service::start() {
  std::vector<FunctionRef> unsettled;
  std::vector<FunctionRef> uninitialised;
  deps_.registry.for_each([this, &unsettled, &uninitialised](const Function& function) {
    if (!require_settled(function)) unsettled.push_back({function.scope, function.name, {}});
    bool awaits = false;
    function.for_each_version([&](const Version& version) { awaits |= awaits_init(version); });
    if (awaits) uninitialised.push_back({function.scope, function.name, {}});
    note_reservation(function.scope, function.name);
    follow_provisioned(function.scope, function.name);
    follow_flow(function.scope, function.name);
  });
  for (const FunctionRef& ref : unsettled) settle_later(ref);
  for (const FunctionRef& ref : uninitialised) {
    if (const Function* function = deps_.registry.find(ref.scope, ref.name)) {
      initialise_later(*function);
    }
  }
  if (sources_) sources_->start();
  // No environment runs yet: what nobody refers to can go at once.
  return collect_packages(Duration::zero());
}

void Service::stop_sources() {
  if (sources_) sources_->stop();
}

io::Task<void> Service::close() {
  settled_.wake_all(io::Wake::cancelled);
  return tasks_.close();
}

io::Task<void> Service::close_sources() {
  if (sources_) co_await sources_->close();
}

ApiResult<FunctionRef> Service::named(const Call& call, std::optional<std::string_view> name,
                                      std::optional<std::string_view> qualifier) const {
  auto ref = parse_function(name.value_or(""), qualifier.value_or(""), call.scope);
  if (!ref || ref->scope.account == call.scope.account) return ref;
  // A name that leads into another account: its resource policy decides.
  std::string arn = ref->arn();
  guard::Question question{.caller = call.caller,
                           .action = call.operation.action,
                           .resource = arn,
                           .resource_account = ref->scope.account,
                           .source_arn = {},
                           .function_url_auth_type = {}};
  guard::Decision decision = deps_.guard.authorize(question);
  if (!decision.allowed) return refuse(api::access_denied(decision.reason));
  return ref;
}

ApiResult<const functions::Function*> Service::require(const FunctionRef& ref) const {
  const Function* function = deps_.registry.find(ref.scope, ref.name);
  if (!function) return refuse(function_not_found(ref.arn()));
  return function;
}

ApiResult<const functions::Version*> Service::require_version(const FunctionRef& ref) const {
  auto function = require(ref);
  if (!function) return refuse(function.error());
  if (ref.qualifier.empty() || ref.qualifier == "$LATEST") return &(*function)->latest;
  std::string number = ref.qualifier;
  if (auto alias = (*function)->aliases.find(number); alias != (*function)->aliases.end()) {
    number = alias->second.version;
    if (number == "$LATEST") return &(*function)->latest;
  }
  if (number == latest_published && (*function)->latest_published) {
    return &*(*function)->latest_published;
  }
  if (is_version_number(number) && number.size() < 10) {
    auto found = (*function)->versions.find(std::stoi(number));
    if (found != (*function)->versions.end()) return &found->second;
  }
  return refuse(function_not_found(ref.arn()));
}

ApiResult<void> Service::require_qualifier(const FunctionRef& ref) const {
  auto version = require_version(ref);
  if (!version) return refuse(version.error());
  return {};
}

io::Task<ApiResult<void>> Service::change(FunctionRef ref,
                                          std::function<ApiResult<void>(Function&)> apply) {
  std::optional<api::ApiError> refused;
  auto wrapped = [&refused, &apply](Function& function) -> Result<> {
    auto applied = apply(function);
    if (applied) return {};
    refused = std::move(applied.error());
    return fail(ErrorKind::invalid, "refused");
  };
  auto updated = co_await deps_.registry.update(ref.scope, ref.name, wrapped);
  if (updated) co_return ApiResult<void>{};
  if (refused) co_return refuse(std::move(*refused));
  if (updated.error().kind == ErrorKind::not_found) co_return refuse(function_not_found(ref.arn()));
  co_return refuse(from(updated.error()));
}

ApiResult<void> Service::require_settled(const Function& function) {
  if (function.latest.state == functions::State::pending) {
    return refuse(
        conflict("The operation cannot be performed at this time. The function is currently in the "
                 "following "
                 "state: Pending"));
  }
  if (function.latest.update_status == functions::UpdateStatus::in_progress) {
    return refuse(update_in_progress(function.arn()));
  }
  return {};
}

void Service::stamp(Version& version) const {
  version.revision_id = deps_.random.uuid4();
  version.last_modified = deps_.loop.clock().platform();
  version.config_sha256 = config_digest(version);
}

void Service::settle_later(const FunctionRef& ref) { tasks_.spawn(settle(ref)); }

io::Task<void> Service::settle(FunctionRef ref) {
  const Function* function = deps_.registry.find(ref.scope, ref.name);
  if (!function) co_return;
  std::string problem;
  std::string problem_code =
      function->latest.is_image() ? "ImageDeleted" : "InvalidZipFileException";
  invoke::Runnable unused;
  if (auto code = co_await put_code(function->latest, unused); !code) {
    problem = code.error().message;
  }
  auto finish = [this, &problem, &problem_code](Version& version) {
    bool created = version.state == functions::State::pending;
    if (!created && version.update_status != functions::UpdateStatus::in_progress) return;
    bool good = problem.empty();
    bool waits = good && awaits_init(version);
    if (created && !waits)
      version.state = good ? functions::State::active : functions::State::failed;
    if (!waits) {
      version.state_reason = created ? problem : version.state_reason;
      version.state_reason_code = created && !good ? problem_code : "";
    }
    version.update_status =
        good ? functions::UpdateStatus::successful : functions::UpdateStatus::failed;
    version.update_reason = problem;
    version.update_reason_code = good ? "" : problem_code;
    version.revision_id = deps_.random.uuid4();
  };
  auto updated = co_await change(ref, [&finish](Function& changed) -> ApiResult<void> {
    finish(changed.latest);
    if (changed.latest_published) finish(*changed.latest_published);
    for (auto& [number, version] : changed.versions) finish(version);
    return {};
  });
  if (!updated && updated.error().http_status >= 500) {
    log::error("lambda", "cannot settle {}: {}", ref.arn(), updated.error().message);
  }
  settled_.wake_all();
  if (const Function* settled = deps_.registry.find(ref.scope, ref.name)) {
    initialise_later(*settled);
  }
}

io::Task<Result<>> Service::wait_active(FunctionRef ref, Deadline deadline) {
  while (true) {
    const Function* function = deps_.registry.find(ref.scope, ref.name);
    if (!function || function->latest.state != functions::State::pending) co_return Result<>{};
    CO_TRY(io::to_result(co_await settled_.park(deadline, tasks_.stop_token()),
                         "the function to become active"));
  }
}

std::vector<std::string> Service::code_in_use() const {
  std::set<std::string> hashes;
  auto note = [&hashes](const Version& version) {
    hashes.insert(version.package.sha256);
    for (const auto& layer : version.layers) hashes.insert(layer.package.sha256);
  };
  deps_.registry.for_each([&note](const Function& function) { function.for_each_version(note); });
  deps_.registry.for_each_layer(
      [&hashes](const functions::LayerVersion& layer) { hashes.insert(layer.package.sha256); });
  return {hashes.begin(), hashes.end()};
}

io::Task<Result<>> Service::collect_packages(Duration grace) {
  std::vector<std::string> in_use = code_in_use();
  CO_TRY(co_await deps_.packages.collect(in_use, grace));
  CO_TRY(co_await deps_.images.collect(std::move(in_use), grace));
  co_return Result<>{};
}

io::Task<void> Service::collect_later() {
  if (collecting_) co_return;
  collecting_ = true;
  auto collected = co_await collect_packages(package_grace);
  collecting_ = false;
  if (!collected) log::warn("lambda", "packages not collected: {}", collected.error().message);
}

}  // namespace mayfly::lambda
