// The pages a child inherits, and which of them it need not ask for one by one.
#pragma once

namespace mayfly::fork {

// Forgets which pages of programs and libraries were used so far: what runs from here to park() is
// what children run first, and its pages alone are handed on.
void forget_program_pages();

// The process's first arena of allocated memory; empty when there is none.
struct Range {
  unsigned long start = 0;
  unsigned long end = 0;
};
Range heap_range();

// The rest is called while threads stand still, so it allocates nothing.

// Lets children inherit the heap, which V8 hides from them. False: they would not have all of it.
bool show_heap_to_children();
// Lets children inherit also the pages of programs and libraries in use. A fork leaves those out,
// as they can be read again; but a child needs hundreds at once, and each such fault costs as much
// as copying fifty entries. Failing is no error: the faults remain.
void show_program_pages_to_children();

}  // namespace mayfly::fork
