// Sources of randomness whose state a fork would double.
#pragma once

#include "host.h"

namespace mayfly::fork {

// Finds the state of Math.random(), which V8 keeps in the native context. nullptr, or why not.
const char* find_math_random(napi_env env);
// In the child: a new sequence of Math.random(), a new seed of OpenSSL's generators.
bool renew_random();
bool reseed_openssl();

// While counting, OpenSSL's generator is asked through a counter; random_calls() says how often it
// was. By that the runtime sees when a cache of random bytes is filled. False: not possible.
bool count_random(bool on);
int random_calls();

}  // namespace mayfly::fork
