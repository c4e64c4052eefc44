// Service: the Lambda API 2015-03-31 over functions/ and invoke/. One member per operation
// (ops_*.cc), registered by name in operations().
//
// Owns: the work that settles a function after a change (pending → active), the endpoints that are
// no operations (code downloads, function URLs), the readers that guard/ and invoke/ call.
// Called by: front/ (operations), mayfly/ (wiring). Thread: loop. Ends with close(), after which no
// background work is left.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/calls.h"
#include "api/lambda.h"
#include "api/operation.h"
#include "base/limits.h"
#include "functions/file_systems.h"
#include "functions/image_store.h"
#include "functions/package_store.h"
#include "functions/registry.h"
#include "guard/guard.h"
#include "invoke/invoker.h"
#include "io/park.h"
#include "services/lambda/bounds.h"
#include "services/lambda/destinations.h"
#include "services/lambda/errors.h"
#include "services/lambda/event_sources.h"
#include "services/lambda/names.h"
#include "services/lambda/raw.h"
#include "services/lambda/target.h"

namespace mayfly::lambda {

namespace model = api::lambda;

struct Settings {
  // What this machine runs; a function for another architecture is refused.
  std::vector<std::string> architectures{"x86_64"};
  int account_concurrency = limits::account_concurrency;
  int unreserved_concurrency_min = limits::account_concurrency_unreserved_min;
  // The first one that a client's Host ends in is used for function URLs, else the first of all.
  std::vector<std::string> host_suffixes{"localhost", "localhost.localstack.cloud"};
  // Code.ImageUri may be a path of this machine.
  bool image_paths = false;
  bool strict = false;  // no function is unbound (bounds.h)
};

struct Deps {
  io::Loop& loop;
  Random& random;
  functions::Registry& registry;
  functions::PackageStore& packages;
  functions::FileSystems& file_systems;
  functions::ImageStore& images;
  invoke::Invoker& invoker;
  guard::Guard& guard;
  Settings settings;
  // What a runtime identifier comes to on this machine: nothing to say, a warning that another
  // version runs in its place, or why it cannot run. Absent: every identifier is taken.
  std::function<Result<std::string>(std::string_view identifier)> runtime_warning = {};
  // The version ARN of what runs an identifier here. Absent: there are no such ARNs.
  std::function<Result<std::string>(const Region& region, std::string_view identifier)>
      runtime_version_arn = {};
  // Code without a valid signature was deployed, or refused, where signatures are asked for.
  std::function<void(const Scope&, const FunctionName&, functions::SigningPolicy)>
      unsigned_deployed = {};
  // A function is no longer there; calls of it may still run.
  std::function<void(const Scope&, const FunctionName&)> deleted = {};
  // Event source mappings, and what they read from. Absent: their operations are not offered.
  functions::Mappings* mappings = nullptr;
  const events::Switchboard* switchboard = nullptr;
  std::function<void(const FunctionRef&, const std::string& mapping_id, pump::Step,
                     std::size_t items)>
      count_mapped = {};
  // For code in buckets, which is read as whoever deploys it. Absent: it is refused.
  api::Calls* calls = nullptr;
};

class Service final : public guard::ResourcePolicies {
 public:
  explicit Service(Deps deps);
  ~Service() override;

  // The handlers for front/. The Service outlives them.
  api::Service operations();
  // /_mayfly/images: the container images of this machine, for whoever runs the server.
  io::Task<RawResponse> serve_images(RawRequest request);
  // GET /_mayfly/code/…: packages by signed, expiring links.
  io::Task<RawResponse> serve_code(RawRequest request);
  // <url id>.lambda-url.<region>.<suffix>: function URLs.
  io::Task<RawResponse> serve_url(RawRequest request);

  // Resumes what a crash left pending and removes packages nobody uses. Before serving.
  io::Task<Result<>> start();
  // Event source mappings take nothing more from now on.
  void stop_sources();
  io::Task<void> close();
  // When the invoker has closed: until what they pushed has come to its end.
  io::Task<void> close_sources();

  std::vector<guard::PolicyStatement> statements(std::string_view resource_arn) override;
  // AddPermission and AddLayerVersionPermission allow.
  bool may_deny(std::string_view /*resource_arn*/) override { return false; }
  // What others push to functions. Lives as long as this.
  events::Target& target() { return target_; }
  // For it: the function of an ARN that `sender` may push to; not_found, denied, invalid.
  Result<FunctionRef> pushed_to(std::string_view arn, const events::Sender& sender) const;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery);
  // For invoke/: what an event of the asynchronous queue runs.
  io::Task<Result<invoke::AsyncTarget>> resolve_async(Scope scope, FunctionName name,
                                                      std::string qualifier);

 private:
  using Call = api::Call;
  using Record = wire::Record;
  using Answer = io::Task<ApiResult<Record>>;
  using Function = functions::Function;
  using Version = functions::Version;

  // functions (ops_functions.cc, ops_update.cc)
  Answer create_function(Call& call, Record input);
  Answer get_function(Call& call, Record input);
  Answer get_function_configuration(Call& call, Record input);
  Answer list_functions(Call& call, Record input);
  Answer delete_function(Call& call, Record input);
  Answer update_function_code(Call& call, Record input);
  Answer update_function_configuration(Call& call, Record input);
  // versions (ops_versions.cc)
  Answer publish_version(Call& call, Record input);
  Answer list_versions_by_function(Call& call, Record input);
  // aliases (ops_aliases.cc)
  Answer create_alias(Call& call, Record input);
  Answer get_alias(Call& call, Record input);
  Answer list_aliases(Call& call, Record input);
  Answer update_alias(Call& call, Record input);
  Answer delete_alias(Call& call, Record input);
  // tags (ops_tags.cc)
  Answer tag_resource(Call& call, Record input);
  Answer untag_resource(Call& call, Record input);
  Answer list_tags(Call& call, Record input);
  // layers (ops_layers.cc, ops_layer_policy.cc)
  Answer publish_layer_version(Call& call, Record input);
  Answer get_layer_version(Call& call, Record input);
  Answer get_layer_version_by_arn(Call& call, Record input);
  Answer list_layers(Call& call, Record input);
  Answer list_layer_versions(Call& call, Record input);
  Answer delete_layer_version(Call& call, Record input);
  Answer add_layer_version_permission(Call& call, Record input);
  Answer remove_layer_version_permission(Call& call, Record input);
  Answer get_layer_version_policy(Call& call, Record input);
  // policy (ops_policy.cc)
  Answer add_permission(Call& call, Record input);
  Answer remove_permission(Call& call, Record input);
  Answer get_policy(Call& call, Record input);
  // function URLs (ops_urls.cc)
  Answer create_function_url_config(Call& call, Record input);
  Answer get_function_url_config(Call& call, Record input);
  Answer update_function_url_config(Call& call, Record input);
  Answer delete_function_url_config(Call& call, Record input);
  Answer list_function_url_configs(Call& call, Record input);
  // account and concurrency (ops_account.cc)
  Answer get_account_settings(Call& call, Record input);
  Answer put_function_concurrency(Call& call, Record input);
  Answer get_function_concurrency(Call& call, Record input);
  Answer delete_function_concurrency(Call& call, Record input);
  // provisioned concurrency (ops_provisioned.cc)
  Answer put_provisioned_concurrency_config(Call& call, Record input);
  Answer get_provisioned_concurrency_config(Call& call, Record input);
  Answer delete_provisioned_concurrency_config(Call& call, Record input);
  Answer list_provisioned_concurrency_configs(Call& call, Record input);
  // asynchronous invocation (ops_event_invoke_config.cc)
  Answer put_function_event_invoke_config(Call& call, Record input);
  Answer get_function_event_invoke_config(Call& call, Record input);
  Answer update_function_event_invoke_config(Call& call, Record input);
  Answer delete_function_event_invoke_config(Call& call, Record input);
  Answer list_function_event_invoke_configs(Call& call, Record input);
  // loops of functions (ops_recursion.cc)
  Answer put_function_recursion_config(Call& call, Record input);
  Answer get_function_recursion_config(Call& call, Record input);
  // runtime versions (ops_runtime_management.cc)
  Answer put_runtime_management_config(Call& call, Record input);
  Answer get_runtime_management_config(Call& call, Record input);
  // code signing (ops_code_signing.cc)
  Answer create_code_signing_config(Call& call, Record input);
  Answer get_code_signing_config(Call& call, Record input);
  Answer update_code_signing_config(Call& call, Record input);
  Answer delete_code_signing_config(Call& call, Record input);
  Answer list_code_signing_configs(Call& call, Record input);
  Answer list_functions_by_code_signing_config(Call& call, Record input);
  Answer put_function_code_signing_config(Call& call, Record input);
  Answer get_function_code_signing_config(Call& call, Record input);
  Answer delete_function_code_signing_config(Call& call, Record input);
  void add_code_signing(api::Service& service);
  // capacity providers (ops_capacity.cc)
  Answer create_capacity_provider(Call& call, Record input);
  Answer get_capacity_provider(Call& call, Record input);
  Answer update_capacity_provider(Call& call, Record input);
  Answer delete_capacity_provider(Call& call, Record input);
  Answer list_capacity_providers(Call& call, Record input);
  Answer list_function_versions_by_capacity_provider(Call& call, Record input);
  // how many environments a version has (ops_scaling.cc)
  Answer put_function_scaling_config(Call& call, Record input);
  Answer get_function_scaling_config(Call& call, Record input);
  void add_capacity(api::Service& service);
  // invoke (ops_invoke.cc)
  Answer invoke(Call& call, Record input);
  Answer invoke_async(Call& call, Record input);
  // ops_invoke_stream.cc
  Answer invoke_with_response_stream(Call& call, Record input);

  // Reads the function's name and asks guard/ where it is of another account.
  ApiResult<FunctionRef> named(const Call& call, std::optional<std::string_view> name,
                               std::optional<std::string_view> qualifier = std::nullopt) const;
  // The function, or ResourceNotFoundException naming `ref`.
  ApiResult<const Function*> require(const FunctionRef& ref) const;
  // The version or alias, likewise; an alias does not draw among its weights.
  ApiResult<const Version*> require_version(const FunctionRef& ref) const;
  // The qualifier must be $LATEST, a version or an alias that is there.
  ApiResult<void> require_qualifier(const FunctionRef& ref) const;
  // Changes a function; `apply` may refuse, then nothing happens.
  io::Task<ApiResult<void>> change(FunctionRef ref,
                                   std::function<ApiResult<void>(Function&)> apply);
  // Refuses a change while an earlier one settles.
  static ApiResult<void> require_settled(const Function& function);

  // Likewise for layers; one of another account is asked for at guard/.
  ApiResult<const functions::LayerVersion*> require_layer(const Call& call,
                                                          std::optional<std::string_view> name,
                                                          std::int64_t version) const;
  io::Task<ApiResult<void>> change_layer(
      Scope scope, std::string name, int version,
      std::function<ApiResult<void>(functions::LayerVersion&)> apply);

  const functions::CodeSigningConfig* find_code_signing(const Scope& scope,
                                                        std::string_view arn) const;
  // For as long as a function is being given it; CodeSigningConfigNotFoundException.
  ApiResult<functions::CodeSigningConfigs::Hold> hold_code_signing(const Scope& scope,
                                                                   std::string_view arn);
  // Whether unsigned code may be deployed to a function with this configuration (empty: none).
  ApiResult<void> check_signed(const FunctionRef& ref, std::string_view config_arn) const;
  std::vector<std::string> functions_with_signing(const Scope& scope, std::string_view arn) const;
  io::Task<ApiResult<void>> change_code_signing(
      Scope scope, std::string arn,
      std::function<ApiResult<void>(functions::CodeSigningConfig&)> apply);

  const functions::CapacityProvider* find_capacity(const Scope& scope,
                                                   std::string_view named) const;
  // For as long as a function is being given the version's provider; nothing without one.
  ApiResult<functions::CapacityProviders::Hold> hold_capacity(const Scope& scope,
                                                              const Version& version);
  io::Task<ApiResult<void>> change_capacity(
      Scope scope, std::string named,
      std::function<ApiResult<void>(functions::CapacityProvider&)> apply);
  // ARN and state of every version that names this provider.
  std::vector<std::pair<std::string, std::string>> versions_on(const Scope& scope,
                                                               std::string_view arn) const;

  io::Task<ApiResult<functions::PackageRef>> add_package(std::string zip,
                                                         std::string_view operation,
                                                         std::uint64_t unzipped_max);
  // The code of a zip function, or of one of a container image (which `version` says).
  io::Task<ApiResult<functions::PackageRef>> package_of(const Call& call, model::FunctionCode code,
                                                        Version version,
                                                        std::string_view operation);
  // Code in a bucket (object_code.cc). `unzipped_max` as of add_package().
  io::Task<ApiResult<functions::PackageRef>> add_object(const Call& call, model::FunctionCode code,
                                                        std::uint64_t unzipped_max);
  // Container images (images.cc).
  io::Task<ApiResult<functions::PackageRef>> image_of(const Call& call, std::string uri);
  io::Task<RawResponse> answer_images(RawRequest request);
  // Has the code at hand: the trees that a version is started from.
  io::Task<Result<>> put_code(Version version, invoke::Runnable& into);
  model::FunctionCodeLocation code_location(const Call& call, const Version& version) const;
  // The layers' records in order, checked against each other and `here`.
  ApiResult<std::vector<functions::LayerRef>> layers_of(std::vector<std::string_view> arns,
                                                        const Call& call,
                                                        const Bounds& bounds) const;
  // Where the server keeps all within the cloud's limits.
  ApiResult<void> check_strictness(const Version& version) const;
  // An event for this function, which may be unbound.
  enum class Kept { sync, async };
  ApiResult<void> check_size(const FunctionRef& ref, Kept kept, std::size_t bytes,
                             std::string_view operation) const;
  const Bounds& bounds_for(const FunctionRef& ref) const;
  ApiResult<void> check_architectures(const std::vector<std::string_view>& given) const;
  void stamp(Version& version) const;  // revision id, time of change, configuration digest
  Version& publish(Function& function, std::string_view description) const;
  // What $LATEST is becomes $LATEST.PUBLISHED; of functions on capacity providers alone.
  ApiResult<void> publish_latest(Function& function, std::string_view description) const;
  // describe() with the state and the runtime's version.
  model::FunctionConfiguration describe_whole(const Version& version, const std::string& arn) const;
  ApiResult<void> check_runtime(const FunctionName& name, const std::string& runtime) const;
  // Which version of the runtime runs, and a word where it is not the one that was asked for.
  std::optional<model::RuntimeVersionConfig> describe_runtime(const Version& version,
                                                              const std::string& arn) const;
  // The version ARN of the runtime as this machine has it; empty: it cannot run.
  std::string installed_runtime(const Region& region, std::string_view identifier) const;
  // A version whose runtime was chosen by hand runs on that one or not at all.
  Result<> check_chosen_runtime(const Region& region, const Version& version) const;
  // Has the package and layers at hand, then marks the function active.
  void settle_later(const FunctionRef& ref);
  io::Task<void> settle(FunctionRef ref);
  // Waits until a just created function has settled.
  io::Task<Result<>> wait_active(FunctionRef ref, Deadline deadline);
  io::Task<Result<invoke::Runnable>> runnable(FunctionRef ref, functions::Resolved resolved);
  // Likewise until a version's init has ended (snap_start.cc).
  io::Task<Result<>> wait_initialised(FunctionRef version, Deadline deadline);
  // Runs the init of every version that waits for that.
  void initialise_later(const Function& function);
  io::Task<void> initialise(FunctionRef version);
  io::Task<Result<invoke::Snapshot>> run_init(FunctionRef version);
  void forget_version(const Scope& scope, const Version& version);
  std::vector<std::string> code_in_use() const;  // hashes of packages and images
  io::Task<Result<>> collect_packages(Duration grace);
  io::Task<void> collect_later();

  struct Invocation {
    std::shared_ptr<const invoke::Runnable> runnable;
    std::string invoked_arn;
    std::string version;
  };
  // Resolves, waits until active and prepares.
  io::Task<ApiResult<Invocation>> prepare(FunctionRef ref, Deadline deadline);
  // The same where nothing has to be waited for, which is what warm calls find.
  std::optional<Invocation> prepared(const FunctionRef& ref) const;
  Answer invoke_event(FunctionRef ref, events::Event event);
  // The invocation, or its fallback's while the function's circuit breaker is open.
  io::Task<Result<events::Outcome>> invoke_or_fall_back(Invocation ready, invoke::Request request);
  io::Task<Result<events::Outcome>> invoke_with_fallback(Invocation ready, invoke::Request request);
  // For event source mappings.
  std::unique_ptr<EventSources> make_sources();
  io::Task<Result<events::Outcome>> invoke_mapped(FunctionRef ref, pump::Call call);
  // A tenant is named where, and only where, the function isolates them.
  ApiResult<void> check_tenant(const FunctionRef& ref,
                               std::optional<std::string_view> tenant_id) const;
  // The trace header for another invocation in a chain, or why the chain ends here.
  ApiResult<std::string> follow_chain(const FunctionRef& ref, std::string_view header) const;
  // Destinations (destinations.cc).
  Result<invoke::AsyncEvent> hand_over(const invoke::Ending& ending, const std::string& arn) const;
  Destinations destinations_of(const FunctionRef& ref, const std::string& role) const {
    return {deps_.registry, deps_.switchboard, ref, role};
  }
  // What is pushed to a resource that is no function, as the function's role.
  struct Resource {
    std::string arn;
    std::string role_arn;
  };
  invoke::AsyncEvent outbound(const invoke::Ending& ending, const Resource& to) const;
  invoke::Handover handover_to(const std::string& arn, const std::string& role) const;
  invoke::Handover dead_letter_to(const std::string& arn, const std::string& role) const;
  // Tells invoke/ what the functions of an account and region have reserved, in sum.
  void note_reservation(const Scope& scope, const FunctionName& name);
  // Has invoke/ keep what the function's configurations ask for, and no more.
  void follow_provisioned(const Scope& scope, const FunctionName& name);
  // The flow control of its asynchronous events is as its tags say (flow_tags.cc).
  void follow_flow(const Scope& scope, const FunctionName& name);
  io::Task<void> provision(FunctionRef version);
  template <class Out>
  Out describe_provisioned(const Function& function,
                           const functions::ProvisionedConfig& config) const;
  // Whether another `requested` environments for a qualifier fit the limits.
  ApiResult<void> check_provisioned(const Function& function, const std::string& qualifier,
                                    int requested) const;

  std::string code_link(const Call& call, const functions::PackageRef& package) const;
  std::string link_mac(std::string_view sha256, std::string_view expires) const;
  std::string url_of(const functions::FunctionUrl& url, const Call& call) const;
  // Function URLs (url_endpoint.cc).
  io::Task<RawResponse> run_url(RawRequest request, FunctionRef ref, functions::FunctionUrl url);
  bool url_allowed(const RawRequest& request, const FunctionRef& ref,
                   const functions::FunctionUrl& url, api::Caller& caller);

  Deps deps_;
  std::string link_key_;  // of this run: links end with it
  io::ParkingLot settled_;
  io::ParkingLot objects_read_;
  std::uint64_t object_bytes_ = 0;  // of buckets, in memory on their way to the packages
  io::TaskScope tasks_;
  std::unique_ptr<EventSources> sources_;
  FunctionTarget target_{*this};
  bool collecting_ = false;
  std::set<std::string> initialising_;  // versions whose init runs, by ARN
  std::map<Scope, std::map<FunctionName, int>> reserved_;
  // What invoke/ was told to keep, by version.
  std::map<std::pair<Scope, FunctionName>,
           std::map<std::string, std::shared_ptr<const invoke::Runnable>>>
      provisioned_;
  // By function and version; a change of a function drops its entry.
  std::map<std::pair<Scope, FunctionName>,
           std::map<std::string, std::shared_ptr<const invoke::Runnable>>>
      prepared_;
};

}  // namespace mayfly::lambda
