// Lint: what of a function would break in the cloud, or be different there. The rules alone: where
// a function comes from is cli_lint.cc's business. docs/reference/lint.md lists them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::lint {

// A file of a package; of those that rules look into, the bytes.
struct File {
  bool executable = false;
  std::uint64_t bytes = 0;
  std::string head = {};  // the first 64 KiB
};

// A function before or after it was deployed. What is not known is left out, and not complained of.
struct Function {
  std::string name;
  std::string where;  // a file, or the server: for people
  std::string runtime = {};
  std::string handler = {};
  std::optional<std::int64_t> timeout_seconds = {};
  std::optional<std::int64_t> memory_mb = {};
  std::optional<std::int64_t> tmp_mb = {};
  std::map<std::string, std::string> environment = {};
  std::map<std::string, std::string> tags = {};
  std::vector<std::string> architectures = {};
  std::optional<std::size_t> layers = {};
  std::string description = {};
  bool snap_start = false;
  std::vector<std::string> url_grants = {};  // actions that anyone may do by its public URL
  bool image = false;                        // PackageType Image: has neither runtime nor handler
  std::optional<std::uint64_t> zip_bytes = {};
  std::optional<std::uint64_t> unzipped_bytes = {};
  std::optional<std::map<std::string, File>> files = {};  // of its package, with '/'
};

// `breaks`: the cloud refuses it, or it fails there. `differs`: it works in another way there, or
// soon no more.
enum class Level { breaks, differs };
struct Finding {
  std::string rule;  // "timeout-limit"
  Level level = Level::breaks;
  std::string function;
  std::string where;
  std::string message;
};

std::vector<Finding> check(const Function& function, std::chrono::sys_days today);

// What else of a template may have tags that are settings here.
struct Resource {
  enum class Kind { function, mapping, pipe, rule, group, topic };
  Kind kind;
  std::string name;
  std::string where;
  std::map<std::string, std::string> tags;
};
// lint_own.cc; of a function its tags alone.
std::vector<Finding> check(const Resource& resource);
// What this server reads of a variable "MAYFLY_…", and the cloud does not; or why the server
// refuses it.
struct OwnVariable {
  std::string rule;
  Level level = Level::differs;
  std::string message;
};
std::optional<OwnVariable> own_variable(std::string_view name, const std::string& value);

// The files of a zip.
Result<std::map<std::string, File>> files_of_zip(std::string_view zip);
// The functions of a SAM or CloudFormation template in JSON or in the YAML that people write for
// them; properties that are computed (Ref, Fn::Sub …) count as not known. `invalid`: not read.
Result<std::vector<Function>> functions_of_template(std::string_view text, std::string_view where);
// Likewise, what else has tags.
Result<std::vector<Resource>> resources_of_template(std::string_view text, std::string_view where);

}  // namespace mayfly::lint
