// The channel's pipes, without what Node.js puts around each system call and each turn of its event
// loop. See addon.cc for what each function does.
#pragma once

#include "host.h"

namespace mayfly::fork {

// Events come through this memory from here on; a byte through `bell` tells who waits of them.
// Closes `memory`.
bool open_ring(int bell, int memory);
// Where the function put something other than our pipe in place, nobody can tell: unread.
bool output_unread();

napi_value serve(napi_env env, napi_callback_info info);
napi_value again(napi_env env, napi_callback_info info);
napi_value read_events(napi_env env, napi_callback_info info);
napi_value write_answer(napi_env env, napi_callback_info info);
napi_value began(napi_env env, napi_callback_info info);
napi_value spent(napi_env env, napi_callback_info info);

}  // namespace mayfly::fork
