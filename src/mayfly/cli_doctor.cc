#include <cstdlib>
#include <filesystem>

#include "base/version.h"
#include "mayfly/cli_verbs.h"
#include "sandbox/runtimes.h"
#include "sandbox/sandbox.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;
using wire::Json;

enum class Verdict { fine, weaker, broken };

struct Finding {
  std::string group;
  std::string name;
  Verdict verdict = Verdict::fine;
  std::string detail;
};

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::fine: return "ok";
    case Verdict::weaker: return "weak";
    case Verdict::broken: return "broken";
  }
  return "";
}

void find_isolation(std::vector<Finding>& findings) {
  for (auto& each : sandbox::probe_capabilities()) {
    auto otherwise = each.needed ? Verdict::broken : Verdict::weaker;
    findings.push_back(
        {"isolation", each.name, each.enforced ? Verdict::fine : otherwise, each.how});
  }
}

// Beside the program, where the server looks too.
std::string packs_dir(const DoctorOptions& options) {
  if (!options.packs_dir.empty()) return options.packs_dir;
  std::error_code error;
  return (fs::read_symlink("/proc/self/exe", error).parent_path() / "runtimes").string();
}

void find_runtimes(const DoctorOptions& options, std::vector<Finding>& findings) {
  // What discovery lays out goes into a folder that lives as long as this call: looking at a
  // machine leaves nothing on it.
  std::string scratch = (fs::temp_directory_path() / "mayfly-doctor-XXXXXX").string();
  if (!mkdtemp(scratch.data())) {
    findings.push_back({"runtimes", "none", Verdict::broken, "cannot write below " + scratch});
    return;
  }
  const auto catalog = sandbox::RuntimeCatalog::discover(packs_dir(options), scratch);
  std::error_code error;
  fs::remove_all(scratch, error);
  for (const auto& pack : catalog.packs()) {
    findings.push_back({"runtimes", pack.name, Verdict::fine,
                        fmt::format("{} {}", pack.interpreter, pack.version)});
  }
  if (catalog.packs().empty()) {
    findings.push_back({"runtimes", "none", Verdict::broken,
                        "no interpreter found: apt-get install nodejs python3"});
  }
}

void find_server(const Settings& settings, std::vector<Finding>& findings) {
  Client client(settings);
  const auto reply = client.send({.path = "/_mayfly/health"});
  if (reply && reply->status == 200) {
    findings.push_back({"server", settings.endpoint, Verdict::fine, "answers"});
  } else if (reply) {
    findings.push_back({"server", settings.endpoint, Verdict::weaker,
                        fmt::format("something else answers here (status {}): choose another port "
                                    "with mayfly server --listen",
                                    reply->status)});
  } else {
    // Nothing is wrong with a machine on which no server runs yet.
    findings.push_back(
        {"server", settings.endpoint, Verdict::fine, "not running; the port is free"});
  }
}

void find_disk(const DoctorOptions& options, std::vector<Finding>& findings) {
  constexpr std::uintmax_t wanted = 1ull << 30;
  std::error_code error;
  auto folder = fs::absolute(options.data_dir, error);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  const auto space = fs::space(folder, error);
  if (error) {
    findings.push_back({"disk", folder.string(), Verdict::broken, error.message()});
    return;
  }
  findings.push_back({"disk", folder.string(),
                      space.available < wanted ? Verdict::weaker : Verdict::fine,
                      fmt::format("{} MiB free", space.available >> 20)});
}

}  // namespace

Result<int> doctor(const Settings& settings, const DoctorOptions& options) {
  std::vector<Finding> findings;
  findings.push_back({"program", "mayfly", Verdict::fine, std::string(version_text)});
  find_isolation(findings);
  find_runtimes(options, findings);
  find_server(settings, findings);
  find_disk(options, findings);
  const auto broken = std::ranges::count(findings, Verdict::broken, &Finding::verdict);
  const auto weaker = std::ranges::count(findings, Verdict::weaker, &Finding::verdict);
  if (settings.json) {
    wire::JsonArray list;
    for (const auto& each : findings) {
      list.push_back(Json::object({{"group", each.group},
                                   {"name", each.name},
                                   {"verdict", word(each.verdict)},
                                   {"detail", each.detail}}));
    }
    Json out;
    out["findings"] = std::move(list);
    print(out.dump_pretty() + "\n");
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const auto& each : findings) {
      rows.push_back({std::string(word(each.verdict)), each.group, each.name, each.detail});
    }
    print(table(rows));
    print(fmt::format("\n{} broken, {} weaker than they could be\n", broken, weaker));
  }
  return broken > 0 ? 1 : 0;
}

Result<int> version(bool json) {
  if (json) {
    print(Json::object({{"version", version_text}}).dump() + "\n");
  } else {
    print(fmt::format("mayfly {}\n", version_text));
  }
  return 0;
}

}  // namespace mayfly::cli
