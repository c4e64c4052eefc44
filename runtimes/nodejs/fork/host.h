// What the addon uses of its host: the stable C interface for addons (Node-API version 3), libuv's
// public functions, and two of V8's and three of OpenSSL's that every official build exports.
// Declared here, so that one binary serves every version of Node.js and no headers are needed.
#pragma once

#include <dlfcn.h>

#include <bit>
#include <cstddef>
#include <cstdint>

extern "C" {

using napi_env = struct NapiEnv*;
using napi_value = struct NapiValue*;
using napi_callback_info = struct NapiCallbackInfo*;
using napi_callback = napi_value (*)(napi_env, napi_callback_info);
using napi_ref = struct NapiRef*;
using napi_handle_scope = struct NapiHandleScope*;
using napi_async_context = struct NapiAsyncContext*;
struct uv_loop_t;
struct uv_handle_t;
struct uv_check_t;
struct uv_idle_t;

// Every one returns 0 (napi_ok) or the number of an error.
int napi_create_function(napi_env, const char* name, std::size_t length, napi_callback, void* data,
                         napi_value* result);
int napi_set_named_property(napi_env, napi_value object, const char* name, napi_value value);
int napi_get_named_property(napi_env, napi_value object, const char* name, napi_value* result);
int napi_get_cb_info(napi_env, napi_callback_info, std::size_t* count, napi_value* arguments,
                     napi_value* self, void** data);
int napi_get_value_int32(napi_env, napi_value, std::int32_t* result);
int napi_get_value_double(napi_env, napi_value, double* result);
int napi_get_value_bool(napi_env, napi_value, bool* result);
int napi_create_double(napi_env, double, napi_value* result);
int napi_create_string_utf8(napi_env, const char*, std::size_t length, napi_value* result);
int napi_get_boolean(napi_env, bool value, napi_value* result);
int napi_get_global(napi_env, napi_value* result);
int napi_call_function(napi_env, napi_value self, napi_value function, std::size_t count,
                       const napi_value* arguments, napi_value* result);
int napi_create_int32(napi_env, std::int32_t, napi_value* result);
int napi_create_object(napi_env, napi_value* result);
int napi_create_reference(napi_env, napi_value, std::uint32_t count, napi_ref* result);
int napi_get_reference_value(napi_env, napi_ref, napi_value* result);
int napi_open_handle_scope(napi_env, napi_handle_scope* result);
int napi_close_handle_scope(napi_env, napi_handle_scope);
int napi_get_buffer_info(napi_env, napi_value, void** data, std::size_t* bytes);
int napi_get_typedarray_info(napi_env, napi_value, int* type, std::size_t* length, void** data,
                             napi_value* buffer, std::size_t* offset);
int napi_async_init(napi_env, napi_value resource, napi_value name, napi_async_context* result);
int napi_make_callback(napi_env, napi_async_context, napi_value self, napi_value function,
                       std::size_t count, const napi_value* arguments, napi_value* result);
int napi_get_and_clear_last_exception(napi_env, napi_value* result);
int napi_fatal_exception(napi_env, napi_value error);
int napi_get_uv_event_loop(napi_env, uv_loop_t** result);

void uv_walk(uv_loop_t*, void (*visit)(uv_handle_t*, void*), void* argument);
int uv_is_active(const uv_handle_t*);
int uv_has_ref(const uv_handle_t*);
int uv_handle_get_type(const uv_handle_t*);
const char* uv_handle_type_name(int type);
void uv_update_time(uv_loop_t*);
int uv_loop_alive(const uv_loop_t*);
std::size_t uv_handle_size(int type);
int uv_check_init(uv_loop_t*, uv_check_t*);
int uv_check_start(uv_check_t*, void (*run)(uv_check_t*));
int uv_check_stop(uv_check_t*);
int uv_idle_init(uv_loop_t*, uv_idle_t*);
int uv_idle_start(uv_idle_t*, void (*run)(uv_idle_t*));
int uv_idle_stop(uv_idle_t*);
}

inline constexpr int napi_pending_exception = 10;
inline constexpr int uv_check_type = 2;
inline constexpr int uv_idle_type = 6;

// An address that came as a number.
inline void* pointer_to(std::uint64_t address) { return std::bit_cast<void*>(address); }

// Of the C++ and OpenSSL symbols, which an unusual build may lack: null then.
template <class Function>
Function host_symbol(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
}
