// The headers that tests share (cmake/Rooms.cmake) hold doctest already: both names are needed.
#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
