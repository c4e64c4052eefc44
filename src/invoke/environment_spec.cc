#include "invoke/environment_spec.h"

#include <algorithm>
#include <array>
#include <thread>

#include "base/limits.h"
#include "invoke/environment_extensions.h"
#include "invoke/web_function.h"
#include "sandbox/image_files.h"

namespace mayfly::invoke {
namespace {

constexpr const char* wrapper_variable = "AWS_LAMBDA_EXEC_WRAPPER";

// Sorted.
constexpr std::array<std::string_view, 19> reserved{
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
};

// Of programs in an image that sets none, as container engines have it.
constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

using Variables = std::map<std::string, std::string, std::less<>>;

void put_list(Variables& into, const std::vector<std::string>& list) {
  for (const auto& entry : list) {
    auto at = entry.find('=');
    if (at != entry.npos) into[entry.substr(0, at)] = entry.substr(at + 1);
  }
}

std::string_view variable(const Variables& in, std::string_view name) {
  auto found = in.find(name);
  return found == in.end() ? std::string_view() : found->second;
}

// Set by the platform, whatever the function says.
void put_platform(Variables& into, const Runnable& runnable, const sandbox::RuntimePack& pack,
                  const RoleCredentials& credentials, std::string_view log_stream) {
  // Of an image, its own entry point says what the handler is.
  if (!runnable.image) into["_HANDLER"] = runnable.handler;
  into["AWS_REGION"] = runnable.scope.region.str();
  into["AWS_DEFAULT_REGION"] = runnable.scope.region.str();
  bool managed = pack.language != "provided";
  if (managed) into["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + runnable.runtime;
  into["AWS_LAMBDA_FUNCTION_NAME"] = runnable.name.str();
  into["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = std::to_string(runnable.memory_mb);
  into["AWS_LAMBDA_FUNCTION_VERSION"] = runnable.version;
  into["AWS_LAMBDA_INITIALIZATION_TYPE"] = runnable.initialization_type();
  if (!runnable.snap_start) {  // developer guide, "Monitoring for Lambda SnapStart"
    into["AWS_LAMBDA_LOG_GROUP_NAME"] = runnable.log_group;
    into["AWS_LAMBDA_LOG_STREAM_NAME"] = log_stream;
  }
  if (runnable.shares()) {
    into["AWS_LAMBDA_MAX_CONCURRENCY"] = std::to_string(runnable.max_concurrency);
  }
  into["AWS_LAMBDA_LOG_FORMAT"] = runnable.json_logs ? "JSON" : "Text";
  if (!runnable.application_log_level.empty()) {
    into["AWS_LAMBDA_LOG_LEVEL"] = runnable.application_log_level;
  }
  into["AWS_ACCESS_KEY_ID"] = credentials.access_key_id;
  into["AWS_SECRET_ACCESS_KEY"] = credentials.secret_access_key;
  into["AWS_SESSION_TOKEN"] = credentials.session_token;
  into["AWS_LAMBDA_RUNTIME_API"] = fmt::format("127.0.0.1:{}", runtime_api_port);
  if (runnable.image) {  // which knows better where its code lies
    into.try_emplace("LAMBDA_TASK_ROOT", "/var/task");
    into.try_emplace("LAMBDA_RUNTIME_DIR", "/var/runtime");
  } else {
    into["LAMBDA_TASK_ROOT"] = "/var/task";
    into["LAMBDA_RUNTIME_DIR"] = "/var/runtime";
  }
  if (managed && !runs_own_program(runnable)) into["_LAMBDA_TELEMETRY_LOG_FD"] = "4";
}

// Where an image that names no program has one, as those of AWS do.
constexpr std::array image_entry_points = {"/var/runtime/bootstrap", "/var/task/bootstrap",
                                           "/opt/bootstrap"};

// Wrapper scripts are the business of the image's own runtime.
std::vector<std::string> image_entry_point(const Runnable& runnable) {
  const ImageRoot& image = *runnable.image;
  std::string tree = image.dir.string();
  std::vector<std::string> argv = image.argv;
  if (argv.empty()) {
    auto found = std::ranges::find_if(
        image_entry_points, [&](std::string_view path) { return sandbox::image_has(tree, path); });
    return {found == image_entry_points.end() ? image_entry_points.back() : *found};
  }
  Variables variables;
  put_list(variables, image.env);
  auto own = runnable.environment.find("PATH");
  std::string_view path = own == runnable.environment.end() ? variable(variables, "PATH")
                                                            : std::string_view(own->second);
  argv.front() = sandbox::find_in_image(tree, argv.front(), path.empty() ? default_path : path);
  return argv;
}

// A custom runtime starts at its own program; a wrapper script goes before any of them.
std::vector<std::string> entry_point(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  if (runnable.image) return image_entry_point(runnable);
  if (pack.language != "provided" && web_server(runnable)) return {web_program(runnable)};
  std::vector<std::string> argv = pack.argv_for(runnable.memory_mb);
  if (pack.language == "provided") {
    std::error_code error;
    bool in_package = std::filesystem::exists(runnable.code_dir / "bootstrap", error);
    argv = {in_package ? "/var/task/bootstrap" : "/opt/bootstrap"};
  }
  if (is_wrapped(runnable)) argv.insert(argv.begin(), runnable.environment.at(wrapper_variable));
  return argv;
}

void put_environment(sandbox::Spec& spec, const Variables& variables) {
  for (const auto& [name, value] : variables) {
    spec.env.push_back(fmt::format("{}={}", name, value));
  }
}

}  // namespace

bool is_wrapped(const Runnable& runnable) {
  auto wrapper = runnable.environment.find(wrapper_variable);
  return wrapper != runnable.environment.end() && !wrapper->second.empty();
}

Duration init_limit(const Runnable& runnable) {
  if (!runnable.snap_start && !runnable.shares()) {
    Duration timeout = std::chrono::seconds(runnable.timeout_seconds);
    return runnable.unbound ? std::max<Duration>(limits::init_time, timeout) : limits::init_time;
  }
  return std::max<Duration>(limits::snapshot_init_time_min,
                            std::chrono::seconds(runnable.timeout_seconds));
}

bool speaks_lean(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  return pack.guest == sandbox::GuestKind::lean && !runs_own_program(runnable);
}

std::string entry_program(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  return entry_point(runnable, pack).front();
}

std::uint32_t cpu_millis(const Runnable& runnable) {
  if (runnable.cpu_millis > 0) return static_cast<std::uint32_t>(runnable.cpu_millis);
  if (runnable.unbound) return 1000 * std::max(1u, std::thread::hardware_concurrency());
  auto millis = std::int64_t{runnable.memory_mb} * 1000 / limits::memory_mb_per_vcpu;
  return static_cast<std::uint32_t>(std::max<std::int64_t>(1, millis));
}

bool is_reserved_key(std::string_view name) { return std::ranges::binary_search(reserved, name); }

bool is_reserved_variable(std::string_view name) {
  return name.starts_with('_') || is_reserved_key(name);
}

namespace {

void put_limits(sandbox::Spec& spec, const Runnable& runnable) {
  spec.limits.memory_bytes = static_cast<std::uint64_t>(runnable.memory_mb) * limits::mib;
  spec.limits.cpu_millis = std::max(init_cpu_millis, cpu_millis(runnable));
  spec.limits.processes = limits::instance_processes;
  spec.limits.files = limits::instance_fds;
  if (runnable.unbound) {
    spec.limits.processes = limits::unbound_instance_processes;
    spec.limits.files = limits::unbound_instance_fds;
  }
  spec.limits.tmp_bytes = static_cast<std::uint64_t>(runnable.tmp_mb) * limits::mib;
}

void put_function_binds(sandbox::Spec& spec, const Runnable& runnable) {
  if (runnable.image) {
    spec.binds = {{runnable.image->dir.string(), std::string(sandbox::root_target)}};
    spec.cwd = runnable.image->working_dir;
  } else {
    spec.binds.push_back({runnable.code_dir.string(), "/var/task"});
    if (!runnable.layers_dir.empty()) spec.binds.push_back({runnable.layers_dir.string(), "/opt"});
  }
  for (const auto& [folder, path] : runnable.mounts) {
    spec.binds.push_back({.source = folder.string(), .target = path, .writable = true});
  }
}

constexpr std::uint64_t generic_template_bytes = 512 * limits::mib;

}  // namespace

sandbox::Spec environment_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                               const RoleCredentials& credentials, std::string_view log_stream,
                               InstanceId id) {
  sandbox::Spec spec;
  spec.id = std::move(id);
  spec.binds = pack.binds;
  put_function_binds(spec, runnable);
  spec.argv = entry_point(runnable, pack);

  Variables variables;
  variables["TZ"] = ":UTC";
  variables["AWS_ENDPOINT_URL"] = fmt::format("http://127.0.0.1:{}", endpoint_port);
  if (runnable.image) {
    variables["PATH"] = default_path;
    put_list(variables, runnable.image->env);
  } else {
    variables["LANG"] = "en_US.UTF-8";
    put_list(variables, pack.env);
  }
  for (const auto& [name, value] : runnable.environment) {
    if (!is_reserved_variable(name)) variables[name] = value;
  }
  put_platform(variables, runnable, pack, credentials, log_stream);
  put_environment(spec, variables);

  put_limits(spec, runnable);
  spec.listen_ports = {endpoint_port, runtime_api_port};
  spec.channel = speaks_lean(runnable, pack);
  spec.framed_log = pack.language != "provided" && !runs_own_program(runnable);
  put_companions(spec, runnable);
  if (web_server(runnable)) spec.sockets += guest::web_sockets(runnable.shares());
  return spec;
}

sandbox::Spec template_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                            const RoleCredentials& credentials, std::string_view log_stream,
                            InstanceId id) {
  auto spec = environment_spec(runnable, pack, credentials, log_stream, std::move(id));
  spec.argv = pack.argv_for(runnable.memory_mb);
  spec.env.push_back("MAYFLY_TEMPLATE=function");
  spec.parking = sandbox::Parking::forkable;
  spec.sockets = 0;
  return spec;
}

namespace {

// What a guest without a function starts with.
Variables generic_variables(const sandbox::RuntimePack& pack) {
  Variables out;
  out["TZ"] = ":UTC";
  out["LANG"] = "en_US.UTF-8";
  out["LAMBDA_TASK_ROOT"] = "/var/task";
  out["_LAMBDA_TELEMETRY_LOG_FD"] = "4";
  put_list(out, pack.env);
  out["MAYFLY_TEMPLATE"] = "generic";
  return out;
}

}  // namespace

sandbox::Spec generic_template_spec(const sandbox::RuntimePack& pack, int memory_mb,
                                    InstanceId id) {
  sandbox::Spec spec;
  spec.id = std::move(id);
  spec.binds = pack.binds;
  spec.argv = pack.argv_for(memory_mb);
  put_environment(spec, generic_variables(pack));
  spec.limits.memory_bytes = generic_template_bytes;
  spec.limits.processes = limits::instance_processes;
  spec.limits.files = limits::instance_fds;
  spec.channel = spec.framed_log = true;
  spec.parking = sandbox::Parking::forkable;
  return spec;
}

sandbox::Spec booted_guest_spec(const sandbox::RuntimePack& pack, int memory_mb, InstanceId id) {
  auto spec = generic_template_spec(pack, memory_mb, std::move(id));
  spec.limits.memory_bytes = static_cast<std::uint64_t>(memory_mb) * limits::mib;
  spec.listen_ports = {endpoint_port, runtime_api_port};
  spec.sockets = 1;
  spec.parking = sandbox::Parking::specialisable;
  return spec;
}

sandbox::Spec specialised_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                               const RoleCredentials& credentials, std::string_view log_stream) {
  return forked_spec(TemplateKind::generic, runnable, pack, credentials, log_stream, {});
}

sandbox::Spec forked_spec(TemplateKind kind, const Runnable& runnable,
                          const sandbox::RuntimePack& pack, const RoleCredentials& credentials,
                          std::string_view log_stream, InstanceId id) {
  if (kind == TemplateKind::generic) {
    auto spec = environment_spec(runnable, pack, credentials, log_stream, std::move(id));
    spec.binds.clear();
    put_function_binds(spec, runnable);
    spec.argv.clear();
    return spec;
  }
  sandbox::Spec spec;
  spec.id = std::move(id);
  spec.env = {"AWS_ACCESS_KEY_ID=" + credentials.access_key_id,
              "AWS_SECRET_ACCESS_KEY=" + credentials.secret_access_key,
              "AWS_SESSION_TOKEN=" + credentials.session_token, "LAMBDA_TASK_ROOT=/var/task"};
  if (!runnable.snap_start) {
    spec.env.push_back("AWS_LAMBDA_LOG_STREAM_NAME=" + std::string(log_stream));
  }
  put_limits(spec, runnable);
  spec.listen_ports = {endpoint_port};
  spec.channel = spec.framed_log = true;
  return spec;
}

namespace {

std::string opted_out(const Runnable& runnable) {
  auto find = [&](std::string_view name) {
    auto found = runnable.environment.find(std::string(name));
    return found == runnable.environment.end() ? std::string_view() : found->second;
  };
  if (find("MAYFLY_FORK") == "off") return "MAYFLY_FORK=off";
  if (is_wrapped(runnable)) return "a wrapper script starts it";
  if (runs_own_program(runnable)) return "it is a web server";
  return {};
}

// They start before the runtime, and are no part of it that could be copied.
std::string has_external(const Runnable& runnable) {
  return runnable.extensions.empty() ? "" : "it has external extensions";
}

// Variables that the loader, the C library and the JVM read at their start and no more.
constexpr std::array<std::string_view, 8> read_at_start{
    "CLASSPATH", "GLIBC_TUNABLES", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
    "LANG",      "LANGUAGE",       "LOCPATH",           "TZ"};
constexpr std::array<std::string_view, 3> read_at_start_prefixes{"LC_", "LD_", "MALLOC_"};

bool is_read_at_start(std::string_view name) {
  return std::ranges::find(read_at_start, name) != read_at_start.end() ||
         std::ranges::any_of(read_at_start_prefixes,
                             [&](auto prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::string forking_refused(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  if (!pack.forks) return "the runtime cannot be forked";
  // Its processes are initialised one by one, so that they have no connection in common.
  if (runnable.shares() && pack.language == "python") return "it runs several processes";
  if (auto reason = opted_out(runnable); !reason.empty()) return reason;
  return has_external(runnable);
}

std::string specialising_refused(const Runnable& runnable, const sandbox::RuntimePack& pack) {
  if (!pack.specialises) return "the runtime cannot boot without a function";
  if (auto reason = opted_out(runnable); !reason.empty()) return reason;
  // Of files and processes a guest may have as many as it was booted with.
  if (runnable.unbound) return "it is unbound";
  if (auto reason = has_external(runnable); !reason.empty()) return reason;
  std::optional<Variables> boot;
  for (const auto& [name, value] : runnable.environment) {
    if (!is_read_at_start(name)) continue;
    if (!boot) boot = generic_variables(pack);
    auto found = boot->find(name);
    if (found == boot->end() || found->second != value) return "it sets " + name;
  }
  return {};
}

}  // namespace mayfly::invoke
