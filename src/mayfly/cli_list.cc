#include <cstdio>

#include "mayfly/cli_project.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {

using wire::Json;

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_error(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], wire::utf8_length(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - wire::utf8_length(row[i]) + 2, ' ');
    }
    out += std::string(line.substr(0, line.find_last_not_of(' ') + 1)) + "\n";
  }
  return out;
}

Result<int> list(Client& client, bool names_only) {
  wire::JsonArray functions;
  Request request{.path = "/2015-03-31/functions"};
  while (true) {
    TRY_ASSIGN(const auto page, client.json(request));
    if (const auto* found = page.find("Functions"); found && found->is_array()) {
      const auto& items = *found->as<wire::JsonArray>();
      functions.insert(functions.end(), items.begin(), items.end());
    }
    const auto next = page.string_or("NextMarker");
    if (next.empty()) break;
    request.query = {{"Marker", std::string(next)}};
  }
  if (client.settings().json) {
    print(Json(std::move(functions)).dump_pretty() + "\n");
    return 0;
  }
  if (names_only) {
    for (const auto& each : functions) print(fmt::format("{}\n", each.string_or("FunctionName")));
    return 0;
  }
  if (functions.empty()) {
    print_error("no functions yet; make one: mayfly new hello && mayfly deploy hello\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows{
      {"NAME", "RUNTIME", "MEMORY", "TIMEOUT", "CODE", "MODIFIED"}};
  for (const auto& each : functions) {
    rows.push_back({std::string(each.string_or("FunctionName")),
                    std::string(each.string_or("Runtime", "-")),
                    fmt::format("{} MB", each.int_or("MemorySize", 0)),
                    fmt::format("{} s", each.int_or("Timeout", 0)),
                    fmt::format("{:.1f} KiB", each.number_or("CodeSize", 0) / 1024),
                    std::string(each.string_or("LastModified").substr(0, 19))});
  }
  print(table(rows));
  return 0;
}

Result<int> remove(Client& client, const std::vector<std::string>& names) {
  wire::JsonArray removed;
  for (const auto& name : names) {
    auto done = client.call(
        {.method = "DELETE", .path = "/2015-03-31/functions/" + wire::percent_encode(name)});
    if (!done && done.error().kind == ErrorKind::not_found) {
      done.error().message += "; `mayfly ls` shows what is deployed";
    }
    if (!done) return std::unexpected(done.error());
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

Result<int> create(const std::string& folder, const std::string& language, bool json) {
  TRY_ASSIGN(const auto files, create_project(folder, language));
  if (json) {
    wire::JsonArray names(files.begin(), files.end());
    Json out;
    out["Files"] = std::move(names);
    print(out.dump_pretty() + "\n");
    return 0;
  }
  for (const auto& file : files) print(fmt::format("wrote {}\n", file));
  print(fmt::format("next: mayfly deploy {} --url\n", folder));
  return 0;
}

}  // namespace mayfly::cli
