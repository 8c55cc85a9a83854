// A C target has a source file, if only one without code of its own.
#include "prefetch.h"
