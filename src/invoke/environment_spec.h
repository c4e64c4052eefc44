// environment_spec: what a new execution environment is made of, from the function's configuration
// and the runtime that was chosen: mounts, environment variables, limits, ports.
#pragma once

#include <string>
#include <string_view>

#include "invoke/invoker.h"

namespace mayfly::invoke {

// In-jail ports: the Runtime API where the cloud has it, the AWS endpoint where local tools expect
// it.
inline constexpr std::uint16_t runtime_api_port = 9001;
inline constexpr std::uint16_t endpoint_port = 4566;

// Processor share by the cloud's formula: one vCPU per 1,769 MB.
std::uint32_t cpu_millis(const Runnable& runnable);

// The cloud lends a starting environment more than its share; so do we, until it is ready.
inline constexpr std::uint32_t init_cpu_millis = 2000;

// AWS_LAMBDA_EXEC_WRAPPER names a script that starts the runtime, or another program in its place.
bool is_wrapped(const Runnable& runnable);

// How long the Init phase may take: with SnapStart, and where several calls share an environment
// (developer guide, "Lambda Managed Instances execution environment"), it may take minutes.
Duration init_limit(const Runnable& runnable);

// Developer guide, "Defined runtime environment variables": keys that a function cannot set.
bool is_reserved_key(std::string_view name);

// Whether the platform sets this variable itself, so that a function's own value is not used.
bool is_reserved_variable(std::string_view name);

sandbox::Spec environment_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                               const RoleCredentials& credentials, std::string_view log_stream,
                               InstanceId id);

// Events reach its guest by frames (guest/lambda/lean.h), not by HTTP.
bool speaks_lean(const Runnable& runnable, const sandbox::RuntimePack& pack);

// What its jail starts: a path in it.
std::string entry_program(const Runnable& runnable, const sandbox::RuntimePack& pack);

// Of a guest that parks after its init and is forked: the same, with room for the forks' first
// moments, which count to its memory.
sandbox::Spec template_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                            const RoleCredentials& credentials, std::string_view log_stream,
                            InstanceId id);
// Of a guest that has booted without any function.
sandbox::Spec generic_template_spec(const sandbox::RuntimePack& pack, int memory_mb, InstanceId id);

// What a fork of either gets beyond what its template has.
enum class TemplateKind { function, generic };
sandbox::Spec forked_spec(TemplateKind kind, const Runnable& runnable,
                          const sandbox::RuntimePack& pack, const RoleCredentials& credentials,
                          std::string_view log_stream, InstanceId id);

// Of a guest that boots without a function, in the jail of an environment of this memory size, and
// what it becomes one with.
sandbox::Spec booted_guest_spec(const sandbox::RuntimePack& pack, int memory_mb, InstanceId id);
sandbox::Spec specialised_spec(const Runnable& runnable, const sandbox::RuntimePack& pack,
                               const RoleCredentials& credentials, std::string_view log_stream);

// Why a booted guest does not become an environment of this function; empty: it may.
std::string specialising_refused(const Runnable& runnable, const sandbox::RuntimePack& pack);

// Why environments of this function are not forked, whatever its guest says; empty: they may be.
std::string forking_refused(const Runnable& runnable, const sandbox::RuntimePack& pack);

}  // namespace mayfly::invoke
