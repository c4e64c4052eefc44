// Documents of the policy language, as resources keep them: read into the statements that guard/
// evaluates, and edited by label, as AddPermission and RemovePermission of several services do.
//
// Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guard/guard.h"

namespace mayfly::guard {

// One statement for each principal, action and resource; none for an empty text. Conditions:
// SourceArn, SourceAccount and SecureTransport (which counts as met: this server is reached on its
// own machine). An Allow with another condition never holds, a Deny with one always does: whoever
// wrote it is on the safe side. NotPrincipal, NotAction and NotResource are refused.
//
// Kind invalid, with a sentence that says why.
Result<std::vector<PolicyStatement>> read_policy(std::string_view document);

// An Allow for accounts, whose root they become as principals.
struct Grant {
  std::string_view id;  // of the document, where it is a new one
  std::string_view label;
  std::vector<std::string_view> accounts;
  std::vector<std::string> actions;  // with their service: "SQS:SendMessage"
  std::string_view resource;
  std::size_t statements_max = 0;
};

// Kinds already_exists (the label), too_large (statements), invalid (the document).
Result<std::string> with_permission(std::string_view document, const Grant& grant);
// Empty where nothing is left. Kinds not_found (the label), invalid (the document).
Result<std::string> without_permission(std::string_view document, std::string_view label);

bool is_account(std::string_view text);  // 12 digits

}  // namespace mayfly::guard
