#include "invoke/web_function.h"

#include <algorithm>

#include "invoke/environment_extensions.h"
#include "sandbox/image_files.h"

namespace mayfly::invoke {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view wrapper_variable = "AWS_LAMBDA_EXEC_WRAPPER";
constexpr std::string_view adapter_wrapper = "/opt/bootstrap";
constexpr std::string_view adapter_extension = "lambda-adapter";
constexpr std::string_view settings_prefix = "AWS_LWA_";

using Variables = std::map<std::string, std::string, std::less<>>;

// Those of the image, and over them the function's.
Variables variables_of(const Runnable& runnable) {
  Variables out;
  if (runnable.image) {
    for (const auto& entry : runnable.image->env) {
      auto at = entry.find('=');
      if (at != entry.npos) out[entry.substr(0, at)] = entry.substr(at + 1);
    }
  }
  for (const auto& [name, value] : runnable.environment) out[name] = value;
  return out;
}

// Of most functions this is all that is looked at.
bool may_ask(const Runnable& runnable) {
  auto setting = runnable.environment.lower_bound(std::string(settings_prefix));
  return runnable.web_adapter || runnable.image ||
         runnable.environment.contains(std::string(wrapper_variable)) ||
         (setting != runnable.environment.end() && setting->first.starts_with(settings_prefix));
}

bool wraps(const Variables& variables) {
  auto found = variables.find(wrapper_variable);
  return found != variables.end() && found->second == adapter_wrapper;
}

bool is_custom(const Runnable& runnable) { return runnable.runtime.starts_with("provided"); }

// A plain file of the package, with no way out of it.
bool names_file(const Runnable& runnable) {
  return sandbox::image_has_program(runnable.code_dir.string(), runnable.handler) ||
         (runnable.handler.ends_with(".sh") &&
          sandbox::image_has(runnable.code_dir.string(), runnable.handler));
}

bool brings_adapter(const Runnable& runnable) {
  return std::ranges::find(runnable.extensions, adapter_extension) != runnable.extensions.end();
}

// By the variables alone, which costs nothing where there are none.
bool is_asked_for(const Runnable& runnable, const Variables& variables) {
  auto setting = variables.lower_bound(settings_prefix);
  return runnable.web_adapter || wraps(variables) ||
         (setting != variables.end() && setting->first.starts_with(settings_prefix));
}

bool lacks_wrapper(const Runnable& runnable) {
  std::error_code error;
  return runnable.layers_dir.empty() || !fs::exists(runnable.layers_dir / "bootstrap", error);
}

bool starts_a_program(const Runnable& runnable, const Variables& variables) {
  if (runnable.image || is_custom(runnable)) return true;
  return wraps(variables) ? lacks_wrapper(runnable) : names_file(runnable);
}

}  // namespace

std::optional<Result<guest::WebServer>> web_server(const Runnable& runnable) {
  if (!may_ask(runnable)) return std::nullopt;
  Variables variables = variables_of(runnable);
  if (!is_asked_for(runnable, variables) || brings_adapter(runnable) ||
      !starts_a_program(runnable, variables)) {
    return std::nullopt;
  }
  auto server = guest::read_web_settings(variables);
  if (server) {
    server->function_name = runnable.name.str();
    server->function_version = runnable.version;
    server->log_group = runnable.log_group;
    server->memory_mb = runnable.memory_mb;
  }
  return server;
}

std::string web_program(const Runnable& runnable) { return "/var/task/" + runnable.handler; }

bool runs_own_program(const Runnable& runnable) {
  if (!may_ask(runnable)) return false;
  Variables variables = variables_of(runnable);
  if (!is_asked_for(runnable, variables)) return false;
  return brings_adapter(runnable) ? wraps(variables) : starts_a_program(runnable, variables);
}

}  // namespace mayfly::invoke
