// InputTemplate: the texts in which <variables> stand for values of an event (EventBridge user
// guide, "Amazon EventBridge input transformation"; Pipes user guide, "Input transformation").
//
//   {"instance": <instance>, "text": "<instance> is in state <state>"}     JSON
//   "<instance> is in state <state>"                                       a text, or lines of them
//
// A variable by itself becomes the JSON of its value. Inside quotes texts are put in as they are
// (escaped), and of lists and objects the JSON without its quotes, as the cloud does. A variable
// that has no value is an empty text.
//
// Pure; safe from any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/json.h"

namespace mayfly::wire {

class InputTemplate {
 public:
  // Kind invalid, with the reason: what is left is neither JSON nor texts, or a variable is not
  // `known`. Whatever else stands between '<' and '>' stands for itself.
  static Result<InputTemplate> parse(std::string_view text,
                                     const std::function<bool(std::string_view name)>& known);
  using Values = std::function<std::optional<Json>(std::string_view name)>;
  // Kind invalid: what comes out is no JSON.
  Result<std::string> fill(const Values& values) const;
  std::vector<std::string> names() const;

 private:
  struct Part {
    std::string text;  // or a variable's name
    bool variable = false;
    bool quoted = false;
  };
  std::vector<Part> parts_;
  bool lines_ = false;  // several texts, one a line
};

}  // namespace mayfly::wire
