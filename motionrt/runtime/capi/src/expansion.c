#include "expansion.h"

#include <string.h>

#include "expansion_tables.h"

const expansion *find_expansion(const char *name) {
  size_t i;
  for (i = 0; name && i < sizeof expansions / sizeof *expansions; i++)
    if (!strcmp(expansions[i].name, name)) return &expansions[i];
  return NULL;
}
