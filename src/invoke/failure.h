// Failure: why an environment could not answer, and what the cloud tells the caller about it.
// Texts as the cloud's own runtime interface emulator and the developer guide give them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/observer.h"
#include "invoke/log_text.h"
#include "sandbox/sandbox.h"

namespace mayfly::invoke {

struct Failure {
  InvocationOutcome outcome = InvocationOutcome::crash;
  std::string error_type;  // "Runtime.ExitError"
  std::string message;     // without "RequestId: … Error: "
  // The runtime's own error JSON (init errors); then error_type and message are not rendered.
  std::string payload;
  Status status = Status::error;
};

Failure timed_out(Duration limit);
Failure exited(const sandbox::Exit& exit);
Failure init_failed(std::string error_type, std::string payload);
Failure platform_failed(std::string message);
// The program, or the custom runtime's bootstrap, could not be executed.
Failure invalid_entrypoint(const std::string& program, const Error& error);
// Its working directory is not there, or closed to it.
Failure invalid_working_directory(std::string_view directory, const Error& error);

// Of the Restore phase: errors whose reason is the exception that the API answers, with the texts
// of its reference.
Error restore_timed_out();
Error restore_failed();
// The same of an environment that ran its hooks in its Init phase, where `failure` is one of them.
inline constexpr std::string_view after_restore_error = "Runtime.AfterRestoreError";
inline constexpr std::string_view after_restore_timeout = "Runtime.AfterRestoreTimeout";
struct Runnable;
std::optional<Error> restore_error(const Runnable& runnable, const Failure& failure);
// "segmentation fault"
std::string signal_name(int number);
// "fork/exec /opt/bootstrap: no such file or directory"
std::string exec_failed(std::string_view program, const Error& error);

// {"errorType":…,"errorMessage":"RequestId: … Error: …"}
std::string render(const Failure& failure, std::string_view request_id);
// What goes into the log, or empty.
std::string log_line(const Failure& failure, std::string_view request_id, WallTime now);

// The answer was larger than allowed.
std::string too_large_payload(std::string_view message);

}  // namespace mayfly::invoke
