#include "mayfly/cli_project.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

using Verbs = std::map<std::string, std::vector<std::string>>;

// Verbs whose argument is the name of a deployed function.
constexpr std::string_view by_function[] = {"invoke", "logs", "rm"};

std::string names_of(const Verbs& verbs) {
  std::string names;
  for (const auto& [name, options] : verbs) names += (names.empty() ? "" : " ") + name;
  return names;
}

std::string bash_script(const Verbs& verbs) {
  std::string cases;
  for (const auto& [name, options] : verbs) {
    cases += fmt::format("    {}) words='{}' ;;\n", name, fmt::join(options, " "));
  }
  return fmt::format(R"--(# bash completion of mayfly: source <(mayfly completion bash)
_mayfly() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}" words=''
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W '{0}' -- "$current"))
    return
  fi
  case "$verb" in
{1}  esac
  case "$verb ${{COMP_WORDS[COMP_CWORD-1]}}" in
    "new --runtime" | "new -r")
      COMPREPLY=($(compgen -W '{3}' -- "$current"))
      return
      ;;
  esac
  if [[ "$current" != -* ]]; then
    case "$verb" in
      {2}) words="$(mayfly ls --names 2>/dev/null)" ;;
      completion) words='bash zsh fish' ;;
      *)
        COMPREPLY=($(compgen -f -- "$current"))
        return
        ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _mayfly mayfly
)--",
                     names_of(verbs), cases, fmt::join(by_function, " | "),
                     fmt::join(template_languages(), " "));
}

std::string zsh_script(const Verbs& verbs) {
  return "#compdef mayfly\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(verbs);
}

std::string fish_script(const Verbs& verbs) {
  std::string out = fmt::format(
      "# fish completion of mayfly: mayfly completion fish | source\n"
      "complete -c mayfly -f -n __fish_use_subcommand -a '{}'\n",
      names_of(verbs));
  for (const auto& [name, options] : verbs) {
    for (const auto& option : options) {
      const bool is_long = option.starts_with("--");
      out += fmt::format("complete -c mayfly -n '__fish_seen_subcommand_from {}' -{} {}\n", name,
                         is_long ? "l" : "s", option.substr(is_long ? 2 : 1));
    }
  }
  out += fmt::format(
      "complete -c mayfly -f -n '__fish_seen_subcommand_from {}' -a '(mayfly ls --names "
      "2>/dev/null)'\n",
      fmt::join(by_function, " "));
  return out;
}

}  // namespace

Result<int> completion(const std::string& shell, const Verbs& verbs, bool json) {
  std::string script;
  if (shell == "bash") {
    script = bash_script(verbs);
  } else if (shell == "zsh") {
    script = zsh_script(verbs);
  } else if (shell == "fish") {
    script = fish_script(verbs);
  } else {
    return fail(ErrorKind::invalid,
                fmt::format("no completion for '{}': bash, zsh or fish", shell));
  }
  print(json ? wire::Json::object({{"shell", shell}, {"script", script}}).dump() + "\n" : script);
  return 0;
}

}  // namespace mayfly::cli
