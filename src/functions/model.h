// Nouns of the registry. Everything that all dialects (lambda, gcf, azure, fn) share about a
// function; what only one dialect knows travels in `extra` as that dialect's JSON.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace mayfly::functions {

struct PackageRef {
  std::string sha256;  // lower-case hex of the zip, or of the manifest of an image
  std::uint64_t zip_bytes = 0;
  std::uint64_t unzipped_bytes = 0;
};

struct LayerRef {
  std::string arn;  // "arn:aws:lambda:REGION:ACCOUNT:layer:NAME:3"
  PackageRef package;
};

enum class State { pending, active, inactive, failed };
enum class UpdateStatus { successful, in_progress, failed };
enum class LogFormat { text, json };
enum class SigningPolicy { warn, enforce };

// An access point (functions/file_systems.h) and where its folder is seen.
struct FileSystemMount {
  std::string arn;
  std::string path;  // "/mnt/NAME"
};

// One immutable version, or the mutable $LATEST.
struct Version {
  FunctionName name;
  std::string version = "$LATEST";
  std::string description;
  std::string runtime;  // identifier as given: "nodejs20.x"
  std::string handler;
  std::string role;
  int timeout_seconds = 3;
  int memory_mb = 128;
  int tmp_mb = 512;
  std::string architecture = "x86_64";
  std::map<std::string, std::string> environment;
  PackageRef package;
  std::vector<LayerRef> layers;
  std::string package_type = "Zip";
  State state = State::pending;
  std::string state_reason;
  std::string state_reason_code;
  UpdateStatus update_status = UpdateStatus::in_progress;
  std::string update_reason;
  std::string update_reason_code;
  WallTime last_modified{};
  std::string revision_id;
  std::string config_sha256;
  LogFormat log_format = LogFormat::text;
  std::string application_log_level;  // empty: not set
  std::string system_log_level;
  std::string log_group;  // empty: /aws/lambda/NAME
  std::string tracing_mode = "PassThrough";
  std::string dead_letter_arn;
  std::string extra;        // dialect JSON
  bool per_tenant = false;  // environments belong to one tenant each; fixed with the function
  // Of each version by itself, changed without publishing. Empty: "Auto".
  std::string update_runtime_on;    // "FunctionUpdate", "Manual"
  std::string runtime_version_arn;  // with "Manual"
  std::vector<FileSystemMount> file_systems;
  bool snap_start = false;  // published versions are initialised once, ahead of calls
  // On a capacity provider; empty: not.
  std::string capacity_provider_arn;
  int max_concurrency = 0;         // calls that one environment runs at one time; 0: by runtime
  double memory_gib_per_vcpu = 0;  // 0: not set
  // Of each published version by itself, changed without publishing.
  std::optional<int> environments_least;
  std::optional<int> environments_most;  // 0: it is deactivated
  // A container image instead of a zip (package_type "Image"; `package` has its digest alone): the
  // name that was given for it, and what is said against the image's own word (ImageConfig).
  std::string image_uri;
  std::vector<std::string> image_entry_point;
  std::vector<std::string> image_command;
  std::string image_working_dir;

  bool is_image() const { return package_type == "Image"; }
};

struct Alias {
  std::string name;
  std::string version;
  std::string description;
  std::map<std::string, double> weights;  // additional version → share, 0.0–1.0
  std::string revision_id;
};

struct Permission {
  std::string sid;
  std::string qualifier;  // empty: the unqualified function
  std::string principal;
  std::string action;
  std::string source_arn;
  std::string source_account;
  std::string principal_org_id;
  std::string event_source_token;
  std::string function_url_auth_type;
  bool invoked_via_function_url = false;
};

struct FunctionUrl {
  std::string url_id;     // 32 lower-case characters, the host's first label
  std::string qualifier;  // empty or alias name
  std::string auth_type = "NONE";
  std::string invoke_mode = "BUFFERED";
  std::string cors_json;  // empty: none
  WallTime created{};
  WallTime modified{};
};

struct EventInvokeConfig {
  std::string qualifier;  // "$LATEST", version or alias
  std::optional<int> max_retries;
  std::optional<int> max_age_seconds;
  std::string on_success_arn;
  std::string on_failure_arn;
  WallTime modified{};
};

struct ProvisionedConfig {
  std::string qualifier;  // version or alias
  int requested = 0;      // environments kept initialised
  WallTime modified{};
};

struct Function {
  Scope scope;
  FunctionName name;
  Version latest;
  int last_published = 0;  // numbers are never reused
  std::map<int, Version> versions;
  std::map<std::string, Alias> aliases;
  std::map<std::string, std::string> tags;
  std::vector<Permission> permissions;
  std::map<std::string, std::string> policy_revisions;  // qualifier → revision id
  std::map<std::string, FunctionUrl> urls;              // qualifier → url
  std::map<std::string, EventInvokeConfig> event_configs;
  std::optional<int> reserved_concurrency;
  std::map<std::string, ProvisionedConfig> provisioned;  // by qualifier
  bool allow_recursion = false;
  std::string code_signing_config_arn;  // empty: none
  WallTime created{};
  std::optional<Version> latest_published;  // $LATEST.PUBLISHED, of functions on capacity providers

  std::string arn() const;  // unqualified
  // Every version there is: $LATEST, $LATEST.PUBLISHED, the numbered ones.
  template <class Visit>
  void for_each_version(Visit visit) const {
    visit(latest);
    if (latest_published) visit(*latest_published);
    for (const auto& [number, version] : versions) visit(version);
  }
};

struct LayerVersion {
  Scope scope;
  std::string name;
  int version = 0;
  std::string description;
  std::string license;
  std::vector<std::string> compatible_runtimes;
  std::vector<std::string> compatible_architectures;
  PackageRef package;
  WallTime created{};
  std::vector<Permission> permissions;
  std::string policy_revision;

  std::string arn() const;  // with the version
};

// What a deployed package must be signed by, and what happens to one that is not.
struct CodeSigningConfig {
  Scope scope;
  std::string id;  // "csc-" and 17 lower-case letters or digits
  std::string description;
  std::vector<std::string> publishers;  // ARNs of signing profile versions
  SigningPolicy untrusted = SigningPolicy::warn;
  std::map<std::string, std::string> tags;
  WallTime modified{};

  std::string arn() const;
};

// Where functions of Managed Instances run. Here that is this machine, whatever the record says; of
// the record MaxVCpuCount alone has an effect.
struct CapacityProvider {
  Scope scope;
  std::string name;
  std::vector<std::string> subnets;
  std::vector<std::string> security_groups;
  std::string operator_role;
  std::vector<std::string> architectures;
  std::vector<std::string> allowed_instances;
  std::vector<std::string> excluded_instances;
  int vcpus_max = 0;
  std::string scaling_mode;
  std::map<std::string, double> targets;  // metric → target of its scaling policy
  std::map<std::string, std::string> tags;
  WallTime modified{};

  std::string arn() const;
};

// A function as it is to be run: what invoke/ needs, resolved from name and qualifier.
struct Resolved {
  const Function* function = nullptr;  // valid until the next suspension point
  const Version* version = nullptr;
  std::string invoked_arn;  // with the qualifier the caller used
};

}  // namespace mayfly::functions
