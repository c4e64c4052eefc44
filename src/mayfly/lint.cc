#include "mayfly/lint.h"

#include <algorithm>
#include <cctype>

#include "base/limits.h"
#include "invoke/environment_spec.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::lint {
namespace {

using std::chrono::sys_days;
using std::chrono::year;

// Runtimes of zip packages and their deprecation (AWS Lambda Developer Guide, "Lambda runtimes").
struct Runtime {
  std::string_view name;
  sys_days deprecated;
};
constexpr Runtime runtimes[] = {
    {"dotnet10", year{2028} / 11 / 14},
    {"dotnet8", year{2026} / 11 / 10},
    {"dotnet6", year{2024} / 12 / 20},
    {"java25", year{2029} / 6 / 30},
    {"java21", year{2029} / 6 / 30},
    {"java17", year{2027} / 6 / 30},
    {"java11", year{2027} / 6 / 30},
    {"java8.al2", year{2027} / 6 / 30},
    {"java8", year{2024} / 1 / 8},
    {"nodejs24.x", year{2028} / 4 / 30},
    {"nodejs22.x", year{2027} / 4 / 30},
    {"nodejs20.x", year{2026} / 4 / 30},
    {"nodejs18.x", year{2025} / 9 / 1},
    {"nodejs16.x", year{2024} / 6 / 12},
    {"nodejs14.x", year{2023} / 12 / 4},
    {"nodejs12.x", year{2023} / 3 / 31},
    {"provided.al2023", year{2029} / 6 / 30},
    {"provided.al2", year{2026} / 7 / 31},
    {"provided", year{2024} / 1 / 8},
    {"go1.x", year{2024} / 1 / 8},
    {"python3.14", year{2029} / 6 / 30},
    {"python3.13", year{2029} / 6 / 30},
    {"python3.12", year{2028} / 10 / 31},
    {"python3.11", year{2027} / 6 / 30},
    {"python3.10", year{2026} / 10 / 31},
    {"python3.9", year{2025} / 12 / 15},
    {"python3.8", year{2024} / 10 / 14},
    {"python3.7", year{2023} / 12 / 4},
    {"ruby3.4", year{2028} / 3 / 31},
    {"ruby3.3", year{2027} / 3 / 31},
    {"ruby3.2", year{2026} / 3 / 31},
    {"ruby2.7", year{2023} / 12 / 7},
};

// Addresses and names that only a server of ours answers to.
constexpr std::string_view our_addresses[] = {"127.0.0.1:4566", "localhost:4566",
                                              "localhost.localstack.cloud", "/_mayfly/"};
// What of a package is text for sure.
constexpr std::string_view sources[] = {".js", ".mjs", ".cjs", ".ts", ".py", ".rb", ".sh", ".json"};

struct Check {
  const Function& function;
  sys_days today;
  std::vector<Finding> findings = {};

  void add(std::string rule, Level level, std::string message) {
    findings.push_back({std::move(rule), level, function.name, function.where, std::move(message)});
  }
  void breaks(std::string rule, std::string message) {
    add(std::move(rule), Level::breaks, std::move(message));
  }
  void differs(std::string rule, std::string message) {
    add(std::move(rule), Level::differs, std::move(message));
  }
};

bool is_custom(std::string_view runtime) {
  return runtime.starts_with("provided") || runtime == "go1.x";
}

void check_range(Check& check, const char* rule, const std::optional<std::int64_t>& value,
                 std::int64_t least, std::int64_t most, std::string_view what) {
  if (!value || (*value >= least && *value <= most)) return;
  check.breaks(rule, fmt::format("{} is {}; the cloud takes {} to {}", what, *value, least, most));
}

void check_numbers(Check& check) {
  const Function& function = check.function;
  check_range(check, "timeout-limit", function.timeout_seconds, 1, limits::timeout_max_seconds,
              "the timeout in seconds");
  check_range(check, "memory-limit", function.memory_mb, limits::memory_min_mb,
              limits::memory_max_mb, "the memory in MB");
  check_range(check, "tmp-limit", function.tmp_mb, limits::tmp_min_mb, limits::tmp_max_mb,
              "the size of /tmp in MB");
  if (function.layers.value_or(0) > static_cast<std::size_t>(limits::layers_per_function)) {
    check.breaks("layers-limit", fmt::format("it has {} layers; the cloud takes {}",
                                             *function.layers, limits::layers_per_function));
  }
  if (function.description.size() > 256) {
    check.breaks("description-length", "its description is longer than 256 characters");
  }
}

void check_name(Check& check) {
  const std::string& name = check.function.name;
  bool good = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  if (!good) {
    check.breaks("name-form", "the name is not 1 to 64 letters, digits, hyphens and underscores");
  }
}

void check_runtime(Check& check) {
  const std::string& name = check.function.runtime;
  if (name.empty()) return;
  const auto* found = std::ranges::find(runtimes, name, &Runtime::name);
  if (found == std::ranges::end(runtimes)) {
    check.breaks("runtime-unknown", fmt::format("the cloud has no runtime {}", name));
    return;
  }
  std::chrono::year_month_day day(found->deprecated);
  auto when = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()),
                          static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
  if (check.today >= found->deprecated) {
    check.breaks("runtime-deprecated",
                 fmt::format("{} is deprecated since {}: the cloud creates no new function of it, "
                             "sooner or later",
                             name, when));
  } else if (check.today + std::chrono::days(180) >= found->deprecated) {
    check.differs("runtime-ends", fmt::format("{} is deprecated from {} on", name, when));
  }
}

void check_environment(Check& check) {
  std::string measured = "{";
  for (const auto& [key, value] : check.function.environment) {
    if (measured.size() > 1) measured += ",";
    wire::append_json_string(measured, key);
    measured += ":";
    wire::append_json_string(measured, value);
    if (invoke::is_reserved_key(key)) {
      check.breaks("reserved-variable",
                   fmt::format("{} is set by the cloud and cannot be set by a function", key));
      continue;
    }
    bool form = key.size() >= 2 && std::isalpha(static_cast<unsigned char>(key.front())) &&
                std::ranges::all_of(key, [](char c) {
                  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
                });
    if (!form) {
      check.breaks(
          "variable-form",
          fmt::format("the variable {} is not a letter and at least one more letter, digit "
                      "or underscore",
                      key));
    }
    if (auto own = own_variable(key, value)) {
      check.add(std::move(own->rule), own->level, std::move(own->message));
    }
    for (std::string_view address : our_addresses) {
      if (value.find(address) == std::string::npos) continue;
      check.breaks(
          "local-address",
          fmt::format("the variable {} names {}, which is not in the cloud", key, address));
    }
  }
  measured += "}";
  if (measured.size() > limits::environment_bytes) {
    check.breaks("environment-size", fmt::format("the environment variables are {} bytes of JSON; "
                                                 "the cloud takes {}",
                                                 measured.size(), limits::environment_bytes));
  }
}

// The machine that a program was made for: of an ELF file, else nothing.
std::string_view elf_architecture(std::string_view head) {
  if (head.size() < 20 || !head.starts_with("\x7f"
                                            "ELF")) {
    return {};
  }
  unsigned machine =
      static_cast<unsigned char>(head[18]) + 256u * static_cast<unsigned char>(head[19]);
  if (machine == 62) return "x86_64";
  if (machine == 183) return "arm64";
  return "another machine";
}

void check_architecture(Check& check) {
  const auto& given = check.function.architectures;
  if (given.size() > 1) {
    check.breaks("architecture", "a function has one architecture");
  }
  std::string wanted = given.empty() ? "x86_64" : given.front();
  if (wanted != "x86_64" && wanted != "arm64") {
    check.breaks("architecture", fmt::format("the cloud has no architecture {}", wanted));
    return;
  }
  if (!check.function.files) return;
  for (const auto& [name, file] : *check.function.files) {
    auto made_for = elf_architecture(file.head);
    if (made_for.empty() || made_for == wanted) continue;
    check.breaks("package-architecture",
                 fmt::format("{} is made for {}, the function runs on {}", name, made_for, wanted));
    return;  // one says it all
  }
}

// What a handler may be found in, for runtimes whose handlers name files.
std::vector<std::string> handler_files(std::string_view runtime, std::string_view handler) {
  auto dot = handler.rfind('.');
  std::string module(handler.substr(0, dot));
  if (dot == std::string_view::npos) return {};
  if (runtime.starts_with("nodejs")) return {module + ".js", module + ".mjs", module + ".cjs"};
  if (runtime.starts_with("python")) {
    std::ranges::replace(module, '.', '/');
    return {module + ".py", module + "/__init__.py", module + ".pyc"};
  }
  if (runtime.starts_with("ruby")) {
    return {std::string(handler.substr(0, handler.find('.'))) + ".rb"};
  }
  return {};
}

// Made for the AWS Lambda Web Adapter, which is built in here and a layer in the cloud. True: its
// handler is the script that the adapter starts.
bool check_web_adapter(Check& check) {
  const Function& function = check.function;
  auto wrapper = function.environment.find("AWS_LAMBDA_EXEC_WRAPPER");
  bool wrapped = wrapper != function.environment.end() && wrapper->second == "/opt/bootstrap";
  bool settings = std::ranges::any_of(
      function.environment, [](const auto& one) { return one.first.starts_with("AWS_LWA_"); });
  if (!wrapped && !settings) return false;
  if (function.layers.value_or(0) == 0) {
    check.breaks("web-adapter",
                 "it has no layer with the AWS Lambda Web Adapter, which the cloud does not bring");
  }
  return !function.files || function.files->contains(function.handler);
}

void check_handler(Check& check) {
  const Function& function = check.function;
  const std::string& runtime = function.runtime;
  if (function.image || runtime.empty()) return;
  bool serves = check_web_adapter(check);
  if (is_custom(runtime)) {
    if (!function.files || function.layers.value_or(0) > 0) return;
    auto found = function.files->find(runtime == "go1.x" ? function.handler : "bootstrap");
    if (found == function.files->end()) {
      check.breaks("bootstrap-missing", "the package has no file bootstrap at its top");
    } else if (!found->second.executable) {
      check.breaks("bootstrap-missing", "the file bootstrap is not executable");
    }
    return;
  }
  if (serves && !function.handler.empty()) return;
  if (function.handler.empty()) {
    check.breaks("handler-missing", "it names no handler");
    return;
  }
  bool named = runtime.starts_with("java") || runtime.starts_with("dotnet")
                   ? true
                   : function.handler.find('.') != std::string::npos;
  if (!named || function.handler.find(' ') != std::string::npos || function.handler.size() > 128) {
    check.breaks("handler-form",
                 fmt::format("the handler {} is not of the form file.function", function.handler));
    return;
  }
  auto files = handler_files(runtime, function.handler);
  // A layer may hold it.
  if (files.empty() || !function.files || function.layers.value_or(0) > 0) return;
  bool there = std::ranges::any_of(
      files, [&](const std::string& file) { return function.files->contains(file); });
  if (!there) {
    check.breaks("handler-missing", fmt::format("the handler {} is not in the package: no {}",
                                                function.handler, files.front()));
  }
}

void check_package(Check& check) {
  const Function& function = check.function;
  if (function.zip_bytes.value_or(0) > limits::package_zip_bytes) {
    check.breaks(
        "package-size",
        fmt::format("the package is {} MB zipped; the cloud takes {} MB in a request, more "
                    "by way of S3 alone",
                    *function.zip_bytes / limits::mib, limits::package_zip_bytes / limits::mib));
  }
  if (function.unzipped_bytes.value_or(0) > limits::package_unzipped_bytes) {
    check.breaks(
        "package-unzipped-size",
        fmt::format("the package is {} MB unzipped; the cloud takes {} MB, layers included",
                    *function.unzipped_bytes / limits::mib,
                    limits::package_unzipped_bytes / limits::mib));
  }
  if (!function.files) return;
  for (const auto& [name, file] : *function.files) {
    bool source = std::ranges::any_of(
        sources, [&](std::string_view ending) { return name.ends_with(ending); });
    // What comes with dependencies is not this function's doing.
    if (!source || name.find("node_modules/") != std::string::npos) continue;
    for (std::string_view address : our_addresses) {
      if (file.head.find(address) == std::string::npos) continue;
      check.breaks("local-address", fmt::format("{} names {}, which is not in the cloud: take the "
                                                "endpoint from the SDK's settings",
                                                name, address));
    }
  }
}

void check_snap_start(Check& check) {
  const Function& function = check.function;
  if (!function.snap_start) return;
  if (function.tmp_mb.value_or(0) > limits::snap_start_tmp_max_mb) {
    check.breaks("snap-start", fmt::format("with SnapStart the cloud gives at most {} MB of /tmp",
                                           limits::snap_start_tmp_max_mb));
  }
  std::string_view runtime = function.runtime;
  bool has = (runtime.starts_with("java") && !runtime.starts_with("java8")) ||
             runtime == "python3.12" || runtime == "python3.13" || runtime == "python3.14" ||
             runtime == "dotnet8" || runtime == "dotnet10";
  if (!runtime.empty() && !has) {
    check.breaks("snap-start", fmt::format("the cloud has no SnapStart for {}", runtime));
  }
}

// Open here by the first grant; URLs made since October 2025 need the second in the cloud.
void check_url(Check& check) {
  auto granted = [&](std::string_view action) {
    return std::ranges::count(check.function.url_grants, action) > 0;
  };
  if (granted("lambda:InvokeFunctionUrl") && !granted("lambda:InvokeFunction")) {
    check.breaks("url-grant",
                 "its public URL has one grant; the cloud wants lambda:InvokeFunction with "
                 "InvokedViaFunctionUrl, too");
  }
}

}  // namespace

std::vector<Finding> check(const Function& function, sys_days today) {
  Check check{.function = function, .today = today};
  check_name(check);
  check_numbers(check);
  check_runtime(check);
  check_environment(check);
  check_architecture(check);
  check_handler(check);
  check_package(check);
  check_snap_start(check);
  check_url(check);
  auto tags = lint::check({Resource::Kind::function, function.name, function.where, function.tags});
  std::ranges::move(tags, std::back_inserter(check.findings));
  return std::move(check.findings);
}

}  // namespace mayfly::lint
