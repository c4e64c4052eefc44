#include "mayfly/cli_project.h"

#include "mayfly/cli_package.h"
#include "wire/json.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

// Runtime and handler by the file that gives the language away, most telling first.
struct Sign {
  const char* file;
  const char* runtime;
  const char* handler;
};
constexpr Sign signs[] = {
    {"bootstrap", "provided.al2023", "bootstrap"},
    {"index.mjs", "nodejs20.x", "index.handler"},
    {"index.js", "nodejs20.x", "index.handler"},
    {"index.cjs", "nodejs20.x", "index.handler"},
    {"lambda_function.py", "python3.11", "lambda_function.lambda_handler"},
    {"app.py", "python3.11", "app.handler"},
    {"handler.py", "python3.11", "handler.handler"},
    {"lambda_function.rb", "ruby3.2", "lambda_function.lambda_handler"},
    {"function.rb", "ruby3.2", "function.handler"},
};

// Function names: letters, digits, '-' and '_', at most 64.
std::string name_from(const fs::path& folder) {
  auto name = fs::weakly_canonical(folder).filename().string();
  for (auto& c : name) {
    const bool fine = std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
    if (!fine) c = '-';
  }
  return name.substr(0, 64);
}

Result<> read_settings(const fs::path& file, Project& project) {
  TRY_ASSIGN(const auto text, read_file(file));
  auto json = wire::parse_json(text);
  if (!json || !json->is_object()) {
    return fail(ErrorKind::invalid,
                fmt::format("{}: {}", file.string(),
                            json ? std::string("not a JSON object") : json.error().message));
  }
  project.name = json->string_or("name", project.name);
  project.runtime = json->string_or("runtime");
  project.handler = json->string_or("handler");
  project.memory_mb = static_cast<int>(json->int_or("memory", 0));
  project.timeout_seconds = static_cast<int>(json->int_or("timeout", 0));
  project.role = json->string_or("role");
  project.build = json->string_or("build");
  project.package_dir = json->string_or("package");
  project.streams = json->bool_or("stream", false);
  if (const auto* env = json->find("environment"); env && env->is_object()) {
    for (const auto& [key, value] : *env->as<wire::JsonObject>()) {
      project.environment[key] = value.string_value();
    }
  }
  return {};
}

}  // namespace

Result<Project> load_project(const fs::path& folder) {
  Project project;
  project.name = name_from(folder);
  if (fs::exists(folder / "mayfly.json")) TRY(read_settings(folder / "mayfly.json", project));
  for (const auto& sign : signs) {
    if (!fs::exists(folder / sign.file)) continue;
    if (project.runtime.empty()) project.runtime = sign.runtime;
    if (project.handler.empty()) project.handler = sign.handler;
    break;
  }
  return project;
}

}  // namespace mayfly::cli
