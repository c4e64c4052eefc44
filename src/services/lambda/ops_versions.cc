// Published versions.
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"
#include "services/lambda/snap_start.h"

namespace mayfly::lambda {

functions::Version& Service::publish(Function& function, std::string_view description) const {
  Version version = function.latest;
  version.version = std::to_string(++function.last_published);
  version.description = description;
  version.revision_id = deps_.random.uuid4();
  await_init(version);
  // config_sha256 stays that of $LATEST: the next publishing compares by it.
  return function.versions.emplace(function.last_published, std::move(version)).first->second;
}

ApiResult<void> Service::publish_latest(Function& function, std::string_view description) const {
  if (!is_managed(function.latest)) {
    return refuse(invalid(
        "PublishTo LATEST_PUBLISHED is supported for functions on a capacity provider alone."));
  }
  Version version = function.latest;
  version.version = latest_published;
  version.description = description;
  version.revision_id = deps_.random.uuid4();
  if (const auto& before = function.latest_published) {
    version.environments_least = before->environments_least;
    version.environments_most = before->environments_most;
  }
  await_init(version);
  function.latest_published = std::move(version);
  return {};
}

Service::Answer Service::publish_version(Call& call, Record input) {
  model::PublishVersionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  std::string number;
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    Version& latest = function.latest;
    if (in.revision_id() && *in.revision_id() != latest.revision_id) {
      return refuse(revision_moved("GetFunction/GetAlias"));
    }
    if (auto settled = require_settled(function); !settled) return settled;
    std::string current = functions::code_sha256(latest.package);
    if (in.code_sha256() && !in.code_sha256()->empty() && *in.code_sha256() != current) {
      return refuse(invalid(fmt::format(
          "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST ({}). Please "
          "try again with the CodeSHA256 in $LATEST.",
          *in.code_sha256(), current)));
    }
    if (in.publish_to()) {
      number = latest_published;
      return publish_latest(function, in.description().value_or(latest.description));
    }
    if (!function.versions.empty()) {
      const Version& last = function.versions.rbegin()->second;
      if (last.package.sha256 == latest.package.sha256 &&
          last.config_sha256 == latest.config_sha256) {
        number = last.version;  // nothing changed since: the same version again
        return {};
      }
    }
    number = publish(function, in.description().value_or(latest.description)).version;
    latest.revision_id = deps_.random.uuid4();
    return {};
  }));
  ref.qualifier = number;
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  auto out = describe_whole(*version, ref.arn()).take();  // as it is at the start
  if (const Function* function = deps_.registry.find(ref.scope, ref.name)) {
    initialise_later(*function);
  }
  co_return out;
}

Service::Answer Service::list_versions_by_function(Call& call, Record input) {
  model::ListVersionsByFunctionRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::size_t limit = page_size(in.max_items());
  std::vector<model::FunctionConfiguration> page;
  model::ListVersionsByFunctionResponse out;
  // $LATEST is "0", $LATEST.PUBLISHED behind it "0p", then the numbers.
  std::string last;
  auto add = [&](const Version& version, std::string position) {
    if (page.size() == limit) {
      out.set_next_marker(write_marker(last));
      return false;
    }
    page.push_back(describe(version, function->arn() + ":" + version.version, false));
    last = std::move(position);
    return true;
  };
  bool more = !marker.empty() || add(function->latest, "0");
  bool behind = !marker.empty() && marker != "0";
  if (const auto& published = function->latest_published; published && !behind) {
    more = add(*published, "0p");
  }
  auto at = function->versions.upper_bound(std::atoi(marker.c_str()));
  for (; more && at != function->versions.end(); ++at) {
    more = add(at->second, std::to_string(at->first));
  }
  out.set_versions(std::move(page));
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
