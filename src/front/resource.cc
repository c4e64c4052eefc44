#include "front/resource.h"

namespace mayfly::front {

namespace {

// `digits` holds what is answered of a number.
std::string_view text_of(const wire::Record& input, std::string_view member, std::string& digits) {
  int index = input.shape == nullptr ? -1 : input.index(member);
  if (index < 0) return {};
  const wire::Value& value = input.at(static_cast<std::size_t>(index));
  if (const auto* text = value.get<std::string>()) return *text;
  if (const auto* number = value.get<std::int64_t>()) digits = fmt::format("{}", *number);
  return digits;
}

struct Filled {
  std::string text;
  bool missing = false;  // a member that the pattern names is absent
  bool owned = false;    // the pattern names the account
  bool parts = false;    // a value may be more than a name
  std::string whole;     // a value that is an ARN by itself
};

Filled fill(std::string_view pattern, const wire::Record& input, const Scope& scope) {
  Filled out;
  out.text.reserve(pattern.size() + 128);
  while (!pattern.empty()) {
    std::size_t open = pattern.find('{');
    out.text += pattern.substr(0, open);
    if (open == std::string_view::npos) break;
    std::size_t close = pattern.find('}', open);
    std::string_view name = pattern.substr(open + 1, close - open - 1);
    pattern = close == std::string_view::npos ? std::string_view() : pattern.substr(close + 1);
    std::string digits;
    std::string_view value;
    if (name == "Region") {
      value = scope.region.str();
    } else if (name == "Account") {
      value = scope.account.str();
      out.owned = true;
    } else {
      value = text_of(input, name, digits);
      if (value.find(':') != std::string_view::npos) out.parts = true;
      if (value.starts_with("arn:")) out.whole = value;
    }
    if (value.empty()) out.missing = true;
    out.text += value;
  }
  return out;
}

// A function may be named by a part of its ARN, "ACCOUNT:function:NAME", "function:NAME" or
// "ACCOUNT:NAME", which the template has put behind its own "…:ACCOUNT:function:".
std::string resolve_partial(std::string arn) {
  constexpr std::string_view mark = ":function:";
  std::size_t outer = arn.find(mark);
  if (outer == std::string::npos) return arn;
  std::string_view name = std::string_view(arn).substr(outer + mark.size());
  if (name.find(':') == std::string_view::npos) return arn;
  std::string_view front = std::string_view(arn).substr(0, arn.rfind(':', outer - 1) + 1);
  std::string_view account = std::string_view(arn).substr(front.size(), outer - front.size());
  bool owned = name.size() > 13 && name[12] == ':' &&
               name.substr(0, 12).find_first_not_of("0123456789") == std::string_view::npos;
  if (owned) {
    account = name.substr(0, 12);
    name.remove_prefix(13);
  }
  if (name.starts_with("function:")) name.remove_prefix(9);
  std::string out;
  out.reserve(front.size() + account.size() + mark.size() + name.size());
  return out.append(front).append(account).append(mark).append(name);
}

// Of "arn:PARTITION:SERVICE:REGION:ACCOUNT:…"; empty when that is not its form.
std::string_view account_of(std::string_view arn) {
  for (int field = 0; field < 4; ++field) {
    std::size_t colon = arn.find(':');
    if (colon == std::string_view::npos) return {};
    arn.remove_prefix(colon + 1);
  }
  std::size_t end = arn.find(':');
  return end == std::string_view::npos ? std::string_view() : arn.substr(0, end);
}

}  // namespace

Resource resource_of(const api::Operation& operation, const wire::Record& input,
                     const Scope& scope) {
  Resource out{"*", scope.account};
  std::string_view pattern = operation.resource;
  if (pattern.empty() || pattern == "*") return out;
  std::size_t bracket = pattern.find('[');
  Filled arn = fill(pattern.substr(0, bracket), input, scope);
  std::string tail;
  if (bracket != std::string_view::npos) {
    Filled more = fill(pattern.substr(bracket + 1, pattern.find(']') - bracket - 1), input, scope);
    if (!more.missing) tail = std::move(more.text);
  }
  if (arn.missing && arn.whole.empty()) return out;
  if (!arn.whole.empty()) {
    out.arn = std::move(arn.whole);
  } else {
    out.arn = arn.parts ? resolve_partial(std::move(arn.text)) : std::move(arn.text);
  }
  // A qualifier may stand in the name already.
  if (!tail.empty() && !out.arn.ends_with(tail)) out.arn += tail;
  if (arn.owned && !arn.parts) return out;
  auto account = account_of(out.arn);
  if (!account.empty() && account != out.account.str()) {
    out.account = AccountId(std::string(account));
  }
  return out;
}

Resource resource_of(const api::Service& service, const api::Operation& operation,
                     const wire::Record& input, const Scope& scope) {
  if (!service.resource || operation.resource == "*") return resource_of(operation, input, scope);
  Resource out{service.resource(operation, input, scope), scope.account};
  auto account = account_of(out.arn);
  if (!account.empty()) out.account = AccountId(std::string(account));
  return out;
}

}  // namespace mayfly::front
