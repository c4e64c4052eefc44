// The channel's pipes, without what Node.js puts around each system call and each turn of its event
// loop. See addon.cc for what each function does.
#pragma once

#include "host.h"

namespace mayfly::fork {

// Events come through the first memory from here on, where a byte through `bell` tells who waits of
// them; answers may go through the second. Closes both.
bool open_rings(int bell, int events, int answers);
// Where the function put something other than our pipe in place, nobody can tell: unread.
bool output_unread();

napi_value serve(napi_env env, napi_callback_info info);
napi_value again(napi_env env, napi_callback_info info);
napi_value read_events(napi_env env, napi_callback_info info);
napi_value write_answer(napi_env env, napi_callback_info info);
napi_value began(napi_env env, napi_callback_info info);
napi_value spent(napi_env env, napi_callback_info info);

}  // namespace mayfly::fork
