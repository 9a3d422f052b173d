#include <libxml/HTMLparser.h>
#include <libxml/xpath.h>

// xmlFree is a variable that holds a function, which Swift takes for shared state.
static inline void xml_free(void *memory) { xmlFree(memory); }
