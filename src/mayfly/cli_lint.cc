// mayfly lint: what would break in the cloud, of a project's folder, a zip, a template, or a
// function of the server.
#include <filesystem>

#include "mayfly/cli_package.h"
#include "mayfly/cli_project.h"
#include "mayfly/cli_verbs.h"
#include "mayfly/lint.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;
using wire::Json;

constexpr std::string_view template_names[] = {"template.yaml", "template.yml", "template.json",
                                               "sam.yaml", "sam.json"};

Result<> look_into(std::string_view zip, lint::Function& function) {
  TRY_ASSIGN(auto files, lint::files_of_zip(zip));
  function.zip_bytes = zip.size();
  function.unzipped_bytes = 0;
  for (const auto& [name, file] : files) *function.unzipped_bytes += file.bytes;
  function.files = std::move(files);
  return {};
}

Result<lint::Function> of_project(const fs::path& folder) {
  TRY_ASSIGN(const auto project, load_project(folder));
  lint::Function out{.name = project.name,
                     .where = folder.string(),
                     .runtime = project.runtime,
                     .handler = project.handler};
  if (project.timeout_seconds > 0) out.timeout_seconds = project.timeout_seconds;
  if (project.memory_mb > 0) out.memory_mb = project.memory_mb;
  out.environment = project.environment;
  // What a build has still to make is not complained of.
  fs::path packed = folder / project.package_dir;
  if (!project.build.empty() && !fs::exists(packed)) return out;
  TRY_ASSIGN(auto package, make_package(packed, PackageSize::any));
  TRY(look_into(package.zip, out));
  return out;
}

// A folder that a template's CodeUri names, beside the template.
Result<std::vector<lint::Function>> of_template(const fs::path& path,
                                                std::vector<lint::Resource>& others) {
  TRY_ASSIGN(const auto text, read_file(path));
  TRY_ASSIGN(others, lint::resources_of_template(text, path.string()));
  return lint::functions_of_template(text, path.string());
}

Result<std::vector<lint::Function>> of_path(const fs::path& path,
                                            std::vector<lint::Resource>& others) {
  if (!fs::is_directory(path)) {
    auto ending = path.extension();
    if (ending == ".json" || ending == ".yaml" || ending == ".yml")
      return of_template(path, others);
    lint::Function out{.name = path.stem().string(), .where = path.string()};
    TRY_ASSIGN(const auto zip, read_file(path));
    TRY(look_into(zip, out));
    return std::vector<lint::Function>{std::move(out)};
  }
  if (!fs::exists(path / "mayfly.json")) {
    for (std::string_view name : template_names) {
      if (fs::exists(path / name)) return of_template(path / name, others);
    }
  }
  TRY_ASSIGN(auto one, of_project(path));
  return std::vector<lint::Function>{std::move(one)};
}

std::string_view text_at(const Json& of, std::initializer_list<std::string_view> path) {
  const Json* found = of.at(path);
  return found == nullptr ? std::string_view() : found->string_value();
}

// What of the two grants of the cloud a public URL of the function has; none where it has no such
// URL.
Result<std::vector<std::string>> url_grants(Client& client, const std::string& name) {
  std::vector<std::string> out;
  auto escaped = wire::percent_encode(name);
  auto url = client.json({.path = fmt::format("/2021-10-31/functions/{}/url", escaped)});
  if (!url && url.error().kind != ErrorKind::not_found) return std::unexpected(url.error());
  if (!url || url->string_or("AuthType") != "NONE") return out;
  auto held = client.json({.path = fmt::format("/2015-03-31/functions/{}/policy", escaped)});
  if (!held && held.error().kind == ErrorKind::not_found) return out;
  if (!held) return std::unexpected(held.error());
  TRY_ASSIGN(const auto policy, wire::parse_json(held->string_or("Policy")));
  const auto* statements = policy.find("Statement");
  if (statements == nullptr || !statements->is_array()) return out;
  for (const auto& one : *statements->as<wire::JsonArray>()) {
    if (one.string_or("Effect") != "Allow" || one.string_or("Principal") != "*") continue;
    out.emplace_back(one.string_or("Action"));
  }
  return out;
}

Result<lint::Function> of_server(Client& client, const std::string& name) {
  TRY_ASSIGN(
      const auto all,
      client.json({.path = fmt::format("/2015-03-31/functions/{}", wire::percent_encode(name))}));
  const Json* config = all.find("Configuration");
  if (config == nullptr) return fail(ErrorKind::corrupt, "the server described no function");
  lint::Function out{.name = std::string(config->string_or("FunctionName")),
                     .where = client.settings().endpoint,
                     .runtime = std::string(config->string_or("Runtime")),
                     .handler = std::string(config->string_or("Handler"))};
  out.timeout_seconds = config->int_or("Timeout", 3);
  out.memory_mb = config->int_or("MemorySize", 128);
  out.description = config->string_or("Description");
  if (const auto* storage = config->find("EphemeralStorage")) {
    out.tmp_mb = storage->int_or("Size", 512);
  }
  if (const auto* variables = config->at({"Environment", "Variables"});
      variables && variables->is_object()) {
    for (const auto& [key, value] : *variables->as<wire::JsonObject>()) {
      out.environment[key] = value.string_value();
    }
  }
  if (const auto* given = config->find("Architectures"); given && given->is_array()) {
    for (const auto& one : *given->as<wire::JsonArray>()) {
      out.architectures.emplace_back(one.string_value());
    }
  }
  out.layers = 0;
  if (const auto* layers = config->find("Layers"); layers && layers->is_array()) {
    out.layers = layers->as<wire::JsonArray>()->size();
  }
  out.snap_start = text_at(*config, {"SnapStart", "ApplyOn"}) == "PublishedVersions";
  if (const auto* tags = all.find("Tags"); tags && tags->is_object()) {
    for (const auto& [key, value] : *tags->as<wire::JsonObject>()) {
      out.tags[key] = value.string_value();
    }
  }
  TRY_ASSIGN(out.url_grants, url_grants(client, name));
  std::string link(text_at(all, {"Code", "Location"}));
  auto path = link.find('/', link.find("://") + 3);
  if (path != std::string::npos) {
    auto question = link.find('?', path);
    Request request{.path = link.substr(path, question - path)};
    if (question != std::string::npos) {
      TRY_ASSIGN(request.query, wire::parse_query(link.substr(question + 1)));
    }
    TRY_ASSIGN(const auto code, client.call(request));
    TRY(look_into(code.body, out));
  }
  return out;
}

void show(const std::vector<lint::Finding>& findings, std::size_t functions) {
  for (const auto& each : findings) {
    print(fmt::format("{} {} {}: {}\n  {}\n",
                      each.level == lint::Level::breaks ? "BREAKS " : "differs", each.function,
                      each.rule, each.message, each.where));
  }
  print(fmt::format("{} functions, {} findings\n", functions, findings.size()));
}

void show_json(const std::vector<lint::Finding>& findings, std::size_t functions) {
  Json out;
  out["functions"] = functions;
  out["findings"] = wire::JsonArray();
  for (const auto& each : findings) {
    Json one;
    one["rule"] = each.rule;
    one["level"] = each.level == lint::Level::breaks ? "breaks" : "differs";
    one["function"] = each.function;
    one["where"] = each.where;
    one["message"] = each.message;
    out["findings"].push_back(std::move(one));
  }
  print(out.dump_pretty() + "\n");
}

}  // namespace

Result<int> lint(Client& client, const std::string& what) {
  std::vector<lint::Function> functions;
  std::vector<lint::Resource> others;
  if (fs::exists(what)) {
    TRY_ASSIGN(functions, of_path(what, others));
  } else {
    TRY_ASSIGN(auto one, of_server(client, what));
    functions.push_back(std::move(one));
  }
  auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  std::vector<lint::Finding> findings;
  for (const auto& function : functions) {
    auto found = lint::check(function, today);
    findings.insert(findings.end(), found.begin(), found.end());
  }
  for (const auto& other : others) {
    auto found = lint::check(other);
    findings.insert(findings.end(), found.begin(), found.end());
  }
  if (client.settings().json) {
    show_json(findings, functions.size());
  } else {
    show(findings, functions.size());
  }
  return findings.empty() ? 0 : 1;
}

}  // namespace mayfly::cli
