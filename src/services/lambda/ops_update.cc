// Functions: new code, new configuration.
#include "base/limits.h"
#include "services/lambda/bounds.h"
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view read_call = "GetFunction/GetAlias";

ApiResult<void> check_revision(std::optional<std::string_view> wanted,
                               const functions::Version& version) {
  if (wanted && *wanted != version.revision_id) return refuse(revision_moved(read_call));
  return {};
}

// An update is in progress until settle() has the tree at hand.
void begin_update(functions::Version& version) {
  version.update_status = functions::UpdateStatus::in_progress;
  version.update_reason = "The function is being created.";
  version.update_reason_code = "Creating";
}

}  // namespace

Service::Answer Service::update_function_code(Call& call, Record input) {
  model::UpdateFunctionCodeRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY(check_architectures(in.architectures()));
  CO_TRY(check_revision(in.revision_id(), function->latest));
  CO_TRY(require_settled(*function));
  model::FunctionCode code;
  if (in.source_kms_key_arn()) code.set_source_kms_key_arn(std::string(*in.source_kms_key_arn()));
  if (in.zip_file()) code.set_zip_file(std::string(*in.zip_file()));
  if (in.s3_bucket()) code.set_s3_bucket(std::string(*in.s3_bucket()));
  if (in.s3_key()) code.set_s3_key(std::string(*in.s3_key()));
  if (in.s3_object_version()) code.set_s3_object_version(std::string(*in.s3_object_version()));
  if (in.image_uri()) code.set_image_uri(std::string(*in.image_uri()));
  CO_TRY_ASSIGN(auto package,
                co_await package_of(call, code, function->latest, "UpdateFunctionCode"));
  bool dry_run = in.dry_run().value_or(false);
  bool publishing = in.publish().value_or(false) && !dry_run;
  std::string published;
  Version shown;
  CO_TRY(co_await change(ref, [&](Function& changed) -> ApiResult<void> {
    // Again, now that nobody can come between.
    if (auto same = check_revision(in.revision_id(), changed.latest); !same) return same;
    if (auto settled = require_settled(changed); !settled) return settled;
    if (!changed.latest.is_image()) {
      auto trusted = check_signed(ref, changed.code_signing_config_arn);
      if (!trusted) return trusted;
    }
    Version next = changed.latest;
    next.package = package;
    if (next.is_image()) next.image_uri = *in.image_uri();
    if (!in.architectures().empty()) next.architecture = in.architectures().front();
    if (auto kept = check_manual_runtime(changed.latest, next); !kept) return kept;
    if (auto fits = check_unzipped(next); !fits) return fits;
    if (!dry_run) begin_update(next);
    stamp(next);
    shown = next;
    if (dry_run) return {};
    changed.latest = std::move(next);
    if (publishing) published = publish(changed, changed.latest.description).version;
    if (!in.publish_to()) return {};
    published = latest_published;
    return publish_latest(changed, changed.latest.description);
  }));
  if (dry_run) {
    // Nothing was changed: the package goes with the next collection.
    shown.revision_id = std::string(in.revision_id().value_or(shown.revision_id));
    tasks_.spawn(collect_later());
    co_return describe_whole(shown, ref.unqualified_arn()).take();
  }
  settle_later(ref);
  tasks_.spawn(collect_later());
  if (!published.empty()) {
    FunctionRef version_ref = ref;
    version_ref.qualifier = published;
    CO_TRY_ASSIGN(const Version* version, require_version(version_ref));
    co_return describe_whole(*version, version_ref.arn()).take();
  }
  co_return describe_whole(shown, ref.unqualified_arn()).take();
}

Service::Answer Service::update_function_configuration(Call& call, Record input) {
  model::UpdateFunctionConfigurationRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  ref.qualifier.clear();
  CO_TRY_ASSIGN(const Function* function, require(ref));
  if (in.role()) {
    CO_TRY(check_role(*in.role(), call.scope.account));
  }
  CO_TRY(check_file_systems(in.file_system_configs(), ref.scope));
  if (in.runtime()) {
    CO_TRY(check_runtime(ref.name, std::string(*in.runtime())));
  }
  std::vector<functions::LayerRef> layers;
  if (in.has_layers()) {
    Version next = function->latest;
    CO_TRY(apply(in, next));
    CO_TRY_ASSIGN(layers, layers_of(in.layers(), call, bounds_of(next)));
  }
  Version shown;
  functions::CapacityProviders::Hold capacity;  // until it is written
  CO_TRY(co_await change(ref, [&](Function& changed) -> ApiResult<void> {
    if (auto same = check_revision(in.revision_id(), changed.latest); !same) return same;
    if (auto settled = require_settled(changed); !settled) return settled;
    // Layers are code, too.
    if (!layers.empty()) {
      auto trusted = check_signed(ref, changed.code_signing_config_arn);
      if (!trusted) return trusted;
    }
    Version& latest = changed.latest;
    Version before = latest;
    if (auto applied = apply(in, latest); !applied) return applied;
    if (auto strict = check_strictness(latest); !strict) return strict;
    if (in.dead_letter_config() && !latest.dead_letter_arn.empty()) {
      auto taken = check_dead_letter(latest.dead_letter_arn, destinations_of(ref, latest.role));
      if (!taken) return taken;
    }
    if (latest.layers.size() > static_cast<std::size_t>(bounds_of(latest).layers) &&
        !in.has_layers()) {
      return refuse(
          invalid(fmt::format("Cannot reference more than {} layers.", bounds_of(latest).layers)));
    }
    auto held = hold_capacity(ref.scope, latest);
    if (!held) return refuse(held.error());
    capacity = *std::move(held);
    if (auto kept = check_manual_runtime(before, latest); !kept) return kept;
    if (in.has_layers()) latest.layers = std::move(layers);
    if (auto fits = check_unzipped(latest); !fits) return fits;
    begin_update(latest);
    stamp(latest);
    shown = latest;
    return {};
  }));
  settle_later(ref);
  if (in.has_layers()) tasks_.spawn(collect_later());
  co_return describe_whole(shown, ref.unqualified_arn()).take();
}

}  // namespace mayfly::lambda
