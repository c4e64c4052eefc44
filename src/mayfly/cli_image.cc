#include <filesystem>

#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

using wire::Json;

constexpr const char* images_path = "/_mayfly/images";

std::string names_of(const Json& image) {
  std::string out;
  const auto* names = image.find("names");
  if (!names || !names->is_array()) return "-";
  for (const auto& name : *names->as<wire::JsonArray>()) {
    out += (out.empty() ? "" : " ") + std::string(name.string_value());
  }
  return out.empty() ? "-" : out;
}

// "sha256:" and as much as people compare.
std::string short_digest(const Json& image) {
  return std::string(image.string_or("digest")).substr(0, 19);
}

std::string size_of(const Json& image) {
  return fmt::format("{:.1f} MiB", image.number_or("bytes", 0) / (1024.0 * 1024.0));
}

}  // namespace

Result<int> image_import(Client& client, const std::string& source, const std::string& name) {
  std::error_code error;
  auto path = std::filesystem::absolute(source, error);
  if (error) return fail_errno(source, error.value());
  Json body;
  body["path"] = path.lexically_normal().string();
  if (!name.empty()) body["name"] = name;
  TRY_ASSIGN(const auto image, client.json({.method = "POST", .path = images_path}, &body));
  if (client.settings().json) {
    print(image.dump_pretty() + "\n");
    return 0;
  }
  print(
      fmt::format("imported {} ({}, {})\n", names_of(image), short_digest(image), size_of(image)));
  return 0;
}

Result<int> image_list(Client& client) {
  TRY_ASSIGN(const auto answer, client.json({.path = images_path}));
  const auto* images = answer.find("images");
  if (!images || !images->is_array()) {
    return fail(ErrorKind::corrupt, "the server's answer lists no images");
  }
  if (client.settings().json) {
    print(images->dump_pretty() + "\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "DIGEST", "SIZE", "IMPORTED"}};
  for (const auto& image : *images->as<wire::JsonArray>()) {
    rows.push_back({names_of(image), short_digest(image), size_of(image),
                    std::string(image.string_or("imported").substr(0, 19))});
  }
  if (rows.size() == 1) {
    print_error("no images yet; bring one in: mayfly image import FILE-OR-DIR NAME:TAG\n");
    return 0;
  }
  print(table(rows));
  return 0;
}

Result<int> image_remove(Client& client, const std::vector<std::string>& names) {
  wire::JsonArray removed;
  for (const auto& name : names) {
    TRY(client.call({.method = "DELETE", .path = images_path, .query = {{"name", name}}}));
    removed.emplace_back(name);
    if (!client.settings().json) print(fmt::format("removed {}\n", name));
  }
  if (client.settings().json) {
    Json out;
    out["Removed"] = std::move(removed);
    print(out.dump_pretty() + "\n");
  }
  return 0;
}

}  // namespace mayfly::cli
