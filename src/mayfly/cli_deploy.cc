#include <cstdlib>
#include <thread>

#include "mayfly/cli_package.h"
#include "mayfly/cli_project.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;
using wire::Json;

constexpr auto ready_time = std::chrono::seconds(120);
constexpr std::string_view functions_path = "/2015-03-31/functions";

std::string function_path(const std::string& name) {
  return fmt::format("{}/{}", functions_path, wire::percent_encode(name));
}

// One line on a terminal that says what happens now, gone when the next one comes.
class Progress {
 public:
  explicit Progress(const Client& client)
      : shown_(client.settings().progress && !client.settings().json) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void step(std::string_view text) {
    if (shown_) print_error(fmt::format("\r\033[K{} …", text));
  }
  void clear() {
    if (shown_) print_error("\r\033[K");
  }

 private:
  bool shown_;
};

Result<std::string> load_package(const fs::path& folder, const Project& project,
                                 Progress& progress) {
  if (!fs::is_directory(folder)) return read_file(folder);
  if (!project.build.empty()) {
    progress.step("building: " + project.build);
    // The project's own command, as a makefile is; its output belongs to the terminal.
    const auto command =
        fmt::format("cd '{}' && {{ {}\n}} >&2", fs::absolute(folder).string(), project.build);
    if (std::system(command.c_str()) != 0) {
      return fail(ErrorKind::invalid, fmt::format("the build command failed: {}", project.build));
    }
  }
  progress.step("packing");
  TRY_ASSIGN(auto package, make_package(folder / project.package_dir));
  return std::move(package.zip);
}

Result<Project> merge(DeployOptions& options) {
  const fs::path folder(options.folder);
  if (!fs::exists(folder)) {
    return fail(ErrorKind::not_found, fmt::format("{} does not exist", options.folder));
  }
  Project project;
  if (fs::is_directory(folder)) {
    TRY_ASSIGN(project, load_project(folder));
  } else {
    project.name = folder.stem().string();
  }
  if (!options.name.empty()) project.name = options.name;
  if (!options.runtime.empty()) project.runtime = options.runtime;
  if (!options.handler.empty()) project.handler = options.handler;
  if (options.memory_mb > 0) project.memory_mb = options.memory_mb;
  if (options.timeout_seconds > 0) project.timeout_seconds = options.timeout_seconds;
  if (!options.role.empty()) project.role = options.role;
  for (const auto& pair : options.environment) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorKind::invalid, fmt::format("--env {}: write KEY=value", pair));
    }
    project.environment[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return project;
}

Json configuration(const Project& project) {
  Json body;
  if (!project.handler.empty()) body["Handler"] = project.handler;
  if (!project.runtime.empty()) body["Runtime"] = project.runtime;
  if (!project.role.empty()) body["Role"] = project.role;
  if (project.memory_mb > 0) body["MemorySize"] = project.memory_mb;
  if (project.timeout_seconds > 0) body["Timeout"] = project.timeout_seconds;
  if (!project.environment.empty()) {
    Json variables;
    for (const auto& [key, value] : project.environment) variables[key] = value;
    body["Environment"]["Variables"] = std::move(variables);
  }
  return body;
}

// Waits until the function can be invoked, as the waiters of the SDKs do.
Result<Json> await_ready(Client& client, const std::string& name) {
  const auto until = std::chrono::steady_clock::now() + ready_time;
  auto pause = std::chrono::milliseconds(10);
  while (true) {
    TRY_ASSIGN(auto now, client.json({.path = function_path(name) + "/configuration"}));
    const auto state = now.string_or("State", "Active");
    const auto update = now.string_or("LastUpdateStatus", "Successful");
    if (state == "Failed") {
      return fail(ErrorKind::invalid, fmt::format("{} cannot start: {}", name,
                                                  now.string_or("StateReason", "no reason given")));
    }
    if (update == "Failed") {
      return fail(ErrorKind::invalid,
                  fmt::format("the update failed: {}", now.string_or("LastUpdateStatusReason")));
    }
    if (state != "Pending" && update == "Successful") return now;
    if (std::chrono::steady_clock::now() > until) {
      return fail(ErrorKind::timeout,
                  fmt::format("{} is still {} after {} s", name, state, ready_time.count()));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(500));
  }
}

Result<> make_function(Client& client, Project project, const std::string& zip) {
  if (project.runtime.empty()) {
    return fail(ErrorKind::invalid,
                "cannot tell the runtime: name it with --runtime, or write "
                "it into mayfly.json (mayfly new shows how)");
  }
  if (project.role.empty()) {
    TRY_ASSIGN(const auto account, client.account());
    project.role = fmt::format("arn:aws:iam::{}:role/mayfly-function", account);
  }
  auto body = configuration(project);
  body["FunctionName"] = project.name;
  body["Code"]["ZipFile"] = wire::base64_encode(zip);
  TRY(client.json({.method = "POST", .path = std::string(functions_path)}, &body));
  return {};
}

Result<> update_function(Client& client, const Project& project, const std::string& zip) {
  Json code;
  code["ZipFile"] = wire::base64_encode(zip);
  TRY(client.json({.method = "PUT", .path = function_path(project.name) + "/code"}, &code));
  TRY(await_ready(client, project.name));
  const auto body = configuration(project);
  if (!body.is_object()) return {};
  TRY(client.json({.method = "PUT", .path = function_path(project.name) + "/configuration"},
                  &body));
  return {};
}

// Which may be there already.
Result<> grant(Client& client, const std::string& name, const Json& permission) {
  const auto granted =
      client.json({.method = "POST", .path = function_path(name) + "/policy"}, &permission);
  if (granted || granted.error().kind == ErrorKind::conflict) return {};
  return std::unexpected(granted.error());
}

// A public address for the function, with both grants that the cloud wants of one; asked for again,
// it stays the same.
Result<std::string> ensure_url(Client& client, const std::string& name, bool streams) {
  const auto path = fmt::format("/2021-10-31/functions/{}/url", wire::percent_encode(name));
  auto found = client.json({.path = path});
  if (!found && found.error().kind == ErrorKind::not_found) {
    Json body;
    body["AuthType"] = "NONE";
    if (streams) body["InvokeMode"] = "RESPONSE_STREAM";
    found = client.json({.method = "POST", .path = path}, &body);
  } else if (found && streams && found->string_or("InvokeMode") != "RESPONSE_STREAM") {
    Json body;
    body["InvokeMode"] = "RESPONSE_STREAM";
    found = client.json({.method = "PUT", .path = path}, &body);
  }
  if (!found) return std::unexpected(found.error());
  Json call;
  call["StatementId"] = "FunctionURLAllowPublicAccess";
  call["Action"] = "lambda:InvokeFunctionUrl";
  call["Principal"] = "*";
  call["FunctionUrlAuthType"] = "NONE";
  TRY(grant(client, name, call));
  Json invoke;
  invoke["StatementId"] = "FunctionURLInvokeAllowPublicAccess";
  invoke["Action"] = "lambda:InvokeFunction";
  invoke["Principal"] = "*";
  invoke["InvokedViaFunctionUrl"] = true;
  TRY(grant(client, name, invoke));
  return std::string(found->string_or("FunctionUrl"));
}

void show(const Client& client, const Json& ready, bool created, const std::string& url,
          std::size_t zip_bytes) {
  if (client.settings().json) {
    Json out = ready;
    out["Created"] = created;
    if (!url.empty()) out["FunctionUrl"] = url;
    print(out.dump_pretty() + "\n");
    return;
  }
  const auto name = ready.string_or("FunctionName");
  print(fmt::format("{} {} ({}, {} MB, {:.1f} KiB)\n", created ? "created" : "updated", name,
                    ready.string_or("Runtime", "custom"), ready.int_or("MemorySize", 128),
                    static_cast<double>(zip_bytes) / 1024));
  print(fmt::format("  arn     {}\n", ready.string_or("FunctionArn")));
  if (const auto* note = ready.at({"RuntimeVersionConfig", "Error", "Message"})) {
    print(fmt::format("  note    {}\n", note->string_value()));
  }
  if (!url.empty()) print(fmt::format("  url     {}\n", url));
  print(fmt::format("  invoke  mayfly invoke {}\n  logs    mayfly logs {} -f\n", name, name));
}

}  // namespace

Result<int> deploy(Client& client, DeployOptions options) {
  Progress progress(client);
  TRY_ASSIGN(auto project, merge(options));
  TRY_ASSIGN(const auto zip, load_package(options.folder, project, progress));
  const auto found = client.call({.path = function_path(project.name)});
  if (!found && found.error().kind != ErrorKind::not_found) {
    return std::unexpected(found.error());
  }
  const bool created = !found;
  progress.step(fmt::format("{} {}", created ? "creating" : "updating", project.name));
  if (created) {
    TRY(make_function(client, project, zip));
  } else {
    TRY(update_function(client, project, zip));
  }
  progress.step("waiting until it is active");
  TRY_ASSIGN(const auto ready, await_ready(client, project.name));
  std::string url;
  if (options.url) {
    TRY_ASSIGN(url, ensure_url(client, project.name, project.streams));
  }
  progress.clear();
  show(client, ready, created, url, zip.size());
  return 0;
}

}  // namespace mayfly::cli
